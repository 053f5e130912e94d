import math
from itertools import pairwise

import pytest
from graphs import random_graph

from tinygrad_margin import (
    SlopeError,
    Value,
    evaluation_trace,
    explain,
    grad,
    margin_loss,
    maximum,
    paths,
)
from tinygrad_margin.engine import local_derivatives
from tinygrad_margin.graph import count_paths, edge_paths


def test_a_derivation():
    s, s_c = Value(0.3), Value(0.5)
    text = str(explain(margin_loss(s, s_c), s))
    assert "1 path leads from s to J" in text
    assert "s → z → J:  ∂J/∂z · ∂z/∂s = 1 · (−1) = −1" in text
    assert "So ∂J/∂s = −1." in text


def test_no_path():
    s, s_c = Value(0.3), Value(0.5)
    margin_loss(s, s_c)
    found = explain(s, s_c)
    assert "There is no path from s_c to s" in str(found)
    assert "∂s/∂s_c" in str(found)
    assert (found.count, found.gradient) == (0, 0.0)
    assert "no path" in found._repr_latex_()


def test_made_to_depend_there_are_two_paths():
    s = Value(0.3, "s")
    found = explain(margin_loss(s, s / 2), s)
    assert found.count == 2
    assert "∂J/∂s = 0.5 + (−1) = −0.5" in str(found)


def test_at_a_kink_the_choice_is_named():
    s = Value(1.5)
    text = str(explain(margin_loss(s, Value(0.5)), s))
    assert "any share in [0, 1] is a subgradient, the max gives ½ to each" in text


def test_paths_are_what_the_gradient_adds_up():
    for seed in range(30):
        J, leaves = random_graph(seed, size=8)
        for leaf in leaves:
            total, count = 0.0, 0
            for path in edge_paths(J, leaf):
                product = 1.0
                for edge in path:
                    product *= local_derivatives(edge.node)[edge.place]
                total, count = total + product, count + 1
            assert count == count_paths(J, leaf) == explain(J, leaf).count
            assert total == pytest.approx(grad(J, leaf), rel=1e-9, abs=1e-9)
            for nodes in paths(J, leaf):
                assert (nodes[0], nodes[-1]) == (leaf, J)
                assert all(a in b.parents for a, b in pairwise(nodes))


def test_exponentially_many_paths_are_counted_and_the_first_are_shown():
    v = x = Value(1.0, "x")
    for _ in range(3000):
        v = v + v if v.data < 1e200 else v * 0.5
    found = explain(v, x)
    assert found.count >= 2**600
    assert len(found.paths) == 5
    assert "more" in str(found)
    assert max(map(len, str(found).splitlines())) < 400
    assert len(list(next(paths(v, x)))) > 3000


def test_a_path_of_a_node_to_itself():
    a = Value(1.0, "a")
    assert list(paths(a, a)) == [(a,)]
    assert str(explain(a, a)).startswith("∂a/∂a = 1")
    J = a * 2
    assert list(paths(J, a)) == [(a, J)]
    assert list(paths(a, J)) == []


def test_latex_is_balanced_whatever_the_label():
    for label in ("s_c", "Δ", "theta_1", "\\", "}{$%#&_^~", "my loss", "<b>", "x" * 100, "é"):
        a, b = Value(2.0, label), Value(3.0, "b")
        text = explain(a * b + a, a)._repr_latex_()
        assert text.count("{") == text.count("}")
        assert text.startswith("$$")
        assert text.endswith("$$")
        assert text.count("$") == 4


@pytest.mark.parametrize("label", ["a*b", "f(x)", "W[0]", "h'", "a/b", "a:b", "p|q", "a;b!", "x1e5"])
def test_latex_shows_the_label_itself(label):
    a = Value(2.0, label)
    assert rf"{{\text{{{label}}} \to J}}" in explain(a * 3, a)._repr_latex_()


