import math
import random

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
        ("1)", 2, "unmatched"), ("max(1)", 1, "max takes 2 operands; got 1"),
        ("exp(1, 2)", 1, "exp takes 1 operand; got 2"), ("maximum(1, 2)", 1, "there are .*max"),
        ("x.y", 2, "no such character"), ("__import__('os')", 1, "no such function"),
        ("x^2", 2, r"\*\*"), ("x − 1", 3, "minus is written -"), ("exp", 1, "exp is a function"),
        ("y", 1, "y has no value: give y=NUMBER"), ("2x", 2, "expected an operator"),
        ("x[0]", 2, "parentheses"), ("1e999", 1, "too large"), ("max(1,)", 7, "expected a number"),
        ("x x", 3, "expected an operator"), ("'x'", 1, "no such character"), ("x;x", 2, "such"),
        ("x if x else x", 3, "expected an operator"), ("x\0", 2, "no such character"),
        ("(" * 300 + "x" + ")" * 300, 201, "too many nested parentheses"),
        ("x, x", 1, "commas"), ("(x, x)", 1, "commas"), ("max((x, x))", 5, "commas"), ("()", 2, "expected a number"),
        ("max(x)(x)", 7, "expected an operator"), ("max(*x)", 5, "expected a number"), ("max(x=x)", 6, "has no ="),
        ("x²", 2, r"\*\*"), ("1_000", 2, "expected an operator"), ("0x10", 2, "expected an operator"),
        ("1j", 2, "expected an operator"), ("x < x", 3, "cannot compare"), ("x == 2", 3, "cannot compare: x  >>>==<<<"), ("x # x", 3, "no such character"),
        ("max(x, x", 4, "never closed"), ("1 + max (x, (2)", 9, "never closed"), ("x:=x", 2, "no such character"), ("lambda: x", 1, "lambda has no value"),
    ],
)  # fmt: skip
def test_what_is_no_formula_is_pointed_at(formula, where, words):
    with pytest.raises(FormulaError, match=rf"at character {where} of the formula: .*{words}") as e:
        evaluate(formula, {"x": 1.0})
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 250


@pytest.mark.parametrize("formula", ["1+" * 50_000 + "1", "(" * 10_000 + "1" + ")" * 10_000])
def test_an_endless_formula_is_refused(formula):
    with pytest.raises(FormulaError, match="10,000 is the most"):
        evaluate(formula, {})


@pytest.mark.parametrize("formula", ["-" * 9_999 + "1", "1**" * 3_000 + "1", "(-1**" * 199 + "1" + ")" * 199])
def test_a_formula_that_python_cannot_parse(formula):
    with pytest.raises(FormulaError, match="too long, or nested too deeply"):
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
