"""Slopes by differences: hardly further off than they say; kinks, jumps and stairs are told apart."""

import math

import numpy as np
import pytest

from tinygrad_margin.check.differences import (
    Sample,
    contradicts,
    measured,
    one_sided,
    roughness,
    stairs,
    tremor,
)

FUNCTIONS = {
    "sin": (math.sin, math.cos), "cos": (math.cos, lambda x: -math.sin(x)),
    "tanh": (math.tanh, lambda x: 1 / math.cosh(x) ** 2), "atan": (math.atan, lambda x: 1 / (1 + x * x)),
    "cube": (lambda x: x**3, lambda x: 3 * x**2), "1/x": (lambda x: 1 / x, lambda x: -1 / x / x),
    "exp": (math.exp, math.exp), "log": (math.log, lambda x: 1 / x),
    "sqrt": (math.sqrt, lambda x: 0.5 / math.sqrt(x)), "peak": (lambda x: math.exp(-x * x), lambda x: -2 * x * math.exp(-x * x)),
    "sin + 1e9": (lambda x: math.sin(x) + 1e9, math.cos), "log1p": (math.log1p, lambda x: 1 / (1 + x)),
    "fast": (lambda x: math.sin(1e5 * x), lambda x: 1e5 * math.cos(1e5 * x)),
    "waves": (lambda x: x * x * math.sin(1 / x), lambda x: 2 * x * math.sin(1 / x) - math.cos(1 / x)),
    "beyond": (lambda x: math.hypot(x, 1e-7), lambda x: x / math.hypot(x, 1e-7)),
}  # fmt: skip


def sampled(f, coarse=0.0):
    def sample(t):
        try:
            return Sample(f(t), max(2e-16 * abs(f(t)), coarse))
        except (ArithmeticError, ValueError):
            return None

    return sample


@pytest.mark.parametrize("name", FUNCTIONS)
def test_hardly_further_off_than_it_says(name):
    f, slope = FUNCTIONS[name]
    settled = 0
    for x in [sign * 1.7 * 10**k for k in range(-12, 13) for sign in (1, -1)]:
        # The argument of a wave has an error of its own: x is rounded before f sees it.
        noise = {"fast": 1e-16 * 1e5 * abs(x), "waves": 1e-16 * abs(x)}.get(name, 0.0)
        if noise > 0.1:
            continue
        try:
            true = slope(x)
        except (ArithmeticError, ValueError):
            continue
        found = measured(sampled(f, noise), x)
        if found is not None:
            assert abs(found.slope - true) <= 10.0 * found.error + 1e-9 * abs(true), (
                x,
                found,
                true,
            )
            settled += found.error <= 1e-6 * max(abs(true), found.steepest)
    assert settled >= 20 or name == "sin + 1e9"


@pytest.mark.parametrize("x", [0.0, 1e-9, 1.0, -3.7, 1e6])
def test_kinks_and_jumps(x):
    found = measured(sampled(lambda t: abs(t - x) + 2 * t), x)
    assert found.sides == pytest.approx((1.0, 3.0), abs=1e-6)
    found = measured(sampled(lambda t: math.exp(-(t - x)) if t < x else math.cos(t - x)), x)
    assert found.sides == pytest.approx((-1.0, 0.0), abs=1e-6)
    assert measured(sampled(lambda t: float(t >= x)), x).jump == (0.0, 1.0, 1.0)
    for smooth in (lambda t: (t - x) * abs(t - x), lambda t: math.cos(t - x)):
        found = measured(sampled(smooth, 1e-16), x)
        assert (found.sides, found.jump) == (None, None)


def test_one_side():
    found = measured(sampled(math.sqrt), 0.0)
    assert found.error > 1.0
    found = measured(sampled(lambda t: math.sqrt(t) ** 3), 0.0)
    assert abs(found.slope) <= found.error < 1e-12
    found = one_sided(sampled(lambda t: abs(t) + t * t), 0.0, -1.0)
    assert found.slope == pytest.approx(-1.0, abs=1e-12)
    assert measured(lambda t: None, 0.0) is None
    assert measured(lambda t: Sample(1.0, 0.0) if t == 2.0 else None, 2.0) is None


def test_stairs_and_tremor():
    single = sampled(lambda t: float(np.float32(t) ** 2))
    assert 5e-8 < stairs(single, 1.3) < 1e-6
    assert stairs(sampled(math.exp), 1.3) == 0.0
    assert stairs(sampled(math.floor), 1.3) == 0.0
    assert stairs(sampled(lambda t: t + 1e8 - 1e8, 1e-16), 1.0) == pytest.approx(2**-26)
    assert tremor(sampled(lambda t: 0.2 * t + 0.5), -2.5) > 1e-16
    assert tremor(sampled(math.floor), 1.0) == 0.0


def test_roughness():
    lossy = sampled(lambda t: t * 0.5 * (1 + math.erf(t / 2**0.5)))
    for x in (-5.0, -7.0, -8.3):
        assert 1e-16 < roughness(lossy, x) < 1e-14
    for f in (math.exp, lambda t: abs(t - 0.1), math.floor, lambda t: math.sin(1e4 * t)):
        assert roughness(sampled(f), 0.1) < 1e-12  # 1e4 · t is rounded
    assert roughness(sampled(lambda t: t * 1e-30), 3.0) < 1e-44


def test_slopes_are_summed_up():
    for x in (-3.0, 0.0, 1e-9, 0.7, 40.0, 1e5):
        assert not contradicts(sampled(math.sin), math.cos, x)
        assert contradicts(sampled(math.sin), lambda t: 1.001 * math.cos(t), x) or x > 1e4
        assert not contradicts(sampled(abs), lambda t: (t > 0) - (t < 0), x)
        if x >= 0:
            assert contradicts(sampled(abs), lambda t, x=x: 3.0 if t == x else (t > 0) - (t < 0), x)
    for x in (-2.969e84, 1.042e253, 1e16, 3e20):  # waves that no step is short enough for
        assert not contradicts(sampled(math.sin), math.cos, x)
        assert not contradicts(sampled(math.cos), lambda t: -math.sin(t), x)
