"""Margin losses, as explicit graphs.

    >>> from tinygrad_margin import Value, margin_loss
    >>> s, s_c = Value(0.3), Value(0.5)
    >>> J = margin_loss(s, s_c)
    >>> J.backward()
    >>> J, s, s_c                                           # doctest: +NORMALIZE_WHITESPACE
    (Value(data=1.2, grad=1.0, label='J'),
     Value(data=0.3, grad=-1.0, label='s'),
     Value(data=0.5, grad=1.0, label='s_c'))

Nodes without a label get their name in the formula. This includes the scores that you pass in.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import SupportsFloat, SupportsIndex

from tinygrad_margin.engine import Operand, Value, constant, maximum
from tinygrad_margin.guard import as_number


def margin_loss(s: Operand, s_c: Operand, delta: Operand = 1.0) -> Value:
    """J = max(Δ + s_c − s, 0): the true score s should beat the corrupted score s_c by Δ.

    Args:
        s: the score of the true example, a Value or a number.
        s_c: the score of the corrupted example.
        delta: the margin Δ, finite and not negative.

    Raises:
        TypeError: a score or delta is neither a Value nor a number.
        ValueError: delta is negative or not finite.

    Source: Stanford CS224N, notes on neural networks and backpropagation (max-margin objective).

    Example:
        >>> margin_loss(3.0, 1.0).data                      # the margin is met
        0.0
    """
    margin, true, corrupted = _margin(delta), _score(s), _score(s_c)
    z = margin + corrupted - true
    return _label({"s": true, "s_c": corrupted, "Δ": margin, "z": z, "J": maximum(z, 0.0)})


def hinge_loss(score: Operand, y: SupportsFloat, delta: Operand = 1.0) -> Value:
    """J = max(Δ − y · score, 0): the score should have the sign of y, by Δ.

    Args:
        score: a Value or a number.
        y: the class, 1 or −1, a number.
        delta: the margin Δ, finite and not negative.

    Raises:
        TypeError: score or delta is neither a Value nor a number, or y is not a number.
        ValueError: y is not 1 or −1; delta is negative or not finite.

    Source: Cortes and Vapnik, Support-Vector Networks (1995).

    Example:
        >>> hinge_loss(Value(0.25), -1).data
        1.25
    """
    sign = constant(as_number(y, "y of hinge_loss"))
    if sign.data not in (1.0, -1.0):
        raise ValueError(f"y of hinge_loss is the class, 1 or -1; got {y!r:.60}")
    margin, s = _margin(delta), _score(score)
    z = margin - sign * s
    return _label({"y": sign, "s": s, "Δ": margin, "z": z, "J": maximum(z, 0.0)})


def multiclass_margin_loss(
    scores: Iterable[Operand], target: SupportsIndex, delta: Operand = 1.0
) -> Value:
    """J = Σ_{j≠t} max(Δ + s_j − s_t, 0): the score of class t should beat all others by Δ.

    If there is only one class, J is a constant 0.

    Args:
        scores: one score for each class, Values or numbers.
        target: the index t of the right class, counted from 0.
        delta: the margin Δ, finite and not negative.

    Raises:
        TypeError: a score or delta is neither a Value nor a number; target is not an index.
        ValueError: target is out of range; delta is negative or not finite.

    Source: Weston and Watkins, Support Vector Machines for Multi-Class Pattern Recognition (1999).

    Example:
        >>> multiclass_margin_loss([3.5, 5.0, -1.5], 0).data
        2.5
    """
    margin, nodes = _margin(delta), [_score(score) for score in scores]
    t = operator.index(target)
    if not 0 <= t < len(nodes):
        raise ValueError(f"target is an index into the {len(nodes)} scores, from 0; got {t}")
    terms = [maximum(margin + s_j - nodes[t], 0.0) for j, s_j in enumerate(nodes) if j != t]
    J = sum(terms[1:], terms[0]) if terms else constant(0.0)
    return _label({f"s_{j}": s_j for j, s_j in enumerate(nodes)} | {"Δ": margin, "J": J})


def _score(score: Operand) -> Value:
    """A score as a node: a number becomes a leaf."""
    return score if isinstance(score, Value) else Value(as_number(score, "a score"))


def _margin(delta: Operand) -> Value:
    """Δ as a node: a number becomes a constant."""
    margin = delta if isinstance(delta, Value) else constant(as_number(delta, "delta, the margin,"))
    if not (math.isfinite(margin.data) and margin.data >= 0.0):
        raise ValueError(f"delta, the margin, is a finite number from 0 up; got {margin.data}")
    return margin


def _label(nodes: dict[str, Value]) -> Value:
    """Label the nodes that have no label; return the last one."""
    for label, node in nodes.items():
        node.label = node.label or label
    return node
