"""NumPy with Values: operators go entry by entry; a function gives the right node or a sentence."""

import operator

import numpy as np
import pytest

from tinygrad_margin import Value, grad, gradcheck, maximum, primitive

OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
IN_PLACE = [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow]


def values(*numbers):
    return np.array([Value(x, f"x_{i}") for i, x in enumerate(numbers)], dtype=object)


def data(array):
    return np.reshape([float(v) for v in np.ravel(array)], np.shape(array)).tolist()


# --- an array beside a Value ----------------------------------------------------------------------


@pytest.mark.parametrize("apply", OPERATORS)
@pytest.mark.parametrize("xs", [
    values(1.0, 3.0), np.array([1.0, 3.0]), np.array([1, 3]), np.array([True, True]),
    np.array([1, 3], np.float16), np.array([1, 3], np.longdouble), np.array([2, 3], np.uint8),
    np.ones((2, 3)), np.full((2, 1, 2), 2), np.array([]), np.zeros((0, 3)), np.zeros(0, object),
    np.array([1.0, Value(2.0), np.longdouble(3)], object), np.array(3.0),
    np.float32(3), np.longdouble(3), np.array(Value(3.0)),
], ids=lambda xs: f"{np.asarray(xs).dtype}{np.shape(xs)}")  # fmt: skip
def test_operators_go_entry_by_entry_with_the_value_on_either_side(apply, xs):
    v = Value(2.0, "v")
    for of_entry, found in ((lambda x: apply(x, v), apply(xs, v)), (lambda x: apply(v, x), apply(v, xs))):
        expected = [of_entry(x if isinstance(x, Value) else float(x)) for x in np.ravel(xs)]
        if np.shape(xs) == ():
            assert type(found) is Value
        else:
            assert (found.dtype, found.shape) == (object, xs.shape)
        nodes = list(np.ravel(found)) if np.shape(xs) else [found]
        assert [(n.data, n.op, grad(n, v)) for n in nodes] == [
            (n.data, n.op, grad(n, v)) for n in expected
        ]


@pytest.mark.parametrize("apply", IN_PLACE)
def test_operators_in_place(apply):
    v, xs = Value(2.0, "v"), values(1.0, 3.0)
    expected = [apply(x, v).data for x in xs]
    same = apply(xs, v)
    assert (same is xs, data(xs)) == (True, expected)
    numbers = np.array([1.0, 3.0])
    with pytest.raises(TypeError, match=r"^np\.\w+ takes .*; got v = 2\.0.*a = a (\S+) v for a \1= v"):
        apply(numbers, v)
    assert numbers.tolist() == [1.0, 3.0]


def test_a_softmax_written_in_numpy():
    x = values(1.0, 2.0, 0.5)
    p = np.exp([1.0, 2.0, 0.5]) / np.exp([1.0, 2.0, 0.5]).sum()
    for shift in (0.0, 2.0, Value(2.0), x.mean()):
        e = np.exp(x - shift)
        softmax = e / e.sum()
        assert np.allclose(data(softmax), p)
        assert np.allclose(grad(softmax[0], list(x)), [p[0] * (1 - p[0]), -p[0] * p[1], -p[0] * p[2]])
    centred = x - x.mean()
    assert np.allclose(data(centred), [-1 / 6, 5 / 6, -4 / 6])
    assert np.allclose(grad(centred[1], list(x)), [-1 / 3, 2 / 3, -1 / 3])


def test_equal_is_the_same_node_entry_by_entry():
    x = values(1.0, 1.0)
    for other in (x[0] == x, x == x[0]):
        assert other.tolist() == [True, False]
    assert (x[0] != x).tolist() == [False, True]
    assert x[1] in x
    assert Value(1.0) not in x
    for strangers in (np.array([1.0, 2.0]), np.array(["a", "b"]), np.array([1j, 2j], np.clongdouble)):
        assert (strangers == x[0]).tolist() == (x[0] == strangers).tolist() == [False, False]


@pytest.mark.parametrize("apply", OPERATORS)
@pytest.mark.parametrize("wrong", [
    np.array(["a", "b"]), np.array([], str), np.array([b"a"]), np.array([1j]), np.clongdouble(1),
    np.array(["2020"], "M8[ns]"), np.array([3], "m8[s]"), np.timedelta64(3, "s"), np.zeros(2, [("a", float)]),
    np.array([Value(1.0), None]), np.array(["a"], object),
], ids=repr)  # fmt: skip
def test_what_is_no_number_is_refused(apply, wrong):
    for mistake in (lambda: apply(wrong, Value(1.0)), lambda: apply(Value(1.0), wrong)):
        with pytest.raises(TypeError, match=r"^\S+, besides Values, takes a real number; got "):
            mistake()


def test_a_masked_array_is_not_computed_without_the_graph():
    with pytest.raises(TypeError, match="got MaskedArray"):
        Value(2.0) * np.ma.array([1.0, 2.0])


