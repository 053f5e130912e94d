"""The engine: values, gradients, and every row of the design's table of edge cases."""

import copy
import math
import pickle
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from graphs import random_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_margin import (
    ReverseSweep,
    SlopeError,
    Tape,
    Value,
    draw,
    evaluation_trace,
    explain,
    grad,
    hessian,
    jvp,
    maximum,
    minimum,
    page,
    paths,
    topological_order,
)
from tinygrad_margin.engine import adjoints, constant, local_derivatives
from tinygrad_margin.graph import count_paths


def gradient(J, *leaves):
    """∂J/∂leaf by backward, checked against grad."""
    J.zero_grad()
    J.backward()
    found = [leaf.grad for leaf in leaves]
    assert found == grad(J, leaves)
    return found


# --- what a Value is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [3, 3.0, True, np.float32(3), np.float64(3), np.int8(3), np.bool_(True), np.array(3),
     np.array(3.0), np.array(True), Fraction(3)],
)  # fmt: skip
def test_data_becomes_a_float(x):
    assert type(Value(x).data) is float
    assert Value(x).data == float(x)


@pytest.mark.parametrize(
    "x",
    ["3", b"3", 1j, None, [3], (3,), np.array([3.0]), np.array([[3.0]]), np.array([1.0, 2.0]),
     np.complex128(1), np.array("3"), np.array(1j), np.str_("3"), {}, Value(3.0), object(),
     np.datetime64("2020")],
)  # fmt: skip
def test_what_is_no_number_is_refused_by_name(x):
    with pytest.raises(TypeError, match=type(x).__name__):
        Value(x)
    if not (isinstance(x, Value) or getattr(x, "shape", ())):  # arrays go entry by entry
        with pytest.raises(TypeError, match=type(x).__name__):
            Value(1.0) + x


def test_leaf_and_node():
    a, b = Value(2.0, "a"), Value(3.0, "b")
    c = a * b
    assert (a.parents, a.op, a.grad) == ((), "", 0.0)
    assert (c.parents, c.op) == ((a, b), "*")
    assert (c._prev, c._op) == (c.parents, c.op)
    for name in ("parents", "op", "_prev", "_op"):
        with pytest.raises(AttributeError):
            setattr(c, name, ())


def test_repr_and_float():
    assert repr(Value(2, "s_c")) == "Value(data=2.0, grad=0.0, label='s_c')"
    assert repr(Value(2)) == "Value(data=2.0, grad=0.0)"
    assert float(Value(2)) == 2.0


def test_equality_and_hash_are_by_identity():
    a, b = Value(1.0), Value(1.0)
    assert a == a
    assert a != b
    assert len({a, b, a}) == 2


# --- operations -----------------------------------------------------------------------------------


def test_operators_with_numbers_on_either_side():
    v = Value(2.0)
    for number in (3, 3.0, np.float64(3), np.int64(3), np.float32(3), np.array(3.0)):
        for result, expected in (
            (v + number, 5), (number + v, 5), (v - number, -1), (number - v, 1), (v * number, 6),
            (number * v, 6), (v / number, 2 / 3), (number / v, 1.5), (v**number, 8),
            (number**v, 9),
        ):  # fmt: skip
            assert type(result) is Value
            assert result.data == pytest.approx(expected, rel=1e-15)
            assert len(result.parents) == 2
    assert (-v).data == -2.0
    assert (-v).parents == (v,)
    assert abs(Value(-2.0)).data == 2.0


def test_sum_leaves_no_node_for_its_start():
    a, b, c = Value(1.0), Value(2.0), Value(3.0)
    total = sum([a, b, c])
    assert total.data == 6.0
    assert len(topological_order(total)) == 5
    assert sum([a]) is a
    assert sum([a, b], Value(1.0)).data == 4.0
    assert len((0.0 + a).parents) == 2  # written by a person: recorded


def test_maximum_and_minimum_take_numbers():
    assert maximum(1, 2).data == 2.0
    assert minimum(1, Value(2.0)).data == 1.0
    assert maximum(Value(3.0), 2).data == 3.0
    with pytest.raises(TypeError, match="max"):
        maximum("a", 1)


