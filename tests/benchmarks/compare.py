"""The engine beside micrograd: time and memory as ratios, measured in one run.

Run by ``python tests/benchmarks``. Every figure of an engine comes from a process of its own; the two
take turns, and the ratio is taken turn by turn, so that a machine that slows down slows both. The
garbage collector is on, as it is when a student trains.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ENGINES = {"tinygrad_margin": "tinygrad_margin", "micrograd": "micrograd.engine"}
ROUNDS, STEPS = 7, 6
CHAINS = [1_000, 10_000, 100_000, 1_000_000]


def network_loss(Value: Any, points: int = 100) -> Callable[[], Any]:
    """The mean hinge loss of a 2-16-16-1 relu network, written as in micrograd's demo."""
    rng = random.Random(1337)
    sizes = [2, 16, 16, 1]
    layers = [
        [([Value(rng.uniform(-1, 1)) for _ in range(fan_in)], Value(0.0)) for _ in range(fan_out)]
        for fan_in, fan_out in itertools.pairwise(sizes)
    ]
    inputs = [[rng.uniform(-1, 1), rng.uniform(-1, 1)] for _ in range(points)]
    classes = [rng.choice([-1, 1]) for _ in range(points)]

    def score(x: list[Any]) -> Any:
        for layer in layers:
            x = [sum((w_i * x_i for w_i, x_i in zip(w, x, strict=True)), b) for w, b in layer]
            if layer is not layers[-1]:
                x = [a.relu() for a in x]
        return x[0]

    def loss() -> Any:
        scores = [score(list(map(Value, x))) for x in inputs]
        losses = [(1 + -y * s).relu() for y, s in zip(classes, scores, strict=True)]
        return sum(losses) * (1.0 / len(losses))

    return loss


def nodes(root: Any) -> int:
    """How many nodes a graph has."""
    seen, stack = {root}, [root]
    while stack:
        for parent in stack.pop()._prev:
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return len(seen)


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def step_time(Value: Any) -> dict[str, float]:
    """Seconds for value and gradient of the network's loss, built from scratch, step after step."""
    loss = network_loss(Value)
    times = [seconds(lambda: loss().backward()) for _ in range(STEPS)]
    return {"median": statistics.median(times), "best": min(times)}


def memory(Value: Any) -> dict[str, float]:
    """Bytes for each node of the same graph after the gradient: everything that is still there."""
    loss = network_loss(Value)
    gc.collect()
    tracemalloc.start()
    J = loss()
    J.backward()
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return {"bytes": used / nodes(J), "nodes": nodes(J)}


