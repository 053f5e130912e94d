import math
import random
import re

import pytest

from tinygrad_margin import topological_order
from tinygrad_margin.cli.formula import FUNCTIONS, FormulaError, evaluate


@pytest.mark.parametrize(
    "formula",
    ["1 + 2 * 3", "(1 + 2) * 3", "-2 ** 2", "2 ** -1", "2 ** 3 ** 2", "-x ** -2 * 3 - 1 - 1", "- - x",
     "2 * -3", "x - y - x", "x / y / x", "x / (y / x)", "-x * -y", "+x", "1e3 + .5 + 2.", "-(-x)",
     "x**2**-1", "3 - -x", "(-x) ** 2", "-2 * x", "((x))"],
)  # fmt: skip
def test_formulas_mean_what_they_mean_in_python(formula):
    names = {"x": 2.5, "y": 0.75}
    used = {name: value for name, value in names.items() if name in formula}
    assert evaluate(formula, used).data == pytest.approx(eval(formula, dict(names)), rel=1e-15)


def test_random_formulas_mean_what_they_mean_in_python():
    rng = random.Random(1)

    def term(depth):
        if depth == 0 or rng.random() < 0.2:
            return rng.choice(["x", "y", "1.5", "2", "0.25"])
        kind = rng.random()
        if kind < 0.6:
            left, right = term(depth - 1), term(depth - 1)
            return f"{left} {rng.choice(['+', '-', '*'])} {right}"
        return f"-{term(depth - 1)}" if kind < 0.75 else f"({term(depth - 1)})"

    for _ in range(300):
        formula, names = term(5), {"x": 1.25, "y": -0.5}
        used = {name: value for name, value in names.items() if name in formula}
        assert evaluate(formula, used).data == pytest.approx(eval(formula, dict(names)), rel=1e-12)


def test_functions_are_those_of_the_table():
    assert set(FUNCTIONS) == {
        "abs", "cos", "exp", "log", "max", "min", "relu", "sigmoid", "sin", "sqrt", "tanh",
    }  # fmt: skip
    for name, (arity, _) in FUNCTIONS.items():
        J = evaluate(f"{name}({', '.join(['x', 'y'][:arity])})", {"x": 0.5, "y": 2.0} if arity == 2
                     else {"x": 0.5})  # fmt: skip
        assert J.op == name
    assert evaluate("log(x)", {"x": 2.0}).data == math.log(2.0)


def test_max_and_min_of_many():
    J = evaluate("max(x, 2, min(3, x, 5) + y) - max(1, 2)", {"x": 4.0, "y": 1.5})
    assert (J.data, [len(node.parents) for node in topological_order(J) if node.parents]) == (2.5, [3, 2, 3, 2, 2])


def test_a_name_is_one_leaf_and_a_picture_shows_what_was_written():
    J = evaluate("0 + x * x", {"x": 3.0})
    assert [node.op for node in topological_order(J)] == ["", "", "*", "+"]
    assert evaluate("x ** -2", {"x": -2.0}).parents[1].data == -2.0
    J = evaluate("Δ + s_c", {"Δ": 1.0, "s_c": 2.0})
    assert [node.label for node in J.parents] == ["Δ", "s_c"]


@pytest.mark.parametrize(
    ("formula", "where", "words"),
    [
        ("", 1, "expected a number"), ("1 +", 4, "expected a number"), ("(1", 1, "never closed"),
        ("1)", 2, "unmatched"), ("max(1)", 1, "max takes 2 operands or more; got 1"),
        ("exp(1, 2)", 1, "exp takes 1 operand; got 2"), ("maximum(1, 2)", 1, "there are .*max"),
        ("x.y", 2, "no such character"), ("__import__('os')", 1, "no such function"),
        ("xⁿ", 2, r"\*\*"), ("√x", 1, r"sqrt\(…\): >>>√<<<x"), ("exp", 1, "exp is a function"),
        ("y", 1, "y has no value: give y=NUMBER"), ("2x", 2, "expected an operator"),
        ("x[0]", 2, "parentheses"), ("1e999", 1, "too large"), ("max(1,)", 7, "expected a number"),
        ("x x", 3, "expected an operator"), ("'x'", 1, "no such character"), ("x;x", 2, "such"),
        ("x if x else x", 3, "expected an operator"), ("x\0", 2, "no such character"),
        ("(" * 300 + "x" + ")" * 300, 201, "too many nested parentheses"),
        ("x, x", 1, "commas"), ("(x, x)", 1, "commas"), ("max((x, x))", 5, "commas"), ("()", 2, "expected a number"),
        ("max(x)(x)", 7, "expected an operator"), ("max(*x)", 5, "expected a number"), ("max(x=x)", 6, "has no ="),
        ("x²x", 3, r"such as \*"), ("x²^3", 3, "parentheses"), ("x² ³", 4, "parentheses"), ("x²⁻¹", 3, "parentheses"), ("x**²", 4, "expected a number"), ("½x", 1, "no such"), ("|x|", 1, r"abs\(…\)"),
        ("W_{12}", 3, "parentheses"), ("softpluss(x)", 1, r">>>softpluss<<<\(x\)"), ("1_000", 2, "expected an operator"), ("0x10", 2, "expected an operator"),
        ("1j", 2, "expected an operator"), ("x < x", 3, "cannot compare"), ("x == 2", 3, "cannot compare: x >>>==<<< 2"), ("x # x", 3, "no such character"),
        ("max(x, x", 4, "never closed"), ("1 + max (x, (2)", 9, "never closed"), ("x:=x", 2, "no such character"), ("lambda: x", 7, "no such character"), ("lambda", 1, "lambda has no value"),
    ],
)  # fmt: skip
def test_what_is_no_formula_is_pointed_at(formula, where, words):
    with pytest.raises(FormulaError, match=rf"at character {where} of the formula: .*{words}") as e:
        evaluate(formula, {"x": 1.0})
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 250


