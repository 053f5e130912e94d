"""Gradient checks: right slopes pass, wrong ones do not, however large or small."""

import collections
import dataclasses
import math
import random

import numpy as np
import pytest
from graphs import as_function, random_graph, rebuilt
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_margin import (
    SlopeError,
    Value,
    grad,
    gradcheck,
    hinge_loss,
    margin_loss,
    numeric_grad,
    ops,
    primitive,
    topological_order,
)
from tinygrad_margin.engine import OPERATIONS, constant, operation
from tinygrad_margin.nn import MLP

# --- right slopes ---------------------------------------------------------------------------------

POINTS = {1: [(0.7,), (2.5,), (-1.3,), (1e-6,)], 2: [(0.7, 1.9), (2.5, 0.4), (1.5, -2.2)]}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation(name):
    row = ops.TABLE[name]
    for point in POINTS[row.arity]:
        if name in ("log", "sqrt") and point[0] < 0:
            continue
        if name == "pow_to_number":
            result = gradcheck(lambda a, b=point[1]: a**b, point[:1])
        elif name == "pow_of_number":
            result = gradcheck(lambda b, a=point[0]: a**b, point[1:])
        else:
            result = gradcheck(OPERATIONS[name], point)
        assert result, result
        assert result.notes == ()
        assert all(r.difference <= 1e-9 * max(1, abs(r.reverse)) for r in result.rows), result


@pytest.mark.parametrize(
    ("f", "at", "slope"),
    [
        (lambda x: x.log(), 1e-8, 1e8), (lambda x: x.log(), 1e-300, 1e300),
        (lambda x: x.sqrt(), 1e-15, 0.5e7 * math.sqrt(10)), (lambda x: 1 / x, 1e-8, -1e16),
        (lambda x: 1 / x, 1e8, -1e-16), (lambda x: x**-3, 1e-8, -3e32),
        (lambda x: x**2, 1e8, 2e8), (lambda x: x**2, 1e-8, 2e-8),
        (lambda x: x.sin(), 1e8, math.cos(1e8)), (lambda x: x.sin() + 1, 1e-8, 1.0),
        (lambda x: x.exp(), 700.0, math.exp(700)), (lambda x: x.exp(), -40.0, math.exp(-40)),
        (lambda x: x.exp(), 709.78, math.exp(709.78)), (lambda x: x * 1e300, 1.0, 1e300),
        (lambda x: x * 1e-30, 1.0, 1e-30), (lambda x: (1e3 * x).sin(), 0.3, 1e3 * math.cos(300)),
        (lambda x: (x * 1e6).exp(), 1e-6, 1e6 * math.e), (lambda x: x.tanh(), 2.0, 1 - math.tanh(2)**2),
        (lambda x: (-(x * x) / 1e-6).exp(), 1e-3, -2000 / math.e),  # a narrow peak: 0 to both sides
        (lambda x: x.cos(), 0.0, 0.0), (lambda x: x.sigmoid(), 40.0, 0.0), (lambda x: x**0, 0.0, 0.0),
        (lambda x: 0 * x, 1.0, 0.0), (lambda x: x**2, 0.0, 0.0), (lambda x: x.sqrt(), 1.7e308, 0.0),
    ],
)  # fmt: skip
def test_large_and_small(f, at, slope):
    result = gradcheck(f, [at])
    assert result, result
    assert numeric_grad(f, [at]) == pytest.approx([slope], rel=1e-8, abs=1e-14)


def test_cancellation_asks_for_long_steps():
    assert gradcheck(lambda x: (x + 1e8) - 1e8, [1.0])
    assert gradcheck(lambda x: (x * x + 1e8) - 1e8, [0.0])


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_random_graphs(seed):
    J, leaves = random_graph(seed)
    result = gradcheck(as_function(J, leaves), leaves)
    assert all(row.agrees for row in result.rows if not row.sides), result
    for row in result.rows:
        if row.sides:  # several kinks at once need not make a subgradient
            said = " ".join(str(result).split())  # a sentence may break anywhere
            assert row.agrees or "the chain rule need not" in said


def test_networks_and_losses():
    net = MLP(2, [4, 1])
    assert gradcheck(lambda x_1, x_2: hinge_loss(net([x_1, x_2]), 1), [0.3, -0.8])
    assert gradcheck(margin_loss, [0.3, 0.5])
    assert gradcheck(margin_loss, [0.3, 0.5, 1.0])


