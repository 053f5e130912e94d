"""The tape beside its peers: ratios, measured side by side in one run.

Run by ``python tests/benchmarks``. Peers that are not installed are left out, and said so. In each
round everybody takes a turn; a ratio is taken round by round, so that a machine that slows down
slows all of them.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import math
import random
import statistics
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from compare import network_loss, nodes, seconds

from tinygrad_margin import Tape, Value, topological_order
from tinygrad_margin.nn import MLP
from tinygrad_margin.play import plots

ROUNDS = 7


def module(name: str) -> Any:
    """A peer, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def best(call: Callable[[], object], least: float = 0.05) -> float:
    """Seconds that a call takes, the quickest of as many as fit into ``least`` seconds."""
    call()
    found, spent = math.inf, 0.0
    while spent < least:
        found = min(found, one := seconds(call))
        spent += one
    return found


def side_by_side(
    calls: dict[str, Callable[[], object]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Seconds for each, in each round."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(best(call))
    return found


def ratio(ours: list[float], theirs: list[float]) -> str:
    """How many times as long they take: the median round, and the lowest and highest."""
    found = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    middle, low, high = (
        f"{x:,.0f}" if x >= 10 else f"{x:.2g}"
        for x in (statistics.median(found), found[0], found[-1])
    )
    return f"**{middle}** ({low} to {high})"


def two_moons() -> dict[str, Callable[[], object]]:
    """Value and gradient of the 65,000-node loss of 100 points, one graph."""
    loss = network_loss(Value)
    J = loss()
    weights = _weights(J)
    tape = Tape(J, weights)
    theta = np.array([w.data for w in weights])
    assert math.isclose(tape.value(theta), J.data, rel_tol=1e-12)
    calls: dict[str, Callable[[], object]] = {"tape": lambda: tape.value_and_grad(theta)}
    calls["eager"] = lambda: loss().backward()
    if micrograd := module("micrograd.engine"):
        theirs = network_loss(micrograd.Value)
        calls["micrograd"] = lambda: theirs().backward()
    return calls


def _weights(J: Value) -> list[Value]:
    """The leaves that all points use."""
    uses: dict[Value, int] = {}
    for node in topological_order(J):
        for parent in node.parents:
            uses[parent] = uses.get(parent, 0) + 1
    return [n for n, count in uses.items() if not n.parents and count >= 100]


def one_point(items: int) -> dict[str, Callable[[], object]]:
    """Value and gradient of the hinge loss of a 2-16-16-1 network, over a batch of points."""
    random.seed(1)
    rng = np.random.default_rng(1)
    net = MLP(2, [16, 16, 1])
    x = [Value(0.5), Value(-0.2)]
    y = Value(1.0)
    tape = Tape((1 - y * net(x)).relu(), [*net.parameters(), *x, y])
    theta = np.array([p.data for p in net.parameters()])
    X, Y = rng.uniform(-1, 1, (2, items)), rng.choice([-1.0, 1.0], items)
    calls: dict[str, Callable[[], object]] = {
        "tape": lambda: tape.value_and_grad([theta, X[0], X[1], Y])
    }
    shapes = [(2, 16), (16,), (16, 16), (16,), (16, 1), (1,)]
    arrays = [rng.uniform(-1, 1, shape) for shape in shapes]
    if torch := module("torch"):
        W = [torch.tensor(a, requires_grad=True) for a in arrays]
        tx, ty = torch.tensor(X.T.copy()), torch.tensor(Y)

        def step() -> None:
            h = (tx @ W[0] + W[1]).relu()
            h = (h @ W[2] + W[3]).relu()
            (1 - ty * (h @ W[4] + W[5])[:, 0]).relu().sum().backward()
            for w in W:
                w.grad = None

        calls["PyTorch, tensors"] = step
    if jax := module("jax"):
        jax.config.update("jax_enable_x64", True)
        jnp = jax.numpy

        def loss(W: Any) -> Any:
            h = jnp.maximum(jx @ W[0] + W[1], 0)
            h = jnp.maximum(h @ W[2] + W[3], 0)
            return jnp.maximum(1 - jy * (h @ W[4] + W[5])[:, 0], 0).sum()

        jx, jy = jnp.array(X.T), jnp.array(Y)
        both, jW = jax.jit(jax.value_and_grad(loss)), [jnp.array(a) for a in arrays]
        calls["JAX, jit, tensors"] = lambda: jax.block_until_ready(both(jW))
    return calls


def _tiny(a: Any, b: Any) -> Any:
    """The tiny graph: ((a + b) − (ab + b³))² / 2."""
    return ((a + b) - (a * b + b**3)) ** 2 / 2


def tiny(items: int = 100_000) -> dict[str, Callable[[], object]]:
    """Value and gradient of the tiny graph, for each item."""
    a, b = Value(-4.0), Value(2.0)
    tape = Tape(_tiny(a, b), [a, b])
    x, y = np.random.default_rng(2).uniform(-2, 2, (2, items))
    calls: dict[str, Callable[[], object]] = {"tape": lambda: tape.value_and_grad([x, y])}
    if jax := module("jax"):
        jax.config.update("jax_enable_x64", True)
        both = jax.jit(jax.vmap(jax.value_and_grad(_tiny, (0, 1))))
        jx, jy = jax.numpy.array(x), jax.numpy.array(y)
        calls["JAX, jit(vmap(value_and_grad))"] = lambda: jax.block_until_ready(both(jx, jy))
    if autograd := module("autograd"):
        gradient = autograd.elementwise_grad(_tiny, (0, 1))
        calls["autograd"] = lambda: (_tiny(x, y), gradient(x, y))
    if casadi := module("casadi"):
        u, v = casadi.SX.sym("u"), casadi.SX.sym("v")
        J = _tiny(u, v)
        one = casadi.Function("f", [u, v], [J, casadi.gradient(J, u), casadi.gradient(J, v)])
        many = one.map(items)
        xs, ys = casadi.DM(x).T, casadi.DM(y).T
        calls["CasADi, map"] = lambda: many(xs, ys)
    return calls


def single() -> dict[str, Callable[[], object]]:
    """One evaluation of the tiny graph, with plain numbers."""
    a, b = Value(-4.0), Value(2.0)
    tape = Tape(_tiny(a, b), [a, b])
    calls: dict[str, Callable[[], object]] = {"tape": lambda: tape.value_and_grad([-4.0, 2.0])}
    calls["Values, built and swept"] = lambda: _tiny(Value(-4.0), Value(2.0)).backward()
    if micrograd := module("micrograd.engine"):
        calls["micrograd"] = lambda: _tiny(micrograd.Value(-4.0), micrograd.Value(2.0)).backward()
    return calls


def recording() -> list[tuple[int, float, float]]:
    """Recording and making the first program, in builds and sweeps of the graph, by nodes."""
    found = []
    for points in (2, 15, 150, 1530):
        loss = network_loss(Value, points)
        eager = best(lambda: loss().backward(), 0.3)
        J = loss()
        weights = _weights(J) if points >= 100 else []
        weights = weights or [n for n in topological_order(J) if not n.parents][:337]
        record = best(lambda: Tape(J, weights), 0.3)
        tape, theta = Tape(J, weights), np.ones(len(weights))
        first = seconds(lambda: tape.value_and_grad(theta))
        found.append((nodes(J), record / eager, first / eager))
    return found


def figure(path: str) -> None:
    """Draw how the cost grows with nodes, and with items."""
    pyplot = plots()
    if pyplot is None:
        return
    drawn, (left, right) = pyplot.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    sizes, lines = [], dict[str, list[float]]()
    for points in (1, 4, 15, 50, 150, 500):
        loss = network_loss(Value, points)
        J = loss()
        weights = [n for n in topological_order(J) if not n.parents][:337]
        tape, theta = Tape(J, weights), np.array([n.data for n in weights])
        sizes.append(nodes(J))
        lines.setdefault("tape", []).append(best(lambda: tape.value_and_grad(theta)))
        lines.setdefault("built and swept", []).append(best(lambda: loss().backward()))
        if micrograd := module("micrograd.engine"):
            theirs = network_loss(micrograd.Value, points)
            lines.setdefault("micrograd", []).append(seconds(lambda: theirs().backward()))
    for marker, (name, times) in zip("os^", lines.items()):
        left.loglog(sizes, [1e3 * t for t in times], marker=marker, label=name)
    left.set(xlabel="nodes", ylabel="milliseconds", title="One graph, value and gradient")
    batches = (1, 10, 100, 1000, 10_000, 100_000)
    lines = {}
    for items in batches:
        for name, call in one_point(items).items():
            lines.setdefault(name, []).append(best(call))
    for marker, (name, times) in zip("ovd", lines.items()):
        right.loglog(batches, [1e3 * t for t in times], marker=marker, label=name)
    right.set(xlabel="items", title="A graph of 985 nodes, over a batch")
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    drawn.savefig(path)


def memory() -> float:
    """Bytes of a replay for each node and item."""
    random.seed(1)
    net = MLP(2, [16, 16, 1])
    x = [Value(0.5), Value(-0.2)]
    J = net(x).relu()
    tape = Tape(J, [*net.parameters(), *x])
    theta, X = np.ones(337), np.ones((2, 100))
    gc.collect()
    tracemalloc.start()
    tape.value_and_grad([theta, *X])
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used / (nodes(J) * 100)


def table() -> str:
    """All measurements, as a page."""
    lines = []
    peers = ("numpy", "micrograd", "torch", "jax", "autograd", "casadi")
    versions = []
    for name in peers:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    lines += [f"Versions: {', '.join(versions)}.", ""]
    lines += ["| work: value and gradient | tape | beside it | time | times as long as the tape |",
              "|---|---|---|---|---|"]  # fmt: skip

    def rows(what: str, calls: dict[str, Callable[[], object]], unit: float, mark: str,
             rounds: int = ROUNDS) -> None:  # fmt: skip
        times = side_by_side(calls, rounds)
        ours = statistics.median(times["tape"]) * unit
        for name, theirs in list(times.items())[1:]:
            lines.append(
                f"| {what} | {ours:.3g} {mark} | {name} | {statistics.median(theirs) * unit:,.4g} "
                f"{mark} | {ratio(times['tape'], theirs)} |"
            )

    rows("100 points, one graph of 65,138 nodes", two_moons(), 1e3, "ms", 3)
    for items in (100, 1000, 10_000):
        rows(f"one point's graph, {items:,} points", one_point(items), 1e3, "ms")
    rows("the tiny graph, 100,000 items", tiny(), 1e9 / 100_000, "ns an item")
    rows("the tiny graph, once, plain numbers", single(), 1e6, "µs")
    lines += ["", "Recording, beside building the graph and sweeping it once:", ""]
    lines += [
        "| nodes | `Tape(J, wrt)` | its first replay, which plans the calls |",
        "|---|---|---|",
    ]
    lines += [f"| {count:,} | {once:.2f} | {first:.2f} |" for count, once, first in recording()]
    lines += ["", f"Memory of a replay of one point's graph over 100 points: "
              f"{memory():.1f} bytes a node and item."]  # fmt: skip
    return "\n".join(lines)
