"""Networks of Values: micrograd's, and the window scorer of the CS224N notes.

    >>> from tinygrad_margin import Value, margin_loss, depends_on
    >>> from tinygrad_margin.nn import WindowScorer
    >>> net = WindowScorer(n_inputs=3, n_hidden=2, seed=1)
    >>> s, s_c = net([0.1, 0.2, 0.3]), net([0.3, 0.2, 0.1])
    >>> depends_on(s, net.W[0][0]), depends_on(s_c, net.W[0][0]), depends_on(s_c, s)
    (True, True, False)

The two scores share every weight, and neither is computed from the other.
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

from tinygrad_margin.engine import Operand, Value
from tinygrad_margin.guard import MISSING, listed, typed

__all__ = ["MLP", "Layer", "Module", "Neuron", "WindowScorer"]

_ACTIVATIONS = {"tanh": Value.tanh, "sigmoid": Value.sigmoid, "relu": Value.relu}


class Module:
    """The base class of everything that has parameters. A subclass defines ``parameters``.

    Example:
        >>> isinstance(Neuron(2), Module), len(Neuron(2).parameters())
        (True, 3)
    """

    def parameters(self) -> list[Value]:
        """All parameters, always in the same order."""
        return []

    def zero_grad(self) -> None:
        """Set ``grad`` of all parameters to 0.0."""
        for parameter in self.parameters():
            parameter.grad = 0.0


class Neuron(Module):
    """relu(Σ wᵢxᵢ + b), or Σ wᵢxᵢ + b if nonlin is False.

    Args:
        nin: the number of inputs.
        nonlin: whether to apply relu.

    Raises:
        ValueError: nin is below 1.
        TypeError: nonlin is not True or False.

    Example:
        >>> Neuron(3)([0.1, 0.2, 0.3]).op
        'relu'
    """

    def __init__(self, nin: int, nonlin: bool = True, **unknown: NoReturn) -> None:
        wrong = [] if nonlin in (True, False) else [nonlin]
        if wrong or unknown:
            raise TypeError(
                f"nonlin is True, for relu, or False; got {listed(*wrong, **unknown)}. For another "
                "function, apply it to the output of a linear neuron: neuron(x).tanh()"
            )
        if nin < 1:
            raise ValueError(f"nin, the number of inputs, is 1 or more; got {nin}")
        self.w = [Value(random.uniform(-1.0, 1.0)) for _ in range(nin)]
        self.b = Value(0.0)
        self.nonlin = nonlin

    def __call__(self, x: Sequence[Operand], *rest: NoReturn) -> Value:
        """The neuron's output at x, a list of ``nin`` numbers or Values."""
        _check_inputs(self, self.w, x, rest)
        score = sum(map(operator.mul, self.w, x), self.b)
        return score.relu() if self.nonlin else score

    def parameters(self) -> list[Value]:
        """The weights, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons that all have the same inputs.

    Args:
        nin: the number of inputs.
        nout: the number of neurons.
        options: passed on to each Neuron.

    Raises:
        ValueError: nin or nout is below 1.

    Example:
        >>> len(Layer(3, 2)([0.1, 0.2, 0.3]))
        2
    """

    def __init__(self, nin: int, nout: int, *options: Any, **named: Any) -> None:
        if nout < 1:
            raise ValueError(f"nout, the number of neurons, is 1 or more; got {nout}")
        self.neurons = [Neuron(nin, *options, **named) for _ in range(nout)]

    def __call__(self, x: Sequence[Operand], *rest: NoReturn) -> Any:
        """A list of ``nout`` Values; if there is one neuron, its Value itself."""
        outputs = [neuron(x, *rest) for neuron in self.neurons]
        return outputs if len(outputs) > 1 else outputs[0]

    def parameters(self) -> list[Value]:
        """The parameters of all neurons."""
        return [parameter for neuron in self.neurons for parameter in neuron.parameters()]

    def __repr__(self) -> str:
        return f"Layer of {self.neurons}"


