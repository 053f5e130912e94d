"""The table of primitives: every operation, declared once.

A row says how an operation is written, its value, its local derivatives, and the words that
explain it. Everything else reads this table: the engine, the pictures, the page, the tape, the
gradient check.

    >>> MUL.value(FLOATS, 3.0, 4.0)
    12.0
    >>> MUL.partials(FLOATS, 3.0, 4.0, 12.0)                # ∂(ab)/∂a = b, ∂(ab)/∂b = a
    (4.0, 3.0)

A row computes with anything that supports ``+ - * /``. Whatever else it needs (``exp``, a
comparison) it takes from ``m``, the mathematics that the caller passes in: FLOATS for plain
numbers, and elsewhere arrays, Values or JavaScript. So a new operation is one new row below, and
one line in ``Value`` that names its method. Only an operation that needs a new function of ``m``
takes more: that function has to be written for every kind of mathematics.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, eq=False)
class Primitive:
    """One row of the table.

    Attributes:
        name: the row's key in TABLE, and what a person types in a formula.
        symbol: how the operation is written: ``+``, ``max``.
        arity: the number of operands.
        value: ``value(m, *operands)``.
        rule: ``rule(m, *operands, out)``, where ``out`` is the value: a tuple with ∂out/∂operand
            for each operand. If that is the same everywhere, just the tuple.
        domain: what the operation needs, for an error message: "log needs an operand above 0".
            Empty if it takes any numbers, or if the error that ``value`` raises says what it needs;
            ``{error}`` stands for the text of that error.
        cases: for an operation with a kink: why the gradient goes where it goes if the first
            operand is greater than, equal to or less than the second (or 0). ``{a}`` and ``{b}``
            are the operands with their values, ``{x}`` and ``{y}`` their names.
        regimes: the same in a word or two, for a picture.
        explanation: a sentence for every step of the operation.
        slopes: the rule if it is a tuple, else None. The sweep saves a call.
        partials: the rule as a function.
        is_builtin: False for an operation of the user's own.
    """

    is_builtin: ClassVar[bool] = True

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

    def side(self, a: float = math.nan, b: float = 0.0, *_: float) -> int | None:
        """The side of its kink: 0 (a > b), 1 (at it, a = b), 2 (a < b). None: no kink, or a nan."""
        if self.cases is None:
            return None
        return 0 if a > b else 1 if a == b else 2 if a < b else None

    def passes(self, slope: Any) -> bool:
        """Whether gradient passes: with slope 0 a max, min, relu or abs passes none, not even ∞."""
        return self.cases is None or bool(slope != 0.0)


class Floats:
    """The mathematics of plain numbers. Outside a function's domain it raises, like ``math``."""

    exp, log, sqrt = staticmethod(math.exp), staticmethod(math.log), staticmethod(math.sqrt)
    sin, cos, tanh = staticmethod(math.sin), staticmethod(math.cos), staticmethod(math.tanh)
    abs = staticmethod(math.fabs)

    @staticmethod
    def sigmoid(a: float) -> float:
        """1 / (1 + e⁻ᵃ), with e to a negative power alone, which cannot overflow."""
        e = math.exp(-abs(a))
        return (e if a < 0.0 else 1.0) / (1.0 + e)

    def sech2(self, a: Any) -> Any:  # for every mathematics that has exp and abs
        """1 / cosh² a, the slope of tanh. In 1 − tanh² a the rounding of tanh would hide it."""
        e = self.exp(-2.0 * self.abs(a))
        return 4.0 * e / ((1.0 + e) * (1.0 + e))

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


def _power_slope(m: Any, a: Any, b: Any) -> Any:
    """∂(aᵇ)/∂a = b · aᵇ⁻¹; the exponent 0 stays 0, so that x⁰ has slope 0 at x = 0 too."""
    return b * m.pow(a, b - (1.0 - m.is_zero(b)))


# fmt: off
ADD = Primitive("add", "+", 2, lambda m, a, b: a + b, (1.0, 1.0))
SUB = Primitive("sub", "-", 2, lambda m, a, b: a - b, (1.0, -1.0))
MUL = Primitive("mul", "*", 2, lambda m, a, b: a * b, lambda m, a, b, out: (b, a))
DIV = Primitive("div", "/", 2, lambda m, a, b: a / b, lambda m, a, b, out: (1.0 / b, -out / b),
                "a divisor other than 0")
NEG = Primitive("neg", "-", 1, lambda m, a: -a, (-1.0,))

