import random

import numpy as np
import pytest

from tinygrad_margin import Value, draw, grad, topological_order
from tinygrad_margin.nn import MLP, Layer, Neuron, WindowScorer
from tinygrad_margin.ops import FLOATS, TABLE


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


@pytest.mark.parametrize(
    "name", ["exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "abs", "relu"]
)
def test_every_function_of_the_table_by_its_name(name):
    net = MLP(2, [3, 1], nonlin=name, seed=4)
    for p in net.parameters():
        p.data = abs(p.data)  # log and sqrt need sums above 0
    x, (hidden, last) = [0.5, 1.5], net.layers
    sums = [
        sum(w.data * x_i for w, x_i in zip(n.w, x, strict=True)) + n.b.data for n in hidden.neurons
    ]
    a = [TABLE[name].value(FLOATS, z) for z in sums]
    w = [v.data for v in last.neurons[0].w]
    assert net(x).data == pytest.approx(sum(map(float.__mul__, w, a)) + last.neurons[0].b.data)
    assert grad(net(x), last.neurons[0].w) == pytest.approx(a)
    assert {node.op for node in topological_order(net(x))} == {"", "+", "*", TABLE[name].symbol}
    assert WindowScorer(2, 2, f=name).f == name


def test_nonlin_true_and_false_mean_what_they_mean_in_micrograd():
    for same in ("relu", True, 1, np.True_):
        assert repr(Neuron(2, nonlin=same)) == repr(Neuron(2)) == "ReLUNeuron(2)"
    assert repr(Neuron(2, False)) == repr(Layer(2, 1, False).neurons[0]) == "LinearNeuron(2)"
    assert {n.op for n in topological_order(MLP(2, [3, 2, 1], nonlin=False)([1.0, 2.0]))} <= {
        "",
        "+",
        "*",
    }
    assert repr(MLP(1, [1, 1], nonlin="tanh")).count("TanhNeuron(1)") == 1


@pytest.mark.parametrize("build", [
    lambda **seed: MLP(2, [3, 1], **seed), lambda **seed: Layer(3, 4, **seed),
    lambda **seed: Neuron(5, **seed),
])  # fmt: skip
def test_a_seed_gives_the_same_weights_and_leaves_random_alone(build):
    def numbers(**seed):
        return [p.data for p in build(**seed).parameters()]

    state = random.getstate()
    assert numbers(seed=3) == numbers(seed=np.int64(3)) != numbers(seed=4)
    assert len(set(numbers(seed=3))) > 4  # no two neurons alike
    assert random.getstate() == state
    random.seed(3)
    assert numbers() == numbers(seed=3)
    assert numbers() != numbers(seed=3)


def test_labels_say_layer_neuron_and_input():
    net = MLP(11, [12, 1], seed=1)
    labels = [p.label for p in net.parameters()]
    assert labels[:2] == ["W_1,1,1", "W_1,1,2"]
    assert labels[11:13] == ["b_1,1", "W_1,2,1"]
    assert labels[-2:] == ["W_2,1,12", "b_2,1"]
    assert {"W_1,11,1", "W_1,1,11"} < set(labels)
    assert len(set(labels)) == len(labels)
    nodes = topological_order(net([0.1] * 11))
    assert [node.label for node in nodes if node.parents and node.label][-2:] == ["a_1,12", "a_2,1"]
    assert [p.label for p in Layer(2, 2).parameters()] == [
        "W_1,1",
        "W_1,2",
        "b_1",
        "W_2,1",
        "W_2,2",
        "b_2",
    ]
    assert [p.label for p in Neuron(2).parameters()] == ["W_1", "W_2", "b"]
    assert [z.label for z in Layer(2, 2)([1, 2])] == ["a_1", "a_2"]
    assert "<i>W</i><sub>1,1,1</sub>" in draw(MLP(1, [1, 1], seed=1)([0.3])).source
