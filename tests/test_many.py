"""maximum and minimum of many operands: one node, and equal shares of the gradient at a tie."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_margin import (
    ReverseSweep,
    Tape,
    Value,
    cross_entropy,
    grad,
    gradcheck,
    hessian,
    maximum,
    minimum,
)

NUMBERS = st.sampled_from([-2.0, 0.0, 1.0, 1.5, math.inf, -math.inf])


@given(st.lists(NUMBERS, min_size=2, max_size=9))
def test_values_and_shares(xs):
    leaves = [Value(x) for x in xs]
    for function, best in ((maximum, max(xs)), (minimum, min(xs))):
        J = function(*leaves)
        shares = [(x == best) / xs.count(best) for x in xs]
        assert (J.data, J.parents, len(J.op)) == (best, tuple(leaves), 3)
        assert grad(J, leaves) == shares
        J.zero_grad()
        J.backward()
        assert [leaf.grad for leaf in leaves] == shares
        assert J.is_at_kink == (xs.count(best) > 1)
        tape = Tape(J, leaves)
        assert tape.value_and_grad(xs) == (best, shares)
        values, slopes = tape.value_and_grad([np.array([x, x]) for x in xs])
        assert values.tolist() == [best, best]
        assert [s.tolist() for s in slopes] == [[share, share] for share in shares]
        for again in (copy.deepcopy(J), pickle.loads(pickle.dumps(J))):
            assert (again.data, again._row, again.is_at_kink) == (best, J._row, J.is_at_kink)


def test_numbers_the_same_operand_twice_and_nan():
    x, y = Value(3.0, "x"), Value(1.0, "y")
    assert grad(maximum(x, 2, y, x), [x, y]) == [1.0, 0.0]
    assert grad(minimum(x, y, 1.0), [x, y]) == [0.0, 0.5]
    assert math.isnan(maximum(x, math.nan, y).data)
    assert hessian(maximum(x, y, 0) ** 2 * y, [x, y]) == [[2.0, 6.0], [6.0, 0.0]]
    assert gradcheck(lambda a, b, c: maximum(a, b, c) * minimum(a, b, c), [1.0, 5.0, 2.0])
    assert str(next(ReverseSweep(maximum(x, y, 3.0)))).endswith(
        "a tie of the largest: any shares that add up to 1 make a subgradient, "
        "the max gives equal shares"
    )


def test_a_thousand_operands():
    xs = [Value(float(i % 7)) for i in range(1001)]
    for J in (maximum(*xs), minimum(*xs), cross_entropy(xs, 6)):
        J.backward()
        numbers = [x.data for x in xs]
        assert Tape(J, xs).value(numbers) == pytest.approx(J.data)
        value, slopes = Tape(J, xs).value_and_grad(np.array(numbers)[:, None].repeat(3, 1))
        assert value == pytest.approx([J.data] * 3)
        assert slopes[:, 0] == pytest.approx(grad(J, xs))
