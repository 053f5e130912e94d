import copy
import math
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_margin import (
    Tape,
    Value,
    binary_cross_entropy,
    cross_entropy,
    draw,
    grad,
    gradcheck,
    hessian,
    hinge_loss,
    jvp,
    logsumexp,
    margin_loss,
    multiclass_margin_loss,
    page,
    softmax,
    squared_error,
    topological_order,
)

scores = st.floats(-5, 5)


@given(scores, scores, st.floats(0, 3))
def test_margin_loss_is_its_formula_in_all_three_regimes(s, s_c, delta):
    true, corrupted = Value(s), Value(s_c)
    J = margin_loss(true, corrupted, delta)
    z = delta + s_c - s
    assert J.data == max(z, 0.0)
    slope = 1.0 if z > 0 else 0.0 if z < 0 else 0.5
    assert grad(J, [true, corrupted]) == [-slope, slope]


def test_margin_loss_is_an_explicit_graph_on_the_nodes_passed_in():
    s, s_c = Value(0.3, "mine"), Value(0.5)
    J = margin_loss(s, s_c)
    order = topological_order(J)
    assert s in order
    assert s_c in order
    assert [node.op for node in order] == ["", "", "+", "", "-", "", "max"]
    assert [node.label for node in order] == ["Δ", "s_c", "", "mine", "z", "", "J"]
    assert [node.data for node in J.parents] == [1.2, 0.0]


def test_numbers_and_values_are_taken_for_every_argument():
    assert margin_loss(0.3, 0.5).data == 1.2
    assert margin_loss(np.float64(0.3), 1, 2).data == 2.7
    delta = Value(2.0)
    assert grad(margin_loss(0.3, 0.5, delta), delta) == 1.0
    assert hinge_loss(0.25, 1).data == 0.75
    assert multiclass_margin_loss([1, Value(2.0), 3.0], 1).data == 2.0


@pytest.mark.parametrize("delta", [-1.0, -1e-9, math.nan, math.inf, Value(-1.0), np.float64(-2)])
def test_a_negative_or_infinite_margin_is_refused(delta):
    for call in (
        lambda: margin_loss(1.0, 2.0, delta),
        lambda: hinge_loss(1.0, 1, delta),
        lambda: multiclass_margin_loss([1.0, 2.0], 0, delta),
    ):
        with pytest.raises(ValueError, match="delta"):
            call()


def test_bad_input_leaves_no_label_behind():
    s_c = Value(0.5)
    with pytest.raises(TypeError, match="score"):
        margin_loss("s", s_c)
    with pytest.raises(TypeError, match="delta"):
        margin_loss(s_c, s_c, "1")
    assert s_c.label == ""


@pytest.mark.parametrize("y", [1, -1, 1.0, np.int64(-1), True])
def test_hinge_loss_takes_either_class(y):
    s = Value(0.25)
    J = hinge_loss(s, y)
    assert J.data == 1 - y * 0.25
    assert grad(J, s) == -float(y)


@pytest.mark.parametrize("y", [0, 2, 0.5, math.nan, False])
def test_hinge_loss_refuses_other_classes(y):
    with pytest.raises(ValueError, match="1 or -1"):
        hinge_loss(Value(0.25), y)


@given(st.lists(scores, min_size=1, max_size=6), st.data())
def test_multiclass_margin_loss_is_its_formula(numbers, data):
    target = data.draw(st.integers(0, len(numbers) - 1))
    values = [Value(x) for x in numbers]
    J = multiclass_margin_loss(values, target)
    terms = [1.0 + x - numbers[target] for j, x in enumerate(numbers) if j != target]
    assert J.data == pytest.approx(sum(max(0.0, t) for t in terms), abs=1e-12)
    assert J.label == "J"
    assert [v.label for v in values] == [f"s_{j}" for j in range(len(values))]
    slopes = [1.0 if t > 0 else 0.5 if t == 0 else 0.0 for t in terms]
    found = grad(J, values)
    assert found.pop(target) == -sum(slopes)
    assert found == slopes


def values(numbers):
    return [Value(x) for x in numbers]


def probabilities(numbers):
    e = np.exp(np.array(numbers) - max(numbers))
    return e / e.sum()


# Ties, one score, far apart, masks, numbers that are lost beside each other.
SCORES = [
    [0.0], [1.0, 2.0, 3.0], [2.0, 2.0], [0.0, 0.0, 0.0], [1000.0, 1000.0, -1000.0], [-1000.0, -1001.0],
    [1.0, -math.inf, 2.0], [-math.inf, 5.0], [-math.inf, 3.0, 3.0, -math.inf], [1e8 + 1, 1e8], [0.5] * 12,
]  # fmt: skip


