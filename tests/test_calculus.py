"""Gradient graphs, Hessians, forward mode: against closed forms, and against each other."""

import math
import pickle

import numpy as np
import pytest
from graphs import random_graph
from hypothesis import strategies as st

from tinygrad_margin import (
    SlopeError,
    Tape,
    Value,
    calculus,
    depends_on,
    explain,
    grad,
    hessian,
    jvp,
    primitive,
    topological_order,
)
from tinygrad_margin.ops import TABLE

exp, log, sqrt, sin, cos, tanh = math.exp, math.log, math.sqrt, math.sin, math.cos, math.tanh
SEEDS = st.integers(0, 10**9)


def sigmoid(x):
    return 1 / (1 + exp(-x)) if x > 0 else exp(x) / (1 + exp(x))


def derivatives(build, at, n):
    """f and its first n derivatives at a point, each the gradient of the one before."""
    x = Value(at, "x")
    found = [build(x)]
    for _ in range(n):
        found.append(grad(found[-1], x, create_graph=True))
        assert found[-1].data == grad(found[-2], x)
    return [y.data for y in found]


# --- closed forms ---------------------------------------------------------------------------------

ANYWHERE = [-30.0, -2.5, -1.0, -1e-3, 0.0, 1e-8, 0.3, 1.0, 2.5, 30.0]
ABOVE_0 = [1e-6, 0.01, 0.5, 1.0, 2.0, 37.0, 1e6]
NOT_0 = [x for x in ANYWHERE if x != 0.0]

