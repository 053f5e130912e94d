"""The interactive page: drag the inputs, watch the gradient, step through the sweep.

    >>> from tinygrad_margin import Value, margin_loss, page
    >>> shown = page(margin_loss(Value(0.3), Value(0.5)))   # a notebook displays it
    >>> shown.html.startswith("<!doctype html>")
    True

``page(J, "margin.html")`` writes one file that needs no network and no other file. The graph is
drawn here. The browser computes the numbers, with interpreter.js, from the same table of primitives
as everything else. The page's content security policy allows no network, and no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinygrad_margin.engine import Value
from tinygrad_margin.files import file_format, write_whole
from tinygrad_margin.guard import one_line
from tinygrad_margin.guard.errors import NEEDS, NO_SLOPE, SLOPE_TOO_LARGE, TOO_LARGE
from tinygrad_margin.ops import Primitive
from tinygrad_margin.page.operations_in_javascript import (
    JavaScript,
    json_in_script,
    row_keys,
    table,
)
from tinygrad_margin.views.boxes_and_arrows import Arrow, Box, boxes_and_arrows, end_of_sweep
from tinygrad_margin.views.colours import DARK, LIGHT
from tinygrad_margin.views.names import node_formula
from tinygrad_margin.views.notation import derivative, enclose, typeset
from tinygrad_margin.views.remarks import NOT_A_NUMBER, NOT_FINITE, OVERFLOW
from tinygrad_margin.views.svg import MOST_INPUTS, STYLE, SvgGraph
from tinygrad_margin.views.sweep_sentences import NOT_ASKED, step_words

_ERRORS = {"needs": NEEDS, "tooLarge": TOO_LARGE, "noSlope": NO_SLOPE,
           "slopeTooLarge": SLOPE_TOO_LARGE, "notAsked": NOT_ASKED}  # fmt: skip
_PHONE = 60  # nodes; a larger graph does not fit on a phone in any direction


@dataclass(frozen=True)
class Page:
    """An interactive page; a notebook shows it in a frame of its own."""

    html: str = field(repr=False)

    def save(self, to: str | os.PathLike[str]) -> None:
        """Write the page to a file, completely or not at all."""
        file_format(to, "page", ["html", "htm"])
        write_whole(to, self.html.encode())

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts" '
            'style="width:100%;height:720px;border:0" title="interactive graph"></iframe>'
        )


def page(
    J: Value,
    to: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    max_nodes: int = 400,
) -> Page:
    """The graph of J as an interactive page, in one HTML file that works without a network.

    Each leaf that has a label gets a slider and a number box. As they move, every value and
    gradient is computed again. Buttons and arrow keys step through the reverse sweep, with the
    sentences of ``ReverseSweep``. The first node that is not finite is marked. If you point at a
    box, its paths to J light up. The state is in the address, ``#s=0.3&s_c=0.5&step=2``, so you can
    link to a step. The page has ``html`` and ``save(to)``; a notebook shows it. If a number is out
    of date, because data has changed, the page computes it anew and says what it is in Python.

    Args:
        J: the root.
        to: a file to write as well, .html or .htm; it is written completely or not at all.
        title: the heading above the graph; None: how J is computed.
        max_nodes: the largest graph to take.

    Raises:
        TypeError: J is not a Value, or an operation of your own is not a formula of
            ``+ - * / **``, so that a browser cannot compute it.
        ValueError: more than max_nodes nodes, or a file name that does not end in .html or .htm.
        OSError, RendererNotFound, TimeoutError: as for ``draw``.

    Example:
        >>> x = Value(3.0, "x")
        >>> "<h1>A square</h1>" in page(x * x, title="A square").html
        True
    """
    shown = Page(_html(SvgGraph(J, max_nodes), title))
    if to is not None:
        shown.save(to)
    return shown


def _html(graph: SvgGraph, title: str | None) -> str:
    """The page: page.html with its places filled in."""
    J, names = graph.J, graph.names
    if title is None:
        title = f"{names[J]} = {node_formula(J, names)}" if J.parents else names[J]
    # The keys of the leaves in the address: their names, but "step" is the step of the sweep.
    keys = {leaf: re.sub("^step′*$", r"\g<0>′", names[leaf]) for leaf in graph.leaves}
    boxes, arrows = boxes_and_arrows(J, end_of_sweep(J))
    rows = row_keys(node._row for node in graph.nodes if node.parents)
    script = "\n".join((_read("interpreter.js"), f"const TABLE = {table(rows)};", _read("page.js")))
    paper = "landscape" if graph.layout.width > graph.layout.height else "portrait"
    style = "\n".join(
        ("", _colours(), STYLE, _read("page.css"), f"@page {{ size: {paper}; margin: 1cm }}\n")
    )
    parts = {
        "policy": (
            f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        "title": html.escape(one_line(title, 300)),
        "style": style,
        "svg": _svg(graph, boxes, arrows),
        "outdated": _outdated(graph),
        "inputs": _inputs(graph, keys),
        "root": typeset(names[J]),
        "spec": json_in_script(_spec(graph, keys, boxes, rows)),
        "script": script,
    }
    # All at once: a label may look like a place to fill in.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _read("page.html"))


def _read(name: str) -> str:
    """A file that is a part of every page."""
    return Path(__file__).with_name(name).read_text("utf-8")


def _digest(text: str) -> str:
    """How the security policy identifies a script or a style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _colours() -> str:
    """The colours as CSS variables, for light and dark screens."""
    light, dark = (
        ":root { " + "; ".join(f"--{name}: {x}" for name, x in colours.items()) + " }\n"
        for colours in (LIGHT, DARK)
    )
    return f"{light}@media screen and (prefers-color-scheme: dark) {{ {dark}}}\n"


