"""The lab's page, without a browser: first paint, links, presets, training, remedies, runs, charts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from boards import fresh_board
from streamlit.testing.v1 import AppTest
from waiting import wait_until

import nnlab.trainer
from nnlab import failure, hosting, job_board
from nnlab.config import CSV_FIELDS, FIELDS, ExperimentConfig
from nnlab.job_board import BOARD, JobBoard
from nnlab.jobs import RunJob
from nnlab.presets import FIRST_PRESET, PRESETS
from nnlab.sweep_summary import lab_query
from pages.parts import runs, treatment
from pages.parts.controls import DEPTHS, WIDTHS

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "dashboard.py"
PATIENCE = 60.0  # seconds; far more than anything here takes
DEFAULT = PRESETS[FIRST_PRESET].config
SHORT = ExperimentConfig(dataset="iris", depth=2, width=4, batch_size=16, steps=5)
ENDLESS = SHORT.replace(steps=20_000, record_every=1)  # minutes, so never over by itself
TOWER = DEFAULT.replace(dataset="iris", width=8, batch_size=16, steps=10)
DIVERGING = [
    ExperimentConfig(dataset="iris", depth=4, width=8, activation="relu", learning_rate=1e6, steps=30),
    ExperimentConfig(dataset="iris", depth=4, width=8, activation="relu", gain=1e30, steps=30),
]
ALWAYS_DRAWN = 3  # strip, heat map and norms
TAB_CHARTS = {"Learning": 3, "Activations": 2, "Units": 2, "Gradients": 2, "Table and files": 0}

# A valid value of every field that is not the first preset's, as a link says it and as a widget holds it.
LINK_VALUES: dict[str, tuple[str, object]] = {
    "dataset": ("wine", "wine"),
    "samples": ("700", 700),
    "noise": ("0.25", 0.25),
    "depth": ("11", 11),
    "width": ("77", 77),
    "activation": ("gelu", "gelu"),
    "initializer": ("normal_0.01", "normal_0.01"),
    "gain": ("1.7", 1.7),
    "normalization": ("layer", "layer"),
    "residual": ("true", True),
    "optimizer": ("adamw", "adamw"),
    "learning_rate": ("3e-05", 3e-05),
    "weight_decay": ("0.01", 0.01),
    "batch_size": ("33", 33),
    "steps": ("123", 123),
    "clip_norm": ("2.5", 2.5),
    "loss": ("mse", "mse"),
    "seed": ("4294967295", 4294967295),
    "record_every": ("7", 7),
}
# What a link may say and no page may believe: the query, and what the note must name.
HOSTILE: dict[str, tuple[dict[str, str | list[str]], str]] = {
    "unknown field": ({"layers": "3"}, "layers"),
    "markup as a name": ({"![x](http://x)": "1"}, "![x](http://x)"),
    "path of a file": ({"csv_path": "/etc/passwd"}, "csv_path"),
    "below the range": ({"depth": "0"}, "depth"),
    "above the range": ({"width": "1025"}, "width"),
    "other script's digit": ({"depth": "٣"}, "depth"),
    "fraction": ({"depth": "2.5"}, "depth"),
    "empty": ({"depth": ""}, "depth"),
    "blank": ({"depth": " 4"}, "depth"),
    "too large to read": ({"learning_rate": "1e999"}, "learning_rate"),
    "not a number": ({"gain": "nan"}, "gain"),
    "negative": ({"weight_decay": "-1"}, "weight_decay"),
    "unknown option": ({"optimizer": "SGD"}, "optimizer"),
    "script": ({"activation": "<script>alert(1)</script>"}, "activation"),
    "image": ({"activation": "![x](http://x)"}, "activation"),
    "formula": ({"initializer": "$\\href{http://x}{x}$"}, "initializer"),
    "icon": ({"loss": ":material/delete: :red[x]"}, "loss"),
    "new lines": ({"loss": "x\n\n# x\n- x"}, "loss"),
    "very long": ({"loss": "x" * 5000}, "loss"),
    "said twice": ({"depth": ["3", "4"]}, "depth"),
    "too much work": ({"width": "1024", "depth": "100", "batch_size": "4096"}, "width"),
    "no batch to compare": ({"normalization": "batch", "batch_size": "1"}, "batch_size"),
    "version to come": ({"v": "2"}, "v"),
}


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobBoard]:
    """Give every test a board of its own, and leave no run behind."""
    monkeypatch.delenv(hosting.HOSTED_VARIABLE, raising=False)
    fresh = fresh_board(monkeypatch)
    yield fresh
    left = fresh.jobs()
    for job in left:
        job.stop()
    for job in left:
        assert job.wait(PATIENCE)


def visit(query: dict[str, Any] | None = None) -> AppTest:
    """Open the page by a link."""
    page = AppTest.from_file(SCRIPT, default_timeout=60)
    page.query_params.update(query or {})
    return page.run()


def visit_with(config: ExperimentConfig) -> AppTest:
    return visit(config.to_query())


def press(page: AppTest, key: str) -> AppTest:
    return page.button(key=key).click().run()


def job_of(page: AppTest) -> RunJob:
    job = runs.BOARD.get(page.session_state["job_id"])
    assert job is not None
    return job


def train(page: AppTest) -> AppTest:
    """Press Train and come back when the run is over."""
    press(page, "train")
    return finished(page)


def finished(page: AppTest) -> AppTest:
    assert job_of(page).wait(PATIENCE)
    return page.run()


def running(config: ExperimentConfig = ENDLESS) -> AppTest:
    """Give a page whose run is on its way and has something to show."""
    page = press(visit_with(config), "train")
    wait_until(lambda: job_of(page).run is not None)
    return page.run()


def keys(page: AppTest) -> set[str]:
    return {button.key for button in page.button}


def texts(page: AppTest) -> str:
    return "\n".join(element.value for element in (*page.markdown, *page.caption))


def link_notes(page: AppTest) -> list[str]:
    """Give what the page says of the parts of a link that it could not use."""
    return [line for text in page.text for line in text.value.split("\n")]


def heading(page: AppTest) -> str:
    (found,) = [m.value for m in page.markdown if m.value.startswith("#### ")]
    return found.removeprefix("#### ")


def verdict(page: AppTest) -> str:
    """Give the first sentence of the verdict: the worst finding, or that all is well."""
    return next(m.value for m in page.markdown if m.value.startswith(":material/"))


def charts(page: AppTest) -> list[Any]:
    return [chart.proto for chart in page.get("vega_lite_chart")]


def step_slider(page: AppTest) -> Any:
    (slider,) = [s for s in page.select_slider if s.label.startswith("Step shown")]
    return slider


def has_step_slider(page: AppTest) -> bool:
    return any(s.label.startswith("Step shown") for s in page.select_slider)


def open_tab(page: AppTest, name: str) -> AppTest:
    page.session_state["tabs"] = name
    return page.run()


def assert_address_says(page: AppTest, config: ExperimentConfig) -> None:
    aside = ("run", "made", "healed", "step", "tab")
    assert {
        name: value for name, value in page.query_params.items() if name not in aside
    } == config.to_query()


def assert_nothing_broke(page: AppTest) -> None:
    assert not page.exception
    assert not page.error


# The first visit

FIRST_PAINT = """
import json, sys
from streamlit.testing.v1 import AppTest
page = AppTest.from_file(sys.argv[1], default_timeout=60).run()
print(json.dumps({
    "torch": "torch" in sys.modules,
    "texts": [element.value for element in page.markdown],
    "charts": len(page.get("vega_lite_chart")),
    "exceptions": [element.value for element in page.exception],
}))
"""


@pytest.fixture(scope="module")
def first_paint() -> dict[str, Any]:
    """Give what a fresh process draws for its first visitor."""
    result = subprocess.run(
        [sys.executable, "-c", FIRST_PAINT, str(SCRIPT)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        cwd=ROOT,
    )
    return json.loads(result.stdout)


def test_the_first_paint_does_not_wait_for_torch(first_paint: dict[str, Any]) -> None:
    assert first_paint["torch"] is False


def test_the_first_paint_tells_the_verdict_on_a_vanishing_network(first_paint: dict[str, Any]) -> None:
    words = "\n".join(first_paint["texts"])
    assert "**Vanishing gradient, severe.** Layer 1 gets 1 / 480,000 of the error signal" in words


def test_the_first_paint_draws_charts(first_paint: dict[str, Any]) -> None:
    assert first_paint["charts"] == ALWAYS_DRAWN + TAB_CHARTS["Learning"]
    assert first_paint["exceptions"] == []


def test_the_first_visit_shows_the_first_preset() -> None:
    page = visit()
    assert page.selectbox(key="preset").value == FIRST_PRESET
    assert heading(page) == DEFAULT.words


def test_the_first_visit_has_nothing_to_warn_about() -> None:
    page = visit()
    assert_nothing_broke(page)
    assert not link_notes(page)
    assert not page.info


def test_the_first_visit_writes_the_whole_experiment_into_the_address() -> None:
    page = visit()
    assert page.query_params["v"] == "1"
    assert set(page.query_params) == {"v", *FIELDS} - set(CSV_FIELDS)
    assert_address_says(page, DEFAULT)


def test_train_is_the_one_action_offered() -> None:
    assert keys(visit()) & {"train", "stop"} == {"train"}


def test_four_tiles_each_have_a_number_and_a_sparkline() -> None:
    tiles = visit().metric
    assert [tile.label for tile in tiles] == [
        "Signal at layer 1",
        "Saturated",
        "Dead units",
        "Test accuracy",
    ]
    assert tiles[0].value == "1 / 480,000"
    assert all(len(tile.proto.chart_data) > 1 for tile in tiles)


# Links


def test_the_link_values_cover_every_field_of_an_experiment_that_has_a_widget() -> None:
    assert set(LINK_VALUES) == set(FIELDS) - set(CSV_FIELDS)
    assert all(value != getattr(DEFAULT, name) for name, (_, value) in LINK_VALUES.items())


@dataclass(frozen=True)
class Visited:
    """A page as a link left it, for tests that only look."""

    page: AppTest
    name: str
    config: ExperimentConfig


@pytest.fixture(scope="module", params=LINK_VALUES)
def linked(request: pytest.FixtureRequest) -> Visited:
    """Give the page of a link that says one field."""
    text, value = LINK_VALUES[request.param]
    # Samples and noise have widgets for generated data only.
    also = {"dataset": "moons"} if request.param in ("samples", "noise") else {}
    page = visit({request.param: text, **also})
    return Visited(page, request.param, DEFAULT.replace(**{request.param: value}, **also))


def test_a_links_field_arrives_in_its_widget(linked: Visited) -> None:
    assert_nothing_broke(linked.page)
    assert not link_notes(linked.page)
    value = linked.page.get_by_key(f"field_{linked.name}").value
    assert value == getattr(linked.config, linked.name)


def test_the_address_says_the_whole_experiment_of_a_link(linked: Visited) -> None:
    assert linked.page.query_params["v"] == "1"
    assert_address_says(linked.page, linked.config)


def test_a_link_with_every_field_gives_the_same_experiment() -> None:
    config = DEFAULT.replace(**{name: value for name, (_, value) in LINK_VALUES.items()})
    page = visit_with(config)
    assert not link_notes(page)
    assert page.session_state["config"] == config
    assert_address_says(page, config)


@pytest.mark.parametrize("query", [{"target": "species"}, {"features": "a,b"}])
def test_the_address_never_says_less_than_the_experiment(query: dict[str, str]) -> None:
    page = visit(query)
    again, _ = ExperimentConfig.from_query(page.query_params, DEFAULT)
    assert again == page.session_state["config"]


@pytest.mark.parametrize("name", ["learning_rate", "gain", "clip_norm"])
def test_a_tiny_number_of_a_link_is_not_changed_in_silence(name: str) -> None:
    page = visit({name: "1e-13"})
    assert_nothing_broke(page)
    assert page.query_params[name] == "1e-13"


def test_a_link_to_another_experiment_says_that_the_shown_run_is_not_its_own() -> None:
    page = visit({"depth": "4"})
    (info,) = page.info
    assert info.value == f"The run below has depth {DEFAULT.depth}. Press Train to see your choice."
    assert heading(page) == DEFAULT.replace(depth=4).words


@pytest.fixture(scope="module", params=HOSTILE)
def hostile(request: pytest.FixtureRequest) -> Visited:
    """Give the page of a link that says what it cannot."""
    query, name = HOSTILE[request.param]
    return Visited(visit(query), name, DEFAULT)


def test_what_a_link_cannot_say_gets_a_note_that_names_it(hostile: Visited) -> None:
    (note,) = link_notes(hostile.page)
    assert hostile.name in note


def test_what_a_link_cannot_say_changes_nothing_and_breaks_nothing(hostile: Visited) -> None:
    assert_nothing_broke(hostile.page)
    assert hostile.page.session_state["config"] == DEFAULT
    assert_address_says(hostile.page, DEFAULT)


def test_notes_on_a_link_are_short_and_nowhere_markup(hostile: Visited) -> None:
    notes = link_notes(hostile.page)
    assert all(len(note) < 400 for note in notes)
    # st.text is the one element that takes no Markdown and makes no links.
    marked_up = [*hostile.page.markdown, *hostile.page.caption, *hostile.page.info, *hostile.page.error]
    assert not [element.value for element in marked_up for note in notes if note in element.value]


def test_every_unusable_part_of_a_link_gets_a_note_and_the_rest_is_used() -> None:
    page = visit({"depth": "0", "width": "32", "seed": "x"})
    assert [note.split(":")[0] for note in link_notes(page)] == ["Ignored depth", "Ignored seed"]
    assert_address_says(page, DEFAULT.replace(width=32))


def test_a_field_said_twice_is_said_once_in_the_address() -> None:
    page = visit({**DEFAULT.to_query(), "depth": ["5", str(DEFAULT.depth)]})
    assert len(link_notes(page)) == 1
    assert page.query_params["depth"] == str(DEFAULT.depth)


def test_notes_on_a_link_go_away_once_the_visitor_chooses() -> None:
    page = visit({"depth": "0"})
    page.get_by_key("field_activation").set_value("tanh").run()
    assert not link_notes(page)


# Presets and widgets


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_sets_every_widget_and_the_address(name: str) -> None:
    preset = PRESETS[name]
    page = visit({"depth": "3", "seed": "5", "clip_norm": "2", "dataset": "moons"})
    page.selectbox(key="preset").set_value(name).run()
    assert_nothing_broke(page)
    drawn = [field for field in FIELDS if f"field_{field}" in page.session_state]
    assert {"depth", "activation", "learning_rate", "clip_norm"} < set(drawn)
    assert {field: page.session_state[f"field_{field}"] for field in drawn} == {
        field: getattr(preset.config, field) for field in drawn
    }
    assert_address_says(page, preset.config)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_it_shows(name: str) -> None:
    preset = PRESETS[name]
    page = visit_with(preset.config)
    assert page.selectbox(key="preset").value == name
    assert heading(page) == preset.config.words
    assert preset.shows in texts(page)


def test_a_network_of_ones_own_is_no_preset() -> None:
    page = visit({"depth": "3"})
    assert page.selectbox(key="preset").value is None
    assert "Your own network." in texts(page)


CHANGES: list[tuple[str, object]] = [
    ("depth", 20),
    ("width", 32),
    ("activation", "relu"),
    ("initializer", "orthogonal"),
    ("gain", 2.0),
    ("normalization", "batch"),
    ("residual", True),
    ("optimizer", "adam"),
    ("learning_rate", 0.001),
    ("batch_size", 64),
    ("steps", 500),
    ("seed", 1),
    ("loss", "mse"),
    ("weight_decay", 0.5),
    ("clip_norm", 1.0),
    ("record_every", 10),
    ("dataset", "wine"),
]


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_widget_changes_the_experiment_and_the_address(name: str, value: object) -> None:
    page = visit()
    page.get_by_key(f"field_{name}").set_value(value).run()
    assert_nothing_broke(page)
    assert_address_says(page, DEFAULT.replace(**{name: value}))


@pytest.mark.parametrize(("name", "nothing"), [("clip_norm", "none"), ("record_every", "auto")])
def test_an_optional_number_can_be_cleared(name: str, nothing: str) -> None:
    page = visit({name: "5"})
    page.get_by_key(f"field_{name}").set_value(None).run()
    assert_nothing_broke(page)
    assert page.query_params[name] == nothing


@pytest.mark.parametrize("name", ["learning_rate", "gain", "steps", "batch_size"])
def test_a_cleared_number_never_becomes_the_smallest_one_in_silence(name: str) -> None:
    page = visit()
    page.get_by_key(f"field_{name}").set_value(None).run()
    assert page.error or page.query_params[name] == DEFAULT.to_query()[name]


@pytest.mark.parametrize(("name", "stops"), [("depth", DEPTHS), ("width", WIDTHS)])
def test_a_slider_can_leave_an_odd_number_that_a_link_asked_for(name: str, stops: tuple[int, ...]) -> None:
    page = visit({name: LINK_VALUES[name][0]})
    page.get_by_key(f"field_{name}").set_value(stops[-2]).run()
    assert page.query_params[name] == str(stops[-2])
    assert page.get_by_key(f"field_{name}").value == stops[-2]


def test_samples_and_noise_are_asked_for_generated_data_only() -> None:
    page = visit()
    assert "field_samples" not in {w.key for w in page.number_input}
    page.get_by_key("field_dataset").set_value("spiral").run()
    page.get_by_key("field_samples").set_value(400).run()
    assert_address_says(page, DEFAULT.replace(dataset="spiral", samples=400))


def test_a_change_keeps_the_shown_run() -> None:
    page = visit()
    before = verdict(page), [chart.spec for chart in charts(page)]
    page.get_by_key("field_depth").set_value(20).run()
    assert (verdict(page), [chart.spec for chart in charts(page)]) == before


def test_a_change_says_that_the_shown_run_is_another_experiments() -> None:
    page = visit()
    page.get_by_key("field_depth").set_value(20).run()
    (info,) = page.info
    assert info.value == f"The run below has depth {DEFAULT.depth}. Press Train to see your choice."
    assert heading(page) == DEFAULT.replace(depth=20).words


def test_going_back_to_the_experiment_of_the_shown_run_takes_the_hint_away() -> None:
    page = visit()
    page.get_by_key("field_depth").set_value(20).run()
    page.get_by_key("field_depth").set_value(DEFAULT.depth).run()
    assert not page.info


def untrainable() -> AppTest:
    page = visit()
    page.get_by_key("field_depth").set_value(100)
    return page.get_by_key("field_width").set_value(1024).run()


def test_a_combination_that_cannot_be_trained_says_why() -> None:
    page = untrainable()
    (error,) = page.error
    assert re.match(
        r"This cannot be trained\. width: 1024 with depth 100 and batch_size 128 needs \d+ GFLOP", error.value
    )


def test_a_combination_that_cannot_be_trained_disables_train() -> None:
    assert untrainable().button(key="train").disabled


def test_a_combination_that_cannot_be_trained_keeps_the_shown_run() -> None:
    page = untrainable()
    assert not page.exception
    assert len(charts(page)) == ALWAYS_DRAWN + TAB_CHARTS["Learning"]


def test_a_combination_that_cannot_be_trained_can_be_mended() -> None:
    page = untrainable()
    page.get_by_key("field_width").set_value(32).run()
    assert_nothing_broke(page)
    assert not page.button(key="train").disabled
    assert_address_says(page, DEFAULT.replace(depth=100, width=32))


# Training


def test_train_runs_the_chosen_experiment_in_the_background() -> None:
    page = press(visit_with(ENDLESS), "train")
    assert_nothing_broke(page)
    assert job_of(page).is_active
    assert job_of(page).config == ENDLESS


def test_stop_takes_the_place_of_train_while_a_run_is_on_its_way() -> None:
    assert keys(running()) & {"train", "stop"} == {"stop"}


def test_a_run_on_its_way_shows_how_far_it_is() -> None:
    page = running()
    (progress,) = page.get("progress")
    assert re.match(r"Step [\d,]+ of 20,?000 · [\d,]+ steps/s( · [\d,]+ s left)?$", progress.proto.text)


def test_a_run_on_its_way_draws_its_charts() -> None:
    page = running()
    assert len(charts(page)) == ALWAYS_DRAWN + TAB_CHARTS["Learning"]


def test_a_later_look_at_a_running_job_shows_a_later_step() -> None:
    page = running()
    first = texts(page)
    step = job_of(page).progress.step
    wait_until(lambda: job_of(page).progress.step > step)
    assert texts(page.run()) != first


def test_a_run_on_its_way_offers_no_remedy_download_or_step_yet() -> None:
    page = open_tab(running(), "Table and files")
    assert not has_step_slider(page)
    assert not page.get("download_button")
    assert not any(key.startswith("try_") for key in keys(page))


def test_a_widget_change_leaves_a_run_on_its_way_alone() -> None:
    page = running()
    page.get_by_key("field_seed").set_value(9).run()
    assert job_of(page).status == "running"
    assert job_of(page).config == ENDLESS


def test_stop_ends_the_run_and_offers_train_again() -> None:
    page = press(running(), "stop")
    assert job_of(page).status == "stopped"
    assert keys(page) & {"train", "stop"} == {"train"}


def test_stop_keeps_the_records() -> None:
    page = running()
    wait_until(lambda: len(job_of(page).run.records) > 3)
    press(page, "stop")
    steps = [str(step) for step in job_of(page).run.steps]
    assert len(steps) > 3
    assert list(step_slider(page).options) == steps


def test_stop_ends_a_run_that_still_waits_for_a_free_place(monkeypatch: pytest.MonkeyPatch) -> None:
    page = press(waiting_page(monkeypatch), "stop")
    assert keys(page) & {"train", "stop"} == {"train"}


def waiting_page(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Give a page whose run waits, since another visitor has the one place there is."""
    monkeypatch.setattr(job_board, "MAX_RUNNING", 1)
    other = runs.BOARD.submit(RunJob(config=ENDLESS))
    wait_until(lambda: other.run is not None)
    return press(visit_with(SHORT), "train")


