"""The functions of a primitive as source text, in Python or another language.

A row's value and partials work on anything that supports ``+ - * /``. Given pieces of source text,
they return the source of the same computation. The class of the pieces decides the language.

    >>> from tinygrad_margin.ops import TABLE
    >>> a, b = Source("a"), Source("b")
    >>> TABLE["div"].partials(Functions(Source), a, b, Source("y"))[1].text
    '-y / b'
    >>> (a * (b - 2.0) * 1.0).text                      # a factor of 1 is left out
    'a * (b - 2.0)'
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

_LONGEST = 10_000  # characters; a piece that is used twice, again and again, grows exponentially
SUM, NEGATIVE, PRODUCT, ATOM = range(4)  # how tightly a piece binds


class NotWrittenError(TypeError):
    """The computation cannot be written as source; the message continues a sentence about it."""


class Source:
    """A piece of Python source that computes a number."""

    minus, times = "-", " * "
    __array_ufunc__ = None  # so that np.float64(2) * x is x.__rmul__(2)

    def __init__(self, text: str, level: int = ATOM) -> None:
        if len(text) > _LONGEST:
            raise NotWrittenError(f"is a formula of more than {_LONGEST:,} characters")
        self.text, self.level = text, level

    @classmethod
    def of(cls, x: Any) -> Source:
        """A number, or a piece of source, as source; raises NotWrittenError for anything else."""
        if isinstance(x, Source):
            return x
        if not isinstance(x, (int, float)):
            raise NotWrittenError(f"computes with something else: {type(x).__name__} {x!r:.60}")
        return -cls(cls.number(-x)) if x < 0 else cls(cls.number(x + 0.0))

    @staticmethod
    def number(x: float) -> str:
        """A number as text."""
        return repr(float(x))

    def __add__(self, other: Any) -> Source:
        right = self.of(other)
        if right.is_negative():  # a + (-b) is a - b
            return self - -right
        return type(self)(f"{self.text} + {right.held(PRODUCT)}", SUM)

    def __radd__(self, other: Any) -> Source:
        return self.of(other) + self

    def __sub__(self, other: Any) -> Source:
        right = self.of(other)
        if right.is_negative():
            return self + -right
        return type(self)(f"{self.text} {self.minus} {right.held(PRODUCT)}", SUM)

    def __rsub__(self, other: Any) -> Source:
        return self.of(other) - self

    def __mul__(self, other: Any) -> Source:
        if isinstance(other, (int, float)) and other in (1, -1):
            return self if other == 1 else -self
        right = self.of(other)
        text = f"{self.held(NEGATIVE)}{self.times}{right.held(ATOM)}"
        return type(self)(text, PRODUCT)

    def __rmul__(self, other: Any) -> Source:
        if isinstance(other, (int, float)) and other in (1, -1):
            return self * other
        return self.of(other) * self

    def __truediv__(self, other: Any) -> Source:
        return type(self)(f"{self.held(NEGATIVE)} / {self.of(other).held(ATOM)}", PRODUCT)

    def __rtruediv__(self, other: Any) -> Source:
        return self.of(other) / self

    def __neg__(self) -> Source:
        if self.is_negative():
            return type(self)(self.text[len(self.minus) :], PRODUCT)
        return type(self)(f"{self.minus}{self.held(PRODUCT)}", NEGATIVE)

    def __pow__(self, other: Any) -> Any:
        return self.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return self.power(other, self)

    @classmethod
    def power(cls, a: Any, b: Any) -> Any:
        """aᵇ."""
        return cls(f"m.pow({cls.of(a).text}, {cls.of(b).text})")

    def _no_branch(self, *_: object) -> NoReturn:
        raise NotWrittenError("compares its operands, so that its formula depends on them")

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _no_branch
    __hash__ = None  # type: ignore[assignment]

    def is_negative(self) -> bool:
        """Whether it begins with a minus that applies to all of it."""
        return self.level >= NEGATIVE and self.text.startswith(self.minus)

    def held(self, level: int) -> str:
        """The text, in parentheses if it binds less tightly than the level."""
        return self.text if self.level >= level else f"({self.text})"


class Functions:
    """The mathematics of source text: ``m.exp(a)`` is the source of a call of that function."""

    def __init__(self, language: type[Source], prefix: str = "m.") -> None:
        self._language, self._prefix = language, prefix

    def __getattr__(self, name: str) -> Callable[..., Source]:
        def function(*operands: Any) -> Source:
            texts = (self._language.of(operand).text for operand in operands)
            return self._language(f"{self._prefix}{name}({', '.join(texts)})")

        return function
