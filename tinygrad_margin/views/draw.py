"""Pictures of a graph, with the gradient flowing back from J.

    >>> from tinygrad_margin import Value, draw, margin_loss
    >>> picture = draw(margin_loss(Value(0.3), Value(0.5)))
    >>> picture.source.splitlines()[0]                      # a graphviz.Digraph, with all it can
    'digraph {'

``draw(J, "margin.svg")`` writes a file; in a notebook the picture shows itself. One box is one
node: its name, its value, its gradient. Thin grey arrows carry values forward. Red arrows carry the
gradient back, each with the local derivative that it multiplies by, wider where more flows. Where
none passes, arrows and boxes are pale and dashed. An input that is used more than once, a shared
weight, has a heavier outline.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import graphviz

from tinygrad_margin.engine import Value, topological_order
from tinygrad_margin.guard import as_node, one_line
from tinygrad_margin.views.notation import format_operation, glyph, number, typeset
from tinygrad_margin.views.render import effort, file_format, layout, write_whole
from tinygrad_margin.views.scene import Arrow, Moment, end, scene

_LAYOUT = {"bgcolor": "white", "pad": "0.2", "nodesep": "0.4", "ranksep": "0.75"}
_FORMATS = ("svg", "png", "pdf", "dot", "gv")
_DIRECTIONS = ("LR", "RL", "TB", "BT")

# On light and on dark paper; the fills of boxes stand last.
_COLOURS = {
    "paper": ("#ffffff", "#14171b"),
    "ink": ("#1b1f24", "#e8eaed"),
    "soft": ("#4f5963", "#b3bcc6"),
    "grey": ("#5f6973", "#9aa4b0"),
    "pale": ("#8b949d", "#6b7480"),
    "red": ("#c0392b", "#ff8a7a"),
    "pink": ("#c4776d", "#a8695f"),
    "quiet": ("#7a6663", "#b59f9b"),
    "blue": ("#2f66b3", "#6ea3ef"),
    "green": ("#1f7a43", "#56c586"),
    "input": ("#e8f1fd", "#1b2c45"),
    "shared": ("#c9dcf6", "#28446d"),
    "constant": ("#eff1f3", "#262b31"),
    "operation": ("#ffffff", "#1a1e23"),
    "root": ("#e6f6ec", "#17352a"),
    "current": ("#fdf0ee", "#43221f"),
    "failed": ("#fbdcd7", "#5a211b"),
}
LIGHT = {name: light for name, (light, _) in _COLOURS.items()}
DARK = {name: dark for name, (_, dark) in _COLOURS.items()}
_GREY, _PALE_GREY = LIGHT["grey"], LIGHT["pale"]
_RED, _PALE_RED, _QUIET_TEXT = LIGHT["red"], LIGHT["pink"], LIGHT["quiet"]
# What a box looks like: outline, fill, corners, width of the outline.
_BOXES = {
    "input": (LIGHT["blue"], LIGHT["input"], "rounded", 1),
    "shared": ("#1d4a8c", LIGHT["shared"], "rounded", 2),
    "constant": (_GREY, LIGHT["constant"], "rounded", 1),
    "operation": (_GREY, LIGHT["operation"], "", 1),
    "root": (LIGHT["green"], LIGHT["root"], "rounded", 3),
}
_CURRENT = (_RED, LIGHT["current"], "", 4)
_STYLES = {"waits": "dotted", "pale": "dashed", "": ""}


class Picture(graphviz.Digraph):  # type: ignore[misc]
    """A graphviz.Digraph that renders in this process: no ``dot`` executable is needed."""

    def _pipe_lines(
        self, engine: str, format: str, lines: Iterable[str], *, input_encoding: str, **_: Any
    ) -> bytes:
        return layout("".join(lines), format, engine)

    def _pipe_lines_string(
        self, engine: str, format: str, lines: Iterable[str], *, encoding: str, **_: Any
    ) -> str:
        return layout("".join(lines), format, engine).decode(encoding)

    def _render(
        self, engine: str, format: str, filepath: str, *,
        outfile: os.PathLike[str] | None = None, raise_if_result_exists: bool = False, **_: Any,
    ) -> str:  # fmt: skip
        target = os.fspath(outfile) if outfile is not None else f"{filepath}.{format}"
        if raise_if_result_exists and os.path.exists(target):
            raise graphviz.FileExistsError(f"output file exists: {target!r}")
        write_whole(target, layout(Path(filepath).read_text(self.encoding), format, engine))
        return target


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
            whole or not at all.
        direction: where the values flow: "LR" (left to right), "RL", "TB" or "BT".
        gradients: show the gradient; False: no partial derivative is asked for.
        precision: significant digits.
        max_nodes: the largest graph to draw.

    Returns:
        A ``graphviz.Digraph``: ``source``, ``pipe``, ``render`` and a notebook's display work, and
        need no ``dot`` executable.

    Raises:
        TypeError: J is no Value, or gradients neither True nor False.
        ValueError: more than max_nodes nodes, an unknown direction or format, precision not in 1
            to 17.
        OSError: the file cannot be written.
        RendererNotFound: there is neither pygraphviz nor a ``dot`` executable.
        TimeoutError: the layout of a tangled graph takes longer than a minute.

    Example:
        >>> x = Value(3.0, "x")
        >>> print(draw(x * x, gradients=False).source.count("->"))
        2
    """
    order = topological_order(as_node(J, "draw(J)"))
    nothing = Moment(frozenset(order), None, dict.fromkeys(order, 0.0))
    return draw_moment(J, nothing if gradients is False else end(J), to, direction=direction,
                       gradients=gradients, precision=precision, max_nodes=max_nodes)  # fmt: skip