SMOOTH = {
    "add": (lambda x: x + 3, ANYWHERE, lambda x: 0, lambda x: 0),
    "add to itself": (lambda x: x + x, ANYWHERE, lambda x: 0, lambda x: 0),
    "sub": (lambda x: 3 - x, ANYWHERE, lambda x: 0, lambda x: 0),
    "neg": (lambda x: -x, ANYWHERE, lambda x: 0, lambda x: 0),
    "mul": (lambda x: x * x, ANYWHERE, lambda x: 2, lambda x: 0),
    "mul by a number": (lambda x: x * 3, ANYWHERE, lambda x: 0, lambda x: 0),
    "div": (lambda x: 1 / x, NOT_0, lambda x: 2 / x**3, lambda x: -6 / x**4),
    "div by a number": (lambda x: x / 3, ANYWHERE, lambda x: 0, lambda x: 0),
    "div by itself": (lambda x: (x + 1) / x, NOT_0, lambda x: 2 / x**3, lambda x: -6 / x**4),
    "x**0": (lambda x: x**0, ANYWHERE, lambda x: 0, lambda x: 0),
    "x**1": (lambda x: x**1, ANYWHERE, lambda x: 0, lambda x: 0),
    "x**2": (lambda x: x**2, ANYWHERE, lambda x: 2, lambda x: 0),
    "x**3": (lambda x: x**3, ANYWHERE, lambda x: 6 * x, lambda x: 6),
    "x**4": (lambda x: x**4, ANYWHERE, lambda x: 12 * x**2, lambda x: 24 * x),
    "x**-1": (lambda x: x**-1, NOT_0, lambda x: 2 / x**3, lambda x: -6 / x**4),
    "x**2.5": (lambda x: x**2.5, [0.0, *ABOVE_0], lambda x: 3.75 * sqrt(x), None),
    "2**x": (lambda x: 2**x, ANYWHERE, lambda x: log(2)**2 * 2**x, lambda x: log(2)**3 * 2**x),
    "0**x": (lambda x: 0**x, ABOVE_0, lambda x: 0, lambda x: 0),
    "x**x": (lambda x: x**x, [0.5, 1.0, 2.0, 5.0], lambda x: x**x * ((1 + log(x))**2 + 1 / x), None),
    "exp": (Value.exp, ANYWHERE, exp, exp),
    "log": (Value.log, ABOVE_0, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "sqrt": (Value.sqrt, ABOVE_0, lambda x: -x**-1.5 / 4, lambda x: 3 * x**-2.5 / 8),
    "sin": (Value.sin, ANYWHERE, lambda x: -sin(x), lambda x: -cos(x)),
    "cos": (Value.cos, ANYWHERE, lambda x: -cos(x), sin),
    "tanh": (
        Value.tanh, ANYWHERE, lambda x: -2 * tanh(x) * (1 - tanh(x)**2),
        lambda x: (6 * tanh(x)**2 - 2) * (1 - tanh(x)**2),
    ),
    "sigmoid": (
        Value.sigmoid, [*ANYWHERE, -700.0, 700.0],
        lambda x: sigmoid(x) * (1 - sigmoid(x)) * (1 - 2 * sigmoid(x)), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
def test_second_and_third_derivatives_are_the_closed_forms(name):
    build, points, second, third = SMOOTH[name]
    for at in points:
        _, _, f_2, *f_3 = derivatives(build, at, 3 if third else 2)
        assert f_2 == pytest.approx(second(at), rel=1e-10, abs=1e-14), at
        if third:
            assert f_3 == pytest.approx([third(at)], rel=1e-10, abs=1e-14), at
        assert hessian(build(x := Value(at)), x) == [[pytest.approx(f_2, rel=1e-12, abs=1e-15)]]


def test_mixed_derivatives_of_a_power():
    for a, b in ((2.0, 3.0), (0.5, -1.5), (3.0, 0.0), (1.0, 1.0)):
        x, p = Value(a), Value(b)
        mixed = a ** (b - 1) * (1 + b * log(a))
        expected = [[b * (b - 1) * a ** (b - 2), mixed], [mixed, a**b * log(a) ** 2]]
        for row, exact in zip(hessian(x**p, [x, p]), expected, strict=True):
            assert row == pytest.approx(exact, rel=1e-12, abs=1e-15)


def test_a_power_whose_base_moves_through_0():
    x, p = Value(0.0, "x"), Value(2.0, "p")
    assert [g.data for g in grad(x**p, [x, p], create_graph=True)] == grad(x**p, [x, p]) == [0, 0]
    assert hessian(x**p, x) == [[2.0]]
    assert hessian(x**p, [x, p]) == [[2.0, 0.0], [0.0, 0.0]]
    slope = grad(x**p, p, create_graph=True)
    again = pickle.loads(pickle.dumps(slope))
    assert (again.op, again.data, [v.label for v in again.parents]) == (slope.op, 0.0, ["x", "p"])
    assert again._row is slope._row
    assert slope._row.name not in TABLE
    cube = Value(3.0, "p")
    third = grad(grad(x**cube, cube, create_graph=True), x, create_graph=True)
    assert (third.data, grad(third, [x, cube])) == (0.0, [0.0, 0.0])  # of x³ log x and x³ log² x
    for b in (0.5, 1.0, 3.0):
        p = Value(b, "p")
        assert hessian(x**p, p) == [[0.0]]
    p = Value(1.0, "p")
    with pytest.raises(SlopeError, match=r"^slope of \*\* has a value at .* but no slope"):
        grad(grad(x**p, p, create_graph=True), x)  # 1 + log x


def test_the_slope_of_a_power_in_its_exponent_at_0_is_0_by_convention():
    x = Value(0.0, "x")
    assert (grad(x**x, x), grad(0**x, x)) == (0.0, 0.0)


def test_who_differentiates_a_number_is_told_of_create_graph():
    x = Value(2.0, "x")
    slope = grad(x**3, x)
    for ask in (lambda: grad(slope, x), lambda: hessian(slope, x), lambda: jvp(slope, {x: 1.0})):
        with pytest.raises(
            TypeError, match=r"got float 12\.0\. .* grad\(J, x, create_graph=True\)"
        ):
            ask()


# --- slopes that do not exist ---------------------------------------------------------------------


def test_a_slope_that_does_not_exist_is_named_as_backward_names_it():
    x = Value(0.0, "x")
    for ask in (
        lambda: grad(x.sqrt(), x, create_graph=True),
        lambda: hessian(x.sqrt(), x),
        lambda: jvp(x.sqrt(), {x: 1.0}),
        lambda: grad((x.sqrt() + 1).relu(), x, create_graph=True),
    ):
        with pytest.raises(SlopeError, match=r"sqrt has a value at x = 0\.0 but no slope"):
            ask()


def test_a_second_slope_that_does_not_exist():
    x = Value(0.0, "x")
    slope = grad(x**1.5, x, create_graph=True)
    assert slope.data == 0.0
    with pytest.raises(SlopeError, match=r"\*\* .*x = 0\.0, 0\.5"):
        grad(slope, x, create_graph=True)
    with pytest.raises(SlopeError, match=r"x = 0\.0"):
        hessian(x**1.5, x)
    tiny = Value(1e-300, "x")
    with pytest.raises(OverflowError, match=r"slope of \*\* at x = 1e-300"):
        grad(tiny**-1, tiny, create_graph=True)


def test_nobody_asks_for_other_slopes():
    x, y = Value(0.0, "x"), Value(2.0, "y")
    J = y**3 + x.sqrt() * y
    assert grad(J, y, create_graph=True).data == 12.0
    assert hessian(J, y) == [[12.0]]
    assert jvp(J, {y: 1.0}) == jvp(J, {y: 1.0, x: 0.0}) == 12.0


def test_a_power_is_asked_for_the_slope_that_is_wanted_alone():
    x, p = Value(-2.0, "x"), Value(2.0, "p")  # x^p has no slope in p there
    for J, slope, bend in ((x**p, -4.0, 2.0), ((x**p * 3) ** 2, -288.0, 432.0)):
        assert grad(J, x) == grad(J, x, create_graph=True).data == jvp(J, {x: 1.0}) == slope
        assert jvp(J, {x: 1.0, p: 0.0}) == explain(J, x).gradient == slope
        assert hessian(J, x) == [[bend]]
        for fails in (lambda: grad(J, p), lambda: grad(J, [x, p]), lambda: jvp(J, {p: 1.0}),
                      J.backward, lambda: hessian(J, [x, p])):  # fmt: skip
            with pytest.raises(SlopeError, match=r"\*\* .*x = -2\.0, p = 2\.0"):
                fails()
    q, b = Value(2.0, "q"), Value(0.0, "b")
    assert grad(b**q, q) == 0.0
    low = Value(0.5, "low")
    assert grad(b**low, low) == 0.0  # its slope in b is infinite
    with pytest.raises(SlopeError):
        grad(b**low, b)


def test_a_number_as_exponent_or_base_has_a_slope_if_it_is_asked_for():
    x = Value(2.0, "x")
    for J, place, slope in (
        (x**3, 1, 8 * log(2)),
        (3**x, 0, 6.0),
        (x ** Value(3.0), 1, 8 * log(2)),
    ):
        number = J.parents[place]
        assert grad(J, number) == pytest.approx(slope, rel=1e-15)
        assert grad(J, [x, number]) == [grad(J, x), grad(J, number)]
        assert grad(J, number, create_graph=True).data == jvp(J, {number: 1.0}) == grad(J, number)
        assert Tape(J, [number]).value_and_grad([number.data])[1] == pytest.approx([slope])
        assert explain(J, number).gradient == grad(J, number)
    y = Value(-2.0, "y")
    with pytest.raises(SlopeError, match=r"\*\* .*y = -2\.0, 3\.0"):
        grad((J := y**3), J.parents[1])
    assert grad(J, y) == 12.0


def test_inner_nodes_that_are_asked_for_need_no_slope_of_their_own():
    x = Value(0.0, "x")
    root = x.sqrt()
    J = root * 3
    assert grad(J, root) == grad(J, root, create_graph=True).data == 3.0
    with pytest.raises(SlopeError):
        grad(J, [root, x])


def test_hessian_speaks_for_itself():
    x = Value(1.0)
    for wrong in ((3.0, x), (x, "x"), (x, 3), (x, [3])):
        with pytest.raises(TypeError, match=r"^hessian\(J, wrt\) takes Values"):
            hessian(*wrong)


# --- forward mode ---------------------------------------------------------------------------------


def test_jvp_is_linear_in_its_direction():
    a, b = Value(2.0, "a"), Value(3.0, "b")
    J = a * b + a.sin()
    assert jvp(J, {a: 1}) == grad(J, a)
    assert jvp(J, {a: np.float64(2), b: True}) == pytest.approx(2 * grad(J, a) + grad(J, b))
    assert jvp(J, {}) == jvp(J, {Value(1.0): 1.0}) == 0.0
    assert jvp(a, {a: 5.0}) == 5.0


@pytest.mark.parametrize(
    ("directions", "error", "words"),
    [
        ([1.0], TypeError, r"mapping .*\{x: 1\.0\}; got list"),
        (1.0, TypeError, "mapping"),
        ({"x": 1.0}, TypeError, "Values.*str 'x'"),
        (lambda x, y: {x: "1"}, TypeError, "direction of jvp .*str"),
        (lambda x, y: {x: None}, TypeError, "NoneType"),
        (lambda x, y: {y: 1.0}, ValueError, r"jvp moves leaves; y = 6\.0 is computed, by \*"),
    ],
)
def test_directions_that_are_none(directions, error, words):
    x = Value(2.0, "x")
    y = x * 3
    y.label = "y"
    given = directions(x, y) if callable(directions) else directions
    with pytest.raises(error, match=words):
        jvp(y + 1, given)


@pytest.mark.parametrize("call", [
    lambda v: grad("J", v, create_graph=True), lambda v: grad(v, "v", create_graph=True),
    lambda v: grad(v, 3, create_graph=True), lambda v: grad(v, [3], create_graph=True),
    lambda v: hessian("J", v), lambda v: hessian(v, "v"), lambda v: hessian(v, 3.0),
    lambda v: hessian(v, [v, None]), lambda v: jvp(3.0, {v: 1.0}),
])  # fmt: skip
def test_what_is_no_node_is_refused(call):
    with pytest.raises(TypeError, match="Value"):
        call(Value(1.0))


class Counted(float):
    """A local derivative that counts its multiplications."""

    count = 0

    def __mul__(self, other):
        Counted.count += 1
        return float(self) * other

    __rmul__ = __mul__


def test_counted_multiplications(monkeypatch):
    """What docs/modes.md counts by the edges is what the two modes do."""
    real = calculus.wanted_slopes

    def counting(node, wanted):
        pairs = zip(node.parents, real(node, wanted), strict=True)
        return tuple(Counted(slope) if parent in wanted else 0.0 for parent, slope in pairs)

    monkeypatch.setattr(calculus, "wanted_slopes", counting)

    def counted(what, *args):
        Counted.count = 0
        what(*args)
        return Counted.count

    for seed in range(20):
        J, leaves = random_graph(seed)
        order = topological_order(J)
        edges = [(node, parent) for node in order for parent in node.parents]
        asked = [parent for _, parent in edges if any(depends_on(parent, x) for x in leaves)]
        is_open = not any(node._row.cases for node in order)  # else a max may shut some off
        assert counted(grad, J, leaves) <= len(asked)  # all edges but those of constants
        assert counted(grad, J, leaves) == len(asked) or not is_open
        for leaf in leaves:
            moving = [parent for _, parent in edges if depends_on(parent, leaf)]
            assert counted(jvp, J, {leaf: 1.0}) <= len(moving)  # a speed may be 0
    x = [Value(0.01 * i) for i in range(10)]
    total = sum(x)
    J = (total.tanh() * total).tanh()
    assert counted(grad, J, x) == 22
    assert sum(counted(jvp, J, {x_i: 1.0}) for x_i in x) == 94


def test_operations_of_ones_own_have_a_second_slope_if_their_partials_are_a_formula():
    cube = primitive("cube", lambda x: x**3, lambda x, out: (3 * x**2,))
    x, y = Value(2.0, "x"), Value(-3.0, "y")
    assert hessian(cube(x) * y, [x, y]) == [[-36.0, 12.0], [12.0, 0.0]]
    fma = primitive("fma", lambda a, b, c: a * b + c, lambda a, b, c, out: (b, a, 1))
    assert hessian(fma(x, y, x) * x, [x, y]) == [[2 * -3.0 + 2, 4.0], [4.0, 0.0]]
    mine = primitive("mine", math.exp, lambda x, out: (math.exp(x),))
    assert grad(mine(x), x) == math.exp(2.0)
    with pytest.raises(TypeError, match="partials of mine are plain numbers.*write them with"):
        grad(mine(x) * y, x, create_graph=True)
    assert grad(mine(x) * y, y, create_graph=True).data == math.exp(2.0)  # not asked for


def test_partials_of_a_wrong_length_are_told_before_anything_else():
    short = primitive("short", lambda a, b: a * b, lambda a, b, out: (b,))
    x, y = Value(2.0), Value(3.0)
    for ask in (
        lambda: hessian(short(x, y), [x, y]),
        lambda: grad(short(x, y), x, create_graph=True),
    ):
        with pytest.raises(TypeError, match="^partials of short must return a tuple of 2 numbers"):
            ask()