def test_the_advice_for_a_list_keeps_the_sides():
    v, xs = Value(2.0), [1.0, 2.0]
    for symbol, apply in zip(("+", "-", "*", "/", "**"), OPERATORS, strict=True):
        for left, right, advice in ((xs, v, f"[x {symbol} v for x in xs]"), (v, xs, f"[v {symbol} x for x in xs]")):
            with pytest.raises(TypeError) as told:
                apply(left, right)
            assert f"{symbol}, besides Values, takes a real number; got list [1.0, 2.0]" in str(told.value)
            assert f"Take its entries one at a time: {advice}" in str(told.value)
    with pytest.raises(TypeError, match=r"got ndarray .* maximum\(\*values\)"):
        maximum(v, np.ones(2))
    double = primitive("double", lambda a: 2 * a, lambda a, out: (2.0,))
    for several in (xs, np.ones(2)):
        with pytest.raises(TypeError, match=r"entries one at a time\.$"):
            double(several)


# --- functions ------------------------------------------------------------------------------------

# Each is compared with NumPy on numbers, and its gradient with difference quotients.
WORK = {
    "sum": np.sum, "mean": np.mean, "var": np.var, "var, ddof": lambda x: np.var(x, ddof=1),
    "var, axis": lambda x: np.var(x.reshape(2, 2), axis=0)[1], "std": lambda x: np.std(x.reshape(2, 2), axis=1)[0],
    "norm, axis": lambda x: np.linalg.norm(x.reshape(2, 2), axis=1)[1], "norm, 1": lambda x: np.linalg.norm(x, 1),
    "cumsum": lambda x: np.cumsum(x)[2], "prod": np.prod, "cumprod": lambda x: np.cumprod(x)[2],
    "dot": lambda x: np.dot(x, x), "vdot": lambda x: np.vdot(x, x[::-1]), "inner": lambda x: np.inner(x, x),
    "outer": lambda x: np.outer(x, x)[1, 2], "einsum": lambda x: np.einsum("i,i->", x, x),
    "matmul": lambda x: (x.reshape(2, 2) @ x.reshape(2, 2))[0, 1], "trace": lambda x: np.trace(x.reshape(2, 2)),
    "tensordot": lambda x: np.tensordot(x, x, 1).item(), "kron": lambda x: np.kron(x, x)[1],
    "convolve": lambda x: np.convolve(x, x)[2], "diff": lambda x: np.diff(x)[0] ** 2,
    "average": lambda x: np.average(x, weights=[1, 2, 3, 4]), "square": lambda x: np.square(x)[0],
    "reciprocal": lambda x: np.reciprocal(x)[0], "abs": lambda x: np.abs(x)[3], "conjugate": lambda x: np.conj(x)[1],
    "exp": lambda x: np.exp(x)[0], "log": lambda x: np.log(x)[0], "sqrt": lambda x: np.sqrt(x)[0],
    "sin": lambda x: np.sin(x)[0], "cos": lambda x: np.cos(x)[0], "tanh": lambda x: np.tanh(x)[0],
    "add.outer": lambda x: np.add.outer(x, x)[0, 1], "where": lambda x: np.where([True, False, True, False], x, -x).sum(),
    "trapezoid": np.trapezoid, "polyval": lambda x: np.polyval(x, 2.0),
}  # fmt: skip


@pytest.mark.parametrize("name", WORK)
def test_functions_that_work(name):
    numbers = [0.5, 1.5, 0.7, 2.0]
    found = WORK[name](values(*numbers))
    assert type(found) is Value
    assert np.isclose(found.data, WORK[name](np.array(numbers)))
    check = gradcheck(lambda *xs: WORK[name](np.array(xs)), numbers)
    assert check, str(check)


