"""The command line: the lesson, formulas as pictures and pages, demos cell by cell.

>>> from tinygrad_margin.cli import main
>>> main(["demo"])                                      # doctest: +ELLIPSIS
01_margin_loss ...
0
"""

from tinygrad_margin.cli.commands import main

__all__ = ["main"]
