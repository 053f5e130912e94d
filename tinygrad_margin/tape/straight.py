"""Runs a graph straight through, node by node: in Python, on numbers or on arrays of items.

    >>> from tinygrad_margin.engine import Value, topological_order
    >>> x = Value(3.0)
    >>> record = Record(topological_order(x * x + 1.0), [x])
    >>> straight = Straight(record)
    >>> straight.run([3.0])
    (10.0, [6.0])
    >>> straight.run([np.array([1.0, 2.0])])
    (array([2., 5.]), [array([2., 4.])])

That needs no plan. A small graph can also be compiled to Python functions of numbers:

    >>> value, value_and_grad = compiled(record)
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

_FEW = 512  # nodes; a list of all of them would take more than their values


class Straight:
    """A record that runs node by node, on numbers or on arrays of items.

    Args:
        record: the graph.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._nodes = np.flatnonzero((record.op >= 0) & record.live)
        self._on_arrays = [on_arrays(row) for row in record.rows]
        self._on_numbers = [(row.value, row.partials) for row in record.rows]
        self._slopes = [row.slopes for row in record.rows]
        self._inputs, self._live = record.inputs.tolist(), record.live.tobytes()
        self._few: list[tuple[int, int, int, int]] = []  # the nodes, if they are few
        if len(self._nodes) <= _FEW:
            self._few = list(record.each(self._nodes))

    def run(self, xs: Sequence[Any], *, gradient: bool = True) -> tuple[Any, list[Any]]:
        """J and its gradient. Outside an operation's domain a node is nan or inf, as in NumPy.

        Args:
            xs: for each input a float, or an array of items. The gradient of a float is summed over
                the items.
            gradient: False: compute J only, and return an empty gradient.
        """
        record, inputs = self._record, self._inputs
        m: Any = FLOATS
        rows = self._on_numbers
        values: list[Any] = record.data.tolist()
        varying = b""  # a byte for each node, if there are items
        upstream: Any = 1.0
        if items := [len(x) for x in xs if isinstance(x, np.ndarray)]:
            m, rows = ARRAYS, self._on_arrays
            values, xs = list(record.data), [np.float64(x) if type(x) is float else x for x in xs]
            is_array = np.array([isinstance(x, np.ndarray) for x in xs])
            varying = record.reached_by(record.inputs[is_array]).tobytes()
            upstream = np.ones(items[0]) if varying[-1] else float(items[0])
        for place, x in zip(inputs, xs, strict=True):
            if place >= 0:
                values[place] = x
        self._forward(m, [value for value, _ in rows], values)
        if not gradient:
            return values[-1], []
        adjoints: list[Any] = [None] * len(values)
        adjoints[-1] = upstream
        self._backward(m, [partials for _, partials in rows], values, varying, adjoints)
        return values[-1], [0.0 if place < 0 else adjoints[place] for place in inputs]

    def _forward(self, m: Any, functions: list[Function], values: list[Any]) -> None:
        """Compute every node that depends on an input."""
        rest = self._record.rest
        for i, op, a, b in self._few or self._record.each(self._nodes):
            try:
                if b < 0:
                    values[i] = functions[op](m, values[a])
                elif i not in rest:
                    values[i] = functions[op](m, values[a], values[b])
                else:
                    more = [values[j] for j in rest[i]]
                    values[i] = functions[op](m, values[a], values[b], *more)
            except (ArithmeticError, ValueError):
                if m is ARRAYS:
                    raise
                operands = [np.float64(values[j]) for j in self._record.operands(i)]
                values[i] = float(self._on_arrays[op][0](ARRAYS, *operands))

    def _backward(
        self, m: Any, functions: list[Function], values: list[Any], varying: bytes,
        adjoints: list[Any],
    ) -> None:  # fmt: skip
        """Hand every node's adjoint on to its operands, and forget it."""
        rest, live, fixed = self._record.rest, self._live, self._slopes

        def hand_on(j: int, flow: Any) -> None:
            so_far = adjoints[j]
            if varying and not varying[j] and np.ndim(flow):
                flow = flow.sum()
            adjoints[j] = flow if so_far is None else so_far + flow

        for i, op, a, b in self._few[::-1] or self._record.each(self._nodes[::-1]):
            upstream, adjoints[i] = adjoints[i], None
            more = rest.get(i, ()) if rest else ()
            slopes: Sequence[Any] | None = fixed[op]
            if slopes is None:
                try:
                    if b < 0:
                        slopes = functions[op](m, values[a], values[i])
                    elif not more:
                        slopes = functions[op](m, values[a], values[b], values[i])
                    else:
                        given = [values[j] for j in more]
                        slopes = functions[op](m, values[a], values[b], *given, values[i])
                except (ArithmeticError, ValueError):
                    if m is ARRAYS:
                        raise
                    operands = [np.float64(values[j]) for j in (*self._record.operands(i), i)]
                    slopes = [float(x) for x in self._on_arrays[op][1](ARRAYS, *operands)]
            if live[a]:
                hand_on(a, upstream * slopes[0])
            if b >= 0 and live[b]:
                hand_on(b, upstream * slopes[1])
            for k, j in enumerate(more, 2):
                if live[j]:
                    hand_on(j, upstream * slopes[k])


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