@pytest.mark.parametrize(
    ("formula", "means"),
    [("x²", "x**2"), ("−x³ + x⁰", "-x**3 + x**0"), ("x⁻¹·2^x²", "x**-1 * 2**x**2"), ("x¹⁰ − (x)²", "x**10 - (x)**2"),
     ("2×x ⋅ x ÷ 3", "2*x * x / 3"), ("1e−2^−x", "1e-2**-x"), ("x – 2∗x", "x - 2*x"), ("2^3^x", "2**3**x")],
)  # fmt: skip
def test_what_is_printed_may_be_typed(formula, means):
    assert evaluate(formula, {"x": 1.5}).data == eval(means, {"x": 1.5})


@pytest.mark.parametrize("name", ["x₁", "s_c", "λ", "Δ", "x̄", "ŷ", "ª", "θ₁₂", "x₁²", "x⁴", "sin", "2", "½x", "x'", ""])
def test_what_may_be_given_a_value_is_a_name_in_a_formula(name):
    """A hint to give NAME=NUMBER is true; where NAME is no name, an error says so."""
    try:
        evaluate(f"1 + {name}", {})
    except FormulaError as error:
        hinted = re.search("give (.*)=NUMBER", str(error))
        assert hinted is None or evaluate(f"1 + {name}", {hinted[1]: 2.0}).data in (3.0, 5.0, 17.0)
    if name not in ("x₁²", "x⁴", "sin", "2", "½x", "x'", ""):
        assert evaluate(name, {name: 2.0}).label == name
    with pytest.raises(FormulaError, match="has a value but is not in the formula 'y . 2'; the names in it: y$"):
        evaluate("y + 2", {"y": 1.0, name: 2.0})


@pytest.mark.parametrize("formula", ["1+" * 50_000 + "1", "(" * 10_000 + "1" + ")" * 10_000])
def test_an_endless_formula_is_refused(formula):
    with pytest.raises(FormulaError, match="10,000 is the most"):
        evaluate(formula, {})


@pytest.mark.parametrize("formula", ["-" * 9_999 + "1", "1**" * 3_000 + "1", "(-1**" * 199 + "1" + ")" * 199])
def test_a_formula_that_python_cannot_parse(formula):
    with pytest.raises(FormulaError, match="at character 1 of the formula: too long, or nested too deeply: >>>"):
        evaluate(formula, {})


def test_a_long_formula_is_read():
    assert evaluate("1+" * 1_000 + "1", {}).data == 1001.0


def test_names_and_numbers_that_python_does_not_have():
    names = {"lambda": 2.0, "in": 3.0, "None": 5.0, "ﬁ": 7.0, "fi": 11.0, "ª": 13.0}
    J = evaluate(" lambda*in*None * (ﬁ - fi) - ª * 007\n", names)
    assert J.data == 30.0 * -4.0 - 91.0
    assert {node.label for node in topological_order(J)} == {*names, ""}
    assert evaluate("9" * 300 + "*0", {}).data == 0.0
    with pytest.raises(OverflowError, match="too large"):
        evaluate("9**9**9", {})


def test_a_value_that_is_not_used():
    with pytest.raises(FormulaError, match="y has a value but is not in the formula"):
        evaluate("x", {"x": 1.0, "y": 2.0})


def test_a_point_outside_the_domain():
    with pytest.raises(ValueError, match="log .*x = -1.0"):
        evaluate("log(x)", {"x": -1.0})
