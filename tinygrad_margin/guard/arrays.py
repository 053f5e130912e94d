"""What NumPy asks of a Value: its operators go entry by entry, its functions are refused.

    >>> import numpy as np
    >>> from tinygrad_margin import Value
    >>> v = Value(2.0, "v")
    >>> [node.data for node in v * np.array([1.0, 3.0])]
    [2.0, 6.0]
    >>> np.exp(v)
    Traceback (most recent call last):
    TypeError: np.exp takes no single Value; got v = 2.0. Use v.exp(), which is a node.

NumPy asks a single Value. In an array of Values it asks the entries one by one, for their methods.
"""

from typing import Any

from tinygrad_margin.guard import mistakes
from tinygrad_margin.guard.arguments import Node, as_number
from tinygrad_margin.guard.text import describe
from tinygrad_margin.ops import Primitive


def is_array(x: Any, row: Primitive) -> bool:
    """Whether x is an array and row an operator: then NumPy goes on, entry by entry."""
    return (
        not isinstance(x, (float, int, Node))
        and hasattr(x, "__array_ufunc__")
        and not hasattr(x, "_mask")  # numpy.ma would take the number alone
        and row.symbol in mistakes.NUMPY_OPERATORS.values()
        and (getattr(x, "shape", ()) != () or _kind(x) == "O")
    )


def answer(node: Any, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """The method ``__array_ufunc__`` of a Value."""
    name = ufunc.__name__
    takes, hint = "no single Value", mistakes.numpy_hint(name)
    if method != "__call__" or options.keys() - {"out", "where"}:
        hint = "NumPy takes Values in an array: np.array([v, w], dtype=object)"
    elif name in ("matmul", "divmod"):
        is_left = inputs[0] is node
        return getattr(node, f"__{'r' * (not is_left)}{name}__")(inputs[is_left])
    elif name in mistakes.NUMPY_OPERATORS:
        symbol = mistakes.NUMPY_OPERATORS[name]
        if all(_kind(out) == "O" for out in options.get("out", ())):
            return ufunc(*(_entries(x, symbol) for x in inputs), **options)
        takes, hint = "no Value into an array of numbers", "The result has dtype=object"
        if symbol:
            hint += f": write a = a {symbol} v for a {symbol}= v"
    asked = name if method == "__call__" else f"{name}.{method}"
    raise TypeError(f"np.{asked} takes {takes}; got {describe(node)}. {hint}.")


def _kind(x: object) -> Any:
    """The kind of an array's entries, a letter of NumPy's: "f" for floats, "O" for objects."""
    return getattr(getattr(x, "dtype", None), "kind", "")


def _entries(x: Any, symbol: str) -> Any:
    """An array of floats or objects for NumPy's operator, which applies Python's to the entries."""
    import numpy as np  # noqa: PLC0415 - it is there when it asks; the engine does without

    array = np.asanyarray(x)
    kind = array.dtype.kind
    if kind in "biuf":
        return array.astype(float)  # NumPy's own long numbers would ask here again, forever
    if kind != "O" and symbol:
        hint = " Make numbers of it first: xs.astype(float)." if kind in "SU" else ""
        as_number(x, f"{symbol}, besides Values,", hint)
    return array if kind == "O" else np.full(array.shape, None)  # there is no Value in it
