import pytest
from graphs import random_graph

from tinygrad_margin import (
    ReverseSweep,
    SlopeError,
    Value,
    explain,
    grad,
    margin_loss,
    maximum,
    minimum,
    topological_order,
)
from tinygrad_margin.engine import adjoints
from tinygrad_margin.sweep import node_names


def test_at_the_end_every_total_is_the_gradient_exactly():
    for seed in range(50):
        J, leaves = random_graph(seed)
        sweep = ReverseSweep(J)
        walk = list(sweep)
        totals = adjoints(J)
        assert [step.node for step in walk] == list(reversed(totals))
        assert all(step.upstream == totals[step.node] for step in walk)
        assert sweep.totals == totals
        assert [sweep.totals.get(leaf, 0.0) for leaf in leaves] == grad(J, leaves)
        for step in walk:
            for part in step.contributions:
                assert part.product == step.upstream * part.derivative
        assert all(node.grad == 0.0 for node in totals)
        sweep.commit()
        committed = [leaf.grad for leaf in leaves]
        for leaf in leaves:
            leaf.grad = 0.0
        J.backward()
        assert committed == [leaf.grad for leaf in leaves]


def test_back_restores_every_total_exactly():
    J, _ = random_graph(4)
    sweep = ReverseSweep(J)
    states = [dict(sweep.totals)]
    for _ in range(len(sweep)):
        sweep.step()
        states.append(dict(sweep.totals))
    assert sweep.position == len(sweep)
    for state in reversed(states[:-1]):
        sweep.back()
        assert sweep.totals == state
    assert sweep.position == 0
    first = sweep.run()
    sweep.rewind()
    assert sweep.totals == states[0]
    assert [str(step) for step in sweep] == [str(step) for step in first]


def test_past_the_end_and_before_the_start_nothing_changes():
    sweep = ReverseSweep(Value(2.0, "a") * 3)
    with pytest.raises(IndexError, match="start"):
        sweep.back()
    with pytest.raises(ValueError, match="3 of 3 steps are left"):
        sweep.commit()
    sweep.run()
    end = dict(sweep.totals)
    for past in (sweep.step, lambda: next(sweep)):
        with pytest.raises(StopIteration, match="all 3 steps are done"):
            past()
    assert (sweep.position, sweep.totals) == (3, end)
    assert repr(sweep) == "ReverseSweep(J: 3 of 3 steps done)"


@pytest.mark.parametrize("J", ["J", 3, None])
def test_a_sweep_needs_a_value(J):
    with pytest.raises(TypeError, match="ReverseSweep"):
        ReverseSweep(J)


def test_a_long_sweep_does_not_slow_down():
    v = x = Value(1.0)
    for _ in range(100_000):
        v = v + x
    sweep = ReverseSweep(v)
    sweep.run()
    assert sweep.totals[x] == 100_001.0
    sweep.rewind()
    assert sweep.position == 0


def test_the_picture_shows_the_moment():
    sweep = ReverseSweep(margin_loss(Value(0.3), Value(0.5)))
    backs = []
    for _ in range(len(sweep) + 1):
        source = sweep.draw().source
        backs.append(source.count("dir=back"))
        assert source.count('border="4"') == (1 if sweep.position else 0)
        assert source.count("dotted") == len(sweep) - sweep.position
        if sweep.position < len(sweep):
            sweep.step()
    assert backs == [0, 2, 2, 4, 4, 5, 5, 5]
    assert "so far" not in source


def test_a_gradient_is_so_far_while_more_may_come():
    x = Value(3.0, "x")
    sweep = ReverseSweep((x * 2) + x)
    sweep.step()
    assert "∂<i>J</i>/∂<i>x</i> = +1 so far" in sweep.draw().source
    assert sweep.draw().source.count("so far") == 1  # x * 2 has one use: what arrived is all
    sweep.step()
    assert "so far" not in sweep.draw().source


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
    assert words in str(next(ReverseSweep(build(Value(at, "v")))))


def test_the_chain_rule_in_numbers_and_words():
    s, s_c = Value(0.3), Value(0.5)
    text = "\n".join(map(str, ReverseSweep(margin_loss(s, s_c))))
    assert "∂J/∂s += ∂J/∂z · ∂z/∂s = 1 · (−1) = −1" in text
    assert "∂J/∂s_c += ∂J/∂v₁ · ∂v₁/∂s_c = 1 · 1 = 1" in text
    assert "s is a leaf: ∂J/∂s = −1" in text


def test_a_second_path_shows_the_running_total():
    a = Value(3.0, "a")
    text = str(next(ReverseSweep(a * a)))
    assert text.splitlines() == [
        "J = a × a:",
        "  ∂J/∂a += ∂J/∂J · ∂J/∂a = 1 · 3 = 3",
        "  ∂J/∂a += ∂J/∂J · ∂J/∂a = 1 · 3 = 3, in all 6",
    ]


def test_a_missing_slope_stops_the_sweep_there():
    walk = ReverseSweep(Value(0.0, "x").sqrt() * 2)
    next(walk)
    next(walk)
    before = dict(walk.totals)
    with pytest.raises(SlopeError, match="x = 0.0"):
        next(walk)
    assert (walk.position, walk.totals) == (2, before)


def test_names():
    a, b = Value(1.0, "a"), Value(2.0)
    c = a + b + 3
    assert list(node_names([a, b, *c.parents, c]).values()) == ["a", "v₁", "v₂", "3", "J"]


def test_many_nodes_with_one_label_are_numbered():
    for label, stem in [("w", "w"), ("x_1", "x_1"), ("a+b", "(a+b)")]:
        leaves = [Value(float(i), label) for i in range(12)]
        names = node_names([*leaves, Value(0.0, f"{stem}₃"), Value(0.0)])
        assert list(names.values())[:3] == [label, f"{stem}₂", f"{stem}₄"]
        assert names[leaves[-1]] == f"{stem}₁₃"
        assert len(set(names.values())) == 14
    v = [Value(float(i), "v") for i in range(3)]
    assert len(set(node_names(topological_order(v[0] * v[1] * v[2] + v[0])).values())) == 6


def test_a_label_that_is_an_expression_is_an_operand_in_parentheses():
    a, c = Value(1.0, "a"), Value(3.0, "c")
    e = a + 2
    e.label = "a+b"
    d = e * c
    d.label = "d"
    assert next(str(step).splitlines()[:2] for step in ReverseSweep(d)) == [
        "d = (a+b) × c:", "  ∂d/∂(a+b) += ∂d/∂d · ∂d/∂(a+b) = 1 · 3 = 3"]  # fmt: skip
    assert str(explain(d, e)).endswith("So ∂d/∂(a+b) = 3.")


def test_names_do_not_collide():
    a, b, c, d = Value(1.0, "v₁"), Value(2.0, "J"), Value(3.0, "x"), Value(4.0, "x")
    J = a * 2 + b * c * d
    names = list(node_names(topological_order(J)).values())
    assert names == ["v₁", "2", "v₂", "J", "x", "v₃", "x′", "v₄", "out"]
