"""Checks the inputs of a replay, and gives the gradient the form that the inputs have.

>>> inputs = Inputs(["w", "x"], [2.0, np.array([0.5, 1.5])])
>>> inputs.numbers, inputs.arrays, inputs.items
(array([2.]), [array([0.5, 1.5])], 2)
>>> inputs.gradient(np.array([7.0]), np.array([[8.0, 9.0]]))
[7.0, array([8., 9.])]
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_margin.guard import as_number
from tinygrad_margin.tape.arrays import Floats


class Inputs:
    """The inputs of one replay, in one of the forms that Tape describes.

    Attributes:
        is_array: for each input, whether it is an array of items.
        numbers, arrays: the inputs of either kind.
        has_items: whether there are arrays.
        items: how many items there are; 1 without arrays.
    """

    def __init__(self, names: list[str], xs: Sequence[Any] | np.ndarray[Any, Any]) -> None:
        n, first = len(names), np.empty(0)  # the numbers that come as one array
        self._is_one_array = isinstance(xs, np.ndarray)
        if isinstance(xs, np.ndarray):
            x = _as_array("xs", xs, (1, 2))
            if len(x) != n:
                raise ValueError(_wrong_count(names, len(x)))
            first, entries = (x, []) if x.ndim == 1 else (first, list(x))
        elif isinstance(xs, (str, bytes)) or not isinstance(xs, Sequence):
            given = f"{type(xs).__name__} {xs!r:.60}"
            raise TypeError(f"a tape takes a sequence of inputs; got {given}")
        else:
            entries = list(xs)
            if len(entries) < n and entries and _is_array(entries[0]):
                first, ahead = _as_array("the first entry", entries.pop(0), (1,)), n - len(entries)
                if len(first) != ahead:
                    raise ValueError(
                        f"{_wrong_count(names, 1 + len(entries))}. If there are fewer, the first "
                        f"holds the numbers of the first {ahead} inputs; it has {len(first):,}"
                    )
            if len(first) + len(entries) != n:
                raise ValueError(_wrong_count(names, len(entries)))
        rest = list[float]()
        self._ahead, self.arrays, self.is_array = len(first), list[Floats](), np.zeros(n, bool)
        for i, entry in enumerate(entries, self._ahead):
            if type(entry) is float:
                rest.append(entry)
            elif _is_array(entry):
                self.arrays.append(_as_array(names[i], entry, (1,)))
                self.is_array[i] = True
            else:
                rest.append(as_number(entry, f"the input {names[i]} of a tape"))
        self.numbers = np.concatenate([first, rest]) if rest else first
        lengths = {len(x) for x in self.arrays}
        if len(lengths) > 1:
            named = zip(np.flatnonzero(self.is_array), self.arrays, strict=True)
            each = ", ".join(f"{names[i]}: {len(x)}" for i, x in named)
            hint = ". Give one number for all items as a number" if 1 in lengths else ""
            raise ValueError(f"all arrays of items need one length; got {each:.200}{hint}")
        self.has_items, self.items = bool(lengths), lengths.pop() if lengths else 1

    def gradient(self, numbers: Floats, arrays: Floats) -> Any:
        """The gradient in the form of the inputs, from those of the numbers and of the arrays."""
        if self._is_one_array:
            return arrays if self.has_items else numbers
        ahead = self._ahead
        of_numbers, of_arrays = iter(numbers[ahead:].tolist()), iter(arrays)
        rest = [next(of_arrays if each else of_numbers) for each in self.is_array[ahead:].tolist()]
        return [numbers[:ahead], *rest] if ahead else rest


def _is_array(entry: Any) -> bool:
    return isinstance(entry, (list, tuple)) or (isinstance(entry, np.ndarray) and entry.ndim > 0)


def _as_array(name: str, x: Any, dimensions: tuple[int, ...]) -> Floats:
    """A contiguous array of real numbers, in one of these dimensions."""
    if type(x) is np.ndarray and x.dtype == float and x.ndim in dimensions:
        return np.ascontiguousarray(x)
    found = np.asarray(x)
    if found.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers; got an array of {found.dtype}")
    if found.ndim not in dimensions:
        wanted = "one dimension" if dimensions == (1,) else "one or two dimensions"
        raise ValueError(f"{name} must be an array of {wanted}; got the shape {found.shape}")
    return np.ascontiguousarray(found, float)


def _wrong_count(names: list[str], count: int) -> str:
    known = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    inputs = "1 input" if len(names) == 1 else f"{len(names):,} inputs"
    return f"the tape has {inputs} ({known}); got {count}"
