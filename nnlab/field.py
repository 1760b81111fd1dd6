"""Field: one choice with its range, read from Python, from text, from a link, and written back."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

# ASCII only: Python's int() and float() also take other scripts' digits, 1_000 and blanks.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


@dataclass(frozen=True)
class Field:
    """What one field of an experiment may hold, and what it is called.

    `kind` is choice, integer, number, switch, text or names. `nothing` is the word for None
    ("none", "auto") where None is allowed. `above` is an open lower end.
    """

    name: str
    kind: str
    label: str
    help: str
    options: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above: float | None = None
    nothing: str | None = None

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.kind == "choice":
            return ", ".join(self.options)
        if self.kind == "switch":
            return "true, false"
        if self.kind == "names" and self.options:
            return f"any of {', '.join(self.options)}"
        if self.kind in ("text", "names"):
            return "text"
        noun = "a whole number" if self.kind == "integer" else "a finite number"
        if self.above is not None:
            span = f"{noun} > {self.above:g}"
        elif self.high is not None:
            high = f"{self.high:,.0f}" if self.high == int(self.high) else f"{self.high:g}"
            span = f"{noun} from {self.low:,g} to {high}"
        else:
            span = f"{noun} >= {self.low:g}"
        return f"{span}, or {self.nothing}" if self.nothing else span

    def refuse(self, value: object) -> ValueError:
        """Give the error that names field, value and what is allowed."""
        try:
            text = repr(value)
        except ValueError:  # Python does not print integers of more than 4,300 digits
            text = "a number of thousands of digits"
        shown = text if len(text) <= 80 else text[:77] + "..."
        return ValueError(f"{self.name}: {shown} is not allowed; allowed: {self.allowed}")

    def check(self, value: object) -> Any:
        """Give the value in the field's own type.

        Raises:
            ValueError: the value is of another type, not finite, or outside the range.
        """
        if self.nothing is not None and (value is None or (isinstance(value, str) and value == self.nothing)):
            return None
        if self.kind == "choice":
            return self._check_choice(value)
        if self.kind in ("integer", "number"):
            return self._check_number(value)
        if self.kind == "switch":
            if not isinstance(value, bool):
                raise self.refuse(value)
            return value
        if self.kind == "names":
            return self._check_names(value)
        if not isinstance(value, str):
            raise self.refuse(value)
        return value

    def _check_choice(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.options:
            raise self.refuse(value)
        return value

    def _check_names(self, value: object) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, (tuple, list)):
            raise self.refuse(value)
        if not all(isinstance(name, str) and (not self.options or name in self.options) for name in value):
            raise self.refuse(value)
        return tuple(value)

    def _check_number(self, value: object) -> int | float:
        if isinstance(value, (bool, np.bool_, str)) or not hasattr(value, "__float__"):
            raise self.refuse(value)
        try:
            number = float(value)
        except (OverflowError, TypeError, ValueError):
            raise self.refuse(value) from None
        if not math.isfinite(number) or (self.kind == "integer" and number != int(number)):
            raise self.refuse(value)
        too_low = self.low is not None and number < self.low
        too_high = self.high is not None and number > self.high
        if too_low or too_high or (self.above is not None and number <= self.above):
            raise self.refuse(value)
        return int(value) if self.kind == "integer" else number  # type: ignore[call-overload]

    def parse(self, text: str) -> Any:
        """Read a value from a flag or a link.

        Raises:
            ValueError: the text is no value of this field.
        """
        if self.nothing is not None and text == self.nothing:
            return None
        if self.kind in ("integer", "number"):
            return self._parse_number(text)
        if self.kind == "switch" and text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        if self.kind == "names":
            return self._parse_names(text)
        if self.kind in ("choice", "text"):
            return self.check(text)
        raise self.refuse(text)

    def _parse_names(self, text: str) -> tuple[str, ...]:
        try:
            lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error:
            raise self.refuse(text) from None
        if len(lines) > 1 or (text and not any(lines)):
            raise self.refuse(text)
        names = tuple(lines[0]) if lines else ()
        if self.options and not set(names) <= set(self.options):
            raise self.refuse(text)
        return names

    def _parse_number(self, text: str) -> int | float:
        pattern, read = (_INTEGER, int) if self.kind == "integer" else (_DECIMAL, float)
        if not pattern.fullmatch(text):
            raise self.refuse(text)
        try:
            return self._check_number(read(text))
        except ValueError:
            raise self.refuse(text) from None  # as it was written: -1e5, not -100000.0

    def format(self, value: Any) -> str:
        """Write a value so that `parse` reads it back."""
        if value is None:
            return str(self.nothing)
        if self.kind == "switch":
            return "true" if value else "false"
        if self.kind == "names":
            return _join_names(value)
        return repr(value) if self.kind == "number" else str(value)


def _join_names(names: tuple[str, ...]) -> str:
    """Write names separated by commas, quoted where a name holds one."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(names)  # quotes names that hold a line end
    return line.getvalue().removesuffix("\r\n")
