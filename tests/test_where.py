import copy
import math
import pickle

import numpy as np
import pytest

from tinygrad_margin import (
    ReverseSweep,
    Tape,
    Value,
    depends_on,
    draw,
    explain,
    grad,
    gradcheck,
    hessian,
    jvp,
    page,
    recompute,
    topological_order,
)
from tinygrad_margin.where import where


@pytest.mark.parametrize(
    "condition", [True, False, np.bool_(True), np.float64(2) < 1, np.array(True)]
)
def test_only_the_branch_taken_is_in_the_graph(condition):
    a, b = Value(2.0, "a"), Value(5.0, "b")
    J = where(condition, a * a, b * b)
    taken, other = (a, b) if condition else (b, a)
    assert J.data == taken.data**2
    assert depends_on(J, taken)
    assert not depends_on(J, other)
    assert other not in topological_order(J)
    J.backward()
    assert (taken.grad, other.grad) == (2 * taken.data, 0.0)
    assert grad(J, [taken, other]) == [2 * taken.data, 0.0]
    assert hessian(J, [taken, other]) == [[2.0, 0.0], [0.0, 0.0]]
    assert jvp(J, {taken: 3.0, other: 1.0}) == 6.0 * taken.data


def test_the_other_branch_can_do_no_harm():
    x = Value(0.0, "x")
    assert grad(where(x.data > 0, Value(math.inf) * x, 3 * x), x) == 3.0  # no 0 · ∞


def test_numbers_are_branches_too_and_a_number_gets_no_gradient():
    x = Value(-2.0, "x")
    assert where(x.data > 0, x, 0).data == 0.0
    assert grad(where(x.data > 0, x, 0), x) == 0.0
    assert grad(where(x.data < 0, x, np.float32(1)), x) == 1.0
    assert isinstance(where(True, 1, 2), Value)


@pytest.mark.parametrize("word", ["true", "false"])
def test_picture_sentences_page_and_tape_say_which_branch(word):
    x = Value(2.0, "x")
    J = where(word == "true", x, x) * 3
    assert f"{word}_branch" in draw(J).source
    assert f"the condition was {word}: only this branch is in the graph" in str(explain(J, x))
    assert f"{word}_branch(x)" in str(ReverseSweep(J).run()[2])
    assert f"{word}_branch(x)" in page(J).html
    x.data = -2.0
    assert recompute(J) == -6.0
    x.data = 2.0
    assert recompute(J) == 6.0
    tape = Tape(J, [x])
    assert f"{word}_branch(x)" in tape.listing()
    for at in (1.5, np.array([1.0, -4.0])):
        value, (slope,) = tape.value_and_grad([at])
        np.testing.assert_array_equal(value, 3 * np.asarray(at))
        np.testing.assert_array_equal(slope, 3 * np.ones_like(at))
    for again in (copy.deepcopy(J), pickle.loads(pickle.dumps(J))):
        assert [n.op for n in topological_order(again)] == [n.op for n in topological_order(J)]


def test_gradcheck_of_a_function_with_a_choice():
    def leaky(x):
        return where(x.data > 0, x, 0.1 * x)

    assert gradcheck(leaky, [1.5])
    assert gradcheck(leaky, [-1.5])


@pytest.mark.parametrize("condition", [
    Value(1.0, "x"), 1, 0, 1.0, None, "x > 0", [True], np.array([True, False]), np.array([True]), np.int64(1),
])  # fmt: skip
def test_a_condition_is_a_bool(condition):
    with pytest.raises(TypeError, match=r"takes True or False; got .*where\(x\.data > 0, a, b\)"):
        where(condition, Value(1.0), Value(2.0))


@pytest.mark.parametrize(
    ("a", "b"), [("1", 2.0), (1.0, "2"), (Value(1.0), None), ([1.0], Value(2.0))]
)
def test_a_branch_is_a_value_or_a_number_whether_taken_or_not(a, b):
    for condition in (True, False):
        with pytest.raises(
            TypeError, match=r"where\(condition, a, b\), besides Values, takes a real number"
        ):
            where(condition, a, b)


def test_a_comparison_of_values_says_what_to_compare():
    x = Value(1.0, "x")
    with pytest.raises(TypeError, match=r"use v\.data"):
        where(x > 0, x, 0.0)