def chains(Value: Any) -> dict[str, float]:
    """How many times longer a chain takes that is ten times as long, and without the collector."""

    def chain(length: int) -> None:
        v = x = Value(1.0)
        for _ in range(length):
            v = v + x
        v.backward()

    def ratios(kind: str) -> dict[str, float]:
        times = [min(seconds(partial(chain, n)) for _ in range(max(3, 10**5 // n))) for n in CHAINS]
        return {
            f"{n}, {kind}": b / a for n, a, b in zip(CHAINS[1:], times, times[1:], strict=False)
        }

    with_collector = ratios("on")
    gc.disable()
    return with_collector | ratios("off")


def picture(Value: Any) -> dict[str, float]:
    """Milliseconds for the margin picture as SVG, once warm."""
    from tinygrad_margin import draw, margin_loss

    J = margin_loss(Value(0.3), Value(0.5))
    draw(J).pipe("svg")
    return {"ms": 1e3 * statistics.median(seconds(lambda: draw(J).pipe("svg")) for _ in range(50))}


def page_written(Value: Any) -> dict[str, float]:
    """Milliseconds to write the page of the margin loss, once warm, and its size in kB."""
    from tinygrad_margin import margin_loss, page

    J = margin_loss(Value(0.3), Value(0.5))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "margin.html"
        times = [1e3 * seconds(lambda: page(J, target)) for _ in range(30)]
        return {"ms": statistics.median(times[1:]), "kB": target.stat().st_size / 1e3}


def recomputed(Value: Any) -> dict[str, float]:
    """Milliseconds in Chromium: values and gradients, redrawing, whole frames of a drag."""
    from playwright.sync_api import sync_playwright

    from tinygrad_margin import maximum, page, topological_order

    found = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for size in (100, 300, 1000):
            rng = random.Random(size)
            layer = [Value(rng.uniform(-1, 1), f"x_{i}") for i in range(8)]
            kinds = [lambda a, b: a * b, lambda a, b: (a - b).tanh(), maximum]
            while len(nodes := topological_order(sum(layer[1:], layer[0]))) < size - 20:
                layer = [rng.choice(kinds)(a, b) for a, b in zip(layer, layer[1:] + layer[:1])]
            target = Path(folder) / f"{size}.html"
            page(sum(layer[1:], layer[0]), target, max_nodes=2000)
            tab = browser.new_page()
            tab.goto(target.as_uri())
            run = """([what, times, repeats]) => {
                const one = {
                    compute: () => graph.sweep(graph.evaluate(state.leaves).values),
                    draw: () => render(),
                }[what];
                const drag = (k) => { state.leaves[rows[0].node] = Math.sin(k); };
                const taken = [];
                for (let k = 0; k < times; k++) {
                    drag(k);
                    const start = performance.now();
                    for (let again = 0; again < repeats; again++) one();
                    taken.push((performance.now() - start) / repeats);
                }
                return taken.sort((a, b) => a - b)[times >> 1];
            }"""
            found[f"{len(nodes)}"] = tab.evaluate(run, ["compute", 50, 10])
            found[f"{len(nodes)}, drawn"] = tab.evaluate(run, ["draw", 30, 1])
            frames = """async () => {
                const {slider} = rows[0];
                const taken = [];
                let before = await new Promise(requestAnimationFrame);
                for (let k = 0; k < 240; k++) {
                    slider.value = String(2 * Math.sin(k / 20));
                    slider.dispatchEvent(new Event("input"));
                    const now = await new Promise(requestAnimationFrame);
                    taken.push(now - before);
                    before = now;
                }
                return taken;
            }"""
            tab.evaluate(frames)
            taken = sorted(tab.evaluate(frames))
            found[f"{len(nodes)}, frame"] = statistics.median(taken)
            found[f"{len(nodes)}, late"] = 100 * sum(one > 20 for one in taken) / len(taken)
        browser.close()
    return found


def measure(task: str, engine: str) -> dict[str, float]:
    """One measurement, in a process of its own."""
    done = subprocess.run([sys.executable, __file__, task, engine], check=True, text=True,
                          stdout=subprocess.PIPE)  # fmt: skip
    return dict(json.loads(done.stdout))


def table() -> str:
    """All measurements, as a page."""
    rounds = [{name: measure("step_time", name) for name in ENGINES} for _ in range(ROUNDS)]

    def times(engine: str, kind: str) -> list[float]:
        return [1e3 * each[engine][kind] for each in rounds]

    def ratios(kind: str) -> str:
        ours, theirs = times("tinygrad_margin", kind), times("micrograd", kind)
        found = sorted(b / a for a, b in zip(ours, theirs, strict=True))
        return f"**{statistics.median(found):.1f}** ({found[0]:.1f} to {found[-1]:.1f})"

    size = {name: measure("memory", name) for name in ENGINES}
    growth = [measure("chains", "tinygrad_margin") for _ in range(3)]
    slower = {kind: statistics.median(each[kind] for each in growth) for kind in growth[0]}
    drawn = sorted(measure("picture", "tinygrad_margin")["ms"] for _ in range(5))
    written = sorted((measure("page_written", "tinygrad_margin") for _ in range(5)),
                     key=lambda each: each["ms"])  # fmt: skip
    in_browser = measure("recomputed", "tinygrad_margin") if shutil.which("chromium") else {}
    ours, theirs = size["tinygrad_margin"], size["micrograd"]
    rows = [
        "| measurement | tinygrad_margin | micrograd 0.1.0 | ratio |",
        "|---|---|---|---|",
        *(
            f"| value and gradient, {words} step | "
            f"{statistics.median(times('tinygrad_margin', kind)):.0f} ms | "
            f"{statistics.median(times('micrograd', kind)):.0f} ms | {ratios(kind)} |"
            for words, kind in (("median", "median"), ("fastest", "best"))
        ),
        f"| memory of a node | {ours['bytes']:.0f} bytes | {theirs['bytes']:.0f} bytes | "
        f"**{theirs['bytes'] / ours['bytes']:.1f}** |",
        *(
            f"| a chain of {n:,} compared with one of {n // 10:,} | "
            f"{slower[f'{n}, on']:.1f} times as long; {slower[f'{n}, off']:.1f} with the collector off | recursion error | |"
            for n in CHAINS[1:]
        ),
        f"| the margin picture as SVG, warm, fastest of five | {drawn[0]:.1f} ms | | |",
        f"| the margin page, {written[0]['kB']:.0f} kB, warm, fastest of five | "
        f"{written[0]['ms']:.1f} ms | | |",
        *(
            f"| in the browser, {n} nodes: values and gradients; the same with redrawing; one frame "
            f"while you drag a slider, and the share of frames over 20 ms | {in_browser[n]:.2f} ms; "
            f"{in_browser[f'{n}, drawn']:.1f} ms; {in_browser[f'{n}, frame']:.1f} ms, "
            f"{in_browser[f'{n}, late']:.0f} % | | |"
            for n in in_browser
            if n.isdigit()
        ),
    ]
    machine = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return "\n".join(
        [f"{machine}, {os.cpu_count()} cores; {ours['nodes']:,.0f} nodes; {ROUNDS} rounds of {STEPS} "
         "steps each; in brackets the lowest and highest ratio of all rounds.", "", *rows]
    )  # fmt: skip


def main() -> None:
    """Measure one thing, for the parent process."""
    task, engine = sys.argv[1:]
    Value = importlib.import_module(ENGINES[engine]).Value
    print(json.dumps(globals()[task](Value)))


if __name__ == "__main__":
    main()
