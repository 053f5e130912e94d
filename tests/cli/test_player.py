import ast
import builtins
import importlib.util
import os
import re
import runpy
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinygrad_margin import ReverseSweep, Value, draw, margin_loss
from tinygrad_margin.cli import player as play
from tinygrad_margin.cli.commands import main

DEMOS = play.demos()


@pytest.fixture(autouse=True)
def _no_figures_pile_up():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def terminal(monkeypatch):
    """A terminal, with the keys that somebody presses."""

    def press(*keys):
        left = iter(keys)

        def answer(prompt=""):
            try:
                return next(left)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr(builtins, "input", answer)
        monkeypatch.setattr(play, "_is_interactive", lambda: True)

    return press


def test_the_demos_are_found():
    assert list(DEMOS) == [
        "01_margin_loss", "02_two_leaves", "03_shared_weights", "04_descent", "05_two_moons",
        "06_windows", "07_gradient_graph",
    ]  # fmt: skip
    assert play.find_demo("02") == play.find_demo("02_two_leaves") == play.find_demo("02_two_leaves.py")
    assert play.find_demo(str(DEMOS["01_margin_loss"])) == DEMOS["01_margin_loss"]
    for name in ("", "0", "99", "nonsense", "x.py", "tests"):
        with pytest.raises(ValueError, match="01_margin_loss"):
            play.find_demo(name)


@pytest.mark.parametrize("name", DEMOS)
def test_a_demo_runs_as_a_script_and_writes_only_where_told(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(DEMOS[name]), run_name="__main__")
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr(sys, "argv", [name, "--out", "pictures"])
    runpy.run_path(str(DEMOS[name]), run_name="__main__")
    drawn = DEMOS[name].read_text("utf-8").count("save_output(") > 0
    found = os.listdir(tmp_path)
    if importlib.util.find_spec("matplotlib") or not drawn:
        assert found == (["pictures"] if drawn else [])
    else:
        assert found in ([], ["pictures"])  # there may be nothing to keep but plots


@pytest.mark.parametrize("name", DEMOS)
def test_every_cell_opens_with_a_few_sentences(name):
    for cell in play.split_cells(DEMOS[name].read_text("utf-8")):
        ast.parse(cell)
        lines = cell.splitlines()
        assert lines[0].startswith("# %% ")
        assert lines[1].startswith("# ")


