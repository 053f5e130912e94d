"""A plan as a list of NumPy calls on fixed buffers, for one number of items.

>>> from tinygrad_margin.engine import Value, topological_order
>>> from tinygrad_margin.tape.record import Record
>>> x = Value(3.0)
>>> plan = Plan(Record(topological_order(x * x + 1.0), [x]), np.array([True]))
>>> value, slopes = np.empty(2), np.empty((1, 2))
>>> _ = Program(plan, items=2).run([], [np.array([1.0, 2.0])], value, slopes)
>>> value, slopes
(array([2., 5.]), array([[2., 4.]]))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_margin.tape.arrays import Floats
from tinygrad_margin.tape.builder import Builder, Row
from tinygrad_margin.tape.calls import Call, run
from tinygrad_margin.tape.plan import Plan


class Program:
    """The calls of a plan, for one number of items: ``forward`` and ``backward``."""

    def __init__(self, plan: Plan, items: int) -> None:
        builder = Builder(plan, items)
        for step in plan.steps:
            builder.start_step()
            step.forward(builder)
        self.forward, builder.calls = builder.calls, []
        for step in reversed(plan.steps):
            builder.start_step()
            step.backward(builder)
        builder.finish()
        self.backward = builder.calls
        self._values, self._adjoints = builder.values, builder.adjoints
        self._cleared, self._inputs = builder.cleared, plan.inputs
        self._root = int(plan.varying[-1]), int(plan.slot[-1])
        self._arrange_rows(builder, [*self.forward, *self.backward])

    def _arrange_rows(self, builder: Builder, calls: list[Call]) -> None:
        """Find where calls can use the caller's arrays as inputs and results; reuse other rows."""
        values, adjoints = id(self._values[1]), id(self._adjoints[1])
        ends = {(buffer, i) for buffer in (values, adjoints) for i in range(self._inputs[1])}
        J = {(values, self._root[1])} if self._root[0] else set[Row]()
        alone = builder.rows_used_alone()
        # For each row of an input or result: the row, and where calls use it. (An input that is J
        # itself is copied.)
        self._ends = {row: (x, list[Any]()) for row, x in alone.items() if row in ends ^ J}
        spots = {id(x): found for x, found in self._ends.values()}
        own = {id(x) for row, x in alone.items() if row not in ends | J}
        temporary: set[int] = set()
        for function, operands, out in calls:
            for holder, entries in ((operands, enumerate(operands)), (out, out.items())):
                for key, x in entries:
                    if id(x) in spots:
                        spots[id(x)].append((holder, key))
            if _is_each(function) and out["out"].shape == (1, builder.items):
                temporary |= {id(x) for x in out.values() if builder.is_temporary(x)}
        _reuse_rows(calls, own, temporary)

    def run(
        self, numbers: Sequence[float] | Floats, arrays: Sequence[Floats], value: Floats,
        slopes: Sequence[Floats], *, gradient: bool = True,
    ) -> Floats:  # fmt: skip
        """Fill ``value`` with J, and ``slopes`` with ∂J/∂input for the inputs that are arrays.

        Returns:
            ∂J/∂input for the inputs that are numbers, over all items. It holds until the next run.
        """
        values, adjoints, (varies, place) = self._values[1], self._adjoints[1], self._root
        try:
            self._values[0][: self._inputs[0]] = numbers
            for i, x in enumerate(arrays):
                if not self._use((id(values), i), x[None]):
                    values[i] = x
            is_filled = varies and self._use((id(values), place), value[None])
            run(self.forward)
            if not is_filled:
                value[:] = self._values[varies][place]
            if gradient:
                rest = [
                    i for i, x in enumerate(slopes) if not self._use((id(adjoints), i), x[None])
                ]
                for kind, places in self._cleared:
                    self._adjoints[kind][places] = 0.0
                run(self.backward)
                for i in rest:
                    np.add(adjoints[i], 0.0, out=slopes[i])  # turns −0.0 into 0.0
            return self._adjoints[0][: self._inputs[0]]
        finally:  # keep none of the caller's arrays
            for row, (x, _) in self._ends.items():
                self._use(row, x)

    def _use(self, row: Row, x: Floats) -> bool:
        """Have the calls use an array instead of a row of a buffer, if they can."""
        for holder, key in self._ends[row][1] if row in self._ends else ():
            holder[key] = x
        return row in self._ends


def _reuse_rows(calls: list[Call], own: set[int], temporary: set[int]) -> None:
    """Let results stand in rows that nobody reads any more: few rows stay in the cache.

    ``own`` are the ids of arrays that are rows of their own; a ``temporary`` one can take such a
    row, but has none to leave.
    """
    last = {id(x): i for i, (_, operands, _) in enumerate(calls) for x in operands}
    moved: dict[int, Floats] = {}
    free: list[Floats] = []
    for i, (function, operands, out) in enumerate(calls):
        done = [moved[x] for x in {id(x) for x in operands} & moved.keys() if last[x] == i]
        operands[:] = [moved.get(id(x), x) for x in operands]
        if _is_each(function):
            free, done = free + done, []  # a result may replace an operand
        for x in out.values():
            if id(x) not in moved and (id(x) in own or (free and id(x) in temporary)):
                moved[id(x)] = free.pop() if free else x
            out["out"] = moved.get(id(x), x)
        free += done


def _is_each(function: Any) -> bool:
    """Whether a function of NumPy works item by item."""
    return isinstance(function, np.ufunc) and not function.signature
