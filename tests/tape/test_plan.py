import itertools
import math
import random

import numpy as np
import pytest
from same_as_engine import check

from tinygrad_margin import Tape, Value, margin_loss, topological_order
from tinygrad_margin.nn import MLP, WindowScorer
from tinygrad_margin.tape.compiled_program import Program
from tinygrad_margin.tape.plan import Plan
from tinygrad_margin.tape.record import Record


@pytest.mark.parametrize("of_weights", [True, False])
@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_nothing_leaks_between_lists_that_never_meet(of_weights, bad):
    draw = np.random.default_rng(0)
    W = [[Value(x) for x in row] for row in draw.uniform(-0.3, 0.3, (3, 8))]
    X = [[Value(x) for x in row] for row in draw.uniform(-1, 1, (3, 8))]
    pairs = [(i, j) for i in range(3) for j in range(3) if (i, j) != (2, 1)]
    J = sum(sum(w * x for w, x in zip(W[i], X[j], strict=True)).tanh() for i, j in pairs)
    leaves = [*itertools.chain(*W), *itertools.chain(*X)]
    for is_array in ([False] * 24 + [True] * 24, [True] * 24 + [False] * 24, [False] * 48):
        xs = [leaf.data + np.arange(3.0) / 9 if each else leaf.data
              for leaf, each in zip(leaves, is_array, strict=True)]  # fmt: skip
        place = 2 * 8 + 3 if of_weights else 24 + 8 + 3
        other = 24 + 8 + 3 if of_weights else 2 * 8 + 3
        clean = Tape(J, leaves).value_and_grad(xs)[1][other]
        if is_array[place]:
            xs[place][1] = bad
        else:
            xs[place] = bad
        assert np.isfinite(clean).all()
        np.testing.assert_array_equal(Tape(J, leaves).value_and_grad(xs)[1][other], clean)


def test_a_triangle_of_products_is_what_the_engine_gives():
    draw = np.random.default_rng(1)
    Q, K = ([[Value(x) for x in row] for row in draw.uniform(-1, 1, (5, 6))] for _ in range(2))
    J = sum(sum(q * k for q, k in zip(Q[i], K[j], strict=True)).tanh()
            for i in range(5) for j in range(i + 1))  # fmt: skip
    leaves = [*itertools.chain(*Q), *itertools.chain(*K)]
    check(J, leaves, [leaf.data for leaf in leaves], 1)
    check(J, leaves, [*(x.data for x in leaves[:30]), *draw.uniform(-1, 1, (30, 4))], 4)


@pytest.mark.parametrize("sizes", [[1], [3], [4, 1], [16, 16, 1], [5, 2]])
@pytest.mark.parametrize("points", [1, 2, 9])
def test_networks_whose_sums_are_matrix_products(sizes, points):
    random.seed(points)
    net = MLP(3, sizes)
    for p in net.parameters():
        p.data += random.uniform(-0.1, 0.1)
    xs = [[Value(random.uniform(-1, 1)) for _ in range(3)] for _ in range(points)]
    outs = [net(x) for x in xs]
    flat = [o for out in outs for o in (out if isinstance(out, list) else [out])]
    J = sum((1 + -o).relu() for o in flat) / len(flat) + 0.1 * sum(p * p for p in net.parameters())
    leaves = [*net.parameters(), *(v for x in xs for v in x)]
    numbers = [leaf.data for leaf in leaves]
    check(J, leaves, numbers, 1)
    k = len(net.parameters())
    draw = np.random.default_rng(1)
    batch = [*numbers[:k], *draw.uniform(-1, 1, (len(leaves) - k, 6))]
    check(J, leaves, batch, 6)
    batch = [*draw.uniform(-1, 1, (k, 4)), *numbers[k:]]  # a network for each item
    check(J, leaves, batch, 4)
    tape = Tape(J, leaves)
    value, (theta, *rest) = tape.value_and_grad([np.array(numbers[:k]), *numbers[k:]])
    again, whole = tape.value_and_grad(np.array(numbers))
    assert value == again
    np.testing.assert_array_equal([*theta, *rest], whole)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_gradients_that_are_gathered_go_to_both_operands(order):
    leaves = [Value(0.1 * (i + 1), f"x_{i}") for i in range(12)]
    sums = [leaves[i] + leaves[4 + i] for i in range(4)]
    w, x, y, z = ((leaves[8 + k] + sums[i]).tanh() for k, i in enumerate(order))
    numbers = [leaf.data for leaf in leaves]
    check(w * x * y * z, leaves, numbers, 1)
    check(w * x * y * z, leaves, [np.full(3, number) for number in numbers], 3)


def test_a_network_becomes_matrix_products():
    net = MLP(2, [16, 16, 1])
    xs = [[Value(float(i)), Value(-float(i))] for i in range(20)]
    J = sum(net(x).tanh() for x in xs)
    order = topological_order(J)
    program = Program(Plan(Record(order, net.parameters()), np.zeros(337, bool)), 1)
    calls = [getattr(function, "__name__", "") for function, _ in program.forward]
    assert calls.count("matmul") == 3
    assert len(order) > 10_000
    assert len(calls) < 20


def test_the_window_scorer_and_the_shared_weights():
    net = WindowScorer(n_inputs=6, n_hidden=3, seed=2)
    x, x_c = ([Value(random.Random(i).uniform(-1, 1)) for i in range(j, j + 6)] for j in (1, 7))
    J = margin_loss(net(x), net(x_c))
    leaves = [*net.parameters(), *x, *x_c]
    draw = np.random.default_rng(3)
    batch = [*(p.data for p in net.parameters()), *draw.uniform(-1, 1, (12, 5))]
    check(J, leaves, batch, 5)


def test_sums_that_share_and_repeat_terms():
    a, b, c = Value(0.5, "a"), Value(-1.5, "b"), Value(2.0, "c")
    for J in (
        a + a + a + a, (a + b + c) * (a + b + c), (a + b) + (a + b), a * b + a * b + a * b + c,
        sum([a * a, b * b, c * c, a * b] * 8), sum(a * b for _ in range(40)),
        sum([a * c, b * c, 1.0, 2.0 * a]), a, -a, a * 0.0, sum([a * 2.0, b * 3.0] * 20),
    ):  # fmt: skip
        leaves = [leaf for leaf in (a, b, c) if leaf in topological_order(J)]
        for mask in itertools.product([False, True], repeat=len(leaves)):
            xs = [np.array([0.3, -2.0]) if m else 0.7 for m in mask]
            check(J, leaves, xs, 2 if any(mask) else 1)
