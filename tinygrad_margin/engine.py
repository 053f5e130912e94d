"""The engine: Values that record how they were computed, and the reverse sweep over the record.

    >>> s, s_c = Value(0.3, "s"), Value(0.5, "s_c")
    >>> J = maximum(1.0 + s_c - s, 0.0)
    >>> J.backward()
    >>> J.data, s.grad, s_c.grad
    (1.2, -1.0, 1.0)

An operation on Values makes a new Value, a node, which holds its operands: so J *is* a graph, whose
edges are the operands and whose leaves are s, s_c and the numbers 1 and 0. ``backward`` walks it
from J to the leaves and multiplies local derivatives along the way; the sum over all ways is the
gradient.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Set
from itertools import repeat
from numbers import Real
from typing import Any, NoReturn, SupportsFloat, TypeAlias, TypeVar, cast

from tinygrad_margin import ops
from tinygrad_margin.guard import copying
from tinygrad_margin.guard.refusals import RECORDED, Guarded, not_set, read_only
from tinygrad_margin.guard.text import describe, listed, one_line
from tinygrad_margin.ops import FLOATS, Primitive


class SlopeError(ValueError, ZeroDivisionError):
    """The value exists at this point and the slope does not: the square root at 0, say.

    Example:
        >>> try:
        ...     Value(0.0, "x").sqrt().backward()
        ... except SlopeError as error:
        ...     print(str(error)[:40])
        sqrt has a value at x = 0.0 but no slope
    """


# What its errors say; the page, which runs the same table in a browser, says it in these words too.
NEEDS = "{symbol} needs {domain}; got {operands}"
TOO_LARGE = "{symbol} gives a number too large for a float; got {operands}"
NO_SLOPE = (
    "{symbol}{name} has a value at {operands} but no slope, so no gradient passes there; "
    "move the operand away from that point"
)
SLOPE_TOO_LARGE = "the slope of {symbol}{name} at {operands} is too large for a float"

# Of an operation of one's own, and of the second derivatives of ``**``.
SLOPE_OVERFLOWS = (
    "partials of {symbol}{name} overflowed at {operands}: {error}; the slope itself may be no "
    "large number: write it so that no step on the way is one"
)
SLOPE_COMPLEX = "{symbol}{name} has a value at {operands} but no real slope: {error}"
NO_SECOND_SLOPE = (
    "the slope of ** in its exponent is 0 at {base}, and has no slope itself there, so no second "
    "derivative passes; move the base away from 0"
)


class NotRealError(ValueError):
    """Where an operation of one's own gives a complex number instead of a real one."""


LEAF, CONSTANT = ops.LEAF, ops.CONSTANT

Operand: TypeAlias = "Value | SupportsFloat"
_Operation = TypeVar("_Operation", bound=Callable[..., "Value"])
_new = object.__new__


MISSING: Any = ...  # what was not given
_DATA = "Value(data)"


def as_number(x: object, what: str, hint: str = "") -> float:
    """x as a float; TypeError unless it is one real number."""
    if type(x) is float:
        return x
    kind = getattr(getattr(x, "dtype", None), "kind", "")
    if isinstance(x, Real) or (getattr(x, "shape", None) == () and kind and kind in "biuf"):
        try:
            return float(cast(SupportsFloat, x))
        except OverflowError:
            raise OverflowError(f"{what} takes a number that fits a float; got {x!r:.60}") from None
    got = "nothing" if x is MISSING else f"{type(x).__name__} {x!r:.60}"
    raise TypeError(f"{what} takes a real number; got {got}.{hint or _hint(x, what)}")


def _hint(x: object, what: str) -> str:
    """What to do about something that is no number."""
    if isinstance(x, Value):
        already = " It is a Value already: use it as it is, or its .data."
        return already if what == _DATA else " The number in a Value v is v.data."
    if callable(x):
        return " Is a call missing: x.relu() for x.relu?"
    if isinstance(x, str):
        return " Make a number of the text first: float(text)."
    if x is None:
        return " Is a return missing where it comes from?"
    if _is_several(x):
        return " A Value is one number: [Value(x) for x in xs]." if what == _DATA else ""
    return ""


