"""Numeric gradients: right, or an error that says so."""

import math
import random

import pytest
from graphs import as_function, random_graph

from tinygrad_margin import Value, grad, numeric_grad, primitive


def test_right_or_refused():
    rng, right = random.Random(3), 0
    for seed in range(100):
        J, leaves = random_graph(seed, size=6)
        f, at = as_function(J, leaves), [rng.uniform(-2, 2) for _ in leaves]
        xs = [Value(x) for x in at]
        try:
            reverse, found = grad(f(*xs), xs), numeric_grad(f, at)
        except ValueError:
            continue
        assert found == pytest.approx(reverse, rel=1e-6, abs=1e-8)
        right += 1
    assert right > 90


@pytest.mark.parametrize("c", [1e8, 1e10, 1e12, 1e14, 1e16])
def test_a_large_constant(c):
    assert numeric_grad(lambda x: c + x, [1.0]) == pytest.approx([1.0], rel=1e-9)
    assert numeric_grad(lambda x: c - 5 * x + x * 0, [-3.0]) == pytest.approx([-5.0], rel=1e-9)
    assert numeric_grad(lambda x: c * 100 + x.sin(), [1.0]) == pytest.approx([math.cos(1.0)])


def test_slopes_that_floats_hide():
    assert numeric_grad(Value.tanh, [12.0]) == pytest.approx([1 / math.cosh(12.0) ** 2], rel=1e-9)
    assert numeric_grad(Value.sigmoid, [40.0]) == pytest.approx([math.exp(-40.0)], rel=1e-9)
    erf = primitive("erf", math.erf, lambda x, out: (2 / math.pi**0.5 * math.exp(-x * x),))
    assert numeric_grad(erf, [0.5]) == pytest.approx([2 / math.pi**0.5 * math.exp(-0.25)], rel=1e-6)


def test_slopes_of_zero():
    assert numeric_grad(lambda x: x * 0 + 1e16, [1.0]) == [0.0]
    assert numeric_grad(lambda x, y: y * 1, [1.0, 2.0]) == pytest.approx([0.0, 1.0])
    assert numeric_grad(lambda x: x.cos(), [0.0]) == [0.0]
    assert numeric_grad(lambda x: 2 * x - 2 * x, [0.3]) == [0.0]


def test_rounding_inside_of_f():
    assert numeric_grad(lambda x: (x + 1e8) - 1e8 + x, [1.0]) == pytest.approx([2.0], rel=1e-6)
    assert numeric_grad(lambda x: ((x + 1e15) - 1e15).sin(), [1.0]) == pytest.approx(
        [math.cos(1.0)]
    )


def test_few_calls():
    calls = []

    def f(x, y):
        calls.append(x)
        return (x * y).tanh() + x.exp()

    assert numeric_grad(f, [0.3, 0.7]) == pytest.approx([0.7 / math.cosh(0.21) ** 2 + math.exp(0.3),
                                                         0.3 / math.cosh(0.21) ** 2])  # fmt: skip
    assert len(calls) <= 20
