"""The page of a graph with operations of a user's own."""

import math
import random
import re

import numpy as np
import pytest
from graphs import rebuilt
from own_operations import CLAMP, GENERIC, LOGADDEXP, ONLY_FLOATS, mixed_graph
from pages import GO, STEP_THROUGH, at, check, near, opened, sentence, shown

from tinygrad_margin import (
    ReverseSweep,
    Tape,
    Value,
    grad,
    page,
    primitive,
    topological_order,
)
from tinygrad_margin.engine import adjoints
from tinygrad_margin.views.boxes_and_arrows import Progress


@pytest.mark.parametrize("f", ONLY_FLOATS, ids=lambda f: f.__name__)
def test_what_a_browser_cannot_compute_is_refused_by_name(f, tmp_path):
    J = f(*[Value(0.5, f"x_{i}") for i in range(ONLY_FLOATS[f])])
    why = "compares its operands" if f in (CLAMP, LOGADDEXP) else "calls something else, such as a function of math"
    message = rf"cannot show {f.__name__}.*but its value {why}.*\+ - \* / \*\* alone.*or use draw"
    with pytest.raises(TypeError, match=message) as told:
        page(J, tmp_path / "x.html")
    assert "JavaScript," in str(told.value)
    assert not re.search(r"not JavaScript|Error|\brow\b|object", str(told.value))
    assert list(tmp_path.iterdir()) == []


def test_the_page_says_which_function_is_in_the_way():
    half = primitive("half", lambda x: x * x, lambda x, out: (math.sqrt(x),))
    with pytest.raises(TypeError, match="but one of its partials calls something else"):
        page(half(1.0))


def test_random_graphs_on_the_page(tab, tmp_path):
    for seed in range(25):
        rng = random.Random(seed)
        J, leaves = mixed_graph(seed, size=rng.randrange(2, 8), own=GENERIC)
        opened(tab, tmp_path, J)
        data = {leaf: round(rng.uniform(-1.5, 1.5), 3) for leaf in leaves}
        used = [leaf for leaf in leaves if leaf in set(topological_order(J))]
        tab.evaluate(GO, at(**{leaf.label: data[leaf] for leaf in used}))
        K = rebuilt(J, data)[J]
        sweep = ReverseSweep(K)
        steps = sweep.run()
        check(shown(tab), K, Progress(frozenset(sweep.totals), None, adjoints(K)))
        for on_page, step in zip(tab.evaluate(STEP_THROUGH)[1:], steps, strict=True):
            assert near(on_page.splitlines(), str(step).splitlines())


def test_the_page_says_the_explanation_and_the_errors(tab, tmp_path):
    inverse = primitive("inverse", lambda x: 1 / x, lambda x, out: -out / x,
                        symbol="1/", explanation="<b>falls</b> & {a} falls")  # fmt: skip
    root = primitive("root", lambda x: x**0.5, lambda x, out: 0.5 / out)
    x = Value(2.0, "x")
    opened(tab, tmp_path, inverse(x) + root(x), at(x=2.0))
    steps = [str(step) for step in ReverseSweep(inverse(x) + root(x)).run()]
    assert tab.evaluate(STEP_THROUGH)[1:] == steps
    assert "  <b>falls</b> & {a} falls" in "\n".join(steps)
    tab.evaluate(GO, at(x=0.0))
    assert sentence(tab).startswith("1/ needs other operands (float division by zero); got x = 0.0")
    tab.evaluate(GO, at(x=-1.0))
    assert sentence(tab).startswith("root needs other operands (a base from 0 up")


def test_two_operations_of_one_name_are_told_apart(tab, tmp_path):
    x = Value(3.0, "x")
    f = primitive("f", lambda x: x * x, lambda x, out: 2 * x)
    g = primitive("f", lambda x: 5 * x, lambda x, out: 5, explanation="the second one")
    J = f(x) * g(x)
    assert (J.data, grad(J, x)) == (135.0, 135.0)
    assert Tape(J, [x]).value_and_grad([2.0]) == (40.0, [60.0])
    assert Tape(J, [x]).value([np.array([2.0])]).tolist() == [40.0]
    opened(tab, tmp_path, J, at(x=2.0))
    assert sentence(tab) == "J = 40, ∂J/∂x = +60"
    for name in ("leaf", "constant", "__proto__", "constructor", "own 0"):
        h = primitive(name, lambda x: x - 1, lambda x, out: 1)
        opened(tab, tmp_path, h(x) * g(x), at(x=2.0))
        assert sentence(tab) == "J = 10, ∂J/∂x = +15"
