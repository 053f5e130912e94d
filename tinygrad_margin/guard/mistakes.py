"""What people try with a Value that it does not do, and what to do instead: as data.

``guarded.Guarded`` makes methods of it. A new mistake is a new line here.
"""

RECORDED = (
    "Operands and operation are recorded as you compute: a + b. For an operation of your own, with "
    "its derivative, see tinygrad_margin.primitive."
)

# How the engine's functions are called, for an error message; see usage.py.
VALUE = f"Value(data, label) takes a number and one text, its name; got {{got}}. {RECORDED}"
BACKWARD = (
    "backward() takes nothing; got {got}. The graph is kept, for another backward() too, and ∂J/∂J "
    "is 1; for derivatives of derivatives see grad(J, x, create_graph=True)"
)
OPERANDS = "{name} takes two operands or more; got {got}. Of a list: {name}(*values)"

# Python's methods that would lose the gradient; the sentence follows the node.
REFUSED = {
    "__bool__ logical_xor": "is neither true nor false: an `if` on it would leave no trace in the "
    "graph. Ask `v.data > 0` for the number, or use maximum, minimum or relu, which are nodes.",
    "__lt__ __le__ __gt__ __ge__": "is not compared with <, >, max() or min(): Python's max would "
    "pick one operand and record no node, so the other would vanish from the graph. Use "
    "maximum(a, b) or minimum(a, b); to compare the numbers, use v.data.",
    "__round__ rint": "is not rounded: steps have slope 0, so no gradient would pass. To print the "
    "number: round(v.data, 2), or v:.2f in an f-string.",
    "__int__ __trunc__ __floor__ __ceil__": "is not made a whole number: steps have slope 0, so no "
    "gradient would pass. For the number use v.data: int(v.data).",
    "__getitem__ __iter__": "is one number: it has no entries, and no loop or sum runs over it. A "
    "layer or network with one output gives that Value itself, not a list.",
    "__xor__ __rxor__": "is a Value, and Values have no ^. A power is written v ** 2.",
    "__matmul__ __rmatmul__": "is a Value, and Values have no @. A product is a * b; of two lists, "
    "sum(a * b for a, b in zip(u, v)).",
    "__mod__ __rmod__ __floordiv__ __rfloordiv__ __divmod__ __rdivmod__": "is a Value, and Values "
    "have no %, // and divmod. They jump, and have slope 0 or 1 between. For the numbers use "
    "v.data.",
    "__invert__ __and__ __rand__ __or__ __ror__ __lshift__ __rlshift__ __rshift__ __rrshift__ "
    "bit_count": "is a Value, and Values have no ~, &, |, << and >>, which are for whole numbers. "
    "To compare numbers, use v.data.",
}

# NumPy's functions that apply an operator or a method of Python's to each entry; the operator's
# symbol if Values have it. Most others end in a sentence of REFUSED.
NUMPY_OPERATORS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}
_OF_PYTHON = (
    "positive equal not_equal less less_equal greater greater_equal remainder floor_divide "
    "bitwise_xor bitwise_and bitwise_or invert left_shift right_shift bitwise_count rint floor "
    "ceil trunc logical_and logical_or logical_xor logical_not"
)
NUMPY_OPERATORS |= dict.fromkeys(_OF_PYTHON.split(), "")
# What to use instead of NumPy's other functions.
NUMPY_FUNCTIONS = {
    **{name: f"v.{name}()" for name in ("exp", "log", "sqrt", "sin", "cos", "tanh")},
    **{name: f"{name}(a, b) of tinygrad_margin" for name in ("maximum", "minimum")},
    "absolute": "abs(v)", "negative": "-v", "square": "v ** 2", "reciprocal": "1 / v",
    "fabs": "abs(v)", "log1p": "(1 + v).log()", "expm1": "v.exp() - 1", "exp2": "2 ** v",
    "log2": "v.log() / math.log(2)", "log10": "v.log() / math.log(10)", "tan": "v.sin() / v.cos()",
    "hypot": "(a * a + b * b).sqrt()",
}  # fmt: skip
# For these NumPy calls a method of the same name on each entry of an array. Values have it only to
# say what to use instead.
NUMPY_METHODS = (
    "arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt cosh deg2rad degrees exp2 expm1 "
    "fabs fmod hypot log10 log1p log2 rad2deg radians sinh tan"
)


def numpy_hint(name: str) -> str:
    """What to use instead of the function of NumPy of that name."""
    if ours := NUMPY_FUNCTIONS.get(name):
        return f"Use {ours}, which is a node"
    return (
        f"Values have no {name}: write it with their operations, or give it a derivative with "
        f"tinygrad_margin.primitive. For the number: np.{name}(v.data)"
    )


_ONE = "a Value is one number"
# Names that other libraries have, PyTorch first, for what has another name here, or is not there.
OTHER_NAMES = {
    "ReLU": "it is v.relu()",
    "abs": "it is abs(v)",
    "clamp": "it is minimum(maximum(v, low), high)",
    "clone": f"{_ONE}, and operations change none: use it as it is, or copy.copy(v)",
    "cuda": "Values are Python's own numbers, on no device",
    "detach": "the number without its graph is v.data; as a new leaf: Value(v.data)",
    "dtype": f"{_ONE}, and that a float: v.data",
    "gradient": "the gradient is v.grad, once J.backward() has run; or grad(J, v)",
    "is_leaf": "a leaf has no operands: not v.parents",
    "item": "the number is v.data",
    "max": "it is maximum(a, b)",
    "mean": f"{_ONE}; the mean of several is sum(values) / len(values)",
    "min": "it is minimum(a, b)",
    "name": "the name of a Value is v.label",
    "numpy": "the number is v.data",
    "pow": "a power is v ** 2",
    "requires_grad": "every Value takes part; grad(J, [v]) returns the gradient of v alone",
    "retain_grad": "every node keeps its grad: v.grad",
    "shape": f"{_ONE}, and has no shape",
    "softmax": f"{_ONE}; softmax(values), or by hand es = [v.exp() for v in values], e / sum(es)",
    "square": "it is v ** 2",
    "sum": f"{_ONE}; the sum of several is sum(values)",
    "value": "the number is v.data",
    "zero_": "the number is set by v.data = 0.0, and the gradient by v.zero_grad()",
}
