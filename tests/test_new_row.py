"""A new operation is one new row, and one line that names its method: in a copy of the package."""

import shutil
import subprocess
import sys
from pathlib import Path

import tinygrad_margin

PACKAGE = Path(tinygrad_margin.__file__).parent
ROW = """
SOFTPLUS = Primitive("softplus", "softplus", 1, lambda m, a: m.log(1.0 + m.exp(a)),
                     lambda m, a, out: (m.sigmoid(a),))

TABLE = """
METHOD = '    relu = OPERATIONS["relu"]\n    softplus = OPERATIONS["softplus"]\n'
USE = """
import math
import numpy as np
from tinygrad_margin import *
from tinygrad_margin.cli.formula import evaluate

x = Value(0.5, "x")
J = x.softplus() * 2
J.backward()
slope = 2 / (1 + math.exp(-0.5))
assert math.isclose(x.grad, slope, rel_tol=1e-15)
assert math.isclose(hessian(J, x)[0][0], slope * (1 - slope / 2), rel_tol=1e-12)
assert "softplus(x)" in str(ReverseSweep(J).run()[2])
assert "softplus" in draw(J).source
assert gradcheck(lambda x: x.softplus() * 2, [0.5])
value, (slopes,) = Tape(J, [x]).value_and_grad([np.array([0.5, 0.0])])
np.testing.assert_allclose(slopes, [slope, 1.0], rtol=1e-14)
assert '"softplus": {' in page(J).html and "(a, out) => [m.sigmoid(a)]" in page(J).html
assert evaluate("softplus(x)", {"x": 0.5}).op == "softplus"
"""


def test_a_row_and_a_line_are_all_that_a_new_operation_takes(tmp_path):
    copy = shutil.copytree(PACKAGE, tmp_path / "tinygrad_margin")
    for name, old, new in (
        ("ops.py", "\nTABLE = ", ROW),
        ("engine.py", '    relu = OPERATIONS["relu"]\n', METHOD),
    ):
        text = (copy / name).read_text("utf-8")
        assert text.count(old) == 1
        (copy / name).write_text(text.replace(old, new), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
