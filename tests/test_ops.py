"""The table: every row's partials against central differences, and the rows' form."""

import math

import pytest

from tinygrad_margin.ops import FLOATS, TABLE, Primitive

POINTS = {1: [(0.7,), (2.5,), (-1.3,)], 2: [(0.7, 1.9), (2.5, 0.4), (1.5, -2.2)]}


def cases():
    for row in TABLE.values():
        for point in POINTS[row.arity]:
            if row.name in ("log", "sqrt") and point[0] < 0:
                continue
            yield pytest.param(row, point, id=f"{row.name}{point}")


@pytest.mark.parametrize(("row", "point"), list(cases()))
def test_partials_agree_with_central_differences(row: Primitive, point):
    out = row.value(FLOATS, *point)
    partials = row.partials(FLOATS, *point, out)
    assert len(partials) == row.arity
    for i, partial in enumerate(partials):
        if (row.name, i) in (("pow_to_number", 1), ("pow_of_number", 0)):
            assert partial == 0.0  # a plain number is not asked for a slope
            continue
        h = 1e-6
        up, down = (
            row.value(FLOATS, *(x + d if j == i else x for j, x in enumerate(point)))
            for d in (h, -h)
        )
        assert partial == pytest.approx((up - down) / (2 * h), rel=1e-7, abs=1e-9)


def test_constant_rules_are_the_same_as_a_function_and_as_numbers():
    for row in TABLE.values():
        if row.slopes is not None:
            assert row.partials(FLOATS, *([3.0] * row.arity), 1.0) == row.slopes
    assert TABLE["mul"].slopes is None


@pytest.mark.parametrize("name", ["relu", "abs"])
def test_kinks_of_one_operand_take_slope_0(name):
    assert TABLE[name].partials(FLOATS, 0.0, 0.0) == (0.0,)


@pytest.mark.parametrize("name", ["max", "min"])
def test_ties_take_one_half_each(name):
    assert TABLE[name].partials(FLOATS, 2.0, 2.0, 2.0) == (0.5, 0.5)
    assert TABLE[name].partials(FLOATS, math.inf, math.inf, math.inf) == (0.5, 0.5)


@pytest.mark.parametrize("name", ["max", "min"])
def test_nan_does_not_hide_in_a_max(name):
    assert math.isnan(TABLE[name].value(FLOATS, math.nan, 1.0))
    assert math.isnan(TABLE[name].value(FLOATS, 1.0, math.nan))


@pytest.mark.parametrize("a", [-1e308, -1000.0, -40.0, 40.0, 1000.0, 1e308, math.inf, -math.inf])
def test_sigmoid_and_tanh_are_stable(a):
    for name, low in (("sigmoid", 0.0), ("tanh", -1.0)):
        row = TABLE[name]
        out = row.value(FLOATS, a)
        assert low <= out <= 1.0
        assert out == pytest.approx(1.0 if a > 0 else low, abs=1e-15)
        assert row.partials(FLOATS, a, out)[0] == pytest.approx(0.0, abs=1e-15)
    assert TABLE["sigmoid"].value(FLOATS, -40.0) == pytest.approx(math.exp(-40.0), rel=1e-15)


def test_power_at_base_0():
    row = TABLE["pow"]
    assert row.partials(FLOATS, 0.0, 0.0, 1.0)[0] == 0.0
    assert row.partials(FLOATS, 0.0, 1.0, 0.0)[0] == 1.0
    assert row.partials(FLOATS, 0.0, 2.0, 0.0) == (0.0, 0.0)
    with pytest.raises(ZeroDivisionError):
        row.value(FLOATS, 0.0, -1.0)
    with pytest.raises(ValueError, match="no whole number"):
        row.value(FLOATS, -8.0, 1 / 3)


def test_every_kink_is_explained_in_three_cases():
    for row in TABLE.values():
        if row.cases is not None:
            said = [case.format(a="p = 1", b="q = 2", x="p", y="q") for case in row.cases]
            assert len(set(said)) == 3
    assert {row.name for row in TABLE.values() if row.cases} == {"abs", "relu", "max", "min"}
