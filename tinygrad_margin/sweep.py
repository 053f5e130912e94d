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
from types import MappingProxyType
from typing import Any

from tinygrad_margin.engine import Value, topological_order, with_gradient
from tinygrad_margin.fast_engine import add_gradients
from tinygrad_margin.guard import as_node
from tinygrad_margin.views.boxes_and_arrows import Progress
from tinygrad_margin.views.dot import Picture
from tinygrad_margin.views.draw import draw_progress
from tinygrad_margin.views.names import node_names
from tinygrad_margin.views.remarks import outdated
from tinygrad_margin.views.sweep_sentences import Step, take_step


class ReverseSweep(Iterator[Step]):
    """The reverse sweep over J's graph, from J to the leaves, forwards and back.

    It has its own running totals: no ``grad`` changes before ``commit``. Iterating does the
    remaining steps; ``rewind`` goes back to the start. Raises TypeError if J is not a Value.

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
        self._names, self._reached = node_names(order), set(with_gradient(order))
        self._is_outdated = bool(outdated(order, self._names))
        self._order = order[::-1]
        self._done: list[Step] = []
        self._before: list[list[float]] = []  # of each step, its operands' totals before it
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
        """∂J/∂node so far, for every node: a read-only view that follows the sweep."""
        return MappingProxyType(self._totals)

    @property
    def last(self) -> Step | None:
        """The last step done; None at the start."""
        return self._done[-1] if self._done else None

    def step(self) -> Step:
        """Do the next step and return it.

        Raises:
            StopIteration: all steps are done.
            SlopeError, OverflowError: a local derivative does not exist, or is too large; the sweep
                stays where it is.
        """
        if self.position == len(self):
            raise StopIteration(f"all {len(self)} steps are done; back() or rewind() goes back")
        node = self._order[self.position]
        before = [self._totals[parent] for parent in node.parents]
        step = take_step(node, self._totals, self._names, self._reached, self._is_outdated)
        self._done.append(step)
        self._before.append(before)
        return self._done[-1]

    __next__ = step

    def back(self) -> Step:
        """Undo the last step and return it; raises IndexError at the start."""
        if not self._done:
            raise IndexError("the sweep is at its start: there is no step to take back")
        step = self._done.pop()
        self._totals.update(zip(step.node.parents, self._before.pop(), strict=True))
        return step

    def run(self) -> list[Step]:
        """Do the remaining steps and return them."""
        return list(self)

    def rewind(self) -> None:
        """Go back to the start."""
        while self._done:
            self.back()

    def commit(self) -> None:
        """Add the gradient to the leaves' ``grad``, as ``backward`` does.

        Raises ValueError if there are steps left.
        """
        if self.position < len(self):
            left = f"{len(self) - self.position} of {len(self)} steps are left"
            raise ValueError(f"{left}, so the totals are not the gradient yet: run() first")
        add_gradients({node: x for node, x in self._totals.items() if not node.parents})

    def draw(self, to: str | os.PathLike[str] | None = None, **options: Any) -> Picture:
        """The picture at this step; ``to`` and the options are those of ``draw``.

        There are red arrows only where gradient has flowed. The node of the last step has a heavy
        red outline. Nodes that wait for their turn are dotted, with the gradient so far.
        """
        done = [step.node for step in self._done]
        progress = Progress(frozenset(done), done[-1] if done else None, self._totals)
        return draw_progress(self._order[0], progress, to, **options)
