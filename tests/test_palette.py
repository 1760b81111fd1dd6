"""One palette for screen, exports and Streamlit's theme."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from nnlab.palette import CATEGORIES, MAGMA, THEMES, interpolate, luminance, text_on

CONFIG = tomllib.loads((Path(__file__).parent.parent / ".streamlit" / "config.toml").read_text())


@pytest.mark.parametrize("mode", THEMES)
def test_streamlit_uses_the_colors_of_the_exports(mode):
    ours, theirs = THEMES[mode], CONFIG["theme"][mode]
    assert theirs["backgroundColor"] == ours.background
    assert theirs["secondaryBackgroundColor"] == ours.panel
    assert theirs["textColor"] == ours.text
    assert theirs["primaryColor"] == ours.primary
    assert CONFIG["theme"]["chartCategoricalColors"] == list(CATEGORIES)


def test_telemetry_is_off_and_uploads_are_small():
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert CONFIG["server"]["maxUploadSize"] == 5
    assert CONFIG["server"]["disconnectedSessionTTL"] == 30


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", THEMES)
def test_text_is_readable_on_its_page(mode):
    theme = THEMES[mode]
    assert contrast(theme.text, theme.background) > 7
    assert contrast(theme.muted, theme.background) > 4.5
    assert contrast("#ffffff", theme.primary) > 4


def test_numbers_on_any_cell_are_readable():
    for place in range(101):
        color = interpolate(MAGMA, place / 100)
        assert contrast(color, text_on(color)) > 4.5


def test_interpolation_hits_the_stops_and_brightens_steadily():
    assert interpolate(MAGMA, 0) == MAGMA[0]
    assert interpolate(MAGMA, 1) == MAGMA[-1]
    brightness = [luminance(interpolate(MAGMA, place / 50)) for place in range(51)]
    assert brightness == sorted(brightness)