def test_a_waiting_run_says_its_place_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    page = waiting_page(monkeypatch)
    (progress,) = page.get("progress")
    said = r"Waiting for a free place: number 1 in the queue, about \d+ (s|min) to wait"
    assert re.fullmatch(said, progress.proto.text)


def test_a_second_click_on_train_starts_no_second_run(board: JobBoard) -> None:
    page = visit_with(ENDLESS)
    page.button(key="train").click()
    click = page._tree.get_widget_states()
    # A browser sends a double click twice from the same page.
    page._run(click)
    page._run(click)
    assert_nothing_broke(page)
    assert len(board.jobs()) == 1


def test_a_finished_run_is_shown_instead_of_the_stored_one() -> None:
    page = train(visit_with(SHORT))
    assert_nothing_broke(page)
    assert job_of(page).status == "completed"
    assert "step 5**" in texts(page)
    assert not page.info


def test_a_finished_run_offers_train_again_and_no_progress() -> None:
    page = train(visit_with(SHORT))
    assert keys(page) & {"train", "stop"} == {"train"}
    assert not page.get("progress")


def test_a_finished_run_has_charts_tiles_and_every_recorded_step() -> None:
    page = train(visit_with(SHORT))
    assert len(charts(page)) == ALWAYS_DRAWN + TAB_CHARTS["Learning"]
    assert len(page.metric) == 4
    assert list(step_slider(page).options) == ["0", "1", "2", "3", "4", "5"]
    assert step_slider(page).value == 5


