"""Gradients against finite differences: is reverse mode right?

>>> print(gradcheck(lambda s, s_c: (1 + s_c - s).relu(), [1.5, 0.5]))   # on the kink
leaf  reverse  numeric  difference
s     0        −1 | 0            0  lies between
s_c   0        0 | 1             0  lies between
s = 1.5 sits on a kink, of relu(v₂): the slope is −1 below and 0 above. Reverse mode takes 0,
  which lies between: a subgradient.
s_c = 0.5 sits on a kink, of relu(v₂): the slope is 0 below and 1 above. Reverse mode takes 0,
  which lies between: a subgradient.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import SupportsFloat

from tinygrad_margin.calculus import grad, jvp, row_for
from tinygrad_margin.check.calls import Calls, Function, Measured
from tinygrad_margin.guard import as_number
from tinygrad_margin.ops import FLOATS
from tinygrad_margin.views.names import node_formula, node_names
from tinygrad_margin.views.notation import number

_AGREES, _BETWEEN, _DIFFERS = "agrees", "lies between", "DIFFERS"
_OFF, _NONE, _OPEN = "off the graph", "no slope", "not settled"
_OUTSIDE = (
    "f computes with {all} outside of the graph, which gives something else where {x} moves: "
    "{x}.data, float({x}) and math.exp({x}) are plain numbers, which no gradient flows through."
)
_COPIES = (
    "f copies the number of {all} into a Value that it keeps, as by w.data = {x}.data, so its "
    "graph leads to w and not to {x}. Compute with the arguments themselves, or compare w.grad "
    "with numeric_grad, which is right here."
)
_RIGHT = "Every operation has the right slope by itself, but "
_CHAIN = _RIGHT + "several sit on their kinks: there the chain rule need not give a slope of f."
_SWEEP = _RIGHT + "reverse mode adds them up to something else."
_OVERFLOW = _RIGHT + "their products on the way back from J grow too large for a float."
_HIDDEN = "Rounding hides the slope in {}. No operation was found wrong: check another point."


@dataclass(frozen=True)
class CheckedSlope:
    """One row of a gradient check: an argument, and the slope in it by two ways.

    Attributes:
        leaf: the argument's name.
        x: where it is.
        reverse: ∂J/∂leaf by reverse mode.
        numeric: the same by finite differences; on a kink, the mean of the two sides.
        difference: how far apart they are; on a kink, how far ``reverse`` is from lying between
            the slopes of the two sides.
        verdict: "agrees", or "lies between" on a kink; "DIFFERS", "off the graph", "no slope" or
            "not settled".
        kink: what sits on its kink at x, ``max(z, 0)``; empty if nothing does.
        sides: the slopes below and above x if it is on a kink, else None.
    """

    leaf: str
    x: float
    reverse: float
    numeric: float
    difference: float
    verdict: str
    kink: str = ""
    sides: tuple[float, float] | None = None

    @property
    def agrees(self) -> bool:
        """Whether reverse mode is right, as far as ``tolerance`` asks."""
        return self.verdict in (_AGREES, _BETWEEN)


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """What ``gradcheck`` found: true if all slopes agree; prints as a table.

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
        table = [("leaf", "reverse", "numeric", "difference", "")]
        for row in self.rows:
            numeric = " | ".join(map(_text, row.sides or [row.numeric]))
            difference = number(row.difference, 2)
            table.append((row.leaf, _text(row.reverse), numeric, difference, row.verdict))
        a, b, c, d, _ = (max(map(len, column)) for column in zip(*table, strict=True))
        lines = [f"{v:{a}}  {w:{b}}  {x:{c}}  {y:>{d}}  {z}".rstrip() for v, w, x, y, z in table]
        notes = (textwrap.fill(note, 94, subsequent_indent="  ") for note in self.notes)
        return "\n".join([*lines, *notes])

    __repr__ = __str__


