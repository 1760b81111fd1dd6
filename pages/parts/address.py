"""The choices of a lesson: in the session, in the address, in the widgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from nnlab.field import Field
from pages.parts.complaint import complain
from pages.parts.query import in_short

# Parameters of an address that are no choices: Streamlit's own.
FOREIGN = ("embed", "embed_options")


def _for_widget(value: Any) -> Any:
    """Give a choice as Streamlit's widgets hold it: several options are a list."""
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Choice:
    """One choice of a lesson: what it may hold, and what it is on a first visit."""

    field: Field
    default: Any


class Address:
    """The choices of one page by name. The address in the browser always says all of them."""

    def __init__(self, page: str, *choices: Choice) -> None:
        self.page = page
        self.choices = {choice.field.name: choice for choice in choices}
        if self._home not in st.session_state:
            values, notes = self._read()
            st.session_state[self._home] = values
            st.session_state[f"{self._home}_notes"] = notes

    @property
    def _home(self) -> str:
        return f"choices_{self.page}"

    @property
    def values(self) -> dict[str, Any]:
        """All choices as they stand."""
        return dict(st.session_state[self._home])

    def __getitem__(self, name: str) -> Any:
        return st.session_state[self._home][name]

    def key(self, name: str) -> str:
        """Give the session key of a choice's widget."""
        return f"{self.page}_{name}"

    def _read(self) -> tuple[dict[str, Any], list[str]]:
        values = {name: choice.default for name, choice in self.choices.items()}
        notes = []
        for name in st.query_params:
            texts = st.query_params.get_all(name)
            if name in FOREIGN:
                continue
            if name not in self.choices:
                notes.append(f"Ignored {name[:40]!r}: the link names no such choice.")
            elif len(texts) != 1:
                notes.append(f"Ignored {name}: the link says it {len(texts)} times.")
            else:
                try:
                    values[name] = self.choices[name].field.parse(texts[0])
                except ValueError as error:
                    notes.append(f"Ignored {error}.")
        return values, notes

    def show_notes(self) -> None:
        """Say what of the link could not be used; as plain text, since anybody may have written it."""
        notes = st.session_state[f"{self._home}_notes"]
        if notes:
            with st.container(border=True, key="link_notes"):
                st.markdown(":material/link_off: **Not all of the link could be used:**")
                st.text(in_short(notes))

    def widget(self, name: str) -> dict[str, Any]:
        """Give what a choice's widget takes: label, key and help; the session holds its value."""
        field = self.choices[name].field
        st.session_state.setdefault(self.key(name), _for_widget(self[name]))
        return {"label": field.label, "key": self.key(name), "help": field.help or None}

    def take(self, name: str, value: Any) -> Any:
        """Take over what a widget says; where it may not, say so and give what stands."""
        try:
            checked = self.choices[name].field.check(value)
        except ValueError as error:
            complain(str(error), self.key(name))
            return self[name]
        if checked != self[name]:
            st.session_state[self._home] = self.values | {name: checked}
            st.session_state[f"{self._home}_notes"] = []  # the link is no longer what is shown
        return checked

    def slider(self, name: str, step: float = 1) -> Any:
        """Draw a slider over the whole range of a number."""
        field = self.choices[name].field
        assert field.low is not None
        assert field.high is not None
        kind = int if field.kind == "integer" else float
        value = st.slider(
            min_value=kind(field.low),
            max_value=kind(field.high),
            step=kind(step),
            format="%d" if kind is int else "%g",
            **self.widget(name),
        )
        return self.take(name, value)

    def select(self, name: str, words: Mapping[str, str] | None = None) -> str:
        """Draw a list of options to choose one from."""
        options = self.choices[name].field.options
        show = (lambda option: words[option]) if words else str
        return str(self.take(name, st.selectbox(options=options, format_func=show, **self.widget(name))))

    def change(self, **values: Any) -> None:
        """Set choices, widgets included; for callbacks."""
        st.session_state[self._home] = self.values | values
        for name, value in values.items():
            st.session_state[self.key(name)] = _for_widget(value)

    def write(self) -> None:
        """Write all choices into the address in the browser."""
        said = {name: choice.field.format(self[name]) for name, choice in self.choices.items()}
        # Nothing chosen is a choice too, but for a run that there is not.
        wanted = {name: text for name, text in said.items() if text or self.choices[name].default}
        present = {name: st.query_params.get_all(name) for name in st.query_params}
        if {n: v for n, v in present.items() if n not in FOREIGN} != {n: [v] for n, v in wanted.items()}:
            kept = {n: v for n, v in st.query_params.to_dict().items() if n in FOREIGN}
            st.query_params.from_dict(wanted | kept)
