"""Pictures of a graph, with the gradient flowing back from J.

    >>> from tinygrad_margin import Value, draw, margin_loss
    >>> picture = draw(margin_loss(Value(0.3), Value(0.5)))
    >>> picture.source.splitlines()[0]                      # a graphviz.Digraph
    'digraph {'

``draw(J, "margin.svg")`` writes a file; in a notebook the picture shows itself. Each box is a node:
its name, its value, its gradient. Thin grey arrows carry values forward. Red arrows carry the
gradient back; each shows the local derivative that it multiplies by, and is wider if more flows.
Arrows and boxes that no gradient passes through are pale and dashed. An input that is used more
than once, such as a shared weight, has a heavier outline. A box says if its node is the first that
is not finite, or if its number is out of date, because data has changed: then the picture shows no
gradients.
"""

from __future__ import annotations

import html
import os
from collections.abc import Mapping

from tinygrad_margin.engine import Value, topological_order
from tinygrad_margin.files import file_format, write_whole
from tinygrad_margin.guard import as_node, one_line
from tinygrad_margin.views.boxes_and_arrows import Progress, boxes_and_arrows, end_of_sweep, title
from tinygrad_margin.views.colours import LIGHT
from tinygrad_margin.views.dot import (
    LOOK,
    Edge,
    Picture,
    box_label,
    check_size,
    html_label,
    make_picture,
)  # fmt: skip
from tinygrad_margin.views.names import node_names
from tinygrad_margin.views.notation import derivative, typeset
from tinygrad_margin.views.remarks import OUT_OF_DATE, firsts, outdated

_FORMATS = ("svg", "png", "pdf", "dot", "gv")
_DIRECTIONS = ("LR", "RL", "TB", "BT")
# What boxes look like: the colours of outline and fill, the corners, the width of the outline.
_BOXES = {
    "input": (LIGHT["blue"], LIGHT["input"], "rounded", 1),
    "shared": ("#1d4a8c", LIGHT["shared"], "rounded", 2),
    "constant": (LIGHT["grey"], LIGHT["constant"], "rounded", 1),
    "operation": (LIGHT["grey"], LIGHT["operation"], "", 1),
    "root": (LIGHT["green"], LIGHT["root"], "rounded", 3),
    "current": (LIGHT["red"], LIGHT["current"], "", 4),
}
_STYLES = {"waits": "dotted", "pale": "dashed", "": ""}
# The DOT attributes of the arrows back, besides their width.
_BACK = {
    "live": {"color": LIGHT["red"], "fontcolor": LIGHT["red"]},
    "undefined": {"color": LIGHT["red"], "fontcolor": LIGHT["red"], "style": "dotted"},
    "quiet": {"color": LIGHT["pink"], "fontcolor": LIGHT["quiet"], "style": "dashed"},
}


def draw(
    J: Value,
    to: str | os.PathLike[str] | None = None,
    *,
    direction: str = "LR",
    gradients: bool = True,
    precision: int = 4,
    max_nodes: int = 400,
) -> Picture:
    """The graph of J as a picture.

    The gradients shown are ∂J/∂node, from a sweep made for this picture: no ``grad`` is read or
    changed.

    Args:
        J: the root.
        to: a file to write as well: .svg, .png, .pdf, or .dot / .gv for the text. It is written
            completely or not at all.
        direction: where the values flow: "LR" (left to right), "RL", "TB" or "BT".
        gradients: whether to show gradients; if False, no local derivative is computed.
        precision: significant digits.
        max_nodes: the largest graph to draw.

    Returns:
        A ``graphviz.Digraph``: ``source``, ``pipe``, ``render`` and a notebook's display work, and
        need no ``dot`` executable.

    Raises:
        TypeError: J is not a Value.
        ValueError: more than max_nodes nodes, or an unknown direction or format.
        OSError: the file cannot be written.
        RendererNotFound: neither pygraphviz nor a ``dot`` executable is installed.
        TimeoutError: the layout takes longer than 30 seconds.

    Example:
        >>> x = Value(3.0, "x")
        >>> print(draw(x * x, gradients=False).source.count("->"))
        2
    """
    order = topological_order(as_node(J, "draw(J)"))
    not_begun = Progress(frozenset(), None, dict.fromkeys(order, 0.0))
    return draw_progress(
        J, end_of_sweep(J) if gradients else not_begun, to,
        direction=direction, gradients=gradients, precision=precision, max_nodes=max_nodes,
    )  # fmt: skip


