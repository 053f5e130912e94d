from tinygrad_margin.views.positions import read_positions


def graph(label_at):
    """Two boxes, a third one between them, and an arrow with a red twin past it."""
    way = "144,18 144,60 144,84 144,126"
    return {
        "bb": "0,0,200,144",
        "objects": [
            {"pos": "144,9", "width": "0.5", "height": "0.25"},
            {"pos": "144,135", "width": "0.5", "height": "0.25"},
            {"pos": "40,72", "width": "1", "height": "0.5"},
            {"name": "a cluster"},
        ],
        "edges": [
            {"comment": "forward 0", "pos": f"e,144,126 {way}"},
            {"comment": "back 0", "pos": f"s,144,18 {way}", "xlp": label_at},
        ],
    }


def test_coordinates_run_down_from_the_corner():
    layout = read_positions(graph("170,72"), [2])
    assert (layout.width, layout.height) == (228, 172)
    assert layout.centres == [(158, 149), (158, 23), (54, 86)]
    assert layout.sizes == [(36, 18), (36, 18), (72, 36)]
    (place,) = layout.edges
    assert place.forward.startswith("M158 140C")
    assert place.back.startswith("M158 32C")  # the other way round
    assert (place.x, place.y) == (184, 90)


def test_a_label_keeps_off_boxes_and_other_labels():
    (place,) = read_positions(graph("40,72"), [2]).edges  # Graphviz put it on the third box
    assert abs(place.x - 158) < 30
    assert 30 < place.y < 150
    twice = graph("170,72")
    twice["edges"] += [
        {**edge, "comment": edge["comment"].replace("0", "1")} for edge in twice["edges"]
    ]
    first, second = read_positions(twice, [4, 4]).edges
    assert abs(first.x - second.x) > 4 * 6 or abs(first.y - second.y) > 10


def test_where_nothing_is_free_a_label_stays():
    crowded = graph("40,72")
    crowded["objects"].append({"pos": "100,72", "width": "4", "height": "4"})
    (place,) = read_positions(crowded, [2]).edges
    assert (place.x, place.y) == (54, 90)
