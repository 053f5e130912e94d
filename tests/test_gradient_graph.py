"""The graph of a gradient, and second derivatives at kinks."""

import gc
import math
import pickle
import warnings
import weakref

import numpy as np
import pytest
from graphs import as_function, random_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_margin import (
    KinkWarning,
    ReverseSweep,
    Tape,
    Value,
    draw,
    evaluation_trace,
    explain,
    grad,
    hessian,
    jvp,
    margin_loss,
    maximum,
    minimum,
    numeric_grad,
    paths,
    topological_order,
)
from tinygrad_margin.engine import constant

SEEDS = st.integers(0, 10**9)


@pytest.mark.parametrize(
    "build", [Value.relu, abs, lambda x: maximum(x, 0), lambda x: minimum(0, x)]
)
@pytest.mark.parametrize("at", [-2.0, 3.0])
def test_beside_a_kink_the_slope_is_a_number(build, at):
    x = Value(at)
    slope = grad(build(x), x, create_graph=True)
    assert slope.data == grad(build(x), x)
    assert slope.parents == ()
    assert grad(slope, x) == 0.0
    assert hessian(build(x) * x, x) == [[2 * slope.data]]


@pytest.mark.parametrize(
    ("build", "taken", "kink"),
    [
        (lambda x: maximum(x, 0) + (1 + (-abs(x)).exp()).log(), 0.0, "abs of x = 0.0"),  # truly ¼
        (lambda x: abs(x) ** 2, 0.0, "abs of x = 0.0"),  # truly 2
        (lambda x: x * maximum(x, 0.0, -1.0), 1.0, "max of x = 0.0, 0.0, -1.0"),  # 2 or 0
        (lambda x: minimum(2 * x, x) * x, 3.0, "min of 0.0, x = 0.0"),  # 4 or 2
        (lambda x: (x * x + x).relu() * 3, 0.0, "relu of 0.0"),  # 6 or 0
    ],
)
def test_second_derivatives_at_a_kink_warn(build, taken, kink):
    x = Value(0.0, "x")
    with pytest.warns(KinkWarning, match=kink):
        assert hessian(build(x), x) == [[taken]]
    slope = grad(build(x), x, create_graph=True)
    assert slope.data == grad(build(x), x)
    for ask in (lambda: grad(slope, x), slope.backward):
        with pytest.warns(KinkWarning, match=kink) as warned:
            assert ask() in (taken, None)
        assert warned[0].filename == __file__
    again = pickle.loads(pickle.dumps(slope))
    assert (again.op, again._row) == ("at kink", slope._row)


def test_a_kink_elsewhere_warns_of_nothing():
    x, y = Value(0.0, "x"), Value(2.0, "y")
    J = maximum(x.relu() - 1, -3) * y + y**3 + (x - 1).relu()
    assert hessian(J, y) == [[12.0]]
    assert hessian(maximum(x, x - 1, -5) ** 2, x) == [[2.0]]
    assert hessian(maximum(y, y) ** 3, y) == hessian(maximum(y, y, 0) ** 3, y) == [[12.0]]


def test_a_kink_of_another_variable_warns_too():
    x, y = Value(0.0, "x"), Value(2.0, "y")
    for first, second in ((x, y), (y, x)):
        slope = grad(y * x.relu(), first, create_graph=True)
        with pytest.warns(KinkWarning, match="relu of x = 0.0"):
            assert grad(slope, second) == 0.0
        with pytest.warns(KinkWarning, match="relu of x = 0.0"):
            assert jvp(slope, {second: 1.0}) == 0.0


def test_it_is_small_and_shares_nodes():
    w, x, b, y = (Value(n, s) for n, s in ((2.0, "w"), (3.0, "x"), (1.0, "b"), (4.0, "y")))
    r = w * x + b - y
    J = r**2
    dw, db = grad(J, [w, b], create_graph=True)
    assert [node.op for node in topological_order(dw)].count("*") == 3  # w·x, 2·r, 2r·x
    assert (dw.op, dw.parents[1], dw.parents[0]) == ("*", x, db)
    assert (db.op, db.parents[0].data, db.parents[1]) == ("*", 2.0, r)
    assert grad(dw, [w, b], create_graph=False) == [18.0, 6.0]
    assert grad(w.exp(), w, create_graph=True).op == "exp"  # the node itself


def test_numbers_stay_numbers():
    x, y = Value(2.0), Value(5.0)
    g = grad(3 * x * 2 - x / 4, x, create_graph=True)
    assert (g.data, g.parents) == (5.75, ())
    g, none, itself = grad(x * 2, [x, y, x * 2], create_graph=True)
    assert (g.data, none.data, itself.data) == (2.0, 0.0, 0.0)
    assert grad(x, x, create_graph=True).data == 1.0
    J = x * y
    assert [g.data for g in grad(J, [J, *J.parents, x], create_graph=True)] == [1.0, 5.0, 2.0, 5.0]
    assert grad(J, [], create_graph=True) == hessian(J, []) == []
    c = constant(3.0)
    assert hessian(c * c * x, [c, x]) == [[4.0, 6.0], [6.0, 0.0]]