def _inputs(graph: SvgGraph, keys: dict[Value, str]) -> str:
    """A slider and a number box for each leaf that has a label."""
    if not keys:
        return "<p>No leaf of this graph has a label, so there is nothing to drag.</p>"
    rows = []
    for leaf in keys:
        i, x = graph.index[leaf], leaf.data
        name = html.escape(graph.names[leaf])
        limits, number = _range(x), repr(x) if math.isfinite(x) else ""
        slider = "<span></span>"
        if limits is not None:
            low, high, step = limits
            slider = (
                f'<input type="range" id="slider{i}" min="{low!r}" max="{high!r}" '
                f'step="{step!r}" value="{x!r}" aria-label="{name}, slider">'
            )
        rows.append(
            f'<label for="box{i}" title="{name}">{typeset(graph.names[leaf])}</label>{slider}'
            f'<input type="number" id="box{i}" step="any" value="{number}" aria-label="{name}">'
        )
    return f'<div class="rows">{"".join(rows)}</div>'


def _outdated(graph: SvgGraph) -> str:
    """What the page says if a number of the graph is out of date in Python."""
    if not graph.outdated:
        return ""
    words = "This page computes every number from the inputs. In Python:"
    return html.escape("\n".join([words, *graph.whats_outdated]), quote=False)


def _range(x: float) -> tuple[float, float, float] | None:
    """Where a slider begins and ends, and its step: around x, with room for a margin."""
    if 1e-300 < abs(x) < 0.01:
        size = math.floor(math.log10(abs(x)))
        reach = float(f"2e{size + 1}")
        return -reach, reach, float(f"1e{size - 1}")
    reach = max(3.0, abs(x))
    low, high = x - reach, x + reach
    if not math.isfinite(high - low):
        return None
    low, high = float(math.floor(low)), float(math.ceil(high))
    return low, high, float(f"1e{math.floor(math.log10((high - low) / 400))}")


def _spec(
    graph: SvgGraph, keys: dict[Value, str], boxes: dict[Value, Box], rows: dict[Primitive, str]
) -> dict[str, Any]:
    """The graph as page.js and interpreter.js read it: see ``Graph`` there."""
    root = graph.names[graph.J]
    nodes = []
    for (node, box), (width, _) in zip(boxes.items(), graph.layout.sizes, strict=True):
        name = graph.names[node]
        heading, rules = step_words(node, graph.names)
        entry: dict[str, Any] = {
            "op": rows.get(node._row, node._row.name),
            "in": [graph.index[parent] for parent in node.parents],
            "kind": box.kind, "label": one_line(node.label), "name": name, "heading": heading,
            "rules": rules, "slope": derivative(root, name),
            "inside": enclose(name), "room": int(width / 7.3),
        }  # fmt: skip
        if not node.parents:
            entry["data"] = JavaScript.number(node.data)  # as text: JSON has no infinity
        if node in graph.outdated:
            entry["outdated"] = f"in Python, {name} {graph.outdated[node]}"
        nodes.append(entry)
    layouts = {"wide": graph.layout}
    if len(nodes) <= _PHONE:
        layouts["tall"] = graph.arrange("TB")
    return {
        "nodes": nodes,
        "inputs": [{"node": graph.index[leaf], "key": key} for leaf, key in keys.items()],
        "errors": _ERRORS,
        "firsts": [NOT_FINITE, NOT_A_NUMBER],
        "overflow": f" ({OVERFLOW})",
        "outdated": "out of date in Python",
        "opening": graph.opening,
        "most": MOST_INPUTS,
        "layouts": {
            name: {"size": [each.width, each.height], "nodes": each.centres, "edges": each.edges}
            for name, each in layouts.items()
        },
    }


def _svg(graph: SvgGraph, boxes: dict[Value, Box], arrows: list[Arrow]) -> str:
    """The picture of the graph that the script changes."""
    parts = [graph.forward_arrow(e, arrow, f' id="f{e}"') for e, arrow in enumerate(arrows)]
    for e, arrow in enumerate(arrows):
        if graph.layout.edges[e].back:
            parts.append(graph.back_arrow(e, arrow, f' id="b{e}" aria-hidden="true"'))
    for i, box in enumerate(boxes.values()):
        parts.append(graph.box(i, box, attributes=f' id="n{i}" role="img"', remark=""))
    label = html.escape(f"The graph of {graph.names[graph.J]}")
    return graph.svg(parts, f' id="graph" tabindex="-1" role="group" aria-label="{label}"')
