"""Record a graph once, replay it fast: with new numbers in its leaves, or whole arrays of them.

    >>> import numpy as np
    >>> from tinygrad_margin import Tape, Value, margin_loss
    >>> s, s_c = Value(0.3), Value(0.5)
    >>> tape = Tape(margin_loss(s, s_c), [s, s_c])
    >>> tape.value_and_grad([0.3, 0.5])
    (1.2, [-1.0, 1.0])
    >>> tape.value_and_grad([np.array([0.3, 3.0]), 0.5])        # two items, and s_c for both
    (array([1.2, 0. ]), [array([-1.,  0.]), 1.0])

The graph is a Wengert list: what to compute, in order. A tape keeps that list and nothing of the
graph. A maximum or relu is evaluated anew each time, so the replay takes the branch that the new
numbers call for.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from numbers import Real
from typing import Any, TypeAlias, TypeVar

import numpy as np

from tinygrad_margin.engine import Value, make_node, topological_order
from tinygrad_margin.guard import as_node, as_number, one_line
from tinygrad_margin.ops import CONSTANT, LEAF, TABLE
from tinygrad_margin.tape.program import Plan, Program
from tinygrad_margin.tape.record import Flags, Floats, Record
from tinygrad_margin.tape.straight import Straight, functions
from tinygrad_margin.views.names import node_formula, node_names
from tinygrad_margin.views.notation import number
from tinygrad_margin.views.source import ATOM, PRODUCT, SUM, Functions, Source

_SMALL = 150  # operations; up to here a single evaluation is never worth NumPy's calls
_OFTEN = 30  # such evaluations; then it is worth being written down as a function
_NUMBERS = {float, int, np.float64}  # kinds of plain numbers that need no look
_WIDE = 24  # operations at a call, on average: that many numbers take NumPy no longer than Python
_DEEP = 300, 4  # calls, and operations at each: more of so little take too long to plan
_CACHE = 2**20  # numbers that a block of items may take; few of them are in use at once
_ROOM = 2**21  # and that it may take at all
_MOST = 2**17  # items of a block
_KEPT = 8, 2**26  # programs, and bytes, that are kept; and plans
_Key = TypeVar("_Key")
_Made = TypeVar("_Made", Plan, Program)

Inputs: TypeAlias = Sequence[Any] | np.ndarray[Any, Any]


class Tape:
    """The graph of J, recorded for replay with other numbers in the leaves ``wrt``.

    All other leaves are constants at their present value. ``len(tape)`` is the number of
    operations.

    The inputs ``xs`` of a replay come in the order of wrt, in one of these forms:

    - as many entries as wrt has, n: each is a number, or a one-dimensional array of B items. All
      arrays have one length; a number is the same for all items. The gradient has an entry for
      each, too: of shape (B,) for an array, and for a number a number, summed over the items.
    - fewer entries: the first is an array of k numbers, for the first k leaves, a model's
      parameters say; the other n − k are as in the first form. The gradient's first entry has
      shape (k,). (So k is at least 2: a single number is given as a number.)
    - an array of shape (n,): n numbers. The gradient has shape (n,).
    - an array of shape (n, B). The gradient has shape (n, B).

    Values and gradients are the engine's, to 1e-12 of the largest number that goes into them.
    Where numbers cancel, less of the result is left: where tanh or sigmoid is near 1, its slope,
    1 − J · J or J · (1 − J), is off by a rounding of that 1, about 2e-16, as it is in the engine.
    Kinks and ties fall as the engine's do. A matrix product adds its terms in an order of its own:
    a block of items in which that may decide the side of a kink is run again as the engine runs.
    (Where there is no matrix product, powers, exp, tanh and the like are NumPy's in any case, which
    may be a rounding off Python's.)
    Outside an operation's domain the value of an item is nan or inf, its slope what the formula
    gives (1/x, for a log), and other items are as they are.

    Sums of products become matrix products, which is where the speed comes from, if they are
    running sums, ``w[0] * x[0] + w[1] * x[1] + …``, as ``sum`` makes them. Products that are added
    in pairs of pairs, from the right or by subtraction, or are scaled first, are computed one kind
    after another. A graph with a few nodes at each of many levels runs node by node, in Python.

    Args:
        J: the root.
        wrt: the leaves that are inputs, each once. One that J does not depend on has gradient 0.

    Raises:
        TypeError: J or an entry of wrt is no Value, or wrt has no order.
        ValueError: an entry of wrt is no leaf, or stands there twice.

    Example:
        >>> w, x = Value(2.0, "w"), Value(3.0, "x")
        >>> tape = Tape((w * x).tanh(), [w, x])
        >>> tape
        Tape(2 operations: 1 mul, 1 tanh; 2 levels; 2 inputs)
        >>> tape.value([0.5, 0.0])
        0.0
        >>> print(tape.listing())
        w = xs[0]
        x = xs[1]
        v₁ = w × x
        J = tanh(v₁)
        ∂J/∂J = 1
        ∂J/∂v₁ = ∂J/∂J · (1 − J · J)
        ∂J/∂x = ∂J/∂v₁ · w
        ∂J/∂w = ∂J/∂v₁ · x
    """

    def __init__(self, J: Value, wrt: Sequence[Value]) -> None:
        if isinstance(wrt, Value):
            raise TypeError(
                "Tape(J, wrt) takes a sequence of leaves for wrt; put it in a list: [x]"
            )
        if isinstance(wrt, (Set, Mapping, str)) or not isinstance(wrt, Iterable):
            raise TypeError(
                "Tape(J, wrt) takes a sequence of leaves for wrt, in the order of the inputs; "
                f"got {type(wrt).__name__} {wrt!r:.60}"
            )
        order = topological_order(as_node(J, "Tape(J, wrt)"))
        wrt = [as_node(leaf, "Tape(J, wrt)") for leaf in wrt]
        for leaf, times in Counter(wrt).items():
            if leaf.parents:
                raise ValueError(
                    f"an input of a tape is a leaf; {_said(leaf)} is computed, by {leaf.op}"
                )
            if times > 1:
                raise ValueError(f"{_said(leaf)} stands {times} times in wrt: give each leaf once")
        self._record = Record(order, wrt)
        self._labels = {i: node._label for i, node in enumerate(order) if node._label}
        self._constants = [i for i, node in enumerate(order) if node._row is CONSTANT]
        self._names = [one_line(leaf.label) or f"xs[{i}]" for i, leaf in enumerate(wrt)]
        self._forget()

    def _forget(self) -> None:
        """Start without anything that is made when it is needed."""
        self._plans: dict[tuple[bytes, bool], Plan] = {}
        self._programs: dict[tuple[bytes, int, bool], Program] = {}
        self._straight: Straight | None = None
        self._singles = 0  # replays with numbers only
        self._functions: tuple[Callable[..., Any], Callable[..., Any]] | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        made = ("_plans", "_programs", "_straight", "_singles", "_functions", "_lock")
        return {name: x for name, x in self.__dict__.items() if name not in made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def __len__(self) -> int:
        return self._record.operations

    def __repr__(self) -> str:
        record = self._record.arranged()
        counts = np.bincount(record.op[record.op >= 0], minlength=len(record.rows))
        counted = dict(zip(record.rows, counts.tolist(), strict=True))
        rows = dict.fromkeys([*TABLE.values(), *record.rows])
        kinds = ", ".join(f"{n:,} {row.name}" for row in rows if (n := counted.get(row)))
        levels = int(record.level.max())
        of = f": {kinds}" if kinds else ""
        return (
            f"Tape({_counted(len(self), 'operation')}{of}; {_counted(levels, 'level')}; "
            f"{_counted(len(self._names), 'input')})"
        )

    def value(self, xs: Inputs) -> Any:
        """J at the inputs: a float, or an array of shape (B,) where an input is an array.

        Raises:
            TypeError: an input is neither a number nor an array of numbers.
            ValueError: a wrong number of inputs, arrays of two lengths, or of a wrong shape.
        """
        plain = self._plain(xs)
        if plain is not None:
            return self._by_node(plain, gradient=False)[0]
        return self._replay(_Call(self._names, xs), gradient=False)[0]

    def value_and_grad(self, xs: Inputs) -> tuple[Any, Any]:
        """J and its gradient at the inputs.

        Returns:
            J as ``value`` gives it; and the gradient in the form that the inputs had.

        Raises:
            TypeError, ValueError: as ``value``.
        """
        plain = self._plain(xs)
        if plain is not None:
            value, slopes = self._by_node(plain, gradient=True)
            return value, [slope + 0.0 for slope in slopes]
        call = _Call(self._names, xs)
        value, numbers, arrays = self._replay(call, gradient=True)
        return value, call.gradient(numbers, arrays)

    def listing(self) -> str:
        """The program as text: every node's value, then every node's adjoint, one line each."""
        inputs = {
            place: f"xs[{i}]" for i, place in enumerate(self._record.inputs.tolist()) if place >= 0
        }
        unused = {
            name: f"xs[{i}]" for i, name in enumerate(self._names) if self._record.inputs[i] < 0
        }
        return "\n".join(_listing(self._graph(), self._record.live.tolist(), inputs, unused))

    def _graph(self) -> list[Value]:
        """The recorded graph, built anew, for its names."""
        record, nodes = self._record, list[Value]()
        for i, op in enumerate(record.op.tolist()):
            if op >= 0:
                operands = [nodes[j] for j in record.operands(i)]
                nodes.append(make_node(record.rows[op], operands, float(record.data[i])))
            else:
                nodes.append(Value(record.data[i]))
            if i in self._labels:
                nodes[i].label = self._labels[i]
        for i in set(self._constants).difference(record.inputs.tolist()):
            nodes[i]._row = CONSTANT
        return nodes

    def _replay(self, call: _Call, *, gradient: bool) -> tuple[Any, Floats, Floats]:
        """J, and the gradients in the inputs that are numbers and in those that are arrays."""
        with self._lock:
            return (self._batch if call.has_items else self._single)(call, gradient)

    def _plain(self, xs: Inputs) -> Sequence[float] | None:
        """The inputs, if they are a list of plain numbers for a small graph: the short way."""
        if self._record.operations > _SMALL or not (type(xs) is list or type(xs) is tuple):
            return None
        if len(xs) != len(self._names) or not all(type(x) in _NUMBERS for x in xs):
            return None
        try:
            return [float(x) for x in xs]
        except OverflowError:  # an int without end
            return None

    def _by_node(self, xs: Sequence[float], *, gradient: bool) -> tuple[float, Sequence[float]]:
        """A replay with numbers only, node by node; of a small graph soon by compiled functions."""
        if not self._functions and self._record.operations <= _SMALL:
            self._singles += 1
            if self._singles > _OFTEN:
                self._functions = functions(self._record)
        if self._functions:
            try:
                return self._functions[1](*xs) if gradient else (self._functions[0](*xs), ())
            except (ArithmeticError, ValueError):
                pass  # outside an operation's domain: NumPy gives nan or inf
        self._straight = self._straight or Straight(self._record)
        with np.errstate(all="ignore"):
            return self._straight.run(xs, gradient=gradient)

    def _single(self, call: _Call, gradient: bool) -> tuple[float, Floats, Floats]:
        """A replay with numbers only: node by node, where NumPy would slow it down."""
        record, no_arrays = self._record, np.empty((0, 0))
        if record.operations <= _SMALL or record.arranged().width < _WIDE:
            J, found = self._by_node(call.numbers.tolist(), gradient=gradient)
            return J, np.array(found) + 0.0, no_arrays
        value, slopes = np.empty(1), np.zeros(len(call.numbers))
        with np.errstate(all="ignore"):
            slopes += self._run_program(call, slice(1), value, no_arrays if gradient else None)
        return float(value[0]), slopes, no_arrays

    def _batch(self, call: _Call, gradient: bool) -> tuple[Any, Floats, Floats]:
        """A replay over items, in blocks that a processor's cache can hold."""
        value, rows = np.empty(call.items), np.empty((len(call.arrays), call.items))
        slopes = np.zeros(len(call.numbers))
        record = self._record.arranged()
        is_deep = record.calls > _DEEP[0] and record.width < _DEEP[1]
        places = record.operations if is_deep else max(self._plan(call.is_array).sizes[1], 1)
        most = min(max(_CACHE // places, min(_ROOM // places, 256), 1), _MOST)
        size = -(-call.items // (-(-call.items // most) or 1)) or 1  # blocks of one size, nearly
        run = self._run_straight if is_deep else self._run_program
        with np.errstate(all="ignore"):
            for start in range(0, call.items, size):
                block = slice(start, min(start + size, call.items))
                slopes += run(call, block, value[block], rows[:, block] if gradient else None)
        return value, slopes, rows

    def _run_program(
        self, call: _Call, block: slice, value: Floats, rows: Floats | None
    ) -> Floats | float:
        """Fill value and rows for a block of items; return the gradient of the numbers."""
        for is_exact in (False, True):
            program = self._program(call.is_array, len(value), is_exact)
            try:
                program.run(call.numbers, [x[block] for x in call.arrays], value)
                if not program.is_in_doubt:
                    return 0.0 if rows is None else program.sweep(list(rows))[0]
            finally:
                program.give_back()
        raise AssertionError("a program without matrix products is in no doubt")

    def _run_straight(
        self, call: _Call, block: slice, value: Floats, rows: Floats | None
    ) -> Floats | float:
        """The same, node by node."""
        self._straight = self._straight or Straight(self._record)
        numbers, arrays = iter(call.numbers.tolist()), iter([x[block] for x in call.arrays])
        xs = [next(arrays) if is_array else next(numbers) for is_array in call.is_array]
        value[:], slopes = self._straight.run(xs, gradient=rows is not None)
        if rows is None:
            return 0.0
        of_arrays = iter(rows)
        for x, is_array in zip(slopes, call.is_array, strict=True):
            if is_array:
                np.add(x, 0.0, out=next(of_arrays))
        return np.array([slopes[i] for i in np.flatnonzero(~call.is_array)])

    def _plan(self, is_array: Flags, is_exact: bool = False) -> Plan:
        """The plan for these inputs; the last few are kept."""
        key = (is_array.tobytes(), is_exact)
        return _kept(self._plans, key, lambda: Plan(self._record, is_array, is_exact=is_exact))

    def _program(self, is_array: Flags, items: int, is_exact: bool = False) -> Program:
        """The program for these inputs; the last few are kept."""
        key = (is_array.tobytes(), items, is_exact)
        return _kept(self._programs, key, lambda: Program(self._plan(is_array, is_exact), items))


def _kept(made: dict[_Key, _Made], key: _Key, make: Callable[[], _Made]) -> _Made:
    """What was made for a key, or is made now; those used last are kept, while there is room."""
    count, room = _KEPT
    found = made.pop(key) if key in made else make()
    made[key] = found
    # Two at least: all blocks but the last have one size.
    while len(made) > 2 and (len(made) > count or sum(x.bytes for x in made.values()) > room):
        del made[next(iter(made))]
    return found


class _Call:
    """The inputs of one replay, sorted into numbers and arrays.

    Attributes:
        is_array: for each input, does it have items?
        numbers: the inputs that are numbers.
        arrays: the others.
        has_items: is there an array among them?
        items: how many items there are; 1 without arrays.
    """

    def __init__(self, names: list[str], xs: Inputs) -> None:
        n = len(names)
        self._ahead = 0  # how many inputs come in a first array of numbers
        self._form: type = list
        if isinstance(xs, np.ndarray):
            self._form = np.ndarray
            x = _checked("xs", xs, (1, 2))
            if len(x) != n:
                raise ValueError(_miscounted(names, len(x)))
            self.is_array = np.full(n, x.ndim == 2)
            self.numbers, self.arrays = (x, []) if x.ndim == 1 else (np.empty(0), list(x))
            self.has_items, self.items = x.ndim == 2, x.shape[1] if x.ndim == 2 else 1
            return
        if isinstance(xs, (str, bytes)) or not isinstance(xs, Sequence):
            raise TypeError(
                f"a tape takes a sequence of inputs; got {type(xs).__name__} {xs!r:.60}"
            )
        entries = list(xs)
        first = np.empty(0)
        if len(entries) < n and entries and _is_array(entries[0]):
            first = _checked("the first entry", entries.pop(0), (1,))
            self._ahead = n - len(entries)
            if len(first) != self._ahead:
                raise ValueError(
                    f"{_miscounted(names, 1 + len(entries))}. If there are fewer, the first holds "
                    f"the numbers of the first {self._ahead} inputs; it has {len(first):,}"
                )
        if self._ahead + len(entries) != n:
            raise ValueError(_miscounted(names, len(entries)))
        rest: list[float] = []
        self.arrays = []
        self.is_array = np.zeros(n, bool)
        for i, entry in enumerate(entries, self._ahead):
            if type(entry) is float:
                rest.append(entry)
            elif _is_array(entry):
                self.arrays.append(_checked(names[i], entry, (1,)))
                self.is_array[i] = True
            else:
                rest.append(as_number(entry, f"the input {names[i]} of a tape"))
        self.numbers = np.concatenate([first, rest]) if rest else first
        lengths = {len(x) for x in self.arrays}
        if len(lengths) > 1:
            at = np.flatnonzero(self.is_array)
            said = ", ".join(f"{names[i]}: {len(x)}" for i, x in zip(at, self.arrays, strict=True))
            hint = ". One number for all items is given as a number" if 1 in lengths else ""
            raise ValueError(f"arrays of items have one length; got {said:.200}{hint}")
        self.has_items, self.items = bool(lengths), lengths.pop() if lengths else 1

    def gradient(self, numbers: Floats, arrays: Floats) -> Any:
        """The gradient, in the form of the inputs."""
        if self._form is np.ndarray:
            return arrays if self.has_items else numbers
        ahead = [numbers[: self._ahead]] if self._ahead else []
        of_numbers, of_arrays = iter(numbers[self._ahead :].tolist()), iter(arrays)
        rest = self.is_array[self._ahead :]
        return [*ahead, *(next(of_arrays if is_array else of_numbers) for is_array in rest)]


def _is_array(entry: Any) -> bool:
    """Does an entry hold items, and is no number?"""
    return isinstance(entry, (list, tuple)) or (isinstance(entry, np.ndarray) and entry.ndim > 0)


def _checked(name: str, x: Any, dimensions: tuple[int, ...]) -> Floats:
    """An array of real numbers, of so many dimensions."""
    if type(x) is np.ndarray and x.dtype == float and x.ndim in dimensions:
        return x
    try:
        found = np.asarray(x)
    except ValueError:  # lists of several lengths
        raise ValueError(f"{name} is to hold real numbers, in one row; got {x!r:.60}") from None
    if np.ma.is_masked(x):
        raise TypeError(
            f"{name} has a mask, and a tape has no item that counts for nothing; give the others "
            "alone, as x.compressed() does, or nan in their place, as x.filled(np.nan) does"
        )
    if found.dtype.kind == "O" and all(isinstance(item, Real) for item in found.flat):
        found = np.array([as_number(item, name) for item in found.flat]).reshape(found.shape)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name} is to hold real numbers; got an array of {found.dtype}")
    if found.ndim not in dimensions:
        said = " or ".join({1: "one", 2: "two"}[count] for count in dimensions)
        plural = "s" if len(dimensions) > 1 else ""
        raise ValueError(
            f"{name} is to be an array of {said} dimension{plural}; got the shape {found.shape}"
        )
    return found.astype(float, copy=False)


def _miscounted(names: list[str], count: int) -> str:
    """What is said of a wrong number of inputs."""
    known = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    return f"the tape has {_counted(len(names), 'input')} ({known}); got {count}"


def _counted(count: int, what: str) -> str:
    """1 level, 2 levels."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _said(leaf: Value) -> str:
    """A Value in an error message."""
    return f"{one_line(leaf.label)} = {leaf.data}" if one_line(leaf.label) else f"Value({leaf.data})"


class _Text(Source):
    """A piece of a formula, for a reader."""

    minus, times, quotient = "−", " · ", "{} / {}"

    @staticmethod
    def number(x: float) -> str:
        """A number as text."""
        return number(x)

    @classmethod
    def power(cls, a: Any, b: Any) -> Any:
        """aᵇ."""
        if isinstance(b, (int, float)) and b in (0, 1):
            return a if b else 1.0
        return cls(f"{cls.of(a).held(ATOM)}^{cls.of(b).held(ATOM)}")


class _Formulas(Functions):
    """The mathematics of formulas for a reader."""

    def __init__(self) -> None:
        super().__init__(_Text, "")

    def is_zero(self, a: Any) -> Any:
        return float(a == 0.0) if isinstance(a, float) else _Text(f"[{a.text} = 0]")

    pow = staticmethod(_Text.power)

    def xlogy(self, x: Any, y: Any) -> Any:
        return 0.0 if isinstance(y, float) and not y else x * _Text(f"log({_Text.of(y).text})")

    def maximum(self, a: Any, b: Any) -> Any:
        return _Text(f"max({_Text.of(a).text}, {_Text.of(b).text})")

    def step(self, a: Any, b: Any, tie: float) -> Any:
        left, right = _Text.of(a).text, _Text.of(b).text
        at_tie = f" + {number(tie)} · [{left} = {right}]" if tie else ""
        return _Text(f"[{left} > {right}]{at_tie}", SUM if tie else ATOM)


def _listing(
    nodes: list[Value], live: list[bool], inputs: dict[int, str], unused: dict[str, str]
) -> Iterator[str]:
    """The lines of the program; ``unused`` inputs have no place in the graph, but a name."""
    alone = {Value(0.0, "" if name == entry else name): entry for name, entry in unused.items()}
    names = node_names([*alone, *nodes])
    names = {node: f"{name}′" if re.match(r"xs\[", name) else name for node, name in names.items()}
    J = names[nodes[-1]]
    for leaf, entry in alone.items():
        yield f"{names[leaf]} = {entry}"
    for i, node in enumerate(nodes):
        if i in inputs:
            yield f"{names[node]} = {inputs[i]}"
        elif node.parents:
            yield f"{names[node]} = {node_formula(node, names)}"
        elif one_line(node.label) or node._row is LEAF:
            yield f"{names[node]} = {number(node.data)}"
    handed: dict[Value, list[Source]] = {node: [] for node in nodes}
    handed[nodes[-1]].append(_Text("1"))
    for i in reversed(range(len(nodes))):
        node = nodes[i]
        if not live[i]:
            continue
        slope = f"∂{J}/∂{names[node]}"
        yield f"{slope} = {_sum(handed[node])}"
        operands = [
            parent.data if parent._row is CONSTANT and not parent.label
            else _Text(names[parent]) for parent in node.parents
        ]  # fmt: skip
        for parent, partial in zip(node.parents, _written(node, operands, names), strict=True):
            handed[parent].append(_Text(slope) * partial)
    for leaf in alone:
        yield f"∂{J}/∂{names[leaf]} = 0"


def _sum(terms: list[Source]) -> str:
    """Terms joined by plus and minus, however many there are."""
    parts = [terms[0].text]
    for term in terms[1:]:
        sign, rest = (term.minus, -term) if term.is_negative() else ("+", term)
        parts.append(f" {sign} {rest.held(PRODUCT)}")
    return "".join(parts)


def _written(node: Value, operands: list[Any], names: dict[Value, str]) -> tuple[Any, ...]:
    """The local derivatives as formulas; just named, if one's own operation has none to write."""
    try:
        return node._row.partials(_Formulas(), *operands, _Text(names[node]))
    except Exception:
        return tuple(_Text(f"∂{names[node]}/∂{names[parent]}") for parent in node.parents)
