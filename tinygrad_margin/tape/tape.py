"""The tape: a graph, recorded once, that runs with other inputs.

A tape keeps the graph as a list of operations (a Wengert list); it holds no Values. There are two
ways to run it:

- in levels (plan.py, compiled_program.py): NumPy computes many nodes with one call, and sums of
  products as matrix products. Arrays run like this, and numbers if the graph is large and wide.
- straight through (straight.py): node after node. Numbers run like this if the graph is small or
  narrow, and arrays if it is so long and narrow that it would take long to make a plan.

A maximum or relu is evaluated anew each time, so a replay takes the branch that its numbers need.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np

from tinygrad_margin.engine import Value, topological_order
from tinygrad_margin.guard import as_node, describe, one_line
from tinygrad_margin.ops import TABLE
from tinygrad_margin.tape.arrays import Floats, Function
from tinygrad_margin.tape.compiled_program import Program
from tinygrad_margin.tape.inputs import Inputs
from tinygrad_margin.tape.listing import listing
from tinygrad_margin.tape.plan import Plan
from tinygrad_margin.tape.record import Record
from tinygrad_margin.tape.straight import SMALL, Straight

_NUMBERS = {float, int, np.float64}  # types of plain numbers that need no check
_WIDE = 24  # operations a call, on average: from here on NumPy is faster than Python
_LONG, _NARROW = 300, 4  # it takes too long to plan more calls than that of fewer operations each
_BLOCK = 2**20  # numbers in a block of items
_KEPT = 4  # programs that are kept; and plans

Xs: TypeAlias = Sequence[Any] | np.ndarray[Any, Any]


class Tape:
    """The graph of J, recorded for replay with other numbers in the leaves ``wrt``.

    All other leaves are constants. ``len(tape)`` is the number of operations.

    The inputs ``xs`` of a replay come in the order of wrt, in one of these forms:

    - as many entries as wrt has, n: each is a number, or an array of B items. A number is the same
      for all items. The gradient has an entry for each: for an array one of shape (B,), for a
      number a number, summed over the items.
    - fewer entries: the first is an array of k ≥ 2 numbers for the first k leaves, such as the
      parameters of a model; the rest as before. The gradient's first entry has shape (k,).
    - an array of shape (n,), n numbers, or (n, B). The gradient has the same shape.

    Values and gradients equal the engine's, up to 1e-12 of the largest number that goes into them.
    A tie behind a matrix product or a long sum may fall to either side, as in every library that
    uses BLAS; each is a subgradient. Other ties and kinks fall as in the engine. Outside an
    operation's domain the value of an item is nan or inf, and its slope what the formula gives.

    Running sums of products, ``w[0] * x[0] + w[1] * x[1] + …`` or ``sum``, become matrix products;
    this makes a replay fast. Other orders of adding are computed one operation after another.

    Args:
        J: the root.
        wrt: the leaves that are inputs, each once. One that J does not depend on has gradient 0.

    Raises:
        TypeError: J or an entry of wrt is not a Value, or wrt has no order.
        ValueError: an entry of wrt is not a leaf, or occurs twice.

    Example:
        >>> w, x = Value(2.0, "w"), Value(3.0, "x")
        >>> tape = Tape((w * x).tanh(), [w, x])
        >>> tape
        Tape(2 operations: 1 mul, 1 tanh; 2 levels; 2 inputs)
        >>> tape.value([0.5, 0.0])
        0.0
    """

    def __init__(self, J: Value, wrt: Sequence[Value]) -> None:
        if not isinstance(wrt, Sequence):
            hint = "in the order of the inputs; put it in a list: [x]"
            raise TypeError(f"Tape(J, wrt) takes a sequence of leaves for wrt, {hint}")
        order = topological_order(as_node(J, "Tape(J, wrt)"))
        wrt = [as_node(leaf, "Tape(J, wrt)") for leaf in wrt]
        for leaf, times in Counter(wrt).items():
            if times > 1:
                raise ValueError(f"{describe(leaf)} occurs {times} times in wrt; give it once")
            if leaf.parents:
                given = f"{describe(leaf)} is computed, by {leaf.op}"
                raise ValueError(f"an input of a tape is a leaf; {given}")
        self._record = Record(order, wrt)
        self._names = [one_line(leaf.label) or f"xs[{i}]" for i, leaf in enumerate(wrt)]
        self.__setstate__({})

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("_record", "_names")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        record, self._lock = self._record, threading.Lock()
        self._straight = Straight(record)
        # A plan for each choice of inputs that are arrays, a program for each number of items.
        plan = lru_cache(_KEPT)(lambda is_array: Plan(record, np.frombuffer(is_array, bool)))
        self._plan = plan
        self._program = lru_cache(_KEPT)(lambda is_array, items: Program(plan(is_array), items))

    def __len__(self) -> int:
        return self._record.operations

    def __repr__(self) -> str:
        record = self._record.arranged()
        counts = Counter(record.rows[op] for op in record.op.tolist() if op >= 0)
        rows = dict.fromkeys([*TABLE.values(), *record.rows])
        kinds = ", ".join(f"{counts[row]:,} {row.name}" for row in rows if counts[row])
        operations = _counted(len(self), "operation") + (f": {kinds}" if kinds else "")
        levels = _counted(int(record.level.max()), "level")
        return f"Tape({operations}; {levels}; {_counted(len(self._names), 'input')})"

    def value(self, xs: Xs) -> Any:
        """J at the inputs: a float, or an array of shape (B,) if an input is an array.

        Raises:
            TypeError: an input is neither a number nor an array of numbers.
            ValueError: a wrong number of inputs, arrays of two lengths, or of a wrong shape.
        """
        return self._run(xs, gradient=False)[0]

    def value_and_grad(self, xs: Xs) -> tuple[Any, Any]:
        """J as ``value`` gives it, and its gradient in the form of the inputs."""
        return self._run(xs, gradient=True)

    def listing(self) -> str:
        """The program as text: every node's value, then every node's adjoint, one line each."""
        return listing(self._record)

    def _run(self, xs: Xs, *, gradient: bool) -> tuple[Any, Any]:
        is_plain = self._record.operations <= SMALL and type(xs) in (list, tuple)
        if is_plain and len(xs) == len(self._names) and _NUMBERS.issuperset(map(type, xs)):
            J, slopes = self._straight.run_numbers([float(x) for x in xs], gradient)
            return J, [slope + 0.0 for slope in slopes]  # the quick case; −0.0 becomes 0.0
        inputs = Inputs(self._names, xs)
        J, of_numbers, of_arrays = self._replay(inputs, gradient=gradient)
        return J, inputs.gradient(of_numbers, of_arrays) if gradient else None

    def _replay(self, inputs: Inputs, *, gradient: bool) -> tuple[Any, Floats, Floats]:
        """J, its gradient in the numbers, and its gradient in the arrays."""
        record, items, is_array = self._record, inputs.items, inputs.is_array
        value, rows = np.empty(items), np.empty((len(inputs.arrays), items))
        slopes = np.zeros(len(inputs.numbers))
        with self._lock, np.errstate(all="ignore"):
            is_small = record.operations <= SMALL
            if not inputs.has_items and (is_small or record.arranged().width < _WIDE):
                J, found = self._straight.run_numbers(inputs.numbers.tolist(), gradient)
                return J, np.array(found) + 0.0, rows
            is_narrow = record.arranged().calls > _LONG and record.width < _NARROW
            each = record.operations if is_narrow else self._plan(is_array.tobytes()).sizes[1]
            size = max(_BLOCK // (each + 1), 1)
            for start in range(0, items, size):
                block = slice(start, min(start + size, items))
                arrays, to_fill = [x[block] for x in inputs.arrays], list(rows[:, block])
                run: Function = partial(self._straight.run, is_array)
                if not is_narrow:
                    run = self._program(is_array.tobytes(), block.stop - start).run
                found = run(inputs.numbers, arrays, value[block], to_fill, gradient=gradient)
                may_be_shut = gradient and record.has_kinks and not is_narrow
                sums = [np.sum(x) for x in (found, *to_fill)] if may_be_shut else []
                if not np.isfinite(sums).all():
                    # What a max, relu or abs shuts off may have no slope: only this way knows it.
                    others = np.empty_like(value[block])
                    found = self._straight.run(is_array, inputs.numbers, arrays, others, to_fill)
                if gradient:
                    slopes += found
        return value if inputs.has_items else float(value[0]), slopes, rows


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
