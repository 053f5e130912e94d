"""One's own operations, through everything that a graph goes through."""

import copy
import itertools
import json
import math
import pickle
import random
import re
import threading
import traceback
import weakref
from fractions import Fraction

import numpy as np
import pytest
from graphs import rebuilt
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import GO, HOSTILE, STEP_THROUGH, at, check, near, opened, sentence, shown

from tinygrad_margin import (
    ReverseSweep,
    SlopeError,
    Tape,
    Value,
    animate,
    draw,
    evaluation_trace,
    explain,
    grad,
    page,
    paths,
    primitive,
    topological_order,
)
from tinygrad_margin.engine import OPERATIONS, adjoints, constant, local_derivatives
from tinygrad_margin.ops import TABLE
from tinygrad_margin.primitive import own_primitive, partials_are_formulas, value_is_formula
from tinygrad_margin.views.boxes_and_arrows import Progress


def clamp(x):
    if x < -1.0:
        return -1.0
    return 1.0 if x > 1.0 else x


def clamp_slope(x, out):
    return (1.0 if out == x else 0.0,)


# With functions of math, with a comparison:
SOFTPLUS = primitive("softplus", lambda x: math.log1p(math.exp(x)),
                     lambda x, out: (1.0 / (1.0 + math.exp(-x)),))  # fmt: skip
LOGADDEXP = primitive(
    "logaddexp", lambda a, b: max(a, b) + math.log1p(math.exp(-abs(a - b))),
    lambda a, b, out: (math.exp(a - out), math.exp(b - out)),
)  # fmt: skip
CLAMP = primitive("clamp", clamp, clamp_slope, explanation="between the ends the slope is 1")
LOGSUMEXP = primitive(
    "logsumexp", lambda *xs: math.log(sum(map(math.exp, xs))),
    lambda *xs: tuple(math.exp(x - xs[-1]) for x in xs[:-1]),
)  # fmt: skip
# Formulas of + - * / **:
CUBE = primitive("cube", lambda x: x**3, lambda x, out: 3 * x**2, symbol="x³")
FMA = primitive("fma", lambda a, b, c: a * b + c, lambda a, b, c, out: (b, a, 1))
RATIO = primitive("ratio", lambda a, b: a / (1 + b * b),
                  lambda a, b, out: [1 / (1 + b * b), -2 * b * out / (1 + b * b)])  # fmt: skip
SUM = primitive("total", lambda *xs: sum(xs), lambda *xs: tuple(1.0 for _ in xs[1:]), symbol="Σ")
FIRST = primitive("first", lambda a, b: a, lambda a, b, out: (1.0, 0.0))

GENERIC = {CUBE: 1, FMA: 3, RATIO: 2, SUM: 4, FIRST: 2}
ONLY_FLOATS = {SOFTPLUS: 1, LOGADDEXP: 2, CLAMP: 1, LOGSUMEXP: 3}
OWN = GENERIC | ONLY_FLOATS


def mixed_graph(seed, size=10, own=OWN):
    """A graph of own operations and those of the table, with shared nodes and constants."""
    rng = random.Random(seed)
    leaves = [Value(rng.uniform(-1.5, 1.5), f"x_{i}") for i in range(3)]
    nodes = [*leaves, constant(rng.choice([0.0, 1.0, -0.5]))]
    table = [
        OPERATIONS[name] for name in ("add", "sub", "mul", "neg", "tanh", "sin", "max", "relu")
    ]
    for _ in range(size):
        if rng.random() < 0.6:
            function = rng.choice(list(own))
            operands = [rng.choice(nodes) for _ in range(own[function])]
        else:
            function = rng.choice(table)
            operands = [rng.choice(nodes) for _ in range(function.__code__.co_argcount)]
        node = function(*operands)
        nodes.append(node if abs(node.data) < 5.0 else node.tanh())
    return sum(nodes[len(leaves) :], nodes[0]), leaves


