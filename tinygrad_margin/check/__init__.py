"""Check a gradient against finite differences.

>>> from tinygrad_margin.check import gradcheck, numeric_grad
>>> bool(gradcheck(lambda x: x.tanh() * x, [0.5]))
True
"""

from tinygrad_margin.check.gradcheck import gradcheck, numeric_grad
from tinygrad_margin.views.check_table import CheckedSlope, GradientCheck

__all__ = ["CheckedSlope", "GradientCheck", "gradcheck", "numeric_grad"]
