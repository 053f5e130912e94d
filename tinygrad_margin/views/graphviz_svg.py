"""Graphviz's SVG: where it puts boxes and arrows, and how its lines of text stay in one piece.

>>> from tinygrad_margin.views.run_graphviz import render
>>> svg = render('digraph { node [shape=box]; n0 -> n1 [id="forward 0"] }', "svg").decode()
>>> layout = read_positions(svg, nodes=2, edges=1)
>>> layout.centres[0][1] < layout.centres[1][1], layout.edges[0].forward[0]
(True, 'M')
"""

import re
from itertools import groupby
from typing import NamedTuple

_PART = re.compile(r'<g id="([^"]*)" class="(node|edge)">\s*<title>([^<]*)</title>(.*?)</g>', re.S)
_OUTLINE = re.compile(r'<(?:polygon|path)\b[^>]* (?:points|d)="([^"]*)"')
_POINT = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
_TEXT = re.compile(
    r'<text (?:xml:space="preserve" )?text-anchor="start" x="[^"]*" y="([^"]*)"([^>]*)>'
    r"([^<]*)</text>\s*"
)
_PADDING = "\u00a0"  # at both ends of the lines that dot.py writes
_SHIFT = {"sub": 3.5, "super": -5.0}  # points down


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

    def moved(point: re.Match[str]) -> str:
        return f"{float(point[1]) + dx:.1f},{float(point[2]) + dy:.1f}"

    def read(name: str, part: str) -> str:
        return str(re.findall(rf' {name}="([^"]*)"', part)[0])

    parts = {
        title if kind == "node" else id: _POINT.sub(moved, content)
        for id, kind, title, content in _PART.findall(svg)
    }
    sizes, centres = [], []
    for i in range(nodes):
        xs, ys = _outline(parts[f"n{i}"])
        sizes.append((round(max(xs) - min(xs), 1), round(max(ys) - min(ys), 1)))
        centres.append((round((max(xs) + min(xs)) / 2, 1), round((max(ys) + min(ys)) / 2, 1)))
    positions = []
    for e in range(edges):
        forward, back = parts[f"forward {e}"], parts.get(f"back {e}")
        position = [read("d", forward), read("points", forward)]
        if back is not None:
            position += [read("d", back), read("points", back)]
            ends = [x for point in _POINT.findall(position[2]) for x in map(float, point)]
            middle = (ends[0] + ends[-2]) / 2, (ends[1] + ends[-1]) / 2  # if there was no room
            if "<text" in back:
                middle = float(read("x", back)) + dx, float(read("y", back)) + dy
            position += [f"{x:.1f}" for x in middle]
        positions.append(EdgePosition(*position))
    return Layout(float(width), float(height), sizes, centres, positions)


def centre_lines(svg: bytes) -> bytes:
    """The SVG with each line of a box as one text in the middle of the box.

    Graphviz starts a new text at every change of style, and places it by the widths of its own
    font. In a browser, which has another font, the pieces would overlap or leave gaps. Boxes that
    dot.py has not written stay as they are.
    """
    return _PART.sub(_centre, svg.decode().replace("&#160;", _PADDING)).encode()


def _centre(part: re.Match[str]) -> str:
    """A box of the SVG, line by line; the labels of arrows are centred already."""
    text = part[0]
    xs, _ = _outline(text)
    for y, same_line in groupby(_TEXT.finditer(text), key=lambda piece: piece[1]):
        pieces = list(same_line)
        content = "".join(piece[3] for piece in pieces)
        if xs and content.startswith(_PADDING) and content.endswith(_PADDING):
            line = (
                f'<text text-anchor="middle" x="{(min(xs) + max(xs)) / 2:.2f}" y="{y}"'
                f"{pieces[0][2]}>{_tspans(pieces)}</text>\n"
            )
            text = text.replace("".join(piece[0] for piece in pieces), line)
    return text


def _outline(part: str) -> tuple[list[float], list[float]]:
    """The xs and the ys of the corners of a box."""
    shape = _OUTLINE.search(part)
    points = _POINT.findall(shape[1]) if shape else []
    return [float(x) for x, _ in points], [float(y) for _, y in points]


def _tspans(pieces: list[re.Match[str]]) -> str:
    """The pieces of a line, one after another."""
    spans, level = [], 0.0
    for piece in pieces:
        if not (text := piece[3].strip(_PADDING)):
            continue
        shift = re.search(r' baseline-shift="(\w+)"', piece[2])
        to = _SHIFT[shift[1]] if shift else 0.0
        style = re.sub(r' (baseline-shift|font-family)="[^"]*"', "", piece[2])
        if to and (size := re.search(r'font-size="([\d.]+)"', style)):
            style = style.replace(size[0], f'font-size="{0.77 * float(size[1]):.2f}"')
        move = f' dy="{to - level:g}"' if to != level else ""
        spans.append(f'<tspan xml:space="preserve"{style}{move}>{text}</tspan>')
        level = to
    return "".join(spans)
