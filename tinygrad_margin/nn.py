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
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import reduce
from itertools import chain, pairwise
from typing import Any, NoReturn

from tinygrad_margin.engine import Operand, Value
from tinygrad_margin.guard import MISSING, as_number, listed

__all__ = ["MLP", "Layer", "Module", "Neuron", "WindowScorer"]

_ACTIVATIONS = {"tanh": Value.tanh, "sigmoid": Value.sigmoid, "relu": Value.relu}


class Module:
    """Something with parameters.

    Example:
        >>> class Scale(Module):
        ...     factor = Value(2.0)
        ...     def parameters(self):
        ...         return [self.factor]
        >>> Scale().zero_grad()
    """

    def parameters(self) -> list[Value]:
        """Every parameter, in a fixed order."""
        return []

    def zero_grad(self) -> None:
        """Set ``grad`` to 0.0 in every parameter."""
        for parameter in self.parameters():
            parameter.grad = 0.0


class Neuron(Module):
    """relu(Σ wᵢxᵢ + b), or Σ wᵢxᵢ + b where it is linear.

    Args:
        nin: the number of inputs.
        nonlin: with the relu.

    Raises:
        TypeError, ValueError: nin is no whole number, or below 1; nonlin is a function or its name.

    Example:
        >>> Neuron(3)([0.1, 0.2, 0.3]).op
        'relu'
    """

    def __init__(self, nin: int, nonlin: bool = True, *rest: NoReturn, **unknown: NoReturn) -> None:
        if rest or unknown:
            raise _no_option(*rest, **unknown)
        count = _size(nin, "nin, the number of inputs,")
        self.w = [Value(random.uniform(-1.0, 1.0)) for _ in range(count)]
        self.b = Value(0.0)
        if isinstance(nonlin, str) or callable(nonlin):
            raise _no_option(nonlin)
        self.nonlin = nonlin

    def __call__(self, x: Sequence[Operand], *rest: NoReturn) -> Value:
        """The neuron's output at x, ``nin`` numbers or Values."""
        if rest:
            raise _no_list(self, x, *rest)
        _check_length(self, self.w, x)
        score = sum(map(operator.mul, self.w, x), self.b)
        return score.relu() if self.nonlin else score

    def parameters(self) -> list[Value]:
        """The weights, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        kind = "ReLU" if self.nonlin else "Linear"
        return f"{kind}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons side by side, with the same inputs.

    Args:
        nin: the number of inputs.
        nout: the number of neurons.
        options: for each neuron.

    Raises:
        TypeError, ValueError: nin or nout is no whole number, or below 1.

    Example:
        >>> len(Layer(3, 2)([0.1, 0.2, 0.3]))
        2
    """

    def __init__(self, nin: int, nout: int, *rest: NoReturn, **options: Any) -> None:
        if rest:
            raise _no_option(*rest)
        count = _size(nout, "nout, the number of neurons,")
        self.neurons = [Neuron(nin, **options) for _ in range(count)]

    def __call__(self, x: Sequence[Operand], *rest: NoReturn) -> Any:
        """A list of ``nout`` Values, or the Value itself where there is one neuron."""
        if rest:
            raise _no_list(self, x, *rest)
        outputs = [neuron(x) for neuron in self.neurons]
        return outputs if len(outputs) > 1 else outputs[0]

    def parameters(self) -> list[Value]:
        """The parameters of every neuron."""
        return list(chain.from_iterable(neuron.parameters() for neuron in self.neurons))

    def __repr__(self) -> str:
        return f"Layer of {self.neurons}"


class MLP(Module):
    """Layers one after the other, relu in all but the last.

    Args:
        nin: the number of inputs.
        nouts: the number of neurons of each layer, a list.

    Raises:
        TypeError, ValueError: nouts is no list or empty; nin or an entry of nouts is no whole
            number, or below 1.

    Example:
        >>> net = MLP(2, [16, 16, 1])
        >>> len(net.parameters())
        337
    """

    def __init__(self, nin: int, nouts: Sequence[int] = MISSING, *rest: NoReturn) -> None:
        if rest or isinstance(nouts, str) or not isinstance(nouts, Iterable):
            got = f"{type(nouts).__name__} {nouts!r:.60}" if nouts is not MISSING else "nothing"
            raise TypeError(
                "nouts of an MLP is a list, the number of neurons of each layer: MLP(2, [4, 1]); "
                f"got {listed(nouts, *rest) if rest else got}"
            )
        sizes = list(pairwise([nin, *nouts]))
        if not sizes:
            raise ValueError("an MLP has at least one layer: MLP(2, [4, 1]); got an empty nouts")
        self.layers = [Layer(*size, nonlin=True) for size in sizes[:-1]]
        self.layers += [Layer(*size, nonlin=False) for size in sizes[-1:]]

    def __call__(self, x: Sequence[Operand], *rest: NoReturn) -> Any:
        """The last layer's output at x, ``nin`` numbers or Values."""
        if rest:
            raise _no_list(self, x, *rest)
        return reduce(lambda signal, layer: layer(signal), self.layers, x)

    def parameters(self) -> list[Value]:
        """The parameters of every layer."""
        return list(chain.from_iterable(layer.parameters() for layer in self.layers))

    def __repr__(self) -> str:
        return f"MLP of {self.layers}"


