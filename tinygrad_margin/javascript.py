"""The table of primitives, written as JavaScript for the page.

    >>> from tinygrad_margin.ops import TABLE
    >>> print(functions(TABLE["mul"]))
    {value: (a, b) => a * b, partials: (a, b, out) => [b, a]}
    >>> print(functions(TABLE["log"]))
    {value: (a) => m.log(a), partials: (a, out) => [m.div(1.0, a)]}

``m`` is the mathematics that interpreter.js brings along.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tinygrad_margin.ops import Primitive
from tinygrad_margin.source import Functions, Source


class JavaScript(Source):
    """A piece of JavaScript, where a division by zero has to be asked to raise."""

    quotient = "m.div({}, {})"

    @staticmethod
    def number(x: float) -> str:
        """A number as text."""
        return json.dumps(float(x))  # Infinity and NaN are JavaScript, too


def table(rows: Iterable[Primitive]) -> str:
    """The rows as one JavaScript object, by name."""
    lines = (f"  {json.dumps(row.name)}: {_row(row)},\n" for row in rows)
    return f"{{\n{''.join(lines)}}}"


def _row(row: Primitive) -> str:
    """A row: its words as JSON, and its functions."""
    words = {"symbol": row.symbol, "domain": row.domain, "cases": row.cases, "regimes": row.regimes}
    return f"{{...{json_in_script(words)}, ...{functions(row)}}}"


def json_in_script(x: Any) -> str:
    """JSON that may stand in a script element: nothing in it looks like a tag."""
    return json.dumps(x, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def functions(row: Primitive) -> str:
    """A row's value and partials, as a JavaScript object.

    Raises:
        TypeError: the row computes with something else than its operands and ``m``.
    """
    names = [chr(ord("a") + i) for i in range(row.arity)]
    operands, m = list(map(JavaScript, names)), Functions(JavaScript)
    value = JavaScript.of(row.value(m, *operands)).text
    partials = row.partials(m, *operands, JavaScript("out"))
    slopes = ", ".join(JavaScript.of(slope).text for slope in partials)
    given = ", ".join(names)
    return f"{{value: ({given}) => {value}, partials: ({given}, out) => [{slopes}]}}"
