"""A line of the run file: JSON with a CRC32 of its content; non-finite numbers are "nan", "inf", "-inf"."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

MAX_LINE_BYTES = 4_000_000  # a probe record of 200 layers is about 0.25 MB
# Counted before a line is read as JSON: as objects, 4 MB of "{}," are 100 MB. A probe record of 3,000 layers
# has 12,000 lists, and 150,000 marks where every number is "nan".
MAX_PARTS, MAX_MARKS = 100_000, 400_000
MAX_DEPTH = 8  # of what is kept unread; a page that shows it must not run out of stack
MAX_TEXT = 300  # characters of a name; a module's path in a large model has about 80
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_CRC = re.compile(rb"([0-9]{1,10})\}\s*")


def encode_number(value: float) -> float | str:
    """Give a number as JSON can say it."""
    if math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def encode_numbers(values: np.ndarray) -> list[float | str]:
    """Give numbers as JSON can say them."""
    listed = np.asarray(values, dtype=float).tolist()
    # Their sum is finite only where all are; for so few numbers NumPy takes longer to tell.
    return listed if math.isfinite(sum(listed)) else [encode_number(number) for number in listed]


def decode_number(value: Any) -> float:
    """Give the number back; raises ValueError for what `encode_number` never gives."""
    if isinstance(value, str):
        if value not in _NON_FINITE:
            raise ValueError(f"{value!r} is no number")
        return _NON_FINITE[value]
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def decode_numbers(values: Any) -> np.ndarray:
    """Give the numbers back, shape (values,); raises ValueError for what `encode_numbers` never gives."""
    if not isinstance(values, list):
        raise ValueError("no list of numbers")
    # A Python call a number would take most of the time that a long file takes to open.
    if not set(map(type, values)) <= {int, float}:
        return np.array([decode_number(value) for value in values], dtype=float)
    numbers = np.array(values, dtype=float)
    if not np.isfinite(numbers).all():  # 1e999 is JSON, but nothing that we write
        raise ValueError("a number is too large")
    return numbers


def to_line(content: Mapping[str, Any]) -> bytes:
    """Give one line with its CRC, which covers the text of everything before it."""
    text = _ENCODER.encode(content).encode()
    return b'%b,"crc":%d}\n' % (text[:-1], zlib.crc32(text))


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key is there twice")
    return content


_DECODER = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_object)


def parse_line(raw: bytes) -> dict[str, Any] | None:
    """Give the content of a line, None where it is torn, too long, no JSON object or its CRC is wrong."""
    head, separator, tail = raw.rpartition(b',"crc":')
    digits = _CRC.fullmatch(tail)
    if not separator or digits is None or len(raw) > MAX_LINE_BYTES:
        return None
    if zlib.crc32(b"}", zlib.crc32(head)) != int(digits[1]) or _is_bomb(head):
        return None
    try:
        content = _DECODER.decode((head + b"}").decode())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _is_bomb(text: bytes) -> bool:
    return text.count(b"[") + text.count(b"{") > MAX_PARTS or text.count(b'"') > MAX_MARKS


def count_parts(value: Any) -> int:
    """Count the lists, objects and texts of something that was read."""
    if not isinstance(value, (dict, list)):
        return int(isinstance(value, str))
    return 1 + sum(map(count_parts, value.values() if isinstance(value, dict) else value))


def unknown_keys(content: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """Give what only a newer nnlab knows, to be kept; raises ValueError where it cannot be written again."""
    unknown = {name: value for name, value in content.items() if name not in known}
    check_plain(unknown)
    return unknown


def check_plain(value: Any, depth: int = MAX_DEPTH) -> None:
    """Raise ValueError where something is nested too deep or holds a number that JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is too large")
    if isinstance(value, (dict, list)):
        if depth == 0:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        for part in value.values() if isinstance(value, dict) else value:
            check_plain(part, depth - 1)


def whole_number(value: Any, name: str, most: int = 2**53) -> int:
    """Give an integer from 0 on as it stands; raises ValueError for anything else."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name}: {str(value)[:40]!r} is no whole number from 0 on")
    return value


def short_text(value: Any, name: str) -> str:
    """Give a short printable text as it stands; raises ValueError for anything else."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise ValueError(f"{name}: {str(value)[:40]!r} is no short printable text")
    return value
