"""The reverse sweep as one animated SVG without a script, for a README, a slide or an ``<img>``.

    >>> from tinygrad_margin import Value, animate, margin_loss
    >>> animation = animate(margin_loss(Value(0.3), Value(0.5)), to=None)
    >>> animation.svg.startswith("<svg")
    True

Each frame of the sweep shows for a while, with its sentence below. The last one holds longer, then
the animation starts again. Readers who prefer reduced motion, and printers, get the last frame.
"""

from __future__ import annotations

import base64
import html
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeVar

from tinygrad_margin.engine import Value, with_gradient
from tinygrad_margin.files import file_format, write_whole
from tinygrad_margin.views.boxes_and_arrows import Progress, boxes_and_arrows
from tinygrad_margin.views.colours import LIGHT
from tinygrad_margin.views.svg import STYLE, SvgGraph
from tinygrad_margin.views.sweep_sentences import take_step

_HOLD = 4  # the last frame holds as long as so many steps
_LINE = 19  # the height of a line of text, in points
_T = TypeVar("_T")


@dataclass(frozen=True)
class Animation:
    """An animated SVG; a notebook plays it."""

    svg: str = field(repr=False)

    def save(self, to: str | os.PathLike[str]) -> None:
        """Write the animation to a file, completely or not at all."""
        file_format(to, "animate", ["svg"])
        write_whole(to, self.svg.encode())

    @property
    def still(self) -> str:
        """The last frame, without motion."""
        return re.sub("animation:[^;}]*", "", self.svg)

    def _repr_html_(self) -> str:
        # Chromium does not tell an SVG in an <img> that its reader prefers reduced motion, so the
        # <picture> around it chooses.
        moving, still = (
            f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
            for svg in (self.svg, self.still)
        )
        source = f'<source media="(prefers-reduced-motion: reduce)" srcset="{still}">'
        return f'<picture>{source}<img alt="the reverse sweep" src="{moving}"></picture>'


def animate(
    J: Value,
    to: str | os.PathLike[str] | None = "sweep.svg",
    *,
    seconds_per_step: float = 1.0,
    max_nodes: int = 400,
) -> Animation:
    """The reverse sweep over J's graph as one animated SVG: ``svg``, ``save(to)``.

    Args:
        J: the root.
        to: the .svg file to write, completely or not at all; None: no file.
        seconds_per_step: how long each step shows, in seconds.
        max_nodes: the largest graph to take.

    Raises:
        TypeError: J is not a Value.
        ValueError: more than max_nodes nodes, seconds_per_step is not positive and finite, or a
            file name that does not end in .svg.
        SlopeError, OverflowError: a local derivative does not exist, or is too large.
        OSError, RendererNotFound, TimeoutError: as for ``draw``.

    Example:
        >>> x = Value(3.0, "x")
        >>> animate(x * x, to=None, seconds_per_step=2).svg.count("<script")
        0
    """
    if not 0.0 < seconds_per_step < math.inf:
        raise ValueError(f"seconds_per_step is a positive number; got {seconds_per_step!r}")
    animation = Animation(_svg(SvgGraph(J, max_nodes), seconds_per_step))
    if to is not None:
        animation.save(to)
    return animation


def _svg(graph: SvgGraph, seconds: float) -> str:
    """The animation: each part of the graph in all its looks, of which CSS shows one at a time."""
    frames, sentences = _frames(graph)
    timeline = _Timeline(len(frames), seconds)
    shows = not graph.outdated
    pictures = [boxes_and_arrows(graph.J, each, gradients=shows) for each in frames]
    parts = [f'<rect width="100%" height="100%" fill="{LIGHT["paper"]}"/>']
    back_arrows = []
    for e in range(len(graph.edges)):
        before = ""
        for time, arrow in timeline.runs([arrows[e] for _, arrows in pictures]):
            parts.append(timeline.show(time, graph.forward_arrow(e, arrow)))
            if arrow.back:
                grows = arrow.back == "live" and not before and time.start > 0
                drawn = graph.back_arrow(e, arrow, state=timeline.grow(time) if grows else "")
                back_arrows.append(timeline.show(time, drawn))
            before = arrow.back
    parts += back_arrows
    for i, node in enumerate(graph.nodes):
        states = ["current" if progress.current is node else "" for progress in frames]
        boxes = [boxes[node] for boxes, _ in pictures]
        remark = graph.remarks.get(node)
        for time, (box, state) in timeline.runs(list(zip(boxes, states, strict=True))):
            parts.append(timeline.show(time, graph.box(i, box, state, remark=remark)))
    for time, sentence in timeline.runs(sentences):
        parts.append(timeline.show(time, _text(sentence, graph.layout.height)))
    style = re.sub(r"var\(--(\w+)\)", lambda name: LIGHT[name[1]], STYLE) + timeline.style()
    longest = max(len(line) for sentence in sentences for line in sentence.splitlines())
    return graph.svg(
        [f"<style>{style}</style>", *parts],
        ' role="img" aria-label="The reverse sweep, step by step"',
        width=6.8 * longest + 2 * _LINE,
        below=_LINE * (max(sentence.count("\n") for sentence in sentences) + 2),
    )


