import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinygrad_margin.cli.commands import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *words):
    """Exit status, stdout and stderr of a command."""
    try:
        status = main(words)
    except SystemExit as exit_:
        status = exit_.code
    out, err = capsys.readouterr()
    return status, out, err


def complaint(capsys, *words, status=2):
    """The one line that a bad command gets."""
    found, out, err = run(capsys, *words)
    assert (found, out) == (status, "")
    assert len(err.splitlines()) == 1
    return err


@pytest.mark.parametrize(
    ("words", "regime", "slopes"),
    [
        ((), "margin violated", ("−1", "+1")),
        (("lesson",), "margin violated", ("−1", "+1")),
        (("lesson", "--s", "2"), "margin met", ("0", "0")),
        (("lesson", "--s", "1.5", "--s-c", "0.5"), "at the kink", ("−0.5", "+0.5")),
        (("lesson", "--s", "-1e3", "--s-c", "-2.5"), "margin violated", ("−1", "+1")),
        (("lesson", "--s", "1", "--s-c", "1", "--delta", "0"), "at the kink", ("−0.5", "+0.5")),
        (("lesson", "--s=-.5", "--s-c=-1", "--delta", ".25"), "margin met", ("0", "0")),
    ],
)
def test_the_lesson_in_all_regimes(capsys, folder, words, regime, slopes):
    status, out, err = run(capsys, *words)
    assert (status, err) == (0, "")
    assert f"Regime: {regime}" in out
    assert sum(text in out for text in ("margin violated:", "margin met:", "at the kink:")) == 1
    assert f"So ∂J/∂s = {slopes[0]} and ∂J/∂s_c = {slopes[1]}." in out
    assert "∂s_c/∂s plays no part" in out
    assert "margin.svg" in out
    assert (folder / "margin.svg").read_bytes().startswith(b"<?xml")
    assert "margin.html" in out
    assert "<h1>J = max(Δ + s_c − s, 0)</h1>" in (folder / "margin.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("s", "s_c", "delta", "regime", "exactly"),
    [("0.3", "0.2", "0.1", "margin violated", "just met, at the kink"),
     ("1e17", "1e17", "1", "at the kink", "violated")],
)  # fmt: skip
def test_the_lesson_tells_what_rounding_hides(capsys, s, s_c, delta, regime, exactly):
    _, out, _ = run(capsys, "lesson", "--s", s, "--s-c", s_c, "--delta", delta)
    assert f"Regime: {regime}: " in out
    assert re.search(rf"rounding error.*\n.*the margin is {exactly}\.", out)


def test_the_lesson_shows_the_digits_that_were_typed(capsys):
    _, out, _ = run(capsys, "lesson", "--s", "1.0000000001", "--s-c", "0")
    assert "z = v₁ − s = 1 − 1.0000000001 = −1.00000008274037e−10" in out


