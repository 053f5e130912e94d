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

from tinygrad_margin.tape import calls
from tinygrad_margin.tape.arrays import Floats
from tinygrad_margin.tape.builder import Builder, Row
from tinygrad_margin.tape.calls import PlainCall
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
        bytes: about how much memory the program takes.
    """

    def __init__(self, plan: Plan, items: int) -> None:
        builder = Builder(plan, items)
        builder.calls = self.forward = builder.forward
        for step in plan.steps:
            builder.start_step()
            step.forward(builder)
        builder.calls = self.backward = builder.backward
        for step in reversed(plan.steps):
            builder.start_step()
            step.backward(builder)
        builder.finish()
        self._values, self._adjoints = builder.values, builder.adjoints
        self._cleared, self._inputs = builder.cleared, plan.inputs
        root = len(plan.record.op) - 1
        self._root = int(plan.varying[root]), int(plan.slot[root])
        every = [*self.forward, *self.backward]
        movable = self._find_spots(builder, every)
        for function, _, out in every:
            if _is_each(function) and out["out"].shape == (1, items):
                movable |= {id(x) for x in out.values() if builder.is_temporary(x)}
        _reuse_rows(every, movable)
        arrays = [x for _, operands, out in every for x in (*operands, *out.values())]
        whole = {id(base): base for x in arrays if (base := getattr(x, "base", x)) is not None}
        kept = sum(x.nbytes for x in whole.values() if isinstance(x, np.ndarray))
        self.bytes = kept + 1000 * len(every)

    def _find_spots(self, builder: Builder, every: list[PlainCall]) -> set[int]:
        """Find where the calls can use the caller's arrays, for inputs and results.

        Returns:
            The ids of the other rows that are used by themselves.
        """
        values, adjoints = id(self._values[1]), id(self._adjoints[1])
        ends = {(buffer, i) for buffer in (values, adjoints) for i in range(self._inputs[1])}
        J = {(values, self._root[1])} if self._root[0] else set[Row]()
        alone = builder.rows_used_alone()
        lendable = {row for row in ends ^ J if not builder.is_shared(*row)}  # an input as J: copy
        self._rows = {row: alone[row] for row in lendable & alone.keys()}
        self._spots: dict[Row, list[tuple[Any, Any]]] = {row: [] for row in lendable}
        spots = {id(x): self._spots[row] for row, x in self._rows.items()}
        for _, operands, out in every if spots else ():
            for holder, entries in ((operands, enumerate(operands)), (out, out.items())):
                for key, x in entries:
                    if id(x) in spots:
                        spots[id(x)].append((holder, key))
        rest = alone.keys() - ends - J
        return {id(alone[row]) for row in rest if row[0] in (values, adjoints)}

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
        try:
            self._run_forward(numbers, arrays, value)
            if slopes is not None:
                self._run_backward(slopes)
            return self._adjoints[0][: self._inputs[0]]
        finally:  # keep none of the caller's arrays
            for row, x in self._rows.items():
                self._use(row, x)

    def _run_forward(
        self, numbers: Sequence[float] | Floats, arrays: Sequence[Floats], value: Floats
    ) -> None:
        values, (space, place) = self._values[1], self._root
        self._values[0][: self._inputs[0]] = numbers
        for i, x in enumerate(arrays):
            if not self._use((id(values), i), x[None]):
                values[i] = x
        is_filled = space and self._use((id(values), place), value[None])
        calls.run(self.forward)
        if not is_filled:
            value[:] = self._values[space][place]

    def _run_backward(self, slopes: Sequence[Floats]) -> None:
        adjoints = self._adjoints[1]
        rest = [i for i, x in enumerate(slopes) if not self._use((id(adjoints), i), x[None])]
        for space, places in self._cleared:
            self._adjoints[space][places] = 0.0
        calls.run(self.backward)
        for i in rest:
            np.add(adjoints[i], 0.0, out=slopes[i])  # turns −0.0 into 0.0

    def _use(self, row: Row, x: Floats) -> bool:
        """Have the calls use an array instead of a row of a buffer, if they can."""
        spots = self._spots.get(row)
        for holder, key in spots or ():
            holder[key] = x
        return spots is not None


def _reuse_rows(every: list[PlainCall], movable: set[int]) -> None:
    """Let results stand in rows that nobody reads any more: few rows stay in the cache."""
    last = {id(x): i for i, (_, operands, _) in enumerate(every) for x in operands}
    moved: dict[int, Floats] = {}
    free: list[Floats] = []
    for i, (function, operands, out) in enumerate(every):
        done = [moved[x] for x in {id(x) for x in operands} & moved.keys() if last[x] == i]
        operands[:] = [moved.get(id(x), x) for x in operands]
        if _is_each(function):
            free += done  # a result may replace an operand
            done = []
        for x in out.values():
            if id(x) in movable and id(x) not in moved:
                moved[id(x)] = free.pop() if free else np.empty(x.shape)
            out["out"] = moved.get(id(x), x)
        free += done


def _is_each(function: Any) -> bool:
    """Whether a function of NumPy works item by item."""
    return isinstance(function, np.ufunc) and not function.signature
