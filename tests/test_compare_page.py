"""The page Compare, without a browser: first sight, sets, pins from the lab, links, training, run files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boards import fresh_board
from streamlit.testing.v1 import AppTest
from threadpoolctl import threadpool_limits

from nnlab import hosting
from nnlab.config import ExperimentConfig
from nnlab.job_board import JobBoard
from nnlab.overlay_charts import DIAGNOSTICS, LAYER_CHARTS
from nnlab.overlay_sets import SETS
from nnlab.overlay_stored import FIRST
from nnlab.overlay_text import from_text, to_text
from nnlab.presets import EXAMPLE_RUN, PRESETS
from pages.parts import first_sight
from pages.parts.treatment import Stage

ROOT = Path(__file__).parent.parent
PAGE = "pages/5_Compare.py"
PATIENCE = 60.0  # seconds; far more than anything here takes
TINY = ExperimentConfig(dataset="iris", depth=2, width=4, batch_size=30, steps=6, record_every=2)
QUICK = (TINY, TINY.replace(activation="relu"))
ENDLESS = tuple(config.replace(steps=20_000) for config in QUICK)


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobBoard]:
    """Give every test a board of its own, and leave no run behind."""
    monkeypatch.delenv(hosting.HOSTED_VARIABLE, raising=False)
    monkeypatch.setattr(first_sight, "PAINT_SECONDS", 0.0)
    fresh = fresh_board(monkeypatch)
    with threadpool_limits(1):
        yield fresh
    for job in fresh.jobs():
        job.stop()
        assert job.wait(PATIENCE)


def session() -> AppTest:
    return AppTest.from_file(ROOT / "dashboard.py", default_timeout=60)


def visit(query: dict[str, str] | None = None) -> AppTest:
    page = session()
    page.query_params.update(query or {})
    return page.switch_page(PAGE).run()


def go(page: AppTest, path: str) -> AppTest:
    """Follow a link inside the app: the session goes on, the address begins anew."""
    page.query_params.clear()
    return page.switch_page(path).run()


def configs(page: AppTest) -> tuple[ExperimentConfig, ...]:
    """Give what the address compares."""
    found, notes = from_text(page.query_params["configs"][0] if isinstance(page.query_params["configs"], list)
                             else page.query_params["configs"])  # fmt: skip
    assert not notes
    return found


def press(page: AppTest, key: str) -> AppTest:
    return page.button(key=key).click().run()


def trained(page: AppTest, board: JobBoard) -> AppTest:
    assert board.jobs()[-1].wait(PATIENCE)
    return page.run()


def charts(page: AppTest) -> list[Any]:
    return [element.proto for element in page.get("vega_lite_chart")]


def words(page: AppTest) -> str:
    return "\n".join(e.value for kind in ("markdown", "caption", "info", "text") for e in getattr(page, kind))


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_the_first_sight_is_a_finished_comparison() -> None:
    page = visit()
    assert not page.exception
    assert configs(page) == FIRST
    assert len(charts(page)) == len(DIAGNOSTICS)
    assert "Highest test accuracy: tanh" in words(page)
    assert page.dataframe[0].value.set_index("what").loc["Activation"].tolist() == ["sigmoid", "tanh"]
    assert not page.text
    assert not page.info


def test_training_shows_all_and_the_link_trains_it_again(board: JobBoard) -> None:
    page = visit({"configs": to_text(QUICK), "seeds": "2"})
    assert "Press Train to see your choice" in words(page)
    page = trained(press(page, "train_compare"), board)
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table)[1:] == ["tanh", "relu"]
    assert table.set_index("what").loc["Seeds"].tolist() == ["2", "2"]
    assert "Press Train" not in words(page)
    link = {name: page.query_params[name] for name in page.query_params}
    link = {name: value[0] if isinstance(value, list) else value for name, value in link.items()}
    board.jobs().clear()
    board._jobs.clear()
    again = trained(visit(link), board)
    assert "trained again" in words(again)
    assert again.dataframe[0].value.equals(table)


def test_a_links_training_is_watched_from_its_beginning(board: JobBoard) -> None:
    page = visit({"configs": to_text(ENDLESS), "seeds": "1", "compare_run": "abcdefghijkl"})
    assert page.session_state["ticking_compare"]
    assert {button.key for button in page.button} >= {"stop_compare"}
    wait_until(lambda: board.jobs()[-1].steps_done)
    page = press(page.run(), "stop_compare")
    assert not page.exception
    page = trained(page, board)
    assert "stopped at step" in words(page) or "stopped" in page.dataframe[0].value.to_string()


def test_the_slider_moves_all_charts_and_stands_in_the_address() -> None:
    page = visit()
    assert words(page).count(", step 300**") == len(LAYER_CHARTS)
    page = page.select_slider[0].set_value(0).run()
    assert page.query_params["compare_step"] in ("0", ["0"])
    assert words(page).count(", step 0**") == len(LAYER_CHARTS)


def test_a_set_replaces_the_choice_by_the_first_configuration_with_each_value() -> None:
    name = next(name for name, entry in SETS.items() if entry.field == "initializer")
    page = visit()
    page = page.selectbox(key="compare_set").select(name).run()
    assert configs(page) == SETS[name].configs(FIRST[0])
    assert len(page.multiselect(key="compare_chosen").value) == len(SETS[name].values)


def test_presets_are_chosen_from_the_list_and_too_few_cannot_be_trained() -> None:
    page = visit()
    chosen = page.multiselect(key="compare_chosen")
    page = chosen.set_value([*chosen.value, "preset: Exploding"]).run()
    assert configs(page) == (*FIRST, PRESETS["Exploding"].config)
    page = page.multiselect(key="compare_chosen").set_value([]).run()
    assert page.button(key="train_compare").disabled
    assert "0 chosen; allowed: 2 to 6" in words(page)
    assert not page.exception


def test_pins_from_the_lab_are_compared_and_survive_pages_and_reloads() -> None:
    page = press(session().run(), "pin")
    pinned = page.query_params["pinned"]
    assert from_text(pinned[0] if isinstance(pinned, list) else pinned)[0] == (
        PRESETS["Sigmoid tower"].config,
    )
    page = go(page, "pages/4_Initialization.py")
    page = go(page, PAGE)
    assert PRESETS["Sigmoid tower"].config in configs(page)
    assert "pinned" in page.query_params
    reloaded = session()
    reloaded.query_params["pinned"] = to_text(QUICK)
    reloaded = go(reloaded.run(), PAGE)
    assert configs(reloaded) == QUICK


def test_the_lab_as_it_stands_and_the_run_before_a_remedy_can_be_added() -> None:
    page = session()
    page.query_params.update(PRESETS["Step"].config.replace(depth=3, steps=5).to_query())
    page = page.run()
    page = go(page, PAGE)
    options = page.multiselect(key="compare_chosen").options
    assert "the lab now: digits · 3 x 64 step · xavier_uniform · SGD 0.1" in options
    assert not any(option.startswith("before") for option in options)
    page.session_state["earlier"] = (Stage(PRESETS["Sigmoid tower"].config),)
    page.session_state["choices_compare"] = page.session_state["choices_compare"] | {
        "configs": to_text(QUICK)
    }
    options = page.run().multiselect(key="compare_chosen").options
    assert any(option.startswith("before the remedy: digits · 10 x 64 sigmoid") for option in options)
    assert len(set(options)) == len(options)


def test_a_hostile_link_is_named_and_harmless() -> None:
    page = visit({"configs": to_text(QUICK) + "~~depth.<img src=x>", "seeds": "99", "pinned": "**x**"})
    assert not page.exception
    assert configs(page) == QUICK
    said = "\n".join(text.value for text in page.text)
    assert "<img src=x>" in said
    assert "Ignored seeds" in said
    assert "Pinned: Configuration 1 is left out: '**x**'" in said
    assert "<img" not in "\n".join(e.value for e in (*page.markdown, *page.caption, *page.info))


def test_run_files_are_laid_over_the_others_as_they_are() -> None:
    page = visit()
    files = [("mine.jsonl", EXAMPLE_RUN.read_bytes(), ""), ("broken.jsonl", b"{}", "")]
    page = page.file_uploader(key="compare_files").set_value(files).run()
    assert not page.exception
    assert list(page.dataframe[0].value)[1:] == ["sigmoid", "tanh", "mine.jsonl"]
    assert any("broken.jsonl" in text.value for text in page.text)
