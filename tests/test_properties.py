"""Random graphs of every operation: whatever computes a gradient gives the same one.

    python -m pytest tests/test_properties.py                               # a few hundred graphs
    python -m pytest tests/test_properties.py --hypothesis-profile=long     # more than 10,000

At the end stands how many graphs there were, and how far the ways were apart at worst.
"""

import math
import operator
import pickle
from collections import Counter

import numpy as np
import pygraphviz
import pytest
from graphs import as_function
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tinygrad_margin import (
    ReverseSweep,
    SlopeError,
    Tape,
    Value,
    draw,
    evaluation_trace,
    explain,
    grad,
    gradcheck,
    jvp,
    topological_order,
)
from tinygrad_margin.engine import OPERATIONS, adjoints, constant, local_derivatives, with_gradient
from tinygrad_margin.graph import count_paths, edge_paths
from tinygrad_margin.ops import TABLE

SEEN: Counter = Counter()  # graphs, by what was checked
WORST: dict[str, float] = {}  # the largest difference, beside what it is a sum of
USED: Counter = Counter()  # operations
DIFFERENCES: Counter = Counter()  # graphs that finite differences were tried on, by what they said

NUMBERS = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]) | st.floats(-3, 3, width=32)


def summary():
    """What is told at the end, see conftest.py."""
    for name, count in SEEN.items():
        worst = f"; worst difference {WORST[name]:.1e}" if name in WORST else ""
        yield f"{name}: {count:,} graphs{worst}"
    if DIFFERENCES:
        found = ", ".join(f"{count:,} {what}" for what, count in DIFFERENCES.most_common())
        yield f"finite differences: {DIFFERENCES.total():,} graphs tried: {found}"
    if USED:
        name, count = min(USED.items(), key=lambda each: each[1])
        yield f"every operation: at least {count:,} times ({name})"


@st.composite
def graphs(draw, labels=st.just("")):
    """A root and its leaves: shared nodes, constants, ties; deep or wide as it comes."""
    leaves = [Value(x, f"x_{i}") for i, x in enumerate(draw(st.lists(NUMBERS, min_size=1, max_size=4)))]
    nodes = [*leaves]
    names = sorted(TABLE)
    for _ in range(draw(st.integers(1, 14))):
        row = TABLE[draw(st.sampled_from(names))]
        operands = []
        for _ in range(row.arity):
            i = draw(st.integers(-1, len(nodes) - 1))  # the last ones, too: that makes depth
            operands.append(constant(draw(NUMBERS)) if i < 0 else nodes[-1 - i])
        if row.name == "pow_of_number":
            operands[0] = constant(draw(NUMBERS))
        if row.name == "pow_to_number":
            operands[1] = constant(draw(NUMBERS))
        try:
            node = OPERATIONS[row.name](*operands)
        except (ArithmeticError, ValueError):  # outside its domain
            node = operands[0] - operands[-1]
        if not abs(node.data) < 1e6:
            node = node.tanh()
        node.label = draw(labels)
        nodes.append(node)
    J = sum(nodes[len(leaves) + 1 :], nodes[len(leaves)])
    return J, leaves


def noted(name, graph, difference=None):
    """Count a graph, and keep the largest difference."""
    SEEN[name] += 1
    USED.update(node._row.name for node in topological_order(graph) if node.parents)
    if difference is not None:
        WORST[name] = max(WORST.get(name, 0.0), difference)
        assert difference < 1e-11, name


def scales(J):
    """For each node the sum over all paths of the sizes of its products: what rounding goes by.

    A slope of a saturated tanh, 1 − tanh², is right to the last digit of the 1, not of itself.
    """
    found = dict.fromkeys(topological_order(J), 0.0)
    found[J] = 1.0
    for node in with_gradient(found):
        for parent, slope in zip(node.parents, local_derivatives(node), strict=True):
            found[parent] += found[node] * max(abs(slope), 1e-4)
    return found


def slopes(J, leaves):
    """The gradient, and what its rounding goes by; graphs without one are passed over."""
    try:
        reverse = adjoints(J)
    except (SlopeError, OverflowError):
        with pytest.raises((SlopeError, OverflowError)):
            ReverseSweep(J).run()
        with pytest.raises((SlopeError, OverflowError)):
            J.backward()
        assert all(leaf.grad == 0.0 for leaf in leaves)
        reverse = None
    assume(reverse is not None)
    size = scales(J)
    assume(all(math.isfinite(x) for x in (*reverse.values(), *size.values())))
    return [reverse.get(leaf, 0.0) for leaf in leaves], [size.get(leaf, 0.0) + 1e-9 for leaf in leaves]


def is_at_origin(J):
    """Whether there is an xᵖ at x = p = 0: its slope in p is 0 by convention, and in truth −∞."""
    return any(
        node._row.name.startswith("pow") and [parent.data for parent in node.parents] == [0.0, 0.0]
        for node in topological_order(J)
    )


