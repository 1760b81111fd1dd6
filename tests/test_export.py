"""Charts as files: five formats in two colors, with typeface, title, caption and the same picture."""

from __future__ import annotations

import io
import json
import struct

import pytest
from PIL import Image

import nnlab
from nnlab import export
from nnlab.charts import CHARTS, draw
from nnlab.palette import THEMES
from nnlab.presets import STORED_RUN


@pytest.fixture(scope="module")
def stored():
    return nnlab.load_run(STORED_RUN)


@pytest.fixture(scope="module", params=["light", "dark"])
def norms(request, stored):
    return draw("layer_norms", stored, 300, request.param), request.param


def pdf_page(pdf):
    from pypdf import PdfReader

    (page,) = PdfReader(io.BytesIO(pdf)).pages
    return page


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_becomes_svg_and_pdf_with_title_and_configuration(stored, name):
    chart = draw(name, stored, 300, "light")
    svg = export.to_svg(chart, stored.caption).decode()
    assert svg.startswith("<svg")
    assert chart.title.split(",")[0] in svg
    assert "http://" not in svg.replace("http://www.w3.org", "")
    words = pdf_page(export.to_pdf(chart, stored.caption)).extract_text()
    for text in (svg, words):
        assert "10 x 64 sigmoid" in text
        assert all(note in text for note in chart.notes)


def test_an_svg_brings_its_typeface_and_a_pdf_and_png_are_set_in_it(norms):
    chart, _ = norms
    svg = export.to_svg(chart, "caption").decode()
    assert svg.count("@font-face") == 2
    assert "font/woff2;base64," in svg
    fonts = pdf_page(export.to_pdf(chart, "caption"))["/Resources"]["/Font"]
    names = {font.get_object()["/BaseFont"].partition("+")[2] for font in fonts.values()}
    assert names == {"SourceSans3-Regular", "SourceSans3-Bold"}


def test_a_png_is_twice_as_wide_for_slides_and_holds_words(stored):
    chart = draw("loss", stored, 300, "dark")
    png = export.to_png(chart, stored.title)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">I", png[16:20])[0] >= 2 * export.WIDTH
    # The title's line is background alone where a typeface is not found.
    image = Image.open(io.BytesIO(png)).convert("RGB")
    title = image.crop((0, 20, 600, 70))
    assert len(set(title.get_flattened_data())) > 20


def test_every_format_is_drawn_in_the_colors_that_are_asked_for(norms):
    chart, mode = norms
    background = THEMES[mode].background
    assert f'fill="{background}"' in export.to_svg(chart, "").decode()
    assert f"body{{margin:0;background:{background}}}" in export.to_html(chart, "").decode()
    assert json.loads(export.to_spec(chart, ""))["config"]["background"] == background
    corner = Image.open(io.BytesIO(export.to_png(chart, ""))).convert("RGB").getpixel((3, 3))
    assert "#{:02x}{:02x}{:02x}".format(*corner) == background


def test_a_page_of_its_own_asks_no_network(norms):
    chart, _ = norms
    page = export.to_html(chart, "caption").decode()
    head = page[: page.index("</style>")]
    assert "<title>Gradients per layer, step 300</title>" in head
    assert 'src="http' not in page
    assert "<link" not in page


def test_the_spec_can_be_drawn_elsewhere(norms):
    import vl_convert

    chart, _ = norms
    spec = json.loads(export.to_spec(chart, "caption"))
    assert spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    export.fonts.register()
    assert vl_convert.vegalite_to_svg(spec) == export.svg_text(chart, "caption")


@pytest.mark.parametrize("form", export.CHART_FORMATS.values(), ids=lambda form: form.ending)
@pytest.mark.parametrize("name", ["delta_heatmap", "activation_histograms"])
def test_the_same_chart_is_the_same_file(stored, form, name):
    chart = draw(name, stored, 300, "light")
    assert len({form.write(chart, stored.caption) for _ in range(4)}) == 1


def test_a_caption_says_how_a_run_broke_off():
    config = nnlab.ExperimentConfig(
        dataset="iris", depth=2, width=4, activation="identity", learning_rate=1e10
    )
    run = nnlab.train(config)
    assert run.caption == f"{run.title} · diverged at step {run.records[-1].step}"
    assert run.caption in export.to_svg(draw("loss", run, 0, "light"), run.caption).decode()


def test_file_names_tell_what_is_inside_and_hold_no_path(stored):
    assert export.file_stem(stored.label, "delta_norm") == "digits-10x64-sigmoid-seed0-delta_norm"
    hostile = nnlab.Run(None, "completed", stored.layers, stored.records, {"model": "../../etc/passwd\0"})
    assert "/" not in export.file_stem(hostile.label, "loss")
    assert not export.file_stem(hostile.label, "loss").startswith(".")


def test_a_long_label_does_not_cost_the_name_of_the_chart():
    stem = export.file_stem("breast_cancer-100x1024-leaky_relu-seed4294967295", "pre_activation_histograms")
    assert len(stem) <= export.LONGEST_STEM
    assert stem.endswith("-pre_activation_histograms")
