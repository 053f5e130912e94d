"""The arguments of models: checked, with an error that says what to write instead.

>>> check_name("gelu", "f is")
Traceback (most recent call last):
ValueError: f is one of exp, log, sqrt, sin, cos, tanh, sigmoid, abs, relu; got 'gelu'
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_margin.engine import OPERATIONS, Operand, Value
from tinygrad_margin.guard import listed
from tinygrad_margin.ops import TABLE

FUNCTIONS = {
    row.name: OPERATIONS[row.name]
    for row in TABLE.values()
    if row.arity == 1 and row.name == row.symbol
}


def check_name(name: object, begin: str) -> None:
    """Raise ValueError unless this is the name of a function of one operand in the table."""
    if name not in FUNCTIONS:
        raise ValueError(f"{begin} one of {', '.join(FUNCTIONS)}; got {name!r:.60}")


def chosen_function(*given: Any, nonlin: Any, **unknown: Any) -> bool | str:
    """True, False or the name of a function: what a neuron was given for ``nonlin``.

    A name is given as ``nonlin="tanh"``; True and False may also stand alone, as in micrograd.
    """
    chosen, *wrong = [*given, *([] if nonlin is True else [nonlin])] or [True]
    is_name = isinstance(chosen, str) and not given
    if not is_name and chosen not in (True, False):
        wrong.insert(0, chosen)
    if wrong or unknown:
        raise TypeError(
            "nonlin is True, for relu, False, or the name of a function, nonlin='tanh'; got "
            f"{listed(*wrong, **unknown)}. Any other function is applied to the output of a "
            "linear neuron, as in neuron(x).tanh()"
        )
    if is_name:
        check_name(chosen, "nonlin is True, for relu, False, or")
    return str(chosen) if is_name else bool(chosen)


def check_inputs(module: object, weights: list[Value], x: Sequence[Operand], rest: Any) -> None:
    """Raise an error unless x is one list of as many numbers or Values as there are weights."""
    n = len(weights)
    if rest:
        got = listed(x, *rest)
        raise TypeError(f"{module} takes one list; got {got}. Put them in brackets: ([{got}])")
    if not hasattr(x, "__len__"):
        raise TypeError(f"{module} takes a list of numbers or Values; got {type(x).__name__}")
    if len(x) and (isinstance(x[0], (list, tuple)) or getattr(x[0], "ndim", 0) > 0):
        each = "Call it once for each example: [model(x) for x in X]"
        raise TypeError(f"{module} takes a list of {n} numbers; got a list of lists. {each}")
    if len(x) != n:
        raise ValueError(f"{module} takes {n} numbers or Values; got {len(x)}")
