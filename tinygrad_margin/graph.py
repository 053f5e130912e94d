"""Questions about a graph.

>>> from tinygrad_margin import Value, depends_on, margin_loss
>>> s, s_c = Value(0.3), Value(0.5)
>>> J = margin_loss(s, s_c)
>>> depends_on(J, s), depends_on(J, s_c), depends_on(s_c, s)
(True, True, False)
"""

from __future__ import annotations

from tinygrad_margin.engine import Value, as_node, topological_order


def depends_on(J: Value, s: Value) -> bool:
    """Does a path lead from s to J? (A node depends on itself: by the empty path.)

    Where none does, ∂J/∂s is 0 and no chain rule ever asks for it.

    Raises:
        TypeError: J or s is no Value.
    """
    return as_node(s, "depends_on(J, s)") in set(topological_order(J))
