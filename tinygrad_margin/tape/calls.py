"""Calls of NumPy, made by evaluating a row of the table with operands that stand for arrays.

    >>> from tinygrad_margin.ops import TABLE
    >>> calls, a = Calls(), np.array([1.0, 2.0])
    >>> out = np.empty(2)
    >>> value = TABLE["tanh"].value(calls.m, Result(calls, a))
    >>> calls.write(out, value * 2.0 - 1.0)
    >>> [function.__name__ for function, _, _ in calls.calls]
    ['tanh', 'multiply', 'add']
    >>> run(calls.calls)
    >>> out.round(3)
    array([0.523, 0.928])

A call is added when somebody asks for its array. What nobody reads is not computed, and the last
call of a formula writes where the result is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from tinygrad_margin.tape.arrays import ARRAYS, Floats, Function, Places

# A function, its operands, and as "out" the array that it fills, unless that is an operand.
PlainCall: TypeAlias = tuple[Function, list[Any], dict[str, Floats]]


def run(calls: Sequence[PlainCall]) -> None:
    """Make the calls, in order."""
    for function, operands, out in calls:
        function(*operands, **out)


class Calls:
    """A growing list of calls.

    Attributes:
        calls: the calls so far.
    """

    def __init__(self) -> None:
        self.calls: list[PlainCall] = []
        self._arena: list[Floats] = []
        self._used = 0  # arrays of the arena

    @property
    def m(self) -> _CallMathematics:
        """The mathematics of Results, for the rows of the table."""
        return _CallMathematics(self)

    def add(self, function: Function, *operands: Any, out: Floats | None = None) -> None:
        """Add a call."""
        found = [array_of(x) for x in operands]
        self.calls.append((function, found, {} if out is None else {"out": out}))

    def call(self, function: Function, *operands: Any) -> Result:
        """A function of Results, arrays and numbers, item by item."""
        plain = [x.plain() if isinstance(x, Result) else x for x in operands]
        # NumPy is quicker with an array without dimensions than with a number.
        plain = [x if isinstance(x, WaitingCall) else np.asarray(x) for x in plain]
        shape = plain[0].shape
        if any(x.shape != shape for x in plain[1:]):
            shape = np.broadcast_shapes(*(x.shape for x in plain))
        return Result(self, WaitingCall(self, function, plain, shape))

    def gather(self, x: Floats, places: Places) -> WaitingCall:
        """Rows of an array, in any order."""
        take = partial(x.take, mode="clip")
        operands = [places.astype(np.intp), 0]
        return WaitingCall(self, take, operands, (*places.shape, *x.shape[1:]))

    def total(self, x: Floats | WaitingCall, axis: int) -> WaitingCall:
        """The sum along an axis."""
        shape = x.shape[:axis] + x.shape[axis + 1 :]
        return WaitingCall(self, np.add.reduce, [x, axis], shape)

    def write(self, target: Floats, result: Any) -> None:
        """Have a result (a Result, a call, an array or a number) in the target."""
        x = result.plain() if isinstance(result, Result) else result
        if isinstance(x, WaitingCall) and x.filled is None and x.shape == target.shape:
            x.array(target)
        else:
            self.add(_copy, x, out=target)

    def start_step(self) -> None:
        """Start a step of the plan: its temporary arrays may overwrite those of the last one."""
        self._used = 0

    def temporary(self, shape: tuple[int, ...]) -> Floats:
        """An array that holds until the step is done."""
        size = math.prod(shape)
        if self._used == len(self._arena):
            self._arena.append(np.empty(0))
        if self._arena[self._used].size < size:
            self._arena[self._used] = np.empty(size)
        self._used += 1
        return self._arena[self._used - 1][:size].reshape(shape)

    def is_temporary(self, x: Floats) -> bool:
        """Whether the next steps overwrite an array."""
        return any(x.base is whole for whole in self._arena)


def _copy(x: Any, *, out: Floats) -> None:
    np.copyto(out, x)


class WaitingCall:
    """A call that is added as soon as its array is asked for.

    Attributes:
        shape: the shape of the array.
        filled: the array, once the call has been added.
    """

    __slots__ = ("_calls", "_function", "_operands", "filled", "shape")

    def __init__(
        self, calls: Calls, function: Function, operands: list[Any], shape: tuple[int, ...]
    ) -> None:
        self._calls, self._function, self._operands = calls, function, operands
        self.shape = shape
        self.filled: Floats | None = None

    def array(self, out: Floats | None = None) -> Floats:
        """The array that the call fills: a temporary one, unless ``out`` is given."""
        if self.filled is None:
            operands = [array_of(x) for x in self._operands]
            self.filled = self._calls.temporary(self.shape) if out is None else out
            self._calls.add(self._function, *operands, out=self.filled)
        return self.filled


def array_of(x: Any) -> Any:
    """The array of a WaitingCall; anything else as it is."""
    return x.array() if isinstance(x, WaitingCall) else x


class Result:
    """factor · x, where x is an array or a WaitingCall; arithmetic makes more calls.

    The factor waits, too: the next call may subtract instead of add. ``is_plus`` says that no item
    can be −0.0, if no input is.
    """

    __slots__ = ("calls", "factor", "is_plus", "x")

    def __init__(
        self, calls: Calls, x: Floats | WaitingCall, factor: float = 1.0, *, is_plus: bool = False
    ) -> None:
        self.calls, self.x, self.factor, self.is_plus = calls, x, factor, is_plus

    def plain(self) -> Floats | WaitingCall:
        """The array or call, with the factor multiplied in."""
        if self.factor == 1.0:
            return self.x
        if self.factor == -1.0:
            return self.calls.call(np.negative, self.x).x
        return self.calls.call(np.multiply, self.x, self.factor).x

    def signed(self) -> Result:
        """The same, with a factor that is 1 or −1."""
        if abs(self.factor) == 1.0:
            return self
        return Result(self.calls, self.plain(), is_plus=self.is_plus)

    def __add__(self, other: Any) -> Result:
        a = self.signed()
        b = other.signed() if isinstance(other, Result) else Result(self.calls, other)
        if a.factor == b.factor:
            is_plus = a.is_plus or b.is_plus
            x = self.calls.call(np.add, a.x, b.x).x
            return Result(self.calls, x, is_plus=is_plus) * a.factor
        more, less = (a, b) if a.factor > b.factor else (b, a)
        x = self.calls.call(np.subtract, more.x, less.x).x
        return Result(self.calls, x, is_plus=more.is_plus)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Result:
        return self + -other

    def __rsub__(self, other: Any) -> Result:
        return -self + other

    def __mul__(self, other: Any) -> Result:
        if isinstance(other, Result):
            factor = self.factor * other.factor
            x = self.calls.call(np.multiply, self.x, other.x).x
            return Result(self.calls, x, factor, is_plus=self.x is other.x and factor > 0.0)
        is_plus = self.is_plus and other > 0.0
        return Result(self.calls, self.x, self.factor * other, is_plus=is_plus)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Result:
        if isinstance(other, float) and abs(math.frexp(other)[0]) == 0.5:  # a power of 2
            factor = 1.0 / other
            if math.isfinite(factor):
                return self * factor  # exact, and faster
        return self.calls.call(np.divide, self, other)

    def __rtruediv__(self, other: Any) -> Result:
        return self.calls.call(np.divide, other, self)

    def __neg__(self) -> Result:
        return self * -1.0


class _CallMathematics:
    """The mathematics of Results. Operands that are the same for all items may be floats."""

    def __init__(self, calls: Calls) -> None:
        self._call = calls.call

    def __getattr__(self, name: str) -> Function:
        """exp, log, sqrt, sin, cos, tanh, abs and maximum are NumPy's."""
        return partial(self._call, getattr(np, name))

    def sigmoid(self, a: Result) -> Any:
        """1 / (1 + e⁻ᵃ)."""
        return 1.0 / (1.0 + self.exp(-a))

    def pow(self, a: Any, b: Any) -> Any:
        """aᵇ."""
        if b in (0.0, 1.0, 2.0, 3.0):  # much faster than a power
            return (lambda: 1.0, lambda: a, lambda: a * a, lambda: a * a * a)[int(b)]()
        is_whole = isinstance(b, float) and b % 1.0 == 0.0
        return self._call(np.power if is_whole else ARRAYS.pow, a, b)

    def xlogy(self, x: Any, y: Any) -> Any:
        """x · log y, and 0 where y = 0."""
        if isinstance(y, Result):
            return self._call(ARRAYS.xlogy, x, y)
        return x * float(np.log(y)) if y else 0.0

    def step(self, a: Any, b: Any, tie: float) -> Any:
        """1 where a > b, ``tie`` where a = b, 0 where a < b, nan where either is nan."""
        if b == 0.0 and not tie:  # the same, faster: without a branch for each item
            return self._call(np.ceil, self._call(np.ndarray.clip, a, 0.0, 1.0))
        return self._call(ARRAYS.step, a, b, tie)

    def is_zero(self, a: Any) -> Any:
        """1 where a = 0, else 0."""
        return self._call(np.equal, a, 0.0) if isinstance(a, Result) else float(a == 0.0)
