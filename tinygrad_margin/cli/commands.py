"""The command line: ``python -m tinygrad_margin``, or ``tinygrad-margin``.

Exit status: 0; 2 where the input is at fault; 1 where the machine refuses (an unwritable folder).
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from tinygrad_margin.cli.formula import FUNCTIONS, evaluate
from tinygrad_margin.cli.lesson import lesson
from tinygrad_margin.cli.player import cells, demos, find, play, step_through
from tinygrad_margin.engine import Value, adjoints, topological_order
from tinygrad_margin.page import page
from tinygrad_margin.sweep import ReverseSweep
from tinygrad_margin.views.animate import animate
from tinygrad_margin.views.draw import draw
from tinygrad_margin.views.names import node_names
from tinygrad_margin.views.notation import number
from tinygrad_margin.views.run_graphviz import RenderError

_EXAMPLES = """\
examples:
  {prog}                                  the lesson on J = max(Δ + s_c − s, 0)
  {prog} lesson --s 2 --s-c 0.5           the same where the margin is met
  {prog} draw 'max(1 + s_c - s, 0)' s=0.3 s_c=0.5 -o margin.svg
  {prog} page 'max(1 + s_c - s, 0)' s=0.3 s_c=0.5 -o margin.html
  {prog} animate 'max(1 + s_c - s, 0)' s=0.3 s_c=0.5 -o sweep.svg
  {prog} step 'max(1 + s_c - s, 0)' s=0.3 s_c=0.5
  {prog} demo 01
"""
_LESSON_EXAMPLES = """\
examples:
  {prog}                                  the margin is violated
  {prog} --s 2 --s-c 0.5                  met
  {prog} --s 1.5 --s-c 0.5 --out pictures at the kink; picture and page go to pictures/
"""
_DRAW_EXAMPLES = """\
examples:
  {prog} 'max(1 + s_c - s, 0)' s=0.3 s_c=0.5 -o margin.svg
  {prog} 'log(x_1) + x_1*x_2 - sin(x_2)' x_1=2 x_2=5 -o baydin.png

a formula may hold numbers, names, + - * / **, parentheses and
{functions}
"""
_PAGE_EXAMPLES = """\
examples:
  {prog} 'max(1 + s_c - s, 0)' s=0.3 s_c=0.5 -o margin.html
  {prog} 'a / (a + b)' a=1 b=2 --title 'A share'
"""
_ANIMATE_EXAMPLES = """\
examples:
  {prog} 'max(1 + s_c - s, 0)' s=0.3 s_c=0.5 -o sweep.svg
  {prog} 'a*b + a' a=2 b=3 --seconds-per-step 2.5
"""
_STEP_EXAMPLES = """\
examples:
  {prog} 'max(1 + s_c - s, 0)' s=0.3 s_c=0.5
  {prog} 'log(x_1) + x_1*x_2 - sin(x_2)' x_1=2 x_2=5 -o moment.png
"""
_DEMO_EXAMPLES = """\
examples:
  {prog}                                  which demos there are
  {prog} 01                               the margin loss, cell by cell
  {prog} 03 --out pictures                with its pictures
