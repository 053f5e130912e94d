"""The steps of a plan, by kind: each computes many nodes with few calls.

- ``Each``: one operation of the table, for many nodes at once.
- ``Own``: a user's own operation, for many nodes at once.
- ``Sums``: many sums with the same number of terms.
- ``Product``: many sums of products, as one matrix product. This is where a network is found in a
  graph of scalars, and where the speed comes from.

A step is made by a plan, arranged in a layout, and then adds its calls to a builder.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_margin.tape.arrays import Floats, Places, on_arrays
from tinygrad_margin.tape.builder import Builder, add_at
from tinygrad_margin.tape.calls import Result, WaitingCall
from tinygrad_margin.tape.layout import Layout
from tinygrad_margin.tape.record import Record


class Step:
    """Nodes that are computed together."""

    def arrange(self, layout: Layout) -> None:
        """Give the nodes places, in an order in which most operands are slices."""
        raise NotImplementedError

    def forward(self, builder: Builder) -> None:
        """Add the calls that compute the values."""
        raise NotImplementedError

    def backward(self, builder: Builder) -> None:
        """Add the calls that hand the adjoints on to the operands."""
        raise NotImplementedError


class Each(Step):
    """One operation for many nodes of one level."""

    def __init__(self, nodes: Places, record: Record) -> None:
        self.nodes = nodes
        self.row = record.rows[record.op[nodes[0]]]

    def arrange(self, layout: Layout) -> None:
        columns = layout.record.columns(self.nodes)
        order = np.lexsort([layout.slot[each] for each in columns[::-1]])
        self.nodes, self.operands = self.nodes[order], [each[order] for each in columns]
        self.varying = bool(layout.varying[self.nodes[0]])
        layout.place(self.nodes, varying=self.varying)

    def _arguments(self, builder: Builder) -> list[Any]:
        found = [builder.operand(nodes, varying=self.varying) for nodes in self.operands]
        return [
            x if isinstance(x, float) else Result(builder, x, is_plus=bool(builder.plus[i].all()))
            for i, x in zip(self.operands, found, strict=True)
        ]

    def forward(self, builder: Builder) -> None:
        value = self.row.value(builder.m, *self._arguments(builder))
        builder.plus[self.nodes] = isinstance(value, Result) and value.is_plus
        builder.write(builder.read(self.nodes), value)

    def _slopes(self, builder: Builder) -> tuple[Any, ...]:
        out = Result(builder, builder.look_up(self.nodes))
        return self.row.partials(builder.m, *self._arguments(builder), out)

    def backward(self, builder: Builder) -> None:
        upstream = builder.adjoint(self.nodes)
        slopes = self.row.slopes or self._slopes(builder)
        for nodes, slope in zip(self.operands, slopes, strict=True):
            if builder.record.live[nodes].any():
                contribution = slope * upstream
                if isinstance(contribution, float) and self.varying > builder.varying[nodes[0]]:
                    contribution *= builder.items  # each of them hands on the same
                builder.hand_on(nodes, contribution)


class Own(Each):
    """A user's own operation for many nodes: its functions are called as they are."""

    def forward(self, builder: Builder) -> None:
        operands = [builder.operand(nodes, varying=self.varying) for nodes in self.operands]
        builder.add(_fill, on_arrays(self.row)[0], *operands, out=builder.read(self.nodes))

    def _slopes(self, builder: Builder) -> tuple[Any, ...]:
        operands = [builder.operand(nodes, varying=self.varying) for nodes in self.operands]
        out = builder.read(self.nodes)
        slopes = builder.temporary((self.row.arity, *out.shape))
        builder.add(_fill, on_arrays(self.row)[1], *operands, out, out=slopes)
        return tuple(Result(builder, slope) for slope in slopes)


def _fill(function: Any, *operands: Any, out: Floats) -> None:
    out[...] = function(None, *operands)


