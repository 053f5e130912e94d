from tinygrad_margin import Tape, Value, margin_loss


def test_listing_and_repr():
    many = sum(Value(1.0, "x") * 2 for _ in range(1200))
    assert repr(Tape(many, [])).startswith("Tape(2,399 operations: 1,199 add, 1,200 mul; ")
    s, s_c = Value(0.3), Value(0.5)
    tape = Tape(margin_loss(s, s_c), [s, s_c])
    assert len(tape) == 3
    assert repr(tape) == "Tape(3 operations: 1 add, 1 sub, 1 max; 3 levels; 2 inputs)"
    assert tape.listing().splitlines() == [
        "Δ = 1", "s_c = xs[1]", "v₁ = Δ + s_c", "s = xs[0]", "z = v₁ − s", "J = max(z, 0)",
        "∂J/∂J = 1", "∂J/∂z = ∂J/∂J · ([z > 0] + 0.5 · [z = 0])", "∂J/∂s = −∂J/∂z",
        "∂J/∂v₁ = ∂J/∂z", "∂J/∂s_c = ∂J/∂v₁",
    ]  # fmt: skip
    x = Value(2.0, "x")
    lines = Tape(x**3 + 2 / x + x * x, [x]).listing().splitlines()
    assert lines[-1] == "∂J/∂x = ∂J/∂v₄ · x + ∂J/∂v₄ · x + ∂J/∂v₂ · (−v₂ / x) + ∂J/∂v₁ · (3 · x^2)"


def test_a_listing_names_every_input():
    x, y = Value(2.0), Value(3.0, "y")
    lines = Tape(x * 2, [y, x, Value(1.0)]).listing().splitlines()
    assert lines == [
        "y = xs[0]", "v₁ = xs[2]", "v₂ = xs[1]", "J = v₂ × 2", "∂J/∂J = 1", "∂J/∂v₂ = ∂J/∂J · 2",
        "∂J/∂v₁ = 0", "∂J/∂y = 0",
    ]  # fmt: skip
    lines = Tape(x * 2, [x, x._b or Value(2.0, "xs[0]")]).listing().splitlines()
    assert "xs[0]′ = xs[1]" in lines


def test_a_listing_is_as_a_person_would_write_it():
    x, y = Value(2.0, "x"), Value(3.0, "y")
    assert "∂J/∂y = ∂J/∂J · (J · log(x))" in Tape(x**y, [x, y]).listing()
    assert "∂J/∂y = ∂J/∂J · (J · log(2))" in Tape(2**y, [y]).listing()
    assert "∂J/∂x = −∂J/∂J − ∂J/∂v₁" in Tape(-x - x, [x]).listing()
    assert "∂J/∂y = ∂J/∂J · (−J / y)" in Tape(x / y, [x, y]).listing()


def test_a_listing_of_a_node_that_many_use():
    x = Value(1.0, "x")
    w = [Value(float(i), f"w_{i}") for i in range(1200)]
    text = Tape(sum(w_i * x for w_i in w), [x, *w]).listing()
    (line,) = (line for line in text.splitlines() if line.startswith("∂J/∂x = "))
    assert line.count(" + ") == 1199


def test_a_label_that_is_an_expression_stands_in_parentheses():
    a, c = Value(1.0, "a"), Value(3.0, "c")
    e = a + 2
    e.label = "a+b"
    lines = Tape(e * c, [a, c]).listing().splitlines()
    assert lines[3:] == [
        "J = (a+b) × c", "∂J/∂J = 1", "∂J/∂c = ∂J/∂J · (a+b)", "∂J/∂(a+b) = ∂J/∂J · c",
        "∂J/∂a = ∂J/∂(a+b)"]  # fmt: skip
