"""The reverse sweep as one animated SVG: no script, for a README, a slide or an ``<img>``.

    >>> from tinygrad_margin import Value, animate, margin_loss
    >>> shown = animate(margin_loss(Value(0.3), Value(0.5)), to=None)
    >>> shown.svg.startswith("<svg")
    True

Each moment of the sweep shows for a while, with its sentence below; then the whole holds, and it
starts again. Who prefers reduced motion, or prints it, sees the last moment. (Chromium does not
tell an SVG in an ``<img>``: there, put ``Animation.still`` into a ``<picture>`` beside it.)
"""

from __future__ import annotations

import base64
import html
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple, TypeVar

from tinygrad_margin.engine import Value
from tinygrad_margin.guard import as_number
from tinygrad_margin.views.draw import LIGHT
from tinygrad_margin.views.figure import STYLE, Figure
from tinygrad_margin.views.render import file_format, write_whole
from tinygrad_margin.views.scene import Moment, scene
from tinygrad_margin.views.steps import take_step

_HOLD = 4  # how many steps' time the last moment holds
_LINE = 19  # points
_T = TypeVar("_T")


@dataclass(frozen=True)
class Animation:
    """An animated SVG; a notebook plays it.

    Attributes:
        svg: its text.
    """

    svg: str = field(repr=False)

    def save(self, to: str | os.PathLike[str]) -> None:
        """Write it to a file, whole or not at all."""
        _check(to)
        write_whole(to, self.svg.encode())

    @property
    def still(self) -> str:
        """The last moment, without motion."""
        return re.sub("animation:[^;}]*", "", self.svg)

    def _repr_html_(self) -> str:
        # Chromium does not tell an SVG in an <img> that its reader prefers reduced motion.
        still = f'<source media="(prefers-reduced-motion: reduce)" srcset="{_url(self.still)}">'
        return f'<picture>{still}<img alt="the reverse sweep" src="{_url(self.svg)}"></picture>'


def animate(
    J: Value,
    to: str | os.PathLike[str] | None = "sweep.svg",
    *,
    seconds_per_step: float = 1.0,
    max_nodes: int = 400,
) -> Animation:
    """The reverse sweep over J's graph as one animated SVG file.

    Args:
        J: the root.
        to: the file to write, .svg, whole or not at all; None: none.
        seconds_per_step: how long each step shows, in seconds.
        max_nodes: the largest graph to take.

    Returns:
        The animation: ``svg``, ``save(to)``; a notebook plays it.

    Raises:
        TypeError: J is no Value, or seconds_per_step no number.
        ValueError: more than max_nodes nodes, seconds_per_step not from 0.001 to 86,400, or a file
            name that does not end in .svg.
        SlopeError, OverflowError: a local derivative does not exist, or is too large.
        OSError: the file cannot be written.
        RendererNotFound, TimeoutError: as ``draw``.

    Example:
        >>> x = Value(3.0, "x")
        >>> animate(x * x, to=None, seconds_per_step=2).svg.count("<script")
        0
    """
    if to is not None:
        _check(to)
    seconds = as_number(seconds_per_step, "animate(seconds_per_step)")
    if not 0.001 <= seconds <= 86_400.0:
        raise ValueError(
            "seconds_per_step is a positive number of seconds, from 0.001 to 86400; "
            f"got {seconds_per_step!r:.60}"
        )
    shown = Animation(_svg(Figure(J, max_nodes), seconds))
    if to is not None:
        shown.save(to)
    return shown


