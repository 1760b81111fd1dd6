"""The configurations that are compared: where they come from, and which ones are chosen."""

from __future__ import annotations

import streamlit as st

from nnlab.config import ExperimentConfig
from nnlab.field import Field
from nnlab.overlay import FEWEST, MOST, MOST_SEEDS, common, config_labels, same_but_seed, seedless
from nnlab.overlay_sets import SETS
from nnlab.overlay_stored import FIRST, SEEDS
from nnlab.overlay_text import from_text, to_text
from nnlab.presets import PRESETS
from pages.parts import pair, pinned, training
from pages.parts.address import Address, Choice
from pages.parts.choice import CONFIG
from pages.parts.complaint import complain
from pages.parts.treatment import earlier

NAME = "compare"
CHOICES = (
    Choice(Field("configs", "text", "Configurations", ""), to_text(FIRST)),
    Choice(
        Field(
            "seeds",
            "integer",
            "Seeds",
            "Each configuration is trained this often, from other weights and batches; the same for all.",
            low=1,
            high=MOST_SEEDS,
        ),
        SEEDS,
    ),
    Choice(Field(pinned.PINS, "text", "Pinned", ""), ""),
    pair.step_choice(NAME),
    training.job_choice(NAME),
    training.MADE,
)
CHOSEN, SET, OPTIONS, TAKEN, NOTES = (
    "compare_chosen",
    "compare_set",
    "compare_options",
    "pins_taken",
    "compare_notes",
)


def configs(address: Address) -> tuple[ExperimentConfig, ...]:
    """Give the chosen configurations."""
    return from_text(address["configs"])[0]


def problem(address: Address) -> str:
    """Say why the choice cannot be trained, "" where it can."""
    count = len(configs(address))
    if FEWEST <= count <= MOST:
        return ""
    return f"Configurations: {count} chosen; allowed: {FEWEST} to {MOST}"


def begin(address: Address) -> None:
    """Take over what the link says, and what was pinned since the last visit."""
    found, notes = from_text(address["configs"])
    if notes:
        st.session_state[NOTES] = notes
        address.change(configs=to_text(found))
    pins = pinned.pins()
    if TAKEN not in st.session_state:
        # What the link compares was chosen from the link's pins, or beside them.
        st.session_state[TAKEN] = pins if "configs" in st.query_params else ()
    if pins != st.session_state[TAKEN]:
        st.session_state[TAKEN] = pins
        is_untouched = address["configs"] == to_text(FIRST) and len(pins) >= FEWEST
        _compare(address, (*(() if is_untouched else found), *pins))
    if address[pinned.PINS] != pinned.text():
        address.change(**{pinned.PINS: pinned.text()})


def _compare(address: Address, wanted: tuple[ExperimentConfig, ...]) -> None:
    """Make configurations the chosen ones, each once, the newest where there are too many."""
    kept: list[ExperimentConfig] = []
    for config in wanted:
        if not any(same_but_seed(config, other) for other in kept):
            kept.append(config)
    st.session_state[NOTES] = ()
    if len(kept) > MOST:
        st.session_state[NOTES] = (f"{len(kept)} configurations are too many; the last {MOST} are kept",)
    address.change(configs=to_text(kept[-MOST:]))


def _options(address: Address) -> dict[str, ExperimentConfig]:
    """Give all configurations there are to choose from by their labels, the chosen ones first."""
    chosen = configs(address)
    names = config_labels(chosen, [""] * len(chosen)) if len(chosen) > 1 else map(seedless, chosen)
    found = dict(zip(names, chosen, strict=True))
    for label, config in _offered():
        is_new = config.dataset != "csv" and not any(same_but_seed(config, other) for other in found.values())
        # The line that names a configuration does not say all of it.
        found |= {label if label not in found else f"{label} ({len(found)})": config} if is_new else {}
    return found


def _offered() -> list[tuple[str, ExperimentConfig]]:
    """Give what can be added, each with where it comes from: pins, the lab, the presets."""
    found = [(f"pinned: {seedless(config)}", config) for config in pinned.pins()]
    now: ExperimentConfig | None = st.session_state.get(CONFIG)
    if now is not None:
        found.append((f"the lab now: {seedless(now)}", now))
    found += [(f"before the remedy: {seedless(config)}", config) for config in earlier()]
    return found + [(f"preset: {preset.name}", preset.config) for preset in PRESETS.values()]


def choose(address: Address) -> None:
    """Draw the widgets that choose what is compared."""

    def take_chosen() -> None:
        options = st.session_state[OPTIONS]
        _compare(address, tuple(options[label] for label in st.session_state[CHOSEN]))

    options = st.session_state[OPTIONS] = _options(address)
    st.session_state[CHOSEN] = list(options)[: len(configs(address))]
    st.multiselect(
        f"Configurations, {FEWEST} to {MOST}",
        list(options),
        key=CHOSEN,
        on_change=take_chosen,
        max_selections=MOST,
        help="From the presets, from the lab as it stands, and what you pinned there (its button Compare).",
    )
    columns = st.columns([3, 1], gap="medium")
    with columns[0]:
        _choose_set(address)
    with columns[1]:
        address.slider("seeds")
    pinned.show_notes()
    for number, note in enumerate(st.session_state.get(NOTES, ())):
        complain(note, f"compared_{number}")
    st.caption(_in_common(address))


def _choose_set(address: Address) -> None:
    def take_set() -> None:
        entry = SETS.get(st.session_state[SET])
        st.session_state[SET] = None
        base = (*configs(address), *FIRST)[0]
        try:
            _compare(address, () if entry is None else entry.configs(base))
        except ValueError as error:
            st.session_state[NOTES] = (str(error),)

    st.selectbox(
        "Or a set, made from the first configuration",
        list(SETS),
        index=None,
        key=SET,
        on_change=take_set,
        placeholder="all activations, all initializers, depths, ...",
    )


def _in_common(address: Address) -> str:
    """Say what all configurations share, and which seeds they get."""
    chosen = configs(address)
    if not chosen:
        return ""
    first, seeds = chosen[0].seed, address["seeds"]
    span = f"seed {first}" if seeds == 1 else f"seeds {first} to {first + seeds - 1}"
    return f"The same for all: {common(chosen)} · {span}."
