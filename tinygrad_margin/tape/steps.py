"""The steps of a plan, by kind: each computes many nodes with few calls.

- ``Each``: one operation, for many nodes at once.
- ``Sums``: many sums with the same number of terms.
- ``Product``: many sums of products, as one matrix product. This is where the speed comes from.

``arrange`` gives the nodes places, in an order in which most operands are slices. ``forward`` adds
the calls that compute the values, ``backward`` those that hand the adjoints on to the operands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from tinygrad_margin.tape.arrays import Places, on_arrays
from tinygrad_margin.tape.builder import Builder, Layout
from tinygrad_margin.tape.calls import Result, WaitingCall, array_of, filling
from tinygrad_margin.tape.record import Record


class Each:
    """One operation for many nodes of one level."""

    def __init__(self, nodes: Places, record: Record) -> None:
        self.nodes = nodes
        self.row = record.rows[record.op[nodes[0]]]

    def arrange(self, layout: Layout) -> None:
        columns = layout.record.operand[: self.row.arity, self.nodes]
        order = np.lexsort([layout.slot[each] for each in columns[::-1]])
        self.nodes, self.operands = self.nodes[order], [each[order] for each in columns]
        self.varying = bool(layout.varying[self.nodes[0]])
        layout.place(self.nodes, varying=self.varying)

    def _arguments(self, builder: Builder) -> list[Any]:
        found = [builder.operand(nodes, varying=self.varying) for nodes in self.operands]
        return [x if isinstance(x, float) else Result(builder, x) for x in found]

    def forward(self, builder: Builder) -> None:
        arguments = self._arguments(builder)
        if self.row.is_builtin:
            value = self.row.value(builder.m, *arguments)
        else:
            value = builder.call(filling(partial(on_arrays(self.row)[0], None)), *arguments)
        builder.write(builder.read(self.nodes), value)

    def _slopes(self, builder: Builder) -> Sequence[Any]:
        arguments = [*self._arguments(builder), Result(builder, builder.read(self.nodes))]
        if self.row.is_builtin:
            return tuple(self.row.partials(builder.m, *arguments))
        partials = filling(partial(on_arrays(self.row)[1], None))
        operands = [x.x if isinstance(x, Result) else x for x in arguments]
        shape = self.row.arity, *arguments[-1].x.shape
        slopes = array_of(WaitingCall(builder, partials, operands, shape))
        return [Result(builder, x) for x in slopes]

    def backward(self, builder: Builder) -> None:
        upstream = builder.adjoint(self.nodes)
        slopes = self.row.slopes or self._slopes(builder)
        for nodes, slope in zip(self.operands, slopes, strict=True):
            contribution = slope * upstream
            if isinstance(contribution, float) and self.varying > builder.varying[nodes[0]]:
                contribution *= builder.items  # each of them contributes the same
            builder.hand_on(nodes, contribution)


@dataclass
class Sums:
    """Sums of equally many terms. ``rest`` are terms that do not vary, in sums that do."""

    nodes: Places
    terms: Places
    rest: list[Places]

    def arrange(self, layout: Layout) -> None:
        order = np.lexsort(layout.slot[self.terms].T[::-1])
        self.nodes, self.terms = self.nodes[order], self.terms[order]
        self.rest = [each[order] for each in self.rest]
        layout.place(self.nodes, varying=bool(layout.varying[self.nodes[0]]))

    def forward(self, builder: Builder) -> None:
        out = builder.read(self.nodes)
        builder.add(np.add.reduce, builder.read(self.terms.T), 0, None, out)
        for each in self.rest:
            builder.add(np.add, out, builder.operand(each, varying=True), out)

    def backward(self, builder: Builder) -> None:
        builder.hand_on(self.terms, Result(builder, builder.upstream(self.nodes[:, None])))
        for each in self.rest:
            builder.hand_on(each, Result(builder, builder.upstream(self.nodes)))


@dataclass
class Product:
    """Sums of products as a matrix product: out[r, l] = Σₖ left[l, k] · right[r, k] + rest[r, l].

    ``left`` is the same for all items, and so is ``rest`` unless ``right`` varies.
    """

    grid: Places
    left: Places
    right: Places
    rest: list[Places]

    def arrange(self, layout: Layout) -> None:
        rows = np.lexsort(layout.slot[self.right].T[::-1])
        columns = np.lexsort(layout.slot[self.left].T[::-1])
        self.right, self.left = self.right[rows], self.left[columns]
        self.rest = [each[rows][:, columns] for each in self.rest]
        self.grid = self.grid[rows][:, columns]
        self.varying = bool(layout.varying[self.right.flat[0]])
        layout.place(self.grid.ravel(), varying=self.varying)

    def forward(self, builder: Builder) -> None:
        out = builder.read(self.grid)
        left, right = builder.read(self.left), builder.read(self.right)
        one, two = (left, right) if self.varying else (right, left.T)  # (l, k) by (r, k, items)
        builder.add(np.matmul, one, two, out)
        for each in self.rest:
            builder.add(np.add, out, builder.operand(each, varying=self.varying), out)

    def backward(self, builder: Builder) -> None:
        upstream = builder.upstream(self.grid)
        left, right = builder.read(self.left), builder.read(self.right)
        for each in self.rest:
            builder.hand_on(each, Result(builder, upstream))
        one, two = (left.T, upstream) if self.varying else (upstream, left)
        is_outer = self.varying and len(self.left) == 1  # then multiplying is much faster
        times = np.multiply if is_outer else np.matmul
        x = WaitingCall(builder, times, [one, two], right.shape)
        builder.hand_on(self.right, Result(builder, x))
        if self.varying:
            operands, shape = [upstream, right.swapaxes(1, 2)], (len(right), *left.shape)
            x = builder.total(WaitingCall(builder, np.matmul, operands, shape), 0)
        else:
            x = WaitingCall(builder, np.matmul, [upstream.T, right], left.shape)
        builder.hand_on(self.left, Result(builder, x))


Step: TypeAlias = Each | Sums | Product
