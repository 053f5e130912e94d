"""Say how a function is called when somebody calls it with other arguments.

>>> @usage("{name}(x) takes one number; got {got}")
... def half(x: float) -> float:
...     return x / 2
>>> half(3.0, digits=2)
Traceback (most recent call last):
TypeError: half(x) takes one number; got 3.0, digits=2
"""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tinygrad_margin.guard.text import listed

_P = ParamSpec("_P")
_T = TypeVar("_T")


def usage(sentence: str) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """A decorator: arguments that do not fit the signature raise TypeError with this sentence.

    In it ``{name}`` is the function's name, ``{got}`` stands for the arguments without ``self``,
    ``{count}`` for their number.
    """

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        signature = inspect.signature(function)
        first = int("self" in signature.parameters)

        @functools.wraps(function)
        def checked(*given: _P.args, **named: _P.kwargs) -> _T:
            try:
                return function(*given, **named)
            except TypeError:
                try:
                    signature.bind(*given, **named)
                except TypeError:
                    got, count = listed(*given[first:], **named), len(given) - first + len(named)
                    words = {"name": function.__name__, "got": got or "nothing", "count": count}
                    raise TypeError(sentence.format(**words)) from None
                raise  # the arguments fit: it is another error

        return checked

    return decorate
