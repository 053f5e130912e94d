"""Record a graph once, and replay it fast with other numbers, or with whole arrays of them.

>>> from tinygrad_margin import Value, margin_loss
>>> from tinygrad_margin.tape import Tape
>>> s, s_c = Value(0.3), Value(0.5)
>>> Tape(margin_loss(s, s_c), [s, s_c]).value_and_grad([0.3, 0.5])
(1.2, [-1.0, 1.0])
"""

from tinygrad_margin.tape.tape import Tape

__all__ = ["Tape"]
