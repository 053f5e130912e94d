"""The slope of a function of Values in each of its arguments, by finite differences.

    >>> from tinygrad_margin import numeric_grad
    >>> [round(slope, 9) for slope in numeric_grad(lambda x, y: x * y.log(), [2.0, 4.0])]
    [1.386294361, 0.5]

The function is called at places on a line, where one argument moves. Its graph is recorded at each
of them: it tells which operations are in another case there, so that no step crosses a kink, and
how much of the value is rounding.
"""

from __future__ import annotations

import inspect
import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple, SupportsFloat, TypeAlias

from tinygrad_margin.check import differences
from tinygrad_margin.check.differences import Sample, Slope, best, one_sided
from tinygrad_margin.engine import Value, adjoints, topological_order
from tinygrad_margin.guard import as_number, one_line
from tinygrad_margin.ops import FLOATS
from tinygrad_margin.views.boxes_and_arrows import slopes_or_nan
from tinygrad_margin.views.names import kink_case, node_formula, node_names

_KNOWN = 1e-6  # a relative error that numeric_grad is content with
BRANCH = "f itself, which computes something else there"
_SEEN = 8.0  # estimated errors that a slope is larger than if it is not 0
_NEAR = 1e-10  # beside max(|x|, 1): how near a kink is said to be near
_EPSILON = sys.float_info.epsilon
_SMALLEST = 4.0 * math.ulp(0.0)  # a few of the smallest floats: rounding is no finer than they are

Function: TypeAlias = Callable[..., Value]
_Cases: TypeAlias = tuple[tuple[str, "int | None"], ...]


def numeric_grad(f: Function, xs: Iterable[SupportsFloat]) -> list[float]:
    """The gradient of f at xs by finite differences: only f's values are asked for.

    Central differences at steps that are halved until their extrapolation to a step of 0 settles
    (Richardson's and Ridders' methods); at long ones where f is so large that rounding hides its
    slope. No step leaves the domain of f or crosses a kink; where x is on the edge, the slope of
    the one side is taken, and on a kink the mean of the two.

    Args:
        f: a function of Values, called as ``f(*values)``, that returns a Value.
        xs: one number for each argument.

    Raises:
        TypeError, ValueError: as ``gradcheck``; ValueError, too, where the differences do not
            settle: a slope is known to 1e-6 of it; one that may as well be 0, of those around.

    Example:
        >>> [round(slope, 9) for slope in numeric_grad(lambda x, y: x * y.log(), [2.0, 4.0])]
        [1.386294361, 0.5]
    """
    here = evaluated(f, *named_leaves(f, xs))
    slopes = []
    for i, name in enumerate(here.names):
        found = Line(here, i).measured().slope
        near_0 = found.steepest if abs(found.slope) <= _SEEN * found.error else 0.0
        if not (found.is_still or found.error <= _KNOWN * max(abs(found.slope), near_0)):
            known = f"the slope is only known to be {found.slope:.2g} ± {found.error:.2g}"
            raise ValueError(
                f"the differences of f in {name} do not settle at {_where(here.names, here.at)}: "
                f"{'f jumps there' if found.jump else known}"
            )
        slopes.append(found.slope)
    return slopes


def named_leaves(f: Function, xs: Iterable[SupportsFloat]) -> tuple[list[str], list[float]]:
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
        names[i] = (isinstance(x, Value) and one_line(x.label)) or names[i]
    return names, at


def _parameters(f: Function, n: int) -> list[str]:
    """The names of f's first n parameters, as far as they have one each.

    Raises:
        TypeError: f takes another number of arguments.
    """
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # not every built-in tells
        return []
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [one for one in signature.parameters.values() if one.kind in kinds]
    try:
        signature.bind(*range(n))
    except TypeError:
        least = sum(one.default is one.empty for one in found)
        takes = f"{least}" if least == len(found) else f"{least} to {len(found)}"
        raise TypeError(
            f"xs has one number for each argument of f: f{signature} takes {takes}, and xs has {n}"
        ) from None
    return [one.name for one in found][:n]


class Here(NamedTuple):
    """f where its slopes are asked for.

    Attributes:
        f: the function.
        names: what its arguments are called.
        at: where they are.
        J: its graph there.
        leaves: its arguments there.
        data: the numbers that its operations give.
        cases: which case every operation is in.
        rounding: how far J may be off.
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
        smallest: what the distance of the smallest floats adds.
        leaves: how much it moves with its leaves.
    """

    weights: list[float]
    coarse: float
    smallest: float
    leaves: dict[Value, float]

    def of(self, point: Here | _Point) -> float:
        """How far f may be off there."""
        inner = 0.0
        if len(self.weights) == len(point.data):
            inner = sum(w * abs(x) for w, x in zip(self.weights, point.data, strict=True) if w)
        noise = _EPSILON * max(abs(point.J.data), inner if math.isfinite(inner) else 0.0)
        return max(noise + self.smallest, self.coarse)


