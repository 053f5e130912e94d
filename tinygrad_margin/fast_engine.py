"""The reverse sweep of engine.py once more, written for speed.

It adds up the same numbers as ``engine.adjoints``, in a fifth of the time, and a test holds the two
equal. Four things make it fast:

- The totals of inner nodes are kept in the nodes' own ``grad``, not in a dictionary.
- A node that has been visited is known by its ``grad``: it holds one certain float object.
- Operands are read from their two slots, without a tuple or an inner loop.
- Most slopes in a network are 1 (sums): the same float object is handed on.

The totals of leaves do go into a dictionary: their ``grad`` changes at the very end, all at once.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from typing import Any, TypeAlias, TypeVar

from tinygrad_margin.ops import FLOATS

Node: TypeAlias = Any  # an engine.Value; this module is below the engine
_Node = TypeVar("_Node")


def sweep(J: _Node, plain: Callable[[_Node], dict[_Node, float]]) -> dict[_Node, float]:
    """Set ``grad`` of the inner nodes of J's graph; return ∂J/∂leaf for the leaves.

    Args:
        J: the root.
        plain: the plain sweep. If a slope does not exist or is too large, it says what is wrong, or
            does the work, if nothing asks for that slope.
    """
    zero = float("0")  # a new object: no node holds it yet
    order = _inner_nodes(J, zero)
    if not order:
        return _set_inner(plain(J))
    order[-1]._grad = 1.0
    leaves: dict[Any, float] = {}
    try:
        for node in reversed(order):
            upstream = node._grad
            row = node._row
            a = node._a
            b = node._b
            if b is None:
                (slope,) = row.slopes or row.partials(FLOATS, a._data, node._data)
            elif type(b) is tuple:  # all operands but the first
                operands = [x._data for x in node.parents]
                slopes = row.slopes or row.partials(FLOATS, *operands, node._data)
                for x, slope in zip(node.parents, slopes):  # noqa: B905 (strict=True takes time)
                    if x._grad is not zero and x._a is None:
                        leaves[x] = leaves.get(x, 0.0) + upstream * slope
                    else:
                        x._grad = upstream * slope + (0.0 if x._grad is zero else x._grad)
                continue
            else:
                slope, slope_b = row.slopes or row.partials(FLOATS, a._data, b._data, node._data)
            flow = upstream if slope == 1.0 else upstream * slope
            so_far = a._grad
            if so_far is zero:
                a._grad = flow
            elif a._a is None:
                leaves[a] = leaves.get(a, 0.0) + flow
            else:
                a._grad = so_far + flow
            if b is not None:
                flow = upstream if slope_b == 1.0 else upstream * slope_b
                so_far = b._grad
                if so_far is zero:
                    b._grad = flow
                elif b._a is None:
                    leaves[b] = leaves.get(b, 0.0) + flow
                else:
                    b._grad = so_far + flow
        if all(map(math.isfinite, leaves.values())):
            return leaves
    except (ArithmeticError, ValueError):
        pass
    return _set_inner(plain(J))  # or it raises the error that names the node


def _inner_nodes(J: Node, zero: float) -> list[Node]:
    """The inner nodes of J's graph, operands first, each with ``zero`` for its ``grad``."""
    order: list[Node] = []
    path: list[Node] = []
    waiting: dict[Node, Iterator[Node]] = {}  # operands of nodes with many
    node = J
    if node._a is None:
        return order
    while True:  # a loop of this form runs faster in a new process than `while path`
        path.append(node)
        node._grad = zero
        a = node._a
        if a._grad is not zero and a._a is not None:
            node = a
            continue
        while True:  # the first operand is done: now the second one, then the node itself
            b = node._b
            if type(b) is tuple:
                others = waiting.setdefault(node, iter(b))
                b = next((x for x in others if x._grad is not zero and x._a is not None), None)
            if b is not None and b._grad is not zero and b._a is not None:
                node = b
                break
            order.append(path.pop())
            if not path:
                return order
            node = path[-1]


def _set_inner(totals: Mapping[Node, float]) -> dict[Node, float]:
    """Set ``grad`` of the inner nodes to their totals; return those of the leaves."""
    for node, total in totals.items():
        if node.parents:
            node._grad = total
    return {node: total for node, total in totals.items() if not node.parents}


def add_gradients(totals: Mapping[Any, float]) -> None:
    """Add to each node's ``grad``: to all of them, or to none if an interrupt comes."""
    new = [node._grad + total for node, total in totals.items()]
    deque(map(setattr, totals, repeat("_grad"), new), maxlen=0)  # one call into C
