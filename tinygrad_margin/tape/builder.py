"""Makes the calls of a program: reads the values of nodes, adds to their adjoints.

The steps of a plan do this with it: read the values of their operands, write their own; later take
their own adjoints and hand contributions on to their operands::

    >>> from tinygrad_margin.engine import Value, topological_order
    >>> x = Value(3.0)
    >>> layout = Layout(Record(topological_order(x.tanh()), [x]), np.array([True]))
    >>> x, J = np.array([0]), np.array([1])         # an input of the layout is an array of items
    >>> layout.place(J, varying=True)
    >>> builder = Builder(layout, items=5)
    >>> builder.calls = builder.forward
    >>> builder.write(builder.read(J), builder.m.tanh(builder.read(x)))
    >>> builder.values[1][0] = 0.5
    >>> run(builder.calls)
    >>> builder.values[1].round(3)
    array([[0.5  , 0.5  , 0.5  , 0.5  , 0.5  ],
           [0.462, 0.462, 0.462, 0.462, 0.462]])
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinygrad_margin.tape.arrays import Flags, Floats, Places
from tinygrad_margin.tape.calls import Calls, PlainCall, Result, WaitingCall, array_of, run
from tinygrad_margin.tape.record import Record

Row: TypeAlias = tuple[int, int]  # the id of a buffer, and a place in it


class Layout:
    """The places of nodes; inputs and constants have theirs from the start.

    Args:
        record: the graph.
        is_array: which inputs vary from item to item.

    Attributes:
        varying: which nodes vary from item to item.
        slot: the place of each node among those that do not vary, or among those that vary.
        sizes: how many places there are of either kind.
        inputs: how many of them are inputs, which come first.
    """

    def __init__(self, record: Record, is_array: Flags) -> None:
        self.record = record.arranged()
        self.varying = record.reached_by(record.inputs[is_array])
        self.slot: Places = np.full(len(record.op), -1, np.int32)
        self.inputs = int((~is_array).sum()), int(is_array.sum())
        self.sizes = list(self.inputs)
        for nodes in (record.inputs[~is_array], record.inputs[is_array]):
            places = np.flatnonzero(nodes >= 0)
            self.slot[nodes[places]] = places
        self.place(np.flatnonzero(~record.live), varying=False)

    def place(self, nodes: Places, *, varying: bool) -> None:
        """Give nodes the next places, side by side."""
        self.slot[nodes] = self.sizes[varying] + np.arange(len(nodes))
        self.sizes[varying] += len(nodes)


class Builder(Calls):
    """The buffers and calls of a program, while it is made.

    Args:
        layout: where the numbers of nodes stand.
        items: how many items there are.

    Attributes:
        forward: the calls that compute the values.
        backward: the calls that compute the adjoints.
        values: the values of nodes that do not vary (n,), and of those that vary (n, items).
        adjoints: their adjoints, in the same form.
        cleared: the adjoints that start at 0: which of the two buffers, and where.
        plus: which nodes cannot be −0.0, if no input is.
    """

    def __init__(self, layout: Layout, items: int) -> None:
        super().__init__()
        self.layout, self.items = layout, items
        self.record, self.varying, self.slot = layout.record, layout.varying, layout.slot
        self.forward: list[PlainCall] = []
        self.backward: list[PlainCall] = []
        uniform, varied = layout.sizes
        self.values = np.zeros(uniform), np.zeros((varied, items))
        self.adjoints = np.zeros(uniform), np.zeros((varied, items))
        constants = np.flatnonzero(~self.record.live)
        self.values[0][self.slot[constants]] = self.record.data[constants]
        self.cleared: list[tuple[int, Places]] = []
        self.plus = (self.record.op < 0) & ~np.signbit(self.record.data)
        self.plus[self.record.inputs[self.record.inputs >= 0]] = True
        self._rows: dict[Row, Floats] = {}
        # Which rows are used together with others.
        self._shared = {id(x): np.zeros(len(x), bool) for x in (*self.values, *self.adjoints)}
        self._written = [np.zeros(size, bool) for size in layout.sizes]  # adjoints
        # Adjoints of single nodes that are not in their rows yet: a number, or ±1 · an array.
        root = len(self.record.op) - 1
        self._unwritten: dict[int, Any] = {root: 1.0 if self.varying[root] else float(items)}

    def rows_used_alone(self) -> dict[Row, Floats]:
        """The rows that calls use, but never together with other rows."""
        return {row: x for row, x in self._rows.items() if not self.is_shared(*row)}

    def is_shared(self, buffer: int, place: int) -> bool:
        """Whether a call uses this row together with others."""
        return bool(self._shared[buffer][place])

    # ---- values ----

    def look_up(
        self, nodes: Places, buffers: tuple[Floats, Floats] | None = None
    ) -> Floats | WaitingCall:
        """The values of nodes, in the shape of ``nodes``, then the items if they vary."""
        buffer = (buffers or self.values)[int(self.varying[nodes.flat[0]])]
        view = self._slice(buffer, self.slot[nodes])
        return self.gather(buffer, self.slot[nodes]) if view is None else view

    def read(self, nodes: Places, buffers: tuple[Floats, Floats] | None = None) -> Floats:
        """The same, as an array."""
        found: Floats = array_of(self.look_up(nodes, buffers))
        return found

    def operand(self, nodes: Places, *, varying: bool) -> float | Floats | WaitingCall:
        """The values of nodes for a step that varies, or not; a number if all are one constant."""
        data = self.record.data[nodes]
        if not self.record.live[nodes].any() and np.all(data == data.flat[0]):
            return float(data.flat[0])
        if varying and not self.varying[nodes.flat[0]]:
            return self.read(nodes)[..., None]
        return self.look_up(nodes)

    def _slice(self, buffer: Floats, places: Places) -> Floats | None:
        """The places of a buffer as a view, if they lie at even distances."""
        if places.shape != (1,):
            self._shared[id(buffer)][places] = True
            return _view(buffer, places)
        row = id(buffer), int(places[0])
        if row not in self._rows:
            self._rows[row] = buffer[row[1] : row[1] + 1]
        return self._rows[row]

    # ---- adjoints ----

    def upstream(self, nodes: Places) -> Floats:
        """The adjoints of nodes, once nothing more will be added to them."""
        self._write_adjoints(nodes)
        return self.read(nodes, self.adjoints)

    def adjoint(self, nodes: Places) -> Any:
        """The same as a Result; or as a number, if it is one number for all items."""
        found = self._unwritten.get(int(nodes[0])) if len(nodes) == 1 else None
        return Result(self, self.upstream(nodes)) if found is None else found

    def finish(self) -> None:
        """Have the adjoints of the inputs in their rows."""
        for node in [i for i in self.record.inputs.tolist() if i in self._unwritten]:
            found = self._unwritten[node]
            if self.varying[node] and not (isinstance(found, Result) and found.is_plus):
                self.start_step()
                self._unwritten[node] = found + 0.0  # turns −0.0 into 0.0
            self._write_adjoints(np.array([node]))
        for space, count in enumerate(self.layout.inputs):
            self._clear(space, np.flatnonzero(~self._written[space][:count]))

    def hand_on(self, nodes: Places, contribution: Any) -> None:
        """Add a contribution (a Result, a call, an array or a number) to the adjoints of nodes."""
        if not self.record.live[nodes].any():
            return
        space, places = int(self.varying[nodes.flat[0]]), self.slot[nodes]
        if isinstance(contribution, (np.ndarray, WaitingCall)):
            contribution = Result(self, contribution)
        if isinstance(contribution, Result) and len(contribution.x.shape) > places.ndim + space:
            x = self.total(contribution.x, len(contribution.x.shape) - 1)  # over the items
            contribution = Result(self, x, contribution.factor)
        if nodes.shape == (1,):
            self._hand_on_to_one(nodes, contribution)
            return
        self._write_adjoints(nodes)
        if isinstance(contribution, Result):
            x = contribution.plain()
        else:
            x = np.full((*places.shape, self.items) if space else places.shape, contribution)
        places, x = self._combined(places, x)
        written = self._written[space][places]
        buffer = self.adjoints[space]
        target = self._slice(buffer, places)
        if written.any():
            self._clear(space, places[~written])
            if target is None:
                self.add(_add_at, buffer, places, x)
            else:
                self.add(np.add, target, x, out=target)
            return
        self._written[space][places] = True
        if target is None:
            self.add(_put_at, buffer, places, x)
        else:
            self.write(target, x)

    def _combined(self, places: Places, x: Any) -> tuple[Places, Any]:
        """Contributions with those to the same place added up: different places, one axis."""
        for axis in reversed(range(places.ndim)):  # the same nodes all along an axis
            if places.shape[axis] > 1 and (places == places.take([0], axis)).all():
                rest = x.shape[places.ndim :]
                x = self.total(np.broadcast_to(array_of(x), (*places.shape, *rest)), axis)
                places = np.take(places, 0, axis)
        if places.ndim == 0:
            places, x = places[None], array_of(x)[None]
        distinct, start = np.unique(np.sort(places, axis=None), return_index=True)
        if len(distinct) == places.size:
            return places, x
        whole = self.temporary((*places.shape, *x.shape[places.ndim :]))
        self.write(whole, x)
        order = np.argsort(places, axis=None, kind="stable")
        rows = self.gather(whole.reshape(places.size, *whole.shape[places.ndim :]), order)
        shape = len(distinct), *rows.shape[1:]
        return distinct, WaitingCall(self, np.add.reduceat, [rows, start, 0], shape)

    def _hand_on_to_one(self, nodes: Places, contribution: Any) -> None:
        """Add to the adjoint of one node. An array that stays as it is need not be copied."""
        node, target = int(nodes[0]), self.read(nodes, self.adjoints)
        if node in self._unwritten:
            contribution = self._unwritten[node] + contribution
        elif self._written[int(self.varying[node])][self.slot[node]]:
            contribution = Result(self, target) + contribution
        if isinstance(contribution, Result):
            found = contribution = contribution.signed()
            x = found.x
            if isinstance(x, WaitingCall) or self.is_temporary(x) or x.shape != target.shape:
                self.write(target, x)
                contribution = Result(self, target, found.factor, is_plus=found.is_plus)
        self._unwritten[node] = contribution

    def _write_adjoints(self, nodes: Places) -> None:
        """Have the adjoints of nodes in their rows."""
        for node in self._unwritten.keys() & set(nodes.ravel().tolist()) if self._unwritten else ():
            found = self._unwritten.pop(node)
            target = self.read(np.array([node]), self.adjoints)
            if not (isinstance(found, Result) and found.x is target and found.factor == 1.0):
                self.write(target, found)
            self._written[int(self.varying[node])][self.slot[node]] = True

    def _clear(self, space: int, places: Places) -> None:
        """Have these adjoints start at 0."""
        if places.size:
            self.cleared.append((space, places))
            self._written[space][places] = True
            self._shared[id(self.adjoints[space])][places] = True


def _put_at(buffer: Floats, places: Places, x: Floats) -> None:
    buffer[places] = x


def _add_at(buffer: Floats, places: Places, x: Floats) -> None:
    buffer[places] += x


def _view(buffer: Floats, places: Places) -> Floats | None:
    """The places as a view of the buffer, if they lie at even distances."""
    first, last = int(places.flat[0]), int(places.flat[-1])
    if places.ndim == 1:
        step = int(places[1]) - first
        if last - first != step * (len(places) - 1) or (np.diff(places) != step).any():
            return None
        if step > 0:
            return buffer[first : last + 1 : step]
    even, strides = np.full(places.shape, first), []
    for axis, size in enumerate(places.shape):
        step = int(places.take(1, axis).flat[0]) - first if size > 1 else 0
        strides.append(step * buffer.strides[0])
        shape = [1] * places.ndim
        shape[axis] = size
        even += step * np.arange(size).reshape(shape)
    if not np.array_equal(even, places):
        return None
    return as_strided(
        buffer[first:], (*places.shape, *buffer.shape[1:]), (*strides, *buffer.strides[1:])
    )
