"""Checks that a tape gives what the engine gives."""

from functools import partial

import numpy as np
from graphs import rebuilt

from tinygrad_margin import Tape, grad
from tinygrad_margin.tape.compiled_program import Program
from tinygrad_margin.tape.plan import Plan
from tinygrad_margin.tape.straight import Straight, compiled


def expected(J, leaves, xs, items):
    """Value and gradient from the engine, item by item; a number's gradient summed over them."""
    values, slopes = np.empty(items), np.empty((len(leaves), items))
    for i in range(items):
        data = [x[i] if isinstance(x, np.ndarray) else x for x in xs]
        made = rebuilt(J, dict(zip(leaves, data, strict=True)))
        values[i] = made[J].data
        slopes[:, i] = grad(made[J], [made.get(leaf, leaf) for leaf in leaves])
    return values, slopes


def ways(tape, xs):
    """Value and gradient in each of the ways that a tape has, whichever it would take."""
    record = tape._record
    xs = [float(x) if np.ndim(x) == 0 else x for x in xs]
    is_array = np.array([isinstance(x, np.ndarray) for x in xs], bool)
    with np.errstate(all="ignore"):
        arrays = [x for x in xs if isinstance(x, np.ndarray)]
        items = len(arrays[0]) if arrays else 1
        numbers = [x for x in xs if isinstance(x, float)]
        program = Program(Plan(record, is_array), items)
        for run in (program.run, partial(Straight(record).run, is_array)):
            value, rows = np.empty(items), np.empty((len(arrays), items))
            of_numbers, of_arrays = iter(run(numbers, arrays, value, rows)), iter(rows)
            yield (
                value if arrays else value[0],
                [float(next(of_numbers)) if isinstance(x, float) else next(of_arrays) for x in xs],
            )
    if not is_array.any():
        yield Straight(record).run_numbers(xs)
        if len(tape) <= 150:
            yield compiled(record)(*xs)


def check(J, leaves, xs, items, tolerance=1e-12):
    """Does the tape give what the engine gives?"""
    values, slopes = expected(J, leaves, xs, items)
    tape = Tape(J, leaves)
    for value, found in (tape.value_and_grad(xs), *ways(tape, xs)):
        check_one(value, found, values, slopes, xs, tolerance)
    np.testing.assert_array_equal(Tape(J, leaves).value(xs), tape.value_and_grad(xs)[0])


def check_one(value, found, values, slopes, xs, tolerance):
    """Is it what the engine gives?"""
    size = max(1.0, np.abs(slopes).max())
    np.testing.assert_allclose(
        value, values if np.ndim(value) else values[0], rtol=tolerance, atol=1e-13
    )
    for x, slope, wanted in zip(xs, found, slopes, strict=True):
        if isinstance(x, np.ndarray):
            np.testing.assert_allclose(slope, wanted, rtol=tolerance, atol=1e-13 * size)
        else:
            assert isinstance(slope, float)
            scale = max(np.abs(wanted).sum(), 1e-13 * size)
            assert abs(slope - wanted.sum()) <= tolerance * 10 * scale
