"""The names of nodes, their formulas, and why the gradient takes one way and not another.

>>> from tinygrad_margin import Value, margin_loss, topological_order
>>> names = node_names(topological_order(margin_loss(Value(0.3), Value(0.5))))
>>> [f"{name} = {node_formula(node, names)}" for node, name in names.items() if node.parents]
['v₁ = Δ + s_c', 'z = v₁ − s', 'J = max(z, 0)']
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import count

from tinygrad_margin.engine import Value
from tinygrad_margin.guard import one_line
from tinygrad_margin.ops import CONSTANT
from tinygrad_margin.views.notation import enclose, format_operation, number, subscript


def node_names(order: list[Value]) -> dict[Value, str]:
    """A name for every node: its label, or v₁, v₂, …; J for the root; a constant is its number.

    Of two nodes with the label w, the second is w′; of more, the others are w₂, w₃, ….
    """
    labels = Counter(one_line(node.label) for node in order)
    others = {label: _others(label, uses) for label, uses in labels.items() if uses > 1}
    for_root = iter(["J", "out", "root", "the root"])
    for_others = (f"v{subscript(i)}" for i in count(1))
    names: dict[Value, str] = {}
    used: set[str] = set()
    for node in order:
        name = one_line(node.label)
        if not name and node._row is CONSTANT:
            names[node] = number(node.data)
            continue
        if not name or name in used:
            candidates = others[name] if name else for_root if node is order[-1] else for_others
            name = next(name for name in candidates if name not in labels and name not in used)
        used.add(name)
        names[node] = name
    return names


def _others(label: str, uses: int) -> Iterator[str]:
    """The names of all nodes with this label but the first, until one is free."""
    yield from [f"{enclose(label)}′"] * (uses == 2)
    yield from (f"{enclose(label)}{subscript(i)}" for i in count(2))


def node_formula(node: Value, names: Mapping[Value, str]) -> str:
    """How a node is computed from its operands, by their names: ``max(z, 0)``."""
    return format_operation(node.op, [names[parent] for parent in node.parents])


def reason(node: Value, names: Mapping[Value, str]) -> str:
    """Why the gradient goes where it goes, for an operation with a kink or its own explanation."""
    side, cases = node._row.side(*(parent._data for parent in node.parents)), node._row.cases
    if side is None or cases is None:
        return node._row.explanation
    first, last = node.parents[0], node.parents[-1]
    a, b = _name_and_value(first, names), _name_and_value(last, names)
    return cases[side].format(a=a, b=b, x=names[first], y=names[last])


def _name_and_value(node: Value, names: Mapping[Value, str]) -> str:
    """A node's name and value, ``z = 1.2``; of a constant without a name, its value."""
    value = number(node.data)
    return value if names[node] == value else f"{names[node]} = {value}"
