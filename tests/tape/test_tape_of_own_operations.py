"""A tape of operations of a user's own: formulas run on arrays, other functions item by item."""

import copy
import itertools
import math
import pickle
import random

import numpy as np
import pytest
from graphs import rebuilt
from own_operations import (
    CUBE,
    FMA,
    OWN,
    SOFTPLUS,
    SUM,
    clamp,
    clamp_slope,
    doubled,
    doubled_slope,
    mixed_graph,
)  # fmt: skip
from same_as_engine import expected

from tinygrad_margin import SlopeError, Tape, Value, grad, page, primitive


def newton(a):
    """√a: each round uses the last one three times."""
    y = 1.0 + a * 0.0
    for _ in range(40):
        y = 0.5 * (y + a / y)
    return y


def test_a_formula_that_grows_without_end_is_not_written():
    root = primitive("root", newton, lambda a, out: 0.5 / out)
    a = Value(2.0, "a")
    with pytest.raises(TypeError, match="cannot show root.*more than 10,000 characters"):
        page(root(a))
    value, (slope,) = Tape(root(a), [a]).value_and_grad([np.array([2.0, 9.0])])
    np.testing.assert_allclose(value, [math.sqrt(2.0), 3.0], rtol=1e-15)
    np.testing.assert_allclose(slope, [0.5 / math.sqrt(2.0), 1 / 6], rtol=1e-15)


@pytest.mark.parametrize("seed", range(60))
def test_the_tape_gives_what_the_engine_gives(seed):
    rng = random.Random(seed)
    J, leaves = mixed_graph(seed, size=rng.randrange(1, 25))
    draw_ = np.random.default_rng(seed)
    items = rng.choice([1, 2, 7])
    for mask in itertools.product([False, True], repeat=len(leaves)):
        xs = [draw_.uniform(-1, 1, items) if is_array else rng.uniform(-1, 1) for is_array in mask]
        values, slopes = expected(J, leaves, xs, items)
        tape = Tape(J, leaves)
        value, found = tape.value_and_grad(xs)
        np.testing.assert_allclose(
            value, values if np.ndim(value) else values[0], rtol=1e-12, atol=1e-12
        )
        size = max(1.0, np.abs(slopes).max())
        for x, slope, wanted in zip(xs, found, slopes, strict=True):
            wanted = (
                wanted if isinstance(x, np.ndarray) else wanted[: items if any(mask) else 1].sum()
            )
            np.testing.assert_allclose(slope, wanted, rtol=1e-11, atol=1e-12 * size)
        np.testing.assert_array_equal(tape.value(xs), value)


@pytest.mark.parametrize("f", OWN, ids=lambda f: f.__name__)
def test_a_large_tape_of_numbers_runs_the_same_rows(f):
    leaves = [Value(0.1 * i, f"x_{i}") for i in range(1, OWN[f] + 1)]
    J = sum(f(*(leaf * (1 + k / 200) for leaf in leaves)) for k in range(200))
    numbers = [leaf.data + 0.25 for leaf in leaves]
    K = rebuilt(J, dict(zip(leaves, numbers, strict=True)))
    value, slopes = Tape(J, leaves).value_and_grad(numbers)
    assert value == pytest.approx(K[J].data, rel=1e-12)
    np.testing.assert_allclose(
        slopes, grad(K[J], [K[leaf] for leaf in leaves]), rtol=1e-11, atol=1e-12
    )


def test_the_tape_lists_the_symbol_and_the_slopes():
    x, y = Value(0.5, "x"), Value(2.0, "y")
    tape = Tape(SOFTPLUS(CUBE(x)) * FMA(x, y, 1.0), [x, y])
    assert repr(tape) == "Tape(4 operations: 1 mul, 1 cube, 1 softplus, 1 fma; 3 levels; 2 inputs)"
    lines = tape.listing().splitlines()
    assert "v₁ = x³(x)" in lines
    assert "v₂ = softplus(v₁)" in lines
    assert "v₃ = fma(x, y, 1)" in lines
    assert "∂J/∂v₁ = ∂J/∂v₂ · ∂v₂/∂v₁" in lines
    assert "∂J/∂x = ∂J/∂v₃ · y + ∂J/∂v₁ · (3 · x^2)" in lines


