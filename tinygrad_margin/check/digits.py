"""How far J moves when an argument moves by 10⁻²⁰: its graph, evaluated with fifty digits and more.

    >>> from tinygrad_margin import Value
    >>> x = Value(0.5)
    >>> graph = Graph(x.sin() + 1e16, [x])
    >>> round(graph.argument_slopes(0)[1], 12)              # the slope of sin, not lost in 1e16
    0.87758256189

Every operation moves from the very numbers that reverse mode saw: both see the same side of a kink.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import mpmath

from tinygrad_margin.engine import Value, topological_order
from tinygrad_margin.ops import FLOATS

Number: TypeAlias = Any  # an mpf, a number with many digits
Slopes: TypeAlias = tuple[float, float, float]  # below, above, and how far off they may be
_MP = mpmath.MPContext()  # our own: the precision of mpmath.mp stays as it is


def _refuse(x: Number) -> float:
    raise TypeError("a number with many digits was turned into a float")


_MP.mpf.__float__ = _refuse  # so that math.exp in an operation of the user's own is noticed


class Digits:
    """The mathematics of numbers with many digits. Outside of a domain they turn complex."""

    exp, log, sqrt, sin, cos, tanh = _MP.exp, _MP.log, _MP.sqrt, _MP.sin, _MP.cos, _MP.tanh
    abs, pow, maximum = staticmethod(abs), staticmethod(operator.pow), FLOATS.maximum
    sigmoid = staticmethod(lambda a: 1 / (1 + _MP.exp(-a)))


class Graph:
    """The graph of J as it is now; what later happens to its leaves does not matter.

    ``operands`` and ``arguments`` are places in ``nodes``; None for an argument that is not there.
    """

    def __init__(self, J: Value, arguments: Sequence[Value]) -> None:
        self.nodes = topological_order(J)
        place = {node: j for j, node in enumerate(self.nodes)}
        self.data = [node.data for node in self.nodes]
        self.operands = [[place[parent] for parent in node.parents] for node in self.nodes]
        self.arguments = [place.get(leaf) for leaf in arguments]
        self.wiring = [node._row.name for node in self.nodes], self.operands, self.arguments
        self.largest = max((abs(x) for x in self.data if math.isfinite(x)), default=0.0)
        self.only_floats = set[int]()  # operations of the user's own that take nothing else
        self._step = 1.0  # the step for these, relative to the usual one
        self._moved: dict[int, list[int]] = {}
        self._prepared: dict[int, tuple[int, Any]] = {}  # how many digits, and what _prepare gives

    def moved_by(self, i: int) -> list[int]:
        """The places that the i-th argument moves, its own first."""
        if i not in self._moved:
            start = self.arguments[i]
            found = {} if start is None else {start: None}
            for j, operands in enumerate(self.operands if found else ()):
                if not found.keys().isdisjoint(operands):
                    found[j] = None
            self._moved[i] = list(found)
        return self._moved[i]

    def rise(self, i: int, h: Number) -> Number:
        """How far J moves when the i-th argument moves by h."""
        start, *rest = self.moved_by(i) or [-1]
        moves = {start: h}
        for j in rest:
            moves[j] = self.move(j, [moves.get(k) for k in self.operands[j]])
        return moves.get(len(self.nodes) - 1, 0)

    def move(self, j: int, moves: Sequence[Number | None]) -> Number:
        """How far the j-th node moves when its operands move; None for one that does not."""
        row, floats = self.nodes[j]._row, [self.data[k] for k in self.operands[j]]
        try:
            if j not in self.only_floats:
                value, at, here = self._prepare(j, floats)
                moved = [a if move is None else a + move for a, move in zip(at, moves, strict=True)]
                return _real(value(*moved)) - here
        except (ArithmeticError, ValueError):
            raise
        except Exception:  # a function of the user's own may fail in any way on such numbers
            if row.is_builtin:
                raise
            self.only_floats.add(j)
        rise = 0
        for m, move in enumerate(moves):
            if move:
                h = self._step * 2.0**-14 * (min(abs(floats[m]), 1.0) or 1.0) * (1 - 2 * (move < 0))
                near = ([*floats[:m], floats[m] + k * h, *floats[m + 1 :]] for k in range(3))
                a, b, c = (row.value(FLOATS, *operands) for operands in near)
                rise += move * ((4.0 * b - 3.0 * a - c) / (2.0 * h))
        return rise

    def _prepare(self, j: int, floats: list[float]) -> Any:
        """The function of the j-th node, its operands and its value, with digits."""
        if self._prepared.get(j, (0,))[0] < _MP.dps:
            row, at = self.nodes[j]._row, [_MP.mpf(x) for x in floats]
            functions = getattr(row, "functions", None)
            value = functions[0] if functions else partial(row.value, Digits)
            here = _real(value(*at))
            if functions and abs(here - self.data[j]) > 1e-6 * abs(self.data[j]):
                raise TypeError("it computes something else with many digits")
            self._prepared[j] = _MP.dps, (value, at, here)
        return self._prepared[j][1]

    def argument_slopes(self, i: int) -> Slopes:
        """The slopes of J in the i-th argument."""
        return self._slopes(partial(self.rise, i), self.data[self.arguments[i] or 0])

    def node_slopes(self, j: int, m: int) -> Slopes:
        """The slopes of the j-th node alone in its m-th operand."""
        count, x = len(self.operands[j]), self.data[self.operands[j][m]]
        moved = [k == m for k in range(count)]
        found = self._slopes(lambda h: self.move(j, [h if each else None for each in moved]), x)
        return *found[:2], found[2] + 1e-11 * max(abs(x), 1.0) * (j in self.only_floats)

    def _slopes(self, rise: Callable[[Number], Number], x: float) -> Slopes:
        """The limits of rise(h) / h; nan on a side without values, infinite at a jump."""
        size, error = min(abs(x), 1.0) or 1.0, 0.0
        with _MP.workdps(70 + int(math.log10(max(self.largest, 1.0)) - math.log10(size))):
            steps = -size * _MP.mpf(10) ** -20, size * _MP.mpf(10) ** -20
            found = [_quotient(rise, h) for h in steps]
            if not abs(found[1] - found[0]) <= 1e-15 * abs(found[1]):  # a kink or an edge, perhaps
                found = [_limit(rise, h) for h in steps]
            for step in (0.7, 2.3) if self.only_floats else ():
                self._step = step
                again = (abs(y - _limit(rise, h)) for y, h in zip(found, steps, strict=True))
                error = max([error, *filter(math.isfinite, again)])
            self._step = 1.0
        if error > 1e-4 * max(filter(math.isfinite, map(abs, found)), default=0.0):
            error = math.inf  # nothing is known
        is_smooth = abs(found[1] - found[0]) <= 1e-9 * abs(found[1])
        return found[is_smooth], found[1], error

    def is_corner(self, j: int) -> bool:
        """Whether the j-th node is on a kink, as far as can be seen."""
        if self.nodes[j]._row.is_builtin:
            return self.nodes[j].is_at_kink
        found = (self.node_slopes(j, m) for m in range(len(self.operands[j])))
        return any(
            math.isinf(a - b) or abs(a - b) > 1e-6 * abs(a) + 4.0 * error for a, b, error in found
        )


def _quotient(rise: Callable[[Number], Number], h: Number) -> float:
    """rise(h) / h; nan if there is no value."""
    try:
        q = float(mpmath.libmp.to_float(_MP.mpf(rise(h) / h)._mpf_))
        q = 0.0 if abs(q) < 1e-38 else q  # nothing but rounding, or the next power of h
        return q if math.isfinite(q) else math.nan
    except (ArithmeticError, ValueError):
        return math.nan


def _limit(rise: Callable[[Number], Number], h: Number) -> float:
    """The limit of rise(h) / h for small h of one sign."""
    a, b, c = (_quotient(rise, step) for step in (h, h / 10**3, h / 10**6))
    if max(abs(a), abs(b), abs(c)) < 1e-40:  # nothing but rounding
        return 0.0
    if abs(c - b) <= 1e-9 * abs(c) or abs(c) > 1.5 * abs(b):
        return c if abs(c) <= 1.5 * abs(b) else math.copysign(math.inf, c)
    limit = c - (c - b) ** 2 / (c - 2.0 * b + a or math.inf)  # Aitken's, for x**1.5 at 0
    return limit if not abs(limit) <= 1e-12 * abs(a) else 0.0


def _real(x: Number) -> Number:
    """x as a number with digits; ValueError if it is complex."""
    if type(x) is _MP.mpf:
        return x
    if isinstance(x, _MP.mpc) or x - x != 0:
        raise ValueError("not a real number")
    return _MP.mpf(x)
