"""Explain a gradient: the paths that it flows along, and the whole evaluation as a table.

>>> from tinygrad_margin import Value, explain, margin_loss
>>> s, s_c = Value(0.3), Value(0.5)
>>> J = margin_loss(s, s_c)
>>> print(explain(J, s))
1 path leads from s to J:
  s → z → J:  ∂J/∂z · ∂z/∂s = 1 · (−1) = −1
J = max(z, 0): z = 1.2 > 0: the max passes z, all of the gradient goes there
So ∂J/∂s = −1.
>>> print(explain(s, s_c))
There is no path from s_c to s: s is not computed from s_c.
So s stays as it is when s_c alone moves, and the chain rule, which multiplies along paths,
never asks for ∂s/∂s_c. Where s and s_c come out of one network, they meet in its weights.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from tinygrad_margin.calculus import grad
from tinygrad_margin.engine import (
    Value,
    adjoints,
    local_derivatives,
    topological_order,
    with_gradient,
)
from tinygrad_margin.graph import Edge, count_paths, edge_paths, nodes_reached_from
from tinygrad_margin.guard import SlopeError, as_node, one_line
from tinygrad_margin.ops import CONSTANT
from tinygrad_margin.slopes import wanted_slopes
from tinygrad_margin.views.names import node_formula, node_names, reason
from tinygrad_margin.views.notation import (
    derivative,
    enclose,
    format_operation,
    latex,
    number,
    parenthesize,
    subscript,
    width,
)  # fmt: skip
from tinygrad_margin.views.remarks import firsts, outdated
from tinygrad_margin.views.sweep_sentences import slopes_or_nan

_SHOWN = 5  # paths
_HEAD = ("Forward primal trace ↓", "Reverse adjoint trace ↑")
_LONGEST = 10  # arrows of a path, or terms of a sum, that are written out


@dataclass(frozen=True, repr=False, eq=False)
class Explanation:
    """Why ∂J/∂s is what it is."""

    J: Value
    s: Value
    count: int  # of all paths from s to J
    paths: tuple[tuple[Edge, ...], ...]  # the first few, each as its edges from J down to s
    gradient: float  # ∂J/∂s, the sum over all paths; nan if it is not known
    reasons: tuple[str, ...]  # why the gradient goes where it goes, at nodes with a kink
    _names: dict[Value, str]

    def __str__(self) -> str:
        J, s = self._names[self.J], self._names[self.s]
        slope = derivative(J, s)
        if not self.count:
            return (
                f"There is no path from {s} to {J}: {J} is not computed from {s}.\n"
                f"So {J} stays as it is when {s} alone moves, and the chain rule, which multiplies"
                f" along paths,\nnever asks for {slope}. Where {J} and {s} come out of one "
                "network, they meet in its weights."
            )
        if self.J is self.s:
            return f"{slope} = 1: {J} moves exactly as {J} moves."
        lead = "1 path leads" if self.count == 1 else f"{_large(self.count)} paths lead"
        lines = [f"{lead} from {s} to {J}:"]
        wrong = self._outdated()
        lines += [f"  {_path(path, self._names, bool(wrong))}" for path in self.paths]
        if more := self.count - len(self.paths):
            lines.append(f"  and {_large(more)} more")
        if wrong:
            return "\n".join([*lines, *wrong, f"So {slope} is not known yet."])
        first, *others = [number(_product(path)) for path in self.paths]
        terms = [first, *map(parenthesize, others), *["…"] * (more > 0)]
        total = f"{' + '.join(terms)} = " * (self.count > 1) + number(self.gradient)
        return "\n".join([*lines, *self.reasons, f"So {slope} = {total}."])

    __repr__ = __str__

    def _outdated(self) -> list[str]:
        """A sentence for each of the first few numbers that are not what their operands make."""
        found = outdated(self._names, self._names)
        return [f"{self._names[node]} {words}" for node, words in found.items()][:_SHOWN]

    def _repr_latex_(self) -> str:
        J, s = self._names[self.J], self._names[self.s]
        over, under = latex(enclose(J)), latex(enclose(s))
        slope = rf"\frac{{\partial {over}}}{{\partial {under}}}"
        if not self.count:
            return (
                rf"$$\text{{There is no path from }}{latex(s)}\text{{ to }}{latex(J)}"
                rf"\text{{, so the chain rule never asks for }}{slope}$$"
            )
        terms = []
        wrong = self._outdated()
        words = "".join(f"\n\n{why}" for why in wrong or self.reasons).replace("$", r"\$")
        words = words.replace("<", r"$\lt$").replace(">", r"$\gt$")  # safe in HTML, too
        if wrong:
            return rf"$${slope} = \text{{not known yet}}$${words}"
        for path in self.paths:
            way = r" \to ".join(map(latex, _shorten(_nodes(path, self.J, self._names))))
            factors = _shorten([latex(parenthesize(number(factor))) for factor in _factors(path)])
            product = r" \cdot ".join(factors) or "1"
            terms.append(rf"\underbrace{{{product}}}_{{{way}}}")
        if self.count > len(terms):
            terms.append(r"\cdots")
        total = latex(number(self.gradient))
        return f"$${slope} = {' + '.join(terms)} = {total}$${words}"


def explain(J: Value, s: Value) -> Explanation:
    """Derive ∂J/∂s: the paths from s to J, the product along each, and their sum.

    s may be a leaf or not. The explanation prints as a derivation; a notebook shows it as LaTeX. It
    counts all paths and shows the first few. If there is none, it says what follows from that. If a
    number in the graph is out of date, because data has changed, it says so and shows no numbers.

    Raises:
        TypeError: J or s is not a Value.
        SlopeError, OverflowError: a local derivative does not exist, or is too large.

    Example:
        >>> a = Value(3.0, "a")
        >>> J = a * a
        >>> J.label = "J"
        >>> print(explain(J, a))
        2 paths lead from a to J:
          a → J:  ∂J/∂a = 3
          a → J:  ∂J/∂a = 3
        So ∂J/∂a = 3 + 3 = 6.
    """
    as_node(J, "explain(J, s)")
    as_node(s, "explain(J, s)")
    count = count_paths(J, s)
    order = topological_order(J)
    names = node_names(order)
    if s not in names:  # s is in another graph, and may have the name of a node in this one
        name = one_line(s.label) or (number(s.data) if s._row is CONSTANT else "s")
        names[s] = name if name not in names.values() else f"the other {name}"
    found = tuple(tuple(path) for path in islice(edge_paths(J, s), _SHOWN))
    gradient = math.nan if count and outdated(order, names) else grad(J, s)
    # The nodes on the paths that are shown; and, for a path that is not, the first ones at a kink.
    nodes = dict.fromkeys(edge.node for path in found for edge in path)
    between = (node for node in nodes_reached_from([s], order) if node is not s and node.is_at_kink)
    nodes |= dict.fromkeys(islice(between, _SHOWN))
    whys = {node: why for node in nodes if (why := reason(node, names))}
    reasons = tuple(f"{names[n]} = {node_formula(n, names)}: {why}" for n, why in whys.items())
    return Explanation(J, s, count, found, gradient, reasons, names)


def _large(count: int) -> str:
    """A count as text: of a number with more than 40 digits, only how many it has."""
    return f"{count:,}" if count < 10**40 else f"about 10^{math.log10(count):.0f}"


def _factors(path: Sequence[Edge]) -> list[float]:
    """The local derivatives along a path, from J down; none from where one that need not exist is.

    That is one below a max, relu or abs that passes 0.
    """
    factors, is_shut = list[float](), False
    for node, place, parent in path:
        try:
            factors.append(wanted_slopes(node, {parent})[place])
        except (SlopeError, OverflowError):
            if not is_shut:
                raise
            break
        is_shut |= not node._row.passes(factors[-1])
    return factors


def _product(path: Sequence[Edge]) -> float:
    """The product of the local derivatives along a path; 0 if a max passes none, even of ∞."""
    factors = _factors(path)
    is_open = all(edge.node._row.passes(x) for edge, x in zip(path, factors, strict=False))
    return math.prod(factors, start=1.0) if is_open else 0.0


def _nodes(path: Sequence[Edge], J: Value, names: dict[Value, str]) -> list[str]:
    """The names of the nodes on a path to J."""
    return [*(names[edge.parent] for edge in reversed(path)), names[J]]


def _path(path: Sequence[Edge], names: dict[Value, str], is_outdated: bool) -> str:
    """A path, with the chain rule along it, and its numbers if they are not out of date."""
    way, note = " → ".join(_shorten(_nodes(path, path[0].node, names))), ""
    chain = [derivative(names[edge.node], names[edge.parent]) for edge in path]
    if is_outdated:
        return f"{way}:  {' · '.join(_shorten(chain))}"
    product, pairs = number(_product(path)), list(zip(chain, _factors(path), strict=False))
    if len(pairs) < len(path):
        note = " (no gradient gets further, so there need not be more slopes)"
    if len(pairs) > _LONGEST:
        pairs = [(symbol, factor) for symbol, factor in pairs if factor != 1.0] or pairs[:1]
        note += " (factors of 1 left out)"
    chain, factors = [symbol for symbol, _ in pairs], [number(factor) for _, factor in pairs]
    factors = [factors[0], *map(parenthesize, factors[1:])] if factors[1:] else []
    parts = [_shorten(chain), _shorten(factors), [product]]
    products = " = ".join(" · ".join(part) for part in parts if part)
    return f"{way}:  {products}{note}"


def _shorten(parts: list[str]) -> list[str]:
    """The parts, or if there are too many, the first and last ones."""
    return parts if len(parts) <= _LONGEST else [*parts[:3], "…", *parts[-3:]]


@dataclass(frozen=True, repr=False)
class EvaluationTrace:
    """The evaluation of a graph as a table, to be read down its left side and up its right side."""

    rows: tuple[tuple[str, str], ...]  # of each node: its forward primal and its reverse adjoint

    def __str__(self) -> str:
        rows = (_HEAD, *self.rows)
        column = max(width(left) for left, _ in rows)
        lines = [f"{left}{' ' * (column - width(left))}   {right}" for left, right in rows]
        lines.insert(1, "─" * max(map(width, lines)))
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def row(tag: str, texts: tuple[str, str]) -> str:
            cells = (f'<{tag} style="text-align:left">{html.escape(x)}</{tag}>' for x in texts)
            return f"<tr>{''.join(cells)}</tr>"

        body = "".join(row("td", texts) for texts in self.rows)
        return f"<table><thead>{row('th', _HEAD)}</thead><tbody>{body}</tbody></table>"


def evaluation_trace(J: Value) -> EvaluationTrace:
    """The evaluation of J and of its gradient, as a table with one line for each node.

    Inputs are v₋₁, v₀, operations v₁, v₂, …; a bar marks the adjoint, v̄ = ∂J/∂v. The table says
    which node is the first that is not finite. If a number is out of date, because data has
    changed, it says so there, and the adjoints have no numbers.

    Raises:
        TypeError: J is not a Value.
        SlopeError, OverflowError: a local derivative does not exist, or is too large.

    Source: Baydin et al., Automatic Differentiation in Machine Learning: a Survey (JMLR 2018),
        tables 2 and 3.

    Example:
        >>> x = Value(3.0, "x")
        >>> print(evaluation_trace(x * x))
        Forward primal trace ↓     Reverse adjoint trace ↑
        ───────────────────────────────────────────────────────────────────────
        v₀ = x = 3                 v̄₀ = v̄₁·∂v₁/∂v₀ + v̄₁·∂v₁/∂v₀ = 1·3 + 1·3 = 6
        v₁ = v₀ × v₀ = 3 × 3 = 9   v̄₁ = 1
    """
    order = topological_order(as_node(J, "evaluation_trace(J)"))
    inputs = [node for node in order if not node.parents and node._row is not CONSTANT]
    steps = [node for node in order if node.parents]
    names = {node: f"v{subscript(i)}" for i, node in enumerate([*inputs, *steps], 1 - len(inputs))}
    for node in order:
        names.setdefault(node, one_line(node.label) or number(node.data))
    wrong, marks = outdated(steps, names), firsts([*inputs, *steps])
    slopes = slopes_or_nan if wrong else local_derivatives  # that a slope is missing may be wrong
    totals = adjoints(J, slopes)
    # For each node, the terms of its adjoint, in symbols and in numbers.
    reached = set(with_gradient(order))
    terms: dict[Value, list[tuple[str, str]]] = {node: [] for node in order}
    for node in reversed(steps):
        bar = names[node].replace("v", "v̄")
        given = slopes if node in reached else slopes_or_nan
        for parent, slope in zip(node.parents, given(node), strict=True):
            factor = parenthesize(number(slope))
            upstream = parenthesize(number(totals[node]))
            symbols = f"{bar}·{derivative(names[node], names[parent])}"
            is_shut = node not in reached and math.isnan(slope)  # so nobody asks for the slope
            terms[parent].append((symbols, "0" if is_shut else f"{upstream}·{factor}"))
    rows = []
    for node in (*inputs, *steps):
        left = ", ".join(filter(None, [_primal(node, names, wrong.get(node)), marks.get(node)]))
        rows.append((left, _adjoint(names[node], terms[node], totals[node], bool(wrong))))
    return EvaluationTrace(tuple(rows))


def _primal(node: Value, names: dict[Value, str], wrong: str | None) -> str:
    """One line of the forward trace; ``wrong`` says what is out of date."""
    parts = [names[node], one_line(node.label)]
    if wrong:
        return " = ".join(filter(None, parts)) + f" {wrong}"
    if node.parents:
        parts.append(node_formula(node, names))
        parts.append(format_operation(node.op, [number(parent.data) for parent in node.parents]))
    return " = ".join(filter(None, [*parts, number(node.data)]))


def _adjoint(name: str, terms: list[tuple[str, str]], total: float, is_outdated: bool) -> str:
    """One line of the reverse trace; the root has no terms."""
    sums = [" + ".join(_shorten(list(column))) for column in zip(*terms, strict=True)]
    sums = sums[:1] if sums and is_outdated else [*sums, number(total)]
    return " = ".join(dict.fromkeys([name.replace("v", "v̄"), *sums]))  # and not 0 = 0
