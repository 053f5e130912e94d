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

import math
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import NamedTuple, SupportsFloat

from tinygrad_margin.calculus import grad
from tinygrad_margin.check.differences import Slope, contradicts, measured
from tinygrad_margin.check.numeric import (
    BRANCH,
    Function,
    Here,
    Line,
    Measured,
    directions,
    evaluated,
    named_leaves,
    rule_of,
    slope_of,
    slopes_around,
)
from tinygrad_margin.engine import Value, adjoints, local_derivatives
from tinygrad_margin.guard import as_number
from tinygrad_margin.ops import FLOATS
from tinygrad_margin.views.boxes_and_arrows import slopes_or_nan
from tinygrad_margin.views.names import node_formula, node_names
from tinygrad_margin.views.notation import number

_SURE = 100.0  # estimated errors that make a difference
_EPSILON = sys.float_info.epsilon
_TINY = 1e-300  # an error that only the smallest floats make
_ROUGH = 0.05  # how well slopes around a tie are known
_LOST = 16.0 * _EPSILON  # what an operation of one's own may lose inside


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
        SlopeError, OverflowError: reverse mode finds an operation that has no slope at xs, as the
            square root at 0, or one too large for a float.

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
    here = evaluated(f, *named_leaves(f, xs))
    rules = _Rules(here.J, limit)
    rows, places, said = [], [], []
    ending: dict[str, None] = {}
    for i, reverse in enumerate(grad(here.J, here.leaves)):
        row, place, own, common = _row(Line(here, i), reverse, rules, limit)
        rows.append(row)
        places.append(place)
        said.append(own)
        ending |= dict.fromkeys(common)
    if astray := _together(here, rows):
        rows = [replace(row, verdict=_DIFFERS) if row.verdict == _BETWEEN else row for row in rows]
        ending[astray] = None
    notes: list[str] = []
    for row, place, own in zip(rows, places, said, strict=True):
        notes += [*_notes(row, place), *own]
    return GradientCheck(tuple(rows), limit, (*notes, *ending))


