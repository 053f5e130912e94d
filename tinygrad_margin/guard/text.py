r"""Labels, values and arguments as text that is safe to show, in a message or a picture.

>>> one_line("a\nb"), one_line("x" * 50, 5)
('a b', 'xxxx…')
"""

from typing import Any

MISSING: Any = ...  # the default of an argument that has to be given


def one_line(label: object, longest: int = 40) -> str:
    """A label on one line, shortened, without characters that no screen shows."""
    text = "".join(c if c.isprintable() else " " for c in str(label)[: longest + 1]).strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def describe(node: Any) -> str:
    """A node in an error message: ``x = 2.0``, or the number alone if it has no label."""
    return f"{one_line(node.label)} = {node.data}" if node.label else f"{node.data}"


def typed(x: object) -> str:
    """An argument, after its type: ``str '2'``."""
    return "nothing" if x is MISSING else f"{type(x).__name__} {x!r:.60}"


def listed(*given: object, **named: object) -> str:
    """Arguments of a call, as an error message shows them."""
    texts = [f"{x!r:.60}" for x in given[:3]]
    return ", ".join(texts + [f"{name}={x!r:.60}" for name, x in named.items()])