def test_the_lesson_makes_its_folder(capsys, folder):
    status, out, _ = run(capsys, "lesson", "--out", "new/pictures")
    assert status == 0
    assert os.path.join("new", "pictures", "margin.svg") in out
    assert (folder / "new" / "pictures" / "margin.svg").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lesson", "--s", "abc"), "invalid float value: 'abc'"),
        (("lesson", "--s", "nan"), "'nan'"),
        (("lesson", "--delta", "inf"), "delta, the margin"),
        (("lesson", "--delta", "-1"), "delta, the margin"),
        (("lesson", "3"), "3"),
        (("nonsense",), "nonsense"),
        (("draw",), "EXPRESSION"),
        (("draw", "x"), "x has no value: give x=NUMBER"),
        (("draw", "x", "x=1", "y=2"), "y has a value but is not in the formula"),
        (("draw", "x", "x=abc"), "'x=abc' is not of the form NAME=NUMBER"),
        (("draw", "x", "x=1", "=2"), "'=2' is not of the form NAME=NUMBER"),
        (("draw", "x", "x=nan"), "'x=nan' is not .* with a finite number"),
        (("draw", "x", "x=-inf"), "with a finite number"),
        (("draw", "x", "x=1", "x=2"), "x is given more than once"),
        (("draw", "x", "x"), "NAME=NUMBER"),
        (("draw", "١+x", "x=1"), "character 1"),
        (("draw", "x" * 9_000), "has no value"),
        (("draw", "x", "x=1", "-o", "-"), "got '-'"),
        (("draw", "x", "x=1", "-o", "--"), "expected one argument"),
        (("draw", "x", "x=1", "-o"), "expected one argument"),
        (("lesson", "--foo"), "unrecognized arguments: --foo"),
        (("lesson", ""), "unrecognized arguments"),
        (("draw", "log(x)", "x=-1"), "log needs an operand above 0; got x = -1.0"),
        (("draw", "1/x", "x=0"), "divisor"),
        (("draw", "exp(x)", "x=1e9"), "too large"),
        (("draw", "__import__('os').system('true')"), "no such function"),
        (("draw", "x +\n@", "x=1"), "character 5"),
        (("draw", "1+" * 50_000 + "1"), "10,000 is the most"),
        (("draw", "(" * 10_000 + "1" + ")" * 10_000), "10,000 is the most"),
        (("draw", "(" * 4_000 + "1" + ")" * 4_000), "too many nested"),
        (("draw", "+".join("x" * 500), "x=1"), "max_nodes"),
        (("draw", "x", "x=1", "-o", "x.jpg"), r"\.svg, \.png"),
        (("draw", "min(1)"), "min takes 2 operands or more; got 1"),
        (("draw", ""), "expected a number"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(capsys, folder, words, said):
    assert re.search(said, complaint(capsys, *words))
    assert os.listdir(folder) == []


def test_draw(capsys, folder):
    words = ("draw", "max(1 + s_c - s, 0)", "s=0.3", "s_c=0.5", "-o", "margin.svg")
    said = "J = 1.2\n∂J/∂s_c = 1\n∂J/∂s = −1\nThe picture: margin.svg\n"
    assert run(capsys, *words) == (0, said, "")
    assert "∂".encode() in (folder / "margin.svg").read_bytes()
    status, out, _ = run(capsys, "draw", "-x**2", "x=-3")
    assert (status, out.splitlines()[0]) == (0, "J = −9")
    assert (folder / "graph.svg").exists()
    assert run(capsys, "draw", "sqrt(x)", "x=0", "-oglued.svg")[0] == 0
    assert (folder / "glued.svg").exists()
    assert run(capsys, "draw", "--", "-x", "x=1")[1].startswith("J = −1\n")
    assert "∂J/∂x does not exist" in run(capsys, "draw", "sqrt(x)", "x=0")[1]
    assert run(capsys, "draw", "x * J", "x=2", "J=-1e-3", "-o", "p.png")[0] == 0


@pytest.mark.parametrize(
    ("words", "J"),
    [(("-o*2", "o=1"), "−2"), (("-out + 1", "out=3"), "−2"), (("--(x)", "x=3"), "3"), (("-\nx", "x=1"), "−1"),
     (("x²", "x=−3"), "9"), (("x_1 × 2", "x_1=1e−2"), "0.02"), (("-h**2", "h=2"), "−4")],
)  # fmt: skip
def test_a_minus_is_no_option_and_what_is_printed_may_be_typed(capsys, folder, words, J):
    assert run(capsys, "draw", *words, "-o", "-x.svg")[1].startswith(f"J = {J}\n")
    assert os.listdir(folder) == ["-x.svg"]


def test_a_formula_alone_is_required(capsys):
    assert complaint(capsys, "draw").endswith("required: EXPRESSION\n")
    assert run(capsys, "draw", "1")[0] == 0


def test_what_the_machine_refuses_is_status_1(capsys, folder):
    assert "folder" in complaint(capsys, "draw", "1", "-o", "nowhere/x.svg", status=1)
    (folder / "file").write_text("")
    assert "File exists: 'file'" in complaint(capsys, "lesson", "--out", "file", status=1)


def test_an_unwritable_folder_is_status_1(capsys, folder, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)  # root, as in a container, may write anywhere
    assert "margin.svg" in complaint(capsys, "lesson", status=1)
    assert os.listdir(folder) == []


def test_page(capsys, folder):
    words = ("page", "max(1 + s_c - s, 0)", "s=0.3", "s_c=0.5", "-o", "margin.html")
    status, out, err = run(capsys, *words)
    assert (status, err, "margin.html" in out) == (0, "", True)
    text = (folder / "margin.html").read_text("utf-8")
    assert "<h1>J = max(1 + s_c - s, 0)</h1>" in text
    assert run(capsys, "page", "-x + J", "x=-2", "J=1", "--title", "A & B")[0] == 0
    assert "<h1>A &amp; B</h1>" in (folder / "graph.html").read_text("utf-8")
    assert run(capsys, "page", "x + J", "x=2", "J=1")[0] == 0
    assert "<h1>out = x + J</h1>" in (folder / "graph.html").read_text("utf-8")
    assert "page writes .html" in complaint(capsys, *words[:-1], "margin.png")
    assert "log needs" in complaint(capsys, "page", "log(x)", "x=-1")


def test_animate(capsys, folder):
    words = ("animate", "max(1 + s_c - s, 0)", "s=0.3", "s_c=0.5")
    status, out, err = run(capsys, *words, "--seconds-per-step", "0.5")
    assert (status, err, "sweep.svg" in out) == (0, "", True)
    assert "animation:" in (folder / "sweep.svg").read_text("utf-8")
    assert "positive" in complaint(capsys, *words, "--seconds-per-step=-1")
    assert "invalid float value: 'x'" in complaint(capsys, *words, "--seconds-per-step", "x")
    assert "no slope" in complaint(capsys, "animate", "sqrt(x)", "x=0", "-o", "no.svg")
    assert not (folder / "no.svg").exists()


@pytest.mark.parametrize("words", [("--help",), ("lesson", "--help"), ("draw", "--help"), ("-h",)])
def test_help_has_examples(capsys, words):
    status, out, err = run(capsys, *words)
    assert (status, err) == (0, "")
    assert "examples:" in out
    assert "margin" in out


def test_as_a_module_it_is_quiet_and_quick(folder):
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "tinygrad_margin"], capture_output=True, text=True,
                          encoding="utf-8", env={**os.environ, "PATH": ""})  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "Regime: margin violated" in done.stdout
    assert time.perf_counter() - start < 30  # a second, but timings never fail a test


