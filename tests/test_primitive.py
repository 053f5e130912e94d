"""Operations of a user's own: their gradients, copies, pictures and words."""

import copy
import itertools
import json
import math
import pickle
import random
import re
import weakref
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from own_operations import (
    CLAMP,
    CUBE,
    FIRST,
    FMA,
    GENERIC,
    LOGADDEXP,
    OWN,
    RATIO,
    SOFTPLUS,
    SUM,
    doubled,
    doubled_slope,
    mixed_graph,
)
from pages import HOSTILE

from tinygrad_margin import (
    ReverseSweep,
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
from tinygrad_margin.engine import adjoints, local_derivatives
from tinygrad_margin.ops import TABLE
from tinygrad_margin.primitive import own_primitive, partials_are_formulas, value_is_formula


def central(f, xs, i, h=1e-6):
    up, down = ([x + d * (j == i) for j, x in enumerate(xs)] for d in (h, -h))
    return (f(*map(Value, up)).data - f(*map(Value, down)).data) / (2 * h)

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
        pickle.PicklingError, match="softplus cannot be pickled.*write them with def"
    ):
        pickle.dumps(Model(SOFTPLUS))


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
    assert not value_is_formula(own_primitive("f", value, lambda x, out: (1.0,), "f", "", arity=1))


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
