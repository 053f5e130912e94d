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

import sys
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, SupportsFloat, TypeAlias, overload

from tinygrad_margin.engine import (
    OPERATIONS,
    Value,
    adjoints,
    constant,
    local_derivatives,
    maximum,
    operation,
    power,
    topological_order,
    with_gradient,
)
from tinygrad_margin.graph import nodes_reached_from
from tinygrad_margin.guard import as_node, as_number, check_slopes, describe, one_line, slope_error
from tinygrad_margin.guard.copying import ROWS
from tinygrad_margin.many import RowOfMany
from tinygrad_margin.ops import CONSTANT, FLOATS, POW, POW_OF_NUMBER, POW_TO_NUMBER, Primitive
from tinygrad_margin.primitive import partials_are_formulas

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
            a relu or an abs is a number in it, because it is the same all around the point.

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
        graphs = _gradient_graph(J, asked)
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
    return [grad(slope, asked) for slope in _gradient_graph(J, asked)]


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
            total = sum(slope * speeds[parent] for parent, slope in slopes if parent in speeds)
            if total != 0.0:
                speeds[node] = total
    return speeds.get(J, 0.0)


def wanted_slopes(node: Value, wanted: Container[Value]) -> tuple[float, ...]:
    """∂node/∂parent for the parents in ``wanted``; 0.0 for the others, whose slope may not exist.

    Raises:
        SlopeError, OverflowError: a wanted one does not exist, or is too large for a float.

    Example:
        >>> x, p = Value(-3.0), Value(2.0)                  # (−3)ᵖ has no slope in p
        >>> wanted_slopes(x**p, {x})
        (-6.0, 0.0)
    """
    return _slopes(node, wanted, FLOATS, *(parent.data for parent in node.parents), node.data)


def _slopes(node: Value, wanted: Container[Value], m: Any, *numbers: Any) -> tuple[Any, ...]:
    """The same in any mathematics ``m``; ``numbers`` are the operands and the value in it."""
    flags = [parent in wanted for parent in node.parents]
    if not any(flags):
        return (0.0,) * len(flags)
    try:
        slopes = row_for(node, flags).partials(m, *numbers)
        check_slopes(slopes, node, flags)
    except (ArithmeticError, ValueError) as error:
        raise slope_error(error, node) from error.__cause__
    return tuple(slope if flag else 0.0 for slope, flag in zip(slopes, flags, strict=True))


_POWERS = {(True, True): POW, (True, False): POW_TO_NUMBER, (False, True): POW_OF_NUMBER}


def row_for(node: Value, wanted: Sequence[bool]) -> Primitive:
    """The node's row; for a power, the row that asks only for the slopes that are wanted."""
    if node._row in _POWERS.values():
        return _POWERS[wanted[0], wanted[1]]
    return node._row


# ---- The graph of a gradient: the same sweep, whose numbers are Values --------------------------

Number: TypeAlias = "Value | float"  # a number stays a number as long as it can


class _Term:
    """A number or Value in a sweep. It makes no node for a factor of 0, 1 or −1, or a summand 0.

    So a picture shows 6 and not 2 × 3.
    """

    def __init__(self, x: Number) -> None:
        self.x = x

    def __add__(self, other: Any) -> _Term:
        a, b = self.x, _plain(other)
        if not isinstance(a, Value) and a == 0.0:
            return _Term(b)
        return _Term(a if not isinstance(b, Value) and b == 0.0 else a + b)

    def __mul__(self, other: Any) -> _Term:
        return _Term(_multiply(self.x, _plain(other)))

    __radd__, __rmul__ = __add__, __mul__


def _plain(x: Any) -> Number:
    """The number or Value in a term."""
    return x.x if isinstance(x, _Term) else x


def _multiply(a: Number, b: Number) -> Number:
    """a · b, without a node for a factor of 0, 1 or −1."""
    for factor, other in ((a, b), (b, a)):
        if not isinstance(factor, Value):
            if factor == 1.0:
                return other
            if factor == -1.0:
                return -other
            if factor == 0.0:
                return 0.0
    return a * b


def _gradient_graph(J: Value, wrt: list[Value]) -> list[Value]:
    """∂J/∂wrt as Values."""
    order = topological_order(J)
    asked, reached, moving = set(wrt), set(with_gradient(order)), nodes_reached_from(wrt, order)
    wanted = dict.fromkeys(filter(reached.__contains__, moving))
    kinks = [node for node in wanted if node.is_at_kink]
    for row, node in {node._row: node for node in wanted if node.parents}.items():
        if not partials_are_formulas(row):  # math.exp(x) makes a number of x: its slope is lost
            local_derivatives(node)  # anything else that is wrong with them raises here
            raise TypeError(
                f"the partials of {row.name} are plain numbers, not Values, so its slope has no "
                "graph: write them with + - * / ** alone, or ask for grad without create_graph"
            )
    totals = adjoints(J, lambda node: _slope_terms(node, asked, wanted))
    found = (_plain(totals.get(node, 0.0)) for node in wrt)
    slopes = [total if isinstance(total, Value) else constant(total) for total in found]
    for i, x in enumerate(wrt if kinks else ()):
        between = nodes_reached_from([x], moving)
        if at := [kink for kink in kinks if kink in between]:
            names = (f"{kink.op} of {', '.join(map(describe, kink.parents))}" for kink in at[:3])
            row = gradient_at_kinks(", ".join(dict.fromkeys(names)), 1 + len(at))
            slopes[i] = operation(row)(slopes[i], *at)
    return slopes


