"""The file that page() writes."""

import base64
import hashlib
import os
import re

import pytest
from pages import (
    HOSTILE,
    margin,
    opened,
    sentence,
)

from tinygrad_margin import Value, page, topological_order


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
    with pytest.raises(ValueError, match=r"page writes \.html, \.htm; got 'x\.png'"):
        page(margin(), "x.png")
    with pytest.raises(ValueError, match=r"7 nodes.*max_nodes=7 \(it is 6\)"):
        page(margin(), tmp_path / "x.html", max_nodes=6)
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


def test_without_its_script_nothing_pretends_to_work(chromium, tmp_path):
    page(margin(), tmp_path / "x.html")
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((tmp_path / "x.html").as_uri())
    assert tab.locator("#inputs[inert]").count() == 1
    assert tab.locator("#sweep[inert]").count() == 1
    assert "allow its script" in tab.locator("noscript").inner_text()
    context.close()


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