def test_a_finished_run_is_named_in_the_address() -> None:
    page = train(visit_with(SHORT))
    assert page.query_params["run"] == job_of(page).id
    assert_address_says(page, SHORT)


def test_training_again_starts_a_run_of_its_own(board: JobBoard) -> None:
    page = train(train(visit_with(SHORT)))
    first, second = board.jobs()
    assert first.id != second.id == page.query_params["run"]


def test_the_step_slider_moves_every_chart_of_a_step() -> None:
    page = train(visit_with(SHORT))
    step_slider(page).set_value(2).run()
    titles = [m.value for m in page.markdown if ", step " in m.value]
    assert len(titles) == 2
    assert all(title.endswith(", step 2**") for title in titles)


def test_the_step_slider_moves_the_tiles() -> None:
    page = train(visit_with(SHORT))
    last = [tile.value for tile in page.metric]
    step_slider(page).set_value(0).run()
    assert [tile.value for tile in page.metric] != last


def test_a_run_of_a_single_step_is_shown() -> None:
    page = train(visit_with(SHORT.replace(depth=1, width=1, steps=1)))
    assert_nothing_broke(page)
    assert list(step_slider(page).options) == ["0", "1"]


@pytest.mark.parametrize("config", DIVERGING, ids=["huge steps", "huge start"])
def test_a_diverged_run_says_so_and_draws_its_charts(config: ExperimentConfig) -> None:
    page = train(visit_with(config))
    assert_nothing_broke(page)
    assert job_of(page).status == "diverged"
    assert verdict(page).startswith(":material/error: **Diverged, severe.**")
    assert len(charts(page)) == ALWAYS_DRAWN + TAB_CHARTS["Learning"]


