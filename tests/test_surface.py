"""Surface: shares, neurons and boundaries of the plane against torch, exact lines and decoded images."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from nnlab.activations import ACTIVATIONS
from nnlab.network import Layer, Network, draw_network
from nnlab.palette import ZERO_COLOR
from nnlab.surface import (
    MAX_SEGMENTS,
    Window,
    _grid,
    _marching_squares,
    boundary,
    class_share,
    is_affine,
    is_straight,
    margin,
    neuron_maps,
    pixel_centers,
    right_share,
    to_png_url,
    window_of,
)

WINDOW = Window(-2.0, 2.0, -2.0, 2.0)
UNEVEN = Window(-1.0, 3.0, -2.0, 1.0)
# The closed form of Goodfellow, Bengio & Courville 2016, section 6.1: XOR with two ReLU units.
XOR = Network(
    (
        Layer(np.ones((2, 2)), np.array([0.0, -1.0]), "relu"),
        Layer(np.array([[1.0, -2.0]]), np.zeros(1)),
    )
)


def linear(a: float, b: float, c: float) -> Network:
    """Two outputs whose difference is a x + b y + c."""
    return Network((Layer(np.array([[0.0, 0.0], [a, b]]), np.array([0.0, c])),))


def by_hand(window: Window, resolution: int) -> np.ndarray:
    """Pixel centers by two loops, (rows, columns, 2), the top row first."""
    width, height = window.x_high - window.x_low, window.y_high - window.y_low
    return np.array(
        [
            [
                (window.x_low + (column + 0.5) * width / resolution,
                 window.y_high - (row + 0.5) * height / resolution)
                for column in range(resolution)
            ]
            for row in range(resolution)
        ]
    )  # fmt: skip


def torch_outputs(network: Network, points: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Outputs and hidden activations by torch's own functions, float64."""
    import torch

    h, hidden = torch.tensor(points, dtype=torch.float64), []
    for layer in network.layers:
        z = torch.nn.functional.linear(h, torch.tensor(layer.weight), torch.tensor(layer.bias))
        h = {
            "tanh": torch.tanh,
            "relu": torch.relu,
            "gelu": torch.nn.functional.gelu,
            "identity": lambda v: v,
        }[layer.activation](z)
        hidden.append(h.numpy())
    return hidden[-1], hidden[:-1]


def decoded(url: str) -> np.ndarray:
    from PIL import Image

    start = "data:image/png;base64,"
    assert url.startswith(start)
    with Image.open(io.BytesIO(base64.b64decode(url.removeprefix(start)))) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_class_shares_are_torchs_softmax_at_the_pixel_centers(activation):
    import torch

    network = draw_network((2, 7, 5, 2), activation, 3)
    centers = by_hand(UNEVEN, 9)
    outputs, _ = torch_outputs(network, centers.reshape(-1, 2))
    expected = torch.softmax(torch.tensor(outputs), dim=1)[:, 1].numpy().reshape(9, 9)
    assert class_share(network, UNEVEN, 9) == pytest.approx(expected, abs=1e-14)
    assert np.ptp(expected) > 0.05  # the test would pass with a mirrored picture otherwise
    assert not np.allclose(expected, expected[::-1])


def test_pixel_centers_are_those_of_two_loops():
    assert pixel_centers(UNEVEN, 6).reshape(6, 6, 2) == pytest.approx(by_hand(UNEVEN, 6))


