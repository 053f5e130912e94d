import base64
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
from graphs import random_graph, rebuilt

from tinygrad_margin import (
    ReverseSweep,
    Value,
    margin_loss,
    page,
    topological_order,
)
from tinygrad_margin.engine import adjoints
from tinygrad_margin.ops import FLOATS, TABLE
from tinygrad_margin.page.operations_in_javascript import functions, table
from tinygrad_margin.views.boxes_and_arrows import Progress, boxes_and_arrows
from tinygrad_margin.views.notation import number

PACKAGE = Path(page.__code__.co_filename).parent
INTERPRETER = (PACKAGE / "interpreter.js").read_text("utf-8")
HOSTILE = [
    "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&amp;&lt;", "'\"`${1}",
    "]]>", "a\u2028b", "<!--", "{{script}}", "{a} {x}", "\\u003c\\N", "step", "__proto__",
    "javascript:alert(1)", "-->", "\x00\ud800", "</style><b>", "s=1&step=0#", "+ %41",
]  # fmt: skip


def margin(s=0.3, s_c=0.5):
    return margin_loss(Value(s), Value(s_c))


def opened(tab, tmp_path, J, address="", **options):
    """Open the page of J."""
    path = tmp_path / f"page{len(os.listdir(tmp_path))}.html"
    page(J, path, **options)
    tab.goto(f"{path.as_uri()}{address}")


def at(**leaves):
    return "#" + urlencode(leaves)


def sentence(tab):
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
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
    assert re.match('<iframe srcdoc="[^"]*" sandbox="allow-scripts" ', frame)
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
    with pytest.raises(TypeError, match="max_nodes is a whole number; got str 'a'"):
        page(margin(), max_nodes="a")
    with pytest.raises(ValueError, match="401 nodes"):
        page(chain(401), tmp_path / "x.html")
    with pytest.raises(FileNotFoundError, match="make the folder first"):
        page(margin(), tmp_path / "none" / "x.html")
    assert os.listdir(tmp_path) == []


def chain(length):
    v = Value(1.0)
    for _ in range(length - 1):
        v = -v
    return v


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
            float(re.search(rf' {name}="(.*?)"', each)[1])
            for name in ("min", "value", "max", "step")
        ]
        for each in inputs
    }
    assert list(limits) == ["s", "s_c", "Δ"]  # the unlabelled 4 has none
    for low, value, high, step in limits.values():
        assert low <= value - 2 < value + 2 <= high
        assert 100 <= (high - low) / step <= 10_000
    assert limits["s"][0] <= -1 < 3 <= limits["s"][2]
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
        assert "<img" not in text
        json.loads(re.search(r'id="spec">(.*?)</script>', text, re.S)[1])


# ---- The table, in the browser ------------------------------------------------------------------


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
    boxes, arrows = boxes_and_arrows(J, moment)
    for (node, box), on_page in zip(boxes.items(), found["nodes"], strict=True):
        assert math.isclose(
            float(on_page["value"]), node.data, rel_tol=tolerance, abs_tol=tolerance
        ), (node, on_page)
        if box.gradient and not math.isnan(moment.totals[node]):
            total = moment.totals[node]
            assert math.isclose(
                float(on_page["slope"]), total, rel_tol=tolerance, abs_tol=tolerance
            ), (node, on_page)
        said = [
            box.state,
            box.value,
            box.gradient,
            "null" if box.case is None else str(box.case),
        ]
        assert near(on_page["face"], said), (node, on_page, said)
        assert on_page["current"] == (node is moment.current)
    for arrow, (quiet, back) in zip(arrows, found["arrows"], strict=True):
        assert quiet == arrow.quiet
        if arrow.back:
            kind, stroke, text = back
            assert (kind, abs(float(stroke) - float(arrow.width)) < 0.011) == (arrow.back, True)
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


GO = """(address) => {
    history.replaceState(null, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
}"""
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


# ---- Playing with it ----------------------------------------------------------------------------


