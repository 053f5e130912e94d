"""The table of primitives, written as JavaScript for the page.

A row's value and partials work on whatever supports ``+ - * /``; here they are given pieces of
source text, and what they return is the source of the same computation:

    >>> from tinygrad_margin.ops import TABLE
    >>> print(functions(TABLE["mul"]))
    {value: (a, b) => (a * b), partials: (a, b, out) => [b, a]}
    >>> print(functions(TABLE["log"]))
    {value: (a) => m.log(a), partials: (a, out) => [m.div(1.0, a)]}

``m`` is the mathematics that interpreter.js brings along.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from tinygrad_margin.ops import Primitive


class Source:
    """A piece of JavaScript that computes a number."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __add__(self, other: Any) -> Source:
        return Source(f"({self.text} + {_text(other)})")

    def __radd__(self, other: Any) -> Source:
        return Source(f"({_text(other)} + {self.text})")

    def __sub__(self, other: Any) -> Source:
        return Source(f"({self.text} - {_text(other)})")

    def __rsub__(self, other: Any) -> Source:
        return Source(f"({_text(other)} - {self.text})")

    def __mul__(self, other: Any) -> Source:
        return Source(f"({self.text} * {_text(other)})")

    def __rmul__(self, other: Any) -> Source:
        return Source(f"({_text(other)} * {self.text})")

    def __truediv__(self, other: Any) -> Source:
        return Source(f"m.div({self.text}, {_text(other)})")

    def __rtruediv__(self, other: Any) -> Source:
        return Source(f"m.div({_text(other)}, {self.text})")

    def __neg__(self) -> Source:
        return Source(f"(-{self.text})")


class _Functions:
    """The mathematics of source text: every function is one of interpreter.js."""

    def __getattr__(self, name: str) -> Callable[..., Source]:
        return lambda *operands: Source(f"m.{name}({', '.join(map(_text, operands))})")


def table(rows: Iterable[Primitive]) -> str:
    """The rows as one JavaScript object, by name."""
    lines = (f"  {json.dumps(row.name)}: {_row(row)},\n" for row in rows)
    return f"{{\n{''.join(lines)}}}"


def _row(row: Primitive) -> str:
    """A row: its words as JSON, and its functions."""
    words = {"symbol": row.symbol, "domain": row.domain, "cases": row.cases, "regimes": row.regimes}
    text = json.dumps(words).replace("<", "\\u003c")
    return f"{{...{text}, ...{functions(row)}}}"


def functions(row: Primitive) -> str:
    """A row's value and partials, as a JavaScript object.

    Raises:
        TypeError: the row computes with something else than its operands and ``m``.
    """
    names = [chr(ord("a") + i) for i in range(row.arity)]
    operands, out, m = list(map(Source, names)), Source("out"), _Functions()
    value = _text(row.value(m, *operands))
    partials = ", ".join(map(_text, row.partials(m, *operands, out)))
    given = ", ".join(names)
    return f"{{value: ({given}) => {value}, partials: ({given}, out) => [{partials}]}}"


def _text(x: Any) -> str:
    """A number or a piece of source, as source."""
    if isinstance(x, Source):
        return x.text
    if not isinstance(x, (int, float)):
        raise TypeError(f"the page computes with numbers; got {type(x).__name__} {x!r:.60}")
    number = json.dumps(x)  # Infinity and NaN are JavaScript, too
    return f"({number})" if x < 0 else number