def test_a_single_output_is_a_score_cut_to_a_share():
    network = Network((Layer(np.array([[1.0, 0.0]]), np.array([0.5])),))
    shares = class_share(network, WINDOW, 4)  # pixel centers at x = -1.5, -0.5, 0.5, 1.5
    assert shares.tolist() == [[0.0, 0.0, 1.0, 1.0]] * 4
    assert class_share(XOR, Window(-0.5, 1.5, -0.5, 1.5), 2).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_class_one_at_the_top_right_colors_that_corner():
    network = linear(5.0, 5.0, -10.0)  # class 1 where x + y > 2
    shares = class_share(network, WINDOW, 20)
    assert shares[0, -1] > 0.99
    assert max(shares[-1, 0], shares[0, 0], shares[-1, -1]) < 0.01
    image = decoded(to_png_url(shares, ("#0000ff", "#ffffff", "#ff0000"), 0.0, 1.0))
    assert image[0, -1].tolist() == [255, 0, 0]
    assert image[-1, 0].tolist() == [0, 0, 255]


def test_neuron_maps_are_torchs_activations_in_float32():
    network = draw_network((2, 4, 3, 2), "tanh", 1)
    _, hidden = torch_outputs(network, by_hand(UNEVEN, 5).reshape(-1, 2))
    maps = neuron_maps(network, UNEVEN, 5)
    assert [(unit.shape, unit.dtype) for unit in maps] == [((4, 5, 5), np.float32), ((3, 5, 5), np.float32)]
    for found, expected in zip(maps, hidden, strict=True):
        assert found == pytest.approx(expected.T.reshape(-1, 5, 5), abs=1e-6)


def test_a_network_without_hidden_layer_has_no_neuron_maps():
    assert neuron_maps(linear(1.0, 1.0, 0.0), WINDOW, 5) == []


@pytest.mark.parametrize(
    ("a", "b", "c"), [(1.0, 2.0, 0.3), (-3.0, 0.5, 1.0), (0.0, 1.0, 0.25), (1.0, 0.0, 0.0)]
)
def test_the_boundary_of_an_affine_network_is_its_exact_line(a, b, c):
    network = linear(a, b, c)
    segments = boundary(network, WINDOW, 25)
    ends = segments.reshape(-1, 2)
    assert np.abs(ends @ [a, b] + c).max() < 1e-12
    assert is_affine(network)
    assert is_straight(segments, WINDOW, 25)
    # The pieces together are as long as the line inside the window, clipped by hand along its direction.
    direction = np.array([-b, a]) / np.hypot(a, b)
    foot = -c * np.array([a, b]) / (a * a + b * b)
    with np.errstate(divide="ignore"):
        crossings = np.sort(
            [(np.array([-2.0, 2.0]) - foot[k]) / direction[k] for k in (0, 1) if direction[k]]
        )
    expected = crossings[:, 1].min() - crossings[:, 0].max()
    lengths = np.hypot(*(segments[:, :2] - segments[:, 2:]).T)
    assert lengths.sum() == pytest.approx(expected, rel=1e-12)


def test_a_deep_affine_network_has_the_boundary_of_its_composed_map():
    network = draw_network((2, 6, 3, 2), "identity", 5)
    composed = network.composed()
    weight, bias = composed.weight[1] - composed.weight[0], composed.bias[1] - composed.bias[0]
    window = Window(-9.0, 9.0, -9.0, 9.0)
    ends = boundary(network, window, 30).reshape(-1, 2)
    assert len(ends) > 10
    assert np.abs(ends @ weight + bias).max() < 1e-12
    assert is_affine(network)
    assert not is_affine(network.with_activation("tanh"))


def test_a_curved_boundary_lies_where_the_margin_is_zero():
    network = draw_network((2, 9, 9, 2), "tanh", 0)
    segments = boundary(network, WINDOW, 60)
    assert not is_straight(segments, WINDOW, 60)
    steepness = np.abs(np.diff(margin(network, pixel_centers(WINDOW, 60)).reshape(60, 60))).max()
    assert np.abs(margin(network, segments.reshape(-1, 2))).max() < 0.05 * steepness