def drag(tab, slider, value):
    """Drag a slider with the mouse to a value."""
    box = slider.bounding_box()
    low, high, now = (
        float(slider.evaluate(f"(slider) => slider.{name}")) for name in ("min", "max", "value")
    )
    thumb = 16  # pixels

    def x_of(value):
        share = (value - low) / (high - low)
        return box["x"] + thumb / 2 + share * (box["width"] - thumb)

    y = box["y"] + box["height"] / 2
    tab.mouse.move(x_of(now), y)
    tab.mouse.down()
    tab.mouse.move(x_of(value), y, steps=12)
    tab.mouse.up()
    tab.wait_for_timeout(50)


def test_dragging_s_past_the_margin_puts_the_red_arrows_out(tab, tmp_path):
    opened(tab, tmp_path, margin())
    s = tab.get_by_label("s, slider", exact=True)
    red = tab.locator(".back.live")
    for target, live, pale in ((-1.0, 4, 1), (3.0, 1, 5), (-1.0, 4, 1)):
        drag(tab, s, target)
        now = float(s.input_value())
        assert now == pytest.approx(target, abs=0.2)
        J = margin(now)
        gradients = adjoints(J)
        check(shown(tab), J, Progress(frozenset(gradients), None, gradients))
        assert red.count() == live
        assert tab.locator(".node.pale").count() == pale
        assert tab.get_by_label("s", exact=True).input_value() == s.input_value()
    assert "z = 2.5" in tab.locator("#regimes").inner_text()


def test_at_the_kink_the_regime_says_so(tab, tmp_path):
    opened(tab, tmp_path, margin(), "#s=1.5")
    assert "at" not in sentence(tab)
    assert "any share in [0, 1] is a subgradient" in tab.locator("#regimes").inner_text()
    assert tab.locator(".case1:visible").text_content() == "kink: takes ½ of [0, 1]"
    tab.get_by_label("s", exact=True).fill("2")
    assert tab.locator(".case2:visible").text_content() == "passes 0"
    assert tab.locator(".case1:visible").count() == 0


def test_by_keyboard_alone(tab, tmp_path):
    J = margin()
    opened(tab, tmp_path, J)
    sentences = [str(step) for step in ReverseSweep(J).run()]
    tab.keyboard.press("Home")
    for said in sentences:
        tab.keyboard.press("ArrowRight")
        assert sentence(tab) == said
    for said in reversed(sentences[:-1]):
        tab.keyboard.press("ArrowLeft")
        assert sentence(tab) == said
    tab.keyboard.press("End")
    assert sentence(tab) == sentences[-1]
    reached = set()
    for _ in range(16):
        tab.keyboard.press("Tab")
        focused = tab.evaluate("document.activeElement.id")
        reached.add(focused)
        if focused == "box5" or tab.evaluate("document.activeElement.type") == "range":
            before = tab.evaluate("document.activeElement.value")
            tab.keyboard.press("ArrowUp")
            assert tab.evaluate("document.activeElement.value") != before
    assert reached >= {"reset", "first", "back", "forward"}  # "last" rests at the last step
    assert {"slider1", "slider3", "slider0", "box1", "box3", "box0", "n6"} <= reached
    tab.locator("#n6").focus()
    tab.keyboard.press("ArrowUp")
    assert tab.evaluate("document.activeElement.id") == "n5"
    tab.keyboard.press("Enter")


def test_the_sentence_follows_the_drag(tab, tmp_path):
    opened(tab, tmp_path, margin(), "#step=1")
    assert "the max passes z" in sentence(tab)
    tab.get_by_label("s", exact=True).fill("2.75")
    assert sentence(tab) == str(ReverseSweep(margin(2.75)).step())


def test_buttons_step_and_the_forward_one_goes_round(tab, tmp_path):
    J = margin()
    opened(tab, tmp_path, J)
    whole = sentence(tab)
    assert whole == "J = 1.2, ∂J/∂s = −1, ∂J/∂s_c = +1"
    press = lambda name: tab.get_by_role("button", name=name).click()  # noqa: E731
    press("Last")
    assert tab.locator("#position").inner_text() == "step 7 of 7"
    press("Forward")
    assert sentence(tab) == whole
    press("Forward")
    assert sentence(tab) == str(ReverseSweep(J).step())
    press("First")
    assert sentence(tab) == "The sweep starts at J, where ∂J/∂J = 1."
    assert tab.get_by_role("button", name="Back").is_disabled()
    press("Reset")
    assert sentence(tab) == whole


