"""Run a graph forward again, after its leaves have changed.

>>> x = Value(3.0, "x")
>>> J = x * x.exp()
>>> x.data = 0.0                                            # J.data is still that for x = 3
>>> recompute(J)
0.0
"""

from tinygrad_margin.engine import Value, topological_order
from tinygrad_margin.guard import as_node, value_error
from tinygrad_margin.ops import FLOATS


def recompute(J: Value) -> float:
    """Compute J's graph again, in place, from the present ``data`` of its leaves.

    So a graph that is built once serves in a loop: set the leaves, ``recompute(J)``,
    ``J.backward()``. Gradients stay as they are. What was decided while the graph was built stays
    decided: an ``if`` of Python, the number of terms, and in the graph of a gradient
    (``create_graph``) on which side a max or relu is.

    Returns:
        J's new value.

    Raises:
        TypeError: J is not a Value.
        ValueError, ZeroDivisionError, OverflowError: an operation has no value at its new operands.
            Then no node has changed.

    Example:
        >>> from tinygrad_margin import grad
        >>> w = Value(3.0, "w")
        >>> J = (w - 1.0) ** 2
        >>> for _ in range(50):
        ...     w.data -= 0.1 * grad(J, w)
        ...     _ = recompute(J)
        >>> round(w.data, 4)
        1.0
    """
    order = topological_order(as_node(J, "recompute(J)"))
    before = [node._data for node in order]
    try:
        for node in order:
            if node.parents:
                node._data = value_of_operands(node)
    except BaseException:
        for node, data in zip(order, before, strict=True):
            node._data = data
        raise
    return J.data


def value_of_operands(node: Value) -> float:
    """What an operation makes of its operands' present ``data``; raises if it has no value."""
    try:
        value: float = node._row.value(FLOATS, *[parent._data for parent in node.parents])
        return value
    except (ArithmeticError, ValueError) as error:
        raise value_error(error, node._row, *node.parents) from error.__cause__
