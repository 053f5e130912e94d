"""The slope of a function of one number by differences, and how far it may be off.

    >>> import math
    >>> found = measured(lambda t: Sample(math.sin(t), 1e-16), 1.0)
    >>> round(found.slope, 12), found.error < 1e-9
    (0.540302305868, True)

Quotients of differences are taken for steps that are halved again and again, and extrapolated to a
step of 0 (Richardson, Neville). A long step suffers from the shape of the function, a short one
from its rounding; so every estimate comes with an error for both. The one that is taken agrees with
all that have shorter steps (Lepski): a long step may have jumped over what matters.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

_LONGEST = 1.1 / 32  # the first step, beside max(|x|, 1): no round number
_STEPS = 52  # each half as long as the one before
_LONGER = 56  # steps, each twice as long, where f is so large that rounding hides its slope
_ORDER = 4  # how many of them are extrapolated from
_GOOD = 1e-10  # a relative error that needs no shorter step
_SPOTS = (17, 34)  # where shorter steps are looked at all the same
_SMALL = 1e-6  # a bend that is no kink, beside the slope
_SURE = 100.0  # errors that make two sides different
_SMALLEST = 4.0 * math.ulp(0.0)  # an error is no smaller than the smallest floats
_PIECES = 64  # of a way that slopes are summed up over
_BESIDE = 1e-9  # how near, beside |x|, given slopes are compared
_NARROW = 22  # 2⁻²²: stairs as narrow as that come from rounding, wider ones are meant


class Sample(NamedTuple):
    """A value of the function, and how far it may be off by rounding."""

    value: float
    noise: float


Function: TypeAlias = Callable[[float], "Sample | None"]  # None: no value, or none to compare


class Slope(NamedTuple):
    """A slope by differences.

    Attributes:
        slope: the slope; on a kink the mean of the two sides, at a jump nan.
        error: how far it may be off.
        steepest: the largest slope that was seen within max(|x|, 1), apart from rounding.
        is_far: does it come from steps longer than that, as rounding hides what is near?
        sides: the slopes below and above, if they differ: x sits on a kink.
        jump: the values below, at and above x, if the function jumps.
    """

    slope: float
    error: float
    steepest: float = 0.0
    is_far: bool = False
    sides: tuple[float, float] | None = None
    jump: tuple[float, float, float] | None = None

    @property
    def is_still(self) -> bool:
        """Did the function not move at all?"""
        return self.slope == self.steepest == 0.0 and not self.sides

    def flat(self, x: float) -> float:
        """A slope that is 0 up to the rounding of x: so much it changes over x's last digit."""
        return 64.0 * sys.float_info.epsilon * abs(x) * self.steepest


class _Quotient(NamedTuple):
    """Δf/Δx and its noise; how far the quotients of the two halves are apart, and its noise."""

    slope: float
    noise: float
    bend: float = 0.0
    bend_noise: float = 0.0


class _Estimate(NamedTuple):
    """A slope, from steps down to this one; how much of its error is rounding."""

    step: float
    slope: float
    error: float
    noise: float


_Quotients: TypeAlias = dict[float, "_Quotient | None"]  # by step


def measured(f: Function, x: float) -> Slope | None:
    """The slope of f at x; from one side, where the other has no values; None if there is none."""
    f = _remembered(f)
    here = f(x)
    if here is None:
        return None
    quotients: _Quotients = {}
    central = _limit(_central(f, x, here), x, 4.0, quotients)
    corner, step = _corner(quotients, central, max(abs(x), 1.0) * _LONGEST)
    if corner == "kink":  # half of it from each side, which says nothing
        central = None
    if corner == "jump":
        near = math.ldexp(abs(x) or 1.0, -46)
        below, above = f(x - step), f(x + step)
        if below and above:
            rise = max(abs(here.value - below.value), abs(above.value - here.value))
            nearest = [there.value for t in (x - near, x + near) if (there := f(t))]
            if any(abs(value - here.value) > rise / 2.0 for value in nearest):
                jump = below.value, here.value, above.value
                return Slope(math.nan, math.inf, jump=jump)
    if central and not corner and central.error <= 10.0 * _GOOD * abs(central.slope):
        return central
    left, right = one_sided(f, x, -1.0), one_sided(f, x, 1.0)
    if corner and left and right:
        apart, error = abs(right.slope - left.slope), left.error + right.error
        if apart > _SURE * error:
            return kink(left, right)
        if corner == "kink":
            return Slope((left.slope + right.slope) / 2.0, apart + error, left.steepest)
    return best(central, left, right)


