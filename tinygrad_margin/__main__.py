"""The command line: ``python -m tinygrad_margin``, or ``tinygrad-margin``.

Exit status: 0; 2 where the input is at fault; 1 where the machine refuses (an unwritable folder).
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tinygrad_margin.draw import draw
from tinygrad_margin.expression import FUNCTIONS, evaluate
from tinygrad_margin.lesson import lesson
from tinygrad_margin.notation import number
from tinygrad_margin.render import RenderError

_EXAMPLES = """\
examples:
  {prog}                                  the lesson on J = max(Δ + s_c − s, 0)
  {prog} lesson --s 2 --s-c 0.5           the same where the margin is met
  {prog} draw 'max(1 + s_c - s, 0)' s=0.3 s_c=0.5 -o margin.svg
"""
_LESSON_EXAMPLES = """\
examples:
  {prog}                                  the margin is violated
  {prog} --s 2 --s-c 0.5                  met
  {prog} --s 1.5 --s-c 0.5 --out pictures at the kink; the picture goes to pictures/margin.svg
"""
_DRAW_EXAMPLES = """\
examples:
  {prog} 'max(1 + s_c - s, 0)' s=0.3 s_c=0.5 -o margin.svg
  {prog} 'log(x_1) + x_1*x_2 - sin(x_2)' x_1=2 x_2=5 -o baydin.png

a formula may hold numbers, names, + - * / **, parentheses and
{functions}
"""

_OPTION = re.compile(r"[^-]|-[ho-]|$")  # any word but one that begins with a minus sign


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser that complains in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {_line(message)}\n")


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
    # A formula or number may begin with a minus; the space keeps argparse from seeing an option.
    words = [word if _OPTION.match(word) else f" {word}" for word in words] or ["lesson"]
    options = parser.parse_args(words)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (OSError, RenderError) as error:
        return _complain(parser, error, 1)
    except (ValueError, ArithmeticError) as error:
        return _complain(parser, error, 2)


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

    add = commands.add_parser(
        "lesson",
        formatter_class=raw,
        epilog=_LESSON_EXAMPLES,
        help="why ∂J/∂s = −1 and ∂J/∂s_c = +1, in words and a picture",
        description="The lesson on J = max(Δ + s_c − s, 0).",
    )
    add.add_argument("--s", type=_number, default=0.3, help="the true score (%(default)s)")
    add.add_argument("--s-c", type=_number, default=0.5, help="the corrupted score (%(default)s)")
    add.add_argument("--delta", type=_number, default=1.0, help="the margin Δ (%(default)s)")
    add.add_argument(
        "--out",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="where margin.svg goes; made if missing (the current folder)",
    )
    add.set_defaults(run=_lesson)

    add = commands.add_parser(
        "draw",
        formatter_class=raw,
        epilog=_DRAW_EXAMPLES,
        help="the picture of any formula",
        description="Draw a formula as a graph, with its gradient.",
    )
    add.add_argument("expression", metavar="EXPRESSION", help="the formula")
    add.add_argument(
        "values",
        metavar="NAME=NUMBER",
        nargs="*",
        type=_assignment,
        help="a number for each name in the formula",
    )
    add.add_argument(
        "-o",
        "--output",
        default="graph.svg",
        metavar="FILE",
        help="a .svg, .png, .pdf, .dot or .gv file (%(default)s)",
    )
    add.set_defaults(run=_draw)

    for each in (parser, *commands.choices.values()):
        each.epilog = str(each.epilog).format(prog=each.prog, functions=", ".join(FUNCTIONS))
    return parser


def _lesson(options: argparse.Namespace) -> int:
    """The command ``lesson``."""
    text, J = lesson(options.s, options.s_c, options.delta)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(f"--out is to be a folder; {options.out} is a file") from None
    target = options.out / "margin.svg"
    draw(J, target)
    print(f"{text}\nThe picture: {target}")
    return 0


def _draw(options: argparse.Namespace) -> int:
    """The command ``draw``."""
    values: dict[str, float] = {}
    for name, value in options.values:
        if name in values:
            raise ValueError(f"{name} is given twice")
        values[name] = value
    J = evaluate(options.expression, values)
    J.label = J.label or ("J" if "J" not in values else "")
    draw(J, options.output)
    print(f"{J.label or 'out'} = {number(J.data, 12)}\nThe picture: {options.output}")
    return 0


def _number(text: str) -> float:
    """A finite number from the command line."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
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


def _complain(parser: argparse.ArgumentParser, error: BaseException, status: int) -> int:
    """Say what is wrong in one line on stderr."""
    print(f"{parser.prog}: {_line(str(error))}", file=sys.stderr)
    return status


def _line(message: str) -> str:
    """A message on one line."""
    return " ".join(message.split())


if __name__ == "__main__":
    sys.exit(main())