def _slope_terms(node: Value, asked: set[Value], wanted: Container[Value]) -> Sequence[_Term]:
    """∂node/∂parent for the parents in ``wanted`` as terms; 0 for the others.

    A constant goes in as a plain number, unless its own derivative is asked for. So the slope of x²
    is 2 · x, and not 2 · x¹.
    """
    operands = [
        parent.data if parent._row is CONSTANT and parent not in asked else parent
        for parent in node.parents
    ]
    return [_Term(x) for x in _slopes(node, wanted, VALUES, *operands, node)]


# The slope of tanh and of sigmoid: only in the graph of a gradient, like the two families below.
SECH2 = Primitive(
    "sech2", "sech²", 1, lambda m, a: m.sech2(a), lambda m, a, out: (-2.0 * m.tanh(a) * out,)
)
ROWS[SECH2.name] = SECH2
_OPERATIONS = {**OPERATIONS, SECH2.name: operation(SECH2)}


@cache
def power_log(n: int) -> RowOfMany:
    """aᵇ logⁿ a, the n-th derivative of aᵇ in b, where a is 0: it is 0 there for b > 0."""

    def value(m: Any, a: Any, b: Any, n: int = n) -> Any:
        out = m.pow(a, b)
        for _ in range(n):
            out = m.xlogy(out, a)
        return out

    def rule(m: Any, a: Any, b: Any, _: Any) -> tuple[Any, Any]:
        no_slope_up_to_1 = 0.0 * m.log(a + m.step(b, 1.0, 0.0))  # in a, if b ≤ 1: log 0 raises
        in_a = b * value(m, a, b - 1.0) + n * value(m, a, b - 1.0, n - 1) + no_slope_up_to_1
        return in_a, value(m, a, b, n + 1)

    name = f"power_log_{n}"
    return RowOfMany(name, "slope of **", 2, value, rule, made_by=(power_log, (n,)))


class KinkWarning(UserWarning):
    """A second derivative was asked for at a kink, where the gradient jumps."""


@cache
def gradient_at_kinks(kinks: str, count: int) -> RowOfMany:
    """The first of its operands, a gradient. The others are kinks that it depends on."""

    def rule(*_: Any) -> tuple[float, ...]:
        level, frame = 2, sys._getframe(1)
        while frame.f_back and str(frame.f_globals.get("__name__")).startswith("tinygrad_margin."):
            level, frame = level + 1, frame.f_back
        warnings.warn(
            f"a second derivative at a kink: the gradient jumps at {kinks}. This is the derivative "
            "for the slope that is taken there; with another choice it may be different. Move the "
            "operands away from the kink",
            KinkWarning,
            stacklevel=level,
        )
        return (1.0,) + (0.0,) * (count - 1)

    return RowOfMany(
        f"gradient at {kinks}, {count}", "at kink", count, lambda m, gradient, *_: gradient, rule,
        explanation=f"the gradient jumps at {kinks}; this is the one that is taken there",
        made_by=(gradient_at_kinks, (kinks, count)),
    )  # fmt: skip


def _function(name: str) -> Any:
    """A function of Values and of numbers."""
    of_value, of_float = _OPERATIONS[name], getattr(FLOATS, name)
    return staticmethod(lambda a: of_value(a) if isinstance(a, Value) else of_float(a))


class Values:
    """The mathematics of Values, for the rows of the table: what ``FLOATS`` is for floats."""

    exp, log, sqrt = _function("exp"), _function("log"), _function("sqrt")
    sin, cos, tanh = _function("sin"), _function("cos"), _function("tanh")
    sigmoid, abs, sech2 = _function("sigmoid"), _function("abs"), _function("sech2")
    maximum = staticmethod(maximum)

    @staticmethod
    def pow(a: Number, b: Number) -> Number:
        """aᵇ; a itself for the number 1 as exponent, and 1 for the number 0."""
        if not isinstance(b, Value) and b in (0.0, 1.0):
            return a if b == 1.0 else 1.0
        return power(a, b)

    @staticmethod
    def xlogy(x: Number, y: Number) -> Number:
        """x · log y, and 0 where y = 0."""
        if float(y) != 0.0:
            return _multiply(x, Values.log(y))
        if not (isinstance(x, Value) and isinstance(y, Value)):
            return 0.0
        (n,) = x._row.made_by[1] if isinstance(x._row, RowOfMany) else (0,)  # x is aᵇ logⁿ a
        return operation(power_log(n + 1))(*x.parents)

    @staticmethod
    def step(a: Number, b: Number, tie: float) -> float:
        """1 where a > b, ``tie`` where a = b, 0 where a < b: a number, for its slope is 0."""
        return FLOATS.step(float(a), float(b), tie)

    @staticmethod
    def is_zero(a: Number) -> float:
        """1 for the number 0, else 0: a Value that is 0 now would not stay so if it moved."""
        return 0.0 if isinstance(a, Value) else FLOATS.is_zero(a)


VALUES = Values()