def _is_several(x: object) -> bool:
    """Is it a list or an array?"""
    return isinstance(x, (list, tuple)) or bool(getattr(x, "shape", None))


def constant(x: float) -> Value:
    """A number in a formula: a leaf that nobody asks a gradient of."""
    return make_node(CONSTANT, (), float(x))


def _operand(x: object, primitive: Primitive) -> Value:
    """x as an operand."""
    if isinstance(x, Value):
        return x
    hint = ""
    if _is_several(x):
        symbol = primitive.symbol
        hint = f" Take its entries one at a time: [v {symbol} x for x in xs]; or make two arrays"
        hint += " of Values of the same shape."
        if primitive in (ops.MAX, ops.MIN):
            hint = f" Of several: functools.reduce({symbol}imum, values)."
    return constant(as_number(x, f"{primitive.symbol}, besides Values,", hint))


def _unary(primitive: Primitive) -> Callable[[Value], Value]:
    """The operation on Values that a row of one operand stands for."""
    value = primitive.value

    def operation(a: Value) -> Value:
        try:
            data = value(FLOATS, a._data)
        except (ArithmeticError, ValueError) as error:
            raise _undefined(error, primitive, a) from None
        except AttributeError:
            check_made(a)
            raise
        node = _new(Value)
        node._data = data
        node._grad = 0.0
        node._a = a
        node._b = None
        node._row = primitive
        return node

    return _with_own_code(operation, primitive)


def _binary(primitive: Primitive) -> Callable[[Value, Operand], Value]:
    """The operation on Values that a row of two operands stands for."""
    value = primitive.value

    def operation(a: Value, b: Operand) -> Value:
        if type(b) is not Value:
            b = _operand(b, primitive)
        try:
            data = value(FLOATS, a._data, b._data)
        except (ArithmeticError, ValueError) as error:
            raise _undefined(error, primitive, a, b) from None
        except AttributeError:
            check_made(a, b)
            raise
        node = _new(Value)
        node._data = data
        node._grad = 0.0
        node._a = a
        node._b = b
        node._row = primitive
        return node

    return _with_own_code(operation, primitive)


def make_node(primitive: Primitive, operands: Sequence[Value], data: float) -> Value:
    """The node that a row makes of these operands, any number of them, with this value."""
    node = _new(Value)
    node._data, node._grad, node._row = data, 0.0, primitive
    if len(operands) <= 2:
        node._a, node._b = (*operands, None, None)[:2]
    else:  # _a and _b stay unset: who reads them, where time counts, learns it by an AttributeError
        node._operands = tuple(operands)
    return node


def apply(primitive: Primitive, *operands: Operand) -> Value:
    """The operation on Values that a row stands for, whatever the number of its operands."""
    nodes = [_operand(x, primitive) for x in operands]
    try:
        data = primitive.value(FLOATS, *(node._data for node in nodes))
    except (ArithmeticError, ValueError) as error:
        raise _undefined(error, primitive, *nodes) from error.__cause__
    except AttributeError:
        check_made(*nodes)
        raise
    return make_node(primitive, nodes, data)


def _with_own_code(operation: _Operation, primitive: Primitive) -> _Operation:
    """The operation, named in tracebacks, and with inline caches that no other row upsets."""
    operation.__name__ = operation.__qualname__ = primitive.name
    operation.__code__ = operation.__code__.replace(co_name=primitive.name)
    kind = "ZeroDivisionError" if primitive is ops.DIV else "ValueError"
    needs = f" Needs {primitive.domain}, else {kind}." if primitive.domain else ""
    if primitive is ops.EXP:
        needs = " OverflowError where that is too large for a float."
    operation.__doc__ = f"{primitive.symbol}, as a new node.{needs}"
    return operation


def _reflected(primitive: Primitive) -> Callable[[Value, Operand], Value]:
    """The operation with a plain number on its left: ``1 - v``."""
    operation = _BINARY[primitive.name]

    def reflected(b: Value, a: Operand) -> Value:
        return operation(_operand(a, primitive), b)

    reflected.__doc__ = operation.__doc__
    return reflected


