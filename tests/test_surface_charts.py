"""Surface charts: what the pictures hold and say, counted again by other means."""

from __future__ import annotations

import base64
import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from chart_checks import assert_is_drawable

from nnlab.chart import Chart
from nnlab.export import standalone_spec
from nnlab.network import Layer, Network, draw_network
from nnlab.neuron_map_charts import NEURON_RESOLUTION, neuron_heatmaps
from nnlab.palette import THEMES
from nnlab.signal_charts import layer_gradients
from nnlab.surface import MAX_SEGMENTS, Window, window_of
from nnlab.surface_charts import CLASS_COLORS, MAX_DRAWN, RESOLUTION, decision_surface, describe_surface
from nnlab.tables import to_csv

WINDOW = Window(-2.0, 2.0, -2.0, 2.0)
TANH = draw_network((2, 6, 4, 2), "tanh", 0)
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
XOR_LABELS = np.array([0, 1, 1, 0])
XOR = Network(
    (
        Layer(np.ones((2, 2)), np.array([0.0, -1.0]), "relu"),
        Layer(np.array([[1.0, -2.0]]), np.zeros(1)),
    )
)
RIGHT_HALF = Network((Layer(np.array([[0.0, 0.0], [9.0, 0.0]]), np.zeros(2)),))  # class 1 where x > 0
STEPS = np.arange(0, 40, 2)
NORMS = np.outer(np.linspace(1.0, 0.5, 20), [1e-6, 1e-4, 1e-2])
WORDS = ("layer 1", "layer 2", "output")


def surface(
    network: Network, points: np.ndarray, labels: np.ndarray, mode: str = "light", **options
) -> Chart:
    window = options.pop("window", WINDOW)
    return decision_surface(network, points, labels, window, mode, "Where it says red", "surface")


def every_chart(mode: str) -> list[Chart]:
    return [
        surface(TANH, CORNERS, XOR_LABELS, mode),
        neuron_heatmaps(TANH, WINDOW, mode),
        layer_gradients(STEPS, NORMS, WORDS, mode),
    ]


def decoded(url: str) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_chart_compiles_and_explains_itself(mode):
    import vl_convert

    for chart in every_chart(mode):
        svg = vl_convert.vegalite_to_svg(standalone_spec(chart, ""))
        assert THEMES[mode].background in svg
        assert len(chart.how_to_read) > 80
        assert chart.alt_text.endswith(".")
        assert chart.title
        assert chart.name.isidentifier()
        assert len(chart.make_table())
        assert chart.spec["width"] == "container"
        assert_is_drawable(chart)
    assert len({chart.name for chart in every_chart(mode)}) == 3


def test_the_picture_fills_the_plot_and_class_one_is_red_where_it_should_be():
    chart = surface(RIGHT_HALF, CORNERS, XOR_LABELS)
    (row,) = chart.frames["surface"].to_dict("records")
    assert (row["x"], row["x2"], row["y"], row["y2"]) == (-2.0, 2.0, -2.0, 2.0)
    image = decoded(row["url"])
    assert image.shape == (RESOLUTION, RESOLUTION, 3)
    red, blue = image[:, -1], image[:, 0]
    assert (red[:, 0] > red[:, 2] + 50).all()
    assert (blue[:, 2] > blue[:, 0] + 50).all()


def test_a_corner_of_the_plane_is_the_same_corner_of_the_drawn_page():
    # Class 1 at the top right only, seen in the rendered page itself.
    import vl_convert
    from PIL import Image

    network = Network((Layer(np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([0.0, -18.0])),))
    chart = surface(network, CORNERS[:0], XOR_LABELS[:0])
    png = vl_convert.vegalite_to_png({**standalone_spec(chart, ""), "title": "", "padding": 0})
    with Image.open(io.BytesIO(png)) as image:
        page = np.asarray(image.convert("RGB")).astype(int)
    red, blue = page[:, :, 0] - page[:, :, 2] > 60, page[:, :, 2] - page[:, :, 0] > 60
    assert np.where(red)[0].mean() < np.where(blue)[0].mean()
    assert np.where(red)[1].mean() > np.where(blue)[1].mean()
    # The picture reaches the edges of the plotting rectangle; rows of a few pixels are the legend's.
    rows = np.where((red | blue).sum(axis=1) > 50)[0]
    assert np.ptp(rows) + 1 == pytest.approx(chart.spec["height"], abs=2)


