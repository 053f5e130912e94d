"""The graph of a gradient: the same reverse sweep, whose numbers are Values.

>>> x = Value(2.0, "x")
>>> [slope] = gradient_graph(x**3, [x])                     # 3x²
>>> slope.data, slope.op
(12.0, '*')
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Container, Sequence
from functools import cache
from typing import Any, TypeAlias

from tinygrad_margin.engine import (
    OPERATIONS,
    Value,
    adjoints,
    constant,
    local_derivatives,
    maximum,
    operation,
    power,
    topological_order,
    with_gradient,
)
from tinygrad_margin.graph import nodes_reached_from
from tinygrad_margin.guard import describe
from tinygrad_margin.guard.copying import ROWS
from tinygrad_margin.many import RowOfMany
from tinygrad_margin.ops import CONSTANT, FLOATS, Primitive
from tinygrad_margin.primitive import partials_are_formulas
from tinygrad_margin.slopes import slopes_in

Number: TypeAlias = "Value | float"  # a number stays a number as long as it can


class _Term:
    """A number or Value in a sweep. It makes no node for a factor of 0, 1 or −1, or a summand 0.

    So a picture shows 6 and not 2 × 3.
    """

    def __init__(self, x: Number) -> None:
        self.x = x

    def __add__(self, other: Any) -> _Term:
        a, b = self.x, _plain(other)
        if not isinstance(a, Value) and a == 0.0:
            return _Term(b)
        return _Term(a if not isinstance(b, Value) and b == 0.0 else a + b)

    def __mul__(self, other: Any) -> _Term:
        return _Term(_multiply(self.x, _plain(other)))

    __radd__, __rmul__ = __add__, __mul__


def _plain(x: Any) -> Number:
    """The number or Value in a term."""
    return x.x if isinstance(x, _Term) else x


def _multiply(a: Number, b: Number) -> Number:
    """a · b, without a node for a factor of 0, 1 or −1."""
    for factor, other in ((a, b), (b, a)):
        if not isinstance(factor, Value):
            if factor == 1.0:
                return other
            if factor == -1.0:
                return -other
            if factor == 0.0:
                return 0.0
    return a * b


def gradient_graph(J: Value, wrt: list[Value]) -> list[Value]:
    """∂J/∂wrt as Values."""
    order = topological_order(J)
    asked, reached, moving = set(wrt), set(with_gradient(order)), nodes_reached_from(wrt, order)
    wanted = dict.fromkeys(filter(reached.__contains__, moving))
    kinks = [node for node in order if node in reached and _is_at_kink(node)]
    for row, node in {node._row: node for node in wanted if node.parents}.items():
        if not partials_are_formulas(row):  # math.exp(x) makes a number of x: its slope is lost
            local_derivatives(node)  # anything else that is wrong with them raises here
            raise TypeError(
                f"the partials of {row.name} are plain numbers, not Values, so its slope has no "
                "graph: write them with + - * / ** alone, or ask for grad without create_graph"
            )
    totals = adjoints(J, lambda node: _slope_terms(node, asked, wanted))
    found = (_plain(totals.get(node, 0.0)) for node in wrt)
    slopes = [total if isinstance(total, Value) else constant(total) for total in found]
    for i, x in enumerate(wrt if kinks else ()):
        # A kink matters on the way from x to J, and where the slope itself is computed from it.
        between = nodes_reached_from([x], moving)
        near = between.keys() | topological_order(slopes[i])
        if at := [kink for kink in kinks if kink in near]:
            # What arrives at a kink would be part of the slope, had it another slope itself.
            upstream = [_plain(totals[kink]) for kink in at if kink in between]
            arriving = [u for u in upstream if isinstance(u, Value)]
            names = (f"{kink.op} of {', '.join(map(describe, kink.parents))}" for kink in at[:3])
            operands = [slopes[i], *at, *arriving]
            row = gradient_at_kinks(", ".join(dict.fromkeys(names)), len(operands))
            slopes[i] = operation(row)(*operands)
    return slopes


def _is_at_kink(node: Value) -> bool:
    """Whether its slope changes there: max(x, x) has the same one on both sides."""
    ties = {parent for parent in node.parents if parent.data == node.data}
    return node.is_at_kink and (len(node.parents) == 1 or len(ties) > 1)


def _slope_terms(node: Value, asked: set[Value], wanted: Container[Value]) -> Sequence[_Term]:
    """∂node/∂parent for the parents in ``wanted`` as terms; 0 for the others.

    A constant goes in as a plain number, unless its own derivative is asked for. So the slope of x²
    is 2 · x, and not 2 · x¹.
    """
    operands = [
        parent.data if parent._row is CONSTANT and parent not in asked else parent
        for parent in node.parents
    ]
    return [_Term(x) for x in slopes_in(VALUES, node, wanted, *operands, node)]


# The slope of tanh and of sigmoid: only in the graph of a gradient, like the two families below.
SECH2 = Primitive(
    "sech2", "sech²", 1, lambda m, a: m.sech2(a), lambda m, a, out: (-2.0 * m.tanh(a) * out,)
)
ROWS[SECH2.name] = SECH2
_OPERATIONS = {**OPERATIONS, SECH2.name: operation(SECH2)}


@cache
def power_log(n: int, in_base: bool = True) -> RowOfMany:
    """aᵇ logⁿ a, the n-th derivative of aᵇ in b, where a is 0: it is 0 there for b > 0.

    Without ``in_base`` its slope in a is not computed, for it may not exist.
    """

    def value(m: Any, a: Any, b: Any, n: int = n) -> Any:
        out = m.pow(a, b)
        for _ in range(n):
            out = m.xlogy(out, a)
        return out

    def rule(m: Any, a: Any, b: Any, _: Any) -> tuple[Any, Any]:
        in_a = 0.0
        if in_base:
            no_slope_up_to_1 = 0.0 * m.log(a + m.step(b, 1.0, 0.0))  # if b ≤ 1: log 0 raises
            in_a = b * value(m, a, b - 1.0) + n * value(m, a, b - 1.0, n - 1) + no_slope_up_to_1
        return in_a, value(m, a, b, n + 1)

    return RowOfMany(
        f"power_log_{n}", "slope of **", 2, value, rule,
        made_by=(power_log, (n,)), narrowed=lambda wanted: power_log(n, wanted[0]),
    )  # fmt: skip


class KinkWarning(UserWarning):
    """A second derivative was asked for at a kink, where the gradient may jump.

    Example:
        >>> import warnings
        >>> from tinygrad_margin import hessian
        >>> x = Value(0.0, "x")
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("error", KinkWarning)     # an error instead of a warning
        ...     try:
        ...         hessian(abs(x) ** 2, x)             # would be 0; beside the kink it is 2
        ...     except KinkWarning as warning:
        ...         print(str(warning).partition(". ")[0])
        a second derivative at a kink: the gradient may jump at abs of x = 0.0
    """


@cache
def gradient_at_kinks(kinks: str, count: int, warns: bool = True) -> RowOfMany:
    """The first of its operands, a gradient. The others are kinks, and what arrives at them.

    Who asks for its slopes is warned, unless none of the others moves.
    """
    slopes = (1.0,) + (0.0,) * (count - 1)

    def rule(*_: Any) -> tuple[float, ...]:
        level, frame = 2, sys._getframe(1)
        while frame.f_back and str(frame.f_globals.get("__name__")).startswith("tinygrad_margin."):
            level, frame = level + 1, frame.f_back
        warnings.warn(
            f"a second derivative at a kink: the gradient may jump at {kinks}. This is the "
            "derivative for the slope that is taken there; with another choice it may be "
            "different. Move the operands away from the kink",
            KinkWarning,
            stacklevel=level,
        )
        return slopes

    return RowOfMany(
        f"gradient at {kinks}, {count}", "at kink", count, lambda m, gradient, *_: gradient,
        rule if warns else slopes,
        explanation=f"the gradient may jump at {kinks}; this is the one that is taken there",
        made_by=(gradient_at_kinks, (kinks, count)),
        narrowed=lambda wanted: gradient_at_kinks(kinks, count, any(wanted[1:])),
    )  # fmt: skip


def _function(name: str) -> Any:
    """A function of Values and of numbers."""
    of_value, of_float = _OPERATIONS[name], getattr(FLOATS, name)
    return staticmethod(lambda a: of_value(a) if isinstance(a, Value) else of_float(a))


class Values:
    """The mathematics of Values, for the rows of the table: what ``FLOATS`` is for floats."""

    exp, log, sqrt = _function("exp"), _function("log"), _function("sqrt")
    sin, cos, tanh = _function("sin"), _function("cos"), _function("tanh")
    sigmoid, abs, sech2 = _function("sigmoid"), _function("abs"), _function("sech2")
    maximum = staticmethod(maximum)

    @staticmethod
    def pow(a: Number, b: Number) -> Number:
        """aᵇ; a itself for the number 1 as exponent, and 1 for the number 0."""
        if not isinstance(b, Value) and b in (0.0, 1.0):
            return a if b == 1.0 else 1.0
        return power(a, b)

    @staticmethod
    def xlogy(x: Number, y: Number) -> Number:
        """x · log y, and 0 where y = 0."""
        if float(y) != 0.0:
            return _multiply(x, Values.log(y))
        if not (isinstance(x, Value) and isinstance(y, Value)):
            return 0.0
        (n,) = x._row.made_by[1] if isinstance(x._row, RowOfMany) else (0,)  # x is aᵇ logⁿ a
        return operation(power_log(n + 1))(*x.parents)

    @staticmethod
    def step(a: Number, b: Number, tie: float) -> float:
        """1 where a > b, ``tie`` where a = b, 0 where a < b: a number, for its slope is 0."""
        return FLOATS.step(float(a), float(b), tie)

    @staticmethod
    def is_zero(a: Number) -> float:
        """1 for the number 0, else 0: a Value that is 0 now would not stay so if it moved."""
        return 0.0 if isinstance(a, Value) else FLOATS.is_zero(a)


VALUES = Values()
