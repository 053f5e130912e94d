r"""Play a demo in the terminal, cell by cell, or the reverse sweep of a formula, step by step.

A demo is a script in cells marked ``# %%``. It runs as a plain script too, in IPython's ``%run``,
and in an editor that knows such cells. It writes pictures only where told: ``--out DIR``.

    >>> from tinygrad_margin.cli.player import cells
    >>> cells("# %% One\nx = 1\n\n# %% Two\nprint(x)\n")
    ['# %% One\nx = 1', '# %% Two\nprint(x)']
"""

from __future__ import annotations

import code
import importlib
import io
import linecache
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any, TypeVar

from tinygrad_margin.page import Page
from tinygrad_margin.sweep import ReverseSweep
from tinygrad_margin.views.dot import Picture
from tinygrad_margin.views.draw import save
from tinygrad_margin.views.files import write_whole

_Shown = TypeVar("_Shown", bound=Any)
_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "demos", _PACKAGE.parent / "demos")  # installed, or in a checkout


def demos() -> dict[str, Path]:
    """The demos that come with the package, by name."""
    folder = next(filter(Path.is_dir, _FOLDERS), _FOLDERS[0])
    return {path.stem: path for path in sorted(folder.glob("[0-9]*.py"))}


def find(name: str) -> Path:
    """The demo of that name or number, or in that file.

    Raises:
        ValueError: there is none.
    """
    if Path(name).is_file():
        return Path(name)
    known = demos()
    stem = name.removesuffix(".py").zfill(2)
    found = [path for demo, path in known.items() if demo.startswith(stem)]
    if len(found) != 1:
        raise ValueError(f"no demo {name!r:.60}: there are {', '.join(known)}, or give a file")
    return found[0]


def cells(text: str) -> list[str]:
    """A script's cells; what stands before the first mark is a cell of its own."""
    parts = re.split(r"^(?=# ?%%)", text, flags=re.MULTILINE)
    return [part.strip("\n") for part in parts if part.strip()]


def keep(shown: _Shown, name: str) -> _Shown:
    """Write a demo's picture or page into the folder that it was told, ``--out DIR``, if any.

    Args:
        shown: a picture, a page or a matplotlib figure.
        name: the file's name, ending in .svg, .png or .pdf, or in .html.

    Returns:
        What was given, for a notebook to show.
    """
    words = " ".join(sys.argv[1:]).split("--out", 1)
    told = words[1].lstrip("= ") if len(words) > 1 else ""
    if not told:
        later = {
            Picture: "; later, draw(J, 'J.svg') writes J's",
            Page: "; later, page(J, 'J.html')",
        }
        print(f"(made: {name}. With --out DIR it is written{later.get(type(shown), '')}.)")
        return shown
    folder = Path(told)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(shown, Picture):
        save(shown, folder / name)
    elif isinstance(shown, Page):
        shown.save(folder / name)
    else:
        drawn = io.BytesIO()
        shown.savefig(drawn, format=name.rpartition(".")[2], dpi=150)
        write_whole(folder / name, drawn.getvalue())
    print(f"({folder / name})")
    return shown


def plots() -> Any:
    """matplotlib's pyplot, for pictures that no window shows; None, saying so, if it is missing."""
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ImportError:
        print("(no plots: pip install '.[demos]' brings matplotlib)")
        return None
    matplotlib.use("Agg")
    return importlib.import_module("matplotlib.pyplot")


def progress(text: str, *, last: bool = False) -> None:
    """Show how far a demo has come: over and over on one line of a terminal, else only at the end.

    Args:
        text: what to show.
        last: is this the end?
    """
    is_terminal = sys.stdout.isatty()
    if last or is_terminal:
        print(f"\r{text}\x1b[K" if is_terminal else text, end="\n" if last else "", flush=True)


def play(path: Path, out: Path | None = None) -> bool:
    """Play a demo: show a cell, wait for Enter, run it; at the end leave the user in a REPL.

    Without a terminal it runs straight through.

    Args:
        path: the script.
        out: where it may write pictures.

    Returns:
        False after an error in a cell, whose traceback has been shown.
    """
    parts = cells(path.read_text("utf-8-sig"))
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    before, sys.argv = sys.argv, [str(path), *(["--out", str(out)] if out else [])]
    try:
        ended = _play(parts, path.name, namespace, waits=_at_a_terminal())
        if ended != "quit" and _at_a_terminal():
            banner = "Everything above is defined; leave with Ctrl-D."
            code.interact(banner, local=namespace, exitmsg="")
        return ended != "error"
    finally:
        sys.argv = before


def _play(parts: list[str], name: str, namespace: dict[str, Any], *, waits: bool) -> str:
    """Play the cells; how it ended: "done", "quit" or "error"."""
    ran = i = 0
    while i < len(parts):
        print(f"\n{parts[i]}\n" if i else f"{parts[i]}\n")
        answer = ""
        if waits:
            answer = _ask(
                f"[{i + 1}/{len(parts)}]  Enter runs it, b back, r runs to the end, q quits: "
            )
        if answer == "q":
            return "quit"
        if answer not in ("", "r"):
            i = max(i - (answer == "b"), 0)
            continue
        waits = waits and answer != "r"
        if i == ran:  # a cell that was gone back to is not run twice
            where = f"<{name}, cell {i + 1}>"
            linecache.cache[where] = (len(parts[i]), None, parts[i].splitlines(True), where)
            try:
                exec(compile(parts[i], where, "exec", dont_inherit=True), namespace)
            except Exception:
                traceback.print_exc()
                return "error"
            ran += 1
        i += 1
    return "done"


def step_through(sweep: ReverseSweep, picture: str | os.PathLike[str]) -> None:
    """Go through a sweep: Enter does a step, b takes it back, d draws, r runs to the end.

    Without a terminal it runs straight through.

    Args:
        sweep: the sweep.
        picture: the file that d draws into.
    """
    waits = _at_a_terminal()
    while waits or sweep.position < len(sweep):
        answer = ""
        if waits:
            on = "Enter does a step" if sweep.position < len(sweep) else "this was the last step"
            answer = _ask(
                f"[{sweep.position}/{len(sweep)}]  {on}, b takes it back, d draws, "
                "r runs to the end, q quits: "
            )
        if answer == "q":
            return
        if answer == "d":
            sweep.draw(picture)
            print(f"The picture: {os.fspath(picture)}")
        elif answer == "b":
            print(sweep.back() and "(taken back)" if sweep.position else "(at the start)")
        elif answer == "r":
            print(*sweep.run(), sep="\n")
        elif sweep.position < len(sweep):
            print(sweep.step())


def _at_a_terminal() -> bool:
    """Is there somebody to press Enter?"""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _ask(prompt: str) -> str:
    """What the user answers; the end of the input quits."""
    try:
        return input(prompt).strip().lower()[:1]
    except EOFError:
        print()
        return "q"
