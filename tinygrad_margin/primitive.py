"""Operations of your own: rows that are not in the table.

    >>> import math
    >>> from tinygrad_margin import ReverseSweep, Value, primitive
    >>> softplus = primitive("softplus", lambda x: math.log(1 + math.exp(x)),   # for x up to 709
    ...                      lambda x, out: (1 / (1 + math.exp(-x)),))
    >>> x = Value(0.0, "x")
    >>> J = softplus(x) * 2
    >>> J.backward()
    >>> x.grad
    1.0
    >>> print(ReverseSweep(J).run()[2])
    v₁ = softplus(x):
      ∂J/∂x += ∂J/∂v₁ · ∂v₁/∂x = 2 · 0.5 = 1

Such an operation sweeps, draws and explains itself like any other. A page needs it to be a formula
of ``+ - * / **``, which can be written as JavaScript. A tape runs such a formula on whole arrays,
and anything else item by item.
"""

from __future__ import annotations

import inspect
import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Complex, Real
from types import MethodType
from typing import Any, ClassVar, NoReturn, TypeAlias

from tinygrad_margin.engine import Operand, Value, as_operand, operation
from tinygrad_margin.guard import as_number, one_line, typed
from tinygrad_margin.ops import FLOATS, TABLE, Primitive

_TAKEN = {*TABLE, *(row.symbol for row in TABLE.values()), "−", "×", "^"}  # as pictures write them

Function: TypeAlias = Callable[..., Any]


def primitive(
    name: str,
    value: Callable[..., Any],
    partials: Callable[..., Any],
    symbol: str | None = None,
    explanation: str = "",
) -> Operation:
    """An operation on Values from its value and its local derivatives.

    Both functions are called with plain floats. If they are formulas of ``+ - * / **``, they may
    also be called with arrays, Values or pieces of a formula.

    Args:
        name: its name; not a name or symbol of the table.
        value: ``value(*operands)``, a number. If it has none, it raises ValueError or an
            ArithmeticError, as ``math.log(0)`` does.
        partials: ``partials(*operands, out)``, where ``out`` is the value: a tuple with
            ∂out/∂operand for each operand. It raises likewise if there is no slope.
        symbol: how pictures show it; not a name or symbol of the table. None: as its name.
        explanation: a sentence that is shown at each of its steps.

    Returns:
        A function of Values and plain numbers, as many as ``value`` has parameters, or any number
        of them if it takes ``*operands``. Its result is a new node. You can copy the function, and
        pickle it if value and partials are written with ``def`` at the top of a module.

    Raises:
        TypeError: value or partials is not a function, or takes another number of operands.
        ValueError: name or symbol is empty, too long, not printable, or taken.

    Example:
        >>> cube = primitive("cube", lambda x: x**3, lambda x, out: (3 * x**2,), symbol="cb")
        >>> x = Value(2.0, "x")
        >>> J = cube(x)
        >>> J.backward()
        >>> J.op, J.data, x.grad
        ('cb', 8.0, 12.0)
    """
    symbol = name if symbol is None else symbol
    for what, text in (("name", name), ("symbol", symbol)):
        if not text or one_line(text) != text:
            raise ValueError(
                f"the {what} of an operation is 1 to 40 printable characters; got {text!r:.60}"
            )
        if text in _TAKEN:
            raise ValueError(
                f"there is an operation {text} already; give yours a name and a symbol of its own"
            )
    return Operation(name, value, partials, symbol, explanation)


class _Unchanging:
    """The base of objects that are their own copies."""

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: object) -> Any:
        return self


class Operation(_Unchanging):
    """The function on Values that ``primitive`` returns."""

    def __init__(
        self, name: str, value: Function, partials: Function, symbol: str, explanation: str
    ) -> None:
        self._given = name, value, partials, symbol, explanation
        self._count, self._is_open = _count_operands(name, value, partials)

        @cache
        def of_arity(arity: int) -> tuple[Primitive, Callable[..., Value]]:
            row = own_primitive(name, value, partials, symbol, one_line(explanation, 300), arity)
            return row, operation(row)

        self._of_arity = of_arity
        self.__name__ = self.__qualname__ = name
        self.__doc__ = f"{symbol}, as a new node. {explanation}".strip()

    def __call__(self, *operands: Operand) -> Value:
        """A new node of these operands."""
        count = self._count
        if len(operands) != count and not (self._is_open and len(operands) > count):
            takes = f"{count} operand{'s' * (count > 1)}{' or more' * self._is_open}"
            raise TypeError(f"{self.__name__} takes {takes}; got {len(operands)}")
        row, apply = self._of_arity(len(operands))
        return apply(*(as_operand(x, row) for x in operands))

    def __get__(self, node: object, kind: type | None = None) -> Any:
        """A class that has it as an attribute has it as a method, like any function."""
        return self if node is None else MethodType(self, node)

    def __repr__(self) -> str:
        return f"<operation {self.__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        _check_importable(self.__name__, *self._given[1:3])
        return primitive, self._given


@dataclass(frozen=True, eq=False, kw_only=True)
class OwnPrimitive(_Unchanging, Primitive):
    """The row of an operation of the user's own."""

    functions: tuple[Function, Function]  # the value and the partials, as they were given
    is_builtin: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Any, ...]:
        _check_importable(self.name, *self.functions)
        given = (self.name, *self.functions, self.symbol, self.explanation, self.arity)
        return own_primitive, given


