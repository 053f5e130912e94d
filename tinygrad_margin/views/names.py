"""What nodes are called, how they are computed, and what a step of the sweep says.

>>> from tinygrad_margin import Value, margin_loss, topological_order
>>> names = node_names(topological_order(margin_loss(Value(0.3), Value(0.5))))
>>> [f"{name} = {node_formula(node, names)}" for node, name in names.items() if node.parents]
['v₁ = Δ + s_c', 'z = v₁ − s', 'J = max(z, 0)']
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

from tinygrad_margin.engine import Value
from tinygrad_margin.guard import one_line
from tinygrad_margin.ops import CONSTANT
from tinygrad_margin.views.notation import format_operation, number, subscript


def node_names(order: list[Value]) -> dict[Value, str]:
    """A name for every node: its label, or the number it stands for, or v₁, v₂, …; J for the root.

    Args:
        order: the nodes of a graph, the root last.
    """
    taken = {one_line(node.label) for node in order}
    for_roots = iter(["J", "out", "root", "the root"])
    for_others = (f"v{subscript(i)}" for i in count(1))
    names: dict[Value, str] = {}
    given: set[str] = set()
    for node in order:
        name = one_line(node.label)
        if name:
            while name in given:  # two nodes with one label are told apart
                name += "′"
            given.add(name)
        elif node._row is CONSTANT:
            name = number(node.data)
        else:
            free = for_roots if node is order[-1] else for_others
            name = next(name for name in free if name not in taken)
        names[node] = name
    return names


def node_formula(node: Value, names: Mapping[Value, str]) -> str:
    """How a node is computed, by name: ``max(z, 0)``."""
    return format_operation(node.op, [names[parent] for parent in node.parents])


def reason(node: Value, names: Mapping[Value, str]) -> str:
    """Why the gradient goes where it goes: at a kink, or where the row explains itself."""
    if node._row.explanation:
        return node._row.explanation
    now, cases = kink_case(node), node._row.cases
    if now is None or cases is None:
        return ""
    said = [_said(parent, names) for parent in node.parents]
    short = [names[parent] for parent in node.parents]
    return cases[now].format(
        a=said[0], b=said[-1], x=short[0], y=short[-1]
    )  # fmt: skip


def _said(node: Value, names: Mapping[Value, str]) -> str:
    """A node with its value, ``z = 1.2``; a bare number as it is."""
    value = number(node.data)
    return value if names[node] == value else f"{names[node]} = {value}"


def kink_case(node: Value) -> int | None:
    """On which side of its kink a node's operation is; see ``Primitive.side``."""
    return node._row.side(*(parent._data for parent in node.parents))
