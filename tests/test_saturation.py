"""Slopes of saturated tanh and sigmoid, against 60 digits.

The page is compared with the engine at such numbers in page/test_interpreter.py.
"""

import mpmath
import numpy as np
import pytest

from tinygrad_margin import Tape, Value, grad, gradcheck, hessian

FAR = [1e-8, 1e-3, 0.1, 1.0, 3.0, 9.0, 18.0, 30.0, 40.0, 100.0, 300.0, 350.0]
EVERYWHERE = [*FAR, *(-x for x in FAR)]


def sech2(a):
    return mpmath.sech(mpmath.mpf(a)) ** 2


SLOPES = {  # the first and second derivative
    "tanh": (sech2, lambda a: -2 * mpmath.tanh(mpmath.mpf(a)) * sech2(a)),
    "sigmoid": (lambda a: sech2(a / 2) / 4, lambda a: -mpmath.tanh(mpmath.mpf(a) / 2) * sech2(a / 2) / 4),
}


@pytest.mark.parametrize("name", SLOPES)
def test_no_slope_is_lost_in_rounding(name):
    first, second = SLOPES[name]
    with mpmath.workdps(60):
        expected = [float(first(a)) for a in EVERYWHERE]
        curvature = [float(second(a)) for a in EVERYWHERE]
    leaves = [Value(a) for a in EVERYWHERE]
    found = [grad(getattr(x, name)(), x) for x in leaves]
    assert found == pytest.approx(expected, rel=1e-14, abs=0.0)
    again = [hessian(getattr(x, name)(), x)[0][0] for x in leaves]
    assert again == pytest.approx(curvature, rel=1e-14, abs=0.0)
    x = Value(1.0)
    _, (slopes,) = Tape(getattr(x, name)(), [x]).value_and_grad([np.array(EVERYWHERE)])
    assert slopes.tolist() == pytest.approx(expected, rel=1e-14, abs=0.0)
    assert all(gradcheck(lambda x: getattr(x, name)(), [a]) for a in EVERYWHERE)


def test_the_tapes_sigmoid_does_not_underflow_before_the_engines():
    x = Value(1.0)
    tape = Tape(x.sigmoid().log(), [x])
    values = tape.value([np.array([-720.0, -709.9, 3.0])])
    expected = [Value(a).sigmoid().log().data for a in (-720.0, -709.9, 3.0)]
    assert values.tolist() == pytest.approx(expected, rel=1e-12)
    slopes = Tape(x.sigmoid().sqrt(), [x]).value_and_grad([np.array([-720.0, 0.0])])[1][0]
    assert slopes.tolist() == pytest.approx([0.5 * float(mpmath.exp(-360)), 2**-2.5])
