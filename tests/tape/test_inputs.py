import numpy as np
import pytest

from tinygrad_margin import Tape, Value


def test_forms_of_inputs_and_gradients():
    a, b, c = Value(1.0, "a"), Value(2.0, "b"), Value(3.0, "c")
    tape = Tape(a * b + c, [a, b, c])
    assert tape.value([2, np.float64(3), True]) == 7.0
    value, gradient = tape.value_and_grad((2.0, 3.0, 4.0))
    assert (value, gradient) == (10.0, [3.0, 2.0, 1.0])
    assert type(value) is float
    value, gradient = tape.value_and_grad(np.array([2.0, 3.0, 4.0]))
    assert value == 10.0
    np.testing.assert_array_equal(gradient, [3.0, 2.0, 1.0])
    value, gradient = tape.value_and_grad(np.array([[2.0, 1], [3, 1], [4, 1]]))
    np.testing.assert_array_equal(value, [10.0, 2.0])
    np.testing.assert_array_equal(gradient, [[3.0, 1], [2, 1], [1, 1]])
    value, gradient = tape.value_and_grad([np.array([2.0, 3.0]), np.array([4.0, 5.0])])
    np.testing.assert_array_equal(value, [10.0, 11.0])
    np.testing.assert_array_equal(gradient[0], [6.0, 4.0])  # summed over the items
    np.testing.assert_array_equal(gradient[1], [1.0, 1.0])
    value, gradient = tape.value_and_grad([2.0, [3, 4], 1])
    np.testing.assert_array_equal(value, [7.0, 9.0])
    assert gradient[0] == 7.0
    empty = tape.value_and_grad([2.0, np.empty(0), 1.0])
    assert empty[0].shape == (0,)
    assert empty[1][0] == 0.0


def test_inputs_that_are_columns_of_a_table_or_one_array_twice():
    a, b, unused = Value(1.0), Value(2.0), Value(3.0)
    tape = Tape((a - b) * a, [a, b, unused])
    table = np.random.default_rng(7).uniform(-1, 1, (6, 3))
    for x, y, z in (table.T, table[::-1].T, [table[:, 0]] * 3, table[:3].copy()):
        value, slopes = tape.value_and_grad([x, y, z])
        np.testing.assert_allclose(value, (x - y) * x, rtol=1e-12)
        np.testing.assert_allclose(slopes[0], 2 * x - y, rtol=1e-12)
        np.testing.assert_array_equal(slopes[1], -x)
        np.testing.assert_array_equal(slopes[2], 0.0)


def test_a_leaf_that_J_does_not_depend_on_has_gradient_0():
    a, b = Value(1.0, "a"), Value(2.0, "b")
    tape = Tape(a * 3, [b, a])
    assert tape.value_and_grad([7.0, 2.0]) == (6.0, [0.0, 3.0])
    value, (db, da) = tape.value_and_grad([np.array([7.0, 8.0]), 2.0])
    np.testing.assert_array_equal(value, [6.0, 6.0])
    np.testing.assert_array_equal(db, [0.0, 0.0])
    assert da == 6.0  # over two items
    alone = Tape(b * 2, [a])
    assert alone.value_and_grad([5.0]) == (4.0, [0.0])
    value, (da,) = alone.value_and_grad([np.ones(3)])
    assert (value.tolist(), da.tolist()) == ([4.0] * 3, [0.0] * 3)
    assert Tape(a, [a]).value_and_grad([np.array([3.0])])[1][0].tolist() == [1.0]
    assert Tape(a * b, []).value([]) == 2.0


def test_fewer_entries_than_inputs():
    xs = [Value(float(i), f"x_{i}") for i in range(6)]
    tape, five = Tape(sum(i * x for i, x in enumerate(xs)), xs), np.ones(5)
    value, (theta, last) = tape.value_and_grad([five, five])  # five numbers, then five items
    np.testing.assert_array_equal(value, [15.0] * 5)
    np.testing.assert_array_equal(theta, [0.0, 5.0, 10.0, 15.0, 20.0])
    np.testing.assert_array_equal(last, [5.0] * 5)
    said = (
        r"has 6 inputs .*; got 2\. If there are fewer, the first holds the numbers of the first 5"
    )
    with pytest.raises(ValueError, match=f"{said} inputs; it has 4"):
        tape.value([np.ones(4), five])
    with pytest.raises(ValueError, match="got 7"):
        tape.value([np.empty(0), *[five] * 6])
    with pytest.raises(ValueError, match=r"x_0: 1, x_1: 5.*Give one number for all items as a n"):
        tape.value([np.ones(1), *[five] * 5])


def test_mistakes():
    a, b = Value(1.0, "a"), Value(2.0, "b")
    J = a * b
    J.label = "J"
    with pytest.raises(
        ValueError, match=r"an input of a tape is a leaf; J = 2\.0 is computed, by \*"
    ):
        Tape(J, [J])
    with pytest.raises(ValueError, match=r"a = 1\.0 occurs 2 times in wrt"):
        Tape(J, [a, b, a])
    with pytest.raises(TypeError, match="takes Values"):
        Tape(J, [a, 3.0])
    with pytest.raises(TypeError, match="takes Values"):
        Tape("J", [a])
    for wrong in (a, None, 3, {a}):
        with pytest.raises(TypeError, match=r"in the order of the inputs; put it in a list: \[x\]"):
            Tape(J, wrong)
    tape = Tape(J, [a, b])
    for wrong in ([1.0], [1.0, 2.0, 3.0], np.ones(3), np.ones((1, 4)), []):
        with pytest.raises(ValueError, match=r"the tape has 2 inputs \(a, b\); got [0-9]"):
            tape.value(wrong)
    with pytest.raises(ValueError, match="arrays of items need one length; got a: 2, b: 3"):
        tape.value([np.ones(2), np.ones(3)])
    with pytest.raises(
        ValueError, match=r"b must be an array of one dimension; got the shape \(2, 2\)"
    ):
        tape.value([1.0, np.ones((2, 2))])
    for wrong in ("12", {1.0, 2.0}, 3.0, None):
        with pytest.raises(TypeError, match="sequence of inputs; got"):
            tape.value(wrong)
    with pytest.raises(TypeError, match="the input a of a tape takes a real number; got str 'x'"):
        tape.value(["x", 1.0])
    with pytest.raises(TypeError, match="b must hold real numbers"):
        tape.value([1.0, np.array(["x"])])
    with pytest.raises(TypeError, match="real numbers"):
        tape.value(np.ones(2) * 1j)


def test_mistakes_are_told_the_same_after_a_replay():
    a, b = Value(1.0, "a"), Value(2.0, "b")
    for times in (0, 1, 20):  # the first ones run node by node, the others as a function
        tape = Tape(a * b, [a, b])
        for _ in range(times):
            assert tape.value_and_grad([3.0, 4.0]) == (12.0, [4.0, 3.0])
        for wrong in ({1.0, 2.0}, {1.0: 1, 2.0: 2}, None, 3.0, (x for x in (1.0, 2.0)), "ab"):
            for replay in (tape.value, tape.value_and_grad):
                with pytest.raises(TypeError, match="takes a sequence of inputs; got"):
                    replay(wrong)
        for replay in (tape.value, tape.value_and_grad):
            with pytest.raises(ValueError, match=r"xs must be an array of one or two dimensions"):
                replay(np.array(3.0))
