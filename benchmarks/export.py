"""What exporting takes: one chart, a whole run, a report; in seconds, sizes and memory of a fresh process.

A chart is timed in turn with vl-convert alone on the same spec, which no export can be faster than.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import vl_convert

import nnlab
from benchmarks.ratios import save, show
from nnlab import export, fonts, printout, report
from nnlab.charts import CHARTS, draw
from nnlab.folder import to_zip, write_folder
from nnlab.presets import PRESETS
from nnlab.run_files import View, files_of

RECORDS = 300


def resident_megabytes() -> float:
    """Give the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * 4096 / 1e6, 1)


def seconds(call: Callable[[], Any]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(rounds: int) -> None:
    """Print and write medians."""
    config = PRESETS["Sigmoid tower"].config.replace(steps=RECORDS - 1, record_every=1)
    run = nnlab.train(config)
    rows: list[dict[str, Any]] = [{"figure": "memory before, MB", "value": resident_megabytes()}]
    fonts.register()
    charts = [draw(name, run, RECORDS - 1, "light") for name in CHARTS]
    drawn = [chart for chart in charts if not chart.is_empty]
    for chart in drawn:
        export.to_svg(chart, run.caption)  # warm
    floor, ours = [], []
    for _ in range(rounds):
        for chart in drawn:
            spec = export.standalone_spec(chart, run.caption)
            floor.append(seconds(partial(vl_convert.vegalite_to_svg, spec)))
            ours.append(seconds(partial(export.to_svg, chart, run.caption)))
    rows += [
        {"figure": "a chart to SVG, s: median", "value": round(statistics.median(ours), 3)},
        {"figure": "a chart to SVG, s: slowest", "value": round(max(ours), 3)},
        {"figure": "of vl-convert's own time", "value": round(sum(ours) / sum(floor), 3)},
    ]
    with tempfile.TemporaryDirectory() as folder:
        files = files_of(View(run))
        took = seconds(lambda: list(write_folder(files, Path(folder))))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
    rows += [
        {"figure": f"a run of {RECORDS} records to its folder, s", "value": round(took, 2)},
        {"figure": "the folder, MB", "value": round(size / 1e6, 2)},
        {"figure": "the same as a ZIP, MB", "value": round(len(to_zip(files)) / 1e6, 2)},
        {"figure": "report, MB", "value": round(len(report.to_html(run)) / 1e6, 2)},
        {"figure": "report as PDF, MB", "value": round(len(printout.to_printout(run)) / 1e6, 2)},
        {"figure": "memory after, MB", "value": resident_megabytes()},
    ]
    show(rows)
    save("export", rows)
