"""A recorded graph as text: every node's value, then every node's adjoint, one line each.

>>> from tinygrad_margin import Tape, Value
>>> x = Value(3.0, "x")
>>> Tape(x * x, [x]).listing().splitlines()
['x = xs[0]', 'J = x × x', '∂J/∂J = 1', '∂J/∂x = ∂J/∂J · x + ∂J/∂J · x']
"""

from typing import Any

from tinygrad_margin.engine import Value, make_node
from tinygrad_margin.guard import one_line
from tinygrad_margin.ops import CONSTANT, LEAF
from tinygrad_margin.tape.record import CONSTANT_CODE, Record
from tinygrad_margin.views.names import node_formula, node_names
from tinygrad_margin.views.notation import derivative, enclose, number
from tinygrad_margin.views.source import ATOM, PRODUCT, SUM, Functions, Source


def listing(record: Record) -> str:
    """The text for a graph."""
    graph, live, lines = _rebuilt(record), record.live.tolist(), list[str]()
    inputs = {graph[place]: f"xs[{i}]" for i, place in enumerate(record.inputs.tolist())}
    name_of = node_names(graph)
    name_of = {node: f"{x}′" if x.startswith("xs[") else x for node, x in name_of.items()}
    for node in graph:
        if node in inputs:
            lines.append(f"{name_of[node]} = {inputs[node]}")
        elif node.parents:
            lines.append(f"{name_of[node]} = {node_formula(node, name_of)}")
        elif one_line(node.label) or node._row is LEAF:
            lines.append(f"{name_of[node]} = {number(node.data)}")
    contributions: dict[Value, list[Source]] = {node: [] for node in graph}
    contributions[graph[-1]].append(_Text("1"))
    for node in (node for node, is_live in zip(graph[::-1], live[::-1], strict=True) if is_live):
        adjoint = derivative(name_of[graph[-1]], name_of[node])
        lines.append(f"{adjoint} = {_sum(contributions[node])}")
        for parent, slope in zip(node.parents, _slopes(node, name_of), strict=True):
            contributions[parent].append(_Text(adjoint) * slope)
    return "\n".join(lines)


def _rebuilt(record: Record) -> list[Value]:
    """The recorded graph as Values, operands first."""
    nodes: list[Value] = []
    for i, op in enumerate(record.op.tolist()):
        if op >= 0:
            operands = [nodes[j] for j in record.operands(i)]
            nodes.append(make_node(record.rows[op], operands, float(record.data[i])))
        else:
            nodes.append(Value(record.data[i]))
        if i in record.labels:
            nodes[i].label = record.labels[i]
        if op == CONSTANT_CODE and i not in record.inputs:
            nodes[i]._row = CONSTANT
    return nodes


def _sum(terms: list[Source]) -> str:
    """Terms joined by plus and minus. (Joining them as Sources would fail for very many.)"""
    parts = [terms[0].text if terms else "0"]
    for term in terms[1:]:
        sign, rest = (term.minus, -term) if term.is_negative() else ("+", term)
        parts.append(f" {sign} {rest.held(PRODUCT)}")
    return "".join(parts)


def _slopes(node: Value, names: dict[Value, str]) -> tuple[Any, ...]:
    """The local derivatives as formulas; as names, if a user's own operation has no formula."""
    operands = [
        parent.data
        if parent._row is CONSTANT and not parent.label
        else _Text(enclose(names[parent]))
        for parent in node.parents
    ]
    try:
        return node._row.partials(_Formulas(_Text, ""), *operands, _Text(enclose(names[node])))
    except Exception:
        return tuple(_Text(derivative(names[node], names[parent])) for parent in node.parents)


class _Text(Source):
    """A piece of a formula for a reader."""

    minus, times, number = "−", " · ", staticmethod(number)

    @classmethod
    def power(cls, a: Any, b: Any) -> Any:
        """aᵇ."""
        if isinstance(b, (int, float)) and b in (0, 1):
            return a if b else 1.0
        return cls(f"{cls.of(a).held(ATOM)}^{cls.of(b).held(ATOM)}")


class _Formulas(Functions):
    """The mathematics of formulas for a reader."""

    pow = staticmethod(_Text.power)

    def is_zero(self, a: Any) -> Any:
        return float(a == 0.0) if isinstance(a, float) else _Text(f"[{a.text} = 0]")

    def xlogy(self, x: Any, y: Any) -> Any:
        return x * _Text(f"log({_Text.of(y).text})")

    def sech2(self, a: Any) -> Any:
        return _Text(f"sech²({_Text.of(a).text})")

    def step(self, a: Any, b: Any, tie: float) -> Any:
        left, right = _Text.of(a).text, _Text.of(b).text
        at_tie = f" + {number(tie)} · [{left} = {right}]" if tie else ""
        return _Text(f"[{left} > {right}]{at_tie}", SUM if tie else ATOM)
