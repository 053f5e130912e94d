"""The fast sweep that ``backward`` runs, against the plain one in the book."""

import math

import pytest
from graphs import random_graph
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_margin import (
    SlopeError,
    Value,
    cross_entropy,
    maximum,
    primitive,
    topological_order,
)
from tinygrad_margin.engine import adjoints
from tinygrad_margin.fast_engine import sweep

fma = primitive("fma", lambda a, b, c: a * b + c, lambda a, b, c, out: (b, a, 1.0))


def same(J):
    """Whether the fast sweep gives every node the total of the plain one, to the last bit."""
    plain = adjoints(J)
    leaves = sweep(J, adjoints)
    for node in topological_order(J):
        fast = node.grad if node.parents else leaves[node]
        assert fast == plain[node] or (math.isnan(fast) and math.isnan(plain[node]))
    return len(leaves)


@given(st.integers(0, 10**9))
def test_the_fast_sweep_is_the_plain_one(seed):
    J, _ = random_graph(seed)
    assert same(J)


def test_a_leaf_alone_and_nodes_with_three_operands():
    a, b = Value(2.0), Value(3.0)
    assert same(a) == 1
    assert same(fma(a, b, a) * a) == 2
    assert same((a * b).tanh() + a * a) == 2
    c = a * b
    assert same(fma(c, fma(a, c, a * a), c) * fma(c, c, c) + maximum(c, a, c, b) * c) == 2


def test_nodes_with_many_operands_need_no_plain_sweep():
    scores = [Value(0.1 * i) * 2.0 for i in range(40)]
    sweep(cross_entropy(scores, 3) + maximum(*scores), lambda J: pytest.fail("the plain sweep"))


def test_the_plain_sweep_names_what_is_wrong():
    x = Value(0.0, "x")
    with pytest.raises(SlopeError, match="sqrt has a value at x = 0.0 but no slope"):
        sweep(x.sqrt() * 2, adjoints)
    with pytest.raises(OverflowError, match="the slope of / at 1.0, y = 1e-200 is too large"):
        sweep(1 / Value(1e-200, "y"), adjoints)
