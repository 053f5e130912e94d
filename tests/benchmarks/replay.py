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
import os
import pickle
import platform
import random
import statistics
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from compare import network_loss, nodes, seconds

from tinygrad_margin import Tape, Value, topological_order
from tinygrad_margin.cli.player import load_pyplot
from tinygrad_margin.nn import MLP

ROUNDS = 7
CPP = 25 / 670  # of micrograd's time takes a C++ scalar engine, which builds its graph each time


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
    return spread([b / a for a, b in zip(ours, theirs, strict=True)], "**")


def spread(found: list[float], mark: str = "") -> str:
    """The median, and in brackets the lowest and highest."""
    middle, low, high = (
        f"{x:,.0f}" if x >= 100 else f"{x:.3g}" if x >= 10 else f"{x:.2g}"
        for x in (statistics.median(found), min(found), max(found))
    )
    return f"{mark}{middle}{mark} ({low} to {high})"


def two_moons() -> dict[str, Callable[[], object]]:
    """Value and gradient of the 65,000-node loss of 100 points, one graph."""
    loss = network_loss(Value)
    J, weights = loss(), parameters(loss)
    tape, theta = Tape(J, weights), np.array([w.data for w in weights])
    assert math.isclose(tape.value(theta), J.data, rel_tol=1e-12)
    calls: dict[str, Callable[[], object]] = {"tape": lambda: tape.value_and_grad(theta)}
    calls["Values, built and swept"] = lambda: loss().backward()
    if micrograd := module("micrograd.engine"):
        theirs = network_loss(micrograd.Value)
        calls["micrograd"] = lambda: theirs().backward()
    return calls


def parameters(loss: Callable[[], Value]) -> list[Value]:
    """The parameters of a network: the leaves that its graph has each time that it is built."""
    again = set(topological_order(loss()))
    return [node for node in topological_order(loss()) if not node.parents and node in again]


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


def chain(x: Value, length: int) -> Value:
    """A graph that is deep and narrow."""
    v = x
    for i in range(length):
        v = (v * 0.5).sin() if i % 2 else v + x
    return v


def irregular(leaves: list[Value], count: int) -> Value:
    """A graph that is neither wide nor narrow, of operands at random."""
    rng, nodes = random.Random(0), list(leaves)
    for _ in range(count):
        a, b = rng.choice(nodes[-200:]), rng.choice(nodes)
        nodes.append(rng.choice([lambda: (a * b).tanh(), lambda: a + b, lambda: (a - b).sin()])())
    return sum(nodes[-50:], nodes[0])


def graphs() -> dict[str, tuple[Callable[[], Value], list[Value]]]:
    """Graphs small, deep, irregular and wide: how each is built, and the inputs of its tape."""
    a, b = Value(-4.0), Value(2.0)
    some = [Value(x) for x in np.linspace(-1, 1, 20)]
    found: dict[str, tuple[Callable[[], Value], list[Value]]] = {
        "tiny": (lambda: _tiny(a, b), [a, b]),
        "a chain": (lambda: chain(b, 33), [b]),
        "a chain, longer": (lambda: chain(b, 67_000), [b]),
        "a chain, longest": (lambda: chain(b, 667_000), [b]),
        "irregular": (lambda: irregular(some, 8_000), some),
    }
    for points in (1, 15, 100, 1530):
        loss = network_loss(Value, points)
        found[f"network, {_points(points)}"] = loss, parameters(loss)
    return found


def _points(count: int) -> str:
    return f"{count:,} point{'s' * (count > 1)}"


def recording() -> list[str]:
    """Recording, and the first replay, in builds and sweeps of the graph."""
    rows = ["| graph | nodes | `Tape(J, wrt)` | first replay, numbers | first replay, arrays |",
            "|---|---|---|---|---|"]  # fmt: skip
    for name, (build, leaves) in graphs().items():
        J, numbers = build(), [leaf.data for leaf in leaves]
        arrays = [np.array([x, x]) for x in numbers]
        eager = best(lambda: build().backward(), 0.3)
        record = best(lambda: Tape(J, leaves), 0.3) / eager

        def first(xs: list[Any]) -> float:
            tapes = [Tape(J, leaves) for _ in range(3 if nodes(J) < 100_000 else 1)]
            return min(seconds(lambda: tape.value_and_grad(xs)) for tape in tapes) / eager

        times = " | ".join(f"{x:.2f}" for x in (record, first(numbers), first(arrays)))
        rows.append(f"| {name} | {nodes(J):,} | {times} |")
    return rows


def figure(path: str) -> None:
    """Draw how the cost grows with nodes, and with items."""
    pyplot = load_pyplot()
    if pyplot is None:
        return
    drawn, (left, right) = pyplot.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    sizes, lines = [], dict[str, list[float]]()
    for points in (1, 4, 15, 50, 150, 500):
        loss = network_loss(Value, points)
        J, weights = loss(), parameters(loss)
        tape, theta = Tape(J, weights), np.array([n.data for n in weights])
        sizes.append(nodes(J))
        lines.setdefault("tape", []).append(best(lambda: tape.value_and_grad(theta)))
        lines.setdefault("built and swept", []).append(best(lambda: loss().backward()))
        if micrograd := module("micrograd.engine"):
            theirs = network_loss(micrograd.Value, points)
            lines.setdefault("micrograd", []).append(best(lambda: theirs().backward(), 0.5))
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
    right.set(xlabel="items", ylabel="milliseconds", title="A graph of 985 nodes, over a batch")
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    drawn.savefig(path)


