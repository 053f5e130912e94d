"""NumPy calls, made by evaluating a row of the table with operands that stand for arrays.

    >>> from tinygrad_margin.ops import TABLE
    >>> calls, a, out = Calls(), np.array([1.0, 2.0]), np.empty(2)
    >>> calls.write(out, TABLE["tanh"].value(calls.m, Result(calls, a)) * 2.0 - 1.0)
    >>> [function.__name__ for function, _ in calls.calls]
    ['tanh', 'multiply', 'add']
    >>> run(calls.calls)
    >>> out.round(3)
    array([0.523, 0.928])

A call is added when its array is needed. So the calls compute only what is read, and the last call
of a formula writes to the place where the result belongs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from tinygrad_margin import ops
from tinygrad_margin.tape.arrays import ARRAYS, Floats, Function, Places

# A function and its arguments. The last one is the array that it fills.
Call: TypeAlias = tuple[Function, list[Any]]


def run(calls: Sequence[Call]) -> None:
    """Make the calls, in order."""
    for function, arguments in calls:
        function(*arguments)


class Calls:
    """A growing list of calls, ``calls``."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    @property
    def m(self) -> _ResultMathematics:
        """The mathematics of Results, for the rows of the table."""
        return _ResultMathematics(self)

    def add(self, function: Function, *arguments: Any) -> None:
        """Add a call."""
        self.calls.append((function, [array_of(x) for x in arguments]))

    def call(self, function: Function, *operands: Any) -> Result:
        """A function of Results, arrays and numbers, item by item."""
        plain = [x.plain() if isinstance(x, Result) else x for x in operands]
        # NumPy is quicker with an array without dimensions than with a number.
        plain = [x if isinstance(x, WaitingCall) else np.asarray(x) for x in plain]
        shape = np.broadcast_shapes(*(x.shape for x in plain))
        return Result(self, WaitingCall(self, function, plain, shape))

    def gather(self, x: Floats, places: Places) -> Floats:
        """Rows of an array, in any order."""
        found = np.empty((*places.shape, *x.shape[1:]))
        self.add(partial(x.take, mode="clip"), places.astype(np.intp), 0, found)
        return found

    def total(self, x: Floats | WaitingCall, axis: int) -> WaitingCall:
        """The sum along an axis."""
        shape = x.shape[:axis] + x.shape[axis + 1 :]
        return WaitingCall(self, np.add.reduce, [x, axis, None], shape)

    def write(self, target: Floats, result: Any) -> None:
        """Write a Result, a WaitingCall, an array or a number to the target."""
        x = result.plain() if isinstance(result, Result) else result
        if isinstance(x, WaitingCall) and x.filled is None and x.shape == target.shape:
            x.fill(target)
        else:
            self.add(np.copyto, target, x)


def filling(function: Function) -> Function:
    """The function, with one more argument: an array for its result."""
    return lambda *arguments: np.copyto(arguments[-1], function(*arguments[:-1]))


def array_of(x: Any) -> Any:
    """The array of a WaitingCall, whose call is added now; anything else as it is."""
    if not isinstance(x, WaitingCall):
        return x
    if x.filled is None:
        x.fill(None)
    return x.filled


@dataclass(eq=False, slots=True)
class WaitingCall:
    """A call that is added when its array, of this shape, is needed: then it is ``filled``."""

    calls: Calls
    function: Function
    operands: list[Any]
    shape: tuple[int, ...]
    filled: Floats | None = None

    def fill(self, out: Floats | None) -> None:
        """Add the call; it fills ``out``, or a new array."""
        self.filled = np.empty(self.shape) if out is None else out
        waiting = [x for x in self.operands if isinstance(x, WaitingCall) and x.filled is None]
        # If only one operand waits, it is computed in the same array; that keeps the cache free.
        is_first = len(waiting) == 1 and waiting[0].shape == self.shape
        if is_first and all(x is not out for x in self.operands):
            waiting[0].fill(self.filled)
        self.calls.add(self.function, *self.operands, self.filled)
        for x in waiting:
            if x.filled is self.filled:
                x.filled = None  # overwritten


@dataclass(eq=False, slots=True)
class Result:
    """factor · x. Arithmetic makes calls; the factor waits, as the next call may subtract it."""

    calls: Calls
    x: Floats | WaitingCall
    factor: float = 1.0

    def plain(self) -> Floats | WaitingCall:
        """The array or call, with the factor multiplied in."""
        is_one = self.factor == 1.0
        return self.x if is_one else self.calls.call(np.multiply, self.x, self.factor).x

    def signed(self) -> Result:
        """The same, with a factor that is 1 or −1."""
        return self if abs(self.factor) == 1.0 else Result(self.calls, self.plain())

    def __add__(self, other: Any) -> Result:
        a = self.signed()
        b = other.signed() if isinstance(other, Result) else Result(self.calls, other)
        if a.factor == b.factor:
            return Result(self.calls, self.calls.call(np.add, a.x, b.x).x, a.factor)
        more, less = (a, b) if a.factor > b.factor else (b, a)
        return self.calls.call(np.subtract, more.x, less.x)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Result:
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> Result:
        return self.__neg__().__add__(other)

    def __mul__(self, other: Any) -> Result:
        if not isinstance(other, Result):
            return Result(self.calls, self.x, self.factor * other)
        x = self.calls.call(np.multiply, self.x, other.x).x
        return Result(self.calls, x, self.factor * other.factor)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Result:
        if isinstance(other, float) and math.frexp(other)[0] == 0.5 and other > 1e-300:
            return self * (1.0 / other)  # a power of 2: exact, and faster
        return self.calls.call(np.divide, self, other)

    def __rtruediv__(self, other: Any) -> Result:
        return self.calls.call(np.divide, other, self)

    def __neg__(self) -> Result:
        return self * -1.0


@dataclass
class _ResultMathematics:
    """The mathematics of Results. An operand that is the same for all items may be a float."""

    calls: Calls
    sech2 = ops.Floats.sech2

    def __getattr__(self, name: str) -> Function:
        """exp, log, sqrt, sin, cos, tanh and abs are NumPy's."""
        return partial(self.calls.call, getattr(np, name))

    def maximum(self, a: Any, b: Any) -> Result:
        # NumPy takes the array to fill by its name only.
        return self.calls.call(lambda a, b, out: np.maximum(a, b, out=out), a, b)

    def sigmoid(self, a: Any) -> Any:
        return self.calls.call(filling(ARRAYS.sigmoid), a)

    def pow(self, a: Any, b: Any) -> Any:
        if b in (0.0, 1.0, 2.0, 3.0):  # much faster than a power
            return (lambda: 1.0, lambda: a, lambda: a * a, lambda: a * a * a)[int(b)]()
        return self.calls.call(np.power, a, b)

    def xlogy(self, x: Any, y: Any) -> Any:
        return self.calls.call(filling(ARRAYS.xlogy), x, y)

    def step(self, a: Any, b: Any, tie: float) -> Any:
        if b == 0.0 and not tie:  # the same, faster: without a branch for each item
            return self.calls.call(np.ceil, self.calls.call(np.ndarray.clip, a, 0.0, 1.0))
        return self.calls.call(filling(ARRAYS.step), a, b, tie)

    def is_zero(self, a: Any) -> Any:
        return self.calls.call(np.equal, a, 0.0) if isinstance(a, Result) else float(a == 0.0)
