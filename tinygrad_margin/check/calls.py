"""A function of Values at a place: its graph there, and its slopes by differences.

    >>> calls = Calls(lambda x, y: x * y.log(), [2.0, 4.0])
    >>> calls.compare()
    >>> [round(calls.measure(i).slope, 9) for i in range(2)], calls.count
    ([1.386294361, 0.5], 10)
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, SupportsFloat, TypeAlias

import numpy as np

from tinygrad_margin.check.digits import Graph
from tinygrad_margin.engine import Value
from tinygrad_margin.guard.functions import named_numbers
from tinygrad_margin.ops import FLOATS
from tinygrad_margin.views.names import node_formula, node_names

Function: TypeAlias = Callable[..., Value]


def numeric_grad(f: Function, xs: Iterable[SupportsFloat]) -> list[float]:
    """The gradient of f at xs by finite differences, without reverse mode.

    On a kink it is the mean of the slopes of the two sides; at an edge of f's domain, the slope of
    the one side.

    Args:
        f: a function of Values, called as ``f(*values)``, that returns a Value.
        xs: one number for each argument.

    Raises:
        TypeError, ValueError: as ``gradcheck``; also ValueError if f jumps at xs, or if a slope is
            not known to 1e-6 of it.

    Example:
        >>> [round(slope, 9) for slope in numeric_grad(lambda x, y: x * y.log(), [2.0, 4.0])]
        [1.386294361, 0.5]
    """
    calls = Calls(f, xs)
    calls.compare()
    found = [calls.measure(i) for i in range(len(calls.xs))]
    for name, one in zip(calls.names, found, strict=True):
        if one.jumps or not one.error <= 1e-6 * abs(one.slope) + 1e-12 * calls.graph.largest:
            raise ValueError(
                f"the differences of f in {name} do not settle at {calls.where()}: "
                f"{'f jumps there' if one.jumps else 'rounding hides the slope'}"
            )
    return [one.slope for one in found]


class Measured(NamedTuple):
    """The slopes of f below and above an argument, and what is special about the place."""

    below: float
    above: float
    error: float
    kink: str = ""  # what is on its kink there
    edge: str = ""  # "below" or "above" if f has no value on that side
    jumps: bool = False  # or its slope is infinite

    @property
    def slope(self) -> float:
        """The slope, or the mean of the two."""
        return self.below if self.below == self.above else (self.below + self.above) / 2.0


class Calls:
    """f at xs: its value J, its arguments ``leaves``, and its graph.

    ``off`` has the arguments for which f computes off its graph; for each, whether f writes into a
    leaf that it keeps.
    """

    def __init__(self, f: Function, xs: Iterable[SupportsFloat]) -> None:
        self.f, self.count, self.off = f, 0, dict[int, bool]()
        self.names, self.xs = named_numbers(f, xs)
        self.J, self.leaves, self.graph = self._call({})
        if not math.isfinite(y := self.graph.data[-1]):
            raise ValueError(f"f is {y} at {self.where()}: there is no slope to check")
        self._sides: dict[int, list[Graph | None]] = {}  # below and above, if not the same graph

    def where(self) -> str:
        """The arguments with their numbers, the first few."""
        pairs = zip(self.names[:5], self.xs, strict=False)
        return ", ".join(f"{name} = {x}" for name, x in pairs) + ", …" * (len(self.xs) > 5)

    def _call(self, steps: Mapping[int, float]) -> tuple[Value, list[Value], Graph]:
        """The value of f with some arguments moved, the arguments, and the graph."""
        self.count += 1
        at = [x + steps.get(i, 0.0) for i, x in enumerate(self.xs)]
        leaves = [Value(x, name) for x, name in zip(at, self.names, strict=True)]
        J = self.f(*leaves)
        if isinstance(J, Value):
            return J, leaves, Graph(J, leaves)
        hint = (
            ": x.data, float(x) and math.exp(x) are plain numbers, which no gradient flows "
            "through. Use x itself, x.exp() and the like"
        ) * isinstance(J, (int, float))
        raise TypeError(
            "f is to return a Value, computed from its arguments by operations on Values; it "
            f"returned {type(J).__name__} {J!r:.60}{hint}"
        )

    def _graph(self, steps: Mapping[int, float]) -> Graph | None:
        """The graph of f with some arguments moved; None if f has no value there."""
        with suppress(ArithmeticError, ValueError):
            graph = self._call(steps)[2]
            return graph if math.isfinite(graph.data[-1]) else None
        return None

    def compare(self) -> None:
        """Call f right beside xs, for it may compute something else there; and at xs again.

        Raises:
            ValueError: f gives something else at xs than before.
        """
        steps = [min(2.0**-30 * max(abs(x), 1.0), abs(x) / 4.0 or 1.0) for x in self.xs]
        pair = [self._graph({i: way * h for i, h in enumerate(steps)}) for way in (-1, 1)]
        if any(graph is None or self._differs(graph) is not None for graph in pair):
            for i, h in enumerate(steps):
                graphs = pair if len(steps) == 1 else [self._graph({i: -h}), self._graph({i: h})]
                self._sides[i] = [self._side(i, graph) for graph in graphs]
        states, times, y = list[Any](), 3 if self.off else 7, self.graph.data[-1]
        while times > 0:
            again, times = self._graph({}), times - 1
            if again is None or again.data[-1] != y or self._differs(again) is not None:
                raise ValueError(
                    f"f gives {y} at {self.where()}, and {again and again.data[-1]} when it is "
                    "called again: differences need a function that depends on its arguments only."
                    " Is there a random number in it, or something that it changes?"
                )
            states.append(_random_state())
            if len(states) == 2 and states[0] != states[1]:  # a random number that matters rarely
                times = 100

    def _differs(self, graph: Graph) -> Value | None:
        """A node by which another graph is not this function; None if it is."""
        if graph.wiring != self.graph.wiring:
            return graph.nodes[-1]
        for j, operands in enumerate(graph.operands):
            expected, row = self.graph.data[j], self.graph.nodes[j]._row
            if j in graph.arguments or (operands and row.is_builtin):
                continue
            if operands:
                expected = row.value(FLOATS, *(graph.data[k] for k in operands))
            if graph.data[j] != expected and expected == expected:
                return graph.nodes[j]
        return None

    def _side(self, i: int, graph: Graph | None) -> Graph | None:
        """The graph that has the slope on one side of the i-th argument."""
        if graph is None or graph.wiring != self.graph.wiring:
            return graph
        if (node := self._differs(graph)) is not None:
            self.off[i] = self.off.get(i, False) or node in self.graph.nodes
        return self.graph

    def measure(self, i: int) -> Measured:
        """The slopes in the i-th argument; ValueError if f has no value on either side."""
        x = self.xs[i]
        if i in self.off:  # differences of f itself
            h = 2.0**-10 * max(abs(x), 1.0)
            y = [g.data[-1] if (g := self._graph({i: k * h})) else math.nan for k in (-2, -1, 1, 2)]
            fine, coarse = (y[2] - y[1]) / 2.0 / h, (y[3] - y[0]) / 4.0 / h
            slope = fine + (fine - coarse) / 3.0
            return Measured(slope, slope, abs(slope - fine))
        sides, error, kinks, jumps = list[float](), 0.0, dict[str, None](), False
        for way, graph in enumerate(self._sides.get(i, [self.graph, self.graph])):
            *found, off = graph.argument_slopes(i) if graph else (math.nan, math.nan, 0.0)
            sides, error = [*sides, found[way]], max(error, off)
            if graph and graph is not self.graph:
                kinks["f itself, which computes something else there"] = None
                rise = abs(graph.data[-1] - self.graph.data[-1])
                flat = 2.0**-28 * max(abs(x), 1.0) * abs(found[way]) + 1e-9 * self.graph.largest
                jumps |= rise > flat
        if all(map(math.isnan, sides)):
            at = f"{self.names[i]} at {self.where()}"
            raise ValueError(f"f has no numeric slope in {at}: it has no value near by")
        edge = "below" if math.isnan(sides[0]) else "above" if math.isnan(sides[1]) else ""
        below, above = (a if a == a else b for a, b in (sides, sides[::-1]))
        jumps |= math.isinf(below) or math.isinf(above)
        if abs(above - below) <= 1e-9 * abs(above) + 4.0 * error and not jumps:
            kinks.clear()
        else:
            nodes, names = self.graph.nodes, node_names(self.graph.nodes)
            on = (nodes[j] for j in self.graph.moved_by(i)[1:] if self.graph.is_corner(j))
            kinks |= dict.fromkeys(node_formula(node, names) for node in on)
        return Measured(below, above, error, ", ".join(list(kinks)[:3]), edge, jumps)


def _random_state() -> Any:
    """The state of the random numbers that a function may draw."""
    of_numpy: Any = np.random.get_state()
    return random.getstate(), of_numpy[2:]
