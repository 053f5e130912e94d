"""Turn DOT text into a picture, and put it on disk whole or not at all.

    >>> layout("digraph { s -> J }", "svg")[:5]
    b'<?xml'

No ``dot`` executable is needed: pygraphviz brings Graphviz along, and small graphs are drawn in
this process. Large ones are drawn in a child process, because only a child can be stopped.
"""

from __future__ import annotations

import errno
import importlib
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

_SMALL = 300  # nodes + arrows drawn; up to here even the densest graph takes a second or two
_GRAPHVIZ = threading.Lock()  # the library is not thread safe
_CHILD = (  # with this process's sys.path, and without its __main__
    "import sys; sys.path[:] = sys.argv[4:]; "
    "import runpy; runpy.run_path(sys.argv[1], run_name='__main__')"
)
_ADVICE = {
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "a part of this path is a file, not a folder",
    errno.EISDIR: "give the name of a file in it",
    errno.EACCES: "choose a place where you may write",
    errno.EPERM: "choose a place where you may write",
    errno.EROFS: "choose a place where you may write",
    errno.ENOSPC: "make room first",
}


class RenderError(RuntimeError):
    """Graphviz could not draw the graph; the message is Graphviz's own."""


class RendererNotFound(RenderError):  # noqa: N818 - named as graphviz.ExecutableNotFound
    """There is neither pygraphviz nor a ``dot`` executable."""


def effort(nodes: int, edges: int, span: int = 0) -> dict[str, str]:
    """Graph attributes that keep the layout of a large graph to seconds.

    Args:
        nodes: the number of nodes.
        edges: the number of edges, each drawn twice: forward, and back with a label.
        span: how many ranks they reach across, all together.

    Returns:
        Attributes for the graph; none for a small one.
    """
    if nodes + 2 * edges <= _SMALL and span <= _SMALL:
        return {}
    # Nearly all the time goes into straightening the edges: stop after 2 steps per node.
    attributes = {"nslimit": "2"}
    if edges > max(750, 5 * nodes):  # so dense that no eye follows a curve
        attributes |= {"mclimit": "0.2", "splines": "line"}
    return attributes


def layout(source: str, format: str, engine: str = "dot", *, limit: float = 60.0) -> bytes:
    """Draw a graph.

    Args:
        source: DOT text.
        format: "svg", "png", "pdf" or another of Graphviz's formats.
        engine: "dot" or another of Graphviz's layout engines.
        limit: the most seconds that a large graph may take.

    Returns:
        The picture. Graphviz's warnings go to stderr.

    Raises:
        RendererNotFound: there is neither pygraphviz nor a ``dot`` executable.
        RenderError: Graphviz reports an error, a syntax error say.
        TimeoutError: the layout takes longer than ``limit``.
    """
    text = source.encode()
    try:
        importlib.import_module("pygraphviz")
    except ImportError as missing:
        dot = shutil.which("dot")
        if dot is None:
            raise RendererNotFound(
                "no Graphviz to draw with: pip install pygraphviz, or save the graph as .dot text, "
                "which needs no renderer"
            ) from missing
        picture, log = _run([dot, f"-K{engine}", f"-T{format}"], text, limit)
    else:
        picture, log = _draw(text, format, engine, _SMALL)
        if picture == b"":
            child = [sys.executable, "-c", _CHILD, __file__, format, engine, *sys.path]
            picture, more = _run(child, text, limit)
            log += more
    lines = log.splitlines(keepends=True)
    said = "".join(line for line in lines if not line.startswith("Fontconfig "))
    # After an error in a label Graphviz draws on, without the label: no picture beats a wrong one.
    if picture is None or said.startswith("Error:") or "\nError:" in said:
        raise RenderError(f"Graphviz: {said.strip() or 'there is no graph in the DOT text'}")
    if sys.stderr is not None:
        sys.stderr.write(said)
    else:
        with suppress(OSError):
            os.write(2, said.encode())
    return _set_in_lines(picture) if format == "svg" else picture


# A node in Graphviz's SVG, and in it a run of text in one style.
_NODE = re.compile(r'<g id="[^"]*" class="node">(?:(?!<g\b).)*?</g>', re.S)
_RUN = re.compile(
    r'<text (?:xml:space="preserve" )?text-anchor="start" x="[^"]*" y="([^"]*)"([^>]*)>'
    r"([^<]*)</text>\s*"
)
_OUTLINE = re.compile(r'<(?:polygon|path)\b[^>]* (?:points|d)="([^"]*)"')
_SHIFT = {"sub": (3.5, 0.77), "super": (-5.0, 0.77)}  # points down, and how much smaller
_PADDING = "\u00a0"  # around each line of the boxes that draw makes


def _set_in_lines(svg: bytes) -> bytes:
    """The SVG with each line of a box in one piece, centred.

    Graphviz gives every change of style a place of its own, by the widths of a font that it found.
    A browser has another font, and the pieces would overlap.
    """
    return _NODE.sub(_set_node, svg.decode().replace("&#160;", _PADDING)).encode()


def _set_node(node: re.Match[str]) -> str:
    """A node's text, line by line."""
    outline = _OUTLINE.search(node[0])
    if outline is None:
        return node[0]
    xs = [float(pair.split(",")[0]) for pair in re.findall(r"-?[\d.]+,-?[\d.]+", outline[1])]
    centre = (min(xs) + max(xs)) / 2

    def set_block(block: re.Match[str]) -> str:
        lines = []
        for y, runs in groupby(_RUN.finditer(block[0]), key=lambda run: run[1]):
            line = list(runs)
            text = "".join(run[3] for run in line)
            if not (text.startswith(_PADDING) and text.endswith(_PADDING)):
                return block[0]  # not written by draw
            lines.append(
                f'<text text-anchor="middle" x="{centre:.2f}" y="{y}"{line[0][2]}>'
                f"{_tspans(line)}</text>\n"
            )
        return "".join(lines)

    return re.sub(f"(?:{_RUN.pattern})+", set_block, node[0])


