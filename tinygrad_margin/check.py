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
from dataclasses import dataclass
from typing import NamedTuple, SupportsFloat, TypeAlias

from tinygrad_margin.calculus import grad
from tinygrad_margin.engine import (
    CONSTANT,
    Value,
    as_number,
    case,
    local_derivatives,
    topological_order,
)
from tinygrad_margin.notation import brief, number
from tinygrad_margin.ops import FLOATS, Primitive
from tinygrad_margin.sweep import named, operation

_LONGEST_STEP = 1.1 / 32  # beside max(|x|, 1): long, so that rounding is small; and no round number
_STEPS = 48  # each half as long as the one before
_ORDER = 4  # how many of them are extrapolated from
_GOOD = 1e-10  # a relative error that needs no shorter step
_SURE = 100.0  # estimated errors that make a difference
_USELESS = 1e-2  # a relative error that says nothing
_NEAR = 1e-10  # beside max(|x|, 1): how near a kink is said to be near

Function: TypeAlias = Callable[..., Value]
_Cases: TypeAlias = tuple[tuple[Primitive, "int | None"], ...]


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
        agrees: is the difference small enough?
        kink: what sits on its kink at x, ``max(z, 0)``; empty where nothing does.
        sides: the slopes below and above x, on a kink; else None.
    """

    leaf: str
    x: float
    reverse: float
    numeric: float
    difference: float
    error: float
    agrees: bool
    kink: str = ""
    sides: tuple[float, float] | None = None

    @property
    def is_settled(self) -> bool:
        """Is the numeric slope good enough to tell the two apart? Its error is an estimate."""
        return self.difference > _SURE * self.error


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
    numeric, verdict = _said(row.numeric), "agrees"
    if row.sides:
        numeric, verdict = " | ".join(map(_said, row.sides)), "lies between"
    if not row.agrees:
        verdict = "DIFFERS" if row.is_settled else "not settled"
    return row.leaf, _said(row.reverse), numeric, number(row.difference, 2), verdict


def _said(slope: float) -> str:
    """A slope, as text."""
    return number(slope, 7)


def gradcheck(
    f: Function, xs: Iterable[SupportsFloat], *, tolerance: float = 1e-6
) -> GradientCheck:
    """Compare the gradient of f at xs, by reverse mode, with finite differences.

    The two agree where they differ by no more than ``tolerance`` times the larger one, and what
    the differences leave open: their error estimate, if that is small. On a kink reverse mode is
    right if it takes a slope between the ones on the two sides. No step crosses a kink that x is
    not on. Where they differ, the operation is named whose own slope is wrong, if there is one.

    Args:
        f: a function of Values, called as ``f(*values)``, that returns a Value.
        xs: where: one number for each argument. Of a Value, its number and label are taken; f
            gets new ones.
        tolerance: the relative difference that is allowed.

    Returns:
        The result: true if all slopes agree. It prints as a table; ``rows`` has its numbers.

    Raises:
        TypeError: f is no function or returns no Value; xs are no numbers.
        ValueError: xs is empty, or not finite; f is nan there, has no value on either side, or
            gives something else when it is called again.
        SlopeError: reverse mode finds that f has no slope at xs, as the square root at 0.

    Example:
        >>> result = gradcheck(lambda x: x**2 + 3 * x, [2.0])
        >>> bool(result), result.rows[0].reverse
        (True, 7.0)
        >>> gradcheck(lambda x: Value(x.data**2), [3.0])    # what is computed outside is lost
        leaf  reverse  numeric  difference
        x     0        6                 6  DIFFERS
        Every operation has the right slope of its own. So f computes with x outside of the graph:
          x.data, float(x) and math.exp(x) are plain numbers, which no gradient flows through.
    """
    limit = as_number(tolerance, "tolerance of gradcheck")
    if not limit > 0.0:
        raise ValueError(f"tolerance of gradcheck is a number above 0; got {limit}")
    names, at = _leaves(f, xs)
    here = _evaluated(f, names, at)
    slopes = grad(here.J, here.leaves)
    rows, notes = [], []
    for i, reverse in enumerate(slopes):
        row, note = _row(names[i], at[i], reverse, _Line(f, names, at, i, here).measured(), limit)
        rows.append(row)
        notes += note
    wrong = [row for row in rows if not row.agrees and row.is_settled]
    if wrong:
        on_kink = all(row.kink for row in wrong)
        notes += list(_wrong_rules(here.J, limit)) or [
            _CHAIN if on_kink else _outside(wrong[0].leaf)
        ]
    return GradientCheck(tuple(rows), limit, tuple(notes))


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
    names, at = _leaves(f, xs)
    here = _evaluated(f, names, at)
    slopes = [_Line(f, names, at, i, here).measured().slope for i in range(len(at))]
    for name, slope in zip(names, slopes, strict=True):
        if slope.relative > _USELESS:
            raise ValueError(
                f"the differences of f in {name} do not settle at {_where(names, at)}: the slope "
                f"is only known to be {slope.slope:.2g} ± {slope.error:.2g}"
            )
    return [slope.slope for slope in slopes]


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


class _Point(NamedTuple):
    """f at some point: its graph, and which case every operation is in."""

    J: Value
    leaves: list[Value]
    cases: _Cases


def _evaluated(f: Function, names: Sequence[str], at: Sequence[float]) -> _Point:
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
    return here


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
    order = topological_order(J)
    return _Point(J, leaves, tuple((n._primitive, case(n)) for n in order if n.parents))


class _Slope(NamedTuple):
    """A slope by differences.

    Attributes:
        slope: the slope.
        error: how far it may be off.
        size: how large a slope of f would be: f itself beside max(|x|, 1), or the slope.
    """

    slope: float
    error: float
    size: float

    @property
    def relative(self) -> float:
        """The error beside the size."""
        return self.error / self.size if self.size else self.error


class _Measured(NamedTuple):
    """What differences say about the slope in one argument.

    Attributes:
        slope: the slope; on a kink the mean of the two sides.
        kink: what is on its kink, or very near to it; else empty.
        sides: the slopes below and above, on a kink or very near to one.
        is_on_kink: is it on it, not just near?
        edge: "below" or "above", if f has no value there.
    """

    slope: _Slope
    kink: str = ""
    sides: tuple[float, float] | None = None
    is_on_kink: bool = False
    edge: str = ""


class _Quotient(NamedTuple):
    """Δf/Δx, the size of f, and how far the quotients of the two halves are apart."""

    slope: float
    f: float
    bend: float = 0.0


class _Line:
    """f as a function of one argument, and its slope by differences.

    Args:
        f: the function.
        names: what its arguments are called.
        at: where they are.
        i: which one moves.
        here: f at this point.
    """

    def __init__(
        self, f: Function, names: Sequence[str], at: Sequence[float], i: int, here: _Point
    ) -> None:
        self.f, self.names, self.at, self.i, self.here = f, names, at, i, here
        self.x, self.unit = at[i], max(abs(at[i]), 1.0)

    def point(self, t: float) -> _Point | None:
        """f where the argument is t; None where f has no value."""
        if t == self.x:
            return self.here
        try:
            point = _point(self.f, self.names, [*self.at[: self.i], t, *self.at[self.i + 1 :]])
        except (ArithmeticError, ValueError):
            return None
        return point if math.isfinite(point.J.data) else None

    def beside(self, sign: float) -> tuple[float, _Point | None]:
        """A place right above or below x, as near as the domain asks for, and f there."""
        h = _NEAR * self.unit
        while self.x + sign * h != self.x:
            point = self.point(self.x + sign * h)
            if point:
                return self.x + sign * h, point
            h /= 8.0
        return self.x, None

    def central(self) -> _Slope | None:
        """The slope from both sides; no operation is in another case at either end."""
        x, here = self.x, self.here

        def quotient(h: float) -> _Quotient | None:
            low, high = self.point(x - h), self.point(x + h)
            if not (low and high and low.cases == high.cases == here.cases and x - h < x + h):
                return None
            f, f_low, f_high = here.J.data, low.J.data, high.J.data
            return _Quotient(
                (f_high - f_low) / ((x + h) - (x - h)), max(abs(f_low), abs(f_high)),
                abs((f_high - f) - (f - f_low)) / h,
            )  # fmt: skip

        return self._limit(quotient, 4.0)

    def one_sided(self, sign: float, start: float, beside: _Point) -> _Slope | None:
        """The slope on one side, from a start there, while operations are in the same cases."""
        base = self.point(start)

        def quotient(h: float) -> _Quotient | None:
            end = start + sign * h
            point = self.point(end)
            if not (base and point and point.cases == beside.cases and end != start):
                return None
            f, f_end = base.J.data, point.J.data
            return _Quotient((f_end - f) / (end - start), max(abs(f), abs(f_end)))

        return self._limit(quotient, 2.0)

    def _limit(self, quotient: Callable[[float], _Quotient | None], factor: float) -> _Slope | None:
        """The limit, with steps that begin beside 1, and if that is too long, beside x itself."""
        found = _limit(quotient, self.unit, self.unit, factor)
        if self.x == 0.0 or abs(self.x) > 0.1 or (found and found.relative < 10.0 * _GOOD):
            return found
        shorter = _limit(quotient, abs(self.x), self.unit, factor)
        return min(filter(None, (found, shorter)), key=lambda s: s.relative, default=None)

    def measured(self) -> _Measured:
        """The slope, and what is to be said about it.

        Raises:
            ValueError: there is none on either side.
        """
        here, x = self.here, self.x
        (t_below, below), (t_above, above) = self.beside(-1.0), self.beside(1.0)
        edge = "below" if below is None else "above" if above is None else ""
        if all(point is None or point.cases == here.cases for point in (below, above)):
            central = None if edge else self.central()
            if central and central.relative < 10.0 * _GOOD:
                return _Measured(central)
            left = below and self.one_sided(-1.0, x, below)
            right = above and self.one_sided(1.0, x, above)
            return _Measured(self._best(central, left, right), edge=edge)
        moved = [node for point in (below, above) if point for node in _moved(here, point)]
        on = [node for node in moved if node.is_at_kink]
        slopes = [
            point and self.one_sided(sign, x if on or point.cases == here.cases else t, point)
            for sign, t, point in ((-1.0, t_below, below), (1.0, t_above, above))
        ]
        left, right = slopes
        own = [
            s for s, p in zip(slopes, (below, above), strict=True) if p and p.cases == here.cases
        ]
        if not (left and right):
            return _Measured(self._best(left, right), edge=edge)
        said, both = _operations(here, on or moved), (left.slope, right.slope)
        if own and not on:
            return _Measured(self._best(*own), said, both)
        error, size = max(left.error, right.error), max(left.size, right.size)
        return _Measured(_Slope(sum(both) / 2.0, error, size), said, both, is_on_kink=True)

    def _best(self, *slopes: _Slope | None) -> _Slope:
        """The one with the smallest error beside its size."""
        best = min(filter(None, slopes), key=lambda slope: slope.relative, default=None)
        if best is None:
            where = _where(self.names, self.at)
            raise ValueError(
                f"f has no numeric slope in {self.names[self.i]} at {where}: it has no value near "
                "by, or its operations differ from one step to the next"
            )
        return best


def _limit(
    quotient: Callable[[float], _Quotient | None], longest: float, unit: float, factor: float
) -> _Slope | None:
    """The limit of a quotient of differences, for a step that goes to 0.

    Each step is half as long as the one before. What the error of a quotient is made of, powers of
    the step, is eliminated one by one (Neville's tableau); the best entry is the one that differs
    least from its neighbours, beside its size.

    Args:
        quotient: the quotient for a step; None where the step is too long.
        longest: what the first step is measured with.
        unit: what x is measured with.
        factor: by how much the error of a quotient shrinks: 2 if it begins with the step itself, 4
            if with its square, and only even powers follow.

    Returns:
        The limit; None if no step would do.
    """
    best: _Slope | None = None
    before: list[float] = []
    step, bend = _LONGEST_STEP * longest, math.inf
    for _ in range(_STEPS):
        found = quotient(step)
        if found is not None and math.isfinite(found.slope):
            slope, f, now = found
            rounding = (16.0 / factor) * sys.float_info.epsilon * f / step
            if now > 0.75 * bend + rounding:  # steps so long that f bends more for shorter ones
                before = []
            bend = now
            row, power = [slope], factor
            for old in before[: _ORDER - 1]:
                row.append(row[-1] + (row[-1] - old) / (power - 1.0))
                power *= factor
                error = 2.0 * max(abs(row[-1] - row[-2]), abs(row[-1] - old)) + rounding
                new = _Slope(row[-1], error, max(abs(row[-1]), f / unit))
                if best is None or new.relative < best.relative:
                    best = new
            if best is None:  # one step alone says nothing about its error
                best = _Slope(slope, math.inf, max(abs(slope), f / unit))
            before = row
            if len(row) > 2 and best.relative < _GOOD:
                break
        else:
            before = []
        step /= 2.0
    return best


def _moved(here: _Point, beside: _Point) -> Iterator[Value]:
    """The nodes that are in another case beside this point."""
    if [row for row, _ in here.cases] == [row for row, _ in beside.cases]:
        inner = (node for node in topological_order(here.J) if node.parents)
        for node, now, then in zip(inner, here.cases, beside.cases, strict=True):
            if now != then:
                yield node


def _operations(here: _Point, nodes: Iterable[Value]) -> str:
    """The operations of some nodes, by name, each once."""
    names = named(topological_order(here.J))
    said = list(dict.fromkeys(operation(node, names) for node in nodes))
    more = f" and {len(said) - 3} more" * (len(said) > 3)
    return ", ".join(said[:3]) + more or "f itself, which computes something else there"


def _row(
    leaf: str, x: float, reverse: float, measured: _Measured, tolerance: float
) -> tuple[CheckedSlope, list[str]]:
    """A row of the table, and what is to be said below it."""
    (numeric, error, size), kink, sides, is_on_kink, edge = measured
    below, above = sides or (numeric, numeric)
    low, high = sorted(sides) if sides and is_on_kink else (numeric, numeric)
    difference = max(low - reverse, reverse - high, 0.0)
    allowed = tolerance * max(abs(reverse), abs(low), abs(high)) + min(error, tolerance * size)
    agrees = difference <= allowed
    row = CheckedSlope(
        leaf, x, reverse, numeric, difference, error, agrees,
        kink if is_on_kink else "", sides if is_on_kink else None,
    )  # fmt: skip
    notes = []
    where = f"{leaf} = {number(x, 7)}"
    slopes = f"the slope is {_said(below)} below and {_said(above)} above"
    if is_on_kink:
        lies = "lies between: a subgradient" if agrees else "does not lie between"
        notes.append(
            f"{where} sits on a kink, of {kink}: {slopes}. Reverse mode takes {_said(reverse)}, "
            f"which {lies}."
        )
    elif sides:
        notes.append(f"{where} is very near to a kink, of {kink}: {slopes}.")
    if edge:
        side = "above" if edge == "below" else "below"
        notes.append(f"f has no value right {edge} {where}: its slope is the one from {side}.")
    if not (agrees or row.is_settled):
        notes.append(
            f"{where}: the differences do not settle, the numeric slope is only good to "
            f"±{number(error, 2)}. Check another point."
        )
    return row, notes


def _wrong_rules(J: Value, tolerance: float) -> Iterator[str]:
    """The operations in J's graph whose own slope is wrong, each once."""
    order = topological_order(J)
    names, blamed = named(order), set()
    for node in order:
        primitive = node._primitive
        if primitive in blamed or node.is_at_kink:
            continue
        for i, slope in enumerate(local_derivatives(node, math.nan)):
            if node.parents[i]._primitive is CONSTANT or math.isnan(slope):
                continue

            true = _slope_of_rule(node, i)
            scale = max(1.0, abs(slope), abs(true.slope)) if true else math.inf
            if true and abs(true.slope - slope) > tolerance * scale + _SURE * true.error:
                blamed.add(primitive)
                yield (
                    f"The slope of {operation(node, names)} in {names[node.parents[i]]}, where "
                    f"that is {number(node.parents[i].data)}, is given as {_said(slope)}; its "
                    f"value moves at {_said(true.slope)}. That is a wrong derivative of "
                    f"{primitive.name}."
                )


def _slope_of_rule(node: Value, i: int) -> _Slope | None:
    """The slope of a node's operation in its i-th operand, by differences; None where none is."""
    value, at = node._primitive.value, [parent.data for parent in node.parents]
    names = [f"x_{j}" for j in range(len(at))]

    def f(*xs: Value) -> Value:
        return Value(value(FLOATS, *(x.data for x in xs)))

    try:
        return _Line(f, names, at, i, _point(f, names, at)).measured().slope
    except (ArithmeticError, ValueError):
        return None


_CHAIN = (
    "Every operation takes a slope that is right for itself. Where several sit on their kinks at "
    "once, the chain rule need not make a slope of f out of them: a step to either side avoids it."
)


def _outside(leaf: str) -> str:
    """What is said if every operation is right, and the whole is not."""
    return (
        f"Every operation has the right slope of its own. So f computes with {leaf} outside of the "
        f"graph: {leaf}.data, float({leaf}) and math.exp({leaf}) are plain numbers, which no "
        "gradient flows through."
    )