def draw_moment(
    J: Value,
    moment: Moment,
    to: str | os.PathLike[str] | None = None,
    *,
    direction: str = "LR",
    gradients: bool = True,
    precision: int = 4,
    max_nodes: int = 400,
) -> Picture:
    """The graph of J at a moment of the reverse sweep; otherwise as ``draw``."""
    if direction not in _DIRECTIONS:
        raise ValueError(f"direction is one of {', '.join(_DIRECTIONS)}; got {direction!r:.60}")
    if not isinstance(gradients, bool):
        raise TypeError(
            f"gradients is True or False; got {type(gradients).__name__} {gradients!r:.60}"
        )
    if type(precision) is not int or not 1 <= precision <= 17:
        raise ValueError(f"precision is a number of digits from 1 to 17; got {precision!r:.60}")
    if to is not None:
        file_format(to, "draw", _FORMATS)  # an unknown one is refused before any work is done
    count = len(moment.totals)
    check_size(count, max_nodes)
    picture = _picture(J, moment, direction, gradients, precision)
    return picture if to is None else save(picture, to)


def check_size(count: int, max_nodes: int) -> None:
    """Refuse a graph that no one could read."""
    if isinstance(max_nodes, bool) or not isinstance(max_nodes, int):
        raise TypeError(
            f"max_nodes is a whole number; got {type(max_nodes).__name__} {max_nodes!r:.60}"
        )
    if count > max_nodes:
        raise ValueError(
            f"the graph has {count:,} nodes, too many to read: draw a part of it, or allow "
            f"this many with max_nodes={count} (it is {max_nodes})"
        )