def test_an_argument_without_effect():
    result = gradcheck(lambda x, y: x * 2, [1.0, 2.0])
    assert [(row.reverse, row.numeric, row.agrees) for row in result.rows] == [
        (2.0, pytest.approx(2.0), True), (0.0, 0.0, True),
    ]  # fmt: skip
    assert gradcheck(lambda x: constant(3.0), [1.0])


# --- wrong slopes ---------------------------------------------------------------------------------


def wrong(row, rule):
    made = operation
    return made(dataclasses.replace(row, name="mine", symbol="mine", rule=rule))


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (ops.TANH, lambda m, a, out: (1 - out,)),
        (ops.TANH, lambda m, a, out: (-(1 - out * out),)),
        (ops.TANH, lambda m, a, out: ((1 - out * out) * 1.0001,)),
        (ops.EXP, lambda m, a, out: (a,)),
        (ops.SIGMOID, lambda m, a, out: (out,)),
        (ops.RELU, lambda m, a, out: (1.0 - m.step(a, 0.0, 0.0),)),
        (ops.MUL, lambda m, a, b, out: (a, b)),
        (ops.DIV, lambda m, a, b, out: (1 / b, out / b)),
    ],
)
def test_a_wrong_derivative_is_caught_and_named(row, rule):
    mine = wrong(row, rule)
    if row.arity == 1:
        result = gradcheck(lambda w, x: mine(w * x) + x, [0.5, 2.2])
    else:
        result = gradcheck(lambda w, x: mine(w + 1, x) + x, [0.5, 2.2])
    assert not result
    assert "DIFFERS" in str(result)
    assert [note for note in result.notes if "wrong derivative of mine" in note]
    assert "mul" not in " ".join(result.notes)


def test_only_the_leaf_that_is_wrong_is_said_to_be():
    mine = wrong(ops.EXP, lambda m, a, out: (a,))
    result = gradcheck(lambda w, x: mine(w) + x.tanh(), [0.5, 2.0])
    assert [(row.leaf, row.agrees) for row in result.rows] == [("w", False), ("x", True)]
    first, second = str(result).splitlines()[1:3]
    assert first.endswith("DIFFERS")
    assert second.endswith("agrees")


def test_a_small_slope_with_the_wrong_sign():
    mine = wrong(ops.NEG, (1.0,))
    assert not gradcheck(lambda x: mine(1 / x), [1e8])
    assert not gradcheck(lambda x: mine(x * 1e-12), [1.0])


@pytest.mark.parametrize(
    "f", [lambda x: x * x.data, lambda x: Value(math.exp(x)), lambda x: x + float(x) ** 2]
)
def test_what_is_computed_outside_of_the_graph(f):
    result = gradcheck(f, [3.0])
    assert not result
    assert "plain numbers, which" in result.notes[-1]


def test_tolerance():
    mine = wrong(ops.TANH, lambda m, a, out: ((1 - out * out) * 1.001,))
    assert not gradcheck(mine, [0.5])
    assert gradcheck(mine, [0.5], tolerance=0.01)


# --- where differences say little -----------------------------------------------------------------


def cube(slope):
    return primitive("cube", lambda x: x**3, lambda x, out: (slope * x**2,))


@pytest.mark.parametrize("c", [0.0, 1e4, 1e8, 1e12, 1e16])
@pytest.mark.parametrize("x", [1e-10, 0.1, 2.0, 1e5])
def test_a_wrong_slope_under_a_large_constant(c, x):
    result = gradcheck(lambda x: cube(2)(x) + c, [x])
    assert not result
    assert result.rows[0].verdict in ("DIFFERS", "DIFFERS")
    assert "wrong derivative of cube" in result.notes[-1]


@pytest.mark.parametrize(
    ("slope", "kind"),
    [(math.nan, SlopeError), (math.inf, OverflowError), (-math.inf, OverflowError)],
)
def test_a_slope_that_is_no_number(slope, kind):
    mine = primitive("mine", lambda x: x * 1.0, lambda x, out: (slope,))
    for f in (mine, lambda x: mine(x) + 1e16):
        with pytest.raises(kind, match="mine"):
            gradcheck(f, [1.0])


def test_a_slope_that_is_too_large():
    with pytest.raises(OverflowError, match="the slope of /"):
        gradcheck(lambda x: 1 / x, [1e-160])
    result = gradcheck(lambda x: x * 1e-300 * 1e200 * 1e200, [1.0])  # ∞ on the way back from J
    assert [row.verdict for row in result.rows] == ["not settled"]