def _judged(reverse: float, found: Slope, size: float, tolerance: float) -> tuple[str, float]:
    """Do the two slopes agree? And how far are they apart? ``size`` is that of what x is among.

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
    if difference <= allowed and found.error <= max(allowed, _TINY):
        return _BETWEEN if found.sides else _AGREES, difference
    rounding = max(found.error, found.flat(size))  # in a valley f itself has none left
    if difference > allowed + _SURE * rounding:
        return _DIFFERS, difference
    is_small = found.error <= tolerance * found.steepest or found.is_still
    return "" if is_small and difference <= rounding else _OPEN, difference


def _row(
    line: Line, reverse: float, rules: _Rules, tolerance: float
) -> tuple[CheckedSlope, Measured, list[str], list[str]]:
    """A row of the table, what was measured, what is to be said of it, and of f."""
    place = line.measured()
    found = place.slope
    verdict, difference = _judged(reverse, found, max(abs(line.x), 1.0), tolerance)
    kink, notes, common = "", [], []
    if verdict != _AGREES or found.is_far:
        is_zero = abs(reverse) <= found.flat(line.x)
        seen = rules.of(line.leaf, tolerance * found.steepest if is_zero else 0.0)
        is_off, is_proven = line.is_off_the_graph(), False
        if found.sides or found.jump:
            kink = place.kink or seen.corners or "f itself"
        if is_off:
            common.append(_outside(line.name))
        if seen.wrong or is_off:
            if verdict not in (_DIFFERS, _NONE):
                verdict = _WRONG if seen.wrong else _OFF
        elif not seen.is_forward(reverse, tolerance):
            common.append(_SWEEP)
            verdict = _DIFFERS
        else:
            is_proven = not seen.is_open
            if verdict == "":
                verdict = (_BETWEEN if found.sides else _AGREES) if is_proven else _OPEN
                if is_proven and not is_zero:
                    notes.append(_small(line, found))
            elif verdict == _DIFFERS and found.sides and is_proven:
                is_on = seen.corners or any(node.is_at_kink for node in rules.totals)
                common.append(_CHAIN if is_on else _branch(line))
            elif verdict == _DIFFERS and not math.isfinite(reverse):
                common.append(_OVERFLOW)
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
    return row, place, notes, common


def _at(leaf: str, x: float) -> str:
    return f"{leaf} = {number(x, 7)}"


def _notes(row: CheckedSlope, place: Measured) -> Iterator[str]:
    """What is to be said of a place that is no ordinary one."""
    at, found = _at(row.leaf, row.x), place.slope
    is_branch = row.kink.startswith(BRANCH)
    if (
        found.sides
        and is_branch
        and (row.verdict == _OPEN or len(set(map(_said, found.sides))) == 1)
    ):
        where = "" if row.verdict == _OPEN else f", where its slope is {_said(found.sides[0])}"
        yield f"f computes something else at {at} than right beside it{where}."
    elif found.sides and row.verdict != _OPEN:
        lies = "lies between: a subgradient"
        if row.verdict != _BETWEEN:
            lies = "lies between"
        if row.verdict == _DIFFERS and row.difference:
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
    if place.near:
        near = _both(place.near)
        yield f"{at} is very near to a kink, of {place.kink}: the slope is {near}."
    if place.edge:
        side = "above" if place.edge == "below" else "below"
        yield f"f has no value right {place.edge} {at}: its slope is the one from {side}."


def _both(sides: tuple[float, float]) -> str:
    return "{} below and {} above".format(*map(_said, sides))


def _small(line: Line, found: Slope) -> str:
    """What is said where rounding leaves little of a small slope."""
    return (
        f"{_at(line.name, line.x)}: the slope is so small beside those around that rounding leaves "
        f"it good to ±{number(found.error, 2)} only. As far as that they agree, and {_PROVEN}."
    )


def _too_fast(line: Line, is_proven: bool) -> str:
    """What is said where differences accuse reverse mode, and nothing else does."""
    return (
        f"{_at(line.name, line.x)}: the differences settle on something else than reverse mode. "
        f"But f gives what its graph gives, and {_PROVEN if is_proven else _UNSHOWN}. One of the "
        "two lost its digits, as where numbers nearly cancel in f, or where f moves too fast for "
        "differences: check another point."
    )


def _branch(line: Line) -> str:
    """What is said where f computes something else at x than right beside it."""
    return (
        "Every operation takes a slope that is right for itself. But the slope of what f computes "
        f"at {_at(line.name, line.x)} alone, as by an if, is none of f."
    )


def _open(line: Line, found: Slope, reverse: float, is_proven: bool) -> str:
    """What is said where the differences do not settle."""
    said = f"{_at(line.name, line.x)}: the differences do not settle"
    if not math.isfinite(reverse):
        said += f"; reverse mode gives {_said(reverse)}, which is no slope"
    else:
        good = f"only good to ±{number(found.error, 2)}" if found.error < math.inf else "not known"
        said += f", the numeric slope is {good}"
    h = line.unit / 32.0
    around = (line.here, line.point(line.x - h), line.point(line.x + h))
    size = max(abs(point.J.data) for point in around if point)
    lost = math.ulp(line.x) * max(abs(found.slope), abs(reverse) if math.isfinite(reverse) else 0.0)
    if line.rounding.coarse > 64.0 * max(_EPSILON * size, lost):
        said += (
            f". f moves in steps of {number(line.rounding.coarse, 2)} there: something in it "
            "computes with fewer digits than a float has, as np.float32 does, or cancels inside"
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
        lost: how much either mode may lose as its numbers are hardly above 0.
    """

    wrong: list[str]
    is_open: bool
    corners: str
    forward: float
    size: float
    lost: float

    def is_forward(self, reverse: float, tolerance: float) -> bool:
        """Does forward mode, with the same slopes, give what reverse mode gives?"""
        allowed = tolerance * max(abs(self.forward), abs(reverse)) + 1e3 * _EPSILON * self.size
        return not abs(self.forward - reverse) > allowed + self.lost


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
        return adjoints(self.J, slopes_or_nan)

    @cached_property
    def names(self) -> dict[Value, str]:
        """What the nodes are called."""
        return node_names(list(self.totals))

    def of(self, leaf: Value, allowed: float) -> _Evidence:
        """What they say that the leaf moves.

        Args:
            leaf: the leaf.
            allowed: by how much, in J's slope, those may be uncertain that cannot be checked.
        """
        speeds = {leaf: (1.0, 1.0)}  # forward mode, with signs and without
        wrong: dict[str, str] = {}
        corners: dict[str, None] = {}
        doubt = lost = 0.0
        for node, total in self.totals.items():
            forward = size = 0.0
            moving = [(i, speeds[p]) for i, p in enumerate(node.parents) if p in speeds]
            for i, (speed, speed_size) in moving:
                verdict, slope, found = self.judged(node, i)
                forward, size = forward + slope * speed, size + abs(slope) * speed_size
                if verdict == _DIFFERS and found:
                    wrong.setdefault(node._row.name, self.blame(node, i, slope, found))
                if verdict == _OPEN and total * speed_size != 0.0:
                    error = found.error + abs(found.slope - slope) if found else math.inf
                    doubt += abs(total) * error * speed_size
                if found and (found.sides or found.jump):
                    corners[node_formula(node, self.names)] = None
            if moving:
                speeds[node] = forward, size
                lost += 4.0 * math.ulp(0.0) * (1.0 + abs(total) + size)
                if said := self.together(node):
                    wrong.setdefault(node._row.name, said)
        is_open = not doubt <= allowed
        said = ", ".join(list(corners)[:3])
        slopes = speeds.get(self.J, (0.0, 0.0))
        return _Evidence(list(wrong.values()), is_open, said, *slopes, lost)

    def judged(self, node: Value, i: int) -> tuple[str, float, Slope | None]:
        """Is the slope of a node in its i-th operand right?"""
        if (node, i) not in self.known:
            x, slope = node.parents[i].data, local_derivatives(node, math.nan)[i]
            rule, verdict = rule_of(node, i), _OPEN
            found = measured(rule, x)
            if found:
                verdict, _ = _judged(slope, found, abs(x), self.tolerance)
            floor = 0.0 if node._row.is_builtin else _LOST
            if verdict == _DIFFERS and not contradicts(rule, slope_of(node, i), x, floor):
                verdict = _OPEN
            if found and verdict == "":
                verdict = _AGREES if abs(slope) <= found.flat(x) else _OPEN
            self.known[node, i] = verdict, slope, found
        return self.known[node, i]

    def together(self, node: Value) -> str:
        """What is wrong with the slopes that an operation of one's own chose at a tie; else "".

        Each may be right for its operand alone, and all of them wrong where these move together: a
        subgradient lies between the slopes of the places around, in every direction.
        """
        n = len(node.parents)
        if n < 2 or node._row.is_builtin:
            return ""
        if not any(
            found and found.sides for _, _, found in (self.judged(node, i) for i in range(n))
        ):
            return ""
        row, at = node._row, [parent.data for parent in node.parents]
        here = [rule_of(node, i)(x) for i, x in enumerate(at)]
        noise = max(sample.noise if sample else math.inf for sample in here)
        slopes = local_derivatives(node, math.nan)
        found = _astray(partial(row.value, FLOATS), at, slopes, noise)
        if not found:
            return ""
        parents = ", ".join(self.names[parent] for parent in node.parents)
        return (
            f"The slopes of {node_formula(node, self.names)} in {parents} are given as "
            f"{', '.join(map(_said, slopes))}. Where these move together, at {found[0]}, that "
            f"makes {found[1]}; its value moves at {found[2]}. That is a wrong derivative of "
            f"{_called(node)}."
        )

    def blame(self, node: Value, i: int, slope: float, found: Slope) -> str:
        """The sentence about a wrong one."""
        parent = node.parents[i]
        moves = _both(found.sides) if found.sides else _said(found.slope)
        return (
            f"The slope of {node_formula(node, self.names)} in {self.names[parent]}, where that is "
            f"{number(parent.data)}, is given as {_said(slope)}; its value moves at {moves}. That "
            f"is a wrong derivative of {_called(node)}."
        )


