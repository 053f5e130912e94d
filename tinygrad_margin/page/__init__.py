"""The interactive page of a graph: one HTML file in which you drag inputs and step the sweep.

``make_page`` fills in page.html, page.css and page.js; ``operations_in_javascript`` writes the
operations of a graph as JavaScript, which interpreter.js evaluates in the browser.

>>> from tinygrad_margin import Value, margin_loss
>>> from tinygrad_margin.page import page
>>> shown = page(margin_loss(Value(0.3), Value(0.5)))
"""

from tinygrad_margin.page.make_page import Page, page

__all__ = ["Page", "page"]
