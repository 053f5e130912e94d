"""Mistakes in an operation of one's own: what the errors say."""

import math
import traceback

import numpy as np
import pytest
from own_operations import FMA, SOFTPLUS

from tinygrad_margin import ReverseSweep, SlopeError, Tape, Value, draw, grad, primitive

ONE = lambda x: x  # noqa: E731
SLOPE = lambda x, out: (1.0,)  # noqa: E731


@pytest.mark.parametrize(("given", "kind", "message"), [
    (("", ONE, SLOPE), ValueError, "name of an operation is 1 to 40 printable characters; got ''"),
    (("a\nb", ONE, SLOPE), ValueError, r"printable characters; got 'a\\nb'"),
    (("x" * 41, ONE, SLOPE), ValueError, "1 to 40"),
    (("relu", ONE, SLOPE), ValueError, "there is an operation relu already; give yours a name"),
    (("f", 3.0, SLOPE), TypeError, "value of f is a function; got float 3.0"),
    (("f", ONE, (1.0,)), TypeError, r"partials of f is a function; got tuple \(1.0,\)"),
    (("+", ONE, SLOPE), ValueError, r"there is an operation \+ already; give yours a name and a symbol"),
    (("f", ONE, SLOPE, "max"), ValueError, "there is an operation max already"),
    (("f", ONE, SLOPE, "**"), ValueError, r"there is an operation \*\* already"),
    (("f", ONE, SLOPE, "×"), ValueError, "there is an operation × already"),
    (("f", ONE, lambda x: (1.0,)), TypeError,
     r"partials of f must take 1 operand and then out, the value; it is partials\(x\)"),
    (("f", lambda x, y: x, SLOPE), TypeError, r"take 2 operands and then out.*partials\(x, out\)"),
])  # fmt: skip
def test_what_is_no_operation_is_refused(given, kind, message):
    with pytest.raises(kind, match=message):
        primitive(*given)



@pytest.mark.parametrize(("operands", "message"), [
    ((), "^fma takes 3 operands; got 0$"),
    ((1.0, Value(2.0)), "^fma takes 3 operands; got 2$"),
    ((Value(2.0), "a", 3.0), "^fma, besides Values, takes a real number; got str 'a'"),
    ((Value(2.0), [1.0], 3.0), "fma, besides Values, takes a real number; got list"),
])  # fmt: skip
def test_operands_are_counted_and_checked(operands, message):
    with pytest.raises(TypeError, match=message):
        FMA(*operands)


def test_a_default_is_no_operand():
    functions = [
        primitive("times", lambda x, k=k: k * x, lambda x, out, k=k: (k,)) for k in (2.0, 3.0)
    ]
    x = Value(5.0)
    assert [f(x).data for f in functions] == [10.0, 15.0]
    with pytest.raises(TypeError, match="times takes 1 operand; got 2"):
        functions[0](x, 3.0)


@pytest.mark.parametrize(("result", "message"), [
    (None, "^value of f must return one number; got NoneType None; is a return missing"),
    ("1", "^value of f must return one number; got str '1'$"),
    ((1.0,), r"^value of f must return one number; got tuple \(1.0,\)$"),
    (np.array([1.0]), "one number; got ndarray"),
    (Value(2.0), "got Value Value.*; it computes with plain numbers, so a Value that it needs must"),
])  # fmt: skip
def test_a_value_that_is_no_number_is_refused(result, message):
    f = primitive("f", lambda x: result, SLOPE)
    with pytest.raises(TypeError, match=message):
        f(Value(1.0))


@pytest.mark.parametrize(("result", "message"), [
    (None, "^partials of f must return a tuple of 2 numbers, one for each operand; got NoneType"),
    (1.0, "tuple of 2 numbers, one for each operand; got float 1.0"),
    ((1.0,), r"tuple of 2 numbers, one for each operand; got tuple \(1.0,\)"),
    ((1.0, 2.0, 3.0), "got tuple"),
    ({1.0, 2.0}, "got set"),
    ("12", "got str '12'"),
    (np.ones((2, 1)), "got ndarray"),
    ((1.0, None), "one for each operand; got NoneType None; is a return missing"),
    ((1.0, "2"), "one for each operand; got str '2'"),
])  # fmt: skip
def test_partials_that_are_no_numbers_are_refused_and_leave_the_gradient(result, message):
    f = primitive("f", lambda a, b: a, lambda a, b, out: result)
    x, y = Value(1.0, "x"), Value(2.0, "y")
    x.grad = 7.0
    J = f(x, y) * x
    for sweep in (J.backward, lambda: grad(J, x), ReverseSweep(J).run, lambda: draw(J)):
        with pytest.raises(TypeError, match=message):
            sweep()
    assert (x.grad, y.grad) == (7.0, 0.0)


