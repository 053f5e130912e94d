"""Numbers that are out of date, and the first ones that are not finite, in words and pictures."""

import html
import math
import random
import re

import pytest
from graphs import random_graph
from pages import STEP_THROUGH

from tinygrad_margin import (
    ReverseSweep,
    Value,
    animate,
    draw,
    evaluation_trace,
    explain,
    grad,
    margin_loss,
    maximum,
    page,
    primitive,
    topological_order,
)
from tinygrad_margin.views.names import node_names
from tinygrad_margin.views.remarks import firsts, outdated


def found(J):
    order = topological_order(J)
    return outdated(order, node_names(order))


def stale():
    x = Value(2.0, "x")
    J = x * x.exp()
    x.data = 0.0
    return J, x


SAID = "v₁ is 7.389, but exp(x) is 1 now: call recompute(J)"


def plain(markup):
    return html.unescape(re.sub("<[^>]*>", "", markup))


def test_a_graph_as_it_was_computed_is_never_out_of_date():
    for seed in range(60):
        J, leaves = random_graph(seed)
        assert found(J) == {}
        for slope in grad(J, leaves, create_graph=True):
            assert found(slope) == {}
    x = Value(math.nan)
    assert found(x * 2 + x) == {}


def test_every_node_whose_number_is_another_is_named():
    J, x = stale()
    assert list(found(J)) == [J.parents[1], J]
    x.data = 2.0
    assert found(J) == {}
    J.parents[1].data = 5.0  # by hand
    assert list(found(J).values()) == [
        "is 5, but exp(x) is 7.389 now: call recompute(J)", "is 14.78, but x × v₁ is 10 now: call recompute(J)"]  # fmt: skip


def test_numbers_that_look_equal_are_written_with_more_digits():
    x = Value(1.0, "x")
    J = x * 1
    x.data = math.nextafter(1.0, 2.0)
    assert found(J)[J] == "is 1, but x × 1 is 1.0000000000000002 now: call recompute(J)"


def test_a_node_that_has_no_number_any_more():
    x = Value(1.0, "x")
    J = x.log()
    x.data = -1.0
    assert found(J)[J] == "is 0, but log(x) is undefined now: call recompute(J)"


def test_functions_of_the_users_own():
    x = Value(1.0, "x")
    double = primitive("double", lambda a: 2 * a, lambda a, out: (2.0,))
    noise = primitive("noise", lambda a: a * random.random(), lambda a, out: (1.0,))
    left, right = double(x), noise(x)
    assert found(left + right) == {}
    x.data = 3.0
    assert list(found(left + right)) == [left]  # whether a random number is right, nobody knows


def test_the_trace_says_it_at_the_node():
    J, _ = stale()
    J.parents[1].label = "y"
    text = str(evaluation_trace(J))
    assert "v₁ = y is 7.389, but exp(v₀) is 1 now: call recompute(J)" in text
    assert "exp(0) = 7.389" not in text
    assert "v̄₀ = v̄₂·∂v₂/∂v₀ + v̄₁·∂v₁/∂v₀\n" in text  # without numbers


def test_the_derivation_says_it():
    J, x = stale()
    found = explain(J, x)
    for text in (str(found), found._repr_latex_()):
        assert SAID in text
        assert "not known yet" in text
    assert "·" in str(found)
    assert " = 7.389" not in str(found)
    x.data = 2.0
    found = explain(J, x)
    assert "So ∂J/∂x = 7.389 + 14.78 = 22.17." in str(found)
    x.data = 0.0  # only now
    assert SAID in str(found)


def test_the_sweep_says_it_at_its_step():
    J, x = stale()
    steps = {step.node: str(step) for step in ReverseSweep(J)}
    assert steps[J.parents[1]] == f"v₁ = exp(x):\n  ∂J/∂x += ∂J/∂v₁ · ∂v₁/∂x\n  {SAID}"
    assert steps[x] == "x is a leaf: ∂J/∂x is not known yet, call recompute(J)"
    x.data = 2.0
    sweep = ReverseSweep(J)
    step = sweep.step()
    x.data = 0.0  # only now
    assert "call recompute(J)" in str(step)


def test_where_the_old_number_has_no_slope_they_say_what_to_do():
    x = Value(1.0, "x")
    J = x.log() * 2
    x.data = 0.0  # 1/0, a slope of nothing: log has no number there
    for text in (evaluation_trace(J), explain(J, x), [str(step) for step in ReverseSweep(J)][2]):
        assert "is 0, but log(" in str(text)
        assert "is undefined now: call recompute(J)" in str(text)
    assert ">out of date: recompute(J)<" in animate(J, to=None).svg
    assert "out of date: recompute(J)" in draw(J).source
    assert explain(x, J).gradient == 0.0


