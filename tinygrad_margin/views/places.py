"""Where Graphviz puts boxes and arrows, read for pictures whose parts can change.

    >>> layout = {"bb": "0,0,72,144", "objects": [{"pos": "36,18", "width": "1", "height": "0.5"},
    ...                                           {"pos": "36,126", "width": "1", "height": "0.5"}],
    ...           "edges": [{"comment": "forward 0", "pos": "e,36,36 36,108 36,90 36,60 36,46"}]}
    >>> read(layout, [2]).places[0].forward
    'M50 50C50 68 50 98 50 112'
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

_PAD = 14.0  # points around the whole
_LETTER = 6.3  # points, of a label
_ABOVE, _UNDER = 9.0, 2.0  # how far a label reaches from its base line

_Point: TypeAlias = tuple[float, float]
_Rectangle: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom


class Place(NamedTuple):
    """Where Graphviz puts an edge: the grey arrow, the red one (or ""), and its label.

    Attributes:
        forward: the path from the operand to the node.
        tip: the arrow's head, the points of a polygon.
        back: the path from the node to the operand.
        back_tip: its head.
        x: the middle of the label.
        y: its base line.
    """

    forward: str
    tip: str
    back: str
    back_tip: str
    x: float
    y: float


class Layout(NamedTuple):
    """Where everything goes, in points, y down.

    Attributes:
        width: of the whole.
        height: of the whole.
        sizes: width and height of each box.
        centres: x and y of each box.
        places: one for each edge.
    """

    width: float
    height: float
    sizes: list[_Point]
    centres: list[_Point]
    places: list[Place]


def read(found: Mapping[str, Any], letters: Sequence[int]) -> Layout:
    """What Graphviz says as JSON; its edges are told apart by comments, "forward 0" and "back 0".

    Args:
        found: the JSON.
        letters: for each edge, how long its label may become.
    """
    x0, y0, x1, y1 = map(float, found["bb"].split(","))

    def points(text: str) -> list[_Point]:
        pairs = (pair.split(",") for pair in text.split())
        return [(round(float(x) - x0 + _PAD, 1), round(y1 - float(y) + _PAD, 1)) for x, y in pairs]

    def curve(position: str) -> list[_Point]:
        """An edge's control points, and the tip of its head."""
        end, _, rest = position.partition(" ")
        (tip,), way = points(end[2:]), points(rest)
        return [*(reversed(way) if end[0] == "s" else way), tip]  # "s": drawn backward

    boxes = [each for each in found["objects"] if "pos" in each]
    centres = [points(each["pos"])[0] for each in boxes]
    sizes = [
        (round(72 * float(each["width"]), 1), round(72 * float(each["height"]), 1))
        for each in boxes
    ]
    drawn = {each["comment"]: each for each in found.get("edges", ())}
    taken = [_around(*pair) for pair in zip(centres, sizes, strict=True)]
    places = []
    for e, length in enumerate(letters):
        forward, back = curve(drawn[f"forward {e}"]["pos"]), drawn.get(f"back {e}")
        place = Place(*_drawn(forward), "", "", 0.0, 0.0)
        if back is not None:
            way, ((x, y),) = curve(back["pos"]), points(back.get("lp") or back["xlp"])
            x, y, space = _free(taken, way, (x, round(y + 4, 1)), _LETTER * length / 2)
            taken.append(space)
            place = Place(*_drawn(forward), *_drawn(way), x, y)
        places.append(place)
    width, height = (round(side + 2 * _PAD, 1) for side in (x1 - x0, y1 - y0))
    return Layout(width, height, sizes, centres, places)


def _free(
    taken: list[_Rectangle], way: list[_Point], asked: _Point, half: float
) -> tuple[float, float, _Rectangle]:
    """A place for a label: where it is asked for, or along its arrow where nothing else stands."""

    def space(x: float, y: float) -> _Rectangle:
        return x - half, y - _ABOVE, x + half, y + _UNDER

    xs, ys = zip(asked, *way, strict=True)
    reach = min(xs) - half, min(ys) - 20, max(xs) + half, max(ys) + 20
    near = [other for other in taken if _meet(reach, other)]
    for x, y in (asked, *_beside(way)):
        if not any(_meet(space(x, y), other) for other in near):
            return x, y, space(x, y)
    return *asked, space(*asked)


def _beside(way: list[_Point]) -> Iterator[_Point]:
    """Points just beside a curve, from its middle to its ends."""
    pieces = [way[i : i + 4] for i in range(0, len(way) - 4, 3)]
    found = [
        _on(piece, t) for piece in pieces for t in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    ]
    middle = len(found) / 2
    for _, (x, y) in sorted(enumerate(found), key=lambda each: abs(each[0] - middle)):
        for dx, dy in ((0, -4), (0, 12), (14, 4), (-14, 4)):
            yield round(x + dx, 1), round(y + dy, 1)


def _on(piece: Sequence[_Point], t: float) -> _Point:
    """A point of a cubic Bézier curve."""
    u = 1.0 - t
    weights = (u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t)
    x, y = (sum(w * c for w, c in zip(weights, cs, strict=True)) for cs in zip(*piece, strict=True))
    return x, y


def _around(centre: _Point, size: _Point) -> _Rectangle:
    """The rectangle of a box."""
    (x, y), (width, height) = centre, size
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _meet(a: _Rectangle, b: _Rectangle) -> bool:
    """Do two rectangles overlap?"""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _drawn(way: list[_Point]) -> tuple[str, str]:
    """An edge as SVG: its path, and the polygon of its head."""
    (x0, y0), *others, tip = way
    curve = " ".join(f"{x:g} {y:g}" for x, y in others)
    return f"M{x0:g} {y0:g}C{curve}", _head(way[-2], tip)


def _head(base: _Point, tip: _Point) -> str:
    """An arrow's head, as the points of a polygon."""
    dx, dy = tip[0] - base[0], tip[1] - base[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    wide = 2.8 / length
    corners: Iterable[_Point] = (
        (base[0] - dy * wide, base[1] + dx * wide), tip, (base[0] + dy * wide, base[1] - dx * wide),
    )  # fmt: skip
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
