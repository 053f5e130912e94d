"""The table of primitives: every operation, declared once.

A row says what an operation is called, how it is written, its value, its local partial
derivatives, where it is defined, and in which words a teacher would explain it. The engine, the
pictures and the formula reader all read this table; a new operation is one new row::

    >>> from tinygrad_margin.ops import FLOATS, TABLE
    >>> TABLE["mul"].value(FLOATS, 3.0, 4.0)
    12.0
    >>> TABLE["mul"].partials(FLOATS, 3.0, 4.0, 12.0)       # ∂(ab)/∂a = b, ∂(ab)/∂b = a
    (4.0, 3.0)

A row works on whatever supports ``+ - * /``. What it needs beyond that (``exp``, a comparison) it
takes from ``m``, the mathematics that its caller brings along: ``FLOATS`` for plain numbers.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, eq=False)
class Primitive:
    """One row of the table.

    Attributes:
        name: what the row is found by, and what a person types in a formula.
        symbol: how the operation is written: ``+``, ``max``.
        arity: how many operands it takes.
        value: ``value(m, *operands)``.
        rule: ``rule(m, *operands, out)``, with ``out`` the value: a tuple, ∂out/∂operand for each
            operand. Just the tuple, where it is the same everywhere.
        domain: what the operands must be, read after "needs"; empty where any number will do, or
            where the error of ``value`` says it; ``{error}`` stands for that error.
        cases: for an operation with a kink, why the gradient goes where it goes when the first
            operand is greater than, equal to and less than the second (or 0). ``{a}`` and ``{b}``
            stand for the operands with their values, ``{x}`` and ``{y}`` for their names.
        regimes: the same in a word or two, for a picture; ``kink`` is the middle one, which says
            what slopes there are at the kink and which is taken.
        explanation: what is said at every step, whatever the operands are.
        slopes: the rule where it is the same everywhere, else None: the sweep need not call then.
        partials: the rule as a function, always.
    """

    name: str
    symbol: str
    arity: int
    value: Callable[..., Any]
    rule: Callable[..., tuple[Any, ...]] | tuple[float, ...]
    domain: str = ""
    cases: tuple[str, str, str] | None = None
    regimes: tuple[str, str, str] | None = None
    explanation: str = ""
    slopes: tuple[float, ...] | None = field(init=False)
    partials: Callable[..., tuple[Any, ...]] = field(init=False)

    def __post_init__(self) -> None:
        rule = self.rule
        slopes, partials = (None, rule) if callable(rule) else (rule, lambda m, *operands: rule)
        object.__setattr__(self, "slopes", slopes)
        object.__setattr__(self, "partials", partials)

    def __reduce__(self) -> tuple[Callable[[str], Primitive], tuple[str]]:
        """A row is pickled by name, and a copy of it is the row itself."""
        if _ROWS.get(self.name) is not self:
            raise pickle.PicklingError(
                f"the operation {self.symbol} is not in the table of primitives, so whoever reads "
                "the pickle could not find it"
            )
        return row_of, (self.name,)

    @property
    def is_builtin(self) -> bool:
        """Is this a row of the table, not an operation of the user's own?"""
        return TABLE.get(self.name) is self

    def side(self, *operands: float) -> int | None:
        """The side of the kink: 0 (a > b), 1 (on it, a = b) or 2 (a < b), where b may be 0.

        None for an operation without a kink, and if an operand is nan.
        """
        if self.cases is None:
            return None
        a, b, *_ = (*operands, 0.0)
        return 0 if a > b else 1 if a == b else 2 if a < b else None

    @property
    def kink(self) -> str:
        """What is said at the kink; empty for an operation without one."""
        return self.regimes[1] if self.regimes else ""


