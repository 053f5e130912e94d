"""Gradient checks: right slopes pass, wrong ones do not, kinks and edges are told apart."""

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
    maximum,
    minimum,
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
            assert row.agrees or "on their kinks" in str(result)


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
    assert "outside the graph" in result.notes[-1]


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
    assert "Floats are too coarse" in result.notes[0]
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
        around = rng.choice([lambda v: v, lambda v, k=k: v * k, lambda v, k=k: v + k, lambda v: v * v])
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


# --- kinks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "at", "sides", "reverse"),
    [
        (lambda x: x.relu(), 0.0, (0, 1), 0), (abs, 0.0, (-1, 1), 0),
        (lambda x: maximum(x, 0), 0.0, (0, 1), 0.5), (lambda x: minimum(x, 2 - x), 1.0, (1, -1), 0),
        (lambda x: abs(x) * 2 + x, 0.0, (-1, 3), 1), (lambda x: (x - 5).relu() * 3, 5.0, (0, 3), 0),
        (lambda x: (x * 1e-6 - 1).relu(), 1e6, (0, 1e-6), 0),
        (lambda x: x.relu() + x.exp(), 0.0, (1, 2), 1), (lambda x: -x.relu(), 0.0, (0, -1), 0),
        (lambda x: (x**2 + 3 * x).relu(), 0.0, (0, 3), 0),
    ],
)  # fmt: skip
def test_on_a_kink(f, at, sides, reverse):
    result = gradcheck(f, [at])
    (row,) = result.rows
    assert result, result
    assert row.sides == pytest.approx(sides, rel=1e-8, abs=1e-12)
    assert row.reverse == reverse
    assert row.difference < 1e-11
    assert row.numeric == pytest.approx(sum(sides) / 2)
    assert row.sides
    assert "is on a kink of" in result.notes[0]
    assert "a subgradient" in result.notes[0]
    assert numeric_grad(f, [at]) == [row.numeric]


def test_the_kink_is_named():
    result = gradcheck(margin_loss, [1.5, 0.5])
    assert [row.sides for row in result.rows] == [(-1.0, 0.0), (0.0, 1.0)]
    assert (
        "s = 1.5 is on a kink of max(z, 0): the slope is −1 below and 0 above" in result.notes[0]
    )


def test_a_slope_that_is_no_subgradient():
    result = gradcheck(lambda x: x.relu() - maximum(x, 0), [0.0])
    assert not result
    assert (result.rows[0].numeric, result.rows[0].reverse) == (0.0, -0.5)
    assert "on their kinks" in result.notes[-1]


def test_a_wrong_choice_on_a_kink():
    mine = wrong(ops.RELU, lambda m, a, out: (2.0,))
    assert not gradcheck(mine, [0.0])


@pytest.mark.parametrize("d", [1e-1, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15])
@pytest.mark.parametrize("sign", [1, -1])
def test_near_a_kink(d, sign):
    for f in (lambda x: x.relu() * 3 + x, lambda x: (1 + x - 1).relu() * 3 + x):
        result = gradcheck(f, [sign * d])
        assert result, result
        (row,) = result.rows
        assert row.sides is None
        assert row.numeric == pytest.approx(4.0 if sign > 0 else 1.0, rel=1e-6)
        assert not result.notes


def test_a_kink_that_another_argument_sits_on():
    result = gradcheck(lambda x, y: x.sin() + y.relu(), [1.0, 0.0])
    assert [bool(row.sides) for row in result.rows] == [False, True]


def test_a_tie_everywhere_is_no_kink():
    result = gradcheck(lambda x: maximum(x, x), [3.0])
    assert result
    assert result.rows[0].sides is None


def test_an_if_in_the_code():
    result = gradcheck(lambda x: 2 * x if x.data > 0 else -x, [0.0])
    assert result
    assert "is on a kink of f itself: the slope is −1 below and 2 above" in result.notes[0]
    assert gradcheck(lambda x: 2 * x if x.data > 0 else -x, [0.01])