class _Point(NamedTuple):
    """f at some point: its graph, the numbers in it, and which case every operation is in."""

    J: Value
    leaves: list[Value]
    data: list[float]
    cases: _Cases


def evaluated(f: Function, names: list[str], at: list[float]) -> Here:
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
    return Here(f, names, at, *here, _rounding(here.J))


def _rounding(J: Value) -> _Rounding:
    """How far f may be off where this is its graph."""
    with suppress(Exception):  # where there are no slopes, there is the rounding of f itself
        totals = adjoints(J, slopes_or_nan)
        inner = [node for node in totals if node.parents]
        weights = [abs(totals[node]) if math.isfinite(totals[node]) else 0.0 for node in inner]
        coarse = sum(w * _noise(node) for node, w in zip(inner, weights, strict=True) if w)
        leaves = {n: x for n, x in totals.items() if not n.parents}
        return _Rounding(weights, coarse, _SMALLEST * (1.0 + sum(weights)), leaves)
    return _Rounding([], 0.0, _SMALLEST, {})


def _noise(node: Value) -> float:
    """How far an operation of one's own may be off, as far as that can be seen from outside."""
    if node._row.is_builtin:
        return 0.0
    there = (rule_of(node, i)(parent.data) for i, parent in enumerate(node.parents))
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
    cases = tuple((node._row.name, kink_case(node)) for node in inner)
    return _Point(J, leaves, [node.data for node in inner], cases)


class Measured(NamedTuple):
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


class Line:
    """f as a function of one argument, and its slope by differences.

    Args:
        here: f where the slope is asked for.
        i: which argument moves.
    """

    def __init__(self, here: Here, i: int) -> None:
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

    def along(self, like: Here | _Point) -> differences.Function:
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

    def measured(self) -> Measured:
        """The slope, and what is to be said about it.

        Raises:
            ValueError: there is none on either side.
        """
        here, x = self.here, self.x
        beside = (-1.0, *self.beside(-1.0)), (1.0, *self.beside(1.0))
        gone = [point is None for _, _, point in beside]
        edge = "below" if gone[0] else "above" if gone[1] else ""
        if all(point is None or point.cases == here.cases for _, _, point in beside):
            return Measured(self.smooth(), edge=edge)
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
            side = one_sided(self.along(point), start, sign)
            sides.append(side and self.reached(side, start, point))
            own += [sides[-1]] if is_own else []
        left, right = sides
        if not (left and right):
            return Measured(self.scaled(self.known(best(left, right))), edge=edge)
        jump = self.jump(beside[0][2], beside[1][2], left, right)
        if jump:
            return Measured(Slope(math.nan, math.inf, jump=jump), said)
        if own and not on:
            return Measured(self.scaled(self.known(best(*own))), said, (left.slope, right.slope))
        return Measured(self.scaled(differences.kink(left, right)), said)

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
        if found and (found.sides or found.jump) and not self.can_break():
            return self.scaled(Slope(found.slope, math.inf, found.steepest))
        if found and found.error > 1e-9 * abs(found.slope):
            coarse = differences.stairs(self.along(self.here), self.x)
            if coarse > self.rounding.coarse:
                self.rounding = self.rounding._replace(coarse=coarse)
                found = differences.measured(self.along(self.here), self.x)
        return self.scaled(self.known(found))

    def can_break(self) -> bool:
        """May f have a kink or a jump that no operation of the table has? Else it is rounding."""
        if not all(n._row.is_builtin for n in topological_order(self.here.J) if n.parents):
            return True
        near = (self.x + sign * math.ldexp(self.unit, -k) for k in (8, 20, 32) for sign in (-1, 1))
        return any(self.differs(t) is not False for t in near)

    def reached(self, side: Slope, start: float, point: _Point) -> Slope:
        """The slope on a side where f computes something else, if it is that of the way from x."""
        if start == self.x or side.jump:
            return side
        way = abs(start - self.x)
        chord = (point.J.data - self.here.J.data) / (start - self.x)
        noise = (self.rounding.of(self.here) + self.rounding.of(point)) / way
        off = abs(chord - side.slope)
        is_same = off <= 1e-3 * abs(side.slope) + side.error + 8.0 * noise
        return side if is_same else side._replace(error=off)

    def scaled(self, found: Slope) -> Slope:
        """The slope; if its error is not small, beside how steep the operations of f are."""
        if found.error <= _KNOWN * max(map(abs, found.sides or (found.slope,))):
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
            if point and [name for name, _ in point.cases] == [name for name, _ in self.here.cases]:
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
        data, order = {self.leaf: t}, topological_order(self.here.J)
        for node in order:
            if node.parents:
                operands = (data[parent] for parent in node.parents)
                try:
                    data[node] = node._row.value(FLOATS, *operands)
                except (ArithmeticError, ValueError):
                    return True
            else:
                data.setdefault(node, node.data)
        nodes = zip(order, topological_order(point.J), strict=True)
        return any(data[node] != other.data == other.data for node, other in nodes)


