"""Copies, deep copies and pickles: what is kept, what stays shared, and nothing recurses."""

import copy
import gc
import pickle
import random
import threading
import weakref

import pytest
from graphs import random_graph

from tinygrad_margin import Value, grad, primitive, topological_order
from tinygrad_margin.engine import constant
from tinygrad_margin.nn import MLP, WindowScorer
from tinygrad_margin.ops import CONSTANT, LEAF, TABLE

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Weight(Value):
    """A student's own kind of Value, with a slot and attributes."""

    __slots__ = ("momentum",)


def by_pickle(protocol, dumps=pickle.dumps):
    return lambda x: pickle.loads(dumps(x, protocol))


WAYS = {
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": by_pickle(protocol) for protocol in PROTOCOLS},
    "pickle in Python": by_pickle(4, pickle._dumps),
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def same(x, y):
    """Are these two graphs the same, node by node, and different objects?"""
    one, two = topological_order(x), topological_order(y)
    twin = dict(zip(one, two, strict=True))
    for a, b in twin.items():
        assert a is not b
        assert type(a) is type(b)
        assert (a.data, a.grad, a.label, a._row) == (b.data, b.grad, b.label, b._row)
        assert [twin[parent] for parent in a.parents] == list(b.parents)
    return True


@each_way
def test_random_graphs_come_back_the_same(way):
    for seed in range(30):
        J, leaves = random_graph(seed)
        J.backward()
        J.parents[0].label = "inner"
        before = [(node, node.data, node.grad) for node in topological_order(J)]
        J_again, leaves_again = way((J, leaves))
        assert same(J, J_again)
        assert [(node, node.data, node.grad) for node in topological_order(J)] == before
        assert grad(J_again, leaves_again) == grad(J, leaves)
        J_again.backward()
        assert [(node, node.data, node.grad) for node in topological_order(J)] == before


@each_way
def test_leaves_and_constants(way):
    x, c = Value(2.0, "x"), constant(3.0)
    x.grad = 5.0
    x_again, c_again = way((x, c))
    assert repr(x_again) == repr(x)
    assert (x_again._row, c_again._row) == (LEAF, CONSTANT)
    assert way([x, x])[0].label == "x"


@pytest.mark.parametrize("shuffle", range(5))
def test_what_several_roots_share_stays_shared_in_a_deepcopy(shuffle):
    x, w = Value(2.0, "x"), Value(3.0, "w")
    inner = x * w
    roots = [inner, inner.tanh() + x, inner * w, inner.exp() - inner, x, w]
    roots.append(roots[1] + roots[2])
    random.Random(shuffle).shuffle(order := list(range(len(roots))))
    read = copy.deepcopy({i: roots[i] for i in order})
    again = [read[i] for i in range(len(roots))]
    nodes = list(dict.fromkeys(n for root in roots for n in topological_order(root)))
    nodes_again = list(dict.fromkeys(n for root in again for n in topological_order(root)))
    assert len(nodes_again) == len(nodes)
    twin = dict(zip(nodes, nodes_again, strict=True))
    assert all([twin[p] for p in n.parents] == list(twin[n].parents) for n in nodes)
    assert [twin[root] for root in roots] == again


def test_graphs_in_one_pickle_share_leaves_and_not_inner_nodes():
    x = Value(2.0, "x")
    y = x * x
    y_again, J_again, x_again = pickle.loads(pickle.dumps((y, y + 1, x)))
    assert y_again.parents == (x_again, x_again)
    assert J_again.parents[0] is not y_again
    assert J_again.parents[0].parents == (x_again, x_again)


@each_way
def test_a_model_and_its_loss_keep_their_weights_in_common(way):
    random.seed(3)
    for model in (MLP(2, [3, 1]), WindowScorer(2, 3, seed=1)):
        loss = model([0.5, -1.0]) ** 2
        read = way({"model": model, "loss": loss})
        read["loss"].backward()
        loss.backward()
        assert repr(read["model"]) == repr(model)
        found = [p.grad for p in read["model"].parameters()]
        assert found == [p.grad for p in model.parameters()]
        assert any(found)
        assert set(read["model"].parameters()) <= set(topological_order(read["loss"]))


@each_way
def test_attributes_and_what_they_lead_to(way):
    x, other = Value(2.0, "x"), Value(1.0) * 3
    y = x * x
    J = y + 1
    x.root, y.friend, y.friends, J.itself = J, other, [other, J, {x: 1}], J
    x.momentum, other.back = 0.5, J
    again = way(J)
    y_again = again.parents[0]
    x_again = y_again.parents[0]
    assert (again.itself, x_again.root, x_again.momentum) == (again, again, 0.5)
    assert y_again.friends == [y_again.friend, again, {x_again: 1}]
    assert (y_again.friend.data, y_again.friend.back) == (3.0, again)
    assert y_again.friend is not other


@each_way
def test_a_leaf_that_leads_to_its_own_root(way):
    x = Value(2.0)
    x.root = x * 3
    again = way(x)
    assert again.root.parents[0] is again
    assert again.root.data == 6.0


@each_way
def test_subclasses(way):
    w = Weight(2.0, "w")
    w.momentum, w.colour = 0.5, "red"
    again = way(w * 3).parents[0]
    assert (type(again), again.momentum, again.colour, again.label) == (Weight, 0.5, "red", "w")


def test_copy_makes_a_node_of_the_same_operands():
    x = Weight(2.0, "x")
    x.momentum, x.m = 0.5, []
    y = x * x
    y.grad, y.note = 3.0, "here"
    again = copy.copy(y)
    assert again is not y
    assert (again.data, again.grad, again.note, again.parents) == (4.0, 3.0, "here", (x, x))
    again.note = "there"
    assert y.note == "here"
    assert copy.copy(x).m is x.m
    assert (type(copy.copy(x)), copy.copy(x).momentum) == (Weight, 0.5)


def test_deepcopy_goes_by_its_memo():
    x = Value(2.0)
    y = x * x
    stands_in = Value(5.0)
    assert copy.deepcopy(y + 1, {id(y): stands_in}).parents[0] is stands_in


def test_rows_are_pickled_by_name():
    for row in (*TABLE.values(), LEAF, CONSTANT):
        for protocol in PROTOCOLS:
            assert pickle.loads(pickle.dumps(row, protocol)) is row
        assert copy.deepcopy(row) is copy.copy(row) is row


def test_a_failed_pickle_leaves_nothing_behind():
    y = Value(1.0) * 2
    y.file = threading.Lock()
    for way in (pickle.dumps, pickle._dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="lock"):
            way(y)
    del y.file
    assert pickle.loads(pickle.dumps(y)).data == 2.0


@pytest.mark.parametrize("way", [copy.deepcopy, by_pickle(4)], ids=["deepcopy", "pickle"])
def test_a_chain_of_a_million_nodes(way):
    x = Value(1.0, "x")
    v = x
    for _ in range(1_000_000):
        v = v + x
    v.first = x
    gc.disable()  # it walks all living objects again and again, and finds nothing
    try:
        again = way(v)
        again.backward()
    finally:
        gc.enable()
    assert (again.first.grad, x.grad) == (1_000_001.0, 0.0)
    gone = weakref.ref(again)
    del again
    assert gone() is None


def test_copying_leaves_no_dictionary_on_a_node():
    """A node without attributes has no room for them taken up: that would be its largest part."""
    nodes = topological_order(Value(1.0) * 2)

    def attributes():
        return [object.__reduce_ex__(node, 2)[2][0] for node in nodes]

    assert attributes() == [None] * 3
    copy.deepcopy(nodes[-1]), copy.copy(nodes[-1]), pickle.dumps(nodes[-1])
    assert attributes() == [None] * 3


def fused(a, b, c):
    return a * b + c


def fused_partials(a, b, c, out):
    return b, a, 1.0


fma = primitive("fma", fused, fused_partials)


@each_way
def test_operations_of_ones_own_with_three_operands(way):
    x = Value(2.0, "x")
    J = fma(x, 3.0, x).exp() * x
    J.note = J
    again, x_again = way((J, x))
    assert again.note is again
    assert again.parents[1] is x_again
    assert [(n.op, n.data) for n in topological_order(again)] == [
        (n.op, n.data) for n in topological_order(J)
    ]
    assert grad(again, x_again) == grad(J, x)


def test_a_lambda_of_ones_own_is_copied_but_not_pickled():
    twice = primitive("twice", lambda x: 2 * x, lambda x, out: (2,))
    J = twice(Value(3.0, "x"))
    assert copy.deepcopy(J).data == 6.0
    with pytest.raises(pickle.PicklingError, match="twice cannot be pickled.*write them with def"):
        pickle.dumps(J)
