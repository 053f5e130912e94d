"""Gradients against finite differences: is reverse mode right?

    >>> from tinygrad_margin import gradcheck, maximum, numeric_grad
    >>> def f(w, x):
    ...     return (w * x).tanh() * w
    >>> gradcheck(f, [0.5, 2.0])                            # doctest: +ELLIPSIS
    leaf  reverse    numeric    difference
    w     1.181568   1.181568   ...  agrees
    x     0.1049936  0.1049936  ...  agrees

At a kink there is no slope to compare with, but one on each side:

    >>> print(gradcheck(lambda s, s_c: maximum(1 + s_c - s, 0), [1.5, 0.5]))
    leaf  reverse  numeric  difference
    s     −0.5     −1 | 0            0  lies between
    s_c   0.5      0 | 1             0  lies between
    s = 1.5 sits on a kink, of max(v₂, 0): the slope is −1 below and 0 above. Reverse mode takes
      −0.5, which lies between: a subgradient.
    s_c = 0.5 sits on a kink, of max(v₂, 0): the slope is 0 below and 1 above. Reverse mode takes
      0.5, which lies between: a subgradient.
"""

from __future__ import annotations

import inspect
import math
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, SupportsFloat, TypeAlias

from tinygrad_margin import differences
from tinygrad_margin.calculus import grad
from tinygrad_margin.differences import Sample, Slope, best, one_sided
from tinygrad_margin.engine import (
    Value,
    adjoints,
    as_number,
    case,
    local_derivatives,
    topological_order,
)
from tinygrad_margin.notation import brief, number
from tinygrad_margin.ops import FLOATS, is_in_table
from tinygrad_margin.sweep import named, operation

_SURE = 100.0  # estimated errors that make a difference
_KNOWN = 1e-6  # a relative error that numeric_grad is content with
_NEAR = 1e-10  # beside max(|x|, 1): how near a kink is said to be near
_EPSILON = sys.float_info.epsilon

Function: TypeAlias = Callable[..., Value]
_Cases: TypeAlias = tuple[tuple[str, "int | None"], ...]


@dataclass(frozen=True)
class CheckedSlope:
    """One row of a gradient check: a leaf, and the slope in it by two ways.

    Attributes:
        leaf: the leaf's name.
        x: where it is.
        reverse: ∂J/∂leaf by reverse mode.
        numeric: the same by finite differences; on a kink the mean of the two sides.
        difference: how far apart they are; on a kink, how far ``reverse`` is from lying between
            the slopes of the two sides.
        error: how far ``numeric`` may be from the truth, by its own estimate.
        verdict: "agrees" or, on a kink, "lies between"; "DIFFERS", "wrong rule", "off the graph",
            "no slope" or "not settled".
        kink: what sits on its kink at x, ``max(z, 0)``; empty where nothing does.
        sides: the slopes below and above x, on a kink; else None.
    """

    leaf: str
    x: float
    reverse: float
    numeric: float
    difference: float
    error: float
    verdict: str
    kink: str = ""
    sides: tuple[float, float] | None = None

    @property
    def agrees(self) -> bool:
        """Are the two the same, as far as was asked for?"""
        return self.verdict in (_AGREES, _BETWEEN)

    @property
    def is_settled(self) -> bool:
        """Was the numeric slope good enough to tell?"""
        return self.verdict != _OPEN


