"""Losses, as explicit graphs.

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
from typing import NamedTuple, SupportsFloat, SupportsIndex

from tinygrad_margin.engine import Operand, Value, constant, make_node, maximum
from tinygrad_margin.guard import as_number, one_line, typed, usage
from tinygrad_margin.many import largest_of
from tinygrad_margin.ops import FLOATS

_ONE_LIST = "{name} takes one list of Values or numbers, {name}([a, b]); got {got}"


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
    margin, nodes = _margin(delta), _scores(scores, "multiclass_margin_loss")
    t = _index(target, len(nodes))
    terms = [maximum(margin + s_j - nodes[t], 0.0) for j, s_j in enumerate(nodes) if j != t]
    J = sum(terms[1:], terms[0]) if terms else constant(0.0)
    return _label(_numbered(s=nodes) | {"Δ": margin, "J": J})


@usage(_ONE_LIST)
def softmax(values: Iterable[Operand]) -> list[Value]:
    """Probabilities from scores: p_j = e^s_j / Σ_k e^s_k.

    A score of −inf is a mask: its probability and its gradient are 0.

    Args:
        values: the scores s_j, Values or numbers.

    Returns:
        A list with a Value for each score; their sum is 1.

    Raises:
        TypeError: a score is neither a Value nor a number.
        ValueError: there is no score, all are −inf, or one is inf.

    Example:
        >>> [p.data for p in softmax([Value(0.0), 0.0, float("-inf")])]
        [0.5, 0.5, 0.0]
    """
    parts = _exponentials(_scores(values, "softmax"), "softmax")
    p = [e_j / parts.total for e_j in parts.powers]
    _label(parts.labels | _numbered(p=p))
    return p


@usage(_ONE_LIST)
def logsumexp(values: Iterable[Operand]) -> Value:
    """log Σ e^s_j, a smooth maximum: its slopes are the ``softmax`` of the scores.

    The largest score c is taken out, c + log Σ e^(s_j − c), so that no power overflows. A score of
    −inf is a mask: it adds nothing.

    Args:
        values: the scores s_j, Values or numbers.

    Raises:
        TypeError: a score is neither a Value nor a number.
        ValueError: there is no score, all are −inf, or one is inf.

    Example:
        >>> s = [Value(1000.0), Value(1000.0)]
        >>> J = logsumexp(s)                                # 1000 + log 2
        >>> J.backward()
        >>> round(J.data, 4), [s_j.grad for s_j in s]
        (1000.6931, [0.5, 0.5])
    """
    parts = _exponentials(_scores(values, "logsumexp"), "logsumexp")
    return _label(parts.labels | {"lse": parts.largest + parts.total.log()})


def cross_entropy(scores: Iterable[Operand], target: SupportsIndex) -> Value:
    """J = −log p_t with p the ``softmax`` of the scores: the negative log-likelihood of class t.

    It is computed as log Σ e^z_j − z_t with z_j = s_j − c, where c is the largest score. A score of
    −inf is a mask; if it is that of class t, J is inf.

    Args:
        scores: one score for each class, Values or numbers.
        target: the index t of the right class, counted from 0.

    Raises:
        TypeError: a score is neither a Value nor a number; target is not an index.
        ValueError: target is out of range; all scores are −inf, or one is inf.

    Example:
        >>> s = [Value(2.0), Value(2.0)]
        >>> J = cross_entropy(s, 1)                         # log 2
        >>> J.backward()
        >>> round(J.data, 4), [s_j.grad for s_j in s]       # p − 1 for the right class, else p
        (0.6931, [0.5, -0.5])
    """
    nodes = _scores(scores, "cross_entropy")
    parts = _exponentials(nodes, "cross_entropy")
    t = _index(target, len(nodes))
    return _label(parts.labels | {"J": parts.total.log() - parts.shifted[t]})


def binary_cross_entropy(score: Operand, y: SupportsFloat) -> Value:
    """J = −log p if y is 1, −log(1 − p) if y is 0, with p = sigmoid(score).

    It is computed from the score, as log(1 + e^z) with z = −score or z = score: so it neither
    overflows nor stops at a p that is 0 or 1 in floats.

    Args:
        score: a Value or a number.
        y: the class, 1 or 0, a number.

    Raises:
        TypeError: score is neither a Value nor a number, or y is not a number.
        ValueError: y is not 1 or 0; J is infinite, at a score of −inf or inf.

    Example:
        >>> s = Value(1000.0)
        >>> J = binary_cross_entropy(s, 0)
        >>> J.backward()
        >>> J.data, s.grad
        (1000.0, 1.0)
    """
    is_one = as_number(y, "y of binary_cross_entropy")
    if is_one not in (0.0, 1.0):
        raise ValueError(f"y of binary_cross_entropy is the class, 0 or 1; got {y!r:.60}")
    s = _score(score)
    z = -s if is_one else s
    parts = _exponentials([constant(0.0), z], "binary_cross_entropy")
    J = parts.largest + parts.total.log()
    return _label({"s": s, "z": z, "c": parts.largest, "J": J})


def squared_error(prediction: Operand, target: Operand) -> Value:
    """J = (prediction − target)².

    Args:
        prediction: a Value or a number.
        target: what it should be, a Value or a number.

    Raises:
        TypeError: prediction or target is neither a Value nor a number.

    Example:
        >>> p = Value(3.0)
        >>> J = squared_error(p, 1.0)
        >>> J.backward()
        >>> J.data, p.grad
        (4.0, 4.0)
    """
    guess = _score(prediction, "the prediction")
    t = target if isinstance(target, Value) else constant(as_number(target, "the target"))
    error = guess - t
    return _label({"prediction": guess, "target": t, "error": error, "J": error**2})


class _Exponentials(NamedTuple):
    """The parts of Σ e^s_j, without overflow."""

    scores: list[Value]
    largest: Value  # c
    shifted: list[Value]  # z_j = s_j − c
    powers: list[Value]  # e_j = e^z_j
    total: Value  # Z

    @property
    def labels(self) -> dict[str, Value]:
        """The parts by their names."""
        numbered = _numbered(s=self.scores, z=self.shifted, e=self.powers)
        return numbered | {"c": self.largest, "Z": self.total}


def _exponentials(scores: list[Value], what: str) -> _Exponentials:
    """The graph of Σ e^(s_j − c)."""
    if not scores:
        raise ValueError(f"{what} needs at least one score; got none")
    row = largest_of(len(scores))
    top = row.value(FLOATS, *(s_j.data for s_j in scores))
    if math.isinf(top):
        given = ", ".join(f"{s_j.data}" for s_j in scores[:5])
        needs = "a score above -inf, which is a mask" if top < 0.0 else "scores below inf"
        raise ValueError(f"{what} needs {needs}; got {one_line(given, 60)}")
    c = make_node(row, scores, top)
    shifted = [s_j - c for s_j in scores]
    powers = [z_j.exp() for z_j in shifted]
    return _Exponentials(scores, c, shifted, powers, sum(powers[1:], powers[0]))


def _scores(scores: Iterable[Operand], what: str) -> list[Value]:
    """Scores as nodes."""
    if not isinstance(scores, Iterable):
        raise TypeError(f"{what} takes a list of scores, Values or numbers; got {typed(scores)}")
    return [_score(score) for score in scores]


def _index(target: SupportsIndex, count: int) -> int:
    """The index of the right class."""
    if isinstance(target, bool) or not hasattr(target, "__index__"):
        raise TypeError(f"target is the index of the right score, an int; got {typed(target)}")
    t = operator.index(target)
    if not 0 <= t < count:
        raise ValueError(f"target is an index into the {count} scores, from 0; got {t}")
    return t


def _numbered(**lists: list[Value]) -> dict[str, Value]:
    """The nodes of lists by their names: s_0, s_1, …"""
    return {f"{name}_{j}": x for name, nodes in lists.items() for j, x in enumerate(nodes)}


def _score(score: Operand, what: str = "a score") -> Value:
    """A score as a node: a number becomes a leaf."""
    return score if isinstance(score, Value) else Value(as_number(score, what))


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