def test_pointing_at_a_node_shows_it_and_lights_its_paths(tab, tmp_path):
    s = Value(0.3, "s")
    opened(tab, tmp_path, margin_loss(s, s / 2))
    tab.locator("#n1").hover()
    lit = tab.evaluate("[...document.querySelectorAll('.node.lit')].map((node) => node.id)")
    assert lit == ["n1", "n3", "n4", "n5", "n7"]
    assert "s, an input" in tab.locator("#node").inner_text()
    tab.mouse.move(2, 2)
    assert tab.locator(".lit").count() == 0
    tab.locator("#n5").focus()
    about = tab.locator("#node").inner_text().splitlines()
    assert about == [
        "z = v₁ − s", "value 0.85", "gradient ∂J/∂z = 1", "local derivative ∂z/∂v₁ = 1",
        "local derivative ∂z/∂s = −1",
    ]  # fmt: skip
    lit = tab.locator(".back.lit text").all_text_contents()
    assert lit == ["×1"]  # one path leads from z to J
    tab.locator("#n1").focus()
    assert len(tab.locator(".back.lit").all()) == 5  # two paths lead from s to J, and share an end


def test_escape_and_a_step_leave_a_box(tab, tmp_path):
    opened(tab, tmp_path, margin())
    for leave, node in (("Escape", "#n5"), ("ArrowRight", "#n4")):
        tab.locator(node).focus()
        assert tab.locator(".lit").count() > 0
        tab.keyboard.press(leave)
        assert tab.locator(".lit").count() == 0
        assert tab.locator(".tracing").count() == 0


def test_the_current_node_and_its_arrows_stand_out(tab, tmp_path):
    opened(tab, tmp_path, margin(), "#step=3")
    assert tab.locator(".node.current .title").all_text_contents() == ["z = v₁ − s"]
    assert tab.locator(".back.current text").all_text_contents() == ["×1", "×(−1)"]
    assert tab.locator(".forward.current").count() == 2
    weights = tab.evaluate(
        "[...document.querySelectorAll('.back text')].map((text) => getComputedStyle(text).fontWeight)"
    )
    assert sorted(weights) == ["400"] * 3 + ["700"] * 2


def test_esc_gives_the_hint_back_and_a_failed_node_says_why(tab, tmp_path):
    x = Value(1.0, "x")
    opened(tab, tmp_path, x.log() * 2, "#x=-1")
    tab.locator("#n1").focus()
    said = "log needs an operand above 0; got x = -1.0"
    assert said in tab.locator("#node").inner_text()
    assert said in tab.locator("#n1").get_attribute("aria-label")
    assert not tab.locator("#hint").is_visible()
    tab.keyboard.press("Escape")
    assert tab.locator("#hint").is_visible()
    assert not tab.locator("#node").is_visible()
    assert tab.evaluate("document.activeElement === document.body")


def test_a_key_held_down_comes_to_rest_at_the_end(tab, tmp_path):
    opened(tab, tmp_path, margin())
    tab.keyboard.press("Home")
    for _ in range(20):
        tab.keyboard.down("ArrowRight")
    tab.keyboard.up("ArrowRight")
    assert tab.locator("#position").inner_text() == "all 7 steps"


def test_a_long_label_leaves_room_to_drag(tab, tmp_path):
    opened(tab, tmp_path, Value(0.5, "the temperature of the furnace") * Value(1234567.891, "b"))
    assert tab.get_by_label("b, slider").bounding_box()["width"] >= 70
    assert tab.get_by_label("b", exact=True).input_value() == "1234567.9"
    assert tab.evaluate("state.leaves[rows[0].node]") == 1234567.891


