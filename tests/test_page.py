import base64
import contextlib
import hashlib
import itertools
import json
import math
import os
import random
import re
import struct
from pathlib import Path
from urllib.parse import urlencode

import pytest
from graphs import random_graph

from tinygrad_margin import (
    ReverseSweep,
    Value,
    draw,
    margin_loss,
    maximum,
    page,
    topological_order,
)
from tinygrad_margin.engine import CONSTANT, LEAF, OPERATIONS, adjoints, constant, local_derivatives
from tinygrad_margin.figure import Figure
from tinygrad_margin.javascript import functions, table
from tinygrad_margin.moment import Moment, is_shown, scene
from tinygrad_margin.nn import MLP
from tinygrad_margin.notation import number
from tinygrad_margin.ops import FLOATS, TABLE

PACKAGE = Path(page.__code__.co_filename).parent
INTERPRETER = (PACKAGE / "interpreter.js").read_text("utf-8")
HOSTILE = [
    "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&amp;&lt;", "'\"`${1}",
    "]]>", "a\u2028b", "<!--", "{{script}}", "{a} {x}", "\\u003c\\N", "step", "__proto__",
    "javascript:alert(1)", "-->", "\x00\ud800", "</style><b>", "s=1&step=0#", "+ %41",
]  # fmt: skip


def margin(s=0.3, s_c=0.5):
    return margin_loss(Value(s), Value(s_c))


def rebuilt(J, data):
    """The same graph with other numbers in its leaves: by the engine, from the start."""
    made = {}
    for node in topological_order(J):
        if node._primitive in (LEAF, CONSTANT):
            made[node] = Value(data.get(node, node.data), node.label)
            made[node]._primitive = node._primitive
        else:
            made[node] = OPERATIONS[node._primitive.name](*(made[p] for p in node.parents))
            made[node].label = node.label
    return made[J]


def opened(tab, tmp_path, J, address="", **options):
    """Open the page of J."""
    path = tmp_path / "page.html"
    page(J, path, **options)
    tab.goto("about:blank")
    tab.goto(f"{path.as_uri()}{address}")
    return tab


def at(**leaves):
    return "#" + urlencode(leaves)


def sentence(tab):
    return tab.locator("#sentence").text_content()


# ---- The file ---------------------------------------------------------------------------------


def test_it_is_one_small_file_that_asks_for_nothing(tmp_path):
    page(margin(), tmp_path / "margin.html")
    text = (tmp_path / "margin.html").read_text("utf-8")
    assert len(text.encode()) < 150_000
    urls = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert urls == {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"@import|url\(|<link(?! rel=\"icon\" href=\"data:,\")", text)
    assert "{{" not in text


def test_the_policy_allows_its_own_script_and_style_and_nothing_else():
    text = page(margin()).html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert not re.search(r"\s(on\w+|style)=", text.split("<script>")[0])


def test_the_object_shows_itself_in_a_notebook_and_saves(tmp_path):
    shown = page(margin(), title="A <title>")
    frame = shown._repr_html_()
    assert frame.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts"' in frame
    assert "<h1>A &lt;title&gt;</h1>" in shown.html
    shown.save(tmp_path / "a.HTM")
    assert (tmp_path / "a.HTM").read_text("utf-8") == shown.html
    assert len(repr(shown)) < 50


def test_bad_input_is_refused_and_writes_nothing(tmp_path):
    with pytest.raises(TypeError, match=r"takes Values.*got float 1\.0"):
        page(1.0, tmp_path / "x.html")
    with pytest.raises(TypeError, match="title of a page is text; got int 3"):
        page(margin(), tmp_path / "x.html", title=3)
    with pytest.raises(ValueError, match=r"page writes \.html; got 'x\.png'"):
        page(margin(), "x.png")
    with pytest.raises(ValueError, match=r"7 nodes.*max_nodes=7 \(it is 6\)"):
        page(margin(), tmp_path / "x.html", max_nodes=6)
    with pytest.raises(ValueError, match="401 nodes"):
        page(sum([Value(1.0)] * 1, start=chain(400)), tmp_path / "x.html")
    with pytest.raises(FileNotFoundError, match="make the folder first"):
        page(margin(), tmp_path / "none" / "x.html")
    assert os.listdir(tmp_path) == []


