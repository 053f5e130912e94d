"""Questions about a graph: what depends on what, and by which paths.

>>> from tinygrad_margin import Value, depends_on, margin_loss, paths
>>> s, s_c = Value(0.3), Value(0.5)
>>> J = margin_loss(s, s_c)
>>> depends_on(J, s), depends_on(J, s_c), depends_on(s_c, s)
(True, True, False)
>>> [[node.label for node in path] for path in paths(J, s)]
[['s', 'z', 'J']]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tinygrad_margin.engine import Value, topological_order
from tinygrad_margin.guard import as_node


class Edge(NamedTuple):
    """An arrow of the graph: ``parent`` is the operand of ``node`` at this place, from 0."""

    node: Value
    place: int
    parent: Value


def depends_on(J: Value, s: Value) -> bool:
    """Whether a path leads from s to J. (A node depends on itself, by the empty path.)

    If there is none, ∂J/∂s is 0 and the chain rule never asks for it.

    Raises:
        TypeError: J or s is not a Value.

    Example:
        >>> s, s_c = Value(0.3), Value(0.5)
        >>> depends_on(1 + s_c - s, s), depends_on(s_c, s)
        (True, False)
    """
    as_node(s, "depends_on(J, s)")
    return s in set(topological_order(as_node(J, "depends_on(J, s)")))


def nodes_reached_from(starts: Iterable[Value], order: Iterable[Value]) -> dict[Value, None]:
    """The starts, and the nodes of a ``topological_order`` that are computed from any of them."""
    reached = dict.fromkeys(starts)
    for node in order:
        if not reached.keys().isdisjoint(node.parents):
            reached[node] = None
    return reached


def count_paths(J: Value, s: Value) -> int:
    """The number of paths from s to J, exact, without walking along them."""
    counts: dict[Value, int] = {}
    starts = [as_node(s, "count_paths(J, s)")]
    for node in nodes_reached_from(starts, topological_order(J)):  # s comes first
        counts[node] = sum(counts.get(parent, 0) for parent in node.parents) or 1
    return counts.get(J, 0)


def paths(J: Value, s: Value) -> Iterator[tuple[Value, ...]]:
    """The paths from s to J, one at a time, each as its nodes from s to J.

    There may be exponentially many; each one costs no more than its length. An operand that a node
    uses twice, as in ``a * a``, makes two paths.

    Raises:
        TypeError: J or s is not a Value.

    Example:
        >>> a = Value(2.0, "a")
        >>> [[node.op or node.label for node in path] for path in paths(a + a.exp(), a)]
        [['a', '+'], ['a', 'exp', '+']]
    """
    as_node(J, "paths(J, s)")
    as_node(s, "paths(J, s)")
    return ((*(edge.parent for edge in reversed(path)), J) for path in edge_paths(J, s))


def edge_paths(J: Value, s: Value) -> Iterator[list[Edge]]:
    """The paths from s to J, each as its edges from J down to s: depth first, without recursion."""
    reached = nodes_reached_from([s], topological_order(J))

    def edges(node: Value) -> Iterator[Edge]:
        return (Edge(node, i, p) for i, p in enumerate(node.parents) if p in reached)

    if J is s:
        yield []
        return
    path: list[Edge] = []
    untried = [edges(J)]  # for each node of the path, the edges still to take
    while untried:
        edge = next(untried[-1], None)
        if edge is None:
            untried.pop()
            del path[-1:]
        elif edge.parent is s:
            yield [*path, edge]
        else:
            path.append(edge)
            untried.append(edges(edge.parent))
