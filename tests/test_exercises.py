"""Exercises of micrograd's kind, as students solve them, against closed forms and differences."""

import math
import random

import numpy as np
import pytest

from tinygrad_margin import (
    Tape,
    Value,
    binary_cross_entropy,
    cross_entropy,
    grad,
    gradcheck,
    numeric_grad,
    softmax,
    squared_error,
)
from tinygrad_margin.nn import MLP

NAMES = ["emma", "olivia", "ava", "isabella", "sophia", "mia", "zoe", "max", "jack", "luca"]
LETTERS = {letter: i for i, letter in enumerate(".abcdefghijklmnopqrstuvwxyz")}


def data(values):
    return np.array([v.data for v in values])


def soft(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# --- the derivative of a formula ------------------------------------------------------------------


def test_a_formula_and_its_derivatives():
    def f(a, b, c):
        return -(a**3) + (3 * b).sin() - 1.0 / c + b**2.5 - a**0.5

    a, b, c = xs = [Value(2.0), Value(3.0), Value(4.0)]
    f(*xs).backward()
    assert a.grad == pytest.approx(-12.353553390593273, rel=1e-14)
    assert b.grad == pytest.approx(10.25699027111255, rel=1e-14)
    assert c.grad == pytest.approx(0.0625, rel=1e-14)
    assert numeric_grad(f, xs) == pytest.approx([a.grad, b.grad, c.grad], rel=1e-12)


# --- softmax and negative log-likelihood by hand --------------------------------------------------


def softmax_by_hand(logits):
    counts = [logit.exp() for logit in logits]
    total = sum(counts)
    return [count / total for count in counts]


@pytest.mark.parametrize("make", [softmax_by_hand, softmax])
def test_negative_log_likelihood(make):
    logits = [Value(0.0), Value(3.0), Value(-2.0), Value(1.0)]
    loss = -make(logits)[3].log()
    loss.backward()
    assert loss.data == pytest.approx(2.1755153626167147, rel=1e-14)
    expected = [0.041772570515350445, 0.8390245074625319, 0.005653302662216329, -0.8864503806400986]
    assert [x.grad for x in logits] == pytest.approx(expected, rel=1e-13)
    assert grad(cross_entropy(logits, 3), logits) == pytest.approx(expected, rel=1e-13)
    assert gradcheck(lambda *x: -make(x)[3].log(), logits)


# --- a bigram model over a table of 27 × 27 -------------------------------------------------------


def test_a_bigram_model():
    pairs = [
        (LETTERS[a], LETTERS[b])
        for name in NAMES
        for a, b in zip(f".{name}", f"{name}.", strict=True)
    ]
    rng = random.Random(1)
    W = [[Value(rng.gauss(0.0, 1.0)) for _ in LETTERS] for _ in LETTERS]
    table = [w for row in W for w in row]
    counts = np.zeros((27, 27))
    for a, b in pairs:
        counts[a, b] += 1.0
    n = len(pairs)

    def loss():
        nll = sum(cross_entropy(W[a], b) for a, b in pairs) / n
        return nll + 0.01 * sum(w**2 for w in table) / len(table)

    def closed(w):
        p, rows = soft(w), counts.sum(1, keepdims=True)
        value = -(counts * np.log(p)).sum() / n + 0.01 * (w**2).mean()
        return value, (rows * p - counts) / n + 0.02 * w / w.size

    for _ in range(2):  # as loops do it: zero the gradients, sweep, step
        w = data(table).reshape(27, 27)
        J = loss()
        for v in table:
            v.grad = 0.0
        J.backward()
        value, slopes = closed(w)
        assert J.data == pytest.approx(value, rel=1e-12)
        np.testing.assert_allclose([v.grad for v in table], slopes.ravel(), rtol=1e-11, atol=1e-15)
        for v in table:
            v.data -= 10.0 * v.grad

    tape, w = Tape(loss(), table), data(table)
    for _ in range(100):
        value, (slopes,) = tape.value_and_grad([w])
        np.testing.assert_allclose(
            slopes, closed(w.reshape(27, 27))[1].ravel(), rtol=1e-10, atol=1e-14
        )
        w -= 20.0 * slopes
    seen = counts[counts > 0]
    least = (
        -(seen * np.log((counts / np.maximum(counts.sum(1, keepdims=True), 1.0))[counts > 0])).sum()
        / n
    )
    assert least < value < least + 0.5


# --- XOR with tanh --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "targets"), [(squared_error, (-1.0, 1.0)), (binary_cross_entropy, (0, 1))]
)
def test_xor_with_tanh(loss, targets):
    net = MLP(2, [4, 1], nonlin="tanh", seed=3)
    points = [([a, b], targets[a != b]) for a in (0.0, 1.0) for b in (0.0, 1.0)]

    def by_hand(parameters, x):
        """The network once more, from a list of its parameters: weights of a neuron, its bias."""
        own = iter(parameters)
        hidden = [(sum(next(own) * x_i for x_i in x) + next(own)).tanh() for _ in range(4)]
        return sum(next(own) * a for a in hidden) + next(own)

    def total(*parameters):
        scores = [by_hand(parameters, x) if parameters else net(x) for x, _ in points]
        return sum(loss(s, y) for s, (_, y) in zip(scores, points, strict=True)) / len(points)

    J = total()
    J.backward()
    differences = numeric_grad(total, net.parameters())
    assert [p.grad for p in net.parameters()] == pytest.approx(differences, rel=1e-9, abs=1e-12)
    for _ in range(400):
        net.zero_grad()
        J = total()
        J.backward()
        for p in net.parameters():
            p.data -= 0.5 * p.grad
    middle = sum(targets) / 2 if loss is squared_error else 0.0
    assert [net(x).data > middle for x, _ in points] == [False, True, True, False]
    assert J.data < 0.05


