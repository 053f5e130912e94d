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

from tinygrad_margin.guard.text import describe

RECORDED = (
    "Operands and operation are recorded as you compute: a + b. For an operation of your own, with "
    "its derivative, see tinygrad_margin.primitive."
)


def _refusal(message: str) -> Callable[..., NoReturn]:
    """A method that raises TypeError with this message, after the node itself."""

    def refuse(self: Any, *_: object) -> NoReturn:
        raise TypeError(f"{describe(self)} {message}")

    return refuse


def _no_operation(symbol: str, hint: str) -> Callable[..., NoReturn]:
    """A method for an operator that the table of primitives has not."""
    return _refusal(f"is a Value, and Values have no {symbol}. {hint}")


_ENTRIES = (
    "is one number: it has no entries, and no loop or sum runs over it. A layer or network with "
    "one output gives that Value itself, not a list."
)


class Guarded:
    """A node's methods that raise."""

    __slots__ = ()

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
    __getitem__ = _refusal(_ENTRIES)
    # For type checkers it is not iterable, nor for np.iterable, which calls this.
    __iter__: None = _refusal(_ENTRIES)  # type: ignore[assignment]
    __xor__ = __rxor__ = _no_operation("^", "A power is written v ** 2.")
    __matmul__ = __rmatmul__ = _no_operation(
        "@", "A product is a * b; of two lists, sum(a * b for a, b in zip(u, v))."
    )
    __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __divmod__ = __rdivmod__ = _no_operation(
        "%, // and divmod", "They jump, and have slope 0 or 1 between. For the numbers use v.data."
    )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """What NumPy asks of a Value: its operators hand over to ours, its functions are refused.

        Arrays of Values do not come here: NumPy asks their entries, one by one.
        """
        name = ufunc.__name__
        if method == "__call__" and not options and name in _OPERATORS:
            operator, reflected = _OPERATORS[name]
            is_left = inputs[0] is self
            found = getattr(self, operator if is_left else reflected)(inputs[is_left])
            return name == "not_equal" if found is NotImplemented else found
        asked = name if method == "__call__" else f"{name}.{method}"
        way = _WAYS.get(name) or (
            f"Values have no {name}: write it with their operations, or give it a derivative with "
            f"tinygrad_margin.primitive. For the number: np.{name}(v.data)"
        )
        if method != "__call__" or options:
            way = "NumPy takes Values in an array: np.array([v, w], dtype=object)"
        raise TypeError(f"np.{asked} takes no single Value; got {describe(self)}. {way}.")

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _ELSEWHERE or hasattr(self, name)]


# NumPy's functions behind operators: what does the same here, with a Value on the left and right.
_OPERATORS = {
    "add": ("__add__", "__radd__"),
    "subtract": ("__sub__", "__rsub__"),
    "multiply": ("__mul__", "__rmul__"),
    "divide": ("__truediv__", "__rtruediv__"),
    "power": ("__pow__", "__rpow__"),
    "matmul": ("__matmul__", "__rmatmul__"),
    "remainder": ("__mod__", "__rmod__"),
    "floor_divide": ("__floordiv__", "__rfloordiv__"),
    "divmod": ("__divmod__", "__rdivmod__"),
    "bitwise_xor": ("__xor__", "__rxor__"),
    "equal": ("__eq__", "__eq__"),
    "not_equal": ("__ne__", "__ne__"),
    "less": ("__lt__", "__gt__"),
    "less_equal": ("__le__", "__ge__"),
    "greater": ("__gt__", "__lt__"),
    "greater_equal": ("__ge__", "__le__"),
}
_FUNCTIONS = ("exp", "log", "sqrt", "sin", "cos", "tanh")
_WAYS = {name: f"Use v.{name}(), which is a node" for name in _FUNCTIONS}
_WAYS |= {
    "maximum": "Use maximum(a, b) of tinygrad_margin, which is a node",
    "minimum": "Use minimum(a, b) of tinygrad_margin, which is a node",
    "absolute": "Use abs(v), which is a node",
    "negative": "Use -v, which is a node",
    "square": "Use v ** 2, which is a node",
}

# What other libraries, PyTorch first, call what is called something else here, or is not there.
_ONE = "a Value is one number"
_ELSEWHERE = {
    "ReLU": "it is v.relu()",
    "abs": "it is abs(v)",
    "backwards": "it is v.backward()",
    "clamp": "it is minimum(maximum(v, low), high)",
    "clone": f"{_ONE}, and operations change none: use it as it is, or copy.copy(v)",
    "cpu": "Values are Python's own numbers, on no device",
    "cuda": "Values are Python's own numbers, on no device",
    "detach": "the number without its graph is v.data; as a new leaf: Value(v.data)",
    "derivative": "the gradient is v.grad, once J.backward() has run; or grad(J, v)",
    "dtype": f"{_ONE}, and that a float: v.data",
    "gradient": "the gradient is v.grad, once J.backward() has run; or grad(J, v)",
    "is_leaf": "a leaf has no operands: not v.parents",
    "item": "the number is v.data",
    "max": "it is maximum(a, b), of two operands",
    "mean": f"{_ONE}; the mean of several is sum(values) / len(values)",
    "min": "it is minimum(a, b), of two operands",
    "name": "the name of a Value is v.label",
    "numpy": "the number is v.data",
    "pow": "a power is v ** 2",
    "requires_grad": "every Value takes part; grad(J, [v]) asks for some, and the rest is left",
    "requires_grad_": "every Value takes part; grad(J, [v]) asks for some, and the rest is left",
    "retain_grad": "every node keeps its grad: v.grad",
    "shape": f"{_ONE}, and has no shape",
    "softmax": f"{_ONE}; of several: es = [v.exp() for v in values], then e / sum(es) for each",
    "square": "it is v ** 2",
    "sum": f"{_ONE}; the sum of several is sum(values)",
    "tolist": "the number is v.data",
    "val": "the number is v.data",
    "value": "the number is v.data",
    "zero_": "the number is set by v.data = 0.0, and the gradient by v.zero_grad()",
}


class _Elsewhere:
    """An attribute that is not there, whose error says where it is.

    A ``__getattr__`` would say it too, but with one CPython 3.11 reads every slot slowly. What
    someone sets under the name, or has in a subclass, is found before it.
    """

    def __init__(self, name: str, way: str) -> None:
        self._name, self._way = name, way

    def __get__(self, node: Any, kind: type) -> Any:
        try:
            return getattr(super(Guarded, kind if node is None else node), self._name)
        except AttributeError:
            said = f"{kind.__name__!r} object has no attribute {self._name!r}: {self._way}"
            raise AttributeError(said) from None


for _name, _way in _ELSEWHERE.items():
    setattr(Guarded, _name, _Elsewhere(_name, _way))


def not_set(name: str) -> AttributeError:
    """The error for who sets what the engine records."""
    return AttributeError(f"{name} of a node is read, not set. {RECORDED}")


def read_only(name: str, of: Any) -> Any:
    """A property under another name, which its error says."""

    def refuse(self: Any, _: object) -> NoReturn:
        raise not_set(name)

    return of.setter(refuse)
