"""Gradient checks: what is given, and how often f is called."""

import dataclasses
import math
import random

import numpy as np
import pytest

from tinygrad_margin import (
    Value,
    gradcheck,
    maximum,
    numeric_grad,
    primitive,
)
from tinygrad_margin.nn import MLP

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
        (abs, 2.0, TypeError, r"a list with a number for each argument of f; got 2\.0"),
        (abs, Value(2.0), TypeError, "a list"),
        (abs, ["2"], TypeError, "xs takes a real number; got str"),
        (abs, [None], TypeError, "NoneType"),
        (abs, [], ValueError, "one for each argument"),
        (abs, [math.inf], ValueError, "finite"),
        (abs, [math.nan], ValueError, "finite"),
        (lambda x: math.exp(x), [1.0], TypeError, r"returned float 2\.7.*x\.exp\(\)"),
        (lambda x: x.data, [1.0], TypeError, r"plain numbers x\.data"),
        (lambda x: None, [1.0], TypeError, "returned NoneType"),
        (lambda x: [x], [1.0], TypeError, "returned list"),
        (lambda x: x * math.nan, [1.0], ValueError, r"f is nan at xs = \[1\.0\]"),
        (lambda x: x * math.inf, [1.0], ValueError, "f is inf"),
        (lambda x: x * random.random(), [1.0], ValueError, "when it is called again"),
        (lambda x: x, [1.0, 2.0], TypeError, "takes 1 positional argument but 2 were given"),
        (lambda x, y: x, [1.0], TypeError, "missing 1 required positional argument: 'y'"),
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


# --- how f is called ------------------------------------------------------------------------------


@pytest.mark.parametrize("toss", [random.random, np.random.rand])
def test_a_coin_toss_never_gets_through(toss):
    for _ in range(60):
        with pytest.raises(ValueError, match="when it is called again"):
            gradcheck(lambda x: x * (2 if toss() < 0.5 else 3), [1.0])


def test_a_function_that_seeds_its_own_random_numbers_is_not_random():
    def f(x):
        return x * random.Random(3).random() + x * np.random.default_rng(1).random()

    assert gradcheck(f, [1.0])


@pytest.mark.parametrize("n", [1, 2, 300])
def test_f_is_called_ten_times_at_most_for_each_argument(n):
    calls = []

    def f(*xs):
        calls.append(1)
        return sum((0.01 * x).tanh() for x in xs)

    assert gradcheck(f, [0.5] * n)
    assert len(calls) <= 10
    calls.clear()
    gradcheck(lambda *xs: f(*xs) * xs[0].data, [0.5] * n)
    assert len(calls) <= 10 * n


def test_a_network_whose_weights_are_written_is_told_apart():
    model = MLP(2, [2, 1])

    def loss(*ps):
        for p, q in zip(model.parameters(), ps, strict=True):
            p.data = q.data
        return (model([0.5, -1.0]) - 1) ** 2

    result = gradcheck(loss, [p.data for p in model.parameters()])
    assert {row.verdict for row in result.rows} == {"off the graph"}
    assert len(result.notes) == 1
    assert "sets weights that it keeps (w.data = x_1.data)" in " ".join(result.notes[0].split())


def test_a_flat_place_of_an_operation_of_ones_own():
    cube = primitive("cube", lambda x: x**3, lambda x, out: (3 * x**2,))
    assert gradcheck(cube, [0.0])


def bisection(x):
    low, high = 0.0, max(1.0, x)
    while high - low > 1e-15 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if middle * middle < x else (low, middle)
    return (low + high) / 2


@pytest.mark.parametrize("x", [0.01, 0.5, 2.0, 7.5, 300.0])
def test_a_loop_inside_of_an_operation_is_not_taken_for_a_formula(x):
    assert gradcheck(primitive("root", bisection, lambda x, out: (0.5 / out,)), [x])
    for slope in (lambda x, out: (1 / out,), lambda x, out: (0.0,)):
        assert not gradcheck(primitive("root", bisection, slope), [x])


def halved(x, high):
    low = Value(0.0)
    for _ in range(45):
        middle = (low + high) / 2
        low, high = (middle, high) if middle.data**2 < x.data else (low, middle)
    return low


def overwritten(x):
    y = x * x
    y.data = min(y.data, 1.0)
    return y * 1


def doubled_in_place(x):
    x.data = x.data * 2
    return x * x


def captured(x):
    c = x.data
    return primitive("scale", lambda a: a * c, lambda a, out: (c,))(x)


@pytest.mark.parametrize(
    ("f", "slope"), [(overwritten, 0.0), (doubled_in_place, 24.0), (captured, 6.0)]
)
def test_what_f_does_to_numbers_is_off_the_graph(f, slope):
    (row,) = gradcheck(f, [3.0]).rows
    assert (row.verdict, row.numeric) == ("off the graph", pytest.approx(slope, rel=1e-6, abs=1e-6))


def test_a_search_by_values_has_another_slope_than_its_graph():
    for high in (lambda x: x + 1, lambda x: maximum(x, 1.0)):
        (row,) = gradcheck(lambda x, high=high: halved(x, high(x)), [2.0]).rows
        assert (row.verdict, row.numeric) == ("DIFFERS", pytest.approx(0.5 / 2**0.5, rel=1e-5))


def test_what_f_keeps_is_left_as_it_was_at_xs():
    w = Value(0.1)

    def f(a):
        w.data = a.data
        return (w * 3).tanh()

    gradcheck(f, [0.2])
    assert w.data == 0.2
    numeric_grad(f, [0.3])
    assert w.data == 0.3


@pytest.mark.parametrize(
    "f", [lambda x: Value(x.data) + 1e10, lambda x: x * (1 if x.data > 2 else 5)]
)
def test_a_numeric_slope_that_cannot_be_measured(f):
    with pytest.raises(ValueError, match="no slope of f in x at xs"):
        numeric_grad(f, [2.0])


def test_only_the_operand_with_the_wrong_slope_is_accused():
    hypot = primitive("hypot", math.hypot, lambda a, b, out: (a / out, b / out * 1.001))
    assert [row.verdict for row in gradcheck(hypot, [3.0, 4.0]).rows] == ["agrees", "DIFFERS"]


def test_arguments_that_f_does_not_use():
    net = MLP(2, [2, 1])
    result = gradcheck(lambda *w: net([1.0, 2.0]), net.parameters())
    assert result.notes[0].startswith("f uses none of its arguments")


def test_small_slopes_of_floats_are_not_absolved():
    mine = primitive("mine", math.exp, lambda x, out: (-out,))
    assert not gradcheck(mine, [-30.0])
    assert not gradcheck(
        primitive("far", lambda x: x**-20, lambda x, out: (-10 * x**-21,)), [100.0]
    )