def test_outside_its_domain_the_operation_and_the_operands_are_named():
    x = Value(-1.0, "x")
    log = primitive("mylog", math.log, lambda x, out: 1 / x)
    with pytest.raises(
        ValueError, match=r"^mylog needs other operands \(.+\); got x = -1.0$"
    ) as caught:
        log(x)
    assert str(caught.value.__cause__) in str(caught.value)
    root = primitive("root", lambda x: x**0.5, lambda x, out: 0.5 / out)
    with pytest.raises(
        ValueError, match=r"root needs other operands \(value gives the complex number"
    ):
        root(x)
    with pytest.raises(
        ZeroDivisionError, match=r"^inverse needs other operands \(.*division by zero\); got 0.0"
    ):
        primitive("inverse", lambda x: 1 / x, SLOPE)(0.0)
    with pytest.raises(
        OverflowError, match="^softplus gives a number too large for a float; got x = 1000.0"
    ):
        SOFTPLUS(Value(1e3, "x"))
    with pytest.raises(OverflowError, match="^f gives a number too large"):
        primitive("f", lambda x: 10**400, SLOPE)(x)

    def strict(x):
        raise ValueError("x is to be a probability")

    with pytest.raises(
        ValueError, match=r"^f needs other operands \(x is to be a probability\); got x = -1.0"
    ):
        primitive("f", strict, SLOPE)(x)


@pytest.mark.parametrize("arity", [1, 3])
def test_a_slope_that_does_not_exist_is_named_with_the_line_that_asked(arity):
    def partials(x, *more):
        slope = 0.5 / more[-1]
        return (slope,) * arity

    x = Value(0.0, "x")
    J = primitive("root", lambda x, *more: math.sqrt(x), partials)(*[x] * arity)
    x.grad = 5.0
    for sweep in (J.backward, lambda: grad(J, x), ReverseSweep(J).run):
        with pytest.raises(
            SlopeError, match="root.*has a value at x = 0.0.*but no slope"
        ) as caught:
            sweep()
        assert "slope = 0.5 / more[-1]" in "".join(traceback.format_exception(caught.value))
    assert x.grad == 5.0
    assert "no slope" in draw(J).source


@pytest.mark.parametrize("arity", [1, 3])
def test_a_mistake_in_the_functions_comes_through_as_it_is(arity):
    def value(x, *more):
        return x

    def partials(x, *more):
        return (undefined_name,) * arity  # noqa: F821

    x = Value(1.0)
    x.grad = 2.0
    J = primitive("f", value, partials)(*[x] * arity) * 2
    with pytest.raises(NameError, match="undefined_name") as caught:
        J.backward()
    assert caught.value.__context__ is None
    assert x.grad == 2.0
    with pytest.raises(NameError):
        Tape(J, [x]).value_and_grad([np.ones(2)])
    with pytest.raises(NameError):
        primitive("f", partials, value)(x)


@pytest.mark.parametrize(("wrong", "words"), [
    (lambda x: x.exp(), r"which have no exp; instead of x\.exp: math\.exp\(x\)"),
    (lambda x: x.relu(), r"which have no relu; instead of x\.relu: x is the number itself"),
    (lambda x: x.data**2, r"which have no data; instead of x\.data: x is the number itself"),
])  # fmt: skip
def test_functions_of_values_are_not_there_for_plain_numbers(wrong, words):
    x = Value(1.0, "x")
    with pytest.raises(TypeError, match=f"^value and partials of f get plain numbers, {words}"):
        primitive("f", wrong, SLOPE)(x)
    x.grad = 3.0
    for arity in (1, 3):
        J = primitive("f", lambda *xs: sum(xs), lambda *xs: (wrong(xs[0]),) * (len(xs) - 1))(*[x] * arity)
        for sweep in (J.backward, lambda: grad(J, x), lambda: grad(J, x, create_graph=True)):
            with pytest.raises(TypeError, match=f"value and partials of f get plain numbers, {words}"):
                sweep()
    assert x.grad == 3.0
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        primitive("f", lambda x: x.nothing_of_the_kind, SLOPE)(x)


def test_built_in_functions_take_what_their_partials_take():
    hypot = primitive("hypot", math.hypot, lambda x, y, out: (x / out, y / out))
    x, y = Value(3.0), Value(4.0)
    assert (hypot(x, y).data, grad(hypot(x, y), [x, y])) == (5.0, [0.6, 0.8])
    with pytest.raises(TypeError, match="^hypot takes 2 operands; got 1$"):
        hypot(x)
    sine = primitive("sine", math.sin, lambda x, out: (math.cos(x),))
    assert grad(sine(y), y) == math.cos(4.0)



def test_partials_that_overflow_are_not_taken_for_a_large_slope():
    x = Value(-800.0, "x")
    J = primitive("sp", lambda x: math.log1p(math.exp(x)), lambda x, out: 1 / (1 + math.exp(-x)))(x)
    for ask in (J.backward, lambda: grad(J, x)):
        with pytest.raises(OverflowError, match=r"^partials of sp overflowed at x = -800\.0: math range"):
            ask()
    J = primitive("f", lambda x: 1.0, lambda x, out: math.inf)(x)
    with pytest.raises(OverflowError, match="^the slope of f at x = -800.0 is too large for a float"):
        J.backward()


def test_a_complex_slope_is_named():
    x = Value(-4.0, "x")
    J = primitive("f", lambda x: 1.0, lambda x, out: x**0.5)(x)
    with pytest.raises(SlopeError, match=r"^f has a value at x = -4\.0 but no slope"):
        J.backward()
