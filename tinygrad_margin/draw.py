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
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import graphviz

from tinygrad_margin.engine import (
    CONSTANT,
    Value,
    adjoints,
    as_node,
    local_derivatives,
)
from tinygrad_margin.notation import brief, glyph, in_parentheses, number, typeset, written
from tinygrad_margin.render import effort, layout, write_whole

_LAYOUT = {"bgcolor": "white", "pad": "0.2", "nodesep": "0.4", "ranksep": "0.75"}
_FORMATS = ("svg", "png", "pdf", "dot", "gv")
_DIRECTIONS = ("LR", "RL", "TB", "BT")

_GREY, _PALE_GREY = "#8a939d", "#c3c9cf"
_RED, _PALE_RED, _QUIET_TEXT = "#c0392b", "#cf9d96", "#7a6663"
# What a box looks like: outline, fill, style, width of the outline.
_INPUT = ("#2f66b3", "#e8f1fd", "rounded", 1)
_SHARED = ("#1d4a8c", "#c9dcf6", "rounded", 2)
_CONSTANT = ("#8a939d", "#eff1f3", "rounded", 1)
_OPERATION = ("#8a939d", "#ffffff", "", 1)
_ROOT = ("#1f7a43", "#e6f6ec", "rounded", 3)
_CURRENT = ("#c0392b", "#fdf0ee", "", 4)


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
    end = _end(as_node(J, "draw(J)"))
    return draw_moment(J, end, to, direction=direction, gradients=gradients,
                       precision=precision, max_nodes=max_nodes)  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """How far a reverse sweep has come.

    Attributes:
        done: the nodes that have passed their gradient on.
        current: the one that did so last, to be pointed out; or None.
        totals: ∂J/∂node so far, for every node of the graph in topological order.
    """

    done: frozenset[Value]
    current: Value | None
    totals: Mapping[Value, float]


def _end(J: Value) -> Moment:
    """The end of the sweep; a gradient that does not exist is nan."""
    totals = adjoints(J, missing=math.nan)
    return Moment(frozenset(totals), None, totals)


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
    if type(precision) is not int or not 1 <= precision <= 17:
        raise ValueError(f"precision is a number of digits from 1 to 17; got {precision!r:.60}")
    if to is not None:
        _format(to)  # an unknown one is refused before any work is done
    count = len(moment.totals)
    if count > max_nodes:
        raise ValueError(
            f"the graph has {count:,} nodes, too many to read: draw a part of it, or allow "
            f"this many with max_nodes={count} (it is {max_nodes})"
        )
    picture = _picture(J, moment, direction, gradients, precision)
    return picture if to is None else save(picture, to)


def beside(
    graphs: dict[str, Value], to: str | os.PathLike[str] | None = None, *, precision: int = 4
) -> Picture:
    """Several graphs side by side in one picture, each with its caption.

    Args:
        graphs: the roots by their captions.
        to: a file to write as well.
        precision: significant digits.

    Example:
        >>> a = Value(2.0, "a")
        >>> print(beside({"a sum": a + a, "a product": a * a}).source.count("label=<a "))
        2
    """
    if to is not None:
        _format(to)  # an unknown one is refused before any work is done
    both = Picture(graph_attr=_LAYOUT | {"rankdir": "TB"})
    for i, (caption, J) in enumerate(graphs.items()):
        end = _end(as_node(J, "beside(graphs)"))
        part = _picture(J, end, "TB", True, precision, prefix=f"g{i}n")
        part.name = f"cluster_{i}"
        text = html.escape(brief(caption, 80))
        part.graph_attr.update(label=f"<{text}>", fontname="Helvetica", fontsize="15",
                               color=_PALE_GREY, margin="16")  # fmt: skip
        both.subgraph(part)
    return both if to is None else save(both, to)


def save(picture: Picture, to: str | os.PathLike[str]) -> Picture:
    """Write a picture to a file, in the format that its name asks for; return the picture."""
    kind, source = _format(to), picture.source
    write_whole(to, source.encode() if kind in ("dot", "gv") else layout(source, kind))
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
    J: Value, moment: Moment, direction: str, gradients: bool, precision: int, prefix: str = "n"
) -> Picture:
    """The DOT text: boxes, then arrows."""
    totals = moment.totals
    ids = {node: f"{prefix}{i}" for i, node in enumerate(totals)}
    names = _names(J, totals)
    arrows = list(_arrows(totals))
    span = _span(totals)
    picture = Picture(
        graph_attr=_LAYOUT | {"rankdir": direction} | effort(len(totals), len(arrows), span),
        node_attr={"fontname": "Helvetica", "fontsize": "13", "shape": "plain"},
        edge_attr={"fontname": "Helvetica", "fontsize": "11", "arrowsize": "0.7"},
    )  # fmt: skip
    uses = Counter(arrow.parent for arrow in arrows)
    loud = {arrow.parent for arrow in arrows if not arrow.is_quiet(totals)}
    for node, total in totals.items():
        title = _title(node, names, precision)
        lines = [title] if title else []
        lines.append(number(node.data, precision))
        waits = node not in moment.done
        if gradients and node._primitive is not CONSTANT and not (waits and total == 0.0):
            lines.append(_gradient(node, J, names, total, precision, so_far=waits))
        if gradients and not waits and node.is_at_kink:
            lines.append(f'<font color="{_RED}">{node._primitive.kink}</font>')
        pale = gradients and not waits and node is not J and node not in loud
        look = _CURRENT if node is moment.current else _look(node, J, uses[node])
        style = "dotted" if gradients and waits else "dashed" if pale else ""
        picture.node(ids[node], label=_box(lines, look, style))
    largest = max((abs(a.flow) for a in arrows if math.isfinite(a.flow)), default=0.0)
    label = "label" if span <= _LABELS_FIT else "xlabel"
    for arrow in arrows:
        tail, head, done = ids[arrow.parent], ids[arrow.node], arrow.node in moment.done
        quiet = gradients and done and arrow.is_quiet(totals)
        picture.edge(
            tail, head, color=_PALE_GREY if quiet else _GREY, style="dashed" if quiet else "solid"
        )
        if gradients and done and arrow.is_shown:
            # Laid out forward, like its grey twin, and drawn backward: the two run side by side.
            attributes = arrow.look(largest) | {label: arrow.text(precision)}
            picture.edge(tail, head, dir="back", **attributes)
    return picture