def beside(
    graphs: dict[str, Value], to: str | os.PathLike[str] | None = None, *, precision: int = 4
) -> Picture:
    """Several graphs side by side in one picture, each with its caption.

    Args:
        graphs: the roots by their captions.
        to: a file to write as well.
        precision: significant digits.

    Raises:
        TypeError: graphs is no mapping, or one of them no Value.
        ValueError, OSError, RendererNotFound, TimeoutError: as ``draw``.

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
    if to is not None:
        file_format(to, "draw", _FORMATS)  # an unknown one is refused before any work is done
    both = Picture(graph_attr=_LAYOUT | {"rankdir": "TB"})
    for i, (caption, J) in enumerate(graphs.items()):
        moment = end(as_node(J, "beside(graphs)"))
        part = _picture(J, moment, "TB", True, precision, prefix=f"g{i}n")
        part.name = f"cluster_{i}"
        text = html.escape(one_line(caption, 80))
        part.graph_attr.update(label=f"<{text}>", fontname="Helvetica", fontsize="15",
                               color=_PALE_GREY, margin="16")  # fmt: skip
        both.subgraph(part)
    return both if to is None else save(both, to)


def save(picture: Picture, to: str | os.PathLike[str]) -> Picture:
    """Write a picture to a file, in the format that its name asks for; return the picture."""
    kind, source = file_format(to, "draw", _FORMATS), picture.source
    write_whole(to, source.encode() if kind in ("dot", "gv") else layout(source, kind))
    return picture


def _picture(
    J: Value, moment: Moment, direction: str, gradients: bool, precision: int, prefix: str = "n"
) -> Picture:
    """The DOT text: boxes, then arrows."""
    faces, arrows = scene(J, moment, precision, gradients=gradients)
    ids = {node: f"{prefix}{i}" for i, node in enumerate(faces)}
    names = _names(J, faces)
    reach = span(faces)
    picture = Picture(**settings(len(faces), len(arrows), reach, direction))
    for node, face in faces.items():
        lines = [line for line in (title(node, names, precision), face.value) if line]
        if face.gradient:
            said = f"gradient {face.gradient}"
            if node in names:
                said = f"∂{names[J]}/∂{names[node]}{face.equated}"
            colour = _QUIET_TEXT if moment.totals[node] == 0.0 else _RED
            lines.append(f'<font color="{colour}">{said}</font>')
        if gradients and face.case == 1 and face.state != "waits":
            lines.append(f'<font color="{_RED}">{node._row.kink}</font>')
        look = _CURRENT if node is moment.current else _BOXES[face.kind]
        picture.node(ids[node], label=box(lines, look, _STYLES[face.state]))
    label = label_attribute(reach)
    for arrow in arrows:
        tail, head = ids[arrow.parent], ids[arrow.node]
        colour, style = (_PALE_GREY, "dashed") if arrow.quiet else (_GREY, "solid")
        picture.edge(tail, head, color=colour, style=style)
        if arrow.back:
            # Laid out forward, like its grey twin, and drawn backward: the two run side by side.
            picture.edge(tail, head, dir="back", **_red(arrow), **{label: arrow.text})
    return picture


def _red(arrow: Arrow) -> dict[str, str]:
    """Colour, style and width of the arrow back."""
    if arrow.back == "undefined":
        return {"color": _RED, "fontcolor": _RED, "style": "dotted"}
    if arrow.back == "quiet":
        return {"color": _PALE_RED, "fontcolor": _QUIET_TEXT, "style": "dashed"}
    return {"color": _RED, "fontcolor": _RED, "penwidth": arrow.width}


def settings(nodes: int, edges: int, reach: int, direction: str) -> dict[str, dict[str, str]]:
    """The attributes of a graph with so many nodes and edges, and of all of them."""
    return {
        "graph_attr": _LAYOUT | {"rankdir": direction} | effort(nodes, edges, reach),
        "node_attr": {"fontname": "Helvetica", "fontsize": "13", "shape": "plain"},
        "edge_attr": {"fontname": "Helvetica", "fontsize": "11", "arrowsize": "0.7"},
    }


def label_attribute(reach: int) -> str:
    """How an arrow gets its label: beyond some span Graphviz takes minutes to find room for it."""
    return "label" if reach <= 250 else "xlabel"


def span(nodes: Iterable[Value]) -> int:
    """How many ranks all arrows together reach across: what the layout costs."""
    level: dict[Value, int] = {}
    for node in nodes:
        if node.parents:
            level[node] = 1 + max(level.get(parent, 0) for parent in node.parents)
    for node in list(level):
        for parent in node.parents:
            if not parent.parents:  # a leaf stands just before the first that uses it
                level[parent] = min(level.get(parent, level[node]), level[node] - 1)
    return sum(level[node] - level[parent] for node in level for parent in node.parents)


def _names(J: Value, nodes: Iterable[Value]) -> dict[Value, str]:
    """The labels as HTML. A root without a label is J, or out, where another node is J."""
    names = {node: typeset(node.label) for node in nodes if one_line(node.label)}
    names.setdefault(J, typeset("out" if typeset("J") in names.values() else "J"))
    return names


def title(node: Value, names: dict[Value, str], precision: int) -> str:
    """The line of the box that names the node; empty for a leaf without a label."""
    name = f"<b>{names[node]}</b>" if node in names else ""
    if not node.parents:
        return name
    symbol = html.escape(node.op)
    has_order = symbol in ("-", "/", "**") or (
        len(node.parents) > 1 and symbol not in ("+", "*", "max", "min")
    )
    if not name and not has_order:  # the arrows say it all
        return f"<b>{glyph(symbol)}</b>"
    operands = [names.get(parent) or number(parent.data, precision) for parent in node.parents]
    if symbol == "**" and len(operands) == 2:
        base, exponent = operands
        exponent = re.sub("<sub>(.*)</sub>", r"_\1", exponent)  # a line is shifted only once
        form = f"({base})<sup>{exponent}</sup>" if "−" in base else f"{base}<sup>{exponent}</sup>"
    else:
        form = format_operation(symbol, operands)
    return f"{name} = {form}" if name else form


def box(lines: list[str], look: tuple[str, str, str, int], style: str) -> str:
    """A node's label, as a Graphviz table; dashed or dotted, it is pale."""
    outline, fill, corners, width = look
    if style:
        outline = _PALE_GREY
    styles = ",".join(filter(None, (corners, style)))
    attributes = f' style="{styles}"' if styles else ""
    # Graphviz measures text with a font of its own: spaces keep it off the outline in any other.
    rows = "".join(f"<tr><td>&#160;{line}&#160;</td></tr>" for line in lines)
    # It reads \N, \G and the like as the names of things; a doubled backslash is just one.
    rows = rows.replace("\\", "\\\\")
    return (
        f'<<table border="{width}" color="{outline}" bgcolor="{fill}"{attributes} cellborder="0" '
        f'cellspacing="0" cellpadding="3">{rows}</table>>'
    )
