"""Turn DOT text into a picture with Graphviz.

    >>> render("digraph { s -> J }", "svg")[:5]
    b'<?xml'

You need no ``dot`` executable, because pygraphviz brings Graphviz along. Each picture is drawn by
a process of its own: nobody else writes to its stderr, it can be stopped, and threads need no lock.
"""

import importlib
import math
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from tempfile import TemporaryFile, gettempdir
from typing import Any

_MEMORY = 2 << 30  # bytes that a picture may take
_PIXELS, _SIDE = 20e6, 32e3  # the most that a PNG has, and has along one side
_NO_IMPORT = 3  # the child's exit code if pygraphviz is broken: then dot serves
_CHILD = (  # runs this file only, with this process's sys.path
    "import sys; sys.path[:] = sys.argv[5:]; "
    "import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
)

# tempfile locks while it chooses its folder; a process forked meanwhile would wait forever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=gettempdir)


class RenderError(RuntimeError):
    """Graphviz could not draw the graph; the message is Graphviz's own."""


class RendererNotFound(RenderError):  # noqa: N818 - named like graphviz.ExecutableNotFound
    """Neither pygraphviz nor a ``dot`` executable is installed."""


def render(source: str, format: str, engine: str = "dot", *, limit: float = 30.0) -> bytes:
    """The picture of a DOT text, in one of Graphviz's formats; its warnings go to stderr.

    Raises:
        RendererNotFound: neither pygraphviz nor a ``dot`` executable is installed.
        RenderError: Graphviz reports an error, such as a syntax error.
        TimeoutError: the layout takes more than ``limit`` seconds.
    """
    commands = []
    if find_spec("pygraphviz"):
        python = [sys.executable, "-S", "-c", _CHILD, __file__]
        commands.append([*python, format, engine, f"{limit}", *sys.path])
    if dot := shutil.which("dot"):
        commands.append([dot, f"-K{engine}", f"-T{format}"])
    if not commands:
        raise RendererNotFound(
            "no Graphviz to draw with: pip install pygraphviz, or save the graph as .dot text, "
            "which needs no renderer"
        )
    for command in commands:
        code, picture, log = _run(command, source, limit)
        if code != _NO_IMPORT:
            break
    lines = dict.fromkeys(log.splitlines(keepends=True))  # a PNG's layout may say all twice
    messages = "".join(line for line in lines if not line.startswith("Fontconfig "))
    # After an error in a label Graphviz goes on without the label: that picture would be wrong.
    if code or not picture or messages.startswith("Error:") or "\nError:" in messages:
        silent = "there is no graph in the DOT text" if code == 1 else f"exit code {code}"
        raise RenderError(f"Graphviz: {messages.strip() or silent}")
    print(messages, end="", file=sys.stderr)
    return picture


def _run(command: list[str], source: str, limit: float) -> tuple[int, bytes, str]:
    """Draw in a child process: its exit code, the picture, and what it wrote to stderr."""
    # Files, because a process that another thread forks meanwhile would hold a pipe open. For the
    # same reason close_fds is False: then Python itself opens no pipe to start a child.
    with TemporaryFile() as dot, TemporaryFile() as picture, TemporaryFile() as log:
        dot.write(source.encode())
        dot.seek(0)
        try:
            child = subprocess.run(
                command, check=False, stdin=dot, stdout=picture, stderr=log, timeout=limit,
                close_fds=False, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"the layout was not done after {limit:g} s: draw fewer nodes, or save the graph "
                "as .dot text, which needs no layout"
            ) from None
        picture.seek(0)
        log.seek(0)
        return child.returncode, picture.read(), log.read().decode(errors="replace")


def _draw_as_child(format: str, engine: str, limit: str) -> None:
    """Draw the DOT text on stdin to stdout, within limits that hold even without a parent."""
    with suppress(ImportError):  # only POSIX has such limits
        resource: Any = importlib.import_module("resource")
        for kind, most in (("CPU", math.ceil(float(limit)) + 1), ("AS", _MEMORY)):
            with suppress(ValueError, OSError):  # there is a lower limit already
                resource.setrlimit(getattr(resource, f"RLIMIT_{kind}"), (most, most))
    try:
        pygraphviz: Any = importlib.import_module("pygraphviz")
    except ImportError as error:
        print(f"pygraphviz cannot be imported: {error}", file=sys.stderr)
        sys.exit(_NO_IMPORT)
    source = sys.stdin.buffer.read().decode()
    try:
        graph = pygraphviz.AGraph(string=source)
        if format == "png":
            graph.layout(engine)
            left, bottom, right, top = map(float, graph.graph_attr["bb"].split(","))
            width, height = right - left + 1, top - bottom + 1
            finest = 72 * min(math.sqrt(_PIXELS / (width * height)), _SIDE / max(width, height))
            if finest < float(graph.graph_attr.get("dpi", 96)):
                graph.graph_attr["dpi"] = f"{finest:.2f}"
                engine = "nop2"  # keeps this layout
        picture = graph.draw(format=format, prog=engine)
    except (ValueError, TypeError):  # bad DOT, an unknown format; Graphviz's own message says more
        sys.exit(1)
    sys.stdout.buffer.write(picture)


if __name__ == "__main__":
    _draw_as_child(*sys.argv[2:5])