def test_pictures_say_it_in_the_box_and_show_no_gradients():
    J, _ = stale()
    for picture in (draw(J), ReverseSweep(J).draw()):
        assert picture.source.count("out of date: recompute(J)") == 2
        assert "∂" not in picture.source
        assert picture.source.count("->") == 3
    svg = animate(J, to=None).svg
    assert ">out of date: recompute(J)<" in svg
    assert SAID in plain(svg)
    assert "= 7.389" not in plain(svg)


def test_the_page_shows_what_recompute_makes_and_says_what_is_in_python(tab, tmp_path):
    J, _ = stale()
    page(J, tmp_path / "stale.html")
    tab.goto((tmp_path / "stale.html").as_uri())
    said = tab.locator("#outdated").inner_text()
    assert said.splitlines() == [
        "This page computes every number from the inputs. In Python:", SAID,
        "J is 14.78, but x × v₁ is 0 now: call recompute(J)"]  # fmt: skip
    assert tab.locator(".remark", has_text="out of date in Python").count() == 2
    assert tab.locator("#n1 .value").text_content() == "1"
    tab.locator("#n1").hover()
    assert f"in Python, {SAID}" in tab.locator("#node").inner_text()
    page(margin_loss(Value(0.3), Value(0.5)), tmp_path / "fresh.html")
    tab.goto((tmp_path / "fresh.html").as_uri())
    assert tab.locator("#outdated").inner_text() == ""


def overflow(a=1e200):
    a = Value(a, "a")
    b = a * a
    b.label = "b"
    c = b - b
    c.label = "c"
    return c + a


def test_the_first_that_is_not_finite_and_the_first_that_is_not_a_number():
    J = overflow()
    order = topological_order(J)
    b, c = order[1], order[2]
    assert firsts(order) == {b: "the first that is not finite", c: "the first that is not a number"}
    assert firsts(topological_order(overflow(1.0))) == {}
    x = Value(math.nan, "x")
    assert firsts([x]) == {x: "the first that is not a number"}
    mask = Value(-math.inf)
    assert firsts(topological_order(maximum(mask, 1) + 1)) == {mask: "the first that is not finite"}


def test_texts_and_pictures_mark_it():
    J = overflow()
    text = str(evaluation_trace(J))
    assert "v₁ = b = v₀ × v₀ = 1e200 × 1e200 = ∞, the first that is not finite  " in text
    assert "v₂ = c = v₁ − v₁ = ∞ − ∞ = undefined, the first that is not a number  " in text
    for picture in (draw(J), draw(J, gradients=False)):
        assert picture.source.count("the first that is not finite<") == 1
        assert picture.source.count("the first that is not a number<") == 1
    svg = animate(J, to=None).svg
    assert ">the first that is not finite<" in svg
    assert "c is the first that is not a number" in plain(svg)


def test_the_page_marks_it_as_inputs_move(tab, tmp_path):
    J = overflow(1.0)
    page(J, tmp_path / "overflow.html")
    tab.goto((tmp_path / "overflow.html").as_uri() + "#a=1e200")
    assert tab.locator("#sentence").text_content().splitlines()[1:] == [
        "b is the first that is not finite", "c is the first that is not a number"]  # fmt: skip
    assert tab.locator("#n1 .remark").text_content() == "the first that is not finite"
    assert tab.locator("#n2 .remark").text_content() == "the first that is not a number"
    tab.get_by_label("a", exact=True).fill("2")
    tab.wait_for_timeout(100)
    assert tab.locator(".remark", has_text="first").count() == 0
    assert "first" not in tab.locator("#sentence").text_content()


@pytest.mark.parametrize("data", [1e200, -1e200, math.inf, math.nan])
def test_the_page_says_what_python_says(tab, tmp_path, data):
    J = overflow(data)
    page(J, tmp_path / "overflow.html")
    tab.goto((tmp_path / "overflow.html").as_uri())
    from tinygrad_margin.engine import adjoints
    from tinygrad_margin.views.svg import SvgGraph

    graph = SvgGraph(J)
    assert tab.locator("#sentence").text_content() == graph.outcome(adjoints(J))


def test_the_step_in_which_a_gradient_overflows_says_so(tab, tmp_path):
    x = Value(1e-300, "x")
    J = (x * 1e200) * 1e200 + x
    said = [str(step) for step in ReverseSweep(J)]
    marked = [text.splitlines()[1] for text in said if "too large" in text]
    assert marked == ["  ∂J/∂x += ∂J/∂v₁ · ∂v₁/∂x = 1e200 · 1e200 = ∞ (too large for a float)"]
    page(J, tmp_path / "slope.html")
    tab.goto((tmp_path / "slope.html").as_uri())
    assert [text.splitlines() for text in tab.evaluate(STEP_THROUGH)[1:]] == [
        text.splitlines() for text in said]  # fmt: skip
