"""Makes the calls of a program: reads the values of nodes, and adds to their adjoints.

Numbers that are the same for all items are in a vector. Numbers that vary are in a matrix, with a
row for each node. Nodes that are computed together are side by side, so most calls use slices.
"""

import operator
from typing import Any, TypeAlias

import numpy as np

from tinygrad_margin.tape.arrays import Flags, Floats, Places
from tinygrad_margin.tape.calls import Calls, Result, WaitingCall, array_of
from tinygrad_margin.tape.record import Record

Row: TypeAlias = tuple[int, int]  # the id of a buffer, and a place in it


class Layout:
    """The places of nodes: inputs first, then constants, then what the steps compute.

    Attributes:
        varying: which nodes vary from item to item.
        slot: the place of each node among those that do not vary, or among those that vary.
        sizes, inputs: how many places there are of either kind, and how many inputs.
    """

    def __init__(self, record: Record, is_array: Flags) -> None:
        self.record = record.arranged()
        self.varying = record.reached_by(record.inputs[is_array])
        self.slot: Places = np.full(len(record.op), -1, np.int32)
        self.sizes = [0, 0]
        self.place(record.inputs[~is_array], varying=False)
        self.place(record.inputs[is_array], varying=True)
        self.inputs = tuple(self.sizes)
        self.place(np.flatnonzero(~record.live), varying=False)

    def place(self, nodes: Places, *, varying: bool) -> None:
        """Give nodes the next places, side by side."""
        self.slot[nodes] = self.sizes[varying] + np.arange(len(nodes))
        self.sizes[varying] += len(nodes)


