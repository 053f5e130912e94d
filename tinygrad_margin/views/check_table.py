"""What a gradient check found, as rows and as a table.

>>> print(GradientCheck((CheckedSlope("x", 2.0, 7.0, 7.0, 0.0, "agrees"),), ()))
leaf  reverse  numeric  difference
x     7        7                 0  agrees
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from tinygrad_margin.views.notation import number


@dataclass(frozen=True)
class CheckedSlope:
    """One row of a gradient check: an argument, and the slope in it by two ways.

    Attributes:
        leaf: the argument's name.
        x: where it is.
        reverse: ∂J/∂leaf by reverse mode.
        numeric: the same by differences; on a kink, the mean of the two sides; nan on a jump.
        difference: how far ``reverse`` is from it; on a kink, from lying between the two sides.
        verdict: "agrees", or "lies between" on a kink; "DIFFERS", "off the graph", "no slope" or
            "not settled".
        sides: the slopes below and above x if it is on a kink, else None.
    """

    leaf: str
    x: float
    reverse: float
    numeric: float
    difference: float
    verdict: str
    sides: tuple[float, float] | None = None

    @property
    def agrees(self) -> bool:
        """Whether reverse mode is right, as far as ``tolerance`` asks."""
        return self.verdict in ("agrees", "lies between")


@dataclass(frozen=True, repr=False)
class GradientCheck:
    """What ``gradcheck`` found: true if all slopes agree; prints as a table.

    Attributes:
        rows: one for each argument of f.
        notes: sentences on what is wrong, and on kinks.
    """

    rows: tuple[CheckedSlope, ...]
    notes: tuple[str, ...]

    def __bool__(self) -> bool:
        return all(row.agrees for row in self.rows)

    def __repr__(self) -> str:
        table = [("leaf", "reverse", "numeric", "difference", "")]
        for row in self.rows:
            numeric = " | ".join(number(slope, 7) for slope in row.sides or [row.numeric])
            reverse, difference = number(row.reverse, 7), number(row.difference, 2)
            table.append((row.leaf, reverse, numeric, difference, row.verdict))
        a, b, c, d, _ = (max(map(len, column)) for column in zip(*table, strict=True))
        lines = [f"{v:{a}}  {w:{b}}  {x:{c}}  {y:>{d}}  {z}".rstrip() for v, w, x, y, z in table]
        notes = [textwrap.fill(note, 94, subsequent_indent="  ") for note in self.notes[:5]]
        notes += [f"… and {len(self.notes) - 5} more notes"] * (len(self.notes) > 5)
        return "\n".join([*lines, *notes])
