"""What a class will do to it: sizes, threads, Ctrl-C at any moment, a full disk.

docs/reliability.md says for each promise which test keeps it.
"""

import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from graphs import random_graph
from threads import run_together

from tinygrad_margin import (
    ReverseSweep,
    Tape,
    Value,
    animate,
    depends_on,
    draw,
    grad,
    margin_loss,
    page,
    topological_order,
)
from tinygrad_margin.engine import adjoints
from tinygrad_margin.files import write_whole
from tinygrad_margin.graph import count_paths
from tinygrad_margin.views import run_graphviz

WRITERS = {"draw.svg": draw, "draw.png": draw, "draw.dot": draw, "page.html": page,
           "animate.svg": animate}  # fmt: skip


@pytest.fixture(autouse=True)
def no_collector():
    """It walks all living objects again and again while a graph is built, and finds nothing."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# --- size -----------------------------------------------------------------------------------------


def test_a_chain_of_a_million_nodes():
    x = Value(1.0, "x")
    v = x
    for _ in range(1_000_000):
        v = v + x
    assert repr(v) == "Value(data=1000001.0, grad=0.0)"
    v.backward()
    assert x.grad == 1_000_001.0
    assert grad(v, x) == 1_000_001.0
    assert len(topological_order(v)) == 1_000_001
    assert depends_on(v, x)
    with pytest.raises(ValueError, match="1,000,001 nodes, too many to read"):
        draw(v)
    v.zero_grad()
    assert x.grad == 0.0
    gone = weakref.ref(v.parents[0])
    del v
    assert gone() is None


def test_a_chain_of_a_hundred_thousand_nodes_on_the_tape():
    v = x = Value(1.0, "x")
    for _ in range(100_000):
        v = v + x
    value, (slope,) = Tape(v, [x]).value_and_grad([2.0])
    assert (value, slope) == (200_002.0, 100_001.0)
    assert count_paths(v, x) == 100_001


def test_a_node_that_100_000_nodes_use():
    w = Value(0.5, "w")
    shared = w.tanh()
    J = sum(shared * i for i in range(100_000))
    J.backward()
    uses = 100_000 * 99_999 / 2
    assert shared.grad == uses
    assert w.grad == pytest.approx(uses * (1 - shared.data**2), rel=1e-14)
    assert Tape(J, [w]).value_and_grad([0.5])[1] == [pytest.approx(w.grad, rel=1e-12)]


def test_a_hundred_thousand_leaves():
    leaves = [Value(float(i)) for i in range(100_000)]
    terms = [leaf * leaf for leaf in leaves]
    while len(terms) > 1:  # a tree, as flat as can be
        terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)] + terms[
            len(terms) & ~1 :
        ]
    terms[0].backward()
    expected = [2.0 * i for i in range(100_000)]
    assert [leaf.grad for leaf in leaves] == expected
    assert grad(terms[0], leaves) == expected
    tape = Tape(terms[0], leaves)
    assert tape.value_and_grad(np.arange(100_000.0))[1].tolist() == expected
    assert repr(tape).endswith("100,000 inputs)")


# --- threads --------------------------------------------------------------------------------------


def test_200_threads_build_and_sweep_at_once():
    w = Value(0.5, "w")
    found = {}

    def work(seed):
        J, leaves = random_graph(seed, size=40)
        J.backward()
        sweep = ReverseSweep(J)
        sweep.run()
        tape = Tape(J, leaves).value_and_grad([leaf.data for leaf in leaves])
        found[seed] = (
            [leaf.grad for leaf in leaves], [sweep.totals.get(leaf, 0.0) for leaf in leaves],
            grad(J * w, w), tape[1], J.data,
        )  # fmt: skip

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(200)]
    run_together(threads, 1e-5)
    assert len(found) == 200
    for seed, (swept, stepped, of_w, taped, value) in found.items():
        J, leaves = random_graph(seed, size=40)
        totals = adjoints(J)
        assert swept == stepped == [totals.get(leaf, 0.0) for leaf in leaves]
        assert taped == pytest.approx(swept, rel=1e-9, abs=1e-9)
        assert of_w == value == J.data


# --- Ctrl-C ---------------------------------------------------------------------------------------


@contextmanager
def interrupt_after(steps, *files):
    """A KeyboardInterrupt before the so-manieth bytecode that runs in these source files.

    Where the last one has run before that, the list has no entry and nothing happens.
    """
    fired = []

    def trace(frame, event, arg):
        nonlocal steps
        if os.path.basename(frame.f_code.co_filename) not in files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            steps -= 1
            if steps == 0:
                fired.append(frame.f_code.co_name)
                raise KeyboardInterrupt
        return trace

    sys._getframe().f_trace_opcodes = True  # Python 3.12.1 looks for one when tracing begins
    sys.settrace(trace)
    try:
        yield fired
    except KeyboardInterrupt:
        assert fired
    finally:
        sys.settrace(None)


def test_an_interrupt_at_every_bytecode_of_backward():
    x, y = Value(2.0, "x"), Value(3.0, "y")
    J = (x * y + x.tanh()) * y
    x.grad, y.grad = 5.0, 7.0
    slopes = grad(J, [x, y])
    old = [5.0, 7.0]
    steps, kept, done = 0, 0, 0
    while True:
        steps += 1
        with interrupt_after(steps, "engine.py", "fast_engine.py", "ops.py") as fired:
            J.backward()
        new = [g + slope for g, slope in zip(old, slopes, strict=True)]
        assert [x.grad, y.grad] in (old, new)
        kept, done = kept + (x.grad == old[0]), done + (x.grad == new[0])
        x.grad, y.grad = 5.0, 7.0
        J.backward()
        assert [x.grad, y.grad] == new
        x.grad, y.grad = old
        if not fired:
            break
    assert steps > 300
    assert (kept, done > 0) == (steps - done, True)


def test_ctrl_c_while_a_large_graph_is_swept():
    leaves = [Value(0.001 * i) for i in range(3000)]
    J = sum(leaf.tanh() * leaf for leaf in leaves)
    slopes = np.array(grad(J, leaves))
    tape = Tape(J, leaves)
    value_and_grad = tape.value_and_grad([leaf.data for leaf in leaves])
    calls = {"backward": J.backward, "tape": lambda: tape.value_and_grad([x.data for x in leaves])}
    interrupted = dict.fromkeys(calls, 0)
    for name, call in calls.items():
        start = time.perf_counter()
        call()
        duration = time.perf_counter() - start
        for i in range(60):
            for leaf in leaves:
                leaf.grad = 1.0
            try:
                with ctrl_c(duration * (i + 1) / 50):
                    call()
            except KeyboardInterrupt:
                interrupted[name] += 1
            found = np.array([leaf.grad for leaf in leaves])
            assert (found == 1.0).all() or (found == 1.0 + slopes).all()
    assert min(interrupted.values()) > 10
    for leaf in leaves:
        leaf.grad = 0.0
    J.backward()
    assert [leaf.grad for leaf in leaves] == slopes.tolist()
    assert tape.value_and_grad([leaf.data for leaf in leaves]) == value_and_grad


@contextmanager
def ctrl_c(seconds):
    """SIGINT, as from the keyboard, after some seconds if that is not over by then."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# Between opening a file and taking note of it Python itself leaves it to be closed by and by.