@pytest.mark.parametrize("numbers", SCORES)
def test_softmax_logsumexp_and_cross_entropy_are_their_formulas(numbers):
    p, top = probabilities(numbers), max(numbers)
    lse = top + math.log(sum(math.exp(x - top) for x in numbers))
    curvature = np.diag(p) - np.outer(p, p)
    one = np.eye(len(p))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no kink, at ties neither
        x = values(numbers)
        J = logsumexp(x)
        assert J.data == pytest.approx(lse, rel=1e-15)
        np.testing.assert_allclose(grad(J, x), p, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(hessian(J, x), curvature, rtol=1e-13, atol=1e-15)
        soft = softmax(x)
        assert sum(p_j.data for p_j in soft) == pytest.approx(1.0)
        np.testing.assert_allclose([p_j.data for p_j in soft], p, rtol=1e-13, atol=1e-15)
        for t, p_t in enumerate(soft):
            np.testing.assert_allclose(grad(p_t, x), curvature[t], rtol=1e-13, atol=1e-15)
            d2 = p[t] * (np.outer(one[t] - p, one[t] - p) - curvature)
            np.testing.assert_allclose(hessian(p_t, x), d2, rtol=1e-13, atol=1e-15)
            J = cross_entropy(x, t)
            loss = lse - numbers[t]
            assert J.data == pytest.approx(loss, rel=1e-12, abs=1e-8 * (top > 1e6))
            np.testing.assert_allclose(grad(J, x), p - one[t], rtol=1e-13, atol=1e-15)
            np.testing.assert_allclose(hessian(J, x), curvature, rtol=1e-13, atol=1e-15)
            J.backward()
            np.testing.assert_allclose([v.grad for v in x], p - one[t], rtol=1e-13, atol=1e-15)
            J.zero_grad()
            ways = {v: 1.0 + i for i, v in enumerate(x)}
            assert jvp(J, ways) == pytest.approx(sum((p - one[t]) * list(ways.values())), abs=1e-14)


def test_a_large_score_hides_no_small_loss():
    J = cross_entropy([1e8 + 1, 1e8], 0)
    assert J.data == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-15)


@pytest.mark.parametrize("y", [0, 1, True, 0.0, np.int64(1), np.bool_(False)])
@pytest.mark.parametrize("score", [-1000.0, -40.0, -1.5, 0.0, -0.0, 0.3, 20.0, 40.0, 1000.0])
def test_binary_cross_entropy_is_its_formula(score, y):
    s = Value(score)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        J = binary_cross_entropy(s, y)
        z = -score if y else score
        p = math.exp(min(z, 0.0)) / (1.0 + math.exp(-abs(z)))
        assert J.data == pytest.approx(
            max(z, 0.0) + math.log1p(math.exp(-abs(z))), rel=1e-12, abs=1e-16
        )
        assert grad(J, s) == pytest.approx(-p if y else p, rel=1e-14)
        assert hessian(J, s)[0][0] == pytest.approx(p * (1 - p), rel=1e-12, abs=1e-16)
    assert [n.label for n in (s, J)] == ["s", "J"]


@pytest.mark.parametrize(("score", "y"), [(-math.inf, 0), (math.inf, 1)])
def test_binary_cross_entropy_of_a_masked_score(score, y):
    s = Value(score)
    J = binary_cross_entropy(s, y)
    assert (J.data, grad(J, s), hessian(J, s)) == (0.0, 0.0, [[0.0]])
    with pytest.raises(ValueError, match="binary_cross_entropy needs scores below inf"):
        binary_cross_entropy(s, 1 - y)


def test_squared_error_is_its_formula():
    p, t = Value(3.0), Value(1.0, "mine")
    J = squared_error(p, t)
    assert (J.data, grad(J, [p, t]), hessian(J, [p, t])) == (
        4.0,
        [4.0, -4.0],
        [[2.0, -2.0], [-2.0, 2.0]],
    )
    assert [n.label for n in topological_order(J)] == ["prediction", "mine", "error", "", "J"]
    q = Value(2.0)
    J = squared_error(q, np.float64(2))
    assert (J.data, grad(J, q), hessian(J, q)) == (0.0, 0.0, [[2.0]])
    assert squared_error(3, 1).data == 4.0


