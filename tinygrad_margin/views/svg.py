"""A graph as an SVG whose parts can change: the animation and the page are made of it.

Graphviz lays the graph out once. This module draws boxes and arrows as they look at a step of the
sweep, each in a group of its own. A box has room for the widest number that it may show.

    >>> from tinygrad_margin import Value, margin_loss
    >>> graph = SvgGraph(margin_loss(Value(0.3), Value(0.5)))
    >>> len(graph.nodes), len(graph.edges), graph.titles[graph.J]
    (7, 6, '<b><i>J</i></b> = max(<i>z</i>, 0)')
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tinygrad_margin.engine import Value, topological_order
from tinygrad_margin.guard import as_node, one_line
from tinygrad_margin.ops import CONSTANT
from tinygrad_margin.views.boxes_and_arrows import Arrow, Box, has_back_arrow, title
from tinygrad_margin.views.dot import Edge, box_label, check_size, make_picture
from tinygrad_margin.views.graphviz_svg import Layout, read_positions
from tinygrad_margin.views.names import node_names
from tinygrad_margin.views.notation import derivative, number, parenthesize, typeset
from tinygrad_margin.views.remarks import OUT_OF_DATE, firsts, outdated
from tinygrad_margin.views.run_graphviz import render

MOST_INPUTS = 8  # whose gradients are listed after the sweep
STYLE = Path(__file__).with_name("picture.css").read_text("utf-8")
_WIDEST = "−0.12345"  # the number that a box has room for
_SIZES = {"title": 13, "value": 13, "gradient": 13, "regime": 11}  # of the text, in points


class SvgGraph:
    """The graph of J with its names and its layout; raises the same errors as ``draw``."""

    def __init__(self, J: Value, max_nodes: int = 400) -> None:
        self.J = J
        self.nodes = nodes = topological_order(as_node(J, "the picture of J"))
        check_size(len(nodes), max_nodes)
        self.index = {node: i for i, node in enumerate(nodes)}
        self.edges = [(node, parent) for node in nodes for parent in node.parents]
        self.names = node_names(nodes)
        self.outdated = outdated(nodes, self.names)
        self.remarks = firsts(nodes) | dict.fromkeys(self.outdated, OUT_OF_DATE)
        # The names as HTML, the first lines of the boxes, and ∂J/∂node. Only a constant without a
        # label has no name there.
        named = [node for node in nodes if node._row is not CONSTANT or one_line(node.label)]
        said = {node: self.names[node] for node in named}
        self.names_in_html = {node: typeset(name) for node, name in said.items()}
        self.titles = {node: title(node, said) for node in nodes}
        root = self.names[J]
        self.symbols = {node: derivative(root, name, typeset) for node, name in said.items()}
        # The leaves with a label, in the order of their names, constants last.
        leaves = [node for node in nodes if not node.parents and one_line(node.label)]
        self.leaves = sorted(leaves, key=lambda n: (n._row is CONSTANT, _sort_key(self.names[n])))
        self.layout = self.arrange("LR")

    def arrange(self, direction: str) -> Layout:
        """Where everything goes if values flow in this direction ("LR", "TB")."""
        uses = Counter(parent for _, parent in self.edges)
        labels = {
            node: box_label(self._lines(node, uses[node]).values(), ("black", "white", "", 1))
            for node in self.nodes
        }
        edges = []
        for e, (node, parent) in enumerate(self.edges):
            back = {"id": f"back {e}"} if has_back_arrow(node, parent) else None
            edges.append(Edge(node, parent, {"id": f"forward {e}"}, back, _widest_label(node)))
        svg = render(make_picture(labels, edges, direction).source, "svg").decode()
        return read_positions(svg, len(labels), len(edges))

    def _lines(self, node: Value, uses: int) -> dict[str, str]:
        """The lines of a box, each with the widest text that it may show."""
        lines = {"title": self.titles[node]} if self.titles[node] else {}
        lines["value"] = _WIDEST if self.titles[node] else number(node.data)
        if node._row is not CONSTANT:
            more = " so far" if uses > 1 and node is not self.J else ""
            lines["gradient"] = f"{self.symbols[node]} = {_WIDEST}{more}"
        if regimes := node._row.regimes:
            lines["regime"] = f'<font point-size="11">{regimes[1]}</font>'
        return lines

    @property
    def whats_outdated(self) -> list[str]:
        """A sentence for each of the first few nodes whose number is out of date."""
        return [f"{self.names[n]} {words}" for n, words in self.outdated.items()][:MOST_INPUTS]

    @property
    def opening(self) -> str:
        """The sentence before the first step of the sweep."""
        root = self.names[self.J]
        return f"The sweep starts at {root}, where {derivative(root, root)} = 1."

    def outcome(self, totals: Mapping[Value, float]) -> str:
        """The sentence after the last step: J, and ∂J/∂input for the first few inputs."""
        root = self.names[self.J]
        if self.outdated:
            return "\n".join(self.whats_outdated)
        inputs = [leaf for leaf in self.leaves if leaf._row is not CONSTANT]
        parts = [f"{root} = {number(self.J.data)}"]
        for leaf in inputs[:MOST_INPUTS]:
            slope = number(totals[leaf], signed=True)
            parts.append(f"{derivative(root, self.names[leaf])} = {slope}")
        ends = [f"\n{self.names[node]} is {words}" for node, words in firsts(self.nodes).items()]
        return ", ".join(parts + ["…"] * (len(inputs) > MOST_INPUTS)) + "".join(ends)

    def svg(
        self, parts: Iterable[str], attributes: str = "", width: float = 0.0, below: float = 0.0
    ) -> str:
        """The whole SVG, at least ``width`` wide and with more room ``below`` the graph."""
        width, height = max(self.layout.width, width), self.layout.height + below
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}" height="{height:g}"{attributes}>{"".join(parts)}</svg>'
        )

    def box(
        self, i: int, box: Box, state: str = "", attributes: str = "", remark: str | None = None
    ) -> str:
        """The box of node i; the state is a further class of its group, such as "current".

        The remark is written below the box, which has no room for it.
        """
        node, (width, height) = self.nodes[i], self.layout.sizes[i]
        x, y = self.layout.centres[i]
        names = list(self._lines(node, 0))
        step = height / len(names)
        lines = []
        for row, name in enumerate(names):
            base = f'y="{(row + 0.5) * step - height / 2 + 0.35 * _SIZES[name]:.1f}"'
            if name == "regime":
                lines += [f'<text class="case{k}" {base}>{text}</text>'
                          for k, text in enumerate(self._regimes(node))]  # fmt: skip
            elif name == "gradient":
                lines.append(self._gradient(node, box, base))
            else:
                text = _tspans(self.titles[node]) if name == "title" else box.value
                lines.append(f'<text class="{name}" {base}>{text}</text>')
        if remark is not None:
            lines.append(f'<text class="remark" y="{height / 2 + 12:g}">{remark}</text>')
        corners = ' rx="6"' if not node.parents or node is self.J else ""
        classes = " ".join(filter(None, ("node", box.kind, box.state, state)))
        if box.case is not None:
            attributes += f' data-case="{box.case}"'
        return (
            f'<g class="{classes}" transform="translate({x} {y})"{attributes}>'
            f'<rect x="{-width / 2:g}" y="{-height / 2:g}" width="{width:g}" height="{height:g}"'
            f"{corners}/>{''.join(lines)}</g>"
        )

    def _gradient(self, node: Value, box: Box, base: str) -> str:
        """The line of a box that shows ∂J/∂node."""
        classes = "gradient zero" if box.gradient.partition(" ")[0] == "0" else "gradient"
        hidden = "" if box.gradient else ' visibility="hidden"'
        symbol = _tspans(self.symbols[node])
        level = ' dy="-3.5"' if self.symbols[node].endswith("</sub>") else ""
        number = f'<tspan class="number"{level}>{box.after_symbol}</tspan>'
        return f'<text class="{classes}" {base}{hidden}>{symbol}{number}</text>'

    def _regimes(self, node: Value) -> list[str]:
        """The lines of a box with a kink: on one side, at the kink, and on the other side."""
        names = [self.names_in_html.get(n, self.names[n]) for n in node.parents]
        return [_tspans(text.format(x=names[0], y=names[-1])) for text in node._row.regimes or ()]

    def forward_arrow(self, e: int, arrow: Arrow, attributes: str = "") -> str:
        """The grey arrow of the edge in position e of ``edges``."""
        place = self.layout.edges[e]
        return (
            f'<g class="forward{" quiet" * arrow.quiet}"{attributes}><path d="{place.forward}"/>'
            f'<polygon points="{place.forward_head}"/></g>'
        )

    def back_arrow(self, e: int, arrow: Arrow, attributes: str = "", state: str = "") -> str:
        """The red arrow of an edge that has one; with a state, its path has length 1."""
        place = self.layout.edges[e]
        classes = " ".join(filter(None, ("back", arrow.back, state)))
        length = ' pathLength="1"' if state else ""
        return (
            f'<g class="{classes}"{attributes}><path{length} d="{place.back}" '
            f'stroke-width="{arrow.width}"/><polygon points="{place.back_head}"/>'
            f'<text x="{place.x}" y="{place.y}">{arrow.text}</text></g>'
        )


def _sort_key(name: str) -> list[tuple[int, str]]:
    """A key that sorts x_2 before x_10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _widest_label(node: Value) -> str:
    """The widest text that the red arrows of a node may show."""
    row = node._row
    if row.slopes is not None:
        longest = max((number(slope) for slope in row.slopes), key=len)
    else:
        longest = "−1" if row.regimes else _WIDEST[:-1]
    return f"×{parenthesize(longest)}"


def _tspans(markup: str) -> str:
    """HTML of the kind that ``typeset`` writes, as SVG."""
    spans, styles, level, now = [], set[str](), 0.0, 0.0
    for piece in re.split(r"(</?(?:b|i|sub|sup)>)", markup):
        if tag := re.fullmatch(r"<(/?)(\w+)>", piece):
            closes, name = tag.groups()
            if name in ("b", "i"):
                styles ^= {name}
            else:
                level = 0.0 if closes else 3.5 if name == "sub" else -5.0
        elif piece:
            classes = f' class="{" ".join(sorted(styles))}"' if styles else ""
            shift = f' dy="{level - now:g}"' if level != now else ""
            size = ' font-size="10"' if level else ""
            now = level
            spans.append(f"<tspan{classes}{shift}{size}>{piece}</tspan>")
    return "".join(spans)
