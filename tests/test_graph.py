import pytest
from graphs import random_graph

from tinygrad_margin import Value, depends_on, margin_loss, topological_order


def test_the_two_scores_do_not_depend_on_one_another():
    s, s_c = Value(0.3), Value(0.5)
    J = margin_loss(s, s_c)
    assert depends_on(J, s)
    assert depends_on(J, s_c)
    assert not depends_on(s, s_c)
    assert not depends_on(s_c, s)
    assert not depends_on(s, J)


def test_an_edge_appears_when_one_is_made_to_depend_on_the_other():
    s = Value(0.3)
    assert depends_on(s / 2, s)


def test_a_node_depends_on_itself_and_on_what_it_is_computed_from():
    J, _ = random_graph(5)
    assert depends_on(J, J)
    for node in topological_order(J):
        assert depends_on(J, node)
        assert all(depends_on(node, parent) for parent in node.parents)


@pytest.mark.parametrize("pair", [(Value(1.0), "s"), (3, Value(1.0)), (Value(1.0), None)])
def test_what_is_no_node_is_refused(pair):
    with pytest.raises(TypeError, match="depends_on|topological_order"):
        depends_on(*pair)


def test_topological_order_evaluates_as_one_reads():
    s, s_c = Value(0.3, "s"), Value(0.5, "s_c")
    names = [node.label or node.op or node.data for node in topological_order(margin_loss(s, s_c))]
    assert names == ["Δ", "s_c", "+", "s", "z", 0.0, "J"]
