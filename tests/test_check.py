"""Gradient checks: right slopes pass, wrong ones do not, kinks and edges are told apart."""

import dataclasses
import math
import random

import numpy as np
import pytest
from graphs import as_function, random_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_margin import (
    SlopeError,
    Value,
    engine,
    gradcheck,
    hinge_loss,
    margin_loss,
    maximum,
    minimum,
    numeric_grad,
    ops,
)
from tinygrad_margin.engine import OPERATIONS, constant
from tinygrad_margin.nn import MLP

# --- right slopes ---------------------------------------------------------------------------------

POINTS = {1: [(0.7,), (2.5,), (-1.3,), (1e-6,)], 2: [(0.7, 1.9), (2.5, 0.4), (1.5, -2.2)]}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation(name):
    row = ops.TABLE[name]
    for point in POINTS[row.arity]:
        if name in ("log", "sqrt") and point[0] < 0:
            continue
        if name == "pow_to_number":
            result = gradcheck(lambda a, b=point[1]: a**b, point[:1])
        elif name == "pow_of_number":
            result = gradcheck(lambda b, a=point[0]: a**b, point[1:])
        else:
            result = gradcheck(OPERATIONS[name], point)
        assert result, result
        assert result.notes == ()
        assert all(r.difference <= 1e-9 * max(1, abs(r.reverse)) for r in result.rows), result


@pytest.mark.parametrize(
    ("f", "at", "slope"),
    [
        (lambda x: x.log(), 1e-8, 1e8), (lambda x: x.log(), 1e-300, 1e300),
        (lambda x: x.sqrt(), 1e-15, 0.5e7 * math.sqrt(10)), (lambda x: 1 / x, 1e-8, -1e16),
        (lambda x: 1 / x, 1e8, -1e-16), (lambda x: x**-3, 1e-8, -3e32),
        (lambda x: x**2, 1e8, 2e8), (lambda x: x**2, 1e-8, 2e-8),
        (lambda x: x.sin(), 1e8, math.cos(1e8)), (lambda x: x.sin() + 1, 1e-8, 1.0),
        (lambda x: x.exp(), 700.0, math.exp(700)), (lambda x: x.exp(), -40.0, math.exp(-40)),
        (lambda x: x.exp(), 709.78, math.exp(709.78)), (lambda x: x * 1e300, 1.0, 1e300),
        (lambda x: x * 1e-30, 1.0, 1e-30), (lambda x: (1e3 * x).sin(), 0.3, 1e3 * math.cos(300)),
        (lambda x: (x * 1e6).exp(), 1e-6, 1e6 * math.e), (lambda x: x.tanh(), 2.0, 1 - math.tanh(2)**2),
        (lambda x: (-(x * x) / 1e-6).exp(), 1e-3, -2000 / math.e),  # a narrow peak: 0 to both sides
        (lambda x: x.cos(), 0.0, 0.0), (lambda x: x.sigmoid(), 40.0, 0.0), (lambda x: x**0, 0.0, 0.0),
        (lambda x: 0 * x, 1.0, 0.0), (lambda x: x**2, 0.0, 0.0), (lambda x: x.sqrt(), 1.7e308, 0.0),
    ],
)  # fmt: skip
def test_large_and_small(f, at, slope):
    result = gradcheck(f, [at])
    assert result, result
    assert numeric_grad(f, [at]) == pytest.approx([slope], rel=1e-8, abs=1e-14)


def test_cancellation_asks_for_long_steps():
    assert gradcheck(lambda x: (x + 1e8) - 1e8, [1.0])
    assert gradcheck(lambda x: (x * x + 1e8) - 1e8, [0.0])


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_random_graphs(seed):
    J, leaves = random_graph(seed)
    result = gradcheck(as_function(J, leaves), leaves)
    assert all(row.agrees for row in result.rows if not row.kink), result
    for row in result.rows:
        if row.kink:  # several kinks at once need not make a subgradient
            assert row.agrees or "several sit on their kinks" in str(result)