class ByNumber(Value):
    """Equal where the numbers are equal; and so, for Python, without a hash."""

    def __eq__(self, other):
        return self.data == getattr(other, "data", other)


class ByNumberAndHash(Value):
    def __eq__(self, other):
        return isinstance(other, Value) and self.data == other.data

    def __hash__(self):
        return hash(self.data)


class Mixed(ByNumber):
    pass


class Equal:
    def __eq__(self, other):
        return True


class Last(Equal, Value):
    pass


@pytest.mark.parametrize("kind", [ByNumber, ByNumberAndHash, Mixed, Last])
def test_a_subclass_with_an_equality_of_its_own_gets_the_gradients_of_its_nodes(kind):
    def graph(make):
        p, q = make(2.0, "p"), make(2.0, "q")
        return p, q, p * q * q + p + (p - 3 * q).relu() + p**q

    p, q, J = graph(kind)
    a, b, K = graph(Value)
    assert p == q
    assert len({p, q}) == len(dict.fromkeys([p, q])) == 2
    assert grad(J, [p, q]) == grad(K, [a, b])
    assert jvp(J, {p: 1.0, q: 0.0}) == grad(K, a)
    assert hessian(J, [p, q]) == hessian(K, [a, b])
    assert [x.data for x in grad(J, [p, q], create_graph=True)] == grad(K, [a, b])
    J.backward()
    assert [p.grad, q.grad] == grad(K, [a, b])
    assert list(map(str, ReverseSweep(J).run())) == list(map(str, ReverseSweep(K).run()))
    assert draw(J).source == draw(K).source
    assert str(explain(J, q)) == str(explain(K, b))
    assert str(evaluation_trace(J)) == str(evaluation_trace(K))
    assert count_paths(J, q) == len(list(paths(J, q))) == count_paths(K, b)
    assert page(J).html == page(K).html
    assert Tape(J, [p, q]).value_and_grad([1.5, 2.5]) == Tape(K, [a, b]).value_and_grad([1.5, 2.5])
    for again in (copy.deepcopy(J), pickle.loads(pickle.dumps(J))):
        assert draw(again).source == draw(K).source
        assert len(topological_order(again)) == len(topological_order(K))
    sweep = ReverseSweep(J)
    sweep.run()
    sweep.commit()
    assert [p.grad, q.grad] == [2 * x for x in grad(K, [a, b])]


# --- gradients ------------------------------------------------------------------------------------


def test_the_question():
    s, s_c = Value(0.3), Value(0.5)
    assert gradient(maximum(1 + s_c - s, 0), s, s_c) == [-1.0, 1.0]
    assert gradient(maximum(1 + s_c - Value(3.0), 0), s_c) == [0.0]


def test_making_s_c_depend_on_s_changes_the_graph():
    s = Value(0.3)
    assert gradient(maximum(1 + s / 2 - s, 0), s) == [-0.5]


def test_baydin_et_al_table_3():
    x_1, x_2 = Value(2.0), Value(5.0)
    y = x_1.log() + x_1 * x_2 - x_2.sin()
    assert round(y.data, 3) == 11.652
    assert [round(g, 3) for g in gradient(y, x_1, x_2)] == [5.5, 1.716]


def test_the_readme_example_of_micrograd():
    a, b = Value(-4.0), Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert round(g.data, 4) == 24.7041
    assert [round(x, 4) for x in gradient(g, a, b)] == [138.8338, 645.5773]


def test_a_value_used_twice():
    a = Value(3.0)
    assert gradient(a + a, a) == [2.0]
    assert gradient(a * a, a) == [6.0]
    assert gradient(a - a, a) == [0.0]
    assert gradient(a**a, a) == [pytest.approx(27 * (1 + math.log(3)), rel=1e-15)]


