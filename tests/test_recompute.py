"""Forward again over the same graph."""

import math
import random

import pytest
from graphs import random_graph, rebuilt
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_margin import (
    ReverseSweep,
    Value,
    margin_loss,
    maximum,
    primitive,
    recompute,
    topological_order,
)


@given(st.integers(0, 10**9))
def test_it_is_the_graph_built_anew(seed):
    J, leaves = random_graph(seed)
    rng = random.Random(seed)
    data = {leaf: leaf.data + rng.choice([0.0, 0.5, -1.0]) for leaf in leaves}
    before = [(node.data, node.grad) for node in topological_order(J)]
    try:
        expected = rebuilt(J, data)
    except (ArithmeticError, ValueError) as error:
        expected = error
    for leaf, x in data.items():
        leaf.data = x
    if isinstance(expected, Exception):
        after = [node.data for node in topological_order(J)]
        with pytest.raises(type(expected)):
            recompute(J)
        assert [node.data for node in topological_order(J)] == after
        return
    assert recompute(J) == J.data
    for node, (_, grad) in zip(topological_order(J), before, strict=True):
        assert node.data == expected[node].data if node in expected else True
        assert node.grad == grad


def test_a_graph_in_a_loop():
    s, s_c = Value(0.3), Value(0.5)
    J = margin_loss(s, s_c)
    losses = []
    for _ in range(9):
        J.zero_grad()
        J.backward()
        s.data -= 0.1 * s.grad
        s_c.data -= 0.1 * s_c.grad
        losses.append(recompute(J))
    assert losses == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.0, 0.0, 0.0, 0.0])


def test_if_an_operation_has_no_value_nothing_changes():
    x, y = Value(2.0, "x"), Value(3.0, "y")
    fussy = primitive("fussy", lambda a: 1 / a, lambda a, out: (-out / a,))
    J = fussy(x.exp() * y) + (x - 1).log()
    J.backward()
    before = [(node.data, node.grad) for node in topological_order(J)]
    for data, error, words in (
        ((1.0, 3.0), ValueError, r"log needs an operand above 0; got 0\.0"),
        ((2.0, 0.0), ZeroDivisionError, r"fussy needs .* got 0\.0"),
        ((1e3, 3.0), OverflowError, r"exp gives .* got x = 1000\.0"),
    ):
        x.data, y.data = data
        with pytest.raises(error, match=words):
            recompute(J)
        x.data, y.data = 2.0, 3.0
        assert [(node.data, node.grad) for node in topological_order(J)] == before


def test_an_interrupt_changes_nothing():
    def interrupted(a):
        if a > 5.0:
            raise KeyboardInterrupt
        return a

    x = Value(1.0)
    J = primitive("slow", interrupted, lambda a, out: (1.0,))(x * 2) + x
    x.data = 3.0
    with pytest.raises(KeyboardInterrupt):
        recompute(J)
    assert [node.data for node in topological_order(J) if node.parents] == [2.0, 2.0, 3.0]


def test_a_kink_is_decided_anew_and_a_deep_graph_is_no_trouble():
    x = Value(1.0, "x")
    J = maximum(x, 0.0, -x)
    x.data = -3.0
    assert recompute(J) == 3.0
    assert ReverseSweep(J).run()[0].contributions[2].derivative == 1.0
    deep = x
    for _ in range(100_000):
        deep = deep + 1.0
    x.data = math.pi
    assert recompute(deep) == pytest.approx(math.pi + 1e5)
    assert recompute(x) == math.pi
    with pytest.raises(TypeError, match=r"recompute\(J\) takes Values"):
        recompute(3.0)