def test_networks_and_losses():
    net = MLP(2, [4, 1])
    assert gradcheck(lambda x_1, x_2: hinge_loss(net([x_1, x_2]), 1), [0.3, -0.8])
    assert gradcheck(margin_loss, [0.3, 0.5])
    assert gradcheck(margin_loss, [0.3, 0.5, 1.0])


def test_an_argument_without_effect():
    result = gradcheck(lambda x, y: x * 2, [1.0, 2.0])
    assert [(row.reverse, row.numeric, row.agrees) for row in result.rows] == [
        (2.0, pytest.approx(2.0), True), (0.0, 0.0, True),
    ]  # fmt: skip
    assert gradcheck(lambda x: constant(3.0), [1.0])


# --- wrong slopes ---------------------------------------------------------------------------------


def wrong(row, rule):
    made = engine._unary if row.arity == 1 else engine._binary
    return made(dataclasses.replace(row, name="mine", symbol="mine", rule=rule))


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (ops.TANH, lambda m, a, out: (1 - out,)),
        (ops.TANH, lambda m, a, out: (-(1 - out * out),)),
        (ops.TANH, lambda m, a, out: ((1 - out * out) * 1.0001,)),
        (ops.EXP, lambda m, a, out: (a,)),
        (ops.SIGMOID, lambda m, a, out: (out,)),
        (ops.RELU, lambda m, a, out: (1.0 - m.step(a, 0.0, 0.0),)),
        (ops.MUL, lambda m, a, b, out: (a, b)),
        (ops.DIV, lambda m, a, b, out: (1 / b, out / b)),
    ],
)
def test_a_wrong_derivative_is_caught_and_named(row, rule):
    mine = wrong(row, rule)
    if row.arity == 1:
        result = gradcheck(lambda w, x: mine(w * x) + x, [0.5, 2.2])
    else:
        result = gradcheck(lambda w, x: mine(w + 1, x) + x, [0.5, 2.2])
    assert not result
    assert "DIFFERS" in str(result)
    assert [note for note in result.notes if "wrong derivative of mine" in note]
    assert "mul" not in " ".join(result.notes)


def test_only_the_leaf_that_is_wrong_is_said_to_be():
    mine = wrong(ops.EXP, lambda m, a, out: (a,))
    result = gradcheck(lambda w, x: mine(w) + x.tanh(), [0.5, 2.0])
    assert [(row.leaf, row.agrees) for row in result.rows] == [("w", False), ("x", True)]
    first, second = str(result).splitlines()[1:3]
    assert first.endswith("DIFFERS")
    assert second.endswith("agrees")


def test_a_small_slope_with_the_wrong_sign():
    mine = wrong(ops.NEG, (1.0,))
    assert not gradcheck(lambda x: mine(1 / x), [1e8])
    assert not gradcheck(lambda x: mine(x * 1e-12), [1.0])


@pytest.mark.parametrize(
    "f", [lambda x: x * x.data, lambda x: Value(math.exp(x)), lambda x: x + float(x) ** 2]
)
def test_what_is_computed_outside_of_the_graph(f):
    result = gradcheck(f, [3.0])
    assert not result
    assert "outside of the graph" in result.notes[-1]


def test_tolerance():
    mine = wrong(ops.TANH, lambda m, a, out: ((1 - out * out) * 1.001,))
    assert not gradcheck(mine, [0.5])
    assert gradcheck(mine, [0.5], tolerance=0.01)
    for tolerance in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="tolerance"):
            gradcheck(mine, [0.5], tolerance=tolerance)


