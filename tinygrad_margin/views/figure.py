"""A graph as an SVG whose parts can change: what the animation and the page are made of.

Graphviz says where boxes and arrows go, once; how they look at a moment of the sweep is written
here, each part in a group of its own. A box keeps room for the widest number it may come to show.

    >>> from tinygrad_margin import Value, margin_loss
    >>> figure = Figure(margin_loss(Value(0.3), Value(0.5)))
    >>> len(figure.nodes), len(figure.edges), figure.titles[figure.J]
    (7, 6, '<b><i>J</i></b> = max(<i>z</i>, 0)')
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tinygrad_margin.engine import Value, topological_order
from tinygrad_margin.guard import as_node, one_line
from tinygrad_margin.ops import CONSTANT
from tinygrad_margin.views.draw import (
    Picture,
    box,
    check_size,
    label_attribute,
    settings,
    span,
    title,
)
from tinygrad_margin.views.names import node_names
from tinygrad_margin.views.notation import number, parenthesize, typeset
from tinygrad_margin.views.places import Layout, read
from tinygrad_margin.views.render import layout
from tinygrad_margin.views.scene import Arrow, Face, is_shown

_WIDEST = "−0.12345"  # what a box keeps room for
MOST = 8  # inputs whose gradient is said
_SIZES = {"title": 13, "value": 13, "gradient": 13, "regime": 11}

# How the parts look, for an SVG on its own and for the page; colours by their names in draw.
STYLE = """\
text { font: 13px Helvetica, Arial, "Liberation Sans", sans-serif; fill: var(--ink); \
text-rendering: geometricPrecision }
.node text { text-anchor: middle }
.node rect { fill: var(--operation); stroke: var(--grey) }
.node.input rect { fill: var(--input); stroke: var(--blue) }
.node.shared rect { fill: var(--shared); stroke: var(--blue); stroke-width: 2 }
.node.constant rect { fill: var(--constant) }
.node.root rect { fill: var(--root); stroke: var(--green); stroke-width: 3 }
.node.waits rect { stroke: var(--pale); stroke-dasharray: 1 3; stroke-linecap: round }
.node.pale rect { stroke: var(--pale); stroke-dasharray: 5 3 }
.node.current rect { fill: var(--current); stroke: var(--red); stroke-width: 4; \
stroke-dasharray: none }
.node.failed rect { fill: var(--failed); stroke: var(--red); stroke-width: 3; \
stroke-dasharray: 2 2 }
.node .gradient, .node .case1 { fill: var(--red) }
.node .gradient.zero { fill: var(--quiet) }
.case0, .case1, .case2 { font-size: 11px; fill: var(--soft); display: none }
.node[data-case="0"] .case0, .node[data-case="1"] .case1, .node[data-case="2"] .case2 \
{ display: inline }
.i { font-style: italic; unicode-bidi: isolate }
.b { font-weight: bold }
path { fill: none }
.forward path { stroke: var(--grey) }
.forward polygon { fill: var(--grey) }
.forward.quiet path { stroke: var(--pale); stroke-dasharray: 5 3 }
.forward.quiet polygon { fill: var(--pale) }
.back path { stroke: var(--red) }
.back polygon { fill: var(--red) }
.back text { font-size: 11px; fill: var(--red); text-anchor: middle }
.back.quiet path { stroke: var(--pink); stroke-dasharray: 5 3 }
.back.quiet polygon { fill: var(--pink) }
.back.quiet text { fill: var(--quiet) }
.back.undefined path { stroke-dasharray: 1 3 }
"""


class Figure:
    """A graph with its names and its layout.

    Args:
        J: the root.
        max_nodes: the largest graph to take.

    Attributes:
        nodes: in topological order.
        index: their places in it.
        edges: each node with each of its operands, node by node.
        names: what the sentences of the sweep call each node.
        written: the same as HTML.
        titles: the first line of each box, as HTML.
        symbols: ``∂J/∂node`` for each node, as HTML.
        leaves: those with a label, in the order of their names, constants last.
        layout: where everything goes, from left to right.

    Raises:
        TypeError: J is no Value.
        ValueError: more than max_nodes nodes.
        RendererNotFound, TimeoutError: as ``draw``.
    """

    def __init__(self, J: Value, max_nodes: int = 400) -> None:
        self.J = J
        self.nodes = topological_order(as_node(J, "the picture of J"))
        check_size(len(self.nodes), max_nodes)
        self.index = {node: i for i, node in enumerate(self.nodes)}
        self.names = node_names(self.nodes)
        self.edges = [(node, parent) for node in self.nodes for parent in node.parents]
        bare = {n for n in self.nodes if n._row is CONSTANT and not one_line(n.label)}
        self.written = {n: name if n in bare else typeset(name) for n, name in self.names.items()}
        self.titles = {n: "" if n in bare else title(n, self.written, 4) for n in self.nodes}
        self.symbols = {n: f"∂{self.written[J]}/∂{self.written[n]}" for n in self.nodes}
        labelled = (n for n in self.nodes if not n.parents and one_line(n.label))
        self.leaves = sorted(
            labelled, key=lambda n: (n._row is CONSTANT, _natural(self.names[n]))
        )
        self.layout = self.laid_out("LR")

    def laid_out(self, direction: str) -> Layout:
        """Where everything goes if values flow in this direction ("LR", "TB")."""
        index = self.index
        uses = Counter(parent for _, parent in self.edges)
        reach = span(self.nodes)
        picture = Picture(**settings(len(self.nodes), len(self.edges), reach, direction))
        for node, i in index.items():
            lines = list(self._rows(node, uses[node]).values())
            picture.node(f"n{i}", label=box(lines, ("black", "white", "", 1), ""))
        label = label_attribute(reach)
        for e, (node, parent) in enumerate(self.edges):
            ends = f"n{index[parent]}", f"n{index[node]}"
            picture.edge(*ends, comment=f"forward {e}")
            if is_shown(node, parent):
                picture.edge(*ends, dir="back", comment=f"back {e}", **{label: _label(node)})
        found = json.loads(layout(picture.source, "json0"))
        return read(found, [len(_label(node)) for node, _ in self.edges])

    def _rows(self, node: Value, uses: int) -> dict[str, str]:
        """The widest text that each line of the box is to hold."""
        rows = {"title": self.titles[node]} if self.titles[node] else {}
        rows["value"] = _WIDEST if self.titles[node] else number(node.data)
        if node._row is not CONSTANT:
            more = " so far" if uses > 1 and node is not self.J else ""
            rows["gradient"] = f"{self.symbols[node]} = {_WIDEST}{more}"
        if node._row.kink:
            rows["regime"] = f'<font point-size="11">{node._row.kink}</font>'
        return rows

    @property
    def opening(self) -> str:
        """What is said before the first step of the sweep."""
        root = self.names[self.J]
        return f"The sweep starts at {root}, where ∂{root}/∂{root} = 1."

    def outcome(self, totals: Mapping[Value, float]) -> str:
        """What is said after the last step: J, and ∂J/∂input for the first few inputs."""
        root = self.names[self.J]
        said = [f"{root} = {number(self.J.data)}"]
        inputs = [leaf for leaf in self.leaves if leaf._row is not CONSTANT]
        for leaf in inputs[:MOST]:
            said.append(f"∂{root}/∂{self.names[leaf]} = {number(totals[leaf], signed=True)}")
        return ", ".join([*said, "…"] if len(inputs) > MOST else said)

    def svg(
        self, contents: Iterable[str], attributes: str = "", width: float = 0.0, below: float = 0.0
    ) -> str:
        """The SVG around the parts, at least so wide, with so much room below."""
        width, height = max(self.layout.width, width), self.layout.height + below
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}" height="{height:g}"{attributes}>{"".join(contents)}</svg>'
        )

    def node(
        self, i: int, face: Face, state: str = "", attributes: str = "", *, moves: bool = False
    ) -> str:
        """A node's box as SVG, with the face that it shows.

        Args:
            i: its place in ``nodes``.
            face: what it shows.
            state: "current", or what else it is besides.
            attributes: of its group.
            moves: its numbers will change: give the one of the gradient a text of its own.
        """
        node, (width, height) = self.nodes[i], self.layout.sizes[i]
        x, y = self.layout.centres[i]
        rows = list(self._rows(node, 0))
        step = height / len(rows)
        lines = []
        for row, name in enumerate(rows):
            base = f'y="{(row + 0.5) * step - height / 2 + 0.35 * _SIZES[name]:.1f}"'
            if name == "regime":
                lines += [f'<text class="case{i}" {base}>{text}</text>'
                          for i, text in enumerate(self._regimes(node))]  # fmt: skip
            elif name == "gradient":
                lines.append(self._gradient(node, face, base, moves))
            else:
                text = _spans(self.titles[node]) if name == "title" else face.value
                lines.append(f'<text class="{name}" {base}>{text}</text>')
        corners = ' rx="6"' if not node.parents or node is self.J else ""
        kinds = " ".join(filter(None, ("node", face.kind, face.state, state)))
        if face.case is not None:
            attributes += f' data-case="{face.case}"'
        return (
            f'<g class="{kinds}" transform="translate({x} {y})"{attributes}>'
            f'<rect x="{-width / 2:g}" y="{-height / 2:g}" width="{width:g}" height="{height:g}"'
            f"{corners}/>{''.join(lines)}</g>"
        )

    def _gradient(self, node: Value, face: Face, base: str, moves: bool) -> str:
        """The line of the box that says ∂J/∂node."""
        kinds = "gradient zero" if face.gradient.partition(" ")[0] == "0" else "gradient"
        hidden = "" if face.gradient else ' visibility="hidden"'
        symbol = self.symbols[node]
        if moves:
            return (
                f'<g class="{kinds}"{hidden}><text class="symbol" {base}>{_spans(symbol)}</text>'
                f'<text class="number" {base}>{face.equated}</text></g>'
            )
        level = ' dy="-3.5"' if symbol.endswith("</sub>") else ""
        text = f'{_spans(symbol)}<tspan class="number"{level}>{face.equated}</tspan>'
        return f'<text class="{kinds}" {base}{hidden}>{text}</text>'

    def _regimes(self, node: Value) -> Iterator[str]:
        """What is said on either side of a kink, and on it."""
        x, *_, y = [self.written[parent] for parent in node.parents] * 2
        return (_spans(text.format(x=x, y=y)) for text in node._row.regimes or ())

    def forward(self, e: int, quiet: bool, attributes: str = "") -> str:
        """The grey arrow of an edge."""
        place = self.layout.places[e]
        kinds = "forward quiet" if quiet else "forward"
        return (
            f'<g class="{kinds}"{attributes}><path d="{place.forward}"/>'
            f'<polygon points="{place.tip}"/></g>'
        )

    def back(self, e: int, arrow: Arrow, attributes: str = "", state: str = "") -> str:
        """The red arrow of an edge that has one; with a state, its path has length 1."""
        place = self.layout.places[e]
        kinds = " ".join(filter(None, ("back", arrow.back, state)))
        length = ' pathLength="1"' if state else ""
        return (
            f'<g class="{kinds}"{attributes}><path{length} d="{place.back}" '
            f'stroke-width="{arrow.width}"/><polygon points="{place.back_tip}"/>'
            f'<text x="{place.x}" y="{place.y}">{arrow.text}</text></g>'
        )


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts x_2 before x_10."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _label(node: Value) -> str:
    """The widest text that the red arrows of a node may come to show."""
    row = node._row
    if row.slopes is not None:
        longest = max((number(slope) for slope in row.slopes), key=len)
    else:
        longest = "−1" if row.kink else _WIDEST[:-1]
    return f"×{parenthesize(longest)}"


def _spans(markup: str) -> str:
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
            kinds = f' class="{" ".join(sorted(styles))}"' if styles else ""
            shift = f' dy="{level - now:g}"' if level != now else ""
            size = ' font-size="10"' if level else ""
            now = level
            spans.append(f"<tspan{kinds}{shift}{size}>{piece}</tspan>")
    return "".join(spans)
