"""A graph as DOT text, for Graphviz.

>>> from tinygrad_margin import Value
>>> a = Value(2.0, "a")
>>> J = a.exp()
>>> arrow = Edge(J, a, forward={"color": "grey"}, back={"color": "red"}, text="×7.4")
>>> [line.strip() for line in make_picture({a: "a", J: "J"}, [arrow]).source.splitlines()[-3:-1]]
['n0 -> n1 [color=grey]', 'n0 -> n1 [label="×7.4" color=red dir=back]']
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import graphviz

from tinygrad_margin.engine import Value
from tinygrad_margin.files import write_whole
from tinygrad_margin.views.colours import LIGHT
from tinygrad_margin.views.graphviz_svg import centre_lines
from tinygrad_margin.views.run_graphviz import render

LOOK = {"bgcolor": "white", "pad": "0.2", "nodesep": "0.4", "ranksep": "0.75"}
_NODES = {"fontname": "Helvetica", "fontsize": "13", "shape": "plain"}
_EDGES = {"fontname": "Helvetica", "fontsize": "11", "arrowsize": "0.7"}
# How many columns all arrows cross together. Above the first number Graphviz takes fewer steps.
# Above the second it would take minutes to bend the arrows around each other: they are straight.
_FAR, _TOO_FAR = 250, 1000
_TOO_MANY = 1000  # arrows: there is no room for their labels, and to search for it takes minutes


class Picture(graphviz.Digraph):  # type: ignore[misc]
    """A graphviz.Digraph that renders without a ``dot`` executable."""

    def pipe(
        self, format: str | None = None, *,
        engine: str | None = None, encoding: str | None = None, **_: Any,
    ) -> Any:  # fmt: skip
        """The picture in a format: bytes, or text if an encoding is given."""
        format = format or self.format
        picture = render(self.source, format, engine or self.engine)
        if format == "svg":
            picture = centre_lines(picture)
        return picture if encoding is None else picture.decode(encoding)

    def _render(
        self, engine: str, format: str, filepath: str, *,
        outfile: os.PathLike[str] | None = None, **_: Any,
    ) -> str:  # fmt: skip
        target = os.fspath(outfile) if outfile is not None else f"{filepath}.{format}"
        write_whole(target, self.pipe(format, engine=engine))
        return target


class Edge(NamedTuple):
    """The arrow from an operand to its node, and the arrow back."""

    node: Value
    parent: Value
    forward: dict[str, str]  # the DOT attributes of the grey arrow
    back: dict[str, str] | None  # those of the red arrow, if there is one
    text: str  # the label of the red arrow


def make_picture(
    labels: Mapping[Value, str], edges: Sequence[Edge], direction: str = "LR", prefix: str = "n"
) -> Picture:
    """The picture of a graph whose nodes, in topological order, get the names n0, n1, …"""
    look, key = LOOK | {"rankdir": direction}, "label"
    reach = _reach(edges)
    if reach > _FAR:
        look["nslimit"] = f"{1000 / reach:.3f}"  # steps per node, each as long as the arrows
    if reach > _TOO_FAR:  # straight arrows, behind the boxes, and labels where there is room
        look |= {"splines": "line", "outputorder": "edgesfirst", "mclimit": "0.1"}
        look |= {"nodesep": "0.1", "ranksep": "1.5"}
        key = "xlabel"
    picture = Picture(graph_attr=look, node_attr=_NODES, edge_attr=_EDGES)
    ids = {node: f"{prefix}{i}" for i, node in enumerate(labels)}
    for node, label in labels.items():
        picture.node(ids[node], label=label)
    for node, parent, forward, back, text in edges:
        picture.edge(ids[parent], ids[node], **forward)
        if back is not None:
            # Laid out forward, like the grey arrow, and drawn backward: so they run side by side.
            factor = {key: text} if len(edges) <= _TOO_MANY else {}
            picture.edge(ids[parent], ids[node], dir="back", **back, **factor)
    return picture


def _reach(edges: Sequence[Edge]) -> int:
    """How many columns all arrows cross together: Graphviz's work grows with it."""
    column: dict[Value, int] = defaultdict(int)  # counted from the root
    for edge in reversed(edges):
        column[edge.parent] = max(column[edge.parent], column[edge.node] + 1)
    return sum(column[edge.parent] - column[edge.node] for edge in edges)


def html_label(content: str) -> str:
    r"""HTML as a DOT label, with each backslash as text: else \G becomes the name of the graph."""
    return f"<{content}>".replace("\\", "\\\\")


def box_label(lines: Iterable[str], look: tuple[str, str, str, int], style: str = "") -> str:
    """A box as a DOT label, given its lines as HTML; a dashed or dotted outline is pale."""
    colour, fill, corners, width = look
    outline = LIGHT["pale"] if style else colour
    styles = ",".join(filter(None, (corners, style)))
    attributes = f' style="{styles}"' if styles else ""
    # A browser's font may be wider than the one Graphviz measures with: leave room at both ends.
    rows = "".join(f"<tr><td>&#160;{line}&#160;</td></tr>" for line in lines)
    return html_label(
        f'<table border="{width}" color="{outline}" bgcolor="{fill}"{attributes} cellborder="0" '
        f'cellspacing="0" cellpadding="3">{rows}</table>'
    )


def check_size(count: int, max_nodes: int) -> None:
    """Raise ValueError if a graph of ``count`` nodes has more than ``max_nodes``."""
    if count > max_nodes:
        raise ValueError(
            f"the graph has {count:,} nodes, too many to read: draw a part of it, or allow "
            f"this many with max_nodes={count} (it is {max_nodes})"
        )
