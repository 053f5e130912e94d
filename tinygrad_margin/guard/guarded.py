"""The base class of Value: all that guards it, so that engine.py need not.

Numbers and labels are checked when they are set; operators and names that a Value does not have
raise errors that tell the way out; NumPy's functions are answered; nodes can be copied and pickled.

    >>> from tinygrad_margin import Value
    >>> x = Value(2.0, "x")
    >>> x ^ 2
    Traceback (most recent call last):
    TypeError: x = 2.0 is a Value, and Values have no ^. A power is written v ** 2.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NoReturn

from tinygrad_margin.guard import copying, mistakes
from tinygrad_margin.guard.arguments import Node, as_number
from tinygrad_margin.guard.text import describe, one_line, typed


def number_slot(name: str, doc: str) -> Any:
    """A property for the slot ``_name``, which holds a float and takes any real number."""
    slot = f"_{name}"

    def set_number(self: Any, x: object) -> None:
        owner = one_line(self.label) or "w"
        hint = ""
        if type(x) is not float and isinstance(x, Node):
            hint = (
                " An expression of Values is a new node; a step of gradient descent computes with "
                f"the numbers: {owner}.data -= 0.1 * {owner}.grad"
            )
        elif name == "grad":
            hint = f" To start anew: {owner}.grad = 0.0, or zero_grad()"
        setattr(self, slot, as_number(x, f"{owner}.{name}", hint))

    return property(attrgetter(slot), set_number, doc=doc)


def text_slot(name: str, doc: str) -> Any:
    """A property for a string, kept in the node's ``__dict__`` once it is set; "" before."""

    def set_text(self: Any, text: object) -> None:
        if not isinstance(text, str):
            hint = f" {mistakes.RECORDED}" if isinstance(text, (tuple, list, set)) else ""
            raise TypeError(
                f"the {name} of a Value is one text, its name; got {typed(text)}.{hint}"
            )
        setattr(self, f"_{name}", text)

    return property(attrgetter(f"_{name}"), set_text, doc=doc)


def _refuse(sentence: str) -> Callable[..., NoReturn]:
    """A method that raises TypeError: the node, then the sentence."""

    def refuse(self: Any, *_: object) -> NoReturn:
        raise TypeError(f"{describe(self)} {sentence}")

    return refuse


def _refuse_setting(name: str, why: str = "is read, not set") -> Callable[..., NoReturn]:
    """A property's setter, for what the engine records."""

    def refuse(self: Any, _: object) -> NoReturn:
        raise AttributeError(f"{name} of a node {why}. {mistakes.RECORDED}")

    return refuse


def backward_slot(local_derivatives: Callable[[Any], Sequence[float]]) -> Any:
    """The property ``_backward``, which code written for micrograd calls for a sweep by hand.

    It is a function that adds the node's ``grad`` times its slopes to its operands' ``grad``.
    """

    def get_backward(node: Any) -> Callable[[], None]:
        def backward() -> None:
            for parent, slope in zip(node.parents, local_derivatives(node), strict=True):
                parent._grad += node._grad * slope

        return backward

    return property(get_backward, _refuse_setting("_backward", "comes from the table of ops"))


class Guarded(Node):
    """What a Value does besides recording operations."""

    __slots__ = ()

    _label = ""  # until it is set: most nodes have none

    # Names that code written for micrograd reads.
    _prev = property(lambda self: self.parents, _refuse_setting("_prev"))
    _op = property(lambda self: self.op, _refuse_setting("_op"))

    __copy__, __deepcopy__, __reduce_ex__ = copying.shallow, copying.deep, copying.reduced

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Sets and dictionaries of nodes go by identity, even if a subclass defines ``==``.
        cls.__hash__ = object.__hash__  # type: ignore[method-assign]
        for name in ("parents", "op"):
            known = vars(cls).get(name)
            if isinstance(known, property) and known.fset is None:
                setattr(cls, name, known.setter(_refuse_setting(name)))

    def __pos__(self) -> Any:
        return self

    def __float__(self) -> float:
        return float(self._data)  # type: ignore[attr-defined]

    def __format__(self, form: str) -> str:
        """``f"{v:.3f}"`` is the number in that form, and ``f"{v}"`` what ``print(v)`` prints."""
        try:
            return format(float(self), form) if form else str(self)
        except ValueError as error:
            raise ValueError(
                f"{describe(self)} is a float, which the format {form!r:.20} is not for "
                f"({error}); with 3 decimals it is v:.3f, with none v:.0f"
            ) from None

    def __repr__(self) -> str:
        node: Any = self
        label = f", label={node.label!r}" if node.label else ""
        return f"Value(data={node.data}, grad={node.grad + 0.0}{label})"  # + 0.0: not -0.0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """What NumPy asks of a Value: its operators are handed to ours, its functions refused.

        Arrays of Values do not come here: NumPy asks their entries, one by one.
        """
        name = ufunc.__name__
        operator = mistakes.NUMPY_OPERATORS.get(name, "")
        known = mistakes.NUMPY_COMPARISONS.get(name, operator and (operator, f"r{operator}"))
        if method == "__call__" and not options and known:
            is_left = inputs[0] is self
            others = inputs[1:] if is_left else inputs[:1]
            found = getattr(self, f"__{known[not is_left]}__")(*others)
            return name == "not_equal" if found is NotImplemented else found
        asked = name if method == "__call__" else f"{name}.{method}"
        if method != "__call__" or options:
            hint = "NumPy takes Values in an array: np.array([v, w], dtype=object)"
        elif ours := mistakes.NUMPY_FUNCTIONS.get(name):
            hint = f"Use {ours}, which is a node"
        else:
            hint = (
                f"Values have no {name}: write it with their operations, or give it a derivative "
                f"with tinygrad_margin.primitive. For the number: np.{name}(v.data)"
            )
        raise TypeError(f"np.{asked} takes no single Value; got {describe(self)}. {hint}.")

    def __dir__(self) -> list[str]:
        others = mistakes.OTHER_NAMES
        return [name for name in super().__dir__() if name not in others or hasattr(self, name)]


class _OtherName:
    """An attribute that is not there; its error says where to find it.

    A ``__getattr__`` would say it too, but with one CPython 3.11 reads every slot slowly. If
    somebody sets the name, or has it in a subclass, that is found first.
    """

    def __init__(self, name: str, hint: str) -> None:
        self._name, self._hint = name, hint

    def __get__(self, node: Any, kind: type) -> Any:
        try:
            return getattr(super(Guarded, kind if node is None else node), self._name)
        except AttributeError:
            raise AttributeError(
                f"{kind.__name__!r} object has no attribute {self._name!r}: {self._hint}"
            ) from None


for _names, _sentence in mistakes.REFUSED.items():
    for _name in _names.split():
        setattr(Guarded, _name, _refuse(_sentence))
for _name, _hint in mistakes.OTHER_NAMES.items():
    setattr(Guarded, _name, _OtherName(_name, _hint))
