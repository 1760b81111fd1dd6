"""A visitor's own table in the lab: uploaded, chosen from, trained on, linked to, shown to nobody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from boards import fresh_board
from streamlit.testing.v1 import AppTest

import nnlab
from nnlab import hosting
from nnlab.config import ExperimentConfig
from nnlab.csvdata import to_data
from nnlab.csvtable import table_from_csv
from nnlab.job_board import JobBoard
from nnlab.jobs import RunJob
from nnlab.report import choices
from nnlab.reproduction import script
from nnlab.runfile import to_bytes
from pages.parts import runs

SCRIPT = Path(__file__).parent.parent / "dashboard.py"
PATIENCE = 60.0  # seconds; far more than anything here takes
SHORT = ExperimentConfig(dataset="csv", depth=2, width=4, batch_size=16, steps=5)
GONE = "aGone-run_12"  # looks like the id of a run

Row = Callable[[int], str]


def csv_of(header: str, row: Row, count: int = 40) -> str:
    return "\n".join([header, *(row(number) for number in range(count))]) + "\n"


LEAVES = (
    csv_of("id,width,note,kind", lambda i: f"{i},{i % 7}.5,n{i},{'oak' if i % 3 else 'elm'}") + "1,,x,oak\n"
)
HOUSES = csv_of("size,age,price", lambda i: f"{i},{i * i % 13},{100_000 + 1000 * i + i % 7}.5")
OTHER_LEAVES = LEAVES.replace("3.5", "3.25")


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
    page = AppTest.from_file(SCRIPT, default_timeout=60)
    page.query_params.update(SHORT.to_query() if query is None else query)
    return page.run()


def upload(page: AppTest, content: str | bytes, name: str = "leaves.csv") -> AppTest:
    data = content if isinstance(content, bytes) else content.encode()
    page.file_uploader(key="own_upload").set_value((name, data, "text/csv"))
    return page.run()


def with_file(
    content: str | bytes = LEAVES, name: str = "leaves.csv", query: dict[str, Any] | None = None
) -> AppTest:
    return upload(visit(query), content, name)


def job_of(page: AppTest) -> RunJob:
    job = runs.BOARD.get(page.session_state["job_id"])
    assert isinstance(job, RunJob)
    return job


def train(page: AppTest) -> AppTest:
    page.button(key="train").click().run()
    return finished(page)


def finished(page: AppTest) -> AppTest:
    assert job_of(page).wait(PATIENCE)
    return page.run()


def texts(page: AppTest) -> str:
    """Give what is shown as plain text, which no Markdown can get out of."""
    return "\n".join(element.value for element in page.text)


def marked_up(page: AppTest) -> str:
    """Give all that is shown as Markdown."""
    kinds = (page.markdown, page.caption, page.info, page.error, page.warning, page.success, page.title)
    labels = [
        widget.label
        for kind in (page.button, page.selectbox, page.multiselect, page.expander)
        for widget in kind
    ]
    return "\n".join([*(element.value for kind in kinds for element in kind), *labels])


def can_train(page: AppTest) -> bool:
    return not page.button(key="train").disabled


def chosen(page: AppTest) -> ExperimentConfig:
    config: ExperimentConfig = page.session_state["config"]
    return config


def assert_nothing_broke(page: AppTest) -> None:
    assert not page.exception
    assert not page.error


# Upload and choice


def test_own_data_are_chosen_in_the_sidebar_and_ask_for_a_file() -> None:
    page = visit({})
    assert not page.get("file_uploader")
    page.selectbox(key="field_dataset").set_value("csv").run()
    assert_nothing_broke(page)
    assert len(page.get("file_uploader")) == 1
    assert not can_train(page)
    assert "Upload a file and press Train" in page.info[0].value
    assert "Vanishing gradient" in marked_up(page)  # the stored run stays


def test_an_upload_chooses_the_last_column_and_the_columns_of_numbers() -> None:
    page = with_file()
    assert_nothing_broke(page)
    assert page.selectbox(key="own_target").value == "kind"
    assert page.multiselect(key="own_features").value == ["id", "width"]
    assert "leaves.csv. Classification: one of 2 classes is predicted. 40 rows (32 to learn from" in texts(
        page
    )
    assert "2 features. Classes: elm, oak." in texts(page)
    assert "Note: 1 row with missing, infinite or too large values left out of 41." in texts(page)
    assert can_train(page)


def test_training_on_own_data_gives_what_the_library_gives(tmp_path: Path) -> None:
    page = train(with_file())
    assert_nothing_broke(page)
    config = chosen(page).replace(csv_path=str(tmp_path / "leaves.csv"))
    Path(config.csv_path).write_text(LEAVES)
    run = job_of(page).run
    assert run is not None
    assert run.metrics.equals(nnlab.train(config).metrics)
    assert len(page.get("vega_lite_chart")) == 6
    assert len(page.metric) == 4
    assert not page.info


def test_the_address_says_the_columns_and_the_file_s_fingerprint_and_never_its_name() -> None:
    page = train(with_file())
    assert page.query_params["target"] == "kind"
    assert page.query_params["features"] == "id,width"
    own = to_data(table_from_csv(LEAVES.encode(), "x.csv"), chosen(page))
    assert page.query_params["data"] == own.sha256[:12]
    assert "csv_path" not in page.query_params
    assert "leaves" not in json.dumps(dict(page.query_params))


def test_the_visitor_chooses_other_columns() -> None:
    page = with_file()
    page.multiselect(key="own_features").set_value(["width"]).run()
    assert chosen(page).features == ("width",)
    assert "1 feature." in texts(page)
    page.selectbox(key="own_target").set_value("width").run()
    assert (chosen(page).target, chosen(page).features, chosen(page).loss) == ("width", ("id",), "mse")
    assert page.selectbox(key="field_loss").value == "mse"
    assert "Regression" in texts(page)
    page.segmented_control(key="own_task").set_value("cross_entropy").run()
    assert chosen(page).loss == "cross_entropy"
    assert "one of 7 classes" in texts(page)
    assert_nothing_broke(page)


def test_no_feature_at_all_is_complained_about_and_can_be_mended() -> None:
    page = with_file()
    page.multiselect(key="own_features").set_value([]).run()
    assert "No features; choose at least one column." in texts(page)
    assert not can_train(page)
    page.multiselect(key="own_features").set_value(["width"]).run()
    assert can_train(page)


def test_a_text_column_as_a_feature_is_answered_by_one_sentence() -> None:
    page = with_file()
    page.multiselect(key="own_features").set_value(["id", "note"]).run()
    assert "Features: column 'note' holds 'n0', which is no number; leave the column out" in texts(page)
    assert not can_train(page)
    assert not page.error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8b123", "File: leaves.csv: compressed with gzip; unpack it first."),
        (b"", "File: leaves.csv: needs a header line with a target"),
        ("a,y\n1,2\n", "File: leaves.csv: 1 complete row; at least 10 are needed."),
        ("a,y\n" + "1,7\n" * 20, "Target: column 'y' has 1 distinct value"),
    ],
)
def test_an_odd_file_is_answered_by_one_sentence(content: str | bytes, words: str) -> None:
    page = upload(with_file(), content)
    assert_nothing_broke(page)
    assert words in texts(page)
    assert "Classification" not in texts(page)
    assert not can_train(page)
    assert can_train(upload(page, LEAVES))


def test_another_file_is_another_choice() -> None:
    page = upload(with_file(), HOUSES, "houses.csv")
    assert_nothing_broke(page)
    assert (chosen(page).target, chosen(page).features, chosen(page).loss) == ("price", (), "mse")
    assert "houses.csv. Regression: a number is predicted. 40 rows" in texts(page)


def test_other_data_and_back_again_leave_nothing_of_the_columns_behind() -> None:
    page = with_file()
    page.selectbox(key="field_dataset").set_value("iris").run()
    assert (chosen(page).target, chosen(page).features) == ("", ())
    page.selectbox(key="preset").set_value("Healthy").run()
    assert page.selectbox(key="preset").value == "Healthy"
    page.selectbox(key="field_dataset").set_value("csv").run()
    assert_nothing_broke(page)
    assert chosen(page).target == "kind"
    assert can_train(page)


def test_a_run_on_another_file_of_the_same_columns_is_said_to_be_one() -> None:
    page = upload(train(with_file()), OTHER_LEAVES)
    assert page.info[0].value == "The run below has another file. Press Train to see your choice."
    assert not train(page).info


# Links


def test_a_link_asks_for_its_file_and_uses_its_columns() -> None:
    link = SHORT.replace(target="kind", features=("width",)).to_query()
    page = visit(link)
    assert_nothing_broke(page)
    assert "This link needs the file it was made with: upload it." in page.info[0].value
    assert "Target: kind\nFeatures: width" in texts(page)
    upload(page, LEAVES)
    assert (chosen(page).target, chosen(page).features) == ("kind", ("width",))
    assert page.multiselect(key="own_features").value == ["width"]
    assert can_train(page)
    assert (
        dict(page.query_params) == {name: [value] for name, value in link.items()}
        or page.query_params == link
    )


def test_a_file_without_the_link_s_columns_is_told_which_are_missing() -> None:
    link = SHORT.replace(target="kind", features=("width",)).to_query()
    page = with_file(HOUSES, "houses.csv", link)
    assert_nothing_broke(page)
    assert "The file houses.csv has no column 'kind', 'width', which the link names" in texts(page)
    assert not can_train(page)
    assert can_train(upload(page, LEAVES))
    assert chosen(page).features == ("width",)


def test_a_link_that_names_a_column_twice_breaks_nothing() -> None:
    page = with_file(query=SHORT.replace(target="kind", features=("width", "width")).to_query())
    assert_nothing_broke(page)
    assert "Features: 'width' is named twice; name it once." in texts(page)
    page.multiselect(key="own_features").set_value(["id"]).run()
    assert can_train(page)


def test_after_a_file_that_does_not_fit_the_visitor_can_choose_for_themselves() -> None:
    page = with_file(HOUSES, "houses.csv", SHORT.replace(target="kind").to_query())
    page.selectbox(key="own_target").set_value("price").run()
    assert_nothing_broke(page)
    assert can_train(page)


def test_a_reload_shows_the_finished_run_and_asks_for_the_file_again() -> None:
    page = train(with_file())
    again = visit(dict(page.query_params))
    assert_nothing_broke(again)
    assert not can_train(again)
    assert "This link needs the file" in again.info[0].value
    assert len(again.info) == 1
    assert [c.proto.spec for c in again.get("vega_lite_chart")] == [
        c.proto.spec for c in page.get("vega_lite_chart")
    ]
    assert again.query_params == page.query_params


def test_a_run_that_is_gone_is_trained_again_once_its_file_is_there(board: JobBoard) -> None:
    first = train(with_file())
    link = {**dict(first.query_params), "run": GONE}
    page = visit(link)
    assert len(board.jobs()) == 1
    upload(page, LEAVES)
    assert job_of(page) is job_of(first)  # the same experiment on the same file
    assert not page.warning
    other = finished(with_file(OTHER_LEAVES, query=link))
    assert job_of(other) is not job_of(first)
    assert other.warning[0].value == "The link's run was made with another file: its numbers were others."
    assert not other.info


def test_no_path_of_a_link_is_opened(tmp_path: Path, board: JobBoard) -> None:
    path = tmp_path / "secret.csv"
    path.write_text(LEAVES)
    page = visit({**SHORT.replace(target="kind").to_query(), "csv_path": str(path), "run": GONE})
    assert "Ignored 'csv_path': the link names no such field." in texts(page)
    assert not can_train(page)
    assert not board.jobs()
    assert "Classification" not in texts(page)
    page.session_state["field_csv_path"] = str(path)
    upload(page.run(), HOUSES)
    assert "oak" not in texts(page)


# Other visitors


def test_no_other_visitor_gets_the_file() -> None:
    page = with_file()
    other = visit({**dict(page.query_params)})
    assert "own_table" in page.session_state
    assert "own_table" not in other.session_state
    assert "leaves" not in texts(other)
    assert not can_train(other)


def test_a_finished_job_keeps_nothing_of_the_file() -> None:
    assert job_of(train(with_file())).data is None


def test_a_server_s_limits_count_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hosting.HOSTED_VARIABLE, "1")
    wide = csv_of(
        ",".join(f"c{n}" for n in range(250)), lambda i: ",".join(str((i + n) % 5) for n in range(250))
    )
    page = with_file(wide, query=SHORT.replace(depth=4, width=900, batch_size=64).to_query())
    page.button(key="train").click().run()
    (error,) = page.error
    assert "here at most 64 MB are allowed" in error.value


# Verdict, remedies, exports


def test_a_remedy_is_tried_on_the_same_data() -> None:
    tower = SHORT.replace(depth=10, activation="sigmoid", steps=20, width=8)
    page = train(with_file(query=tower.to_query()))
    first = job_of(page)
    finished(page.button(key="try_0").click().run())
    assert_nothing_broke(page)
    assert job_of(page) is not first
    assert job_of(page).data_sha256 == first.data_sha256
    page.button(key="back").click().run()
    assert_nothing_broke(page)
    assert not page.info
    assert chosen(page) == tower.replace(target="kind", features=("id", "width"))


def test_a_remedy_without_the_file_says_what_is_needed() -> None:
    tower = SHORT.replace(depth=10, activation="sigmoid", steps=20, width=8)
    page = visit(dict(train(with_file(query=tower.to_query())).query_params))
    page.button(key="try_0").click().run()
    assert "made with a file that is not here" in page.error[0].value
    assert not page.exception


def test_numbers_to_predict_have_a_test_loss_and_no_accuracy() -> None:
    page = train(with_file(HOUSES, "houses.csv"))
    assert_nothing_broke(page)
    assert [tile.label for tile in page.metric][-1] == "Test loss"
    run = job_of(page).run
    assert run is not None
    wanted = run.records[-1].network["test_loss"]
    assert float(page.metric[-1].value) == pytest.approx(wanted, rel=0.06)
    said = "\n".join(f"{tile.value} {tile.delta}" for tile in page.metric) + marked_up(page)
    assert "nan" not in said
    assert "undefined" not in said
    assert len(page.get("vega_lite_chart")) == 5  # six, but for the accuracy


def test_the_files_of_a_run_name_the_table_and_no_folder() -> None:
    page = train(with_file(LEAVES, "../../home/leaves.csv"))
    run = job_of(page).run
    assert run is not None
    text = script(run)
    assert "CSV_PATH = 'leaves.csv'" in text
    assert f'DATA_SHA256 = "{job_of(page).data_sha256}"' in text
    assert "[FILE.csv]" in text
    assert ("CSV file", "leaves.csv") in choices(run)
    assert b"home" not in to_bytes(run) + text.encode()


PAYLOADS = (
    "<script>alert(1)</script>", "![x](http://x)", "[x](http://x)", "$\\href{http://x}{x}$",
    ":material/delete:", ":red[x]", "# x", "__proto__", "constructor", "=cmd()", "a.b[0]", "x:Q",
    "datum['x']", "n" * 300,
)  # fmt: skip


def test_no_name_in_a_file_becomes_markup_or_a_chart_s_text() -> None:
    """Columns, classes and the file itself are named by anybody."""
    quoted = ",".join('"' + name.replace('"', '""') + '"' for name in PAYLOADS)
    numbers = range(len(PAYLOADS) - 1)
    table = csv_of(quoted, lambda i: ",".join([*(str(i * k % 9) for k in numbers), PAYLOADS[i % 3]]), 45)
    page = with_file(table, f"{PAYLOADS[0]}{PAYLOADS[1]}.csv")
    assert PAYLOADS[1] in texts(page)  # as plain text
    page = train(page)
    assert_nothing_broke(page)
    page.selectbox(key="own_target").set_value("__proto__").run()
    page.multiselect(key="own_features").set_value([PAYLOADS[-1]]).run()
    assert "another target, other features" in page.info[0].value
    again = visit(dict(page.query_params))
    shown = marked_up(page) + marked_up(again)
    specs = "".join(chart.proto.spec for chart in page.get("vega_lite_chart"))
    for payload in PAYLOADS:
        assert payload not in shown.replace("#### csv", "")
        assert payload not in specs