class WindowScorer(Module):
    """The network of the question: s = Uᵀ f(Wx + b), the score of a window of word vectors.

    Args:
        n_inputs: the length of x, all word vectors of the window one after the other.
        n_hidden: the number of hidden units.
        f: "tanh", "sigmoid" or "relu".
        seed: for the same weights every time.

    Attributes:
        W: n_hidden rows of n_inputs Values, labelled W_ij: row i, column j, counted from 1.
        b: n_hidden Values, labelled b_i.
        U: n_hidden Values, labelled U_i.

    Raises:
        ValueError: a size below 1, or an unknown f.

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
        if (
            not (isinstance(n_inputs, int) and isinstance(n_hidden, int))
            or min(n_inputs, n_hidden) < 1
        ):
            raise ValueError(
                f"a WindowScorer has at least 1 input and 1 hidden unit; got {n_inputs}, {n_hidden}"
            )
        if f not in _ACTIVATIONS:
            raise ValueError(f"f is one of {', '.join(_ACTIVATIONS)}; got {f!r:.60}")
        rng = random.Random(seed)
        self.f = f

        def weight(label: str, fan_in: int) -> Value:
            return Value(rng.uniform(-1, 1) / math.sqrt(fan_in), label)

        rows, columns = range(1, n_hidden + 1), range(1, n_inputs + 1)
        self.W = [[weight(f"W_{_indices(i, j)}", n_inputs) for j in columns] for i in rows]
        self.b = [Value(0.0, f"b_{i}") for i in rows]
        self.U = [weight(f"U_{i}", n_hidden) for i in rows]

    def __call__(self, x: Sequence[Operand], *_rest: NoReturn) -> Value:
        """The score of a window.

        Args:
            x: n_inputs numbers or Values.

        Raises:
            ValueError: the window has another length.
            TypeError: an entry is neither number nor Value.
        """
        if _rest:
            raise _no_list(self, x, *_rest)
        _check_length(self, self.W[0], x)
        inputs = [
            x_j if isinstance(x_j, Value) else Value(as_number(x_j, f"entry {j} of the window"))
            for j, x_j in enumerate(x)
        ]
        f = _ACTIVATIONS[self.f]
        hidden = [f(_dot(row, inputs) + b_i) for row, b_i in zip(self.W, self.b, strict=True)]
        return _dot(self.U, hidden)

    def parameters(self) -> list[Value]:
        """W row by row, then b, then U."""
        return [*(w for row in self.W for w in row), *self.b, *self.U]

    def __repr__(self) -> str:
        return f"WindowScorer({len(self.W[0])} inputs, {len(self.W)} hidden units, {self.f})"


def _dot(a: Sequence[Value], b: Sequence[Value]) -> Value:
    """Σ a_i b_i, without a node for a 0 to start from."""
    first, *rest = (a_i * b_i for a_i, b_i in zip(a, b, strict=True))
    return sum(rest, first)


def _size(count: object, what: str) -> int:
    """A number of inputs or units."""
    try:
        size = operator.index(count)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"{what} is a whole number; got {type(count).__name__} {count!r:.60}"
        ) from None
    if size < 1:
        raise ValueError(f"{what} is 1 or more; got {size}")
    return size


def _no_option(*given: object, **named: object) -> Exception:
    """The error for what a neuron has not."""
    return TypeError(
        "nonlin is True, for the relu, or False, and no other option is there; got "
        f"{listed(*given, **named)}. For another function, apply it to what a linear neuron gives: "
        "neuron(x).tanh()"
    )


def _no_list(module: Module, *given: object) -> Exception:
    """The error for an input whose entries are given one by one."""
    return TypeError(
        f"{module!s:.60} takes one list of numbers or Values; got {listed(*given)}. In brackets it "
        f"is one: ([{listed(*given)}])"
    )


def _check_length(module: Module, weights: Sequence[Value], x: Sequence[Operand]) -> None:
    """An input of the wrong length is an error; zip would drop what is left over."""
    if type(x) is not list and not _is_sequence(x):
        raise TypeError(f"{module} takes a list of numbers or Values; got {type(x).__name__}")
    first = next(iter(x), None)
    if not isinstance(first, (Value, float)) and _is_list(first):
        raise TypeError(
            f"{module} takes a list of {len(weights)} numbers or Values; got a list of lists. Call "
            "it once for each example: [model(x) for x in X]"
        )
    if len(x) != len(weights):
        raise ValueError(f"{module} takes {len(weights)} numbers or Values; got {len(x)}")


def _is_sequence(x: object) -> bool:
    """Has an input a length, and an order?"""
    return hasattr(x, "__len__") and not isinstance(x, (str, Set, Mapping))


def _is_list(entry: object) -> bool:
    """Is an entry of an input an input itself?"""
    return isinstance(entry, (list, tuple)) or getattr(entry, "ndim", 0) > 0


def _indices(i: int, j: int) -> str:
    """The indices of a matrix entry: 12, or 1,10 where one has two digits."""
    return f"{i}{j}" if i < 10 and j < 10 else f"{i},{j}"
