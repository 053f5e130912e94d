r"""Play a demo in the terminal, cell by cell, or the reverse sweep of a formula, step by step.

A demo is a Python script. Lines that begin with ``# %%`` divide it into cells. It runs as a plain
script too, in IPython with ``%run``, and in editors that know such cells.

    >>> from tinygrad_margin.cli.player import split_cells
    >>> split_cells("# %% One\nx = 1\n\n# %% Two\nprint(x)\n")
    ['# %% One\nx = 1', '# %% Two\nprint(x)']
"""

import argparse
import code
import importlib
import io
import linecache
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any

from tinygrad_margin.files import write_whole
from tinygrad_margin.page import Page
from tinygrad_margin.sweep import ReverseSweep
from tinygrad_margin.views.dot import Picture
from tinygrad_margin.views.draw import save
from tinygrad_margin.views.run_graphviz import RenderError

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "demos", _PACKAGE.parent / "demos")  # installed, or in a checkout


def demos() -> dict[str, Path]:
    """The demos that come with the package: their names and files."""
    folder = next(filter(Path.is_dir, _FOLDERS), _FOLDERS[0])
    return {path.stem: path for path in sorted(folder.glob("[0-9]*.py"))}


def find_demo(name: str) -> Path:
    """The file of a demo, from its name, number or file. Raises ValueError if there is none."""
    if Path(name).is_file():
        return Path(name)
    known = demos()
    number = name.removesuffix(".py").zfill(2)
    found = [path for demo, path in known.items() if demo.startswith(number)]
    if len(found) != 1:
        raise ValueError(f"no demo {name!r:.60}: there are {', '.join(known)}, or give a file")
    return found[0]


def split_cells(text: str) -> list[str]:
    """The cells of a script. Lines before the first ``# %%`` are a cell too."""
    parts = re.split(r"^(?=# ?%%)", text, flags=re.MULTILINE)
    return [part.strip("\n") for part in parts if part.strip()]


def save_output(output: Any, name: str) -> Any:
    """Write a demo's picture, page or figure into the folder given with ``--out DIR``, if any.

    The name ends in .svg, .png or .pdf, or in .html for a page. Returns the output, so that a
    notebook shows it.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--out", nargs="?", type=Path)
    folder = parser.parse_known_args()[0].out
    if folder is None:
        print(f"({name} is not saved; --out DIR saves it)")
        return output
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(output, Picture):
        save(output, folder / name)
    elif isinstance(output, Page):
        output.save(folder / name)
    else:
        drawn = io.BytesIO()
        output.savefig(drawn, format=name.rpartition(".")[2], dpi=150)
        write_whole(folder / name, drawn.getvalue())
    print(f"({folder / name})")
    return output


def load_pyplot() -> Any:
    """matplotlib's pyplot, set to open no windows; None, with a message, if it is missing."""
    try:
        importlib.import_module("matplotlib").use("Agg")
    except ImportError:
        print("(no plots: pip install '.[demos]' brings matplotlib)")
        return None
    return importlib.import_module("matplotlib.pyplot")


def show_progress(text: str, *, last: bool = False) -> None:
    """Show a text in place of the one before; without a terminal, show the last one only."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if last or is_terminal:
        print(f"\r{text}\x1b[K" if is_terminal else text, end="\n" if last else "", flush=True)


def play(path: Path, out: Path | None = None) -> bool:
    """Play a demo: show a cell, wait for Enter, run it. At the end the user gets a Python prompt.

    Without a terminal it runs straight through. The pictures go to the folder ``out``.
    Returns False if a cell raised an error; its traceback is shown.
    """
    try:
        cells = split_cells(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text in UTF-8: {error}") from None
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    before, sys.argv = sys.argv, [str(path), *(["--out", str(out)] if out else [])]
    try:
        end = _run_cells(cells, path.name, namespace)
        if end != "quit" and _is_interactive():
            banner = "Everything above is defined; leave with Ctrl-D."
            code.interact(banner, local=namespace, exitmsg="")
        return end != "error"
    finally:
        sys.argv = before


def _run_cells(cells: list[str], name: str, namespace: dict[str, Any]) -> str:
    """Show and run the cells. Returns how that ended: "done", "quit" or "error"."""
    waits = _is_interactive()
    ran = i = 0
    while i < len(cells):
        print(f"\n{cells[i]}\n" if i else f"{cells[i]}\n")
        prompt = f"[{i + 1}/{len(cells)}]  Enter runs it, b back, r runs to the end, q quits: "
        answer = _ask(prompt) if waits else ""
        if answer == "q":
            return "quit"
        if answer not in ("", "r"):
            i = max(i - (answer == "b"), 0)
            continue
        waits = waits and answer != "r"
        if i == ran:  # after going back, a cell does not run again
            where = f"<{name}, cell {i + 1}>"  # and a traceback shows its lines
            linecache.cache[where] = (len(cells[i]), None, cells[i].splitlines(True), where)
            try:
                exec(compile(cells[i], where, "exec", dont_inherit=True), namespace)
            except Exception as error:
                if isinstance(error, BrokenPipeError):
                    print(flush=True)  # raises it again if the reader of stdout has gone
                traceback.print_exc()
                return "error"
            ran += 1
        i += 1
    return "done"


def step_through(sweep: ReverseSweep, picture: str | os.PathLike[str]) -> None:
    """Go through a sweep: Enter does a step, b takes it back, d draws into the file ``picture``."""
    if not _is_interactive():
        print(*sweep.run(), sep="\n")
        return
    while True:
        on = "Enter does a step" if sweep.position < len(sweep) else "this was the last step"
        answer = _ask(
            f"[{sweep.position}/{len(sweep)}]  {on}, b takes it back, d draws, "
            "r runs to the end, q quits: "
        )
        if answer == "q":
            return
        if answer == "d":
            try:
                sweep.draw(picture)
                print(f"The picture: {os.fspath(picture)}")
            except (OSError, RenderError, ValueError) as error:
                print(f"No picture: {error}")
        elif answer == "b":
            print(sweep.back() and "(taken back)" if sweep.position else "(at the start)")
        elif answer == "r":
            print(*sweep.run(), sep="\n")
        elif sweep.position < len(sweep):
            print(sweep.step())


def _is_interactive() -> bool:
    """Whether somebody is there to press Enter."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _ask(prompt: str) -> str:
    """The first letter of the user's answer; "q" at the end of the input."""
    try:
        return input(prompt).strip().lower()[:1]
    except EOFError:
        print()
        return "q"
