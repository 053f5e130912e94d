"""The network of the CS224N notes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import NoReturn

from tinygrad_margin.engine import Operand, Value
from tinygrad_margin.nn.arguments import FUNCTIONS, check_inputs, check_name
from tinygrad_margin.nn.module import Module


class WindowScorer(Module):
    """The network of the CS224N notes: s = Uᵀ f(Wx + b), the score of a window of word vectors.

    Args:
        n_inputs: the length of x, all word vectors of the window in one list.
        n_hidden: the number of hidden units.
        f: the name of a function of the table: "tanh", "sigmoid", "relu", …
        seed: gives the same weights every time.

    Attributes:
        W: n_hidden rows of n_inputs Values, labelled W_ij (row i, column j, counted from 1).
        b: n_hidden Values, labelled b_i.
        U: n_hidden Values, labelled U_i.

    Raises:
        ValueError: a size is below 1, or f is another word.

    Source: Stanford CS224N, notes on neural networks and backpropagation.

    Example:
        >>> net = WindowScorer(n_inputs=3, n_hidden=2, seed=1)
        >>> s = net([0.1, 0.2, 0.3])
        >>> [U_i.label for U_i in net.U], s.op
        (['U_1', 'U_2'], '+')
    """

    def __init__(
        self, n_inputs: int, n_hidden: int, f: str = "tanh", seed: int | None = None
    ) -> None:
        if n_inputs < 1 or n_hidden < 1:
            raise ValueError(f"n_inputs and n_hidden are 1 or more; got {n_inputs}, {n_hidden}")
        check_name(f, "f is")
        rng = random.Random(seed)
        self.f = f

        def weight(fan_in: int, name: str, *indices: int) -> Value:
            label = name + ("" if max(indices) < 10 else ",").join(map(str, indices))  # W_1,10
            return Value(rng.uniform(-1, 1) / math.sqrt(fan_in), label)

        rows, columns = range(1, n_hidden + 1), range(1, n_inputs + 1)
        self.W = [[weight(n_inputs, "W_", i, j) for j in columns] for i in rows]
        self.b = [Value(0.0, f"b_{i}") for i in rows]
        self.U = [weight(n_hidden, "U_", i) for i in rows]

    def __call__(self, x: Sequence[Operand], *rest: NoReturn) -> Value:
        """The score of a window x, a list of n_inputs numbers or Values."""
        check_inputs(self, self.W[0], x, rest)
        inputs = [x_j if isinstance(x_j, Value) else Value(x_j) for x_j in x]
        z = [_dot(row, inputs) + b_i for row, b_i in zip(self.W, self.b, strict=True)]
        return _dot(self.U, list(map(FUNCTIONS[self.f], z)))

    def parameters(self) -> list[Value]:
        """W row by row, then b, then U."""
        return [*(w for row in self.W for w in row), *self.b, *self.U]

    def _shape(self) -> list[int]:
        return [len(self.W[0]), len(self.W)]

    def __repr__(self) -> str:
        return f"WindowScorer({len(self.W[0])} inputs, {len(self.W)} hidden units, {self.f})"


def _dot(a: list[Value], b: list[Value]) -> Value:
    """Σ a_i b_i. It starts with the first product: a sum that starts at 0 has one node more."""
    first, *rest = (a_i * b_i for a_i, b_i in zip(a, b, strict=True))
    return sum(rest, first)