def _url(svg: str) -> str:
    """An SVG as an address."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _check(to: str | os.PathLike[str]) -> None:
    """Refuse a file name that is none of an animation."""
    file_format(to, "animate", ["svg"])


def _svg(figure: Figure, seconds: float) -> str:
    """The animation: each part of the figure in all the forms that it takes, one after another."""
    moments, sentences = _moments(figure)
    film = _Film(len(moments), seconds)
    scenes = [scene(figure.J, moment) for moment in moments]
    parts = [f'<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>']
    for e in range(len(figure.edges)):
        for shot, arrow in film.shots([arrows[e] for _, arrows in scenes]):
            parts.append(film.shown(shot, figure.forward(e, arrow.quiet)))
    for e in range(len(figure.edges)):
        before = ""
        for shot, arrow in film.shots([arrows[e] for _, arrows in scenes]):
            if arrow.back:
                grows = arrow.back == "live" and not before and shot.start > 0
                drawn = figure.back(e, arrow, state=film.grows(shot) if grows else "")
                parts.append(film.shown(shot, drawn))
            before = arrow.back
    for i, node in enumerate(figure.nodes):
        looks = [
            (faces[node], "current" if moment.current is node else "")
            for moment, (faces, _) in zip(moments, scenes, strict=True)
        ]
        for shot, (face, state) in film.shots(looks):
            parts.append(film.shown(shot, figure.node(i, face, state)))
    for shot, sentence in film.shots(sentences):
        parts.append(film.shown(shot, _lines(sentence, figure.layout.height)))
    lines = [line for sentence in sentences for line in sentence.splitlines()]
    style = re.sub(r"var\(--(\w+)\)", lambda name: LIGHT[name[1]], STYLE) + film.style()
    return figure.svg(
        [f"<style>{style}</style>", *parts],
        ' role="img" aria-label="The reverse sweep, step by step"',
        width=6.8 * max(map(len, lines)) + 2 * _LINE,
        below=_LINE * (max(sentence.count("\n") for sentence in sentences) + 2),
    )


def _moments(figure: Figure) -> tuple[list[Moment], list[str]]:
    """Every moment of the sweep, the start and the whole included, each with its sentence."""
    nodes, totals = figure.nodes, dict.fromkeys(figure.nodes, 0.0)
    totals[figure.J] = 1.0
    moments, sentences = [], [figure.opening]

    def add(steps: int, current: Value | None) -> None:
        done = frozenset(nodes[len(nodes) - steps :])
        moments.append(Moment(done, current, dict(totals)))

    add(0, None)
    for i, node in enumerate(reversed(nodes), 1):
        sentences.append(str(take_step(node, totals, figure.names)))
        add(i, node)
    add(len(nodes), None)
    sentences.append(figure.outcome(totals))
    return moments, sentences


def _lines(sentence: str, top: float) -> str:
    """A sentence below the graph."""
    texts = []
    for i, line in enumerate(sentence.splitlines(), 1):
        indent = len(line) - len(line.lstrip())
        place = f'x="{_LINE + 5 * indent}" y="{top + i * _LINE:g}"'
        texts.append(f"<text {place}>{html.escape(line.strip())}</text>")
    return "".join(texts)


class _Shot(NamedTuple):
    """From one moment up to another."""

    start: int
    stop: int


class _Film:
    """When what is seen: CSS that shows a part from one moment to another."""

    def __init__(self, moments: int, seconds: float) -> None:
        self._moments = moments
        self._length = moments - 1 + _HOLD  # in steps
        self._seconds = seconds * self._length
        self._used: dict[str, str] = {}

    def shots(self, looks: Sequence[_T]) -> Iterator[tuple[_Shot, _T]]:
        """Runs of moments at which a part looks the same."""
        start = 0
        for look, run in groupby(looks):
            stop = start + sum(1 for _ in run)
            yield _Shot(start, stop), look
            start = stop

    def shown(self, shot: _Shot, part: str) -> str:
        """A part, seen in this shot alone."""
        start, stop = shot
        if shot == (0, self._moments):
            return part
        name = f"t{start}-{stop}"
        # Without animation the last moment is seen.
        base = "visible" if stop == self._moments else "hidden"
        frames = "" if start == 0 else "0%{visibility:hidden}"
        frames += f"{self._at(start)}{{visibility:visible}}"
        if stop < self._moments:
            frames += f"{self._at(stop)}{{visibility:hidden}}"
        self._used[name] = (
            f".{name}{{visibility:{base};animation:{name} {self._seconds:g}s step-end infinite}}"
            f"@keyframes {name}{{{frames}}}"
        )
        return f'<g class="{name}">{part}</g>'

    def grows(self, shot: _Shot) -> str:
        """A class for a red arrow that grows from its node to the operand as the shot begins."""
        name, start = f"g{shot.start}", shot.start
        begins, nearly, ends = map(self._at, (start, start + 0.42, start + 0.5))
        run = f"{self._seconds:g}s linear infinite"
        self._used[name] = (
            f".{name} path{{stroke-dasharray:1;animation:{name} {run}}}"
            f"@keyframes {name}{{0%,{begins}{{stroke-dashoffset:1}}{ends}{{stroke-dashoffset:0}}}}"
            f".{name} polygon,.{name} text{{animation:{name}-tip {run}}}"
            f"@keyframes {name}-tip{{0%,{nearly}{{opacity:0}}{ends}{{opacity:1}}}}"
        )
        return name

    def _at(self, moment: float) -> str:
        """A moment as a share of the whole."""
        return f"{100 * moment / self._length:.4g}%"

    def style(self) -> str:
        """The style sheet for what was used."""
        still = "@media (prefers-reduced-motion:reduce),print{*{animation:none!important}}"
        return "\n".join([*self._used.values(), still])
