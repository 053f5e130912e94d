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

from tinygrad_margin.guard import arrays, copying, mistakes
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
        # NumPy may go on comparing while its first error is still pending. Then every call ends in
        # a SystemError, and so does this raise; in the except clause nothing is pending.
        try:
            raise TypeError
        except (TypeError, SystemError):
            raise TypeError(f"{describe(self)} {sentence}") from None

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
    __array_ufunc__ = arrays.answer

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

    conjugate = __pos__  # a real number is its own: np.var asks for it

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

    def __dir__(self) -> list[str]:
        here = vars(Guarded)

        def is_own(name: str) -> bool:  # not there only to say what to use instead
            found = getattr(self, name, self)
            return found is not self and getattr(found, "__func__", found) is not here[name]

        hidden = {*mistakes.OTHER_NAMES, *_REFUSED}
        return [name for name in super().__dir__() if name not in hidden or is_own(name)]


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


_REFUSED = {name: text for names, text in mistakes.REFUSED.items() for name in names.split()}
for _name in mistakes.NUMPY_METHODS.split():
    _REFUSED[_name] = f"is a Value, and np.{_name} takes none. {mistakes.numpy_hint(_name)}."
for _name, _sentence in _REFUSED.items():
    setattr(Guarded, _name, _refuse(_sentence))
for _name, _hint in mistakes.OTHER_NAMES.items():
    setattr(Guarded, _name, _OtherName(_name, _hint))