class Floats:
    """The mathematics of plain numbers. Outside a function's domain it raises, as ``math`` does."""

    exp, log, sqrt = staticmethod(math.exp), staticmethod(math.log), staticmethod(math.sqrt)
    sin, cos, tanh = staticmethod(math.sin), staticmethod(math.cos), staticmethod(math.tanh)
    abs = staticmethod(math.fabs)

    @staticmethod
    def sigmoid(a: float) -> float:
        """1 / (1 + e⁻ᵃ). Only e to a negative power is taken, which cannot overflow."""
        if a >= 0.0:
            return 1.0 / (1.0 + math.exp(-a))
        e = math.exp(a)
        return e / (1.0 + e)

    @staticmethod
    def pow(a: float, b: float) -> float:
        """aᵇ, a real number or an error (Python's ``**`` may turn complex)."""
        if a == 0.0 and b < 0.0:
            raise ZeroDivisionError("a base other than 0 where the exponent is negative")
        if a < 0.0 and b % 1.0 != 0.0 and math.isfinite(b):
            raise ValueError("a base from 0 up where the exponent is no whole number")
        return math.pow(a, b)

    @staticmethod
    def xlogy(x: float, y: float) -> float:
        """x · log y, and 0 where y = 0: the slope in b of 0ᵇ, which is 0 for every b > 0."""
        return 0.0 if y == 0.0 else x * math.log(y)

    @staticmethod
    def maximum(a: float, b: float) -> float:
        """The larger one; nan if either is nan, so that a nan cannot hide."""
        return a if a > b or a != a else b

    @staticmethod
    def step(a: float, b: float, tie: float) -> float:
        """1 where a > b, ``tie`` where a = b, 0 where a < b."""
        return 1.0 if a > b else 0.0 if a < b else tie if a == b else math.nan

    @staticmethod
    def is_zero(a: float) -> float:
        """1 where a = 0, else 0."""
        return 1.0 if a == 0.0 else 0.0


FLOATS = Floats()

# At a kink every slope between the two one-sided ones is a subgradient. Each row takes the one of
# least norm for its own operands: relu, with one operand, takes 0; max, with two, ½ and ½.
_MAX = (
    "{a} > {b}: the max passes {x}, all of the gradient goes there",
    "{x} and {y} are equal: a tie; any share in [0, 1] is a subgradient, the max gives ½ to each",
    "{a} < {b}: the max passes {y}, all of the gradient goes there",
)
_MIN = (
    "{a} > {b}: the min passes {y}, all of the gradient goes there",
    "{x} and {y} are equal: a tie; any share in [0, 1] is a subgradient, the min gives ½ to each",
    "{a} < {b}: the min passes {x}, all of the gradient goes there",
)
_RELU = (
    "{a} > 0: the relu passes {x}, all of the gradient goes there",
    "{a}: at the kink; any slope in [0, 1] is a subgradient, the relu takes 0",
    "{a} < 0: the relu is at rest, no gradient passes",
)
_ABS = (
    "{a} > 0: the slope of abs is 1",
    "{a}: at the kink; any slope in [−1, 1] is a subgradient, abs takes 0",
    "{a} < 0: the slope of abs is −1",
)


def _power_slope(m: Any, a: Any, b: Any) -> Any:
    """∂(aᵇ)/∂a = b · aᵇ⁻¹; the exponent 0 stays 0, so that x⁰ has slope 0 at x = 0 too."""
    return b * m.pow(a, b - (1.0 - m.is_zero(b)))


