"""What the engine's cleverness buys: its step against simpler code, and against another checkout.

    python tests/benchmarks/book.py              prints a table
    python tests/benchmarks/book.py CHECKOUT     with the engine of that folder as well

The work is that of compare.py: one build and sweep of a network's loss, 65,138 nodes. Every engine
runs in a process of its own, in turn, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import importlib
import math
import statistics
import subprocess
import sys
from pathlib import Path

from compare import network_loss, seconds

ROUNDS, STEPS = 10, 8
HERE = str(Path(__file__).parents[2])


class Sketch:
    """The simplest code that one would write: a tuple of operands, a tuple of slopes, one loop."""

    __slots__ = ("data", "grad", "operands", "slopes")

    def __init__(self, data, operands=(), slopes=()):
        self.data, self.grad, self.operands, self.slopes = data, 0.0, operands, slopes

    def __add__(self, other):
        other = other if isinstance(other, Sketch) else Sketch(other)
        return Sketch(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Sketch) else Sketch(other)
        return Sketch(self.data * other.data, (self, other), (other.data, self.data))

    __radd__, __rmul__ = __add__, __mul__

    def relu(self):
        return Sketch(max(self.data, 0.0), (self,), (float(self.data > 0.0),))

    def backward(self):
        order, seen, path = [], set(), [self]
        while path:
            node = path[-1]
            new = [x for x in node.operands if x not in seen]
            if new:
                path.append(new[0])
            else:
                path.pop()
                if node not in seen:
                    seen.add(node)
                    order.append(node)
        self.grad = 1.0
        for node in reversed(order):
            for operand, slope in zip(node.operands, node.slopes, strict=True):
                operand.grad += slope * node.grad


def step(kind: str, folder: str) -> float:
    """The median time of a step, in ms, in this process."""
    sys.path.insert(0, folder)
    engine = importlib.import_module("tinygrad_margin.engine")
    Value = Sketch if kind == "sketch" else engine.Value
    loss = network_loss(Value)
    sweep = engine.adjoints if kind == "plain" else Value.backward
    return 1e3 * statistics.median(seconds(lambda: sweep(loss())) for _ in range(STEPS))


def table(checkout: str | None = None) -> str:
    """The measurements, as a table."""
    kinds = {
        "this engine": ("fast", HERE),
        "with the plain sweep, `adjoints`": ("plain", HERE),
        "a plain sketch: a tuple of operands, one loop": ("sketch", HERE),
    }
    if checkout:
        kinds["the engine of the other checkout"] = ("fast", checkout)
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, what in kinds.items():
            command = [sys.executable, __file__, "--measure", *what]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            times[name].append(float(done.stdout))
    rows = ["| engine | a step | times as long as this engine's |", "|---|---|---|"]
    for name, own in times.items():
        ratios = sorted(x / y for x, y in zip(own, times["this engine"], strict=True))
        spread = "" if math.isclose(ratios[0], ratios[-1]) else f" ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        rows.append(
            f"| {name} | {statistics.median(own):.0f} ms | **{statistics.median(ratios):.2f}**{spread} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(step(*sys.argv[2:]))
    else:
        print(table(*sys.argv[1:2]))