def kink(left: Slope, right: Slope) -> Slope:
    """The slope where both sides have another one."""
    error, steepest = max(left.error, right.error), max(left.steepest, right.steepest)
    sides = _or_zero(left), _or_zero(right)
    is_far = left.is_far or right.is_far
    return Slope(sides[0] / 2.0 + sides[1] / 2.0, error, steepest, is_far, sides)


def _or_zero(side: Slope) -> float:
    """The slope of a side; 0 where it is that as far as can be told, and small."""
    is_zero = abs(side.slope) <= min(side.error, _SMALL * side.steepest)
    return 0.0 if is_zero else side.slope


def best(*slopes: Slope | None) -> Slope | None:
    """The one with the smallest error."""
    return min(filter(None, slopes), key=lambda slope: slope.error, default=None)


def one_sided(f: Function, x: float, sign: float) -> Slope | None:
    """The slope on one side: above x for a sign of 1, below for −1."""
    here = f(x)
    return here and _limit(_sided(f, x, here, sign), x, 2.0, {})


def stairs(f: Function, x: float) -> float:
    """How high the stairs are that f climbs, if it stands still for moves that x can make.

    No more than rounding, and they are none.
    """
    unit, here = max(abs(x), 1.0), f(x)
    finest = min(100, math.frexp(unit)[1] - math.frexp(math.ulp(x))[1] - 1)

    def height(sign: float) -> float:
        def move(h: float) -> float:
            there = f(x + sign * h)
            return abs(there.value - here.value) if there and here else 0.0

        still, moving = math.ldexp(unit, -finest), math.ldexp(unit, -_NARROW)
        if not here or move(still) or not move(moving):
            return 0.0
        while move(moving) > 8.0 * here.noise and moving - still > 1e-9 * moving:
            middle = math.sqrt(still * moving) if moving > 2.0 * still else (still + moving) / 2.0
            still, moving = (still, middle) if move(middle) else (middle, moving)
        return move(moving) if move(moving) > 8.0 * here.noise else 0.0

    return max(height(-1.0), height(1.0))


def tremor(f: Function, x: float) -> float:
    """How far f moves where x moves by its last digits: as much may be lost of them inside of f."""
    here, digit = f(x), math.ulp(x)
    found = 0.0
    for sign in (-digit, digit):
        near, far = f(x + 4.0 * sign), f(x + 64.0 * sign)
        if here and near and far:
            move = abs(near.value - here.value)
            if abs(far.value - here.value) >= 4.0 * move:  # else it is a jump
                found = max(found, move)
    return found


def roughness(f: Function, x: float) -> float:
    """How far f is from a smooth function beside x, as one that cancels inside is.

    Differences of a high order leave nothing of a smooth function, and less for shorter steps; of
    rounding they leave as much at every order, and at every step (Hamming's table). What is larger
    than rounding ever is, or shrinks with the step, is meant: a wave, a kink.
    """
    unit = max(abs(x), 1.0)

    def rough(k: int) -> float:
        h = math.ldexp(1.1 * unit, -k)
        samples = [f(x + i * h) for i in range(-6, 7)]
        row, left = [sample.value for sample in samples if sample], []
        if len(row) < len(samples):
            return 0.0
        most = 1e-9 * max(unit, *map(abs, row))
        for order in range(1, 9):
            row = [b - a for a, b in pairwise(row)]
            left.append(max(map(abs, row)) / math.sqrt(math.comb(2 * order, order)))
        return left[3] if left[3] <= min(most, 3.0 * left[7]) else 0.0

    heights = [rough(k) for k in range(4, 32)]
    steady = [a for a, b in zip(heights, heights[2:], strict=False) if a <= 2.0 * b]
    return 4.0 * max(steady, default=0.0)


