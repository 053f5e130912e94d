"""The table of primitives, written as JavaScript for the page.

    >>> from tinygrad_margin.ops import TABLE
    >>> print(functions(TABLE["mul"]))
    {value: (a, b) => a * b, partials: (a, b, out) => [b, a]}
    >>> print(functions(TABLE["log"]))
    {value: (a) => m.log(a), partials: (a, out) => [m.div(1.0, a)]}

``m`` is the mathematics in interpreter.js.
"""

import json
from collections.abc import Iterable
from typing import Any

from tinygrad_margin.ops import Primitive
from tinygrad_margin.views.source import Functions, NotWrittenError, Source


class JavaScript(Source):
    """A piece of JavaScript; it divides by m.div, which raises an error at a division by zero."""

    def __truediv__(self, other: Any) -> Source:
        return JavaScript(f"m.div({self.text}, {self.of(other).text})")

    @staticmethod
    def number(x: float) -> str:
        """A number as text."""
        return json.dumps(float(x))  # Infinity and NaN are JavaScript, too


def table(rows: Iterable[Primitive]) -> str:
    """The rows as one JavaScript object, by their keys: their words, and their functions."""
    lines = []
    for row, key in row_keys(rows).items():
        words = {"symbol": row.symbol, "domain": row.domain, "cases": row.cases,
                 "regimes": row.regimes, "explanation": row.explanation}  # fmt: skip
        lines.append(f"  {json.dumps(key)}: {{...{json_in_script(words)}, ...{functions(row)}}},\n")
    return f"{{\n{''.join(lines)}}}"


def row_keys(rows: Iterable[Primitive]) -> dict[Primitive, str]:
    """The key of each row: its name, or a number, as two of your own may have the same name."""
    return {
        row: row.name if row.is_builtin else f"own {i}" for i, row in enumerate(dict.fromkeys(rows))
    }


def json_in_script(x: Any) -> str:
    """JSON for a script element: nothing in it looks like a tag."""
    return json.dumps(x, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def functions(row: Primitive) -> str:
    """A row's value and partials, as a JavaScript object.

    Raises TypeError if the row does not compute with its operands and ``m`` alone.
    """
    names = ["a", "b", *(f"x{i}" for i in range(2, row.arity))][: row.arity]
    operands, m = list(map(JavaScript, names)), Functions(JavaScript)
    part = "its value"
    try:
        value = JavaScript.of(row.value(m, *operands)).text
        part = "one of its partials"
        partials = row.partials(m, *operands, JavaScript("out"))
        slopes = ", ".join(JavaScript.of(slope).text for slope in partials)
    except Exception as error:
        other = "calls something else, such as a function of math or of numpy"
        reason = error if isinstance(error, NotWrittenError) else other
        raise TypeError(
            f"a page cannot show {row.name}: it computes in JavaScript, which is made from the "
            f"formulas of its value and partials, but {part} {reason}. Write both with + - * / ** "
            "alone, without math and if; or use draw or animate, which need no JavaScript"
        ) from error
    parameters = ", ".join(names)
    return f"{{value: ({parameters}) => {value}, partials: ({parameters}, out) => [{slopes}]}}"
