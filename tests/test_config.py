"""ExperimentConfig: what is accepted, what is refused and in which words, dicts and links."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nnlab.config import FIELDS, ExperimentConfig

DEFAULTS: dict[str, Any] = {
    "dataset": "digits",
    "samples": 1000,
    "noise": 0.1,
    "depth": 6,
    "width": 64,
    "activation": "tanh",
    "initializer": "xavier_uniform",
    "gain": 1.0,
    "normalization": "none",
    "residual": False,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 0.0,
    "batch_size": 128,
    "steps": 300,
    "clip_norm": None,
    "loss": "cross_entropy",
    "seed": 0,
    "record_every": None,
    "csv_path": "",
    "target": "",
    "features": (),
}
REAL = ("digits", "iris", "wine", "breast_cancer")
GENERATED = ("xor", "moons", "circles", "spiral", "blobs", "gaussian")
SATURATING = ("sigmoid", "tanh", "softsign", "hardtanh")
RECTIFYING = ("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus")
INITIALIZERS = (
    "pytorch_default",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "lecun_normal",
)
OPTIONS = {
    "dataset": [*REAL, *GENERATED, "csv"],
    "activation": [*SATURATING, *RECTIFYING, "identity", "step", "sine", "cosine"],
    "initializer": [*INITIALIZERS, "orthogonal", "glorot_standard", "normal_0.01", "zeros", "lsuv"],
    "normalization": ["none", "batch", "layer"],
    "optimizer": ["sgd", "momentum", "adam", "adamw", "rmsprop"],
    "loss": ["cross_entropy", "mse"],
}
INTEGERS = {
    "samples": (10, 100_000),
    "depth": (1, 100),
    "width": (1, 1024),
    "batch_size": (1, 4096),
    "steps": (1, 20_000),
    "seed": (0, 2**32 - 1),
    "record_every": (1, 20_000),
}
POSITIVE = ("gain", "learning_rate", "clip_norm")
NUMBERS = (*INTEGERS, *POSITIVE, "noise", "weight_decay")
# What each refusal must say besides the field and the value.
ALLOWED = {
    **OPTIONS,
    **{name: [f"{low:,}", f"{high:,}"] for name, (low, high) in INTEGERS.items()},
    "record_every": ["1", "20,000", "auto"],
    "gain": ["> 0"],
    "learning_rate": ["> 0"],
    "clip_norm": ["> 0", "none"],
    "noise": ["0", "10"],
    "weight_decay": [">= 0"],
    "residual": ["true", "false"],
    "csv_path": ["text"],
    "target": ["text"],
    "features": ["text"],
}

# Values of no number field: other types, True that Python counts as 1, and what no float64 is.
NO_NUMBERS: dict[str, Any] = {
    "true": True,
    "false": False,
    "text": "5",
    "bytes": b"5",
    "list": [5],
    "dict": {},
    "complex": 1j,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "huge": 10**400,
    "array": np.array([3.0]),
}


def _cases() -> list[Any]:
    cases = [(name, value) for name in OPTIONS for value in ("", "mnist", name.upper(), 1, None, ["tanh"])]
    cases += [(name, value) for name in NUMBERS for value in NO_NUMBERS.values()]
    cases += [(name, value) for name in NUMBERS if DEFAULTS[name] is not None for value in (None, "none")]
    for name, (low, high) in INTEGERS.items():
        cases += [(name, value) for value in (low - 1, high + 1, low + 0.5, -5, 2**63)]
    cases += [(name, value) for name in POSITIVE for value in (0, 0.0, -0.0, -1.5)]
    cases += [("noise", -0.001), ("noise", 10.01), ("weight_decay", -5e-324)]
    cases += [("residual", value) for value in (0, 1, "true", None)]
    cases += [(name, value) for name in ("csv_path", "target") for value in (5, None, b"y", ("y",))]
    cases += [("features", value) for value in ("a", 5, None, ("a", 1), {"a"})]
    return cases


def test_defaults_are_those_of_the_design() -> None:
    assert dataclasses.asdict(ExperimentConfig()) == DEFAULTS


@pytest.mark.parametrize("name", DEFAULTS)
def test_default_is_accepted_when_given(name: str) -> None:
    assert ExperimentConfig(**{name: DEFAULTS[name]}) == ExperimentConfig()


@pytest.mark.parametrize(("name", "value"), _cases(), ids=repr)
def test_refusal_names_field_value_and_what_is_allowed(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{name}: ") as caught:
        ExperimentConfig(**{name: value})
    message = str(caught.value)
    assert repr(value)[:60] in message
    assert [part for part in ALLOWED[name] if part not in message] == []
    assert "\n" not in message


@pytest.mark.parametrize("name", ["depth", "learning_rate"])
def test_refusal_names_the_field_of_a_number_that_python_will_not_print(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .*allowed"):
        ExperimentConfig(**{name: 10**5000})


@pytest.mark.parametrize("name", ["depth", "clip_norm"])
def test_refusal_names_the_field_of_an_array(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .*allowed"):
        ExperimentConfig(**{name: np.array([1.0, 2.0])})


@pytest.mark.parametrize("name", ["depth", "gain"])
def test_a_numpy_bool_is_no_number(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .*allowed"):
        ExperimentConfig(**{name: np.True_})


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_those_of_the_design(name: str) -> None:
    assert sorted(FIELDS[name].options) == sorted(OPTIONS[name])
    assert [getattr(ExperimentConfig(**{name: option}), name) for option in OPTIONS[name]] == OPTIONS[name]


@pytest.mark.parametrize("name", INTEGERS)
def test_both_ends_of_a_range_are_accepted(name: str) -> None:
    for value in INTEGERS[name]:
        assert getattr(ExperimentConfig(**{name: value}), name) == value


@pytest.mark.parametrize("value", [0.0, 10.0])
def test_both_ends_of_noise_are_accepted(value: float) -> None:
    assert ExperimentConfig(noise=value).noise == value


@pytest.mark.parametrize("name", [*POSITIVE, "weight_decay"])
def test_tiny_positive_numbers_are_accepted(name: str) -> None:
    assert getattr(ExperimentConfig(**{name: 5e-324}), name) == 5e-324


@pytest.mark.parametrize(("name", "word"), [("clip_norm", "none"), ("record_every", "auto")])
def test_the_word_for_nothing_is_none(name: str, word: str) -> None:
    assert getattr(ExperimentConfig(**{name: word}), name) is None


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_kept_in_the_type_of_their_field(name: str) -> None:
    wanted: type = int if name in INTEGERS else float
    for value in (np.int64(10), np.float32(10), 10, 10.0):
        assert type(getattr(ExperimentConfig(**{name: value}), name)) is wanted


def test_batch_norm_refuses_a_batch_of_one_example() -> None:
    with pytest.raises(ValueError, match=r"^batch_size: 1 .*batch.*allowed: 2 to 4,096"):
        ExperimentConfig(normalization="batch", batch_size=1)


@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_a_batch_of_one_example_is_accepted_without_batch_norm(normalization: str) -> None:
    assert ExperimentConfig(normalization=normalization, batch_size=1).batch_size == 1


def test_too_much_work_a_step_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="GFLOP") as caught:
        ExperimentConfig(depth=100, width=1024, batch_size=4096)
    for part in ("depth", "100", "width", "1024", "batch_size", "4096", "at most 20"):
        assert part in str(caught.value)


def test_twenty_gflop_a_step_are_the_limit() -> None:
    # 6 operations x (63 x 512^2 + 512 x 74) weights x 200 examples = 19.9e9.
    assert ExperimentConfig(depth=64, width=512, batch_size=200).step_flop == pytest.approx(19.86e9, rel=1e-3)
    with pytest.raises(ValueError, match="GFLOP"):
        ExperimentConfig(depth=64, width=512, batch_size=202)


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExperimentConfig().depth = 3  # type: ignore[misc]


def test_equal_configurations_have_equal_hashes() -> None:
    one = ExperimentConfig(depth=3, features=["a", "b"])  # type: ignore[arg-type]
    assert {one: "here"}[ExperimentConfig(depth=3.0, features=("a", "b"))] == "here"  # type: ignore[arg-type]


def test_replace_checks_as_the_constructor_does() -> None:
    assert ExperimentConfig().replace(depth=3) == ExperimentConfig(depth=3)
    with pytest.raises(ValueError, match=r"^depth: 0 "):
        ExperimentConfig().replace(depth=0)


@pytest.mark.parametrize(
    "make",
    [lambda v: ExperimentConfig().replace(**v), ExperimentConfig.from_dict],
    ids=["replace", "from_dict"],
)
def test_an_unknown_field_is_named_with_the_known_ones(make: Callable[[dict[str, int]], object]) -> None:
    with pytest.raises(ValueError, match=r"^dpeth: .*depth"):
        make({"dpeth": 3})


def _valid(names: Any, text: Any) -> Any:
    """Give a strategy for valid configurations; `names` makes feature names, `text` other texts."""
    from hypothesis import strategies as st

    positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
    common = {
        "samples": st.integers(10, 100_000),
        "noise": st.floats(0, 10),
        "depth": st.integers(1, 100),
        "width": st.integers(1, 128),
        **{
            name: st.sampled_from(options)
            for name, options in OPTIONS.items()
            if name not in ("dataset", "normalization")
        },
        "gain": positive,
        "residual": st.booleans(),
        "learning_rate": positive,
        "weight_decay": st.floats(min_value=0, allow_infinity=False),
        "steps": st.integers(1, 20_000),
        "clip_norm": st.none() | positive,
        "seed": st.integers(0, 2**32 - 1),
        "record_every": st.none() | st.integers(1, 20_000),
    }
    batches = st.tuples(st.just("batch"), st.integers(2, 512))
    others = st.tuples(st.sampled_from(["none", "layer"]), st.integers(1, 512))
    files = st.fixed_dictionaries({"dataset": st.just("csv"), "target": text, "features": st.lists(names)})
    plain = st.fixed_dictionaries({"dataset": st.sampled_from(OPTIONS["dataset"][:-1])})
    return st.builds(
        lambda values, batch, data: ExperimentConfig(
            **values, **data, normalization=batch[0], batch_size=batch[1]
        ),
        st.fixed_dictionaries(common),
        batches | others,
        files | plain,
    )


def _settings() -> Any:
    from hypothesis import HealthCheck, settings

    return settings(
        max_examples=120,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def test_dict_round_trip_through_json() -> None:
    from hypothesis import given
    from hypothesis import strategies as st

    @_settings()
    @given(config=_valid(st.text(), st.text()), path=st.text())
    def check(config: ExperimentConfig, path: str) -> None:
        config = config.replace(csv_path=path)
        text = json.dumps(config.to_dict(), allow_nan=False)
        assert ExperimentConfig.from_dict(json.loads(text)) == config

    check()


def test_link_round_trip() -> None:
    from hypothesis import given
    from hypothesis import strategies as st

    names = st.text(st.characters(exclude_characters=","), min_size=1)

    @_settings()
    @given(config=_valid(names, st.text()))
    def check(config: ExperimentConfig) -> None:
        query = config.to_query()
        assert all(isinstance(text, str) for text in query.values())
        assert ExperimentConfig.from_query(query) == (config, ())

    check()


@pytest.mark.parametrize("features", [("a,b", "c"), ("\\", ",")], ids=repr)
def test_link_round_trip_of_column_names_with_a_comma(features: tuple[str, ...]) -> None:
    config = ExperimentConfig(dataset="csv", target="y", features=features)
    assert ExperimentConfig.from_query(config.to_query()) == (config, ())


def test_link_says_every_field_and_the_version() -> None:
    query = ExperimentConfig().to_query()
    assert query["v"] == "1"
    assert set(query) == {"v", *DEFAULTS} - {"csv_path", "target", "features"}
    assert (query["clip_norm"], query["record_every"], query["residual"]) == ("none", "auto", "false")


def test_link_of_a_file_says_target_and_features_and_no_path() -> None:
    config = ExperimentConfig(dataset="csv", csv_path="/home/me/secret.csv", target="y", features=("a",))
    query = config.to_query()
    assert set(query) == {"v", *DEFAULTS} - {"csv_path"}
    assert (query["target"], query["features"]) == ("y", "a")


BAD_TEXTS = [
    ("depth", "٣"),
    ("depth", "９"),
    ("depth", "²"),
    ("steps", "1_000"),
    ("steps", " 5"),
    ("steps", "5\n"),
    ("width", "64.0"),
    ("width", "0x10"),
    ("seed", "9" * 5000),
    ("seed", "-1"),
    ("learning_rate", "1e999"),
    ("learning_rate", "1e-999"),
    ("learning_rate", "1_0.5"),
    ("learning_rate", "٠.١"),
    ("learning_rate", "nan"),
    ("gain", "inf"),
    ("noise", "0.1 "),
    ("noise", "11"),
    ("clip_norm", "None"),
    ("record_every", "none"),
    ("residual", "maybe"),
    ("activation", "softmax"),
    ("loss", ""),
    *((name, "") for name in NUMBERS),
]


@pytest.mark.parametrize(("name", "text"), BAD_TEXTS, ids=lambda value: ascii(value)[:30])
def test_a_bad_value_in_a_link_is_ignored_and_named(name: str, text: str) -> None:
    config, (note,) = ExperimentConfig.from_query(
        {"v": "1", "samples": "70", "optimizer": "adam"} | {name: text}
    )
    assert config == ExperimentConfig(optimizer="adam", **({} if name == "samples" else {"samples": 70}))
    assert name in note


@pytest.mark.parametrize("texts", [["3", "4"], ["3", "3"], []], ids=repr)
def test_a_name_that_is_not_there_once_is_ignored_and_named(texts: list[str]) -> None:
    config, (note,) = ExperimentConfig.from_query({"depth": texts})
    assert config == ExperimentConfig()
    assert "depth" in note


def test_a_list_of_one_value_is_that_value() -> None:
    assert ExperimentConfig.from_query({"depth": ["3"]}) == (ExperimentConfig(depth=3), ())


@pytest.mark.parametrize("name", ["dpeth", "Depth", "", "csv_path", "__class__", "x" * 9000])
def test_an_unknown_name_in_a_link_is_ignored_and_named(name: str) -> None:
    config, (note,) = ExperimentConfig.from_query({name: "3", "depth": "3"})
    assert config == ExperimentConfig(depth=3)
    assert name[:20] in note
    assert len(note) < 200


@pytest.mark.parametrize(
    "text", ["a\rb", "a\nb", "\n", '"a', '"a"b', '"', "\0", "x" * 200_000], ids=lambda text: ascii(text)[:9]
)
def test_column_names_in_a_link_are_read_or_ignored_and_named(text: str) -> None:
    config, notes = ExperimentConfig.from_query({"dataset": "csv", "features": text})
    assert config.features or "features" in notes[0]


def test_another_version_of_links_is_named() -> None:
    _, notes = ExperimentConfig.from_query({"v": "2", "depth": "3"})
    assert any("v" in note and "2" in note for note in notes)


def test_too_much_work_in_a_link_is_ignored_and_named() -> None:
    query = {"width": "1024", "depth": "100", "batch_size": "4096"}
    config, (note,) = ExperimentConfig.from_query(query)
    assert config == ExperimentConfig()
    assert "width" in note
    assert "GFLOP" in note


def test_what_a_link_leaves_out_comes_from_the_default() -> None:
    default = ExperimentConfig(depth=10, activation="sigmoid")
    assert ExperimentConfig.from_query({"depth": "3"}, default)[0] == default.replace(depth=3)


def test_no_link_raises() -> None:
    from hypothesis import example, given
    from hypothesis import strategies as st

    texts = st.text() | st.sampled_from(["1e999", "4096", "1024", "100", "batch", "1", "csv", "true", "none"])
    names = st.text() | st.sampled_from([*DEFAULTS, "v"])

    @_settings()
    @given(query=st.dictionaries(names, texts | st.lists(texts, max_size=3), max_size=8))
    @example(query={"normalization": "batch", "batch_size": "1"})
    def check(query: dict[str, str | list[str]]) -> None:
        config, notes = ExperimentConfig.from_query(query)
        assert ExperimentConfig.from_dict(config.to_dict()) == config
        named = " ".join(notes)
        for name in set(query) & {*NUMBERS, *OPTIONS} - {"dataset"}:
            asked = query[name] if isinstance(query[name], str) else ",".join(query[name])
            is_taken = config.to_query()[name] == asked
            assert is_taken or name in named or "link's settings" in named or _same(config, name, asked)

    check()


def _same(config: ExperimentConfig, name: str, asked: str) -> bool:
    """Tell whether a number was read although it is written otherwise, as 007 and 1.50."""
    value = getattr(config, name)
    return name in NUMBERS and value is not None and float(asked) == value


SOME_STEPS = [*range(1, 1300), *range(1300, 20_000, 37), 19_999, 20_000]


def test_automatic_records_are_at_most_300_from_first_to_last_step() -> None:
    for steps in SOME_STEPS:
        recorded = ExperimentConfig(steps=steps).recorded_steps
        assert len(recorded) <= 300, steps
        assert (recorded[0], recorded[-1]) == (0, steps)
        gaps = np.diff(recorded)
        assert (gaps[:-1] == gaps[0]).all(), steps
        assert 0 < gaps[-1] <= gaps[0], steps


@pytest.mark.parametrize(("steps", "count"), [(299, 300), (300, 151), (20_000, 300)])
def test_automatic_records_are_as_dense_as_300_allow(steps: int, count: int) -> None:
    assert len(ExperimentConfig(steps=steps).recorded_steps) == count


@pytest.mark.parametrize(
    ("every", "wanted"), [(1, tuple(range(21))), (7, (0, 7, 14, 20)), (10, (0, 10, 20)), (500, (0, 20))]
)
def test_records_are_taken_every_so_many_steps_and_at_the_last(every: int, wanted: tuple[int, ...]) -> None:
    assert ExperimentConfig(steps=20, record_every=every).recorded_steps == wanted


def test_what_a_link_or_a_file_calls_version_or_field_stays_a_short_line() -> None:
    _, notes = ExperimentConfig.from_query({"v": ["\r\n", "1"]})
    assert notes == ("The link is of version v='\\r\\n', 1; this nnlab reads 1.",)
    with pytest.raises(ValueError, match=r"^'x{60}': no such field; allowed: dataset"):
        ExperimentConfig.from_dict({"x" * 3000: 1})
    with pytest.raises(ValueError, match=r"^'a\\nb': no such field"):
        ExperimentConfig().replace(**{"a\nb": 1})


@pytest.mark.parametrize("name", ["run", "made", "data", "pinned"])
def test_what_a_link_may_say_once_and_says_twice_is_told(name: str) -> None:
    assert ExperimentConfig.from_query({name: ["a", "b"]})[1] == (
        f"Of {name}, which the link says 2 times, the last counts.",
    )
    assert ExperimentConfig.from_query({name: ["a"]})[1] == ()