LEAKY = primitive(
    "leaky", lambda x: x if x > 0 else 0.1 * x, lambda x, out: (1.0 if x > 0 else 0.1,)
)
HARD = primitive(
    "hard", lambda x: min(1, max(0, 0.2 * x + 0.5)), lambda x, out: (0.2 if 0 < out < 1 else 0.0,)
)
APART = primitive(
    "apart", lambda x, y: abs(x - y), lambda x, y, out: (1.0, -1.0) if x >= y else (-1.0, 1.0)
)


@pytest.mark.parametrize(
    ("f", "at", "sides", "name"),
    [
        (LEAKY, [0.0], (0.1, 1), "leaky(x_1)"), (lambda x: LEAKY(x - 3) * 2 + x, [3.0], (1.2, 3), "leaky("),
        (APART, [1.0, 1.0], (-1, 1), "apart"), (APART, [0.1, 0.1], (-1, 1), "apart"),
        (lambda x: x - 0.1 if x.data >= 0.1 else 0.1 - x, [0.1], (-1, 1), "f itself"),
    ],
)  # fmt: skip
def test_a_kink_inside_of_an_operation(f, at, sides, name):
    result = gradcheck(f, at)
    assert result, result
    for row in result.rows:
        assert row.sides == pytest.approx(sides, abs=1e-9)
        assert row.verdict == "lies between"
    assert "is on a kink of" in result.notes[0]
    assert name in result.notes[0]


@pytest.mark.parametrize("d", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("sign", [1, -1])
def test_near_a_kink_inside_of_an_operation(d, sign):
    for f in (LEAKY, lambda x: LEAKY(x - 3 + 3)):
        (row,) = gradcheck(f, [sign * d]).rows
        assert row.agrees or (row.verdict == "not settled" and d < 1e-8), row
    result = gradcheck(HARD, [2.5 + sign * d])
    assert result or d < 1e-8, result
    assert result.rows[0].reverse == pytest.approx(0.0 if sign > 0 else 0.2)
    smooth = primitive(
        "smooth", lambda x: math.expm1(x) if x < 0 else x, lambda x, out: (min(1.0, out + 1),)
    )
    assert gradcheck(smooth, [sign * d])
    assert gradcheck(smooth, [0.0])


def test_a_wrong_slope_at_a_kink_of_ones_own():
    mine = primitive("mine", abs, lambda x, out: (3.0 if x == 0 else math.copysign(1, x),))
    result = gradcheck(mine, [0.0])
    assert [row.verdict for row in result.rows] == ["DIFFERS"]
    assert "−1 below and 1 above. That is a wrong derivative of mine" in " ".join(result.notes)


def larger(*shares):
    def slopes(a, b, out):
        return shares if a == b else (float(a > b), float(b > a))

    return primitive("larger", max, slopes)


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.5, 0.5), (0.2, 0.8)])
def test_a_right_choice_at_a_tie(shares):
    f = larger(*shares)
    assert gradcheck(f, [1.0, 1.0])
    assert gradcheck(lambda x: f(x, x), [1.0])
    assert gradcheck(lambda x, y: f(x * x, y) * 2 + x, [2.0, 4.0])
    median = primitive(
        "median",
        lambda a, b, c: sorted((a, b, c))[1],
        lambda a, b, c, out: [float(i == [a, b, c].index(out)) for i in range(3)],
    )
    for at in ([1, 1, 2], [0, 1, 1]):
        assert gradcheck(median, at)
    far = primitive(
        "far",
        lambda a, b: abs(a) - abs(b),
        lambda a, b, out: (1.0 if a >= 0 else -1.0, -0.5 if b == 0 else math.copysign(1, -b)),
    )
    assert gradcheck(far, [0.0, 0.0])  # a subgradient, though f stands still along (1, 1)


def test_a_kink_does_not_hide_a_wrong_derivative():
    square = primitive("square", lambda x: x * x, lambda x, out: (x,))
    result = gradcheck(lambda x: abs(x) + square(x + 0.5), [0.0])
    assert [row.verdict for row in result.rows] == ["DIFFERS"]
    assert not result
    assert "wrong derivative of square" in result.notes[-1]