def test_a_healthy_run_says_so() -> None:
    page = train(visit_with(PRESETS["Healthy"].config.replace(depth=4, width=32)))
    assert verdict(page).startswith(":material/check_circle: **Healthy.**")
    assert not any(key.startswith("try_") for key in keys(page))


def test_a_failed_run_says_why_in_one_sentence_and_shows_the_stored_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(config: ExperimentConfig, **options: object) -> nnlab.Run:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(nnlab.trainer, "train", broken)
    page = train(visit_with(SHORT))
    assert not page.exception
    (said,) = [text.value for text in page.text if text.value.startswith(failure.UNKNOWN)]
    assert re.fullmatch(r"\(error [0-9a-f]{8}\)\.", said.removeprefix(failure.UNKNOWN).strip())
    assert "Vanishing gradient" in verdict(page)


def refused(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(job_board, "MAX_QUEUED", 0)
    return press(visit_with(SHORT), "train")


def test_a_refused_run_says_why_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    page = refused(monkeypatch)
    assert not page.exception
    (error,) = page.error
    assert error.value == "0 runs are waiting already, which is all that fit. Try again in a minute."


def test_a_refused_run_leaves_train_and_the_shown_run(monkeypatch: pytest.MonkeyPatch) -> None:
    page = refused(monkeypatch)
    assert not page.button(key="train").disabled
    assert "Vanishing gradient" in verdict(page)


def test_the_sentence_of_a_refusal_goes_away_with_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    page = refused(monkeypatch)
    monkeypatch.undo()
    page = press(page, "train")
    job = BOARD.get(page.session_state["job_id"])
    assert job is not None
    assert job.wait(PATIENCE)
    assert_nothing_broke(page.run())


def test_a_public_server_refuses_a_run_too_large_for_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hosting.HOSTED_VARIABLE, "1")
    page = press(visit({"depth": "20", "width": "512"}), "train")
    (error,) = page.error
    assert re.match(r"This run would take about \d+ MB; here at most 64 MB are allowed\.", error.value)