def test_outside_the_domain_an_item_is_nan_and_the_others_are_as_they_are():
    x = Value(1.0, "x")
    log = primitive("mylog", math.log, lambda x, out: (1.0 / x,))
    value, (slope,) = Tape(log(x), [x]).value_and_grad([np.array([1.0, -1.0, 0.0, math.e])])
    np.testing.assert_array_equal(value, [0.0, math.nan, math.nan, 1.0])
    np.testing.assert_array_equal(slope, [1.0, -1.0, math.inf, 1 / math.e])
    tape = Tape(log(x), [x])
    assert math.isnan(tape.value([-1.0]))
    inverse = primitive("inverse", lambda x: 1 / x, lambda x, out: -out * out)
    assert Tape(inverse(x), [x]).value([np.array([0.0, 2.0])]).tolist() == [math.inf, 0.5]
    root = primitive("root", lambda x: x**0.5, lambda x, out: 0.5 / out)
    np.testing.assert_array_equal(
        Tape(root(x), [x]).value([np.array([4.0, -1.0])]), [2.0, math.nan]
    )
    assert math.isnan(Tape(root(x), [x]).value([-1.0]))
    assert len(Tape(log(x), [x]).value([np.empty(0)])) == 0


def test_a_function_that_changes_its_operands_harms_nobody():
    def value(x, y):
        x *= y
        x += 1.0
        return x

    def partials(x, y, out):
        x *= 1.0
        out *= 0.0
        return y + out, x

    x, y = Value(2.0, "x"), Value(3.0, "y")
    J = primitive("f", value, partials)(x, y) * x
    for xs in ([np.array([1.0, 2.0]), np.array([5.0, 7.0])], [2.0, np.array([5.0, 7.0])]):
        found, slopes = Tape(J, [x, y]).value_and_grad(xs)
        a, b = (np.broadcast_to(each, 2) for each in xs)
        np.testing.assert_allclose(found, (a * b + 1) * a)
        wanted = a * b + 1 + a * b
        np.testing.assert_allclose(slopes[0], wanted if np.ndim(xs[0]) else wanted.sum())
        np.testing.assert_allclose(slopes[1], a * a)


def test_a_sum_that_a_wide_node_uses_too_is_computed():
    x, y, z = (Value(v, name) for v, name in ((0.5, "x"), (2.0, "y"), (-1.0, "z")))
    s = x + y
    products = [x * y for _ in range(20)]
    J = (s + z) * FMA(x, y, s) + sum(products, x) * SUM(*products)
    K = grad(J, [x, y, z])
    for xs in ([0.5, 2.0, -1.0], [np.array([0.5]), np.array([2.0]), np.array([-1.0])]):
        value, slopes = Tape(J, [x, y, z]).value_and_grad(xs)
        assert float(np.squeeze(value)) == pytest.approx(J.data, rel=1e-14)
        assert [float(np.squeeze(slope)) for slope in slopes] == pytest.approx(K, rel=1e-13)


def test_slopes_that_are_one_object_are_handed_to_each():
    f = primitive("f", lambda x, y: x * y, lambda x, y, out: (lambda s: (s, s))(x + y))
    x, y = Value(1.0, "x"), Value(2.0, "y")
    for J in (f(x, y), f(x, y).tanh(), f(x * 1.5, y + x)):
        many = [np.array([0.1, 0.5]), np.array([0.7, 0.2])]
        _, slopes = Tape(J, [x, y]).value_and_grad(many)
        for i in range(2):
            made = rebuilt(J, {x: many[0][i], y: many[1][i]})
            np.testing.assert_allclose(
                [slope[i] for slope in slopes], grad(made[J], [made[x], made[y]]), rtol=1e-12
            )


def test_a_slope_that_is_missing_at_a_constant_does_not_stop_the_tape():
    f = primitive("f", lambda x, y: x * y, lambda x, y, out: (1 / y, y**0.5))
    x = Value(2.0, "x")
    J = f(x, 0.0)
    with pytest.raises(SlopeError):
        J.backward()
    value, (slope,) = Tape(J, [x]).value_and_grad([np.array([1.0, 2.0])])
    assert (value.tolist(), slope.tolist()) == ([0.0, 0.0], [math.inf, math.inf])
    assert not math.isfinite(Tape(J, [x]).value_and_grad([1.0])[1][0])


def test_a_tape_is_pickled_where_the_functions_have_names():
    x = Value(1.0, "x")
    clamped = primitive("clamp", clamp, clamp_slope)
    double = primitive("double", doubled, doubled_slope, symbol="2×", explanation="two of it")
    J = double(x) * double(x) + clamped(x)
    tape = pickle.loads(pickle.dumps(Tape(J, [x])))
    assert tape.value_and_grad([3.0]) == (37.0, [24.0])
    assert "v₁ = 2×(x)" in tape.listing()
    with pytest.raises(
        pickle.PicklingError, match="softplus cannot be pickled.*write them with def"
    ):
        pickle.dumps(Tape(SOFTPLUS(x), [x]))
    assert (
        copy.deepcopy(SOFTPLUS(x)._row)
        is SOFTPLUS(x)._row
        is copy.copy(SOFTPLUS(x)._row)
    )
    assert copy.deepcopy(Tape(SOFTPLUS(x), [x])).value([0.0]) == math.log(2.0)