class Sums(Step):
    """Many sums with the same number of terms."""

    def __init__(self, nodes: Places, terms: Places) -> None:
        self.nodes, self.terms = nodes, terms

    def arrange(self, layout: Layout) -> None:
        order = np.lexsort(layout.slot[self.terms].T[::-1])
        self.nodes, self.terms = self.nodes[order], self.terms[order]
        self.varying = bool(layout.varying[self.nodes[0]])
        self.is_even = bool((layout.varying[self.terms] == self.varying).all())
        layout.place(self.nodes, varying=self.varying)

    def forward(self, builder: Builder) -> None:
        out = builder.read(self.nodes)
        if self.is_even:
            # With items, NumPy adds term after term, as the engine does.
            add_up = np.add.reduce if self.varying and builder.items > 1 else _add_in_order
            builder.add(add_up, builder.read(self.terms.T), 0, out=out)
            return
        builder.write(out, 0.0)
        for column in self.terms.T:
            for kind in (False, True):
                rows = np.flatnonzero(builder.varying[column] == kind)
                if len(rows):
                    x = builder.operand(column[rows], varying=True)
                    if len(rows) == len(column):
                        builder.add(np.add, out, x, out=out)
                    else:
                        builder.add(add_at, out, rows, x)

    def backward(self, builder: Builder) -> None:
        live = builder.record.live[self.terms]
        if self.is_even and live.all():
            builder.hand_on(self.terms, builder.upstream(self.nodes[:, None]))
            return
        upstream = builder.upstream(self.nodes)
        for column, is_live in zip(self.terms.T, live.T, strict=True):
            for kind in (False, True):
                rows = np.flatnonzero((builder.varying[column] == kind) & is_live)
                if len(rows):
                    whole = len(rows) == len(column)
                    part = upstream if whole else builder.gather(upstream, rows)
                    builder.hand_on(column[rows], part)


def _add_in_order(x: Floats, axis: int, out: Floats) -> None:
    """The sum along an axis as the engine adds. NumPy adds adjacent numbers in pairs."""
    out[...] = np.add.accumulate(x, axis)[-1]


class Product(Step):
    """Sums of products as a matrix product: out[r, l] = Σₖ left[l, k] · right[r, k] + rest[r, l].

    Only ``right`` may vary with the items; if ``right`` does not, a term of ``rest`` may.
    """

    def __init__(self, grid: Places, left: Places, right: Places, rest: list[Places]) -> None:
        self.grid, self.left, self.right, self.rest = grid, left, right, rest

    def arrange(self, layout: Layout) -> None:
        rows = np.lexsort(layout.slot[self.right].T[::-1])
        columns = np.lexsort(layout.slot[self.left].T[::-1])
        self.right, self.left = self.right[rows], self.left[columns]
        self.rest = [each[rows][:, columns] for each in self.rest]
        self.grid = self.grid[rows][:, columns]
        self.varying = bool(layout.varying[self.grid[0, 0]])
        self.right_varies = bool(layout.varying[self.right.flat[0]])
        layout.place(self.grid.ravel(), varying=self.varying)

    def forward(self, builder: Builder) -> None:
        out = builder.read(self.grid)
        left, right = builder.read(self.left), builder.read(self.right)
        if self.right_varies:  # (l, k) times (r, k, items)
            builder.add(np.matmul, left, right, out=out)
        elif self.varying:
            same = builder.temporary(self.grid.shape)
            builder.add(np.matmul, right, left.T, out=same)
            builder.write(out, same[..., None])
        else:
            builder.add(np.matmul, right, left.T, out=out)
        for each in self.rest:
            builder.add(np.add, out, builder.operand(each, varying=self.varying), out=out)

    def backward(self, builder: Builder) -> None:
        upstream: Any = builder.upstream(self.grid)
        left, right = builder.read(self.left), builder.read(self.right)
        for each in self.rest:
            builder.hand_on(each, upstream)
        if self.varying and not self.right_varies:
            upstream = builder.total(upstream, 2).array()

        def product(one: Floats, two: Floats, shape: tuple[int, ...]) -> WaitingCall:
            is_outer = one.shape[-1] == 1  # then a multiplication is much faster
            return WaitingCall(builder, np.multiply if is_outer else np.matmul, [one, two], shape)

        live = builder.record.live
        if live[self.right].any():
            one, two = (left.T, upstream) if self.right_varies else (upstream, left)
            builder.hand_on(self.right, product(one, two, right.shape))
        if live[self.left].any():
            if self.right_varies:
                shape = len(right), *left.shape
                x: Any = WaitingCall(builder, np.matmul, [upstream, right.swapaxes(1, 2)], shape)
                x = x.array()[0] if len(right) == 1 else builder.total(x, 0)
            else:
                x = product(upstream.T, right, left.shape)
            builder.hand_on(self.left, x)