def test_reasons_in_a_notebook_read_the_same_as_html_and_as_text():
    text = explain(maximum(x := Value(2.0, "x<y"), 0), x)._repr_latex_()
    assert r"x$\lt$y = 2 $\gt$ 0" in text
    assert "&" not in text


def test_baydins_table():
    x_1, x_2 = Value(2.0, "x_1"), Value(5.0, "x_2")
    y = x_1.log() + x_1 * x_2 - x_2.sin()
    text = str(evaluation_trace(y))
    for line in (
        "v₋₁ = x_1 = 2 ",
        "v₁ = log(v₋₁) = log(2) = 0.6931",
        "= 11.65",
        "= 5.5",
        "= 1.716",
    ):
        assert line in text
    shown = evaluation_trace(y)._repr_html_()
    assert shown.count("<tr>") == 8


def test_a_hostile_label_in_the_table():
    shown = evaluation_trace(Value(1.0, "<script>") * 2)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


@pytest.mark.parametrize("call", [
    lambda v: explain(v, 3), lambda v: explain("J", v), lambda v: paths(v, None),
    lambda v: evaluation_trace(3), lambda v: count_paths(v, "s"),
])  # fmt: skip
def test_what_is_no_value_is_refused(call):
    with pytest.raises(TypeError, match="Value"):
        call(Value(1.0))


def test_a_missing_slope_is_named():
    x = Value(0.0, "x")
    with pytest.raises(SlopeError, match=r"x = 0\.0"):
        explain(x.sqrt(), x)


def test_a_value_of_another_graph():
    a, b = Value(1.0, "a"), Value(2.0, "b")
    assert "no path from b to" in str(explain(maximum(a, 0), b))
    assert not math.isnan(explain(maximum(a, 0), b).gradient)


def test_an_unlabelled_value_of_another_graph():
    text = str(explain(Value(2.0) * 3, Value(3.0)))
    assert text.startswith("There is no path from s to J: J is not computed from s.")


def test_it_asks_for_no_more_than_grad_does():
    a, x = Value(1.0, "a"), Value(0.0, "x")
    assert explain(a + x.sqrt(), a).gradient == 1.0
    assert hash(explain(a, a))


def test_latex_of_small_numbers_and_unnamed_nodes():
    a = Value(1e-7, "a")
    text = explain((a * a) * 2, a)._repr_latex_()
    assert r"1 \cdot 10^{-7}" in text
    assert "v_{1}" in text


def test_a_long_label_stays_in_its_row():
    text = str(evaluation_trace(Value(2.0, "a\nb" + "x" * 200) * 2))
    assert len(text.splitlines()) == 4
    assert max(map(len, text.splitlines())) < 120


def test_a_kink_on_a_path_that_is_left_out_is_named():
    x = Value(0.0, "x")
    y = x * 1
    for _ in range(6):
        y = y + x
    found = explain(y + x.relu(), x)
    assert found.count == 8
    assert "and 3 more" in str(found)
    assert "at the kink; any slope in [0, 1] is a subgradient, the relu takes 0" in str(found)
    assert "subgradient" in found._repr_latex_()


def test_large_counts():
    v = x = Value(1.0, "x")
    for _ in range(100):
        v = v + v
    assert f"{2**100:,} paths lead" in str(explain(v, x))
    for _ in range(100):
        v = v + v
    assert "about 10^60 paths lead" in str(explain(v, x))


def test_a_long_path_shows_the_factors_that_matter():
    v = x = Value(2.0, "x")
    for _ in range(50):
        v = v + 1
    text = str(explain(v * 3, x))
    assert "= 3 (factors of 1 left out)" in text


def test_a_slope_that_nobody_asks_for_is_not_in_the_table():
    x = Value(0.0, "x")
    lines = str(evaluation_trace(maximum(x.sqrt(), 1.0) + x)).splitlines()
    assert lines[2].endswith("v̄₀ = v̄₃·∂v₃/∂v₀ + v̄₁·∂v₁/∂v₀ = 1·1 + 0 = 1")
