"""What each box and each arrow of a picture shows, at any moment of the reverse sweep.

    >>> from tinygrad_margin import Value, margin_loss
    >>> J = margin_loss(Value(0.3), Value(0.5))
    >>> boxes, arrows = boxes_and_arrows(J, finished(J))
    >>> boxes[J].kind, boxes[J].value, boxes[J].gradient
    ('root', '1.2', '1')
    >>> [arrow.text for arrow in arrows if arrow.node is J]
    ['×1', '×0']

The picture, the animation and the page all show this.
"""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tinygrad_margin.engine import CONSTANT, Value, adjoints, local_derivatives
from tinygrad_margin.views.names import kink_case
from tinygrad_margin.views.notation import format_operation, glyph, number, parenthesize

NO_GRADIENT = "does not exist"


@dataclass(frozen=True)
class Progress:
    """How far a reverse sweep has come."""

    done: frozenset[Value]  # the nodes that have passed their gradient on
    current: Value | None  # the one that did so last, if it is to be highlighted
    totals: Mapping[Value, float]  # ∂J/∂node so far, for all nodes in topological order


def finished(J: Value) -> Progress:
    """The progress of a finished sweep; a gradient that does not exist is nan."""
    totals = adjoints(J, missing=math.nan)
    return Progress(frozenset(totals), None, totals)


class Box(NamedTuple):
    """What a node's box shows."""

    kind: str  # "input", "shared" (an input used more than once), "constant", "operation", "root"
    state: str  # "waits" for its turn, "pale" if it passes no gradient on, or ""
    value: str
    gradient: str  # with "so far" if more may come; or NO_GRADIENT; or ""
    case: int | None  # of an operation with a kink, the side it is on: 0, 1 (at the kink), 2

    @property
    def after_symbol(self) -> str:
        """What follows ∂J/∂node in the box."""
        equals = "" if self.gradient in ("", NO_GRADIENT) else "= "
        return f" {equals}{self.gradient}" if self.gradient else ""


class Arrow(NamedTuple):
    """What the two arrows between an operand and its node show."""

    node: Value
    parent: Value
    quiet: bool = False  # no gradient passes, so the grey arrow is pale
    back: str = ""  # the red arrow: "live", "quiet", "undefined" (there is no slope), "" (none)
    share: float = 0.0  # how much flows along it, from 0 to 1 (the most in this graph)
    text: str = ""  # the local derivative that it multiplies by

    @property
    def width(self) -> str:
        """The width of the red arrow in points, as text: the more flows, the wider."""
        return f"{0.8 + 1.4 * self.share:.2f}" if self.back == "live" else "1"


def boxes_and_arrows(
    J: Value, progress: Progress, precision: int = 4, *, gradients: bool = True
) -> tuple[dict[Value, Box], list[Arrow]]:
    """The boxes of all nodes, in topological order, and the arrows, node by node.

    Without gradients, no local derivative is computed.
    """
    totals, done = progress.totals, progress.done if gradients else frozenset()
    edges = list(_edges(totals, gradients))
    sizes = [abs(edge.flow) for edge in edges if edge.node in done and math.isfinite(edge.flow)]
    arrows = [_arrow(edge, done, max(sizes, default=0.0), precision) for edge in edges]
    uses = Counter(edge.parent for edge in edges)
    passing = {J, *(edge.parent for edge in edges if not edge.quiet)}
    unfinished = {edge.parent for edge in edges if edge.node not in done}
    boxes = {}
    for node, total in totals.items():
        state = gradient = ""
        if gradients:
            state = "waits" if node not in done else "" if node in passing else "pale"
            if node._row is not CONSTANT and (node in done or total != 0.0):
                is_leaf = not node.parents and node is not J
                gradient = number(total, precision, signed=is_leaf)
                gradient = NO_GRADIENT if math.isnan(total) else gradient
                gradient += " so far" * (node in unfinished)
        value = number(node.data, precision)
        boxes[node] = Box(_kind(node, J, uses[node]), state, value, gradient, kink_case(node))
    return boxes, arrows


def has_back_arrow(node: Value, parent: Value) -> bool:
    """Whether a red arrow leads to the operand: to a constant only where it may win a max."""
    return parent._row is not CONSTANT or node._row.cases is not None


def title(node: Value, names: Mapping[Value, str], precision: int = 4) -> str:
    """The line of a box that names the node; empty for a node without a name or operands.

    The names are HTML. An operand without a name is shown by its value.
    """
    name = f"<b>{names[node]}</b>" if node in names else ""
    if not node.parents:
        return name
    symbol = html.escape(node.op)
    order_matters = symbol in ("-", "/", "**") or (
        len(node.parents) > 1 and symbol not in ("+", "*", "max", "min")
    )
    if not name and not order_matters:  # the arrows show the operands
        return f"<b>{glyph(symbol)}</b>"
    operands = [names.get(parent) or number(parent.data, precision) for parent in node.parents]
    if symbol == "**" and len(operands) == 2:
        exponent = re.sub("<sub>(.*)</sub>", r"_\1", operands[1])  # no sub inside sup
        base = f"({operands[0]})" if "−" in operands[0] else operands[0]
        formula = f"{base}<sup>{exponent}</sup>"
    else:
        formula = format_operation(symbol, operands)
    return f"{name} = {formula}" if name else formula


class _Edge(NamedTuple):
    """An edge of the graph, with the gradient that flows back along it."""

    node: Value
    parent: Value
    derivative: float
    flow: float
    quiet: bool


def _edges(totals: Mapping[Value, float], gradients: bool) -> Iterator[_Edge]:
    """Every edge of the graph; without gradients, nothing flows."""
    for node, total in totals.items():
        nothing = (0.0,) * len(node.parents)
        derivatives = local_derivatives(node, missing=math.nan) if gradients else nothing
        for parent, derivative in zip(node.parents, derivatives, strict=True):
            flow = total * derivative
            quiet = (flow if has_back_arrow(node, parent) else total) == 0.0
            yield _Edge(node, parent, derivative, flow, quiet)


def _arrow(edge: _Edge, done: frozenset[Value], largest: float, precision: int) -> Arrow:
    """The arrow of an edge; largest is the largest flow in the picture."""
    node, parent, derivative, flow, quiet = edge
    if node not in done or not has_back_arrow(node, parent):
        return Arrow(node, parent, quiet and node in done)
    if math.isnan(derivative):
        return Arrow(node, parent, quiet, "undefined", text="no slope")
    share = abs(flow) / largest if largest and math.isfinite(flow) else 0.0
    text = f"×{parenthesize(number(derivative, precision))}"
    return Arrow(node, parent, quiet, "quiet" if flow == 0.0 else "live", share, text)


def _kind(node: Value, J: Value, uses: int) -> str:
    """The kind of a node's box."""
    if node is J:
        return "root"
    if node.parents:
        return "operation"
    if node._row is CONSTANT:
        return "constant"
    return "input" if uses <= 1 else "shared"