class MLP(Module):
    """A multi-layer perceptron: layers one after the other, with relu in all but the last.

    Args:
        nin: the number of inputs.
        nouts: the number of neurons of each layer, a list.

    Raises:
        ValueError: a number is below 1, or nouts is empty.
        TypeError: nouts is not a list.

    Example:
        >>> net = MLP(2, [16, 16, 1])
        >>> len(net.parameters())
        337
    """

    def __init__(self, nin: int, nouts: Sequence[int] = MISSING, *rest: NoReturn) -> None:
        if rest or not isinstance(nouts, Iterable):
            got = listed(nouts, *rest) if rest else typed(nouts)
            raise TypeError(
                f"nouts of an MLP is a list, the sizes of its layers: MLP(2, [4, 1]); got {got}"
            )
        sizes = list(pairwise([nin, *nouts]))
        if not sizes:
            raise ValueError("an MLP has at least one layer: MLP(2, [4, 1]); got an empty nouts")
        self.layers = [Layer(*size, nonlin=size is not sizes[-1]) for size in sizes]

    def __call__(self, x: Sequence[Operand], *rest: NoReturn) -> Any:
        """The last layer's output at x, a list of ``nin`` numbers or Values."""
        signal: Any = self.layers[0](x, *rest)
        for layer in self.layers[1:]:
            signal = layer(signal if isinstance(signal, list) else [signal])
        return signal

    def parameters(self) -> list[Value]:
        """The parameters of all layers."""
        return [parameter for layer in self.layers for parameter in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of {self.layers}"


class WindowScorer(Module):
    """The network of the CS224N notes: s = Uᵀ f(Wx + b), the score of a window of word vectors.

    Args:
        n_inputs: the length of x, all word vectors of the window in one list.
        n_hidden: the number of hidden units.
        f: "tanh", "sigmoid" or "relu".
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
        if f not in _ACTIVATIONS:
            raise ValueError(f"f is one of {', '.join(_ACTIVATIONS)}; got {f!r:.60}")
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
        _check_inputs(self, self.W[0], x, rest)
        inputs = [x_j if isinstance(x_j, Value) else Value(x_j) for x_j in x]
        z = [_dot(row, inputs) + b_i for row, b_i in zip(self.W, self.b, strict=True)]
        return _dot(self.U, list(map(_ACTIVATIONS[self.f], z)))

    def parameters(self) -> list[Value]:
        """W row by row, then b, then U."""
        return [*(w for row in self.W for w in row), *self.b, *self.U]

    def __repr__(self) -> str:
        return f"WindowScorer({len(self.W[0])} inputs, {len(self.W)} hidden units, {self.f})"


def _dot(a: list[Value], b: list[Value]) -> Value:
    """Σ a_i b_i. It starts with the first product: a sum that starts at 0 has one node more."""
    first, *rest = (a_i * b_i for a_i, b_i in zip(a, b, strict=True))
    return sum(rest, first)


def _check_inputs(module: Module, weights: list[Value], x: Sequence[Operand], rest: Any) -> None:
    """Raise an error unless x is one list of as many numbers or Values as there are weights."""
    n = len(weights)
    if rest:
        got = listed(x, *rest)
        raise TypeError(f"{module} takes one list; got {got}. Put them in brackets: ([{got}])")
    if not hasattr(x, "__len__"):
        raise TypeError(f"{module} takes a list of numbers or Values; got {type(x).__name__}")
    if len(x) and (isinstance(x[0], (list, tuple)) or getattr(x[0], "ndim", 0) > 0):
        each = "Call it once for each example: [model(x) for x in X]"
        raise TypeError(f"{module} takes a list of {n} numbers; got a list of lists. {each}")
    if len(x) != n:
        raise ValueError(f"{module} takes {n} numbers or Values; got {len(x)}")
