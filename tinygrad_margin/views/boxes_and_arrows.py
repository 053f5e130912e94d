"""What each box and each arrow of a picture shows, at any step of the reverse sweep.

    >>> from tinygrad_margin import Value, margin_loss
    >>> J = margin_loss(Value(0.3), Value(0.5))
    >>> boxes, arrows = boxes_and_arrows(J, end_of_sweep(J))
    >>> boxes[J].kind, boxes[J].value, boxes[J].gradient
    ('root', '1.2', '1')
    >>> [arrow.text for arrow in arrows if arrow.node is J]
    ['×1', '×0']

The picture, the animation and the page all show this.
"""

import html
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tinygrad_margin.engine import Value, adjoints, topological_order, with_gradient
from tinygrad_margin.ops import CONSTANT
from tinygrad_margin.views.notation import (
    enclose,
    format_operation,
    glyph,
    number,
    parenthesize,
    typeset,
)  # fmt: skip
from tinygrad_margin.views.sweep_sentences import slopes_or_nan

NO_GRADIENT = "does not exist"


@dataclass(frozen=True)
class Progress:
    """How far a reverse sweep has come."""

    done: frozenset[Value]  # the nodes that have passed their gradient on
    current: Value | None  # the one that did so last, if it is to be highlighted
    totals: Mapping[Value, float]  # ∂J/∂node so far, for all nodes in topological order


def end_of_sweep(J: Value) -> Progress:
    """How far a sweep has come at its end; a gradient that does not exist is nan."""
    totals = adjoints(J, slopes_or_nan)
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
    text: str = ""  # the local derivative that it multiplies by
    share: float = 0.0  # how much flows along it, from 0 to 1 (the most in this picture)

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
    reached = set(with_gradient(topological_order(J))) if done else set[Value]()
    arrows = list(_arrows(totals, done, reached, precision))
    largest = max(filter(math.isfinite, (arrow.share for arrow in arrows)), default=0.0) or 1.0
    for i, arrow in enumerate(arrows):
        is_drawn = arrow.back and math.isfinite(arrow.share)
        arrows[i] = arrow._replace(share=arrow.share / largest if is_drawn else 0.0)
    uses = Counter(arrow.parent for arrow in arrows)
    passing = {J, *(arrow.parent for arrow in arrows if not arrow.quiet)}
    unfinished = {arrow.parent for arrow in arrows if arrow.node not in done}
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
        kind, value = _kind(node, J, uses[node]), number(node.data, precision)
        side = node._row.side(*(parent._data for parent in node.parents))
        boxes[node] = Box(kind, state, value, gradient, side)
    return boxes, arrows


def has_back_arrow(node: Value, parent: Value) -> bool:
    """Whether a red arrow leads to the operand; to a constant only if it may win a max."""
    return parent._row is not CONSTANT or node._row.cases is not None


def title(node: Value, names: Mapping[Value, str], precision: int = 4) -> str:
    """The line of a box that names the node, as HTML; empty without a name and operands.

    An operand without a name is shown by its value.
    """
    name = f"<b>{typeset(names[node])}</b>" if node in names else ""
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
        base = f"({operands[0]})" if "−" in operands[0] else enclose(operands[0])
        exponent = re.sub("<sub>(.*)</sub>", r"_\1", typeset(enclose(operands[1])))  # not in sup
        formula = f"{typeset(base)}<sup>{exponent}</sup>"
    else:
        formula = format_operation(symbol, operands, typeset)
    return f"{name} = {formula}" if name else formula


def _arrows(
    totals: Mapping[Value, float], done: frozenset[Value], reached: set[Value], precision: int
) -> Iterator[Arrow]:
    """The arrows; instead of its share, each has the size of its flow."""
    for node, total in totals.items():
        if node not in done:
            yield from (Arrow(node, parent) for parent in node.parents)
            continue
        derivatives = slopes_or_nan(node)
        for parent, derivative in zip(node.parents, derivatives, strict=True):
            is_open = node in reached and node._row.passes(derivative)
            flow = abs(total * derivative) if is_open else 0.0
            text = f"×{parenthesize(number(derivative, precision))}"
            if not has_back_arrow(node, parent):
                yield Arrow(node, parent, total == 0.0, share=flow)
            elif math.isnan(derivative) and node in reached:
                yield Arrow(node, parent, False, "undefined", "no slope")
            elif math.isnan(derivative):  # and nothing asks for it
                yield Arrow(node, parent, True, "quiet")
            else:
                yield Arrow(node, parent, flow == 0.0, "live" if flow else "quiet", text, flow)


def _kind(node: Value, J: Value, uses: int) -> str:
    """The kind of a node's box."""
    if node is J:
        return "root"
    if node.parents:
        return "operation"
    if node._row is CONSTANT:
        return "constant"
    return "input" if uses <= 1 else "shared"
