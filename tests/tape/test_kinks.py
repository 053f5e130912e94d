"""Near a kink: what matrix products round is found out, however it gets to the kink."""

import random

import numpy as np
import pytest

from tinygrad_margin import Tape, Value, maximum
from tinygrad_margin.nn import MLP

_DECIMALS = (0.1, -0.1, 0.3, -0.3, 0.7, 0.2, -0.2)


def cancelling(rng, scale):
    """Two sums of 16 products that cancel, but for a rounding; their weights and inputs."""
    row = [rng.choice(_DECIMALS) * scale for _ in range(16)]
    row = [-row[i - 1] if i % 2 else weight for i, weight in enumerate(row)]
    xs = [rng.choice(_DECIMALS) for _ in range(16)]
    xs = [xs[i - i % 2] for i in range(16)]
    rng.shuffle(order := list(range(16)))
    rows = [[Value(row[i]) for i in order] for _ in range(2)]
    inputs = [Value(xs[i]) for i in order]
    sums = []
    for weights in rows:
        products = [w * x for w, x in zip(weights, inputs, strict=True)]
        sums.append(sum(products[1:], products[0]))
    return sums, [weight for weights in rows for weight in weights], inputs


WAYS = {
    "scaled": lambda a, b: (1e8 * a).relu() + (b * 1e8).relu(),
    "divided": lambda a, b: (a / 1e-6).relu() + b,
    "by a leaf": lambda a, b: (a * Value(3e7)).relu() - (b * Value(-3e7)).relu(),
    "steep": lambda a, b: ((a * 100).exp() - 1).relu() + abs((1 + b) ** 9 - 1),
    "steady": lambda a, b: ((a * 1e7).tanh() * 1e7).relu() + b,
    "compared": lambda a, b: maximum(a * 1e9, b * 1e9),
    "added": lambda a, b: (a + b).relu() + abs(a - b),
    "shifted": lambda a, b: (a * 1e6 + b * 1e6).relu() + maximum(a * 1e6, 0.0),
}


@pytest.mark.parametrize("items", [1, 5])
@pytest.mark.parametrize("way", WAYS)
def test_a_tie_behind_a_matrix_product_is_the_engines(way, items):
    rng = random.Random(way)
    for _ in range(25):
        sums, weights, inputs = cancelling(rng, 1.0)
        J = WAYS[way](*sums)
        J.backward()
        xs = [np.full(items, x.data) for x in inputs]
        found = Tape(J, [*weights, *inputs]).value_and_grad([*(w.data for w in weights), *xs])[1]
        size = max(abs(node.grad) for node in (*weights, *inputs)) or 1e-3
        for slope, x in zip(found[len(weights) :], inputs, strict=True):
            np.testing.assert_allclose(slope, x.grad, rtol=0, atol=1e-9 * size)
        for slope, weight in zip(found, weights, strict=False):
            assert slope == pytest.approx(weight.grad * items, abs=1e-9 * size * items)


@pytest.mark.parametrize("scale", [1e-150, 1e-165, 1e-200, 1e150])
def test_weights_whose_squares_are_too_small_or_large(scale):
    rng = random.Random(2)
    for _ in range(40):
        (a, b), weights, inputs = cancelling(rng, scale)
        J = a.relu() + b.relu()
        J.backward()
        leaves = [*weights, *inputs]
        xs = [*(w.data for w in weights), *(np.full(2, x.data) for x in inputs)]
        found = Tape(J, leaves).value_and_grad(xs)[1]
        for slope, x in zip(found[len(weights) :], inputs, strict=True):
            np.testing.assert_allclose(slope, x.grad, rtol=1e-9, atol=1e-9 * scale)


@pytest.mark.parametrize("scale", [1.0, 1e6])
@pytest.mark.parametrize("between", [lambda h: h, Value.tanh, lambda h: -h, lambda h: h * h])
def test_products_of_sums_that_cancel(between, scale):
    rng = random.Random(8)
    for _ in range(40):
        half = [rng.choice((0.1, 0.2, 0.3, 0.6, 0.7, 1.1)) for _ in range(8)]
        W, x = [Value(w) for w in half * 2], [Value(rng.choice((0.1, -0.1))) for _ in range(8)]
        U = [Value(scale) for _ in range(16)]
        h = [
            between(sum(w * v for w, v in zip(W[8 * i : 8 * i + 8], x, strict=True)))
            for i in (0, 1)
        ]
        J = sum((U[2 * i] * h[0] + U[2 * i + 1] * h[1]).relu() for i in range(8))
        J.backward()
        numbers = [v.data for v in (*W, *U)]
        found = Tape(J, [*W, *U, *x]).value_and_grad([*numbers, *(np.array([v.data]) for v in x)])[
            1
        ]
        size = max(abs(v.grad) for v in (*W, *U, *x)) or 1e-3
        for slope, leaf in zip(found, (*W, *U, *x), strict=True):
            assert float(np.sum(slope)) == pytest.approx(leaf.grad, abs=1e-9 * size)


def test_a_square_whose_slope_is_0_is_a_rounding_off_too():
    rng = random.Random(9)
    for square in (lambda h: h * h, lambda h: h**2):
        for _ in range(60):
            (h, _), weights, inputs = cancelling(rng, 1.0)
            leaves = [*weights[:16], *inputs, q := Value(0.0)]
            J = maximum(square(h), q)
            J.backward()
            xs = [leaf.data for leaf in weights[:16]]
            xs += [np.array([leaf.data]) for leaf in (*inputs, q)]
            assert float(Tape(J, leaves).value_and_grad(xs)[1][-1][0]) == q.grad


def test_zeros_are_no_roundings():
    random.seed(1)
    net, x, y = MLP(2, [8, 8, 1]), Value(0.1), Value(0.2)
    weights = net.parameters()
    tape = Tape((1 - net([x, y])).relu() + maximum(net([x, y]).relu(), 0.0), [*weights, x, y])
    start, rng = [w.data for w in weights], np.random.default_rng(1)
    points = rng.normal(size=(2, 100))
    points[:, 7] = 0.0  # with the biases of 0, all that a network makes of it is 0
    tape.value_and_grad([*start, *points])
    assert len(tape._programs) == 1


def test_what_comes_from_kinks_and_is_0_is_no_rounding():
    rng = np.random.default_rng(3)
    weights = [[Value(w) for w in row] for row in rng.normal(size=(4, 8))]
    inputs = [Value(0.5) for _ in range(8)]
    h = [
        sum((w * x for w, x in zip(row, inputs, strict=True)), Value(0.0)).relu() for row in weights
    ]
    tape = Tape(maximum(maximum(h[0], h[1]), maximum(h[2], h[3])), inputs)
    value = tape.value_and_grad(rng.normal(size=(8, 300)))[0]  # many ties of 0 and 0
    assert len(tape._programs) == 1
    assert (value == 0.0).any()
    assert (value > 0.0).any()
