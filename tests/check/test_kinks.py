"""Gradient checks on kinks, at jumps and at edges of the domain."""

import math

import pytest

from tinygrad_margin import (
    SlopeError,
    Value,
    gradcheck,
    margin_loss,
    maximum,
    minimum,
    numeric_grad,
    primitive,
)

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
    assert "is at the kink of" in result.notes[0]
    assert "a subgradient" in result.notes[0]
    assert numeric_grad(f, [at]) == [row.numeric]


def test_the_kink_is_named():
    result = gradcheck(margin_loss, [1.5, 0.5])
    assert [row.sides for row in result.rows] == [(-1.0, 0.0), (0.0, 1.0)]
    assert (
        "s = 1.5 is at the kink of max(z, 0): the slope is −1 below and 0 above" in result.notes[0]
    )


def test_a_slope_that_is_no_subgradient():
    result = gradcheck(lambda x: x.relu() - maximum(x, 0), [0.0])
    assert not result
    assert (result.rows[0].numeric, result.rows[0].reverse) == (0.0, -0.5)
    assert "the chain rule need not" in result.notes[-1]


def test_a_wrong_choice_on_a_kink():
    mine = primitive("mine", lambda x: max(x, 0), lambda x, out: (2.0,))
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
    assert "is at the kink of f itself: the slope is −1 below and 2 above" in result.notes[0]
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
    assert "is at the kink of" in result.notes[0]
    assert name in result.notes[0]


@pytest.mark.parametrize("d", [1e-3, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("sign", [1, -1])
def test_near_a_kink_inside_of_an_operation(d, sign):
    for f in (LEAKY, lambda x: LEAKY(x - 3 + 3)):
        (row,) = gradcheck(f, [sign * d]).rows
        assert row.agrees or (row.verdict == "not settled" and d < 1e-3), row
    result = gradcheck(HARD, [2.5 + sign * d])
    assert result or d < 1e-3, result  # nearer, a step of floats crosses the kink
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
    assert "f has no slope at x = " in result.notes[0]
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
    with pytest.raises(ValueError, match=r"no slope of f in x_1 at xs = \[0\.0\]"):
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


def test_a_slope_that_grows_without_bound():
    for f in (lambda x: x**x, lambda x: x**x * 2 + x):
        (row,) = gradcheck(f, [0.0]).rows
        assert (row.reverse in (0.0, 1.0), row.verdict) == (True, "no slope")


def test_an_if_without_a_corner_is_no_kink():
    for x in (1.0, 1.0 + 2.0**-30, 1.25):
        (row,) = gradcheck(lambda x: x * x if x.data > 1 else 2 * x - 1, [x]).rows
        assert (row.verdict, row.numeric) == ("agrees", pytest.approx(2 * x, rel=1e-8))
