import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_margin import (
    Value,
    grad,
    hinge_loss,
    margin_loss,
    multiclass_margin_loss,
    topological_order,
)

scores = st.floats(-5, 5)


@given(scores, scores, st.floats(0, 3))
def test_margin_loss_is_its_formula_in_all_three_regimes(s, s_c, delta):
    true, corrupted = Value(s), Value(s_c)
    J = margin_loss(true, corrupted, delta)
    z = delta + s_c - s
    assert J.data == max(z, 0.0)
    slope = 1.0 if z > 0 else 0.0 if z < 0 else 0.5
    assert grad(J, [true, corrupted]) == [-slope, slope]


def test_margin_loss_is_an_explicit_graph_on_the_nodes_passed_in():
    s, s_c = Value(0.3, "mine"), Value(0.5)
    J = margin_loss(s, s_c)
    order = topological_order(J)
    assert s in order
    assert s_c in order
    assert [node.op for node in order] == ["", "", "+", "", "-", "", "max"]
    assert [node.label for node in order] == ["Δ", "s_c", "", "mine", "z", "", "J"]
    assert [node.data for node in J.parents] == [1.2, 0.0]


def test_numbers_and_values_are_taken_for_every_argument():
    assert margin_loss(0.3, 0.5).data == 1.2
    assert margin_loss(np.float64(0.3), 1, 2).data == 2.7
    delta = Value(2.0)
    assert grad(margin_loss(0.3, 0.5, delta), delta) == 1.0
    assert hinge_loss(0.25, 1).data == 0.75
    assert multiclass_margin_loss([1, Value(2.0), 3.0], 1).data == 2.0


@pytest.mark.parametrize("delta", [-1.0, -1e-9, math.nan, math.inf, Value(-1.0), np.float64(-2)])
def test_a_negative_or_infinite_margin_is_refused(delta):
    for call in (
        lambda: margin_loss(1.0, 2.0, delta),
        lambda: hinge_loss(1.0, 1, delta),
        lambda: multiclass_margin_loss([1.0, 2.0], 0, delta),
    ):
        with pytest.raises(ValueError, match="delta"):
            call()


def test_bad_input_leaves_no_label_behind():
    s_c = Value(0.5)
    with pytest.raises(TypeError, match="score"):
        margin_loss("s", s_c)
    with pytest.raises(TypeError, match="delta"):
        margin_loss(s_c, s_c, "1")
    assert s_c.label == ""


@pytest.mark.parametrize("y", [1, -1, 1.0, np.int64(-1), True])
def test_hinge_loss_takes_either_class(y):
    s = Value(0.25)
    J = hinge_loss(s, y)
    assert J.data == 1 - y * 0.25
    assert grad(J, s) == -float(y)


@pytest.mark.parametrize("y", [0, 2, 0.5, math.nan, False])
def test_hinge_loss_refuses_other_classes(y):
    with pytest.raises(ValueError, match="1 or -1"):
        hinge_loss(Value(0.25), y)


@given(st.lists(scores, min_size=1, max_size=6), st.data())
def test_multiclass_margin_loss_is_its_formula(numbers, data):
    target = data.draw(st.integers(0, len(numbers) - 1))
    values = [Value(x) for x in numbers]
    J = multiclass_margin_loss(values, target)
    terms = [1.0 + x - numbers[target] for j, x in enumerate(numbers) if j != target]
    assert J.data == pytest.approx(sum(max(0.0, t) for t in terms), abs=1e-12)
    assert J.label == "J"
    assert [v.label for v in values] == [f"s_{j}" for j in range(len(values))]
    slopes = [1.0 if t > 0 else 0.5 if t == 0 else 0.0 for t in terms]
    found = grad(J, values)
    assert found.pop(target) == -sum(slopes)
    assert found == slopes


@pytest.mark.parametrize("target", [-1, 3, 10])
def test_a_target_out_of_range_is_refused(target):
    with pytest.raises(ValueError, match="target"):
        multiclass_margin_loss([1.0, 2.0, 3.0], target)
    with pytest.raises(ValueError, match="target"):
        multiclass_margin_loss([], 0)
    with pytest.raises(TypeError):
        multiclass_margin_loss([1.0], 0.0)
