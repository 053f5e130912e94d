"""The interactive page: drag the inputs, watch the gradient, step through the sweep.

    >>> from tinygrad_margin import Value, margin_loss, page
    >>> shown = page(margin_loss(Value(0.3), Value(0.5)))   # in a notebook it shows itself
    >>> shown.html.startswith("<!doctype html>")
    True

``page(J, "margin.html")`` writes it: one file that needs no network and no other file. The graph
is drawn here; its numbers are computed in the browser, by interpreter.js, from the same table of
primitives as everything else. What a browser may do with the page is fixed in its content security
policy: no network, no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tinygrad_margin.engine import Value
from tinygrad_margin.guard import one_line
from tinygrad_margin.guard.errors import NEEDS, NO_SLOPE, SLOPE_TOO_LARGE, TOO_LARGE
from tinygrad_margin.ops import Primitive
from tinygrad_margin.page.javascript import json_in_script, row_keys, table
from tinygrad_margin.views.draw import DARK, LIGHT
from tinygrad_margin.views.figure import MOST, STYLE, Figure
from tinygrad_margin.views.names import node_formula
from tinygrad_margin.views.notation import typeset
from tinygrad_margin.views.places import Layout
from tinygrad_margin.views.render import file_format, write_whole
from tinygrad_margin.views.scene import Arrow, Face, end, is_shown, scene
from tinygrad_margin.views.steps import wording

_HERE = Path(__file__).parent
_ERRORS = {"needs": NEEDS, "tooLarge": TOO_LARGE, "noSlope": NO_SLOPE,
           "slopeTooLarge": SLOPE_TOO_LARGE}  # fmt: skip
_INFINITE = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}  # JSON has no word for these
_TALL = 60  # nodes; a larger graph does not fit on a phone in any direction


@dataclass(frozen=True)
class Page:
    """An interactive page; a notebook shows it in a frame of its own.

    Attributes:
        html: the whole page.
    """

    html: str = field(repr=False)

    def save(self, to: str | os.PathLike[str]) -> None:
        """Write the page to a file, whole or not at all."""
        _check(to)
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

    A slider and a number box for each leaf that has a label recompute every value and gradient as
    they move; buttons and arrow keys step through the reverse sweep, with the sentences of
    ``ReverseSweep``; a box pointed at lights up its paths to J. The state is in the address,
    ``#s=0.3&s_c=0.5&step=2``, to link to a moment.

    Args:
        J: the root.
        to: a file to write as well, .html or .htm; it is written whole or not at all.
        title: what stands above the graph; None: how J is computed.
        max_nodes: the largest graph to take.

    Returns:
        The page: ``html``, ``save(to)``; a notebook shows it.

    Raises:
        TypeError: J is no Value, or title no text; or an operation of one's own is no formula of
            ``+ - * / **``, so that a browser cannot compute it.
        ValueError: more than max_nodes nodes, or a file name that does not end in .html or .htm.
        OSError: the file cannot be written.
        RendererNotFound, TimeoutError: as ``draw``.

    Example:
        >>> x = Value(3.0, "x")
        >>> "<h1>A square</h1>" in page(x * x, title="A square").html
        True
    """
    if to is not None:
        _check(to)
    if title is not None and not isinstance(title, str):
        raise TypeError(f"the title of a page is text; got {type(title).__name__} {title!r:.60}")
    figure = Figure(J, max_nodes)
    shown = Page(_html(figure, title))
    if to is not None:
        shown.save(to)
    return shown


def _check(to: str | os.PathLike[str]) -> None:
    """Refuse a file name that is none of a page."""
    file_format(to, "page", ["html"], also=["htm"])


@cache
def _part(name: str) -> str:
    """A file that is a part of every page."""
    return (_HERE / name).read_text("utf-8")


def _html(figure: Figure, title: str | None) -> str:
    """The page, from its template."""
    J, names = figure.J, figure.names
    if title is None:
        said = f"{names[J]} = {node_formula(J, names)}" if J.parents else names[J]
    else:
        said = one_line(title, 300)
    keys = _keys(figure)
    faces, arrows = scene(J, end(J))
    rows = row_keys(node._row for node in figure.nodes if node.parents)
    script = "\n".join((_part("interpreter.js"), f"const TABLE = {table(rows)};", _part("page.js")))
    paper = "landscape" if figure.layout.width > figure.layout.height else "portrait"
    style = "\n".join(
        ("", _colours(), STYLE, _part("page.css"), f"@page {{ size: {paper}; margin: 1cm }}\n")
    )
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(said),
        "heading": html.escape(said),
        "style": style,
        "svg": _svg(figure, faces, arrows),
        "inputs": _inputs(figure, keys),
        "root": typeset(names[J]),
        "spec": json_in_script(_spec(figure, keys, faces, rows)),
        "script": script,
    }
    # In one pass: what is put in is not looked into again.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _part("page.html"))


