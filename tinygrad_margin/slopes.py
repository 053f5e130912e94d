"""The local derivatives that are wanted, in any mathematics; others need not exist.

>>> x, p = Value(-3.0), Value(2.0)                          # (−3)ᵖ has no slope in p
>>> wanted_slopes(x**p, {x})
(-6.0, 0.0)
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from tinygrad_margin.engine import Value
from tinygrad_margin.guard import check_slopes, slope_error
from tinygrad_margin.many import RowOfMany
from tinygrad_margin.ops import FLOATS, POW, POW_OF_NUMBER, POW_TO_NUMBER, Primitive


def wanted_slopes(node: Value, wanted: Container[Value]) -> tuple[float, ...]:
    """∂node/∂parent for the parents in ``wanted``; 0.0 for the others, whose slope may not exist.

    Raises:
        SlopeError, OverflowError: a wanted one does not exist, or is too large for a float.

    Example:
        >>> x, p = Value(-3.0), Value(2.0)                  # (−3)ᵖ has no slope in p
        >>> wanted_slopes(x**p, {x})
        (-6.0, 0.0)
    """
    return slopes_in(FLOATS, node, wanted, *(parent.data for parent in node.parents), node.data)


def slopes_in(m: Any, node: Value, wanted: Container[Value], *numbers: Any) -> tuple[Any, ...]:
    """The same in any mathematics ``m``; ``numbers`` are the operands and the value in it."""
    flags = [parent in wanted for parent in node.parents]
    if not any(flags):
        return (0.0,) * len(flags)
    try:
        slopes = row_for(node, flags).partials(m, *numbers)
        check_slopes(slopes, node, flags)
    except (ArithmeticError, ValueError) as error:
        raise slope_error(error, node) from error.__cause__
    return tuple(slope if flag else 0.0 for slope, flag in zip(slopes, flags, strict=True))


_POWERS = {(True, True): POW, (True, False): POW_TO_NUMBER, (False, True): POW_OF_NUMBER}


def row_for(node: Value, wanted: Sequence[bool]) -> Primitive:
    """The node's row; for a power, the row that asks only for the slopes that are wanted."""
    if node._row in _POWERS.values():
        return _POWERS[wanted[0], wanted[1]]
    if isinstance(node._row, RowOfMany) and node._row.narrowed:
        return node._row.narrowed(wanted)
    return node._row
