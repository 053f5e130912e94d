"""The engine: Values that record how they were computed, and the reverse sweep over the record.

    >>> s, s_c = Value(0.3, "s"), Value(0.5, "s_c")
    >>> J = maximum(1.0 + s_c - s, 0.0)
    >>> J.backward()
    >>> J.data, s.grad, s_c.grad
    (1.2, -1.0, 1.0)

An operation on Values makes a new Value, a *node*, which holds its operands. So J is a graph: its
edges lead from each node to its operands, and its leaves are s, s_c and the numbers 1 and 0. The
reverse sweep walks the graph from J to the leaves, multiplies local derivatives along each path,
and adds up what arrives at a node by several paths. That sum is the gradient.

Read in this order: ``Value``, ``operation``, ``topological_order``, ``local_derivatives``,
``adjoints``. What comes from ``guard`` (error messages, refused operators, copying) can be skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Reversible, Sequence
from functools import cache
from typing import Any, SupportsFloat, TypeAlias, cast

from tinygrad_margin import fast_engine, guard, many, ops
from tinygrad_margin.ops import FLOATS, Primitive

Operand: TypeAlias = "Value | SupportsFloat"
_new = object.__new__


def make_node(row: Primitive, operands: Sequence[Value], data: float) -> Value:
    """The node that a row makes of its operands, however many, with this value."""
    node = _new(Value)
    node._data, node._grad, node._row = data, 0.0, row
    guard.connect(node, operands)
    return node


def constant(x: float) -> Value:
    """A number in a formula, like the 2 in ``2 * x``: a leaf that needs no gradient."""
    return make_node(ops.CONSTANT, (), float(x))


def as_operand(x: object, row: Primitive, is_left: bool = False) -> Value:
    """x if it is a Value; a number becomes a constant; anything else raises TypeError."""
    return x if isinstance(x, Value) else constant(guard.as_operand_number(x, row, is_left))


def operation(row: Primitive) -> Callable[..., Value]:
    """The function of Values that a row of the table stands for: compute, then record a new node.

    Example:
        >>> multiply = operation(ops.MUL)
        >>> c = multiply(Value(3.0), Value(4.0))
        >>> c.data, c.op, len(c.parents)
        (12.0, '*', 2)
    """
    value = row.value

    def plain(*operands: Value) -> Value:
        try:
            data = value(FLOATS, *[node._data for node in operands])
        except (ArithmeticError, ValueError) as error:
            raise guard.value_error(error, row, *operands) from error.__cause__
        return make_node(row, operands, data)

    # For one operand and for two: the same, spelled out, as it is half of a training step's time.
    def unary(a: Value) -> Value:
        try:
            data = value(FLOATS, a._data)
        except (ArithmeticError, ValueError) as error:
            raise guard.value_error(error, row, a) from error.__cause__
        node = _new(Value)
        node._data, node._grad, node._row = data, 0.0, row
        node._a, node._b = a, None
        return node

    def binary(a: Value, b: Operand) -> Any:
        if type(b) is not Value:
            if type(b) is not float and guard.is_array(b, row):
                return NotImplemented  # NumPy asks again, entry by entry
            b = as_operand(b, row)
        try:
            data = value(FLOATS, a._data, b._data)
        except (ArithmeticError, ValueError) as error:
            raise guard.value_error(error, row, a, b) from error.__cause__
        node = _new(Value)
        node._data, node._grad, node._row = data, 0.0, row
        node._a, node._b = a, b
        return node

    made: Any = {1: unary, 2: binary}.get(row.arity, plain)
    made.__name__ = made.__qualname__ = row.name
    # Code of its own for each row: tracebacks show its name, and CPython builds graphs 4 % faster.
    made.__code__ = made.__code__.replace(co_name=row.name)
    made.__doc__ = f"{row.symbol}, as a new node." + f" It needs {row.domain}." * bool(row.domain)
    return cast("Callable[..., Value]", made)


def _reflected(row: Primitive) -> Callable[[Value, Operand], Value]:
    """The operation with a plain number on its left: ``1 - v``."""
    apply = OPERATIONS[row.name]
    return lambda b, a: apply(as_operand(a, row, True), b)


OPERATIONS = {row.name: operation(row) for row in ops.TABLE.values()}
_of_many = cache(lambda row, count: operation(many.of_many(row, count)))


class Value(guard.Guarded):
    """A number that remembers how it was computed: a node of a graph.

    ``a + b``, ``a - b``, ``a * b``, ``a / b``, ``a ** b``, ``-a`` and ``abs(a)`` make a new node;
    one of the operands may be a plain number. So do the methods ``exp``, ``log``, ``sqrt``,
    ``sin``, ``cos``, ``tanh``, ``sigmoid`` and ``relu``, and the functions ``maximum(a, b)`` and
    ``minimum(a, b)``. A Value equals only itself: compare numbers with ``x.data == 3.0``.

    Args:
        data: a real number: int, float, bool, a NumPy scalar or 0-d array.
        label: the node's name in pictures and words; may be set later.

    Raises:
        TypeError: data is not a real number, or label is not a string, here or when set later.
        ValueError, ZeroDivisionError, OverflowError: an operation has no value at its operands;
            exp or ``**`` has one too large for a float. (``+ - * /`` give inf there, as floats do.)

    Example:
        >>> x = Value(3.0, "x")
        >>> y = x * x + 1
        >>> y.backward()
        >>> y, x
        (Value(data=10.0, grad=1.0), Value(data=3.0, grad=6.0, label='x'))
    """

    __slots__ = ("_data", "_grad", "_a", "_b", "_row", "__dict__", "__weakref__")

    # Properties for the slots below: whatever is set is checked, and a number is made a float.
    data: float = guard.number_slot("data", "The value, a float; may be set to a real number.")
    grad: float = guard.number_slot("grad", "∂J/∂self once ``J.backward()`` has run; may be set.")
    label: str = guard.text_slot("label", 'The name, ``""`` if there is none; may be set.')

    # Code written for micrograd calls node._backward(), one node's part of a sweep.
    _backward = guard.backward_slot(lambda node: local_derivatives(node))  # noqa: PLW0108

    _data: float
    _grad: float
    _a: Value | None  # The operands, in two slots: a tuple for each node costs time and memory.
    _b: Value | tuple[Value, ...] | None  # All but the first, if there are more than two.
    _row: Primitive

    @guard.usage(guard.VALUE)  # words the error for a call with other arguments
    def __init__(self, data: SupportsFloat = guard.MISSING, label: str = "") -> None:
        self._data = guard.as_number(data, "Value(data)")
        self._grad = 0.0
        self._a = self._b = None
        self._row = ops.LEAF
        if not isinstance(label, str) or label:
            self.label = label

    @property
    def parents(self) -> tuple[Value, ...]:
        """The operands, in order; empty for a leaf."""
        a, b = self._a, self._b
        if a is None or b is None:
            return () if a is None else (a,)
        return (a, *b) if isinstance(b, tuple) else (a, b)

    @property
    def op(self) -> str:
        """The symbol of the operation that made this node; ``""`` for a leaf."""
        return self._row.symbol

    @property
    def is_at_kink(self) -> bool:
        """Whether the operation is at its kink, where it has no slope but a choice of them."""
        return self._row.side(*(parent._data for parent in self.parents)) == 1

    @guard.usage(guard.BACKWARD)
    def backward(self) -> None:
        """Add ∂self/∂leaf to the ``grad`` of every leaf, and set ``grad`` of the nodes between.

        Call it twice, and the leaves hold the gradient twice; ``zero_grad`` starts anew. If it
        raises, the ``grad`` of every leaf is what it was. The slopes are those at the present
        ``data`` of the nodes: if you have set a leaf's, ``recompute(self)`` before.

        Raises:
            SlopeError: a local derivative does not exist at this point.
            OverflowError: a local derivative is too large for a float.
        """
        # The sums of adjoints(self), below, in a fifth of the time, for training loops. It falls
        # back on adjoints itself where a slope is missing; tests/test_fast_engine.py compares them.
        totals = fast_engine.sweep(self, adjoints)
        fast_engine.add_gradients(totals)  # leaf.grad += total, for every leaf

    def zero_grad(self) -> None:
        """Set ``grad`` to 0.0 in the whole graph under this node."""
        for node in topological_order(self):
            node._grad = 0.0

    __add__ = OPERATIONS["add"]
    __sub__, __rsub__ = OPERATIONS["sub"], _reflected(ops.SUB)
    __mul__, __rmul__ = OPERATIONS["mul"], _reflected(ops.MUL)
    __truediv__, __rtruediv__ = OPERATIONS["div"], _reflected(ops.DIV)
    __neg__ = OPERATIONS["neg"]
    __abs__ = OPERATIONS["abs"]

    exp = OPERATIONS["exp"]
    log = OPERATIONS["log"]
    sqrt = OPERATIONS["sqrt"]
    sin = OPERATIONS["sin"]
    cos = OPERATIONS["cos"]
    tanh = OPERATIONS["tanh"]
    sigmoid = OPERATIONS["sigmoid"]
    relu = OPERATIONS["relu"]

    def __radd__(self, other: Operand) -> Value:
        if type(other) is int and other == 0:  # where sum() starts
            return self
        return as_operand(other, ops.ADD, True) + self

    def __pow__(self, other: Operand) -> Value:
        return NotImplemented if guard.is_array(other, ops.POW) else power(self, other)

    def __rpow__(self, other: Operand) -> Value:
        return power(other, self)


def power(a: Operand, b: Operand) -> Value:
    """aᵇ. If a or b is a plain number, ∂/∂a or ∂/∂b is not computed: it may not exist.

    The slope in b is 0 where a is 0, by convention: aᵇ log a has that limit for b > 0. So 0ˣ and xˣ
    have slope 0 at x = 0, where in truth there is none.
    """
    a, b = as_operand(a, ops.POW, True), as_operand(b, ops.POW)
    if b._row is ops.CONSTANT:
        return OPERATIONS["pow_to_number"](a, b)
    return OPERATIONS["pow_of_number" if a._row is ops.CONSTANT else "pow"](a, b)


@guard.usage(guard.OPERANDS)
def maximum(a: Operand, b: Operand = guard.MISSING, *more: Operand) -> Value:
    """The largest operand, as one node; the gradient goes there. A tie of k gives 1/k to each.

    Raises:
        TypeError: an operand is neither a Value nor a real number, or there is only one.

    Example:
        >>> z = Value(-0.5, "z")
        >>> maximum(z, 0.0).data, maximum(z, 0.0, 2.0).data
        (0.0, 2.0)
    """
    operands = (as_operand(x, ops.MAX) for x in (a, b, *more))
    return _of_many(ops.MAX, 2 + len(more))(*operands)


@guard.usage(guard.OPERANDS)
def minimum(a: Operand, b: Operand = guard.MISSING, *more: Operand) -> Value:
    """The smallest operand, as one node, like ``maximum``.

    Example:
        >>> minimum(Value(2.0), 3.0).data
        2.0
    """
    operands = (as_operand(x, ops.MIN) for x in (a, b, *more))
    return _of_many(ops.MIN, 2 + len(more))(*operands)


def topological_order(J: Value) -> list[Value]:
    """Every node of J's graph once, operands before the nodes computed from them; J comes last.

    Example:
        >>> s, s_c = Value(0.3, "s"), Value(0.5, "s_c")
        >>> [node.label or node.op or node.data for node in topological_order(1.0 + s_c - s)]
        [1.0, 's_c', '+', 's', '-']
    """
    order: dict[Value, None] = {}
    path = [guard.as_node(J, "topological_order(J)")]  # not recursive: a graph may be deep
    while path:
        node = path[-1]
        if new := [parent for parent in node.parents if parent not in order]:
            path += reversed(new)  # the first operand on top: it comes next
        else:
            order[path.pop()] = None  # a * a puts a on the path twice: the second changes nothing
    return list(order)


def local_derivatives(node: Value) -> tuple[float, ...]:
    """∂node/∂parent for each of ``node.parents``, from the table.

    Raises:
        SlopeError, OverflowError: one of them does not exist, or is too large for a float.

    Example:
        >>> local_derivatives(Value(3.0) * Value(4.0))
        (4.0, 3.0)
    """
    if node._row.slopes is not None:
        return node._row.slopes
    try:
        operands = [parent._data for parent in node.parents]
        slopes = node._row.partials(FLOATS, *operands, node._data)
        guard.check_slopes(slopes, node)
    except (ArithmeticError, ValueError) as error:
        raise guard.slope_error(error, node) from error.__cause__
    return slopes


def with_gradient(order: Reversible[Value]) -> Iterator[Value]:
    """The nodes that gradient reaches, J first: all but what a max, min, relu or abs shuts off.

    These shut off an operand in which their slope is 0. What is behind it need not have slopes.
    """
    reached = {next(iter(reversed(order)))}
    for node in filter(reached.__contains__, reversed(order)):
        yield node
        passed = node.parents
        if node._row.cases:
            slopes = zip(passed, local_derivatives(node), strict=True)
            passed = tuple(parent for parent, slope in slopes if slope != 0.0)
        reached.update(passed)


def adjoints(
    J: Value, slopes: Callable[[Value], Sequence[Any]] = local_derivatives
) -> dict[Value, Any]:
    """∂J/∂node for every node of J's graph, in topological order. No ``grad`` is changed.

    The loop reads a node's total at its turn, when all nodes computed from it have had theirs: it
    is complete. A node that is used twice, as in ``a * a``, gets something from each use, hence +=.

    ``slopes`` gives the local derivatives of a node. It may raise an error where there are none.

    Example:
        >>> a = Value(3.0)
        >>> adjoints(a * a + a)[a]                          # 3 + 3 + 1
        7.0
    """
    totals = dict.fromkeys(topological_order(J), 0.0)
    totals[J] = 1.0
    for node in with_gradient(totals):
        for parent, slope in zip(node.parents, slopes(node), strict=True):
            if node._row.passes(slope):
                totals[parent] += totals[node] * slope
    return totals
