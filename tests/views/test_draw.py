import html
import os
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import graphviz
import pytest
from graphs import random_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_margin import (
    Value,
    beside,
    binary_cross_entropy,
    draw,
    margin_loss,
    maximum,
    primitive,
    topological_order,
)
from tinygrad_margin.views.run_graphviz import render
from tinygrad_margin.views.svg import SvgGraph

SVG = "{http://www.w3.org/2000/svg}"


def margin(s=0.3, s_c=0.5):
    return margin_loss(Value(s), Value(s_c))


def groups(picture, kind):
    """The SVG's groups of a kind, each as its title and its text."""
    root = ET.fromstring(picture.pipe("svg"))
    return [
        (g.findtext(f"{SVG}title"), "".join("".join(t.itertext()) for t in g.iter(f"{SVG}text")))
        for g in root.iter(f"{SVG}g")
        if g.get("class") == kind
    ]


def boxes(picture):
    texts = dict(groups(picture, "node"))
    return [texts[f"n{i}"].replace("\xa0", "") for i in range(len(texts))]


def test_it_is_a_digraph_that_shows_itself():
    picture = draw(margin())
    assert isinstance(picture, graphviz.Digraph)
    assert picture.pipe("svg", encoding="utf-8").startswith("<?xml")
    assert picture.pipe("png").startswith(b"\x89PNG")
    assert picture.pipe("pdf").startswith(b"%PDF")
    assert "<svg" in picture._repr_mimebundle_()["image/svg+xml"]
    assert picture.copy().source == picture.source


def test_it_renders_to_a_folder_like_any_digraph(tmp_path):
    picture = draw(margin())
    path = picture.render("margin", directory=tmp_path, format="png", cleanup=True)
    assert os.listdir(tmp_path) == ["margin.png"]
    assert Path(path).read_bytes().startswith(b"\x89PNG")
    path = picture.render(outfile=tmp_path / "other.svg")
    assert sorted(os.listdir(tmp_path)) == ["margin.png", "other.gv", "other.svg"]


def test_one_box_is_one_node_with_name_value_and_gradient():
    assert boxes(draw(margin())) == [
        "Δ1", "sc0.5∂J/∂sc = +1", "+1.5gradient 1", "s0.3∂J/∂s = −1", "z = 1.5 − s1.2∂J/∂z = 1", "0",
        "J = max(z, 0)1.2∂J/∂J = 1",
    ]  # fmt: skip


def heads(picture):
    """Where the arrows' points are, by the edge's title: near its start or near its end."""
    root = ET.fromstring(picture.pipe("svg"))
    found = []
    for g in root.iter(f"{SVG}g"):
        if g.get("class") == "edge":
            number = r"-?[\d.]+"
            line = re.findall(number, g.find(f"{SVG}path").get("d"))
            point = re.findall(number, g.find(f"{SVG}polygon").get("points"))
            x, start, end = float(point[2]), float(line[0]), float(line[-2])
            found.append(
                (g.findtext(f"{SVG}title"), "start" if abs(x - start) < abs(x - end) else "end")
            )
    return found


def test_red_arrows_lead_back_with_the_local_derivative():
    picture = draw(margin())
    arrows = groups(picture, "edge")
    back = {title: text for title, text in arrows if text}
    assert back == {
        "n4->n6": "×1",
        "n5->n6": "×0",
        "n2->n4": "×1",
        "n3->n4": "×(−1)",
        "n1->n2": "×1",
    }
    assert len(arrows) - len(back) == 6
    points = heads(picture)
    assert points.count(("n3->n4", "start")) == points.count(("n3->n4", "end")) == 1
    assert points.count(("n0->n2", "end")) == 1  # nobody asks for ∂J/∂Δ
    assert ("n0->n2", "start") not in points


