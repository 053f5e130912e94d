"""Pictures of a graph, with the gradient flowing back from J.

    >>> from tinygrad_margin import Value, draw, margin_loss
    >>> picture = draw(margin_loss(Value(0.3), Value(0.5)))
    >>> picture.source.splitlines()[0]                      # a graphviz.Digraph, with all it can
    'digraph {'

``draw(J, "margin.svg")`` writes a file; in a notebook the picture shows itself. One box is one
node: its name, its value, its gradient. Thin grey arrows carry values forward. Red arrows carry the
gradient back, each with the local derivative that it multiplies by, wider where more flows. Where
none passes, arrows and boxes are pale and dashed.
"""

from __future__ import annotations

import html
import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import graphviz

from tinygrad_margin.engine import (
    CONSTANT,
    SlopeError,
    Value,
    adjoints,
    local_derivatives,
)
from tinygrad_margin.notation import brief, glyph, number, typeset, written
from tinygrad_margin.render import effort, layout, write_whole

_FORMATS = ("svg", "png", "pdf", "dot", "gv")
_DIRECTIONS = ("LR", "RL", "TB", "BT")

_GREY, _PALE_GREY = "#8a939d", "#c3c9cf"
_RED, _PALE_RED, _QUIET_TEXT = "#c0392b", "#cf9d96", "#7a6663"
# What a box looks like: outline, fill, style, width of the outline.
_INPUT = ("#2f66b3", "#e8f1fd", "rounded", 1)
_CONSTANT = ("#8a939d", "#eff1f3", "rounded", 1)
_OPERATION = ("#8a939d", "#ffffff", "", 1)
_ROOT = ("#1f7a43", "#e6f6ec", "rounded", 3)


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
        gradients: show the gradient.
        precision: significant digits.
        max_nodes: the largest graph to draw.

    Returns:
        A ``graphviz.Digraph``: ``source``, ``pipe``, ``render`` and a notebook's display work, and
        need no ``dot`` executable.

    Raises:
        TypeError: J is no Value.
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
    if direction not in _DIRECTIONS:
        raise ValueError(f"direction is one of {', '.join(_DIRECTIONS)}; got {direction!r:.60}")
    if not (isinstance(precision, int) and 1 <= precision <= 17):
        raise ValueError(f"precision is a number of digits from 1 to 17; got {precision!r:.60}")
    kind = None if to is None else _format(to)
    totals = adjoints(J, missing=math.nan)
    if len(totals) > max_nodes:
        raise ValueError(
            f"the graph has {len(totals):,} nodes, too many to read: draw a part of it, or allow "
            f"this many with max_nodes={len(totals)} (it is {max_nodes})"
        )
    picture = _picture(J, totals, direction, gradients, precision)
    if to is not None:
        text = kind in ("dot", "gv")
        data = picture.source.encode() if text else layout(picture.source, str(kind))
        write_whole(to, data)
    return picture


def _format(to: str | os.PathLike[str]) -> str:
    """The format that a file name asks for."""
    suffix = Path(to).suffix.lower().removeprefix(".")
    if suffix not in _FORMATS:
        raise ValueError(
            f"draw writes {', '.join('.' + known for known in _FORMATS)}; got {os.fspath(to)!r}"
        )
    return suffix


def _picture(
    J: Value, totals: dict[Value, float], direction: str, gradients: bool, precision: int
) -> Picture:
    """The DOT text: boxes, then arrows."""
    ids = {node: f"n{i}" for i, node in enumerate(totals)}
    edges = sum(len(node.parents) for node in totals)
    picture = Picture(
        graph_attr={"rankdir": direction, "bgcolor": "white", "pad": "0.2", "nodesep": "0.4",
                    "ranksep": "0.75"} | effort(len(totals), edges),
        node_attr={"fontname": "Helvetica", "fontsize": "13", "shape": "plain"},
        edge_attr={"fontname": "Helvetica", "fontsize": "11", "arrowsize": "0.7"},
    )  # fmt: skip
    for node, total in totals.items():
        title = _title(node, J, precision)
        lines = [title] if title else []
        lines.append(number(node.data, precision))
        if gradients and node._primitive is not CONSTANT:
            lines.append(_gradient(node, J, total, precision))
        picture.node(ids[node], label=_box(lines, _look(node, J), pale=gradients and total == 0.0))
    largest = max((abs(flow) for *_, flow in _flows(totals) if math.isfinite(flow)), default=0.0)
    for node, parent, derivative, flow in _flows(totals):
        quiet = gradients and flow == 0.0
        picture.edge(
            ids[parent], ids[node],
            color=_PALE_GREY if quiet else _GREY, style="dashed" if quiet else "solid",
        )  # fmt: skip
        if gradients and _is_shown(node, parent):
            picture.edge(ids[node], ids[parent], **_arrow(derivative, flow, largest, precision))
    return picture


