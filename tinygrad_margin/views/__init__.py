"""How a graph looks: names and formulas of nodes, pictures, animations.

>>> from tinygrad_margin import Value, margin_loss
>>> from tinygrad_margin.views import draw
>>> picture = draw(margin_loss(Value(0.3), Value(0.5)))
"""

from tinygrad_margin.views.animate import animate
from tinygrad_margin.views.draw import beside, draw

__all__ = ["animate", "beside", "draw"]
