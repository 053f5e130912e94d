"""Operations of a user's own, for the tests: formulas, functions of math, comparisons."""

import math
import random

from tinygrad_margin import Value, primitive
from tinygrad_margin.engine import OPERATIONS, constant


def clamp(x):
    if x < -1.0:
        return -1.0
    return 1.0 if x > 1.0 else x


def clamp_slope(x, out):
    return (1.0 if out == x else 0.0,)


# With functions of math, with a comparison:
SOFTPLUS = primitive("softplus", lambda x: math.log1p(math.exp(x)),
                     lambda x, out: (1.0 / (1.0 + math.exp(-x)),))  # fmt: skip
LOGADDEXP = primitive(
    "logaddexp", lambda a, b: max(a, b) + math.log1p(math.exp(-abs(a - b))),
    lambda a, b, out: (math.exp(a - out), math.exp(b - out)),
)  # fmt: skip
CLAMP = primitive("clamp", clamp, clamp_slope, explanation="between the ends the slope is 1")
LOGSUMEXP = primitive(
    "logsumexp", lambda *xs: math.log(sum(map(math.exp, xs))),
    lambda *xs: tuple(math.exp(x - xs[-1]) for x in xs[:-1]),
)  # fmt: skip
# Formulas of + - * / **:
CUBE = primitive("cube", lambda x: x**3, lambda x, out: 3 * x**2, symbol="x³")
FMA = primitive("fma", lambda a, b, c: a * b + c, lambda a, b, c, out: (b, a, 1))
RATIO = primitive("ratio", lambda a, b: a / (1 + b * b),
                  lambda a, b, out: [1 / (1 + b * b), -2 * b * out / (1 + b * b)])  # fmt: skip
SUM = primitive("total", lambda *xs: sum(xs), lambda *xs: tuple(1.0 for _ in xs[1:]), symbol="Σ")
FIRST = primitive("first", lambda a, b: a, lambda a, b, out: (1.0, 0.0))

GENERIC = {CUBE: 1, FMA: 3, RATIO: 2, SUM: 4, FIRST: 2}
ONLY_FLOATS = {SOFTPLUS: 1, LOGADDEXP: 2, CLAMP: 1, LOGSUMEXP: 3}
OWN = GENERIC | ONLY_FLOATS


def mixed_graph(seed, size=10, own=OWN):
    """A graph of own operations and those of the table, with shared nodes and constants."""
    rng = random.Random(seed)
    leaves = [Value(rng.uniform(-1.5, 1.5), f"x_{i}") for i in range(3)]
    nodes = [*leaves, constant(rng.choice([0.0, 1.0, -0.5]))]
    table = [
        OPERATIONS[name] for name in ("add", "sub", "mul", "neg", "tanh", "sin", "max", "relu")
    ]
    for _ in range(size):
        if rng.random() < 0.6:
            function = rng.choice(list(own))
            operands = [rng.choice(nodes) for _ in range(own[function])]
        else:
            function = rng.choice(table)
            operands = [rng.choice(nodes) for _ in range(function.__code__.co_argcount)]
        node = function(*operands)
        nodes.append(node if abs(node.data) < 5.0 else node.tanh())
    return sum(nodes[len(leaves) :], nodes[0]), leaves


def doubled(x):
    return 2 * x


def doubled_slope(x, out):
    return (2.0,)