_UNARY = {row.name: _unary(row) for row in ops.TABLE.values() if row.arity == 1}
_BINARY = {row.name: _binary(row) for row in ops.TABLE.values() if row.arity == 2}
OPERATIONS: dict[str, Callable[..., Value]] = {**_UNARY, **_BINARY}


def power(a: Operand, b: Operand) -> Value:
    """aᵇ. A plain number, as base or exponent, is not asked for a slope, which may not exist.

    The slope in b is 0 where a is 0, by convention: aᵇ log a has that limit for b > 0. So 0ˣ and xˣ
    have the slope 0 at x = 0, where in truth there is none.
    """
    a, b = _operand(a, ops.POW), _operand(b, ops.POW)
    if b._row is CONSTANT:
        return _BINARY["pow_to_number"](a, b)
    return _BINARY["pow_of_number" if a._row is CONSTANT else "pow"](a, b)


class Value(Guarded):
    """A number that remembers how it was computed: a node of a graph.

    ``a + b``, ``a - b``, ``a * b``, ``a / b``, ``a ** b``, ``-a`` and ``abs(a)`` make a new node,
    of Values and plain numbers on either side; so do the methods ``exp``, ``log``, ``sqrt``,
    ``sin``, ``cos``, ``tanh``, ``sigmoid`` and ``relu``, without arguments, and the functions
    ``maximum(a, b)`` and ``minimum(a, b)``. ``0 + a``, where ``sum`` starts, is a itself.
    Comparing, rounding and indexing are errors that tell what to use instead.

    It is equal to itself alone, whatever its data: ``x.data == 3.0`` compares the numbers.

    Args:
        data: a real number: int, float, bool, a NumPy scalar or 0-d array.
        label: the node's name in pictures and words; may be set later.

    Raises:
        TypeError: data is no real number, or label is no text, here or when they are set later.
            An operation is given something that is neither Value nor real number.
        ValueError, ZeroDivisionError, OverflowError: an operation has no value at its operands, or
            one too large for a float.

    Example:
        >>> x = Value(3.0, "x")
        >>> y = x * x + 1
        >>> y.backward()
        >>> y, x
        (Value(data=10.0, grad=1.0), Value(data=3.0, grad=6.0, label='x'))
    """

    __slots__ = ("_data", "_grad", "_a", "_b", "_row", "__dict__", "__weakref__")

    _label: str = ""  # in the instance's __dict__ once set: most nodes have none

    _data: float
    _grad: float
    _a: Value | None  # the operands, in two slots: a tuple for each node costs time and memory
    _b: Value | None
    _operands: tuple[Value, ...]  # more than two: in the __dict__, and the two slots are unset
    _row: Primitive

    def __init__(
        self, data: SupportsFloat = MISSING, label: str = "", *rest: NoReturn, **unknown: NoReturn
    ) -> None:
        if rest or unknown:
            raise _besides(label, *rest, **unknown)
        self._data = as_number(data, _DATA)
        self._grad = 0.0
        self._a = self._b = None
        self._row = LEAF
        if not isinstance(label, str) or label:
            self.label = label

    def __init_subclass__(cls, **options: Any) -> None:
        """Keep the hash by identity, where a subclass has an ``==`` of its own.

        The engine's sets and dictionaries of nodes ask ``==`` only where two hashes are equal.
        """
        super().__init_subclass__(**options)
        cls.__hash__ = object.__hash__  # type: ignore[method-assign]

    @property
    def data(self) -> float:
        """The value, a float; may be set, to one real number."""
        try:
            return self._data
        except AttributeError:
            check_made(self)
            raise

    @data.setter
    def data(self, data: float) -> None:
        self._data = data if type(data) is float else self._number("data", data)

    @property
    def grad(self) -> float:
        """∂J/∂self once ``J.backward()`` has run, 0.0 before; may be set, to one real number."""
        try:
            return self._grad
        except AttributeError:
            check_made(self)
            raise

    @grad.setter
    def grad(self, grad: float) -> None:
        self._grad = grad if type(grad) is float else self._number("grad", grad)

    def _number(self, attribute: str, x: object) -> float:
        """x as a float, for data or grad."""
        name = one_line(self.label) or "w"
        hint = f" To start anew: {name}.grad = 0.0, or zero_grad()" if attribute == "grad" else ""
        if isinstance(x, Value):
            hint = (
                " An expression of Values is a new node; a step of gradient descent computes with "
                f"the numbers: {name}.data -= 0.1 * {name}.grad"
            )
        return as_number(x, f"{name}.{attribute}", hint)

    @property
    def label(self) -> str:
        """The name, ``""`` where there is none; may be set, to one text."""
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        if not isinstance(label, str):
            hint = f" {RECORDED}" if isinstance(label, (tuple, list, set)) else ""
            raise TypeError(
                f"the label of a Value is one text, its name; got {type(label).__name__} "
                f"{label!r:.60}.{hint}"
            )
        self._label = label

    @property
    def parents(self) -> tuple[Value, ...]:
        """The operands, in order; empty for a leaf."""
        try:
            if self._a is None:
                return ()
            return (self._a,) if self._b is None else (self._a, self._b)
        except AttributeError:
            check_made(self)
            return self._operands

    @parents.setter
    def parents(self, _: NoReturn) -> None:
        raise not_set("parents")

    @property
    def op(self) -> str:
        """The symbol of the operation that made this node; ``""`` for a leaf."""
        return self._row.symbol

    @op.setter
    def op(self, _: NoReturn) -> None:
        raise not_set("op")

    @property
    def is_at_kink(self) -> bool:
        """Is the operation at its kink, where it has no slope but a choice of them?"""
        return self._row.side(*(parent._data for parent in self.parents)) == 1

    # What code written for micrograd asks for: trace and draw_dot, and a sweep done by hand.
    _prev, _op = read_only("_prev", parents), read_only("_op", op)

    @property
    def _backward(self) -> Callable[[], None]:
        """Adds ∂self/∂operand times one's own ``grad`` to the ``grad`` of each operand."""

        def backward() -> None:
            for parent, derivative in zip(self.parents, local_derivatives(self), strict=True):
                parent._grad += self._grad * derivative

        return backward

    @_backward.setter
    def _backward(self, _: NoReturn) -> None:
        raise AttributeError(f"the _backward of a node comes from the table of ops. {RECORDED}")

    # For copy.copy, copy.deepcopy and pickle.
    __copy__, __deepcopy__, __reduce_ex__ = copying.shallow, copying.deep, copying.reduced

    def backward(self, *given: NoReturn, **options: NoReturn) -> None:
        """Add ∂self/∂leaf to the ``grad`` of every leaf, and set that of the nodes between.

        Called twice, leaves hold the gradient twice; ``zero_grad`` starts anew. If it fails, every
        leaf's ``grad`` is what it was.

        Raises:
            SlopeError: a local derivative does not exist at this point.
            OverflowError: a local derivative is too large for a float.
        """
        if given or options:
            raise TypeError(
                f"backward() takes nothing; got {listed(*given, **options)}. The graph is kept, "
                "for another backward() too, and ∂J/∂J is 1; for derivatives of derivatives see "
                "grad(J, x, create_graph=True)"
            )
        totals = _sweep(self)
        if not all(map(math.isfinite, totals.values())):
            adjoints(self)  # which says so if a slope is too large
        add_gradients(totals)

    def zero_grad(self) -> None:
        """Set ``grad`` to 0.0 in the whole graph under this node."""
        for node in topological_order(self):
            node._grad = 0.0

    __add__ = _BINARY["add"]
    __sub__, __rsub__ = _BINARY["sub"], _reflected(ops.SUB)
    __mul__, __rmul__ = _BINARY["mul"], _reflected(ops.MUL)
    __truediv__, __rtruediv__ = _BINARY["div"], _reflected(ops.DIV)
    __neg__ = _UNARY["neg"]
    __abs__ = _UNARY["abs"]

    exp = _UNARY["exp"]
    log = _UNARY["log"]
    sqrt = _UNARY["sqrt"]
    sin = _UNARY["sin"]
    cos = _UNARY["cos"]
    tanh = _UNARY["tanh"]
    sigmoid = _UNARY["sigmoid"]
    relu = _UNARY["relu"]

    def __radd__(self, other: Operand) -> Value:
        if type(other) is int and other == 0:  # where sum() starts
            return self
        return _operand(other, ops.ADD) + self

    def __pow__(self, other: Operand) -> Value:
        return power(self, other)

    def __rpow__(self, other: Operand) -> Value:
        return power(other, self)

    def __float__(self) -> float:
        return self._data

    def __format__(self, form: str) -> str:
        """``f"{v:.3f}"`` is the number in that form, and ``f"{v}"`` what ``print(v)`` prints."""
        try:
            return format(self._data, form) if form else str(self)
        except ValueError as error:
            raise ValueError(
                f"{describe(self)} is a float, which the format {form!r:.20} is not for "
                f"({error}); with 3 decimals it is v:.3f, with none v:.0f"
            ) from None

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        grad = 0.0 if self.grad == 0.0 else self.grad  # not -0.0
        return f"Value(data={self.data}, grad={grad}{label})"