def test_points_are_drawn_with_color_shape_and_the_networks_answer():
    chart = surface(XOR, CORNERS, XOR_LABELS)
    points = chart.frames["points"]
    assert points[["x", "y"]].to_numpy().tolist() == CORNERS.tolist()
    assert points["word"].tolist() == ["blue", "red", "red", "blue"]
    assert points["answer"].tolist() == ["blue", "red", "red", "blue"]
    spec = json.dumps(chart.spec)
    assert '"shape"' in spec
    assert all(color in spec for color in CLASS_COLORS)


def test_the_alt_text_counts_the_points_on_the_right_side():
    assert (
        "bends. 4 of 4 points drawn (100 %) are on the right side"
        in surface(XOR, CORNERS, XOR_LABELS).alt_text
    )
    # x > 0 says red for (1, 0) and (1, 1) and blue for the others: 1 of 2 each is right.
    text = surface(RIGHT_HALF, CORNERS, XOR_LABELS).alt_text
    assert text == "The boundary is a straight line. 2 of 4 points drawn (50 %) are on the right side."
    three = np.array([0, 1, 0, 0])
    assert "3 of 4 points (75 %)" in describe_surface(RIGHT_HALF, CORNERS, three, WINDOW)


def test_the_words_on_the_boundary_follow_the_network():
    shifted = Network((Layer(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([0.0, 99.0])),))
    text = describe_surface(shifted, CORNERS, XOR_LABELS, WINDOW)
    assert text.startswith("There is no boundary in the picture: the network says red everywhere.")
    assert "2 of 4" in text
    # A tanh unit alone bends nothing: its level sets are straight, though the network is not affine.
    unit = Network(
        (Layer(np.array([[1.0, 2.0]]), np.zeros(1), "tanh"), Layer(np.array([[0.0], [1.0]]), np.zeros(2)))
    )
    assert describe_surface(unit, CORNERS, XOR_LABELS, WINDOW).startswith(
        "Within the picture the boundary is"
    )
    undefined = Network((Layer(np.full((2, 2), np.nan), np.zeros(2)),))
    assert "undefined everywhere" in describe_surface(undefined, CORNERS, XOR_LABELS, WINDOW)
    assert "0 of 4 points (0 %)" in describe_surface(undefined, CORNERS, XOR_LABELS, WINDOW)


def test_an_undefined_plane_is_gray_and_said():
    undefined = Network((Layer(np.full((2, 2), np.nan), np.zeros(2)),))
    chart = surface(undefined, CORNERS, XOR_LABELS)
    assert chart.notes == ("Undefined (gray) at 100 % of the plane.",)
    assert chart.frames["points"]["answer"].tolist() == ["undefined"] * 4
    assert len(np.unique(decoded(chart.frames["surface"]["url"].iloc[0]))) == 1
    assert_is_drawable(chart)


def test_many_points_are_thinned_evenly_and_the_note_says_so():
    points = np.random.default_rng(0).uniform(-1, 1, (1000, 2))
    labels = (points[:, 0] > 0).astype(int)
    chart = surface(RIGHT_HALF, points, labels)
    assert len(chart.frames["points"]) == MAX_DRAWN
    assert chart.notes == (f"{MAX_DRAWN} of 1000 points are drawn; exports hold all.",)
    assert f"{MAX_DRAWN} of {MAX_DRAWN} points drawn (100 %)" in chart.alt_text
    assert (chart.make_table()["kind"] == "point").sum() == 1000
    assert 0 < chart.frames["boundary"]["x"].isna().sum() <= MAX_SEGMENTS


