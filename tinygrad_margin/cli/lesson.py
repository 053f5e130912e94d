"""The lesson on J = max(Δ + s_c − s, 0), as text.

>>> from tinygrad_margin.cli.lesson import lesson
>>> text, J = lesson(s=0.3, s_c=0.5, delta=1.0)
>>> print(text.splitlines()[0])
J = max(Δ + s_c − s, 0)   at Δ = 1, s_c = 0.5, s = 0.3
"""

from fractions import Fraction
from textwrap import indent

from tinygrad_margin.calculus import grad
from tinygrad_margin.engine import Value
from tinygrad_margin.graph import depends_on
from tinygrad_margin.losses import margin_loss
from tinygrad_margin.sweep import ReverseSweep
from tinygrad_margin.views.names import node_formula
from tinygrad_margin.views.notation import format_operation, number


def lesson(s: float, s_c: float, delta: float) -> tuple[str, Value]:
    """The lesson at the given scores: its text, and J, the graph that it is about.

    Raises ValueError if delta is negative or not finite.
    """
    true, corrupted = Value(s, "s"), Value(s_c, "s_c")
    J = margin_loss(true, corrupted, delta)
    walk = ReverseSweep(J).run()
    order = [step.node for step in reversed(walk)]
    forward = "\n".join(_forward(node, walk[0].names) for node in order if node.parents)
    backward = "\n".join(str(step) for step in walk if step.contributions)
    slopes = [number(x, signed=True) for x in grad(J, [true, corrupted])]
    text = f"""\
J = max(Δ + s_c − s, 0)   at Δ = {_digits(delta)}, s_c = {_digits(s_c)}, s = {_digits(s)}

The graph, forward: each node from its operands
{indent(forward, "  ")}

{_regime(J.parents[0].data, s, s_c, delta)}

The gradient's way back, node by node, from ∂J/∂J = 1
{indent(backward, "  ")}

So ∂J/∂s = {slopes[0]} and ∂J/∂s_c = {slopes[1]}.

Why ∂s_c/∂s plays no part
  s and s_c are two leaves of this graph. No path leads from one to the other:
  depends_on(s_c, s) is {depends_on(corrupted, true)}. The chain rule multiplies along paths that
  lead to J, so it never asks for ∂s_c/∂s.
  When both scores come out of one network, they meet again in the weights θ that they
  share. There the two paths add up: ∂J/∂θ = ∂J/∂s · ∂s/∂θ + ∂J/∂s_c · ∂s_c/∂θ.
  That is where the worry about "the same network" belongs.

Nobody sets the derivative to zero
  Gradient descent widens the gap s − s_c for as long as the margin is violated. Once the gap
  is larger than Δ, J is 0 and so is the gradient: there is nothing left to do.
"""
    return text, J


def _forward(node: Value, names: dict[Value, str]) -> str:
    """How a node is computed, in names and in numbers."""
    numbers = format_operation(node.op, [_digits(parent.data) for parent in node.parents])
    return f"{names[node]} = {node_formula(node, names)} = {numbers} = {_digits(node.data)}"


def _regime(z: float, s: float, s_c: float, delta: float) -> str:
    """Whether the margin is violated, met or at the kink, and what follows."""
    lead = f"s − s_c = {_digits(s - s_c)}"
    if z > 0.0:
        text = (
            f"margin violated: {lead} is less than Δ = {_digits(delta)}.\n"
            "  The gradient passes the max: raising s lowers J, raising s_c raises it."
        )
    elif z < 0.0:
        text = (
            f"margin met: {lead} is more than Δ = {_digits(delta)}.\n"
            "  J is 0, and stays 0 if s or s_c moves a little: nothing flows back to them."
        )
    else:
        text = (
            f"at the kink: {lead} is exactly Δ = {_digits(delta)}.\n"
            "  J has no slope in z here, only one on either side: 1 where the margin is violated,\n"
            "  0 where it is met. Every number in [0, 1] is a subgradient; max, at a tie, takes ½."
        )
    exact = Fraction(repr(delta)) + Fraction(repr(s_c)) - Fraction(repr(s))  # as it was typed
    if (exact > 0, exact < 0) != (z > 0.0, z < 0.0):
        where = "violated" if exact > 0 else "met" if exact < 0 else "just met, at the kink"
        text += (
            f"\n  But only by a rounding error: floating point computes z = {number(z)}. In exact"
            f"\n  arithmetic z is {number(float(exact))}, and the margin is {where}."
        )
    return f"Regime: {text}"


def _digits(x: float) -> str:
    """A number, with all the digits that a person may type."""
    return number(x, 15)
