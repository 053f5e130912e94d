"""The slopes of a function of Values by differences of numbers with 70 digits and more.

>>> calls = Calls(lambda x, y: x * y.log() + 1e16, [2.0, 4.0])   # 1e16 hides nothing
>>> [round(calls.slopes(i).above, 9) for i in range(2)]
[1.386294361, 0.5]
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, SupportsFloat, TypeAlias

import mpmath
import numpy as np

from tinygrad_margin.engine import Value, topological_order
from tinygrad_margin.graph import nodes_reached_from
from tinygrad_margin.guard.functions import named_numbers
from tinygrad_margin.ops import FLOATS, Primitive
from tinygrad_margin.views.notation import number

Number: TypeAlias = Any  # an mpf, a number with many digits
_MP = mpmath.MPContext()  # our own: the precision of mpmath.mp stays as it is


_MP.mpf.__float__ = None  # math.exp in an operation of the user's own raises TypeError


class Digits:
    """The mathematics of numbers with many digits. Outside a domain they turn complex."""

    exp, log, sqrt, sin, cos, tanh = _MP.exp, _MP.log, _MP.sqrt, _MP.sin, _MP.cos, _MP.tanh
    abs, pow, maximum = staticmethod(abs), staticmethod(operator.pow), FLOATS.maximum
    sigmoid = staticmethod(lambda a: 1 / (1 + _MP.exp(-a)))


class Slopes(NamedTuple):
    """The slopes below and above a point. They differ on a kink, and are infinite at a jump."""

    below: float
    above: float
    error: float = 0.0  # how far off they may be

    @property
    def is_kink(self) -> bool:
        """Whether the two differ."""
        rough = (1e-6, 4.0 * self.error + 1e-10) if self.error else (1e-9, 0.0)  # of floats
        return not math.isclose(self.below, self.above, rel_tol=rough[0], abs_tol=rough[1])

    @property
    def numeric(self) -> float:
        """The mean of the two; nan at a jump."""
        mean = 0.5 * self.below + 0.5 * self.above
        return mean if math.isfinite(mean) else math.nan

    def distance(self, slope: float) -> float:
        """How far a slope is from lying between them; nan at a jump."""
        low, high = sorted([self.below, self.above])
        return max(low - slope, slope - high, 0.0) + 0.0 * self.numeric

    def __str__(self) -> str:
        below, above = number(self.below, 7), number(self.above, 7)
        return f"{below} below and {above} above" if self.is_kink else above


class Graph:
    """The graph of J as it is now; ``key`` is the same for another call of f that does the same."""

    def __init__(self, J: Value, arguments: Sequence[Value]) -> None:
        self.order, self.arguments, self.value = topological_order(J), arguments, J.data
        place = {node: j for j, node in enumerate([*self.order, *arguments])}
        self.wiring = [
            (place[node], node._row.name, *(place[parent] for parent in node.parents))
            for node in self.order
        ]
        self.data, given = {node: node.data for node in place}, set(arguments)
        constants = [x.data for x in self.order if not x.parents and x not in given]
        self.key = self.wiring, constants
        self.largest = max(filter(math.isfinite, map(abs, self.data.values())), default=0.0)
        self.only_floats, self._float_step = set[Primitive](), 0.0  # operations of the user's own
        self._at_rest: dict[tuple[Value, int], Any] = {}

    def slopes(self, leaf: Value) -> Slopes:
        """The slopes of J in a leaf."""
        _, *moving = nodes_reached_from([leaf], self.order[-1], self.order)
        size = min(abs(self.data[leaf]), 1.0) or 1.0
        digits = 50 + int(math.log10(max(self.largest, 1.0)) - math.log10(size))

        def slope(h: Number, float_step: float) -> float:
            self._float_step, moves = float_step, {leaf: h}
            try:
                for node in moving:
                    moves[node] = self._move(node, [moves.get(x) for x in node.parents])
                quotient = _MP.mpf(moves.get(self.order[-1], 0) / h)
            except (ArithmeticError, ValueError):
                return math.nan
            is_rounding = abs(quotient) < 1e-38  # or the next power of h
            return 0.0 if is_rounding else mpmath.libmp.to_float(quotient._mpf_, rnd="n")

        sides = [math.nan, math.nan]
        for power in (20, 400):  # where the two sides differ, look closer
            with _MP.workdps(power + digits):
                h = size * _MP.mpf(10) ** -power
                before, sides = sides, [slope(-h, 2.0**-14), slope(h, 2.0**-14)]
                again = [slope(-h, 2.0**-13), slope(h, 2.0**-13)] if self.only_floats else sides
            if math.isclose(*sides, rel_tol=1e-15):
                break
        off = (abs(a - b) for a, b in zip(sides, again, strict=True))
        error = max(filter(math.isfinite, off), default=0.0) + 1e-15 * bool(self.only_floats)
        grows = [abs(b) > 2.0 * abs(a) for a, b in zip(before, sides, strict=True)]  # as log h does
        sides = [math.inf if more else side for more, side in zip(grows, sides, strict=True)]
        below, above = (a if a == a else b for a, b in (sides, sides[::-1]))  # at an edge, the same
        is_known = error <= 1e-4 * max(abs(below), abs(above)) + 1e-10
        return Slopes(below, above, error if is_known else math.inf)

    def _move(self, node: Value, moves: Sequence[Number | None]) -> Number:
        """How far a node moves when its operands move, from the numbers that reverse mode saw."""
        row, at = node._row, [self.data[parent] for parent in node.parents]
        if row not in self.only_floats:
            try:
                if (node, _MP.dps) not in self._at_rest:
                    value = getattr(row, "functions", [partial(row.value, Digits)])[0]
                    numbers = [_MP.mpf(x) for x in at]
                    self._at_rest[node, _MP.dps] = value, numbers, _real(value(*numbers))
                value, numbers, here = self._at_rest[node, _MP.dps]
                moved = [a if h is None else a + h for a, h in zip(numbers, moves, strict=True)]
                return _real(value(*moved)) - here
            except (TypeError, AttributeError):
                self.only_floats.add(row)
        rise = 0
        for m, move in enumerate(moves):
            if move:  # to the side of the move, so that no step crosses a kink
                h = self._float_step * (min(abs(at[m]), 1.0) or 1.0) * (1 if move > 0 else -1)
                near = ([*at[:m], at[m] + k * h, *at[m + 1 :]] for k in range(3))
                a, b, c = (row.value(FLOATS, *operands) for operands in near)
                rise += move * ((4.0 * b - 3.0 * a - c) / (2.0 * h))
        return rise


def _real(x: Number) -> Number:
    """x as a number with digits; ValueError if it is complex or not finite."""
    if isinstance(x, _MP.mpc) or x - x != 0:
        raise ValueError("not a real number")
    return _MP.mpf(x)


class Calls:
    """f at xs, and its ``graph`` there.

    After ``compare``, ``off`` has the arguments with which f computes outside its graph; ``beside``
    has the graphs below and above an argument where f does something else, None without a value.
    """

    def __init__(self, f: Callable[..., Value], xs: Iterable[SupportsFloat]) -> None:
        self.names, self.xs = named_numbers(f, xs)
        self.f, self.off, self.beside = f, set[int](), dict[int, list[Graph | None]]()
        self.graph = self._call({})
        if not math.isfinite(y := self.graph.value):
            raise ValueError(f"f is {y} at xs = {self.xs!r:.80}: there is no slope to check")

    def _call(self, steps: Mapping[int, float]) -> Graph:
        """The graph of f with some arguments moved."""
        at = [x + steps.get(i, 0.0) for i, x in enumerate(self.xs)]
        leaves = [Value(x, name) for x, name in zip(at, self.names, strict=True)]
        J = self.f(*leaves)
        if not isinstance(J, Value):
            raise TypeError(
                f"f is to return a Value, and returned {type(J).__name__} {J!r:.60}. x.data, "
                "float(x) and math.exp(x) are plain numbers, which no gradient flows through: use "
                "x itself, x.exp() and the like"
            )
        return Graph(J, leaves)

    def _beside(self, steps: Mapping[int, float]) -> Graph | None:
        """The same; None if f has no value there."""
        with suppress(ArithmeticError, ValueError):
            graph = self._call(steps)
            return graph if math.isfinite(graph.value) else None
        return None

    def compare(self) -> None:
        """Call f right beside xs, where it may do something else, and at xs, where it must not."""
        here, states = self.graph, list[Any]()
        steps = [min(2.0**-30 * max(abs(x), 1.0), abs(x) / 4.0 or 1.0) for x in self.xs]
        near = [self._beside({i: way * h for i, h in enumerate(steps)}) for way in (-1, 1)]
        if any(graph is None or graph.key != here.key for graph in near):
            for i, h in enumerate(steps):
                near = [self._beside({i: -h}), self._beside({i: h})] if len(steps) > 1 else near
                self.beside[i] = [g if not g or g.wiring != here.wiring else here for g in near]
                if any(g and g.wiring == here.wiring and g.key != here.key for g in near):
                    self.off.add(i)
        for _ in range(3 if self.off else 7):
            again = self._beside({})
            states.append((random.getstate(), str(np.random.get_state())))
            is_same = again and again.key == here.key and again.value == here.value
            if not is_same or states[0] != states[-1]:
                raise ValueError(
                    f"f gives {here.value} at xs = {self.xs!r:.80}, and may give something else "
                    "when it is called again: it draws random numbers, or changes something, and "
                    "differences need a function of its arguments only"
                )

    def slopes(self, i: int) -> Slopes:
        """The slopes in the i-th argument; ValueError if f has no value on either side."""
        x, here = self.xs[i], self.graph
        if i in self.off:  # by differences of f itself
            h = 2.0**-17 * max(abs(x), 1.0)
            low, high = self._beside({i: -h}), self._beside({i: h})
            slope = (high.value - low.value) / (2.0 * h) if low and high else math.nan
            return Slopes(slope, slope)
        below, above, error = here.slopes(here.arguments[i])
        sides = [below, above]
        beside = self.beside.get(i, [here, here])
        if beside == [None, None] or math.isnan(sides[0]):
            raise ValueError(f"f has no value beside {self.names[i]} = {x}, so it has no slope")
        for side, graph in enumerate(beside):
            if graph is None:
                sides[side] = sides[1 - side]
            elif graph is not here:
                sides[side] = slope = graph.slopes(graph.arguments[i])[side]
                rise, step = abs(graph.value - here.value), 2.0**-28 * max(abs(x), 1.0)
                if rise > step * abs(slope) + 1e-9 * here.largest:
                    sides[side] = math.inf
        return Slopes(sides[0], sides[1], error)
