"""What the page looks like: on any screen, in print, to a screen reader."""

import math
import re

import pytest
from graphs import rebuilt
from pages import SIZES, check, margin, opened, shown, wide

from tinygrad_margin import Value, page, topological_order
from tinygrad_margin.engine import adjoints
from tinygrad_margin.views.boxes_and_arrows import Progress


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


def test_a_long_label_leaves_room_to_drag(tab, tmp_path):
    opened(tab, tmp_path, Value(0.5, "the temperature of the furnace") * Value(1234567.891, "b"))
    assert tab.get_by_label("b, slider").bounding_box()["width"] >= 70
    assert tab.get_by_label("b", exact=True).input_value() == "1234567.9"
    assert tab.evaluate("state.leaves[rows[0].node]") == 1234567.891


def test_long_numbers_stay_in_their_boxes(tab, tmp_path):
    a, b = Value(-1.2345e-300, "a"), Value(-9.8765e-7, "b")
    opened(tab, tmp_path, a * b - 123456.0 * a)
    for i in range(len(topological_order(a * b - 123456.0 * a))):
        box = tab.locator(f"#n{i} rect").bounding_box()
        for text in tab.locator(f"#n{i} text:visible").all():
            inside = text.bounding_box()
            assert box["x"] <= inside["x"]
            assert inside["x"] + inside["width"] <= box["x"] + box["width"]


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
    assert (
        tab.locator("#n1, #n0").and_(tab.locator("[aria-label*='which its slider sets']")).count()
        == 1
    )
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