def maximum(a: Operand, b: Operand = MISSING, *more: NoReturn) -> Value:
    """The larger of a and b, as a node; the gradient goes to the larger one, ½ to each at a tie.

    Raises:
        TypeError: an operand is neither Value nor real number, or there are not two of them.
        OverflowError: an operand is a number too large for a float.

    Example:
        >>> z = Value(-0.5, "z")
        >>> maximum(z, 0.0).data
        0.0
    """
    if more:
        raise _not_two(a, b, *more, name="maximum")
    return _BINARY["max"](_operand(a, ops.MAX), b)


def minimum(a: Operand, b: Operand = MISSING, *more: NoReturn) -> Value:
    """The smaller of a and b, as a node; the gradient goes to the smaller one, ½ to each at a tie.

    Raises:
        TypeError: an operand is neither Value nor real number, or there are not two of them.
        OverflowError: an operand is a number too large for a float.

    Example:
        >>> minimum(Value(2.0), 3.0).data
        2.0
    """
    if more:
        raise _not_two(a, b, *more, name="minimum")
    return _BINARY["min"](_operand(a, ops.MIN), b)


def topological_order(J: Value) -> list[Value]:
    """Every node of J's graph once, operands before what is computed from them; J is the last.

    Example:
        >>> s, s_c = Value(0.3, "s"), Value(0.5, "s_c")
        >>> [node.label or node.op or node.data for node in topological_order(1.0 + s_c - s)]
        [1.0, 's_c', '+', 's', '-']
    """
    order: dict[Value, None] = {}
    path = [as_node(J, "topological_order(J)")]  # from J down to the node at hand
    while path:
        try:
            while path:
                node = path[-1]
                for parent in (node._a, node._b):
                    if parent is not None and parent not in order:
                        path.append(parent)
                        break
                else:
                    order[path.pop()] = None
        except AttributeError:  # more than two: all that are new at once, the first one on top
            if new := [parent for parent in node.parents if parent not in order]:
                path += reversed(new)
            else:
                order[path.pop()] = None
    return list(order)