class Builder(Calls):
    """The buffers and calls of a program, while it is made.

    Attributes:
        values, adjoints: those of nodes that do not vary (n,), and of those that vary (n, items).
    """

    def __init__(self, layout: Layout, items: int) -> None:
        super().__init__()
        self.layout, self.items, self.record = layout, items, layout.record
        self.varying, self._slot, (uniform, varied) = layout.varying, layout.slot, layout.sizes
        self.values = np.zeros(uniform), np.zeros((varied, items))
        self.adjoints = np.zeros(uniform), np.zeros((varied, items))
        constants = np.flatnonzero(~self.record.live)
        self.values[0][self._slot[constants]] = self.record.data[constants]
        self._rows: dict[Row, Floats] = {}
        self._shared = {id(x): np.zeros(len(x), bool) for x in (*self.values, *self.adjoints)}
        self._written = np.zeros(uniform, bool), np.zeros(varied, bool)  # the adjoints
        # Adjoints of single nodes that are not in their rows yet: a number, or ±1 · an array.
        root = len(self.record.op) - 1
        self._waiting: dict[int, Any] = {root: 1.0 if self.varying[root] else float(items)}

    def rows_used_alone(self) -> dict[Row, Floats]:
        """The rows that no call uses together with others."""
        return {row: x for row, x in self._rows.items() if not self._shared[row[0]][row[1]]}

    def read(self, nodes: Places, *, adjoints: bool = False) -> Floats:
        """The values of nodes, in the shape of ``nodes``, then the items if they vary."""
        places, kind = self._slot[nodes], int(self.varying[nodes.flat[0]])
        buffer = (self.adjoints if adjoints else self.values)[kind]
        view = self._slice(buffer, places)
        return self.gather(buffer, places) if view is None else view

    def operand(self, nodes: Places, *, varying: bool) -> float | Floats:
        """The values of nodes for a step that varies, or not; a number if all are one constant."""
        data = self.record.data[nodes]
        if not self.record.live[nodes].any() and np.all(data == data.flat[0]):
            return float(data.flat[0])
        is_same = varying and not self.varying[nodes.flat[0]]  # for all items
        return self.read(nodes)[..., None] if is_same else self.read(nodes)

    def _slice(self, buffer: Floats, places: Places) -> Floats | None:
        """The places of a buffer as a view, if they lie at even distances."""
        if places.shape == (1,):
            place = int(places[0])
            return self._rows.setdefault((id(buffer), place), buffer[place : place + 1])
        self._shared[id(buffer)][places] = True
        first, stride = int(places.flat[0]), buffer.strides[0]
        steps = [
            int(places.take(1, axis).flat[0]) - first if size > 1 else 0
            for axis, size in enumerate(places.shape)
        ]
        index = np.indices(places.shape, sparse=True)
        if not np.array_equal(sum(map(operator.mul, index, steps), start=first), places):
            return None
        shape, strides = (*places.shape, *buffer.shape[1:]), [step * stride for step in steps]
        return np.ndarray(shape, float, buffer, first * stride, (*strides, *buffer.strides[1:]))

    def upstream(self, nodes: Places) -> Floats:
        """The adjoints of nodes, once nothing more will be added to them."""
        self._write_adjoints(nodes)
        return self.read(nodes, adjoints=True)

    def adjoint(self, nodes: Places) -> Any:
        """The same as a Result; or a number, if the adjoint is the same number for all items."""
        found = self._waiting.get(int(nodes[0])) if len(nodes) == 1 else None
        return Result(self, self.upstream(nodes)) if found is None else found

    def finish(self) -> None:
        """Write the adjoints of the inputs to their rows."""
        for node in [i for i in self.record.inputs.tolist() if i in self._waiting]:
            if self.varying[node]:
                self._waiting[node] += 0.0  # turns −0.0 into 0.0
            self._write_adjoints(np.array([node]))
        for kind, count in enumerate(self.layout.inputs):
            self._clear(kind, np.flatnonzero(~self._written[kind][:count]))

    def hand_on(self, nodes: Places, contribution: Any) -> None:
        """Add a contribution, a Result (or a number, to one node), to the adjoints of nodes."""
        if not self.record.live[nodes].any():
            return
        kind, places = int(self.varying[nodes.flat[0]]), self._slot[nodes]
        if isinstance(contribution, Result) and len(contribution.x.shape) > places.ndim + kind:
            x = self.total(contribution.x, len(contribution.x.shape) - 1)  # over the items
            contribution = Result(self, x, contribution.factor)
        if nodes.shape == (1,):
            self._hand_on_to_one(nodes, contribution)
            return
        self._write_adjoints(nodes)
        places, found = self._combined(places, contribution.plain())
        written, buffer = self._written[kind][places], self.adjoints[kind]
        target = self._slice(buffer, places)
        if target is not None and not written.any():
            self.write(target, found)
            self._written[kind][places] = True
            return
        self._clear(kind, places[~written])
        if target is None:
            self.add(_add_at, buffer, places, found)
        else:
            self.add(np.add, target, found, target)

    def _combined(self, places: Places, x: Any) -> tuple[Places, Any]:
        """Distinct places, and the sum of the contributions to each."""
        for axis in reversed(range(places.ndim)):  # the same nodes all along an axis
            if places.shape[axis] > 1 and (places == places.take([0], axis)).all():
                shape = *places.shape, *x.shape[places.ndim :]
                x = self.total(np.broadcast_to(array_of(x), shape), axis)
                places = np.take(places, 0, axis)
        if places.ndim == 0:
            places, x = places[None], array_of(x)[None]
        distinct, start = np.unique(np.sort(places, axis=None), return_index=True)
        if len(distinct) == places.size:
            return places, x
        whole = np.empty((*places.shape, *x.shape[places.ndim :]))
        self.write(whole, x)
        order = np.argsort(places, axis=None, kind="stable")
        rows = self.gather(whole.reshape(places.size, *whole.shape[places.ndim :]), order)
        shape = len(distinct), *rows.shape[1:]
        return distinct, WaitingCall(self, np.add.reduceat, [rows, start, 0, None], shape)

    def _hand_on_to_one(self, nodes: Places, contribution: Any) -> None:
        """Add to the adjoint of one node. An array that does not change is not copied."""
        node, target = int(nodes[0]), self.read(nodes, adjoints=True)
        if node in self._waiting:
            contribution = self._waiting[node] + contribution
        elif self._written[int(self.varying[node])][self._slot[node]]:
            contribution = Result(self, target) + contribution
        if isinstance(contribution, Result):
            contribution = found = contribution.signed()
            x = found.x
            if isinstance(x, WaitingCall) or x.shape != target.shape:
                self.write(target, x)
                contribution = Result(self, target, found.factor)
        self._waiting[node] = contribution

    def _write_adjoints(self, nodes: Places) -> None:
        """Write the adjoints of nodes to their rows."""
        for node in self._waiting.keys() & set(nodes.ravel().tolist()) if self._waiting else ():
            found, target = self._waiting.pop(node), self.read(np.array([node]), adjoints=True)
            if not (isinstance(found, Result) and found.x is target and found.factor == 1.0):
                self.write(target, found)
            self._written[int(self.varying[node])][self._slot[node]] = True

    def _clear(self, kind: int, places: Places) -> None:
        """Let these adjoints be 0 when the backward calls begin."""
        if places.size:
            self.calls.insert(0, (np.ndarray.__setitem__, [self.adjoints[kind], places, 0.0]))
            self._written[kind][places] = True
            self._shared[id(self.adjoints[kind])][places] = True


def _add_at(buffer: Floats, places: Places, x: Floats) -> None:
    buffer[places] += x
