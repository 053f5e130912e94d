"""What guards a Value, so that the engine can be read without it.

Error messages (errors, arguments, usage), operators and names that a Value does not have (mistakes,
guarded), what NumPy asks (arrays), copying and pickling.
"""

from tinygrad_margin.guard.arguments import as_node, as_number, as_operand_number
from tinygrad_margin.guard.arrays import is_array
from tinygrad_margin.guard.copying import connect
from tinygrad_margin.guard.errors import SlopeError, check_slopes, slope_error, value_error
from tinygrad_margin.guard.guarded import Guarded, backward_slot, number_slot, text_slot
from tinygrad_margin.guard.mistakes import BACKWARD, OPERANDS, VALUE
from tinygrad_margin.guard.text import MISSING, describe, listed, one_line, typed
from tinygrad_margin.guard.usage import usage

__all__ = [
    "BACKWARD", "MISSING", "OPERANDS", "VALUE", "Guarded", "SlopeError", "as_node", "as_number",
    "as_operand_number", "backward_slot", "check_slopes", "connect", "describe", "is_array",
    "listed", "number_slot", "one_line", "slope_error", "text_slot", "typed", "usage",
    "value_error",
]  # fmt: skip
