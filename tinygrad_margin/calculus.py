"""Derivatives of all kinds, from one table: gradients, their graphs, Hessians, forward mode.

    >>> x, y = Value(2.0, "x"), Value(5.0, "y")
    >>> J = x**3 * y
    >>> grad(J, x)                                          # 3x²y, a number
    60.0
    >>> slope = grad(J, x, create_graph=True)               # the same as a graph
    >>> slope.data, grad(slope, [x, y])                     # so it has slopes itself: 6xy and 3x²
    (60.0, [60.0, 12.0])
    >>> hessian(J, [x, y])
    [[60.0, 12.0], [12.0, 0.0]]
    >>> jvp(J, {x: 1.0, y: 0.0})                            # ∂J/∂x once more, in forward mode
    60.0

Reverse mode takes one J and finds what each leaf does to it. Forward mode takes one direction of
the leaves and finds how fast every node moves. Both multiply the local derivatives of the table.
The graph of a gradient comes from the same reverse sweep, with Values for numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, SupportsFloat, overload

from tinygrad_margin.engine import Value, adjoints, topological_order, with_gradient
from tinygrad_margin.gradient_graph import gradient_graph
from tinygrad_margin.graph import nodes_reached_from
from tinygrad_margin.guard import as_node, as_number, one_line
from tinygrad_margin.slopes import wanted_slopes

_AGAIN = ". To differentiate a gradient again, make it with grad(J, x, create_graph=True)"


@overload
def grad(J: Value, wrt: Value, create_graph: Literal[False] = False) -> float: ...
@overload
def grad(J: Value, wrt: Iterable[Value], create_graph: Literal[False] = False) -> list[float]: ...
@overload
def grad(J: Value, wrt: Value, create_graph: Literal[True]) -> Value: ...
@overload
def grad(J: Value, wrt: Iterable[Value], create_graph: Literal[True]) -> list[Value]: ...
def grad(
    J: Value, wrt: Value | Iterable[Value], create_graph: bool = False
) -> float | list[float] | Value | list[Value]:
    """∂J/∂wrt. No ``grad`` is changed.

    Args:
        J: the root.
        wrt: a Value, or several.
        create_graph: return Values instead of floats: the gradient as a graph, which shares J's
            nodes and can be drawn, stepped through and differentiated again. The slope of a max,
            a relu or an abs is a number in it, because it is the same all around the point. So with
            other numbers, after ``recompute``, on a tape or on a page, this graph is right as long
            as each of them stays on its side. At a kink there is no side, and if a slope of this
            graph is asked for, a ``KinkWarning`` says so.

    Returns:
        One float, or a list of one for each; 0.0 for a Value that J does not depend on. With
        ``create_graph`` one Value, or a list of one for each.

    Raises:
        TypeError: J or an entry of wrt is not a Value; or, with ``create_graph``, the partials of
            an operation of your own do not work on Values.
        SlopeError, OverflowError: as ``backward``, if a slope is missing that wrt needs.

    Example:
        >>> s, s_c = Value(0.3), Value(0.5)
        >>> grad((1.0 + s_c - s).relu(), [s, s_c])
        [-1.0, 1.0]
        >>> grad(s, s_c)
        0.0
        >>> grad(grad(s**4, s, create_graph=True), s)       # 12s²
        1.08
    """
    asked = _asked(J, wrt, "grad(J, wrt)")
    if create_graph:
        graphs = gradient_graph(J, asked)
        return graphs[0] if isinstance(wrt, Value) else graphs
    wanted = nodes_reached_from(asked, topological_order(J))
    totals = adjoints(J, lambda node: wanted_slopes(node, wanted))
    found = [totals.get(node, 0.0) for node in asked]
    return found[0] if isinstance(wrt, Value) else found


def _asked(J: object, wrt: object, what: str) -> list[Value]:
    """The Values in wrt, one or several; raises TypeError if it holds anything else."""
    as_node(J, what, _AGAIN if isinstance(J, float) else "")
    if isinstance(wrt, Value):
        return [wrt]
    if isinstance(wrt, str) or not isinstance(wrt, Iterable):
        raise TypeError(f"{what} takes Values for wrt; got {type(wrt).__name__} {wrt!r:.60}")
    return [as_node(node, what) for node in wrt]


def hessian(J: Value, wrt: Value | Iterable[Value]) -> list[list[float]]:
    """The second derivatives of J: row i, column j is ∂²J/∂wrt[i]∂wrt[j].

    At a kink there are none. You get those for the slopes that are taken there, as if they stayed
    the same around the point, and a ``KinkWarning`` that names the kink.

    Args:
        J: the root.
        wrt: the Values, or a single one.

    Returns:
        A list of rows of floats.

    Raises:
        TypeError: J or an entry of wrt is not a Value.
        SlopeError, OverflowError: a first or second derivative does not exist, or is too large.

    Example:
        >>> a, b = Value(2.0), Value(3.0)
        >>> hessian(a * a * b, [a, b])                      # 2b, 2a; 2a, 0
        [[6.0, 4.0], [4.0, 0.0]]
    """
    asked = _asked(J, wrt, "hessian(J, wrt)")
    return [grad(slope, asked) for slope in gradient_graph(J, asked)]


def jvp(J: Value, directions: Mapping[Value, SupportsFloat]) -> float:
    """How fast J moves when its leaves move: Σ ∂J/∂x · direction of x, in forward mode.

    It is one pass from the leaves to J, which carries each node's speed along. The gradient of n
    leaves takes n such passes, but only one reverse sweep.

    Args:
        J: the root.
        directions: how fast each leaf moves; leaves that are not in it stay put.

    Raises:
        TypeError: J is not a Value; directions is not a mapping from Values to real numbers.
        ValueError: a node to move is not a leaf: its operands say how it moves.
        SlopeError, OverflowError: a node moves whose local derivative does not exist, or is too
            large for a float, and J moves with it.

    Example:
        >>> a, b = Value(2.0), Value(3.0)
        >>> jvp(a * b, {a: 1.0, b: 10.0})                   # b · 1 + a · 10
        23.0
    """
    as_node(J, "jvp(J, directions)", _AGAIN if isinstance(J, float) else "")
    if not isinstance(directions, Mapping):
        raise TypeError(
            "jvp(J, directions) takes a mapping from leaves to numbers, {x: 1.0}; got "
            f"{type(directions).__name__} {directions!r:.60}"
        )
    speeds: dict[Value, float] = {}  # of what moves
    for leaf, direction in directions.items():
        if as_node(leaf, "jvp(J, directions)").parents:
            raise ValueError(
                f"jvp moves leaves; {one_line(leaf.label) or 'a node'} = {leaf.data} is computed, "
                f"by {leaf.op}: its operands say how it moves"
            )
        speed = as_number(direction, "a direction of jvp")
        if speed != 0.0:
            speeds[leaf] = speed
    for node in reversed(list(with_gradient(topological_order(J)))):
        if not speeds.keys().isdisjoint(node.parents):
            slopes = zip(node.parents, wanted_slopes(node, speeds), strict=True)
            passed = ((p, x) for p, x in slopes if node._row.passes(x))
            speeds[node] = sum(x * speeds[parent] for parent, x in passed if parent in speeds)
    return speeds.get(J, 0.0)
