"""A graph as arrays: what a Tape keeps of it.

>>> from tinygrad_margin.engine import Value, topological_order
>>> x = Value(3.0)
>>> record = Record(topological_order(x * x + 1.0), [x])
>>> record.op.tolist(), record.operand.tolist()     # x, x · x, 1, the sum
([-1, 1, -2, 0], [[-1, 0, -1, 1], [-1, 0, -1, 2]])
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import attrgetter

import numpy as np

from tinygrad_margin.engine import Value
from tinygrad_margin.ops import ADD, CONSTANT, FLOATS, LEAF, MUL, POW, POW_OF_NUMBER, POW_TO_NUMBER
from tinygrad_margin.tape.arrays import Flags, Places

ADD_CODE, MUL_CODE, POW_CODE = range(3)  # in every record
CONSTANT_CODE = -2  # a number in a formula


class Record:
    """A graph as arrays, with a place for each node, in topological order.

    An input may also be a number in a formula. If it is an exponent or a base, it then has a slope.

    Attributes:
        rows: the rows of its operations; their codes are their places here.
        op: the code of each node's row; -1 for a leaf, -2 for a number in a formula.
        operand: the places of all first operands, of all second ones, and so on; or -1.
        data: the present values of constants, and of what is computed from constants alone.
        inputs: the places of wrt. Leaves that are not in the graph come before all other nodes.
        labels: the labels that nodes have, by their places.
        live: whether the node depends on an input.
        operations: how many nodes are not leaves.
        has_kinks: whether a max, min, relu or abs may shut off a part of the graph.

    ``arranged`` adds:
        level: how many calls must come before.
        uses: how often the node is an operand.
        inside: whether the node is a sum that is only the first term of another sum.
        roots, start, count, term: the other sums; the terms of the k-th are
            ``term[start[k]:start[k] + count[k]]``.
        calls, width: about how many calls compute the graph, and how many operations each computes.
    """

    def __init__(self, order: Sequence[Value], wrt: Sequence[Value]) -> None:
        index: dict[Value, int] = dict(zip(order, range(len(order)), strict=True))
        if unused := [leaf for leaf in wrt if leaf not in index]:
            order = [*unused, *order]
            index = {node: i for i, node in enumerate(order)}
        rows = [node._row for node in order]
        self.rows = [row for row in dict.fromkeys([ADD, MUL, POW, *rows]) if row.arity]
        self.has_kinks = any(row.cases for row in self.rows)
        codes = {row: i for i, row in enumerate(self.rows)}
        code_of = {**codes, LEAF: -1, CONSTANT: CONSTANT_CODE}
        op = np.array([code_of[row] for row in rows], np.int32)
        arity = np.array([*(row.arity for row in self.rows), 0, 0])[op]
        parents = chain.from_iterable(map(attrgetter("parents"), order))
        places = np.fromiter(map(index.__getitem__, parents), np.int32)
        self.operand = np.full((max(2, arity.max()), len(order)), -1, np.int32)
        start = np.cumsum(arity) - arity
        for k, column in enumerate(self.operand):
            column[arity > k] = places[start[arity > k] + k]
        self.inputs: Places = np.array([index[leaf] for leaf in wrt], np.int64)
        if any(leaf._row is CONSTANT for leaf in wrt):
            for row, number in zip((POW_OF_NUMBER, POW_TO_NUMBER), self.operand, strict=False):
                op[(op == codes.get(row)) & np.isin(number, self.inputs)] = POW_CODE
        self.op, self.operations = op, int((op >= 0).sum())
        self.data = np.array([node._data for node in order])
        self.labels = {i: node._label for i, node in enumerate(order) if node._label}
        self.live = self.reached_by(self.inputs)
        for i in np.flatnonzero((op >= 0) & ~self.live).tolist():
            try:
                self.data[i] = self.rows[op[i]].value(FLOATS, *self.data[self.operands(i)].tolist())
            except (ArithmeticError, ValueError):
                self.data[i] = math.nan

    def arranged(self) -> Record:
        """The record with levels and sums, which a small graph of plain numbers does not need."""
        if not hasattr(self, "calls"):
            self._find_levels()
            self._find_sums()
            alone = (self.op >= 0) & self.live & ~self.inside
            self.calls = len(np.unique(self.level[alone] * len(self.rows) + self.op[alone]))
            self.width = self.operations / max(self.calls, 1)
        return self

    def operands(self, i: int) -> list[int]:
        """The places of the operands of one node."""
        found: list[int] = self.operand[: self.rows[self.op[i]].arity, i].tolist()
        return found

    def _with_operands(self, nodes: Places) -> Iterator[tuple[int, ...]]:
        """The places of nodes and of their operands, or -1."""
        return zip(nodes.tolist(), *self.operand[:, nodes].tolist(), strict=True)

    def reached_by(self, leaves: Places) -> Flags:
        """Which nodes depend on any of these leaves."""
        reached = bytearray(len(self.op) + 1)  # the last is for the operand -1
        for i in leaves.tolist():
            reached[i] = True
        for i, x, y, *more in self._with_operands(np.flatnonzero(self.op >= 0)):
            if reached[x] or reached[y] or (more and any(reached[z] for z in more)):
                reached[i] = True
        return np.array(reached[:-1], np.uint8).view(bool)

    def _find_levels(self) -> None:
        adds = (self.op == ADD_CODE) & self.live
        self.uses = np.bincount(self.operand[self.operand >= 0], minlength=len(self.op))
        first = self.operand[0, adds]
        self.inside = np.zeros(len(self.op), bool)
        self.inside[first[adds[first] & (self.uses[first] == 1)]] = True
        level, inside = [0] * (len(self.op) + 1), self.inside.tobytes()
        for i, x, y, *more in self._with_operands(np.flatnonzero((self.op >= 0) & self.live)):
            before = level[x] - inside[x]
            level[i] = 1 + (level[y] if level[y] > before else before)
            if more:
                level[i] = max(level[i], *(1 + level[z] for z in more))
        self.level = np.array(level[:-1], np.int32)

    def _find_sums(self) -> None:
        """List the terms of every sum that is not inside another, in order."""
        sums = np.flatnonzero((self.op == ADD_CODE) & self.live).astype(np.int32)
        left, right = self.operand[:2, sums]
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