def test_the_table_of_a_surface_holds_pixels_points_and_boundary_in_full_precision():
    table = surface(TANH, CORNERS, XOR_LABELS).make_table()
    pixels, points = table[table["kind"] == "pixel"], table[table["kind"] == "point"]
    assert len(pixels) == RESOLUTION**2
    assert points["label"].tolist() == XOR_LABELS.tolist()
    first, second, last = TANH.layers
    h = np.concatenate([pixels[["x1", "x2"]], points[["x1", "x2"]]])
    h = np.tanh(np.tanh(h @ first.weight.T + first.bias) @ second.weight.T + second.bias)
    blue, red = np.exp(h @ last.weight.T + last.bias).T
    expected = red / (blue + red)
    assert np.concatenate([pixels["p_class_1"], points["p_class_1"]]) == pytest.approx(expected, abs=1e-14)
    ends = table[table["kind"] == "boundary_end"]
    assert ends["p_class_1"].to_numpy() == pytest.approx(0.5, abs=5e-3)
    assert repr(float(points["p_class_1"].iloc[0])) in to_csv(table).decode()


@pytest.mark.parametrize(
    ("points", "labels", "why"),
    [
        (CORNERS, np.array([0, 1, 2, 0]), "labels: "),
        (CORNERS, np.array([0, 1]), "points: shapes"),
        (np.zeros((4, 3)), XOR_LABELS, "points: shapes"),
    ],
)
def test_points_that_do_not_fit_are_refused(points, labels, why):
    with pytest.raises(ValueError, match=f"^{why}.* allowed: "):
        surface(TANH, points, labels)


def test_no_points_at_all_are_fine():
    chart = surface(RIGHT_HALF, CORNERS[:0], XOR_LABELS[:0])
    assert chart.alt_text == "The boundary is a straight line."
    assert_is_drawable(chart)


def test_neuron_pictures_run_from_their_own_minimum_to_their_own_maximum():
    # Layer 1: h = (x, 0.001 y); their pictures look alike but for the direction.
    network = Network(
        (
            Layer(np.array([[1.0, 0.0], [0.0, 0.001]]), np.zeros(2)),
            Layer(np.eye(2), np.zeros(2)),
        )
    )
    rows = neuron_heatmaps(network, WINDOW, "light").frames["rows"]
    first, second = (decoded(url) for url in rows["url"])
    assert first.tolist() == np.rot90(second, k=-1).tolist()
    edge = 2 - 4 / NEURON_RESOLUTION / 2
    assert rows["highest"].tolist() == [f"{edge:.1f}", f"{0.001 * edge:.1e}"]
    # viridis: dark violet for the smallest x, at the left; yellow for the largest.
    assert first[0, 0].tolist() == [0x44, 0x01, 0x54]
    assert first[0, -1].tolist() == [0xB5, 0xDE, 0x2B]


def test_a_dead_neuron_is_gray_and_called_constant():
    network = Network(
        (
            Layer(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([0.0, -100.0]), "relu"),
            Layer(np.ones((2, 2)), np.zeros(2)),
        )
    )
    chart = neuron_heatmaps(network, WINDOW, "dark")
    rows = chart.frames["rows"]
    assert rows["state"].tolist() == ["", "constant"]
    assert np.unique(decoded(rows["url"][1])).tolist() == [0x8F]
    assert (
        chart.alt_text
        == "2 neurons of 1 hidden layer over the plane; the answer of 1 is the same everywhere."
    )
    assert rows["lowest"][1] == rows["highest"][1] == "0"


def test_a_neuron_without_finite_values_is_called_undefined():
    network = Network((Layer(np.full((1, 2), np.nan), np.zeros(1)), Layer(np.ones((2, 1)), np.zeros(2))))
    chart = neuron_heatmaps(network, WINDOW, "light")
    assert chart.frames["rows"]["state"].tolist() == ["undefined"]
    assert_is_drawable(chart)