def central(f, xs, i, h=1e-6):
    up, down = ([x + d * (j == i) for j, x in enumerate(xs)] for d in (h, -h))
    return (f(*map(Value, up)).data - f(*map(Value, down)).data) / (2 * h)


# ---- Backward, grad, the sweep ----------------------------------------------------------------


@pytest.mark.parametrize("f", OWN, ids=lambda f: f.__name__)
def test_the_gradient_agrees_with_central_differences(f):
    rng = random.Random(3)
    for _ in range(10):
        xs = [rng.uniform(-0.9, 0.9) for _ in range(OWN[f])]
        leaves = [Value(x) for x in xs]
        J = f(*leaves)
        J.backward()
        for i, leaf in enumerate(leaves):
            assert leaf.grad == pytest.approx(central(f, xs, i), rel=1e-7, abs=1e-8)


@given(st.integers(0, 10**9))
@settings(max_examples=150, deadline=None)
def test_all_ways_to_the_gradient_agree(seed):
    J, leaves = mixed_graph(seed, size=8)
    before = {node: (node.data, node.grad) for node in topological_order(J)}
    order = list(before)
    place = {node: i for i, node in enumerate(order)}
    assert all(place[parent] < place[node] for node in order for parent in node.parents)
    found = grad(J, leaves)
    sweep = ReverseSweep(J)
    sweep.run()
    totals = adjoints(J)
    assert {node: (node.data, node.grad) for node in order} == before
    J.backward()
    once = [leaf.grad for leaf in leaves]
    for node in order:
        if node.parents or node in leaves:
            assert node.grad == totals[node] == sweep.totals[node]
    assert once == found
    J.backward()
    assert [leaf.grad for leaf in leaves] == [2 * x for x in once]
    for leaf, total in zip(leaves, found, strict=True):
        ways = list(itertools.islice(paths(J, leaf), 2000))
        if leaf in place and len(ways) < 2000:
            assert math.isclose(explain(J, leaf).gradient, total, rel_tol=1e-12, abs_tol=1e-12)
    value, slopes = Tape(J, leaves).value_and_grad([leaf.data for leaf in leaves])
    assert math.isclose(value, J.data, rel_tol=1e-12, abs_tol=1e-12)
    np.testing.assert_allclose(slopes, found, rtol=1e-12, atol=1e-12)


def test_stepping_back_and_committing():
    x = Value(0.5, "x")
    sweep = ReverseSweep(FMA(x, x, x) * SOFTPLUS(x))
    sweep.step()
    before = dict(sweep.totals)
    while sweep.position < len(sweep):
        sweep.step()
    end = dict(sweep.totals)
    while sweep.position > 1:
        sweep.back()
    assert sweep.totals == before
    sweep.run()
    assert sweep.totals == end
    sweep.commit()
    assert x.grad == end[x]


def test_plain_numbers_are_constants_and_one_value_may_be_all_operands():
    x = Value(3.0, "x")
    J = FMA(x, 2, np.float64(1.0))
    assert (J.data, [parent._row.name for parent in J.parents]) == (
        7.0, ["leaf", "constant", "constant"])  # fmt: skip
    assert grad(FMA(x, x, x), x) == 7.0
    assert grad(LOGADDEXP(x, x), x) == pytest.approx(1.0, rel=1e-15)
    assert FMA(1.0, 2.0, 3.0).data == 5.0  # a node of constants, as maximum(1.0, 2.0) is
    assert grad(FIRST(x, x), x) == 1.0
    y = Value(2.0)
    assert grad(FIRST(x, y), [x, y]) == [1.0, 0.0]


