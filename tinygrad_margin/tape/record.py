"""A graph as arrays: what a Tape keeps of it.

    >>> from tinygrad_margin.engine import Value, topological_order
    >>> x = Value(3.0)
    >>> record = Record(topological_order(x * x + 1.0), [x])
    >>> record.op.tolist(), record.a.tolist(), record.b.tolist()    # x, x · x, 1, the sum
    ([-1, 1, -1, 0], [-1, 0, -1, 1], [-1, 0, -1, 2])
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Iterator, Sequence

import numpy as np

from tinygrad_margin.engine import Value
from tinygrad_margin.ops import ADD, CONSTANT, FLOATS, MUL, POW, POW_OF_NUMBER, POW_TO_NUMBER
from tinygrad_margin.tape.arrays import Flags, Places

ADD_CODE, MUL_CODE, POW_CODE = range(3)  # in every record
_CHUNK = 512  # nodes; lists for the whole graph would take more than all its values


class Record:
    """A graph as arrays, with a place for each node, operands first; it knows nothing of Values.

    Args:
        order: the graph, in topological order.
        wrt: the leaves that are inputs. A number in a formula may be one; if it is an exponent or
            a base, its slope is computed then, too.

    Attributes:
        rows: the rows of its operations; their codes are their places here.
        op: the code of each node's row; -1 for a leaf.
        a: the place of its first operand, or -1.
        b: the place of its second one, or -1.
        rest: the places of the other operands, for a node that has more than two.
        data: the present values of constants, and of what is computed from constants alone.
        inputs: the places of wrt; -1 for a leaf that the graph does not have.
        live: whether the node depends on an input.
        operations: how many nodes are not leaves.

    Attributes that ``arranged`` adds:
        level: how many calls must come before.
        uses: how often the node is an operand.
        inside: whether it is a sum, used only as the first term of another sum, and so a part of
            that one.
        calls: about how many calls compute the graph, one for each operation at each level.
        width: how many operations each of them computes, on average.
        roots, start, count, term: the sums that are not inside others; the terms of the k-th are
            ``term[start[k]:start[k] + count[k]]``.
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
            try:
                self.data[i] = self.rows[op[i]].value(FLOATS, *self.data[self.operands(i)].tolist())
            except (ArithmeticError, ValueError):
                self.data[i] = math.nan

    def arranged(self) -> Record:
        """The record, with levels and sums, which plain numbers do not need."""
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
        """The operands of nodes of one row: the places of all first ones, of all second ones, …"""
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
        """Which nodes depend on any of these leaves."""
        reached = bytearray(len(self.op) + 1)  # the last one is for the operand -1
        for i in leaves.tolist():
            reached[i] = True
        reached[-1] = False
        for i, _, x, y in self.each((self.op >= 0).nonzero()[0]):
            if reached[x] or reached[y]:
                reached[i] = True
            elif i in self.rest:
                reached[i] = any(reached[z] for z in self.rest[i])
        return np.array(reached[:-1], np.uint8).view(bool)

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
        """List the terms of every sum that is not inside another, in order."""
        sums = np.flatnonzero((self.op == ADD_CODE) & self.live).astype(np.int32)
        left, right = self.a[sums], self.b[sums]
        # The sum that each sum is a part of in the end; each round doubles the distance.
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
