"""The page of somebody's own model, without a browser: open, follow, search, fold, weights, hostile files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

import nnlab
from nnlab.hosting import HOSTED_VARIABLE
from nnlab.presets import EXAMPLE_RUN, STORED_RUN
from nnlab.run import Run
from nnlab.runfile import load_run, to_bytes
from nnlab.runwriter import RunWriter
from pages.parts.plain import plain

ROOT = Path(__file__).parent.parent
PAGE = "pages/7_Your_model.py"
HOSTILE = (
    "![x](http://evil.example/x.png)",
    ":red[a]:material/delete:",
    "$\\href{http://evil.example}{x}$",
    "<img src=x onerror=alert(1)>",
    "www.evil.example",
    "**bold** _under_ `code`",
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test a program that was started without arguments, on somebody's own machine."""
    monkeypatch.setattr(sys, "argv", ["dashboard.py"])
    monkeypatch.delenv(HOSTED_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def example() -> Run:
    return load_run(EXAMPLE_RUN)


def visit(query: dict[str, Any] | None = None) -> AppTest:
    page = AppTest.from_file(ROOT / "dashboard.py", default_timeout=60)
    page.query_params.update(query or {})
    return page.switch_page(PAGE).run()


def opened(content: bytes, name: str = "run.jsonl") -> AppTest:
    page = visit()
    return page.file_uploader(key="model_file").set_value((name, content, "")).run()


def texts(page: AppTest) -> str:
    return "\n".join(element.value for element in (*page.markdown, *page.caption))


def complaints(page: AppTest) -> str:
    return "\n".join(element.value for element in page.text)


def table(page: AppTest, column: str) -> list[Any]:
    found = [frame.value for frame in page.dataframe if column in frame.value]
    return list(found[-1][column]) if found else []


def strip_layers(page: AppTest) -> int:
    """Give the number of layers that the charts show."""
    chart = page.get("vega_lite_chart")[0].proto
    return round(json.loads(chart.spec)["layer"][0]["encoding"]["x"]["scale"]["domain"][1] - 0.5)


def named(run: Run, names: tuple[str, ...]) -> Run:
    layers = tuple(replace(layer, name=name) for layer, name in zip(run.layers, names, strict=True))
    return replace(run, layers=layers)


# Nothing opened yet


def test_without_a_file_the_page_says_what_to_do_and_shows_an_example() -> None:
    page = visit()
    assert not page.exception
    assert [code.language for code in page.code] == ["python", "sh"]
    assert "**1. Record.**" in texts(page)
    assert "#### Example" in texts(page)
    assert "**Dead layer, severe.** All units of stem.0" in texts(page)
    assert page.metric[3].label == "Loss"


def test_the_snippets_change_with_the_way_to_train() -> None:
    page = visit()
    page.pills(key="model_snippet").set_value("Lightning").run()
    assert "callbacks=[Watch(" in page.code[0].value


def test_the_example_offers_no_remedy_button_but_says_what_to_change() -> None:
    page = visit()
    assert not [button for button in page.button if "Try this" in button.label]
    assert "**What to change.**" in texts(page)


# A run file


def test_an_uploaded_file_is_shown_and_taking_it_away_brings_the_example_back(example: Run) -> None:
    run = replace(example, environment={**example.environment, "model": "MyNet"})
    page = opened(to_bytes(run))
    assert "#### MyNet · 7 layers" in texts(page)
    assert "31 records up to step 300" in texts(page)
    page.file_uploader(key="model_file").clear().run()
    assert "#### Example" in texts(page)


@pytest.mark.parametrize("content", [b"", b"no run file\n", b"\x00\xff" * 100, b"{}\n"])
def test_a_file_that_is_no_run_file_gets_one_sentence(content: bytes) -> None:
    page = opened(content, "![x](http://evil.example).jsonl")
    assert not page.exception
    (sentence,) = complaints(page).split("\n")
    assert "evil.example" in sentence
    assert "evil.example" not in texts(page)


def test_a_file_without_records_says_so(example: Run) -> None:
    page = opened(to_bytes(replace(example, records=())))
    assert not page.exception
    assert "no record" in complaints(page)


def test_hostile_names_are_shown_as_they_are_and_nowhere_as_markup(example: Run) -> None:
    names = (*HOSTILE, "output")
    lost = replace(example.layers[1], notes=("why: ![n](http://evil.example/n.png)",))
    run = named(replace(example, layers=(example.layers[0], lost, *example.layers[2:])), names)
    page = opened(to_bytes(replace(run, environment={**run.environment, "model": HOSTILE[0]})))
    assert not page.exception
    assert not page.error
    written = texts(page) + "".join(tile.delta + tile.proto.help for tile in page.metric)
    for name in (*HOSTILE, "![n](http://evil.example/n.png)"):
        assert name not in written
    assert plain(HOSTILE[0]) in texts(page)
    assert set(table(page, "number")), "the worst layers"
    assert lost.notes[0] in table(page, "why")


@pytest.mark.parametrize("name", HOSTILE)
def test_plain_text_holds_no_markup(name: str) -> None:
    written = plain(name)
    assert written.replace("\\", "").replace("\u2060", "") == name.replace("\\", "")
    for start in ("://", ":red", ":material", "www.evil"):
        assert start not in written
    assert not [mark for mark in "$*_`[<" if mark in written.replace(f"\\{mark}", "")]


def test_a_run_of_the_lab_is_shown_with_a_way_to_try_its_remedy_there() -> None:
    page = opened(STORED_RUN.read_bytes())
    assert not page.exception
    assert "**Vanishing gradient, severe.** Layer 1 gets 1 / 480,000" in texts(page)
    links = [link.proto for link in page.get("page_link")]
    assert [link.label for link in links if link.label.startswith("Try this in the lab")]
    assert not [button for button in page.button if "Try this" in button.label]


def test_a_path_in_the_address_opens_nothing() -> None:
    page = visit({"run": str(EXAMPLE_RUN), "file": str(STORED_RUN)})
    assert not page.exception
    assert "#### Example" in texts(page)


def test_one_record_of_a_linear_model_is_shown() -> None:
    import torch

    run = nnlab.diagnose(torch.nn.Linear(4, 3), torch.ones(8, 4), torch.zeros(8, dtype=torch.int64))
    page = opened(to_bytes(run))
    assert not page.exception
    assert "One record, at step 0" in texts(page)


# Deep networks


@pytest.fixture(scope="module")
def deep() -> Iterator[AppTest]:
    from test_selection import transformer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dashboard.py"])
        yield opened(to_bytes(transformer()))


def test_a_deep_network_is_folded_searched_and_its_worst_layer_named(deep: AppTest) -> None:
    assert not deep.exception
    assert strip_layers(deep) == 51
    assert table(deep, "number")[0] == "1.0e-03" or table(deep, "layer")[0] == "transformer.h.23.mlp.c_fc"
    deep.text_input(key="layers_search").set_value("c_fc").run()
    assert strip_layers(deep) == 51  # one c_fc in each of 50 blocks
    deep.text_input(key="layers_search").set_value("h.1.").run()
    assert strip_layers(deep) <= 5
    deep.text_input(key="layers_search").set_value("<b>nothing</b>").run()
    assert "No layer's name contains '<b>nothing</b>'" in complaints(deep)
    assert not deep.exception


def test_the_table_holds_the_searched_layers_worst_first(deep: AppTest) -> None:
    deep.text_input(key="layers_search").set_value("mlp.c_fc").run()
    deep.session_state["tabs_model"] = "Table and files"
    deep.run()
    layers = next(frame.value for frame in deep.dataframe if "activation" in frame.value)["layer"]
    assert layers.iloc[0] == "transformer.h.23.mlp.c_fc"
    assert len(layers) == 51
    assert layers.iloc[-1] == "lm_head"
    assert "No reproduce.py" in texts(deep)


# The file of the command line


def follow(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["dashboard.py", *arguments])
    return visit()


def test_a_file_that_grows_is_followed_to_its_end(monkeypatch, tmp_path, example: Run) -> None:
    path = tmp_path / "run.jsonl"
    page = follow(monkeypatch, "--run", str(path))
    assert "Waiting" in page.info[0].value
    writer = RunWriter(path)
    for record in example.records[:3]:
        writer.append(example, record)
    assert "**Live.** 3 records up to step 20" in texts(page.run())
    for record in example.records[3:5]:
        writer.append(example, record)
    assert "**Live.** 5 records up to step 40" in texts(page.run())
    writer.finish(example, "completed")
    page.run()
    assert "Live" not in texts(page)
    assert "5 records up to step 40" in texts(page)
    assert not page.exception


def test_the_lab_leads_to_the_followed_file_once(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dashboard.py", f"--run={EXAMPLE_RUN}"])
    lab = AppTest.from_file(ROOT / "dashboard.py", default_timeout=60).run()
    assert lab.title[0].value == "Your model"
    lab.switch_page("dashboard.py").run()
    assert lab.get("page_link")[0].proto.label.startswith("Follow your")
    assert not lab.exception


def test_a_public_server_follows_no_file(monkeypatch) -> None:
    monkeypatch.setenv(HOSTED_VARIABLE, "1")
    page = follow(monkeypatch, "--run", str(STORED_RUN))
    assert "public server" in complaints(page)
    assert "#### Example" in texts(page)


def test_a_flag_without_a_file_is_said(monkeypatch) -> None:
    assert "names no file" in complaints(follow(monkeypatch, "--run"))


# Weights


def saved_weights() -> bytes:
    from nnlab.checkpoint import write_checkpoint

    config = nnlab.ExperimentConfig(dataset="iris", depth=6, width=8, activation="sigmoid", batch_size=16)
    run = nnlab.train(config.replace(steps=2))
    return write_checkpoint(run)


def weights(content: bytes) -> AppTest:
    page = visit()
    page.segmented_control(key="model_way").set_value("Weights").run()
    return page.file_uploader(key="weights_file").set_value(("w.safetensors", content, "")).run()


def test_weights_are_diagnosed_on_a_dataset() -> None:
    page = weights(saved_weights())
    assert page.selectbox(key="weights_activation").value == "sigmoid"  # nnlab wrote the file
    assert page.selectbox(key="weights_dataset").value == "iris"
    page.button(key="weights_diagnose").click().run()
    assert not page.exception
    assert "#### w.safetensors · 7 layers" in texts(page)
    assert "**Vanishing gradient" in texts(page)


def test_a_file_that_holds_no_weights_gets_one_sentence_and_no_button() -> None:
    page = weights(b"\x80\x04nothing")
    assert not page.exception
    assert complaints(page)
    assert not [button for button in page.button if button.key == "weights_diagnose"]
    assert "convert" in "".join(code.value for code in page.code)


def test_a_layers_name_is_no_formula_in_any_table_that_may_be_saved(example: Run) -> None:
    names = ("=1+1", "@SUM(A1)", "-2+3", "+x", "\N{FULLWIDTH EQUALS SIGN}1", "plain", "output")
    page = opened(to_bytes(named(example, names)))
    page.session_state["tabs_model"] = "Table and files"
    page = page.run()
    assert not page.exception
    tables = [frame.value["layer"].tolist() for frame in page.dataframe if "layer" in frame.value]
    assert tables
    shown = {name for table in tables for name in table}
    assert {"'=1+1", "'@SUM(A1)", "'-2+3", "'+x", "'\N{FULLWIDTH EQUALS SIGN}1", "plain"} <= shown
    assert not shown & set(names[:5])
