"""What Python does with numbers and cannot do with a Value without losing the gradient.

Each is refused in a sentence that tells the way out:

    >>> from tinygrad_margin import Value
    >>> x = Value(2.0, "x")
    >>> x > 0
    Traceback (most recent call last):
    TypeError: x = 2.0 is not compared with <, >, max() or min(): Python's max would pick one \
operand and record no node, so the other would vanish from the graph. Use maximum(a, b) or \
minimum(a, b); to compare the numbers, use v.data.

This module is below the engine: a node is any object with data and a label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from tinygrad_margin.notation import brief

RECORDED = (
    "Operands and operation are recorded as you compute: a + b. For an operation of your own, with "
    "its derivative, see tinygrad_margin.primitive."
)


def described(node: Any) -> str:
    """A node in an error message."""
    return f"{brief(node.label)} = {node.data}" if node.label else f"{node.data}"


def _refusal(message: str) -> Callable[..., NoReturn]:
    """A method that raises TypeError with this message, after the node itself."""

    def refuse(self: Any, *_: object) -> NoReturn:
        raise TypeError(f"{described(self)} {message}")

    return refuse


def _no_operation(symbol: str, hint: str) -> Callable[..., NoReturn]:
    """A method for an operator that the table of primitives has not."""
    return _refusal(f"is a Value, and Values have no {symbol}. {hint}")


class Refusals:
    """A node's methods that raise."""

    __slots__ = ()
    __iter__ = None  # else Python would try v[0], v[1], …

    __bool__ = _refusal(
        "is neither true nor false: an `if` on it would leave no trace in the graph. Ask "
        "`v.data > 0` for the number, or use maximum, minimum or relu, which are nodes."
    )
    __lt__ = __le__ = __gt__ = __ge__ = _refusal(
        "is not compared with <, >, max() or min(): Python's max would pick one operand and record "
        "no node, so the other would vanish from the graph. Use maximum(a, b) or minimum(a, b); to "
        "compare the numbers, use v.data."
    )
    __round__ = _refusal(
        "is not rounded: steps have slope 0, so no gradient would pass. To print the number: "
        "round(v.data, 2), or v:.2f in an f-string."
    )
    __int__ = __trunc__ = __floor__ = __ceil__ = _refusal(
        "is not made a whole number: steps have slope 0, so no gradient would pass. For the number "
        "use v.data: int(v.data)."
    )
    __getitem__ = _refusal(
        "is one number: it has no entries. A layer or network with one output gives that Value "
        "itself, not a list."
    )
    __matmul__ = __rmatmul__ = _no_operation(
        "@", "A product is a * b; of two lists, sum(a * b for a, b in zip(u, v))."
    )
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = _no_operation(
        "%, // and divmod", "They jump, and have slope 0 or 1 between. For the numbers use v.data."
    )


def not_set(name: str) -> AttributeError:
    """The error for who sets what the engine records."""
    return AttributeError(f"{name} of a node is read, not set. {RECORDED}")


def read_only(name: str, of: Any) -> Any:
    """A property under another name, which its error says."""

    def refuse(self: Any, _: object) -> NoReturn:
        raise not_set(name)

    return of.setter(refuse)