def contradicts(
    f: Function, slope_of: Callable[[float], float | None], x: float, floor: float = 0.0
) -> bool:
    """Does f leave what its given slopes sum up to, by more than rounding can?

    The integral of a right slope is the difference of the values, over any way. Where it is, the
    slope is right as far as values can tell, whatever short steps say: they see rounding, long
    ones jump over what matters. Two lengths have to say no, for one may have crossed a jump.

    Args:
        f: the function.
        slope_of: the slope that is given at some place; None where there is none.
        x: where a difference accuses the slope.
        floor: what f loses inside, beside its largest value near by and max(|x|, 1).
    """
    given, here, unit = slope_of(x), f(x), max(abs(x), 1.0)
    if given is None or here is None:
        return True
    near = _BESIDE * (abs(x) or 1.0)
    beside = [slope_of(x + k * near) for k in (-1.0, 1.0, -0.25, 0.25)]
    beside += [slope_of(x - unit / 8.0), slope_of(x + unit / 8.0)]
    around = [slope for slope in beside if slope is not None]
    if len(around) == len(beside):  # is it a slope for this place only, that no integral contains?
        small = 1e-6 * max(map(abs, around))
        low, high = sorted(around[:2])
        wide = 0.25 * (high - low) + small
        is_calm = all(abs(a - b) <= small for a, b in zip(around[:2], around[2:4], strict=True))
        if is_calm and not low - wide <= given <= high + wide:
            return True
    ways = {1.1 * unit * 2.0**-k for k in (0, 1, 2, 3, 4, 5, 6, 8, 9, 14, 15, 22, 23, 30, 31)}
    ways |= {abs(x) * 2.0**-k for k in (1, 2, 3, 5, 6, 10, 11)}
    reached = [there for h in ways for there in (f(x - h), f(x + h)) if there and h >= unit / 8.0]
    size = max([abs(here.value), *(abs(there.value) for there in reached)])
    lost = floor * min(size, unit)
    for sign in (-1.0, 1.0):
        before = False
        for way in sorted(ways):
            end = x + sign * way
            there = f(end) if way > 2.0**-40 * abs(x) else None
            found = there and _integral(slope_of, x, end)
            if not (there and found):
                before = False
                continue
            off = abs(there.value - here.value - found[0])
            noise = there.noise + here.noise + lost + sys.float_info.epsilon * abs(found[0])
            now = off > 8.0 * noise + 4.0 * found[1]
            if now and before:
                return True
            before = now
    return False


def _integral(
    slope_of: Callable[[float], float | None], start: float, end: float
) -> tuple[float, float] | None:
    """The integral of a slope by Simpson's rule, and how far it may be off; None if too far."""
    h = (end - start) / _PIECES
    at = [slope_of(start + k * h) for k in range(_PIECES)] + [slope_of(end)]
    slopes = [slope for slope in at if slope is not None and math.isfinite(slope)]
    if len(slopes) < len(at):
        return None
    sums = []
    for step in (4, 2, 1):
        s = slopes[::step]
        sums.append((s[0] + s[-1] + 4.0 * sum(s[1::2]) + 2.0 * sum(s[2:-1:2])) * h * step / 3.0)
    off = max(abs(sums[2] - sums[1]), abs(sums[1] - sums[0]))
    is_known = off <= 1e-2 * abs(h) * sum(map(abs, slopes))  # else it moves too fast for the pieces
    return (sums[2], off) if is_known else None


def _remembered(f: Function) -> Function:
    """f, called once for each place."""
    known: dict[float, Sample | None] = {}

    def remembered(t: float) -> Sample | None:
        if t not in known:
            known[t] = f(t) if math.isfinite(t) else None
        return known[t]

    return remembered


def _central(f: Function, x: float, here: Sample) -> Callable[[float], _Quotient | None]:
    """The quotients for steps to both sides."""

    def quotient(step: float) -> _Quotient | None:
        low, high = x - step, x + step
        down, up, width = x - low, high - x, high - low
        if not max(abs(up - step), abs(down - step)) <= 1e-3 * step:  # x has no digits for it
            return None
        below, above = f(low), f(high)
        if not (below and above):
            return None
        noise = (below.noise + above.noise) / width + _SMALLEST
        bend = abs((above.value - here.value) / up - (here.value - below.value) / down)
        lopsided = abs(up - down) / width * bend
        return _Quotient(
            (above.value - below.value) / width, noise + lopsided,
            bend, 2.0 * noise + 4.0 * here.noise / width,
        )  # fmt: skip

    return quotient


