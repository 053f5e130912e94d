"""Turn a formula, typed as text, into a graph.

    >>> from tinygrad_margin.cli.formula import evaluate
    >>> J = evaluate("max(1 + s_c - s, 0)", {"s": 0.3, "s_c": 0.5})
    >>> J.data, J.op
    (1.2, 'max')

A formula may hold numbers, names, ``+ - * / **``, parentheses and the functions of the table: abs,
cos, exp, log, max, min, relu, sigmoid, sin, sqrt, tanh. max and min take two operands or more. What
pictures and books write is read too: ``×``, ``·``, ``−``, ``^`` and ``x²``. A formula is never run
as Python code.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

from tinygrad_margin.engine import OPERATIONS, Value, constant, maximum, minimum
from tinygrad_margin.guard import one_line
from tinygrad_margin.ops import TABLE

MAX_LENGTH = 10_000

FUNCTIONS: dict[str, tuple[int, Callable[..., Value]]] = {
    row.name: (row.arity, OPERATIONS[row.name]) for row in TABLE.values() if row.name == row.symbol
}
_OF_MANY: dict[str, Callable[..., Value]] = {"max": maximum, "min": minimum}
_OPERATORS: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
# A name has letters, accents, digits, _ and subscripts, but no superscripts and no fractions.
_START, _REST = r"[^\W\d¹²³⁰-₉¼-¾⅐-⅟]", r"(?:[^\W¹²³⁰-ⁿ¼-¾⅐-⅟]|[\u0300-\u036f])*"
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+−–]?[0-9]+)?)"
    rf"|(?P<call>{_START}{_REST}(?=\s*\())|(?P<name>{_START}{_REST})|(?P<power>⁻?[¹²³⁰⁴-⁹]+)"
    r"|(?P<sign>\*\*|[-+*/(),^×·⋅∗−–÷])|(?P<end>\Z)|(?P<comparison>[=<>!]=|[<>])|(?P<unknown>.))"
)
# From print to what Python parses.
_PLAIN = str.maketrans("×·⋅∗−–⁻÷⁰¹²³⁴⁵⁶⁷⁸⁹", "****---/0123456789") | {ord("^"): "**"}
_HINTS = {"ⁿ": "a power is written **", "√": "a root is written sqrt(…)", "|": "use abs(…)",
          "[": "use parentheses", "{": "use parentheses", "=": "a formula has no ="}  # fmt: skip
# Python parses "1  +  x  " in place of "0.5+lambda": any name will do, and columns tell tokens.
_WIDTH = 3
_SLOTS = {"number": "1", "name": "x", "call": "x", "power": "**1"}


class FormulaError(ValueError):
    """The formula cannot be read; the message says where and why."""


def evaluate(formula: str, values: Mapping[str, float]) -> Value:
    """The graph of a formula of at most 10,000 characters, at a value for each of its names.

    Each name is one leaf with that label; each number in the formula is a constant.

    Raises:
        FormulaError: the formula cannot be read, a name has no value, or a value is not used.
        ValueError, ZeroDivisionError, OverflowError: an operation is not defined at this point.
    """
    if len(formula) > MAX_LENGTH:
        raise FormulaError(f"a formula of {len(formula):,} characters; {MAX_LENGTH:,} is the most")
    leaves = {name: Value(x, name) for name, x in values.items()}
    tokens = _tokens(formula)
    root = _parse(tokens)
    for token in tokens:
        if token["name"] and token["name"] not in leaves:
            raise _error(token, "{0} has no value: give {0}=NUMBER".format(one_line(token["name"])))
    nodes: dict[ast.AST, Value] = {}
    for tree in reversed(list(ast.walk(root))):  # operands before the operations on them
        token = tokens[getattr(tree, "col_offset", 0) // _WIDTH]
        match tree:
            case ast.Constant():
                nodes[tree] = constant(float(_plain(token)))
            case ast.Name() if token["name"]:
                nodes[tree] = leaves[token["name"]]
            case ast.UnaryOp(op=ast.UAdd()):
                nodes[tree] = nodes[tree.operand]
            case ast.UnaryOp(operand=ast.Constant()):  # -2 is a number, not an operation on 2
                nodes[tree] = constant(-nodes[tree.operand].data)
            case ast.UnaryOp():
                nodes[tree] = -nodes[tree.operand]
            case ast.BinOp():
                nodes[tree] = _OPERATORS[type(tree.op)](nodes[tree.left], nodes[tree.right])
            case ast.Call():
                name, given = token["call"], len(tree.args)
                arity, function = FUNCTIONS[name]
                if given != arity and not (given > arity and name in _OF_MANY):
                    takes = f"{name} takes {arity} operand{'s' * (arity > 1)}"
                    raise _error(token, f"{takes}{' or more' * (name in _OF_MANY)}; got {given}")
                function = _OF_MANY.get(name, function)
                nodes[tree] = function(*[nodes[operand] for operand in tree.args])
            case ast.Tuple():
                raise _error(token, "only the operands of a function are separated by commas")
    names = {token["name"]: None for token in tokens if token["name"]}
    for name in leaves.keys() - names.keys():
        known = one_line(", ".join(names) or "none", 60)
        raise FormulaError(
            f"{one_line(name)} has a value but is not in the formula {one_line(formula, 60)!r}; "
            f"the names in it: {known}"
        )
    return nodes[root]


def _tokens(formula: str) -> list[re.Match[str]]:
    """The tokens of a formula, each in a place where it may be."""
    tokens: list[re.Match[str]] = []
    after_operand = False
    for token in _TOKEN.finditer(formula):
        kind = str(token.lastgroup)
        text = token[kind]
        opens = kind in ("number", "name", "call") or text == "("
        if kind == "comparison":
            raise _error(token, "a formula cannot compare")
        if kind == "unknown":
            raise _error(token, _HINTS.get(text, "a formula has no such character"))
        if tokens and tokens[-1]["power"] and (kind == "power" or _plain(token) == "**"):
            raise _error(token, "a power of a power: use parentheses, (x²)³ or x**(2**3)")
        if after_operand and opens:
            raise _error(token, "expected an operator, such as *, or the end")
        if not after_operand and not opens and _plain(token) not in ("+", "-"):
            raise _error(token, "expected a number, a name or '('")
        if kind == "end":
            break
        if kind == "number" and math.isinf(float(_plain(token))):
            raise _error(token, "too large a number")
        if kind == "name" and text in FUNCTIONS:
            raise _error(token, f"{text} is a function: {text}(…)")
        if kind == "call" and text not in FUNCTIONS:
            raise _error(token, f"no such function; there are {', '.join(FUNCTIONS)}")
        after_operand = kind in ("number", "name", "power") or text == ")"
        tokens.append(token)
    return tokens


def _plain(token: re.Match[str]) -> str:
    """A number or an operator as Python writes it."""
    return token[str(token.lastgroup)].translate(_PLAIN)


def _parse(tokens: list[re.Match[str]]) -> ast.expr:
    """The syntax tree. A node's column, divided by the width of a slot, is the token's index."""
    slots = (_SLOTS.get(str(token.lastgroup)) or _plain(token) for token in tokens)
    try:
        return ast.parse("".join(f"{slot:{_WIDTH}}" for slot in slots), mode="eval").body
    except SyntaxError as error:  # only parentheses can be wrong by now
        raise _error(tokens[((error.offset or 1) - 1) // _WIDTH], error.msg) from None
    except (MemoryError, RecursionError):
        raise _error(tokens[0], "too long, or nested too deeply") from None


def _error(token: re.Match[str], why: str) -> FormulaError:
    """An error that points at a token and says what is wrong there."""
    text, (start, end) = token.string, token.span(str(token.lastgroup))
    before = ("…" if start > 30 else "") + text[max(0, start - 30) : start]
    after = text[end : end + 30] + ("…" if len(text) > end + 30 else "")
    where = one_line(f"{before}>>>{text[start:end][:40]}<<<{after}", 200)
    return FormulaError(f"at character {start + 1} of the formula: {why}: {where}")
