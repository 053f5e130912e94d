"""Pages for the tests: open one in the browser, read it, compare it with the engine."""

import itertools
import math
import os
import re
from urllib.parse import urlencode

from tinygrad_margin import Value, margin_loss, page
from tinygrad_margin.views.boxes_and_arrows import boxes_and_arrows

HOSTILE = [
    "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&amp;&lt;", "'\"`${1}",
    "]]>", "a\u2028b", "<!--", "{{script}}", "{a} {x}", "\\u003c\\N", "step", "__proto__",
    "javascript:alert(1)", "-->", "\x00\ud800", "</style><b>", "s=1&step=0#", "+ %41",
]  # fmt: skip

SIZES = {
    "phone": (390, 844),
    "tablet": (820, 1180),
    "laptop": (1280, 800),
    "projector": (1920, 1080),
}


def margin(s=0.3, s_c=0.5):
    return margin_loss(Value(s), Value(s_c))


def wide():
    """A graph that has more nodes than a screen can show."""
    x = [Value(0.1 * i, f"x_{i}") for i in range(12)]
    layers = x
    for k in range(3):
        layers = [(a * b + 0.1 * k).tanh() for a, b in itertools.pairwise(layers)]
    return margin_loss(sum(layers), x[0] * 2)


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
