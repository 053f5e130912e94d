"""The slopes of a function of Values by differences of numbers with 70 digits and more.

>>> Calls(lambda x: x**3 + 1e16, [2.0]).slopes(0).numeric   # 1e16 hides nothing
12.0
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from typing import Any, NamedTuple, SupportsFloat, TypeAlias

import mpmath
import numpy as np

from tinygrad_margin.engine import Value, topological_order
from tinygrad_margin.graph import nodes_reached_from
from tinygrad_margin.guard import typed
from tinygrad_margin.guard.named_arguments import named_numbers
from tinygrad_margin.ops import FLOATS
from tinygrad_margin.primitive import value_is_formula
from tinygrad_margin.views.notation import number

Number: TypeAlias = Any  # an mpf, a number with many digits
_FLOAT_STEPS = 2.0**-13, 0.7 * 2.0**-13, 1.3 * 2.0**-13, 2.0**-12  # for an operation of floats
_FORWARD = -25.0, 48.0, -36.0, 16.0, -3.0  # differences to one side, of fourth order

# The mathematics of numbers with many digits, our own: the precision of mpmath.mp stays as it is.
_MP: Any = mpmath.MPContext()
_MP.abs, _MP.pow, _MP.maximum = abs, operator.pow, FLOATS.maximum
_MP.sigmoid, _MP.sech2 = lambda a: 1 / (1 + _MP.exp(-a)), lambda a: _MP.sech(a) ** 2


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
        """The mean of the two; nan at a jump, or if they are not known."""
        mean = 0.5 * self.below + 0.5 * self.above
        return mean if math.isfinite(mean + self.error) else math.nan

    def distance(self, slope: float) -> float:
        """How far a slope is from lying between them; nan at a jump."""
        low, high = sorted([self.below, self.above])
        return max(low - slope, slope - high, 0.0) + 0.0 * self.numeric

    def __str__(self) -> str:
        below, above = number(self.below, 7), number(self.above, 7)
        return f"{below} below and {above} above" if self.is_kink else above


class Graph:
    """The graph of J as it is now; ``key`` is the same for another call of f that does the same.

    If ``at`` is given, it is where the arguments were before f was called.
    """

    def __init__(self, J: Value, arguments: Sequence[Value], at: Sequence[float] = ()) -> None:
        self.order, self.arguments, self.value = topological_order(J), arguments, J.data
        place = {node: j for j, node in enumerate([*self.order, *arguments])}
        self.wiring = [
            (place[node], node._row.name, *(place[parent] for parent in node.parents))
            for node in self.order
        ]
        self.data, given = {node: node.data for node in place}, set(arguments)
        constants = [x.data for x in self.order if not x.parents and x not in given]
        moved = [leaf.data - x for leaf, x in zip(arguments, at, strict=False)]  # by f itself
        self.key = self.wiring, constants, moved
        self.largest = max(filter(math.isfinite, map(abs, self.data.values())), default=0.0)
        # A function with an `if` or a loop is no better with more digits: it may be a bisection.
        rows = {node._row for node in self.order}
        self.only_floats = {row for row in rows if not value_is_formula(row)}
        self._at_rest: dict[tuple[Value, int], Any] = {}

    def predicts(self, other: Graph) -> bool:
        """Whether another call, of the same wiring, computed what this graph says."""
        return self.key == other.key and all(
            other.data[node] == mine._row.value(FLOATS, *(other.data[x] for x in node.parents))
            for node, mine in zip(other.order, self.order, strict=True)
            if node.parents
        )

    def slopes(self, leaf: Value) -> Slopes:
        """The slopes of J in a leaf."""
        _, *moving = nodes_reached_from([leaf], self.order)
        size = min(abs(self.data[leaf]), 1.0) or 1.0
        digits = 50 + int(math.log10(max(self.largest, 1.0)) - math.log10(size))

        def slope(h: Number, float_step: float) -> float:
            moves = {leaf: h}
            try:
                for node in moving:
                    of_operands = [moves.get(x) for x in node.parents]
                    moves[node] = self._move(node, of_operands, float_step)
                quotient = _MP.mpf(moves.get(self.order[-1], 0) / h)
            except (ArithmeticError, ValueError):
                return math.nan
            return float(mpmath.libmp.to_float(quotient._mpf_, rnd="n"))

        sides, tiny = [math.nan, math.nan], 1e-12 * max(self.largest, 1.0)
        for power in (20, 400):  # where the two sides differ, or are almost 0, look closer
            with _MP.workdps(power + digits):
                h = size * _MP.mpf(10) ** -power
                before, sides = sides, [slope(way * h, _FLOAT_STEPS[0]) for way in (-1, 1)]
                again = product(_FLOAT_STEPS[1:] if self.only_floats else (), (-1, 1))
                off = [abs(slope(side * h, step) - sides[side > 0]) for step, side in again]
            if math.isclose(*sides, rel_tol=1e-15) and abs(sides[0]) > tiny:
                break
        for k, (far, near) in enumerate(zip(before, sides, strict=True)):
            if abs(near) > max(2.0 * abs(far), tiny):  # it grows without bound, as log h does
                sides[k] = math.inf
            elif abs(near) < 1e-9 * abs(far):  # it goes to 0, as a power of h does
                sides[k] = 0.0
        below, above = (a if a == a else b for a, b in (sides, sides[::-1]))  # at an edge, the same
        error = max(filter(math.isfinite, off), default=0.0) + 1e-300 * bool(self.only_floats)
        is_known = error <= 1e-4 * max(abs(below), abs(above)) + 1e-10
        return Slopes(below, above, error if is_known else math.inf)

    def _move(self, node: Value, moves: Sequence[Number | None], float_step: float) -> Number:
        """How far a node moves when its operands move, from the numbers that reverse mode saw."""
        row, at = node._row, [self.data[parent] for parent in node.parents]
        if row not in self.only_floats:
            if (node, _MP.dps) not in self._at_rest:
                numbers = [_MP.mpf(x) for x in at]
                self._at_rest[node, _MP.dps] = numbers, row.value(_MP, *numbers)
            numbers, here = self._at_rest[node, _MP.dps]
            moved = [a if h is None else a + h for a, h in zip(numbers, moves, strict=True)]
            there = row.value(_MP, *moved)  # −inf, a mask, does not move at all
            return 0 * _MP.one if there == here else _real(there) - _real(here)
        rise = 0
        for m, move in enumerate(moves):
            if move:  # to the side of the move, so that no step crosses a kink
                h = float_step * (min(abs(at[m]), 1.0) or 1.0) * (1 if move > 0 else -1)
                near = ([*at[:m], at[m] + k * h, *at[m + 1 :]] for k in range(5))
                values = (row.value(FLOATS, *operands) for operands in near)
                terms = map(operator.mul, _FORWARD, values)
                rise += move * (math.fsum(terms) / (12.0 * h))
        return rise


def _real(x: Number) -> Number:
    """x as a number with digits; ValueError if it is complex or not finite."""
    if isinstance(x, _MP.mpc) or x - x != 0:
        raise ValueError("not a real number")
    return _MP.mpf(x)


class Calls:
    """f at xs, and its ``graph`` there.

    After ``compare``, ``beside`` has the graphs one of the ``steps`` below and above an argument
    (None: no value), if f does something else there; ``off`` the arguments used outside the graph.
    """

    def __init__(self, f: Callable[..., Value], xs: Iterable[SupportsFloat]) -> None:
        self.names, self.xs = named_numbers(f, xs)
        self.f, self.off, self.beside = f, set[int](), dict[int, list[Graph | None]]()
        self.steps = [min(2.0**-20 * max(abs(x), 1.0), abs(x) / 4.0 or 1.0) for x in self.xs]
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
                f"f must return one Value; it returned {typed(J)}. No gradient flows through the "
                "plain numbers x.data, float(x) and math.exp(x): use x itself, x.exp() and the like"
            )
        return Graph(J, leaves, at)

    def _beside(self, steps: Mapping[int, float]) -> Graph | None:
        """The same; None if f has no value there."""
        with suppress(ArithmeticError, ValueError):
            graph = self._call(steps)
            return graph if math.isfinite(graph.value) else None
        return None

    def compare(self) -> None:
        """Call f right beside xs, where it may do something else, and at xs, where it must not."""
        here, states = self.graph, list[Any]()
        near = [self._beside({i: way * h for i, h in enumerate(self.steps)}) for way in (-1, 1)]
        if not all(graph and here.predicts(graph) for graph in [here, *near]):
            for i, h in enumerate(self.steps):
                near = [self._beside({i: -h}), self._beside({i: h})] if self.xs[1:] else near
                self.beside[i] = near
                if any(g and g.wiring == here.wiring and not here.predicts(g) for g in near):
                    self.off.add(i)
        for _ in range(7):  # at the end, so that what f keeps is what it was
            again = self._beside({})
            states.append((random.getstate(), str(np.random.get_state())))
            is_same = again and again.key == here.key and again.value == here.value
            if not is_same or states[0] != states[-1]:
                raise ValueError(
                    f"f must give the same when it is called again; at xs = {self.xs!r:.60} it "
                    "draws random numbers or changes something. Switch off dropout, or set the "
                    "seed inside f"
                )

    def slopes(self, i: int) -> Slopes:
        """The slopes in the i-th argument; ValueError if f has no value on either side."""
        here = self.graph
        below, above, error = here.slopes(here.arguments[i])
        sides = [below, above]
        beside = self.beside.get(i, [here, here])
        if beside == [None, None] or math.isnan(below):
            at = f"{self.names[i]} = {self.xs[i]}"
            raise ValueError(f"f has no value beside {at}, so it has no slope")
        for side, graph in enumerate(beside):
            if graph is None:
                sides[side] = sides[1 - side]
            elif graph.wiring != here.wiring or i in self.off:
                # By differences of f itself. Its graph is a step away: if it agrees, it says how
                # far the slope changes on the step, and that is taken off.
                h, known = self.steps[i] * (2 * side - 1), graph.slopes(graph.arguments[i])[side]
                rise, rough = (graph.value - here.value) / h, 2.0**-50 * here.largest / abs(h)
                is_like_graph = i not in self.off and abs(rise - known) <= 1e-3 * abs(known) + rough
                sides[side] = 2.0 * rise - known if is_like_graph else rise
                error = max(error, rough)
                if abs(rise) > 1e4 * (1.0 + abs(known) + here.largest):
                    sides[side] = math.inf
        if i in self.off and None not in beside:  # the mean, as the curve cancels in it
            sides = [sum(sides) / 2.0] * 2
        return Slopes(sides[0], sides[1], error)
