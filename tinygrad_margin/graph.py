"""Questions about a graph.

>>> from tinygrad_margin import Value, depends_on, margin_loss, paths
>>> s, s_c = Value(0.3), Value(0.5)
>>> J = margin_loss(s, s_c)
>>> depends_on(J, s), depends_on(J, s_c), depends_on(s_c, s)
(True, True, False)
>>> [[node.label for node in path] for path in paths(J, s)]
[['s', 'z', 'J']]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tinygrad_margin.engine import Value, as_node, topological_order


class Edge(NamedTuple):
    """An arrow of the graph: ``parent`` is the operand of ``node`` at this place, from 0."""

    node: Value
    place: int
    parent: Value


def depends_on(J: Value, s: Value) -> bool:
    """Does a path lead from s to J? (A node depends on itself: by the empty path.)

    Where none does, ∂J/∂s is 0 and no chain rule ever asks for it.

    Raises:
        TypeError: J or s is no Value.

    Example:
        >>> s, s_c = Value(0.3), Value(0.5)
        >>> depends_on(1 + s_c - s, s), depends_on(s_c, s)
        (True, False)
    """
    as_node(s, "depends_on(J, s)")
    return s in set(topological_order(as_node(J, "depends_on(J, s)")))


def count_paths(J: Value, s: Value) -> int:
    """How many paths lead from s to J, exactly and in linear time.

    Example:
        >>> v = s = Value(1.0)
        >>> for _ in range(100):
        ...     v = v + v
        >>> count_paths(v, s) == 2**100
        True
    """
    order = topological_order(as_node(J, "count_paths(J, s)"))
    uses = Counter(parent for node in order for parent in node.parents)
    counts = {as_node(s, "count_paths(J, s)"): 1}
    for node in order:
        if node is not s:
            count = sum(counts.get(parent, 0) for parent in node.parents)
            if count:
                counts[node] = count
        for parent in node.parents:  # a count may have thousands of digits: drop it when it is used
            uses[parent] -= 1
            if not uses[parent]:
                counts.pop(parent, None)
    return counts.get(J, 0)


def paths(J: Value, s: Value) -> Iterator[tuple[Value, ...]]:
    """The paths from s to J, one at a time, each as its nodes from s to J.

    There may be exponentially many; each next one costs no more than its length. An operand used
    twice by a node, as in ``a * a``, is two paths.

    Raises:
        TypeError: J or s is no Value.

    Example:
        >>> a = Value(2.0, "a")
        >>> [[node.op or node.label for node in path] for path in paths(a + a.exp(), a)]
        [['a', '+'], ['a', 'exp', '+']]
    """
    found = edge_paths(J, s)
    return ((*(edge.parent for edge in reversed(path)), J) for path in found)


def edge_paths(J: Value, s: Value) -> Iterator[list[Edge]]:
    """The paths from s to J, each as its edges from J down to s."""
    led_to = leading(J, s)
    return _descend(J, s, set(led_to)) if J in led_to else iter(())


def leading(J: Value, s: Value) -> dict[Value, None]:
    """The nodes of J's graph that a path leads to from s, in topological order."""
    found = {as_node(s, "paths(J, s)"): None}
    for node in topological_order(as_node(J, "paths(J, s)")):
        if any(parent in found for parent in node.parents):
            found[node] = None
    return found


def _descend(J: Value, s: Value, led_to: set[Value]) -> Iterator[list[Edge]]:
    """Depth first, without recursion."""

    def ways(node: Value) -> Iterator[Edge]:
        return (Edge(node, i, p) for i, p in enumerate(node.parents) if p in led_to)

    if J is s:
        yield []
        return
    path: list[Edge] = []
    open_ways = [ways(J)]
    while open_ways:
        edge = next(open_ways[-1], None)
        if edge is None:
            open_ways.pop()
            if path:
                path.pop()
            continue
        path.append(edge)
        if edge.parent is s:
            yield list(path)
            path.pop()
        else:
            open_ways.append(ways(edge.parent))