@pytest.mark.parametrize(
    ("build", "at", "slope"),
    [
        (lambda v: v.relu(), 0.0, 0.0),
        (lambda v: maximum(v, 0), 0.0, 0.5),
        (lambda v: maximum(0, v), 0.0, 0.5),
        (lambda v: minimum(v, 0), 0.0, 0.5),
        (abs, 0.0, 0.0),
        (lambda v: v**0, 0.0, 0.0),
        (lambda v: v ** Value(0.0), 0.0, 0.0),
        (lambda v: v**1, 0.0, 1.0),
        (lambda v: v**2, -3.0, -6.0),
        (lambda v: v**-1, -2.0, -0.25),
        (lambda v: 0**v, 0.5, 0.0),
        (lambda v: 0 / v, 2.0, 0.0),
        (lambda v: v.exp(), -1e6, 0.0),
    ],
)
def test_edge_slopes(build, at, slope):
    v = Value(at)
    assert gradient(build(v), v) == [slope]


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda q: q.log(), ValueError, "log .*q = -1.0"),
        (lambda q: (q + 1).log(), ValueError, "log .*0.0"),
        (lambda q: q.sqrt(), ValueError, "sqrt .*q = -1.0"),
        (lambda q: q**0.5, ValueError, r"\*\* .*q = -1.0, 0.5"),
        (lambda q: q ** Value(0.5, "p"), ValueError, "p = 0.5"),
        (lambda q: 1 / (q + 1), ZeroDivisionError, "/ .*divisor"),
        (lambda q: (q + 1) ** -1, ZeroDivisionError, r"\*\* .*base"),
        (lambda q: (q * -1000).exp(), OverflowError, "exp .*too large.*1000.0"),
        (lambda q: (q * -10) ** 400, OverflowError, r"\*\* .*too large"),
        (lambda q: (q * math.inf).sin(), ValueError, "sin .*finite"),
    ],
)
def test_outside_the_domain_the_error_names_operation_operand_and_value(build, error, words):
    with pytest.raises(error, match=words):
        build(Value(-1.0, "q"))


@pytest.mark.parametrize("kind", [ValueError, ZeroDivisionError, SlopeError])
def test_a_slope_that_does_not_exist_fails_and_changes_no_leaf(kind):
    x, y = Value(0.0, "x"), Value(2.0, "y")
    x.grad, y.grad = 5.0, 7.0
    J = y * y + x.sqrt() * y
    for fails in (J.backward, lambda: grad(J, x)):
        with pytest.raises(kind, match=r"sqrt .*x = 0\.0"):
            fails()
        assert (x.grad, y.grad) == (5.0, 7.0)


def test_grad_is_asked_only_for_what_it_is_asked():
    x, y = Value(0.0, "x"), Value(2.0, "y")
    assert grad(3 * y + x.sqrt(), y) == 3.0


def test_a_negative_base_has_no_slope_in_a_variable_exponent():
    x, p = Value(-3.0, "x"), Value(2.0, "p")
    with pytest.raises(SlopeError, match="x = -3.0, p = 2.0"):
        (x**p).backward()


def test_a_slope_too_large_for_a_float():
    with pytest.raises(OverflowError, match="slope"):
        (Value(1e-300, "x") ** -1).backward()


def test_slopes_too_large_are_told_whatever_the_operation():
    for build in (lambda x: 1 / x, lambda x: x**-1, lambda x: 1e-170 / (x * x), lambda x: 3 * x + 2 / x):
        x, other = Value(1e-160, "x"), Value(2.0)
        J = build(x) * other
        x.grad = other.grad = 5.0
        for fails in (
            J.backward, lambda: grad(J, x), lambda: grad(J, x, create_graph=True),
            lambda: jvp(J, {x: 1.0}), lambda: explain(J, x), lambda: ReverseSweep(J).run(),
        ):  # fmt: skip
            with pytest.raises(OverflowError, match=r"^the slope of (/|\*\*) at .*1e-\d+.* is too large"):
                fails()
        assert (x.grad, other.grad) == (5.0, 5.0)
        assert grad(J, other) == build(x).data  # nobody asks for the other one
        assert "no slope" in draw(J).source
    x = Value(1e-110, "x")
    assert grad(1 / x, x) == pytest.approx(grad(x**-1, x)) == -1e220
    for J in (1 / x, x**-1):
        with pytest.raises(OverflowError, match="the slope of"):
            hessian(J, x)


def test_a_slope_in_a_constant_is_not_asked_for_and_may_be_too_large():
    x = Value(1.0, "x")
    J = x / 1e-200  # ∂J/∂1e-200 is -1e400
    J.backward()
    assert x.grad == grad(J, x) == 1e200
    ReverseSweep(J).run()


