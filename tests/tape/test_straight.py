import math
import time

import numpy as np
from same_as_engine import check

from tinygrad_margin import Tape, Value, maximum, primitive


def narrow(x, count):
    """A graph that is deep and narrow."""
    v = x
    for i in range(count):
        v = (v * 0.5).sin() if i % 2 else maximum(v, x) + x
    return v


def test_deep_and_narrow_runs_node_by_node():
    x, y = Value(0.5), Value(0.25)
    J = narrow(x, 600) * y
    tape = Tape(J, [x, y])
    J.backward()
    assert tape.value_and_grad([0.5, 0.25]) == (J.data, [x.grad, y.grad])
    assert not tape._program.cache_info().currsize
    for xs in ([0.5, np.array([0.1, -0.4])], [np.array([0.1, -0.4]), 0.25], np.full((2, 3), 0.7)):
        check(J, [x, y], list(xs), len(xs[-1]) if np.ndim(xs[-1]) else 2)
        tape.value_and_grad(xs)
        assert not tape._program.cache_info().currsize
    value, (slope, _) = tape.value_and_grad([np.full(100_000, 0.5), 0.25])  # in blocks
    np.testing.assert_allclose(value, J.data, rtol=1e-12)
    np.testing.assert_allclose(slope, x.grad, rtol=1e-12)


def test_ones_own_operations_run_node_by_node():
    generic = primitive("fma", lambda a, b, c: a * b + c, lambda a, b, c, out: (b, a, 1.0))
    floats = primitive("soft", lambda a: math.log1p(math.exp(a)),
                       lambda a, out: (1 / (1 + math.exp(-a)),))  # fmt: skip
    x, y = Value(0.5), Value(0.25)
    v = x
    for _ in range(200):
        v = floats(generic(v, 0.5, y)) - 0.6
    many = np.array([0.1, -0.4, 2.0])
    for xs in ([0.3, 0.2], [many, 0.2], [0.3, many], [many, many[::-1].copy()]):
        check(v, [x, y], xs, 3 if any(map(np.ndim, xs)) else 1)
        tape = Tape(v, [x, y])
        tape.value_and_grad(xs)
        assert not tape._program.cache_info().currsize


def test_a_first_replay_takes_a_time_that_grows_with_the_graph():
    def seconds(count):
        x = Value(0.5)
        tape = Tape(narrow(x, count), [x])
        start = time.perf_counter()
        tape.value_and_grad([0.5])
        return time.perf_counter() - start

    short, long = (min(seconds(count) for _ in range(3)) for count in (2_000, 40_000))
    assert long < 100 * short
    assert long < 2.0  # a plan would take ten times that


def test_outside_a_domain_one_number_is_as_numpy_has_it():
    x = Value(1.0)
    for J in ((1 / x).tanh() + x, (x.log() + 1).exp() + x, narrow(x, 400) + 1 / x):
        tape = Tape(J, [x])
        alone = [tape.value_and_grad([0.0]) for _ in range(15)]
        (value,), ((slope,),) = Tape(J, [x]).value_and_grad([np.zeros(1)])
        for found in alone:
            np.testing.assert_allclose(found[0], value, rtol=1e-12)
            np.testing.assert_allclose(found[1], [slope], rtol=1e-12)
