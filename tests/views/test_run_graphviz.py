"""Graphviz's messages reach the user, fontconfig's do not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from threads import run_together

from tinygrad_margin.views.run_graphviz import RendererNotFound, RenderError, render

SMALL = "digraph { s -> J [label=<<b>1</b>>] }"
PAIRS = "".join(f"{a} -> {b} [label=x];" for b in range(60) for a in range(b))
TANGLED = f"digraph {{ {PAIRS} }}"  # takes minutes
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


def fresh(code: str) -> subprocess.CompletedProcess[bytes]:
    """Run code in a new interpreter, where fontconfig has not spoken yet."""
    start = "import sys, os; sys.path[:] = sys.argv[1:]; from tinygrad_margin.views import run_graphviz\n"
    command = [sys.executable, "-c", start + code, *sys.path]
    return subprocess.run(command, capture_output=True, check=False, timeout=60)


@pytest.fixture
def no_renderer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Neither pygraphviz nor dot; the folder returned is all there is on PATH."""
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("format", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG\r\n"), ("pdf", b"%PDF-")]
)
def test_formats(format: str, start: bytes) -> None:
    assert render(SMALL, format).startswith(start)


def test_text_beyond_ascii_is_kept() -> None:
    assert "∂J/∂s = −1" in render('digraph { s [label="∂J/∂s = −1"] }', "svg").decode()


def test_first_layout_is_silent() -> None:
    done = fresh(f"sys.stdout.buffer.write(run_graphviz.render({SMALL!r}, 'svg'))")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"</svg>" in done.stdout


def test_a_warning_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    render("digraph { a -> b:p }", "svg")
    assert capsys.readouterr().err == "Warning: node b, port p unrecognized\n"


@pytest.mark.parametrize("closed", [(2,), (0, 2)])  # with 0 closed too, files land elsewhere
def test_closed_stderr(closed: tuple[int, ...]) -> None:
    done = fresh(
        f"for fd in {closed}: os.close(fd)\n"
        "sys.stderr = None\n"
        "sys.stdout.buffer.write(run_graphviz.render('digraph { a [shape=nosuch] }', 'svg'))\n"
        "try: os.fstat(2)\n"
        "except OSError: print('still closed', end='')"
    )
    assert done.stdout.endswith(b"</svg>\nstill closed")


def test_no_stderr_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert render("digraph { a -> b:p }", "svg")


@pytest.mark.parametrize(
    ("source", "format", "engine", "message"),
    [
        ("digraph { s -> ", "svg", "dot", "syntax error in line 1"),
        ("", "svg", "dot", "no graph"),
        ("digraph { s [label=<<b>s>] }", "svg", "dot", "mismatched tag"),
        (SMALL, "nosuch", "dot", 'Format: "nosuch" not recognized'),
        (SMALL, "svg", "nosuch", 'Layout type: "nosuch" not recognized'),
    ],
)
def test_errors_carry_the_message(source: str, format: str, engine: str, message: str) -> None:
    with pytest.raises(RenderError, match=message):
        render(source, format, engine)
    assert render(SMALL, "svg")  # and the next one is drawn


def test_what_others_write_meanwhile_is_kept_and_is_no_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What looks like an error of Graphviz comes from a thread, and from its child processes."""
    lines, done = [f"Error: {i}" for i in range(40)], threading.Event()

    def write() -> None:
        for i, line in enumerate(lines):
            if i % 10:
                os.write(2, f"{line}\n".encode())
            else:
                code = f"import os; os.write(2, {line.encode()!r} + bytes([10]))"
                subprocess.run([sys.executable, "-c", code], check=True)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert render(SMALL, "svg")
    writer.join()
    assert sorted(capfd.readouterr().err.splitlines()) == sorted(lines)


@posix
def test_a_fork_while_another_thread_draws() -> None:
    done = fresh(
        f"import signal, threading; draw = lambda: run_graphviz.render({SMALL!r}, 'svg')\n"
        "stop = threading.Event()\n"
        "def go():\n"
        "    while not stop.is_set(): draw()\n"
        "thread = threading.Thread(target=go); thread.start()\n"
        "for i in range(12):\n"
        "    if not (child := os.fork()):\n"
        "        signal.alarm(15); draw(); os._exit(0)\n"
        "    print(os.waitpid(child, 0)[1], end='')\n"
        "stop.set(); thread.join()"
    )
    assert done.stdout == b"0" * 12


@posix
def test_a_layout_does_not_outlive_a_killed_parent_for_long() -> None:
    code = (
        "import threading; os.dup2(1, 9)\n"  # the layout holds it, too
        "threading.Timer(0.5, os.kill, (os.getpid(), 9)).start()\n"
        f"run_graphviz.render({TANGLED!r}, 'svg', limit=1)"
    )
    assert fresh(code).returncode == -9  # after both have gone


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere memory has no limit")
def test_a_picture_that_takes_too_much_memory() -> None:
    with pytest.raises(RenderError, match="out of memory"):
        render("digraph { dpi=96; a [width=400 height=400] }", "jpg")


def test_many_threads() -> None:
    pictures: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: pictures.append(render(SMALL, "svg"))) for _ in range(30)
    ]
    stderr = os.fstat(2)
    run_together(threads, 1e-6)
    assert pictures == [render(SMALL, "svg")] * 30
    assert os.path.samestat(os.fstat(2), stderr)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_nothing_is_left_behind() -> None:
    def used() -> tuple[int, int]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))

    render(SMALL, "svg")
    memory, files = used()
    for _ in range(30):
        render(SMALL, "svg")
    assert used()[1] == files
    assert used()[0] - memory < 1_000_000


def test_the_child_imports_what_this_process_imports(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tempfile.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)  # the child must not import from the working folder
    assert render(SMALL, "svg").count(b'class="node"') == 2
    assert capfd.readouterr().err == ""


def test_layout_stops_at_the_limit() -> None:
    start = time.perf_counter()
    with pytest.raises(TimeoutError, match=r"0\.5 s.*fewer nodes.*\.dot"):
        render(TANGLED, "svg", limit=0.5)
    assert time.perf_counter() - start < 5


def test_no_renderer(no_renderer: Path) -> None:
    with pytest.raises(RendererNotFound, match=r"pip install pygraphviz.*\.dot"):
        render(SMALL, "svg")


@posix
def test_dot_executable_stands_in(no_renderer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dot = no_renderer / "dot"
    dot.write_text('#!/bin/sh\necho "Warning: hm" >&2\necho "$@"\nexec /bin/cat\n')
    dot.chmod(0o755)
    assert render("digraph {}", "svg", "neato") == b"-Kneato -Tsvg\ndigraph {}"
    assert capsys.readouterr().err == "Warning: hm\n"
    dot.write_text('#!/bin/sh\necho "Error: no" >&2\nexit 1\n')
    with pytest.raises(RenderError, match="Error: no"):
        render("digraph {}", "svg")


@posix
def test_dot_stands_in_for_a_pygraphviz_that_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pygraphviz.py").write_text("raise ImportError('libcgraph is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RenderError, match="cannot be imported: libcgraph is missing"):
        render("digraph {}", "svg")
    dot = tmp_path / "dot"
    dot.write_text("#!/bin/sh\nexec /bin/cat\n")
    dot.chmod(0o755)
    assert render("digraph {}", "svg") == b"digraph {}"