# --- three classes with Adam, written on p.m and p.v ----------------------------------------------


def test_three_classes_with_adam():
    rng = np.random.default_rng(1)
    y = np.arange(24) % 3
    X = rng.normal(size=(24, 2)) * 0.3 + np.array([[0, 1], [1, -1], [-1, -1]])[y]
    net = MLP(2, [5, 3], nonlin="tanh", seed=2)
    parameters = net.parameters()
    rate, beta_1, beta_2, eps = 0.1, 0.9, 0.999, 1e-8

    theta = data(parameters)
    m = v = np.zeros_like(theta)

    def closed(theta):
        """Mean cross-entropy and its gradient by the matrix formulas."""
        first, second = theta[:15].reshape(5, 3), theta[15:].reshape(3, 6)
        a = np.tanh(X @ first[:, :2].T + first[:, 2])
        p = soft(a @ second[:, :5].T + second[:, 5])
        delta = (p - np.eye(3)[y]) / len(y)
        back = (delta @ second[:, :5]) * (1 - a**2)
        slopes = [np.c_[back.T @ X, back.sum(0)], np.c_[delta.T @ a, delta.sum(0)]]
        return -np.log(p[range(24), y]).mean(), np.concatenate([each.ravel() for each in slopes])

    for p in parameters:
        p.m = p.v = 0.0
    for step in range(1, 31):
        J = sum(cross_entropy(net(x), t) for x, t in zip(X, y, strict=True)) / len(y)
        net.zero_grad()
        J.backward()
        value, slopes = closed(theta)
        assert J.data == pytest.approx(value, rel=1e-9)
        np.testing.assert_allclose([p.grad for p in parameters], slopes, rtol=1e-7, atol=1e-10)
        for p in parameters:
            p.m = beta_1 * p.m + (1 - beta_1) * p.grad
            p.v = beta_2 * p.v + (1 - beta_2) * p.grad**2
            m_hat, v_hat = p.m / (1 - beta_1**step), p.v / (1 - beta_2**step)
            p.data -= rate * m_hat / (math.sqrt(v_hat) + eps)
        m, v = beta_1 * m + (1 - beta_1) * slopes, beta_2 * v + (1 - beta_2) * slopes**2
        theta = theta - rate * m / (1 - beta_1**step) / (np.sqrt(v / (1 - beta_2**step)) + eps)
        np.testing.assert_allclose(data(parameters), theta, rtol=1e-6, atol=1e-8)
    found = [int(np.argmax([s.data for s in net(x)])) for x in X]
    assert np.mean(found == y) > 0.95
    assert J.data < 0.2
