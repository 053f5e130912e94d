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

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_margin.ops import FLOATS
from tinygrad_margin.tape.arrays import ARRAYS, Function, on_arrays
from tinygrad_margin.tape.record import Record
from tinygrad_margin.views.source import Functions, Source


class Straight:
    """A record that runs node by node, on numbers or on arrays of items.

    Args:
        record: the graph.
    """

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
            if place >= 0:
                values[place] = x
        value_of = values.__getitem__
        for i, op, operands in self._nodes:
            values[i] = functions[op][0](m, *map(value_of, operands))
        if not gradient:
            return values[-1], []
        live, fixed = self._live, [row.slopes for row in self._record.rows]
        adjoints: list[Any] = [None] * len(values)
        adjoints[-1] = start
        for i, op, operands in reversed(self._nodes):
            upstream, adjoints[i] = adjoints[i], None
            slopes = fixed[op] or functions[op][1](m, *map(value_of, operands), values[i])
            for j, slope in zip(operands, slopes):
                if live[j]:
                    so_far, flow = adjoints[j], upstream * slope
                    adjoints[j] = flow if so_far is None else so_far + flow
        return values[-1], [0.0 if place < 0 else adjoints[place] for place in self._inputs]


def compiled(record: Record) -> tuple[Function, Function]:
    """J, and J with its gradient, as compiled Python functions of numbers."""
    m, names = Functions(Source), list[Source]()
    known: dict[str, Any] = {"m": FLOATS, **{f"row{i}": row for i, row in enumerate(record.rows)}}
    inputs = {place: f"x{i}" for i, place in enumerate(record.inputs.tolist()) if place >= 0}
    forward, backward = list[str](), list[str]()
    for i, op in enumerate(record.op.tolist()):
        name = inputs.get(i, f"v{i}")
        names.append(Source(name))
        if not record.live[i]:
            known[name] = float(record.data[i])
        elif op >= 0:
            operands, row = [names[j] for j in record.operands(i)], record.rows[op]
            text = f"row{op}.value(m, {_comma_separated(operands)})"  # a user's own function
            if row.is_builtin:
                text = Source.of(row.value(m, *operands)).text
            forward.append(f" {name} = {text}")
    root = len(names) - 1
    backward.append(f" g{root} = 1.0")
    begun = {root}  # the nodes with an adjoint
    for i in np.flatnonzero((record.op >= 0) & record.live).tolist()[::-1]:
        op, places = record.op[i], record.operands(i)
        operands, row = [*(names[j] for j in places), names[i]], record.rows[op]
        if row.is_builtin:
            partials = row.partials(m, *operands)
        else:
            backward.append(f" p{i} = row{op}.partials(m, {_comma_separated(operands)})")
            partials = tuple(Source(f"p{i}[{k}]") for k in range(len(places)))
        for j, slope in zip(places, partials, strict=True):
            if record.live[j]:
                sign = "+=" if j in begun else "="
                begun.add(j)
                backward.append(f" g{j} {sign} {(Source(f'g{i}') * slope).text}")
    given = ", ".join(f"x{i}" for i in range(len(record.inputs)))
    slopes = ", ".join(f"g{i}" if i in begun else "0.0" for i in record.inputs.tolist())
    value = [f"def value({given}):", *forward, f" return {names[root].text}"]
    both = [f"def value_and_grad({given}):", *forward, *backward,
            f" return {names[root].text}, [{slopes}]"]  # fmt: skip
    exec("\n".join([*value, *both]), known)
    return known["value"], known["value_and_grad"]


def _comma_separated(names: Sequence[Source]) -> str:
    return ", ".join(name.text for name in names)
