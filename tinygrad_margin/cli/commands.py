"""The command line: ``python -m tinygrad_margin``, or ``tinygrad-margin``."""

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from tinygrad_margin.cli.formula import FUNCTIONS, evaluate
from tinygrad_margin.cli.lesson import lesson
from tinygrad_margin.cli.player import demos, find_demo, play, split_cells, step_through
from tinygrad_margin.engine import Value, adjoints, topological_order
from tinygrad_margin.page import page
from tinygrad_margin.sweep import ReverseSweep
from tinygrad_margin.views.animate import animate
from tinygrad_margin.views.draw import draw
from tinygrad_margin.views.names import node_names
from tinygrad_margin.views.notation import derivative, number
from tinygrad_margin.views.run_graphviz import RenderError
from tinygrad_margin.views.sweep_sentences import slopes_or_nan

_MARGIN = "'max(1 + s_c - s, 0)' s=0.3 s_c=0.5"
_BAYDIN = "'log(x_1) + x_1*x_2 - sin(x_2)' x_1=2 x_2=5"
# A minus in front of a formula or a number, not of an option such as -h, --out and -oFILE.
_MINUS = re.compile(r"-(?!h$|o$|o.*\.[a-zA-Z]+$|-$|-[a-z]).", re.DOTALL)


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_complain(self, message, 2))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in the arguments (those of this process), and return the exit status.

    It is 0; 2 if the input is wrong; 1 if a file cannot be written or a demo fails.
    """
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without Unicode shows ? and does not fail
            stream.reconfigure(errors="replace")
    parser, commands = _parsers()
    words = (sys.argv[1:] if arguments is None else arguments) or ["lesson"]
    # a space keeps argparse from taking -x for an option
    words = [f" {word}" if _MINUS.match(word) else word for word in words]
    try:
        try:
            if words[0] in commands:
                options = commands[words[0]].parse_intermixed_args(words[1:])
            else:
                options = parser.parse_args(words)
            return options.run(options) or 0  # only a demo has a status of its own
        finally:
            print(end="", flush=True)  # after --help too
    except KeyboardInterrupt:
        return 130
    except (OSError, RenderError) as error:
        if isinstance(error, BrokenPipeError) and error.filename is None:
            # the reader of stdout, for example `head`, has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return _complain(parser, error, 1)
    except (ValueError, ArithmeticError) as error:
        return _complain(parser, error, 2)


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    """The parser of the command line, and one for each command."""
    options: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = _Parser(
        prog="tinygrad-margin",
        description="Reverse-mode differentiation. Without a command: the lesson.",
        epilog="examples:",
        **options,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        run: Callable[..., Any], what: str, *examples: str, output: tuple[str, str] | None = None
    ) -> Callable[..., argparse.Action]:
        name = run.__name__.removeprefix("_")
        epilog = "\n  ".join(["examples:", *(f"%(prog)s {example}" for example in examples)])
        parser.epilog = f"{parser.epilog}\n  %(prog)s {name} {examples[0]}"
        added: _Parser = commands.add_parser(
            name, help=what, description=f"{what}.", epilog=epilog, allow_abbrev=False, **options
        )
        added.set_defaults(run=run)
        add = added.add_argument
        if output is not None:  # the command takes a formula
            syntax = f"numbers, names, + - * / **, parentheses and {', '.join(FUNCTIONS)}"
            add("expression", metavar="EXPRESSION", type=str.strip, help=syntax)
            add("values", metavar="NAME=NUMBER", nargs="*", default=[], type=_assignment,
                help="a number for each name in the formula")  # fmt: skip
            add("-o", "--output", default=output[0], type=str.strip, metavar="FILE",
                help=f"{output[1]} (%(default)s)")  # fmt: skip
        return add

    add = command(_lesson, "Explain why ∂J/∂s = −1 and ∂J/∂s_c = +1, in words and a picture",
                  "--s 2 --s-c 0.5", "--s 1.5 --s-c 0.5 --out pictures")  # fmt: skip
    add("--s", type=float, default=0.3, help="the true score (%(default)s)")
    add("--s-c", type=float, default=0.5, help="the corrupted score (%(default)s)")
    add("--delta", type=float, default=1.0, help="the margin Δ (%(default)s)")
    add("--out", type=_folder, default=Path(), metavar="DIR",
        help="the folder for margin.svg and margin.html (the current folder)")  # fmt: skip
    command(_draw, "Draw a formula as a graph, with its gradient",
            f"{_MARGIN} -o margin.svg", f"{_BAYDIN} -o baydin.png",
            output=("graph.svg", "a .svg, .png, .pdf, .dot or .gv file"))  # fmt: skip
    add = command(_page, "Make a page of a formula: drag its inputs, step through its sweep",
                  f"{_MARGIN} -o margin.html", "'a / (a + b)' a=1 b=2 --title 'A share'",
                  output=("graph.html", "an .html file"))  # fmt: skip
    add("--title", metavar="TEXT", help="the title (the formula)")
    add = command(_animate, "Make an animated SVG of a formula's reverse sweep",
                  f"{_MARGIN} -o sweep.svg", "'a*b + a' a=2 b=3 --seconds-per-step 2.5",
                  output=("sweep.svg", "an .svg file"))  # fmt: skip
    add("--seconds-per-step", type=float, default=1.0, metavar="SECONDS",
        help="how long each step is shown (%(default)g)")  # fmt: skip
    command(_step, "Step through a formula's reverse sweep: Enter, b back, d draws, r runs on",
            _MARGIN, f"{_BAYDIN} -o step.png",
            output=("step.svg", "the file that d draws into"))  # fmt: skip
    add = command(_demo, "Go through a demo, cell by cell; without NAME, list the demos",
                  "01", "03 --out pictures")  # fmt: skip
    add("name", metavar="NAME", nargs="?", type=str.strip,
        help="a demo's name or number, or a file")  # fmt: skip
    add("--out", type=_folder, metavar="DIR", help="the folder for its pictures")
    return parser, commands.choices


def _lesson(options: argparse.Namespace) -> None:
    text, J = lesson(options.s, options.s_c, options.delta)
    options.out.mkdir(parents=True, exist_ok=True)
    picture, interactive = options.out / "margin.svg", options.out / "margin.html"
    draw(J, picture)
    page(J, interactive, title="J = max(Δ + s_c − s, 0)")
    print(f"{text}\nThe picture: {picture}\nThe page to play with, in a browser: {interactive}")


def _draw(options: argparse.Namespace) -> None:
    J = _formula(options)
    draw(J, options.output)
    names = node_names(topological_order(J))
    print(f"{names[J]} = {number(J.data, 12)}")
    for node, slope in adjoints(J, slopes_or_nan).items():
        if node.op == "" and node.label:
            text = "does not exist" if math.isnan(slope) else f"= {number(slope, 12)}"
            print(f"{derivative(names[J], names[node])} {text}")
    print(f"The picture: {options.output}")


def _page(options: argparse.Namespace) -> None:
    J = _formula(options)
    formula = f"{node_names(topological_order(J))[J]} = {options.expression}"
    page(J, options.output, title=formula if options.title is None else options.title)
    print(f"The page, to open in a browser: {options.output}")


def _animate(options: argparse.Namespace) -> None:
    animate(_formula(options), options.output, seconds_per_step=options.seconds_per_step)
    print(f"The animation: {options.output}")


def _step(options: argparse.Namespace) -> None:
    step_through(ReverseSweep(_formula(options)), options.output)


def _demo(options: argparse.Namespace) -> int:
    if options.name is None:
        for name, path in demos().items():
            title = split_cells(path.read_text("utf-8"))[0].splitlines()[0].removeprefix("# %% ")
            print(f"{name:20} {title}")
        return 0
    demo = find_demo(options.name)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    return 0 if play(demo, options.out) else 1


def _formula(options: argparse.Namespace) -> Value:
    """The graph of EXPRESSION at NAME=NUMBER …"""
    names = [name for name, _ in options.values]
    if len(set(names)) < len(names):
        raise ValueError(f"{max(names, key=names.count)} is given more than once")
    return evaluate(options.expression, dict(options.values))


def _folder(text: str) -> Path:
    """DIR, without the space that ``main`` puts before a minus."""
    return Path(text.strip())


def _assignment(text: str) -> tuple[str, float]:
    """NAME=NUMBER."""
    name, _, number = text.partition("=")
    with suppress(ValueError):
        if name.strip() and math.isfinite(value := float(number.replace("−", "-"))):
            return name.strip(), value
    message = f"{text.strip()!r:.60} is not of the form NAME=NUMBER, with a finite number"
    raise argparse.ArgumentTypeError(message)


def _complain(parser: argparse.ArgumentParser, error: BaseException | str, status: int) -> int:
    """Print one line on stderr that says what is wrong; return the status."""
    with suppress(OSError):  # nobody reads it, but there is still the status
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
    return status
