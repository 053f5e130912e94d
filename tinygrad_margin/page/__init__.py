"""The interactive page of a graph: one HTML file to drag inputs in and step through the sweep.

>>> from tinygrad_margin import Value, margin_loss
>>> from tinygrad_margin.page import page
>>> shown = page(margin_loss(Value(0.3), Value(0.5)))
"""

from tinygrad_margin.page.interactive import Page, page

__all__ = ["Page", "page"]
