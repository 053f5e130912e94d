"""Graphviz's SVG, with each line of a box as one text in the middle of the box.

Graphviz starts a new text at every change of style, and places it by the widths of its own font.
In a browser, which has another font, the pieces would overlap or leave gaps.
"""

from __future__ import annotations

import re
from itertools import groupby

_PADDING = "\u00a0"  # at both ends of the lines that dot.py writes
_NODE = re.compile(r'<g id="[^"]*" class="node">(?:(?!<g\b).)*?</g>', re.S)
_POINTS = re.compile(r'<(?:polygon|path)\b[^>]* (?:points|d)="([^"]*)"')
_PIECE = re.compile(
    r'<text (?:xml:space="preserve" )?text-anchor="start" x="[^"]*" y="([^"]*)"([^>]*)>'
    r"([^<]*)</text>\s*"
)
_SHIFT = {"sub": 3.5, "super": -5.0}  # points down


def centre_lines(svg: bytes) -> bytes:
    """The SVG with each line of a box in one piece, centred; other boxes stay as they are."""
    return _NODE.sub(_centre_node, svg.decode().replace("&#160;", _PADDING)).encode()


def _centre_node(node: re.Match[str]) -> str:
    """One node of the SVG, line by line."""
    text = node[0]
    xs = [float(x) for x in re.findall(r"(-?[\d.]+),", "".join(_POINTS.findall(text)[:1]))]
    for y, same_line in groupby(_PIECE.finditer(text), key=lambda piece: piece[1]):
        pieces = list(same_line)
        content = "".join(piece[3] for piece in pieces)
        if xs and content.startswith(_PADDING) and content.endswith(_PADDING):
            line = (
                f'<text text-anchor="middle" x="{(min(xs) + max(xs)) / 2:.2f}" y="{y}"'
                f"{pieces[0][2]}>{_tspans(pieces)}</text>\n"
            )
            text = text.replace("".join(piece[0] for piece in pieces), line)
    return text


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
