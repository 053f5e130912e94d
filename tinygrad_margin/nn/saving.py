"""The parameters of a model as a JSON file: the model's shape, and a line for each parameter.

    >>> from tempfile import TemporaryDirectory
    >>> from tinygrad_margin.engine import Value
    >>> with TemporaryDirectory() as folder:
    ...     save_parameters(f"{folder}/w.json", [2], [Value(0.1, "w_1"), Value(-2.0, "w_2")])
    ...     print(Path(f"{folder}/w.json").read_text())
    {"shape": [2], "parameters": [
    ["w_1", 0.1],
    ["w_2", -2.0]
    ]}
    <BLANKLINE>

A number is read back exactly as it was. JSON has no nan and inf: they are written as texts.
"""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from tinygrad_margin.engine import Value
from tinygrad_margin.files import file_format, write_whole
from tinygrad_margin.guard import as_node, one_line


def save_parameters(
    path: str | os.PathLike[str], shape: list[int], parameters: Sequence[Value]
) -> None:
    """Write a .json file, completely or not at all; the errors are those of ``write_whole``."""
    file_format(path, "save", ["json"])
    nodes = [as_node(p, "save(path): parameters()") for p in parameters]
    rows = ([p.label, p.data if math.isfinite(p.data) else str(p.data)] for p in nodes)
    lines = ",\n".join(map(json.dumps, rows))
    write_whole(path, f'{{"shape": {shape}, "parameters": [\n{lines}\n]}}\n'.encode())


def load_parameters(
    path: str | os.PathLike[str], shape: list[int], parameters: Sequence[Value]
) -> None:
    """Set the parameters to the numbers in a file, all of them or none.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a file of parameters, or of those of another model.
    """
    nodes = [as_node(p, "load(path): parameters()") for p in parameters]
    name = os.fspath(path)
    try:
        saved = json.loads(Path(path).read_text("utf-8"))
        known = [(str(label), float(x)) for label, x in saved["parameters"]]
        other = list(map(int, saved["shape"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"
        raise ValueError(f"{name} is not a file that save(path) wrote: {why}") from None
    if (other, len(known)) != (shape, len(nodes)):
        raise ValueError(
            f"{name} has the shape {other}, with {len(known)} parameters, and this model has the "
            f"shape {shape}, with {len(nodes)}: load it into a model of the shape that was saved"
        )
    for i, (p, (label, _)) in enumerate(zip(nodes, known, strict=True), 1):
        if label and p.label and label != p.label:
            raise ValueError(
                f"{name} has {one_line(label)} as parameter {i}, and this model has "
                f"{one_line(p.label)} there: load it into a model that is built in the same way"
            )
    for p, (_, x) in zip(nodes, known, strict=True):
        p.data = x