def test_two_parallel_lines_are_not_one_straight_line():
    # |x| - 1 by two ReLU units: class 1 outside the strip.
    network = Network(
        (
            Layer(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.zeros(2), "relu"),
            Layer(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0.0, -1.0])),
        )
    )
    segments = boundary(network, WINDOW, 20)
    assert np.unique(np.abs(segments[:, [0, 2]]).round(12)).tolist() == [1.0]
    assert not is_straight(segments, WINDOW, 20)


def test_a_saddle_keeps_the_center_on_its_side():
    # A single cell whose diagonal corners agree; the mean of the corners decides what is joined.
    points = np.array([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 1.0]]])
    values = np.array([[3.0, -1.0], [-1.0, 3.0]])
    segments = _marching_squares(points, values)
    ends = {tuple(end) for end in segments.reshape(-1, 2).tolist()}
    assert ends == {(0.75, 0.0), (1.0, 0.25), (0.25, 1.0), (0.0, 0.75)}
    # The center, 1.0, is positive as the first corner is: each piece cuts off a negative corner.
    cut_off = [[0.125, 0.875], [0.875, 0.125]]
    assert sorted(((segments[:, :2] + segments[:, 2:]) / 2).tolist()) == cut_off
    flipped = _marching_squares(points, -values)
    assert sorted(((flipped[:, :2] + flipped[:, 2:]) / 2).tolist()) == cut_off
    # Where the center takes the other side, the first corner and its opposite are cut off.
    other = _marching_squares(points, np.array([[1.0, -3.0], [-3.0, 1.0]]))
    assert sorted(((other[:, :2] + other[:, 2:]) / 2).tolist()) == [[0.125, 0.125], [0.875, 0.875]]


def test_a_boundary_of_too_many_pieces_is_drawn_coarser():
    waves = Network(
        (
            Layer(np.array([[40.0, 0.0], [0.0, 40.0]]), np.zeros(2), "sine"),
            Layer(np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0.0, 0.1])),
        )
    )
    grid = _grid(WINDOW, np.linspace(0, 1, 73))
    full = _marching_squares(grid.reshape(73, 73, 2), margin(waves, grid).reshape(73, 73))
    assert len(full) > MAX_SEGMENTS
    assert 0 < len(boundary(waves, WINDOW, 72)) <= MAX_SEGMENTS


def test_a_constant_answer_has_no_boundary_and_half_shares():
    network = linear(0.0, 0.0, 0.0)
    assert boundary(network, WINDOW, 10).shape == (0, 4)
    assert (class_share(network, WINDOW, 5) == 0.5).all()
    assert not is_straight(boundary(network, WINDOW, 10), WINDOW, 10)


def test_undefined_answers_stay_nan_and_hold_no_line():
    broken = Network((Layer(np.array([[0.0, 0.0], [np.inf, 1.0]]), np.zeros(2)),))
    assert np.isnan(class_share(broken, Window(-1, 1, -1, 1), 3)[:, 1]).all()  # inf * 0 at x = 0
    nothing = linear(np.nan, 1.0, 0.0)
    assert np.isnan(class_share(nothing, WINDOW, 4)).all()
    assert len(boundary(nothing, WINDOW, 4)) == 0
    assert right_share(nothing, np.ones((3, 2)), np.array([0, 1, 1])) == 0.0


def test_float32_networks_are_computed_in_float32():
    network = draw_network((2, 4, 2), "tanh", 0).astype(np.float32)
    assert class_share(network, WINDOW, 4).dtype == np.float32


def test_right_share_counts_points_by_hand():
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert right_share(XOR, corners, np.array([0, 1, 1, 0])) == 1.0
    assert right_share(XOR, corners, np.array([0, 1, 1, 1])) == 0.75
    assert np.isnan(right_share(XOR, corners[:0], np.array([])))


def test_a_window_is_a_padded_square_around_the_points():
    window = window_of(np.array([[0.0, 0.0], [10.0, 2.0]]))
    assert (window.x_low, window.x_high) == pytest.approx((-1.5, 11.5))
    assert (window.y_low, window.y_high) == pytest.approx((1 - 6.5, 1 + 6.5))


