"""Charts of one image: the frames hold the followed numbers, and every picture compiles in both modes."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import vl_convert
from chart_checks import assert_charts_explain_themselves

from nnlab.brightness_words import share_words
from nnlab.chart import Chart
from nnlab.export import standalone_spec
from nnlab.followed import Followed, follow
from nnlab.followed_charts import SHAPES, difference_survives, images, unit_values
from nnlab.network import Layer, Network, draw_network
from nnlab.palette import THEMES, Mode

WIDTHS = (16, 8, 8, 4)
NETWORK = draw_network(WIDTHS, "sigmoid", 0)
X = np.random.default_rng(0).random((1, 16))


@pytest.fixture(scope="module")
def followed() -> Followed:
    return follow(NETWORK, X[0], (0.5, 1.0, 2.0))


def every_chart(followed: Followed, mode: Mode) -> list[Chart]:
    return [
        images(X[0], (0.5, 1.0, 2.0), mode),
        difference_survives(followed, mode),
        unit_values(followed, 1, mode),
    ]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_chart_compiles_and_explains_itself(followed, mode):
    assert_charts_explain_themselves(every_chart(followed, mode), mode)


# --- one image


def test_images_lie_side_by_side_upright():
    image = np.zeros(9)
    image[2] = 0.8  # top right
    image[3] = 0.4  # middle row, left
    frame = images(image, (0.5, 1.0, 2.0), "light").frames["rows"]
    inked = frame[frame["value"] > 0]
    assert inked[["left", "top", "value"]].values.tolist() == [
        [2, 0, 0.4], [0, 1, 0.2], [6, 0, 0.8], [4, 1, 0.4], [10, 0, 1.6], [8, 1, 0.8],
    ]  # fmt: skip
    assert inked[["row", "column"]].values.tolist() == [[1, 3], [2, 1]] * 3
    assert (frame["right"] - frame["left"] == 1).all()
    assert (frame["bottom"] - frame["top"] == 1).all()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_pixel_is_drawn_as_ink_on_paper_whatever_the_theme(mode):
    # Even steps of lightness (CIE 1976): L* 100, 75, 50 and 0 are the grays 255, 185, 119 and 0.
    # What is above 1 is black as well.
    image = np.array([0.0, 0.25, 0.5, 1.0])
    drawn = vl_convert.vegalite_to_svg(standalone_spec(images(image, (1.0, 4.0), mode), ""))
    colors = re.findall(r'aria-label="[^"]*pixel[^"]*"[^>]*fill="rgb\((\d+), \1, \1\)"', drawn)
    assert [int(color) for color in colors] == [255, 185, 119, 0, 255, 0, 0, 0]


def test_images_say_their_brightness_and_what_black_means_and_keep_every_pixel():
    chart = images(X[0], (0.1, 1.0, 2.0), "dark")
    assert chart.frames["panels"]["word"].tolist() == ["brightness 0.1", "brightness 1", "brightness 2"]
    table = chart.make_table()
    assert table[table["brightness"] == 0.1]["value"].tolist() == (0.1 * X[0]).tolist()
    assert (
        "0 is white paper, 1 is black ink. So a factor below 1 makes the image lighter" in chart.how_to_read
    )
    assert chart.alt_text.endswith(f"the darkest pixel is {2 * X[0].max():.1f}.")
    beyond = int((2 * X[0] > 1).sum())
    assert 0 < beyond < 16
    assert chart.notes == (f"{beyond} of 48 pixels are above 1 and drawn black.",)
    assert images(X[0], (0.1, 1.0), "dark").notes == ()


def test_pixels_are_square_at_any_width():
    spec = standalone_spec(images(np.ones(64), (0.5, 1.0, 2.0), "light"), "")
    for width in (300, 340, 720):
        svg = vl_convert.vegalite_to_svg({**spec, "width": width})
        x, y = (float(part) for part in square_of(svg))
        assert x == y
        assert 26 * x <= width


def square_of(svg: str) -> tuple[str, str]:
    """Give width and height of the first drawn pixel; Vega writes a rectangle as M0,0h18v18h-18Z."""
    pixel = re.search(r'aria-label="[^"]*brightness[^"]*"[^>]*d="M[\d.,]+h([\d.]+)v([\d.]+)h', svg)
    assert pixel is not None
    return pixel.group(1), pixel.group(2)


def test_many_pictures_are_named_by_their_number_alone():
    panels = images(np.ones(4), (0.05, 0.5, 1.0, 2.0), "light").frames["panels"]
    assert panels["word"].tolist() == ["0.05", "0.5", "1", "2"]


def test_images_refuse_what_is_no_square():
    for image in (np.ones(5), np.ones((2, 2)), np.ones(0)):
        with pytest.raises(ValueError, match=r"image: shape \(.*\) is not allowed; allowed: \(n \* n,\)"):
            images(image, (1.0,), "light")
    for count in (0, 6):
        with pytest.raises(ValueError, match=f"brightnesses: {count} is not allowed; allowed: 1 to 5"):
            images(np.ones(4), [1.0] * count, "light")


# --- one image through the layers


@pytest.mark.parametrize("seed", range(50))
def test_an_image_twice_as_bright_is_all_of_itself_away(seed):
    image = np.random.default_rng(seed).random(16)
    assert follow(NETWORK, image, (1.0, 2.0)).input_difference.tolist() == [0.0, 1.0]


def test_difference_survives_holds_the_relative_differences(followed):
    chart = difference_survives(followed, "light")
    frame, table = chart.frames["rows"], chart.make_table()
    assert set(frame["label"]) == {"0.5", "2"}
    lit = NETWORK.forward(2 * X)
    normal = NETWORK.forward(X)
    wanted = [1.0] + [
        np.linalg.norm(a.h - b.h) / np.linalg.norm(b.h) for a, b in zip(lit, normal, strict=True)
    ]
    two = table[table["brightness"] == 2]
    np.testing.assert_allclose(two["h_difference"], wanted, rtol=1e-12)
    z = np.linalg.norm(lit[0].z - normal[0].z) / np.linalg.norm(normal[0].z)
    assert two["z_difference"].iloc[1] == pytest.approx(z, rel=1e-12)
    np.testing.assert_allclose(frame[frame["label"] == "2"]["shown"], wanted, rtol=1e-12)
    assert frame["stage"].tolist() == [0, 1, 2, 3] * 2
    assert f"brightness 2 from 100 % to {share_words(wanted[-1])}" in chart.alt_text
    low, high = chart.spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low <= frame["shown"].min() <= frame["shown"].max() <= high


def test_a_difference_that_is_gone_lies_on_the_marked_floor():
    first = Layer(np.full((3, 16), 9.0), np.zeros(3), "hardtanh")
    network = Network((first, Layer(np.ones((2, 3)), np.ones(2))))
    chart = difference_survives(follow(network, np.ones(16), (0.5, 1.0)), "light")
    frame = chart.frames["rows"]
    assert frame["state"].tolist() == ["value", "zero", "zero"]
    assert (frame["shown"][1:] == chart.frames["floor"]["shown"].item()).all()
    y = chart.spec["layer"][0]["encoding"]["y"]
    assert y["scale"]["domain"] == [chart.frames["floor"]["shown"].item(), 1.0]
    assert y["axis"]["values"] == [0.5, 1.0]
    assert chart.make_table()["h_difference"].tolist() == [0.5, 0, 0]
    assert chart.alt_text.endswith("brightness 0.5 from 50.0 % to 0 %.")
    vl_convert.vegalite_to_svg(standalone_spec(chart, ""))


def test_differences_that_are_not_numbers_are_said():
    network = draw_network(WIDTHS, "relu", 0)
    broken = Network((*network.layers[:-1], replace(network.layers[-1], bias=np.full(4, math.nan))))
    chart = difference_survives(follow(broken, X[0], (0.5, 1.0)), "light")
    assert chart.notes == ("1 values are not finite and cannot be drawn.",)
    assert "to undefined" in chart.alt_text


def test_a_difference_needs_two_brightnesses():
    with pytest.raises(ValueError, match="brightnesses: only 1 was followed"):
        difference_survives(follow(NETWORK, X[0], (1.0,)), "light")


def test_a_difference_through_many_decades_has_few_ticks():
    layers = tuple(Layer(np.eye(2) * 0.1, np.ones(2)) for _ in range(8))
    chart = difference_survives(follow(Network(layers), np.ones(2), (0.5, 1.0)), "light")
    ticks = chart.spec["layer"][0]["encoding"]["y"]["axis"]["values"]
    assert len(ticks) <= 10
    assert chart.spec["layer"][0]["encoding"]["y"]["scale"]["domain"][0] < 1e-7
    vl_convert.vegalite_to_svg(standalone_spec(chart, ""))


# --- the units of one layer


def test_unit_values_are_z_and_h_sorted_by_z_at_brightness_1(followed):
    chart = unit_values(followed, 1, "light")
    frame = chart.frames["rows"]
    layer = NETWORK.layers[0]
    z = layer.weight @ X[0] + layer.bias
    order = np.argsort(z)
    normal = frame[frame["label"] == "1"]
    assert normal["unit"].tolist() == (order + 1).tolist()
    np.testing.assert_allclose(normal["z"], z[order], rtol=1e-12)
    np.testing.assert_allclose(normal["h"], 1 / (1 + np.exp(-z[order])), rtol=1e-12)
    half = layer.weight @ X[0] / 2 + layer.bias
    np.testing.assert_allclose(frame[frame["label"] == "0.5"]["z"], half[order], rtol=1e-12)
    spans = chart.frames["spans"]
    assert spans["z_low"].tolist() == frame.groupby("place")["z"].min().tolist()
    assert spans["h_high"].tolist() == frame.groupby("place")["h"].max().tolist()
    assert chart.make_table().query("label == '1'")["z"].tolist() == followed.layers[0].z[1].tolist()
    assert chart.notes == ()


def test_unit_values_of_a_wide_layer_are_thinned_and_the_output_is_explained():
    network = draw_network((16, 100, 3), "tanh", 0)
    found = follow(network, X[0], (0.5, 1.0))
    wide = unit_values(found, 1, "light")
    assert wide.notes == ("64 of 100 units are drawn; exports hold all.",)
    assert wide.frames["rows"]["unit"].nunique() == 64
    assert len(wide.make_table()) == 200
    assert unit_values(found, 2, "light").notes == ("This layer has no activation, so z and h are the same.",)
    for layer in (0, 3):
        with pytest.raises(ValueError, match=f"layer: {layer} is not allowed; allowed: 1 to 2"):
            unit_values(found, layer, "light")


def test_brightnesses_differ_in_color_and_in_shape_and_1_is_gray(followed):
    chart = unit_values(followed, 1, "dark")
    encoding = chart.spec["layer"][0]["layer"][1]["encoding"]
    assert encoding["color"]["scale"]["domain"] == ["0.5", "1", "2"]
    assert encoding["color"]["scale"]["range"][1] == THEMES["dark"].muted
    assert len(set(encoding["color"]["scale"]["range"])) == 3
    assert encoding["shape"]["scale"]["range"] == list(SHAPES[:3])
    survival = difference_survives(followed, "dark").spec["layer"][1]["encoding"]["color"]
    assert survival["scale"] == encoding["color"]["scale"]
    assert survival["legend"]["values"] == ["0.5", "2"]
