"""What is drawn and said of singular values, counted again from the values themselves."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from chart_checks import assert_charts_explain_themselves

from nnlab.config import ExperimentConfig
from nnlab.isometry import linear_ranking, predict_isometry
from nnlab.jacobian import Spectra, Spectrum, draw_spectra
from nnlab.linear_product import largest_singular_value
from nnlab.random_network import RandomNetwork
from nnlab.spectrum_charts import THEORY, spectrum
from nnlab.spectrum_words import drawn_words, in_words, spectrum_table, spectrum_words


def network(**fields):
    chosen = {"dataset": "gaussian", "depth": 4, "width": 30, "batch_size": 16, **fields}
    return RandomNetwork(ExperimentConfig(**chosen))


def known(own, gaussian=(0.0,), orthogonal=(0.0,), **fields):
    """Spectra of one draw with these log10 s."""
    kinds = {"own": own, "gaussian": gaussian, "orthogonal": orthogonal}
    drawn = {kind: Spectrum(kind, np.array([values], dtype=float)) for kind, values in kinds.items()}
    return Spectra(network(**fields), len(own), **drawn)


@pytest.mark.parametrize(
    ("mode", "fields"),
    [("light", {"activation": "relu"}), ("dark", {"activation": "identity", "initializer": "lecun_normal"})],
)
def test_the_picture_explains_itself(mode, fields):
    chosen = network(**fields)
    assert_charts_explain_themselves([spectrum(draw_spectra(chosen), linear_ranking(chosen), mode)], mode)


def test_lines_hold_the_ranked_values_and_triangles_the_zeros():
    values = np.concatenate([np.linspace(1, -2, 30), np.full(10, -np.inf)])
    chart = spectrum(known(values, values[:30], np.full(40, -np.inf), activation="relu"), None, "light")
    rows, zeros = chart.frames["rows"], chart.frames["zeros"]
    own = rows[rows["series"].str.startswith("yours")]
    assert own["share"].to_numpy() == pytest.approx((np.arange(30) + 0.5) / 40)
    assert own["log10"].to_numpy() == pytest.approx(values[:30])
    gaussian = rows[rows["series"] == "Gaussian"]
    assert gaussian["share"].iloc[-1] == pytest.approx(29.5 / 30)
    share_of_marks = zeros.groupby("series").size() / 24
    assert share_of_marks["orthogonal"] == 1
    assert share_of_marks.filter(like="yours").iloc[0] == pytest.approx(0.25)
    assert "Gaussian" not in share_of_marks
    assert zeros["log10"].max() < rows["log10"].min()
    assert "25 % exactly 0" in chart.alt_text
    table = chart.make_table()
    assert len(table) == 40 + 30 + 40
    assert (table["s"] == 0).sum() == 50


def test_the_law_of_a_linear_network_lies_over_it():
    chosen = network(activation="identity", initializer="lecun_normal", width=100)
    rows = spectrum(draw_spectra(chosen), linear_ranking(chosen), "light").frames["rows"]
    theory, drawn = (rows[rows["series"] == name] for name in (THEORY, "Gaussian"))
    assert theory["log10"].max() == pytest.approx(math.log10(largest_singular_value(4)), abs=1e-3)
    for share in (0.2, 0.5):
        pair = [np.interp(share, part["share"], part["log10"]) for part in (theory, drawn)]
        assert pair[0] == pytest.approx(pair[1], abs=0.1)
    curved = network(activation="tanh")
    assert THEORY not in set(
        spectrum(draw_spectra(curved), linear_ranking(curved), "light").frames["rows"]["series"]
    )


def test_sentences_say_the_numbers():
    told = spectrum_words(known([1, 0, -2], [1, -2, -9], [0.5, 0.4, 0.3], activation="tanh"))
    assert "by 10 along the most stretched direction, by 1.0 along the one in the middle" in told[0]
    assert "by 0.01 along the least" in told[0]
    assert "Gaussian ones stretch the best direction 1000 times as far as the middle one" in told[1]
    assert "orthogonal ones stretch the best direction 1.3 times" in told[1]
    assert "initializer Orthogonal" in told[1]
    assert "sigma_w just at 1.0" in told[2]
    lost = spectrum_words(known([1, -np.inf, -np.inf], activation="relu"))
    assert "67 % of the directions are lost entirely, in units whose slope is 0" in lost[0]
    assert "No weights make a ReLU network" in lost[2]
    assert "keeps its length" in spectrum_words(known([0.01, 0.0, -0.01], activation="tanh"))[0]
    alike = spectrum_words(known([-600.0, -600.0], activation="tanh"))[0]
    assert "every direction alike, by 1e-600." in alike


def test_what_passes_nothing_is_explained():
    nothing = [-np.inf, -np.inf]
    for fields, word in (
        ({"initializer": "zeros"}, "weights are 0"),
        ({"activation": "step"}, "slope is 0 everywhere"),
        ({"activation": "relu"}, "every unit is off"),
        ({"normalization": "layer"}, "one or two units"),
    ):
        told = spectrum_words(known(nothing, nothing, nothing, **fields))
        assert len(told) == 1
        assert word in told[0]
    overflowed = known([math.nan, math.nan], [math.nan], [math.nan])
    assert "float64" in spectrum_words(overflowed)[0]
    for empty in (overflowed, known(nothing, nothing, nothing)):
        chart = spectrum(empty, None, "dark")
        assert chart.is_empty
        assert len(chart.make_table())
        in_words(empty, predict_isometry(empty.network))


def test_what_was_drawn_is_said():
    wide = draw_spectra(network(width=400, depth=2, activation="relu"))
    assert "100 units and as many inputs instead of 400" in drawn_words(wide)
    assert re.search(r"Drawn: 4 networks of each kind, 2 hidden layers", drawn_words(wide))
    assert "instead" not in drawn_words(draw_spectra(network(width=8, depth=1)))
    assert "LSUV is drawn as" in drawn_words(known([0.0], initializer="lsuv"))
    assert "constants" in drawn_words(known([0.0], normalization="batch"))


def test_the_table_holds_the_numbers_and_theorys():
    chosen = known([1.0, 0.0], activation="identity", initializer="orthogonal", depth=3)
    told = predict_isometry(chosen.network)
    table = spectrum_table(chosen, told)
    own = table.iloc[0]
    assert (own["largest"], own["smallest"]) == (10, 1)
    assert own["mean_square"] == pytest.approx(50.5)
    assert own["square_variance"] == pytest.approx(49.5**2)
    assert own["spread"] == pytest.approx((49.5 / 50.5) ** 2)
    assert list(table["spread_theory"]) == pytest.approx([0, 3, 0])  # yours is orthogonal
    text = in_words(chosen, told)
    assert list(text.iloc[0])[:4] == ["yours: Orthogonal", "10", "1.0", "1.0"]
