"""A choice between two Values: only the branch that is taken is in the graph.

>>> from tinygrad_margin import ReverseSweep, Value
>>> x = Value(-2.0, "x")
>>> print(next(ReverseSweep(where(x.data > 0, x, 0.1 * x))))
J = false_branch(v₁):
  ∂J/∂v₁ += ∂J/∂J · ∂J/∂v₁ = 1 · 1 = 1
  the condition was false: only this branch is in the graph, also if the numbers change later
"""

from tinygrad_margin.engine import Operand, Value, constant, operation
from tinygrad_margin.guard import as_number, typed
from tinygrad_margin.guard.copying import ROWS
from tinygrad_margin.ops import Primitive

_ROWS = {
    is_true: Primitive(
        f"{word}_branch", f"{word}_branch", 1, lambda m, a: a, (1.0,),
        explanation=f"the condition was {word}: only this branch is in the graph, also if the "
        "numbers change later",
    )
    for is_true, word in ((True, "true"), (False, "false"))
}  # fmt: skip
ROWS |= {row.name: row for row in _ROWS.values()}
_OPERATIONS = {is_true: operation(row) for is_true, row in _ROWS.items()}


def where(condition: bool, a: Operand, b: Operand) -> Value:
    """a if the condition is true, else b, as a node whose only operand is the one taken.

    The other one is not in the graph, so it gets no gradient, not even 0 · ∞. A picture shows which
    branch was taken. A tape, a page and ``recompute`` keep to that branch when the numbers change:
    there, use ``maximum``, ``minimum`` or ``relu``. Python computes a and b before the call. If one
    of them has no value, such as ``x.log()`` for x below 0, write ``x.log() if x.data > 0 else b``.

    Args:
        condition: True or False, from numbers: ``x.data > 0``.
        a: the result if the condition is true, a Value or a number.
        b: the result if it is false.

    Raises:
        TypeError: condition is not a bool; a or b is neither a Value nor a number.

    Example:
        >>> x = Value(-2.0)
        >>> J = where(x.data > 0, x, 0.1 * x)               # a leaky relu
        >>> J.backward()
        >>> J.data, x.grad
        (-0.2, 0.1)
    """
    is_bool = getattr(getattr(condition, "dtype", None), "kind", "") == "b"  # NumPy's
    if not (isinstance(condition, bool) or (is_bool and getattr(condition, "shape", None) == ())):
        raise TypeError(
            f"where(condition, a, b) takes True or False; got {typed(condition)}. Compare numbers, "
            "one at a time: where(x.data > 0, a, b)"
        )
    what = "where(condition, a, b), besides Values,"
    nodes = [x if isinstance(x, Value) else constant(as_number(x, what)) for x in (a, b)]
    return _OPERATIONS[bool(condition)](nodes[not condition])
