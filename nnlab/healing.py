"""healing: one remedy after the other, each tried on top of the last, and the chain as a word in a link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.remedies import REMEDIED, Change
from nnlab.run import Run

Train = Callable[[ExperimentConfig], Run]

MOST_REMEDIES = 5  # every known fault is over after three; more would be wandering
MOST_EARLIER = 9  # experiments before the last one: a link stays short enough to be sent, a page to be read
# About two seconds of one core: what a link's earlier experiments may take without being asked for.
CHEAP_FLOP = 2e10
BETWEEN_FIELDS, BETWEEN_EXPERIMENTS, BEFORE_VALUE = ",", ";", ":"


def next_remedy(runs: Sequence[Run]) -> Change | None:
    """Give the remedy of the last run's worst finding that leads to none of the earlier experiments."""
    last = runs[-1]
    if last.config is None:
        return None
    tried = {run.config for run in runs}
    for finding in last.findings:
        if finding.remedy and last.config.replace(**finding.remedy) not in tried:
            return finding.remedy
    return None


def heal(config: ExperimentConfig, train: Train | None = None, most: int = MOST_REMEDIES) -> tuple[Run, ...]:
    """Train an experiment, then one remedy after the other on top, until it is healthy or none is left.

    Args:
        config: the experiment.
        train: how to train; None takes `nnlab.train`.
        most: remedies to try at most.

    Raises:
        ValueError: `most` is negative, or the dataset cannot be used.
    """
    if most < 0:
        raise ValueError(f"most: {most} is not allowed; allowed: 0 or more")
    run_of = _trainer() if train is None else train
    runs = [run_of(config)]
    while len(runs) <= most and (remedy := next_remedy(runs)) is not None:
        previous = runs[-1].config
        assert previous is not None
        runs.append(run_of(previous.replace(**remedy)))
    return tuple(runs)


def _trainer() -> Train:
    from nnlab.trainer import train  # loads torch

    return train


def leads_back(change: Change, earlier: Sequence[ExperimentConfig], config: ExperimentConfig) -> int | None:
    """Give the position of the earlier experiment that a change of `config` is, None where it is new."""
    changed = config.replace(**change)
    return list(earlier).index(changed) if changed in earlier else None


def is_cheap(configs: Sequence[ExperimentConfig]) -> bool:
    """Whether experiments are trained again so fast that nobody need be asked."""
    return sum(config.step_flop * config.steps for config in configs) <= CHEAP_FLOP


def to_link(earlier: Sequence[ExperimentConfig], last: ExperimentConfig) -> str:
    """Write a chain for a link that says its last experiment: what was otherwise, experiment by experiment.

    "activation:sigmoid;gain:2.0": before the last one was one with gain 2, before that one with sigmoid, too.
    "" where experiments differ in what no remedy changes.
    """
    chain = [*earlier, last]
    parts = []
    for one, following in pairwise(chain):
        differing = one.differences(following)
        if not differing or not set(differing) <= set(REMEDIED):
            return ""
        parts.append(BETWEEN_FIELDS.join(f"{n}{BEFORE_VALUE}{text}" for n, text in differing.items()))
    return BETWEEN_EXPERIMENTS.join(parts)


def from_link(text: str, last: ExperimentConfig) -> tuple[ExperimentConfig, ...]:
    """Read the experiments before the last one, oldest first.

    Raises:
        ValueError: the text, which anybody may have written, is not what `to_link` writes.
    """
    if not text:
        return ()
    parts = text.split(BETWEEN_EXPERIMENTS)
    if len(parts) > MOST_EARLIER:
        raise ValueError(f"healed: {len(parts)} experiments are not allowed; allowed: at most {MOST_EARLIER}")
    chain = [last]
    for part in reversed(parts):
        chain.append(chain[-1].replace(**_read(part)))
        if chain[-1] == chain[-2]:
            raise ValueError(f"healed: {_shown(part)} is not allowed; allowed: what makes another experiment")
    return tuple(reversed(chain[1:]))


def _shown(part: str) -> str:
    return repr(part if len(part) <= 40 else part[:37] + "...")


def _read(part: str) -> Change:
    """Read the fields of one experiment that were otherwise."""
    change: Change = {}
    for pair in part.split(BETWEEN_FIELDS):
        name, colon, text = pair.partition(BEFORE_VALUE)
        if not colon or name not in REMEDIED or name in change:
            allowed = ", ".join(REMEDIED)
            raise ValueError(
                f"healed: {_shown(pair)} is not allowed; allowed: a field once, with its value, of {allowed}"
            )
        try:
            change[name] = FIELDS[name].parse(text)
        except ValueError as error:
            raise ValueError(f"healed: {error}") from None
    return change