def test_inner_nodes():
    x = Value(2.0)
    z = x * x
    J = z**3 + x * z
    assert grad(J, z, create_graph=True).data == grad(J, z) == 3 * 16 + 2
    assert grad(grad(J, z, create_graph=True), x) == 12 * x.data**3 + 1  # 3x⁴ + x, in x


@given(SEEDS)
@settings(max_examples=150, deadline=None)
def test_on_random_graphs(seed):
    J, leaves = random_graph(seed)
    J.backward()
    before = {node: (node.data, node.grad, node.label) for node in topological_order(J)}
    warnings.simplefilter("ignore", KinkWarning)
    slopes = grad(J, leaves, create_graph=True)
    assert [slope.data for slope in slopes] == pytest.approx(grad(J, leaves), rel=1e-12)
    H = np.array(hessian(J, leaves))
    assert np.abs(H - H.T).max() <= 1e-10 * max(1.0, np.abs(H).max())
    assert {node: (node.data, node.grad, node.label) for node in topological_order(J)} == before
    x = np.array([leaf.data for leaf in leaves])
    tape = Tape(slopes[0], leaves)
    assert tape.value(x) == pytest.approx(slopes[0].data, rel=1e-9, abs=1e-9)
    directions = dict(zip(leaves, (0.5, -2.0, 0.0), strict=True))
    expected = sum(g * d for g, d in zip(grad(J, leaves), directions.values(), strict=True))
    assert jvp(J, directions) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    row = [jvp(slope, directions) for slope in slopes]
    assert row == pytest.approx(H @ list(directions.values()), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(30))
def test_hessians_agree_with_differences_of_gradients(seed):
    J, leaves = random_graph(seed, size=6)
    if any(node.is_at_kink for node in topological_order(J)):
        return
    f = as_function(J, leaves)

    def slope(*xs, i):
        return grad(f(*xs), xs[i], create_graph=True)

    for i, row in enumerate(hessian(J, leaves)):
        found = numeric_grad(lambda *xs, i=i: slope(*xs, i=i), leaves)
        assert row == pytest.approx(found, rel=1e-6, abs=1e-6)


def test_everything_takes_a_gradient_graph():
    w, b = Value(0.5, "w"), Value(-0.25, "b")
    J = ((2 * w + b).tanh() - 1) ** 2
    slope = grad(J, w, create_graph=True)
    slope.label = "∂J/∂w"
    assert "tanh" in str(draw(slope).source)
    sweep = ReverseSweep(slope)
    sweep.run()
    assert sweep.totals[w] == grad(slope, w) == hessian(J, w)[0][0]
    assert "∂J/∂w" in str(explain(slope, w))
    assert "∂J/∂w" in str(evaluation_trace(slope))
    assert len(list(paths(slope, w))) == explain(slope, w).count > 1
    tape = Tape(slope, [w, b])
    found = tape.value_and_grad([0.5, -0.25])
    assert found == (pytest.approx(slope.data), pytest.approx([grad(slope, w), grad(slope, b)]))
    slope.backward()
    assert w.grad == grad(slope, w)


def test_the_margin_loss_bends_nowhere():
    s, s_c = Value(0.3), Value(0.5)
    assert hessian(margin_loss(s, s_c), [s, s_c]) == [[0.0, 0.0], [0.0, 0.0]]


def test_a_long_chain():
    x = Value(0.5, "x")
    v = x
    for _ in range(200_000):
        v = -v
    v = v * x
    slope = grad(v, x, create_graph=True)
    assert slope.data == grad(v, x) == jvp(v, {x: 1.0}) == 1.0
    v = x
    for _ in range(20_000):
        v = v * x
        v.data += 1e-3  # away from 0
    slope = grad(v, x, create_graph=True)
    assert grad(slope, x) == pytest.approx(jvp(slope, {x: 1.0}), rel=1e-9)
    gone = weakref.ref(slope)
    del slope, v
    assert gone() is None


def test_a_gradient_graph_is_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        J, leaves = random_graph(1)
        slopes = grad(J, leaves, create_graph=True)
        gone = [weakref.ref(node) for slope in slopes for node in (slope, *slope.parents)]
        del J, leaves, slopes
        assert [ref() for ref in gone] == [None] * len(gone)
    finally:
        gc.enable()


def test_the_graph_of_a_slope_at_the_edge_of_a_power_replays():
    x, p = Value(0.0, "x"), Value(2.0, "p")
    slope = grad(x**p, p, create_graph=True)
    tape = Tape(slope, [x, p])
    assert tape.value([0.0, 2.0]) == 0.0
    values = tape.value([np.array([0.0, 2.0]), 2.0])
    assert values.tolist() == pytest.approx([0.0, 4 * math.log(2)])