def draw_progress(
    J: Value, progress: Progress, to: str | os.PathLike[str] | None = None, *,
    direction: str = "LR", gradients: bool = True, precision: int = 4, max_nodes: int = 400,
) -> Picture:  # fmt: skip
    """The graph of J when a reverse sweep has come so far; otherwise the same as ``draw``."""
    if direction not in _DIRECTIONS:
        raise ValueError(f"direction is one of {', '.join(_DIRECTIONS)}; got {direction!r:.60}")
    check_size(len(progress.totals), max_nodes)
    picture = _picture(J, progress, direction, gradients, precision)
    return picture if to is None else save(picture, to)


def beside(
    graphs: dict[str, Value], to: str | os.PathLike[str] | None = None, *, precision: int = 4
) -> Picture:
    """Several graphs, by their captions, in one picture; ``to`` and ``precision`` as for ``draw``.

    Raises:
        TypeError: graphs is not a mapping, or one of the roots is not a Value.
        ValueError, OSError, RendererNotFound, TimeoutError: as for ``draw``.

    Example:
        >>> a = Value(2.0, "a")
        >>> print(beside({"a sum": a + a, "a product": a * a}).source.count("label=<a "))
        2
    """
    if not isinstance(graphs, Mapping):
        raise TypeError(
            'beside(graphs) takes a mapping from captions to roots, {"met": J, "violated": K}; got '
            f"{type(graphs).__name__} {graphs!r:.60}"
        )
    whole = Picture(graph_attr=LOOK | {"rankdir": "TB"})
    for i, (caption, J) in enumerate(graphs.items()):
        progress = end_of_sweep(as_node(J, "beside(graphs)"))
        part = _picture(J, progress, "TB", True, precision, prefix=f"g{i}n")
        whole.graph_attr.update(part.graph_attr)  # a large part may need a plainer layout
        part.name = f"cluster_{i}"  # Graphviz draws a frame around a graph of such a name
        part.graph_attr.update(
            label=html_label(html.escape(one_line(caption, 80))), fontname="Helvetica",
            fontsize="15", color=LIGHT["pale"], margin="16",
        )  # fmt: skip
        whole.subgraph(part)
    return whole if to is None else save(whole, to)


def save(picture: Picture, to: str | os.PathLike[str]) -> Picture:
    """Write a picture to a file, in the format that its name asks for; return the picture."""
    kind = file_format(to, "draw", _FORMATS)
    write_whole(to, picture.source.encode() if kind in ("dot", "gv") else picture.pipe(kind))
    return picture


def _picture(
    J: Value, progress: Progress, direction: str, gradients: bool, precision: int, prefix: str = "n"
) -> Picture:
    """The picture of one graph."""
    order = list(progress.totals)
    all_names = node_names(topological_order(J))
    wrong = outdated(order, all_names)
    words = firsts(order) | dict.fromkeys(wrong, OUT_OF_DATE)
    gradients = gradients and not wrong  # they are out of date, too
    boxes, arrows = boxes_and_arrows(J, progress, precision, gradients=gradients)
    # The names of nodes with a label, and of the root; the others are shown by their values.
    names = {node: all_names[node] for node in boxes if one_line(node.label) or node is J}
    labels = {}
    for node, box in boxes.items():
        lines = [title(node, names, precision), box.value]
        if node in words:
            lines.append(f'<font color="{LIGHT["red"]}">{words[node]}</font>')
        if box.gradient:
            text = f"gradient {box.gradient}"
            if node in names:
                text = derivative(names[J], names[node], typeset) + box.after_symbol
            colour = LIGHT["quiet" if progress.totals[node] == 0.0 else "red"]
            lines.append(f'<font color="{colour}">{text}</font>')
        if gradients and box.case == 1 and box.state != "waits" and (cases := node._row.regimes):
            lines.append(f'<font color="{LIGHT["red"]}">{cases[1]}</font>')
        look = _BOXES["current" if node is progress.current else box.kind]
        labels[node] = box_label(filter(None, lines), look, _STYLES[box.state])
    edges = []
    for arrow in arrows:
        colour, style = ("pale", "dashed") if arrow.quiet else ("grey", "solid")
        back = _BACK[arrow.back] | {"penwidth": arrow.width} if arrow.back else None
        forward = {"color": LIGHT[colour], "style": style}
        edges.append(Edge(arrow.node, arrow.parent, forward, back, arrow.text))
    return make_picture(labels, edges, direction, prefix)