@pytest.mark.parametrize(
    ("s", "dashed"), [(0.3, {"n6", "n5"}), (3.0, {"n0", "n1", "n2", "n3", "n4", "n6"})]
)
def test_a_branch_that_passes_no_gradient_is_dashed(s, dashed):
    lines = draw(margin(s)).source.splitlines()
    quiet = [line for line in lines if "->" in line and "style=dashed" in line]
    assert {name for line in quiet for name in re.findall(r"n\d", line)} == dashed


def test_wider_where_more_flows():
    a, b = Value(3.0, "a"), Value(1.0, "b")
    widths = {
        (m[1], m[2]): float(m[3])
        for m in re.finditer(
            r"(n\d) -> (n\d) \[.*?dir=back.*?penwidth=([\d.]+)", draw(a * 5 + b).source
        )
    }
    assert widths["n0", "n2"] > widths["n3", "n4"] > 0


def test_gradients_are_fresh_and_no_grad_is_read_or_changed():
    J, leaves = random_graph(7)
    before = draw(J).source
    J.backward()
    leaves[0].grad = 99.0
    assert draw(J).source == before
    assert leaves[0].grad == 99.0
    assert J.grad == 1.0


def test_gradients_may_be_left_out():
    picture = draw(margin(), gradients=False)
    assert "∂" not in picture.source
    assert picture.source.count("->") == 6


def test_without_gradients_no_slope_is_asked_for():
    def partials(x, out):
        raise AssertionError("who asks?")

    x = Value(4.0, "x")
    J = primitive("root", lambda x: x**0.5, partials)(x) * x
    assert "gradient" not in draw(J, gradients=False).source
    assert draw(J, gradients=False).source.count("->") == 3
    with pytest.raises(AssertionError, match="who asks"):
        draw(J)


def test_beside_takes_captions():
    x = Value(1.0, "x")
    for wrong in ([x, x], x, "x", None):
        with pytest.raises(TypeError, match=r"^beside\(graphs\) takes a mapping from captions to roots"):
            beside(wrong)


def test_a_slope_that_does_not_exist_says_so():
    q, p = Value(0.0, "q"), Value(2.0, "p")
    shown = boxes(draw(q.sqrt() * p))
    assert "q0∂J/∂q does not exist" in shown
    assert "p2∂J/∂p = 0" in shown
    assert ("n0->n1", "no slope") in groups(draw(q.sqrt() * p), "edge")


def test_a_kink_says_so():
    assert boxes(draw(margin(1.5)))[-1] == "J = max(z, 0)0∂J/∂J = 1kink: takes ½ of [0, 1]"
    assert "v0∂J/∂v = 0" in boxes(draw(Value(0.0, "v").relu()))
    assert "kink: takes 0 of [0, 1]" in boxes(draw(Value(0.0, "v").relu()))[-1]
    assert "kink" not in draw(margin()).source


def test_the_order_of_operands_can_be_read():
    a, b = Value(8.0, "a"), Value(2.0, "b")
    shown = boxes(draw(b * b - a / (a + b) - b))
    assert "a / 100.8gradient −1" in shown
    assert "4 − 0.83.2gradient 1" in shown
    assert shown[-1].startswith("J = 3.2 − b")
    assert boxes(draw((a - 10) ** 2))[-1].startswith("J = (−2)2")


def test_constants_are_pale_only_where_no_gradient_passes():
    source = draw(Value(3.0, "v") ** 2).source
    assert "dashed" not in source


def one_leaf(n):
    t = x = Value(1.0, "x")
    for _ in range(n - 1):
        t = t + x
    return t


def unrolled(n):
    """A recurrent net with two hidden units; the time steps share its weights."""
    W = [Value(0.1 * k, f"W_{k}") for k in range(8)]
    h = [Value(0.0), Value(0.0)]
    while True:
        x = Value(0.5, "x")
        h = [(a * h[0] + b * h[1] + c * x + d).tanh() for a, b, c, d in (W[:4], W[4:])]
        J = h[0] + h[1]
        if len(topological_order(J)) > n - 17:
            return J


