"""A week of a class's mistakes: each works rightly, or ends in a sentence that tells the way out."""

import copy
import math
import operator
import pickle
import random

import numpy as np
import pytest

import tinygrad_margin
from tinygrad_margin import (
    Value,
    animate,
    draw,
    gradcheck,
    hinge_loss,
    jvp,
    maximum,
    minimum,
    topological_order,
)
from tinygrad_margin.engine import constant
from tinygrad_margin.nn import MLP, Layer, Neuron, WindowScorer


def labelled():
    return Value(2.0, "x"), Value(-3.0, "y")


def assigned(name, to):
    """A statement that sets an attribute of x to what ``to`` makes of x and y."""

    def mistake(x, y):
        setattr(x, name, to(x, y))

    return mistake


# Each: what the student writes; the kind of error; what was given, what is wrong, what to do.
MISTAKES = {
    # --- the numbers in a Value
    "x.data = x - 0.1 * x.grad": (
        assigned("data", lambda x, y: x - 0.1 * x.grad), TypeError,
        ["x.data takes a real number", "got Value", "a new node", "x.data -= 0.1 * x.grad"]),
    "x.data = y": (
        assigned("data", lambda x, y: y), TypeError, ["x.data takes a real number; got Value"]),
    "x.data = '3'": (
        assigned("data", lambda x, y: "3"), TypeError, ["x.data takes a real number; got str '3'"]),
    "x.data = None": (assigned("data", lambda x, y: None), TypeError, ["x.data", "got NoneType"]),
    "x.data = [1.0]": (assigned("data", lambda x, y: [1.0]), TypeError, ["x.data", "got list"]),
    "x.data = array": (
        assigned("data", lambda x, y: np.ones(2)), TypeError, ["x.data", "got ndarray"]),
    "x.data = 10**400": (
        assigned("data", lambda x, y: 10**400), OverflowError, ["x.data", "fits a float"]),
    "x.grad = None": (
        assigned("grad", lambda x, y: None), TypeError,
        ["x.grad takes a real number; got NoneType", "x.grad = 0.0", "zero_grad()"]),
    "x.grad = y": (assigned("grad", lambda x, y: y), TypeError, ["x.grad", "got Value"]),
    "x.label = None": (
        assigned("label", lambda x, y: None), TypeError,
        ["the label of a Value is one text", "got NoneType"]),
    "x.op = '+'": (assigned("op", lambda x, y: "+"), AttributeError,
                   ["op of a node is read, not set", "a + b", "primitive"]),
    "x.parents = ()": (assigned("parents", lambda x, y: ()), AttributeError,
                       ["parents of a node is read, not set"]),
    "x._prev = {y}": (assigned("_prev", lambda x, y: {y}), AttributeError,
                      ["_prev of a node is read, not set", "primitive"]),
    "x._op = '+'": (assigned("_op", lambda x, y: "+"), AttributeError,
                    ["_op of a node is read, not set"]),
    "x._backward = f": (assigned("_backward", lambda x, y: print), AttributeError,
                        ["_backward of a node comes from the table", "primitive"]),
    # --- making one
    "Value([1, 2])": (lambda x, y: Value([1, 2]), TypeError,
                      ["a real number; got list [1, 2]", "[Value(x) for x in xs]"]),
    "Value('3')": (lambda x, y: Value("3"), TypeError, ["a real number; got str '3'", "float(text)"]),
    "Value(None)": (lambda x, y: Value(None), TypeError, ["got NoneType"]),
    "Value(1j)": (lambda x, y: Value(1j), TypeError, ["a real number; got complex 1j"]),
    "Value(x)": (lambda x, y: Value(x), TypeError, ["It is a Value already", ".data"]),
    "Value(x.relu)": (lambda x, y: Value(x.relu), TypeError, ["got method", "Is a call missing"]),
    "Value(array)": (lambda x, y: Value(np.ones(2)), TypeError, ["got ndarray"]),
    "Value(1.0, _children=(), _op='')": (
        lambda x, y: Value(1.0, _children=(), _op=""), TypeError,
        ["Value(data, label) takes", "_children=()", "recorded as you compute", "primitive"]),
    "Value(1.0, (x, y), '*')": (
        lambda x, y: Value(1.0, (x, y), "*"), TypeError,
        ["Value(data, label) takes", "'*'", "recorded as you compute"]),
    "Value(1.0, array)": (lambda x, y: Value(1.0, np.ones(2)), TypeError, ["one text, its name; got ndarray"]),
    "Value(1.0, array, '')": (lambda x, y: Value(1.0, np.ones(2), ""), TypeError, ["array([1., 1.])"]),
    "Value(1.0, name='x')": (lambda x, y: Value(1.0, name="x"), TypeError, ["name='x'", "label"]),
    # --- operations that are none of a Value
    "if x > 0": (lambda x, y: 1 if x > 0 else 0, TypeError, ["x = 2.0", "maximum", "v.data"]),
    "0 < x": (lambda x, y: 0 < x, TypeError, ["x = 2.0", "maximum"]),
    "if x": (lambda x, y: 1 if x else 0, TypeError, ["x = 2.0 is neither true nor false", "v.data > 0"]),
    "x or y": (lambda x, y: x or y, TypeError, ["neither true nor false"]),
    "max(x, y)": (lambda x, y: max(x, y), TypeError, ["max", "maximum(a, b)"]),
    "max(0, x)": (lambda x, y: max(0, x), TypeError, ["maximum(a, b)"]),
    "min([x, y])": (lambda x, y: min([x, y]), TypeError, ["minimum(a, b)"]),
    "sorted([x, y])": (lambda x, y: sorted([x, y]), TypeError, ["compare the numbers, use v.data"]),
    "round(x, 2)": (lambda x, y: round(x, 2), TypeError,
                    ["x = 2.0 is not rounded", "round(v.data, 2)", "v:.2f"]),
    "int(x)": (lambda x, y: int(x), TypeError, ["x = 2.0 is not made a whole number", "v.data"]),
    "math.floor(x)": (lambda x, y: math.floor(x), TypeError, ["whole number", "v.data"]),
    "x % 2": (lambda x, y: x % 2, TypeError, ["x = 2.0", "no %", "v.data"]),
    "7 // x": (lambda x, y: 7 // x, TypeError, ["//", "v.data"]),
    "x @ y": (lambda x, y: x @ y, TypeError, ["no @", "a * b", "zip(u, v)"]),
    "[1.0] @ x": (lambda x, y: [1.0] @ x, TypeError, ["no @"]),
    "x[0]": (lambda x, y: x[0], TypeError, ["x = 2.0 is one number", "not a list"]),
    "a, b = x": (lambda x, y: [*x], TypeError, ["x = 2.0 is one number", "no loop or sum runs over it"]),
    "sum(x)": (lambda x, y: sum(x), TypeError, ["x = 2.0 is one number", "no loop or sum"]),
    "for v in x": (lambda x, y: [2 * v for v in x], TypeError, ["x = 2.0 is one number", "no loop or sum"]),
    "x ^ 2": (lambda x, y: x ^ 2, TypeError, ["x = 2.0", "no ^", "v ** 2"]),
    "2 ^ x": (lambda x, y: 2 ^ x, TypeError, ["no ^"]),
    "f'{x:d}'": (lambda x, y: f"{x:d}", ValueError, ["x = 2.0 is a float", "'d'", "v:.0f"]),
    "x + '2'": (lambda x, y: x + "2", TypeError, ["+, besides Values, takes a real number; got str '2'"]),
    "'2' * x": (lambda x, y: "2" * x, TypeError, ["*, besides Values, takes a real number; got str '2'"]),
    "x ** '2'": (lambda x, y: x ** "2", TypeError, ["**, besides Values, takes a real number; got str"]),
    "x + None": (lambda x, y: x + None, TypeError, ["got NoneType None", "a return missing"]),
    "x * [1, 2]": (lambda x, y: x * [1, 2], TypeError, ["got list [1, 2]", "[v * x for x in xs]"]),
    "x + x.relu": (lambda x, y: x + x.relu, TypeError, ["got method", "Is a call missing: x.relu()"]),
    "maximum(x.tanh, 0)": (lambda x, y: maximum(x.tanh, 0), TypeError, ["Is a call missing"]),
    # Python's own words, which an operand has no say in: the left one is a method.
    "x.relu + 1": (lambda x, y: x.relu + 1, TypeError, ["'method' and 'int'"]),
    "[1, 2] - x": (lambda x, y: [1, 2] - x, TypeError, ["-", "got list [1, 2]", "[x - v for x in xs]"]),
    "array of text * x": (
        lambda x, y: np.array(["1"]) * x, TypeError, ["*", "got ndarray", "xs.astype(float)"]),
    "x * array of text": (
        lambda x, y: x * np.array(["1"]), TypeError, ["*", "got ndarray", "xs.astype(float)"]),
    "array @ x": (lambda x, y: np.ones(2) @ x, TypeError, ["no @", "zip(u, v)"]),
    "array *= x": (
        lambda x, y: operator.imul(np.ones(2), x), TypeError, ["np.multiply", "x = 2.0", "dtype=object"]),
    "np.float64(1) < x": (lambda x, y: np.float64(1.0) < x, TypeError, ["x = 2.0 is not compared"]),
    "np.exp(x)": (lambda x, y: np.exp(x), TypeError, ["np.exp", "x = 2.0", "v.exp()"]),
    "np.sqrt(x)": (lambda x, y: np.sqrt(x), TypeError, ["np.sqrt", "x = 2.0", "v.sqrt()"]),
    "np.abs(x)": (lambda x, y: np.abs(x), TypeError, ["np.absolute", "x = 2.0", "abs(v)"]),
    "np.arctan(x)": (
        lambda x, y: np.arctan(x), TypeError, ["np.arctan", "no arctan", "primitive", "np.arctan(v.data)"]),
    "np.maximum(x, 0)": (
        lambda x, y: np.maximum(x, 0), TypeError, ["np.maximum", "x = 2.0", "Use maximum(a, b)"]),
    "np.add.reduce(x)": (lambda x, y: np.add.reduce(x), TypeError, ["np.add.reduce", "dtype=object"]),
    "np.max([x, y])": (lambda x, y: np.max([x, y]), TypeError, ["maximum(a, b)"]),
    "(x - 2).log()": (lambda x, y: (x - 2).log(), ValueError, ["log needs an operand above 0; got 0.0"]),
    "1 / (x - 2)": (lambda x, y: 1 / (x - 2), ZeroDivisionError, ["/ needs a divisor other than 0"]),
    "y ** 0.5": (lambda x, y: y**0.5, ValueError, ["y = -3.0, 0.5", "no whole number"]),
    "(x * 1000).exp()": (lambda x, y: (x * 1000).exp(), OverflowError, ["exp gives a number too large"]),
    "(x - 2).sqrt().backward()": (
        lambda x, y: (x - 2).sqrt().backward(), ValueError, ["sqrt has a value at 0.0 but no slope"]),
    # --- calls
    "x.backward(retain_graph=True)": (
        lambda x, y: x.backward(retain_graph=True), TypeError,
        ["backward() takes nothing; got retain_graph=True", "The graph is kept", "create_graph=True"]),
    "x.backward(1.0)": (lambda x, y: x.backward(1.0), TypeError, ["got 1.0", "∂J/∂J is 1"]),
    "maximum([x, y])": (
        lambda x, y: maximum([x, y]), TypeError, ["got list", "maximum(*values)"]),
    "minimum(0, x=y)": (
        lambda x, y: minimum(0, x=y), TypeError, ["two operands or more; got 0", "minimum(*values)"]),
    "maximum(x)": (lambda x, y: maximum(x), TypeError, ["got nothing"]),
    "Value()": (lambda x, y: Value(), TypeError, ["Value(data) takes a real number; got nothing"]),
    "topological_order([x, y])": (
        lambda x, y: topological_order([x, y]), TypeError, ["takes Values", "got list"]),
    "grad(x.data, x)": (
        lambda x, y: tinygrad_margin.grad(x.data, x), TypeError, ["takes Values", "got float 2.0"]),
    "grad(x * y, 'x')": (
        lambda x, y: tinygrad_margin.grad(x * y, "x"), TypeError, ["takes Values for wrt; got str 'x'"]),
    "jvp(x * y, x)": (lambda x, y: jvp(x * y, x), TypeError, ["a mapping from leaves", "{x: 1.0}"]),
    "gradcheck(x * y, [1.0, 2.0])": (
        lambda x, y: gradcheck(x * y, [1.0, 2.0]), TypeError, ["a function of Values, not yet called"]),
    "Tape(x, x)": (
        lambda x, y: tinygrad_margin.Tape(x, x), TypeError, ["put it in a list: [x]"]),
    "grad(grad(J, x), x)": (
        lambda x, y: tinygrad_margin.grad(tinygrad_margin.grad(x * y, x), x), TypeError,
        ["got float -3.0", "create_graph=True"]),
    "hinge_loss(x, Value(1))": (
        lambda x, y: hinge_loss(x, Value(1.0)), TypeError, ["y of hinge_loss", "got Value", "v.data"]),
    "jvp(J, {x: y})": (
        lambda x, y: jvp(x * y, {x: y}), TypeError, ["a direction of jvp", "got Value", "v.data"]),
    "tape.value([x, y])": (
        lambda x, y: tinygrad_margin.Tape(x * y, [x, y]).value([x, y]), TypeError,
        ["the input x of a tape", "got Value", "v.data"]),
    "draw(J, 5)": (
        lambda x, y: draw(x * y, 5), TypeError, ["draw writes to a file by its name", "got int 5"]),
    "draw(J, b'b.svg')": (
        lambda x, y: draw(x * y, b"b.svg"), TypeError, ["draw writes", "got bytes b'b.svg'"]),
    "animate(J, 5)": (
        lambda x, y: animate(x * y, 5), TypeError, ["animate writes to a file", "got int 5"]),
    # --- networks
    "MLP(2, 4, 1)": (lambda x, y: MLP(2, 4, 1), TypeError, ["MLP(2, [4, 1])", "got 4, 1"]),
    "MLP(2)": (lambda x, y: MLP(2), TypeError, ["MLP(2, [4, 1])", "got nothing"]),
    "MLP(2, [1])(1.0, 2.0)": (
        lambda x, y: MLP(2, [1])(1.0, 2.0), TypeError, ["takes one list", "got 1.0, 2.0", "([1.0, 2.0])"]),
    "Neuron(2)(x, y)": (lambda x, y: Neuron(2)(x, y), TypeError, ["ReLUNeuron(2) takes one list"]),
    "Layer(2, 3)(x, y)": (lambda x, y: Layer(2, 3)(x, y), TypeError, ["takes one list"]),
    "WindowScorer(2, 3)(x, y)": (
        lambda x, y: WindowScorer(2, 3)(x, y), TypeError, ["WindowScorer", "takes one list"]),
    "Layer(2, 3, activation='tanh')": (
        lambda x, y: Layer(2, 3, activation="tanh"), TypeError,
        ["nonlin", "got activation='tanh'", "neuron(x).tanh()"]),
    "Neuron(2, activation='tanh')": (
        lambda x, y: Neuron(2, activation="tanh"), TypeError, ["nonlin", "got activation='tanh'"]),
    "Layer(2, 3, 'tanh')": (
        lambda x, y: Layer(2, 3, "tanh"), TypeError, ["nonlin", "got 'tanh'"]),
    "MLP(2, 4)": (lambda x, y: MLP(2, 4), TypeError, ["a list", "MLP(2, [4, 1])", "got int 4"]),
    "Layer(2, 0)": (lambda x, y: Layer(2, 0), ValueError, ["number of neurons, is 1 or more; got 0"]),
    "Neuron(-1)": (lambda x, y: Neuron(-1), ValueError, ["number of inputs, is 1 or more; got -1"]),
    "MLP(0, [1])": (lambda x, y: MLP(0, [1]), ValueError, ["number of inputs, is 1 or more; got 0"]),
    "MLP(2, [1])([1.0])": (lambda x, y: MLP(2, [1])([1.0]), ValueError, ["takes 2 numbers", "got 1"]),
    "MLP(2, [1])(X)": (
        lambda x, y: MLP(2, [1])([[1.0, 2.0], [3.0, 4.0]]), TypeError, ["[model(x) for x in X]"]),
    "MLP(2, [1])(1.0)": (lambda x, y: MLP(2, [1])(1.0), TypeError, ["takes a list", "got float"]),
    "MLP(2, [1])([1.0, None])": (lambda x, y: MLP(2, [1])([1.0, None]), TypeError, ["got NoneType"]),
    "MLP(2, [1])([1.0, 2.0])[0]": (
        lambda x, y: MLP(2, [1])([1.0, 2.0])[0], TypeError, ["one output gives that Value itself"]),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_in_a_sentence_and_changes_nothing(mistake):
    code, kind, words = MISTAKES[mistake]
    x, y = labelled()
    x.grad = 5.0
    before = [(v.data, v.grad, v.label, v.parents, v.op, dict(v.__dict__)) for v in (x, y)]
    with pytest.raises(kind) as told:
        code(x, y)
    said = str(told.value)
    assert [word for word in words if word not in said] == [], said
    assert len(said) < 400
    assert [(v.data, v.grad, v.label, v.parents, v.op, dict(v.__dict__)) for v in (x, y)] == before


# What PyTorch and others have, and what to write here.
ELSEWHERE = {
    "ReLU": "v.relu()", "softmax": "v.exp() for v", "item": "v.data", "detach": "Value(v.data)",
    "mean": "sum(values) / len(values)", "pow": "v ** 2", "value": "v.data", "gradient": "v.grad",
    "numpy": "v.data", "requires_grad": "grad(J, [v])", "name": "v.label", "shape": "no shape",
}  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_names_that_others_have_are_told(name):
    x = Value(2.0, "x")
    with pytest.raises(AttributeError) as told:
        getattr(x, name)
    assert str(told.value).startswith(f"'Value' object has no attribute {name!r}: ")
    assert ELSEWHERE[name] in str(told.value)
    assert (hasattr(x, name), hasattr(Value, name), name in dir(x)) == (False, False, False)
    setattr(x, name, 3)  # it is free for an attribute of one's own
    assert (getattr(x, name), getattr(copy.copy(x), name), name in dir(x)) == (3, 3, True)
    delattr(x, name)
    assert getattr(x, name, None) is None


def test_what_libraries_ask_a_value_for_is_answered():
    x = Value(2.0)
    for name in ("foo", "__array__", "__array_interface__", "__len__", "__call__", "_repr_html_"):
        assert not hasattr(x, name)
    assert (np.iterable(x), callable(x), np.ndim(x), np.array([x]).shape) == (False, False, 0, (1,))
    for number in (np.float64(2.0), np.int64(2), np.float32(2.0), np.longdouble(2), np.array(2.0)):
        for node in (number * x, x * number, number + x, number - x, number / x, number**x):
            assert type(node) is Value
        assert (number == x, number != x, x == number) == (False, True, False)


def test_no_getattr_slows_the_slots():
    assert Value.__getattribute__ is object.__getattribute__
    assert not hasattr(Value, "__getattr__")  # CPython 3.11 specialises no slot where there is one


def test_a_class_of_ones_own_may_use_such_names():
    class Mixin:
        def mean(self):
            return "mean"

    class Mine(Value, Mixin):
        def item(self):
            return self.data

    x = Mine(2.0)
    assert (x.item(), x.mean(), Mine.mean(x), "item" in dir(x), "mean" in dir(x)) == (
        2.0, "mean", "mean", True, True)  # fmt: skip
    with pytest.raises(AttributeError, match=r"'Mine' object has no attribute 'value': .* v\.data"):
        x.value



class Tensor:
    """As a framework's tensor of one number is: it has a dtype of its own, and is no number."""

    dtype, shape = "float32", ()

    def __float__(self):
        return 2.0

    def __repr__(self):
        return "tensor(2.)"


@pytest.mark.parametrize("use", [
    lambda x, t: x * t, lambda x, t: t * x, lambda x, t: Value(t), lambda x, t: setattr(x, "data", t),
    lambda x, t: maximum(t, x), lambda x, t: MLP(2, [1])([t, t]),
])  # fmt: skip
def test_tensors_are_not_taken_for_numbers(use):
    with pytest.raises(TypeError, match=r"takes a real number; got Tensor tensor\(2\.\)"):
        use(Value(1.0), Tensor())


# --- what works -----------------------------------------------------------------------------------


def test_numbers_of_every_kind_may_be_set():
    x = Value(1.0)
    for number in (3, True, np.float64(2.5), np.float32(0.5), np.int64(7), np.array(1.5)):
        for name in ("data", "grad"):
            setattr(x, name, number)
            assert type(getattr(x, name)) is float
            assert getattr(x, name) == float(number)
    x.data -= np.float64(0.5)
    x.grad += 1
    assert (x.data, x.grad) == (1.0, 2.5)
    again = pickle.loads(pickle.dumps(copy.deepcopy(x)))
    assert (again.data, again.grad) == (1.0, 2.5)
    with pytest.raises(TypeError, match="w.data takes"):  # a node without a name
        x.data = x * 2


def test_labels_are_text():
    x = Value(1.0)
    assert (x.label, x.__dict__) == ("", {})
    x.label = "a"
    assert (x.label, copy.copy(x).label, pickle.loads(pickle.dumps(x)).label) == ("a", "a", "a")
    x.label = ""
    assert repr(x) == "Value(data=1.0, grad=0.0)"
    with pytest.raises(TypeError, match="one text, its name; got tuple.*recorded as you compute"):
        x.label = (x,)

    class Weight(Value):
        label = "w"

    assert repr(Weight(1.0) * 1) == "Value(data=1.0, grad=0.0)"
    assert Weight(1.0).label == "w"


def test_a_node_without_a_label_keeps_no_dictionary():
    x = Value(1.0)
    y = (x * 2).relu()
    assert [v.label for v in (x, y, constant(2.0))] == ["", "", ""]
    assert not any(v.__dict__ for v in topological_order(y))


def test_a_value_is_printed_as_the_number_it_is():
    x = Value(1234.5678, "x")
    assert f"{x:.3f} {x:10.1f}|{x:e}|{x:,.0f}" == "1234.568     1234.6|1.234568e+03|1,235"
    assert f"{x}" == str(x) == repr(x)
    assert "%.2f" % x == "1234.57"  # noqa: UP031
    assert format(Value(math.nan), ".2f") == "nan"
    with pytest.raises(ValueError, match="format"):
        f"{x:d}"


def test_float_leaves_the_graph():
    x = Value(1.0)
    assert (float(x), math.exp(x), np.array([x], dtype=float)[0]) == (1.0, math.e, 1.0)
    check = gradcheck(lambda x: x * math.exp(x), [1.0])
    assert not check
    assert "plain numbers, which no gradient flows through" in " ".join(str(check).split())


def test_arrays_of_values():
    a, b = np.array([Value(1.0), Value(2.0)]), np.array([Value(3.0), Value(4.0)])
    assert (a.dtype, a.shape) == (object, (2,))
    for product in (np.dot(a, b), a @ b, sum(a * b), np.sum(a * b), (a * b).sum(), a.dot([3.0, 4.0])):
        assert product.data == 11.0
    np.sum(a * b).backward()
    assert [v.grad for v in (*a, *b)] == [3.0, 4.0, 1.0, 2.0]
    assert [v.data for v in np.exp(a)] == [math.exp(1.0), math.exp(2.0)]
    assert [v.data for v in 2 * a - np.array([1.0, 1.0])] == [1.0, 3.0]
    assert np.mean(a).data == 1.5
    W = np.array([[Value(1.0), Value(0.0)], [Value(0.0), Value(2.0)]])
    assert [v.data for v in W @ a] == [1.0, 4.0]


def test_signs_and_sums():
    x = Value(-2.0, "x")
    v = u = x
    v += 1
    assert (v.data, u is x, x.data) == (-1.0, True, -2.0)  # v is another node now
    assert (abs(x).data, (-x).data, sum([x, x]).data, sum([]), x == Value(-2.0), x == -2.0) == (
        2.0, 2.0, -4.0, 0, False, False)  # fmt: skip
    assert x in [Value(-2.0), x]


def test_backward_adds_until_someone_sets_grad_to_0():
    x = Value(3.0)
    loss = x * x
    for times in (1, 2, 3):
        loss.backward()
        assert x.grad == 6.0 * times
    loss.zero_grad()
    loss.backward()
    assert x.grad == 6.0


def test_a_name_that_is_given_anew_is_another_node():
    x = Value(3.0, "x")
    first = x
    x = x + 1
    (x * 2).backward()
    assert (x.grad, first.grad, x.label) == (2.0, 2.0, "")


def test_the_step_of_gradient_descent_does_not_grow_a_graph():
    random.seed(3)
    model, sizes = MLP(2, [3, 1]), []
    for _ in range(5):
        loss = (model([0.5, -1.0]) - 1) ** 2
        sizes.append(len(topological_order(loss)))
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= np.float64(0.1) * p.grad
    assert len(set(sizes)) == 1
    assert all(type(p.data) is float and not p.parents for p in model.parameters())


def test_a_class_of_ones_own_with_micrograds_signature_is_told():
    class MyValue(Value):
        def __init__(self, data, _children=(), _op="", label=""):
            super().__init__(data, _children, _op, label)

    with pytest.raises(TypeError, match=r"Value\(data, label\) takes a number and one text.*primitive"):
        MyValue(1.0)
