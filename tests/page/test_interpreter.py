"""What the browser computes and says, compared with the engine."""

import itertools
import math
import random
import re
import struct
from pathlib import Path

import pytest
from graphs import random_graph, rebuilt
from pages import GO, STEP_THROUGH, at, check, margin, near, opened, sentence, shown

from tinygrad_margin import ReverseSweep, Value, maximum, minimum, page, topological_order
from tinygrad_margin.engine import adjoints
from tinygrad_margin.ops import FLOATS, TABLE
from tinygrad_margin.page.operations_in_javascript import functions, table
from tinygrad_margin.views.boxes_and_arrows import Progress, end_of_sweep
from tinygrad_margin.views.notation import number

PACKAGE = Path(page.__code__.co_filename).parent

INTERPRETER = (PACKAGE / "interpreter.js").read_text("utf-8")


def test_every_operation_is_there():
    assert {*TABLE} == {*re.findall(r'^  "(\w+)": \{', table(TABLE.values()), re.M)}
    mathematics = INTERPRETER.split("const m = {")[1].split("\n};")[0]
    known = set(re.findall(r"^  (\w+)[(:]", mathematics, re.M))
    for row in TABLE.values():
        assert set(re.findall(r"\bm\.(\w+)", functions(row))) <= known, row.name


NUMBERS = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, -3.0, 0.3, -1.7, 1e-7, 1e-300, 5e-324, 1e16, -1e16,
    700.0, 710.0, -710.0, -750.0, 1e154, 1e155, 1e300, -1e308, 33.3, math.inf, -math.inf, math.nan,
    math.pi, 1e22, 2.0**53, 0.1,
]  # fmt: skip


def outcome(function, *operands):
    """What a function gives: ("ok", numbers) or the error's kind."""
    try:
        found = function(*operands)
    except ArithmeticError as error:
        return type(error).__name__
    except ValueError:
        return "ValueError"
    return [found] if isinstance(found, float) else list(found)


def same(a, b, tolerance):
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    return len(a) == len(b) and all(
        math.isclose(x, y, rel_tol=tolerance, abs_tol=5e-324) or (math.isnan(x) and math.isnan(y))
        for x, y in zip(a, b, strict=True)
    )


def plain(numbers):
    """Numbers on their way from JavaScript, which has no JSON for some."""
    return numbers if isinstance(numbers, str) else [float(x) for x in numbers]


def test_every_operation_gives_what_the_engine_gives(tab, tmp_path):
    opened(tab, tmp_path, margin())
    rng = random.Random(4)
    numbers = NUMBERS + [rng.uniform(-9, 9) for _ in range(40)]
    numbers += [rng.choice([-1, 1]) * 10 ** rng.uniform(-300, 300) for _ in range(40)]
    for row in TABLE.values():
        points = (
            [(a,) for a in numbers]
            if row.arity == 1
            else list(itertools.product(numbers[:32], numbers[:32]))
            + [tuple(rng.sample(numbers, 2)) for _ in range(500)]
        )
        found = tab.evaluate(
            """([source, points]) => {
                const row = eval(source);
                const tried = (f) => {
                    try { return [f()].flat().map(String); }
                    catch (error) { return error instanceof EngineError ? error.kind : String(error); }
                };
                return points.map((point) => {
                    const operands = point.map(Number);
                    const value = tried(() => row.value(...operands));
                    return [value, Array.isArray(value)
                        ? tried(() => row.partials(...operands, Number(value[0]))) : null];
                });
            }""".replace("eval(source)", f"({functions(row)})"),
            ["", [[repr_js(x) for x in point] for point in points]],
        )
        for point, (value, partials) in zip(points, found, strict=True):
            expected = outcome(row.value, FLOATS, *point)
            assert same(plain(value), expected, 4e-16 * 4), (row.name, point, value, expected)
            if not isinstance(expected, str):
                slopes = outcome(row.partials, FLOATS, *point, float(value[0]))
                assert same(plain(partials), slopes, 1e-14), (row.name, point, partials, slopes)


def repr_js(x):
    return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(
        x, "NaN" if math.isnan(x) else repr(x)
    )


def test_numbers_are_written_as_python_writes_them(tab, tmp_path):
    opened(tab, tmp_path, margin())
    rng = random.Random(5)
    numbers = [*NUMBERS, 1.0625, 1.1875, 1000.5, 1001.5, 0.03125, 9999.5, 99995.0, 12345.0, 0.0001]
    numbers += [rng.randrange(10**5) * 2.0 ** -rng.randrange(12) for _ in range(2000)]
    numbers += [rng.randrange(10**5) * 10.0 ** rng.randrange(-20, 20) for _ in range(2000)]
    numbers += [struct.unpack("d", rng.randbytes(8))[0] for _ in range(3000)]
    found = tab.evaluate(
        """(numbers) => numbers.map(Number).map((x) => [
            number(x), number(x, {signed: true}), number(x, {precision: 12}), repr(x)])""",
        [repr_js(x) for x in numbers],
    )
    for x, written in zip(numbers, found, strict=True):
        assert written == [number(x), number(x, signed=True), number(x, 12), repr(x)]


