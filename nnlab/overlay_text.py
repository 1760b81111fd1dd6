"""overlay_text: the configurations of a comparison as one short text for a link, and back.

The first one says every field, so that the link outlives a change of defaults; each further one says what
differs from the first: `dataset.digits~depth.10~...~~activation.tanh`. A tilde is no part of any value,
and links hold it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnlab.config import CSV_FIELDS, FIELDS, ExperimentConfig
from nnlab.overlay import MOST, same_but_seed

FIELD_MARK, VALUE_MARK = "~", "."
CONFIG_MARK = 2 * FIELD_MARK
SHOWN = 40  # characters of what cannot be read that a note quotes
NAMES = tuple(name for name in FIELDS if name not in CSV_FIELDS)


def _fields_text(config: ExperimentConfig, names: Sequence[str]) -> str:
    said = (f"{name}{VALUE_MARK}{FIELDS[name].format(getattr(config, name))}" for name in names)
    return FIELD_MARK.join(said)


def to_text(configs: Sequence[ExperimentConfig]) -> str:
    """Write configurations as `from_text` reads them; no two may be the same, none may need a file."""
    if not configs:
        return ""
    first, *others = configs
    parts = [_fields_text(first, NAMES)]
    parts += [_fields_text(other, [n for n in NAMES if n in other.differences(first)]) for other in others]
    return CONFIG_MARK.join(parts)


def from_text(text: str) -> tuple[tuple[ExperimentConfig, ...], tuple[str, ...]]:
    """Read configurations, and a note for every one that cannot be used."""
    found: list[ExperimentConfig] = []
    notes: list[str] = []
    parts = text.split(CONFIG_MARK) if text else []
    base = ExperimentConfig()
    for number, part in enumerate(parts[:MOST], start=1):
        try:
            config = _read(part, base)
        except ValueError as error:
            notes.append(f"Configuration {number} is left out: {error}.")
            if number == 1:
                return (), (*notes, *(["The others say only how they differ from it."] if parts[1:] else []))
            continue
        base = config if number == 1 else base
        if any(same_but_seed(config, other) for other in found):
            notes.append(f"Configuration {number} is left out: it is there already.")
        else:
            found.append(config)
    if len(parts) > MOST:
        notes.append(f"The link names {len(parts)} configurations; the first {MOST} are compared.")
    return tuple(found), tuple(notes)


def _read(part: str, base: ExperimentConfig) -> ExperimentConfig:
    values = {}
    for word in part.split(FIELD_MARK) if part else ():
        name, mark, text = word.partition(VALUE_MARK)
        if name not in NAMES or not mark:
            raise ValueError(
                f"{word[:SHOWN]!r} is no field with a value; allowed: {NAMES[0]}.digits and such"
            )
        if name in values:
            raise ValueError(f"{name}: the link says it twice")
        values[name] = FIELDS[name].parse(text)
    config = base.replace(**values)
    if config.dataset == "csv":
        raise ValueError("dataset: 'csv' is not allowed here; a comparison takes no file")
    return config