@pytest.mark.parametrize("size", ["phone", "laptop"])
def test_the_graph_stays_in_sight_while_stepping(chromium, tmp_path, size):
    page(wide(), tmp_path / "x.html")
    width, height = SIZES[size]
    tab = chromium.new_page(viewport={"width": width, "height": height})
    tab.goto((tmp_path / "x.html").as_uri())
    tab.locator("#forward").focus()
    for _ in range(12):
        tab.keyboard.press("Enter")
        box = tab.locator(".node.current rect").bounding_box()
        button = tab.locator("#forward").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height
        assert box["y"] + box["height"] <= button["y"]  # the one does not hide the other
        assert button["y"] + button["height"] <= height
    tab.close()


def test_the_leaf_in_use_stands_out(tab, tmp_path):
    opened(tab, tmp_path, margin())
    tab.get_by_label("s_c, slider", exact=True).focus()
    assert tab.locator(".held .value").all_text_contents() == ["0.5"]
    tab.get_by_label("s", exact=True).focus()
    assert tab.locator(".held .value").all_text_contents() == ["0.3"]
    tab.locator("#reset").focus()
    assert tab.locator(".held").count() == 0


def wide():
    """A graph that has more nodes than a screen can show."""
    x = [Value(0.1 * i, f"x_{i}") for i in range(12)]
    layers = x
    for k in range(3):
        layers = [(a * b + 0.1 * k).tanh() for a, b in itertools.pairwise(layers)]
    return margin_loss(sum(layers), x[0] * 2)


def test_of_a_large_graph_all_is_right_at_rest(tab, tmp_path):
    J = wide()
    assert len(topological_order(J)) > 120
    opened(tab, tmp_path, J)
    leaf = next(node for node in topological_order(J) if node.label == "x_5")
    tab.get_by_label("x_5", exact=True).fill("-0.75")
    K = rebuilt(J, {leaf: -0.75})[J]
    gradients = adjoints(K)
    moment = Progress(frozenset(gradients), None, gradients)
    hidden = "getComputedStyle(document.querySelector('.node.out')).display"
    assert tab.evaluate(hidden) == "none"  # while it moves, what is out of view costs nothing
    in_view = tab.evaluate(
        "[...document.querySelectorAll('.node:not(.out)')].map((node) => Number(node.id.slice(1)))"
    )
    assert 5 < len(in_view) < len(gradients)
    nodes, on_page = list(gradients), shown(tab)["nodes"]
    for i in in_view:
        assert math.isclose(float(on_page[i]["value"]), nodes[i].data, rel_tol=1e-12)
    tab.wait_for_timeout(900)
    assert tab.evaluate(hidden) != "none"
    check(shown(tab), K, moment)


def test_a_box_in_use_is_scrolled_into_view_and_the_whole_can_be_seen(tab, tmp_path):
    J = wide()
    opened(tab, tmp_path, J)
    order = topological_order(J)
    i = next(i for i, node in enumerate(order) if node.label == "x_11")

    def is_inside(inner):
        frame, box = tab.locator("#picture").bounding_box(), tab.locator(inner).bounding_box()
        return all(
            frame[a] - 1 <= box[a] and box[a] + box[size] <= frame[a] + frame[size] + 1
            for a, size in (("x", "width"), ("y", "height"))
        )

    assert is_inside(f"#n{len(order) - 1}")
    tab.get_by_label("x_11, slider", exact=True).focus()
    assert is_inside(f"#n{i}")
    tab.get_by_role("button", name="Whole graph").click()
    assert all(is_inside(f"#n{k}") for k in range(len(order)))
    tab.get_by_role("button", name="Whole graph").click()
    assert not all(is_inside(f"#n{k}") for k in range(len(order)))
    opened(tab, tmp_path, margin())
    assert not tab.locator("#whole").is_visible()  # all of it is in view


def test_without_its_script_nothing_pretends_to_work(chromium, tmp_path):
    page(margin(), tmp_path / "x.html")
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((tmp_path / "x.html").as_uri())
    assert tab.locator("#inputs[inert]").count() == 1
    assert tab.locator("#sweep[inert]").count() == 1
    assert "allow its script" in tab.locator("noscript").inner_text()
    context.close()