@pytest.mark.parametrize("batch", range(10))
def test_random_graphs_at_random_positions(tab, tmp_path, batch):
    for seed in range(12 * batch, 12 * batch + 12):
        rng = random.Random(seed)
        J, leaves = random_graph(seed, size=rng.randrange(2, 10))
        opened(tab, tmp_path, J)
        for round_ in range(2):
            data = {leaf: round(leaf.data + rng.uniform(-3, 3), 3) for leaf in leaves}
            address = at(**{leaf.label: data[leaf] for leaf in leaves})
            tab.evaluate(GO, address)
            try:
                K = rebuilt(J, data)[J]
                sweep = ReverseSweep(K)
                steps = sweep.run()
            except (ArithmeticError, ValueError) as error:
                wrong = str(error)
            else:
                wrong = ""
            if wrong:
                assert near(sentence(tab).splitlines()[:1], [wrong])
                continue
            check(shown(tab), K, Progress(frozenset(sweep.totals), None, adjoints(K)))
            if round_ == 0:
                said = tab.evaluate(STEP_THROUGH)
                assert said[0].startswith("The sweep starts at")
                for on_page, step in zip(said[1:], steps, strict=True):
                    assert near(on_page.splitlines(), str(step).splitlines())
            k = rng.randrange(len(steps) + 1)
            tab.evaluate(GO, f"{address}&step={k}")
            sweep.rewind()
            for _ in range(k):
                sweep.step()
            nodes = topological_order(K)
            moment = Progress(
                frozenset(nodes[len(nodes) - k :]),
                nodes[-k] if k else None,
                {node: sweep.totals[node] for node in nodes},
            )
            check(shown(tab), K, moment)


@pytest.mark.parametrize(
    ("formula", "data", "message"),
    [
        (lambda x: x.log() * 2, -1.0, "log needs an operand above 0; got x = -1.0"),
        (lambda x: (x - 3).log() * 2, 3.0, "log needs an operand above 0; got 0.0"),
        (lambda x: 1 / (x * 1), 0.0, "/ needs a divisor other than 0; got 1.0, 0.0"),
        (lambda x: x.exp() + x, 1e3, "exp gives a number too large for a float; got x = 1000.0"),
        (lambda x: (x**0.5) * x, -2.0,
         "** needs a base from 0 up where the exponent is no whole number; got x = -2.0, 0.5"),
        (lambda x: x**-2.0, 0.0, "** needs a base other than 0 where the exponent is negative; "
         "got x = 0.0, -2.0"),
        (lambda x: x**2.0, 1e200, "** gives a number too large for a float; got x = 1e+200, 2.0"),
        (lambda x: (x * 1e16).sqrt(), -1.0, "sqrt needs an operand that is not negative; "
         "got -1e+16"),
        (lambda x: x.sqrt() * 2, 0.0, "sqrt has a value at x = 0.0 but no slope, so no gradient "
         "passes there; move the operand away from that point"),
        (lambda x: 1 / x, 1e-160, "the slope of / at 1.0, x = 1e-160 is too large for a float"),
        (lambda x: x**-1, 1e-160, "the slope of ** at x = 1e-160, -1.0 is too large for a float"),
    ],
)  # fmt: skip
def test_where_the_engine_raises_the_page_says_so(tab, tmp_path, formula, data, message):
    def raised():
        x = Value(data, "x")
        formula(x).backward()

    with pytest.raises((ArithmeticError, ValueError), match=re.escape(message)):
        raised()
    J = formula(Value(1.5 if "3.0" not in str(data) else 4.0, "x"))
    opened(tab, tmp_path, J, at(x=data))
    assert sentence(tab) == message
    assert "wrong" in tab.locator("#sentence").get_attribute("class")
    assert tab.locator(".node.failed").count() == 1
    text = tab.locator("body").inner_text()
    assert "NaN" not in text
    assert "undefined" not in text
    tab.locator("#reset").click()  # and back
    assert tab.locator(".node.failed").count() == 0
    assert sentence(tab).startswith("J = ")


def test_a_missing_slope_stops_the_steps_where_python_stops(tab, tmp_path):
    x, y = Value(1.0, "x"), Value(2.0, "y")
    J = x.sqrt() * y
    opened(tab, tmp_path, J, "#x=0")
    K = rebuilt(J, {x: 0.0})[J]
    sweep = ReverseSweep(K)
    tab.keyboard.press("Home")
    for step in itertools.islice(sweep, 2):  # J and y
        tab.keyboard.press("ArrowRight")
        assert sentence(tab) == str(step)
    with pytest.raises(ValueError, match="no slope") as caught:
        sweep.step()
    tab.keyboard.press("ArrowRight")
    assert sentence(tab) == str(caught.value)
    assert tab.locator("#n0 .number").text_content() == " does not exist"
    assert tab.locator(".back.undefined text").text_content() == "no slope"


@pytest.mark.parametrize("data", [(1.0, 2.0, 3.0), (3.0, 3.0, 1.0), (2.0, 2.0, 3.0)])
@pytest.mark.parametrize("of", [maximum, minimum])
def test_the_extremes_of_many(tab, tmp_path, of, data):
    opened(tab, tmp_path, of(*(Value(x, f"x_{i}") for i, x in enumerate(data))) * 2)
    J = of(*(Value(x, f"x_{i}") for i, x in enumerate(data))) * 2
    said = [str(step).splitlines() for step in ReverseSweep(J)]
    check(shown(tab), J, end_of_sweep(J))
    assert [text.splitlines() for text in tab.evaluate(STEP_THROUGH)[1:]] == said