def _wiring(point: Here | _Point) -> list[tuple[object, ...]]:
    """A graph without its numbers: the operation of every node, and where its operands stand."""
    order = topological_order(point.J)
    places = {node: i for i, node in enumerate(order)}
    arguments = {leaf: i for i, leaf in enumerate(point.leaves)}
    return [
        (node._row.name, arguments.get(node), *(places[parent] for parent in node.parents))
        for node in order
    ]


def _moved(here: Here, beside: _Point) -> Iterator[Value]:
    """The nodes that are in another case beside this point."""
    if [row for row, _ in here.cases] == [row for row, _ in beside.cases]:
        inner = (node for node in topological_order(here.J) if node.parents)
        for node, now, then in zip(inner, here.cases, beside.cases, strict=True):
            if now != then:
                yield node


def _operations(here: Here, nodes: Iterable[Value]) -> str:
    """The operations of some nodes, by name, each once."""
    names = node_names(topological_order(here.J))
    said = list(dict.fromkeys(node_formula(node, names) for node in nodes))
    more = f" and {len(said) - 3} more" * (len(said) > 3)
    return ", ".join(said[:3]) + more or BRANCH


def rule_of(node: Value, i: int) -> differences.Function:
    """The value of a node's operation as a function of its i-th operand."""
    row, at = node._row, [parent.data for parent in node.parents]

    def f(t: float) -> Sample | None:
        try:
            found = row.value(FLOATS, *at[:i], t, *at[i + 1 :])
        except (ArithmeticError, ValueError):
            return None
        noise = max(_EPSILON * abs(found) + _SMALLEST, coarse)
        return Sample(found, noise) if math.isfinite(found) else None

    coarse = 0.0
    if not row.is_builtin:  # it may compute in single precision, or lose digits
        kinds = differences.stairs, differences.tremor, differences.roughness
        coarse = max(kind(f, at[i]) for kind in kinds)
    return f


def slope_of(node: Value, i: int) -> Callable[[float], float | None]:
    """The slope in its i-th operand that a node's operation gives, as a function of that."""
    row, at = node._row, [parent.data for parent in node.parents]

    def slope(t: float) -> float | None:
        operands = [*at[:i], t, *at[i + 1 :]]
        try:
            return float(row.partials(FLOATS, *operands, row.value(FLOATS, *operands))[i])
        except (ArithmeticError, ValueError):
            return None

    return slope


def directions(at: Sequence[float]) -> Iterator[list[float]]:
    """How some numbers may move together: all at the same speed, and any other way."""
    units = [max(abs(x), 1.0) for x in at]
    yield [min(units)] * len(units)
    chance = random.Random(0)
    for _ in range(8):
        yield [chance.uniform(-1.0, 1.0) * unit for unit in units]


def slopes_around(
    value: Callable[..., float],
    at: Sequence[float],
    direction: Sequence[float],
    noise: float,
    near: float,
) -> tuple[float, float]:
    """The smallest and the largest slope of a function in a direction, right around some place.

    Args:
        value: the function.
        at: the place.
        direction: the direction.
        noise: how far a value may be off.
        near: how far around, beside max(|x|, 1).
    """
    step, chance = near / 64.0, random.Random(1)
    units = [near * max(abs(x), 1.0) for x in at]
    found = []

    def add(away: Sequence[float], *ends: float) -> None:
        moved = [x + a for x, a in zip(at, away, strict=True)]
        with suppress(ArithmeticError, ValueError):
            low, high = (
                value(*(x + t * step * d for x, d in zip(moved, direction, strict=True)))
                for t in ends
            )
            found.append((high - low) / ((ends[1] - ends[0]) * step))

    nowhere = [0.0] * len(at)
    add(nowhere, -1.0, 0.0)
    add(nowhere, 0.0, 1.0)
    for i, unit in enumerate(units):
        for away in (-unit, unit):
            add([*nowhere[:i], away, *nowhere[i + 1 :]], -1.0, 1.0)
    for _ in range(32):
        add([chance.uniform(-unit, unit) for unit in units], -1.0, 1.0)
    lost = 4.0 * noise / step
    return min(found, default=-math.inf) - lost, max(found, default=math.inf) + lost
