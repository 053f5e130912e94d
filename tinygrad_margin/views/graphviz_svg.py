"""Graphviz's SVG, with each line of a box as one text in the middle of the box.

Graphviz starts a new text at every change of style, and places it by the widths of its own font.
In a browser, which has another font, the pieces would overlap or leave gaps.
"""

from __future__ import annotations

import re
from itertools import groupby

PADDING = "\u00a0"  # at both ends of the lines that dot.py writes
_NODE = re.compile(r'<g id="[^"]*" class="node">(?:(?!<g\b).)*?</g>', re.S)
_OUTLINE = re.compile(r'<(?:polygon|path)\b[^>]* (?:points|d)="([^"]*)"')
_PIECE = re.compile(
    r'<text (?:xml:space="preserve" )?text-anchor="start" x="[^"]*" y="([^"]*)"([^>]*)>'
    r"([^<]*)</text>\s*"
)
_SHIFT = {"sub": 3.5, "super": -5.0}  # points down
_SMALLER = 0.77  # the size of a subscript or superscript


def centre_lines(svg: bytes) -> bytes:
    """The SVG with each line of a box in one piece, centred; other boxes stay as they are."""
    return _NODE.sub(_centre_node, svg.decode().replace("&#160;", PADDING)).encode()


def _centre_node(node: re.Match[str]) -> str:
    """One node of the SVG, line by line."""
    text, outline = node[0], _OUTLINE.search(node[0])
    if outline is None:
        return text
    xs = [float(x) for x in re.findall(r"(-?[\d.]+),-?[\d.]+", outline[1])]
    middle = (min(xs) + max(xs)) / 2
    for y, same_line in groupby(_PIECE.finditer(text), key=lambda piece: piece[1]):
        pieces = list(same_line)
        content = "".join(piece[3] for piece in pieces)
        if content.startswith(PADDING) and content.endswith(PADDING):
            line = (
                f'<text text-anchor="middle" x="{middle:.2f}" y="{y}"{pieces[0][2]}>'
                f"{_tspans(pieces)}</text>\n"
            )
            text = text.replace("".join(piece[0] for piece in pieces), line)
    return text


def _tspans(pieces: list[re.Match[str]]) -> str:
    """The pieces of a line, one after another."""
    spans, level = [], 0.0
    for _, style, text in (piece.groups() for piece in pieces):
        if not (text := text.strip(PADDING)):
            continue
        shift = re.search(r' baseline-shift="(\w+)"', style)
        to = _SHIFT[shift[1]] if shift else 0.0
        style = re.sub(r' (baseline-shift|font-family)="[^"]*"', "", style)
        if to:
            style = re.sub(
                r'font-size="([\d.]+)"',
                lambda size: f'font-size="{float(size[1]) * _SMALLER:.2f}"',
                style,
            )
        move = f' dy="{to - level:g}"' if to != level else ""
        spans.append(f'<tspan xml:space="preserve"{style}{move}>{text}</tspan>')
        level = to
    return "".join(spans)
