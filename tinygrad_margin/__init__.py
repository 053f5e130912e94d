"""A scalar autograd engine that teaches reverse mode on the max-margin loss.

>>> from tinygrad_margin import Value, margin_loss
>>> s, s_c = Value(0.3), Value(0.5)
>>> J = margin_loss(s, s_c)                             # max(1 + s_c − s, 0)
>>> J.backward()
>>> s.grad, s_c.grad
(-1.0, 1.0)
"""

from tinygrad_margin.calculus import grad, hessian, jvp
from tinygrad_margin.check import gradcheck, numeric_grad
from tinygrad_margin.engine import Value, maximum, minimum, topological_order
from tinygrad_margin.explain import evaluation_trace, explain
from tinygrad_margin.gradient_graph import KinkWarning
from tinygrad_margin.graph import depends_on, paths
from tinygrad_margin.guard import SlopeError
from tinygrad_margin.losses import (
    binary_cross_entropy,
    cross_entropy,
    hinge_loss,
    logsumexp,
    margin_loss,
    multiclass_margin_loss,
    softmax,
    squared_error,
)
from tinygrad_margin.page import page
from tinygrad_margin.primitive import primitive
from tinygrad_margin.recompute import recompute
from tinygrad_margin.sweep import ReverseSweep
from tinygrad_margin.tape import Tape
from tinygrad_margin.views import animate, beside, draw
from tinygrad_margin.where import where

__all__ = [
    "KinkWarning",
    "ReverseSweep",
    "SlopeError",
    "Tape",
    "Value",
    "animate",
    "beside",
    "binary_cross_entropy",
    "cross_entropy",
    "depends_on",
    "draw",
    "evaluation_trace",
    "explain",
    "grad",
    "gradcheck",
    "hessian",
    "hinge_loss",
    "jvp",
    "logsumexp",
    "margin_loss",
    "maximum",
    "minimum",
    "multiclass_margin_loss",
    "numeric_grad",
    "page",
    "paths",
    "primitive",
    "recompute",
    "softmax",
    "squared_error",
    "topological_order",
    "where",
]
