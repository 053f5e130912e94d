"""Networks of Values: micrograd's, and the window scorer of the CS224N notes.

    >>> from tinygrad_margin import Value, margin_loss, depends_on
    >>> from tinygrad_margin.nn import WindowScorer
    >>> net = WindowScorer(n_inputs=3, n_hidden=2, seed=1)
    >>> s, s_c = net([0.1, 0.2, 0.3]), net([0.3, 0.2, 0.1])
    >>> depends_on(s, net.W[0][0]), depends_on(s_c, net.W[0][0]), depends_on(s_c, s)
    (True, True, False)

The two scores share every weight, and neither is computed from the other.
"""

from tinygrad_margin.nn.mlp import MLP, Layer, Neuron
from tinygrad_margin.nn.module import Module
from tinygrad_margin.nn.window_scorer import WindowScorer

__all__ = ["MLP", "Layer", "Module", "Neuron", "WindowScorer"]
