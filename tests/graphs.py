"""Random graphs for the tests: every operation, shared nodes, constants, ties."""

from __future__ import annotations

import random
from collections.abc import Callable

from tinygrad_margin import Value, topological_order
from tinygrad_margin.engine import OPERATIONS, constant, operation


def random_graph(seed: int, size: int = 12) -> tuple[Value, list[Value]]:
    """A root and its leaves; every operation gets operands inside its domain."""
    rng = random.Random(seed)
    leaves = [Value(rng.choice([-1.0, 0.5, 2.0, rng.uniform(-2, 2)]), f"x_{i}") for i in range(3)]
    nodes = [*leaves, constant(rng.choice([0.0, 1.0, 2.0]))]
    for _ in range(size):
        name = rng.choice(sorted(OPERATIONS))
        a, b = rng.choice(nodes), rng.choice(nodes)
        if name in ("log", "sqrt") or name.startswith("pow"):
            a = abs(a) + 0.5
        if name == "div":
            b = abs(b) + 0.5
        if name == "exp" or name.startswith("pow"):
            a, b = (x.tanh() + 1.5 for x in (a, b))
        if name == "pow_to_number":
            b = constant(rng.choice([-2.0, 0.0, 1.0, 3.0]))
        if name == "pow_of_number":
            a = constant(rng.choice([0.5, 2.0]))
        operands = (a, b)[: 1 if name in _UNARY else 2]
        node = OPERATIONS[name](*operands)
        if abs(node.data) > 1e3:
            node = node.tanh()
        nodes.append(node)
    return sum(nodes[len(leaves) :], nodes[0]), leaves


def rebuilt(J: Value, data: dict[Value, float]) -> dict[Value, Value]:
    """The same graph with other numbers in its leaves, computed by the engine: new node by old."""
    made: dict[Value, Value] = {}
    for node in topological_order(J):
        if node.parents:
            operands = (made[parent] for parent in node.parents)
            made[node] = operation(node._row)(*operands)
            made[node].label = node.label
        else:
            made[node] = Value(data.get(node, node.data), node.label)
            made[node]._row = node._row
    return made


_UNARY = {"neg", "exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "abs", "relu"}


def as_function(J: Value, leaves: list[Value]) -> Callable[..., Value]:
    """The function of its leaves that a graph computes."""
    order = topological_order(J)

    def f(*xs: Value) -> Value:
        made = dict(zip(leaves, xs, strict=True))
        for node in order:
            if node.parents:
                operands = (made[parent] for parent in node.parents)
                made[node] = OPERATIONS[node._row.name](*operands)
            else:
                made.setdefault(node, node)
        return made[J]

    return f