def test_the_address_holds_the_state(tab, tmp_path):
    opened(tab, tmp_path, margin(), "#s=0.25&s_c=-2e-1&step=3")
    J = margin(0.25, -0.2)
    assert sentence(tab) == str(ReverseSweep(J).run()[2])
    tab.keyboard.press("ArrowLeft")
    tab.wait_for_timeout(500)
    assert tab.url.endswith("#s=0.25&s_c=-0.2&step=2")
    tab.get_by_label("s", exact=True).fill("1.5")
    tab.get_by_label("Δ", exact=True).fill("2")
    tab.wait_for_timeout(500)
    assert tab.url.endswith("#s=1.5&s_c=-0.2&%CE%94=2&step=2")
    tab.reload()
    assert sentence(tab) == str(ReverseSweep(margin_loss(Value(1.5), Value(-0.2), 2)).run()[1])
    tab.evaluate("location.hash = '#s=7'")
    tab.wait_for_timeout(100)
    assert [tab.get_by_label(name, exact=True).input_value() for name in ("s", "s_c", "Δ")] == [
        "7", "0.5", "1"]  # fmt: skip
    assert float(tab.get_by_label("s, slider").input_value()) == 7  # beyond the slider's first end


@pytest.mark.parametrize(
    "address",
    ["#", "#s", "#s=", "#s=x", "#s=NaN", "#s=Infinity", "#s=1e999", "#s=0x10", "#step=-1",
     "#step=8", "#step=1.5", "#step=", "#z=4&J=9", "#%", "#%E0%A4%A", "#s=1;s_c=2", "#<script>",
     "#__proto__=1", "#step=99999999999999999999", "#" + "s" * 10_000, "#s=1_0", "# s=2"],
)  # fmt: skip
def test_an_address_that_makes_no_sense_is_ignored(tab, tmp_path, address):
    opened(tab, tmp_path, margin(), address)
    assert sentence(tab) == "J = 1.2, ∂J/∂s = −1, ∂J/∂s_c = +1"


def test_what_is_no_number_in_the_box_changes_nothing(tab, tmp_path):
    opened(tab, tmp_path, margin())
    box = tab.get_by_label("s", exact=True)
    box.fill("")
    assert "J = 1.2" in sentence(tab)
    box.press_sequentially("1e999")
    tab.locator("#reset").focus()
    assert math.isfinite(float(box.input_value()))
    assert "NaN" not in tab.locator("body").inner_text()


def test_a_leaf_called_step_and_two_leaves_of_one_name(tab, tmp_path):
    a, b, c = Value(1.0, "step"), Value(2.0, "p"), Value(3.0, "p")
    opened(tab, tmp_path, a * b * c)
    tab.keyboard.press("Home")
    tab.get_by_label("p′", exact=True).fill("5")
    tab.wait_for_timeout(500)
    tab.reload()
    values = [tab.get_by_label(name, exact=True).input_value() for name in ("step", "p", "p′")]
    assert values == ["1", "2", "5"]
    assert tab.locator("#position").inner_text() == "step 0 of 5"


def test_hostile_labels_are_shown_and_nothing_runs(tab, tmp_path):
    for label in HOSTILE:
        J = Value(1.0, label) + Value(2.0, f"{label}2")
        J.label = f"J{label}"
        opened(tab, tmp_path, J, title=label)
        seen = "".join(c if c.isprintable() else " " for c in label).strip()
        assert tab.locator("h1").text_content() == seen
        assert tab.locator("script").count() == 2
        assert tab.locator("img, iframe, h1 *").count() == 0
        if seen:
            assert tab.evaluate("spec.nodes[0].name") == seen
            assert tab.locator("#n0 .title").text_content() == seen
        tab.keyboard.press("Home")
        tab.keyboard.press("ArrowRight")
        assert f"J{seen}".split(" ")[0] in sentence(tab)