LOSSES = {
    "logsumexp": lambda *s: logsumexp(s), "softmax": lambda *s: softmax(s)[1],
    "cross entropy": lambda *s: cross_entropy(s, 0), "masked": lambda *s: cross_entropy([*s, -math.inf], 1),
    "score 1": lambda s, *_: binary_cross_entropy(s, 1), "score 0": lambda s, *_: binary_cross_entropy(s, 0),
    "square": lambda p, t, *_: squared_error(p, t),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_check_tape_picture_page_and_copies_of_each_loss(name):
    f, x = LOSSES[name], values([0.5, -1.0, 0.5])
    for at in ([0.5, -1.0, 0.5], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0], [3.0, 2.0, 1.0]):
        result = gradcheck(f, at)
        assert result, result
        assert {row.verdict for row in result.rows} == {"agrees"}, result
    J = f(*x)
    tape, far = (
        Tape(J, x),
        [np.array([0.5, 1000.0, -1000.0, 3.0]), 2.0, np.array([2.0, -3.0, 900.0, 3.0])],
    )
    value, slopes = tape.value_and_grad(far)
    for i in range(4):
        there = values([each[i] if np.ndim(each) else each for each in far])
        K = f(*there)
        assert value[i] == pytest.approx(K.data, rel=1e-14)
        wanted = grad(K, there)
        for found, slope in zip(slopes, wanted, strict=True):
            if np.ndim(found):
                assert found[i] == pytest.approx(slope, rel=1e-13, abs=1e-15)
    assert tape.value([700.0, 710.0, 720.0]) == pytest.approx(
        f(*values([700.0, 710.0, 720.0])).data
    )
    assert "nan" not in draw(J).source
    assert page(J).html
    for again in (copy.deepcopy(J), pickle.loads(pickle.dumps(J))):
        assert [n.label for n in topological_order(again)] == [
            n.label for n in topological_order(J)
        ]
        again.backward()


def test_labels_are_those_of_the_formulas():
    scores = [Value(1.0, "mine"), Value(2.0)]
    p = softmax(scores)
    assert [v.label for v in p] == ["p_0", "p_1"]
    labels = {n.label for n in topological_order(p[1])} - {""}
    assert labels == {"mine", "s_1", "c", "z_0", "z_1", "e_0", "e_1", "Z", "p_1"}
    assert logsumexp([1.0, 2.0]).label == "lse"
    assert cross_entropy(scores, np.int64(1)).label == "J"


@pytest.mark.parametrize(("call", "kind", "words"), [
    (lambda: softmax([]), ValueError, "softmax needs at least one score; got none"),
    (lambda: logsumexp(iter([])), ValueError, "logsumexp needs at least one score"),
    (lambda: cross_entropy([], 0), ValueError, "cross_entropy needs at least one score; got none"),
    (lambda: softmax([-math.inf] * 2), ValueError, "a score above -inf, which is a mask; got -inf, -inf"),
    (lambda: cross_entropy([Value(-math.inf)], 0), ValueError, "cross_entropy needs a score above -inf"),
    (lambda: logsumexp([1.0, math.inf]), ValueError, "scores below inf; got 1.0, inf"),
    (lambda: softmax(1.0, 2.0), TypeError, r"takes one list.*softmax\(\[a, b\]\); got 1.0, 2.0"),
    (lambda: logsumexp(), TypeError, "takes one list.*got nothing"),
    (lambda: logsumexp(1.0), TypeError, "logsumexp takes a list of scores.*got float 1.0"),
    (lambda: softmax(Value(1.0)), TypeError, "is one number"),
    (lambda: softmax("ab"), TypeError, "a score takes a real number; got str 'a'"),
    (lambda: softmax([[1.0], [2.0]]), TypeError, "a score takes a real number; got list"),
    (lambda: cross_entropy([1.0, None], 0), TypeError, "a score takes a real number; got NoneType"),
    (lambda: cross_entropy([1.0, 2.0], True), TypeError, "target is the index of.*got bool True"),
    (lambda: multiclass_margin_loss([1.0, 2.0], False), TypeError, "target is.*got bool False"),
    (lambda: cross_entropy([1.0, 2.0], 1.0), TypeError, "target is the index.*got float 1.0"),
    (lambda: cross_entropy([1.0, 2.0], Value(1.0)), TypeError, "target is the index.*got Value"),
    (lambda: cross_entropy([1.0, 2.0], 2), ValueError, "index into the 2 scores, from 0; got 2"),
    (lambda: cross_entropy([1.0, 2.0], -1), ValueError, "from 0; got -1"),
    (lambda: binary_cross_entropy(1.0, -1), ValueError, "is the class, 0 or 1; got -1"),
    (lambda: binary_cross_entropy(1.0, 0.5), ValueError, "0 or 1; got 0.5"),
    (lambda: binary_cross_entropy(1.0, math.nan), ValueError, "0 or 1; got nan"),
    (lambda: binary_cross_entropy(1.0, Value(1.0)), TypeError, r"y of binary.*is v\.data"),
    (lambda: binary_cross_entropy("1", 1), TypeError, "a score takes a real number"),
    (lambda: squared_error("1", 1), TypeError, "the prediction takes a real number"),
    (lambda: squared_error(1, [1]), TypeError, "the target takes a real number"),
])  # fmt: skip
def test_what_a_loss_does_not_take(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


@pytest.mark.parametrize("target", [-1, 3, 10])
def test_a_target_out_of_range_is_refused(target):
    with pytest.raises(ValueError, match="target"):
        multiclass_margin_loss([1.0, 2.0, 3.0], target)
    with pytest.raises(ValueError, match="target"):
        multiclass_margin_loss([], 0)
    with pytest.raises(TypeError):
        multiclass_margin_loss([1.0], 0.0)