def test_infinite_and_undefined_data_have_slopes_like_themselves():
    x = Value(math.inf, "x")
    (x * x).backward()
    assert x.grad == math.inf
    y = Value(1e-320, "y")  # 1 / y is inf, as it is for floats
    (1 / y).backward()
    assert y.grad == -math.inf
    z = Value(math.nan)
    (z * 2 + z.tanh()).backward()
    assert math.isnan(z.grad)


def test_backward_twice_doubles_the_leaves_exactly():
    for seed in range(50):
        J, leaves = random_graph(seed)
        J.backward()
        once = [leaf.grad for leaf in leaves]
        inner = {node: node.grad for node in topological_order(J) if node.parents}
        J.backward()
        assert [leaf.grad for leaf in leaves] == [2 * g for g in once]
        assert all(node.grad == g for node, g in inner.items())
        assert J.grad == 1.0


def test_backward_of_two_roots_accumulates_in_shared_leaves():
    w = Value(2.0)
    (w * 3).backward()
    (w * w).backward()
    assert w.grad == 7.0


def test_backward_on_a_leaf():
    v = Value(2.0)
    v.backward()
    v.backward()
    assert v.grad == 2.0


def test_zero_grad_reaches_the_whole_graph():
    a = Value(2.0)
    b = a * 3
    c = b + a
    c.backward()
    c.zero_grad()
    assert {node.grad for node in topological_order(c)} == {0.0}


def test_grad_touches_no_grad():
    J, leaves = random_graph(3)
    J.backward()
    before = {node: node.grad for node in topological_order(J)}
    grad(J, leaves)
    adjoints(J)
    assert {node: node.grad for node in topological_order(J)} == before


def test_grad_of_what_does_not_matter_is_0():
    a, b = Value(1.0), Value(2.0)
    J = a * 2
    assert grad(J, b) == 0.0
    assert grad(J, [a, b, J]) == [2.0, 0.0, 1.0]
    assert grad(J, []) == []
    assert grad(J, iter([a])) == [2.0]


@pytest.mark.parametrize("call", [
    lambda v: grad("J", v), lambda v: grad(v, "v"), lambda v: grad(v, 3), lambda v: grad(v, [3]),
    lambda v: grad(v, None), lambda v: topological_order(3),
])  # fmt: skip
def test_what_is_no_node_is_refused(call):
    with pytest.raises(TypeError, match="Value"):
        call(Value(1.0))


@given(st.integers(0, 10**9))
@settings(max_examples=100, deadline=None)
def test_adjoints_are_sums_over_edges(seed):
    J, _ = random_graph(seed)
    totals = adjoints(J)
    sums = dict.fromkeys(totals, 0.0)
    for node in totals:
        for parent, derivative in zip(node.parents, local_derivatives(node), strict=True):
            sums[parent] += totals[node] * derivative
    for node, total in totals.items():
        if node is not J:
            assert total == pytest.approx(sums[node], rel=1e-9, abs=1e-9)


# --- size, memory, interruption -------------------------------------------------------------------


MEMORY = """
import tracemalloc
from tinygrad_margin import Value, topological_order

x, w = Value(0.5), [Value(0.1 * i) for i in range(50)]
tracemalloc.start()
before = tracemalloc.get_traced_memory()[0]
J = x
for _ in range(200):
    J = sum((w_i * J for w_i in w), x).tanh()
J.backward()
used = tracemalloc.get_traced_memory()[0] - before
tracemalloc.stop()
print(used / len(topological_order(J)))
"""


def test_a_node_costs_at_most_150_bytes():
    # In a new process: each attribute that any Value ever had makes all later ones larger.
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(done.stdout) <= 150


def test_constants_are_leaves_too():
    c = constant(2.0)
    J = Value(3.0) * c
    assert grad(J, c) == 3.0
    assert c.op == ""


def test_a_plus_sign_changes_nothing():
    v = Value(2.0)
    assert +v is v
    assert np.positive(v) is v
    assert np.positive(np.array([v, v])).tolist() == [v, v]
