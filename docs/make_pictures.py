"""Make every picture in docs/pictures: ``python docs/make_pictures.py``."""

import ast
import html
import re
import textwrap
from pathlib import Path

from tinygrad_margin import Value, animate, beside, draw, margin_loss
from tinygrad_margin.nn import WindowScorer
from tinygrad_margin.views.dot import Picture
from tinygrad_margin.views.draw import save

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"


def main(folder: Path = FOLDER) -> None:
    """Write the pictures into a folder."""
    folder.mkdir(exist_ok=True)
    for name, s in (("violated", 0.3), ("met", 3.0), ("kink", 1.5)):
        draw(margin_loss(Value(s), Value(0.5)), folder / f"margin-{name}.svg")
    J = margin_loss(Value(0.3), Value(0.5))
    draw(J, folder / "margin-forward.svg", gradients=False)
    animate(J, folder / "margin-sweep.svg", seconds_per_step=1.8)

    s = Value(0.3, "s")
    beside(
        {"s and s_c are leaves": J, "s_c = s/2: one edge more": margin_loss(s, s / 2)},
        folder / "one-edge-more.svg",
    )

    net = WindowScorer(n_inputs=2, n_hidden=1, seed=1)
    s, s_c = (
        net([Value(number, f"{name}{j}") for j, number in enumerate(window, 1)])
        for name, window in (("x_", [0.5, -0.2]), ("x_c", [-0.7, 0.1]))
    )
    draw(margin_loss(s, s_c), folder / "shared-weights.svg")

    x = Value(2.0, "x")
    y = x * x + 3 * x
    y.label = "y"
    draw(y, folder / "tutorial.svg")
    save(rooms(), folder / "rooms.svg")


def rooms() -> Picture:
    """The rooms of the package: layers from pyproject.toml, words and imports from the code."""
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    contract = re.search(r"^layers = \[(.*?)^\]", settings, re.M | re.S)
    layers = [re.findall(r"\w+", line) for line in re.findall('"(.*)"', contract[1])]
    about, imports = {}, {}
    for room in (room for layer in layers for room in layer):
        package = ROOT / "tinygrad_margin"
        files = sorted((package / room).glob("*.py")) or [package / f"{room}.py"]
        trees = [ast.parse(path.read_text("utf-8")) for path in files]
        about[room] = ast.get_docstring(trees[0]).splitlines()[0]
        imports[room] = {
            name
            for tree in trees
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module.startswith("tinygrad_margin")
            for name in (node.module.split(".")[1:2] or [alias.name for alias in node.names])
        } - {room}
    picture = Picture(
        graph_attr={"nodesep": "0.25", "ranksep": "0.4", "pad": "0.2", "bgcolor": "white"},
        node_attr={"shape": "plain", "fontname": "Helvetica", "fontsize": "12"},
        edge_attr={"color": "#5f6973", "arrowsize": "0.6"},
    )
    for layer in layers:
        with picture.subgraph(graph_attr={"rank": "same"}) as row:
            for room in layer:
                lines = textwrap.wrap(about[room].rstrip("."), 26)
                text = "".join(f"<br/>&#160;{html.escape(line)}&#160;" for line in lines)
                fill = "#e6f6ec" if room in ("ops", "engine") else "#ffffff"
                row.node(room, label=f'<<table border="1" color="#5f6973" bgcolor="{fill}" '
                         f'cellborder="0" cellpadding="4" style="rounded"><tr><td>&#160;<b>{room}'
                         f"</b>&#160;{text}</td></tr></table>>")  # fmt: skip
    for room, used in imports.items():
        for other in sorted(used):  # no arrow where there is a longer way along the arrows
            if not any(other in reached(imports, between) for between in used):
                picture.edge(room, other)
    return picture


def reached(imports: dict[str, set[str]], room: str) -> set[str]:
    """The rooms that a room imports from, and that these import from, and so on."""
    return imports[room].union(*(reached(imports, other) for other in imports[room]))


if __name__ == "__main__":
    main()