@pytest.mark.parametrize("point", [(0.0, 0.0), (3.0, -4.0), (1e30, 0.0), (1e-30, 1e-30)])
def test_a_window_around_one_repeated_point_has_an_extent(point):
    window = window_of(np.array([point, point]))
    assert window.x_low < point[0] < window.x_high
    assert window.y_low < point[1] < window.y_high
    centers = pixel_centers(window, 10)
    assert len(np.unique(centers[:, 0])) == len(np.unique(centers[:, 1])) == 10


@pytest.mark.parametrize(
    "points", [np.zeros((0, 2)), np.zeros(2), np.zeros((3, 3)), np.array([[np.nan, 0.0]])]
)
def test_a_window_without_usable_points_is_refused(points):
    with pytest.raises(ValueError, match=r"^points: shape .* allowed: \(n, 2\)"):
        window_of(points)


@pytest.mark.parametrize("use", [class_share, neuron_maps, boundary])
def test_networks_that_are_not_of_the_plane_are_refused(use):
    with pytest.raises(ValueError, match="network: 3 inputs are not allowed; allowed: 2"):
        use(draw_network((3, 4, 2), "tanh", 0), WINDOW, 5)
    with pytest.raises(ValueError, match=r"network: 3 outputs are not allowed; allowed: 1 .* or 2"):
        use(draw_network((2, 4, 3), "tanh", 0), WINDOW, 5)


def test_a_resolution_below_one_is_refused():
    with pytest.raises(ValueError, match="resolution: 0 is not allowed"):
        class_share(XOR, WINDOW, 0)


def test_png_colors_run_from_low_to_high_and_nan_is_gray():
    values = np.array([[0.0, 1.0, 2.0], [-9.0, np.nan, np.inf]])
    image = decoded(to_png_url(values, ("#000000", "#ff8800"), 0.0, 2.0))
    gray = list(bytes.fromhex(ZERO_COLOR[1:]))
    expected = [[[0, 0, 0], [128, 68, 0], [255, 136, 0]], [[0, 0, 0], gray, [255, 136, 0]]]
    assert image.shape == (2, 3, 3)
    assert image.tolist() == expected


def test_png_colors_lie_on_the_stops_at_every_value():
    values = np.linspace(-1.0, 1.0, 500).reshape(20, 25)
    image = decoded(to_png_url(values, ("#102030", "#f0e0d0"), -1.0, 1.0)).astype(float)
    low, high = np.array([16, 32, 48]), np.array([240, 224, 208])
    exact = low + (values[..., None] + 1) / 2 * (high - low)
    assert np.abs(image - exact).max() <= 1.0  # half of one of 254 steps, and rounding


def test_png_of_a_range_without_extent_takes_the_middle_color():
    assert decoded(to_png_url(np.ones((1, 1)), ("#000000", "#808080", "#ffffff"), 1.0, 1.0)).tolist() == [
        [[128, 128, 128]]
    ]


@pytest.mark.parametrize(
    ("values", "low", "high", "field"),
    [
        (np.zeros(3), 0.0, 1.0, "values"),
        (np.zeros((0, 3)), 0.0, 1.0, "values"),
        (np.zeros((2, 2)), 1.0, 0.0, "low, high"),
        (np.zeros((2, 2)), np.nan, 1.0, "low, high"),
    ],
)
def test_png_refuses_what_is_no_picture(values, low, high, field):
    with pytest.raises(ValueError, match=f"^{field}: .* is not allowed; allowed: "):
        to_png_url(values, ("#000000", "#ffffff"), low, high)


def test_every_activation_gives_a_surface():
    for name in ACTIVATIONS:
        network = draw_network((2, 3, 2), name, 0)
        assert np.isfinite(class_share(network, WINDOW, 6)).all()
        assert boundary(network, WINDOW, 6).shape[1] == 4
