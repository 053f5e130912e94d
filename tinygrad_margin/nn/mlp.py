"""micrograd's networks: a neuron, a layer, and layers one after the other.

>>> net = MLP(2, [3, 1], nonlin="tanh", seed=1)
>>> [parameter.label for parameter in net.layers[0].neurons[1].parameters()]
['W_1,2,1', 'W_1,2,2', 'b_1,2']
"""

from __future__ import annotations

import operator
import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NoReturn

from tinygrad_margin.engine import Operand, Value
from tinygrad_margin.guard import MISSING, listed, typed
from tinygrad_margin.nn.arguments import FUNCTIONS, check_inputs, chosen_function
from tinygrad_margin.nn.module import Module

_NONLIN: dict[Any, Any] = {True: Value.relu, False: lambda score: score, **FUNCTIONS}


class Neuron(Module):
    """f(Σ wᵢxᵢ + b), where f is relu, another function of the table, or nothing.

    Args:
        nin: the number of inputs.
        nonlin: True for relu, False for nothing, or a name: nonlin="tanh".
        seed: an int, which gives the same weights every time; None: they come from ``random``.

    Attributes:
        w: the weights, labelled W_1, W_2, …; in the neuron j of a layer W_j,1; in the layer i of an
            MLP W_i,j,1. The output is labelled a, a_j or a_i,j.
        b: the bias, labelled b, b_j or b_i,j.

    Raises:
        ValueError: nin is below 1, or the table has no function of that name.
        TypeError: nonlin is something else, or a name without ``nonlin=``.

    Example:
        >>> Neuron(3)([0.1, 0.2, 0.3]).op
        'relu'
        >>> Neuron(3, nonlin="tanh", seed=1)
        TanhNeuron(3)
    """

    def __init__(
        self,
        nin: int,
        *given: NoReturn,
        nonlin: bool | str = True,
        seed: int | None = None,
        **unknown: NoReturn,
    ) -> None:
        chosen = chosen_function(*given, nonlin=nonlin, **unknown)
        if nin < 1:
            raise ValueError(f"nin, the number of inputs, is 1 or more; got {nin}")
        rng = _generator(seed) or random
        self.w = [Value(rng.uniform(-1.0, 1.0)) for _ in range(nin)]
        self.b = Value(0.0)
        self.nonlin = chosen
        self._set_place()

    def _set_place(self, *place: int) -> None:
        """Label the parameters and the output with the place: layer and neuron, as far as known."""
        for i, w in enumerate(self.w, 1):
            w.label = _indexed("W", *place, i)
        self.b.label, self._label = _indexed("b", *place), _indexed("a", *place)

    def __call__(self, x: Sequence[Operand], *rest: NoReturn) -> Value:
        """The neuron's output at x, a list of ``nin`` numbers or Values."""
        check_inputs(self, self.w, x, rest)
        out: Value = _NONLIN[self.nonlin](sum(map(operator.mul, self.w, x), self.b))
        out._label = self._label  # a text for sure: no check, in the loop that trains
        return out

    def parameters(self) -> list[Value]:
        """The weights, then the bias."""
        return [*self.w, self.b]

    def _shape(self) -> list[int]:
        return [len(self.w)]

    def __repr__(self) -> str:
        names = {True: "ReLU", "relu": "ReLU", False: "Linear"}
        return f"{names.get(self.nonlin, str(self.nonlin).capitalize())}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons that all have the same inputs.

    Args:
        nin: the number of inputs.
        nout: the number of neurons.
        options: passed on to each Neuron.
        seed: as for a Neuron.

    Raises:
        ValueError: nin or nout is below 1.

    Example:
        >>> len(Layer(3, 2)([0.1, 0.2, 0.3]))
        2
    """

    def __init__(
        self,
        nin: int,
        nout: int,
        *options: Any,
        seed: int | None = None,
        **named: Any,
    ) -> None:
        if nout < 1:
            raise ValueError(f"nout, the number of neurons, is 1 or more; got {nout}")
        rng = _generator(seed)
        self.neurons = [Neuron(nin, *options, seed=rng, **named) for _ in range(nout)]
        self._set_place()

    def _set_place(self, *place: int) -> None:
        for j, neuron in enumerate(self.neurons, 1):
            neuron._set_place(*place, j)

    def __call__(self, x: Sequence[Operand], *rest: NoReturn) -> Any:
        """A list of ``nout`` Values; if there is one neuron, its Value itself."""
        outputs = [neuron(x, *rest) for neuron in self.neurons]
        return outputs if len(outputs) > 1 else outputs[0]

    def parameters(self) -> list[Value]:
        """The parameters of all neurons."""
        return [parameter for neuron in self.neurons for parameter in neuron.parameters()]

    def _shape(self) -> list[int]:
        return [*self.neurons[0]._shape(), len(self.neurons)]

    def __repr__(self) -> str:
        return f"Layer of {self.neurons}"


class MLP(Module):
    """A multi-layer perceptron: layers one after the other; the last one is linear.

    Args:
        nin: the number of inputs.
        nouts: the number of neurons of each layer, a list.
        nonlin: the function of all layers but the last, as for a Neuron: relu if it is True.
        seed: as for a Neuron.

    Raises:
        ValueError: a number is below 1, nouts is empty, or the table has no such function.
        TypeError: nouts is not a list, or nonlin is something else.

    Example:
        >>> net = MLP(2, [16, 16, 1], nonlin="tanh", seed=1)
        >>> len(net.parameters()), net.parameters()[-1].label       # the bias: layer 3, neuron 1
        (337, 'b_3,1')
    """

    def __init__(
        self,
        nin: int,
        nouts: Sequence[int] = MISSING,
        *rest: NoReturn,
        nonlin: bool | str = True,
        seed: int | None = None,
        **unknown: NoReturn,
    ) -> None:
        if rest or not isinstance(nouts, Iterable):
            got = listed(nouts, *rest) if rest else typed(nouts)
            raise TypeError(
                f"nouts of an MLP is a list, the sizes of its layers: MLP(2, [4, 1]); got {got}"
            )
        chosen_function(nonlin=nonlin, **unknown)  # the last layer does not ask
        sizes = list(pairwise([nin, *nouts]))
        if not sizes:
            raise ValueError("an MLP has at least one layer: MLP(2, [4, 1]); got an empty nouts")
        rng, last = _generator(seed), len(sizes)
        self.layers = []
        for i, size in enumerate(sizes, 1):
            layer = Layer(*size, nonlin=nonlin if i < last else False, seed=rng)
            layer._set_place(i)
            self.layers.append(layer)

    def __call__(self, x: Sequence[Operand], *rest: NoReturn) -> Any:
        """The last layer's output at x, a list of ``nin`` numbers or Values."""
        signal: Any = self.layers[0](x, *rest)
        for layer in self.layers[1:]:
            signal = layer(signal if isinstance(signal, list) else [signal])
        return signal

    def parameters(self) -> list[Value]:
        """The parameters of all layers."""
        return [parameter for layer in self.layers for parameter in layer.parameters()]

    def _shape(self) -> list[int]:
        return [self.layers[0]._shape()[0], *(len(layer.neurons) for layer in self.layers)]

    def __repr__(self) -> str:
        return f"MLP of {self.layers}"


def _generator(seed: Any) -> Any:
    """A generator of numbers that starts at the seed; None stays None, and a generator itself."""
    if seed is None or isinstance(seed, random.Random):
        return seed
    if not hasattr(seed, "__index__"):
        raise TypeError(f"seed is an int, which gives the same weights again; got {typed(seed)}")
    return random.Random(operator.index(seed))


def _indexed(letter: str, *place: int) -> str:
    """A letter with the numbers of a place: W_1,2,3. Without commas, 1 and 23 would be 12 and 3."""
    return f"{letter}_{','.join(map(str, place))}".rstrip("_")