# (−3)² has a slope in its base, but none in its exponent. So one operation has three rows: for both
# slopes, and for the one that is needed if the base or the exponent is a plain number.
POW = Primitive("pow", "**", 2, lambda m, a, b: m.pow(a, b),
                lambda m, a, b, out: (_power_slope(m, a, b), m.xlogy(out, a)))
POW_OF_NUMBER = Primitive("pow_of_number", "**", 2, lambda m, a, b: m.pow(a, b),
                          lambda m, a, b, out: (0.0, m.xlogy(out, a)))
POW_TO_NUMBER = Primitive("pow_to_number", "**", 2, lambda m, a, b: m.pow(a, b),
                          lambda m, a, b, out: (_power_slope(m, a, b), 0.0))

EXP = Primitive("exp", "exp", 1, lambda m, a: m.exp(a), lambda m, a, out: (out,))
LOG = Primitive("log", "log", 1, lambda m, a: m.log(a), lambda m, a, out: (1.0 / a,),
                "an operand above 0")
SQRT = Primitive("sqrt", "sqrt", 1, lambda m, a: m.sqrt(a), lambda m, a, out: (0.5 / out,),
                 "an operand that is not negative")
SIN = Primitive("sin", "sin", 1, lambda m, a: m.sin(a), lambda m, a, out: (m.cos(a),),
                "a finite operand")
COS = Primitive("cos", "cos", 1, lambda m, a: m.cos(a), lambda m, a, out: (-m.sin(a),),
                "a finite operand")
TANH = Primitive("tanh", "tanh", 1, lambda m, a: m.tanh(a), lambda m, a, out: (m.sech2(a),))
SIGMOID = Primitive("sigmoid", "sigmoid", 1, lambda m, a: m.sigmoid(a),
                    lambda m, a, out: (0.25 * m.sech2(0.5 * a),))

# At a kink every slope between the two one-sided ones is a subgradient. Each row takes the one of
# least norm for its own operands: relu, with one operand, takes 0; max, with two, ½ and ½.
ABS = Primitive(
    "abs", "abs", 1, lambda m, a: m.abs(a),
    lambda m, a, out: (m.step(a, 0.0, 0.5) - m.step(0.0, a, 0.5),),
    cases=("{a} > 0: the slope of abs is 1",
           "{a}: at the kink; any slope in [−1, 1] is a subgradient, abs takes 0",
           "{a} < 0: the slope of abs is −1"),
    regimes=("slope 1", "kink: takes 0 of [−1, 1]", "slope −1"),
)
RELU = Primitive(
    "relu", "relu", 1, lambda m, a: m.maximum(a, 0.0), lambda m, a, out: (m.step(a, 0.0, 0.0),),
    cases=("{a} > 0: the relu passes {x}, all of the gradient goes there",
           "{a}: at the kink; any slope in [0, 1] is a subgradient, the relu takes 0",
           "{a} < 0: the relu is at rest, no gradient passes"),
    regimes=("passes {x}", "kink: takes 0 of [0, 1]", "at rest"),
)
_TIE = "{x} and {y} are equal: a tie; any share in [0, 1] is a subgradient, the %s gives ½ to each"
MAX = Primitive(
    "max", "max", 2, lambda m, a, b: m.maximum(a, b),
    lambda m, a, b, out: (m.step(a, b, 0.5), m.step(b, a, 0.5)),
    cases=("{a} > {b}: the max passes {x}, all of the gradient goes there", _TIE % "max",
           "{a} < {b}: the max passes {y}, all of the gradient goes there"),
    regimes=("passes {x}", "kink: takes ½ of [0, 1]", "passes {y}"),
)
MIN = Primitive(
    "min", "min", 2, lambda m, a, b: -m.maximum(-a, -b),
    lambda m, a, b, out: (m.step(b, a, 0.5), m.step(a, b, 0.5)),
    cases=("{a} > {b}: the min passes {y}, all of the gradient goes there", _TIE % "min",
           "{a} < {b}: the min passes {x}, all of the gradient goes there"),
    regimes=("passes {y}", "kink: takes ½ of [0, 1]", "passes {x}"),
)
# fmt: on

TABLE = {row.name: row for row in list(vars().values()) if isinstance(row, Primitive)}  # all above

# A node that no operation made: an input, or a number in a formula.
LEAF = Primitive("leaf", "", 0, lambda m: math.nan, ())
CONSTANT = Primitive("constant", "", 0, lambda m: math.nan, ())