def tangle(n):
    """Operations whose operands are any earlier ones, and a sum of all that is unused."""
    choose = random.Random(n)
    nodes = unused = [Value(0.1 * k, f"x_{k}") for k in range(8)]
    while len(nodes) + len(unused) < n:
        a, b = choose.choice(unused), choose.choice(nodes)
        nodes = [*nodes, maximum(a, b)]
        unused = [*(node for node in unused if node not in (a, b)), nodes[-1]]
    return sum(unused[1:], unused[0])


def layers(n):
    """Layers of 16 in which each node has two neighbours of the layer before."""
    layer = [Value(0.1 * k, f"x_{k}") for k in range(16)]
    for _ in range(n // 16 - 2):
        layer = [maximum(a, b) for a, b in zip(layer, layer[1:] + layer[:1])]
    return sum(layer[1:], layer[0])


def dense(n):
    """Layers of 16 in which each node has all of the layer before: thousands of arrows."""
    layer = [Value(0.1 * k, f"x_{k}") for k in range(16)]
    for _ in range(n // 16 - 2):
        layer = [maximum(*layer[k:], *layer[:k]) for k in range(16)]
    return sum(layer[1:], layer[0])


def arrange(J):
    return SvgGraph(J).layout


@pytest.mark.skipif(os.name != "posix", reason="measures the time of child processes")
@pytest.mark.parametrize("show", [lambda J: draw(J).pipe("svg"), arrange], ids=["draw", "page"])
@pytest.mark.parametrize("graph", [one_leaf, unrolled, tangle, layers, dense])
def test_the_largest_graphs_are_laid_out_in_seconds(graph, show):
    J = graph(400)
    assert 375 < len(topological_order(J)) <= 400
    seconds = -os.times().children_user
    show(J)
    assert seconds + os.times().children_user < 5


def test_only_arrows_that_reach_far_are_straight():
    assert "splines" in draw(one_leaf(60)).source
    assert "splines" not in draw(one_leaf(20)).source
    assert "splines" in beside({"far": one_leaf(60), "near": one_leaf(2)}).source
    long = sum(Value(0.1, f"x_{k}").tanh() for k in range(120))
    assert "splines" not in draw(long).source


def test_the_same_operand_twice_has_two_arrows_each_way():
    a = Value(3.0, "a")
    assert draw(a * a).source.count("->") == 4


def test_leaves_constants_operations_and_the_root_look_different():
    source = draw(margin()).source
    look = dict(re.findall(r'(n\d) \[label=<<table (border="\d" color="\S+" bgcolor="\S+"[^>]*?) cellb',
                           source))  # fmt: skip
    assert look["n1"] == look["n3"]  # s_c and s
    assert len({look["n0"], look["n1"], look["n2"], look["n6"]}) == 4


def test_the_same_graph_gives_the_same_text():
    for seed in range(10):
        J, _ = random_graph(seed)
        assert draw(J).source == draw(J).source


@pytest.mark.parametrize("direction", ["LR", "RL", "TB", "BT"])
def test_directions(direction):
    assert f"rankdir={direction}" in draw(margin(), direction=direction).source


def test_precision():
    assert "0.33333333" in draw(Value(1 / 3), precision=8).source
    assert "0.33333333" not in draw(Value(1 / 3)).source


LABELS = ['"', "'", "<b>bold</b>", "a|b", "{a}", "back\\slash\\n", "two\nlines", "x" * 10_000, "😀",
          "s_c", "W_12", "Δ", "theta", "&amp;", "]]>", "\x00\x1b\u2028\ud800", " ", "<", "\\", "n0",
          "a -> b", "-->", "%s{}", "\u202etxet", "é", "\t"]  # fmt: skip


@pytest.mark.parametrize("label", LABELS, ids=range(len(LABELS)))
def test_a_label_is_text_whatever_it_holds(label):
    a, b = Value(1.0, label), Value(2.0, label)
    J = a * b
    J.label = label
    plain = draw(Value(1.0, "a") * Value(2.0, "b"))
    picture = draw(J)
    assert len(groups(picture, "node")) == 3
    assert [title for title, _ in groups(picture, "edge")] == [t for t, _ in groups(plain, "edge")]
    if label in ('"', "<b>bold</b>", "a|b", "{a}", "&amp;", "😀", "n0", "a -> b", "%s{}"):
        assert boxes(picture)[0].startswith(label + "1")


@given(st.lists(st.text(), min_size=3, max_size=3))
@settings(max_examples=60, deadline=None)
def test_no_label_breaks_or_changes_the_structure(labels):
    a, b = Value(1.0, labels[0]), Value(2.0, labels[1])
    J = maximum(a - b, 0.0)
    J.label = labels[2]
    picture = draw(J)
    assert sorted(title for title, _ in groups(picture, "node")) == ["n0", "n1", "n2", "n3", "n4"]


def test_labels_are_typeset():
    assert "<i>s</i><sub>c</sub>" in draw(margin()).source
    assert "<i>θ</i><sub>1</sub>" in draw(Value(1.0, "theta_1")).source


@pytest.mark.parametrize("name", ["m.svg", "m.png", "m.pdf", "m.dot", "m.gv", "M.SVG"])
def test_a_file_is_written(tmp_path, name):
    picture = draw(margin(), tmp_path / name)
    start = (tmp_path / name).read_bytes()[:5]
    kind = name[-3:].lower()
    assert start.startswith(
        {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}.get(kind, b"digra")
    )
    if kind in ("dot", ".gv"):
        assert (tmp_path / name).read_text("utf-8") == picture.source
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["m", "m.jpg", "m.svgz", "m.", ".svg"])
def test_an_unknown_format_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.svg, \.png, \.pdf, \.dot, \.gv"):
        draw(margin(), tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_place_where_nothing_can_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        draw(margin(), tmp_path / "nowhere" / "m.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(IsADirectoryError):
        draw(margin(), tmp_path / "folder.svg")
    assert os.listdir(tmp_path) == ["folder.svg"]


def test_a_failed_layout_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "m.svg"
    target.write_text("old")

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(sys.modules["tinygrad_margin.views.dot"], "render", fail)
    with pytest.raises(RuntimeError):
        draw(margin(), target)
    assert target.read_text() == "old"


def test_a_graph_too_large_to_read_is_refused():
    v = Value(1.0)
    for _ in range(500):
        v = v + 1
    with pytest.raises(ValueError, match=r"1,001 nodes.*max_nodes=1001"):
        draw(v)
    assert draw(v, max_nodes=1001).source.count("label=<") == 1001
    with pytest.raises(ValueError, match="max_nodes"):
        draw(margin(), max_nodes=6)
    assert draw(margin(), max_nodes=7)


@pytest.mark.parametrize("direction", ["lr", None])
def test_an_unknown_direction_is_refused(direction):
    with pytest.raises(ValueError, match="direction is one of LR, RL, TB, BT; got"):
        draw(margin(), direction=direction)


def test_what_is_no_value_is_refused():
    for J in ("J", 3, None, [margin()]):
        with pytest.raises(TypeError, match="Value"):
            draw(J)


def test_drawing_leaves_the_graph_as_it_was():
    J, _ = random_graph(11)
    before = [(node.data, node.grad, node.label, node.parents) for node in topological_order(J)]
    draw(J)
    assert before == [(n.data, n.grad, n.label, n.parents) for n in topological_order(J)]


def test_random_graphs_always_parse():
    for seed in range(40):
        J, _ = random_graph(seed)
        assert len(groups(draw(J), "node")) == len(topological_order(J))


def test_no_output_on_stderr(tmp_path):
    code = (
        "from tinygrad_margin import *\n"
        "J = margin_loss(Value(0.3), Value(0.5))\n"
        f"draw(J, {str(tmp_path / 'm.svg')!r}); draw(J).pipe('png'); draw(J).pipe('pdf')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_micrograds_notebook_runs_unchanged():
    """The functions trace and draw_dot of micrograd's trace_graph notebook, in their own words."""

    def trace(root):
        nodes, edges = set(), set()

        def build(v):
            if v not in nodes:
                nodes.add(v)
                for child in v._prev:
                    edges.add((child, v))
                    build(child)

        build(root)
        return nodes, edges

    x = Value(1.0)
    y = (x * 2 + 1).relu()
    y.backward()
    nodes, edges = trace(y)
    dot = graphviz.Digraph(format="svg", graph_attr={"rankdir": "LR"})
    for n in nodes:
        dot.node(str(id(n)), label=f"{{ data {n.data:.4f} | grad {n.grad:.4f} }}", shape="record")
        if n._op:
            dot.node(str(id(n)) + n._op, label=n._op)
            dot.edge(str(id(n)) + n._op, str(id(n)))
    for n1, n2 in edges:
        dot.edge(str(id(n1)), str(id(n2)) + n2._op)
    assert render(dot.source, "svg").count(b'class="node"') == 6 + 3


@pytest.mark.parametrize("text", [r"\N", r"\G", "\\\\", r"a\Tb\E\L\n\l\r", "\\", "&amp;", "&#65;", "<b>"])
def test_backslashes_and_entities_are_text(text):
    a, own = Value(1.0, text), primitive(text, lambda x: x * 1, lambda x, out: (1,))
    assert boxes(draw(a))[0].startswith(text + "1")
    assert boxes(draw(own(a)))[-1].startswith(f"J = {text}({text})1")
    assert f">{html.escape(text)}</text>" in beside({text: a}).pipe("svg", encoding="utf-8")


def test_a_subscripted_exponent_is_well_formed():
    assert boxes(draw(Value(2.0, "a") ** Value(3.0, "x_1")))[-1].startswith("J = ax_1")


def test_a_shared_input_stands_out():
    a, b = Value(2.0, "a"), Value(3.0, "b")
    source = draw(a * b + a).source
    assert source.count('border="2"') == 1
    assert draw(a * b).source.count('border="2"') == 0


def test_a_line_of_a_box_is_one_text_in_the_middle_whatever_the_font(tmp_path):
    """Graphviz places each change of style by its own font's widths; a browser has another font."""
    root = ET.fromstring(draw(margin(s=3.0)).pipe("svg"))
    node = next(g for g in root.iter(f"{SVG}g") if "".join(g.itertext()).strip().startswith("n6"))
    lines = node.findall(f"{SVG}text")
    assert ["".join(line.itertext()).strip() for line in lines] == ["J = max(z, 0)", "0", "∂J/∂J = 1"]
    outline = re.findall(r"(-?[\d.]+),", node.find(f"{SVG}path").get("d"))
    middle = (min(map(float, outline)) + max(map(float, outline))) / 2
    for line in lines:
        assert line.get("text-anchor") == "middle"
        assert float(line.get("x")) == pytest.approx(middle, abs=0.01)
        assert all(tspan.get("x") is None for tspan in line)
    s_c = next(line for line in root.iter(f"{SVG}text") if "".join(line.itertext()) == "∂J/∂sc = 0")
    assert [tspan.get("dy") for tspan in s_c if tspan.get("dy")] == ["3.5", "-3.5"]


def test_boxes_of_ones_own_keep_the_places_that_graphviz_gave_them():
    picture = draw(margin())
    picture.node("mine", label="<<table><tr><td>left</td><td>right</td></tr></table>>")
    text = picture.pipe("svg", encoding="utf-8")
    left, right = (re.search(rf'<text[^>]* x="([\d.]+)"[^>]*>{word}<', text) for word in ("left", "right"))
    assert float(left[1]) < float(right[1])


def test_two_nodes_with_one_label_have_two_names():
    J = binary_cross_entropy(Value(1.0, "z"), 1)
    assert "<b><i>z′</i></b> = −<i>z</i>" in draw(J).source
