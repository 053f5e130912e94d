"""Gradients against finite differences: is reverse mode right?

>>> [row.verdict for row in gradcheck(lambda s, t: (s - t).relu(), [1.5, 1.5]).rows]
['lies between', 'lies between']
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import SupportsFloat

from tinygrad_margin.calculus import grad
from tinygrad_margin.check.differences import Calls, Graph, Slopes
from tinygrad_margin.engine import Value, operation, with_gradient
from tinygrad_margin.graph import Edge, nodes_reached_from
from tinygrad_margin.many import largest_of
from tinygrad_margin.ops import FLOATS
from tinygrad_margin.slopes import row_for
from tinygrad_margin.views.check_table import CheckedSlope, GradientCheck
from tinygrad_margin.views.names import node_formula, node_names
from tinygrad_margin.views.notation import number

_OUTSIDE = (
    "f overwrites the data of a node, or uses {x}.data, float({x}) or math.exp({x}): plain "
    "numbers, which no gradient flows through. Use {x} itself and {x}.exp(). If f sets weights "
    "that it keeps (w.data = {x}.data), the gradient is in w.grad: compare it with numeric_grad."
)
_UNUSED = (
    "f uses none of its arguments, so every slope is 0. To check the weights of a network, f must "
    "compute with the Values that it is given."
)
_WRONG = "The gradient of f is wrong, though no single operation could be shown to be."


def gradcheck(
    f: Callable[..., Value], xs: Iterable[SupportsFloat], *, tolerance: float = 1e-6
) -> GradientCheck:
    """Compare the gradient of f at xs, by reverse mode, with finite differences.

    The differences are those of the recorded graph, with 70 digits and more; each operation is also
    checked by itself. f is called ten times at most, or ten times an argument if it does not do
    what its graph says.

    Args:
        f: a function of Values, called as ``f(*values)``, that returns a Value.
        xs: one number for each argument. If you pass a Value, its number and label are used.
        tolerance: the relative difference that is allowed.

    Raises:
        TypeError: f or xs are of another kind.
        ValueError: f is random, or has no value at xs or around it; xs is empty or not finite.
        SlopeError, OverflowError: an operation has no slope at xs, or one too large for a float.

    Example:
        >>> bool(gradcheck(lambda x: x**2 + 3 * x, [2.0]))
        True
    """
    if not 0.0 < tolerance < math.inf:
        raise ValueError(f"tolerance is a finite number above 0; got {tolerance}")
    calls = Calls(f, xs)
    check = _Check(calls, tolerance)  # before f is called again: it may change its leaves
    calls.compare()
    return GradientCheck(tuple(map(check.row, range(len(calls.xs)))), tuple(check.notes))


def numeric_grad(f: Callable[..., Value], xs: Iterable[SupportsFloat]) -> list[float]:
    """The gradient of f at xs by finite differences, without reverse mode.

    On a kink it is the mean of the two sides; at an edge of f's domain, the slope of the one side.
    The arguments and errors are those of ``gradcheck``; also ValueError if f jumps at xs, or if a
    slope is not known to 1e-6 of it.

    Example:
        >>> [round(slope, 9) for slope in numeric_grad(lambda x, y: x * y.log(), [2.0, 4.0])]
        [1.386294361, 0.5]
    """
    calls = Calls(f, xs)
    calls.compare()
    gradient = [calls.slopes(i) for i in range(len(calls.xs))]
    for name, found in zip(calls.names, gradient, strict=True):
        if not found.error <= 1e-6 * abs(found.numeric) + 1e-12 * calls.graph.largest:
            at = f"{name} at xs = {calls.xs!r:.60}"
            raise ValueError(
                f"no slope of f in {at} can be measured: it jumps there, or rounding hides it"
            )
    return [found.numeric for found in gradient]


class _Check:
    """Compares slopes, and collects sentences on what is special or wrong."""

    def __init__(self, calls: Calls, tolerance: float) -> None:
        self.calls, self.graph, self.tolerance = calls, calls.graph, tolerance
        order, leaves = calls.graph.order, calls.graph.arguments
        self.gradient, self.moving = grad(order[-1], leaves), nodes_reached_from(leaves, order)
        self.notes, self.names = dict[str, None](), node_names(order)
        self.kinks, self.unsure, self.faults = set[Value](), set[Value](), dict[Edge, str]()
        reached = set(with_gradient(order))
        for node in self.moving:
            # By itself, largest has slopes that it does not pass on; and −inf, a mask, has none.
            is_skipped = node._row is largest_of(len(node.parents)) or math.isinf(node.data)
            is_skipped |= node not in reached or self.moving.keys().isdisjoint(node.parents)
            if not is_skipped:
                self.check_operation(node)

    def check_operation(self, node: Value) -> None:
        """Compare the slopes that an operation declares with its own differences."""
        moving = [parent in self.moving for parent in node.parents]
        operands = [Value(self.graph.data[parent]) for parent in node.parents]
        alone = Graph(operation(node._row)(*operands), operands)
        row, at, out = row_for(node, moving), [x.data for x in operands], alone.value
        for m, (x, slope) in enumerate(zip(at, row.partials(FLOATS, *at, out), strict=True)):
            if not moving[m]:
                continue
            found, size = alone.slopes(operands[m]), min(abs(x), 1.0) or 1.0
            allowed = self.tolerance * max(map(abs, (slope, *found[:2]))) + 4.0 * found.error
            allowed += 1e-40 * abs(out) / size
            # In floats, a term such as 1 + exp(x) inside of a function may hide as much as this.
            hidden = 1e-11 * max(1.0, abs(x), abs(out), abs(x * slope)) / size
            hidden *= node._row in alone.only_floats
            off = found.distance(slope)
            if found.is_kink:
                self.kinks.add(node)
            if allowed < off <= allowed + hidden:
                self.unsure.add(node)
            elif allowed < off < math.inf:
                self.faults[Edge(node, m, node.parents[m])] = (
                    f"{node_formula(node, self.names)} gives its slope in "
                    f"{self.names[node.parents[m]]} = {number(x)} as {number(slope, 7)}, but "
                    f"differences give {found}. That is a wrong derivative of {node.op}."
                )

    def row(self, i: int) -> CheckedSlope:
        """The row of an argument."""
        found, reverse, at = self.calls.slopes(i), self.gradient[i], self.calls.xs[i]
        verdict, note = self.verdict(i, found)
        self.notes |= {note: None} if note else {}
        sides = found[:2] if found.is_kink and verdict in ("lies between", "DIFFERS") else None
        numbers = reverse, found.numeric, found.distance(reverse)
        return CheckedSlope(self.calls.names[i], at, *numbers, verdict, sides)

    def verdict(self, i: int, found: Slopes) -> tuple[str, str]:
        """The verdict on a slope, and a sentence on what is special or wrong."""
        calls, reverse, x = self.calls, self.gradient[i], self.calls.xs[i]
        if i in calls.off:
            return "off the graph", _OUTSIDE.format(x=calls.names[min(calls.off)])
        moved = nodes_reached_from([self.graph.arguments[i]], self.graph.order)
        if wrong := [fault for edge, fault in self.faults.items() if edge.parent in moved]:
            return "DIFFERS", wrong[0]
        difference, size = found.distance(reverse), self.graph.largest / max(abs(x), 1.0)
        allowed = self.tolerance * max(map(abs, (reverse, *found[:2]))) + 1e-13 * size
        is_right = difference <= allowed and found.error <= allowed < math.inf
        is_flat = abs(reverse) <= 1e-15 * size and found.error <= 1e-10 * size
        is_right |= is_flat and difference <= allowed + 4.0 * found.error
        is_right &= self.unsure.isdisjoint(moved)
        if is_right and not found.is_kink:
            return "agrees", _UNUSED * self.moving.keys().isdisjoint(self.graph.order)
        kinks = [node_formula(node, self.names) for node in moved if node in self.kinks]
        at, on = f"{calls.names[i]} = {number(x, 7)}", " and ".join(kinks[:3]) or "f itself"
        rough = "not settled", f"Differences are not accurate enough at {at}. Try another point."
        if math.isinf(found.error) or (found.error > allowed and not kinks):
            return rough
        if math.isnan(found.numeric) and math.isfinite(reverse):
            return "no slope", f"f has no slope at {at}: it jumps there, or is infinitely steep."
        where = f"{at} is at the kink of {on}: the slope is {found}. " * found.is_kink
        if is_right:
            takes = f"Reverse mode gives {number(reverse, 7)}, which lies between: a subgradient."
            return "lies between", where + takes
        if kinks:
            chain = f"At the kinks of {on}, the chain rule need not give a slope of f."
            return "DIFFERS", f"{where}{chain} Try a point beside {at}."
        if not (1e-6 * size < difference < math.inf and self.unsure.isdisjoint(moved)):
            return rough
        branch = f"f itself computes something else at {at} than beside it."
        return "DIFFERS", branch if i in calls.beside else _WRONG
