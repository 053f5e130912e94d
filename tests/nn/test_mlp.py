import random

import numpy as np
import pytest

from tinygrad_margin import Value, depends_on, grad, margin_loss, topological_order
from tinygrad_margin.nn import MLP, Layer, Neuron, WindowScorer

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


@pytest.mark.parametrize("bad", [
    lambda: WindowScorer(3, 2)([1.0, 2.0]), lambda: WindowScorer(3, 2)([1.0] * 4),
    lambda: WindowScorer(0, 2), lambda: WindowScorer(2, 2, f="gelu"), lambda: Neuron(2)([1.0]),
    lambda: MLP(2, []),
    lambda: MLP(2, [3, 1])([1.0, 2.0, 3.0]),
])  # fmt: skip
def test_bad_input(bad):
    with pytest.raises(ValueError, match="takes|1 or more|f is one of|at least one layer"):
        bad()
    with pytest.raises(TypeError, match="real number; got str 'x'"):
        WindowScorer(2, 1)([1.0, "x"])


@pytest.mark.parametrize(("bad", "kind", "words"), [
    (lambda: MLP(2, 4), TypeError, r"nouts of an MLP is a list.*MLP\(2, \[4, 1\]\); got int 4"),
    (lambda: MLP(2, [4, 0]), ValueError, "nout, the number of neurons, is 1 or more; got 0"),
    (lambda: MLP(2, [4.0]), TypeError, "'float' object cannot be interpreted as an integer"),
    (lambda: MLP(0, [1]), ValueError, "nin, the number of inputs, is 1 or more; got 0"),
    (lambda: Layer(2, 0), ValueError, "nout, the number of neurons, is 1 or more; got 0"),
    (lambda: Neuron(-1), ValueError, "nin, the number of inputs, is 1 or more; got -1"),
    (lambda: Neuron(2, "tanh"), TypeError, r"nonlin is True.*nonlin='tanh'; got 'tanh'"),
    (lambda: Neuron(2, False, nonlin="tanh"), TypeError, "got 'tanh'"),
    (lambda: MLP(2, [1], activation="tanh"), TypeError, "nonlin is True.*got activation='tanh'"),
    (lambda: Layer(2, 3, nonlin="gelu"), ValueError, "one of exp, .*sigmoid.*; got 'gelu'"),
    (lambda: MLP(2, [3, 1], nonlin="max"), ValueError, "one of exp, .*; got 'max'"),
    (lambda: MLP(2, [3, 1], nonlin=None), TypeError, "nonlin is True.*got None"),
    (lambda: MLP(2, [3, 1], seed="a"), TypeError, "seed is an int.*got str 'a'"),
    (lambda: Neuron(2, nonlin=Value.tanh), TypeError, "nonlin is True"),
    (lambda: MLP(2, [1])([[1.0, 2.0], [3.0, 4.0]]), TypeError, r"list of lists.*\[model\(x\) for x in X\]"),
    (lambda: MLP(2, [1])(np.ones((5, 2))), TypeError, "list of lists"),
    (lambda: MLP(2, [1])(2.0), TypeError, "got float"),
    (lambda: MLP(2, [1])(Value(2.0)), TypeError, "got Value"),
    (lambda: MLP(2, [1])([]), ValueError, "takes 2 numbers or Values; got 0"),
    (lambda: WindowScorer(2, 1)([[1.0], [2.0]]), TypeError, "list of lists"),
])  # fmt: skip
def test_sizes_and_inputs_that_are_none(bad, kind, words):
    with pytest.raises(kind, match=words):
        bad()


def test_sizes_and_inputs_of_every_kind():
    random.seed(1)
    for net in (MLP(np.int64(2), np.array([3, 1])), MLP(2, (3, 1)), MLP(2, iter([3, 1]))):
        x = [0.5, -1.0]
        same = [
            net(x),
            net(tuple(x)),
            net(np.array(x)),
            net(list(map(Value, x))),
            net(list(map(np.array, x))),
        ]
        assert len({v.data for v in same}) == 1


def test_micrograds_signatures():
    random.seed(1)
    net = MLP(2, [16, 16, 1])
    assert len(net.parameters()) == 337
    assert (
        repr(MLP(2, [2, 1]))
        == "MLP of [Layer of [ReLUNeuron(2), ReLUNeuron(2)], Layer of [LinearNeuron(2)]]"
    )
    assert isinstance(net([1.0, -2.0]), Value)
    assert len(Layer(2, 3)([1.0, 2.0])) == 3
    assert Neuron(2, nonlin=False)([1.0, 1.0]).op == "+"
    score = net(list(map(Value, [1.0, -2.0])))
    score.backward()
    assert any(p.grad for p in net.parameters())
    net.zero_grad()
    assert not any(p.grad for p in net.parameters())
    assert len(topological_order(score)) > 600


def test_micrograds_demo_trains():
    """Its loop as it stands in the demo notebook, on two clouds of points."""
    random.seed(1337)
    rng = np.random.default_rng(1)
    y = np.where(np.arange(20) % 2, 1, -1)
    X = rng.normal(size=(20, 2)) * 0.4 + y[:, None]
    model = MLP(2, [4, 1])

    def loss():
        scores = list(map(model, [list(map(Value, row)) for row in X]))
        losses = [(1 + -yi * scorei).relu() for yi, scorei in zip(y, scores, strict=True)]
        data_loss = sum(losses) * (1.0 / len(losses))
        reg_loss = 1e-4 * sum(p * p for p in model.parameters())
        correct = [(yi > 0) == (scorei.data > 0) for yi, scorei in zip(y, scores, strict=True)]
        return data_loss + reg_loss, sum(correct) / len(correct)

    for k in range(30):
        total_loss, accuracy = loss()
        model.zero_grad()
        total_loss.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / 30) * p.grad
    assert accuracy == 1.0
    assert total_loss.data < 0.2


def test_a_hidden_layer_of_one_neuron():
    for sizes in ([1, 1], [3, 1, 2], [1, 1, 1]):
        model = MLP(2, sizes)
        outputs = model([0.5, -1.0])
        J = sum(outputs) if isinstance(outputs, list) else outputs
        J.backward()
        assert any(p.grad for p in model.parameters())
