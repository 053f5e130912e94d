import pytest
from graphs import random_graph

from tinygrad_margin import SlopeError, Value, margin_loss, maximum, minimum
from tinygrad_margin.engine import adjoints
from tinygrad_margin.sweep import named, steps


def test_every_total_is_the_gradient():
    for seed in range(50):
        J, _ = random_graph(seed)
        totals = adjoints(J)
        walk = list(steps(J))
        assert [step.node for step in walk] == list(reversed(totals))
        assert all(step.upstream == totals[step.node] for step in walk)
        for step in walk:
            for part in step.contributions:
                assert part.product == step.upstream * part.derivative
        assert all(node.grad == 0.0 for node in totals)


@pytest.mark.parametrize(
    ("build", "at", "words"),
    [
        (lambda v: maximum(v, 0), 1.2, "v = 1.2 > 0: the max passes v, all of the gradient"),
        (lambda v: maximum(v, 0), -2.0, "v = −2 < 0: the max passes 0"),
        (lambda v: maximum(v, 0), 0.0, "v and 0 are equal: a tie"),
        (lambda v: minimum(1, v), 0.5, "1 > v = 0.5: the min passes v"),
        (lambda v: v.relu(), -2.0, "v = −2 < 0: the relu is at rest"),
        (lambda v: v.relu(), 0.0, "v = 0: at the kink"),
        (abs, -2.0, "v = −2 < 0: the slope of abs is −1"),
    ],
)
def test_a_kink_is_explained(build, at, words):
    assert words in str(next(steps(build(Value(at, "v")))))


def test_the_chain_rule_in_numbers_and_words():
    s, s_c = Value(0.3), Value(0.5)
    text = "\n".join(map(str, steps(margin_loss(s, s_c))))
    assert "∂J/∂s += ∂J/∂z · ∂z/∂s = 1 · (−1) = −1" in text
    assert "∂J/∂s_c += ∂J/∂v₁ · ∂v₁/∂s_c = 1 · 1 = 1" in text
    assert "s is a leaf: ∂J/∂s = −1" in text


def test_a_second_path_shows_the_running_total():
    a = Value(3.0, "a")
    text = str(next(steps(a * a)))
    assert text.splitlines() == [
        "v₁ = a × a:",
        "  ∂v₁/∂a += ∂v₁/∂v₁ · ∂v₁/∂a = 1 · 3 = 3",
        "  ∂v₁/∂a += ∂v₁/∂v₁ · ∂v₁/∂a = 1 · 3 = 3, in all 6",
    ]


def test_a_missing_slope_stops_the_sweep_there():
    walk = steps(Value(0.0, "x").sqrt() * 2)
    next(walk)
    with pytest.raises(SlopeError, match="x = 0.0"):
        list(walk)


def test_names():
    a, b = Value(1.0, "a"), Value(2.0)
    c = a + b + 3
    assert list(named([a, b, *c.parents, c]).values()) == ["a", "v₁", "v₂", "3", "v₃"]