def memory() -> list[str]:
    """Bytes of a replay for each node and item: the first one's peak, what is kept, later peaks."""
    rows = ["| graph | nodes | items | first replay, peak | kept | later replay, peak |",
            "|---|---|---|---|---|---|"]  # fmt: skip
    two_moons()["tape"]()  # imports whatever a first replay imports
    for name, (build, leaves) in graphs().items():
        J, numbers = build(), [leaf.data for leaf in leaves]
        count, tape = nodes(J), Tape(J, leaves)
        if count > 500_000:
            continue  # counting takes minutes
        rows.append(_memory(name, tape, numbers, count, None))
        if not name.startswith("network"):  # there, an array for each weight would be odd
            for items in (1, 100) if count < 50_000 else (1,):
                fresh = pickle.loads(pickle.dumps(tape))
                rows.append(
                    _memory(name, fresh, list(np.outer(numbers, np.ones(items))), count, items)
                )
    random.seed(1)
    net, x = MLP(2, [16, 16, 1]), [Value(0.5), Value(-0.2)]
    J = net(x).relu()
    tape, theta = Tape(J, [*net.parameters(), *x]), np.ones(337)
    for items in (1, 10, 100, 10_000):
        fresh = pickle.loads(pickle.dumps(tape))
        rows.append(_memory("network, its points as arrays", fresh, [theta, *np.ones((2, items))],
                            nodes(J), items))  # fmt: skip
    return rows


def _memory(name: str, tape: Tape, xs: list[Any], count: int, items: int | None) -> str:
    gc.collect()
    tracemalloc.start()
    tape.value_and_grad(xs)
    peak = tracemalloc.get_traced_memory()[1]
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    tape.value_and_grad(xs)
    later = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    each = count * (items or 1)
    said = "numbers" if items is None else f"{items:,}"
    bytes_each = " | ".join(f"{x / each:,.1f}" for x in (peak, kept, later))
    return f"| {name} | {count:,} | {said} | {bytes_each} |"


def processor() -> str:
    """The model of this machine's processor."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text("utf-8").splitlines() if about.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), platform.processor() or platform.machine())


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
    lines += [
        f"{processor()}, {os.cpu_count()} cores, {platform.system()}, Python "
        f"{platform.python_version()}; {', '.join(versions)}. In brackets the lowest and highest of all "
        f"{ROUNDS} rounds.",
        "",
        "| work: value and gradient | tape | compared with | its time | times as long as the tape | goal |",
        "|---|---|---|---|---|---|",
    ]

    def rows(what: str, calls: dict[str, Callable[[], object]], unit: float, mark: str,
             asked: dict[str, str], rounds: int = ROUNDS) -> dict[str, list[float]]:  # fmt: skip
        times = side_by_side(calls, rounds)
        ours = f"{spread([unit * t for t in times['tape']])} {mark}"
        if "" in asked:
            ours += f"; goal: {asked['']}"
        for name, theirs in list(times.items())[1:]:
            lines.append(
                f"| {what} | {ours} | {name} | {statistics.median(theirs) * unit:,.4g} {mark} | "
                f"{ratio(times['tape'], theirs)} | {asked.get(name, '')} |"
            )
        return times

    what = "100 points, one graph of 65,138 nodes"
    times = rows(what, two_moons(), 1e3, "ms", {"micrograd": "at least 500"}, 3)
    if "micrograd" in times:
        theirs = [CPP * t for t in times["micrograd"]]
        lines.append(
            f"| {what} | {spread([1e3 * t for t in times['tape']])} ms | a C++ scalar engine "
            "(estimate: 25 ms when micrograd takes 670 ms) | "
            f"{1e3 * statistics.median(theirs):,.4g} ms | {ratio(times['tape'], theirs)} | "
            "at least 10 |"
        )
    within = "at least 0.25, if possible 1"
    for items, asked in ((100, within), (1000, ""), (10_000, "at least 0.25")):
        calls = one_point(items)
        rows(f"one point's graph, {_points(items)}", calls, 1e3, "ms", {"PyTorch, tensors": asked})
    rows("the tiny graph, 100,000 items", tiny(), 1e9 / 100_000, "ns an item",
         {"": "at most 10", "JAX, jit(vmap(value_and_grad))": "at least 0.33"})  # fmt: skip
    rows("the tiny graph, once, plain numbers", single(), 1e6, "µs",
         {"Values, built and swept": "more than 1"})  # fmt: skip
    lines += ["", "Recording and the first replay, as multiples of one build and sweep of the graph "
              "(goal for recording: at most 3):", "", *recording()]  # fmt: skip
    lines += ["", "Memory of a replay, in bytes for each node and item (goal: at most 40):", "",
              *memory()]  # fmt: skip
    return "\n".join(lines)
