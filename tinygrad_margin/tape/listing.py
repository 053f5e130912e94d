"""A recorded graph as text: every node's value, then every node's adjoint, one line each.

    >>> from tinygrad_margin import Tape, Value
    >>> x = Value(3.0, "x")
    >>> print(Tape(x * x + 1.0, [x]).listing())
    x = xs[0]
    v₁ = x × x
    J = v₁ + 1
    ∂J/∂J = 1
    ∂J/∂v₁ = ∂J/∂J
    ∂J/∂x = ∂J/∂v₁ · x + ∂J/∂v₁ · x
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tinygrad_margin.engine import CONSTANT, LEAF, Value
from tinygrad_margin.guard.text import one_line
from tinygrad_margin.views.names import node_formula, node_names
from tinygrad_margin.views.notation import number
from tinygrad_margin.views.source import ATOM, PRODUCT, SUM, Functions, Source


def listing_lines(
    nodes: list[Value], live: list[bool], inputs: dict[int, str], unused: dict[str, str]
) -> Iterator[str]:
    """The lines of the listing.

    Args:
        nodes: the graph, in topological order.
        live: which nodes depend on an input.
        inputs: how the inputs are given, ``xs[0]`` say, by their places among the nodes.
        unused: the same by name, for inputs that the graph does not have.
    """
    extra = {Value(0.0, "" if name == entry else name): entry for name, entry in unused.items()}
    names = node_names([*extra, *nodes])
    names = {node: f"{name}′" if re.match(r"xs\[", name) else name for node, name in names.items()}
    J = names[nodes[-1]]
    for leaf, entry in extra.items():
        yield f"{names[leaf]} = {entry}"
    for i, node in enumerate(nodes):
        if i in inputs:
            yield f"{names[node]} = {inputs[i]}"
        elif node.parents:
            yield f"{names[node]} = {node_formula(node, names)}"
        elif one_line(node.label) or node._row is LEAF:
            yield f"{names[node]} = {number(node.data)}"
    contributions: dict[Value, list[Source]] = {node: [] for node in nodes}
    contributions[nodes[-1]].append(_Text("1"))
    for i in reversed(range(len(nodes))):
        node = nodes[i]
        if not live[i]:
            continue
        adjoint = f"∂{J}/∂{names[node]}"
        yield f"{adjoint} = {_sum(contributions[node])}"
        for parent, slope in zip(node.parents, _slopes(node, names), strict=True):
            contributions[parent].append(_Text(adjoint) * slope)
    for leaf in extra:
        yield f"∂{J}/∂{names[leaf]} = 0"


def _sum(terms: list[Source]) -> str:
    """Terms joined by plus and minus. (Joining them as Sources would fail for very many.)"""
    parts = [terms[0].text]
    for term in terms[1:]:
        sign, rest = (term.minus, -term) if term.is_negative() else ("+", term)
        parts.append(f" {sign} {rest.held(PRODUCT)}")
    return "".join(parts)


def _slopes(node: Value, names: dict[Value, str]) -> tuple[Any, ...]:
    """The local derivatives as formulas; as names, if a user's own operation has no formula."""
    operands = [
        parent.data if parent._row is CONSTANT and not parent.label else _Text(names[parent])
        for parent in node.parents
    ]
    try:
        return node._row.partials(_Formulas(), *operands, _Text(names[node]))
    except Exception:
        return tuple(_Text(f"∂{names[node]}/∂{names[parent]}") for parent in node.parents)


class _Text(Source):
    """A piece of a formula for a reader."""

    minus, times, quotient = "−", " · ", "{} / {}"

    @staticmethod
    def number(x: float) -> str:
        """A number as text."""
        return number(x)

    @classmethod
    def power(cls, a: Any, b: Any) -> Any:
        """aᵇ."""
        if isinstance(b, (int, float)) and b in (0, 1):
            return a if b else 1.0
        return cls(f"{cls.of(a).held(ATOM)}^{cls.of(b).held(ATOM)}")


class _Formulas(Functions):
    """The mathematics of formulas for a reader."""

    def __init__(self) -> None:
        super().__init__(_Text, "")

    pow = staticmethod(_Text.power)

    def is_zero(self, a: Any) -> Any:
        return float(a == 0.0) if isinstance(a, float) else _Text(f"[{a.text} = 0]")

    def xlogy(self, x: Any, y: Any) -> Any:
        return 0.0 if isinstance(y, float) and not y else x * _Text(f"log({_Text.of(y).text})")

    def maximum(self, a: Any, b: Any) -> Any:
        return _Text(f"max({_Text.of(a).text}, {_Text.of(b).text})")

    def step(self, a: Any, b: Any, tie: float) -> Any:
        left, right = _Text.of(a).text, _Text.of(b).text
        at_tie = f" + {number(tie)} · [{left} = {right}]" if tie else ""
        return _Text(f"[{left} > {right}]{at_tie}", SUM if tie else ATOM)