def _tspans(line: list[re.Match[str]]) -> str:
    """The runs of a line, one after another."""
    spans, level = [], 0.0
    for run in line:
        text, style = run[3].strip(_PADDING), run[2]
        if not text:
            continue
        kind = re.search(r' baseline-shift="(\w+)"', style)
        to, smaller = _SHIFT[kind[1]] if kind else (0.0, 1.0)
        style = re.sub(r' (baseline-shift|font-family)="[^"]*"', "", style)
        size = re.search(r'font-size="([\d.]+)"', style)
        if size and smaller != 1.0:
            style = style.replace(size[0], f'font-size="{float(size[1]) * smaller:.2f}"')
        shift = f' dy="{to - level:g}"' if to != level else ""
        spans.append(f'<tspan xml:space="preserve"{style}{shift}>{text}</tspan>')
        level = to
    return "".join(spans)


def _draw(source: bytes, format: str, engine: str, most: float) -> tuple[bytes | None, str]:
    """Draw in this process.

    Returns:
        The picture, None after an error, b"" for a graph of more than ``most`` nodes and edges;
        and what anyone wrote to stderr meanwhile.
    """
    gv: Any = importlib.import_module("pygraphviz.graphviz")
    picture = None
    # The DOT text goes in by a file: a pipe would fill up, as the library holds the GIL.
    with _GRAPHVIZ, TemporaryFile() as log:
        with _stderr_into(log), TemporaryFile() as text:
            text.write(source)
            text.seek(0)
            with suppress(ValueError):  # bad DOT: the log says what is wrong
                graph = gv.agread(text, None)
                try:
                    large = gv.agnnodes(graph) + gv.agnedges(graph) > most
                    picture = b"" if large else _picture(gv, graph, format, engine)
                finally:
                    gv.agclose(graph)
        log.seek(0)
        return picture, log.read().decode(errors="replace")


def _picture(gv: Any, graph: Any, format: str, engine: str) -> bytes | None:
    """The picture of a C graph; None after an error."""
    # pygraphviz 1 finds Graphviz's plugins by itself.
    context = getattr(gv, "gvContextWithBuiltins", gv.gvContext)()
    try:
        if gv.gvLayout(context, graph, engine.encode()):
            return None
        rendered = gv.gvRenderData(context, graph, format.encode())
        gv.gvFreeLayout(context, graph)
        return None if isinstance(rendered, int) else bytes(rendered[1])
    finally:
        gv.gvFreeContext(context)


@contextmanager
def _stderr_into(log: IO[bytes]) -> Iterator[None]:
    """Send file descriptor 2, where C code writes, into a file."""
    try:
        saved = os.dup(2)
    except OSError:  # closed; occupied meanwhile, so that no other file lands there
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


def _run(command: list[str], text: bytes, limit: float) -> tuple[bytes | None, str]:
    """Draw in a child process, killed at the limit; the picture or None, and its stderr."""
    try:
        done = subprocess.run(
            command, check=False, input=text, capture_output=True, timeout=limit,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TimeoutError(
            f"the layout was not done after {limit:g} s: draw fewer nodes, or save the graph as "
            ".dot text, which needs no layout"
        ) from None
    said = done.stderr.decode(errors="replace")
    if done.returncode:
        return None, said or f"stopped with exit code {done.returncode}"
    return done.stdout, said


def file_format(
    to: str | os.PathLike[str], what: str, formats: Sequence[str], also: Sequence[str] = ()
) -> str:
    """The format that a file name asks for.

    Args:
        to: the file name.
        what: who is to write it.
        formats: those that it writes, as suffixes without the dot.
        also: other suffixes that are taken.

    Raises:
        TypeError: it is no name.
        ValueError: the name asks for something else.
    """
    if not isinstance(to, (str, os.PathLike)):
        raise TypeError(
            f"{what} writes to a file by its name, a text or a Path; got {type(to).__name__} "
            f"{to!r:.60}"
        )
    suffix = Path(to).suffix.lower().removeprefix(".")
    if suffix not in (*formats, *also):
        known = ", ".join(f".{each}" for each in formats)
        raise ValueError(f"{what} writes {known}; got {os.fspath(to)!r}")
    return suffix


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file whole or not at all: after a failure the old content is still there.

    Args:
        path: the file; a symbolic link is followed.
        data: its new content.

    Raises:
        OSError: FileNotFoundError, PermissionError, IsADirectoryError ..., with what to do.
    """
    target = os.path.realpath(path)
    temporary = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.tmp")
    try:
        if os.path.isdir(target):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        mode = os.stat(path).st_mode if os.path.exists(path) else None
        if mode is not None and not stat.S_ISREG(mode):  # a device or pipe, not to be replaced
            with open(path, "wb") as device:
                device.write(data)
            return
        if mode is not None:
            open(target, "ab").close()  # a file that may not be written is not replaced either
        try:
            with open(temporary, "xb") as file:
                file.write(data)
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "the file is as it was")
        raise OSError(error.errno, f"{error.strerror}; {advice}", os.fspath(path)) from None


if __name__ == "__main__":  # the child process
    drawn = _draw(sys.stdin.buffer.read(), sys.argv[2], sys.argv[3], float("inf"))
    sys.stderr.buffer.write(drawn[1].encode())
    sys.stdout.buffer.write(drawn[0] or b"")
    sys.exit(drawn[0] is None)
