"""What the boxes and arrows of a picture show, at any moment of the reverse sweep.

    >>> from tinygrad_margin import Value, margin_loss
    >>> J = margin_loss(Value(0.3), Value(0.5))
    >>> faces, arrows = scene(J, end(J))
    >>> faces[J].kind, faces[J].value, faces[J].gradient
    ('root', '1.2', '1')
    >>> [arrow.text for arrow in arrows if arrow.node is J]
    ['×1', '×0']

The picture, the animation and the page are three ways to write this down.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tinygrad_margin.engine import Value, adjoints, local_derivatives
from tinygrad_margin.guard import SlopeError
from tinygrad_margin.ops import CONSTANT
from tinygrad_margin.views.names import kink_case
from tinygrad_margin.views.notation import number, parenthesize

NO_GRADIENT = "does not exist"


@dataclass(frozen=True)
class Moment:
    """How far a reverse sweep has come.

    Attributes:
        done: the nodes that have passed their gradient on.
        current: the one that did so last, to be pointed out; or None.
        totals: ∂J/∂node so far, for every node of the graph in topological order.
    """

    done: frozenset[Value]
    current: Value | None
    totals: Mapping[Value, float]


def end(J: Value) -> Moment:
    """The end of the sweep; a gradient that does not exist is nan."""
    totals = adjoints(J, slopes_or_nan)
    return Moment(frozenset(totals), None, totals)


def slopes_or_nan(node: Value) -> tuple[float, ...]:
    """The local derivatives of a node; nan for each if one of them does not exist."""
    try:
        return local_derivatives(node)
    except (SlopeError, OverflowError):
        return (math.nan,) * len(node.parents)


class Face(NamedTuple):
    """What a node's box shows.

    Attributes:
        kind: "input", "shared" (an input used more than once), "constant", "operation" or "root".
        state: "waits" for its turn, "pale" where it passes no gradient on, or "".
        value: the value.
        gradient: the gradient, with "so far" where more may come; or NO_GRADIENT; or "".
        case: for an operation with a kink, on which side of it: 0, 1 (on it), 2; else None.
    """

    kind: str
    state: str
    value: str
    gradient: str
    case: int | None

    @property
    def equated(self) -> str:
        """What follows ∂J/∂node in the box."""
        if not self.gradient:
            return ""
        return f" {self.gradient}" if self.gradient == NO_GRADIENT else f" = {self.gradient}"


class Arrow(NamedTuple):
    """What the two arrows between an operand and its node show.

    Attributes:
        node: the node.
        parent: the operand.
        quiet: no gradient passes: the grey arrow is pale.
        back: the red one, against the grey one: "live", "quiet", "undefined" (there is no slope),
            or "" where there is none.
        share: how much flows, beside where most flows, from 0 to 1.
        text: the local derivative that it multiplies by.
    """

    node: Value
    parent: Value
    quiet: bool
    back: str
    share: float
    text: str

    @property
    def width(self) -> str:
        """How wide the red arrow is, in points, as text: the largest flow is the widest."""
        return f"{0.8 + 1.4 * self.share:.2f}" if self.back == "live" else "1"


def scene(
    J: Value, moment: Moment, precision: int = 4, *, gradients: bool = True
) -> tuple[dict[Value, Face], list[Arrow]]:
    """The faces of all nodes, in topological order, and the arrows, node by node.

    Args:
        J: the root.
        moment: how far the sweep has come.
        precision: significant digits.
        gradients: show the gradient.
    """
    totals, done = moment.totals, moment.done
    flows = list(_flows(totals, gradients))
    shown = (abs(each.flow) for each in flows if each.node in done)
    largest = max(filter(math.isfinite, shown), default=0.0)
    arrows = [_arrow(each, totals, done, largest, precision, gradients) for each in flows]
    uses = Counter(each.parent for each in flows)
    loud = {each.parent for each in flows if not each.is_quiet(totals)}
    more = {each.parent for each in flows if each.node not in done}
    faces = {}
    for node, total in totals.items():
        kind, value = _kind(node, J, uses[node]), number(node.data, precision)
        if not gradients:
            faces[node] = Face(kind, "", value, "", kink_case(node))
            continue
        waits = node not in done
        gradient = ""
        if node._row is not CONSTANT and not (waits and total == 0.0):
            gradient = _gradient(node, J, total, precision) + " so far" * (node in more)
        pale = node is not J and node not in loud
        faces[node] = Face(
            kind, "waits" if waits else "pale" if pale else "", value, gradient, kink_case(node)
        )
    return faces, arrows


class _Flow(NamedTuple):
    """An edge of the graph, with what flows back along it."""

    node: Value
    parent: Value
    derivative: float
    flow: float

    def is_quiet(self, totals: Mapping[Value, float]) -> bool:
        """Does no gradient pass?"""
        return (self.flow if is_shown(self.node, self.parent) else totals[self.node]) == 0.0


def is_shown(node: Value, parent: Value) -> bool:
    """Is there a red arrow? Nobody asks for ∂J/∂constant; but at a max it tells which side wins."""
    return parent._row is not CONSTANT or node._row.cases is not None


def _flows(totals: Mapping[Value, float], gradients: bool) -> Iterator[_Flow]:
    """Every edge of the graph; without gradients, nothing flows."""
    for node, total in totals.items():
        derivatives = (0.0,) * len(node.parents)
        if gradients:
            derivatives = slopes_or_nan(node)
        for parent, derivative in zip(node.parents, derivatives, strict=True):
            yield _Flow(node, parent, derivative, total * derivative)


def _arrow(
    edge: _Flow, totals: Mapping[Value, float], done: frozenset[Value], largest: float,
    precision: int, gradients: bool,
) -> Arrow:  # fmt: skip
    """What an edge shows."""
    node, parent, derivative, flow = edge
    if not gradients or node not in done:
        return Arrow(node, parent, False, "", 0.0, "")
    quiet = edge.is_quiet(totals)
    if not is_shown(node, parent):
        return Arrow(node, parent, quiet, "", 0.0, "")
    if math.isnan(derivative):
        return Arrow(node, parent, quiet, "undefined", 0.0, "no slope")
    share = abs(flow) / largest if largest and math.isfinite(flow) else 0.0
    text = f"×{parenthesize(number(derivative, precision))}"
    return Arrow(node, parent, quiet, "quiet" if flow == 0.0 else "live", share, text)


def _kind(node: Value, J: Value, uses: int) -> str:
    """What sort of node it is."""
    if node is J:
        return "root"
    if node.parents:
        return "operation"
    if node._row is CONSTANT:
        return "constant"
    return "input" if uses <= 1 else "shared"


def _gradient(node: Value, J: Value, total: float, precision: int) -> str:
    """∂J/∂node; with its sign at a leaf, where it is a result."""
    if math.isnan(total):
        return NO_GRADIENT
    return number(total, precision, signed=not node.parents and node is not J)
