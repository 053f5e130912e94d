"""Decides which nodes of a graph are computed together.

    >>> from tinygrad_margin.engine import Value, topological_order
    >>> from tinygrad_margin.nn import MLP
    >>> net, x = MLP(2, [16, 1]), [Value(0.5), Value(-0.2)]
    >>> record = Record(topological_order(net(x).tanh()), [*net.parameters(), *x])
    >>> plan = Plan(record, np.array([False] * 65 + [True] * 2))     # parameters, and items
    >>> [type(step).__name__ for step in plan.steps]    # two layers, and relu and tanh
    ['Product', 'Each', 'Product', 'Each']

Nodes of one operation at one level are one step, and so are long sums of one length. Sums whose
products pair the same list of weights, or the same list of activations, are a matrix product.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygrad_margin.tape.arrays import Flags, Places
from tinygrad_margin.tape.builder import Layout
from tinygrad_margin.tape.record import MUL_CODE, Record
from tinygrad_margin.tape.steps import Each, Product, Step, Sums

_WORTH = 16  # multiplications; a matrix product of fewer is not worth it


class Plan(Layout):
    """The ``steps`` that compute a graph, in order, for one choice of inputs that are arrays."""

    def __init__(self, record: Record, is_array: Flags) -> None:
        super().__init__(record, is_array)
        self._by_level: dict[int, list[Step]] = defaultdict(list)
        # The nodes that are not computed as a part of a matrix product or of a sum.
        self._left = (record.op >= 0) & record.live & ~record.inside
        if len(record.roots):
            self._find_sums(self._find_products())
        self._find_operations()
        self.steps = [step for level in sorted(self._by_level) for step in self._by_level[level]]
        for step in self.steps:
            step.arrange(self)

    def _find_operations(self) -> None:
        """Group the remaining nodes by level, operation, and which of their operands vary."""
        record, nodes = self.record, np.flatnonzero(self._left)
        vary = ((x >= 0) & self.varying[x] for x in record.operand[:, nodes])
        for rows in _groups(record.level[nodes], record.op[nodes], *vary):
            chosen = nodes[rows]
            self._by_level[record.level[chosen[0]]].append(Each(chosen, record))

    def _find_sums(self, left: Flags) -> None:
        """Group the long ones of the sums that are left, by level and length."""
        record = self.record
        long = np.flatnonzero(left & (record.count > 2))
        nodes = record.roots[long]
        self._left[nodes] = False
        for rows in _groups(record.level[nodes], record.count[long]):
            start, count = record.start[long[rows]], record.count[long[rows[0]]]
            terms = record.term[start[:, None] + np.arange(count)]
            vary = self.varying[terms]
            for some in _groups(*vary.T):  # sums of which the same terms vary
                is_rest = vary[some[0]] != vary[some[0]].any()
                columns = list(terms[some][:, is_rest].T)
                step = Sums(nodes[rows[some]], terms[some][:, ~is_rest], columns)
                self._by_level[record.level[step.nodes[0]]].append(step)

    def _find_products(self) -> Flags:
        """Find matrix products; return which sums (of ``record.roots``) are left."""
        record = self.record
        term, left_over = record.term, np.ones(len(record.roots), bool)
        is_product = (record.op[term] == MUL_CODE) & record.live[term] & (record.uses[term] == 1)
        length = np.add.reduceat(is_product, record.start)
        level, varying = record.level[record.roots], self.varying[record.roots]
        for sums in _groups(level, length, record.count - length, varying):
            k, count = length[sums[0]], record.count[sums[0]]
            if k * len(sums) < _WORTH:
                continue
            spots = record.start[sums][:, None] + np.arange(count)
            products = term[spots][is_product[spots]].reshape(len(sums), k)
            rest = term[spots][~is_product[spots]].reshape(len(sums), count - k)
            left, right = record.operand[:2, products]
            _, i = np.unique(left, axis=0, return_inverse=True)
            _, j = np.unique(right, axis=0, return_inverse=True)
            for cells in _full_grids(i.ravel(), j.ravel()):
                product = self._product(record.roots[sums], left, right, rest, cells)
                if product is not None:
                    self._by_level[level[sums[0]]].append(product)
                    left_over[sums[cells.ravel()]] = False
                    self._left[products[cells.ravel()]] = False
        self._left[record.roots[~left_over]] = False
        return left_over

    def _product(
        self, sums: Places, left: Places, right: Places, rest: Places, cells: Places
    ) -> Product | None:
        """One matrix product for a full grid of sums, if it is worth it."""
        lists = left[cells[0]], right[cells[:, 0]]
        if cells.size * lists[0].shape[1] < _WORTH:
            return None
        others = [column[cells] for column in rest.T]
        left_varies, right_varies, *vary = (set(self.varying[x].flat) for x in (*lists, *others))
        if any(len(each) > 1 for each in (left_varies, right_varies, *vary)):
            return None
        if left_varies == right_varies and {True} in (left_varies, *vary):
            return None
        if left_varies == {True}:  # the list that varies comes second
            return Product(sums[cells].T, lists[1], lists[0], [each.T for each in others])
        return Product(sums[cells], lists[0], lists[1], others)


def _groups(*keys: npt.NDArray[Any]) -> list[Places]:
    """Places with equal keys, in groups, sorted by the first key, then by the second, and so on."""
    if not len(keys[0]):
        return []
    order = np.lexsort(keys[::-1])
    differs = np.zeros(len(order) - 1, bool)
    for key in keys:
        differs |= np.diff(key[order]) != 0
    return np.split(order, np.flatnonzero(differs) + 1)


def _full_grids(left: Places, right: Places) -> list[Places]:
    """The full grids that pairs (left, right) make up: for each the pairs' places, right × left.

    In a grid with gaps, a matrix product would combine lists that never meet in the graph.
    """
    order = np.lexsort((left, right))
    met: dict[bytes, list[Places]] = defaultdict(list)
    for rows in np.split(order, np.flatnonzero(np.diff(right[order])) + 1):
        met[left[rows].tobytes()].append(rows)  # all pairs of one right list
    return [np.array(each) for each in met.values()]
