"""The arguments of a function of Values, given as numbers.

>>> named_numbers(lambda w, *rest: w, [1, 2])
(['w', 'x_2'], [1.0, 2.0])
"""

import inspect
import math
from contextlib import suppress
from typing import Any

from tinygrad_margin.guard.arguments import Node, as_number
from tinygrad_margin.guard.text import one_line


def named_numbers(f: Any, xs: Any) -> tuple[list[str], list[float]]:
    """The names of f's arguments (of a Value, its label), and their numbers."""
    if not callable(f):
        raise TypeError(
            f"f is a function of Values, not yet called; got {type(f).__name__} {f!r:.60}"
        )
    try:
        given = list(xs)
    except TypeError:
        raise TypeError(
            f"xs takes a list with a number for each argument of f; got {xs!r:.60}"
        ) from None
    at = [float(x.data) if isinstance(x, Node) else as_number(x, "xs") for x in given]
    if not at or not all(map(math.isfinite, at)):
        raise ValueError(f"xs takes finite numbers, one for each argument of f; got {at!r:.80}")
    names = [f"x_{i + 1}" for i in range(len(at))]
    with suppress(ValueError):  # not every built-in function has a signature
        every = inspect.signature(f).parameters.values()
        known = [p.name for p in every if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        names[: len(known)] = known[: len(names)]
    labels = [one_line(x.label) if isinstance(x, Node) else "" for x in given]
    return [label or name for label, name in zip(labels, names, strict=True)], at
