"""The reverse sweep, one node at a time, in numbers and words.

>>> from tinygrad_margin import ReverseSweep, Value, margin_loss
>>> sweep = ReverseSweep(margin_loss(Value(0.3), Value(0.5)))
>>> print(next(sweep))
J = max(z, 0):
  ∂J/∂z += ∂J/∂J · ∂J/∂z = 1 · 1 = 1
  z = 1.2 > 0: the max passes z, all of the gradient goes there
>>> print(sweep.run()[1])
z = v₁ − s:
  ∂J/∂v₁ += ∂J/∂z · ∂z/∂v₁ = 1 · 1 = 1
  ∂J/∂s += ∂J/∂z · ∂z/∂s = 1 · (−1) = −1
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple

from tinygrad_margin.draw import Picture, draw_moment
from tinygrad_margin.engine import (
    CONSTANT,
    Value,
    add_gradients,
    as_node,
    case,
    local_derivatives,
    topological_order,
)
from tinygrad_margin.moment import Moment
from tinygrad_margin.notation import brief, glyph, number, subscript, written


class Contribution(NamedTuple):
    """What one node hands to one of its operands.

    Attributes:
        parent: the operand.
        derivative: the local derivative, ∂node/∂parent.
        product: what is passed on, ∂J/∂node · ∂node/∂parent.
        total: ∂J/∂parent so far, this product included.
    """

    parent: Value
    derivative: float
    product: float
    total: float


@dataclass(frozen=True, eq=False)
class Step:
    """One node's turn in the reverse sweep; prints as the chain rule in numbers and words.

    Attributes:
        node: the node.
        upstream: ∂J/∂node.
        contributions: one for each of its operands.
        names: what every node of the graph is called; the root comes last.
    """

    node: Value
    upstream: float
    contributions: tuple[Contribution, ...]
    names: dict[Value, str] = field(repr=False)

    def __str__(self) -> str:
        heading, rules = wording(self.node, self.names)
        if self.node._primitive is CONSTANT:
            return heading
        if not self.contributions:
            return f"{heading} {number(self.upstream)}"
        lines = [heading]
        for rule, (_, derivative, product, total) in zip(rules, self.contributions, strict=True):
            if rule:
                factors = written("*", [number(self.upstream), number(derivative)])
                line = f"  {rule} = {factors.replace(glyph('*'), '·')} = {number(product)}"
                lines.append(line if total == product else f"{line}, in all {number(total)}")
        because = reason(self.node, self.names)
        return "\n".join([*lines, f"  {because}"] if because else lines)


class ReverseSweep(Iterator[Step]):
    """The reverse sweep over J's graph, from J to the leaves, forwards and back.

    It keeps its running totals to itself: no ``grad`` is touched before ``commit``. Iterating does
    the steps that are left; ``rewind`` starts anew.

    Args:
        J: the root.

    Raises:
        TypeError: J is no Value.

    Example:
        >>> a = Value(3.0, "a")
        >>> sweep = ReverseSweep(a * a)
        >>> len(sweep), sweep.position
        (2, 0)
        >>> steps = sweep.run()
        >>> sweep.totals[a]
        6.0
    """

    def __init__(self, J: Value) -> None:
        order = topological_order(as_node(J, "ReverseSweep(J)"))
        self._names = named(order)
        self._order = order[::-1]
        self._done: list[Step] = []
        self._before: list[list[float]] = []  # the totals that each step found
        self._totals = dict.fromkeys(self._order, 0.0)
        self._totals[J] = 1.0

    def __len__(self) -> int:
        """How many steps there are in all, one for each node."""
        return len(self._order)

    def __repr__(self) -> str:
        root = self._names[self._order[0]]
        return f"ReverseSweep({root}: {self.position} of {len(self)} steps done)"

    @property
    def position(self) -> int:
        """How many steps are done."""
        return len(self._done)

    @property
    def totals(self) -> Mapping[Value, float]:
        """∂J/∂node so far, for every node: a view that moves on with the sweep; read-only."""
        return MappingProxyType(self._totals)

    @property
    def last(self) -> Step | None:
        """The step done last; None at the start."""
        return self._done[-1] if self._done else None

    def step(self) -> Step:
        """Process the next node.

        Raises:
            StopIteration: all steps are done.
            SlopeError, OverflowError: the node has a local derivative that does not exist, or is
                too large; the sweep stays where it is.
        """
        if self.position == len(self):
            raise StopIteration(f"all {len(self)} steps are done; back() or rewind() goes back")
        node = self._order[self.position]
        upstream = self._totals[node]
        derivatives = local_derivatives(node)
        before = [self._totals[parent] for parent in node.parents]
        contributions = []
        for parent, derivative in zip(node.parents, derivatives, strict=True):
            product = upstream * derivative
            self._totals[parent] += product
            contributions.append(Contribution(parent, derivative, product, self._totals[parent]))
        self._before.append(before)
        self._done.append(Step(node, upstream, tuple(contributions), self._names))
        return self._done[-1]

    __next__ = step

    def back(self) -> Step:
        """Undo the last step and return it.

        Raises:
            IndexError: no step has been done.
        """
        if not self._done:
            raise IndexError("the sweep is at its start: there is no step to take back")
        step = self._done.pop()
        self._totals.update(zip(step.node.parents, self._before.pop(), strict=True))
        return step

    def run(self) -> list[Step]:
        """Do all steps that are left, and return them."""
        return list(self)

    def rewind(self) -> None:
        """Go back to the start."""
        while self._done:
            self.back()

    def commit(self) -> None:
        """Add the gradient to the leaves' ``grad``, as ``backward`` does.

        Raises:
            ValueError: there are steps left, so that the totals are not the gradient yet.
        """
        if self.position < len(self):
            raise ValueError(
                f"{len(self) - self.position} of {len(self)} steps are left, so the totals are not "
                "the gradient yet: run() first"
            )
        add_gradients({node: x for node, x in self._totals.items() if not node.parents})

    def draw(self, to: str | os.PathLike[str] | None = None, **options: Any) -> Picture:
        """The picture at this moment: arrows only where gradient has flowed.

        The current node, whose step was done last, has a heavy red outline; nodes that wait for
        their turn are dotted, with the gradient that has reached them so far.

        Args:
            to: a file to write as well.
            options: as for ``draw``.
        """
        moment = Moment(
            done=frozenset(step.node for step in self._done),
            current=self.last.node if self.last else None,
            totals=self._totals,
        )
        return draw_moment(self._order[0], moment, to, **options)


def named(order: list[Value]) -> dict[Value, str]:
    """A name for every node: its label, or the number it stands for, or v₁, v₂, …; J for the root.

    Args:
        order: the nodes of a graph, the root last.
    """
    taken = {brief(node.label) for node in order}
    for_roots = iter(["J", "out", "root", "the root"])
    for_others = (f"v{subscript(i)}" for i in count(1))
    names: dict[Value, str] = {}
    given: set[str] = set()
    for node in order:
        name = brief(node.label)
        if name:
            while name in given:  # two nodes with one label are told apart
                name += "′"
            given.add(name)
        elif node._primitive is CONSTANT:
            name = number(node.data)
        else:
            free = for_roots if node is order[-1] else for_others
            name = next(name for name in free if name not in taken)
        names[node] = name
    return names


def wording(node: Value, names: dict[Value, str]) -> tuple[str, list[str]]:
    """What a step says, but for the numbers: how it opens, and the chain rule for each operand.

    Nothing is said of a constant operand: its rule is empty.
    """
    name, root = names[node], names[next(reversed(names))]
    if node._primitive is CONSTANT:
        return f"{name} is a constant: what arrives there stays there", []
    if not node.parents:
        return f"{name} is a leaf: ∂{root}/∂{name} =", []
    rules = [
        f"∂{root}/∂{names[to]} += ∂{root}/∂{name} · ∂{name}/∂{names[to]}"
        if to._primitive is not CONSTANT
        else ""
        for to in node.parents
    ]
    return f"{name} = {operation(node, names)}:", rules


def operation(node: Value, names: Mapping[Value, str]) -> str:
    """How a node is computed, by name: ``max(z, 0)``."""
    return written(node.op, [names[parent] for parent in node.parents])


def reason(node: Value, names: Mapping[Value, str]) -> str:
    """Why the gradient goes where it goes: at a kink, or where the row explains itself."""
    if node._primitive.explanation:
        return node._primitive.explanation
    now, cases = case(node), node._primitive.cases
    if now is None or cases is None:
        return ""
    said = [_said(parent, names) for parent in node.parents]
    short = [names[parent] for parent in node.parents]
    return cases[now].format(
        a=said[0], b=said[-1], x=short[0], y=short[-1]
    )  # fmt: skip


def _said(node: Value, names: Mapping[Value, str]) -> str:
    """A node with its value, ``z = 1.2``; a bare number as it is."""
    value = number(node.data)
    return value if names[node] == value else f"{names[node]} = {value}"
