"""How numbers, names and operations are written, for people to read.

>>> number(-0.25), number(1.2), number(1e-7)
('−0.25', '1.2', '1e−7')
>>> format_operation("-", ["a", "−2"]), format_operation("max", ["z", "0"])
('a − (−2)', 'max(z, 0)')
>>> format_operation("*", ["a+b", "c"]), derivative("J", "a+b")
('(a+b) × c', '∂J/∂(a+b)')
>>> typeset("s_c"), typeset("Delta"), typeset("<b>")
('<i>s</i><sub>c</sub>', '<i>Δ</i>', '<i>&lt;b&gt;</i>')
"""

import html
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
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
_NUMBER = re.compile(r"−?(\d[\d.]*(e−?\d+)?|∞)|undefined")
# A name: not a digit first, and no space or operator; an index may follow. (Or it has parentheses.)
_SIGNS = r"\s!-&(-\-/:-@\[-^`{-~¬±²³¹·×÷‐-―⁰-ⁿ←-⇿∈-∝∟-⋿"
_NAME = re.compile(rf"([^\d{_SIGNS}][^{_SIGNS}]*((\[[^][]*\])*|_\w[\w,]*)|\([^()]*\))[₀-₉′]*")
# What LaTeX would interpret, as it is written outside \text. MathJax and KaTeX know all of these; a
# dollar sign ends a formula even with a backslash in some notebooks, so it is another one here.
_IN_LATEX = {
    "\\": r"\backslash ", "{": r"\lbrace ", "}": r"\rbrace ", "<": r"\lt ", ">": r"\gt ",
    "~": r"{\sim}", "^": r"\text{ˆ}", "$": r"\text{＄}",
    "#": r"\#", "%": r"\%", "&": r"\&", "_": r"\_",
}  # fmt: skip


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
    """A label as HTML: ``s_c`` with a subscript, ``Delta`` as Δ, a number upright."""
    text = one_line(label)
    if _NUMBER.fullmatch(text.strip("()")) or text == "…":
        return text
    parts = _base_and_index(text)
    base, index = (html.escape(_GREEK.get(part, part)) for part in parts)
    return f"<i>{base}</i>" + (f"<sub>{index}</sub>" if index else "")


def _base_and_index(text: str) -> tuple[str, str]:
    """The two parts of a name such as ``W_12``; for any other text, the text and ""."""
    name = re.fullmatch(r"([^\W_]+)_(\w[\w,]*)", text)
    return (name[1], name[2]) if name else (text, "")


def glyph(symbol: str) -> str:
    """An operation's symbol as it is printed: ``*`` as ×."""
    return _GLYPHS.get(symbol, symbol)


def format_operation(
    symbol: str, operands: Sequence[str], write: Callable[[str], str] = str
) -> str:
    """An operation as a person writes it, given the text of its operands; of many, a few.

    ``write`` gets each operand, in parentheses where it needs them: ``typeset`` makes HTML.
    """
    if len(operands) > 10:
        operands = [*operands[:3], "…", *operands[-3:]]
    if symbol not in _GLYPHS:
        arguments = map(enclose, operands) if len(operands) > 1 else operands
        return f"{symbol}({', '.join(map(write, arguments))})"
    terms = [write(parenthesize(term)) for term in operands]
    space = "" if len(terms) == 1 or symbol == "**" else " "
    return f"{space}{glyph(symbol)}{space}".join(terms if len(terms) > 1 else ["", *terms])


def enclose(name: str) -> str:
    """A name as a part of a formula, in parentheses if it is a formula itself, or several words."""
    return name if _NUMBER.fullmatch(name) or _NAME.fullmatch(name) else f"({name})"


def parenthesize(term: str) -> str:
    """A term or factor: the same, and in parentheses if it is negative."""
    return f"({term})" if term.startswith("−") else enclose(term)


def derivative(of: str, by: str, write: Callable[[str], str] = str) -> str:
    """A derivative as a symbol: ``∂J/∂s``."""
    return f"∂{write(enclose(of))}/∂{write(enclose(by))}"


def subscript(i: int) -> str:
    """A number as a subscript: ₋₁."""
    return str(i).translate(_TO_SUBSCRIPT)


def width(text: str) -> int:
    """How many columns a text takes; a bar over a letter takes none."""
    return sum(not unicodedata.combining(c) for c in text)


def latex(label: object) -> str:
    """A name, or a number as ``number`` writes it, as LaTeX mathematics for MathJax and KaTeX."""
    text = one_line(label)
    if _NUMBER.fullmatch(text.strip("()")):
        return re.sub(r"e(-?\d+)", r" \\cdot 10^{\1}", text.replace("−", "-"))
    if counted := re.fullmatch("([^\\W_]+?)([₀-₉]+)", text):  # v₁
        text = f"{counted[1]}_{counted[2].translate(_FROM_SUBSCRIPT)}"
    base, index = map(_latex_word, _base_and_index(text))
    return f"{base}_{{{index}}}" if index else base


def _latex_word(word: str) -> str:
    """A word as LaTeX that shows it as it is."""
    if word in _GREEK:
        return _GREEK[word]
    if (len(word) <= 1 and word.isalpha()) or word.isdigit() or word == "":
        return word
    signs = "".join(map(re.escape, _IN_LATEX))
    parts = re.findall(f"[{signs}]|[^{signs}]+", word)
    return "".join(_IN_LATEX.get(part, f"\\text{{{part}}}") for part in parts)
