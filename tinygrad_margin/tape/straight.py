"""Runs a graph straight through, node by node: in Python, on numbers or on arrays of items.

>>> from tinygrad_margin.engine import Value, topological_order
>>> x = Value(3.0)
>>> record = Record(topological_order(x * x + 1.0), [x])
>>> Straight(record).run_numbers([3.0])
(10.0, [6.0])
"""

import math
from collections.abc import Callable, Sequence
from functools import cached_property, reduce
from typing import Any, TypeAlias

import numpy as np

from tinygrad_margin.ops import FLOATS
from tinygrad_margin.tape.arrays import ARRAYS, Flags, Floats, Function, on_arrays
from tinygrad_margin.tape.record import Record
from tinygrad_margin.views.source import ATOM, Functions, Source

SMALL = 150  # operations; a smaller graph is compiled if it is used often
_OFTEN = 30  # runs with plain numbers

_Found: TypeAlias = tuple[float, Sequence[float]]  # J and its gradient


class Straight:
    """A record that runs node by node."""

    def __init__(self, record: Record) -> None:
        self._record, self._live = record, record.live.tobytes()
        self._runs = 0  # with numbers
        is_builtin = all(row.is_builtin for row in record.rows)
        self._can_compile = is_builtin and record.operations <= SMALL
        self._compiled: dict[bool, Callable[..., _Found]] = {}

    @cached_property
    def _nodes(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """Place, code and operands of each operation that depends on an input."""
        record, nodes = self._record, np.flatnonzero((self._record.op >= 0) & self._record.live)
        columns = nodes.tolist(), record.op[nodes].tolist(), *record.operand[:, nodes].tolist()
        arity = [row.arity for row in record.rows]
        return [(i, op, tuple(x[: arity[op]])) for i, op, *x in zip(*columns, strict=True)]

    def run_numbers(self, xs: Sequence[float], gradient: bool = True) -> _Found:
        """J and its gradient, if all inputs are numbers; an empty gradient if you want none."""
        try:
            if gradient in self._compiled:
                found = self._compiled[gradient](*xs)
                if not self._record.has_kinks or all(map(math.isfinite, found[1])):
                    return found
            record, self._runs = self._record, self._runs + 1
            if self._runs > _OFTEN and self._can_compile:
                self._compiled[gradient] = compiled(record, gradient=gradient)
            functions = [(row.value, row.partials) for row in record.rows]
            inputs = dict(zip(record.inputs.tolist(), xs, strict=True))
            return self._run(FLOATS, functions, record.data.tolist(), inputs, gradient)
        except (ArithmeticError, ValueError):  # outside a domain: NumPy gives nan or inf
            is_array, value = np.zeros(len(xs), bool), np.empty(1)
            slopes = self.run(is_array, xs, [], value, [], gradient=gradient)
            return float(value[0]), slopes

    def run(
        self, is_array: Flags, numbers: Sequence[float] | Floats, arrays: Sequence[Floats],
        value: Floats, slopes: Sequence[Floats], *, gradient: bool = True,
    ) -> Sequence[float]:  # fmt: skip
        """The same as ``Program.run``; ``is_array`` says which inputs are arrays."""
        record, n, xs = self._record, len(numbers), [*map(np.float64, numbers), *arrays]
        functions = [on_arrays(row) for row in record.rows]
        places = [*record.inputs[~is_array].tolist(), *record.inputs[is_array].tolist()]
        inputs = dict(zip(places, xs, strict=True))
        with np.errstate(all="ignore"):
            value[:], found = self._run(ARRAYS, functions, list(record.data), inputs, gradient)
            for slope, out in zip(found[n:], slopes, strict=False):
                np.add(slope, 0.0, out=out)  # turns −0.0 into 0.0
            return [float(np.broadcast_to(slope, value.shape).sum()) for slope in found[:n]]

    def _run(
        self, m: Any, functions: list[tuple[Function, Function]], values: list[Any],
        inputs: dict[int, Any], gradient: bool,
    ) -> tuple[Any, list[Any]]:  # fmt: skip
        """J and its gradient, with ``m``. ``inputs`` are by place; ``values`` has the constants."""
        for place, x in inputs.items():
            values[place] = x
        get, value_of, partials_of = values.__getitem__, *zip(*functions, strict=True)
        # One or two operands are cases of their own, since *operands takes half as long again.
        for i, op, operands in self._nodes:
            match operands:
                case (a,):
                    values[i] = value_of[op](m, values[a])
                case (a, b):
                    values[i] = value_of[op](m, values[a], values[b])
                case _:
                    values[i] = value_of[op](m, *map(get, operands))
        if not gradient:
            return values[-1], []
        live, fixed = self._live, [row.slopes for row in self._record.rows]
        has_kink = [row.cases is not None for row in self._record.rows]
        is_careful = m is ARRAYS and self._record.has_kinks
        adjoints: list[Any] = [None] * len(values)
        adjoints[-1] = 1.0
        # Gradient does not reach what a max, relu or abs shuts off: slopes may be nan there.
        reached: dict[int, Any] = {}  # for a node, by which items; without an entry, by all
        for i, op, operands in reversed(self._nodes):
            upstream, adjoints[i] = adjoints[i], None
            if upstream is None:
                continue
            match operands:
                case (a,):
                    slopes = fixed[op] or partials_of[op](m, values[a], values[i])
                case (a, b):
                    slopes = fixed[op] or partials_of[op](m, values[a], values[b], values[i])
                case _:
                    slopes = fixed[op] or partials_of[op](m, *map(get, operands), values[i])
            if is_careful and not has_kink[op]:
                slopes = _missing_as_nan(slopes, [*map(get, operands), values[i]])
            for j, slope in zip(operands, slopes):  # noqa: B905 (strict=True takes time)
                if live[j]:
                    so_far, flow, passes = adjoints[j], upstream * slope, reached.get(i, True)
                    if has_kink[op] and not isinstance(slope, Source):
                        # Of a slope that is missing further up, nothing makes 0.
                        passes = passes & ((slope != 0.0) | (is_careful & (upstream != upstream)))
                    if passes is False:
                        continue
                    if passes is not True:
                        flow = np.where(passes, flow, 0.0)
                    if so_far is None:
                        adjoints[j], reached[j] = flow, passes
                    else:
                        adjoints[j], reached[j] = so_far + flow, reached[j] | passes
        slopes = [adjoints[place] for place in inputs]
        return values[-1], [0.0 if slope is None else slope for slope in slopes]


def _missing_as_nan(slopes: Sequence[Any], numbers: Sequence[Any]) -> Sequence[Any]:
    """The slopes; nan where one is not finite although all operands and the value are."""
    if all(np.isfinite(slope).all() for slope in slopes):
        return slopes
    is_known = reduce(np.logical_and, map(np.isfinite, numbers))
    return [np.where(is_known & ~np.isfinite(slope), math.nan, slope) for slope in slopes]


def compiled(record: Record, *, gradient: bool = True) -> Callable[..., _Found]:
    """J and its gradient (or no gradient, ``[]``) as a compiled Python function of numbers."""
    lines: list[str] = []

    class Line(Source):
        """The name of a number. A formula gets a line of the program, and with it a name."""

        def __init__(self, text: str, level: int = ATOM) -> None:
            if level != ATOM or "(" in text:
                lines.append(f" v{len(lines)} = {text}")
                text = f"v{len(lines) - 1}"
            super().__init__(text)

    names = [f"x{i}" for i in range(len(record.inputs))]
    inputs = dict(zip(record.inputs.tolist(), map(Line, names), strict=True))
    functions = [(row.value, row.partials) for row in record.rows]
    J, slopes = Straight(record)._run(
        Functions(Line), functions, record.data.tolist(), inputs, gradient
    )
    result = f"{Line.of(J).text}, [{', '.join(Line.of(slope).text for slope in slopes)}]"
    source = [f"def replay({', '.join(names)}):", *lines, f" return {result}"]
    known: dict[str, Any] = {"m": FLOATS, "inf": math.inf, "nan": math.nan}
    exec("\n".join(source), known)
    replay: Callable[..., _Found] = known["replay"]
    return replay
