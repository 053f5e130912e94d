"""The mathematics of the table's rows on NumPy arrays, and users' own operations on them.

>>> from tinygrad_margin.ops import TABLE
>>> TABLE["relu"].value(ARRAYS, np.array([-1.0, 2.0]))
array([0., 2.])
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tinygrad_margin import ops
from tinygrad_margin.ops import FLOATS, Primitive
from tinygrad_margin.primitive import partials_are_formulas, value_is_formula

Floats: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.integer[Any]]  # mostly int32, to save memory
Flags: TypeAlias = npt.NDArray[np.bool_]
Function: TypeAlias = Callable[..., Any]


class Arrays:
    """The mathematics of plain arrays. Outside a function's domain its value is nan or inf."""

    exp, log, sqrt, sin, cos, tanh = np.exp, np.log, np.sqrt, np.sin, np.cos, np.tanh
    abs, maximum, pow = np.abs, np.maximum, np.power
    sech2 = ops.Floats.sech2

    @staticmethod
    def sigmoid(a: Any) -> Any:
        """1 / (1 + e⁻ᵃ), with e to a negative power alone, which cannot overflow."""
        e = np.exp(-np.abs(a))
        return np.where(np.less(a, 0.0), e, 1.0) / (1.0 + e)

    @staticmethod
    def xlogy(x: Any, y: Any) -> Any:
        """x · log y, and 0 where y = 0."""
        return np.where(np.equal(y, 0.0), 0.0, x * np.log(y))[()]

    @staticmethod
    def step(a: Any, b: Any, tie: float) -> Any:
        """1 where a > b, ``tie`` where a = b, 0 where a < b, nan where either is nan."""
        found = np.array(np.greater(a, b), float)
        np.copyto(found, tie, where=np.equal(a, b))
        for unknown in (np.isnan(a), np.isnan(b)):
            if unknown.any():
                np.copyto(found, math.nan, where=unknown)
        return found[()]

    @staticmethod
    def is_zero(a: Any) -> Any:
        """1 where a = 0, else 0."""
        return np.equal(a, 0.0) * 1.0


ARRAYS = Arrays()


def on_arrays(row: Primitive) -> tuple[Function, Function]:
    """Value and partials of a row as functions of arrays, or of NumPy's numbers.

    A user's own functions run on whole arrays if they are generic formulas. If they are not, they
    take floats: they run for one item after another, and give nan where they raise an error.
    """
    if row.is_builtin:
        return row.value, row.partials
    value = _vectorized(lambda *xs: (row.value(*xs),), 1, is_generic=value_is_formula(row))
    is_generic = partials_are_formulas(row)
    return lambda *xs: value(*xs)[0], _vectorized(row.partials, row.arity, is_generic=is_generic)


def _vectorized(function: Function, count: int, *, is_generic: bool) -> Function:
    """A user's function, which gives a tuple of ``count`` numbers, for arrays."""

    def one(*item: float) -> Any:
        try:
            return function(FLOATS, *item)
        except (ArithmeticError, ValueError):
            return [math.nan] * count

    def vectorized(_: Any, *operands: Any) -> Any:
        shape = np.broadcast_shapes(*map(np.shape, operands))
        # Copies, all of one shape: a user's function may say x *= 2.
        arrays = [np.array(np.broadcast_to(x, shape)) for x in operands]
        if is_generic:
            return np.array([np.broadcast_to(x, shape) for x in function(np, *arrays)])
        items = zip(*(x.ravel().tolist() for x in arrays), strict=True)
        return np.array([one(*item) for item in items], float).T.reshape((count, *shape))

    return vectorized