def apart(found, expected, sizes):
    """How far two gradients are apart, beside what they are sums of."""
    return max(abs(a - b) / size for a, b, size in zip(found, expected, sizes, strict=True))


@given(graphs())
def test_reverse_forward_step_by_step_and_path_by_path(graph):
    J, leaves = graph
    reverse, sizes = slopes(J, leaves)
    order = topological_order(J)
    places = {node: i for i, node in enumerate(order)}
    assert len(places) == len(order)
    assert order[-1] is J
    assert all(places[parent] < places[node] for node in order for parent in node.parents)
    J.backward()
    assert [leaf.grad for leaf in leaves] == [x + 0.0 for x in reverse]
    sweep = ReverseSweep(J)
    sweep.run()
    assert [sweep.totals.get(leaf, 0.0) for leaf in leaves] == reverse
    assert grad(J, leaves) == reverse
    noted("reverse mode, backward and ReverseSweep, the same to the bit", J)
    forward = [jvp(J, {leaf: 1.0}) for leaf in leaves]
    noted("forward mode", J, apart(forward, reverse, sizes))
    if sum(count_paths(J, leaf) for leaf in leaves) <= 2_000:
        summed = [
            math.fsum(
                math.prod(local_derivatives(edge.node)[edge.place] for edge in path)
                for path in edge_paths(J, leaf)
            )
            for leaf in leaves
        ]
        noted("sum over all paths", J, apart(summed, reverse, sizes))


@given(graphs())
def test_the_graph_of_the_gradient(graph):
    J, leaves = graph
    reverse, sizes = slopes(J, leaves)
    before = [(node.data, node.grad, node.label) for node in topological_order(J)]
    try:
        found = [slope.data for slope in grad(J, leaves, create_graph=True)]
    except SlopeError:
        assert is_at_origin(J)
        return
    assert [(node.data, node.grad, node.label) for node in topological_order(J)] == before
    noted("gradient graph", J, apart(found, reverse, sizes))


@given(graphs(), st.data())
def test_the_tape(graph, data):
    J, leaves = graph
    reverse, sizes = slopes(J, leaves)
    tape = pickle.loads(pickle.dumps(Tape(J, leaves)))
    value, found = tape.value_and_grad([leaf.data for leaf in leaves])
    assert math.isclose(value, J.data, rel_tol=1e-12, abs_tol=1e-12)
    noted("tape, numbers", J, apart(found, reverse, sizes))
    items = data.draw(st.integers(1, 5))
    xs = [np.full(items, leaf.data) for leaf in leaves]
    values, found = tape.value_and_grad(xs)
    largest = max(abs(node.data) for node in topological_order(J))
    assert np.allclose(values, J.data, rtol=1e-12, atol=1e-12 * max(1.0, largest))
    noted("tape, arrays", J, max(apart([x[k] for x in found], reverse, sizes) for k in range(items)))


@given(graphs())
@settings(max_examples=max(50, settings().max_examples // 5))
def test_differences(graph):
    J, leaves = graph
    _, sizes = slopes(J, leaves)
    kinked = any(node.is_at_kink for node in topological_order(J))
    try:
        result = gradcheck(as_function(J, leaves), [leaf.data for leaf in leaves])
    except ValueError:  # f has no value on either side
        DIFFERENCES["of no use, as f has no value beside"] += 1
        return
    assert "wrong derivative" not in str(result)
    settled = [row for row in result.rows if row.verdict not in ("not settled", "no slope")]
    assert is_at_origin(J) or all(row.verdict != "no slope" for row in result.rows), str(result)
    if len(settled) < len(result.rows):
        DIFFERENCES["not settled"] += 1
    elif kinked:
        DIFFERENCES["on a kink, " + ("a subgradient" if result else "none that agrees")] += 1
    else:
        DIFFERENCES["agree"] += 1
        USED.update(node._row.name for node in topological_order(J) if node.parents)
    hidden = [row.difference < 1e-12 * size for row, size in zip(result.rows, sizes, strict=True)]
    agree = [row.agrees or row not in settled for row in result.rows]
    assert kinked or all(map(operator.or_, agree, hidden)), str(result)  # large terms may cancel


@given(graphs(labels=st.text(max_size=12)), st.text(max_size=20))
@settings(max_examples=max(50, settings().max_examples // 5))
def test_pictures_and_words_leave_the_graph_as_it_is(graph, title):
    J, leaves = graph
    leaves[0].label = title
    before = [(node.data, node.grad, node.label) for node in topological_order(J)]
    pygraphviz.AGraph(draw(J).source).close()
    try:
        for step in ReverseSweep(J):
            assert str(step)
        assert str(evaluation_trace(J))
        assert str(explain(J, leaves[0]))
    except (SlopeError, OverflowError):
        pass
    assert [(node.data, node.grad, node.label) for node in topological_order(J)] == before
    noted("DOT text that parses, with any labels", J)