@pytest.mark.parametrize("x", [1e12, 1e14, 1e15, 1e16, 1e300])
def test_waves_that_no_step_is_short_enough_for(x):
    for f in (Value.sin, Value.cos, lambda x: x.sin() * 3 + 1):
        (row,) = gradcheck(f, [x]).rows
        assert row.agrees or row.verdict == "not settled"


@pytest.mark.parametrize("x", [1e-1, 1e-3, 1e-5, 1e-7, 1e-9, 1e-11])
def test_fast_waves(x):
    (row,) = gradcheck(lambda x: x * x * (1 / x).sin(), [x]).rows
    assert row.agrees or row.verdict == "not settled"


@pytest.mark.parametrize(
    ("f", "at"),
    [
        (lambda w, b: ((w + b - 3) ** 2 + (2 * w + b - 5) ** 2 + (3 * w + b - 7) ** 2) / 3, [2, 1]),
        (lambda x: (3 * x - 6) ** 2, [2]),
        (lambda a, b: (1 - a) ** 2 + 100 * (b - a * a) ** 2, [1, 1]),
        (lambda w: (w.tanh() - math.tanh(0.5)) ** 2, [0.5]),
        (lambda x, y: (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2, [3, 2]),
        (lambda x: (x * x - 2) ** 2, [2**0.5]),
        (lambda x: (x - 3) ** 4, [3]),
        (Value.sin, [math.pi / 2]),
        (lambda x: 1 / (1 + x * x), [0]),
    ],
)
def test_at_a_minimum(f, at):
    assert gradcheck(f, at), str(gradcheck(f, at))


def test_a_tiny_slope_that_is_wrong():
    mine = wrong(ops.MUL, lambda m, a, b, out: (1e-9 * b, a))
    result = gradcheck(lambda x: mine(x, 1e-10), [1.0])
    assert "wrong derivative of mine" in result.notes[-1]
    assert "outside" not in str(result)


def test_single_precision():
    f = primitive("f", lambda x: float(np.float32(x) ** 2), lambda x, out: (2 * x,))
    for g in (f, lambda x: f(x) + x, lambda x: f(x * 3) * x, lambda x: f(x).tanh()):
        for x in (0.3, 1.3, 77.7):
            (row,) = gradcheck(g, [x]).rows
            assert row.agrees or row.verdict == "not settled", row
    rough = primitive("rough", lambda x: float(np.float32(math.sin(50 * x))),
                      lambda x, out: (50 * math.cos(50 * x),))  # fmt: skip
    result = gradcheck(rough, [1.0], tolerance=1e-8)
    assert [row.verdict for row in result.rows] == ["not settled"]
    assert "not accurate enough" in result.notes[0]
    bad = primitive("bad", lambda x: float(np.float32(x) ** 2), lambda x, out: (3 * x,))
    assert not gradcheck(bad, [1.3])


def test_an_operation_that_f_makes():
    def f(x):
        return primitive("own", lambda x: x * x, lambda x, out: (2 * x,))(x) + 1

    assert gradcheck(f, [2.0])
    assert numeric_grad(f, [2.0]) == pytest.approx([4.0])


def gelu(factor=1.0):
    def slope(x, out):
        density = math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return (factor * (0.5 * math.erfc(-x / 2**0.5) + x * density),)

    return primitive("gelu", lambda x: x * 0.5 * (1 + math.erf(x / 2**0.5)), slope)


def softplus(factor=1.0):
    return primitive(
        "softplus",
        lambda x: math.log(1 + math.exp(x)),
        lambda x, out: (factor / (1 + math.exp(-x)),),
    )


@pytest.mark.parametrize(
    ("op", "at"),
    [(gelu, [-5.0, -6.5, -7.7, -8.0, -8.3, -9.0, -12.0, 1.0, 9.0]),
     (softplus, [-5.0, -15.0, -28.0, -32.0, -36.0, -36.5, -38.0, -40.0, -100.0, 20.0])],
)  # fmt: skip
def test_what_cancels_inside_of_an_operation(op, at):
    for x in at:
        for f in (op(), lambda x: op()(x) * 3 + x, lambda x: op()(x / 2 + x / 2) * 1e-3):
            (row,) = gradcheck(f, [x]).rows
            assert row.agrees or row.verdict == "not settled", row
        if abs(op()(Value(x)).data) > 1e-11:
            assert not gradcheck(op(3.0 if x < -6 else 1.001), [x])


@pytest.mark.parametrize(
    ("f", "at"),
    [
        (lambda x: x * x, 1e-300), (Value.exp, -730.0), (lambda x: (-x * x).exp(), 27.0),
        (Value.sigmoid, -740.0), (lambda x: x**2, 1e-160), (lambda x: x * 1e-320, 1e-3),
        (lambda x: 1e-310 / x, 1e3), (lambda x: (x * 1e-300).tanh() * 1e-15, 1e-6),
    ],
)  # fmt: skip
def test_numbers_that_are_hardly_above_0(f, at):
    result = gradcheck(f, [at])
    (row,) = result.rows
    assert row.agrees or row.verdict == "not settled"
    assert "wrong derivative" not in str(result)


def test_no_operation_of_the_table_is_accused_anywhere():
    rng, seen = random.Random(8), collections.Counter()

    def somewhere():
        size = rng.choice([rng.uniform(-322, 307), rng.uniform(-20, 20), rng.uniform(0, 3)])
        return rng.choice([-1, 1]) * 10**size

    for name in sorted(OPERATIONS) * 20:
        k, at = somewhere(), [somewhere() for _ in range(ops.TABLE[name].arity)]
        around = rng.choice(
            [lambda v: v, lambda v, k=k: v * k, lambda v, k=k: v + k, lambda v: v * v]
        )
        numbers = {"pow_to_number": at[1:], "pow_of_number": at[:1]}.get(name, [])
        moving = [x for x in at if x not in numbers]

        def f(*xs, name=name, at=at, numbers=numbers, around=around):
            rest = iter(xs)
            operands = (constant(x) if x in numbers else next(rest) for x in at)
            return around(OPERATIONS[name](*operands))

        try:
            result = gradcheck(f, moving)
        except (ValueError, ArithmeticError):
            continue
        for row in result.rows:
            assert row.agrees or row.verdict == "not settled", result
            seen[row.verdict] += 1
        assert "wrong derivative" not in str(result)
    assert seen["agrees"] > 4 * seen["not settled"]


def scattered(rng):
    """A random graph, somewhere."""
    scale = rng.choice([0.3, 3, 12])
    J, leaves = random_graph(rng.randrange(10**9), size=rng.randint(2, 8))
    return J, leaves, [rng.choice([-1, 1]) * 10 ** rng.uniform(-scale, scale) for _ in leaves]


@pytest.mark.parametrize("x", [2.220446049250313e-16, 1e-20, 1e-100, 1e-300])
def test_what_happens_near_0_is_not_jumped_over(x):
    for f in (lambda x: x**x, lambda x: x**1e-15, lambda x: (1 + x).log() * x ** (x / 2)):
        (row,) = gradcheck(f, [x]).rows
        assert row.agrees or row.verdict == "not settled"


def test_no_right_derivative_is_accused():
    rng, seen = random.Random(6), collections.Counter()
    for _ in range(150):
        J, leaves, at = scattered(rng)
        try:
            result = gradcheck(as_function(J, leaves), at)
        except (ValueError, ArithmeticError):
            continue
        for row in result.rows:
            assert row.agrees or row.verdict == "not settled" or row.sides, result
            seen[row.verdict] += 1
    assert seen["agrees"] > 10 * seen["not settled"]


def test_no_wrong_derivative_is_absolved():
    rng, seen = random.Random(7), collections.Counter()
    for _ in range(200):
        J, leaves, at = scattered(rng)
        factor = rng.choice([1.001, 1.01, 2.0, -1.0])
        swapped = rng.choice([node for node in topological_order(J) if node.parents])
        row = swapped._row
        row = dataclasses.replace(
            row,
            name="mine",
            rule=lambda m, *a, p=row.partials, c=factor: tuple(c * s for s in p(m, *a)),
        )

        def f(*xs, swapped=swapped, row=row, J=J, leaves=leaves):
            made = dict(zip(leaves, xs, strict=True))
            for node in topological_order(J):
                if node.parents:
                    kind = row if node is swapped else node._row
                    made[node] = operation(kind)(*(made[parent] for parent in node.parents))
                else:
                    made.setdefault(node, node)
            return made[J]

        try:
            graph = rebuilt(J, dict(zip(leaves, at, strict=True)))
            right = grad(graph[J], [graph.get(leaf, leaf) for leaf in leaves])
            result = gradcheck(f, at)
        except (ValueError, ArithmeticError):
            continue
        for slope, checked in zip(right, result.rows, strict=True):
            largest = max(abs(slope), abs(checked.reverse))
            if abs(slope - checked.reverse) > 2e-6 * largest + 1e-14:  # more than rounding does
                seen[checked.verdict] += 1
                assert not checked.agrees, result
    assert seen["DIFFERS"] > 10 * seen["not settled"]
    assert seen["DIFFERS"] > 100