# The remedy


def test_try_this_on_the_first_paint_trains_tanh() -> None:
    page = finished(press(visit(), "try_0"))
    assert_nothing_broke(page)
    assert job_of(page).run.config == DEFAULT.replace(activation="tanh")
    assert verdict(page).startswith(":material/check_circle: **Healthy.**")


def remedied() -> AppTest:
    """Give a page that has trained a vanishing network and then its remedy."""
    return finished(press(train(visit_with(TOWER)), "try_0"))


def test_a_remedy_changes_experiment_widgets_and_address() -> None:
    page = remedied()
    assert_address_says(page, TOWER.replace(activation="tanh"))
    assert page.get_by_key("field_activation").value == "tanh"


def test_a_remedy_shows_before_and_after_side_by_side() -> None:
    page = remedied()
    rows = page.table[0].value.set_index("number")
    assert list(rows.columns) == ["before", "after"]
    assert "Vanishing gradient" in rows.loc["Verdict", "before"]
    assert "Vanishing gradient" not in rows.loc["Verdict", "after"]


def test_before_and_after_waits_for_the_end_of_the_remedy() -> None:
    page = press(train(visit_with(TOWER)), "try_0")
    job = job_of(page)
    assert job.is_active or "back" in keys(page)
    assert "back" in keys(finished(page))


