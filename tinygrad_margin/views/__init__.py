"""How a graph looks: pictures, animations, and the names and formulas of its nodes.

- ``draw(J)`` is a picture of J's graph, ``beside({...})`` several graphs in one, and ``animate(J)``
  the reverse sweep as an animated SVG.
- ``names``, ``notation`` and ``sweep_sentences`` say in words and symbols what a node is and does;
  ``remarks`` says which numbers are out of date, and which is the first that is not finite.
- ``boxes_and_arrows`` decides what a picture shows; ``dot`` (with ``run_graphviz``) and ``svg``
  write it down, in the ``colours``.
- ``source`` writes a row of the table as Python or JavaScript.

>>> from tinygrad_margin import Value, margin_loss
>>> from tinygrad_margin.views import draw
>>> picture = draw(margin_loss(Value(0.3), Value(0.5)))
"""

from tinygrad_margin.views.animate import animate
from tinygrad_margin.views.draw import beside, draw

__all__ = ["animate", "beside", "draw"]
