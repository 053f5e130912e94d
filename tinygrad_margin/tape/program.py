"""A plan as a list of NumPy calls on fixed buffers, for one number of items.

>>> from tinygrad_margin.engine import Value, topological_order
>>> x = Value(3.0)
>>> record = Record(topological_order(x * x + 1.0), [x])
>>> program = Program(Plan(record, np.array([True])), items=2)  # x is an array of two items
>>> value, slopes = np.empty(2), np.empty((1, 2))
>>> program.run([], [np.array([1.0, 2.0])], value, slopes)  # no input is a number
array([], dtype=float64)
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
from tinygrad_margin.tape.record import Record


class Program:
    """The calls of a plan, for one number of items.

    Args:
        plan: what is computed together.
        items: how many items there are.

    Attributes:
        forward: the calls that compute the values.
        backward: the calls that compute the adjoints.
    """

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
        alone = {row: x for row, x in builder.rows.items() if not builder.is_shared(row)}
        lendable = {row for row in ends ^ J if not builder.is_shared(row)}  # an input as J: copy
        self._rows = {row: alone[row] for row in lendable & alone.keys()}
        self._spots: dict[Row, list[tuple[Any, Any]]] = {row: [] for row in lendable}
        spots = {id(x): self._spots[row] for row, x in self._rows.items()}
        own = {id(alone[row]) for row in alone.keys() - ends - J if row[0] in (values, adjoints)}
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
        slopes: Sequence[Floats] | None = None,
    ) -> Floats:  # fmt: skip
        """Compute J and its gradient.

        Args:
            numbers: the inputs that do not vary.
            arrays: the others, each contiguous.
            value: is filled with J.
            slopes: are filled with ∂J/∂input for the arrays. None: compute J only.

        Returns:
            ∂J/∂input for the numbers, over all items. It holds until the next run.
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
            used = [
                self._use((id(adjoints), i), x[None])
                for i, x in enumerate(slopes if slopes is not None else ())
            ]
            for kind, places in self._cleared:
                self._adjoints[kind][places] = 0.0
            run(self.backward if slopes is not None else ())
            for i in (i for i, is_used in enumerate(used) if not is_used):
                np.add(adjoints[i], 0.0, out=slopes[i])  # turns −0.0 into 0.0
            return self._adjoints[0][: self._inputs[0]]
        finally:  # keep none of the caller's arrays
            for row, x in self._rows.items():
                self._use(row, x)

    def _use(self, row: Row, x: Floats) -> bool:
        """Have the calls use an array instead of a row of a buffer, if they can."""
        spots = self._spots.get(row)
        for holder, key in spots or ():
            holder[key] = x
        return spots is not None


def _reuse_rows(calls: list[Call], own: set[int], temporary: set[int]) -> None:
    """Let results stand in rows that nobody reads any more: few rows stay in the cache.

    Args:
        calls: all calls; they are changed.
        own: the ids of arrays that are rows of their own.
        temporary: the ids of arrays that may take another row's place, but not lend theirs.
    """
    last = {id(x): i for i, (_, operands, _) in enumerate(calls) for x in operands}
    moved: dict[int, Floats] = {}
    free: list[Floats] = []
    for i, (function, operands, out) in enumerate(calls):
        done = [moved[x] for x in {id(x) for x in operands} & moved.keys() if last[x] == i]
        operands[:] = [moved.get(id(x), x) for x in operands]
        if _is_each(function):
            free += done  # a result may replace an operand
            done = []
        for x in out.values():
            if id(x) not in moved and (id(x) in own or (free and id(x) in temporary)):
                moved[id(x)] = free.pop() if free else x
            out["out"] = moved.get(id(x), x)
        free += done


def _is_each(function: Any) -> bool:
    """Whether a function of NumPy works item by item."""
    return isinstance(function, np.ufunc) and not function.signature
