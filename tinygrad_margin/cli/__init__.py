"""The command line: the lesson, pictures and pages of formulas, and the demos.

>>> from tinygrad_margin.cli import main
>>> main(["demo"])                                      # doctest: +ELLIPSIS
01_margin_loss ...
0
"""

from tinygrad_margin.cli.commands import main

__all__ = ["main"]
