import re

from tinygrad_margin import Value, margin_loss
from tinygrad_margin.nn import WindowScorer
from tinygrad_margin.views.graphviz_svg import read_positions
from tinygrad_margin.views.run_graphviz import render
from tinygrad_margin.views.svg import SvgGraph

NUMBER = r"-?[\d.]+"


def test_boxes_arrows_and_labels_are_read():
    svg = render(
        """digraph { rankdir=LR; node [shape=box fixedsize=true width=1 height=0.5]
        n0 -> n1 [id="forward 0"]; n0 -> n1 [id="back 0" dir=back label=x]; n2 -> n1 [id="forward 1"]
        }""",
        "svg",
    ).decode()
    layout = read_positions(svg, 3, 2)
    assert layout.sizes == [(72, 36)] * 3
    assert layout.centres[0][0] < layout.centres[1][0] < layout.width
    assert all(0 < y < layout.height for _, y in layout.centres)
    both, single = layout.edges
    left, right = (x for x, _ in layout.centres[:2])
    for path in (both.forward, both.back):  # both run from the operand to the node
        xs = [float(x) for x in re.findall(f"({NUMBER}),", path)]
        assert left < xs[0] < xs[-1] < right + 1
    tips = [
        [float(x) for x in re.findall(f"({NUMBER}),", head)]
        for head in (both.forward_head, both.back_head)
    ]
    assert max(tips[0]) > (left + right) / 2 > min(tips[1])
    assert left < float(both.x) < right
    assert 0 < float(both.y) < layout.height
    assert single[2:] == ("", "", "0", "0")


def test_no_factor_lies_on_a_box_of_a_network():
    net = WindowScorer(n_inputs=6, n_hidden=4, seed=1)
    s, s_c = (net([Value(sign * 0.1 * k) for k in range(6)]) for sign in (1, -1))
    graph = SvgGraph(margin_loss(s, s_c))
    assert len(graph.nodes) > 160
    boxes = list(zip(graph.layout.centres, graph.layout.sizes, strict=True))
    for edge in graph.layout.edges:
        for (x, y), (width, height) in boxes:
            inside = abs(float(edge.x) - x) < width / 2 and abs(float(edge.y) - y) < height / 2
            assert not inside or not edge.back
