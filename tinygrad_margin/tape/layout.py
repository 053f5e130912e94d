"""Where the numbers of each node stand while a program runs.

Nodes that are the same for all items have a place in one vector. Nodes that vary from item to item
have a row in a matrix, with a column for each item::

    >>> from tinygrad_margin.engine import Value, topological_order
    >>> x, w = Value(3.0), Value(2.0)
    >>> record = Record(topological_order(x * w + 1.0), [x, w])
    >>> layout = Layout(record, np.array([True, False]))        # x is an array of items
    >>> layout.varying.tolist(), layout.slot.tolist()   # x, w, x · w, 1, J: w and 1 do not vary
    ([True, False, True, False, True], [0, 0, -1, 1, -1])
"""

from __future__ import annotations

import numpy as np

from tinygrad_margin.tape.arrays import Flags, Places
from tinygrad_margin.tape.record import Record


class Layout:
    """The places of nodes; inputs and constants have theirs from the start.

    Args:
        record: the graph.
        is_array: which inputs vary from item to item.

    Attributes:
        varying: which nodes vary from item to item.
        slot: the place of each node among those that do not vary, or among those that vary.
        sizes: how many places there are of either kind.
        inputs: how many of them are inputs, which come first.
    """

    def __init__(self, record: Record, is_array: Flags) -> None:
        self.record = record.arranged()
        self.varying = record.reached_by(record.inputs[is_array])
        self.slot: Places = np.full(len(record.op), -1, np.int32)
        self.inputs = int((~is_array).sum()), int(is_array.sum())
        self.sizes = list(self.inputs)
        for nodes in (record.inputs[~is_array], record.inputs[is_array]):
            places = np.flatnonzero(nodes >= 0)
            self.slot[nodes[places]] = places
        self.place(np.flatnonzero(~record.live), varying=False)

    def place(self, nodes: Places, *, varying: bool) -> None:
        """Give nodes the next places, side by side."""
        self.slot[nodes] = self.sizes[varying] + np.arange(len(nodes))
        self.sizes[varying] += len(nodes)