# fmt: off
ADD = Primitive("add", "+", 2, lambda m, a, b: a + b, (1.0, 1.0))
SUB = Primitive("sub", "-", 2, lambda m, a, b: a - b, (1.0, -1.0))
MUL = Primitive("mul", "*", 2, lambda m, a, b: a * b, lambda m, a, b, out: (b, a))
DIV = Primitive(
    "div", "/", 2, lambda m, a, b: a / b, lambda m, a, b, out: (1.0 / b, -out / b),
    "a divisor other than 0",
)
NEG = Primitive("neg", "-", 1, lambda m, a: -a, (-1.0,))
# A number as exponent or base is not asked for a slope, which may not exist: (−3)² has none in 2.
POW = Primitive(
    "pow", "**", 2, lambda m, a, b: m.pow(a, b),
    lambda m, a, b, out: (_power_slope(m, a, b), m.xlogy(out, a)),
)
POW_OF_NUMBER = Primitive(
    "pow_of_number", "**", 2, lambda m, a, b: m.pow(a, b),
    lambda m, a, b, out: (0.0, m.xlogy(out, a)),
)
POW_TO_NUMBER = Primitive(
    "pow_to_number", "**", 2, lambda m, a, b: m.pow(a, b),
    lambda m, a, b, out: (_power_slope(m, a, b), 0.0),
)
EXP = Primitive("exp", "exp", 1, lambda m, a: m.exp(a), lambda m, a, out: (out,))
LOG = Primitive(
    "log", "log", 1, lambda m, a: m.log(a), lambda m, a, out: (1.0 / a,), "an operand above 0"
)
SQRT = Primitive(
    "sqrt", "sqrt", 1, lambda m, a: m.sqrt(a), lambda m, a, out: (0.5 / out,),
    "an operand that is not negative",
)
SIN = Primitive(
    "sin", "sin", 1, lambda m, a: m.sin(a), lambda m, a, out: (m.cos(a),), "a finite operand"
)
COS = Primitive(
    "cos", "cos", 1, lambda m, a: m.cos(a), lambda m, a, out: (-m.sin(a),), "a finite operand"
)
TANH = Primitive("tanh", "tanh", 1, lambda m, a: m.tanh(a), lambda m, a, out: (1.0 - out * out,))
SIGMOID = Primitive(
    "sigmoid", "sigmoid", 1, lambda m, a: m.sigmoid(a), lambda m, a, out: (out * (1.0 - out),)
)
ABS = Primitive(
    "abs", "abs", 1, lambda m, a: m.abs(a),
    lambda m, a, out: (m.step(a, 0.0, 0.5) - m.step(0.0, a, 0.5),), cases=_ABS,
    regimes=("slope 1", "kink: takes 0 of [−1, 1]", "slope −1"),
)
RELU = Primitive(
    "relu", "relu", 1, lambda m, a: m.maximum(a, 0.0),
    lambda m, a, out: (m.step(a, 0.0, 0.0),), cases=_RELU,
    regimes=("passes {x}", "kink: takes 0 of [0, 1]", "at rest"),
)
MAX = Primitive(
    "max", "max", 2, lambda m, a, b: m.maximum(a, b),
    lambda m, a, b, out: (m.step(a, b, 0.5), m.step(b, a, 0.5)), cases=_MAX,
    regimes=("passes {x}", "kink: takes ½ of [0, 1]", "passes {y}"),
)
MIN = Primitive(
    "min", "min", 2, lambda m, a, b: -m.maximum(-a, -b),
    lambda m, a, b, out: (m.step(b, a, 0.5), m.step(a, b, 0.5)), cases=_MIN,
    regimes=("passes {y}", "kink: takes ½ of [0, 1]", "passes {x}"),
)

TABLE = {
    row.name: row
    for row in (
        ADD, SUB, MUL, DIV, NEG, POW, POW_OF_NUMBER, POW_TO_NUMBER,
        EXP, LOG, SQRT, SIN, COS, TANH, SIGMOID, ABS, RELU, MAX, MIN,
    )
}
# fmt: on

# Where one slope may be missing that nobody wants: the row that asks for the first operand's
# alone, for the second's alone, for both.
ASKING = dict.fromkeys((POW, POW_OF_NUMBER, POW_TO_NUMBER), (POW_TO_NUMBER, POW_OF_NUMBER, POW))


# What a node is that no operation made.
LEAF = Primitive("leaf", "", 0, lambda m: math.nan, ())
CONSTANT = Primitive("constant", "", 0, lambda m: math.nan, ())

# x · log y at y = 0, where it is 0 and has no slope: in graphs of gradients, and typed by nobody.
XLOGY = Primitive(
    "xlogy", "slope of **", 2, lambda m, x, y: m.xlogy(x, y), lambda m, x, y, out: (m.log(y), x / y)
)

_ROWS = {**TABLE, **{row.name: row for row in (LEAF, CONSTANT, XLOGY)}}


def row_of(name: str) -> Primitive:
    """The row of that name, for a pickle.

    Raises:
        pickle.UnpicklingError: there is none.
    """
    if name not in _ROWS:
        raise pickle.UnpicklingError(f"the table of primitives has no operation {name!r:.60}")
    return _ROWS[name]