def _check_importable(name: str, *functions: Function) -> None:
    """Raise PicklingError for a lambda, or a function inside another: no module has its name."""
    if any("<" in getattr(function, "__qualname__", "") for function in functions):
        raise pickle.PicklingError(
            f"{name} cannot be pickled: a pickle keeps only the names of functions, and its value "
            "or its partials have none; write them with def, at the top of a module"
        )


def own_primitive(
    name: str, value: Function, partials: Function, symbol: str, explanation: str, arity: int
) -> OwnPrimitive:
    """The row of a user's own operation, for this number of operands."""

    def checked_value(m: Any, *operands: Any) -> Any:
        found = _call(name, value, operands)
        return _checked(found, name, "value", "one number") if m is FLOATS else found

    def checked_partials(m: Any, *operands: Any) -> tuple[Any, ...]:
        found = _call(name, partials, operands)
        is_list = isinstance(found, (tuple, list))
        is_array = m is FLOATS and getattr(found, "ndim", 0) == 1
        slopes = found if is_list or is_array else (found,)  # (2 * x,), or 2 * x for short
        form = f"a tuple of {arity} numbers, one for each operand"
        if len(slopes) != arity:
            raise _wrong_result(name, "partials", form, found)
        return tuple(_checked(x, name, "partials", form) if m is FLOATS else x for x in slopes)

    return OwnPrimitive(
        name, symbol, arity, checked_value, checked_partials, domain="other operands ({error})",
        explanation=explanation, functions=(value, partials),
    )  # fmt: skip


def value_is_formula(row: Primitive) -> bool:
    """Whether the row's value is a formula of ``+ - * / **``, which takes more than floats."""
    return row.is_builtin or _is_formula(row.value, row.arity)


def partials_are_formulas(row: Primitive) -> bool:
    """The same for the row's partials. Only then can they be differentiated again."""
    return row.is_builtin or _is_formula(row.partials, row.arity + 1)


class _Unknown:
    """A number of any kind: formulas of ``+ - * / **`` take it, ``math`` and ``if`` do not."""

    __array_ufunc__ = None

    def _compute(self, *others: Any) -> _Unknown:
        if all(isinstance(x, (_Unknown, Real)) for x in others):
            return self
        raise TypeError("not a number")

    def _compare(self, *_: object) -> NoReturn:
        raise TypeError("not known")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _compute
    __truediv__ = __rtruediv__ = __pow__ = __rpow__ = __neg__ = __pos__ = _compute
    __bool__ = __eq__ = __ne__ = _compare


def _is_formula(function: Function, count: int) -> bool:
    """Whether a function of a row takes numbers of any kind."""
    try:
        found = function(None, *(_Unknown() for _ in range(count)))
    except Exception:  # a mistake in the function raises again when it is called with floats
        return False
    results = found if isinstance(found, tuple) else (found,)
    return all(isinstance(x, (_Unknown, Real)) for x in results)


def _call(name: str, function: Function, operands: Sequence[Any]) -> Any:
    """The function's result. Its error gets a cause, which shows the line, or a hint."""
    try:
        return function(*operands)
    except (ArithmeticError, ValueError) as error:
        raise type(error)(*error.args) from error
    except AttributeError as error:
        asked = error.name or ""
        if type(error.obj) is float and hasattr(Value, asked):  # x.exp(), x.data
            hint = f"math.{asked}(x)" if hasattr(math, asked) else "x is the number itself"
            raise TypeError(
                f"value and partials of {name} get plain numbers, which have no {asked}; "
                f"instead of x.{asked}: {hint}"
            ) from error
        raise


def _checked(x: Any, name: str, what: str, form: str) -> float:
    """One number that a function returned."""
    try:
        return as_number(x, name)
    except TypeError:
        if isinstance(x, Complex):  # (-1) ** 0.5: there is no real one
            raise ValueError(f"{what} gives the complex number {x:.4g}") from None
        raise _wrong_result(name, what, form, x) from None


def _wrong_result(name: str, what: str, form: str, found: Any) -> TypeError:
    """The error for a function that returns something else."""
    hint = ""
    if found is None:
        hint = "; is a return missing?"
    if isinstance(found, Value):
        hint = "; it computes with plain numbers, so a Value that it needs must be an operand"
    return TypeError(f"{what} of {name} must return {form}; got {typed(found)}{hint}")


def _count_operands(name: str, value: Function, partials: Function) -> tuple[int, bool]:
    """How many operands an operation takes, and whether it takes more."""
    for what, function in (("value", value), ("partials", partials)):
        if not callable(function):
            raise TypeError(f"{what} of {name} is a function; got {typed(function)}")
    count, is_open = _count_parameters(value) or (0, True)
    found = _count_parameters(partials)  # the operands, and out
    if found and not count:  # math.hypot does not tell how many it takes: its partials do
        count, is_open = max(found[0] - 1, 0), found[1]
    if found and found[0] != count + 1 and not found[1]:
        raise TypeError(
            f"partials of {name} must take {count} operand{'s' * (count > 1)} and then out, the "
            f"value; it is partials{inspect.signature(partials)}"
        )
    return max(count, 1), is_open


def _count_parameters(function: Function) -> tuple[int, bool] | None:
    """How many parameters have no default, and whether there is ``*args``; None if unknown."""
    try:
        every = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    count = sum(each.kind in places and each.default is each.empty for each in every)
    return count, any(each.kind is each.VAR_POSITIONAL for each in every)