def test_wide_and_deep_networks_are_thinned_with_their_own_numbers():
    network = draw_network((2, *[20] * 9, 2), "tanh", 0)
    chart = neuron_heatmaps(network, WINDOW, "light")
    rows = chart.frames["rows"]
    assert len(rows) == 6 * 8
    assert chart.notes == ("48 of 180 neurons are drawn; exports hold all.",)
    assert chart.frames["heads"]["layer"].tolist() == sorted(set(rows["layer"])) == [1, 3, 4, 6, 7, 9]
    assert sorted(set(rows["unit"])) == [1, 4, 6, 9, 12, 15, 17, 20]
    table = chart.make_table()
    one = table[(table["layer"] == 1) & (table["unit"] == 20)]
    layer = network.layers[0]
    expected = np.tanh(one[["x1", "x2"]].to_numpy() @ layer.weight[19] + layer.bias[19])
    assert one["activation"].to_numpy() == pytest.approx(expected, abs=1e-6)


def test_a_network_without_hidden_layer_says_that_there_is_nothing_to_draw():
    chart = neuron_heatmaps(RIGHT_HALF, WINDOW, "light")
    assert chart.is_empty
    assert chart.notes == ("The network has no hidden layer, so there is no neuron to show.",)


def test_gradient_lines_are_the_given_norms():
    chart = layer_gradients(STEPS, NORMS, WORDS, "light")
    rows = chart.frames["rows"]
    assert rows.pivot(index="step", columns="number", values="value").to_numpy() == pytest.approx(NORMS)
    assert (rows["shown"] == rows["value"]).all()
    assert rows["name"].tolist() == list(WORDS) * 20
    assert chart.make_table()["delta_norm"].tolist() == NORMS.ravel().tolist()
    assert chart.alt_text == (
        "Length of the error signal of 3 layers over training. At step 0 it is 1.0e-06 in layer 1 and "
        "0.01 in output. At step 38 it is 5.0e-07 in layer 1 and 5.0e-03 in output."
    )
    assert '"type": "log"' in json.dumps(chart.spec)


def test_exact_zeros_stand_on_a_floor_below_every_number():
    norms = NORMS.copy()
    norms[5:9, 0] = 0.0
    chart = layer_gradients(STEPS, norms, WORDS, "dark")
    rows = chart.frames["rows"]
    zeros = rows[rows["state"] == "zero"]
    assert len(zeros) == 4
    assert (zeros["value"] == 0).all()
    assert zeros["shown"].nunique() == 1
    assert zeros["shown"].iloc[0] < norms[norms > 0].min()
    assert chart.frames["guide"]["word"].tolist() == ["exactly 0"]
    assert chart.frames["guide"]["shown"].iloc[0] == zeros["shown"].iloc[0]
    (domain,) = {tuple(layer["encoding"]["y"]["scale"]["domain"]) for layer in chart.spec["layer"][:3]}
    assert domain == (1e-8, 1e-2)  # the floor is the decade below 5e-7's, and on the axis
    plain = layer_gradients(STEPS, NORMS, WORDS, "dark")
    assert plain.spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == [1e-7, 1e-2]
    assert len(plain.frames["guide"]) == 0


def test_undefined_norms_are_left_out_and_counted():
    norms = NORMS.copy()
    norms[-1] = [math.nan, math.inf, 1.0]
    chart = layer_gradients(STEPS, norms, WORDS, "light")
    assert chart.notes == ("2 values are not finite and cannot be drawn.",)
    assert chart.alt_text.endswith("At step 38 it is undefined in layer 1 and 1.0 in output.")
    assert_is_drawable(chart)


def test_long_and_deep_runs_are_thinned_and_the_table_is_not():
    norms = np.full((1000, 30), 0.5)
    chart = layer_gradients(np.arange(1000), norms, [f"layer {n}" for n in range(1, 31)], "light")
    assert len(chart.frames["rows"]) < 2000
    assert chart.notes == ("16 of 30 layers are drawn; exports hold all.",)
    assert len(chart.make_table()) == 30_000
    assert set(chart.frames["rows"]["step"]) >= {0.0, 999.0}


