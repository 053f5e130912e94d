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

A graph may be deeper than Python recurses, so whoever copies one node here copies all that it is
computed from, in a loop. This module is below the engine: a node is any object with its slots.
"""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, SupportsIndex

from tinygrad_margin.ops import Primitive

if TYPE_CHECKING:
    from tinygrad_margin.engine import Value

_ENGINE = {"_data", "_grad", "_a", "_b", "_row"}  # the slots that are copied one by one


def shallow(node: Value) -> Value:
    """A node of the same operands, with the same attributes."""
    twin = _node(*_own(node))
    _connect(twin, node.parents)
    _set_state(twin, _state(node))
    return twin


def deep(node: Value, memo: dict[int, Any]) -> Value:
    """The graph of a node, copied; ``memo`` holds the copies there are, by the originals' ids."""
    found = _reached(node, memo.__contains__)
    memo.update((key, _node(*_own(original))) for key, original in found.items())
    for key, original in found.items():
        _connect(memo[key], [memo[id(operand)] for operand in original.parents])
    for key, original in found.items():  # last, as an attribute may lead to any node
        state = _state(original)
        if state is not None:
            _set_state(memo[key], copy.deepcopy(state, memo))
    copied: Value = memo[id(node)]
    return copied


def reduced(node: Value, protocol: SupportsIndex) -> tuple[Any, ...]:
    """What pickle asks for: a leaf is written by itself, an inner node as one of its graph's."""
    if not node.parents:
        return _node, _own(node), _state(node)
    graph = _alive(_pickled.graphs.get(id(node))) or _Graph(node)
    return _at, (graph, graph.places[id(node)]), _state(node)


class _Graph:
    """Inner nodes that a pickler writes together: those under a root, but not what it has already.

    The pickler keeps what it has written. So while it is at work, whatever else leads to one of
    these nodes finds it here, and the node is written once.
    """

    def __init__(self, root: Value) -> None:
        self.nodes: list[Value] = []
        self.places: dict[int, int] = {}
        self.times = 0  # how often this was written; more often than once: by several picklers
        self.graphs, self.me = _pickled.graphs, weakref.ref(self)
        self.add([root])

    def __del__(self) -> None:
        for key in self.places:
            if self.graphs.get(key) is self.me:
                del self.graphs[key]

    def add(self, nodes: Iterable[Value]) -> None:
        """Take inner nodes in."""
        for node in nodes:
            self.places[id(node)] = len(self.nodes)
            self.nodes.append(node)
            self.graphs[id(node)] = self.me

    def is_elsewhere(self, key: int) -> bool:
        """Has this pickler written the node with another graph? (That graph is ahead of this.)"""
        graph = _alive(self.graphs.get(key))
        return graph is not None and graph.times > self.times

    def __reduce__(self) -> tuple[Any, ...]:
        found = _reached(self.nodes[0], self.is_elsewhere).values()
        self.add(x for x in found if id(x) not in self.places and x.parents)
        self.times += 1
        nodes, places = self.nodes, dict(self.places)
        outside = {id(x): x for node in nodes for x in node.parents if id(x) not in places}
        places.update((key, place) for place, key in enumerate(outside, len(nodes)))
        edges = [places[id(x)] for node in nodes for x in node.parents]
        # In columns: lists of numbers are small and quick.
        columns = [[_own(node)[i] for node in nodes] for i in range(4)]
        arities = [len(node.parents) for node in nodes]
        marked = [node for node in nodes if _state(node) is not None]  # each brings its own
        return _Unpickled, tuple(columns), (arities, edges, list(outside.values()), marked)


def _alive(graph: weakref.ref[_Graph] | None) -> _Graph | None:
    """The graph that is referred to, if there is one."""
    return None if graph is None else graph()


class _Graphs(threading.local):
    """The graphs that picklers of this thread hold, by the ids of their nodes."""

    def __init__(self) -> None:
        self.graphs: dict[int, weakref.ref[_Graph]] = {}


_pickled = _Graphs()


class _Unpickled:
    """A ``_Graph`` that is read: its nodes are made first, and get their operands when all are."""

    def __init__(self, *columns: Iterable[Any]) -> None:
        self.nodes = list(map(_node, *columns))

    def __setstate__(self, state: tuple[list[int], list[int], list[Value], list[Value]]) -> None:
        arities, edges, outside, _ = state
        known, places = [*self.nodes, *outside], iter(edges)
        for node, arity in zip(self.nodes, arities, strict=True):
            _connect(node, [known[place] for place in islice(places, arity)])


def _at(graph: _Unpickled, place: int) -> Value:
    """An inner node, read."""
    return graph.nodes[place]


def _node(kind: type[Value], primitive: Primitive, data: float, grad: float) -> Value:
    """A node, still without operands."""
    node = object.__new__(kind)
    node._data, node._grad, node._row = data, grad, primitive
    node._a = node._b = None
    return node


def _own(node: Value) -> tuple[type[Value], Primitive, float, float]:
    """What ``_node`` takes."""
    return type(node), node._row, node._data, node._grad


def _connect(node: Any, operands: Sequence[Value]) -> None:
    """Give a node its operands."""
    if len(operands) <= 2:
        node._a, node._b = (*operands, None, None)[:2]
    else:
        del node._a, node._b
        node._operands = tuple(operands)


def _reached(root: Value, is_known: Callable[[int], bool]) -> dict[int, Value]:
    """The nodes of a graph by their ids, without those that are known and what is under them."""
    found: dict[int, Value] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) not in found and not is_known(id(node)):
            found[id(node)] = node
            waiting += node.parents
    return found


def _state(node: Value) -> Any:
    """What else there is to a node: attributes, a subclass's slots; None where there is nothing.

    It has pickle's form; where a subclass has a ``__getstate__``, it is what that says.
    """
    state = object.__reduce_ex__(node, 2)[2]  # node.__dict__ would make one for each node
    if not (isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict)):
        return state
    attributes, slots = state
    if attributes and "_operands" in attributes:
        attributes = {name: x for name, x in attributes.items() if name != "_operands"}
    if slots.keys() <= _ENGINE:
        return attributes or None
    return attributes, {name: x for name, x in slots.items() if name not in _ENGINE}


def _set_state(node: Any, state: Any) -> None:
    """Give a node what ``_state`` says."""
    if hasattr(node, "__setstate__"):
        node.__setstate__(state)
        return
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        node.__dict__.update(attributes)
    for name, x in (slots or {}).items():
        setattr(node, name, x)