_AGREES, _BETWEEN, _DIFFERS, _OPEN = "agrees", "lies between", "DIFFERS", "not settled"
_WRONG, _OFF, _NONE = "wrong rule", "off the graph", "no slope"


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """What ``gradcheck`` found: true where all slopes agree; prints as a table.

    Attributes:
        rows: one for each argument of f.
        tolerance: what was allowed.
        notes: sentences on kinks, on edges of the domain, and on what is wrong.
    """

    rows: tuple[CheckedSlope, ...]
    tolerance: float
    notes: tuple[str, ...]

    def __bool__(self) -> bool:
        return all(row.agrees for row in self.rows)

    def __str__(self) -> str:
        table = [("leaf", "reverse", "numeric", "difference", ""), *map(_cells, self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            f"{leaf:{widths[0]}}  {reverse:{widths[1]}}  {numeric:{widths[2]}}  "
            f"{difference:>{widths[3]}}  {verdict}".rstrip()
            for leaf, reverse, numeric, difference, verdict in table
        ]
        notes = (textwrap.fill(note, 94, subsequent_indent="  ") for note in self.notes)
        return "\n".join([*lines, *notes])

    __repr__ = __str__


def _cells(row: CheckedSlope) -> tuple[str, str, str, str, str]:
    """A row of the table, as text."""
    numeric = " | ".join(map(_said, row.sides or [row.numeric]))
    return row.leaf, _said(row.reverse), numeric, number(row.difference, 2), row.verdict


def _said(slope: float) -> str:
    """A slope, as text."""
    return number(slope, 7)


def gradcheck(
    f: Function, xs: Iterable[SupportsFloat], *, tolerance: float = 1e-6
) -> GradientCheck:
    """Compare the gradient of f at xs, by reverse mode, with finite differences.

    The two agree where the numeric slope is known to ``tolerance``, relative to the slope, and they
    differ by no more than that. On a kink reverse mode is right if it takes a slope between the
    ones on the two sides. No step crosses a kink that x is not on. Wherever that is not all, every
    operation is checked by itself, at its own operands, and f against its own graph: one that is
    wrong is named, and makes the result false even if no difference shows it.

    Where rounding hides the slope, as of x + 1e16, the row is "not settled" and the result false;
    a note says so, and whether every operation has the right slope by itself. A slope of 0 that
    differences confirm as far as rounding lets them, on top of a hill, agrees if they all have.

    Args:
        f: a function of Values, called as ``f(*values)``, that returns a Value.
        xs: where: one number for each argument. Of a Value, its number and label are taken; f
            gets new ones.
        tolerance: the relative difference that is allowed.

    Returns:
        The result: true if all slopes agree. It prints as a table; ``rows`` has its numbers.

    Raises:
        TypeError: f is no function, takes another number of arguments or returns no Value; xs are
            no numbers.
        ValueError: xs is empty, or not finite; f is nan there, has no value on either side, or
            gives something else when it is called again; tolerance is not above 0 and finite.
        SlopeError: reverse mode finds that f has no slope at xs, as the square root at 0.

    Example:
        >>> result = gradcheck(lambda x: x**2 + 3 * x, [2.0])
        >>> bool(result), result.rows[0].reverse
        (True, 7.0)
        >>> gradcheck(lambda x: Value(x.data**2), [3.0])    # what is computed outside is lost
        leaf  reverse  numeric  difference
        x     0        6                 6  DIFFERS
        f computes with x outside of the graph, which gives something else where x moves: x.data,
          float(x) and math.exp(x) are plain numbers, which no gradient flows through.
    """
    limit = as_number(tolerance, "tolerance of gradcheck")
    if not 0.0 < limit < math.inf:
        raise ValueError(f"tolerance of gradcheck is a finite number above 0; got {limit}")
    here = _evaluated(f, *_leaves(f, xs))
    rules = _Rules(here.J, limit)
    rows, notes = [], []
    ending: dict[str, None] = {}
    for i, reverse in enumerate(grad(here.J, here.leaves)):
        row, own, common = _row(_Line(here, i), reverse, rules, limit)
        rows.append(row)
        notes += own
        ending |= dict.fromkeys(common)
    return GradientCheck(tuple(rows), limit, (*notes, *ending))


def numeric_grad(f: Function, xs: Iterable[SupportsFloat]) -> list[float]:
    """The gradient of f at xs by finite differences: only f's values are asked for.

    Central differences at steps that are halved until their extrapolation to a step of 0 settles
    (Richardson's and Ridders' methods). No step leaves the domain of f or crosses a kink; where x
    is on the edge, the slope of the one side is taken, and on a kink the mean of the two.

    Args:
        f: a function of Values, called as ``f(*values)``, that returns a Value.
        xs: one number for each argument.

    Raises:
        TypeError, ValueError: as ``gradcheck``; ValueError, too, where the differences do not
            settle.

    Example:
        >>> [round(slope, 9) for slope in numeric_grad(lambda x, y: x * y.log(), [2.0, 4.0])]
        [1.386294361, 0.5]
    """
    here = _evaluated(f, *_leaves(f, xs))
    slopes = []
    for i, name in enumerate(here.names):
        found = _Line(here, i).measured().slope
        where = f"in {name} do not settle at {_where(here.names, here.at)}"
        if found.jump:
            raise ValueError(f"the differences of f {where}: f jumps there")
        if not found.error <= _KNOWN * max(abs(found.slope), found.steepest) and not found.is_still:
            raise ValueError(
                f"the differences of f {where}: the slope is only known to be "
                f"{found.slope:.2g} ± {found.error:.2g}"
            )
        slopes.append(found.slope)
    return slopes


def _leaves(f: Function, xs: Iterable[SupportsFloat]) -> tuple[list[str], list[float]]:
    """The names of f's arguments, and where they are."""
    if not callable(f):
        raise TypeError(
            f"f is a function of Values, not yet called; got {type(f).__name__} {f!r:.60}"
        )
    if isinstance(xs, (str, Value)) or not isinstance(xs, Iterable):
        raise TypeError(
            "xs takes a sequence of numbers, one for each argument of f: [2.0]; got "
            f"{type(xs).__name__} {xs!r:.60}"
        )
    given = list(xs)
    at = [x.data if isinstance(x, Value) else as_number(x, "xs") for x in given]
    if not at:
        raise ValueError("xs is empty: there is no slope to check")
    if not all(map(math.isfinite, at)):
        raise ValueError(f"xs takes finite numbers; got {at!r:.80}")
    _check_arity(f, len(at))
    names = [f"x_{i}" for i in range(1, len(at) + 1)]
    for i, name in enumerate(_parameters(f, len(at))):
        names[i] = name
    for i, x in enumerate(given):
        names[i] = (isinstance(x, Value) and brief(x.label)) or names[i]
    return names, at


def _parameters(f: Function, n: int) -> list[str]:
    """The names of f's first n parameters, as far as they have one each."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # not every built-in tells
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter.name for parameter in parameters if parameter.kind in kinds][:n]


def _check_arity(f: Function, n: int) -> None:
    """f is called with n arguments."""
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*range(n))
    except TypeError:
        numbers = "1 number" if n == 1 else f"{n} numbers"
        raise TypeError(
            f"f takes other arguments than xs has numbers: it is called as f{signature}, and xs "
            f"has {numbers}"
        ) from None


class _Here(NamedTuple):
    """f where its slopes are asked for.

    Attributes:
        f: the function.
        names: what its arguments are called.
        at: where they are.
        J: its graph there.
        leaves: its arguments there.
        data: the numbers that its operations give.
        cases: which case every operation is in.
        rounding: what is known of it.
    """

    f: Function
    names: list[str]
    at: list[float]
    J: Value
    leaves: list[Value]
    data: list[float]
    cases: _Cases
    rounding: _Rounding


class _Rounding(NamedTuple):
    """How far f may be off.

    Attributes:
        weights: how much f moves with each of its operations: so does the rounding of each.
        coarse: what operations of one's own add.
        leaves: how much it moves with its leaves.
    """

    weights: list[float]
    coarse: float
    leaves: dict[Value, float]

    def of(self, point: _Here | _Point) -> float:
        """How far f may be off there."""
        inner = 0.0
        if len(self.weights) == len(point.data):
            inner = sum(w * abs(x) for w, x in zip(self.weights, point.data, strict=True) if w)
        noise = _EPSILON * max(abs(point.J.data), inner if math.isfinite(inner) else 0.0)
        return max(noise, self.coarse)


class _Point(NamedTuple):
    """f at some point: its graph, the numbers in it, and which case every operation is in."""

    J: Value
    leaves: list[Value]
    data: list[float]
    cases: _Cases


def _evaluated(f: Function, names: list[str], at: list[float]) -> _Here:
    """f at xs, twice, for it may be different every time."""
    here, again = _point(f, names, at), _point(f, names, at)
    if math.isnan(here.J.data) or math.isinf(here.J.data):
        raise ValueError(f"f is {here.J.data} at {_where(names, at)}: there is no slope to check")
    if (here.J.data, here.cases) != (again.J.data, again.cases):
        raise ValueError(
            f"f gives {here.J.data} at {_where(names, at)}, and {again.J.data} when it is called "
            "again: differences need a function that depends on its arguments only. Is there a "
            "random number in it, or something that it changes?"
        )
    return _Here(f, names, at, *here, _rounding(here.J))


def _rounding(J: Value) -> _Rounding:
    """How far f may be off where this is its graph."""
    with suppress(Exception):  # where there are no slopes, there is the rounding of f itself
        totals = adjoints(J, missing=0.0)
        inner = [node for node in totals if node.parents]
        weights = [abs(totals[node]) if math.isfinite(totals[node]) else 0.0 for node in inner]
        coarse = sum(w * _noise(node) for node, w in zip(inner, weights, strict=True) if w)
        return _Rounding(weights, coarse, {n: x for n, x in totals.items() if not n.parents})
    return _Rounding([], 0.0, {})


def _noise(node: Value) -> float:
    """How far an operation of one's own may be off, as far as that can be seen from outside."""
    if is_in_table(node._primitive):
        return 0.0
    there = (_rule(node, i)(parent.data) for i, parent in enumerate(node.parents))
    return max(sample.noise if sample else 0.0 for sample in there)


def _where(names: Sequence[str], at: Sequence[float]) -> str:
    """The arguments with their numbers, the first few."""
    said = ", ".join(f"{name} = {x}" for name, x in zip(names[:5], at, strict=False))
    return said + ", …" * (len(names) > 5)


def _point(f: Function, names: Sequence[str], at: Sequence[float]) -> _Point:
    """f at some point."""
    leaves = [Value(x, name) for x, name in zip(at, names, strict=True)]
    J = f(*leaves)
    if not isinstance(J, Value):
        hint = ""
        if isinstance(J, (int, float)):
            hint = (
                ": x.data, float(x) and math.exp(x) are plain numbers, which no gradient flows "
                "through. Use x itself, x.exp() and the like"
            )
        raise TypeError(
            "f is to return a Value, computed from its arguments by operations on Values; it "
            f"returned {type(J).__name__} {J!r:.60}{hint}"
        )
    inner = [node for node in topological_order(J) if node.parents]
    cases = tuple((node._primitive.name, case(node)) for node in inner)
    return _Point(J, leaves, [node.data for node in inner], cases)


class _Measured(NamedTuple):
    """What differences say about the slope in one argument.

    Attributes:
        slope: the slope, and those of the two sides on a kink.
        kink: what is on its kink, or very near to it; else empty.
        near: the slopes below and above, very near to a kink that x is not on.
        edge: "below" or "above", if f has no value there.
    """

    slope: Slope
    kink: str = ""
    near: tuple[float, float] | None = None
    edge: str = ""


class _Line:
    """f as a function of one argument, and its slope by differences.

    Args:
        here: f where the slope is asked for.
        i: which argument moves.
    """

    def __init__(self, here: _Here, i: int) -> None:
        self.here, self.i, self.name, self.x = here, i, here.names[i], here.at[i]
        self.leaf, self.unit = here.leaves[i], max(abs(here.at[i]), 1.0)
        self.rounding = here.rounding

    def point(self, t: float) -> _Point | None:
        """f where the argument is t; None where f has no value."""
        at = [*self.here.at[: self.i], t, *self.here.at[self.i + 1 :]]
        try:
            point = _point(self.here.f, self.here.names, at)
        except (ArithmeticError, ValueError):
            return None
        return point if math.isfinite(point.J.data) else None

    def along(self, like: _Here | _Point) -> differences.Function:
        """f along the line, where its operations are in the same cases as there, and at x."""
        rounding = self.rounding if like.cases == self.here.cases else _rounding(like.J)

        def f(t: float) -> Sample | None:
            point = self.point(t)
            if point is None or (t != self.x and point.cases != like.cases):
                return None
            return Sample(point.J.data, rounding.of(point))

        return f

    def beside(self, sign: float) -> tuple[float, _Point | None]:
        """A place right above or below x, as near as the domain asks for, and f there."""
        h = _NEAR * self.unit
        while self.x + sign * h != self.x:
            point = self.point(self.x + sign * h)
            if point:
                return self.x + sign * h, point
            h /= 8.0
        return self.x, None

    def measured(self) -> _Measured:
        """The slope, and what is to be said about it.

        Raises:
            ValueError: there is none on either side.
        """
        here, x = self.here, self.x
        beside = (-1.0, *self.beside(-1.0)), (1.0, *self.beside(1.0))
        gone = [point is None for _, _, point in beside]
        edge = "below" if gone[0] else "above" if gone[1] else ""
        if all(point is None or point.cases == here.cases for _, _, point in beside):
            return _Measured(self.smooth(), edge=edge)
        moved = [node for _, _, point in beside if point for node in _moved(here, point)]
        on = [node for node in moved if node.is_at_kink]
        said = _operations(here, on or moved)
        sides: list[Slope | None] = []
        own: list[Slope | None] = []
        for sign, t, point in beside:
            if point is None:
                sides.append(None)
                continue
            is_own = point.cases == here.cases
            start = x if on or is_own else t
            sides.append(one_sided(self.along(point), start, sign))
            own += [sides[-1]] if is_own else []
        left, right = sides
        if not (left and right):
            return _Measured(self.known(best(left, right)), edge=edge)
        jump = self.jump(beside[0][2], beside[1][2], left, right)
        if jump:
            return _Measured(Slope(math.nan, math.inf, jump=jump), said)
        if own and not on:
            return _Measured(self.known(best(*own)), said, (left.slope, right.slope))
        return _Measured(differences.kink(left, right), said)

    def jump(
        self, below: _Point | None, above: _Point | None, left: Slope, right: Slope
    ) -> tuple[float, float, float] | None:
        """The values right below, at and above x, if f jumps there."""
        f = self.here.J.data
        if below is None or above is None:
            return None
        steepest = max(abs(side.slope) + side.steepest for side in (left, right))
        rise = 4.0 * _NEAR * self.unit * steepest
        for point in (below, above):
            if abs(point.J.data - f) > rise + 16.0 * self.rounding.of(point):
                return below.J.data, f, above.J.data
        return None

    def smooth(self) -> Slope:
        """The slope, where no operation of the table is on its kink."""
        if self.stands_still():
            return Slope(0.0, self.rounding.of(self.here) / self.unit)
        found = differences.measured(self.along(self.here), self.x)
        if found and found.error > 1e-9 * abs(found.slope):
            coarse = differences.stairs(self.along(self.here), self.x)
            if coarse > self.rounding.coarse:
                self.rounding = self.rounding._replace(coarse=coarse)
                found = differences.measured(self.along(self.here), self.x)
        found = self.known(found)
        if abs(found.slope) > found.error:
            return found
        return found._replace(steepest=max(found.steepest, self.steepness(self.unit / 32.0)))

    def stands_still(self) -> bool:
        """Does f not depend on the argument, as far as its graph knows and a few steps show?"""
        leaves, steps = self.rounding.leaves, (self.unit / 32.0, self.unit / 1e6)
        is_flat = bool(leaves) and leaves.get(self.leaf, 0.0) == 0.0
        return is_flat and all(self.steepness(h) == 0.0 for h in steps)

    def steepness(self, h: float) -> float:
        """How steep f is as the sum of its operations, so that what cancels in it counts."""
        steepest = 0.0
        for point in (self.point(self.x - h), self.point(self.x + h)):
            if point and point.cases == self.here.cases:
                moved = abs(point.J.data - self.here.J.data)
                if self.rounding.weights:
                    moves = zip(self.rounding.weights, self.here.data, point.data, strict=True)
                    moved = max(moved, sum(w * abs(b - a) for w, a, b in moves if w))
                steepest = max(steepest, moved / h)
        return steepest

    def known(self, slope: Slope | None) -> Slope:
        """The slope, if there is one."""
        if slope is None:
            where = _where(self.here.names, self.here.at)
            raise ValueError(
                f"f has no numeric slope in {self.name} at {where}: it has no value near by, or "
                "its operations differ from one step to the next"
            )
        return slope

    def is_off_the_graph(self) -> bool:
        """Does f hold other numbers than its graph, recomputed where this argument moves?

        On both sides: on one, f may have taken the other branch of an ``if``.
        """
        for k in (5, 12, 27):
            h = math.ldexp(self.unit, -k)
            off = [self.differs(self.x - h), self.differs(self.x + h)]
            if True in off and False not in off:
                return True
        return False

    def differs(self, t: float) -> bool | None:
        """Does f hold other numbers at t than its graph? None if it is another graph there."""
        point = self.point(t)
        if point is None or _wiring(point) != _wiring(self.here):
            return None
        data = {self.leaf: t}
        for node in topological_order(self.here.J):
            if node.parents:
                operands = (data[parent] for parent in node.parents)
                try:
                    data[node] = node._primitive.value(FLOATS, *operands)
                except (ArithmeticError, ValueError):
                    return True
            else:
                data.setdefault(node, node.data)
        there = topological_order(point.J)
        nodes = zip(topological_order(self.here.J), there, strict=True)
        return any(data[node] != other.data for node, other in nodes)


def _wiring(point: _Here | _Point) -> list[tuple[object, ...]]:
    """A graph without its numbers: the operation of every node, and where its operands stand."""
    order = topological_order(point.J)
    places = {node: i for i, node in enumerate(order)}
    arguments = {leaf: i for i, leaf in enumerate(point.leaves)}
    return [
        (node._primitive.name, arguments.get(node), *(places[parent] for parent in node.parents))
        for node in order
    ]


def _moved(here: _Here, beside: _Point) -> Iterator[Value]:
    """The nodes that are in another case beside this point."""
    if [row for row, _ in here.cases] == [row for row, _ in beside.cases]:
        inner = (node for node in topological_order(here.J) if node.parents)
        for node, now, then in zip(inner, here.cases, beside.cases, strict=True):
            if now != then:
                yield node


def _operations(here: _Here, nodes: Iterable[Value]) -> str:
    """The operations of some nodes, by name, each once."""
    names = named(topological_order(here.J))
    said = list(dict.fromkeys(operation(node, names) for node in nodes))
    more = f" and {len(said) - 3} more" * (len(said) > 3)
    return ", ".join(said[:3]) + more or "f itself, which computes something else there"


def _judged(reverse: float, found: Slope, tolerance: float) -> tuple[str, float]:
    """Do the two slopes agree? And how far are they apart?

    A verdict of "" asks for more evidence: all that rounding leaves of the difference says yes, but
    that is not much, for the slope is small beside those around.
    """
    low, high = sorted(found.sides or (found.slope, found.slope))
    difference = max(low - reverse, reverse - high, 0.0)
    if math.isnan(reverse) or math.isnan(found.slope):
        difference = math.nan
    allowed = tolerance * max(abs(reverse), abs(low), abs(high))
    if found.jump:
        return _NONE, difference
    if not math.isfinite(reverse):
        known = found.error <= tolerance * max(abs(low), abs(high))
        return _DIFFERS if known else _OPEN, difference
    if difference <= allowed and found.error <= allowed:
        return _BETWEEN if found.sides else _AGREES, difference
    if difference > allowed + _SURE * found.error:
        return _DIFFERS, difference
    is_small = found.error <= tolerance * found.steepest or found.is_still
    return "" if is_small and difference <= found.error else _OPEN, difference


def _row(
    line: _Line, reverse: float, rules: _Rules, tolerance: float
) -> tuple[CheckedSlope, list[str], list[str]]:
    """A row of the table, what is to be said of it, and of f."""
    measured = line.measured()
    found = measured.slope
    verdict, difference = _judged(reverse, found, tolerance)
    kink, notes, common = "", [], []
    if verdict != _AGREES:
        is_zero = abs(reverse) <= found.flat(line.x)
        seen = rules.of(line.leaf, tolerance * found.steepest if is_zero else 0.0)
        is_off, is_proven = line.is_off_the_graph(), False
        if found.sides or found.jump:
            kink = measured.kink or seen.corners or "f itself"
        if is_off:
            common.append(_outside(line.name))
        if seen.wrong or is_off:
            if verdict in ("", _BETWEEN, _OPEN):
                verdict = _WRONG if seen.wrong else _OFF
        elif not seen.is_forward(reverse, tolerance):
            common.append(_SWEEP)
            verdict = _DIFFERS
        else:
            is_proven = not seen.is_open
            if verdict == "":
                verdict = _AGREES if is_proven else _OPEN
                if is_proven and not is_zero:
                    notes.append(_small(line, found))
            elif verdict == _DIFFERS and found.sides and is_proven:
                common.append(_CHAIN)
            elif verdict == _DIFFERS:
                verdict = _OPEN
                notes.append(_too_fast(line, is_proven))
        common = [*seen.wrong, *common]
        if verdict == _OPEN and not notes:
            notes.append(_open(line, found, reverse, is_proven))
    row = CheckedSlope(
        line.name, line.x, reverse, found.slope, difference, found.error, verdict,
        kink, found.sides,
    )  # fmt: skip
    return row, [*_notes(row, found, measured), *notes], common


def _at(leaf: str, x: float) -> str:
    return f"{leaf} = {number(x, 7)}"


def _notes(row: CheckedSlope, found: Slope, measured: _Measured) -> Iterator[str]:
    """What is to be said of a place that is no ordinary one."""
    at = _at(row.leaf, row.x)
    if found.sides:
        lies = "lies between: a subgradient"
        if row.verdict == _DIFFERS:
            lies = "does not lie between"
        yield (
            f"{at} sits on a kink, of {row.kink}: the slope is {_both(found.sides)}. Reverse mode "
            f"takes {_said(row.reverse)}, which {lies}."
        )
    if found.jump:
        below, there, above = map(_said, found.jump)
        yield (
            f"{at} sits on a jump, of {row.kink}: f is {below} right below, {there} there and "
            f"{above} right above. It has no slope."
        )
    if measured.near:
        near = _both(measured.near)
        yield f"{at} is very near to a kink, of {measured.kink}: the slope is {near}."
    if measured.edge:
        side = "above" if measured.edge == "below" else "below"
        yield f"f has no value right {measured.edge} {at}: its slope is the one from {side}."


def _both(sides: tuple[float, float]) -> str:
    return "{} below and {} above".format(*map(_said, sides))


def _small(line: _Line, found: Slope) -> str:
    """What is said where rounding leaves little of a small slope."""
    return (
        f"{_at(line.name, line.x)}: the slope is so small beside those around that rounding leaves "
        f"it good to ±{number(found.error, 2)} only. As far as that they agree, and {_PROVEN}."
    )


def _too_fast(line: _Line, is_proven: bool) -> str:
    """What is said where differences accuse reverse mode, and nothing else does."""
    return (
        f"{_at(line.name, line.x)}: the differences settle on something else than reverse mode. "
        f"But f gives what its graph gives, and {_PROVEN if is_proven else _UNSHOWN}: it is the "
        "differences that are off, as for a function that moves too fast for them."
    )


def _open(line: _Line, found: Slope, reverse: float, is_proven: bool) -> str:
    """What is said where the differences do not settle."""
    said = f"{_at(line.name, line.x)}: the differences do not settle"
    if not math.isfinite(reverse):
        said += f"; reverse mode gives {_said(reverse)}, which is no slope"
    else:
        said += f", the numeric slope is only good to ±{number(found.error, 2)}"
    h = line.unit / 32.0
    around = (line.here, line.point(line.x - h), line.point(line.x + h))
    size = max(abs(point.J.data) for point in around if point)
    if line.rounding.coarse > 64.0 * _EPSILON * size:
        said += (
            f". f moves in steps of {number(line.rounding.coarse, 2)} there: something in it "
            "computes with fewer digits than a float has, as np.float32 does"
        )
    return f"{said}. But {_PROVEN}." if is_proven else f"{said}. Check another point."


class _Evidence(NamedTuple):
    """What the operations say that a leaf moves.

    Attributes:
        wrong: a sentence on each that is wrong.
        is_open: is there one that could not be checked, and matters?
        corners: those on a kink, by name.
        forward: the slope by forward mode.
        size: the same, all signs left out.
    """

    wrong: list[str]
    is_open: bool
    corners: str
    forward: float
    size: float

    def is_forward(self, reverse: float, tolerance: float) -> bool:
        """Does forward mode, with the same slopes, give what reverse mode gives?"""
        allowed = tolerance * max(abs(self.forward), abs(reverse)) + 1e3 * _EPSILON * self.size
        return not abs(self.forward - reverse) > allowed


class _Rules:
    """The operations of a graph, each checked by itself at its own operands.

    Args:
        J: the root of the graph.
        tolerance: the relative difference that is allowed.
    """

    def __init__(self, J: Value, tolerance: float) -> None:
        self.J, self.tolerance = J, tolerance
        self.known: dict[tuple[Value, int], tuple[str, float, Slope | None]] = {}

    @cached_property
    def totals(self) -> dict[Value, float]:
        """∂J/∂node for every node, operands first."""
        return adjoints(self.J, missing=math.nan)

    @cached_property
    def names(self) -> dict[Value, str]:
        """What the nodes are called."""
        return named(list(self.totals))

    def of(self, leaf: Value, allowed: float) -> _Evidence:
        """What they say that the leaf moves.

        Args:
            leaf: the leaf.
            allowed: by how much, in J's slope, those may be uncertain that cannot be checked.
        """
        speeds = {leaf: (1.0, 1.0)}  # forward mode, with signs and without
        wrong: dict[str, str] = {}
        corners: dict[str, None] = {}
        doubt = 0.0
        for node, total in self.totals.items():
            forward = size = 0.0
            moving = [(i, speeds[p]) for i, p in enumerate(node.parents) if p in speeds]
            for i, (speed, speed_size) in moving:
                verdict, slope, found = self.judged(node, i)
                forward, size = forward + slope * speed, size + abs(slope) * speed_size
                if verdict == _DIFFERS and found:
                    wrong.setdefault(node._primitive.name, self.blame(node, i, slope, found))
                if verdict == _OPEN and total * speed_size != 0.0:
                    error = found.error + abs(found.slope - slope) if found else math.inf
                    doubt += abs(total) * error * speed_size
                if found and (found.sides or found.jump):
                    corners[operation(node, self.names)] = None
            if moving:
                speeds[node] = forward, size
        is_open = not doubt <= allowed
        said = ", ".join(list(corners)[:3])
        return _Evidence(list(wrong.values()), is_open, said, *speeds.get(self.J, (0.0, 0.0)))

    def judged(self, node: Value, i: int) -> tuple[str, float, Slope | None]:
        """Is the slope of a node in its i-th operand right?"""
        if (node, i) not in self.known:
            x, slope = node.parents[i].data, local_derivatives(node, math.nan)[i]
            verdict, found = _OPEN, differences.measured(_rule(node, i), x)
            if found:
                verdict, _ = _judged(slope, found, self.tolerance)
            if found and verdict == "":
                verdict = _AGREES if abs(slope) <= found.flat(x) else _OPEN
            self.known[node, i] = verdict, slope, found
        return self.known[node, i]

    def blame(self, node: Value, i: int, slope: float, found: Slope) -> str:
        """The sentence about a wrong one."""
        parent = node.parents[i]
        moves = _both(found.sides) if found.sides else _said(found.slope)
        return (
            f"The slope of {operation(node, self.names)} in {self.names[parent]}, where that is "
            f"{number(parent.data)}, is given as {_said(slope)}; its value moves at {moves}. That "
            f"is a wrong derivative of {node._primitive.name}."
        )


def _rule(node: Value, i: int) -> differences.Function:
    """The value of a node's operation as a function of its i-th operand."""
    row, at = node._primitive, [parent.data for parent in node.parents]

    def f(t: float) -> Sample | None:
        try:
            found = row.value(FLOATS, *at[:i], t, *at[i + 1 :])
        except (ArithmeticError, ValueError):
            return None
        return Sample(found, max(_EPSILON * abs(found), coarse)) if math.isfinite(found) else None

    coarse = 0.0
    if not is_in_table(row):  # it may compute in single precision, or lose digits
        coarse = max(differences.stairs(f, at[i]), differences.tremor(f, at[i]))
    return f


_PROVEN = "every operation has the right slope by itself"
_UNSHOWN = "no operation could be shown to have a wrong slope"
_SWEEP = (
    "Every operation has the right slope by itself, and f gives what its graph gives; but forward "
    "mode multiplies the same slopes to something else. So reverse mode does not sum them up right."
)
_CHAIN = (
    "Every operation takes a slope that is right for itself. Where several sit on their kinks at "
    "once, the chain rule need not make a slope of f out of them: a step to either side avoids it."
)


def _outside(leaf: str) -> str:
    """What is said if f is not what its graph computes."""
    return (
        f"f computes with {leaf} outside of the graph, which gives something else where {leaf} "
        f"moves: {leaf}.data, float({leaf}) and math.exp({leaf}) are plain numbers, which no "
        "gradient flows through."
    )