def _digest(text: str) -> str:
    """What the security policy calls a script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _colours() -> str:
    """Both schemes."""

    def block(palette: dict[str, str]) -> str:
        return ":root { " + "; ".join(f"--{name}: {x}" for name, x in palette.items()) + " }\n"

    return f"{block(LIGHT)}@media screen and (prefers-color-scheme: dark) {{ {block(DARK)}}}\n"


def _keys(figure: Figure) -> dict[Value, str]:
    """The leaves to play with, by their names in the address, where "step" is the step."""
    keys = {leaf: figure.names[leaf] for leaf in figure.leaves}
    for leaf, key in keys.items():
        if key == "step":
            while key in keys.values():
                key += "′"  # noqa: PLW2901
            return keys | {leaf: key}
    return keys


def _inputs(figure: Figure, keys: dict[Value, str]) -> str:
    """A slider and a number box for each leaf to play with."""
    if not keys:
        return "<p>No leaf of this graph has a label, so there is nothing to drag.</p>"
    rows = []
    for leaf in keys:
        i, x = figure.index[leaf], leaf.data
        name = html.escape(figure.names[leaf])
        limits, boxed = _range(x), repr(x) if math.isfinite(x) else ""
        slider = "<span></span>"
        if limits is not None:
            low, high, step = limits
            slider = (
                f'<input type="range" id="slider{i}" min="{low!r}" max="{high!r}" '
                f'step="{step!r}" value="{x!r}" aria-label="{name}, slider">'
            )
        rows.append(
            f'<label for="box{i}" title="{name}">{typeset(figure.names[leaf])}</label>{slider}'
            f'<input type="number" id="box{i}" step="any" value="{boxed}" aria-label="{name}">'
        )
    return f'<div class="rows">{"".join(rows)}</div>'


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
    figure: Figure, keys: dict[Value, str], faces: dict[Value, Face], rows: dict[Primitive, str]
) -> dict[str, Any]:
    """What page.js and interpreter.js are told: see ``Graph`` there."""
    root = figure.names[figure.J]
    nodes = []
    for (node, face), (width, _) in zip(faces.items(), figure.layout.sizes, strict=True):
        name = figure.names[node]
        heading, rules = wording(node, figure.names)
        entry: dict[str, Any] = {
            "op": rows.get(node._row, node._row.name),
            "in": [figure.index[parent] for parent in node.parents],
            "kind": face.kind, "label": one_line(node.label), "name": name, "heading": heading,
            "rules": rules, "slope": f"∂{root}/∂{name}", "room": int(width / 7.3),
        }  # fmt: skip
        if not node.parents:
            entry["data"] = node.data if math.isfinite(node.data) else _INFINITE[str(node.data)]
        nodes.append(entry)
    layouts = {"wide": figure.layout}
    if len(nodes) <= _TALL:
        layouts["tall"] = figure.laid_out("TB")
    return {
        "nodes": nodes,
        "inputs": [{"node": figure.index[leaf], "key": key} for leaf, key in keys.items()],
        "errors": _ERRORS,
        "opening": figure.opening,
        "most": MOST,
        "layouts": {name: _geometry(layout) for name, layout in layouts.items()},
    }


def _geometry(layout: Layout) -> dict[str, Any]:
    """A layout for page.js."""
    return {
        "size": [layout.width, layout.height], "nodes": layout.centres, "edges": layout.places,
    }  # fmt: skip


def _svg(figure: Figure, faces: dict[Value, Face], arrows: list[Arrow]) -> str:
    """The graph as it stands, to be brought to life by the script."""
    forward = [figure.forward(e, arrow.quiet, f' id="f{e}"') for e, arrow in enumerate(arrows)]
    back = [
        figure.back(e, arrow, f' id="b{e}" aria-hidden="true"')
        for e, arrow in enumerate(arrows)
        if is_shown(arrow.node, arrow.parent)
    ]
    nodes = [
        figure.node(i, face, attributes=f' id="n{i}" role="img"', moves=True)
        for i, face in enumerate(faces.values())
    ]
    label = html.escape(f"The graph of {figure.names[figure.J]}")
    return figure.svg(
        [*forward, *back, *nodes], f' id="graph" tabindex="-1" role="group" aria-label="{label}"'
    )
