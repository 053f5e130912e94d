"""A formula typed by a person, as a graph.

    >>> from tinygrad_margin.cli.formula import evaluate
    >>> J = evaluate("max(1 + s_c - s, 0)", {"s": 0.3, "s_c": 0.5})
    >>> J.data, J.op
    (1.2, 'max')

The formula is read, never run as Python. It may hold numbers, names, ``+ - * / **``, parentheses
and the functions of the table: abs, cos, exp, log, max, min, relu, sigmoid, sin, sqrt, tanh.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

from tinygrad_margin.engine import OPERATIONS, Value, constant, power
from tinygrad_margin.guard import one_line
from tinygrad_margin.ops import TABLE

MAX_LENGTH = 10_000
MAX_DEPTH = 100

FUNCTIONS: dict[str, tuple[int, Callable[..., Value]]] = {
    row.name: (row.arity, OPERATIONS[row.name]) for row in TABLE.values() if row.name == row.symbol
}


class FormulaError(ValueError):
    """The formula cannot be read; the message says where and why."""


class _Token(NamedTuple):
    kind: str  # "number", "name", "sign" or "end"
    text: str
    at: int


# Binding powers. A sign binds less than a power, −x² = −(x²), and more than a product.
_INFIX = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4}
_PREFIX = 3
_APPLY: dict[str, Callable[[Value, Value], Value]] = {
    "+": OPERATIONS["add"],
    "-": OPERATIONS["sub"],
    "*": OPERATIONS["mul"],
    "/": OPERATIONS["div"],
    "**": power,
}
_TOKEN = re.compile(
    r"(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign>\*\*|[-+*/(),])|(?P<space>\s+)"
)
_HINTS = {"^": "a power is written **", "−": "minus is written -", "×": "times is written *",
          "·": "times is written *", "[": "use parentheses", "{": "use parentheses",
          "=": "a formula has no ="}  # fmt: skip


def evaluate(formula: str, values: Mapping[str, float]) -> Value:
    """The graph of a formula at the given values.

    Args:
        formula: at most 10,000 characters, nested at most 100 deep.
        values: a number for every name in the formula.

    Returns:
        The root. Every name is one leaf, labelled so; every number written is a constant.

    Raises:
        FormulaError: the formula cannot be read, or a name has no value or is not used.
        ValueError, ZeroDivisionError, OverflowError: a point outside an operation's domain.
    """
    if len(formula) > MAX_LENGTH:
        raise FormulaError(f"a formula of {len(formula):,} characters; {MAX_LENGTH:,} is the most")
    leaves = {name: Value(x, name) for name, x in values.items()}
    reader = _Reader(formula, leaves)
    root = reader.formula()
    unused = [name for name in leaves if name not in reader.used]
    if unused:
        name = one_line(unused[0])
        raise FormulaError(f"{name} has a value but is not in the formula {_short(formula)}")
    return root


def _short(formula: str) -> str:
    """A formula in a message."""
    return repr(formula if len(formula) <= 60 else formula[:59] + "…")


class _Reader:
    """Reads a formula from left to right: precedence climbing."""

    def __init__(self, formula: str, leaves: Mapping[str, Value]) -> None:
        self.text = formula
        self.leaves = leaves
        self.used: set[str] = set()
        self.depth = 0
        self.end = 0
        self.token = self.read()

    def formula(self) -> Value:
        """The whole text."""
        root = self.expression(0)
        if self.token.kind != "end":
            self.fail("expected an operator or the end")
        return root

    def fail(self, why: str, token: _Token | None = None) -> NoReturn:
        """Point at a token and say what is wrong with it."""
        token = token or self.token
        text, start, end = self.text, token.at, token.at + len(token.text)
        before = ("…" if start > 30 else "") + text[max(0, start - 30) : start]
        after = text[end : end + 30] + ("…" if end + 30 < len(text) else "")
        where = f"{before} >>>{token.text[:40]}<<< {after}"
        where = "".join(c if c.isprintable() else " " for c in where).strip()
        raise FormulaError(f"at character {start + 1} of the formula: {why}: {where}")

    def read(self) -> _Token:
        """The next token."""
        match = _TOKEN.match(self.text, self.end)
        while match and match.lastgroup == "space":
            self.end = match.end()
            match = _TOKEN.match(self.text, self.end)
        if match:
            token = _Token(str(match.lastgroup), match.group(), self.end)
            self.end = match.end()
            return token
        if self.end == len(self.text):
            return _Token("end", "", self.end)
        character = self.text[self.end]
        hint = _HINTS.get(character, "a formula has no such character")
        self.fail(hint, _Token("sign", character, self.end))

    def take(self, sign: str) -> None:
        """Step over a sign that must come now."""
        if self.token.text != sign:
            self.fail(f"expected {sign!r}")
        self.token = self.read()

    def expression(self, weakest: int) -> Value:
        """What stands here, as far as operators bind at least as strongly as ``weakest``."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH}")
        left = self.prefix()
        while self.token.kind == "sign" and _INFIX.get(self.token.text, -1) >= weakest:
            token = self.token
            power = _INFIX[token.text]
            self.token = self.read()
            # a - b - c groups to the left, a ** b ** c to the right
            right = self.expression(power if token.text == "**" else power + 1)
            left = _APPLY[token.text](left, right)
        self.depth -= 1
        return left

    def prefix(self) -> Value:
        """A number, a name, a call, parentheses, or a sign before one of these."""
        token = self.token
        self.token = self.read()
        if token.kind == "number":
            if not math.isfinite(float(token.text)):
                self.fail("too large a number", token)
            return constant(float(token.text))
        if token.kind == "name":
            return self.call(token) if self.token.text == "(" else self.leaf(token)
        if token.text == "(":
            inner = self.expression(0)
            self.take(")")
            return inner
        if token.text in ("-", "+"):
            literal = self.token.kind == "number"
            operand = self.expression(_PREFIX)
            if token.text == "+":
                return operand
            return constant(-operand.data) if literal and not operand.parents else -operand
        self.fail("expected a number, a name or '('", token)

    def leaf(self, token: _Token) -> Value:
        """A name."""
        if token.text in FUNCTIONS:
            self.fail(f"{token.text} is a function: {token.text}(…)", token)
        if token.text not in self.leaves:
            name = one_line(token.text)
            self.fail(f"{name} has no value: give {name}=NUMBER", token)
        self.used.add(token.text)
        return self.leaves[token.text]

    def call(self, token: _Token) -> Value:
        """A function and its operands."""
        if token.text not in FUNCTIONS:
            near = difflib.get_close_matches(token.text[:40], FUNCTIONS, 1, 0.5)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(FUNCTIONS)}"
            self.fail(f"no such function{hint}", token)
        arity, function = FUNCTIONS[token.text]
        self.take("(")
        operands = [self.expression(0)]
        while self.token.text == ",":
            self.take(",")
            operands.append(self.expression(0))
        if len(operands) != arity:
            self.fail(f"{token.text} takes {arity} operand{'s' * (arity > 1)}; got {len(operands)}",
                      token)  # fmt: skip
        self.take(")")
        return function(*operands)