def test_back_to_before_restores_experiment_and_run(board: JobBoard) -> None:
    page = remedied()
    first, _ = board.jobs()
    press(page, "back")
    assert_nothing_broke(page)
    assert_address_says(page, TOWER)
    assert page.query_params["run"] == first.id
    assert "Vanishing gradient" in verdict(page)
    assert not page.info


def test_back_to_before_ends_the_comparison() -> None:
    page = press(remedied(), "back")
    assert "back" not in keys(page)
    assert not page.table


def test_back_to_before_restores_the_stored_run() -> None:
    page = press(visit(), "try_0")
    wait_until(lambda: job_of(page).run is not None)
    press(press(page.run(), "stop"), "back")
    assert_address_says(page, DEFAULT)
    assert "run" not in page.query_params
    assert "1 / 480,000" in verdict(page)


def test_back_to_before_restores_a_run_that_the_board_has_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    page = train(visit_with(TOWER))
    told = verdict(page)
    monkeypatch.setattr(job_board, "KEEP_FINISHED", 0)  # others' runs push it out on a busy server
    press(finished(press(page, "try_0")), "back")
    assert verdict(page) == told
    assert step_slider(page).value == TOWER.steps


def test_train_after_a_remedy_drops_the_comparison() -> None:
    assert "back" not in keys(train(remedied()))


def test_a_remedy_that_is_refused_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_board, "MAX_QUEUED", 0)
    page = press(visit(), "try_0")
    assert not page.exception
    assert len(page.error) == 1
    assert "Vanishing gradient" in verdict(page)


SLOW_TOWER = TOWER.replace(learning_rate=1e-6)


@pytest.fixture
def chained() -> AppTest:
    """Give a page on which two remedies were tried, the second on top of the first."""
    return finished(press(finished(press(train(visit_with(SLOW_TOWER)), "try_0")), "try_0"))


def test_remedies_are_tried_on_top_of_each_other_with_a_way_back_to_each(chained: AppTest) -> None:
    assert_nothing_broke(chained)
    assert chained.query_params["healed"] == "activation:sigmoid;learning_rate:1e-06"
    changed = [m.value for m in chained.markdown if m.value.startswith("Changed: ")]
    assert "Changed: **learning rate 1e-06 → " in changed[0]
    assert "predicted R" in changed[0]
    step_slider(chained).set_value(5).run()
    assert "**Error signal of each layer, before and after, at step 5**" in texts(chained)
    press(chained, "back_0")
    assert_nothing_broke(chained)
    assert_address_says(chained, SLOW_TOWER)
    assert "healed" not in chained.query_params
    assert "Vanishing gradient" in verdict(chained)


