"""The header of a run file: format, schema, configuration, environment and the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.run import LayerInfo, Run
from nnlab.runline import (
    check_plain,
    decode_number,
    encode_number,
    parse_line,
    short_text,
    unknown_keys,
    whole_number,
)

FORMAT = "nnlab.run"
SCHEMA = (1, 1)  # 1.1: lines of the kind "layers", and in records after one its "layout"
_KEYS = ("k", "format", "schema", "config", "environment", "dataset_sha256", "layers")
_LAYER_KEYS = tuple(LayerInfo.__dataclass_fields__)
MAX_SIZE = 2**40  # of a weight's dimension


class RunFileError(ValueError):
    """The file is no run file that can be read; the message says why."""


@dataclass(frozen=True)
class Header:
    """What the first line says; `extras` is what only a newer nnlab knows."""

    config: ExperimentConfig | None
    environment: Mapping[str, Any]
    layers: tuple[LayerInfo, ...]
    notes: tuple[str, ...]
    extras: Mapping[str, Mapping[str, Any]]


def header_content(run: Run) -> dict[str, Any]:
    """Give the content of a run file's first line."""
    unread = run.extras.get("header", {})
    config = None if run.config is None else {**run.config.to_dict(), **run.extras.get("config", {})}
    return {
        **unread,
        "k": "header",
        "format": FORMAT,
        "schema": unread.get("schema", list(SCHEMA)),
        "config": config,
        "environment": dict(run.environment),
        "dataset_sha256": run.environment.get("dataset_sha256"),
        "layers": layers_content(run),
    }


def layers_content(run: Run) -> list[dict[str, Any]]:
    """Give what is said of the layers, one object each."""
    unread = run.extras.get("layers", {})
    return [
        asdict(layer) | {"slope_sup": encode_number(layer.slope_sup)} | unread.get(layer.name, {})
        for layer in run.layers
    ]


def read_header(raw: bytes, name: str) -> Header:
    """Read the first line of a file of this name; raises RunFileError."""
    content = parse_line(raw)
    if content is None:
        raise RunFileError(f"{name}: the first line is damaged (wrong checksum) or no nnlab run file")
    if content.get("format") != FORMAT:
        raise RunFileError(f"{name}: not an nnlab run file")
    is_newer = _read_schema(content.get("schema"), name)
    try:
        layers = read_layers(content["layers"])
        environment = dict(content["environment"])
        check_plain(environment)
        extras = {"header": unknown_keys(content, _KEYS), "layers": _unread_of_layers(content["layers"])}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RunFileError(f"{name}: the header is incomplete ({error})") from None
    config, unread = _read_config(content.get("config"), name, is_newer=is_newer)
    if is_newer:  # saved again, it says what it holds
        extras["header"]["schema"] = content["schema"]
    notes = tuple(f"written by a newer nnlab: field {field!r} is not known here" for field in sorted(unread))
    return Header(config, environment, layers, notes, extras | ({"config": unread} if unread else {}))


def _read_schema(schema: Any, name: str) -> bool:
    """Tell whether a newer minor version wrote the file; raises RunFileError for a newer major one."""
    if not isinstance(schema, list) or len(schema) != 2 or [type(number) for number in schema] != [int, int]:
        raise RunFileError(f"{name}: the header names no schema")
    if schema[0] > SCHEMA[0]:
        raise RunFileError(
            f"{name}: written by a newer nnlab (schema {str(schema[0])[:20]}); "
            f"this one reads schema {SCHEMA[0]}, please upgrade"
        )
    if schema[0] < 1 or not 0 <= schema[1] < 2**31:
        raise RunFileError(f"{name}: the header names a schema that never was")
    return bool(schema[1] > SCHEMA[1])


def _read_config(given: Any, name: str, *, is_newer: bool) -> tuple[ExperimentConfig | None, dict[str, Any]]:
    """Give the configuration, and the fields that only a newer nnlab knows."""
    if given is None:
        return None, {}
    if not isinstance(given, dict):
        raise RunFileError(f"{name}: the configuration cannot be used: it is no set of fields")
    try:
        unread = unknown_keys(given, tuple(FIELDS)) if is_newer else {}
        known = {field: value for field, value in given.items() if field not in unread}
        return ExperimentConfig.from_dict(known), unread
    except (ValueError, TypeError, OverflowError) as error:
        raise RunFileError(f"{name}: the configuration cannot be used: {error}") from None


def read_layers(content: Any) -> tuple[LayerInfo, ...]:
    """Read what is said of the layers; raises ValueError, TypeError, KeyError or OverflowError."""
    if not isinstance(content, list):
        raise ValueError("layers: no list")
    layers = tuple(_read_layer(item, index) for index, item in enumerate(content, start=1))
    if len({layer.name for layer in layers}) != len(layers):
        raise ValueError("layers: a name is there twice")
    return layers


def _read_layer(item: Any, index: int) -> LayerInfo:
    if not isinstance(item, dict) or item["index"] != index or type(item["index"]) is not int:
        raise ValueError("layers: their numbers are not 1, 2, 3, ...")
    trainable = item.get("trainable", True)
    if not isinstance(trainable, bool):
        raise ValueError("layers: trainable is neither true nor false")
    return LayerInfo(
        name=short_text(item["name"], "layers: name"),
        index=index,
        activation=short_text(item["activation"], "layers: activation"),
        weight_shape=_read_shape(item["weight_shape"]),
        trainable=trainable,
        slope_sup=decode_number(item.get("slope_sup", 1.0)),
        notes=read_texts(item.get("notes", []), "layers: notes"),
    )


def _read_shape(sizes: Any) -> tuple[int, ...]:
    if not isinstance(sizes, list) or not 1 <= len(sizes) <= 16:
        raise ValueError("layers: weight_shape is no list of sizes")
    return tuple(whole_number(size, "layers: weight_shape", MAX_SIZE) for size in sizes)


def read_texts(texts: Any, name: str) -> tuple[str, ...]:
    """Read a list of texts; raises ValueError for anything else."""
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name}: no list of texts")
    return tuple(texts)


def _unread_of_layers(content: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    unread = {item["name"]: unknown_keys(item, _LAYER_KEYS) for item in content}
    return {name: unknown for name, unknown in unread.items() if unknown}