def local_derivatives(
    node: Value, missing: float | None = None, wanted: Container[Value] | None = None
) -> tuple[float, ...]:
    """∂node/∂parent for each of ``node.parents``, from the table.

    Args:
        node: the node.
        missing: what to give for each if one of them does not exist; None: raise.
        wanted: holds the operands whose derivative is asked for, of the others any number is given;
            None: all but the constants.

    Raises:
        SlopeError, OverflowError: one of them does not exist, or is too large for a float.

    Example:
        >>> local_derivatives(Value(3.0) * Value(4.0))
        (4.0, 3.0)
    """
    row = node._row if wanted is None else row_for(node, wanted)
    if row.slopes is not None:
        return row.slopes
    try:
        operands = [parent._data for parent in node.parents]
        found = row.partials(FLOATS, *operands, node._data)
        if not all(map(math.isfinite, found)):
            check_slopes(found, node, wanted)
        return found
    except (ArithmeticError, ValueError) as error:
        if missing is not None:
            return (missing,) * len(node.parents)
        raise no_slope(error, node) from error.__cause__


def row_for(node: Value, wanted: Container[Value]) -> Primitive:
    """The row that asks for the slopes in the wanted operands, and no other."""
    rows = ops.ASKING.get(node._row)
    if rows is None:
        return node._row
    first, second = (parent in wanted for parent in node.parents)
    return rows[first + 2 * second - 1]


