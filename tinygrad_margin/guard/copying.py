"""Copies of nodes, graphs and models: ``copy.copy``, ``copy.deepcopy`` and ``pickle``.

    >>> import copy, pickle
    >>> from tinygrad_margin import Value
    >>> x = Value(3.0, "x")
    >>> y = x * x
    >>> copy.copy(y).parents == (x, x)                      # another node, of the same operands
    True
    >>> [again] = {*copy.deepcopy(y).parents}               # another graph; what is shared stays so
    >>> again, again is x
    (Value(data=3.0, grad=0.0, label='x'), False)
    >>> y_again, x_again = pickle.loads(pickle.dumps((y, x)))
    >>> y_again.parents == (x_again, x_again)
    True

A graph may be deeper than Python recurses, so a node is copied with all that it is computed from,
in a loop. A pickle shares leaves, and keeps one whole graph for each node pickled by itself: inner
nodes that two such graphs share become two. ``copy.deepcopy`` keeps them shared.
"""

import copy
import copyreg
import pickle
from collections.abc import Callable, Sequence
from itertools import islice, starmap
from typing import Any, SupportsIndex

from tinygrad_margin.ops import CONSTANT, LEAF, TABLE, Primitive

ROWS = {**TABLE, LEAF.name: LEAF, CONSTANT.name: CONSTANT}  # a pickle finds them by their names
_ENGINE = {"_data", "_grad", "_a", "_b", "_row"}  # copied one by one


def shallow(node: Any) -> Any:
    """A node of the same operands, with the same attributes."""
    twin = _new_node(*_own(node))
    connect(twin, node.parents)
    _set_attributes(twin, _attributes(node))
    return twin


def deep(node: Any, memo: dict[int, Any]) -> Any:
    """A copy of the node's graph; ``memo`` holds the copies there are, by the originals' ids."""
    originals = _graph(node, memo)
    memo.update((id(original), _new_node(*_own(original))) for original in originals)
    for original in originals:
        connect(memo[id(original)], [memo[id(operand)] for operand in original.parents])
    for original in originals:  # last, for an attribute may lead to any node
        _set_attributes(memo[id(original)], copy.deepcopy(_attributes(original), memo))
    return memo[id(node)]


def reduced(node: Any, protocol: SupportsIndex) -> tuple[Any, ...]:
    """For pickle: a leaf by itself, an inner node with its whole graph.

    The root is made first and gets its graph afterwards, so that attributes may lead in circles.
    """
    if not node.parents:
        return _new_node, _own(node), _attributes(node), None, None, _set_attributes
    graph = _graph(node, ())
    inner, leaves = [x for x in graph if x.parents], [x for x in graph if not x.parents]
    places = {id(x): place for place, x in enumerate((*inner, *leaves))}
    arities = [len(x.parents) for x in inner]
    edges = [places[id(operand)] for x in inner for operand in x.parents]
    attributes = {place: found for place, x in enumerate(inner) if (found := _attributes(x))}
    state = list(map(_own, inner[1:])), arities, edges, leaves, attributes
    return _new_node, _own(node), state, None, None, _set_graph


def _set_graph(root: Any, state: tuple[Any, ...]) -> None:
    """Give the root of an unpickled graph its graph."""
    others, arities, edges, leaves, attributes = state
    inner = [root, *starmap(_new_node, others)]
    known, places = [*inner, *leaves], iter(edges)
    for node, arity in zip(inner, arities, strict=True):
        connect(node, [known[place] for place in islice(places, arity)])
    for place, own in attributes.items():
        _set_attributes(inner[place], own)


def _graph(root: Any, known: Any) -> list[Any]:
    """The nodes of a graph, the root first, without known ones and what only these lead to."""
    found: dict[int, Any] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) not in found and id(node) not in known:
            found[id(node)] = node
            waiting += node.parents
    return list(found.values())


def _new_node(kind: type, row: Primitive, data: float, grad: float) -> Any:
    """A node without operands."""
    node: Any = object.__new__(kind)
    node._data, node._grad, node._row = data, grad, row
    node._a = node._b = None
    return node


def _own(node: Any) -> tuple[type, Primitive, float, float]:
    """The arguments of ``_new_node``."""
    return type(node), node._row, node._data, node._grad


def connect(node: Any, operands: Sequence[Any]) -> None:
    """Give a node its operands."""
    node._a, *rest = operands or (None,)
    node._b = tuple(rest) if len(rest) > 1 else rest[0] if rest else None


def _attributes(node: Any) -> dict[str, Any]:
    """Everything else about a node: its label, attributes, the slots of a subclass."""
    state: Any = object.__reduce_ex__(node, 2)[2]  # node.__dict__ would make a dictionary for it
    attributes, slots = state
    return {name: x for name, x in {**(attributes or {}), **slots}.items() if name not in _ENGINE}


def _set_attributes(node: Any, attributes: dict[str, Any]) -> None:
    """Give a node the attributes that ``_attributes`` found."""
    for name, x in attributes.items():
        setattr(node, name, x)


def _row_by_name(name: str) -> Primitive:
    return ROWS[name]


def _reduce_row(row: Primitive) -> tuple[Callable[[str], Primitive], tuple[str]]:
    """A row of the table is pickled by its name, so that a copy of it is the row itself."""
    if ROWS.get(row.name) is not row:
        raise pickle.PicklingError(f"{row.symbol} cannot be pickled: the table has no such row")
    return _row_by_name, (row.name,)


copyreg.pickle(Primitive, _reduce_row)
