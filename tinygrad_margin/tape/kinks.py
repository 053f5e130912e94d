"""Is a replay so near to a kink that the order of adding may decide its side?

A matrix product adds its terms in an order of its own, so its sums are a rounding off the engine's.
Where such a sum, or what is computed from it, comes within that rounding of a kink, a tape's
program learns it here, and runs again in the engine's order::

    >>> import numpy as np
    >>> watch, left, right = Watch(), np.array([[0.1, -0.1]]), np.array([[0.3], [0.3]])
    >>> product = watch.place()
    >>> watch.product(product, (), (), left, right)
    >>> watch.kink((product,), np.empty((1, 1)), left @ right)      # is it 0, or just nearly?
    >>> watch.found
    True
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_margin import ops
from tinygrad_margin.tape.record import ARRAYS, Floats

_ROUNDING = 1e-12  # beside the size of a product: room for thousands of terms
# No slope is more than 1: what goes in a rounding off comes out no further off.
STEADY = frozenset(
    {ops.ADD, ops.SUB, ops.NEG, ops.RELU, ops.MAX, ops.MIN, ops.ABS}
    | {ops.TANH, ops.SIGMOID, ops.SIN, ops.COS}
)


class Watch:
    """How far from the engine's values a run may be, step by step, and whether a kink is as near.

    Steps are known by their places here; ``before`` are the places of those that an operand comes
    from.

    Attributes:
        found: a kink is as near; or something is nan, which cannot be compared.
    """

    def __init__(self) -> None:
        self._off: list[float] = []
        self.found = False

    def place(self) -> int:
        """A place for one more step."""
        self._off.append(0.0)
        return len(self._off) - 1

    def _off_by(self, before: Sequence[int]) -> float:
        """How far off what comes from these steps may be, all together."""
        return sum(self._off[i] for i in before)

    def product(
        self, place: int, before_left: Sequence[int], before_right: Sequence[int],
        left: Floats, right: Floats,
    ) -> None:  # fmt: skip
        """See how large the terms of a matrix product can be, and how far off its factors are."""
        squares = np.vdot(right, right)  # quicker than linalg.norm
        size = math.sqrt(np.vdot(left, left) * squares)
        if size < 1e-140:  # squares may have been too small for a float
            size = float(abs(left).max() * abs(right).max()) * max(left.size, right.size)
        off = _ROUNDING * size
        if before_right:  # errors add up as the lengths of the rows do
            length = math.sqrt(np.square(left).sum(1).max())
            off = max(off, length * self._off_by(before_right))
        if before_left:
            off = max(off, math.sqrt(squares) * self._off_by(before_left))
        self._off[place] = off if size == size else size

    def total(self, place: int, before: Sequence[int], count: int = 1) -> None:
        """See a step that adds up, so many times."""
        self._off[place] = count * self._off_by(before)

    def step(
        self, place: int, before: Sequence[Sequence[int]], row: ops.Primitive, *arrays: Any
    ) -> None:
        """See an operation whose slopes may be large, with its operands and value."""
        off = square = 0.0
        for each, slope in zip(before, row.partials(ARRAYS, *arrays), strict=True):
            if each:
                one = self._off_by(each)
                off, square = off + float(np.abs(slope).max()) * one, square + one
        self._off[place] = off + square * square  # which is left of a square where its slope is 0

    def kink(
        self, before: Sequence[int], room: Floats, *operands: Any, rights: int = 0,
        is_past: bool = False,
    ) -> None:  # fmt: skip
        """See how far two operands are apart, or one from 0.

        Args:
            before: where they come from.
            room: an array to compute in.
            operands: ``rights`` factors of matrix products, then the operands. An item for which
                all these factors are 0 is not a rounding off.
            rights: how many.
            is_past: the operands come from kinks that were seen, so that a 0 is no rounding off.
        """
        near = self._off_by(before)
        a, b = operands[rights], 0.0
        if len(operands) > rights + 1:
            b = operands[-1]
            gap = np.abs(np.subtract(a, b, out=room), out=room)
        else:
            gap = np.abs(a, out=room)
        if not near or np.minimum.reduce(gap, axis=None) > near:
            return
        close = ~(gap > near)
        if is_past:
            close &= np.not_equal(a, 0.0) | np.not_equal(b, 0.0)
        if rights:
            close &= np.logical_or.reduce([np.any(x, axis=(0, 1)) for x in operands[:rights]])
        self.found = self.found or bool(close.any())