@pytest.mark.skipif(sys.platform == "win32", reason="locales")
def test_a_terminal_without_unicode(folder):
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-m", "tinygrad_margin"], capture_output=True, env=env)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="a shell")
@pytest.mark.parametrize(
    ("words", "unbuffered", "status"),
    [("--help", "", 0), ("demo long.py", "", 0), ("demo long.py", "1", 0), ("step x*x x=1", "", 0), ("draw x x=1", "1", 0),
     ("draw", "", 2), ("draw log(x) x=-1", "", 2)],
)  # fmt: skip
def test_a_reader_that_has_seen_enough(folder, words, unbuffered, status):
    """As with ``| head -1``: no traceback; with ``2>&1`` too, the status says that something is wrong."""
    (folder / "long.py").write_text("for _ in range(10_000): print('x' * 100)\n")
    errors = open("errors", "wb")
    child = subprocess.Popen([sys.executable, "-m", "tinygrad_margin", *words.split()], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT if status else errors,
                             env={**os.environ, "PYTHONUNBUFFERED": unbuffered})  # fmt: skip
    with errors, child.stdout as out:
        if words == "demo long.py":
            out.read(2_000)  # the cell runs by now
    assert child.wait() in (status, 120 if status else 0)  # 120: Python's own, if nobody reads stderr
    assert (folder / "errors").read_bytes() == b""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a named pipe")
@pytest.mark.parametrize("words", [("draw", "x", "x=1"), ("page", "x", "x=1"), ("animate", "x", "x=1")])
def test_a_file_that_is_a_pipe_nobody_reads(capsys, folder, monkeypatch, words):
    name = {"page": "p.html"}.get(words[0], "p.svg")
    os.mkfifo(name)

    def close_and_write(path, data, write=Path.write_bytes):
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with open(path, "wb", buffering=0) as pipe:
            os.close(reader)
            pipe.write(data)

    monkeypatch.setattr(Path, "write_bytes", close_and_write)
    said = complaint(capsys, *words, "-o", name, status=1)
    assert "Broken pipe; whoever reads from this pipe has gone" in said
    assert name in said


@pytest.mark.skipif(sys.platform == "win32", reason="a shell")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", ["step 'x*x' x=2", "demo 05", "draw x x=1"])
def test_streams_that_are_closed(folder, closed, words):
    command = f"{sys.executable} -m tinygrad_margin {words} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_interrupt_is_no_traceback(capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_margin.cli.commands.draw", interrupt)
    assert run(capsys, "lesson") == (130, "", "")