@pytest.mark.parametrize(
    ("f", "at"),
    [
        (lambda x: x + 1 if x.data >= 1 else x, 1.0), (lambda x: x + 1 if x.data > 0 else x, 0.0),
    ],
)  # fmt: skip
def test_a_jump(f, at):
    result = gradcheck(f, [at])
    assert [row.verdict for row in result.rows] == ["no slope"]
    assert "f jumps at x = " in result.notes[0]
    with pytest.raises(ValueError, match="it jumps"):
        numeric_grad(f, [at])
    assert gradcheck(f, [at + 0.25])


def test_an_if_for_one_place_alone():
    result = gradcheck(lambda x: x * x if x.data != 1 else x * 0 + 1, [1.0])
    assert [row.verdict for row in result.rows] == ["DIFFERS"]
    assert "f itself" in result.notes[0]
    assert gradcheck(lambda x: x * x if x.data != 1 else 2 * x - 1, [1.0])


@pytest.mark.parametrize(
    ("value", "slope", "x"),
    [
        (math.acos, lambda x, out: (-1 / math.sqrt(1 - x * x),), 1 - 1e-9),
        (math.tan, lambda x, out: (1 + out * out,), math.pi / 2 - 1e-7),
        (math.log, lambda x, out: (1 / x,), 1e-300),
    ],
)  # fmt: skip
def test_a_steep_place_is_not_taken_for_single_precision(value, slope, x):
    result = gradcheck(primitive("steep", value, slope), [x])
    assert result.rows[0].verdict in ("agrees", "not settled")
    assert "fewer digits" not in str(result)


# --- edges of the domain --------------------------------------------------------------------------


def test_one_sided_at_an_edge():
    result = gradcheck(lambda x: x**2.5 + x, [0.0])
    assert result, result
    assert result.notes == ()
    assert numeric_grad(lambda x: (1 - x) ** 3.5 + 2 * x, [1.0]) == [pytest.approx(2.0)]


@pytest.mark.parametrize("power", [1.1, 1.25, 1.5, 2.5])
def test_a_power_that_is_not_whole(power):
    assert gradcheck(lambda x: x**power, [0.0])
    assert numeric_grad(lambda x: x**power + 3 * x, [0.0]) == pytest.approx([3.0], rel=1e-9)


def test_differences_that_do_not_settle():
    waves = primitive("waves", lambda x: x * math.sin(1 / x) if x else 0.0, lambda x, out: (0.0,))
    result = gradcheck(waves, [0.0])
    assert [row.verdict for row in result.rows] == ["not settled"]
    assert "wrong derivative" not in str(result)
    with pytest.raises(ValueError, match=r"no certain slope in x_1 at xs = \[0\.0\]"):
        numeric_grad(waves, [0.0])


def test_no_slope_on_either_side():
    def f(x):
        if x.data != 1.0:
            raise ValueError("only at 1")
        return x

    with pytest.raises(ValueError, match="no value beside x = 1"):
        numeric_grad(f, [1.0])


def test_where_reverse_mode_has_no_slope():
    with pytest.raises(SlopeError, match=r"sqrt .*x = 0\.0"):
        gradcheck(Value.sqrt, [Value(0.0, "x")])
    with pytest.raises(ValueError, match=r"log .*x = -1"):
        gradcheck(lambda x: x.log(), [-1.0])


# --- what is given --------------------------------------------------------------------------------


def test_names():
    def f(s, *rest):
        return s + sum(rest, 0)

    assert [row.leaf for row in gradcheck(f, [1, 2, 3]).rows] == ["s", "x_2", "x_3"]
    assert [row.leaf for row in gradcheck(f, [Value(1), Value(2, "b")]).rows] == ["s", "b"]
    assert [row.leaf for row in gradcheck(maximum, (1, 2)).rows] == ["a", "b"]


def test_xs_are_not_touched():
    x = Value(2.0, "x")
    x.grad = 5.0
    assert gradcheck(lambda v: v * x, [x])
    assert (x.data, x.grad) == (2.0, 5.0)


def test_kinds_of_numbers():
    for xs in ([2, 3], (2.0, 3.0), np.array([2.0, 3.0]), iter([2.0, np.float32(3)])):
        assert numeric_grad(lambda a, b: a * b, xs) == pytest.approx([3.0, 2.0])