"""

_FLAG = re.compile(r"(-h|--help)$")
_OPTION = re.compile(r"(--s|--s-c|--delta|--out)(=|$)")
# A formula may begin with a minus, and -o may be one: what is glued to -o has to be a file's name.
_OPTION_BY_FORMULA = re.compile(
    r"(-o|--output|--title|--seconds-per-step)(=|$)|(-o)(?=.*\.(svg|png|pdf|dot|gv|html?)$)", re.I
)
_OF_FORMULAS = ("draw", "page", "animate", "step")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser that complains in one line."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_complain(self, message, 2))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after the program's name; None: those of this process.

    Returns:
        The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without Unicode shows ? rather than fails
            stream.reconfigure(errors="replace")
    parser = _parser()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        options = parser.parse_args(_sorted(words) or ["lesson"])
        status = int(options.run(options))
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (OSError, RenderError) as error:
        return _complain(parser, error, 1)
    except (ValueError, ArithmeticError) as error:
        return _complain(parser, error, 2)


def _sorted(words: Sequence[str]) -> list[str]:
    """The command, its options, then the rest, which may begin with a minus as formulas do."""
    options: list[str] = []
    rest: list[str] = []
    has_formula = next(iter(words), "") in _OF_FORMULAS
    pattern = _OPTION_BY_FORMULA if has_formula else _OPTION
    left = iter(words)
    for word in left:
        if _FLAG.match(word):
            options.append(word)
        elif match := pattern.match(word):
            name = "--output" if match[0].startswith("-o") else match[1]
            value = next(left, "--") if match[2] == "" else word[match.end() :]
            if value == "--":  # argparse is to say that an argument is missing
                return [*rest[:1], name]
            options.append(f"{name}={value}")
        elif word == "--":
            rest.extend(left)
        else:
            rest.append(word)
    command, rest = rest[:1], rest[1:]
    if has_formula and any(word.startswith("-") for word in rest):
        rest = ["--", *rest]
    return [*command, *options, *rest]


def _parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="tinygrad-margin",
        formatter_class=raw,
        epilog=_EXAMPLES,
        description="Reverse-mode differentiation, shown on the max-margin loss.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(run: Callable[[argparse.Namespace], int], what: str, examples: str) -> _Parser:
        name = run.__name__.removeprefix("_")
        description = f"{what[0].upper()}{what[1:]}."
        added: _Parser = commands.add_parser(
            name, formatter_class=raw, help=what, description=description, epilog=examples
        )
        added.set_defaults(run=run)
        return added

    def formula(command: _Parser, output: str, what: str) -> None:
        add = command.add_argument
        add("expression", metavar="EXPRESSION", help="the formula")
        add("values", metavar="NAME=NUMBER", nargs="*", type=_assignment,
            help="a number for each name in the formula")  # fmt: skip
        add("-o", "--output", default=output, metavar="FILE", help=f"{what} (%(default)s)")

    add = command(
        _lesson, "why ∂J/∂s = −1 and ∂J/∂s_c = +1, in words and a picture", _LESSON_EXAMPLES
    ).add_argument
    add("--s", type=_number, default=0.3, help="the true score (%(default)s)")
    add("--s-c", type=_number, default=0.5, help="the corrupted score (%(default)s)")
    add("--delta", type=_number, default=1.0, help="the margin Δ (%(default)s)")
    add("--out", type=Path, default=Path(), metavar="DIR",
        help="where margin.svg and margin.html go (the current folder)")  # fmt: skip

    draws = command(_draw, "the picture of any formula, with its gradient", _DRAW_EXAMPLES)
    formula(draws, "graph.svg", "a .svg, .png, .pdf, .dot or .gv file")

    pages = command(
        _page, "an interactive page of any formula: drag its inputs, step through", _PAGE_EXAMPLES
    )
    formula(pages, "graph.html", "an .html file")
    pages.add_argument("--title", metavar="TEXT", help="what stands above it (the formula)")

    animations = command(
        _animate, "the reverse sweep of any formula as one animated SVG", _ANIMATE_EXAMPLES
    )
    formula(animations, "sweep.svg", "an .svg file")
    animations.add_argument("--seconds-per-step", type=_number, default=1.0, metavar="SECONDS",
                            help="how long each step shows (%(default)g)")  # fmt: skip

    steps = command(
        _step,
        "the reverse sweep of any formula, one step at a time: Enter, b back, d draws, r runs on",
        _STEP_EXAMPLES,
    )
    formula(steps, "step.svg", "what d draws")

    add = command(
        _demo, "a demo to go through, cell by cell: Enter runs one, b goes back", _DEMO_EXAMPLES
    ).add_argument
    add("name", metavar="NAME", nargs="?", help="a demo's name or number, or a file")
    add("--out", type=Path, metavar="DIR", help="where its pictures go")

    for each in (parser, *commands.choices.values()):
        each.epilog = str(each.epilog).format(prog=each.prog, functions=", ".join(FUNCTIONS))
    return parser


def _lesson(options: argparse.Namespace) -> int:
    """The command ``lesson``."""
    text, J = lesson(options.s, options.s_c, options.delta)
    _make_folder(options.out)
    picture, interactive = options.out / "margin.svg", options.out / "margin.html"
    draw(J, picture)
    page(J, interactive, title="J = max(Δ + s_c − s, 0)")
    print(f"{text}\nThe picture: {picture}\nThe page to play with, in a browser: {interactive}")
    return 0


def _make_folder(folder: Path) -> None:
    """Make the folder for ``--out``."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(f"--out is to be a folder; {folder} is a file") from None


def _draw(options: argparse.Namespace) -> int:
    """The command ``draw``."""
    J = _formula(options)
    draw(J, options.output)
    names = node_names(topological_order(J))
    print(f"{names[J]} = {number(J.data, 12)}")
    gradient = adjoints(J, missing=math.nan)
    for node, slope in gradient.items():
        if node.op == "" and node.label:
            text = "does not exist" if math.isnan(slope) else f"= {number(slope, 12)}"
            print(f"∂{names[J]}/∂{names[node]} {text}")
    print(f"The picture: {options.output}")
    return 0


def _page(options: argparse.Namespace) -> int:
    """The command ``page``."""
    J = _formula(options)
    title = options.title
    if title is None:
        title = f"{node_names(topological_order(J))[J]} = {options.expression}"
    page(J, options.output, title=title)
    print(f"The page, to open in a browser: {options.output}")
    return 0


def _animate(options: argparse.Namespace) -> int:
    """The command ``animate``."""
    animate(_formula(options), options.output, seconds_per_step=options.seconds_per_step)
    print(f"The animation: {options.output}")
    return 0


def _step(options: argparse.Namespace) -> int:
    """The command ``step``."""
    step_through(ReverseSweep(_formula(options)), options.output)
    return 0


def _demo(options: argparse.Namespace) -> int:
    """The command ``demo``."""
    if options.name is None:
        for name, path in demos().items():
            title = cells(path.read_text("utf-8"))[0].splitlines()[0].removeprefix("# %% ")
            print(f"{name:20} {title}")
        return 0
    demo = find(options.name)
    if options.out is not None:
        _make_folder(options.out)
    return 0 if play(demo, options.out) else 1


def _formula(options: argparse.Namespace) -> Value:
    """The graph of EXPRESSION at NAME=NUMBER …"""
    values: dict[str, float] = {}
    for name, value in options.values:
        if name in values:
            raise ValueError(f"{name} is given twice")
        values[name] = value
    return evaluate(options.expression, values)


def _number(text: str) -> float:
    """A finite number from the command line."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a finite number")
    return value


def _assignment(text: str) -> tuple[str, float]:
    """NAME=NUMBER."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not of the form NAME=NUMBER")
    return name, _number(value)


def _complain(parser: argparse.ArgumentParser, error: BaseException | str, status: int) -> int:
    """Say what is wrong in one line on stderr, if there is one."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"{parser.prog}: {_line(str(error))}", file=sys.stderr, flush=True)
    return status


def _line(message: str) -> str:
    """A message on one line."""
    return " ".join(message.split())


if __name__ == "__main__":
    sys.exit(main())
