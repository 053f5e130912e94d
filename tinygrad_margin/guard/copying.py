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

from __future__ import annotations

import copy
import copyreg
import pickle
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, SupportsIndex

from tinygrad_margin.ops import CONSTANT, LEAF, TABLE, Primitive

ROWS = {**TABLE, LEAF.name: LEAF, CONSTANT.name: CONSTANT}  # that a pickle finds by their names
_ENGINE = {"_data", "_grad", "_a", "_b", "_row"}  # slots that are copied one by one


def shallow(node: Any) -> Any:
    """A node of the same operands, with the same attributes."""
    twin = _new_node(*_own(node))
    _connect(twin, node.parents)
    _set_state(twin, _state(node))
    return twin


def deep(node: Any, memo: dict[int, Any]) -> Any:
    """A copy of the node's graph; ``memo`` holds the copies there are, by the originals' ids."""
    originals = _graph(node, memo)
    memo.update((id(original), _new_node(*_own(original))) for original in originals)
    for original in originals:
        _connect(memo[id(original)], [memo[id(operand)] for operand in original.parents])
    for original in originals:  # last, for an attribute may lead to any node
        state = _state(original)
        if state is not None:
            _set_state(memo[id(original)], copy.deepcopy(state, memo))
    return memo[id(node)]


def reduced(node: Any, protocol: SupportsIndex) -> tuple[Any, ...]:
    """For pickle: a leaf by itself, an inner node with its whole graph.

    The nodes of a graph are made first and connected afterwards, so that attributes may lead in
    circles.
    """
    if not node.parents:
        return _new_node, _own(node), _state(node)
    graph = _graph(node, ())
    inner, leaves = [x for x in graph if x.parents], [x for x in graph if not x.parents]
    places = {id(x): place for place, x in enumerate((*inner, *leaves))}
    arities = [len(x.parents) for x in inner]
    edges = [places[id(operand)] for x in inner for operand in x.parents]
    states = {place: state for place, x in enumerate(inner) if (state := _state(x)) is not None}
    columns = tuple(list(column) for column in zip(*map(_own, inner), strict=True))
    return _new_graph, columns, (arities, edges, leaves, states), None, None, _connect_graph


def _new_graph(*columns: Iterable[Any]) -> Any:
    """The inner nodes of a graph, not yet connected; returns the root, which leads to them."""
    nodes = list(map(_new_node, *columns))
    nodes[0]._unpickled = nodes
    return nodes[0]


def _connect_graph(root: Any, state: tuple[Any, ...]) -> None:
    """Give the nodes of an unpickled graph their operands and attributes."""
    arities, edges, leaves, states = state
    nodes = root.__dict__.pop("_unpickled")
    known, places = [*nodes, *leaves], iter(edges)
    for node, arity in zip(nodes, arities, strict=True):
        _connect(node, [known[place] for place in islice(places, arity)])
    for place, own in states.items():
        _set_state(nodes[place], own)


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
    """What ``_new_node`` takes."""
    return type(node), node._row, node._data, node._grad


def _connect(node: Any, operands: Sequence[Any]) -> None:
    """Give a node its operands."""
    if len(operands) <= 2:
        node._a, node._b = (*operands, None, None)[:2]
    else:
        del node._a, node._b
        node._operands = tuple(operands)


def _state(node: Any) -> Any:
    """Everything else about a node, in pickle's form: attributes, slots of a subclass; or None."""
    state: Any = object.__reduce_ex__(node, 2)[2]  # node.__dict__ would make one for each node
    if not (isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict)):
        return state  # what the __getstate__ of a subclass says
    attributes, slots = state
    if attributes and "_operands" in attributes:
        attributes = {name: x for name, x in attributes.items() if name != "_operands"}
    slots = {name: x for name, x in slots.items() if name not in _ENGINE}
    return (attributes, slots) if slots else attributes or None


def _set_state(node: Any, state: Any) -> None:
    """Give a node what ``_state`` returned."""
    if hasattr(node, "__setstate__"):
        node.__setstate__(state)
        return
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        node.__dict__.update(attributes)
    for name, x in (slots or {}).items():
        setattr(node, name, x)


def row_by_name(name: str) -> Primitive:
    """The row of that name, for a pickle."""
    if name not in ROWS:
        raise pickle.UnpicklingError(f"the table of primitives has no operation {name!r:.60}")
    return ROWS[name]


def _reduce_row(row: Primitive) -> tuple[Callable[[str], Primitive], tuple[str]]:
    """A row is pickled by its name, so that a copy of it is the row itself."""
    if ROWS.get(row.name) is not row:
        raise pickle.PicklingError(
            f"the operation {row.symbol} is not in the table of primitives, so whoever reads "
            "the pickle could not find it"
        )
    return row_by_name, (row.name,)


copyreg.pickle(Primitive, _reduce_row)
