"""Operations of many operands: a row of the table for each number of operands.

>>> row = max_of(3)
>>> row.value(FLOATS, 5.0, 2.0, 5.0), row.partials(FLOATS, 5.0, 2.0, 5.0, 5.0)
(5.0, (0.5, 0.0, 0.5))
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

from tinygrad_margin.ops import FLOATS, Primitive


@dataclass(frozen=True, eq=False, kw_only=True)
class RowOfMany(Primitive):
    """A row that a function makes. A copy or a pickle keeps the function and its arguments."""

    made_by: tuple[Callable[..., Primitive], tuple[Any, ...]]

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made_by

    def side(self, *operands: float) -> int | None:
        """0 if one operand wins, 1 at a tie, None if an operand is nan or if there is no kink."""
        out = self.value(FLOATS, *operands)
        return None if self.cases is None or out != out else int(operands.count(out) > 1)


@cache
def max_of(count: int) -> RowOfMany:
    """The largest of so many operands; a tie of k gives 1/k of the gradient to each."""
    return _extreme(max_of, count, "max", "largest", lambda x: x)


@cache
def min_of(count: int) -> RowOfMany:
    """The smallest of so many operands, in the same way."""
    return _extreme(min_of, count, "min", "smallest", lambda x: -x)


def _extreme(
    family: Callable[..., RowOfMany], count: int, name: str, which: str, sign: Callable[[Any], Any]
) -> RowOfMany:
    def rule(m: Any, *operands_and_out: Any) -> tuple[Any, ...]:
        *operands, out = map(sign, operands_and_out)
        wins = [m.step(x, out, 1.0) for x in operands]  # 1 where x is the value, else 0
        total = sum(wins)
        return tuple(win / total for win in wins)

    return RowOfMany(
        f"{name}_of_{count}", name, count,
        lambda m, *operands: sign(reduce(m.maximum, map(sign, operands))), rule,
        cases=(f"the {which} operand wins: the {name} passes all of the gradient there",
               f"a tie of the {which}: any shares that add up to 1 make a subgradient, "
               f"the {name} gives equal shares", ""),
        regimes=(f"passes the {which}", "kink: equal shares", ""),
        made_by=(family, (count,)),
    )  # fmt: skip
