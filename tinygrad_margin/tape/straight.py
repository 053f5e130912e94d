"""Runs a graph straight through, node by node: in Python, on numbers or on arrays of items.

>>> from tinygrad_margin.engine import Value, topological_order
>>> x = Value(3.0)
>>> record = Record(topological_order(x * x + 1.0), [x])
>>> Straight(record).run([np.array([1.0, 2.0])])
(array([2., 5.]), [array([2., 4.])])
>>> value, value_and_grad = compiled(record)    # for a small graph, on numbers
>>> value_and_grad(3.0)
(10.0, [6.0])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_margin.ops import FLOATS, Primitive
from tinygrad_margin.tape.arrays import ARRAYS, Function, on_arrays
from tinygrad_margin.tape.record import Record
from tinygrad_margin.views.source import ATOM, Functions, Source


class Straight:
    """A record that runs node by node, on numbers or on arrays of items."""

    def __init__(self, record: Record) -> None:
        self._record, nodes = record, np.flatnonzero((record.op >= 0) & record.live)
        self._nodes = [(i, int(record.op[i]), record.operands(i)) for i in nodes.tolist()]
        self._inputs, self._live = record.inputs.tolist(), record.live.tobytes()

    def run(self, xs: Sequence[Any], *, gradient: bool = True) -> tuple[Any, list[Any]]:
        """J and its gradient.

        Args:
            xs: for each input a float, or an array of items. The gradient of a float is summed over
                the items.
            gradient: False: compute J only, and return an empty gradient.
        """
        rows, data = self._record.rows, self._record.data
        items = [len(x) for x in xs if isinstance(x, np.ndarray)]
        if not items:
            try:
                functions = [(row.value, row.partials) for row in rows]
                return self._run(FLOATS, functions, data.tolist(), xs, 1.0, gradient)
            except (ArithmeticError, ValueError):
                pass  # outside an operation's domain; NumPy gives nan or inf
        functions, start = [on_arrays(row) for row in rows], np.ones(items[:1])[()]
        xs = [x if isinstance(x, np.ndarray) else np.float64(x) for x in xs]
        J, slopes = self._run(ARRAYS, functions, list(data), xs, start, gradient)
        slopes = [d if np.ndim(x) else float(np.sum(d)) for x, d in zip(xs, slopes, strict=False)]
        return J if np.ndim(J) else float(J), slopes

    def _run(
        self, m: Any, functions: list[tuple[Function, Function]], values: list[Any],
        xs: Sequence[Any], start: Any, gradient: bool,
    ) -> tuple[Any, list[Any]]:  # fmt: skip
        for place, x in zip(self._inputs, xs, strict=True):
            values[place] = x
        get, value_of, partials_of = values.__getitem__, *zip(*functions, strict=True)
        for i, op, operands in self._nodes:
            values[i] = value_of[op](m, *map(get, operands))
        if not gradient:
            return values[-1], []
        live, fixed = self._live, [row.slopes for row in self._record.rows]
        adjoints: list[Any] = [None] * len(values)
        adjoints[-1] = start
        for i, op, operands in reversed(self._nodes):
            upstream, adjoints[i] = adjoints[i], None
            slopes = fixed[op] or partials_of[op](m, *map(get, operands), values[i])
            for j, slope in zip(operands, slopes):  # noqa: B905 (strict=True takes time)
                if live[j]:
                    so_far, flow = adjoints[j], upstream * slope
                    adjoints[j] = flow if so_far is None else so_far + flow
        slopes = [adjoints[place] for place in self._inputs]
        return values[-1], [0.0 if slope is None else slope for slope in slopes]


def compiled(record: Record) -> tuple[Function, Function]:
    """J, and J with its gradient, as compiled Python functions of numbers."""
    lines: list[str] = []

    class Line(Source):
        """The name of a number. One that is computed gets a line, and a name."""

        def __init__(self, text: str, level: int = ATOM) -> None:
            if level != ATOM or "(" in text:
                lines.append(f" v{len(lines)} = {text}")
                text = f"v{len(lines) - 1}"
            super().__init__(text)

    def functions(op: int, row: Primitive) -> tuple[Function, Function]:
        if row.is_builtin:
            return row.value, row.partials
        call = Functions(Line, f"row{op}.")  # a user's functions are called, not written down
        return lambda _, *xs: call.value(m, *xs), lambda _, *xs: [
            Line(f"{name}[{k}]") for name in [call.partials(m, *xs).text] for k in range(row.arity)
        ]

    m, of_rows = Line("m"), [functions(op, row) for op, row in enumerate(record.rows)]
    known: dict[str, Any] = {"m": FLOATS, "inf": math.inf, "nan": math.nan}
    known |= {f"row{op}": row for op, row in enumerate(record.rows)}
    names = [f"x{i}" for i in range(len(record.inputs))]
    for function in ("value", "value_and_grad"):
        values, xs = record.data.tolist(), [Line(name) for name in names]
        both = function == "value_and_grad"
        J, slopes = Straight(record)._run(Functions(Line), of_rows, values, xs, 1.0, both)
        found = f"[{', '.join(Line.of(slope).text for slope in slopes)}]"
        result = Line.of(J).text + (f", {found}" if both else "")
        exec(
            "\n".join([f"def {function}({', '.join(names)}):", *lines, f" return {result}"]), known
        )
        lines.clear()
    return known["value"], known["value_and_grad"]
