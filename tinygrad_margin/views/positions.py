"""Where Graphviz puts boxes, arrows and labels, read from its SVG.

>>> from tinygrad_margin.views.run_graphviz import render
>>> svg = render('digraph { node [shape=box]; n0 -> n1 [id="forward 0"] }', "svg").decode()
>>> layout = read_positions(svg, nodes=2, edges=1)
>>> layout.centres[0][1] < layout.centres[1][1], layout.edges[0].forward[0]
(True, 'M')
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PART = re.compile(r'<g id="([^"]*)" class="(node|edge)">\s*<title>([^<]*)</title>(.*?)</g>', re.S)


class EdgePosition(NamedTuple):
    """Where the two arrows of an edge go; without an arrow back, its texts are empty."""

    forward: str  # the path of the grey arrow, from the operand to the node
    forward_head: str  # the points of its head
    back: str = ""  # the path of the red arrow, also from the operand to the node
    back_head: str = ""
    x: str = "0"  # the middle of the label
    y: str = "0"  # its base line


class Layout(NamedTuple):
    """Where everything goes, in points, with y downwards."""

    width: float
    height: float
    sizes: list[tuple[float, float]]  # of the boxes
    centres: list[tuple[float, float]]
    edges: list[EdgePosition]


def read_positions(svg: str, nodes: int, edges: int) -> Layout:
    """The positions in Graphviz's SVG.

    The nodes must be called n0, n1, …, and the arrows have the ids "forward 0", "back 0", ….
    """
    ((width, height),) = re.findall(r'viewBox="\S+ \S+ (\S+) (\S+)"', svg)
    dx, dy = map(float, re.findall(r"translate\((\S+) (\S+)\)", svg)[0])
    parts = {
        title if kind == "node" else id: re.sub(
            r"(-?[\d.]+),(-?[\d.]+)",
            lambda point: f"{float(point[1]) + dx:.1f},{float(point[2]) + dy:.1f}",
            content,
        )
        for id, kind, title, content in _PART.findall(svg)
    }

    def read(name: str, part: str) -> str:
        return str(re.findall(rf' {name}="([^"]*)"', part)[0])

    sizes, centres = [], []
    for i in range(nodes):
        corners = [pair.split(",") for pair in read("points", parts[f"n{i}"]).split()]
        xs, ys = ([float(x) for x in each] for each in zip(*corners, strict=True))
        sizes.append((round(max(xs) - min(xs), 1), round(max(ys) - min(ys), 1)))
        centres.append((round((max(xs) + min(xs)) / 2, 1), round((max(ys) + min(ys)) / 2, 1)))
    positions = []
    for e in range(edges):
        forward, back = parts[f"forward {e}"], parts.get(f"back {e}")
        position = [read("d", forward), read("points", forward)]
        if back is not None:
            position += [read("d", back), read("points", back)]
            position += [f"{float(read('x', back)) + dx:.1f}", f"{float(read('y', back)) + dy:.1f}"]
        positions.append(EdgePosition(*position))
    return Layout(float(width), float(height), sizes, centres, positions)
