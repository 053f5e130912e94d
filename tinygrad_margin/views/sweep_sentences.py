"""One step of the reverse sweep: what a node passes to its operands, in numbers and words.

>>> from tinygrad_margin import Value
>>> a = Value(3.0, "a")
>>> J = -a
>>> print(take_step(J, {a: 0.0, J: 1.0}, {a: "a", J: "J"}, {a, J}))
J = −a:
  ∂J/∂a += ∂J/∂J · ∂J/∂a = 1 · (−1) = −1
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass, field
from typing import NamedTuple

from tinygrad_margin.engine import Value, local_derivatives
from tinygrad_margin.guard import SlopeError
from tinygrad_margin.ops import CONSTANT
from tinygrad_margin.views.names import node_formula, reason
from tinygrad_margin.views.notation import derivative, format_operation, glyph, number
from tinygrad_margin.views.remarks import OVERFLOW, WAY_OUT, outdated

NOT_ASKED = "(no gradient arrives here, so there need not be a slope)"


class Contribution(NamedTuple):
    """What one node passes to one of its operands."""

    parent: Value
    derivative: float  # ∂node/∂parent
    product: float  # what it passes: ∂J/∂node · ∂node/∂parent
    total: float  # ∂J/∂parent so far, including this product


@dataclass(frozen=True, eq=False)
class Step:
    """One node's turn in the reverse sweep; prints as the chain rule in numbers and words."""

    node: Value
    upstream: float  # ∂J/∂node
    contributions: tuple[Contribution, ...]  # one for each operand
    names: dict[Value, str] = field(repr=False)  # of all nodes of the graph; the root comes last
    is_outdated: bool = False  # a number in the graph is not what its operands make

    def __str__(self) -> str:
        heading, rules = step_words(self.node, self.names)
        if self.node._row is CONSTANT:
            return heading
        wrong = outdated([self.node], self.names)
        if wrong or self.is_outdated:
            if not self.node.parents:
                return f"{heading.removesuffix(' =')} is not known yet, {WAY_OUT}"
            words = [f"{self.names[node]} {how}" for node, how in wrong.items()]
            return "\n  ".join([heading, *filter(None, rules), *words])
        if not self.contributions:
            return f"{heading} {number(self.upstream)}"
        lines = [heading]
        for rule, (_, slope, product, total) in zip(rules, self.contributions, strict=True):
            if rule:
                factors = format_operation("*", [number(self.upstream), number(slope)])
                line = f"  {rule} = {factors.replace(glyph('*'), '·')} = {number(product)}"
                if math.isinf(product) and math.isfinite(self.upstream) and math.isfinite(slope):
                    line += f" ({OVERFLOW})"
                if math.isnan(slope) and product == 0.0:
                    line = f"  {rule} = 0 {NOT_ASKED}"
                lines.append(line if total == product else f"{line}, in all {number(total)}")
        because = reason(self.node, self.names)
        return "\n".join([*lines, f"  {because}"] if because else lines)


def take_step(
    node: Value,
    totals: dict[Value, float],
    names: dict[Value, str],
    reached: Container[Value],
    is_outdated: bool = False,
) -> Step:
    """Pass a node's gradient on to its operands: add to their totals.

    If gradient has ``reached`` the node and a local derivative raises SlopeError or OverflowError,
    no total has changed. If it has not, nothing is passed on, and the slopes need not exist. In a
    graph that is out of date such a slope is nan: the step shows no numbers, and says what to do.
    """
    upstream, contributions = totals[node], []
    needed = node in reached and not is_outdated
    slopes = local_derivatives(node) if needed else slopes_or_nan(node)
    for parent, slope in zip(node.parents, slopes, strict=True):
        is_open = node in reached and node._row.passes(slope)
        product = upstream * slope if is_open else 0.0
        totals[parent] += product
        contributions.append(Contribution(parent, slope, product, totals[parent]))
    return Step(node, upstream, tuple(contributions), names, is_outdated)


def slopes_or_nan(node: Value) -> tuple[float, ...]:
    """The local derivatives of a node; nan for each if one of them does not exist."""
    try:
        return local_derivatives(node)
    except (SlopeError, OverflowError):
        return (math.nan,) * len(node.parents)


def step_words(node: Value, names: dict[Value, str]) -> tuple[str, list[str]]:
    """A step in words: a heading, and each operand's chain rule, which is empty for a constant."""
    name, root = names[node], names[next(reversed(names))]
    upstream = derivative(root, name)
    if node._row is CONSTANT:
        return f"{name} is a constant: what arrives there stays there", []
    if not node.parents:
        return f"{name} is a leaf: {upstream} =", []
    rules = [
        f"{derivative(root, names[parent])} += {upstream} · {derivative(name, names[parent])}"
        if parent._row is not CONSTANT
        else ""
        for parent in node.parents
    ]
    return f"{name} = {node_formula(node, names)}:", rules
