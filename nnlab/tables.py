"""tables: data frames as bytes that leave nnlab, in full precision, NaN and inf kept: CSV, JSON, Parquet."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from nnlab.columns import meanings
from nnlab.spreadsheet import as_text

STRETCH = 2048  # rows that are turned into text at once


def to_csv(frame: pd.DataFrame, about: str = "") -> bytes:
    """Write a frame as CSV, safe for spreadsheets; `about` has no place in it."""
    safe = frame.rename(columns=as_text)
    for place, kind in enumerate(frame.dtypes):
        if kind.kind in "OTU" or str(kind) in ("str", "string"):
            safe.isetitem(place, frame.iloc[:, place].map(as_text).to_numpy())
    return safe.to_csv(index=False, na_rep="nan").encode()


def _plain(cell: Any) -> Any:
    """Give a cell as JSON knows it; what is not finite becomes "nan", "inf" or "-inf", as in run files."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    return None if cell is pd.NA else cell


def to_json(frame: pd.DataFrame, about: str = "") -> bytes:
    """Write a frame as JSON: what it is about, what its columns mean, and a list of rows."""
    head = {"about": about, "columns": meanings(frame.columns)}
    content = io.BytesIO()
    content.write(json.dumps(head, ensure_ascii=False, indent=1).encode().removesuffix(b"\n}"))
    content.write(b',\n "rows": [')
    # In stretches: as Python objects, a long table takes fifty times the memory of its numbers.
    for start in range(0, len(frame), STRETCH):
        content.write(b",\n  " if start else b"\n  ")
        content.write(b",\n  ".join(_rows(frame.iloc[start : start + STRETCH])))
    content.write(b"\n ]\n}\n")
    return content.getvalue()


def _rows(frame: pd.DataFrame) -> Iterator[bytes]:
    for row in frame.astype(object).to_dict("records"):
        cells = {str(column): _plain(cell) for column, cell in row.items()}
        yield json.dumps(cells, ensure_ascii=False, allow_nan=False, default=str).encode()


def to_parquet(frame: pd.DataFrame, about: str = "", said: Mapping[str, str] | None = None) -> bytes:
    """Write a frame as Parquet; the meaning of its columns, `said` or the usual one, is in their metadata."""
    import pyarrow as pa
    from pyarrow import parquet

    # pandas takes NaN for a missing cell, which a measured NaN is not.
    table = pa.Table.from_pandas(frame, preserve_index=False)
    meant = {**meanings(frame.columns), **(said or {})}
    columns = [
        pa.field(f.name, f.type, metadata={"meaning": meant[f.name]}) if meant[f.name] else f
        for f in table.schema
    ]
    arrays = [_with_nan(frame.iloc[:, place], column) for place, column in enumerate(table.columns)]
    schema = pa.schema(columns, metadata={"about": about})
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(arrays, schema=schema), buffer)
    return buffer.getvalue()


def _with_nan(cells: pd.Series[Any], column: Any) -> Any:
    import pyarrow as pa

    if cells.dtype.kind != "f":
        return column
    return pa.array(cells.to_numpy(), from_pandas=False)


@dataclass(frozen=True)
class TableFormat:
    """One way to write a table: `write(frame, about)` gives its bytes."""

    ending: str
    label: str
    mime: str
    write: Callable[[pd.DataFrame, str], bytes]


TABLE_FORMATS = {
    "csv": TableFormat("csv", "CSV", "text/csv", to_csv),
    "json": TableFormat("json", "JSON", "application/json", to_json),
    "parquet": TableFormat("parquet", "Parquet", "application/vnd.apache.parquet", to_parquet),
}