by_and_by = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@by_and_by
@pytest.mark.parametrize("old", [b"old", None])
def test_an_interrupt_at_every_bytecode_of_writing_a_file(tmp_path, old):
    path = tmp_path / "J.svg"
    steps, seen = 0, set()
    while True:
        steps += 1
        if old is not None:
            path.write_bytes(old)
        with interrupt_after(steps, "files.py") as fired:
            write_whole(path, b"new")
        content = path.read_bytes() if path.exists() else None
        assert content in (old, b"new")
        seen.add(content)
        assert os.listdir(tmp_path) == ([] if content is None else ["J.svg"])
        path.unlink(missing_ok=True)
        if not fired:
            break
    gc.collect()
    assert steps > 50
    assert seen == {old, b"new"}


@by_and_by
@pytest.mark.parametrize("name", WRITERS)
def test_ctrl_c_while_a_picture_is_made(tmp_path, name):
    J = margin_loss(Value(0.3), Value(0.5))
    WRITERS[name](J, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    start = time.perf_counter()
    WRITERS[name](J, tmp_path / name)
    duration = time.perf_counter() - start
    for i in range(20):
        (tmp_path / name).write_bytes(b"old")
        try:
            with ctrl_c(duration * (i + 1) / 15):
                WRITERS[name](J, tmp_path / name)
        except KeyboardInterrupt:
            pass
        assert (tmp_path / name).read_bytes() in (b"old", whole)
        assert os.listdir(tmp_path) == [name]
    gc.collect()
    WRITERS[name](J, tmp_path / name)
    assert (tmp_path / name).read_bytes() == whole


# --- nowhere to write -----------------------------------------------------------------------------


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 64 kB with 100 bytes left; where it may not be mounted, files end at 100."""
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if mounted:
        for name in WRITERS:
            (tmp_path / name).write_bytes(b"old")
        with open(tmp_path / "ballast", "wb", 0) as file, suppress(OSError):
            while True:
                file.write(bytes(1024))
        yield tmp_path
        subprocess.run(["umount", str(tmp_path)], check=True)
        return
    resource = pytest.importorskip("resource")
    for name in WRITERS:
        (tmp_path / name).write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


def test_a_full_disk(full_disk):
    J = margin_loss(Value(0.3), Value(0.5))
    J.backward()
    before = [(node.data, node.grad, node.label) for node in topological_order(J)]
    files = sorted(os.listdir(full_disk))
    for name, writer in WRITERS.items():
        with pytest.raises(OSError, match=r"make room first|the file is as it was|File too large"):
            writer(J, full_disk / name)
        assert (full_disk / name).read_bytes() == b"old"
        assert sorted(os.listdir(full_disk)) == files
    assert [(node.data, node.grad, node.label) for node in topological_order(J)] == before


def test_a_device_that_is_full(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    J = margin_loss(Value(0.3), Value(0.5))
    for name, writer in WRITERS.items():
        (tmp_path / name).symlink_to("/dev/full")
        with pytest.raises(OSError, match="make room first") as caught:
            writer(J, tmp_path / name)
        assert caught.value.errno == errno.ENOSPC
        assert (tmp_path / name).is_symlink()


def test_a_folder_without_permission(monkeypatch):
    draw_in_child = run_graphviz._run

    def as_root(*arguments):  # Python may be where only root reaches it
        os.seteuid(0)
        try:
            return draw_in_child(*arguments)
        finally:
            os.seteuid(65534)

    if not hasattr(os, "geteuid"):
        pytest.skip("this system has no permission bits")
    J = margin_loss(Value(0.3), Value(0.5))
    is_root = os.geteuid() == 0
    with TemporaryDirectory() as folder:
        Path(folder, "draw.svg").write_bytes(b"old")
        os.chmod(folder, 0o555)
        if is_root:  # whom permissions do not bind: be somebody else, except to draw
            monkeypatch.setattr(run_graphviz, "_run", as_root)
            os.seteuid(65534)
        try:
            for name, writer in WRITERS.items():
                with pytest.raises(PermissionError, match="choose a place where you may write"):
                    writer(J, Path(folder, name))
        finally:
            if is_root:
                os.seteuid(0)
            os.chmod(folder, 0o755)
        assert Path(folder, "draw.svg").read_bytes() == b"old"
        assert os.listdir(folder) == ["draw.svg"]


def test_no_folder_and_no_file_name(tmp_path):
    J = margin_loss(Value(0.3), Value(0.5))
    for name, writer in WRITERS.items():
        with pytest.raises(FileNotFoundError, match="make the folder first"):
            writer(J, tmp_path / "none" / name)
        (tmp_path / name).mkdir()
        with pytest.raises(IsADirectoryError, match="give the name of a file in it"):
            writer(J, tmp_path / name)
        assert os.listdir(tmp_path / name) == []