def _flows(totals: dict[Value, float]) -> Iterator[tuple[Value, Value, float, float]]:
    """Each edge as (node, parent, ∂node/∂parent, what flows back along it)."""
    for node, total in totals.items():
        try:
            derivatives = local_derivatives(node)
        except (SlopeError, OverflowError):
            derivatives = (math.nan,) * len(node.parents)
        for parent, derivative in zip(node.parents, derivatives, strict=True):
            yield node, parent, derivative, total * derivative


def _is_shown(node: Value, parent: Value) -> bool:
    """Nobody asks for ∂J/∂constant; only at a max or min does the arrow tell which side wins."""
    return parent._primitive is not CONSTANT or node._primitive.cases is not None


def _look(node: Value, J: Value) -> tuple[str, str, str, int]:
    """What the node's box looks like."""
    if node is J:
        return _ROOT
    if node.parents:
        return _OPERATION
    return _CONSTANT if node._primitive is CONSTANT else _INPUT


def _title(node: Value, J: Value, precision: int) -> str:
    """The line of the box that names the node; empty for a leaf without a label."""
    name = _name(node, J)
    if not node.parents:
        return f"<b>{name}</b>" if name else ""
    if not name and node.op != "**":
        return f"<b>{html.escape(glyph(node.op))}</b>"
    operands = ["·" if _is_named(parent) else number(parent.data, precision)
                for parent in node.parents]  # fmt: skip
    form = re.sub(r"\^(.*)", r"<sup>\1</sup>", html.escape(written(node.op, operands)))
    return f"<b>{name}</b> = {form}" if name else form


def _is_named(node: Value) -> bool:
    """Is a node more than a bare number?"""
    return node._primitive is not CONSTANT or bool(brief(node.label))


def _name(node: Value, J: Value) -> str:
    """A node's label as HTML; the root is "out" where it has none."""
    return typeset(node.label) if brief(node.label) else "<i>out</i>" if node is J else ""


def _gradient(node: Value, J: Value, total: float, precision: int) -> str:
    """The line of the box that says ∂J/∂node."""
    colour = _QUIET_TEXT if total == 0.0 else _RED
    if math.isnan(total):
        text = "does not exist"
    else:
        text = number(total, precision, signed=not node.parents and node is not J)
    name = _name(node, J)
    what = f"∂{_name(J, J)}/∂{name}" if name else "gradient"
    sign = " = " if name and not math.isnan(total) else " "
    return f'<font color="{colour}">{what}{sign}{text}</font>'


def _box(lines: list[str], look: tuple[str, str, str, int], *, pale: bool) -> str:
    """A node's label, as a Graphviz table."""
    outline, fill, style, width = look
    if pale:
        outline, style = _PALE_GREY, f"{style},dashed".strip(",")
    # Graphviz measures text with a font of its own: spaces keep it off the outline in any other.
    rows = "".join(f"<tr><td>&#160;{line}&#160;</td></tr>" for line in lines)
    style = f' style="{style}"' if style else ""
    return (
        f'<<table border="{width}" color="{outline}" bgcolor="{fill}"{style} cellborder="0" '
        f'cellspacing="0" cellpadding="3">{rows}</table>>'
    )


def _arrow(derivative: float, flow: float, largest: float, precision: int) -> dict[str, str]:
    """The attributes of an arrow that carries gradient back."""
    if math.isnan(derivative):
        return {"constraint": "false", "color": _RED, "fontcolor": _RED, "style": "dotted",
                "label": "no slope"}  # fmt: skip
    text = number(derivative, precision)
    colour, ink, style = (
        (_PALE_RED, _QUIET_TEXT, "dashed") if flow == 0.0 else (_RED, _RED, "solid")
    )
    share = abs(flow) / largest if largest and math.isfinite(flow) else 0.0
    return {
        "constraint": "false",
        "color": colour,
        "fontcolor": ink,
        "style": style,
        "penwidth": f"{0.8 + 1.4 * share:.2f}" if flow else "0.8",
        "label": f"×({text})" if text.startswith("−") else f"×{text}",
    }
