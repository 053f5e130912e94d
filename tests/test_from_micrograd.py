"""Code written for micrograd: docs/from-micrograd.md, line by line."""

import ast
import copy
import gc
import math
import pickle
import random
import re
import weakref
from pathlib import Path

import numpy as np
import pytest

import tinygrad_margin
from tinygrad_margin import Value, depends_on, grad, nn, topological_order

PAGE = Path(__file__).parents[1] / "docs" / "from-micrograd.md"


def test_every_line_of_the_page_names_a_test_and_every_test_has_a_line():
    rows = [row for row in PAGE.read_text("utf-8").splitlines() if row.startswith("| ")]
    named = [re.findall(r"`(test_\w+)`", row) for row in rows if "| test |" not in row]
    assert all(len(tests) == 1 for tests in named)
    here = [
        d.name
        for d in ast.parse(Path(__file__).read_text("utf-8")).body
        if isinstance(d, ast.FunctionDef)
    ]
    assert [name for (name,) in named] == [n for n in here if n.startswith("test_")][1:]


# --- the same -------------------------------------------------------------------------------------


def test_arithmetic():
    u, v = Value(-3.0), Value(1.5)
    p = 2 * u + v - 1
    p += p * v
    p -= u / 4
    q = (1 - p) ** 2 / 8 + 6.0 / (v + 1) - (-u).relu()
    q.backward()

    def f(u, v):  # the same on plain numbers
        p = 2 * u + v - 1
        p = p + p * v - u / 4
        return (1 - p) ** 2 / 8 + 6 / (v + 1) - max(-u, 0)

    h = 1e-6
    assert q.data == f(-3.0, 1.5)
    assert u.grad == pytest.approx((f(-3 + h, 1.5) - f(-3 - h, 1.5)) / (2 * h), rel=1e-7)
    assert v.grad == pytest.approx((f(-3, 1.5 + h) - f(-3, 1.5 - h)) / (2 * h), rel=1e-7)


def test_functions():
    for function, value, slope in (
        (Value.tanh, math.tanh, lambda x: 1 - math.tanh(x) ** 2),
        (Value.exp, math.exp, math.exp),
        (Value.relu, lambda x: max(x, 0.0), lambda x: float(x > 0)),
    ):
        for number in (-1.0, 0.0, 0.123, 2.0):
            x = Value(number)
            y = function(x)
            y.backward()
            assert y.data == value(number)
            assert x.grad == pytest.approx(slope(number), rel=1e-15)


def moons(n, seed):
    """Two half circles, one inside the other's bend."""
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n) % 2, 1, -1)
    angle = rng.uniform(0, math.pi, n)
    X = np.c_[np.cos(angle), np.sin(angle)] * y[:, None] + np.where(y[:, None] > 0, 0, [[1, 0.5]])
    return X + rng.normal(0, 0.05, X.shape), y


def test_training():
    """The demo's shape: numpy rows, a hinge loss with a penalty, minibatches, a step by hand."""
    random.seed(1337)
    np.random.seed(1337)
    X, y = moons(60, 1)
    model = nn.MLP(2, [8, 8, 1])

    def loss(size):
        some = np.random.permutation(len(X))[:size]
        scores = list(map(model, [list(map(Value, row)) for row in X[some]]))
        hinges = [(1 + -y_i * score).relu() for y_i, score in zip(y[some], scores, strict=True)]
        penalty = 1e-4 * sum(p * p for p in model.parameters())
        right = [(y_i > 0) == (score.data > 0) for y_i, score in zip(y[some], scores, strict=True)]
        return sum(hinges) * (1.0 / len(hinges)) + penalty, sum(right) / len(right)

    before = loss(60)[0].data
    for k in range(40):
        total, _ = loss(30)
        model.zero_grad()
        total.backward()
        for p in model.parameters():
            p.data -= (1.0 - 0.9 * k / 40) * p.grad
    total, accuracy = loss(60)
    assert total.data < 0.3 * before
    assert accuracy >= 0.95
    grid = [list(map(Value, row)) for row in np.c_[np.arange(-1, 1, 0.5), np.arange(-1, 1, 0.5)]]
    assert np.array([model(row).data > 0 for row in grid]).shape == (4,)


