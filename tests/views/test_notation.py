import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_margin.views.notation import (
    derivative,
    enclose,
    format_operation,
    latex,
    number,
    one_line,
    typeset,
)


@pytest.mark.parametrize(
    ("x", "text"),
    [(0.3, "0.3"), (-1.0, "−1"), (-0.0, "0"), (1.2, "1.2"), (123456.0, "1.235e5"), (1e10, "1e10"),
     (1e-10, "1e−10"), (-2.5e-300, "−2.5e−300"), (math.inf, "∞"), (-math.inf, "−∞"),
     (math.nan, "undefined"), (1e100, "1e100")],
)  # fmt: skip
def test_number(x, text):
    assert number(x) == text


def test_a_signed_number_and_precision():
    assert [number(x, signed=True) for x in (1.0, 0.0, -1.0)] == ["+1", "0", "−1"]
    assert number(math.pi, 10) == "3.141592654"


@pytest.mark.parametrize(
    ("label", "html"),
    [("s_c", "<i>s</i><sub>c</sub>"), ("W_12", "<i>W</i><sub>12</sub>"), ("Δ", "<i>Δ</i>"),
     ("Delta", "<i>Δ</i>"), ("theta_1", "<i>θ</i><sub>1</sub>"), ("x", "<i>x</i>"),
     ("W_1,10", "<i>W</i><sub>1,10</sub>"), ("_x", "<i>_x</i>"), ("my loss", "<i>my loss</i>"),
     ("<b>&", "<i>&lt;b&gt;&amp;</i>"), ("a_b_c", "<i>a</i><sub>b_c</sub>")],
)  # fmt: skip
def test_typeset(label, html):
    assert typeset(label) == html


@given(st.text())
def test_brief_is_one_short_printable_line(label):
    text = one_line(label)
    assert text.isprintable()
    assert len(text) <= 40
    assert text.encode().decode() == text


def test_written():
    assert format_operation("+", ["a", "b"]) == "a + b"
    assert format_operation("*", ["1", "−1"]) == "1 × (−1)"
    assert format_operation("-", ["a"]) == "−a"
    assert format_operation("-", ["−2"]) == "−(−2)"
    assert format_operation("**", ["x", "2"]) == "x^2"
    assert format_operation("max", ["z", "0"]) == "max(z, 0)"


@pytest.mark.parametrize("label", ["a+b", "a - b", "−x", "2x", "my loss", "a/b", "x^2", "a<b", "x²", "f(x)", "a,b", "a·b", "a→b"])
def test_a_label_that_is_no_single_name_stands_in_parentheses_as_an_operand(label):
    held = f"({label})"
    for symbol in "+-*/":
        mark = {"*": "×", "-": "−"}.get(symbol, symbol)
        assert format_operation(symbol, [label, "c"]) == f"{held} {mark} c"
        assert format_operation(symbol, ["c", label]) == f"c {mark} {held}"
    assert format_operation("**", ["c", label]) == f"c^{held}"
    assert format_operation("-", [label]) == f"−{held}"
    assert format_operation("max", [label, "0"]) == f"max({held}, 0)"
    assert format_operation("log", [label]) == f"log{held}"
    assert derivative("J", label) == f"∂J/∂{held}"


@pytest.mark.parametrize("name", [
    "s_c", "Δ", "W_1,10", "x[0]", "W[i, j]", "J'", "w′", "v₁₂", "x̄", "(a+b)", "(a+b)₂", "0.5", "1e−7", "−2",
    "∞", "_x", "…",
])  # fmt: skip
def test_a_single_name_or_a_number_does_not(name):
    assert enclose(name) == name


@pytest.mark.parametrize(
    ("label", "text"),
    [("s_c", "s_{c}"), ("W_12", "W_{12}"), ("theta_1", "θ_{1}"), ("v₁₂", "v_{12}"), ("w₃", "w_{3}"),
     ("a*b(c)[d]'/e:f", r"\text{a*b(c)[d]'/e:f}"), ("1e−7", r"1 \cdot 10^{-7}"), ("x1e5", r"\text{x1e5}"),
     ("a−b", r"\text{a−b}"), ("50%", r"\text{50}\%"), ("_a#&", r"\_\text{a}\#\&"), ("{", r"\lbrace "),
     ("\\", r"\backslash "), ("<i>", r"\lt \text{i}\gt ")],
)  # fmt: skip
def test_latex_shows_a_label_as_it_is(label, text):
    assert latex(label) == text
