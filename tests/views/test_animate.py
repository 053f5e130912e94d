import os
import re
import xml.etree.ElementTree as ET

import pytest
from graphs import random_graph

from tinygrad_margin import (
    ReverseSweep,
    SlopeError,
    Value,
    animate,
    margin_loss,
    topological_order,
)

SVG = "{http://www.w3.org/2000/svg}"


def margin(s=0.3):
    return margin_loss(Value(s), Value(0.5))


def moments(svg):
    """From which moment to which each part is seen, with the part's texts."""
    found = []
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        shot = re.fullmatch(r"t(\d+)-(\d+)", group.get("class", ""))
        if shot:
            texts = ["".join(text.itertext()) for text in group.iter(f"{SVG}text")]
            found.append((int(shot[1]), int(shot[2]), texts))
    return found


def test_it_is_one_svg_without_a_script_that_asks_for_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = animate(margin())
    text = (tmp_path / "sweep.svg").read_text("utf-8")
    assert text == shown.svg
    root = ET.fromstring(text)
    assert root.tag == f"{SVG}svg"
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "style", "g", "rect", "path", "polygon", "text", "tspan"}
    assert set(re.findall(r"https?://[^\"]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in text
    assert "@import" not in text


def test_it_shows_every_sentence_of_the_sweep_in_order():
    J = margin()
    steps = ReverseSweep(J).run()
    captions = moments(animate(J, None).svg)
    for k, step in enumerate(steps, 1):
        lines = [line.strip() for line in str(step).splitlines()]
        assert (k, k + 1, lines) in captions
    assert (0, 1, ["The sweep starts at J, where ∂J/∂J = 1."]) in captions
    assert (len(steps) + 1, len(steps) + 2, ["J = 1.2, ∂J/∂s = −1, ∂J/∂s_c = +1"]) in captions


@pytest.mark.parametrize("seed", range(5))
def test_at_every_moment_each_box_is_there_exactly_once(seed):
    J, _ = random_graph(seed)
    svg = animate(J, None).svg
    nodes = len(topological_order(J))
    root = ET.fromstring(svg)
    seen = [[] for _ in range(nodes + 2)]  # at each moment, where there is a box
    parents = {child: parent for parent in root.iter() for child in parent}
    for group in root.iter(f"{SVG}g"):
        if group.get("class").startswith("node"):
            shot = re.fullmatch(r"t(\d+)-(\d+)", parents[group].get("class", ""))
            start, stop = map(int, shot.groups()) if shot else (0, nodes + 2)
            for moment in range(start, stop):
                seen[moment].append(group.get("transform"))
    for places in seen:
        assert len(places) == len(set(places)) == nodes


def test_it_loops_holds_its_last_moment_and_respects_reduced_motion():
    svg = animate(margin(), None, seconds_per_step=2.5).svg
    (length,) = set(re.findall(r"animation:\S+ ([\d.]+)s", svg))
    steps = 7
    assert float(length) == 2.5 * (1 + steps + 4)  # the start, the steps, the whole for longer
    assert all(
        "infinite" in each for each in re.findall(r"animation:[^;}]*", svg) if "none" not in each
    )
    assert "@media (prefers-reduced-motion:reduce),print{*{animation:none!important}}" in svg
    base = dict(re.findall(r"\.t\d+-(\d+)\{visibility:(\w+)", svg))
    assert base.pop(str(steps + 2)) == "visible"
    assert set(base.values()) == {"hidden"}
    assert "infinite" not in animate(margin(), None).still


def test_bad_input_is_refused_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match="takes Values"):
        animate(3)
    with pytest.raises(ValueError, match=r"animate writes \.svg; got 'a\.gif'"):
        animate(margin(), "a.gif")
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="seconds_per_step is a positive number; got"):
            animate(margin(), seconds_per_step=wrong)
    with pytest.raises(ValueError, match="7 nodes, too many"):
        animate(margin(), max_nodes=6)
    with pytest.raises(SlopeError, match="sqrt"):
        animate(Value(0.0).sqrt())
    with pytest.raises(FileNotFoundError):
        animate(margin(), "none/sweep.svg")
    assert os.listdir(tmp_path) == []


def test_hostile_labels_are_text():
    for label in ("</text><script>alert(1)</script>", "]]>", "&lt;", '"', "\x00\ud800", "{x}"):
        J = Value(1.0, label) * 2.0
        root = ET.fromstring(animate(J, None).svg)
        assert root.find(f".//{SVG}script") is None
        seen = "".join(c if c.isprintable() else " " for c in label).strip()
        assert seen in "".join(root.itertext())


def test_a_graph_of_one_node():
    assert "x is a leaf: ∂x/∂x = 1" in animate(Value(2.0, "x"), None).svg


def test_no_grad_is_touched():
    J = margin()
    J.backward()
    before = [node.grad for node in topological_order(J)]
    animate(J, None)
    assert [node.grad for node in topological_order(J)] == before


def seen(tab, seconds):
    """The texts that are seen at a time."""
    return tab.evaluate(
        """(seconds) => {
            for (const animation of document.getAnimations()) {
                animation.pause();
                animation.currentTime = 1000 * seconds;
            }
            return [...document.querySelectorAll("text")]
                .filter((text) => getComputedStyle(text).visibility === "visible"
                    && getComputedStyle(text).display !== "none")
                .map((text) => text.textContent);
        }""",
        seconds,
    )


def test_it_plays(tab, tmp_path):
    J = margin()
    animate(J, tmp_path / "sweep.svg")
    tab.goto((tmp_path / "sweep.svg").as_uri())
    for k, step in enumerate(ReverseSweep(J).run(), 1):
        texts = seen(tab, k + 0.7)
        for line in str(step).splitlines():
            assert line.strip() in texts
        assert texts.count("1.2") == 2  # z and J, once each
    assert "∂J/∂s = −1" not in seen(tab, 2.9)
    assert "∂J/∂s = −1" in seen(tab, 3.1)
    for late in (8.1, 11.9):
        assert "J = 1.2, ∂J/∂s = −1, ∂J/∂s_c = +1" in seen(tab, late)
    assert "The sweep starts at J, where ∂J/∂J = 1." in seen(tab, 12.1)  # and again


def test_who_prefers_reduced_motion_sees_the_last_moment(chromium, tmp_path):
    shown = animate(margin(), tmp_path / "sweep.svg")
    tab = chromium.new_page(reduced_motion="reduce")
    tab.goto((tmp_path / "sweep.svg").as_uri())
    assert tab.evaluate("document.getAnimations().length") == 0
    assert "J = 1.2, ∂J/∂s = −1, ∂J/∂s_c = +1" in seen(tab, 0)
    (tmp_path / "notebook.html").write_text(shown._repr_html_())
    tab.goto((tmp_path / "notebook.html").as_uri())  # in an <img>, another picture is chosen
    tab.wait_for_timeout(100)
    one = tab.screenshot()
    tab.wait_for_timeout(2500)
    assert tab.screenshot() == one
    tab.close()
