"""What is drawn and said of networks that are born dead."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from chart_checks import assert_charts_explain_themselves

from nnlab.born_dead import born_dead_at_one_input, draw_born_dead, draw_born_dead_by_depth
from nnlab.born_dead_charts import born_dead_over_depth, born_dead_over_width
from nnlab.born_dead_curves import (
    DRAWS,
    WIDEST,
    curve_over_width,
    curves_over_depth,
    draw_curves,
    shown_depth,
    shown_widths,
)
from nnlab.born_dead_words import born_dead_words, chance, chosen_words, width_for

OVER_DEPTH = curves_over_depth((2, 4), 20)
OVER_WIDTH = curve_over_width(10, 12)
TOLD_OVER_DEPTH = curves_over_depth((2, 4), 20, is_drawn=False)
TOLD_OVER_WIDTH = curve_over_width(10, 12, is_drawn=False)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(
    ("over_depth", "over_width"),
    [(OVER_DEPTH, OVER_WIDTH), (TOLD_OVER_DEPTH, TOLD_OVER_WIDTH)],
    ids=["drawn", "told"],
)
def test_the_pictures_explain_themselves(over_depth, over_width, mode):
    charts = [
        born_dead_over_depth(over_depth, (10, 100), mode),
        born_dead_over_width(over_width, (10, 4), mode),
    ]
    assert_charts_explain_themselves(charts, mode)


def test_cutting_networks_gives_the_same_law_at_every_depth():
    shares = draw_born_dead_by_depth(8, 3, draws=6000, seed=1)
    assert shares[-1] == draw_born_dead(8, 3, draws=6000, seed=1)
    for depth in (1, 3, 5):
        other = draw_born_dead(depth, 3, draws=6000, seed=2).share
        assert shares[depth - 1].share == pytest.approx(other, abs=0.03)
    assert np.all(np.diff([estimate.share for estimate in shares]) >= 0)  # the dead stay dead


def test_curves_hold_every_place_and_draws_between_the_bounds():
    assert [(p.depth, p.width) for p in OVER_DEPTH] == [(d, w) for w in (2, 4) for d in range(1, 21)]
    assert [p.width for p in OVER_WIDTH] == list(range(1, 13))
    drawn = [place for place in (*OVER_DEPTH, *OVER_WIDTH) if place.drawn]
    assert len(drawn) == 2 * 10 + 12
    for place in drawn:
        assert place.bounds.low - 0.03 <= place.drawn.share <= place.bounds.high + 0.03
        assert place.one_input == pytest.approx(1 - (1 - 0.5**place.width) ** place.depth)
        assert place.bounds.high <= place.one_input + 1e-12
    assert (shown_depth(10, 3), shown_depth(21, 3), shown_depth(3, 100)) == (20, 50, 100)
    assert shown_widths(4) == (2, 3, 4, 5, 8)
    assert shown_widths(8) == (2, 3, 5, 8)


def test_both_curves_are_of_the_same_networks_drawn_once(monkeypatch):
    over_depth = {(p.depth, p.width): p.drawn for p in OVER_DEPTH if p.drawn}
    assert over_depth[10, 4] == OVER_WIDTH[3].drawn
    assert curve_over_width(20, 4)[3].drawn == over_depth[20, 4]
    monkeypatch.setattr("nnlab.born_dead_curves.draw_born_dead_by_depth", None)
    assert curve_over_width(7, 12)[11].drawn.draws == DRAWS  # a depth that nobody has asked for


def test_what_is_drawn_for_later_is_not_drawn_again(monkeypatch):
    heard: list[int] = []
    assert draw_curves((20, 50), heard.append) == (20, 50)
    assert heard == list(range(2 * WIDEST))
    monkeypatch.setattr("nnlab.born_dead_curves.draw_born_dead_by_depth", None)
    assert curve_over_width(40, WIDEST)[-1].drawn is not None
    assert curves_over_depth(range(1, WIDEST + 1), 50)[-1].drawn is not None


def test_without_drawn_networks_there_is_the_same_theory(monkeypatch):
    monkeypatch.setattr("nnlab.born_dead_curves._drawn", None)
    assert curves_over_depth((2, 4), 20, is_drawn=False) == TOLD_OVER_DEPTH  # nothing is drawn for it
    for told, drawn in ((TOLD_OVER_DEPTH, OVER_DEPTH), (TOLD_OVER_WIDTH, OVER_WIDTH)):
        assert all(place.drawn is None for place in told)
        assert told == tuple(dataclasses.replace(place, drawn=None) for place in drawn)
    chart = born_dead_over_width(TOLD_OVER_WIDTH, (10, 4), "light")
    assert "Dots follow" in chart.notes[0]
    assert (chart.make_table()["draws"] == 0).all()
    words, more = (" ".join(born_dead_words(places[1])) for places in (TOLD_OVER_WIDTH, OVER_WIDTH))
    assert words == more.replace("; of 1,000 drawn ones it is 90 %", "")
    assert words != more


@pytest.mark.parametrize("wrong", [0, -1, True, 2.0])
def test_a_curve_is_of_whole_numbers(wrong):
    for curve in (lambda: curve_over_width(wrong, 4), lambda: curve_over_width(10, wrong)):
        with pytest.raises(ValueError, match=f"{wrong!r} is not allowed; allowed: a whole number, 1 or more"):
            curve()
    with pytest.raises(ValueError, match="is not allowed; allowed: a whole number, 1 or more"):
        curves_over_depth((2,), wrong)


def test_the_chosen_network_is_marked_or_said_to_lie_outside():
    inside = born_dead_over_depth(OVER_DEPTH, (10, 100), "light").frames["chosen"]
    assert inside[["depth", "one_input"]].iloc[0].tolist() == pytest.approx([10, 10 * 2.0**-100])
    outside = born_dead_over_depth(OVER_DEPTH, (30, 100), "light")
    assert not len(outside.frames["chosen"])
    assert any("30 layers deep, lies to the right" in note for note in outside.notes)
    wide = born_dead_over_width(OVER_WIDTH, (10, 100), "light")
    assert any("100 wide, lies to the right: 7.9e-30" in note for note in wide.notes)
    other = born_dead_over_width(OVER_WIDTH, (3, 4), "light").frames["chosen"]
    assert other["word"].iloc[0] == "your network, 3 deep"


def test_a_logarithmic_axis_never_gets_a_zero():
    frame = born_dead_over_width(OVER_WIDTH, (10, 100), "light").frames["rows"]
    none = frame[frame["has_none"]]
    assert len(none)  # at width 12 one network in 400 is dead for one input, fewer for all
    assert (none["shown"] == none["bar_high"]).all()
    assert (frame[["low", "high", "bar_low", "bar_high", "shown", "one_input"]] > 0).all().all()
    table = born_dead_over_width(OVER_WIDTH, (10, 100), "light").make_table()
    assert (table["drawn_share"] == 0).sum() == len(none)  # the table holds what was drawn


def test_the_sentence_of_the_lesson():
    told = born_dead_words(OVER_WIDTH[1])
    assert "10 layers deep and 2 wide is born dead with probability 0.94; at width 10 it is 0.0097" in told[0]
    assert "of 1,000 drawn ones" in told[1]
    assert "10 units in each layer bring it below 1 %" in told[2]
    assert "12 layers" not in born_dead_words(OVER_WIDTH[11])[2]
    assert "enough" in born_dead_words(OVER_WIDTH[11])[2]
    assert "at width 20" in born_dead_words(OVER_WIDTH[9])[0]
    assert "7.9e-30" in chosen_words(10, 100)
    assert "never in practice" in chosen_words(10, 100)
    assert "never" not in chosen_words(3, 4)
    assert "5.6e-307" in chosen_words(100, 1024)


def test_the_width_that_helps_is_the_smallest():
    for depth in (1, 10, 100):
        width = width_for(depth)
        assert born_dead_at_one_input([width] * depth) < 0.01 <= born_dead_at_one_input([width - 1] * depth)


def test_chances_near_one_do_not_become_one():
    assert (chance(0.9437), chance(0.0097), chance(1 - 1e-9)) == ("0.94", "0.0097", "1 - 1.0e-09")
