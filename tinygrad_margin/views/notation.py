"""How numbers, names and operations are written, for people to read.

>>> number(-0.25), number(1.2), number(1e-7)
('−0.25', '1.2', '1e−7')
>>> format_operation("-", ["a", "−2"]), format_operation("max", ["z", "0"])
('a − (−2)', 'max(z, 0)')
>>> typeset("s_c"), typeset("Delta"), typeset("<b>")
('<i>s</i><sub>c</sub>', '<i>Δ</i>', '<i>&lt;b&gt;</i>')
"""

import html
import math
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from tinygrad_margin.guard import one_line

_TO_SUBSCRIPT = str.maketrans("-0123456789", "₋₀₁₂₃₄₅₆₇₈₉")
_FROM_SUBSCRIPT = str.maketrans("₋₀₁₂₃₄₅₆₇₈₉", "-0123456789")
_GLYPHS = {"+": "+", "-": "−", "*": "×", "/": "/", "**": "^"}
_LETTERS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho "
    "sigma tau upsilon phi chi psi omega"
)
_GREEK = dict(zip(_LETTERS.split(), "αβγδεζηθικλμνξοπρστυφχψω", strict=True))
_GREEK |= {name.capitalize(): letter.upper() for name, letter in _GREEK.items()}


@lru_cache(1024)  # an animation writes the same numbers again and again
def number(x: float, precision: int = 4, *, signed: bool = False) -> str:
    """x to ``precision`` significant digits, with a proper minus sign; signed: and a plus sign."""
    if math.isnan(x):
        return "undefined"
    text = f"{x + 0.0:.{precision}g}".replace("inf", "∞")  # + 0.0: no -0
    text = re.sub(r"e\+?(-?)0*(\d)", r"e\1\2", text)
    if signed and x > 0:
        text = "+" + text
    return text.replace("-", "−")


def typeset(label: object) -> str:
    """A label as HTML: ``s_c`` with a subscript, ``Delta`` as Δ, anything else as it is."""
    parts = _base_and_index(one_line(label))
    base, index = (html.escape(_GREEK.get(part, part)) for part in parts)
    return f"<i>{base}</i>" + (f"<sub>{index}</sub>" if index else "")


def _base_and_index(text: str) -> tuple[str, str]:
    """The two parts of a name such as ``W_12``; for any other text, the text and ""."""
    name = re.fullmatch(r"([^\W_]+)_(\w[\w,]*)", text)
    return (name[1], name[2]) if name else (text, "")


def glyph(symbol: str) -> str:
    """An operation's symbol as it is printed: ``*`` as ×."""
    return _GLYPHS.get(symbol, symbol)


def format_operation(symbol: str, operands: Sequence[str]) -> str:
    """An operation as a person writes it, given the text of its operands; of many, a few."""
    if len(operands) > 10:
        operands = [*operands[:3], "…", *operands[-3:]]
    if symbol not in _GLYPHS:
        return f"{symbol}({', '.join(operands)})"
    terms = [parenthesize(term) for term in operands]
    space = "" if len(terms) == 1 or symbol == "**" else " "
    return f"{space}{glyph(symbol)}{space}".join(terms if len(terms) > 1 else ["", *terms])


def parenthesize(term: str) -> str:
    """A term or factor, in parentheses if it is negative."""
    return f"({term})" if term.startswith("−") else term


def subscript(i: int) -> str:
    """A number as a subscript: ₋₁."""
    return str(i).translate(_TO_SUBSCRIPT)


def width(text: str) -> int:
    """How many columns a text takes; a bar over a letter takes none."""
    return sum(not unicodedata.combining(c) for c in text)


def latex(label: object) -> str:
    """A label as LaTeX mathematics, for MathJax."""
    text = one_line(label)
    text = re.sub("^v([₀-₉]+)$", lambda v: "v_" + v[1].translate(_FROM_SUBSCRIPT), text)
    base, index = map(_latex_word, _base_and_index(text))
    return f"{base}_{{{index}}}" if index else base


def _latex_word(word: str) -> str:
    """A word as LaTeX, without any character that LaTeX would interpret."""
    if word in _GREEK:
        return _GREEK[word]
    if (len(word) <= 1 and word.isalpha()) or word.isdigit() or word == "":
        return word
    plain = re.sub(r"[^\w ,.+=…′-]", "?", word).replace("_", r"\_")
    return f"\\text{{{plain}}}"
