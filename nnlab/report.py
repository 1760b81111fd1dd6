"""report: one run on one page that needs nothing else: verdict, charts, layer table, choices, definitions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import pandas as pd
from latex2mathml.converter import convert

from nnlab import fonts
from nnlab.chart import Chart
from nnlab.charts import CHARTS, draw
from nnlab.config import FIELDS
from nnlab.diagnosis import Finding
from nnlab.explanations import why_healthy
from nnlab.export import svg_text
from nnlab.layer_table import BATCH_COLUMNS, FACTORS, PROBE_COLUMNS, layer_table
from nnlab.metrics import METRICS, Metric
from nnlab.numerals import scientific
from nnlab.palette import THEMES, Mode
from nnlab.remedies import describe
from nnlab.run import Run
from nnlab.summary import tiles
from nnlab.trajectory import DATA_NOTES

Pair = tuple[str, str]
# What the tiles and charts show besides the columns of the table.
_SHOWN = ("gradient_ratio", "activation_grad_norm", "loss", "accuracy", "test_loss", "test_accuracy")
MOST_TABLE_ROWS = 101  # the deepest network that nnlab trains, with its output


def choices(run: Run) -> list[Pair]:
    """Give every choice of the experiment in words: label and value; () for a model nnlab did not build."""
    if run.config is None:
        return []
    said = [(field.label, field.format(getattr(run.config, name))) for name, field in FIELDS.items()]
    return [(label, value) for label, value in said if value]


def versions(run: Run) -> list[Pair]:
    """Give what must be equal for the numbers to be equal bit for bit: name and value."""
    return [
        (name.replace("_", " "), str(value)) for name, value in run.environment.items() if name != DATA_NOTES
    ]


def definitions() -> list[Metric]:
    """Give the metrics that a report shows."""
    return [METRICS[name] for name in (*BATCH_COLUMNS, *PROBE_COLUMNS, *_SHOWN)]


def verdict(run: Run) -> list[str]:
    """Say in sentences what is wrong, worst first, or why nothing is."""
    if not run.records:
        return ["There are no records, so there is nothing to say."]
    if not run.findings:
        return [f"Healthy. {why_healthy(run)}"]
    return [_finding_words(finding) for finding in run.findings]


def _finding_words(finding: Finding) -> str:
    words = f"{finding.title}, {finding.severity}. {finding.explanation} ({finding.measure}.)"
    return f"{words} Try: {describe(finding.remedy)}." if finding.remedy else words


def shown_table(run: Run, step: int) -> pd.DataFrame:
    """Give the layer table as it is read: labels for names, three digits, n/a where nothing was measured."""
    table = layer_table(run, step)
    labels = {name: METRICS[name].label for name in (*BATCH_COLUMNS, *PROBE_COLUMNS)}
    labels |= {name: label for name, (label, _) in FACTORS.items()}
    numbers = {
        name: ["n/a" if np.isnan(value) else scientific(value) for value in table[name]] for name in labels
    }
    return table.assign(**numbers).rename(columns=labels)


def _table(head: Sequence[str], body: Iterable[Sequence[object]]) -> str:
    line = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in body
    )
    return f"<div class=wide><table><thead><tr>{line}</tr></thead><tbody>{rows}</tbody></table></div>"


def _pairs(pairs: Iterable[Pair]) -> str:
    said = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl class=pairs>{said}</dl>"


def _figure(chart: Chart, caption: str) -> str:
    notes = "".join(f"<p class=note>{escape(note)}</p>" for note in chart.notes)
    if chart.is_empty:
        return f"<figure><figcaption>{escape(chart.title)}</figcaption>{notes}</figure>"
    # Pictures on one page must not share the names of their clips and gradients.
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{chart.name}-", svg_text(chart, caption))
    return (
        f'<figure role=img aria-label="{escape(chart.alt_text)}">{svg}</figure>'
        f"<p class=note>{escape(chart.alt_text)}</p>"
    )


def _definition(metric: Metric) -> str:
    formula = convert(metric.formula)
    return (
        f"<dt>{escape(metric.label)} <code>{escape(metric.name)}</code></dt>"
        f"<dd>{escape(metric.meaning)} {formula} <span class=note>{escape(metric.source)}</span></dd>"
    )


def _style(mode: Mode) -> str:
    theme = THEMES[mode]
    return f"""
{fonts.font_face()}
body {{ margin: 2rem auto; padding: 0 1rem; max-width: 56rem; background: {theme.background};
  color: {theme.text}; font: 1rem/1.5 'Source Sans', sans-serif; }}