@pytest.mark.parametrize(
    ("f", "xs", "error", "words"),
    [
        (3, [1.0], TypeError, "f is a function of Values, not yet called; got int"),
        (Value(1.0), [1.0], TypeError, "function"),
        (abs, 2.0, TypeError, r"a list with a number for each argument of f; got 2\.0"),
        (abs, Value(2.0), TypeError, "a list"),
        (abs, ["2"], TypeError, "xs takes a real number; got str"),
        (abs, [None], TypeError, "NoneType"),
        (abs, [], ValueError, "one for each argument"),
        (abs, [math.inf], ValueError, "finite"),
        (abs, [math.nan], ValueError, "finite"),
        (lambda x: math.exp(x), [1.0], TypeError, r"returned float 2\.7.*x\.exp\(\)"),
        (lambda x: x.data, [1.0], TypeError, r"x\.data.*plain numbers"),
        (lambda x: None, [1.0], TypeError, "returned NoneType"),
        (lambda x: [x], [1.0], TypeError, "returned list"),
        (lambda x: x * math.nan, [1.0], ValueError, r"f is nan at xs = \[1\.0\]"),
        (lambda x: x * math.inf, [1.0], ValueError, "f is inf"),
        (lambda x: x * random.random(), [1.0], ValueError, "when it is called again"),
        (lambda x: x, [1.0, 2.0], TypeError, "takes 1 positional argument but 2 were given"),
        (lambda x, y: x, [1.0], TypeError, "missing 1 required positional argument: 'y'"),
    ],
)
def test_what_is_refused(f, xs, error, words):
    for check in (gradcheck, numeric_grad):
        with pytest.raises(error, match=words):
            check(f, xs)


def test_the_table_is_aligned():
    result = gradcheck(lambda alpha, b: alpha * b - 1e-6 * b.exp(), [-0.5, 2.0])
    lines = str(result).splitlines()
    assert lines[0].split() == ["leaf", "reverse", "numeric", "difference"]
    assert lines[0].index("reverse") == lines[1].index("2") == lines[2].index("−0.5000")
    assert "-" not in str(result)
    assert repr(result) == str(result)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.tolerance = 1.0


# --- how f is called ------------------------------------------------------------------------------


@pytest.mark.parametrize("toss", [random.random, np.random.rand])
def test_a_coin_toss_never_gets_through(toss):
    for _ in range(60):
        with pytest.raises(ValueError, match="when it is called again"):
            gradcheck(lambda x: x * (2 if toss() < 0.5 else 3), [1.0])


def test_a_function_that_seeds_its_own_random_numbers_is_not_random():
    def f(x):
        return x * random.Random(3).random() + x * np.random.default_rng(1).random()

    assert gradcheck(f, [1.0])


@pytest.mark.parametrize("n", [1, 2, 300])
def test_f_is_called_ten_times_at_most_for_each_argument(n):
    calls = []

    def f(*xs):
        calls.append(1)
        return sum((0.01 * x).tanh() for x in xs)

    assert gradcheck(f, [0.5] * n)
    assert len(calls) <= 10
    calls.clear()
    gradcheck(lambda *xs: f(*xs) * xs[0].data, [0.5] * n)
    assert len(calls) <= 10 * n


def test_a_network_whose_weights_are_written_is_told_apart():
    model = MLP(2, [2, 1])

    def loss(*ps):
        for p, q in zip(model.parameters(), ps, strict=True):
            p.data = q.data
        return (model([0.5, -1.0]) - 1) ** 2

    result = gradcheck(loss, [p.data for p in model.parameters()])
    assert {row.verdict for row in result.rows} == {"off the graph"}
    assert len(result.notes) == 1
    assert "into a Value that it keeps, as by w.data = x_1.data" in " ".join(result.notes[0].split())


def test_a_flat_place_of_an_operation_of_ones_own():
    cube = primitive("cube", lambda x: x**3, lambda x, out: (3 * x**2,))
    assert gradcheck(cube, [0.0])