# --- kinks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "at", "sides", "reverse"),
    [
        (lambda x: x.relu(), 0.0, (0, 1), 0), (abs, 0.0, (-1, 1), 0),
        (lambda x: maximum(x, 0), 0.0, (0, 1), 0.5), (lambda x: minimum(x, 2 - x), 1.0, (1, -1), 0),
        (lambda x: abs(x) * 2 + x, 0.0, (-1, 3), 1), (lambda x: (x - 5).relu() * 3, 5.0, (0, 3), 0),
        (lambda x: (x * 1e-6 - 1).relu(), 1e6, (0, 1e-6), 0),
        (lambda x: x.relu() + x.exp(), 0.0, (1, 2), 1), (lambda x: -x.relu(), 0.0, (0, -1), 0),
        (lambda x: (x**2 + 3 * x).relu(), 0.0, (0, 3), 0),
    ],
)  # fmt: skip
def test_on_a_kink(f, at, sides, reverse):
    result = gradcheck(f, [at])
    (row,) = result.rows
    assert result, result
    assert row.sides == pytest.approx(sides, rel=1e-8, abs=1e-12)
    assert row.reverse == reverse
    assert row.difference < 1e-11
    assert row.numeric == pytest.approx(sum(sides) / 2)
    assert row.kink
    assert "sits on a kink" in result.notes[0]
    assert "a subgradient" in result.notes[0]
    assert numeric_grad(f, [at]) == [row.numeric]


def test_the_kink_is_named():
    result = gradcheck(margin_loss, [1.5, 0.5])
    assert [row.kink for row in result.rows] == ["max(z, 0)", "max(z, 0)"]
    assert (
        "s = 1.5 sits on a kink, of max(z, 0): the slope is −1 below and 0 above" in result.notes[0]
    )


def test_a_slope_that_is_no_subgradient():
    result = gradcheck(lambda x: x.relu() - maximum(x, 0), [0.0])
    assert not result
    assert (result.rows[0].sides, result.rows[0].reverse) == ((0.0, 0.0), -0.5)
    assert "does not lie between" in result.notes[0]
    assert "several sit on their kinks" in result.notes[-1]


def test_a_wrong_choice_on_a_kink():
    mine = wrong(ops.RELU, lambda m, a, out: (2.0,))
    assert not gradcheck(mine, [0.0])


@pytest.mark.parametrize("d", [1e-1, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15])
@pytest.mark.parametrize("sign", [1, -1])
def test_near_a_kink(d, sign):
    for f in (lambda x: x.relu() * 3 + x, lambda x: (1 + x - 1).relu() * 3 + x):
        result = gradcheck(f, [sign * d])
        assert result, result
        (row,) = result.rows
        assert (row.kink, row.sides) == ("", None)
        assert row.numeric == pytest.approx(4.0 if sign > 0 else 1.0, rel=1e-6)
        assert bool(result.notes) == (d < 1e-10)
        if result.notes:
            assert "very near to a kink, of relu(" in result.notes[0]
            assert "1 below and 4 above" in result.notes[0]


def test_a_kink_that_another_argument_sits_on():
    result = gradcheck(lambda x, y: x.sin() + y.relu(), [1.0, 0.0])
    assert [bool(row.kink) for row in result.rows] == [False, True]


def test_a_tie_everywhere_is_no_kink():
    result = gradcheck(lambda x: maximum(x, x), [3.0])
    assert result
    assert result.rows[0].kink == ""


def test_an_if_in_the_code():
    result = gradcheck(lambda x: 2 * x if x.data > 0 else -x, [0.0])
    assert result
    assert "computes something else there: the slope is −1 below and 2 above" in result.notes[0]
    assert gradcheck(lambda x: 2 * x if x.data > 0 else -x, [0.01])


# --- edges of the domain --------------------------------------------------------------------------


def test_one_sided_at_an_edge():
    result = gradcheck(lambda x: x**2.5 + x, [0.0])
    assert result, result
    assert result.notes == ("f has no value right below x = 0: its slope is the one from above.",)
    assert numeric_grad(lambda x: (1 - x) ** 3.5 + 2 * x, [1.0]) == [pytest.approx(2.0)]


