"""Arguments that have to be numbers or nodes: converted, or refused with a hint.

>>> import numpy as np
>>> as_number(np.float32(0.5), "delta")
0.5
>>> as_number("2", "the rate")
Traceback (most recent call last):
TypeError: the rate takes a real number; got str '2'. Make a number of the text first: float(text).
"""

from numbers import Real
from typing import Any, SupportsFloat, cast

from tinygrad_margin.guard.text import typed
from tinygrad_margin.ops import Primitive


class Node:
    """The base of ``Value``, by which the modules below the engine know one."""

    __slots__ = ()

    data: float
    label: str


def as_number(x: object, what: str, hint: str = "") -> float:
    """x as a float; raises TypeError if it is no real number, OverflowError if it is too large.

    The message begins with ``what``, the name of what takes the number. It ends with ``hint``, what
    to do instead; if that is empty, with a hint that fits x.
    """
    if type(x) is float:
        return x
    kind = getattr(getattr(x, "dtype", None), "kind", "")
    # NumPy counts its timedelta64, of the kind m, as a Real.
    if (isinstance(x, Real) and kind != "m") or (
        getattr(x, "shape", None) == () and kind and kind in "biuf"
    ):
        try:
            return float(cast(SupportsFloat, x))
        except OverflowError:
            raise OverflowError(f"{what} takes a number that fits a float; got {x!r:.60}") from None
    raise TypeError(f"{what} takes a real number; got {typed(x)}.{hint or _hint(x, what)}")


def as_operand_number(x: object, row: Primitive, is_left: bool = False) -> float:
    """x as a float, for an operation with Values; raises as ``as_number`` does."""
    hint = ""
    if type(x) is not float and _is_several(x):
        each = f"x {row.symbol} v" if is_left else f"v {row.symbol} x"
        hint = (
            f" Take its entries one at a time: [{each} for x in xs]; or make a NumPy array of it, "
            "which does that."
        )
        if not row.is_builtin:
            hint = " Take its entries one at a time."
        if row.name in ("max", "min"):
            hint = f" Of a list: {row.name}imum(*values)."
    return as_number(x, f"{row.symbol}, besides Values,", hint)


def as_node(x: object, what: str, hint: str = "") -> Any:
    """x if it is a Value, else raises TypeError."""
    if not isinstance(x, Node):
        raise TypeError(f"{what} takes Values, nodes of a graph; got {typed(x)}{hint}")
    return x


def _hint(x: object, what: str) -> str:
    """What to do about something that is not a number."""
    if isinstance(x, Node):
        already = " It is a Value already: use it as it is, or its .data."
        return already if what == "Value(data)" else " The number in a Value v is v.data."
    if callable(x):
        return " Is a call missing: x.relu() for x.relu?"
    if isinstance(x, str):
        return " Make a number of the text first: float(text)."
    if x is None:
        return " Is a return missing where it comes from?"
    if _is_several(x) and what == "Value(data)":
        return " A Value is one number: [Value(x) for x in xs]."
    return ""


def _is_several(x: object) -> bool:
    """Whether x is a list or an array."""
    return isinstance(x, (list, tuple)) or bool(getattr(x, "shape", None))