def test_the_step_axis_stands_still_when_its_end_is_given():
    specs = [layer_gradients(STEPS[:n], NORMS[:n], WORDS, "light", end=100).spec for n in (2, 10)]
    assert specs[0] is specs[1]
    assert '"domain": [0, 100]' in json.dumps(specs[0])
    named = layer_gradients(STEPS, NORMS, WORDS, "light", title="With tanh", name="gradients_tanh")
    assert (named.title, named.name) == ("With tanh", "gradients_tanh")


@pytest.mark.parametrize(
    ("steps", "norms", "words"),
    [
        (STEPS[:3], NORMS, WORDS),
        (STEPS, NORMS, WORDS[:2]),
        (STEPS, NORMS[0], WORDS),
        (STEPS[:0], NORMS[:0], WORDS),
    ],
)
def test_norms_of_another_shape_are_refused(steps, norms, words):
    with pytest.raises(ValueError, match=r"^norms: shape .* is not allowed; allowed: \(records, layers\)"):
        layer_gradients(steps, norms, words, "light")


def test_hostile_words_never_reach_the_spec():
    hostile = ("a.b", "</script><b>", "datum['x']")
    plain = layer_gradients(STEPS, NORMS, ("layer 1", "layer 2", "layer 3"), "light")
    assert layer_gradients(STEPS, NORMS, hostile, "light").spec == plain.spec


def test_windows_of_points_of_any_size_can_be_drawn():
    for scale in (1e-6, 1e6):
        steep = Network((Layer(np.array([[0.0, 0.0], [9.0 / scale, 0.0]]), np.array([0.0, -4.5])),))
        chart = surface(steep, CORNERS * scale, XOR_LABELS, window=window_of(CORNERS * scale))
        assert_is_drawable(chart)
        assert len(chart.frames["boundary"])


def test_the_boundary_is_one_line_with_a_gap_after_every_piece():
    chart = decision_surface(RIGHT_HALF, CORNERS, XOR_LABELS, WINDOW, "light", "t", "n")
    drawn = chart.frames["boundary"]
    ends = chart.make_table().query("kind == 'boundary_end'")[["x1", "x2"]].to_numpy()
    np.testing.assert_array_equal(drawn[["x", "y"]].dropna().to_numpy(), ends)
    assert drawn.iloc[2::3][["x", "y"]].isna().all(axis=None)
    assert not drawn.iloc[0::3]["x"].isna().any()
    np.testing.assert_array_equal(drawn["place"], np.arange(len(drawn)))


def test_while_training_the_points_do_not_change_with_the_network():
    one, other = (
        decision_surface(network, CORNERS, XOR_LABELS, WINDOW, "light", "t", "n", live=True).frames["points"]
        for network in (RIGHT_HALF, TANH)
    )
    pd.testing.assert_frame_equal(one, other)
    still = decision_surface(RIGHT_HALF, CORNERS, XOR_LABELS, WINDOW, "light", "t", "n").frames["points"]
    assert list(still.columns) == list(one.columns)
    assert set(still["answer"]) == {"blue", "red"}


def test_a_network_that_says_one_half_everywhere_has_no_boundary_of_rounding_errors():
    noise = Network((Layer(np.array([[1e-9, -3e-9], [2e-9, 1e-9]]), np.array([1e-8, 1.1e-8])),))
    chart = surface(noise, CORNERS, XOR_LABELS)
    assert chart.frames["boundary"].empty
    assert chart.alt_text.startswith("The network says one half everywhere")
    assert "one half everywhere" in describe_surface(noise, CORNERS, XOR_LABELS, WINDOW)
    assert not surface(RIGHT_HALF, CORNERS, XOR_LABELS).frames["boundary"].empty
