"""A recorded graph as a short program of NumPy calls: what a Tape runs.

    >>> from tinygrad_margin.engine import Value, topological_order
    >>> x = Value(3.0)
    >>> record = Record(topological_order(x * x + 1.0), [x])
    >>> program = Program(Plan(record, np.array([True])), items=2)  # x is an array of two items
    >>> program.run([], [np.array([1.0, 2.0])])
    array([2., 5.])
    >>> program.sweep()
    (array([], dtype=float64), array([[2., 4.]]))

Nodes of one operation at one depth are one call. A long sum is one call. Sums whose products pair
the same list of weights, or the same list of activations, are one matrix product: that is how a
network hides in a graph of scalars, and finding it again is where the speed comes from.

What is the same for all items stands in one vector; what varies, in a matrix with a row for each
node. Nodes that are computed together stand side by side, so that most calls work on slices.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from tinygrad_margin.ops import FLOATS, RELU
from tinygrad_margin.primitive import partials_are_formulas, value_is_formula
from tinygrad_margin.tape.kinks import STEADY, Watch
from tinygrad_margin.tape.record import (
    ARRAYS,
    MUL_CODE,
    Arrays,
    Flags,
    Floats,
    Places,
    Record,
    fill,
    in_a_tuple,
)

_WORTH = 16  # products that are worth a matrix product


class _Array:
    """factor · x, where a call will have filled x; arithmetic on it adds calls to the program.

    The factor waits: the next call may take it in, and subtract instead of add. ``is_plus`` says
    that no item can be −0.0, if none of the inputs is.
    """

    __slots__ = ("factor", "is_plus", "program", "x")

    def __init__(
        self, program: Program, x: Any, factor: float = 1.0, *, is_plus: bool = False
    ) -> None:
        self.program, self.x, self.factor, self.is_plus = program, x, factor, is_plus

    def plain(self) -> Any:
        """The array, with the factor multiplied in."""
        if self.factor == 1.0:
            return self.x
        if self.factor == -1.0:
            return self.program.call(np.negative, self.x).x
        return self.program.call(np.multiply, self.x, self.factor).x

    def signed(self) -> _Array:
        """The same, with a factor that is 1 or −1."""
        if abs(self.factor) == 1.0:
            return self
        return _Array(self.program, self.plain(), is_plus=self.is_plus)

    def __add__(self, other: Any) -> _Array:
        a, b = self.signed(), _Array(self.program, other)
        if isinstance(other, _Array):
            b = other.signed()
        if a.factor == b.factor:
            x, is_plus = self.program.call(np.add, a.x, b.x).x, a.is_plus or b.is_plus
            return _Array(self.program, x, is_plus=is_plus) * a.factor
        more, less = (a, b) if a.factor > b.factor else (b, a)
        x = self.program.call(np.subtract, more.x, less.x).x
        return _Array(self.program, x, is_plus=more.is_plus)

    __radd__ = __add__

    def __sub__(self, other: Any) -> _Array:
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> _Array:
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> _Array:
        if isinstance(other, _Array):
            x = self.program.call(np.multiply, self.x, other.x).x
            factor = self.factor * other.factor
            return _Array(self.program, x, factor, is_plus=self.x is other.x and factor > 0.0)
        factor, is_plus = self.factor * other, self.is_plus and other > 0.0
        return _Array(self.program, self.x, factor, is_plus=is_plus)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> _Array:
        if isinstance(other, float) and abs(math.frexp(other)[0]) == 0.5:  # a power of 2
            factor = 1.0 / other
            if math.isfinite(factor):
                return self * factor  # exact, and faster
        return self.program.call(np.divide, self, other)

    def __rtruediv__(self, other: Any) -> _Array:
        return self.program.call(np.divide, other, self)

    def __neg__(self) -> _Array:
        return self * -1.0


def _unary(function: Callable[..., Any]) -> Callable[[_Calls, Any], Any]:
    """A function of one operand."""

    def unary(m: _Calls, a: Any) -> Any:
        if isinstance(a, _Array):
            return m.call(function, a)
        with np.errstate(all="ignore"):
            return float(function(np.float64(a)))

    return unary


class _Calls(Arrays):
    """The same, adding calls to a program; numbers are computed at once."""

    def __init__(self, program: Program) -> None:
        self.call = program.call

    exp, log, sqrt = _unary(np.exp), _unary(np.log), _unary(np.sqrt)  # type: ignore[assignment]
    sin, cos, tanh = _unary(np.sin), _unary(np.cos), _unary(np.tanh)  # type: ignore[assignment]
    abs = _unary(np.abs)  # type: ignore[assignment]

    def pow(self, a: Any, b: Any) -> Any:  # type: ignore[override]
        if isinstance(a, _Array) and b in (0.0, 1.0, 2.0, 3.0):  # much faster than a power
            return (lambda: 1.0, lambda: a, lambda: a * a, lambda: a * a * a)[int(b)]()
        if isinstance(a, _Array) or isinstance(b, _Array):
            is_whole = isinstance(b, float) and b % 1.0 == 0.0
            return self.call(np.power if is_whole else ARRAYS.pow, a, b)
        with np.errstate(all="ignore"):
            return float(ARRAYS.pow(np.float64(a), np.float64(b)))

    def xlogy(self, x: Any, y: Any) -> Any:  # type: ignore[override]
        if isinstance(y, _Array):
            return self.call(ARRAYS.xlogy, x, y)
        return x * self.log(y) if y else 0.0

    def maximum(self, a: Any, b: Any) -> Any:  # type: ignore[override]
        return self.call(np.maximum, a, b)

    def step(self, a: Any, b: Any, tie: float) -> Any:  # type: ignore[override]
        if b == 0.0 and not tie:  # the same, faster: without a branch for each item
            return self.call(np.ceil, self.call(np.ndarray.clip, a, 0.0, 1.0))
        return self.call(ARRAYS.step, a, b, tie)

    def is_zero(self, a: Any) -> Any:  # type: ignore[override]
        if isinstance(a, _Array):
            return self.call(np.equal, a, 0.0)
        return float(a == 0.0)


def _by_item(name: str) -> Callable[..., Any]:
    """A function, item by item, as the engine has it; where that has no value, as NumPy does."""
    exact, on_arrays = getattr(FLOATS, name), getattr(ARRAYS, name)

    def filled(*operands: Any, out: Floats) -> None:
        columns = (np.broadcast_to(x, out.shape).ravel().tolist() for x in operands)
        found = []
        for item in zip(*columns, strict=True):
            try:
                found.append(exact(*item))
            except (ArithmeticError, ValueError):
                found.append(on_arrays(*map(np.float64, item)))
        out[...] = np.reshape(found, out.shape)

    def function(m: _Calls, *operands: Any) -> Any:
        if any(isinstance(x, _Array) for x in operands):
            return m.call(filled, *operands)
        return getattr(_Calls, name)(m, *operands)

    return function


class _ExactCalls(_Calls):
    """The same, to the last digit what the engine gives."""

    exp, log, sin, cos, tanh = map(_by_item, ("exp", "log", "sin", "cos", "tanh"))
    sigmoid, pow, xlogy = map(_by_item, ("sigmoid", "pow", "xlogy"))


class Plan:
    """What is computed together, and where its results stand, for one choice of array inputs.

    Args:
        record: the graph.
        is_array: which inputs vary from item to item.
        is_exact: compute as the engine does, without matrix products and NumPy's functions.

    Attributes:
        varying: which nodes vary from item to item.
        watched: which nodes come after matrix products, a rounding off, and before kinks or at one.
        slot: the place of each node among those that are uniform, or among those that vary.
        sizes: how many places there are of either kind.
        inputs: how many of them are inputs, which come first.
        steps: what is computed together, in order.
        bytes: about how much memory it takes.
    """

    def __init__(self, record: Record, is_array: Flags, *, is_exact: bool = False) -> None:
        self.record, self.is_exact = record.arranged(), is_exact
        self.varying = record.reached_by(record.inputs[is_array])
        self.watched = np.zeros(len(record.op), bool)
        self.slot = np.full(len(record.op), -1, np.int32)
        self.inputs = int((~is_array).sum()), int(is_array.sum())
        self.sizes = list(self.inputs)
        for nodes in (record.inputs[~is_array], record.inputs[is_array]):
            places = np.flatnonzero(nodes >= 0)
            self.slot[nodes[places]] = places
        self.place(np.flatnonzero(~record.live), varying=False)
        self.steps = self._planned()
        self.bytes = 40 * len(record.op) + 2000 * len(self.steps)

    def place(self, nodes: Places, *, varying: bool) -> None:
        """Give nodes the next places, side by side."""
        self.slot[nodes] = self.sizes[varying] + np.arange(len(nodes))
        self.sizes[varying] += len(nodes)

    def _planned(self) -> list[_Step]:
        """The steps, in order, each with places for its results."""
        record = self.record
        alone = (record.op >= 0) & record.live & ~record.inside
        steps: dict[int, list[_Step]] = defaultdict(list)
        left = np.ones(len(record.roots), bool)  # the sums that are in no matrix product
        products = [] if self.is_exact else self._products()
        for level, product, found, terms in products:
            steps[level].append(product)
            left[found] = False
            alone[terms] = False
        if products:
            kinks = np.array([bool(row.kink) for row in record.rows])[record.op] & (record.op >= 0)
            if kinks.any():
                sums = [product.grid.ravel() for _, product, _, _ in products]
                rounded = record.reached_by(np.concatenate(sums))
                self.watched = rounded & record.leading_to(kinks & rounded)
        long = np.flatnonzero(left & (record.count > 2))
        alone[record.roots[~left]] = alone[record.roots[long]] = False
        of = record.roots[long]
        for rows in _alike(record.level[of], record.count[long], self.varying[of]):
            chosen = long[rows]
            spots = record.start[chosen][:, None] + np.arange(record.count[chosen[0]])
            each = _Sums(record.roots[chosen], record.term[spots])
            steps[record.level[each.nodes[0]]].append(each)
        nodes = np.flatnonzero(alone)
        a, b = record.a[nodes], record.b[nodes]
        for rows in _alike(record.level[nodes], record.op[nodes], self.varying[a],
                           (b >= 0) & self.varying[b], self._kinds(nodes)):  # fmt: skip
            chosen = nodes[rows]
            kind = _Each if record.rows[record.op[chosen[0]]].is_builtin else _Own
            steps[record.level[chosen[0]]].append(kind(chosen, record))
        planned = [step for level in sorted(steps) for step in steps[level]]
        for step in planned:
            step.settle(self)
        return planned

    def _kinds(self, nodes: Places) -> Places:
        """A number for each node, the same where the same of its operands beyond two vary."""
        kinds: dict[tuple[bool, ...], int] = {}
        found = np.zeros(len(nodes), np.int64)
        for k, i in enumerate(nodes.tolist() if self.record.rest else ()):
            flags = tuple(self.varying[self.record.rest.get(i, [])].tolist())
            found[k] = kinds.setdefault(flags, len(kinds))
        return found

    def _products(self) -> list[tuple[int, _Product, Places, Places]]:
        """Matrix products: the level of each, its sums (in ``record.roots``), its products."""
        record = self.record
        if not len(record.roots):
            return []
        term = record.term
        is_product = (record.op[term] == MUL_CODE) & record.live[term] & (record.uses[term] == 1)
        length = np.add.reduceat(is_product, record.start)
        level, varying = record.level[record.roots], self.varying[record.roots]
        found = []
        for sums in _alike(level, length, record.count - length, varying):
            k, count = length[sums[0]], record.count[sums[0]]
            if k * len(sums) < _WORTH:
                continue
            spots = record.start[sums][:, None] + np.arange(count)
            products = term[spots][is_product[spots]].reshape(len(sums), k)
            rest = term[spots][~is_product[spots]].reshape(len(sums), count - k)
            left, right = record.a[products], record.b[products]
            _, i = np.unique(left, axis=0, return_inverse=True)
            _, j = np.unique(right, axis=0, return_inverse=True)
            for cells in _full_grids(i.ravel(), j.ravel()):
                rows = cells.ravel()
                product = self._product(record.roots[sums], left, right, rest, cells)
                if product is not None:
                    where = int(level[sums[0]])
                    found.append((where, product, sums[rows], products[rows].ravel()))
        return found

    def _product(
        self, sums: Places, left: Places, right: Places, rest: Places, cells: Places
    ) -> _Product | None:
        """One matrix product for a full grid of sums, if it is worth it."""
        lists = left[cells[0]], right[cells[:, 0]]
        if cells.size * lists[0].shape[1] < _WORTH:
            return None
        flags = [self.varying[each] for each in lists]
        is_mixed = any(x.any() and not x.all() for x in flags)
        if is_mixed or (flags[0].all() and flags[1].all()):
            return None
        others = [column[cells] for column in rest.T]
        if any(len(set(self.varying[each].flat)) > 1 for each in others):
            return None
        if flags[0].all():  # the list that varies comes second
            return _Product(sums[cells].T, lists[1], lists[0], [each.T for each in others])
        return _Product(sums[cells], lists[0], lists[1], others)


class Program:
    """The calls of a plan, for one number of items.

    Args:
        plan: what is computed together.
        items: how many items there are.

    Attributes:
        values: the values of what is uniform (n,), and of what varies (n, items); a row that
            nobody reads any more may hold another value.
        adjoints: theirs, alike.
        bytes: about how much memory it takes.
    """

    def __init__(self, plan: Plan, items: int) -> None:
        self.items, self.record, self.varying = items, plan.record, plan.varying
        self.slot, self._inputs = plan.slot, plan.inputs
        self.m = _ExactCalls(self) if plan.is_exact else _Calls(self)
        self._watched, self._watch = plan.watched, Watch()
        self._watched_at = np.full(len(self.record.op), -1, np.int32)  # the step in the watch
        self._past = np.zeros(len(self.record.op), bool)  # a 0 that a kink made is no rounding
        self._factors: dict[int, Floats] = {}  # of products, by their steps
        self.plus = (self.record.op < 0) & ~np.signbit(self.record.data)  # no item can be −0.0
        self.plus[self.record.inputs[self.record.inputs >= 0]] = True
        uniform, varied = plan.sizes
        self.values = np.zeros(uniform), np.zeros((varied, items))
        self.adjoints = np.zeros(uniform), np.zeros((varied, items))
        constants = np.flatnonzero(~self.record.live)
        self.values[0][self.slot[constants]] = self.record.data[constants]
        self._arena: list[Floats] = []
        self._taken = 0
        self._cleared: list[tuple[int, Places]] = []
        self._rows: dict[tuple[int, int], Floats] = {}
        self._mixed = {id(x): np.zeros(len(x), bool) for x in (*self.values, *self.adjoints)}
        self._forward = self.calls = list[_Call]()
        for step in plan.steps:
            self._taken = 0
            step.forward(self)
        root = len(self.record.op) - 1
        self._root = int(self.varying[root]), int(self.slot[root])
        self._written = [np.zeros(size, bool) for size in plan.sizes]
        self._handed = self.slot.copy()  # where the adjoint of each node stands
        # But not of these, which were handed on one by one: theirs is a number, or ±1 · an array.
        self._lone: dict[int, Any] = {root: 1.0 if self._root[0] else float(items)}
        self._backward = self.calls = list[_Call]()
        for step in reversed(plan.steps):
            self._taken = 0
            step.backward(self)
        self._finish()
        self._backward = self._without_unread(self._backward)
        self._spots = self._lendable()
        if varied:
            self._compute_once()
            self._reuse_rows()
        # What was needed to make the calls; some of it refers to the program, and would keep it.
        self._lone.clear()
        self._arena.clear()
        self._factors.clear()
        del self.m, self._handed, self._written, self.plus, self._watched_at, self._past
        self.bytes = self._size()

    def _size(self) -> int:
        """The bytes of its arrays and calls."""
        calls = [*self._forward, *self._backward]
        arrays = [x for _, operands, out in calls for x in (*operands, *out.values())]
        whole = {id(base): base for x in arrays if (base := getattr(x, "base", x)) is not None}
        kept = sum(x.nbytes for x in whole.values() if isinstance(x, np.ndarray))
        return kept + 1000 * len(calls)

    def _finish(self) -> None:
        """Have the adjoints of the inputs stand in their rows."""
        for node in [i for i in self.record.inputs.tolist() if i in self._lone]:
            given = self._lone[node]
            if self.varying[node] and not (isinstance(given, _Array) and given.is_plus):
                self._taken = 0
                self._lone[node] = given + 0.0  # not -0.0: as when added to a grad
            self.settle(np.array([node]))
        for space, count in enumerate(self._inputs):
            self.clear(space, np.flatnonzero(~self._written[space][:count]))

    def _lendable(self) -> dict[tuple[int, int], list[tuple[Any, Any]]]:
        """Where the calls use a row of an input or of J, if they use it by itself only."""
        (space, root), count = self._root, self._inputs[1]
        ends = {(id(x), i) for x in (self.values[1], self.adjoints[1]) for i in range(count)}
        if space:
            ends ^= {(id(self.values[1]), root)}  # an input that is J itself is both: copy it
        ends -= {(x, i) for x, i in ends if self._mixed[x][i]}
        spots: dict[tuple[int, int], list[tuple[Any, Any]]] = {end: [] for end in ends}
        found = {id(self._rows[end]): spots[end] for end in ends & self._rows.keys()}
        for _, operands, out in (*self._forward, *self._backward) if found else ():
            for holder, items in ((operands, enumerate(operands)), (out, out.items())):
                for key, x in items:
                    if id(x) in found:
                        found[id(x)].append((holder, key))
        return spots

    def _compute_once(self) -> None:
        """Keep what is asked for twice, of values that have rows, from the first time on."""
        steady = {id(x) for end, x in self._rows.items() if end[0] == id(self.values[1])}

        def question(call: _Call) -> tuple[Any, ...] | None:
            function, operands, out = call
            asked = [float(x).hex() if np.ndim(x) == 0 else id(x) for x in operands]
            is_steady = {x for x in asked if isinstance(x, int)} <= steady
            is_new = bool(out) and self.is_temporary(out["out"])
            return (function, *asked) if is_steady and is_new else None

        times = Counter(question(call) for call in (*self._forward, *self._backward))
        answers: dict[Any, Floats] = {}
        kept: dict[int, Floats] = {}
        for calls in (self._forward, self._backward):
            before = calls.copy()
            calls.clear()
            for call in before:
                asked, (_, operands, out) = question(call), call
                operands[:] = [kept.get(id(x), x) for x in operands]
                if asked is None or times[asked] == 1 or asked not in answers:
                    calls.append(call)
                if asked is not None and times[asked] > 1:
                    x = out["out"]
                    kept[id(x)] = out["out"] = answers.setdefault(asked, np.empty(x.shape))

    def _reuse_rows(self) -> None:
        """Have results stand in rows that nobody reads any more: a cache holds few rows."""
        calls = [*self._forward, *self._backward]
        movable = self._movable(calls)
        buffers = {id(x) for x in (*self.values, *self.adjoints)}
        last = {id(x): i for i, (_, operands, _) in enumerate(calls) for x in operands}
        place: dict[int, Floats] = {}
        free: list[Floats] = []
        for i, (function, operands, out) in enumerate(calls):
            done = [place[x] for x in {id(x) for x in operands} & place.keys() if last[x] == i]
            operands[:] = [place.get(id(x), x) for x in operands]
            is_each = isinstance(function, np.ufunc) and function.signature is None
            free += done if is_each else []  # item by item, a result may replace an operand
            for x in out.values():
                if id(x) in movable and id(x) not in place:
                    is_row = _whole(x) in buffers  # or temporary, which others overwrite
                    place[id(x)] = free.pop() if free else x if is_row else np.empty(x.shape)
                out["out"] = place.get(id(x), x)
            free += [] if is_each else done

    def _movable(self, calls: list[_Call]) -> set[int]:
        """Which rows that calls fill may stand elsewhere: none that is seen as part of another."""
        filled = {id(x): x for _, _, out in calls for x in out.values()}
        others = {id(x): x for call in calls for x in _read(call) if id(x) not in filled}
        taken = (call[0].func.__self__ for call in calls if isinstance(call[0], _Take))
        others |= {id(x): x for x in taken}
        parts = {_whole(x) for x in (*others.values(), *self.values, *self.adjoints)}
        single: set[int] = set()
        for buffer, ends in ((self.values[1], 0), (self.adjoints[1], self._inputs[1])):
            seen = self._mixed[id(buffer)].copy()
            seen[:ends] = True
            seen[[i for whole, i in self._spots if whole == id(buffer)]] = True
            for x in others.values():
                if _whole(x) == id(buffer):
                    seen[_rows_of(x, buffer)] = True
            single |= {
                id(x) for (whole, i), x in self._rows.items() if whole == id(buffer) and not seen[i]
            }  # fmt: skip
        return {
            key for key, x in filled.items()
            if x.shape == (1, self.items) and (key in single or _whole(x) not in parts)
        }  # fmt: skip

    # ---- running it ----

    @property
    def is_in_doubt(self) -> bool:
        """Was the last run within a rounding of a kink, so that the engine may be beyond it?"""
        return self._watch.found

    def run(
        self, numbers: Sequence[float] | Floats, arrays: Sequence[Floats], out: Floats | None = None
    ) -> Any:
        """J at these inputs: one number for each input that is none, one array for each other.

        ``out`` is filled, if it is given.
        """
        self._watch.found = False
        values, (space, place) = self.values[1], self._root
        result = np.empty(self.items if space else 0) if out is None else out
        self.values[0][: self._inputs[0]] = numbers
        for i, x in enumerate(arrays):
            if x.strides != values.strides[1:] or not self._lend(values, i, x):
                values[i] = x
                self._lend(values, i, values[i])
        is_lent = space and self._lend(values, place, result)
        _do(self._forward)
        if not is_lent:
            result[:] = self.values[space][place]
        return result if space else float(self.values[0][place])

    def sweep(self, arrays: Sequence[Floats] | None = None) -> tuple[Floats, Sequence[Floats]]:
        """∂J/∂input at the inputs of ``run``: for the numbers (over all items) and the arrays.

        ``arrays`` are filled, if they are given. What is there for the numbers holds until the
        next sweep.
        """
        adjoints = self.adjoints[1]
        filled: Any = np.empty((self._inputs[1], self.items)) if arrays is None else arrays
        rest = [i for i, x in enumerate(filled) if not self._lend(adjoints, i, x)]
        for space, places in self._cleared:
            self.adjoints[space][places] = 0.0
        _do(self._backward)
        for i in rest:
            np.add(adjoints[i], 0.0, out=filled[i])
        return self.adjoints[0][: self._inputs[0]], filled

    def _lend(self, buffer: Floats, place: int, x: Floats) -> bool:
        """Have the calls use an array instead of a row of the buffer, if they can."""
        spots = self._spots.get((id(buffer), place))
        for holder, key in spots or ():
            holder[key] = x[None]
        return spots is not None

    def give_back(self) -> None:
        """Keep none of the arrays that ``run`` and ``sweep`` were given."""
        for end, spots in self._spots.items():
            for holder, key in spots:
                holder[key] = self._rows[end]

    # ---- making calls ----

    def add(self, function: Callable[..., Any], *operands: Any, out: Floats | None = None) -> None:
        """Add a call."""
        self.calls.append((function, list(operands), {} if out is None else {"out": out}))

    def _watched_before(self, *operands: Places) -> tuple[int, ...]:
        """The steps of the watch that operands come from."""
        found = {i for nodes in operands for i in np.unique(self._watched_at[nodes]).tolist()}
        return tuple(sorted(found - {-1}))

    def watch_product(self, step: _Product, left: Floats, right: Floats) -> None:
        """Have the watch see a matrix product, if kinks come after it."""
        if self._watched[step.grid].any():
            before = self._watched_before(step.left), self._watched_before(step.right)
            self._watched_at[step.grid] = place = self._watch.place()
            is_sure = (self._watched_at[step.right] < 0) | self._past[step.right]  # where it is 0
            if is_sure.all() and not self.is_temporary(right):
                self._factors[place] = right
            self.add(partial(self._watch.product, place, *before), left, right)

    def watch_total(self, nodes: Places, terms: Places) -> None:
        """Have the watch see sums, if kinks come after them."""
        before = self._watched_before(terms)
        if before and self._watched[nodes].any():
            self._watched_at[nodes] = place = self._watch.place()
            self.add(partial(self._watch.total, place, before, terms.shape[-1]))

    def watch_each(self, step: _Each, arguments: Sequence[Any]) -> None:
        """Have the watch see an operation that comes after a product and before or at a kink."""
        row, nodes, before = step.row, step.nodes, self._watched_before(*step.operands)
        if not (before and self._watched[nodes].any()):
            return
        arrays = [x.plain() if isinstance(x, _Array) else np.asarray(x) for x in arguments]
        if row.kink:
            factors = [self._factors[i] for i in before if i in self._factors]
            if len(factors) < len(before):
                factors = []
            of = np.concatenate([each[self._watched_at[each] >= 0] for each in step.operands])
            is_past = bool(self._past[of].all())
            self._past[nodes] = is_past or row is RELU
            look = partial(self._watch.kink, before, rights=len(factors), is_past=is_past)
            room = self.temporary(np.broadcast_shapes(*(x.shape for x in arrays)))
            self.add(look, room, *factors, *arrays)
        if row in STEADY and len(before) == 1:
            self._watched_at[nodes] = before[0]
            return
        self._watched_at[nodes] = place = self._watch.place()
        if row in STEADY:
            self.add(partial(self._watch.total, place, before))
        else:
            each = [self._watched_before(operand) for operand in step.operands]
            self.add(partial(self._watch.step, place, each, row), *arrays, self.read(nodes))

    def take(self, x: Floats, places: Places, out: Floats) -> None:
        """Add a call that gathers rows."""
        self.add(_Take(x.take, mode="clip"), places.astype(np.intp), 0, out=out)

    def call(self, function: Callable[..., Any], *operands: Any) -> _Array:
        """Add a call; what it gives, in a temporary array."""
        # NumPy takes an array without dimensions sooner than a number.
        plain = [x.plain() if isinstance(x, _Array) else np.asarray(x) for x in operands]
        shape = plain[0].shape
        if any(x.shape != shape for x in plain[1:]):
            shape = np.broadcast_shapes(*(x.shape for x in plain))
        out = self.temporary(shape)
        self.add(function, *plain, out=out)
        return _Array(self, out)

    def temporary(self, shape: tuple[int, ...]) -> Floats:
        """An array that holds until the step is done; the next steps use it anew."""
        size = math.prod(shape)
        if self._taken == len(self._arena):
            self._arena.append(np.empty(0))
        if self._arena[self._taken].size < size:
            self._arena[self._taken] = np.empty(size)
        self._taken += 1
        return self._arena[self._taken - 1][:size].reshape(shape)

    def into(self, target: Floats, result: Any) -> None:
        """Have a result stand in the target: the last call writes there at once, if it can."""
        x = result.plain() if isinstance(result, _Array) else result
        last = self.calls[-1][2] if self.calls else {}
        if "out" in last and last["out"] is x and x.shape == target.shape and self.is_temporary(x):
            last["out"] = target
        else:
            self.add(np.copyto, target, x)

    def is_temporary(self, x: Floats) -> bool:
        """Will the next steps overwrite it?"""
        return any(x.base is whole for whole in self._arena)

    def window(self, buffer: Floats, places: Places) -> Floats | None:
        """The places of a buffer as a view, if they lie at even distances."""
        if places.shape != (1,):
            self._mixed[id(buffer)][places] = True
            return _window(buffer, places)
        key = id(buffer), int(places[0])
        if key not in self._rows:
            self._rows[key] = buffer[key[1] : key[1] + 1]
        return self._rows[key]

    def read(
        self, nodes: Places, of: tuple[Floats, Floats] | None = None, at: Places | None = None
    ) -> Floats:
        """The values of nodes, as an array of their shape, then the items if they vary."""
        space = int(self.varying[nodes.flat[0]])
        buffer = (self.values if of is None else of)[space]
        places = (self.slot if at is None else at)[nodes]
        view = self.window(buffer, places)
        if view is None:
            view = self.temporary((*nodes.shape, *buffer.shape[1:]))
            self.take(buffer, places, out=view)
            view = view[...]  # no call's own array: it may be read more than once, see ``into``
        return view

    def share(self, nodes: Places, source: Places) -> bool:
        """Let nodes that are used once have the adjoints of the source, without a copy."""
        record = self.record
        if (
            nodes.size == 1  # handed on without a copy in any case
            or (record.uses[nodes] > 1).any()
            or (record.op[nodes] < 0).any()
            or (self.varying[nodes] != self.varying[source]).any()
        ):
            return False
        self._handed[nodes] = self._handed[source]
        return True

    def operand(self, nodes: Places, *, varying: bool) -> Any:
        """The values of nodes beside others; a constant that is the same for all is a number."""
        data = self.record.data[nodes]
        if not self.record.live[nodes].any() and np.all(data == data.flat[0]):
            return float(data.flat[0])
        x = self.read(nodes)
        return x[..., None] if varying and not self.varying[nodes.flat[0]] else x

    def upstream(self, nodes: Places) -> Floats:
        """The adjoints of nodes, which nothing will add to any more."""
        self.settle(nodes)
        return self.read(nodes, self.adjoints, self._handed)

    def adjoint(self, nodes: Places) -> Any:
        """The same, but a number where it is the same number for all items always."""
        found = self._lone.get(int(nodes[0])) if len(nodes) == 1 else None
        return _Array(self, self.upstream(nodes)) if found is None else found

    def settle(self, nodes: Places) -> None:
        """Have the adjoints of nodes stand in their rows."""
        for node in self._lone.keys() & set(nodes.ravel().tolist()) if self._lone else ():
            given = self._lone.pop(node)
            target = self.read(np.array([node]), self.adjoints)
            if not (isinstance(given, _Array) and given.x is target and given.factor == 1.0):
                self.into(target, given)
            self._written[int(self.varying[node])][self.slot[node]] = True

    def clear(self, space: int, places: Places) -> None:
        """Have these adjoints start at 0."""
        if places.size:
            self._cleared.append((space, places))
            self._written[space][places] = True
            self._mixed[id(self.adjoints[space])][places] = True

    def _hand_one(self, nodes: Places, contribution: Any) -> None:
        """Add to the adjoint of one node. An array that stays as it is need not be copied."""
        node, target = int(nodes[0]), self.read(nodes, self.adjoints)
        if node in self._lone:
            contribution = self._lone[node] + contribution
        elif self._written[int(self.varying[node])][self.slot[node]]:
            contribution = _Array(self, target) + contribution
        if isinstance(contribution, _Array):
            found = contribution.signed()
            if self.is_temporary(found.x) or found.x.shape != target.shape:
                self.into(target, found.x)
                found = _Array(self, target, found.factor, is_plus=found.is_plus)
            contribution = found
        self._lone[node] = contribution

    def hand(self, nodes: Places, contribution: Any) -> None:
        """Add to the adjoints of nodes what a step hands to them."""
        if not self.record.live[nodes].any():
            return
        space, places = int(self.varying[nodes.flat[0]]), self.slot[nodes]
        if isinstance(contribution, np.ndarray):
            contribution = _Array(self, contribution)
        if isinstance(contribution, _Array) and contribution.x.ndim > places.ndim + space:
            x = self.added_up(contribution.x, contribution.x.ndim - 1)  # over the items
            contribution = _Array(self, x, contribution.factor)
        if nodes.shape == (1,):
            self._hand_one(nodes, contribution)
            return
        self.settle(nodes)
        shape = (*places.shape, self.items) if space else places.shape
        is_number = not isinstance(contribution, _Array)
        x = np.full(shape, contribution) if is_number else contribution.plain()
        for axis in reversed(range(places.ndim)):  # the same nodes all along an axis
            if places.shape[axis] > 1 and (places == places.take([0], axis)).all():
                x = self.added_up(
                    np.broadcast_to(x, (*places.shape, *x.shape[places.ndim :])), axis
                )
                places = np.take(places, 0, axis)
        if places.ndim == 0:
            places, x = places[None], x[None]
        distinct, start = np.unique(np.sort(places, axis=None), return_index=True)
        if len(distinct) < places.size:  # some more than once: side by side, then add up
            whole = self.temporary((*places.shape, *x.shape[places.ndim :]))
            self.add(np.copyto, whole, x)
            whole = whole.reshape(places.size, *whole.shape[places.ndim :])
            order = np.argsort(places, axis=None, kind="stable")
            ordered = self.temporary(whole.shape)
            self.take(whole, order, out=ordered)
            places, x = distinct, self.temporary((len(distinct), *whole.shape[1:]))
            self.add(np.add.reduceat, ordered, start, 0, out=x)
        written = self._written[space][places]
        target = self.window(self.adjoints[space], places)
        if not written.any():
            self._written[space][places] = True
            if target is None:
                self.add(_put, self.adjoints[space], places, x)
            else:
                self.into(target, x)
            return
        self.clear(space, places[~written])
        if target is None:
            self.add(_put_more, self.adjoints[space], places, x)
        else:
            self.add(np.add, target, x, out=target)

    def _without_unread(self, calls: list[_Call]) -> list[_Call]:
        """The calls whose results are read: an operation gives all its slopes, needed or not."""
        temporary = {id(x) for x in self._arena}
        wanted: set[int] = set()
        kept = []
        for call in reversed(calls):
            out = call[2]
            target = id(out["out"].base) if out else 0
            if target in temporary:
                if target not in wanted:
                    continue
                wanted.discard(target)
            wanted |= {_whole(x) for x in _read(call)}
            kept.append(call)
        return kept[::-1]

    def added_up(self, x: Floats, axis: int) -> Floats:
        """The sum along an axis."""
        out = self.temporary(x.shape[:axis] + x.shape[axis + 1 :])
        self.add(np.add.reduce, x, axis, out=out)
        return out


# A function, its operands, and the array that it is to fill, as "out"; or it fills an operand.
_Call: TypeAlias = tuple[Callable[..., Any], list[Any], dict[str, Floats]]


class _Take(partial[Floats]):
    """A call that gathers rows of an array."""

    func: Any


def _read(call: _Call) -> list[Floats]:
    """The arrays that a call reads: the one that it takes rows from, and its operands."""
    source = [call[0].func.__self__] if isinstance(call[0], _Take) else []
    return [x for x in (*source, *call[1]) if isinstance(x, np.ndarray)]


def _whole(x: Any) -> int:
    """What an array is a part of, by its id; a view by strides has steps in between."""
    while getattr(x, "base", None) is not None:
        x = x.base
    return id(x)


def _rows_of(x: Floats, buffer: Floats) -> slice:
    """The rows of a buffer from the first to the last one that a view of it sees."""
    steps = [(size - 1) * stride for size, stride in zip(x.shape, x.strides, strict=True)]
    start, row = x.ctypes.data - buffer.ctypes.data, buffer.strides[0]
    low, high = (start + sum(f(step, 0) for step in steps) for f in (min, max))
    return slice(low // row, high // row + 1)


def _do(calls: list[_Call]) -> None:
    for function, operands, out in calls:
        function(*operands, **out)


def _put(buffer: Floats, places: Places, x: Floats) -> None:
    buffer[places] = x


def _put_more(buffer: Floats, places: Places, x: Floats) -> None:
    buffer[places] += x


def _add_in_order(x: Floats, axis: int, out: Floats) -> None:
    """The sum along an axis as the engine adds; NumPy adds numbers side by side in pairs."""
    out[...] = np.add.accumulate(x, axis)[-1]


def _alike(*keys: npt.NDArray[Any]) -> list[Places]:
    """Rows with equal keys, together; in the order of the keys, the first one first."""
    if not len(keys[0]):
        return []
    order = np.lexsort(keys[::-1])
    differs = np.zeros(len(order) - 1, bool)
    for key in keys:
        differs |= np.diff(key[order]) != 0
    return np.split(order, np.flatnonzero(differs) + 1)


def _full_grids(left: Places, right: Places) -> list[Places]:
    """Which pairs (left, right) make up full grids: for each, the pairs' places, right × left.

    A grid with a gap is none: nobody may ask what the two that never meet would give.
    """
    order = np.lexsort((left, right))
    alike: dict[bytes, list[Places]] = defaultdict(list)
    for rows in np.split(order, np.flatnonzero(np.diff(right[order])) + 1):
        alike[left[rows].tobytes()].append(rows)  # all that one of the right meets
    return [np.array(each) for each in alike.values()]


def _window(buffer: Floats, places: Places) -> Floats | None:
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


class _Step:
    """What is computed together; ``forward`` and ``backward`` add the calls."""

    nodes: Places

    def settle(self, plan: Plan) -> None:
        """Give the results places, in the order that lets most operands be slices."""
        raise NotImplementedError

    def forward(self, program: Program) -> None:
        """Add the calls that compute the values."""
        raise NotImplementedError

    def backward(self, program: Program) -> None:
        """Add the calls that hand the adjoints to the operands."""
        raise NotImplementedError


class _Each(_Step):
    """One operation for many nodes of one level."""

    def __init__(self, nodes: Places, record: Record) -> None:
        self.nodes = nodes
        self.row = record.rows[record.op[nodes[0]]]

    def settle(self, plan: Plan) -> None:
        columns = plan.record.columns(self.nodes)
        order = np.lexsort([plan.slot[each] for each in columns[::-1]])
        self.nodes, self.operands = self.nodes[order], [each[order] for each in columns]
        self.varying = bool(plan.varying[self.nodes[0]])
        plan.place(self.nodes, varying=self.varying)

    def _arguments(self, program: Program) -> list[Any]:
        arguments: list[Any] = []
        for nodes in self.operands:
            x = program.operand(nodes, varying=self.varying)
            if isinstance(x, np.ndarray):
                x = _Array(program, x, is_plus=bool(program.plus[nodes].all()))
            arguments.append(x)
        return arguments

    def forward(self, program: Program) -> None:
        out, arguments = program.read(self.nodes), self._arguments(program)
        value = self.row.value(program.m, *arguments)
        program.plus[self.nodes] = isinstance(value, _Array) and value.is_plus
        program.into(out, value)
        program.watch_each(self, arguments)

    def backward(self, program: Program) -> None:
        upstream = program.adjoint(self.nodes)
        out = _Array(program, program.read(self.nodes))
        partials = self.row.partials(program.m, *self._arguments(program), out)
        for nodes, slope in zip(self.operands, partials, strict=True):
            if not program.record.live[nodes].any():
                continue
            is_one = isinstance(upstream, _Array) and isinstance(slope, float) and slope == 1.0
            if not (is_one and program.share(nodes, self.nodes)):
                contribution = slope * upstream
                if isinstance(contribution, float) and self.varying > program.varying[nodes[0]]:
                    contribution *= program.items  # each of them hands on the same
                program.hand(nodes, contribution)


class _Own(_Each):
    """One's own operation for many nodes: on whole arrays if its functions are generic.

    If they are not, they take floats alone: one item after another, in Python.
    """

    def forward(self, program: Program) -> None:
        each = partial(_fill_one, self.row.value, value_is_formula(self.row))
        program.add(each, *self._plain(program), out=program.read(self.nodes))
        program.watch_total(self.nodes, np.stack(self.operands, -1))

    def backward(self, program: Program) -> None:
        upstream, out = program.adjoint(self.nodes), program.read(self.nodes)
        slopes = program.temporary((self.row.arity, *out.shape))
        each = partial(fill, self.row.partials, partials_are_formulas(self.row))
        program.add(each, *self._plain(program), out, out=slopes)
        for nodes, slope in zip(self.operands, slopes, strict=True):
            if program.record.live[nodes].any():
                program.hand(nodes, _Array(program, slope) * upstream)

    def _plain(self, program: Program) -> list[Any]:
        return [program.operand(each, varying=self.varying) for each in self.operands]


def _fill_one(function: Callable[..., Any], is_generic: bool, *operands: Any, out: Floats) -> None:
    """The same for a function that gives one number."""
    fill(in_a_tuple(function), is_generic, *operands, out=out[None])


class _Sums(_Step):
    """Many sums of one number of terms."""

    def __init__(self, nodes: Places, terms: Places) -> None:
        self.nodes, self.terms = nodes, terms

    def settle(self, plan: Plan) -> None:
        order = np.lexsort(plan.slot[self.terms].T[::-1])
        self.nodes, self.terms = self.nodes[order], self.terms[order]
        self.varying = bool(plan.varying[self.nodes[0]])
        self.is_even = bool((plan.varying[self.terms] == self.varying).all())
        plan.place(self.nodes, varying=self.varying)

    def forward(self, program: Program) -> None:
        out = program.read(self.nodes)
        program.watch_total(self.nodes, self.terms)
        if self.is_even:
            has_items = self.varying and program.items > 1  # side by side, so terms are not
            add_up = np.add.reduce if has_items else _add_in_order
            program.add(add_up, program.read(self.terms.T), 0, out=out)
            return
        program.add(np.copyto, out, 0.0)
        for column in self.terms.T:
            for kind in (False, True):
                rows = np.flatnonzero(program.varying[column] == kind)
                if len(rows) == len(column):
                    x = program.operand(column, varying=True)
                    program.add(np.add, out, x, out=out)
                elif len(rows):
                    x = program.operand(column[rows], varying=True)
                    program.add(_put_more, out, rows, x)

    def backward(self, program: Program) -> None:
        upstream = program.upstream(self.nodes)
        live = program.record.live[self.terms]
        if self.is_even and live.all():
            program.hand(self.terms, upstream[:, None])
            return
        for column, is_live in zip(self.terms.T, live.T, strict=True):
            for kind in (False, True):
                rows = np.flatnonzero((program.varying[column] == kind) & is_live)
                if len(rows) == len(column):
                    program.hand(column, upstream)
                elif len(rows):
                    part = program.temporary((len(rows), *upstream.shape[1:]))
                    program.take(upstream, rows, out=part)
                    program.hand(column[rows], part)


class _Product(_Step):
    """Sums of products, as a matrix product: out[r, l] = Σₖ left[l, k] · right[r, k] + rest[r, l].

    ``left`` is uniform; ``right`` varies with the items, or not.
    """

    def __init__(self, grid: Places, left: Places, right: Places, rest: list[Places]) -> None:
        self.grid, self.left, self.right, self.rest = grid, left, right, rest

    def settle(self, plan: Plan) -> None:
        rows = np.lexsort(plan.slot[self.right].T[::-1])
        columns = np.lexsort(plan.slot[self.left].T[::-1])
        self.right, self.left = self.right[rows], self.left[columns]
        self.rest = [each[rows][:, columns] for each in self.rest]
        self.grid = self.grid[rows][:, columns]
        self.varying = bool(plan.varying[self.grid[0, 0]])
        self.right_varies = bool(plan.varying[self.right.flat[0]])
        plan.place(self.grid.ravel(), varying=self.varying)

    def forward(self, program: Program) -> None:
        out = program.read(self.grid)
        left, right = program.read(self.left), program.read(self.right)
        program.watch_product(self, left, right)
        if self.right_varies:  # (l, k) times (r, k, items)
            program.add(np.matmul, left, right, out=out)
        elif self.varying:
            same = program.temporary(self.grid.shape)
            program.add(np.matmul, right, left.T, out=same)
            program.add(np.copyto, out, same[..., None])
        else:
            program.add(np.matmul, right, left.T, out=out)
        for each in self.rest:
            x = program.operand(each, varying=self.varying)
            program.add(np.add, out, x, out=out)

    def backward(self, program: Program) -> None:
        upstream = program.upstream(self.grid)
        left, right = program.read(self.left), program.read(self.right)
        live = program.record.live
        for each in self.rest:
            program.hand(each, upstream)
        if self.varying and not self.right_varies:
            upstream = program.added_up(upstream, 2)
        if live[self.right].any():
            one, two = (left.T, upstream) if self.right_varies else (upstream, left)
            out = program.temporary(right.shape)
            is_outer = one.shape[-1] == 1  # then much faster
            program.add(np.multiply if is_outer else np.matmul, one, two, out=out)
            program.hand(self.right, out)
        if live[self.left].any():
            if self.right_varies:
                out = program.temporary((len(right), *left.shape))
                program.add(np.matmul, upstream, right.swapaxes(1, 2), out=out)
                out = out[0] if len(right) == 1 else program.added_up(out, 0)
            else:
                out = program.temporary(left.shape)
                program.add(np.matmul, upstream.T, right, out=out)
            program.hand(self.left, out)