@pytest.mark.parametrize("name", DEMOS)
def test_piped_it_runs_straight_through(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", name, "--out", "p"]) == 0
    said = capsys.readouterr().out
    for cell in play.split_cells(DEMOS[name].read_text("utf-8")):
        assert cell in said


def test_what_the_demos_say(capsys):
    for name in DEMOS:
        assert main(["demo", name]) == 0
    said = capsys.readouterr().out
    for words in (
        "∂J/∂s += ∂J/∂z · ∂z/∂s = 1 · (−1) = −1", "There is no path from s to s_c",
        "So ∂J/∂s = 0.5 + (−1) = −0.5.", "every gradient is exactly zero: True", "2 paths lead from W_11 to J",
    ):  # fmt: skip
        assert words in said


def test_two_moons_is_micrograds_run(capsys):
    """The left column is computed; what micrograd prints stands in the demo, and here."""
    assert main(["demo", "05"]) == 0
    said = capsys.readouterr().out
    rows = re.findall(r"^ +(\d+)   (\d\.\d{4}) +(\d+)%  +(\d\.\d{4}) +(\d+)%$", said, re.MULTILINE)
    assert [row[:3] for row in rows] == [
        ("0", "0.8958", "50"), ("1", "1.7236", "81"), ("2", "0.7429", "77"),
        ("10", "0.2451", "91"), ("50", "0.0988", "96"), ("99", "0.0110", "100"),
    ]  # fmt: skip
    assert [row[1:3] for row in rows] == [row[3:] for row in rows]
    assert "100 margins met, mean hinge 0.000000, L2 0.010978, largest ∂hinge/∂w 0\n" in said
    assert "every ∂J/∂w is 0: True" in said


def test_the_window_scorer_beats_chance_and_the_rules(capsys):
    assert main(["demo", "06"]) == 0
    said = capsys.readouterr().out
    share, low, high = map(
        int, re.search(r"(\d+)% of 200 pairs; 95 % interval: (\d+)% to (\d+)%", said).groups()
    )
    assert 75 < low < share < high  # chance is 50 %
    rules = re.findall(r"_\w+: (\d+)%; .* on (\d+) pairs, worse on (\d+), p = (\S+)", said)
    assert len(rules) == 2
    for rule, better, worse, p in rules:
        assert int(rule) < low
        assert int(better) > int(worse)
        assert float(p) < 0.001


@pytest.mark.parametrize("name", ["05", "06"])
def test_no_plots_is_said_once(name, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["demo", name]) == 0
    assert capsys.readouterr().out.count("(no plots") == 1


def test_newton_needs_few_steps(capsys):
    assert main(["demo", "07"]) == 0
    said = capsys.readouterr().out
    slow, newton = re.search(r"gradient descent: (\d+)  Newton's method: (\d+)", said).groups()
    assert int(newton) <= 6
    assert int(slow) > 100
    assert "DIFFERS" not in said


def test_the_sentences_have_their_places_marked():
    text = (Path(play.__file__).parents[1] / "data" / "windows.txt").read_text("utf-8")
    lines = text.splitlines()
    assert len(lines) == len(set(lines)) == 200
    for line in lines:
        assert re.fullmatch(r"[^\[\]]*\[[A-Z][a-z]+\][^\[\]]*\.", line), line


def test_keys(terminal, tmp_path, capsys):
    demo = tmp_path / "mine.py"
    demo.write_text(
        "# %% One\nprint('ran', 1)\n# %% Two\nprint('ran', 2)\n# %% Three\nprint('ran', 3)\n"
    )
    terminal("", "b", "", "", "q")
    play.play(demo)
    said = capsys.readouterr().out
    assert [said.count(f"ran {i}\n") for i in (1, 2, 3)] == [1, 1, 0]
    assert said.count("# %% One") == 2
    terminal("b", "r")
    play.play(demo)  # and the REPL ends with the input
    said = capsys.readouterr().out
    assert [said.count(f"ran {i}\n") for i in (1, 2, 3)] == [1, 1, 1]


def test_the_repl_has_everything_defined(terminal, tmp_path, capsys):
    demo = tmp_path / "mine.py"
    demo.write_text("# %% One\nanswer = 6 * 7\n")
    terminal("r", "print('the answer', answer)")
    play.play(demo)
    assert "the answer 42" in capsys.readouterr().out


def test_a_demo_that_does_not_exist(capsys):
    assert main(["demo", "nonsense"]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert main(["demo"]) == 0
    assert "01_margin_loss" in capsys.readouterr().out


def test_step(capsys, terminal, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["step", "max(1 + s_c - s, 0)", "s=0.3", "s_c=0.5", "-o", "moment.svg"]
    assert main(words) == 0
    straight = capsys.readouterr().out
    assert "∂J/∂s += " in straight
    assert os.listdir(tmp_path) == []
    terminal("", "d", "b", "b", "r")
    assert main(words) == 0
    said = capsys.readouterr().out
    assert os.listdir(tmp_path) == ["moment.svg"]
    assert "(taken back)" in said
    assert "(at the start)" in said
    assert said.rstrip().endswith(straight.rstrip())
    terminal("r", "b", "d", "")
    (tmp_path / "moment.svg").unlink()
    assert main(words) == 0
    assert os.listdir(tmp_path) == ["moment.svg"]  # at the end one may still draw
    capsys.readouterr()
    terminal("", "q")
    play.step_through(ReverseSweep(margin_loss(Value(0.3), Value(0.5))), "x.svg")
    assert capsys.readouterr().out.count("J = max") == 1


@pytest.mark.parametrize("picture", ["nowhere/x.svg", "x.jpg", ".", "x.svg/y.svg"])
def test_a_picture_that_cannot_be_drawn_keeps_the_position(capsys, terminal, tmp_path, monkeypatch, picture):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.svg").write_text("")
    terminal("", "d", "", "q")
    assert main(["step", "x * x", "x=3", "-o", picture]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.index("J = x") < said.out.index("No picture: ") < said.out.index("x is a leaf")
    assert picture in said.out


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal")
def test_in_a_real_terminal(tmp_path):
    pty = pytest.importorskip("pty")
    main_end, user_end = pty.openpty()
    child = subprocess.Popen([sys.executable, "-m", "tinygrad_margin", "demo", "02"], cwd=tmp_path,
                             stdin=user_end, stdout=user_end, stderr=user_end, close_fds=True)  # fmt: skip
    os.close(user_end)
    seen = b""
    end = time.monotonic() + 60
    keys = [b"\n", b"r\n", b"print('bye', grad(J, s))\n", b"\x04"]
    waiting_for = [b"quits: ", b"quits: ", b">>> ", b">>> "]
    mark = 0
    while time.monotonic() < end:
        if keys and waiting_for[0] in seen[mark:]:
            mark = len(seen)
            os.write(main_end, keys.pop(0))
            waiting_for.pop(0)
        if select.select([main_end], [], [], 0.2)[0]:
            try:
                data = os.read(main_end, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        elif child.poll() is not None:
            break
    assert child.wait(10) == 0
    os.close(main_end)
    assert b"bye -0.5" in seen


def test_it_works_after_a_plain_install(tmp_path):
    """The wheel holds the demos."""
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8")
    assert '"demos" = "tinygrad_margin/demos"' in pyproject


def test_an_error_in_a_cell_is_shown_with_its_line(terminal, tmp_path, capsys):
    demo = tmp_path / "mine.py"
    demo.write_text("# %% One\nx = 1\n# %% Two\ny = x / 0\n")
    assert main(["demo", str(demo)]) == 1
    said = capsys.readouterr()
    assert "cell 2" in said.err
    assert "y = x / 0" in said.err
    terminal("r", "print('x is', x)")
    assert not play.play(demo)
    assert "x is 1" in capsys.readouterr().out


def test_a_pipe_of_a_cells_own_is_an_error_of_the_cell(tmp_path, capsys):
    demo = tmp_path / "mine.py"
    demo.write_text("import os\nr, w = os.pipe()\nos.close(r)\nos.write(w, b'x')\n")
    assert main(["demo", str(demo)]) == 1
    assert "BrokenPipeError" in capsys.readouterr().err


def test_a_demo_that_is_no_text(tmp_path, capsys):
    (tmp_path / "mine.py").write_bytes(b"# \xff")
    assert main(["demo", str(tmp_path / "mine.py")]) == 2
    assert "mine.py is not a text in UTF-8" in capsys.readouterr().err


def test_out_with_an_equals_sign(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["demo.py", "--out=pics"])
    play.save_output(play_picture(), "J.svg")
    assert os.listdir(tmp_path / "pics") == ["J.svg"]
    monkeypatch.setattr(sys, "argv", ["demo.py", "--out"])
    play.save_output(play_picture(), "J.svg")
    assert "--out DIR" in capsys.readouterr().out


def play_picture():
    return draw(margin_loss(Value(0.3), Value(0.5)))
