"""Where Graphviz puts boxes, arrows and labels, for the SVG of the animation and the page.

    >>> found = {"bb": "0,0,72,144", "objects": [{"pos": "36,18", "width": "1", "height": "0.5"},
    ...                                          {"pos": "36,126", "width": "1", "height": "0.5"}],
    ...          "edges": [{"comment": "forward 0", "pos": "e,36,36 36,108 36,90 36,60 36,46"}]}
    >>> read_positions(found, [2]).edges[0].forward
    'M50 50C50 68 50 98 50 112'
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import mul
from typing import Any, NamedTuple, TypeAlias

_MARGIN = 14.0  # points around the whole picture
_LETTER = 6.3  # the width of a letter of a label, in points
_ABOVE, _BELOW = 9.0, 2.0  # how far a label extends from its base line

_Point: TypeAlias = tuple[float, float]
_Rectangle: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom


class EdgePosition(NamedTuple):
    """Where the two arrows of an edge go; without a red arrow, its texts are empty.

    Attributes:
        forward: the path from the operand to the node.
        forward_head: the arrow's head, the points of a polygon.
        back: the path from the node to the operand.
        back_head: its head.
        x: the middle of the label.
        y: its base line.
    """

    forward: str
    forward_head: str
    back: str = ""
    back_head: str = ""
    x: float = 0.0
    y: float = 0.0


class Layout(NamedTuple):
    """Where everything goes, in points, with y downwards.

    Attributes:
        width: the width of the picture.
        height: its height.
        sizes: width and height of each box.
        centres: x and y of each box.
        edges: the position of each edge.
    """

    width: float
    height: float
    sizes: list[_Point]
    centres: list[_Point]
    edges: list[EdgePosition]


def read_positions(found: Mapping[str, Any], letters: Sequence[int]) -> Layout:
    """Read the layout that Graphviz gives as JSON.

    Args:
        found: the JSON. Each arrow has a comment with its edge's number: "forward 0", "back 0".
        letters: for each edge, the largest length of its label.
    """
    left, bottom, right, top = map(float, found["bb"].split(","))

    def points(text: str) -> list[_Point]:
        return [
            (round(float(x) - left + _MARGIN, 1), round(top - float(y) + _MARGIN, 1))
            for x, y in (pair.split(",") for pair in text.split())
        ]

    def curve(position: str) -> list[_Point]:
        """An arrow's control points, and the tip of its head."""
        end, _, rest = position.partition(" ")
        (tip,), way = points(end[2:]), points(rest)
        return [*(reversed(way) if end[0] == "s" else way), tip]  # "s": drawn backward

    boxes = [each for each in found["objects"] if "pos" in each]
    centres = [points(each["pos"])[0] for each in boxes]
    sizes = [
        (round(72 * float(each["width"]), 1), round(72 * float(each["height"]), 1))
        for each in boxes
    ]
    arrows = {each["comment"]: each for each in found.get("edges", ())}
    taken = [
        (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        for (x, y), (width, height) in zip(centres, sizes, strict=True)
    ]
    edges = []
    for e, length in enumerate(letters):
        position = _svg_arrow(curve(arrows[f"forward {e}"]["pos"]))
        if back := arrows.get(f"back {e}"):
            way, ((x, y),) = curve(back["pos"]), points(back.get("lp") or back["xlp"])
            place = _free_place((x, round(y + 4, 1)), way, _LETTER * length / 2, taken)
            position += (*_svg_arrow(way), *place)
        edges.append(EdgePosition(*position))
    width, height = (round(side + 2 * _MARGIN, 1) for side in (right - left, top - bottom))
    return Layout(width, height, sizes, centres, edges)


def _free_place(
    wanted: _Point, way: list[_Point], half: float, taken: list[_Rectangle]
) -> _Point:
    """A place for a label, added to those taken: as wanted if it is free, or beside its arrow."""

    def space(x: float, y: float) -> _Rectangle:
        return x - half, y - _ABOVE, x + half, y + _BELOW

    def is_free(place: _Point) -> bool:
        left, top, right, bottom = space(*place)
        return not any(a < right and left < c and b < bottom and top < d for a, b, c, d in taken)

    place = next(filter(is_free, (wanted, *_beside(way))), wanted)
    taken.append(space(*place))
    return place


def _beside(way: list[_Point]) -> Iterator[_Point]:
    """Points beside a curve, which consists of cubic Bézier curves, from its middle to its ends."""
    found = []
    for k in range(0, len(way) - 4, 3):
        for t in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
            u = 1.0 - t
            weights = (u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t)
            xs, ys = zip(*way[k : k + 4], strict=True)
            found.append((sum(map(mul, weights, xs)), sum(map(mul, weights, ys))))
    middle = len(found) / 2
    for _, (x, y) in sorted(enumerate(found), key=lambda each: abs(each[0] - middle)):
        for dx, dy in ((0, -4), (0, 12), (14, 4), (-14, 4)):
            yield round(x + dx, 1), round(y + dy, 1)


def _svg_arrow(way: list[_Point]) -> tuple[str, str]:
    """An arrow as SVG: its path, and the points of its head."""
    start, *rest, tip = way
    base = way[-2]
    path = f"M{start[0]:g} {start[1]:g}C" + " ".join(f"{x:g} {y:g}" for x, y in rest)
    dx, dy = tip[0] - base[0], tip[1] - base[1]
    wide = 2.8 / ((dx * dx + dy * dy) ** 0.5 or 1.0)
    corners = (
        (base[0] - dy * wide, base[1] + dx * wide), tip, (base[0] + dy * wide, base[1] - dx * wide),
    )  # fmt: skip
    return path, " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
