"""A recorded graph, run node by node: where calls on whole arrays would hold a node or two each.

    >>> from tinygrad_margin.engine import Value, topological_order
    >>> x = Value(3.0)
    >>> record = Record(topological_order(x * x + 1.0), [x])
    >>> straight = Straight(record)
    >>> straight.run([3.0])
    (10.0, [6.0])
    >>> straight.run([np.array([1.0, 2.0])])
    (array([2., 5.]), [array([2., 4.])])

That needs no plan. A small graph can also be written down, as Python functions of numbers:

    >>> value, both = functions(record)
    >>> both(3.0)
    (10.0, [6.0])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from tinygrad_margin.ops import FLOATS, Primitive
from tinygrad_margin.primitive import partials_are_formulas, value_is_formula
from tinygrad_margin.tape.record import ARRAYS, Record, fill, in_a_tuple
from tinygrad_margin.views.source import Functions, Source

_FEW = 512  # nodes; a list of all of them would take more than their values

_Function: TypeAlias = Callable[..., Any]


class Straight:
    """A record that runs node by node, on numbers or on arrays of items.

    Args:
        record: the graph.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._nodes = np.flatnonzero((record.op >= 0) & record.live)
        self._on_arrays = [_on_arrays(row) for row in record.rows]
        self._on_numbers = [(row.value, row.partials) for row in record.rows]
        self._slopes = [row.slopes for row in record.rows]
        self._inputs, self._live = record.inputs.tolist(), record.live.tobytes()
        self._few: list[tuple[int, int, int, int]] = []  # the nodes, if they are few
        if len(self._nodes) <= _FEW:
            self._few = list(record.each(self._nodes))

    def run(self, xs: Sequence[Any], *, gradient: bool = True) -> tuple[Any, list[Any]]:
        """J and its gradient. Outside an operation's domain a node is as NumPy has it.

        Args:
            xs: a float for each input, or an array of items; arrays have one length. The gradient
                of a float is summed over the items.
            gradient: False: leave it empty.
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

    def _forward(self, m: Any, functions: list[_Function], values: list[Any]) -> None:
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
        self, m: Any, functions: list[_Function], values: list[Any], varying: bytes,
        adjoints: list[Any],
    ) -> None:  # fmt: skip
        """Hand every node's adjoint on; it is not kept."""
        rest, live, fixed = self._record.rest, self._live, self._slopes

        def hand(j: int, flow: Any) -> None:
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
                hand(a, upstream * slopes[0])
            if b >= 0 and live[b]:
                hand(b, upstream * slopes[1])
            for k, j in enumerate(more, 2):
                if live[j]:
                    hand(j, upstream * slopes[k])


def _on_arrays(row: Primitive) -> tuple[_Function, _Function]:
    """Value and partials of a row as functions of arrays, or of NumPy's numbers."""
    if row.is_builtin:
        return row.value, row.partials
    value = _filled(in_a_tuple(row.value), value_is_formula(row), 1)
    partials = _filled(row.partials, partials_are_formulas(row), row.arity)
    return lambda *operands: value(*operands)[0], partials


def _filled(function: _Function, is_generic: bool, count: int) -> _Function:
    """One's own function, which gives so many numbers, as one of arrays."""

    def on_arrays(_: Any, *operands: Any) -> tuple[Any, ...]:
        shape = np.broadcast_shapes(*map(np.shape, operands))
        out = np.empty((count, *(shape or (1,))))
        fill(function, is_generic, *operands, out=out)
        return tuple(out if shape else out[:, 0])

    return on_arrays


def functions(record: Record) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Value, and value and gradient, as straight-line Python functions of numbers."""
    m = Functions(Source)
    inputs = {place: f"x{i}" for i, place in enumerate(record.inputs.tolist()) if place >= 0}
    known: dict[str, Any] = {"m": FLOATS}
    names: list[Source] = []
    forward, backward = [], []
    known |= {f"row{op}": row for op, row in enumerate(record.rows)}
    for i, op in enumerate(record.op.tolist()):
        name = inputs.get(i, f"v{i}")
        names.append(Source(name))
        if record.live[i] and op >= 0:
            operands = [names[j] for j in record.operands(i)]
            text = f"row{op}.value({_listed('m', *operands)})"  # one's own are called, not written
            if record.rows[op].is_builtin:
                text = Source.of(record.rows[op].value(m, *operands)).text
            forward.append(f" {name} = {text}")
        elif not record.live[i]:
            known[name] = float(record.data[i])
    root = len(names) - 1
    backward.append(f" g{root} = 1.0")
    handed = {root}  # the nodes whose adjoint has begun
    for i in np.flatnonzero((record.op >= 0) & record.live).tolist()[::-1]:
        op, places = record.op[i], record.operands(i)
        operands = [*(names[j] for j in places), names[i]]
        if record.rows[op].is_builtin:
            partials = record.rows[op].partials(m, *operands)
        else:
            backward.append(f" p{i} = row{op}.partials({_listed('m', *operands)})")
            partials = tuple(Source(f"p{i}[{k}]") for k in range(len(places)))
        for j, slope in zip(places, partials, strict=True):
            if record.live[j]:
                sign = "+=" if j in handed else "="
                handed.add(j)
                backward.append(f" g{j} {sign} {(Source(f'g{i}') * slope).text}")
    given = ", ".join(f"x{i}" for i in range(len(record.inputs)))
    slopes = [f"g{place}" if place in handed else "0.0" for place in record.inputs.tolist()]
    value = [f"def value({given}):", *forward, f" return {names[root].text}"]
    both = [f"def both({given}):", *forward, *backward,
            f" return {names[root].text}, [{', '.join(slopes)}]"]  # fmt: skip
    exec("\n".join([*value, *both]), known)
    return known["value"], known["both"]


def _listed(*names: str | Source) -> str:
    """Arguments as source."""
    return ", ".join(name.text if isinstance(name, Source) else name for name in names)