COMPARED = "is not compared with <, >, max() or min()"
WHOLE = "made a whole number"
TRUTH = "is neither true nor false"
# Each: the function, and a part of the sentence.
REFUSED = {
    **{f"{f.__name__}, axis={axis}": (lambda x, f=f, axis=axis: f(x, axis=axis), COMPARED)
       for f in (np.argmax, np.argmin, np.max, np.min, np.sort, np.argsort, np.ptp, np.median)
       for axis in (None, 0, 1)},
    "unique": (np.unique, COMPARED), "x.argmax": (lambda x: x.argmax(1), COMPARED), "x.argmin": (lambda x: x.argmin(0), COMPARED),
    "partition": (lambda x: np.partition(x, 1), COMPARED), "percentile": (lambda x: np.percentile(x, 50), COMPARED),
    "argpartition": (lambda x: np.argpartition(x, 1, axis=0), COMPARED),
    "lexsort": (lambda x: np.lexsort(x), COMPARED), "searchsorted": (lambda x: np.searchsorted(x[0], x[1]), COMPARED),
    "clip": (lambda x: np.clip(x, 0, 1), COMPARED), "sign": (np.sign, COMPARED), "x > 0": (lambda x: x > 0, COMPARED),
    "x > v": (lambda x: x > x[0, 0], COMPARED), "max, shift": (lambda x: x - x.max(), COMPARED),
    "maximum": (lambda x: np.maximum(x, 0), COMPARED), "minimum": (lambda x: np.minimum(x, x), COMPARED),
    "nanmax": (np.nanmax, COMPARED), "allclose": (lambda x: np.allclose(x, x), COMPARED),
    "norm, inf": (lambda x: np.linalg.norm(x[0], np.inf), COMPARED),
    "nonzero": (np.nonzero, TRUTH), "count_nonzero": (np.count_nonzero, TRUTH), "flatnonzero": (np.flatnonzero, TRUTH),
    "argwhere": (np.argwhere, TRUTH), "where": (np.where, TRUTH), "logical_not": (np.logical_not, TRUTH),
    "logical_and": (lambda x: np.logical_and(x, x), TRUTH), "logical_xor": (lambda x: np.logical_xor(x, x), TRUTH),
    "round": (np.round, "is not rounded"), "rint": (np.rint, "is not rounded"),
    "floor": (np.floor, WHOLE), "ceil": (np.ceil, WHOLE), "trunc": (np.trunc, WHOLE),
    "std": (lambda x: np.std(x), "Use v.sqrt()"), "norm": (lambda x: np.linalg.norm(x), "Use v.sqrt()"),
    "log1p": (np.log1p, "np.log1p takes none. Use (1 + v).log()"), "expm1": (np.expm1, "Use v.exp() - 1"),
    "tan": (np.tan, "Use v.sin() / v.cos()"), "exp2": (np.exp2, "Use 2 ** v"), "log10": (np.log10, "math.log(10)"),
    "fabs": (np.fabs, "Use abs(v)"), "hypot": (lambda x: np.hypot(x, x), "np.hypot takes none"),
    **{f.__name__: (f, f"np.{f.__name__} takes none. Values have no {f.__name__}: ") for f in (
        np.arcsin, np.arccos, np.arctan, np.sinh, np.cosh, np.arcsinh, np.arccosh, np.arctanh, np.cbrt,
        np.deg2rad, np.degrees, np.rad2deg, np.radians)},
    "arctan2": (lambda x: np.arctan2(x, 1.0), "tinygrad_margin.primitive"),
    "fmod": (lambda x: np.fmod(x, 2.0), "tinygrad_margin.primitive"),
    "remainder": (lambda x: x % 2, "no %"), "floor_divide": (lambda x: x // x[0, 0], "no %, //"),
    "^": (lambda x: x ^ 2, "no ^"), "~": (np.invert, "no ~"), "&": (lambda x: x & x, "no ~, &"),
    "|": (lambda x: True | x, "no ~, &, |"), "<<": (lambda x: x << 1, "<<"), "bitwise_count": (np.bitwise_count, "no ~"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_functions_end_in_a_sentence(name):
    function, words = REFUSED[name]
    x = values(0.5, 1.5, 0.7, 2.0, 1.0, 3.0).reshape(2, 3)
    with pytest.raises(TypeError) as told:
        function(x)
    assert words in str(told.value)
    assert told.value.__suppress_context__ or told.value.__context__ is None


def test_where_numpy_has_the_last_word_the_cause_says_why():
    for function in (np.all, np.any, lambda x: x.astype(bool)):
        with pytest.raises(ValueError, match="setting an array element") as told:
            function(values(1.0, 2.0))
        assert TRUTH in str(told.value.__cause__)


def test_the_same_functions_of_a_single_value():
    x = Value(0.5, "x")
    for function in (np.log1p, np.tan, np.arctan, np.isnan, np.isfinite, np.sign, np.square, np.exp, np.cbrt):
        with pytest.raises(TypeError, match=rf"^np\.{function.__name__} takes no single Value; got x = 0\.5"):
            function(x)
    for function, words in ((np.rint, "not rounded"), (np.floor, WHOLE), (np.logical_not, TRUTH), (np.invert, "no ~"),
                            (np.round, "not rounded"), (lambda x: np.clip(x, 0, 1), "not compared")):  # fmt: skip
        with pytest.raises(TypeError, match=f"^x = 0.5 .*{words}"):
            function(x)
    for mistake in (lambda: ~x, lambda: x & 1, lambda: 1 | x, lambda: x << 1, lambda: 1 >> x):
        with pytest.raises(TypeError, match=r"^x = 0\.5 is a Value, and Values have no ~, &, \|, << and >>"):
            mistake()


def test_methods_that_only_refuse_are_not_listed():
    x = Value(0.5)
    assert not {"log1p", "tan", "rint", "logical_xor"} & set(dir(x))
    x.tan = 3
    assert "tan" in dir(x)

    class Mine(Value):
        def arctan(self):
            return 7.0

    assert "arctan" in dir(Mine(1.0))
    assert np.arctan(np.array([Mine(1.0)])).tolist() == [7.0]
