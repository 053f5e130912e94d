import random

import numpy as np
import pytest

from tinygrad_margin import Value, depends_on, grad, margin_loss
from tinygrad_margin.nn import WindowScorer

SLOPES = {
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "sigmoid": lambda z: (s := 1 / (1 + np.exp(-z))) * (1 - s),
    "relu": lambda z: (z > 0).astype(float),
}
VALUES = {
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
}


def numbers(values):
    return np.array([[v.data for v in row] for row in values])


@pytest.mark.parametrize("f", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("regime", [1, 0.5, 0])
def test_the_gradients_are_the_closed_form_of_the_notes(f, seed, regime):
    """∂J/∂U = a_c − a, ∂J/∂W = δ_c x_cᵀ − δ xᵀ, ∂J/∂b = δ_c − δ, ∂J/∂x = −Wᵀδ, δ = U ∘ f′(z)."""
    rng = random.Random(seed)
    n, m = rng.randint(1, 5), rng.randint(1, 4)
    net = WindowScorer(n, m, f=f, seed=seed)
    for b in net.b:
        b.data = rng.uniform(-1, 1)
    x = [Value(rng.uniform(-1, 1)) for _ in range(n)]
    x_c = [Value(rng.uniform(-1, 1)) for _ in range(n)]
    s, s_c = net(x), net(x_c)
    difference = s.data - s_c.data
    if regime == 0.5:  # the same window twice: s = s_c, and with Δ = 0 the kink
        x_c = [Value(v.data) for v in x]
        s_c = net(x_c)
        J = margin_loss(s, s_c, 0.0)
    else:
        J = (
            margin_loss(s, s_c, abs(difference) + 1)
            if regime
            else margin_loss(*((s, s_c) if difference > 0 else (s_c, s)), abs(difference) / 2)
        )
        if regime == 0:
            assert J.data == 0.0
    W, U, b = numbers(net.W), numbers([net.U])[0], numbers([net.b])[0]

    def half(x):
        x = np.array([v.data for v in x])
        z = W @ x + b
        return x, VALUES[f](z), U * SLOPES[f](z)

    (vx, a, delta), (vx_c, a_c, delta_c) = half(x), half(x_c)
    expected = {
        "U": a_c - a,
        "W": np.outer(delta_c, vx_c) - np.outer(delta, vx),
        "b": delta_c - delta,
        "x": -W.T @ delta,
        "x_c": W.T @ delta_c,
    }
    found = {
        "U": grad(J, net.U),
        "W": [grad(J, row) for row in net.W],
        "b": grad(J, net.b),
        "x": grad(J, x),
        "x_c": grad(J, x_c),
    }
    for name, closed in expected.items():
        np.testing.assert_allclose(found[name], regime * closed, rtol=0, atol=1e-12, err_msg=name)


def test_two_scores_share_the_weights_and_do_not_depend_on_one_another():
    net = WindowScorer(3, 2, seed=1)
    s, s_c = net([0.1, 0.2, 0.3]), net([Value(0.3), 0.2, 0.1])
    assert not depends_on(s, s_c)
    assert not depends_on(s_c, s)
    for weight in net.parameters():
        assert depends_on(s, weight)
        assert depends_on(s_c, weight)


def test_labels_and_order_of_the_parameters():
    net = WindowScorer(11, 2, seed=3)
    labels = [p.label for p in net.parameters()]
    assert labels[:3] == ["W_11", "W_12", "W_13"]
    assert labels[9:13] == ["W_1,10", "W_1,11", "W_21", "W_22"]
    assert labels[-4:] == ["b_1", "b_2", "U_1", "U_2"]
    again = WindowScorer(11, 2, seed=3)
    assert [p.data for p in again.parameters()] == [p.data for p in net.parameters()]
