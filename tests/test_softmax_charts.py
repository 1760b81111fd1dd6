"""Pictures of softmax: bars now, lines over the temperature."""

from __future__ import annotations

import numpy as np
import pytest
import vl_convert
from scipy.special import softmax as scipy_softmax

from nnlab.export import standalone_spec
from nnlab.palette import THEMES
from nnlab.softmax_charts import bars, over_temperature

SCORES = [2.0, 1.0, 0.1]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("scores", [SCORES, [1.0] * 5, [20.0, 1.0, 0.1, -30.0]])
def test_specs_compile_and_say_what_they_show(scores, mode):
    for chart, name in (
        (bars(scores, 0.5, mode), "softmax_bars"),
        (over_temperature(scores, 0.5, mode), None),
    ):
        assert vl_convert.vegalite_to_svg(standalone_spec(chart, "s")).startswith("<svg")
        assert chart.spec["config"]["background"] == THEMES[mode].background
        assert chart.name == (name or "softmax_over_temperature")
        assert len(chart.how_to_read) > 80
        assert "class" in chart.alt_text


def test_bars_hold_the_probabilities_and_those_at_temperature_one():
    chart = bars(SCORES, 0.5, "light")
    table = chart.make_table()
    np.testing.assert_allclose(table["probability"], scipy_softmax(np.array(SCORES) / 0.5), rtol=1e-14)
    np.testing.assert_allclose(table["at_temperature_1"], scipy_softmax(SCORES), rtol=1e-14)
    assert table["score"].tolist() == SCORES
    assert chart.frames["rows"]["words"].tolist() == ["0.86", "0.12", "0.019"]
    assert "class 1 0.86" in chart.alt_text


def test_a_tiny_probability_keeps_its_number():
    words = bars([40.0, 0.0, 0.0], 1, "light").frames["rows"]["words"]
    assert words.tolist() == ["1", "4.2e-18", "4.2e-18"]  # 1 - 8.5e-18 is 1 in float64


def test_lines_are_the_probabilities_at_every_temperature():
    chart = over_temperature(SCORES, 2.0, "light")
    table = chart.make_table()
    assert table["temperature"].min() == pytest.approx(0.05)
    assert table["temperature"].max() == pytest.approx(20)
    for temperature, part in table.groupby("temperature"):
        expected = scipy_softmax(np.array(SCORES) / temperature)
        np.testing.assert_allclose(part["probability"], expected, rtol=1e-12, atol=1e-300)
        assert part["class"].tolist() == ["class 1", "class 2", "class 3"]
    assert chart.frames["cursor"]["temperature"].tolist() == [2.0]
    np.testing.assert_allclose(
        chart.frames["now"]["probability"], scipy_softmax(np.array(SCORES) / 2), rtol=1e-14
    )
    assert chart.frames["guess"]["probability"].tolist() == [1 / 3]


def test_the_temperature_axis_is_logarithmic_and_evenly_sampled():
    chart = over_temperature(SCORES, 2.0, "light")
    steps = np.diff(np.log(chart.frames["rows"]["temperature"].unique()))
    assert np.ptp(steps) < 1e-9
    assert "'type': 'log'" in str(chart.spec)


def test_a_temperature_outside_the_picture_is_said():
    chart = over_temperature(SCORES, 30.0, "light")
    assert len(chart.frames["cursor"]) == len(chart.frames["now"]) == 0
    assert chart.notes == ("The temperature 30 lies outside the picture.",)
    assert over_temperature(SCORES, 20.0, "light").notes == ()


def test_bad_input_is_one_sentence():
    for draw in (bars, over_temperature):
        with pytest.raises(ValueError, match=r"^scores: 2 scores are not allowed"):
            draw([1.0, 2.0], 1.0, "light")
        with pytest.raises(ValueError, match=r"^temperature: 0 is not allowed"):
            draw(SCORES, 0, "light")
