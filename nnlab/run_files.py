"""run_files: everything that leaves nnlab of one run, file by file: what it is called, and its bytes.

The buttons of the app and `python -m nnlab export` take their files from here, so both give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from nnlab.charts import CHARTS, draw
from nnlab.checkpoint import write_checkpoint
from nnlab.columns import meanings
from nnlab.event_file import check_tensorboard, to_event_file
from nnlab.export import CHART_FORMATS, file_stem
from nnlab.frames import histogram_frame, metric_frame
from nnlab.layer_table import layer_table
from nnlab.palette import Mode
from nnlab.run import Run
from nnlab.runfile import to_bytes
from nnlab.tables import TABLE_FORMATS


@dataclass(frozen=True)
class RunFile:
    """One file: its name in a folder of its run, what it is, and how to make it."""

    name: str
    about: str
    mime: str
    make: Callable[[], bytes]


@dataclass(frozen=True)
class View:
    """What of a run is exported: at which step, None for the last one, and in which colors."""

    run: Run
    step: int | None = None
    mode: Mode = "light"

    @property
    def shown_step(self) -> int:
        """The record nearest to the step."""
        last = int(self.run.records[-1].step)
        return self.run.record_at(last if self.step is None else self.step).step


def _chart_files(ending: str, view: View) -> list[RunFile]:
    if not view.run.records:
        return []
    form = CHART_FORMATS[ending]

    def make(name: str) -> bytes:
        return form.write(draw(name, view.run, view.shown_step, view.mode), view.run.caption)

    return [
        RunFile(
            f"{file_stem(view.run.label, name)}.{ending}", f"chart {name}", form.mime, partial(make, name)
        )
        for name in CHARTS
    ]


def _tables(view: View) -> dict[str, tuple[str, Callable[[], pd.DataFrame]]]:
    """Give every table of a run by the stem of its file: what it is, and how to make it."""
    run = view.run
    tables: dict[str, tuple[str, Callable[[], pd.DataFrame]]] = {
        # Made anew and let go: a run would keep its own frames, ten times as large as its records.
        "metrics": ("every metric of every record", lambda: metric_frame(run)),
        "histograms": ("every bin of every probe record", lambda: histogram_frame(run)),
    }
    if run.records:
        step = view.shown_step
        tables["layers"] = (f"the layer table at step {step}", lambda: layer_table(run, step))
        for name in CHARTS:
            make = partial(_plotted, view, name)
            tables[file_stem(run.label, name)] = (f"what chart {name} plots", make)
    return tables


def _plotted(view: View, name: str) -> pd.DataFrame:
    return draw(name, view.run, view.shown_step, view.mode).make_table()


def _table_files(ending: str, view: View) -> list[RunFile]:
    form = TABLE_FORMATS[ending]

    def write(make: Callable[[], pd.DataFrame]) -> bytes:
        return form.write(make(), view.run.caption)

    return [
        RunFile(f"{stem}.{ending}", about, form.mime, partial(write, make))
        for stem, (about, make) in _tables(view).items()
    ]


def _report(view: View) -> list[RunFile]:
    # LaTeX's converter is loaded for reports alone.
    def make() -> bytes:
        from nnlab.report import to_html

        return to_html(view.run, view.step, view.mode)

    return [RunFile("report.html", "the report: one page that needs nothing else", "text/html", make)]


def _printout(view: View) -> list[RunFile]:
    def make() -> bytes:
        from nnlab.printout import to_printout

        return to_printout(view.run, view.step, view.mode)

    return [RunFile("report.pdf", "the report on paper", "application/pdf", make)]


def _script(view: View) -> list[RunFile]:
    if view.run.config is None or not view.run.records:
        return []  # nobody but its owner knows how that model is made; or there is nothing to print again

    def make() -> bytes:
        from nnlab.reproduction import script

        return script(view.run).encode()

    about = "a script of plain PyTorch that prints the same losses and error signals"
    return [RunFile("reproduce.py", about, "text/x-python", make)]


def _run_file(view: View) -> list[RunFile]:
    make = partial(to_bytes, view.run)
    return [RunFile("run.jsonl", "the run file, which nnlab opens again", "application/jsonl", make)]


def _weights(view: View) -> list[RunFile]:
    if view.run.model is None:
        return []  # a run read from a file has none
    make = partial(write_checkpoint, view.run)
    return [RunFile("weights.safetensors", "the trained weights", "application/octet-stream", make)]


def _events(view: View) -> list[RunFile]:
    check_tensorboard()
    # TensorBoard knows its files by the beginning of their names.
    name = f"events.out.tfevents.0.{file_stem(view.run.label, 'nnlab')}"
    make = partial(to_event_file, view.run)
    return [RunFile(name, "for TensorBoard", "application/octet-stream", make)]


FORMATS: dict[str, Callable[[View], list[RunFile]]] = {
    **{ending: partial(_table_files, ending) for ending in TABLE_FORMATS},
    **{ending: partial(_chart_files, ending) for ending in CHART_FORMATS},
    "report": _report,
    "printout": _printout,
    "script": _script,
    "run": _run_file,
    "weights": _weights,
    "tensorboard": _events,
}
USUAL = ("csv", "parquet", "svg", "png", "report", "script", "run", "weights")
ALL = tuple(name for name in FORMATS if name != "tensorboard")


def _grouped(files: Sequence[RunFile]) -> dict[str, str]:
    """Say what files are, those of one stem in one line: "metrics.csv, .parquet"."""
    groups: dict[str, list[RunFile]] = {}
    for file in files:
        groups.setdefault(file.name.partition(".")[0], []).append(file)
    said = {}
    for stem, group in groups.items():
        endings = [file.name.removeprefix(stem) for file in group]
        said[stem + ", ".join(endings)] = "; ".join(dict.fromkeys(file.about for file in group))
    return said


def offered(view: View) -> dict[str, list[RunFile]]:
    """Give the files of a run that are of no single chart, in groups, as the app offers them."""
    ways = ("script", "run", "weights")
    groups = {
        "Report": [*_report(view), *_printout(view)],
        "To go on with": [file for way in ways for file in FORMATS[way](view)],
    }
    for title, stem in (("Metrics", "metrics"), ("Histograms", "histograms"), ("Layer table", "layers")):
        files = [file for ending in TABLE_FORMATS for file in _table_files(ending, view)]
        groups[title] = [file for file in files if file.name.partition(".")[0] == stem]
    return groups


def _guide(view: View, files: Sequence[RunFile]) -> bytes:
    """Say what lies in the folder, and what the columns of the tables mean."""
    run = view.run
    lines = [f"# {run.title}", "", run.ending or run.status, *run.notes, "", "## Files", ""]
    lines += [f"- `{names}`: {about}" for names, about in _grouped(files).items()]
    missing = [] if run.records else ["charts and tables of layers: the run has no records"]
    missing += [] if run.config is not None else ["reproduce.py: nnlab did not build this model"]
    missing += [] if run.model is not None else ["weights: a run read from a file has none"]
    if missing:
        lines += ["", "Not there: " + "; ".join(missing) + "."]
    lines += ["", "## Columns", "", "NaN and inf are results: `nan`, `inf`, `-inf`; text in JSON.", ""]
    columns: dict[str, str] = {}
    for _, make in _tables(view).values():
        columns |= meanings(make().columns)
    lines += [f"- `{name}`: {said}" for name, said in columns.items() if said]
    return "\n".join([*lines, ""]).encode()


def files_of(view: View, formats: Sequence[str] = USUAL) -> list[RunFile]:
    """Give the files of a run in some formats, with a README.md that says what they are.

    Raises:
        ValueError: a format is not known.
        NoTensorBoard: TensorBoard's format is asked for, and the package is absent.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise ValueError(f"format: {unknown[0]!r} is not known; allowed: {', '.join(FORMATS)}, all")
    files = [file for name in dict.fromkeys(formats) for file in FORMATS[name](view)]
    return [RunFile("README.md", "this list", "text/markdown", partial(_guide, view, files)), *files]
