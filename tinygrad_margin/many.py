"""Operations of many operands: a row for each number of them.

>>> row = of_many(MAX, 3)
>>> row.value(FLOATS, 5.0, 2.0, 5.0), row.partials(FLOATS, 5.0, 2.0, 5.0, 5.0)
(5.0, (0.5, 0.0, 0.5))
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from operator import add, neg
from typing import Any

from tinygrad_margin.ops import FLOATS, MAX, MIN, Primitive


@dataclass(frozen=True, eq=False, kw_only=True)
class RowOfMany(Primitive):
    """A row that a function makes. A copy or a pickle keeps the function and its arguments."""

    made_by: tuple[Callable[..., Primitive], tuple[Any, ...]]
    # The row that asks only for the slopes that are wanted, as POW_TO_NUMBER does.
    narrowed: Callable[[Sequence[bool]], Primitive] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made_by

    def side(self, *operands: float) -> int | None:
        """0 if one operand wins, 1 at a tie; None if an operand is nan, or without a kink."""
        out = self.value(FLOATS, *operands)
        return None if self.cases is None or out != out else int(operands.count(out) > 1)


def _folded(function: Callable[[Any, Any], Any], xs: Iterable[Any]) -> Any:
    """All xs in one by pairs of pairs: a formula of many operands is not nested deeply."""
    xs = list(xs)
    while len(xs) > 1:
        pairs = zip(xs[::2], xs[1::2], strict=False)
        xs = [*(function(a, b) for a, b in pairs), *xs[len(xs) // 2 * 2 :]]
    return xs[0]


@cache
def of_many(row: Primitive, count: int) -> Primitive:
    """max or min of so many operands; a tie of k gives 1/k of the gradient to each."""
    if count == 2:
        return row
    which = "largest" if row is MAX else "smallest"
    sign: Callable[[Any], Any] = neg if row is MIN else lambda x: x

    def rule(m: Any, *operands_and_out: Any) -> tuple[Any, ...]:
        *operands, out = map(sign, operands_and_out)
        wins = [m.step(x, out, 1.0) for x in operands]  # 1 where x is the value, else 0
        total = _folded(add, wins)
        return tuple(win / total for win in wins)

    return RowOfMany(
        f"{row.name}_of_{count}", row.symbol, count,
        lambda m, *operands: sign(_folded(m.maximum, map(sign, operands))), rule,
        cases=(f"the {which} operand wins: the {row.name} passes all of the gradient there",
               f"a tie of the {which}: any shares that add up to 1 make a subgradient, "
               f"the {row.name} gives equal shares", ""),
        regimes=(f"passes the {which}", "kink: equal shares", ""),
        made_by=(of_many, (row, count)),
    )  # fmt: skip


@cache
def largest_of(count: int) -> RowOfMany:
    """The largest of so many operands, for a formula that does not depend on it.

    No gradient passes, so it has no kink at a tie, as a max would have.
    """
    return RowOfMany(
        f"largest_of_{count}", "largest", count, lambda m, *xs: _folded(m.maximum, xs),
        (0.0,) * count, made_by=(largest_of, (count,)),
        explanation="it only keeps e to a power from overflowing: what it takes away is given back "
        "later, so no gradient has to pass",
    )  # fmt: skip
