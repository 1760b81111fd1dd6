"""Question: what a lesson asks before it shows, with answers that a measured number picks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One answer, right where the measured number is from `low` up to, but without, `high`."""

    words: str
    low: float
    high: float


@dataclass(frozen=True)
class Question:
    """A question whose answer is measured: exactly one option holds for every number it can have.

    `setting` are the choices under which it is asked; `quantity` says in words what is measured.
    """

    name: str
    text: str
    button: str
    quantity: str
    options: tuple[Option, ...]

    def truth(self, measured: float) -> Option:
        """Give the option that holds.

        Raises:
            ValueError: the number is undefined or in no option's range.
        """
        for option in self.options:
            if option.low <= measured < option.high:
                return option
        raise ValueError(f"measured: {measured} answers no option of the question {self.name!r}")

    def answer(self, guess: str | None, measured: float, shown: str) -> str:
        """Say in Markdown what was measured and whether the guess was right."""
        truth = self.truth(measured).words
        found = f"Measured: {self.quantity} is **{shown}**, so the answer is **{truth}**."
        if guess is None:
            return f":material/visibility: You made no guess. {found}"
        if guess == truth:
            return f":material/check_circle: You guessed right. {found}"
        return f":material/lightbulb: You guessed *{guess}*. {found}"