def test_any_number_of_operands():
    xs = [Value(float(i), f"x_{i}") for i in range(1000)]
    J = SUM(*xs)
    J.backward()
    assert (J.data, {x.grad for x in xs}) == (499500.0, {1.0})
    assert (SUM(xs[1]).data, SUM(xs[1], xs[2]).data) == (1.0, 3.0)
    assert str(ReverseSweep(J).step()).startswith("J = Σ(x_0, x_1, x_2, …, x_997, x_998, x_999):")
    many = np.arange(3.0)
    value, slopes = Tape(J, xs).value_and_grad([*(x.data for x in xs[:-1]), many])
    np.testing.assert_array_equal(value, 499500.0 - 999 + many)
    assert slopes[:2] == [3.0, 3.0]
    with pytest.raises(TypeError, match="^total takes 1 operand or more; got 0$"):
        SUM()
    hypot = primitive("hypot", math.hypot, lambda *xs: tuple(x / xs[-1] for x in xs[:-1]))
    assert grad(hypot(xs[3], xs[4]), [xs[3], xs[4]]) == [0.6, 0.8]
    wide = [SUM(*xs) for _ in range(1000)]  # every operand used by every node
    assert len(topological_order(SUM(*wide))) == 2001


def test_a_chain_of_wide_nodes_and_its_end():
    x = Value(0.5)
    v = x
    for _ in range(200_000):
        v = FMA(v, 1.0, x)
    v.backward()
    assert x.grad == 200_001.0
    gone = weakref.ref(v)
    del v
    assert gone() is None


def test_a_graph_without_wide_nodes_costs_no_more_memory():
    x = Value(1.0)
    assert not CUBE(x).__dict__
    assert not RATIO(x, x).__dict__


def test_results_of_every_kind_of_number():
    x, y = Value(1.5), Value(2.0)
    for result in (True, 3, np.float64(2.5), np.int64(3), np.array(1.5), np.float32(2), Fraction(1, 4),
                   math.nan, math.inf, -math.inf):  # fmt: skip
        f = primitive("f", lambda a, b: result, lambda a, b, out: (result, result))
        J = f(x, y)
        J.grad = 0.0
        assert type(J.data) is float
        assert J.data == float(result) or math.isnan(J.data)
        slopes = local_derivatives(J)
        assert [type(slope) for slope in slopes] == [float, float]
        draw(J).pipe("svg")
        str(ReverseSweep(J).run())
    for slopes in ([1.0, 2.0], (1, 2), np.array([1.0, 2.0])):
        f = primitive("f", lambda a, b: a, lambda a, b, out: slopes)
        assert grad(f(x, y), [x, y]) == [1.0, 2.0]
    for slopes in (4.0, 4, (4.0,), [4.0], np.array([4.0]), np.array(4.0)):
        f = primitive("f", lambda a: a, lambda a, out: slopes)
        assert grad(f(x), x) == 4.0


# ---- What is wrong is said --------------------------------------------------------------------


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
    (("f", lambda: 1.0, SLOPE), TypeError, r"value of f is to take at least one operand; it is value\(\)"),
    (("f", ONE, lambda x: (1.0,)), TypeError,
     r"partials of f is to take 1 operand and then out, the value; it is partials\(x\)"),
    (("f", lambda x, y: x, SLOPE), TypeError, r"to take 2 operands and then out.*partials\(x, out\)"),
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
    (None, "^value of f is to return one number; got NoneType None; is a return missing"),
    ("1", "^value of f is to return one number; got str '1'$"),
    ((1.0,), r"^value of f is to return one number; got tuple \(1.0,\)$"),
    (np.array([1.0]), "one number; got ndarray"),
    (Value(2.0), "got Value Value.*; it computes with plain numbers, and a Value that it needs is"),
])  # fmt: skip
def test_a_value_that_is_no_number_is_refused(result, message):
    f = primitive("f", lambda x: result, SLOPE)
    with pytest.raises(TypeError, match=message):
        f(Value(1.0))