h1 {{ line-height: 1.2; }} h2 {{ margin-top: 2.5rem; }}
.note {{ color: {theme.muted}; font-size: .875rem; }}
.verdict {{ border-left: 4px solid {theme.primary}; padding-left: 1rem; }}
.tiles {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1rem; }}
.tiles div {{ border: 1px solid {theme.grid}; border-radius: .5rem; padding: .75rem; }}
.tiles strong {{ display: block; font-size: 1.5rem; }}
figure {{ margin: 1.5rem 0 0; }} svg {{ max-width: 100%; height: auto; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .8125rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2rem .5rem; border-bottom: 1px solid {theme.grid}; text-align: right;
  white-space: nowrap; }}
th {{ white-space: normal; vertical-align: bottom; }}
th:first-child, td:first-child {{ text-align: left; }}
dl.pairs {{ display: grid;
  grid-template-columns: repeat(auto-fill, minmax(8rem, max-content) minmax(8rem, 1fr));
  gap: .1rem 1rem; font-size: .875rem; }}
dl.pairs dt {{ color: {theme.muted}; }} dd {{ margin: 0; overflow-wrap: anywhere; }}
dl.words dt {{ margin-top: .75rem; font-weight: 700; }} code {{ font-weight: 400; color: {theme.muted}; }}
@page {{ size: A4; margin: 15mm; }}
@media print {{
  body {{ margin: 0; max-width: none; font-size: 10pt; }}
  figure, tr, .tiles div, .verdict {{ break-inside: avoid; }} h2 {{ break-after: avoid; }}
  .wide {{ overflow: visible; }} table {{ font-size: 6.5pt; }} th, td {{ padding: .1rem .25rem; }}
}}
"""


def _results(run: Run, step: int, mode: Mode) -> str:
    """Give the tiles, charts and table of the record nearest to a step."""
    shown = run.record_at(step).step
    boxes = "".join(
        f"<div>{escape(t.label)}<strong>{escape(t.value)}</strong>"
        f"<span class=note>{escape(t.detail)}</span></div>"
        for t in tiles(run, shown)
    )
    figures = "".join(_figure(draw(name, run, shown, mode), run.caption) for name in CHARTS)
    table = shown_table(run, shown)
    rows = table.head(MOST_TABLE_ROWS).itertuples(index=False)
    return (
        f"<h2>Step {shown}</h2><div class=tiles>{boxes}</div>{figures}"
        f"<h2>All layers at step {shown}</h2>{_table([str(name) for name in table.columns], rows)}"
    )


def to_html(run: Run, step: int | None = None, mode: Mode = "light") -> bytes:
    """Write the report of a run at a step, else at its last one; at most 3 MB, and no network is asked."""
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in verdict(run))
    notes = "".join(f"<p class=note>{escape(note)}</p>" for note in (run.ending, *run.notes) if note)
    results = ""
    if run.records:
        results = _results(run, int(run.records[-1].step) if step is None else step, mode)
    words = "".join(_definition(metric) for metric in definitions())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(run.caption)}</title><style>{_style(mode)}</style></head><body>
<p class=note>nnlab: see where gradients die</p><h1>{escape(run.title)}</h1>
<div class=verdict>{said}</div>{notes}{results}
<h2>Choices</h2>{_pairs(choices(run))}
<h2>Versions</h2>{_pairs(versions(run))}
<h2>What the numbers mean</h2><dl class=words>{words}</dl>
</body></html>
""".encode()
