"""Paper result: what measuring a paper's figure gave, with its settings; kept as JSON in stored/papers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnlab.paper import Columns, Paper, Report, Settings
from nnlab.runline import decode_number, encode_number
from nnlab.stop import Stop
from nnlab.whole_file import write_whole

STORED_PAPERS = Path(__file__).parent / "stored" / "papers"
FORMAT, SCHEMA = "nnlab.paper", 1
# As many as float32 can mean, and two more: a file of all 17 would be twice as large.
DIGITS = 9


@dataclass(frozen=True)
class PaperResult:
    """The table that a paper's measurement gave, and with what; `seconds` is how long it took."""

    paper: str
    settings: Settings
    columns: Columns
    environment: Mapping[str, Any]
    seconds: float

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns: lengths {lengths} are not allowed; allowed: all of one length")


def reproduce(paper: Paper, settings: Settings, report: Report, stop: Stop) -> PaperResult:
    """Measure a paper's figure; raises Interrupted where it is stopped before its end."""
    from nnlab.environment import describe_environment

    begun = time.monotonic()
    columns = paper.measure(settings, report, stop)
    return PaperResult(
        paper=paper.name,
        settings=dict(settings),
        columns={name: [_rounded(value) for value in values] for name, values in columns.items()},
        environment=describe_environment("nnlab"),
        seconds=round(time.monotonic() - begun, 1),
    )


def _rounded(value: Any) -> Any:
    """Give a number as plain Python, with the digits that are kept; a word as it stands."""
    return value if isinstance(value, str) else float(f"{float(value):.{DIGITS}g}")


def write_result(result: PaperResult, folder: Path) -> Path:
    """Write folder/NAME.json and give its path; raises OSError where the folder is missing or full."""
    content = {
        "format": FORMAT,
        "schema": SCHEMA,
        "paper": result.paper,
        "settings": dict(result.settings),
        "columns": {name: [_encoded(value) for value in values] for name, values in result.columns.items()},
        "environment": dict(result.environment),
        "seconds": result.seconds,
    }
    path = folder / f"{result.paper}.json"
    # One column a line: a change shows where it is.
    text = json.dumps(content, allow_nan=False, separators=(",", ":"), default=list)
    write_whole(path, [text.replace('],"', '],\n"').encode() + b"\n"])
    return path


def _encoded(value: Any) -> Any:
    if isinstance(value, str):
        return value
    number = encode_number(value)
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _decoded(values: list[Any]) -> list[Any]:
    """Give a column back: of numbers, unless one of its values is a word."""
    try:
        return [decode_number(value) for value in values]
    except ValueError:
        return values


def _frozen(value: Any) -> Any:
    """Give a setting as the registry has it: JSON knows no tuples."""
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value


def read_result(path: Path) -> PaperResult:
    """Read back what `write_result` wrote.

    Raises:
        ValueError: the file is none of these, or of a newer version.
        OSError: it cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["schema"] != SCHEMA:
            raise ValueError("another format")
        return PaperResult(
            paper=str(content["paper"]),
            settings={name: _frozen(value) for name, value in content["settings"].items()},
            columns={name: _decoded(values) for name, values in content["columns"].items()},
            environment=content["environment"],
            seconds=float(content["seconds"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: not a paper's result of version {SCHEMA} ({error})") from None


def stored_result(name: str) -> PaperResult:
    """Read the result that is kept of a paper."""
    return read_result(STORED_PAPERS / f"{name}.json")
