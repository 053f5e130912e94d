import json
import math
import os

import pytest

from tinygrad_margin import Value
from tinygrad_margin.nn import MLP, Layer, Module, Neuron, WindowScorer


class Own(Module):
    """A student's own model: only parameters()."""

    def __init__(self, *sizes):
        self.layers = [Layer(*size) for size in sizes]
        self.scale = Value(0.3)

    def parameters(self):
        return [p for layer in self.layers for p in layer.parameters()] + [self.scale]


MODELS = [
    lambda: MLP(2, [4, 1]), lambda: MLP(3, [2, 3, 2], nonlin="tanh"), lambda: Layer(2, 3),
    lambda: Neuron(4), lambda: WindowScorer(3, 2), lambda: Own((2, 3), (3, 1)), lambda: Module(),
]  # fmt: skip


def data(model):
    return [p.data for p in model.parameters()]


@pytest.mark.parametrize("build", MODELS)
def test_a_model_comes_back_exactly(build, tmp_path):
    model, other = build(), build()
    odd = [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, 1 / 3]
    for p, x in zip(model.parameters(), odd, strict=False):
        p.data = x
    model.save(tmp_path / "model.json")
    json.loads((tmp_path / "model.json").read_text(), parse_constant=pytest.fail)  # JSON, not NaN
    for p in other.parameters():
        p.m = p.grad = 2.0
    other.load(str(tmp_path / "model.json"))
    assert list(map(repr, data(other))) == list(map(repr, data(model)))
    assert all(p.grad == p.m == 2.0 for p in other.parameters())


def test_nan_comes_back(tmp_path):
    model = Neuron(1)
    model.b.data = math.nan
    model.save(tmp_path / "n.json")
    model.b.data = 0.0
    model.load(tmp_path / "n.json")
    assert math.isnan(model.b.data)


@pytest.mark.parametrize(("saved", "model", "words"), [
    (MLP(2, [4, 1]), MLP(2, [3, 1]),
     r"the shape \[2, 4, 1\], with 17 parameters, and this model has the shape \[2, 3, 1\], with 13"),
    (MLP(2, [4, 1]), MLP(2, [4, 1, 1]), r"\[2, 4, 1\].*\[2, 4, 1, 1\]"),
    (Layer(2, 3), Layer(3, 2), r"\[2, 3\], with 9.*\[3, 2\], with 8"),
    (WindowScorer(2, 3), Layer(2, 3), r"\[2, 3\], with 12 .*\[2, 3\], with 9"),
    (Own((2, 3)), Own((3, 3)), r"\[10\].*\[13\]"),
    (Own((2, 3), (3, 2)), Own((3, 2), (2, 3)), "b_1 as parameter 3, and this model has W_1,3 there"),
])  # fmt: skip
def test_another_shape_is_an_error_that_says_both_and_changes_nothing(
    saved, model, words, tmp_path
):
    before = data(model)
    saved.save(tmp_path / "m.json")
    with pytest.raises(ValueError, match=rf"m\.json has .*{words}"):
        model.load(tmp_path / "m.json")
    assert data(model) == before


@pytest.mark.parametrize("text", [
    "", "{", "[1, 2]", "3", '{"shape": [1]}', '{"shape": 1, "parameters": []}',
    '{"shape": [1], "parameters": [["W_1", "x"], ["b", 0.0]]}',
    '{"shape": [1], "parameters": [["W_1", 0.5], ["b", null]]}',
    '{"shape": [1], "parameters": [0.5, 1.0]}', "\x89PNG",
])  # fmt: skip
def test_a_file_of_another_kind(text, tmp_path):
    model = Neuron(1)
    before = data(model)
    (tmp_path / "m.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"m\.json is not a file that save\(path\) wrote"):
        model.load(tmp_path / "m.json")
    assert data(model) == before


def test_a_model_is_written_completely_or_not_at_all(tmp_path, monkeypatch):
    path, model = tmp_path / "m.json", Neuron(1)
    model.save(path)
    old = path.read_bytes()
    monkeypatch.setattr(
        os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    model.b.data = 5.0
    with pytest.raises(OSError, match="make room first"):
        model.save(path)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["m.json"]
    with pytest.raises(ValueError, match=r"save writes \.json; got .*m\.txt"):
        model.save(tmp_path / "m.txt")
    with pytest.raises(TypeError, match="by its name"):
        model.save(None)
    with pytest.raises(FileNotFoundError):
        model.load(tmp_path / "none.json")
