"""All benchmarks, in one run.

    python tests/benchmarks              prints the tables
    python tests/benchmarks --write      and puts them, and a figure, into docs

Needs ``pip install '.[bench]'``, and Chromium for what happens in the browser. Read the ratios.
"""

import sys
from pathlib import Path

import compare
import replay

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    """Measure everything."""
    page = DOCS / "benchmarks.md"
    for mark, module in (("engine", compare), ("tape", replay)):
        text = module.table()
        print(f"{text}\n")
        if "--write" in sys.argv:
            head, rest = page.read_text("utf-8").split(f"<!-- {mark} -->\n")
            rest = rest.split(f"<!-- end of {mark} -->")[1]
            whole = f"{head}<!-- {mark} -->\n{text}\n<!-- end of {mark} -->{rest}"
            page.write_text(whole, "utf-8")
    if "--write" in sys.argv:
        replay.figure(str(DOCS / "benchmarks.svg"))


if __name__ == "__main__":
    main()
