import random
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinygrad_margin import Tape, Value, topological_order
from tinygrad_margin.tape.compiled_program import Program
from tinygrad_margin.tape.plan import Plan
from tinygrad_margin.tape.record import Record


def test_a_tiny_graph_takes_few_passes_over_its_items():
    a, b = Value(1.0), Value(2.0)
    order = topological_order(((a + b) - (a * b + b**3)) ** 2 / 2)
    program = Program(Plan(Record(order, [a, b]), np.ones(2, bool)), 4)
    assert len(program.forward) == 8
    assert len(program.backward) == 10  # no sign is a pass of its own; two make 0.0 of −0.0


def test_blocks_do_not_show():
    a, b, w = Value(0.5, "a"), Value(-1.5, "b"), Value(2.0, "w")
    J = (a * w + b).tanh() * a
    tape = Tape(J, [a, b, w])
    draw = np.random.default_rng(4)
    x, y = draw.uniform(-1, 1, (2, 50_001))
    value, (da, db, dw) = tape.value_and_grad([x, y, 2.0])
    t = np.tanh(2.0 * x + y)
    np.testing.assert_allclose(value, t * x, rtol=1e-12)
    np.testing.assert_allclose(da, t + x * (1 - t * t) * 2.0, rtol=1e-10)
    np.testing.assert_allclose(db, x * (1 - t * t), rtol=1e-10)
    assert dw == pytest.approx((x * x * (1 - t * t)).sum(), rel=1e-12)


def test_many_sizes_of_batches_keep_little():
    rng = random.Random(3)
    xs = [Value(rng.uniform(-1, 1)) for _ in range(40)]
    layer = list(xs)
    for _ in range(60):
        layer = [(p * q).tanh() + p for p, q in zip(layer, [*layer[1:], layer[0]], strict=True)]
    tape = Tape(sum(layer), xs)
    draw = np.random.default_rng(3)
    first = tape.value_and_grad(draw.uniform(-1, 1, (40, 200)))
    tracemalloc.start()
    for size in range(190, 202):
        tape.value_and_grad(draw.uniform(-1, 1, (40, size)))
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert tape._program.cache_info().currsize == 4
    assert used < 4 * 2 * 8 * 202 * tape._plan(bytes([True] * 40)).sizes[1]  # values and adjoints
    assert first[0].shape == (200,)


def test_what_it_gives_is_not_overwritten_by_the_next_replay():
    a = Value(1.0)
    tape = Tape(a * a, [a])
    first = tape.value_and_grad([np.array([1.0, 2.0])])
    tape.value_and_grad([np.array([5.0, 6.0])])
    np.testing.assert_array_equal(first[0], [1.0, 4.0])
    np.testing.assert_array_equal(first[1][0], [2.0, 4.0])


def test_a_tape_keeps_neither_inputs_nor_results():
    a, b = Value(1.0), Value(2.0)
    tape = Tape(a * b + a, [a, b])
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    value, slopes = tape.value_and_grad([x, y])
    tape.value([x, y])
    kept = [weakref.ref(each) for each in (x, y, value, *(s.base for s in slopes))]
    del x, y, value, slopes
    assert [each() for each in kept] == [None] * 5


def test_threads_may_share_a_tape():
    a, b = Value(1.0), Value(2.0)
    tape = Tape((a * b).tanh() + a, [a, b])
    draw = np.random.default_rng(5)
    batches = [draw.uniform(-1, 1, (2, 3000)) for _ in range(40)]
    alone = [tape.value_and_grad(batch) for batch in batches]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(tape.value_and_grad, batches))
    for (v, g), (w, h) in zip(alone, together, strict=True):
        np.testing.assert_array_equal(v, w)
        np.testing.assert_array_equal(g, h)


def test_minus_zero_is_never_a_gradient():
    rng, count = random.Random(3), 0
    for _ in range(150):
        leaves = [Value(float(rng.choice([0, 1, -1, 2]))) for _ in range(3)]
        nodes = list(leaves)
        for _ in range(rng.randint(1, 9)):
            a, b = rng.choice(nodes), rng.choice(nodes)
            found = [a + b, a - b, a * b, -a, a * -3.0, a / 2, 1 - a, a * 0, a.relu(), a**2, a**3]
            nodes.append(rng.choice([x for x in found if abs(x.data) < 1e6]))
        xs = np.array([[float(rng.choice([0, 1, -1, 2])) for _ in range(7)] for _ in leaves])
        slopes = Tape(nodes[-1], leaves).value_and_grad(xs)[1]
        count += int((slopes == 0.0).sum())
        assert not (np.signbit(slopes) & (slopes == 0.0)).any()
    assert count > 300