def test_differences_that_do_not_settle():
    result = gradcheck(lambda x: x**1.25, [0.0])
    assert not result
    assert "not settled" in str(result)
    assert "wrong" not in str(result)
    with pytest.raises(ValueError, match="do not settle at x = 0"):
        numeric_grad(lambda x: x**1.25, [0.0])


def test_no_slope_on_either_side():
    def f(x):
        if x.data != 1.0:
            raise ValueError("only at 1")
        return x

    with pytest.raises(ValueError, match="no numeric slope in x at x = 1"):
        numeric_grad(f, [1.0])


def test_where_reverse_mode_has_no_slope():
    with pytest.raises(SlopeError, match=r"sqrt .*x = 0\.0"):
        gradcheck(Value.sqrt, [Value(0.0, "x")])
    with pytest.raises(ValueError, match=r"log .*x = -1"):
        gradcheck(lambda x: x.log(), [-1.0])


# --- what is given --------------------------------------------------------------------------------


def test_names():
    def f(s, *rest):
        return s + sum(rest, 0)

    assert [row.leaf for row in gradcheck(f, [1, 2, 3]).rows] == ["s", "x_2", "x_3"]
    assert [row.leaf for row in gradcheck(f, [Value(1), Value(2, "b")]).rows] == ["s", "b"]
    assert [row.leaf for row in gradcheck(maximum, (1, 2)).rows] == ["a", "b"]


def test_xs_are_not_touched():
    x = Value(2.0, "x")
    x.grad = 5.0
    assert gradcheck(lambda v: v * x, [x])
    assert (x.data, x.grad) == (2.0, 5.0)


def test_kinds_of_numbers():
    for xs in ([2, 3], (2.0, 3.0), np.array([2.0, 3.0]), iter([2.0, np.float32(3)])):
        assert numeric_grad(lambda a, b: a * b, xs) == pytest.approx([3.0, 2.0])


@pytest.mark.parametrize(
    ("f", "xs", "error", "words"),
    [
        (3, [1.0], TypeError, "f is a function of Values, not yet called; got int"),
        (Value(1.0), [1.0], TypeError, "function"),
        (abs, 2.0, TypeError, r"sequence of numbers.*\[2\.0\]"),
        (abs, Value(2.0), TypeError, "sequence"),
        (abs, "2", TypeError, "sequence"),
        (abs, ["2"], TypeError, "xs takes a real number; got str"),
        (abs, [None], TypeError, "NoneType"),
        (abs, [], ValueError, "xs is empty"),
        (abs, [math.inf], ValueError, "finite"),
        (abs, [math.nan], ValueError, "finite"),
        (lambda x: math.exp(x), [1.0], TypeError, r"returned float 2\.7.*x\.exp\(\)"),
        (lambda x: x.data, [1.0], TypeError, r"x\.data.*plain numbers"),
        (lambda x: None, [1.0], TypeError, "returned NoneType"),
        (lambda x: [x], [1.0], TypeError, "returned list"),
        (lambda x: x * math.nan, [1.0], ValueError, "f is nan at x = 1.0"),
        (lambda x: x * math.inf, [1.0], ValueError, "f is inf"),
        (lambda x: x * random.random(), [1.0], ValueError, "called again.*random"),
        (lambda x: x, [1.0, 2.0], TypeError, "argument"),
    ],
)
def test_what_is_refused(f, xs, error, words):
    for check in (gradcheck, numeric_grad):
        with pytest.raises(error, match=words):
            check(f, xs)


def test_the_table_is_aligned():
    result = gradcheck(lambda alpha, b: alpha * b - 1e-6 * b.exp(), [-0.5, 2.0])
    lines = str(result).splitlines()
    assert lines[0].split() == ["leaf", "reverse", "numeric", "difference"]
    assert lines[0].index("reverse") == lines[1].index("2") == lines[2].index("−0.5000")
    assert "-" not in str(result)
    assert repr(result) == str(result)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.tolerance = 1.0
