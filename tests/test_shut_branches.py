"""What a max, min, relu or abs shuts off is not asked for its slopes, which may not exist there."""

import math

import numpy as np
import pytest
from pages import GO, STEP_THROUGH, check, opened, shown

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
    gradcheck,
    hessian,
    jvp,
    maximum,
    minimum,
    primitive,
    topological_order,
)
from tinygrad_margin.engine import with_gradient
from tinygrad_margin.views.boxes_and_arrows import end_of_sweep

root = primitive("root", lambda x: x**0.5, lambda x, out: (0.5 / out,))
SHUT = {
    "a norm": lambda x, y: maximum((x**2 + y**2).sqrt() - 1, 0),
    "a quotient": lambda x, y: maximum((x * y).sqrt() / (1 + x), 3.0) + y,
    "a relu": lambda x, y: ((x.sqrt() - 1).relu() + 2) * (y + 1).log(),
    "a relu at its kink": lambda x, y: x.sqrt().relu() + y,
    "an abs at its kink": lambda x, y: abs(x**0.5 + y**0.25) * 2,
    "a smaller operand": lambda x, y: minimum(x + 1, (x * y).sqrt() + 3),
    "one of three": lambda x, y: maximum(x.sqrt(), y + 1, (x + y) ** 0.5),
    "a power": lambda x, y: minimum(x ** (y + 0.5), 0 * y - 1) + x,
    "too large": lambda x, y: maximum((x + 1e-200) ** -1 * 0 + y, 2) + x,
    "an operation of one's own": lambda x, y: maximum(root(x), 1) + y,
    "two on one path": lambda x, y: (maximum(root(x * y), 1) - 2).relu() * y.exp(),
}


@pytest.fixture(params=SHUT, name="case")
def _case(request):
    x, y = Value(0.0, "x"), Value(0.0, "y")
    return SHUT[request.param](x, y), x, y


def differences(J, leaves):
    """The gradient, from differences: it is flat or straight on both sides."""
    tape, h = Tape(J, leaves), 1e-7
    return [(tape.value(h * e) - tape.value(0 * e)) / h for e in np.eye(len(leaves))]


def test_the_gradient_everywhere(case):
    J, x, y = case
    slopes = grad(J, [x, y])
    J.backward()
    assert [x.grad, y.grad] == slopes
    assert [J.grad, *(node.grad for node in topological_order(J) if math.isnan(node.grad))] == [1.0]
    assert [g.data for g in grad(J, [x, y], create_graph=True)] == slopes
    assert [jvp(J, {x: 1.0}), jvp(J, {y: 1.0})] == slopes
    sweep = ReverseSweep(J)
    sweep.run()
    assert [sweep.totals[x], sweep.totals[y]] == slopes
    assert "(no gradient arrives here, so there need not be a slope)" in "\n".join(
        map(str, [sweep.back() for _ in range(len(sweep))])
    )
    assert end_of_sweep(J).totals[x] == slopes[0]
    for text in (draw(J).source, animate(J, None).svg, str(evaluation_trace(J)), str(explain(J, x))):
        assert "no slope" not in text
        assert "back undefined" not in text
        assert "does not exist" not in text


@pytest.mark.parametrize("items", [0, 1, 5, 3000])
def test_the_tape(case, items):
    J, x, y = case
    tape = Tape(J, [x, y])
    slopes = grad(J, [x, y])
    if not items:
        for _ in range(40):  # compiled from the 31st on
            assert tape.value_and_grad([0.0, 0.0]) == (J.data, slopes)
        return
    zeros = np.zeros(items)
    for xs in ([zeros, zeros], [0.0, zeros], [zeros, 0.0]):
        value, found = tape.value_and_grad(xs)
        assert value == pytest.approx(np.full(items, J.data))
        for at, slope, exact in zip(xs, found, slopes, strict=True):
            assert np.sum(slope) == pytest.approx(exact * items)
            assert np.shape(slope) == np.shape(at)