def test_the_policy_holds(chromium, tmp_path):
    page(margin(), tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text("utf-8")
    hole = "<script>document.title = 'run'</script><img src='http://127.0.0.1:9/x.png'>"
    (tmp_path / "x.html").write_text(text.replace("</h1>", f"</h1>{hole}"), "utf-8")
    tab = chromium.new_page()
    said = []
    tab.on("console", lambda message: said.append(message.text))
    tab.goto((tmp_path / "x.html").as_uri())
    assert tab.title() != "run"
    assert len([text for text in said if "Content Security Policy" in text]) == 2
    assert tab.locator("#sentence").text_content().startswith("J = 1.2")  # its own script ran
    tab.close()


def test_in_a_notebook_s_frame(tab, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><p>a</p>{page(margin())._repr_html_()}")
    tab.goto(path.as_uri())
    frame = tab.frame_locator("iframe")
    frame.get_by_label("s", exact=True).fill("3")
    tab.wait_for_timeout(200)
    assert frame.locator("#sentence").text_content() == "J = 0, ∂J/∂s = 0, ∂J/∂s_c = 0"


SIZES = {
    "phone": (390, 844),
    "tablet": (820, 1180),
    "laptop": (1280, 800),
    "projector": (1920, 1080),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_can_be_read(chromium, tmp_path, size, scheme):
    width, height = SIZES[size]
    page(margin(), tmp_path / "x.html")
    tab = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    tab.goto((tmp_path / "x.html").as_uri())
    wide, tall, letters, paper, ink = tab.evaluate(
        """() => {
            const picture = document.getElementById("picture");
            const text = document.querySelector("#n6 .value").getBoundingClientRect();
            const style = getComputedStyle(document.body);
            return [
                document.documentElement.scrollWidth, picture.scrollWidth - picture.clientWidth,
                text.height, style.backgroundColor, style.color,
            ];
        }"""
    )
    assert wide <= width  # no scrolling sideways
    assert tall <= 0
    assert letters >= (10 if size == "phone" else 14) * 1.1
    dark = [sum(map(int, re.findall(r"\d+", colour)[:3])) < 380 for colour in (paper, ink)]
    assert dark == [scheme == "dark", scheme == "light"]
    for name in ("reset", "first", "forward", "slider1"):
        assert tab.locator(f"#{name}").bounding_box()["height"] >= (40 if size == "phone" else 24)
    boxes = [tab.locator(f"#n{i} rect").bounding_box() for i in range(7)]
    texts = tab.locator(".node text:visible").all()
    for text in texts:
        inside = text.bounding_box()
        assert any(
            box["x"] - 1 <= inside["x"]
            and inside["x"] + inside["width"] <= box["x"] + box["width"] + 1
            for box in boxes
        )
    tab.close()


def test_long_numbers_stay_in_their_boxes(tab, tmp_path):
    a, b = Value(-1.2345e-300, "a"), Value(-9.8765e-7, "b")
    opened(tab, tmp_path, a * b - 123456.0 * a)
    for i in range(len(topological_order(a * b - 123456.0 * a))):
        box = tab.locator(f"#n{i} rect").bounding_box()
        for text in tab.locator(f"#n{i} text:visible").all():
            inside = text.bounding_box()
            assert box["x"] <= inside["x"]
            assert inside["x"] + inside["width"] <= box["x"] + box["width"]


def test_a_screen_reader_finds_names_and_a_live_region(tab, tmp_path):
    opened(tab, tmp_path, margin())
    tab.wait_for_timeout(300)
    live = tab.locator("#said")
    assert (live.get_attribute("role"), live.get_attribute("aria-live")) == ("status", "polite")
    for name in ("s, slider", "s_c, slider", "Δ, slider"):
        assert tab.get_by_role("slider", name=name).count() == 1
    for name in ("s", "s_c", "Δ"):
        assert tab.get_by_role("spinbutton", name=name, exact=True).count() == 1
    for name in ("First", "Back", "Forward", "Last", "Reset"):
        assert tab.get_by_role("button", name=name).count() == 1
    assert tab.locator("#n3").get_attribute("aria-label") == (
        "s, an input, value 0.3, gradient ∂J/∂s = −1"
    )
    assert tab.locator("#n1, #n0").and_(tab.locator("[aria-label*='which its slider sets']")).count() == 1
    before = live.text_content()
    assert before.startswith("all 7 steps\nJ = 1.2")
    assert "the max passes z" in before
    tab.get_by_label("s", exact=True).fill("2.9")
    tab.get_by_label("s", exact=True).fill("3")
    assert live.text_content() == before  # not while it moves
    tab.wait_for_timeout(900)
    assert live.text_content().startswith("all 7 steps\nJ = 0")
    assert "the max passes 0" in live.text_content()
    assert "gradient ∂J/∂s = 0" in tab.locator("#n3").get_attribute("aria-label")
    tab.keyboard.press("Tab")
    tab.locator("#first").press("ArrowRight")
    tab.wait_for_timeout(400)
    assert live.text_content().startswith("step 1 of 7\nJ = max(z, 0):")


def test_it_prints(chromium, tmp_path):
    page(margin(), tmp_path / "x.html")
    tab = chromium.new_page(color_scheme="dark")
    tab.goto((tmp_path / "x.html").as_uri())
    tab.emulate_media(media="print", color_scheme="dark")
    assert not tab.locator("#forward").is_visible()
    assert tab.locator("#graph").is_visible()
    assert tab.locator("#sentence").is_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tab.close()


def test_without_labels_there_is_nothing_to_drag(tab, tmp_path):
    opened(tab, tmp_path, Value(2.0) * 3)
    assert "nothing to drag" in tab.locator("#inputs").inner_text()
    tab.keyboard.press("ArrowRight")
    assert sentence(tab) == "J = v₁ × 3:\n  ∂J/∂v₁ += ∂J/∂J · ∂J/∂v₁ = 1 · 3 = 3"
    opened(tab, tmp_path, Value(2.0, "x"))  # a graph of one node
    tab.keyboard.press("ArrowRight")
    assert sentence(tab) == "x is a leaf: ∂x/∂x = 1"


@pytest.mark.parametrize("x", [math.inf, -math.inf, math.nan, 1e308])
def test_a_leaf_that_is_no_plain_number(tab, tmp_path, x):
    opened(tab, tmp_path, Value(x, "a") * 2 + 1)
    assert sentence(tab).startswith(f"J = {number(x * 2 + 1)}")
    assert "NaN" not in tab.locator("body").inner_text()
    tab.get_by_label("a", exact=True).fill("3")
    assert sentence(tab) == "J = 7, ∂J/∂a = +2"
    tab.locator("#reset").click()
    assert sentence(tab).startswith(f"J = {number(x * 2 + 1)}")


def test_names_and_keys_are_unique(tab, tmp_path):
    leaves = [Value(float(i), label) for i, label in enumerate(("x", "x′", "x", "step", "step′"))]
    opened(tab, tmp_path, sum(leaves[1:], leaves[0]))
    assert tab.evaluate("new Set(rows.map((row) => row.key)).size") == 5
    assert tab.evaluate("new Set(spec.nodes.map((node) => node.name)).size") == 9
    tab.evaluate(
        "rows.forEach(({box}, i) => { box.value = 10 + i; box.dispatchEvent(new Event('input')); })"
    )
    tab.wait_for_timeout(800)
    tab.reload()
    assert tab.evaluate("rows.map(({node}) => state.leaves[node])") == [10, 11, 12, 13, 14]


def test_sliders_of_small_and_of_reset_leaves(tab, tmp_path):
    opened(tab, tmp_path, Value(0.3, "s") * Value(1e-5, "lr"))
    slider = tab.get_by_label("lr, slider")
    assert float(slider.input_value()) == 1e-5
    slider.press("ArrowRight")
    assert 1e-5 < float(slider.input_value()) <= 2e-5
    tab.get_by_label("s", exact=True).fill("1e300")
    tab.locator("#reset").click()
    s = tab.get_by_label("s, slider")
    assert (s.get_attribute("min"), s.get_attribute("max")) == ("-3", "4")
