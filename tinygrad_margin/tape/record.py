"""A graph as arrays, and the mathematics of arrays: what a Tape keeps, and both ways to run it.

    >>> from tinygrad_margin.engine import Value, topological_order
    >>> x = Value(3.0)
    >>> record = Record(topological_order(x * x + 1.0), [x])
    >>> record.op.tolist(), record.a.tolist(), record.b.tolist()    # x, x · x, 1, the sum
    ([-1, 1, -1, 0], [-1, 0, -1, 1], [-1, 0, -1, 2])
    >>> ARRAYS.maximum(np.array([-1.0, 2.0]), 0.0)
    array([0., 2.])
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tinygrad_margin.engine import Value
from tinygrad_margin.ops import ADD, CONSTANT, FLOATS, MUL, POW, POW_OF_NUMBER, POW_TO_NUMBER

ADD_CODE, MUL_CODE, POW_CODE = range(3)  # in every record
_CHUNK = 512  # nodes; lists for the whole graph would take more than all its values

Floats: TypeAlias = npt.NDArray[np.float64]
Places: TypeAlias = npt.NDArray[np.integer[Any]]  # four bytes each, where there is one a node
Flags: TypeAlias = npt.NDArray[np.bool_]


class Record:
    """A graph as arrays, with a place for each node, operands first; it knows nothing of Values.

    Args:
        order: the graph, in topological order.
        wrt: the leaves that are inputs. A number in a formula becomes one as any other leaf: as an
            exponent or base it is asked for its slope, then.

    Attributes:
        rows: the rows of its operations; their codes are their places here.
        op: the code of each node's row; -1 for a leaf.
        a: the place of its first operand, or -1.
        b: the place of its second one, or -1.
        rest: the places of the other operands, for a node that has more than two.
        data: the present values of constants, and of what is computed from constants alone.
        inputs: the places of wrt; -1 for a leaf that the graph does not have.
        live: does the node depend on an input?
        operations: how many nodes are no leaves.

    Attributes that ``arranged`` adds:
        level: how many calls must come before.
        uses: how often the node is an operand.
        inside: is it a sum, only used as the first term of another sum, and so a part of that one?
        calls: about how many calls of one operation at one level there are.
        width: how many operations each of them computes, on average.
    """

    level: Places
    uses: Places
    inside: Flags
    calls: int
    width: float

    def __init__(self, order: Sequence[Value], wrt: Sequence[Value]) -> None:
        n = len(order)
        index: dict[Value, int] = dict(zip(order, range(n), strict=True))
        codes = {ADD: ADD_CODE, MUL: MUL_CODE, POW: POW_CODE}
        ops, first, second, inner = [-1] * n, [-1] * n, [-1] * n, list[int]()
        self.rest: dict[int, list[int]] = {}
        for i, node in enumerate(order):
            row = node._row
            if row.arity == 0:
                continue
            inner.append(i)
            ops[i] = codes.setdefault(row, len(codes))
            if row.arity <= 2:
                first[i] = index[node._a]  # type: ignore[index]
                if node._b is not None:
                    second[i] = index[node._b]
            else:
                first[i], second[i], *self.rest[i] = (index[parent] for parent in node.parents)
        self.inputs: Places = np.array([index.get(node, -1) for node in wrt], np.int64)
        op, a, b = (np.array(each, np.int32) for each in (ops, first, second))
        if any(leaf._row is CONSTANT for leaf in wrt):
            for row, number in ((POW_OF_NUMBER, a), (POW_TO_NUMBER, b)):
                op[(op == codes.get(row)) & np.isin(number, self.inputs)] = POW_CODE
        self.rows = list(codes)
        self.op, self.a, self.b, self.operations = op, a, b, len(inner)
        self.data = np.array([node._data for node in order])
        self.live = self.reached_by(self.inputs)
        for i in itertools.compress(inner, (~self.live[inner]).tolist()):
            value = in_a_tuple(self.rows[op[i]].value)
            (self.data[i],) = _forgiving(value, self.data[self.operands(i)].tolist(), 1)

    def arranged(self) -> Record:
        """The record, once levels and sums have been found, which a few numbers can do without."""
        if not hasattr(self, "calls"):
            self._find_levels()
            self._find_sums()
            alone = (self.op >= 0) & self.live & ~self.inside
            calls = len(np.unique(self.level[alone] * len(self.rows) + self.op[alone]))
            self.width, self.calls = self.operations / max(calls, 1), calls
        return self

    def operands(self, i: int) -> list[int]:
        """The places of the operands of one node."""
        first = [j for j in (int(self.a[i]), int(self.b[i])) if j >= 0]
        return [*first, *self.rest.get(i, ())]

    def columns(self, nodes: Places) -> list[Places]:
        """The places of the operands of nodes of one row: of all first ones, all second ones, …"""
        arity = self.rows[self.op[nodes[0]]].arity
        if arity <= 2:
            first: list[Places] = [self.a[nodes], self.b[nodes]]
            return first[:arity]
        return list(np.array([self.operands(i) for i in nodes.tolist()]).T)

    def each(self, nodes: Places) -> Iterator[tuple[int, int, int, int]]:
        """Place, code and first two operands of these nodes."""
        for start in range(0, len(nodes), _CHUNK):
            some = nodes[start : start + _CHUNK]
            yield from zip(
                some.tolist(), self.op[some].tolist(), self.a[some].tolist(), self.b[some].tolist(),
                strict=True,
            )  # fmt: skip

    def reached_by(self, leaves: Places) -> Flags:
        """Which nodes depend on any of these leaves?"""
        reached = bytearray(len(self.op) + 1)  # the last one is for the operand -1, that is none
        for i in leaves.tolist():
            reached[i] = True
        reached[-1] = False
        for i, _, x, y in self.each((self.op >= 0).nonzero()[0]):
            if reached[x] or reached[y]:
                reached[i] = True
            elif i in self.rest:
                reached[i] = any(reached[z] for z in self.rest[i])
        return np.array(reached[:-1], np.uint8).view(bool)

    def leading_to(self, nodes: Flags) -> Flags:
        """Which nodes are these, or operands of them, and so on?"""
        found = bytearray(nodes.tobytes() + bytes(1))  # the last one is for the operand -1
        for i, _, x, y in self.each((self.op >= 0).nonzero()[0][::-1]):
            if found[i]:
                found[x] = found[y] = True
                for z in self.rest.get(i, ()):
                    found[z] = True
        return np.array(found[:-1], np.uint8).view(bool)

    def _find_levels(self) -> None:
        op, a, b, live = self.op, self.a, self.b, self.live
        others = [place for rest in self.rest.values() for place in rest]
        used = np.concatenate([a[a >= 0], b[b >= 0], np.array(others, np.int64)])
        self.uses = np.bincount(used, minlength=len(op)).astype(np.int32)
        adds = (op == ADD_CODE) & live
        sums = np.flatnonzero(adds)
        first = a[sums]
        part = adds[first] & (self.uses[first] == 1)
        self.inside = np.zeros(len(op), bool)
        self.inside[first[part]] = True
        level, inside = array("i", bytes(4 * len(op))), self.inside.tobytes()
        for i, _, x, y in self.each(np.flatnonzero((op >= 0) & live)):
            before = level[x] - inside[x]
            if y >= 0 and level[y] > before:
                before = level[y]
            if i in self.rest:
                before = max(before, *(level[z] for z in self.rest[i]))
            level[i] = before + 1
        self.level = np.array(level, np.int32)

    def _find_sums(self) -> None:
        """List the terms of every sum, in order: ``term[start:start + count]`` for each root."""
        sums = np.flatnonzero((self.op == ADD_CODE) & self.live).astype(np.int32)
        left, right = self.a[sums], self.b[sums]
        # Which sum is it a part of, in the end? Each look doubles the distance.
        whole = np.arange(len(self.op), dtype=np.int32)
        whole[left[self.inside[left]]] = sums[self.inside[left]]
        while not np.array_equal(further := whole[whole], whole):
            whole = further
        begins = ~self.inside[left]
        first = sums[begins]
        owner = np.concatenate([whole[first], whole[sums]])
        term = np.concatenate([left[begins], right])
        rank = np.concatenate([np.full(len(first), -1, np.int32), sums])
        order = np.lexsort((rank, owner))
        self.term = term[order]
        self.roots, self.start, self.count = np.unique(
            owner[order], return_index=True, return_counts=True
        )


class Arrays:
    """The mathematics of plain arrays, for the rows; where there is no value, nan or inf."""

    exp, log, sqrt, sin, cos, tanh = np.exp, np.log, np.sqrt, np.sin, np.cos, np.tanh
    abs, maximum = np.abs, np.maximum

    def sigmoid(self, a: Any) -> Any:
        """1 / (1 + e⁻ᵃ)."""
        return 1.0 / (1.0 + self.exp(-a))

    @staticmethod
    def pow(a: Any, b: Any, out: Any = None) -> Any:
        """aᵇ. NumPy takes −∞ for a number of either sign; the engine does not, outside of ints."""
        out = np.asarray(np.power(a, b, out=out))
        below = np.equal(a, -math.inf)
        if below.any():
            np.copyto(out, math.nan, where=below & (np.fmod(b, 1.0) != 0.0) & np.isfinite(b))
        return out[()]

    @staticmethod
    def xlogy(x: Any, y: Any, out: Any = None) -> Any:
        """x · log y, and 0 where y = 0."""
        out = np.asarray(np.log(y, out=_room(out, x, y)))
        np.multiply(x, out, out=out)
        np.copyto(out, 0.0, where=np.equal(y, 0.0))
        return out[()]

    @staticmethod
    def step(a: Any, b: Any, tie: Any, out: Any = None) -> Any:
        """1 where a > b, ``tie`` where a = b, 0 where a < b, nan where either is nan."""
        out = np.greater(a, b, out=_room(out, a, b))
        if tie:
            np.copyto(out, tie, where=np.equal(a, b))
        for x in (a, b):
            nan = np.isnan(x)
            if nan.any():
                np.copyto(out, math.nan, where=nan)
        return out[()]

    @staticmethod
    def is_zero(a: Any) -> Any:
        """1 where a = 0, else 0."""
        return np.equal(a, 0.0) * 1.0


def _room(out: Any, *operands: Any) -> Any:
    """The array to fill, or a new one."""
    return np.empty(np.broadcast_shapes(*map(np.shape, operands))) if out is None else out


ARRAYS = Arrays()


def _forgiving(
    function: Callable[..., Sequence[float]], operands: Sequence[float], count: int
) -> Sequence[float]:
    """What a row's function gives, so many numbers; nan where it gives none."""
    try:
        return function(FLOATS, *operands)
    except (ArithmeticError, ValueError):
        return [math.nan] * count


def fill(
    function: Callable[..., Sequence[Any]], is_generic: bool, *operands: Any, out: Floats
) -> None:
    """Put what the function of a row gives into ``out``: first all its first numbers, and so on."""
    # Copies, all of one shape: one's own function may well say x *= 2.
    arrays = [np.array(np.broadcast_to(x, out.shape[1:])) for x in operands]
    if is_generic:
        for row, x in zip(out, function(np, *arrays), strict=True):
            row[...] = x
        return
    items = zip(*(x.ravel().tolist() for x in arrays), strict=True)
    found = [_forgiving(function, item, len(out)) for item in items]
    out[...] = np.reshape(found, (-1, len(out))).T.reshape(out.shape)


def in_a_tuple(function: Callable[..., Any]) -> Callable[..., tuple[Any]]:
    """The function of a value as one of a tuple, as that of partials is."""
    return lambda *operands: (function(*operands),)