def test_on_a_tape_each_item_by_itself():
    w = [Value(0.0, f"w_{i}") for i in range(40)]
    norms = [(w[i] ** 2 + w[i + 1] ** 2).sqrt() for i in range(39)]
    J = sum(maximum(norm - 1, 0) for norm in norms)
    rows = np.random.default_rng(0).choice([0.0, 3.0], (40, 500))
    _, found = Tape(J, w).value_and_grad(rows)
    for k in (0, 17, 499):
        for leaf, x in zip(w, rows[:, k], strict=True):
            leaf.data = x
        K = sum(maximum((w[i] ** 2 + w[i + 1] ** 2).sqrt() - 1, 0) for i in range(39))
        assert found[:, k] == pytest.approx(grad(K, w))


def test_on_the_page(case, tab, tmp_path):
    J, _, _ = case
    if any(not node._row.is_builtin for node in topological_order(J)):
        J = SHUT["a norm"](Value(0.0, "x"), Value(0.0, "y"))
    opened(tab, tmp_path, J)
    sweep = ReverseSweep(J)
    said = tab.evaluate(STEP_THROUGH)
    assert said[1:] == list(map(str, sweep))
    tab.evaluate(GO, "#")
    check(shown(tab), J, end_of_sweep(J))


def test_a_zero_by_chance_is_still_an_error():
    x, y = Value(0.0, "x"), Value(0.0, "y")
    for J in (x.sqrt() ** 2, x.sqrt() * y, maximum(x.sqrt() * y, -1), x.sqrt() * y.relu()):
        for ask in (J.backward, lambda J=J: grad(J, x), lambda J=J: ReverseSweep(J).run()):
            with pytest.raises(SlopeError, match="sqrt has a value at x"):
                ask()
    assert np.isnan(Tape(x.sqrt() * y, [x, y]).value_and_grad([0.0, 0.0])[1][0])


STEEP = {
    "abs": lambda x: abs(x).sqrt(),
    "relu": lambda x: x.relu() ** 0.5 + x,
    "max": lambda x: maximum(x, 0.0, -1.0).sqrt() * 2,
    "own": lambda x: root(maximum(x, 0.0)) + x,
}


@pytest.mark.parametrize("build", STEEP.values(), ids=STEEP)
def test_a_slope_that_is_missing_in_front_of_a_kink_is_missed(build):
    x = Value(0.0, "x")
    J = build(x)
    for ask in (J.backward, lambda: grad(J, x), lambda: jvp(J, {x: 1.0})):
        with pytest.raises(SlopeError):
            ask()
    tape = Tape(J, [x])
    for _ in range(40):
        assert np.isnan(tape.value_and_grad([0.0])[1][0])
    _, (slopes,) = tape.value_and_grad([np.array([0.0, 4.0])])
    made = build(x := Value(4.0))
    assert np.isnan(slopes[0])
    assert slopes[1] == pytest.approx(grad(made, x))


def test_a_max_passes_0_of_an_infinite_gradient():
    x = Value(0.0, "x")
    J = maximum(x, 1.0) * 1e-300 * 1e300 * 1e300 * 1e300
    J.backward()
    sweep = ReverseSweep(J)
    sweep.run()
    assert [x.grad, grad(J, x), jvp(J, {x: 1.0}), sweep.totals[x]] == [0.0] * 4
    assert end_of_sweep(J).totals[x] == Tape(J, [x]).value_and_grad([0.0])[1][0] == 0.0
    assert "undefined" not in str(explain(J, x))


def test_forward_mode_asks_where_a_speed_is_0_by_chance():
    x, y = Value(0.0), Value(0.0)
    with pytest.raises(SlopeError):
        jvp((x * x + y * y).sqrt(), {x: 1.0})


def test_a_branch_that_is_open_by_another_path():
    x = Value(0.0, "x")
    norm = x.sqrt()
    with pytest.raises(SlopeError):
        (maximum(norm - 1, 0) + norm).backward()
    assert norm not in set(with_gradient(topological_order(maximum(norm - 1, 0))))


def test_second_derivatives_and_the_check():
    x, y = Value(0.0, "x"), Value(2.0, "y")
    J = maximum((x**2 + x**4).sqrt() - 1, 0) + x**2 * y
    assert hessian(J, [x, y]) == [[4.0, 0.0], [0.0, 0.0]]
    assert gradcheck(lambda a, b: maximum((a**2 + b**2).sqrt() - 1, 0) + a, [0.0, 0.0])