def check_slopes(
    found: Sequence[float], node: Value, wanted: Container[Value] | None = None
) -> None:
    """Raise if a slope that is wanted is no finite number, where operands and value are."""
    slopes = [
        slope
        for parent, slope in zip(node.parents, found, strict=True)
        if (parent._row is not CONSTANT if wanted is None else parent in wanted)
    ]
    if not all(math.isfinite(each._data) for each in (node, *node.parents)):
        return
    if any(map(math.isnan, slopes)):
        raise ValueError("a slope is nan")
    if any(map(math.isinf, slopes)):
        raise OverflowError("a slope is infinite")


def adjoints(
    J: Value, missing: float | None = None, wrt: Iterable[Value] | None = None
) -> dict[Value, float]:
    """∂J/∂node for every node of J's graph, in topological order; no ``grad`` is touched.

    Args:
        J: the root.
        missing: what to take for a local derivative that does not exist; None: raise.
        wrt: only for the nodes that a path leads to from one of these; no other slope is asked for.

    Raises:
        SlopeError, OverflowError: as ``local_derivatives``, unless ``missing`` is given.

    Example:
        >>> x = Value(3.0)
        >>> adjoints(x * x)[x]
        6.0
    """
    order = topological_order(J)
    totals = dict.fromkeys(order if wrt is None else _led_to(order, set(wrt)), 0.0)
    if J in totals:
        totals[J] = 1.0
    wanted, reached = None if wrt is None else totals, totals.keys()
    for node, upstream in reversed(totals.items()):
        parents = node.parents
        if reached.isdisjoint(parents):
            continue
        derivatives = local_derivatives(node, missing, wanted)
        for parent, derivative in zip(parents, derivatives, strict=True):
            if parent in totals:
                totals[parent] += upstream * derivative
    return totals


def _led_to(order: Sequence[Value], starts: Set[Value]) -> dict[Value, None]:
    """The nodes of an order that a path leads to from one of some, and these."""
    found: dict[Value, None] = {}
    reached = found.keys()
    for node in order:
        if node in starts or not reached.isdisjoint(node.parents):
            found[node] = None
    return found


def _inner_nodes(J: Value, zero: float) -> list[Value]:
    """The nodes of J's graph that are not leaves, operands first, with ``grad`` set to ``zero``.

    This is ``topological_order`` for ``backward``, where time counts: a node whose ``grad`` is
    that very object has been visited.
    """
    order: list[Value] = []
    path: list[Value] = []
    node: Any = J
    while True:
        path.append(node)
        node._grad = zero
        a = node._a
        if a._grad is not zero and a._a is not None:
            node = a
            continue
        while True:  # the first operand is done: see to the second, then to the node itself
            b = node._b
            if b is not None and b._grad is not zero and b._a is not None:
                node = b
                break
            order.append(path.pop())
            if not path:
                return order
            node = path[-1]


