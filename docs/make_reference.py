"""Make docs/reference.md from the docstrings: ``python docs/make_reference.py``."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tinygrad_margin
from tinygrad_margin import check, nn

PAGE = Path(__file__).parent / "reference.md"
_SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Source", "Example")
_RESULTS = {"gradcheck": (check.GradientCheck, check.CheckedSlope)}  # what a function gives
_INTRODUCTION = """\
# Reference

Every public name, from its own docstring: `help(name)` says the same. The examples run in the test
suite, and this page is made by `python docs/make_reference.py`. An `Operand` is a `Value`, or a
plain number, which becomes a constant of the graph.

```python
>>> from tinygrad_margin import *
>>> from tinygrad_margin.nn import *

```
"""


def reference() -> str:
    """The page."""
    parts = [_INTRODUCTION, "## tinygrad_margin\n"]
    for name in sorted(tinygrad_margin.__all__, key=str.lower):
        parts.append(_entry(name, getattr(tinygrad_margin, name)))
    parts.append(f"## tinygrad_margin.nn\n\n{inspect.getdoc(nn).splitlines()[0]}\n")
    parts += [_entry(name, getattr(nn, name)) for name in sorted(nn.__all__)]
    return "\n".join(parts)


def _entry(name: str, thing: Any) -> str:
    """A public name."""
    lines = [f"### {name}\n", f"`{name}{_signature(thing)}`\n", _text(thing)]
    lines += _member_lines(thing)
    for result in _RESULTS.get(name, ()):
        lines += [f"#### {result.__name__}\n", _text(result), *_member_lines(result)]
    return "\n".join(lines).rstrip() + "\n"


def _member_lines(thing: Any) -> list[str]:
    """The members of a class, as items of a list."""
    return [
        f"- `{about[0]}`: {_marked(about[1])}" if about[1] else f"- `{member}`"
        for member, about in _members(thing)
    ]


def _members(thing: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    """The public methods and properties of a class, each with its signature and its first line."""
    if not inspect.isclass(thing) or issubclass(thing, BaseException):
        return
    for name, member in vars(thing).items():
        if name.startswith("_") or not (callable(member) or isinstance(member, property)):
            continue
        first = (inspect.getdoc(member) or "").partition("\n\n")[0].replace("\n", " ")
        called = "" if isinstance(member, property) else _signature(member, bound=True)
        yield name, (f"{name}{called}", first)


def _signature(thing: Any, bound: bool = False) -> str:
    """The signature, without what the reader sees elsewhere."""
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return ""
    signature = inspect.signature(thing)
    parameters = list(signature.parameters.values())[bound:]
    parameters = [each for each in parameters if each.annotation != "NoReturn"]  # for errors only
    signature = signature.replace(parameters=parameters)
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(signature))  # annotations are kept as text
    return text.replace(" -> None", "").replace(" = Ellipsis", "").replace("'", '"')


def _text(thing: Any) -> str:
    """A docstring as Markdown."""
    kinds = "|".join(_SECTIONS)
    heading = rf"^({kinds}):(?:\n| (?=\S))"
    about, *sections = re.split(heading, inspect.getdoc(thing) or "", flags=re.M)
    lines = [_marked(about.strip()), ""]
    for kind, indented in zip(sections[::2], sections[1::2], strict=True):
        body = inspect.cleandoc("\n" + indented)
        if kind == "Example":
            lines += ["```python", body, "", "```", ""]
        elif kind in ("Returns", "Source"):
            lines += [f"{kind}: {_marked(' '.join(body.split()))}", ""]
        else:
            items = re.split(r"^(?=\S)", body, flags=re.M)
            lines += [f"{kind}:", "", *(_item(item) for item in items if item.strip()), ""]
    return "\n".join(lines)


def _item(text: str) -> str:
    """``name: meaning``, as an item of a list."""
    name, _, meaning = " ".join(text.split()).partition(": ")
    return f"- `{name}`: {_marked(meaning)}"


def _marked(text: str) -> str:
    """Docstrings mark code with two backquotes."""
    return text.replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
