"""The arguments of a function of Values, given as numbers: their names, and how many it takes.

>>> named_numbers(lambda w, x: w * x, [1, 2])
(['w', 'x'], [1.0, 2.0])
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any

from tinygrad_margin.guard.arguments import Node, as_number
from tinygrad_margin.guard.text import one_line


def named_numbers(f: Any, xs: Any) -> tuple[list[str], list[float]]:
    """The names of f's arguments, and where they are."""
    if not callable(f):
        raise TypeError(
            f"f is a function of Values, not yet called; got {type(f).__name__} {f!r:.60}"
        )
    if isinstance(xs, (str, Node)) or not isinstance(xs, Iterable):
        raise TypeError(
            "xs takes a sequence of numbers, one for each argument of f: [2.0]; got "
            f"{type(xs).__name__} {xs!r:.60}"
        )
    given: list[Any] = list(xs)
    at = [float(x.data) if isinstance(x, Node) else as_number(x, "xs") for x in given]
    if not at:
        raise ValueError("xs is empty: there is no slope to check")
    if not all(map(math.isfinite, at)):
        raise ValueError(f"xs takes finite numbers; got {at!r:.80}")
    names = _parameters(f, len(at))
    names += [f"x_{i + 1}" for i in range(len(names), len(at))]
    labels = [one_line(x.label) if isinstance(x, Node) else "" for x in given]
    return [label or name for label, name in zip(labels, names, strict=True)], at


def _parameters(f: Callable[..., Any], n: int) -> list[str]:
    """The names of f's first n parameters; TypeError if it takes another number of arguments."""
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # not every built-in function has one
        return []
    every = signature.parameters.values()
    found = [one for one in every if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    try:
        signature.bind(*range(n))
    except TypeError:
        least = sum(one.default is one.empty for one in found)
        takes = f"{least} to {len(found)}" if least < len(found) else f"{least}"
        raise TypeError(
            f"xs has one number for each argument of f: f{signature} takes {takes}, and xs has {n}"
        ) from None
    return [one.name for one in found][:n]
