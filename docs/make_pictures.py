"""Make every picture in docs/pictures: ``python docs/make_pictures.py``."""

from pathlib import Path

from tinygrad_margin import Value, draw, margin_loss

FOLDER = Path(__file__).parent / "pictures"


def main(folder: Path = FOLDER) -> None:
    """Write the pictures into a folder."""
    folder.mkdir(exist_ok=True)
    for name, s in (("violated", 0.3), ("met", 3.0), ("kink", 1.5)):
        draw(margin_loss(Value(s), Value(0.5)), folder / f"margin-{name}.svg")


if __name__ == "__main__":
    main()