def _frames(graph: SvgGraph) -> tuple[list[Progress], list[str]]:
    """The frames of the sweep, from its start to the whole picture, each with its sentence."""
    totals = dict.fromkeys(graph.nodes, 0.0) | {graph.J: 1.0}
    done, reached = list[Value](), set(with_gradient(graph.nodes))
    frames, sentences = [Progress(frozenset(), None, dict(totals))], [graph.opening]
    for node in reversed(graph.nodes):
        step = take_step(node, totals, graph.names, reached, bool(graph.outdated))
        sentences.append(str(step))
        done.append(node)
        frames.append(Progress(frozenset(done), node, dict(totals)))
    frames.append(Progress(frozenset(done), None, totals))
    sentences.append(graph.outcome(totals))
    return frames, sentences


def _text(sentence: str, top: float) -> str:
    """A sentence below the graph, line by line."""
    texts = []
    for i, line in enumerate(sentence.splitlines(), 1):
        indent = len(line) - len(line.lstrip())
        place = f'x="{_LINE + 5 * indent}" y="{top + i * _LINE:g}"'
        texts.append(f"<text {place}>{html.escape(line.strip())}</text>")
    return "".join(texts)


class _Timeline:
    """The CSS that shows each part of the picture from one frame to another."""

    def __init__(self, frames: int, seconds: float) -> None:
        self._frames = frames
        self._length = frames - 1 + _HOLD  # in steps
        self._seconds = seconds * self._length
        self._rules: dict[str, str] = {}

    def runs(self, looks: Sequence[_T]) -> Iterator[tuple[range, _T]]:
        """The runs of frames in which a part looks the same."""
        start = 0
        for look, same in groupby(looks):
            stop = start + sum(1 for _ in same)
            yield range(start, stop), look
            start = stop

    def show(self, run: range, part: str) -> str:
        """A part that is visible in this run only."""
        start, stop = run.start, run.stop
        if run == range(self._frames):
            return part
        name = f"t{start}-{stop}"
        # Without animation, what belongs to the last frame is visible.
        base = "visible" if stop == self._frames else "hidden"
        keyframes = "" if start == 0 else "0%{visibility:hidden}"
        keyframes += f"{self._percent(start)}{{visibility:visible}}"
        if stop < self._frames:
            keyframes += f"{self._percent(stop)}{{visibility:hidden}}"
        self._rules[name] = (
            f".{name}{{visibility:{base};animation:{name} {self._seconds:g}s step-end infinite}}"
            f"@keyframes {name}{{{keyframes}}}"
        )
        return f'<g class="{name}">{part}</g>'

    def grow(self, run: range) -> str:
        """A class for a red arrow that grows from its node to the operand as the run starts."""
        start = run.start
        name = f"g{start}"
        begins, nearly, ends = map(self._percent, (start, start + 0.42, start + 0.5))
        time = f"{self._seconds:g}s linear infinite"
        self._rules[name] = (
            f".{name} path{{stroke-dasharray:1;animation:{name} {time}}}"
            f"@keyframes {name}{{0%,{begins}{{stroke-dashoffset:-1}}{ends}{{stroke-dashoffset:0}}}}"
            f".{name} polygon,.{name} text{{animation:{name}-tip {time}}}"
            f"@keyframes {name}-tip{{0%,{nearly}{{opacity:0}}{ends}{{opacity:1}}}}"
        )
        return name

    def _percent(self, frame: float) -> str:
        """A frame as a share of the whole."""
        return f"{100 * frame / self._length:.4g}%"

    def style(self) -> str:
        """The rules for all that was shown."""
        still = "@media (prefers-reduced-motion:reduce),print{*{animation:none!important}}"
        return "\n".join([*self._rules.values(), still])
