"""The errors of operations: what was given, what is wrong, and what to do instead.

    >>> from tinygrad_margin import Value
    >>> Value(-1.0, "q").log()
    Traceback (most recent call last):
    ValueError: log needs an operand above 0; got q = -1.0

The page runs the same table in a browser and says the same sentences, so they are templates here.
"""

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_margin.guard.text import describe, one_line
from tinygrad_margin.ops import CONSTANT, Primitive

NEEDS = "{symbol} needs {domain}; got {operands}"
TOO_LARGE = "{symbol} gives a number too large for a float; got {operands}"
NO_SLOPE = (
    "{symbol}{name} has a value at {operands} but no slope, so no gradient passes there; "
    "move the operand away from that point"
)
SLOPE_TOO_LARGE = "the slope of {symbol}{name} at {operands} is too large for a float"
_OVERFLOW_IN_PARTIALS = (
    "partials of {symbol}{name} overflowed at {operands}: {error}; if the slope itself is not that "
    "large, compute it without such large numbers on the way"
)


class SlopeError(ValueError, ZeroDivisionError):
    """The value exists at this point and the slope does not: the square root at 0, for example.

    Example:
        >>> from tinygrad_margin import Value
        >>> try:
        ...     Value(0.0, "x").sqrt().backward()
        ... except SlopeError as error:
        ...     print(str(error)[:40])
        sqrt has a value at x = 0.0 but no slope
    """


def value_error(error: Exception, row: Primitive, *operands: Any) -> Exception:
    """The error for an operation that has no value at these operands."""
    template = TOO_LARGE if isinstance(error, OverflowError) else NEEDS
    domain = row.domain.replace("{error}", str(error)) or error
    got = ", ".join(map(describe, operands))
    return type(error)(template.format(symbol=row.symbol, domain=domain, operands=got))


def check_slopes(slopes: Sequence[float], node: Any, wanted: Sequence[bool] | None = None) -> None:
    """Raise if a slope is infinite or nan although the operands and the value are finite.

    ``wanted`` says for each operand whether its slope matters; None: constants do not matter. The
    ValueError or OverflowError is without words; ``slope_error`` has them.
    """
    if all(map(math.isfinite, slopes)):
        return
    if not all(math.isfinite(each.data) for each in (node, *node.parents)):
        return
    wanted = wanted or [parent._row is not CONSTANT for parent in node.parents]
    bad = [x for x, matters in zip(slopes, wanted, strict=True) if matters and not math.isfinite(x)]
    if any(map(math.isnan, bad)):
        raise ValueError
    if bad:
        raise OverflowError


def slope_error(error: Exception, node: Any) -> Exception:
    """The error for a node whose local derivative does not exist or is too large."""
    kind: type[Exception] = SlopeError
    template = NO_SLOPE
    if isinstance(error, OverflowError):
        kind, template = OverflowError, SLOPE_TOO_LARGE
        if error.__cause__:  # raised inside a function of the user's own
            template = _OVERFLOW_IN_PARTIALS
    name = f" (the node {one_line(node.label)})" if node.label else ""
    got = ", ".join(map(describe, node.parents))
    return kind(template.format(symbol=node.op, name=name, operands=got, error=error))
