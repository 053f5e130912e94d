"""What all models have: parameters, which can be saved and loaded."""

from __future__ import annotations

import os

from tinygrad_margin.engine import Value
from tinygrad_margin.nn.saving import load_parameters, save_parameters


class Module:
    """The base class of everything that has parameters. A subclass defines ``parameters``.

    Example:
        >>> from tinygrad_margin.nn import MLP, Neuron
        >>> isinstance(Neuron(2), Module), len(Neuron(2).parameters())
        (True, 3)
        >>> from tempfile import TemporaryDirectory
        >>> net, other = MLP(2, [4, 1], seed=1), MLP(2, [4, 1], seed=2)
        >>> with TemporaryDirectory() as folder:
        ...     net.save(f"{folder}/net.json")
        ...     other.load(f"{folder}/net.json")
        >>> other([0.5, -1.0]).data == net([0.5, -1.0]).data
        True
    """

    def parameters(self) -> list[Value]:
        """All parameters, always in the same order."""
        return []

    def zero_grad(self) -> None:
        """Set ``grad`` of all parameters to 0.0."""
        for parameter in self.parameters():
            parameter.grad = 0.0

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write labels and numbers of the parameters to a .json file, completely or not at all."""
        save_parameters(path, self._shape(), self.parameters())

    def load(self, path: str | os.PathLike[str]) -> None:
        """Set the parameters to the numbers in a file that ``save`` wrote, all of them or none.

        Raises ValueError if the file is from a model of another shape, or not from ``save``.
        """
        load_parameters(path, self._shape(), self.parameters())

    def _shape(self) -> list[int]:
        """The sizes that a file of parameters must agree with."""
        return [len(list(self.parameters()))]