def chain(length):
    v = Value(1.0)
    for _ in range(length - 2):
        v = -v
    return v


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "x.html"
    target.write_text("before")
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="make room first"):
        page(margin(), target)
    assert (os.listdir(tmp_path), target.read_text()) == (["x.html"], "before")


def test_no_grad_is_touched():
    J = margin()
    J.backward()
    before = [(node.data, node.grad) for node in topological_order(J)]
    page(J)
    assert [(node.data, node.grad) for node in topological_order(J)] == before


def test_every_labelled_leaf_has_a_slider_and_a_box_around_its_value():
    J = margin(0.3, 120.0) + Value(4.0)
    inputs = re.findall(r'<input type="range"[^>]*>', page(J).html)
    limits = {
        re.search(r'label="(.*?),', each)[1]: [
            float(re.search(rf' {name}="(.*?)"', each)[1]) for name in ("min", "value", "max", "step")
        ]
        for each in inputs
    }
    assert list(limits) == ["s", "s_c", "Δ"]  # the unlabelled 4 has none
    for low, value, high, step in limits.values():
        assert low <= value - 3 + 1 and value + 3 - 1 <= high
        assert 100 <= (high - low) / step <= 10_000
    assert limits["s"][0] <= -1 and limits["s"][2] >= 3
    assert page(J).html.count('type="number"') == 3


@pytest.mark.parametrize("x", [math.inf, -math.inf, 1e308, -1e308, 0.0, 5e-324, 123456789.125])
def test_any_number_makes_a_page(x):
    text = page(Value(x, "x") * 0.5).html
    spec = json.loads(re.search(r'id="spec">(.*?)</script>', text)[1])
    assert float(spec["nodes"][0]["data"]) == x
    assert ('type="range"' in text) == (abs(x) < 1e308)


def test_labels_and_titles_are_text(tmp_path):
    for label in HOSTILE:
        J = Value(1.0, label) * Value(2.0, label)
        J.label = label
        text = page(J, title=label).html
        assert text.count("<script") == 2
        assert text.count("</script>") == 2
        assert "<img" not in text and "<b>" not in text.split("<h1>")[1].split("</style>")[-1][:0]
        json.loads(re.search(r'id="spec">(.*?)</script>', text, re.S)[1])


# ---- The table, in the browser ------------------------------------------------------------------


def test_every_operation_is_there():
    assert {*TABLE} == {*re.findall(r'^  "(\w+)": \{', table(TABLE.values()), re.M)}
    mathematics = INTERPRETER.split("const m = {")[1].split("\n};")[0]
    known = set(re.findall(r"^  (\w+)[(:]", mathematics, re.M))
    for row in TABLE.values():
        assert set(re.findall(r"\bm\.(\w+)", functions(row))) <= known, row.name


def test_an_operation_that_the_page_cannot_compute_is_refused():
    row = TABLE["exp"]
    homemade = type(row)("twice", "twice", 1, lambda m, a: math.exp(a), lambda m, a, out: (out,))
    with pytest.raises(TypeError):
        functions(homemade)


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
        math.isclose(x, y, rel_tol=tolerance, abs_tol=5e-324)
        or (math.isnan(x) and math.isnan(y))
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
        points = [(a,) for a in numbers] if row.arity == 1 else list(
            itertools.product(numbers[:32], numbers[:32])
        ) + [tuple(rng.sample(numbers, 2)) for _ in range(500)]
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
    return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(x, "NaN" if math.isnan(x) else repr(x))


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


# ---- The page shows what the engine computes ----------------------------------------------------


def shown(tab):
    """What the page shows now: for each node its value, gradient, and looks; the arrows' too."""
    return tab.evaluate(
        """() => ({
            nodes: spec.nodes.map((_, i) => {
                const group = document.getElementById(`n${i}`);
                const hidden = (element) => element.getAttribute("visibility") === "hidden";
                const gradient = group.querySelector(".gradient");
                const current = ["waits", "pale"].find((name) => group.classList.contains(name));
                return {
                    value: group.dataset.value, slope: group.dataset.gradient,
                    face: [
                        current ?? "", group.querySelector(".value").textContent,
                        !gradient || hidden(gradient) ? ""
                            : gradient.querySelector(".number").textContent.replace(/^ (= )?/, ""),
                        group.dataset.case,
                    ],
                    current: group.classList.contains("current"),
                };
            }),
            arrows: arrows.map(({forward, back, line, label}) => [
                forward.classList.contains("quiet"),
                !back || back.getAttribute("visibility") === "hidden" ? []
                    : [back.classList[1], line.getAttribute("stroke-width"), label.textContent],
            ]),
            sentence: document.getElementById("sentence").textContent,
        })"""
    )