def test_weights():
    random.seed(1337)
    model = nn.MLP(2, [3, 1])
    random.seed(1337)
    for layer in model.layers:
        for neuron in layer.neurons:
            assert [w.data for w in neuron.w] == [random.uniform(-1, 1) for _ in neuron.w]
            assert neuron.b.data == 0
    order = [p for layer in model.layers for n in layer.neurons for p in (*n.w, n.b)]
    assert model.parameters() == order


def test_networks():
    class Twice(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Neuron(2, nonlin=False), nn.Layer(2, 3, nonlin=True)

        def __call__(self, x):
            return [self.a(x), *self.b(x)]

        def parameters(self):
            return self.a.parameters() + self.b.parameters()

    net = Twice()
    sum(net([1.0, Value(2.0)])).backward()
    assert len(net.parameters()) == 12
    assert any(p.grad for p in net.parameters())
    net.zero_grad()
    assert not any(p.grad for p in net.parameters())
    assert repr(net.a) == "LinearNeuron(2)"
    assert repr(net.b) == "Layer of [ReLUNeuron(2), ReLUNeuron(2), ReLUNeuron(2)]"
    assert repr(nn.MLP(2, [1])) == "MLP of [Layer of [LinearNeuron(2)]]"
    assert nn.Module().parameters() == []
    assert isinstance(nn.Layer(1, 1)([1.0]), Value)


def test_walking_the_graph():
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    c = a * b
    c.label = "c"
    d = (c + a).tanh()
    nodes, edges, order = set(), set(), []

    def visit(v):
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                visit(child)
            order.append(v)

    visit(d)
    assert {v.label for v in nodes if v.label} == {"a", "b", "c"}
    assert sorted(v._op for v in nodes if v._op) == ["*", "+", "tanh"]
    assert len(edges) == 5
    assert [v for v in nodes if not v._prev] in ([a, b], [b, a])
    assert set(order) == set(topological_order(d))
    assert f"{d.data:.4f} | {d.grad:.4f}" == "-0.9993 | 0.0000"


def test_a_sweep_by_hand():
    def graph():
        a, b = Value(2.0), Value(-3.0)
        c = a * b
        return (c + a.exp() / (c * c + 1)).tanh() + a, (a, b)

    (J, leaves), (again, expected) = graph(), graph()
    J.grad = 1.0
    for node in reversed(topological_order(J)):
        node._backward()
    again.backward()
    assert [leaf.grad for leaf in leaves] == [leaf.grad for leaf in expected]
    assert J._prev[0].grad == 1.0


def test_attributes():
    random.seed(1)
    model = nn.MLP(1, [4, 1])
    for p in model.parameters():
        p.m = p.v = 0.0
    losses = []
    for t in range(1, 40):
        loss = sum((model([x]) - 2 * x) ** 2 for x in (-1.0, 0.5, 1.0))
        losses.append(loss.data)
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.m = 0.9 * p.m + 0.1 * p.grad
            p.v = 0.99 * p.v + 0.01 * p.grad**2
            p.data -= 0.05 * (p.m / (1 - 0.9**t)) / ((p.v / (1 - 0.99**t)) ** 0.5 + 1e-8)
    assert losses[-1] < 0.2 * losses[0]
    loss.colour, loss.note = "red", {"seen": loss}
    assert loss.note["seen"].colour == "red"


def test_subclasses():
    class Noted(Value):
        def __init__(self, data, note):
            super().__init__(data, label=note)
            self.note = note

        def square(self):
            return Noted((self * self).data, "squared") if self.data < 0 else self * self

        def __mul__(self, other):
            return super().__mul__(other)

    x = Noted(3.0, "x")
    y = 2 * x.square() + x
    y.backward()
    assert x.grad == 13.0
    assert x.note == "x"
    assert [type(v) for v in (y, -x, x + 1, 1 - x, x.relu(), x.square())] == [Value] * 6
    assert isinstance(x, Value)


def test_changing_a_leaf():
    x = Value(2.0)
    y = x * x
    x.data = 3.0
    assert y.data == 4.0  # what was computed stays, until it is computed anew
    y.backward()
    assert x.grad == 6.0  # slopes are taken at the numbers of the moment
    assert (x * x).data == 9.0


def test_adding_to_grad():
    x = Value(2.0)
    x.grad += 1
    (x * 3).backward()
    (x * x).backward()
    assert x.grad == 8.0
    x.grad = 0
    assert x.grad == 0


# --- better ---------------------------------------------------------------------------------------


def test_backward_twice():
    x = Value(2.0)
    y = (x * 3) * x
    y.backward()
    y.backward()
    assert x.grad == 2 * 12.0


def test_depth():
    v = x = Value(1.0)
    for _ in range(50_000):
        v = v + x
    v.backward()
    assert x.grad == 50_001.0


def test_memory():
    gc.disable()
    try:
        y = Value(2.0) * 3
        y.backward()
        gone = weakref.ref(y)
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_one_operation_is_one_node():
    a, b = Value(6.0), Value(3.0)
    assert [len(topological_order(v)) for v in (a - b, a / b, -a, sum([a, b]))] == [3, 3, 2, 3]


def test_powers():
    x, p = Value(2.0), Value(3.0)
    assert [(x**p).data, (2**p).data, (x**0.5).data] == [8.0, 8.0, 2**0.5]
    assert grad(x**p, [x, p]) == [12.0, 8.0 * math.log(2.0)]


def test_more_than_micrograd_has():
    x = Value(0.25, "x")
    assert [getattr(x, f)().data for f in ("log", "sqrt", "sin", "cos", "sigmoid")] == [
        math.log(0.25), 0.5, math.sin(0.25), math.cos(0.25), 1 / (1 + math.exp(-0.25)),
    ]  # fmt: skip
    y = tinygrad_margin.maximum(x * 3, 1)
    assert (grad(y, x), x.grad) == (0.0, 0.0)
    assert depends_on(y, x)
    net = nn.MLP(2, [3, 1], nonlin="tanh", seed=1)
    assert net([1.0, 2.0]).data == nn.MLP(2, [3, 1], nonlin="tanh", seed=1)([1.0, 2.0]).data
    assert (net.parameters()[0].label, net([1.0, 2.0]).label) == ("W_1,1,1", "a_2,1")
    assert tinygrad_margin.cross_entropy([x, x], 0).data == pytest.approx(math.log(2.0))


def test_errors():
    q = Value(0.0, "q")
    with pytest.raises(
        ZeroDivisionError, match=r"/ needs a divisor other than 0; got 1\.0, q = 0\.0"
    ):
        1 / q
    with pytest.raises(ValueError, match="log needs"):
        q.log()
    with pytest.raises(TypeError, match="maximum"):
        max(q, 1)


def test_inputs_of_the_wrong_length():
    with pytest.raises(ValueError, match="takes 2 numbers or Values; got 3"):
        nn.Neuron(2)([1.0, 2.0, 3.0])


def test_copies():
    model = nn.MLP(2, [3, 1])
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert [p.data for p in again.parameters()] == [p.data for p in model.parameters()]
        assert not set(again.parameters()) & set(model.parameters())
    v = Value(1.0)
    for _ in range(5000):
        v = v.tanh()
    assert copy.deepcopy(v).data == pickle.loads(pickle.dumps(v)).data == v.data


def test_printing_in_a_format():
    loss = Value(2.0) / 3
    assert f"{loss:.3f}" == "0.667"
    assert f"{loss}" == repr(loss)


def test_an_equality_of_ones_own():
    class Number(Value):
        def __eq__(self, other):
            return self.data == other.data

    a, b = Number(3.0), Number(3.0)
    (a * a * b).backward()
    assert a == b
    assert (a.grad, b.grad) == (18.0, 9.0)


# --- different ------------------------------------------------------------------------------------


def test_numbers_are_floats():
    x = Value(2)
    assert (repr(x.data), repr(x.grad), repr(x)) == ("2.0", "0.0", "Value(data=2.0, grad=0.0)")
    assert repr(Value(2, label="x")) == "Value(data=2.0, grad=0.0, label='x')"


def test_prev_is_a_tuple():
    a, b = Value(1.0), Value(2.0)
    assert (a - b)._prev == (a, b)
    assert (a + a)._prev == (a, a)
    assert set((a + a)._prev) == {a}


def test_names_of_operations():
    x = Value(2.0)
    made = (x**2, x.relu(), x - 1, x / 2, -x)
    assert [v._op for v in made] == ["**", "relu", "-", "/", "-"]


def test_an_exponent_is_an_operand():
    square = Value(3.0) ** 2
    assert [v.data for v in square._prev] == [3.0, 2.0]


def test_children_are_not_given():
    x = Value(2.0)
    for wrong in (lambda: Value(4.0, (x,)), lambda: Value(4.0, (x,), "square"),
                  lambda: Value(1.0, (), "", "x")):  # fmt: skip
        with pytest.raises(
            TypeError, match="one text, its name.*recorded as you compute.*primitive"
        ):
            wrong()
    with pytest.raises(TypeError, match="_children"):
        Value(4.0, _children=(x,))


def test_backward_is_not_assigned():
    y = Value(2.0) * 2
    with pytest.raises(AttributeError, match="table of ops.*primitive"):
        y._backward = lambda: None
    for name in ("_prev", "_op"):
        with pytest.raises(AttributeError):
            setattr(y, name, ())


def test_data_is_one_number():
    for wrong in ("2", None, [1.0], np.array([1.0, 2.0])):
        with pytest.raises(TypeError, match="takes a real number"):
            Value(wrong)
        for name in ("data", "grad"):
            with pytest.raises(TypeError, match=f"{name} takes a real number"):
                setattr(Value(1.0), name, wrong)
    with pytest.raises(TypeError, match=r"\[x \* v for x in xs\]"):
        [1.0, 2.0] * Value(1.0)
    assert (np.array([Value(1.0), Value(2.0)]) @ np.array([Value(3.0), Value(4.0)])).data == 11.0


def test_a_node_is_no_number():
    p = Value(2.0, "p")
    with pytest.raises(TypeError, match=r"a new node.*p\.data -= 0\.1 \* p\.grad"):
        p.data = p - 0.1 * p.grad
    assert p.data == 2.0


def test_float_leaves_the_graph():
    x = Value(1.0)
    assert (float(x), math.exp(x)) == (1.0, math.e)
    assert np.array([x], dtype=float).tolist() == [1.0]
    assert not depends_on(x * 0 + math.exp(x), x.exp())
    assert grad(x.exp(), x) == math.e


def test_numpy_takes_arrays_of_values():
    x = Value(1.0)
    assert [v.data for v in np.array([1.0, 2.0]) * Value(3.0)] == [3.0, 6.0]
    e = np.exp(np.array([x, Value(1.0)]))
    softmax = e / e.sum()
    assert (softmax[0].data, grad(softmax[0], x)) == (0.5, 0.25)
    (y,) = np.exp(np.array([x]))
    assert grad(y, x) == math.e
    with pytest.raises(TypeError, match="Value"):
        np.exp(x)


def test_a_value_is_neither_true_nor_false():
    with pytest.raises(TypeError, match=r"v\.data > 0"):
        Value(2.0) or 3


def test_inputs_have_a_length():
    with pytest.raises(TypeError, match="takes a list of numbers or Values; got map"):
        nn.Neuron(2)(map(Value, [1.0, 2.0]))


def test_no_network_is_empty():
    for build in (lambda: nn.MLP(2, [4, 0]), lambda: nn.Neuron(0)):
        with pytest.raises(ValueError, match="1 or more"):
            build()


def test_a_sum_has_no_node_for_its_start():
    a = Value(1.0)
    assert sum([a]) is a
