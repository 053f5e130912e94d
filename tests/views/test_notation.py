import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_margin.views.notation import format_operation, number, one_line, typeset


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