def test_a_link_shows_the_chain_of_remedies(chained: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    again = visit(dict(chained.query_params))
    assert_nothing_broke(again)
    assert again.query_params == chained.query_params
    assert again.table[0].value.equals(chained.table[0].value)
    monkeypatch.setattr(treatment, "is_cheap", lambda configs: False)
    asked = visit(dict(chained.query_params))
    assert not asked.table
    press(asked, "show_before")
    assert asked.table[0].value.equals(chained.table[0].value)


def test_earlier_experiments_that_nobody_remembers_are_trained_again(board: JobBoard) -> None:
    page = finished(visit({**SHORT.to_query(), "run": GONE, "healed": "activation:sigmoid"}))
    wait_until(lambda: len(board.jobs()) == 2 and not any(job.is_active for job in board.jobs()))
    page.run()
    assert_nothing_broke(page)
    wanted = nnlab.train(SHORT.replace(activation="sigmoid")).records[-1].network["loss"]
    losses = page.table[0].value.set_index("number").loc["Training loss"]
    assert float(losses["before"]) == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("healed", ["![x](http://x):1", "activation:<script>alert(1)</script>"])
def test_a_chain_that_cannot_be_read_is_ignored_with_a_note(healed: str) -> None:
    page = visit({**DEFAULT.to_query(), "healed": healed})
    assert_nothing_broke(page)
    (note,) = link_notes(page)
    assert note.startswith("Ignored healed: ")
    assert page.query_params == DEFAULT.to_query()
    assert healed not in texts(page)


def test_what_theory_expects_of_a_remedy_is_said_before_it_is_tried() -> None:
    assert re.search(r"Theory expects R to go from 2\.0e-06 to 0\.\d+ at the start", texts(visit()))


# Runs by link


# What is looked at, by link


def test_the_link_says_the_step_and_the_tab_that_are_looked_at() -> None:
    page = train(visit_with(SHORT))
    assert not {"step", "tab"} & set(page.query_params)
    step_slider(page).set_value(2).run()
    open_tab(page, "Units")
    assert (page.query_params["step"], page.query_params["tab"]) == ("2", "units")
    again = visit(dict(page.query_params))
    assert step_slider(again).value == 2
    assert [chart.spec for chart in charts(again)] == [chart.spec for chart in charts(page)]
    assert again.query_params == page.query_params
    step_slider(again).set_value(5).run()
    open_tab(again, "Learning")
    assert not {"step", "tab"} & set(again.query_params)


def test_a_step_survives_that_its_run_is_trained_again_and_ends_with_another_run() -> None:
    page = finished(visit({**SHORT.to_query(), "run": GONE, "step": "3"}))
    assert step_slider(page).value == 3
    assert page.query_params["step"] == "3"
    page = train(page)
    assert step_slider(page).value == 5
    assert "step" not in page.query_params


def test_a_step_between_records_shows_the_nearest_one() -> None:
    config = SHORT.replace(record_every=2)
    page = finished(visit({**config.to_query(), "run": GONE, "step": "3"}))
    assert step_slider(page).value in (2, 4)


@pytest.mark.parametrize(
    "query", [{"step": "-1"}, {"step": "٣"}, {"step": "1e9"}, {"tab": "<b>"}, {"tab": "x" * 999}]
)
def test_a_view_that_there_is_not_is_ignored_with_a_note(query: dict[str, str]) -> None:
    page = visit(query)
    assert_nothing_broke(page)
    (name,) = query
    (note,) = link_notes(page)
    assert note.startswith(f"Ignored {name}: ")
    assert page.query_params == DEFAULT.to_query()


GONE = "aGone-run_12"  # looks like the id of a run
SAME_NUMBERS = "The link's run is not in memory here: trained again, it gives the same numbers."


def test_a_link_to_a_run_that_is_gone_trains_it_again_and_says_so() -> None:
    first = train(visit_with(SHORT))
    page = finished(visit({**dict(first.query_params), "run": GONE, "seed": "1"}))
    assert_nothing_broke(page)
    assert page.info[0].value == SAME_NUMBERS
    assert_address_says(page, SHORT.replace(seed=1))
    assert page.query_params["run"] == job_of(page).id
    want = nnlab.train(SHORT.replace(seed=1)).metrics
    assert job_of(page).run.metrics.equals(want)  # type: ignore[union-attr]


def test_a_link_that_many_open_is_trained_once(board: JobBoard) -> None:
    link = {**SHORT.to_query(), "run": GONE}
    first = finished(visit(link))
    second = visit(link)
    assert job_of(first) is job_of(second)
    assert len(board.jobs()) == 1


def come_by_link(page: AppTest, query: dict[str, str]) -> AppTest:
    """Leave the lab for the sweeps and come back by a link, in the same visit."""
    page.query_params.clear()
    page.switch_page("pages/6_Sweep.py").run()
    page.query_params.clear()
    page.query_params.update(query)
    return page.switch_page(SCRIPT.name).run()


def test_a_run_opened_from_a_sweep_is_trained_and_shown_where_the_lab_had_another_one(
    board: JobBoard,
) -> None:
    page = train(visit_with(SHORT))
    step_slider(page).set_value(2).run()
    link = lab_query(SHORT.replace(depth=3))
    page = finished(come_by_link(page, link))
    assert_nothing_broke(page)
    assert page.info[0].value == SAME_NUMBERS
    assert heading(page) == SHORT.replace(depth=3).words
    first, opened = board.jobs()
    assert (job_of(page), opened.config) == (opened, SHORT.replace(depth=3))  # type: ignore[attr-defined]
    assert step_slider(page).value == 5
    # The same cell once more trains nothing, and a link that names no run leaves it on the page.
    assert job_of(come_by_link(page, link)) is opened
    page = come_by_link(page, SHORT.replace(depth=4).to_query())
    assert page.info[-1].value == "The run below has depth 3. Press Train to see your choice."
    assert board.jobs() == [first, opened]


def test_a_run_made_with_another_torch_or_processor_says_so() -> None:
    here = train(visit_with(SHORT)).query_params["made"]
    assert re.fullmatch(r"2\.13\.0[+a-z0-9]*_\w+", here)
    same = finished(visit({**SHORT.to_query(), "run": GONE, "made": here}))
    assert not same.warning
    other = finished(visit({**SHORT.to_query(), "run": GONE, "made": "2.14.0_AVX2"}))
    assert "made with torch 2.14.0 on AVX2, these with torch 2.13" in other.warning[0].value
    assert other.query_params["made"] == "2.14.0_AVX2"
    again = train(other)
    assert not again.warning
    assert again.query_params["made"] == here


@pytest.mark.parametrize("made", ["![x](http://x)", "x" * 3000, "<b>_y</b>"])
def test_a_hostile_word_on_what_made_a_link_reaches_no_markdown(made: str) -> None:
    page = finished(visit({**SHORT.to_query(), "run": GONE, "made": made}))
    assert_nothing_broke(page)
    assert made not in texts(page)
    assert "cannot be" in page.warning[0].value or "does not say" in page.warning[0].value


def test_a_link_that_names_no_run_shows_the_stored_one_and_trains_nothing(board: JobBoard) -> None:
    page = visit({**SHORT.to_query(), "run": "long-gone"})
    assert page.query_params == SHORT.to_query()
    assert "Vanishing gradient" in verdict(page)
    assert not board.jobs()


@pytest.mark.parametrize("run_id", ["", "<script>alert(1)</script>", "../..", "x" * 3000])
def test_a_hostile_run_in_a_link_breaks_nothing(run_id: str) -> None:
    page = visit({"run": run_id})
    assert_nothing_broke(page)
    assert page.query_params == DEFAULT.to_query()


def test_a_link_to_a_run_shows_that_run() -> None:
    first = train(visit_with(SHORT))
    second = visit(dict(first.query_params))
    assert not second.info
    assert [chart.spec for chart in charts(second)] == [chart.spec for chart in charts(first)]
    assert second.query_params == first.query_params


def test_a_reload_during_a_run_finds_it_again() -> None:
    page = running()
    again = visit(dict(page.query_params))
    assert job_of(again) is job_of(page)
    assert keys(again) & {"train", "stop"} == {"stop"}


def test_two_visitors_have_runs_of_their_own() -> None:
    one, other = running(), visit()
    assert keys(other) & {"train", "stop"} == {"train"}
    assert "run" not in other.query_params
    assert job_of(one).status == "running"


# Charts


def fields_by_dataset(spec: Any, dataset: str = "") -> Iterator[tuple[str, str]]:
    """Give every field name of a spec with the dataset it is looked up in."""
    if isinstance(spec, list):
        for part in spec:
            yield from fields_by_dataset(part, dataset)
    elif isinstance(spec, dict):
        dataset = spec.get("data", {}).get("name", dataset)
        if "field" in spec:
            yield dataset, spec["field"]
        for part in spec.values():
            yield from fields_by_dataset(part, dataset)


def columns_by_dataset(chart: Any) -> dict[str, list[str]]:
    return {
        dataset.name: pa.ipc.open_stream(dataset.data.data).read_all().column_names
        for dataset in chart.datasets
    }


@dataclass(frozen=True)
class Drawn:
    """What a tab drew, with the charts that stand above all tabs."""

    charts: list[Any]
    titles: list[str]
    is_broken: bool


@pytest.fixture(scope="module", params=["stored", "diverged", "deep", "shallow"])
def drawn(request: pytest.FixtureRequest) -> dict[str, Drawn]:
    """Give every tab of a run, in each shape that a run can have."""
    relu = SHORT.replace(activation="relu", depth=30, learning_rate=1.0)
    configs = {"diverged": DIVERGING[0], "deep": relu, "shallow": SHORT.replace(depth=1, steps=1)}
    page = visit() if request.param == "stored" else train(visit_with(configs[request.param]))
    tabs = {}
    for name in TAB_CHARTS:
        open_tab(page, name)
        titles = [m.value for m in page.markdown if re.fullmatch(r"\*\*[A-Z][^.]*\*\*", m.value)]
        tabs[name] = Drawn(charts(page), titles, bool(page.exception or page.error))
    return tabs


@pytest.mark.parametrize("tab", TAB_CHARTS)
def test_every_tab_draws_its_charts(tab: str, drawn: dict[str, Drawn]) -> None:
    found = drawn[tab]
    assert not found.is_broken
    assert len(found.titles) == len(set(found.titles)) == ALWAYS_DRAWN + TAB_CHARTS[tab]
    # A chart with nothing to draw has its title and a sentence instead.
    at_least = max(ALWAYS_DRAWN + TAB_CHARTS[tab] - 1, ALWAYS_DRAWN)
    assert at_least <= len(found.charts) <= len(found.titles)


@pytest.mark.parametrize("tab", TAB_CHARTS)
def test_every_chart_has_words_of_its_own_for_those_who_cannot_see_it(
    tab: str, drawn: dict[str, Drawn]
) -> None:
    words = [chart.alt for chart in drawn[tab].charts]
    assert all(len(text) > 20 for text in words)
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("tab", TAB_CHARTS)
def test_every_field_of_a_chart_is_a_column_with_a_fixed_plain_name(
    tab: str, drawn: dict[str, Drawn]
) -> None:
    for chart in drawn[tab].charts:
        columns = columns_by_dataset(chart)
        fields = list(fields_by_dataset(json.loads(chart.spec)))
        assert fields
        for dataset, field in fields:
            assert field in columns[dataset]
            assert re.fullmatch(r"[a-z][a-z0-9_]*", field)


def test_only_the_open_tab_is_drawn() -> None:
    page = open_tab(visit(), "Gradients")
    assert "Loss over training" not in texts(page)
    assert "Error signal, entry by entry per layer" in texts(page)


def test_the_table_has_a_row_a_layer_and_files_to_take_away() -> None:
    page = open_tab(train(visit_with(SHORT)), "Table and files")
    (table,) = page.dataframe
    assert list(table.value["layer"]) == ["hidden_1", "hidden_2", "output"]
    assert [button.label for button in page.get("download_button")] == [
        "report.html", "report.pdf", "reproduce.py", "run.jsonl", "weights.safetensors",
        "metrics.csv", "metrics.json", "metrics.parquet",
        "histograms.csv", "histograms.json", "histograms.parquet",
        "layers.csv", "layers.json", "layers.parquet",
        "All of it (ZIP)",
    ]  # fmt: skip


def test_a_chart_offers_its_files_once_its_menu_is_open() -> None:
    page = visit()
    assert not page.get("download_button")
    page.session_state["download_loss"] = True
    assert [button.label for button in page.run().get("download_button")] == [
        "SVG", "PDF", "PNG", "HTML", "Vega-Lite", "CSV", "JSON", "Parquet",
    ]  # fmt: skip


def test_a_chart_explains_itself_once_its_help_is_open() -> None:
    page = visit()
    page.session_state["help_delta_strip"] = True
    assert "One cell a layer, from the input on the left" in texts(page.run())


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_charts_follow_the_theme_of_the_visitor(theme: str) -> None:
    page = AppTest.from_file(SCRIPT, default_timeout=60)
    page.context = {"theme": theme}
    backgrounds = {json.loads(chart.spec)["config"]["background"] for chart in charts(page.run())}
    assert backgrounds == {{"light": "#ffffff", "dark": "#171614"}[theme]}