def _sweep(J: Value) -> dict[Value, float]:
    """Set ``grad`` of the inner nodes to ∂J/∂node; return ∂J/∂leaf for each leaf."""
    leaves: dict[Value, float] = {}
    zero = float("0")  # a new object: no node holds it yet
    order: list[Any] = []
    try:
        if J._a is None:
            return {J: 1.0}
        order = _inner_nodes(J, zero)
    except AttributeError:
        pass
    if not order:  # some node has more than two operands
        return _sweep_any(J)
    J._grad = 1.0
    try:
        for node in reversed(order):
            upstream = node._grad
            primitive = node._row
            a = node._a
            b = node._b
            if b is None:
                (slope,) = primitive.slopes or primitive.partials(FLOATS, a._data, node._data)
            else:
                slope, slope_b = primitive.slopes or primitive.partials(
                    FLOATS, a._data, b._data, node._data
                )
            # Where the slope is 1 the very same float goes on: most of a network is sums.
            flow = upstream if slope == 1.0 else upstream * slope
            so_far = a._grad
            if so_far is zero:
                a._grad = flow
            elif a._a is None:
                leaves[a] = leaves.get(a, 0.0) + flow
            else:
                a._grad = so_far + flow
            if b is not None:
                flow = upstream if slope_b == 1.0 else upstream * slope_b
                so_far = b._grad
                if so_far is zero:
                    b._grad = flow
                elif b._a is None:
                    leaves[b] = leaves.get(b, 0.0) + flow
                else:
                    b._grad = so_far + flow
    except (ArithmeticError, ValueError) as error:
        raise no_slope(error, node) from error.__cause__
    return leaves


def _sweep_any(J: Value) -> dict[Value, float]:
    """``_sweep`` for nodes with any number of operands, and slower."""
    totals = adjoints(J)
    for node, total in totals.items():
        if node.parents:
            node._grad = total
    return {node: total for node, total in totals.items() if not node.parents}


def add_gradients(totals: Mapping[Value, float]) -> None:
    """Add to each node's ``grad``, to all of them or to none."""
    new = [node._grad + total for node, total in totals.items()]
    # In one call into C, so that an interrupt comes before all of it or after.
    deque(map(setattr, totals, repeat("_grad"), new), maxlen=0)


def as_node(x: object, what: str, hint: str = "") -> Value:
    """x, if it is a Value."""
    if not isinstance(x, Value):
        raise TypeError(
            f"{what} takes Values, nodes of a graph; got {type(x).__name__} {x!r:.60}{hint}"
        )
    return x


def check_made(*nodes: Value) -> None:
    """Refuse an object of a subclass that has not become a node."""
    for node in nodes:
        if isinstance(node, Value) and not hasattr(node, "_row"):
            kind = type(node).__name__
            raise AttributeError(
                f"{kind}.__init__ does not call super().__init__(data), or too late: it is what "
                "gives a Value its number"
            )


def _besides(*given: object, **named: object) -> Exception:
    """The error for what else is given to Value."""
    got = listed(*(x for x in given if not isinstance(x, str) or x), **named)
    return TypeError(
        "Value(data, label) takes a number and one text, its name; got, besides the number, "
        f"{got or 'too much'}. {RECORDED}"
    )


def _not_two(*given: object, name: str) -> Exception:
    """The error for more operands than two."""
    return TypeError(
        f"{name} takes two operands; got {len(given)}: {listed(*given)}. Of several: "
        f"functools.reduce({name}, values)"
    )


def _undefined(error: Exception, primitive: Primitive, *operands: Value) -> Exception:
    """The error for an operation that has no value at these operands."""
    kind, template = type(error), NEEDS
    if isinstance(error, OverflowError):
        kind, template = OverflowError, TOO_LARGE
    got = ", ".join(map(describe, operands))
    domain = primitive.domain.replace("{error}", str(error)) or error
    return kind(template.format(symbol=primitive.symbol, domain=domain, operands=got))


def no_slope(error: Exception, node: Value) -> Exception:
    """The error for a node whose local derivative does not exist."""
    kind: type[Exception] = SlopeError
    template = NO_SLOPE
    if isinstance(error, OverflowError):
        kind, template = OverflowError, SLOPE_OVERFLOWS if error.__cause__ else SLOPE_TOO_LARGE
    elif isinstance(error, NotRealError):
        template = SLOPE_COMPLEX
    elif node._row is ops.XLOGY:
        template = NO_SECOND_SLOPE
    name = f" (the node {one_line(node.label)})" if node.label else ""
    each = [describe(parent) for parent in node.parents]
    got = ", ".join(each)
    return kind(
        template.format(symbol=node.op, name=name, operands=got, base=each[-1], error=error)
    )
