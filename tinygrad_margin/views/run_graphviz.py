"""Turn DOT text into a picture with Graphviz.

    >>> render("digraph { s -> J }", "svg")[:5]
    b'<?xml'

You need no ``dot`` executable, because pygraphviz brings Graphviz along. Small graphs are drawn in
this process. Large ones are drawn in a child process, which can be stopped if it takes too long.
"""

import importlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO, Any

_SMALL = 240  # arrows; up to here even the densest graph takes a second or two
_GRAPHVIZ = threading.Lock()  # the library is not thread safe
_CHILD = (  # runs this file only, with this process's sys.path
    "import sys; sys.path[:] = sys.argv[4:]; "
    "import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
)


class RenderError(RuntimeError):
    """Graphviz could not draw the graph; the message is Graphviz's own."""


class RendererNotFound(RenderError):  # noqa: N818 - named like graphviz.ExecutableNotFound
    """Neither pygraphviz nor a ``dot`` executable is installed."""


def render(source: str, format: str, engine: str = "dot", *, limit: float = 60.0) -> bytes:
    """The picture of a DOT text, in one of Graphviz's formats; its warnings go to stderr.

    Raises:
        RendererNotFound: neither pygraphviz nor a ``dot`` executable is installed.
        RenderError: Graphviz reports an error, such as a syntax error.
        TimeoutError: the layout of a large graph takes more than ``limit`` seconds.
    """
    try:
        importlib.import_module("pygraphviz")
    except ImportError as missing:
        dot = shutil.which("dot")
        if dot is None:
            raise RendererNotFound(
                "no Graphviz to draw with: pip install pygraphviz, or save the graph as .dot text, "
                "which needs no renderer"
            ) from missing
        picture, log = _run([dot, f"-K{engine}", f"-T{format}"], source, limit)
    else:
        if source.count("->") <= _SMALL:
            picture, log = _draw(source, format, engine)
        else:
            child = [sys.executable, "-c", _CHILD, __file__, format, engine, *sys.path]
            picture, log = _run(child, source, limit)
    lines = log.splitlines(keepends=True)
    messages = "".join(line for line in lines if not line.startswith("Fontconfig "))
    # After an error in a label Graphviz goes on without the label: that picture would be wrong.
    if picture is None or messages.startswith("Error:") or "\nError:" in messages:
        raise RenderError(f"Graphviz: {messages.strip() or 'there is no graph in the DOT text'}")
    print(messages, end="", file=sys.stderr)
    return picture


def _draw(source: str, format: str, engine: str) -> tuple[bytes | None, str]:
    """The picture, or None after an error, and what was written to stderr meanwhile."""
    pygraphviz: Any = importlib.import_module("pygraphviz")
    picture = None
    with _GRAPHVIZ, TemporaryFile() as log:
        # A ValueError means bad DOT, a TypeError an unknown format; the log says more.
        with _stderr_into(log), suppress(ValueError, TypeError):
            picture = bytes(pygraphviz.AGraph(string=source).draw(format=format, prog=engine))
        log.seek(0)
        return picture, log.read().decode(errors="replace")


@contextmanager
def _stderr_into(log: IO[bytes]) -> Iterator[None]:
    """Send file descriptor 2, where C code writes, into a file."""
    try:
        saved = os.dup(2)
    except OSError:  # it is closed
        saved = None
    try:
        os.dup2(log.fileno(), 2)
        yield
    finally:
        if saved is None:
            os.close(2)
        else:
            os.dup2(saved, 2)
            os.close(saved)


def _run(command: list[str], source: str, limit: float) -> tuple[bytes | None, str]:
    """Draw in a child process; the picture, or None after an error, and the child's stderr."""
    try:
        child = subprocess.run(
            command, check=False, input=source.encode(), capture_output=True, timeout=limit,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TimeoutError(
            f"the layout was not done after {limit:g} s: draw fewer nodes, or save the graph as "
            ".dot text, which needs no layout"
        ) from None
    messages = child.stderr.decode(errors="replace")
    if child.returncode:
        return None, messages or f"stopped with exit code {child.returncode}"
    return child.stdout, messages


if __name__ == "__main__":  # the child process
    drawn, errors = _draw(sys.stdin.buffer.read().decode(), sys.argv[2], sys.argv[3])
    sys.stderr.buffer.write(errors.encode())
    sys.stdout.buffer.write(drawn or b"")
    sys.exit(drawn is None)