def gradcheck(
    f: Function, xs: Iterable[SupportsFloat], *, tolerance: float = 1e-6
) -> GradientCheck:
    """Compare the gradient of f at xs, by reverse mode, with finite differences.

    The differences are those of the recorded graph, computed with fifty digits and more. On a kink,
    reverse mode is right if it lies between the slopes of the two sides. Operations of your own are
    also checked one by one. f is called ten times, and up to ten times an argument if it does not
    compute what its graph says. "not settled" means that rounding hides the slope.

    Args:
        f: a function of Values, called as ``f(*values)``, that returns a Value.
        xs: one number for each argument. If you pass a Value, its number and label are used.
        tolerance: the relative difference that is allowed.

    Returns:
        The result: true if all slopes agree. It prints as a table; ``rows`` has its numbers.

    Raises:
        TypeError: f or xs are of another kind, or f takes another number of arguments.
        ValueError: xs is empty or not finite; f is nan there, has no value on either side, or
            gives something else when it is called again; tolerance is not above 0 and finite.
        SlopeError, OverflowError: reverse mode finds an operation without a slope at xs, as the
            square root at 0, or one too large for a float.

    Example:
        >>> bool(gradcheck(lambda x: x**2 + 3 * x, [2.0]))
        True
        >>> from tinygrad_margin import Value
        >>> gradcheck(lambda x: Value(x.data**2), [3.0])    # what is computed outside is lost
        leaf  reverse  numeric  difference
        x     0        6                 6  off the graph
        f computes with x outside of the graph, which gives something else where x moves: x.data,
          float(x) and math.exp(x) are plain numbers, which no gradient flows through.
    """
    limit = as_number(tolerance, "tolerance of gradcheck")
    if not 0.0 < limit < math.inf:
        raise ValueError(f"tolerance of gradcheck is a finite number above 0; got {limit}")
    calls = Calls(f, xs)
    slopes = grad(calls.J, calls.leaves)  # before f is called again: it may change its leaves
    judge = _Judge(calls, limit)
    calls.compare()
    rows = tuple(judge.row(i, reverse) for i, reverse in enumerate(slopes))
    return GradientCheck(rows, limit, (*judge.places, *judge.faults))