def _sided(f: Function, x: float, here: Sample, sign: float) -> Callable[[float], _Quotient | None]:
    """The quotients for steps to one side."""

    def quotient(step: float) -> _Quotient | None:
        end = x + sign * step
        width = end - x
        if not abs(sign * width - step) <= 1e-3 * step:
            return None
        there = f(end)
        if not there:
            return None
        noise = (there.noise + here.noise) / step + _SMALLEST
        return _Quotient((there.value - here.value) / width, noise)

    return quotient


def _limit(
    quotient: Callable[[float], _Quotient | None], x: float, factor: float, seen: _Quotients
) -> Slope | None:
    """The limit of a quotient of differences, for a step that goes to 0.

    Args:
        quotient: the quotient for a step; None where there is none.
        x: where.
        factor: by how much the error of a quotient shrinks as the step is halved: 2, or 4 if only
            even powers of the step are in it.
        seen: takes up the quotients.

    Returns:
        The limit; None if no step would do.
    """

    def known(step: float) -> _Quotient | None:
        if step not in seen:
            found = quotient(step)
            seen[step] = found if found and math.isfinite(found.slope + found.bend) else None
        return seen[step]

    def steepest(longest: float) -> float:
        near = [q for step, q in seen.items() if q and step <= longest]
        return max([0.0, *(abs(q.slope) + q.bend / 2.0 - q.noise - q.bend_noise for q in near)])

    def limit() -> Slope | None:
        chosen = _chosen(found, steepest(unit))
        if chosen is None:
            return None
        around = max(abs(x), 1.0)
        return Slope(chosen.slope, checked(chosen), steepest(around), chosen.step > around)

    def checked(one: _Estimate) -> float:
        """Its error, if a step between agrees: the others may be in step with waves of f."""
        between, at = quotient((x + 0.7 * one.step) - x), known(one.step)
        if not (between and at):
            return one.error
        off = abs(between.slope - one.slope)
        expected = abs(at.slope - one.slope) + 8.0 * (between.noise + at.noise) + one.error
        return one.error if off <= expected else max(one.error, off)

    unit = max(abs(x), 1.0) * _LONGEST
    found = _estimates(known, _halved(unit, 0, _STEPS), factor, stop=True)
    if found and found[-1].error <= _GOOD * abs(found[-1].slope):
        settled, found = found[-1], found[-1:]
        for spot in _SPOTS:
            found += _estimates(known, _halved(unit, spot, 3), factor)
        straight = min(q.bend + q.bend_noise for q in seen.values() if q)
        if straight <= _SMALL * abs(settled.slope) and all(_fits(settled, one) for one in found):
            found = [settled]
            return limit()
        found = _estimates(known, _halved(unit, 0, _STEPS), factor)
    if 0.0 < abs(x) < 0.1:
        found += _estimates(known, _halved(abs(x) * _LONGEST, 0, _STEPS), factor)
    slope = limit()
    if slope is None or slope.error > 1e-3 * _SMALL * abs(slope.slope):
        longer = _estimates(known, _halved(unit, -_LONGER, _LONGER), factor)
        sure = max(abs(x), 1.0)  # beyond it, a slope of 0 may be that of waves
        found += [e for e in longer if e.step <= sure or e.error < 1e-2 * abs(e.slope)]
        slope = limit()
    return slope


def _halved(longest: float, first: int, count: int) -> list[float]:
    """Steps, each half as long as the one before."""
    steps = (longest * 2.0**-k for k in range(first, first + count))
    return [step for step in steps if 0.0 < step < math.inf]


