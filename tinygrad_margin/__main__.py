"""``python -m tinygrad_margin``: the command line."""

import sys

from tinygrad_margin.cli import main

if __name__ == "__main__":
    sys.exit(main())