@pytest.mark.parametrize(("result", "message"), [
    (None, "^partials of f is to return a tuple of 2 numbers, one for each operand; got NoneType"),
    (1.0, "tuple of 2 numbers, one for each operand; got float 1.0"),
    ((1.0,), r"tuple of 2 numbers, one for each operand; got tuple \(1.0,\)"),
    ((1.0, 2.0, 3.0), "got tuple"),
    ({1.0, 2.0}, "got set"),
    ("12", "got str '12'"),
    (np.ones((2, 1)), "got ndarray"),
    ((1.0, None), "tuple of 2 numbers; got NoneType None; is a return missing"),
    ((1.0, "2"), "tuple of 2 numbers; got str '2'"),
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

    def odd(x):
        return float(b"\xff".decode())  # a ValueError of a class that is hard to make anew

    with pytest.raises(ValueError, match="f needs other operands"):
        primitive("f", odd, SLOPE)(x)


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
    with pytest.raises(TypeError, match=r"to take at least one operand; it is partials\(out\)"):
        primitive("hypot", math.hypot, lambda out: (1.0,))



def test_operands_have_no_names():
    with pytest.raises(TypeError, match=r"^softplus takes its operands in order, .*softplus\(x\); got z=1\.0"):
        SOFTPLUS(z=1.0)



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


def test_an_operation_may_become_a_method():
    class Number(Value):
        softplus = SOFTPLUS
        fma = FMA

    x = Number(0.0)
    assert x.softplus().data == math.log(2.0)
    assert (x.fma(2.0, 3.0).data, Number.fma(x, 2.0, 3.0).data) == (3.0, 3.0)
    assert repr(FMA) == "<operation fma>"


class Model:
    def __init__(self, act):
        self.w, self.act = Value(3.0, "w"), act

    def __call__(self, x):
        return self.act(self.w * x)


def test_a_model_that_holds_an_operation_is_copied_and_pickled():
    copied = copy.deepcopy(Model(SOFTPLUS))
    assert copied.act is SOFTPLUS is copy.copy(SOFTPLUS)
    assert copied(1.0).data == SOFTPLUS(3.0).data
    for name in ("double", "two of it"):  # no module knows it by that name
        act = primitive(name, doubled, doubled_slope, symbol="2×", explanation="two of it")
        again = pickle.loads(pickle.dumps(Model(act)))
        J = again(5.0)
        assert (J.data, J.op, J._row.explanation) == (30.0, "2×", "two of it")
        assert grad(J, again.w) == 10.0
    together = pickle.loads(pickle.dumps([act, Model(act), Model(act)]))
    assert together[0] is together[1].act is together[2].act
    with pytest.raises(
        pickle.PicklingError, match="softplus cannot be pickled.*its value is found by none"
    ):
        pickle.dumps(Model(SOFTPLUS))


# ---- Pictures and words -----------------------------------------------------------------------


def test_it_is_drawn_with_its_symbol_and_typeset_names():
    x = Value(2.0, "x_1")
    J = FMA(CUBE(x), x, 1.0)
    text = draw(J).source
    assert "<b>x³</b>" in text
    assert "<b><i>J</i></b> = fma(8, <i>x</i><sub>1</sub>, 1)" in text
    assert "×12" in text
    for symbol in ("***", "--", "a+b", "1/", "<b>&", "\\N", "{a}"):
        f = primitive("f", lambda *xs: sum(xs), lambda *xs: (1.0,) * (len(xs) - 1), symbol=symbol)
        for operands in ([x], [x, x], [x, x, x]):
            J = f(*operands)
            draw(J * x).pipe("svg")
            assert str(ReverseSweep(J).step()).startswith("J = ")
            page(J * x)


def test_the_explanation_is_said_wherever_reasons_are():
    x = Value(0.5, "x")
    J = CLAMP(x)
    said = "between the ends the slope is 1"
    assert str(ReverseSweep(J).step()).splitlines() == [
        "J = clamp(x):", "  ∂J/∂x += ∂J/∂J · ∂J/∂x = 1 · 1 = 1", f"  {said}"]  # fmt: skip
    assert f"J = clamp(x): {said}" in str(explain(J, x))
    assert said in explain(J, x)._repr_latex_()
    assert said in animate(J, None).svg
    assert "clamp(v₀) = clamp(0.5) = 0.5" in str(evaluation_trace(J))


def test_hostile_text_stays_text():
    x = Value(1.0, "x")
    for text in HOSTILE:
        name = "".join(c for c in text if c.isprintable()).strip()[:40] or "f"
        f = primitive(name, lambda x: x * x, lambda x, out: 2 * x, symbol=name, explanation=text)
        J = f(x) * f(x) + f(x)
        draw(J).pipe("svg")
        shown = page(J).html
        assert shown.count("<script") == shown.count("</script>") == 2
        assert "<img" not in shown
        spec = re.search(r'id="spec">(.*?)</script>', shown, re.S)[1]
        assert json.loads(spec)["nodes"]
        assert "<script" not in animate(J, None).svg
        assert str(explain(J, x)).count("paths") == 1


# ---- The tape ---------------------------------------------------------------------------------


def test_what_is_generic_is_known():
    for f, arity in OWN.items():
        row = f(*[Value(0.5)] * arity)._row
        assert value_is_formula(row) == partials_are_formulas(row) == (f in GENERIC), f.__name__
    assert all(value_is_formula(row) and partials_are_formulas(row) for row in TABLE.values())
    half = primitive("half", math.exp, lambda x, out: (out,))(1.0)._row
    assert (value_is_formula(half), partials_are_formulas(half)) == (False, True)


@pytest.mark.parametrize("value", [
    lambda x: 1.0 if x == 0 else 2.0, lambda x: x or 1.0, lambda x: 2.0 if x else 1.0,
    lambda x: max(x, 0.0), lambda x: abs(x), lambda x: math.exp(x), lambda x: np.exp(x),
    lambda x: 2.0 if x != 3.0 else x, lambda x: float(x), lambda x: x % 2, lambda x: x // 1,
    lambda x: {0.5: 1.0}.get(x, 2.0), lambda x: None, lambda x: "1", lambda x: [x], lambda x: x.exp(),
    lambda x: np.array([x]), lambda x: x * Value(1.0), lambda x: x + 1j, lambda x: not x,
])  # fmt: skip
def test_what_asks_for_more_than_arithmetic_is_not_generic(value):
    assert not value_is_formula(own_primitive("f", value, SLOPE, "f", "", arity=1))


def newton(a):
    """√a: each round uses the last one three times."""
    y = 1.0 + a * 0.0
    for _ in range(40):
        y = 0.5 * (y + a / y)
    return y


def test_a_formula_that_grows_without_end_is_not_written():
    root = primitive("root", newton, lambda a, out: 0.5 / out)
    a = Value(2.0, "a")
    assert value_is_formula(root(a)._row)
    with pytest.raises(TypeError, match="cannot show root.*more than 10,000 characters"):
        page(root(a))
    value, (slope,) = Tape(root(a), [a]).value_and_grad([np.array([2.0, 9.0])])
    np.testing.assert_allclose(value, [math.sqrt(2.0), 3.0], rtol=1e-15)
    np.testing.assert_allclose(slope, [0.5 / math.sqrt(2.0), 1 / 6], rtol=1e-15)


@pytest.mark.parametrize("seed", range(60))
def test_the_tape_gives_what_the_engine_gives(seed):
    rng = random.Random(seed)
    J, leaves = mixed_graph(seed, size=rng.randrange(1, 25))
    draw_ = np.random.default_rng(seed)
    items = rng.choice([1, 2, 7])
    for mask in itertools.product([False, True], repeat=len(leaves)):
        xs = [draw_.uniform(-1, 1, items) if is_array else rng.uniform(-1, 1) for is_array in mask]
        values, slopes = np.empty(items), np.empty((len(leaves), items))
        for i in range(items):
            data = [x[i] if isinstance(x, np.ndarray) else x for x in xs]
            made = rebuilt(J, dict(zip(leaves, data, strict=True)))
            values[i] = made[J].data
            slopes[:, i] = grad(made[J], [made.get(leaf, leaf) for leaf in leaves])
        tape = Tape(J, leaves)
        value, found = tape.value_and_grad(xs)
        np.testing.assert_allclose(
            value, values if np.ndim(value) else values[0], rtol=1e-12, atol=1e-12
        )
        size = max(1.0, np.abs(slopes).max())
        for x, slope, wanted in zip(xs, found, slopes, strict=True):
            wanted = (
                wanted if isinstance(x, np.ndarray) else wanted[: items if any(mask) else 1].sum()
            )
            np.testing.assert_allclose(slope, wanted, rtol=1e-11, atol=1e-12 * size)
        np.testing.assert_array_equal(tape.value(xs), value)


@pytest.mark.parametrize("f", OWN, ids=lambda f: f.__name__)
def test_a_large_tape_of_numbers_runs_the_same_rows(f):
    leaves = [Value(0.1 * i, f"x_{i}") for i in range(1, OWN[f] + 1)]
    J = sum(f(*(leaf * (1 + k / 200) for leaf in leaves)) for k in range(200))
    numbers = [leaf.data + 0.25 for leaf in leaves]
    K = rebuilt(J, dict(zip(leaves, numbers, strict=True)))
    value, slopes = Tape(J, leaves).value_and_grad(numbers)
    assert value == pytest.approx(K[J].data, rel=1e-12)
    np.testing.assert_allclose(
        slopes, grad(K[J], [K[leaf] for leaf in leaves]), rtol=1e-11, atol=1e-12
    )


def test_the_tape_lists_the_symbol_and_the_slopes():
    x, y = Value(0.5, "x"), Value(2.0, "y")
    tape = Tape(SOFTPLUS(CUBE(x)) * FMA(x, y, 1.0), [x, y])
    assert repr(tape) == "Tape(4 operations: 1 mul, 1 cube, 1 softplus, 1 fma; 3 levels; 2 inputs)"
    lines = tape.listing().splitlines()
    assert "v₁ = x³(x)" in lines
    assert "v₂ = softplus(v₁)" in lines
    assert "v₃ = fma(x, y, 1)" in lines
    assert "∂J/∂v₁ = ∂J/∂v₂ · ∂v₂/∂v₁" in lines
    assert "∂J/∂x = ∂J/∂v₃ · y + ∂J/∂v₁ · (3 · x^2)" in lines


def test_outside_the_domain_an_item_is_nan_and_the_others_are_as_they_are():
    x = Value(1.0, "x")
    log = primitive("mylog", math.log, lambda x, out: (1.0 / x,))
    value, (slope,) = Tape(log(x), [x]).value_and_grad([np.array([1.0, -1.0, 0.0, math.e])])
    np.testing.assert_array_equal(value, [0.0, math.nan, math.nan, 1.0])
    np.testing.assert_array_equal(slope, [1.0, -1.0, math.inf, 1 / math.e])
    tape = Tape(log(x), [x])
    assert math.isnan(tape.value([-1.0]))
    inverse = primitive("inverse", lambda x: 1 / x, lambda x, out: -out * out)
    assert Tape(inverse(x), [x]).value([np.array([0.0, 2.0])]).tolist() == [math.inf, 0.5]
    root = primitive("root", lambda x: x**0.5, lambda x, out: 0.5 / out)
    np.testing.assert_array_equal(
        Tape(root(x), [x]).value([np.array([4.0, -1.0])]), [2.0, math.nan]
    )
    assert math.isnan(Tape(root(x), [x]).value([-1.0]))
    assert len(Tape(log(x), [x]).value([np.empty(0)])) == 0


def test_a_function_that_changes_its_operands_harms_nobody():
    def value(x, y):
        x *= y
        x += 1.0
        return x

    def partials(x, y, out):
        x *= 1.0
        out *= 0.0
        return y + out, x

    x, y = Value(2.0, "x"), Value(3.0, "y")
    J = primitive("f", value, partials)(x, y) * x
    for xs in ([np.array([1.0, 2.0]), np.array([5.0, 7.0])], [2.0, np.array([5.0, 7.0])]):
        found, slopes = Tape(J, [x, y]).value_and_grad(xs)
        a, b = (np.broadcast_to(each, 2) for each in xs)
        np.testing.assert_allclose(found, (a * b + 1) * a)
        wanted = a * b + 1 + a * b
        np.testing.assert_allclose(slopes[0], wanted if np.ndim(xs[0]) else wanted.sum())
        np.testing.assert_allclose(slopes[1], a * a)


def test_a_sum_that_a_wide_node_uses_too_is_computed():
    x, y, z = (Value(v, name) for v, name in ((0.5, "x"), (2.0, "y"), (-1.0, "z")))
    s = x + y
    products = [x * y for _ in range(20)]
    J = (s + z) * FMA(x, y, s) + sum(products, x) * SUM(*products)
    K = grad(J, [x, y, z])
    for xs in ([0.5, 2.0, -1.0], [np.array([0.5]), np.array([2.0]), np.array([-1.0])]):
        value, slopes = Tape(J, [x, y, z]).value_and_grad(xs)
        assert float(np.squeeze(value)) == pytest.approx(J.data, rel=1e-14)
        assert [float(np.squeeze(slope)) for slope in slopes] == pytest.approx(K, rel=1e-13)


def test_slopes_that_are_one_object_are_handed_to_each():
    f = primitive("f", lambda x, y: x * y, lambda x, y, out: (lambda s: (s, s))(x + y))
    x, y = Value(1.0, "x"), Value(2.0, "y")
    for J in (f(x, y), f(x, y).tanh(), f(x * 1.5, y + x)):
        many = [np.array([0.1, 0.5]), np.array([0.7, 0.2])]
        _, slopes = Tape(J, [x, y]).value_and_grad(many)
        for i in range(2):
            made = rebuilt(J, {x: many[0][i], y: many[1][i]})
            np.testing.assert_allclose(
                [slope[i] for slope in slopes], grad(made[J], [made[x], made[y]]), rtol=1e-12
            )


def test_a_slope_that_is_missing_at_a_constant_does_not_stop_the_tape():
    f = primitive("f", lambda x, y: x * y, lambda x, y, out: (1 / y, y**0.5))
    x = Value(2.0, "x")
    J = f(x, 0.0)
    with pytest.raises(SlopeError):
        J.backward()
    value, (slope,) = Tape(J, [x]).value_and_grad([np.array([1.0, 2.0])])
    assert (value.tolist(), slope.tolist()) == ([0.0, 0.0], [math.inf, math.inf])
    assert not math.isfinite(Tape(J, [x]).value_and_grad([1.0])[1][0])


def doubled(x):
    return 2 * x


def doubled_slope(x, out):
    return (2.0,)


def test_a_tape_is_pickled_where_the_functions_have_names():
    x = Value(1.0, "x")
    double = primitive("double", doubled, doubled_slope, symbol="2×", explanation="two of it")
    J = double(x) * double(x) + CLAMPED(x)
    tape = pickle.loads(pickle.dumps(Tape(J, [x])))
    assert tape.value_and_grad([3.0]) == (37.0, [24.0])
    assert "v₁ = 2×(x)" in tape.listing()
    with pytest.raises(
        pickle.PicklingError, match="softplus cannot be pickled.*its value is found by none"
    ):
        pickle.dumps(Tape(SOFTPLUS(x), [x]))
    assert (
        copy.deepcopy(SOFTPLUS(x)._row)
        is SOFTPLUS(x)._row
        is copy.copy(SOFTPLUS(x)._row)
    )
    assert copy.deepcopy(Tape(SOFTPLUS(x), [x])).value([0.0]) == math.log(2.0)


CLAMPED = primitive("clamp", clamp, clamp_slope)


# ---- Two of one name --------------------------------------------------------------------------


def test_two_operations_of_one_name_are_told_apart(tab, tmp_path):
    x = Value(3.0, "x")
    f = primitive("f", lambda x: x * x, lambda x, out: 2 * x)
    g = primitive("f", lambda x: 5 * x, lambda x, out: 5, explanation="the second one")
    J = f(x) * g(x)
    assert (J.data, grad(J, x)) == (135.0, 135.0)
    assert Tape(J, [x]).value_and_grad([2.0]) == (40.0, [60.0])
    assert Tape(J, [x]).value([np.array([2.0])]).tolist() == [40.0]
    opened(tab, tmp_path, J, at(x=2.0))
    assert sentence(tab) == "J = 40, ∂J/∂x = +60"
    for name in ("leaf", "constant", "__proto__", "constructor", "own 0"):
        h = primitive(name, lambda x: x - 1, lambda x, out: 1)
        opened(tab, tmp_path, h(x) * g(x), at(x=2.0))
        assert sentence(tab) == "J = 10, ∂J/∂x = +15"


# ---- The page ---------------------------------------------------------------------------------


@pytest.mark.parametrize("f", ONLY_FLOATS, ids=lambda f: f.__name__)
def test_what_a_browser_cannot_compute_is_refused_by_name(f, tmp_path):
    J = f(*[Value(0.5, f"x_{i}") for i in range(ONLY_FLOATS[f])])
    why = "compares its operands" if f in (CLAMP, LOGADDEXP) else "calls something else, such as a function of math"
    message = rf"cannot show {f.__name__}.*but its value {why}.*\+ - \* / \*\* alone.*or use draw"
    with pytest.raises(TypeError, match=message) as told:
        page(J, tmp_path / "x.html")
    assert "JavaScript," in str(told.value)
    assert not re.search(r"not JavaScript|Error|\brow\b|object", str(told.value))
    assert list(tmp_path.iterdir()) == []


def test_the_page_says_which_function_is_in_the_way():
    half = primitive("half", lambda x: x * x, lambda x, out: (math.sqrt(x),))
    with pytest.raises(TypeError, match="but one of its partials calls something else"):
        page(half(1.0))


def test_random_graphs_on_the_page(tab, tmp_path):
    for seed in range(25):
        rng = random.Random(seed)
        J, leaves = mixed_graph(seed, size=rng.randrange(2, 8), own=GENERIC)
        opened(tab, tmp_path, J)
        data = {leaf: round(rng.uniform(-1.5, 1.5), 3) for leaf in leaves}
        used = [leaf for leaf in leaves if leaf in set(topological_order(J))]
        tab.evaluate(GO, at(**{leaf.label: data[leaf] for leaf in used}))
        K = rebuilt(J, data)[J]
        sweep = ReverseSweep(K)
        steps = sweep.run()
        check(shown(tab), K, Progress(frozenset(sweep.totals), None, adjoints(K)))
        for on_page, step in zip(tab.evaluate(STEP_THROUGH)[1:], steps, strict=True):
            assert near(on_page.splitlines(), str(step).splitlines())


def test_the_page_says_the_explanation_and_the_errors(tab, tmp_path):
    inverse = primitive("inverse", lambda x: 1 / x, lambda x, out: -out / x,
                        symbol="1/", explanation="<b>falls</b> & {a} falls")  # fmt: skip
    root = primitive("root", lambda x: x**0.5, lambda x, out: 0.5 / out)
    x = Value(2.0, "x")
    opened(tab, tmp_path, inverse(x) + root(x), at(x=2.0))
    steps = [str(step) for step in ReverseSweep(inverse(x) + root(x)).run()]
    assert tab.evaluate(STEP_THROUGH)[1:] == steps
    assert "  <b>falls</b> & {a} falls" in "\n".join(steps)
    tab.evaluate(GO, at(x=0.0))
    assert sentence(tab).startswith("1/ needs other operands (float division by zero); got x = 0.0")
    tab.evaluate(GO, at(x=-1.0))
    assert sentence(tab).startswith("root needs other operands (a base from 0 up")


# ---- Threads ----------------------------------------------------------------------------------


def test_threads_share_an_operation():
    found = []
    total = primitive("total", lambda *xs: sum(xs), lambda *xs: (1.0,) * (len(xs) - 1))

    def work(count):
        xs = [Value(float(i)) for i in range(count)]
        J = total(*xs) * total(*xs)
        J.backward()
        found.append(xs[0].grad == 2 * sum(range(count)))

    threads = [threading.Thread(target=work, args=(2 + i % 7,)) for i in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 50
