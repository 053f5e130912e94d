"""Record a graph once, and replay it fast with other numbers, or with whole arrays of them.

>>> import numpy as np
>>> from tinygrad_margin import Tape, Value, margin_loss
>>> s, s_c = Value(0.3), Value(0.5)
>>> tape = Tape(margin_loss(s, s_c), [s, s_c])
>>> tape.value_and_grad([0.3, 0.5])
(1.2, [-1.0, 1.0])
>>> tape.value_and_grad([np.array([0.3, 3.0]), 0.5])  # two items, and s_c for both
(array([1.2, 0. ]), [array([-1.,  0.]), 1.0])
"""

from tinygrad_margin.tape.tape import Tape

__all__ = ["Tape"]
