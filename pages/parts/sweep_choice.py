"""The choice of a sweep: its question, its base experiment, the fields that vary, the seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.datasets import DATASETS
from nnlab.field import Field
from nnlab.grid import Grid, make_grid, parse_axis
from nnlab.sweep_presets import FIRST_SWEEP, SUGGESTED_VALUES, SWEEP_PRESETS, SweepPreset
from nnlab.sweep_summary import SEED, SWEEPABLE, SWEPT, first_view
from pages.parts.address import Address, Choice
from pages.parts.choice import CONFIG
from pages.parts.controls import LABELS

NOTHING = "nothing"
MAX_SEEDS = 10
MAX_TEXT = 400  # characters of a list of values
PRESET = "sweep_preset"
SLOTS = (("vary", "values"), ("vary_too", "values_too"))
_EDITED = {
    "data": ("dataset", "samples", "noise", "batch_size", "steps"),
    "network": ("activation", "depth", "width", "normalization", "residual"),
    "training": ("initializer", "gain", "optimizer", "learning_rate", "seed"),
}
# A visitor's own file stays with the lab: a sweep would read it from this machine.
_DATASET = replace(
    FIELDS["dataset"], options=tuple(name for name, entry in DATASETS.items() if not entry.needs_file)
)
_BASE = {name: FIELDS[name] for name in (*SWEEPABLE, SEED)} | {"dataset": _DATASET}


def _defaults(preset: SweepPreset) -> dict[str, Any]:
    """Give every choice as a preset makes it."""
    axes = [*preset.values.items(), (NOTHING, "")][: len(SLOTS)]
    chosen = {name: getattr(preset.base, name) for name in _BASE}
    for (vary, values), (field, text) in zip(SLOTS, axes, strict=True):
        chosen |= {vary: field, values: text}
    across, down = (*first_view(preset.grid.axes), NOTHING)[:2]
    view = {"metric": preset.metric, "across": across, "down": down}
    return chosen | {"seeds": preset.seeds} | view


_FIRST = _defaults(FIRST_SWEEP)
_VIEWED = (*SWEEPABLE, SEED)
CHOICES = tuple(
    Choice(field, _FIRST[field.name])
    for field in (
        *_BASE.values(),
        Field("vary", "choice", "Vary", "The field that takes several values.", SWEEPABLE),
        Field("values", "text", "Values", "Separated by commas."),
        Field("vary_too", "choice", "And vary", "A second field, combined with it.", (NOTHING, *SWEEPABLE)),
        Field("values_too", "text", "Values of the second", "Separated by commas."),
        Field("seeds", "integer", "Seeds", "Runs of each combination.", low=1, high=MAX_SEEDS),
        Field("metric", "choice", "Show", "The number that the picture shows.", tuple(SWEPT)),
        Field("across", "choice", "Across", "The field from left to right.", _VIEWED),
        Field("down", "choice", "Down", "The field from top to bottom.", (*_VIEWED, NOTHING)),
    )
)


def choose(address: Address) -> tuple[Grid | None, str]:
    """Draw the widgets; give the grid that is chosen, or None and why there is none."""
    _question(address)
    for vary, values in SLOTS:
        _axis(address, vary, values)
    with st.columns([1, 3], gap="medium")[0]:
        address.slider("seeds")
    _base_editor(address)
    try:
        return _grid(address), ""
    except ValueError as error:
        return None, str(error)


def _grid(address: Address) -> Grid:
    axes: dict[str, tuple[Any, ...]] = {}
    for vary, values in SLOTS:
        if address[vary] == NOTHING:
            continue
        name, parsed = parse_axis(f"{address[vary]}={address[values][:MAX_TEXT]}")
        if name in axes:
            raise ValueError(f"grid: {name} is there twice; choose another second field")
        axes[name] = tuple(_BASE[name].check(value) for value in parsed)
    chosen = {name: address[name] for name in _BASE}
    first = {name: found[0] for name, found in axes.items() if found}
    return make_grid(ExperimentConfig(**chosen | first), axes, address["seeds"])


def _question(address: Address) -> None:
    chosen = {name: address[name] for name in (*_BASE, "seeds", *SLOTS[0], *SLOTS[1])}
    same = [
        name for name, preset in SWEEP_PRESETS.items() if chosen == {n: _defaults(preset)[n] for n in chosen}
    ]
    st.session_state[PRESET] = same[0] if same else None

    def take() -> None:
        name = st.session_state[PRESET]
        if name in SWEEP_PRESETS:
            address.change(**_defaults(SWEEP_PRESETS[name]))

    st.selectbox(
        "Question", list(SWEEP_PRESETS), key=PRESET, on_change=take, placeholder="your own sweep", width=420
    )
    if same:
        st.caption(SWEEP_PRESETS[same[0]].why)


def _axis(address: Address, vary: str, values: str) -> None:
    """Draw a field to vary with its values: names to pick from, or numbers as text."""

    def suggest() -> None:
        field = st.session_state[address.key(vary)]
        address.change(**{vary: field, values: SUGGESTED_VALUES.get(field, "")})

    left, right = st.columns([1, 3], gap="medium", vertical_alignment="bottom")
    with left:
        options = address.choices[vary].field.options
        st.selectbox(options=options, format_func=_label, on_change=suggest, **address.widget(vary))
    field = address[vary]
    if field == NOTHING:
        return
    with right:
        names = _names(field)
        if names:
            _picked_values(address, values, field, names)
        else:
            address.take(values, st.text_input(max_chars=MAX_TEXT, **address.widget(values)))


def _label(field: str) -> str:
    return FIELDS[field].label if field in FIELDS else field


def _names(field: str) -> tuple[str, ...]:
    return ("false", "true") if FIELDS[field].kind == "switch" else _BASE[field].options


def _picked_values(address: Address, values: str, field: str, names: tuple[str, ...]) -> None:
    key = f"{address.key(values)}_{field}"

    def take() -> None:
        address.change(**{values: ",".join(st.session_state[key])})

    st.session_state[key] = [name for name in address[values].split(",") if name in names]
    st.multiselect(
        address.choices[values].field.label,
        names,
        key=key,
        format_func=LABELS.get(field, str),
        on_change=take,
    )


def _base_editor(address: Address) -> None:
    """Draw the fields that all cells share, and the way to take them from the lab."""
    varied = [address[vary] for vary, _ in SLOTS]
    with st.expander("What all runs share: data, network, training", icon=":material/tune:"):
        _from_lab(address)
        columns = st.columns(len(_EDITED), gap="medium")
        for names, column in zip(_EDITED.values(), columns, strict=True):
            with column:
                for name in names:
                    is_unused = name in ("samples", "noise") and not DATASETS[address["dataset"]].is_generated
                    if name not in varied and not is_unused:
                        _edit(address, name)


def _edit(address: Address, name: str) -> None:
    kind = _BASE[name].kind
    if kind == "choice":
        label = LABELS.get(name, str)
        address.select(name, {option: label(option) for option in _BASE[name].options})
    elif kind == "switch":
        address.take(name, st.checkbox(**address.widget(name)))
    else:
        step = 1 if kind == "integer" else 0.1
        address.take(
            name, st.number_input(step=step, format="%d" if step == 1 else "%g", **address.widget(name))
        )


def _from_lab(address: Address) -> None:
    config: ExperimentConfig | None = st.session_state.get(CONFIG)
    has_file = config is not None and DATASETS[config.dataset].needs_file

    def take() -> None:
        if config is not None:
            address.change(**{name: getattr(config, name) for name in _BASE})

    st.button(
        "Take the lab's network",
        icon=":material/content_copy:",
        key="sweep_from_lab",
        on_click=take,
        disabled=config is None or has_file,
        help="Not yet: you have not been in the lab."
        if config is None
        else "Not on a file of your own: a sweep uses nnlab's data."
        if has_file
        else config.words,
    )
