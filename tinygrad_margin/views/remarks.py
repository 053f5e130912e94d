"""What a reader has to know about a node's number: that it is out of date, or not finite.

>>> from tinygrad_margin import Value, topological_order
>>> x = Value(0.0, "x")
>>> J = x.exp()
>>> x.data = 2.0
>>> outdated([x, J], {x: "x", J: "J"})[J]
'is 1, but exp(x) is 7.389 now: call recompute(J)'
>>> J = Value(1e300, "a") * 1e300
>>> firsts(topological_order(J))[J]
'the first that is not finite'
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from tinygrad_margin.engine import Value
from tinygrad_margin.recompute import value_of_operands
from tinygrad_margin.views.names import node_formula
from tinygrad_margin.views.notation import number

NOT_FINITE = "the first that is not finite"
NOT_A_NUMBER = "the first that is not a number"
OVERFLOW = "too large for a float"  # of a product of gradients
OUT_OF_DATE = "out of date: recompute(J)"
WAY_OUT = "call recompute(J)"


def firsts(order: Sequence[Value]) -> dict[Value, str]:
    """The first node that is infinite or nan, and the first that is nan, with the words for it."""
    infinite = next((node for node in order if not math.isfinite(node.data)), None)
    undefined = next((node for node in order if math.isnan(node.data)), None)
    found = {infinite: NOT_FINITE} | {undefined: NOT_A_NUMBER}
    return {node: words for node, words in found.items() if node is not None}


def outdated(order: Iterable[Value], names: Mapping[Value, str]) -> dict[Value, str]:
    """The nodes whose number is not what their operands make now; for each, words after its name.

    A function of the user's own that gives one number and then another is random, and left out.
    """
    found = {}
    for node in order:
        if not node.parents or _is_same(node.data, now := _computed(node)):
            continue
        if not node._row.is_builtin and not _is_same(now, _computed(node)):
            continue
        digits = next(n for n in (4, 8, 17) if n == 17 or number(node.data, n) != number(now, n))
        formula, new = node_formula(node, names), number(now, digits)
        found[node] = f"is {number(node.data, digits)}, but {formula} is {new} now: {WAY_OUT}"
    return found


def _computed(node: Value) -> float:
    """The value of a node, computed from its operands; nan if that raises."""
    try:
        return value_of_operands(node)
    except Exception:  # a function of the user's own may raise anything
        return math.nan


def _is_same(x: float, y: float) -> bool:
    """Whether two numbers are equal, or both are nan."""
    return x == y or (x != x and y != y)
