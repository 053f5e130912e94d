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

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_margin.tape.arrays import Floats
from tinygrad_margin.tape.builder import Builder, Row
from tinygrad_margin.tape.calls import run
from tinygrad_margin.tape.plan import Plan


class Program:
    """The calls of a plan, for one number of items: ``forward`` and ``backward``."""

    def __init__(self, plan: Plan, items: int) -> None:
        builder = Builder(plan, items)
        for step in plan.steps:
            step.forward(builder)
        self.forward, builder.calls = builder.calls, []
        for step in reversed(plan.steps):
            step.backward(builder)
        builder.finish()
        self.backward = builder.calls
        self._values, self._adjoints, self._inputs = builder.values, builder.adjoints, plan.inputs
        self._root = int(plan.varying[-1]), int(plan.slot[-1])
        self._ends = self._find_ends(builder)

    def _find_ends(self, builder: Builder) -> dict[Row, tuple[Floats, list[tuple[list[Any], int]]]]:
        """The rows of inputs and results that calls use by themselves, and where they use them.

        A run puts the caller's arrays there, so that nothing is copied.
        """
        values, adjoints = id(self._values[1]), id(self._adjoints[1])
        ends = {(buffer, i) for buffer in (values, adjoints) for i in range(self._inputs[1])}
        J = {(values, self._root[1])} if self._root[0] else set[Row]()
        alone = builder.rows_used_alone().items()  # if J is an input, it is copied
        found = {row: (x, list[Any]()) for row, x in alone if row in ends ^ J}
        uses = {id(x): used for x, used in found.values()}
        for _, arguments in [*self.forward, *self.backward]:
            for i, x in enumerate(arguments):
                if id(x) in uses:
                    uses[id(x)].append((arguments, i))
        return found

    def run(
        self, numbers: Sequence[float] | Floats, arrays: Sequence[Floats], value: Floats,
        slopes: Sequence[Floats], *, gradient: bool = True,
    ) -> Floats:  # fmt: skip
        """Fill ``value`` with J, and ``slopes`` with ∂J/∂input for the inputs that are arrays.

        Returns:
            ∂J/∂input for the inputs that are numbers, over all items. It holds until the next run.
        """
        values, adjoints, (varies, place) = self._values[1], self._adjoints[1], self._root
        self._values[0][: self._inputs[0]] = numbers
        for i, x in enumerate(arrays):
            if not self._use((id(values), i), x[None]):
                values[i] = x
        is_filled = varies and self._use((id(values), place), value[None])
        run(self.forward)
        if not is_filled:
            value[:] = self._values[varies][place]
        if gradient:
            rest = [i for i, x in enumerate(slopes) if not self._use((id(adjoints), i), x[None])]
            run(self.backward)
            for i in rest:
                np.add(adjoints[i], 0.0, out=slopes[i])  # turns −0.0 into 0.0
        for row, (x, _) in self._ends.items():  # keep none of the caller's arrays
            self._use(row, x)
        return self._adjoints[0][: self._inputs[0]]

    def _use(self, row: Row, x: Floats) -> bool:
        """Make the calls use an array in place of a row of a buffer, if they can."""
        for arguments, i in self._ends[row][1] if row in self._ends else ():
            arguments[i] = x
        return row in self._ends
