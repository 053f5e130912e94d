"""Arguments that have to be numbers or nodes: converted, or refused with a hint.

>>> import numpy as np
>>> as_number(np.float32(0.5), "delta")
0.5
>>> as_number("0.5", "delta")
Traceback (most recent call last):
TypeError: delta takes a real number; got str '0.5'. Make a number of the text first: float(text).
"""

from __future__ import annotations

from numbers import Real
from typing import Any, SupportsFloat, cast

from tinygrad_margin.ops import Primitive

MISSING: Any = ...  # the default of an argument that has to be given


class Node:
    """The base of ``Value``, by which the modules below the engine know one."""

    __slots__ = ()

    data: float
    label: str


def as_number(x: object, what: str, hint: str = "") -> float:
    """x as a float.

    Args:
        x: a real number of any kind.
        what: the name of what takes the number: the error message begins with it.
        hint: what to do instead: the message ends with it. If empty, a hint that fits x.

    Raises:
        TypeError: x is not one real number.
        OverflowError: it does not fit a float.
    """
    if type(x) is float:
        return x
    kind = getattr(getattr(x, "dtype", None), "kind", "")
    if isinstance(x, Real) or (getattr(x, "shape", None) == () and kind and kind in "biuf"):
        try:
            return float(cast(SupportsFloat, x))
        except OverflowError:
            raise OverflowError(f"{what} takes a number that fits a float; got {x!r:.60}") from None
    got = "nothing" if x is MISSING else f"{type(x).__name__} {x!r:.60}"
    raise TypeError(f"{what} takes a real number; got {got}.{hint or _hint(x, what)}")


def as_operand_number(x: object, row: Primitive) -> float:
    """x as a float, for an operation with Values; raises as ``as_number`` does."""
    hint = ""
    if type(x) is not float and _is_several(x):
        hint = (
            f" Take its entries one at a time: [v {row.symbol} x for x in xs]; or make two arrays "
            "of Values of the same shape."
        )
        if row.name in ("max", "min"):
            hint = f" Of several: functools.reduce({row.name}imum, values)."
    return as_number(x, f"{row.symbol}, besides Values,", hint)


def as_node(x: object, what: str, hint: str = "") -> Any:
    """x if it is a Value.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(x, Node):
        raise TypeError(
            f"{what} takes Values, nodes of a graph; got {type(x).__name__} {x!r:.60}{hint}"
        )
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