def check(found, J, moment, tolerance=1e-12):
    """Does the page show what Python says of the graph at this moment?"""
    faces, arrows = scene(J, moment)
    for (node, face), on_page in zip(faces.items(), found["nodes"], strict=True):
        assert math.isclose(
            float(on_page["value"]), node.data, rel_tol=tolerance, abs_tol=tolerance
        ), (node, on_page)
        if face.gradient and not math.isnan(moment.totals[node]):
            total = moment.totals[node]
            assert math.isclose(
                float(on_page["slope"]), total, rel_tol=tolerance, abs_tol=tolerance
            ), (node, on_page)
        said = [face.state, face.value, face.gradient, "null" if face.case is None else str(face.case)]
        assert near(on_page["face"], said), (node, on_page, said)
        assert on_page["current"] == (node is moment.current)
    for arrow, (quiet, back) in zip(arrows, found["arrows"], strict=True):
        assert quiet == arrow.quiet
        if arrow.back:
            width = f"{0.8 + 1.4 * arrow.share:.2f}" if arrow.back == "live" else "1"
            kind, stroke, text = back
            assert (kind, abs(float(stroke) - float(width)) < 0.011) == (arrow.back, True)
            assert near([text], [arrow.text])
        else:
            assert back == []


def near(found, said):
    """Equal texts; but a last digit may differ by one where the number lies between two."""
    for a, b in zip(found, said, strict=True):
        if a != b:
            x, y = (re.search(r"−?[\d.]+(e−?\d+)?", text) for text in (a, b))
            if not x or not y or a.replace(x[0], "#", 1) != b.replace(y[0], "#", 1):
                return False
            p, q = (float(m[0].replace("−", "-")) for m in (x, y))
            if not (math.isclose(p, q, rel_tol=2e-3) or max(abs(p), abs(q)) < 1e-12):
                return False
    return True


STEP_THROUGH = """() => {
    document.getElementById("first").click();
    const sentences = [document.getElementById("sentence").textContent];
    for (let step = 1; step < spec.nodes.length + 1; step++) {
        document.getElementById("forward").click();
        sentences.push(document.getElementById("sentence").textContent);
    }
    return sentences;
}"""


@pytest.mark.parametrize("batch", range(10))
def test_random_graphs_at_random_positions(tab, tmp_path, batch):
    for seed in range(22 * batch, 22 * batch + 22):
        rng = random.Random(seed)
        J, leaves = random_graph(seed, size=rng.randrange(2, 16))
        page(J, tmp_path / f"{seed}.html")
        for _ in range(2):
            data = {leaf: round(leaf.data + rng.uniform(-3, 3), 3) for leaf in leaves}
            address = at(**{leaf.label: data[leaf] for leaf in leaves})
            tab.goto("about:blank")
            tab.goto(f"{(tmp_path / f'{seed}.html').as_uri()}{address}")
            try:
                K = rebuilt(J, data)
                sweep = ReverseSweep(K)
                steps = sweep.run()
            except (ArithmeticError, ValueError) as error:
                assert near(sentence(tab).splitlines()[:1], [str(error)])
                continue
            check(shown(tab), K, Moment(frozenset(sweep.totals), None, adjoints(K)))
            said = tab.evaluate(STEP_THROUGH)
            assert said[0].startswith("The sweep starts at")
            for on_page, step in zip(said[1:], steps, strict=True):
                assert len(on_page.splitlines()) == len(str(step).splitlines())
                assert on_page == str(step) or near(on_page.splitlines(), str(step).splitlines())
            k = rng.randrange(len(steps) + 1)
            tab.goto("about:blank")
            tab.goto(f"{(tmp_path / f'{seed}.html').as_uri()}{address}&step={k}")
            sweep.rewind()
            for _ in range(k):
                sweep.step()
            nodes = topological_order(K)
            moment = Moment(
                frozenset(nodes[len(nodes) - k :]),
                nodes[-k] if k else None,
                {node: sweep.totals[node] for node in nodes},
            )
            check(shown(tab), K, moment)