def _called(node: Value) -> str:
    """What a node's operation is called: as it is written, where the row's name is not."""
    row = node._row
    return row.symbol if row.is_builtin else row.name


def _astray(
    value: Callable[..., float], at: Sequence[float], slopes: Sequence[float], noise: float
) -> tuple[str, str, str] | None:
    """A direction, what slopes make in it and how a function moves, if they are no subgradient.

    Clarke's: it lies between the slopes of the places around, in every direction.
    """
    for direction in directions(at):
        parts = [s * d for s, d in zip(slopes, direction, strict=True)]
        given, size = math.fsum(parts), math.fsum(map(abs, parts))
        for near in (2.0**-20, 2.0**-12):
            low, high = slopes_around(value, at, direction, noise, near)
            rough = _ROUGH * max(size, abs(low), abs(high))
            if not max(low - given, given - high) > rough:
                break
        else:
            moves = _said(low) if high - low < rough else f"{_said(low)} to {_said(high)}"
            return ", ".join(number(d, 3) for d in direction), _said(given), moves
    return None


def _together(here: Here, rows: Sequence[CheckedSlope]) -> str:
    """What is wrong with slopes that lie between those of the two sides, each by itself; or "".

    On a kink of several arguments, as at a tie, they have to where these move together, too.
    """
    moving = [i for i, row in enumerate(rows) if row.verdict == _BETWEEN]
    if len(moving) < 2:
        return ""

    def value(*moved: float) -> float:
        at = [*here.at]
        for i, x in zip(moving, moved, strict=True):
            at[i] = x
        return here.f(*map(Value, at)).data

    at, slopes = [here.at[i] for i in moving], [rows[i].reverse for i in moving]
    found = _astray(value, at, slopes, here.rounding.of(here))
    names = ", ".join(rows[i].leaf for i in moving)
    if not found:
        return ""
    return (
        f"Where {names} move together, at {found[0]}, the slopes of reverse mode make {found[1]}; "
        f"f moves at {found[2]}. So they are no subgradient, though each lies between for itself: "
        "the chain rule need not make one where several operations sit on their kinks, or an if."
    )


_PROVEN = "every operation has the right slope by itself"
_UNSHOWN = "no operation could be shown to have a wrong slope"
_SWEEP = (
    "Every operation has the right slope by itself, and f gives what its graph gives; but forward "
    "mode multiplies the same slopes to something else. So reverse mode does not sum them up right."
)
_OVERFLOW = (
    "Every operation has the right slope by itself, but the products of them, on the way back from "
    "J, grow too large for a float."
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
