"""Healing: remedies one after the other, and their chain in a link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from faults import ENTANGLED, FAULTS, trained

from nnlab.config import ExperimentConfig
from nnlab.healing import MOST_EARLIER, from_link, heal, is_cheap, leads_back, next_remedy, to_link
from nnlab.run import Run

LAST = ExperimentConfig(depth=10)
TWO_BEFORE = LAST.replace(activation="sigmoid", initializer="normal_0.01", learning_rate=3e-05)
ONE_BEFORE = TWO_BEFORE.replace(activation="tanh", learning_rate=0.1)


def counted(train: Callable[[ExperimentConfig], Run]) -> tuple[list[ExperimentConfig], Callable[..., Run]]:
    asked: list[ExperimentConfig] = []

    def call(config: ExperimentConfig) -> Run:
        asked.append(config)
        return train(config)

    return asked, call


@pytest.mark.parametrize("fault", ["vanishing", "dead_layer", "stalled", *ENTANGLED])
def test_a_network_is_healed_by_remedies_one_after_the_other(fault: str) -> None:
    runs = heal(ExperimentConfig(**(FAULTS | ENTANGLED)[fault]), trained)
    assert runs[0].findings
    assert not runs[-1].findings
    for one, following in pairwise(runs):
        change = following.config.differences(one.config)  # type: ignore[union-attr, arg-type]
        offered = [finding.remedy for finding in one.findings if finding.remedy]
        assert change.keys() in [remedy.keys() for remedy in offered]


def test_a_healthy_network_is_left_alone_and_nothing_is_tried_beyond_the_limit() -> None:
    asked, train = counted(trained)
    assert len(heal(ExperimentConfig(depth=2, width=16, steps=100, record_every=50), train)) == 1
    assert heal(ExperimentConfig(**FAULTS["vanishing"]), train, most=0)[0].findings
    assert len(asked) == 2
    with pytest.raises(ValueError, match="most: -1 is not allowed"):
        heal(LAST, train, most=-1)


def test_no_experiment_is_tried_twice() -> None:
    run = trained(ExperimentConfig(**FAULTS["vanishing"]))
    remedy = next_remedy([run])
    assert remedy == run.findings[0].remedy
    assert run.config is not None
    tried = replace(run, config=run.config.replace(**remedy))
    assert next_remedy([tried, run]) != remedy


def test_a_chain_survives_its_link() -> None:
    text = to_link((TWO_BEFORE, ONE_BEFORE), LAST)
    assert text == "activation:sigmoid,learning_rate:3e-05;initializer:normal_0.01"
    assert from_link(text, LAST) == (TWO_BEFORE, ONE_BEFORE)
    assert to_link((), LAST) == ""
    assert from_link("", LAST) == ()


def test_a_chain_of_other_data_has_no_link() -> None:
    assert to_link((LAST.replace(dataset="iris"),), LAST) == ""
    assert to_link((LAST,), LAST) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dataset:csv", "'dataset:csv' is not allowed"),
        ("csv_path:/etc/passwd", "'csv_path:/etc/passwd' is not allowed"),
        ("activation:<script>", "activation: '<script>' is not allowed"),
        ("activation", "'activation' is not allowed"),
        ("activation:tanh", "allowed: what makes another experiment"),
        ("gain:2.0,gain:3.0", "'gain:3.0' is not allowed"),
        ("gain:nan", "gain: 'nan' is not allowed"),
        ("gain:٣", "gain: '٣' is not allowed"),
        (";", "'' is not allowed"),
        ("x" * 9999, "x...' is not allowed"),
        (
            ";".join(["gain:2.0", "gain:1.0"] * 5),
            f"10 experiments are not allowed; allowed: at most {MOST_EARLIER}",
        ),
    ],
)
def test_a_chain_that_nobody_wrote_is_refused_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"^healed: ") as caught:
        from_link(text, LAST)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_remedy_that_leads_back_is_known() -> None:
    assert leads_back({"activation": "tanh", "learning_rate": 0.1}, [ONE_BEFORE], TWO_BEFORE) == 0
    assert leads_back({"activation": "tanh"}, [ONE_BEFORE], TWO_BEFORE) is None


def test_what_is_cheap_is_counted_over_all_experiments() -> None:
    small = ExperimentConfig(dataset="iris", width=8, steps=100)
    assert is_cheap([small, small])
    assert not is_cheap([small, ExperimentConfig(depth=50, width=512, steps=1000)])