def _estimates(
    quotient: Callable[[float], _Quotient | None],
    steps: Iterable[float],
    factor: float,
    stop: bool = False,
) -> list[_Estimate]:
    """What steps, each half as long as the one before, say about the limit.

    What the error of a quotient is made of, powers of the step, is eliminated one by one (Neville's
    tableau); on one side, one power that need not be whole, too (Aitken). An error is how far the
    neighbours in the tableau are apart, and the rounding.

    Args:
        quotient: the quotient for a step, or None.
        steps: the steps.
        factor: as in ``_limit``.
        stop: stop as soon as an error is small.
    """
    found = []
    before: list[float] = []
    last: list[float] = []  # quotients
    bend = math.inf
    for step in steps:
        q = quotient(step)
        if q is None:
            before, last, bend = [], [], math.inf
            continue
        if q.bend > 0.75 * bend + q.bend_noise:  # steps so long that f bends more for shorter ones
            before = []
        bend = q.bend
        row, power, noise = [q.slope], factor, 16.0 / factor * q.noise
        here = _Estimate(step, q.slope, math.inf, noise)
        for old, same in zip(before[: _ORDER - 1], [*before[1:], math.nan], strict=False):
            row.append(row[-1] + (row[-1] - old) / (power - 1.0))
            power *= factor
            apart = [abs(row[-1] - other) for other in (row[-2], old, same) if other == other]
            here = min(here, _Estimate(step, row[-1], 2.0 * max(apart) + noise, noise), key=_error)
        before, last = row, [*last[-3:], q.slope]
        if factor == 2.0:
            slope, error, amplified = _aitken(last)
            amplified *= noise
            here = min(here, _Estimate(step, slope, error + amplified, amplified), key=_error)
        if math.isfinite(here.error):
            found.append(here)
            if stop and len(row) > 2 and here.error <= _GOOD * abs(here.slope):
                break
    return found


def _error(estimate: _Estimate) -> float:
    return estimate.error


def _aitken(last: Sequence[float]) -> tuple[float, float, float]:
    """The limit of four quotients that approach it at a steady rate, its error, and of noise."""
    if len(last) == 4:
        a, b, c = (y - x for x, y in pairwise(last))
        if a and b and 0.0 < c / b < 0.95 and abs(c / b - b / a) < 0.02:
            limits = [q + d / (1.0 - rate) * rate for q, d, rate in
                      ((last[2], b, b / a), (last[3], c, c / b))]  # fmt: skip
            return limits[1], 4.0 * abs(limits[1] - limits[0]), (1.0 - c / b) ** -2
    return math.nan, math.inf, 1.0


def _fits(a: _Estimate, b: _Estimate) -> bool:
    """Can both be right?"""
    return abs(a.slope - b.slope) <= 2.0 * (a.error + b.error)


def _chosen(found: Iterable[_Estimate], steepest: float) -> _Estimate | None:
    """The estimate with the smallest error that agrees with all those from shorter steps.

    If most of the shortest suffer from more than rounding, all steps are too long for the function.
    """
    chosen: _Estimate | None = None
    ordered = sorted(found)
    for one in ordered:
        if chosen and not _fits(one, chosen):
            break
        if not chosen or one.error < chosen.error:
            chosen = one
    small = _SMALL * steepest
    bad = [one.error > max(3.0 * one.noise, 1e-2 * abs(one.slope), small) for one in ordered[:8]]
    return chosen._replace(error=math.inf) if chosen and sum(bad) > 1 else chosen


def _corner(seen: _Quotients, slope: Slope | None, longest: float) -> tuple[str, float]:
    """Does x seem to sit on a "kink" or a "jump", or on neither (""); and the step that shows it.

    The bend of a smooth function shrinks with the step; at a kink it stays, at a jump it grows as
    fast as the step shrinks. The shortest steps decide that rounding leaves something of.
    """
    bends = {step: q for step, q in sorted(seen.items()) if q and step <= longest}
    clear = [step for step, q in bends.items() if q.bend > 8.0 * q.bend_noise][:4]
    if not clear:
        return "", 0.0
    short = max(bends[step].bend for step in clear)
    long = max((bends[16.0 * s].bend for s in clear if 16.0 * s in bends), default=math.inf)
    most = {step: q.bend + q.bend_noise for step, q in bends.items()}
    is_smooth = slope is not None and min(most.values()) <= _SMALL * abs(slope.slope)
    is_near = any(bend < short / 4.0 for step, bend in most.items() if step < clear[0])
    if is_smooth or is_near or short < 0.75 * long:
        return "", 0.0
    return "jump" if short > 14.0 * long else "kink", clear[0]
