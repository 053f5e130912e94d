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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import graphviz

from tinygrad_margin.engine import Value
from tinygrad_margin.views.colours import LIGHT
from tinygrad_margin.views.files import write_whole
from tinygrad_margin.views.graphviz_svg import centre_lines
from tinygrad_margin.views.run_graphviz import render

LOOK = {"bgcolor": "white", "pad": "0.2", "nodesep": "0.4", "ranksep": "0.75"}
_NODES = {"fontname": "Helvetica", "fontsize": "13", "shape": "plain"}
_EDGES = {"fontname": "Helvetica", "fontsize": "11", "arrowsize": "0.7"}
_WIDE = 700  # ranks; if the arrows span more, it may take minutes to make room for their labels


class Picture(graphviz.Digraph):  # type: ignore[misc]
    """A graphviz.Digraph that renders in this process, without a ``dot`` executable."""

    def _pipe_lines(
        self, engine: str, format: str, lines: Iterable[str], *, input_encoding: str, **_: Any
    ) -> bytes:
        return _draw("".join(lines), format, engine)

    def _pipe_lines_string(
        self, engine: str, format: str, lines: Iterable[str], *, encoding: str, **_: Any
    ) -> str:
        return _draw("".join(lines), format, engine).decode(encoding)

    def _render(
        self, engine: str, format: str, filepath: str, *,
        outfile: os.PathLike[str] | None = None, raise_if_result_exists: bool = False, **_: Any,
    ) -> str:  # fmt: skip
        target = os.fspath(outfile) if outfile is not None else f"{filepath}.{format}"
        if raise_if_result_exists and os.path.exists(target):
            raise graphviz.FileExistsError(f"output file exists: {target!r}")
        write_whole(target, _draw(Path(filepath).read_text(self.encoding), format, engine))
        return target


def _draw(source: str, format: str, engine: str) -> bytes:
    picture = render(source, format, engine)
    return centre_lines(picture) if format == "svg" else picture


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
    """The picture of a graph, given its nodes in topological order, with their DOT labels.

    The names of the nodes in the DOT text are n0, n1, …, with the prefix n.
    """
    ranks = span(labels)
    graph = LOOK | {"rankdir": direction} | layout_limits(len(labels), len(edges), ranks)
    picture = Picture(graph_attr=graph, node_attr=_NODES, edge_attr=_EDGES)
    ids = {node: f"{prefix}{i}" for i, node in enumerate(labels)}
    for node, label in labels.items():
        picture.node(ids[node], label=label)
    key = "label" if ranks <= _WIDE else "xlabel"
    for node, parent, forward, back, text in edges:
        picture.edge(ids[parent], ids[node], **forward)
        if back is not None:
            # Laid out forward, like the grey arrow, and drawn backward: so they run side by side.
            picture.edge(ids[parent], ids[node], dir="back", **back, **{key: text})
    return picture


def box_label(lines: Iterable[str], look: tuple[str, str, str, int], style: str = "") -> str:
    """A box as a DOT label, given its lines as HTML.

    The look is the colours of outline and fill, the corners, and the width of the outline. If it is
    dashed or dotted, the outline is pale.
    """
    outline, fill, corners, width = look
    if style:
        outline = LIGHT["pale"]
    styles = ",".join(filter(None, (corners, style)))
    attributes = f' style="{styles}"' if styles else ""
    # A browser's font may be wider than the one Graphviz measures with: leave room at both ends.
    rows = "".join(f"<tr><td>&#160;{line}&#160;</td></tr>" for line in lines)
    rows = rows.replace("\\", "\\\\")  # or Graphviz would replace \N by the node's name
    return (
        f'<<table border="{width}" color="{outline}" bgcolor="{fill}"{attributes} cellborder="0" '
        f'cellspacing="0" cellpadding="3">{rows}</table>>'
    )


def layout_limits(nodes: int, edges: int, ranks: int = 0) -> dict[str, str]:
    """Graph attributes that keep the layout of a large graph to seconds; none for a small one.

    An edge is two arrows; ``ranks`` is how many ranks all edges span together.
    """
    if nodes + 2 * edges <= 300 and ranks <= 300:
        return {}
    # Nearly all the time goes into straightening the edges: stop after 2 steps per node.
    attributes = {"nslimit": "2"}
    if edges > max(750, 5 * nodes):  # too dense to follow a curve
        attributes |= {"mclimit": "0.2", "splines": "line"}
    return attributes


def span(nodes: Iterable[Value]) -> int:
    """How many ranks the arrows span, all together; the time of the layout grows with it."""
    rank: dict[Value, int] = {}
    for node in nodes:
        if node.parents:
            rank[node] = 1 + max(rank.get(parent, 0) for parent in node.parents)
    for node in list(rank):
        for parent in node.parents:
            if not parent.parents:  # a leaf goes just before the first node that uses it
                rank[parent] = min(rank.get(parent, rank[node]), rank[node] - 1)
    return sum(rank[node] - rank[parent] for node in rank for parent in node.parents)


def check_size(count: int, max_nodes: int) -> None:
    """Raise ValueError if a graph of ``count`` nodes has more than ``max_nodes``."""
    if isinstance(max_nodes, bool) or not isinstance(max_nodes, int):
        raise TypeError(
            f"max_nodes is a whole number; got {type(max_nodes).__name__} {max_nodes!r:.60}"
        )
    if count > max_nodes:
        raise ValueError(
            f"the graph has {count:,} nodes, too many to read: draw a part of it, or allow "
            f"this many with max_nodes={count} (it is {max_nodes})"
        )
