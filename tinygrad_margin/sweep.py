"""The reverse sweep as a teacher tells it: one node at a time, in numbers and words.

>>> from tinygrad_margin import Value, margin_loss
>>> from tinygrad_margin.sweep import steps
>>> walk = list(steps(margin_loss(Value(0.3), Value(0.5))))
>>> print(walk[0])
J = max(z, 0):
  ∂J/∂z += ∂J/∂J · ∂J/∂z = 1 · 1 = 1
  z = 1.2 > 0: the max passes z, all of the gradient goes there
>>> print(walk[2])
z = v₁ − s:
  ∂J/∂v₁ += ∂J/∂z · ∂z/∂v₁ = 1 · 1 = 1
  ∂J/∂s += ∂J/∂z · ∂z/∂s = 1 · (−1) = −1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tinygrad_margin.engine import CONSTANT, Value, local_derivatives, topological_order
from tinygrad_margin.notation import brief, glyph, number, written


class Contribution(NamedTuple):
    """What one node hands to one of its operands.

    Attributes:
        parent: the operand.
        derivative: the local derivative, ∂node/∂parent.
        product: what is passed on, ∂J/∂node · ∂node/∂parent.
        total: ∂J/∂parent so far, this product included.
    """

    parent: Value
    derivative: float
    product: float
    total: float


@dataclass(frozen=True)
class Step:
    """One node's turn in the reverse sweep; prints as the chain rule in numbers and words.

    Attributes:
        node: the node.
        upstream: ∂J/∂node.
        contributions: one for each of its operands.
        names: what every node of the graph is called; the root comes last.
    """

    node: Value
    upstream: float
    contributions: tuple[Contribution, ...]
    names: dict[Value, str] = field(repr=False)

    def __str__(self) -> str:
        name, root = self.names[self.node], self.names[next(reversed(self.names))]
        if not self.contributions:
            return f"{name} is a leaf: ∂{root}/∂{name} = {number(self.upstream)}"
        lines = [f"{name} = {operation(self.node, self.names)}:"]
        for parent, derivative, product, total in self.contributions:
            if parent._primitive is CONSTANT:
                continue
            to = self.names[parent]
            line = (
                f"  ∂{root}/∂{to} += ∂{root}/∂{name} · ∂{name}/∂{to}"
                f" = {written('*', [number(self.upstream), number(derivative)])}"
                f" = {number(product)}"
            ).replace(glyph("*"), "·")
            lines.append(line if total == product else f"{line}, in all {number(total)}")
        because = reason(self.node, self.names)
        return "\n".join([*lines, f"  {because}"] if because else lines)


def steps(J: Value) -> Iterator[Step]:
    """The reverse sweep over J's graph, from J to the leaves, without touching any ``grad``.

    Raises:
        SlopeError, OverflowError: when it comes to a node whose slope does not exist.
    """
    order = topological_order(J)
    names = named(order)
    totals = dict.fromkeys(order, 0.0)
    totals[J] = 1.0
    for node in reversed(order):
        contributions = []
        for parent, derivative in zip(node.parents, local_derivatives(node), strict=True):
            product = totals[node] * derivative
            totals[parent] += product
            contributions.append(Contribution(parent, derivative, product, totals[parent]))
        yield Step(node, totals[node], tuple(contributions), names)


def named(order: list[Value]) -> dict[Value, str]:
    """A name for every node of a graph: its label, or the number it stands for, or v₁, v₂, …"""
    names: dict[Value, str] = {}
    count = 0
    for node in order:
        name = brief(node.label)
        if not name and node._primitive is CONSTANT:
            name = number(node.data)
        elif not name:
            count += 1
            name = "v" + "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(count))
        names[node] = name
    return names


def operation(node: Value, names: Mapping[Value, str]) -> str:
    """How a node is computed, by name: ``max(z, 0)``."""
    return written(node.op, [names[parent] for parent in node.parents])


def reason(node: Value, names: Mapping[Value, str]) -> str:
    """Why the gradient goes where it goes, for an operation with a kink; else empty."""
    if node._primitive.cases is None:
        return ""
    a, b = (*(parent.data for parent in node.parents), 0.0)[:2]
    case = 0 if a > b else 2 if a < b else 1
    said = [_said(parent, names) for parent in node.parents]
    short = [names[parent] for parent in node.parents]
    return node._primitive.cases[case].format(
        a=said[0], b=said[-1], x=short[0], y=short[-1]
    )  # fmt: skip


def _said(node: Value, names: Mapping[Value, str]) -> str:
    """A node with its value, ``z = 1.2``; a bare number as it is."""
    value = number(node.data)
    return value if names[node] == value else f"{names[node]} = {value}"