class _Judge:
    """Compares slopes, and collects sentences on special places and on faults."""

    def __init__(self, calls: Calls, tolerance: float) -> None:
        self.calls, self.tolerance, self.graph = calls, tolerance, calls.graph
        self.places, self.faults = dict[str, None](), dict[str, None]()
        self.names = node_names(calls.graph.nodes)
        self.moving = {j for i in range(len(calls.xs)) for j in calls.graph.moved_by(i)}
        own = (j for j in self.moving if not self.graph.nodes[j]._row.is_builtin)
        self.wrong = {j: fault for j in own if (fault := self.accuse(j))}

    def row(self, i: int, reverse: float) -> CheckedSlope:
        """The row of an argument."""
        found, name, x = self.calls.measure(i), self.calls.names[i], self.calls.xs[i]
        low, high = sorted((found.below, found.above))
        difference = max(low - reverse, reverse - high, 0.0)
        difference = math.nan if math.isnan(reverse) or found.jumps else difference
        verdict, faults = self.judge(i, reverse, found, difference)
        self.faults |= dict.fromkeys(fault.replace("{}", name) for fault in faults)
        at, place = f"{name} = {number(x, 7)}", ""
        if found.edge:
            side = "above" if found.edge == "below" else "below"
            place = f"f has no value right {found.edge} {at}: its slope is the one from {side}."
        if verdict == _NONE:
            place = f"{at} sits on a jump, of {found.kink}: f has no slope there."
        elif found.kink and verdict in (_BETWEEN, _DIFFERS):
            lies = "does not lie between" if difference else "lies between"
            place = (
                f"{at} sits on a kink, of {found.kink}: the slope is "
                f"{_both(found.below, found.above)}. Reverse mode takes {_text(reverse)}, which "
                f"{lies}{': a subgradient' * (verdict == _BETWEEN)}."
            )
        self.places |= {place: None} if place else {}
        kink = "" if verdict == _AGREES else found.kink
        sides = (found.below, found.above) if kink and verdict != _NONE else None
        return CheckedSlope(name, x, reverse, found.slope, difference, verdict, kink, sides)

    def judge(
        self, i: int, reverse: float, found: Measured, difference: float
    ) -> tuple[str, list[str]]:
        """The verdict on a slope, and what is wrong."""
        calls, places = self.calls, self.graph.moved_by(i)
        if i in calls.off:
            every = [calls.names[k] for k in calls.off]
            names = ", ".join(every[:5]) + ", …" * (len(every) > 5)
            fault = _COPIES if any(calls.off.values()) else _OUTSIDE
            return _OFF, [fault.format(all=names, x=every[0])]
        if wrong := [self.wrong[j] for j in places if j in self.wrong]:
            return _DIFFERS, wrong
        if found.jumps:
            return (_NONE, []) if found.kink else (_OPEN, [_HIDDEN])
        scale = max(abs(reverse), abs(found.below), abs(found.above))
        good = _BETWEEN if found.kink else _AGREES
        if max(difference, found.error) <= self.tolerance * scale < math.inf:
            return good, []
        if wrong := [fault for j in places if (fault := self.accuse(j))]:
            return _DIFFERS, wrong
        forward = jvp(calls.J, {calls.leaves[i]: 1.0})
        if difference > 8.0 * found.error and not abs(forward - reverse) <= 1e-9 * scale:
            return _DIFFERS, [_SWEEP]
        if found.kink or any(self.graph.is_corner(j) for j in places[1:]):
            return _DIFFERS, [_CHAIN]
        size = self.graph.largest / max(abs(calls.xs[i]), 1.0)
        if min(scale, 10.0 * difference) <= 1e-12 * size and found.error <= 1e-9 * size:
            return good, []  # rounding does that much
        return (_OPEN, [_HIDDEN]) if math.isfinite(reverse) else (_DIFFERS, [_OVERFLOW])

    def accuse(self, j: int) -> str:
        """A sentence if a slope that the j-th node declares is wrong; else empty."""
        node, out, operands = self.graph.nodes[j], self.graph.data[j], self.graph.operands[j]
        moving, at = [k in self.moving for k in operands], [self.graph.data[k] for k in operands]
        if not any(moving):
            return ""
        row = row_for(node, moving)
        given = others = row.partials(FLOATS, *at, out)
        with suppress(ArithmeticError, ValueError):  # what a rounding of the value does
            others = row.partials(FLOATS, *at, out + math.ulp(out))
        for m, (slope, other) in enumerate(zip(given, others, strict=True)):
            below, above, error = self.graph.node_slopes(j, m) if moving[m] else (slope, slope, 0.0)
            sides = [x for x in (below, above) if x == x]
            rough = self.tolerance * max(map(abs, (slope, *sides))) + 8.0 * abs(other - slope)
            off = max(min(sides, default=slope) - slope, slope - max(sides, default=slope))
            if rough + 4.0 * error + 1e-38 < off < math.inf:
                moves = _text(above) if below == above else _both(below, above)
                return (
                    f"The slope of {node_formula(node, self.names)} in "
                    f"{self.names[node.parents[m]]}, where that is {number(at[m])}, is given as "
                    f"{_text(slope)}; its value moves at {moves}. That is a wrong derivative of "
                    f"{row.symbol if row.is_builtin else row.name}."
                )
        return ""


def _both(below: float, above: float) -> str:
    """The slopes of the two sides, as text."""
    return f"{_text(below)} below and {_text(above)} above"


def _text(slope: float) -> str:
    """A slope, as text."""
    return number(slope, 7)