_LABELS_FIT = 250  # beyond this span Graphviz takes minutes to find room for labels


def _span(nodes: Iterable[Value]) -> int:
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


class _Arrow(NamedTuple):
    """An edge of the graph, with what flows back along it."""

    node: Value
    parent: Value
    derivative: float
    flow: float

    @property
    def is_shown(self) -> bool:
        """Nobody asks for ∂J/∂constant; only at a max or min does it tell which side wins."""
        return self.parent._primitive is not CONSTANT or self.node._primitive.cases is not None

    def is_quiet(self, totals: Mapping[Value, float]) -> bool:
        """Does no gradient pass?"""
        return (self.flow if self.is_shown else totals[self.node]) == 0.0

    def look(self, largest: float) -> dict[str, str]:
        """Colour, style and width of the arrow back; the largest flow is the widest."""
        if math.isnan(self.derivative):
            return {"color": _RED, "fontcolor": _RED, "style": "dotted"}
        if self.flow == 0.0:
            return {"color": _PALE_RED, "fontcolor": _QUIET_TEXT, "style": "dashed"}
        share = abs(self.flow) / largest if largest and math.isfinite(self.flow) else 0.0
        return {"color": _RED, "fontcolor": _RED, "penwidth": f"{0.8 + 1.4 * share:.2f}"}

    def text(self, precision: int) -> str:
        """The local derivative that the arrow multiplies by."""
        if math.isnan(self.derivative):
            return "no slope"
        return f"×{in_parentheses(number(self.derivative, precision))}"


def _arrows(totals: Mapping[Value, float]) -> Iterator[_Arrow]:
    """Every edge of the graph."""
    for node, total in totals.items():
        derivatives = local_derivatives(node, missing=math.nan)
        for parent, derivative in zip(node.parents, derivatives, strict=True):
            yield _Arrow(node, parent, derivative, total * derivative)


def _look(node: Value, J: Value, uses: int) -> tuple[str, str, str, int]:
    """What the node's box looks like; an input that is used more than once stands out."""
    if node is J:
        return _ROOT
    if node.parents:
        return _OPERATION
    if node._primitive is CONSTANT:
        return _CONSTANT
    return _INPUT if uses <= 1 else _SHARED


def _names(J: Value, nodes: Iterable[Value]) -> dict[Value, str]:
    """The labels as HTML. A root without a label is J, or out, where another node is J."""
    # Graphviz reads \N, \G and the like as the names of things; a doubled backslash is just one.
    names = {node: typeset(node.label).replace("\\", "\\\\") for node in nodes if brief(node.label)}
    names.setdefault(J, typeset("out" if typeset("J") in names.values() else "J"))
    return names


def _title(node: Value, names: dict[Value, str], precision: int) -> str:
    """The line of the box that names the node; empty for a leaf without a label."""
    name = f"<b>{names[node]}</b>" if node in names else ""
    if not node.parents:
        return name
    symbol = html.escape(node.op)
    if not name and symbol not in ("-", "/", "**"):  # where the order of the operands matters
        return f"<b>{glyph(symbol)}</b>"
    operands = [names.get(parent) or number(parent.data, precision) for parent in node.parents]
    if symbol == "**":
        base, exponent = operands
        exponent = re.sub("<sub>(.*)</sub>", r"_\1", exponent)  # a line is shifted only once
        form = f"({base})<sup>{exponent}</sup>" if "−" in base else f"{base}<sup>{exponent}</sup>"
    else:
        form = written(symbol, operands)
    return f"{name} = {form}" if name else form


def _gradient(
    node: Value, J: Value, names: dict[Value, str], total: float, precision: int, *, so_far: bool
) -> str:
    """The line of the box that says ∂J/∂node."""
    colour = _QUIET_TEXT if total == 0.0 else _RED
    if math.isnan(total):
        text = "does not exist"
    else:
        text = number(total, precision, signed=not node.parents and node is not J)
    what = f"∂{names[J]}/∂{names[node]}" if node in names else "gradient"
    sign = " = " if node in names and not math.isnan(total) else " "
    later = " so far" if so_far and node is not J else ""
    return f'<font color="{colour}">{what}{sign}{text}{later}</font>'


def _box(lines: list[str], look: tuple[str, str, str, int], style: str) -> str:
    """A node's label, as a Graphviz table; dashed or dotted, it is pale."""
    outline, fill, corners, width = look
    if style:
        outline = _PALE_GREY
    styles = ",".join(filter(None, (corners, style)))
    attributes = f' style="{styles}"' if styles else ""
    # Graphviz measures text with a font of its own: spaces keep it off the outline in any other.
    rows = "".join(f"<tr><td>&#160;{line}&#160;</td></tr>" for line in lines)
    return (
        f'<<table border="{width}" color="{outline}" bgcolor="{fill}"{attributes} cellborder="0" '
        f'cellspacing="0" cellpadding="3">{rows}</table>>'
    )
