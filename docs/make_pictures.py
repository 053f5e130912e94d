"""Make every picture in docs/pictures: ``python docs/make_pictures.py``."""

from pathlib import Path

from tinygrad_margin import Value, animate, beside, draw, margin_loss
from tinygrad_margin.nn import WindowScorer

FOLDER = Path(__file__).parent / "pictures"


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


if __name__ == "__main__":
    main()
