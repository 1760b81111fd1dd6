"""What the lessons train, what they keep in files, and that the files hold what training gives."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

from nnlab import lessons
from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.datasets import load_dataset, load_pixels
from nnlab.field import Field
from nnlab.lessons import (
    CLEAR_GAP,
    COLLAPSE_DATA,
    DOTS,
    KIND_WORDS,
    KINDS,
    LINEAR_DEPTH,
    SEEDS,
    SEVENS,
    XOR,
    all_points,
    by_kind,
    collapse_problem,
    dots_plans,
    dots_words,
    score_at,
    sevens_plans,
    stored_images,
    stored_pair,
    stored_sevens,
    xor_plans,
)
from nnlab.network import Network
from nnlab.surface_charts import CLASS_WORDS
from nnlab.trainer import train_together
from nnlab.trajectory import Trajectory
from nnlab.xor import CORNERS, TARGETS, corner_data

PHI = {
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
}
NAMES = ("xor_linear", "xor_bent", "dots_bent", "dots_linear")
# Another processor rounds otherwise, and training lets roundings grow: early weights are compared
# closely, the end by what it achieves.
EARLY = 12


def answers(network: Network, x: np.ndarray) -> np.ndarray:
    """Compute outputs in float64, written out here once more."""
    h = x.astype(np.float64)
    for layer in network.layers:
        h = PHI[layer.activation](h @ layer.weight.astype(np.float64).T + layer.bias)
    return h


def right(network: Network, x: np.ndarray, y: np.ndarray) -> float:
    return float((answers(network, x).argmax(axis=1) == y).mean())


# The stored pairs


@pytest.fixture(scope="module")
def stored() -> dict[str, Trajectory]:
    return dict(zip(NAMES, (*stored_pair("xor"), *stored_pair("dots")), strict=True))


@pytest.fixture(scope="module")
def again() -> dict[str, Trajectory]:
    """Train the kept pairs once more."""
    plans = (*xor_plans(XOR, LINEAR_DEPTH, corner_data()), *dots_plans(DOTS))
    return dict(zip(NAMES, train_together(plans), strict=True))


CONFIGS = {
    "xor_linear": XOR.replace(activation="identity", depth=LINEAR_DEPTH),
    "xor_bent": XOR,
    "dots_bent": DOTS,
    "dots_linear": DOTS.replace(activation="identity"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_run_is_the_lessons_experiment_to_its_end(name, stored):
    run = stored[name].run
    assert run.config == CONFIGS[name]
    assert run.status == "completed"
    assert run.records[-1].step == CONFIGS[name].steps == stored[name].steps[-1]
    assert stored[name].steps[0] == 0
    assert not any(record.histograms for record in run.records)


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_network_has_the_shape_of_its_experiment(name, stored):
    config = CONFIGS[name]
    for step in stored[name].steps:
        network = stored[name].at(step)
        assert network.widths == (2, *[config.width] * config.depth, 2)
        hidden = [layer.activation for layer in network.layers]
        assert hidden == [*[config.activation] * config.depth, "identity"]


@pytest.mark.parametrize("name", NAMES)
def test_training_again_gives_the_stored_weights(name, stored, again):
    assert again[name].run.config == stored[name].run.config
    assert again[name].steps == stored[name].steps
    early = [step for step in stored[name].steps if step <= EARLY]
    assert len(early) > 1
    for step in early:
        for one, other in zip(again[name].at(step).layers, stored[name].at(step).layers, strict=True):
            np.testing.assert_allclose(one.weight, other.weight, rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(one.bias, other.bias, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_training_again_comes_as_far_as_the_stored_run(name, stored, again):
    ends = [(t.run.records[-1].network, score_at(t, t.steps[-1])) for t in (stored[name], again[name])]
    (old, old_score), (new, new_score) = ends
    assert new["loss"] == pytest.approx(old["loss"], rel=0.05, abs=1e-3)
    if name != "xor_linear":  # undecided corners: which class rounding picks is chance
        assert new_score == pytest.approx(old_score, abs=2.5 / 80)


def test_the_stored_linear_network_stands_at_the_best_a_linear_one_can(stored):
    outputs = answers(stored["xor_linear"].last, CORNERS)
    assert np.mean((outputs - np.eye(2)[TARGETS]) ** 2) == pytest.approx(0.25, abs=1e-4)
    np.testing.assert_allclose(outputs, 0.5, atol=0.01)


def test_the_stored_relu_network_has_learned_xor(stored):
    outputs = answers(stored["xor_bent"].last, CORNERS)
    assert np.mean((outputs - np.eye(2)[TARGETS]) ** 2) < 1e-6
    assert right(stored["xor_bent"].last, CORNERS, TARGETS) == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_losses_are_those_of_the_stored_weights(name, stored):
    trajectory, config = stored[name], CONFIGS[name]
    data = corner_data() if name.startswith("xor") else load_dataset(config)
    steps, losses = trajectory.run.series("test_loss")
    recorded = dict(zip(steps.tolist(), losses.tolist(), strict=True))
    for step in trajectory.steps[:: len(trajectory.steps) // 4]:
        outputs = answers(trajectory.at(step), data.x_test)
        if config.loss == "mse":
            expected = np.mean((outputs - np.eye(2)[data.y_test]) ** 2)
        else:
            of_wanted = outputs[np.arange(len(outputs)), data.y_test]
            expected = np.mean(np.logaddexp(outputs[:, 0], outputs[:, 1]) - of_wanted)
        assert recorded[step] == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("name", ["dots_bent", "dots_linear"])
def test_the_scores_said_of_stored_dots_are_those_of_the_weights(name, stored):
    data = load_dataset(CONFIGS[name])
    for step in stored[name].steps[::6]:
        measured = right(stored[name].at(step), data.x_test, data.y_test)
        assert score_at(stored[name], step) == pytest.approx(measured, abs=1.5 / len(data.y_test))


def test_blue_dots_surround_red_ones_as_the_question_says():
    points, labels = all_points(load_dataset(DOTS.replace(dataset="circles")))
    radius = np.linalg.norm(points, axis=1)
    of = {word: radius[labels == number] for number, word in enumerate(CLASS_WORDS)}
    assert np.quantile(of["blue"], 0.05) > np.quantile(of["red"], 0.95)


# The stored digits


def test_the_stored_images_are_the_test_split():
    images, pixels = stored_images(), load_pixels()
    assert images.x.dtype == np.float32
    assert np.array_equal(images.x, pixels.x_test)
    assert np.array_equal(images.y, pixels.y_test)


def test_the_stored_images_are_gray_values_of_scanned_digits_and_the_first_is_a_seven():
    images = stored_images()
    scans = {(scan / 16).astype(np.float32).tobytes(): y for scan, y in zip(*load_digits(return_X_y=True))}
    assert [scans[image.tobytes()] for image in images.x] == images.y.tolist()
    assert (images.x.min(), images.x.max()) == (0, 1)
    assert images.y[0] == 7


def test_no_stored_image_is_one_that_networks_learned_from():
    learned = {image.tobytes() for image in load_pixels().x_train}
    assert not [image for image in stored_images().x if image.tobytes() in learned]


@pytest.fixture(scope="module")
def sevens() -> dict[str, tuple[Network, ...]]:
    return stored_sevens()


def test_every_kind_has_words_of_its_own():
    assert list(KIND_WORDS) == list(KINDS)
    assert len(set(KIND_WORDS.values())) == len(KINDS)


def test_the_stored_kinds_are_all_kinds_in_order(sevens):
    assert list(sevens) == list(KINDS)
    assert all(len(networks) == SEEDS for networks in sevens.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_kind_is_what_its_name_says(kind, sevens):
    activation, bias = KINDS[kind]
    for network in sevens[kind]:
        assert network.widths == (64, 32, 32, 10)
        assert [layer.activation for layer in network.layers] == [activation, activation, "identity"]
        assert [bool(layer.bias.any()) for layer in network.layers] == [bias] * 3
    weights = [network.layers[0].weight for network in sevens[kind]]
    assert not any(np.allclose(weights[0], other) for other in weights[1:])


@pytest.mark.parametrize("kind", KINDS)
def test_every_stored_classifier_has_learned_its_digits(kind, sevens):
    images = stored_images()
    for network in sevens[kind]:
        assert 0.9 < right(network, images.x, images.y) < 1


@pytest.mark.parametrize(("kind", "number"), [("identity_bare", 1), ("sigmoid", 0), ("relu", 2)])
def test_training_a_classifier_again_gives_the_stored_one(kind, number, sevens):
    plan = sevens_plans(SEVENS, load_pixels())[list(KINDS).index(kind) * SEEDS + number]
    assert plan.config.seed == SEVENS.seed + number
    (trained,) = train_together([replace(plan, config=plan.config.replace(record_every=400))])
    stored, images = sevens[kind][number], stored_images()
    for one, other in zip(trained.last.layers, stored.layers, strict=True):
        assert np.corrcoef(one.weight.ravel(), other.weight.ravel())[0, 1] > 0.99
    same = answers(trained.last, images.x).argmax(axis=1) == answers(stored, images.x).argmax(axis=1)
    assert same.mean() > 0.95


def test_sorting_by_kind_is_the_order_of_the_plans():
    for seeds in (1, 2, 5):
        plans = sevens_plans(SEVENS.replace(seed=7), load_pixels(), seeds)
        sorted_plans = by_kind(plans)
        assert list(sorted_plans) == list(KINDS)
        for kind, own in sorted_plans.items():
            assert [(plan.config.activation, plan.bias) for plan in own] == [KINDS[kind]] * seeds
            assert [plan.config.seed for plan in own] == list(range(7, 7 + seeds))
            assert {plan.config.replace(activation="sigmoid", seed=0) for plan in own} == {SEVENS}


def test_all_classifiers_learn_from_gray_values_that_are_not_standardized():
    pixels = load_pixels()
    assert all(plan.data is pixels for plan in sevens_plans(SEVENS, pixels))
    assert (pixels.x_train.min(), pixels.x_train.max()) == (0, 1)


# Plans


@pytest.mark.parametrize("depth", [1, 10])
def test_xor_is_planned_without_and_with_activation(depth):
    data = corner_data()
    config = XOR.replace(width=3, activation="tanh", loss="cross_entropy", seed=9)
    linear, bent = xor_plans(config, depth, data)
    assert linear.config == config.replace(activation="identity", depth=depth)
    assert bent.config == config
    assert linear.data is bent.data is data
    assert linear.bias
    assert bent.bias


def test_dots_are_planned_with_and_without_activation():
    bent, linear = dots_plans(DOTS)
    assert (bent.config, linear.config) == (DOTS, DOTS.replace(activation="identity"))
    assert bent.data is linear.data is None
    data = load_dataset(DOTS)
    assert [plan.data for plan in dots_plans(DOTS, data)] == [data, data]


def test_all_points_are_both_splits_in_one_order():
    data = load_dataset(DOTS)
    points, labels = all_points(data)
    assert points.shape == (DOTS.samples, 2)
    assert labels.shape == (DOTS.samples,)
    n = len(data.x_train)
    assert np.array_equal(points[:n], data.x_train)
    assert np.array_equal(points[n:], data.x_test)
    assert np.array_equal(labels[:n], data.y_train)
    assert np.array_equal(labels[n:], data.y_test)


# Collapse

SHAPES = {"normal": (500, 8, 4), "iris": (120, 4, 3), "digits": (1437, 64, 10)}


@pytest.mark.parametrize("data", COLLAPSE_DATA)
def test_a_collapse_problem_has_the_widths_of_its_data(data):
    examples, inputs, outputs = SHAPES[data]
    network, x = collapse_problem(data, (5, 1, 7), "relu", 3)
    assert x.shape == (examples, inputs)
    assert network.widths == (inputs, 5, 1, 7, outputs)
    assert [layer.activation for layer in network.layers] == ["relu"] * 3 + ["identity"]


@pytest.mark.parametrize("data", COLLAPSE_DATA)
def test_the_words_for_the_data_say_how_many_inputs_there_are(data):
    assert f"({SHAPES[data][1]} inputs)" in COLLAPSE_DATA[data]


@pytest.mark.parametrize("data", COLLAPSE_DATA)
def test_a_seed_draws_the_same_problem_and_another_seed_another(data):
    first, again, other = (collapse_problem(data, (4, 4), "identity", seed) for seed in (0, 0, 1))
    assert np.array_equal(first[1], again[1])
    for one, same, differing in zip(first[0].layers, again[0].layers, other[0].layers, strict=True):
        assert np.array_equal(one.weight, same.weight)
        assert np.array_equal(one.bias, same.bias)
        assert not np.allclose(one.weight, differing.weight)
    if data == "normal":
        assert not np.allclose(first[1], other[1])


def test_an_activation_changes_no_weight_of_a_collapse_problem():
    for one, other in zip(
        collapse_problem("normal", (6, 6), "identity", 5)[0].layers,
        collapse_problem("normal", (6, 6), "relu", 5)[0].layers,
        strict=True,
    ):
        assert np.array_equal(one.weight, other.weight)


def test_the_random_numbers_are_normal_ones():
    _, x = collapse_problem("normal", (4,), "identity", 0)
    assert abs(x.mean()) < 5 / np.sqrt(x.size)
    assert abs(x.std() - 1) < 5 / np.sqrt(2 * x.size)


def test_the_flowers_are_those_of_scikit_learn():
    _, x = collapse_problem("iris", (4,), "identity", 0)
    flowers = load_iris().data
    # Standardizing keeps what a correlation sees.
    assert abs(np.corrcoef(x.T)[2, 3] - np.corrcoef(flowers.T)[2, 3]) < 0.02


def test_unknown_data_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match="mnist"):
        collapse_problem("mnist", (4,), "identity", 0)


# Words on dots


def scored(score: float, activation: str = "tanh", steps=(0, 10)) -> Trajectory:
    """Give what `score_at` and `dots_words` ask of a trajectory."""
    series = (np.array(steps), np.array([0.5, score]))
    run = SimpleNamespace(series=lambda name: series, config=DOTS.replace(activation=activation))
    return Trajectory(run, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(("step", "expected"), [(0, 0.5), (4, 0.5), (6, 0.9), (10, 0.9), (9999, 0.9)])
def test_the_score_is_that_of_the_nearest_record(step, expected):
    assert score_at(scored(0.9), step) == expected


NEEDED, IN_THE_WAY, NO_DIFFERENCE = "need a boundary that bends", "in the way", "hardly a difference"


@pytest.mark.parametrize(
    ("bent", "linear", "said"),
    [
        (0.99, 0.46, NEEDED),
        (0.75, 0.70 - 1e-9, NEEDED),
        (0.74, 0.70, NO_DIFFERENCE),
        (0.85, 0.85, NO_DIFFERENCE),
        (0.70, 0.74, NO_DIFFERENCE),
        (0.50, 0.90, IN_THE_WAY),
    ],
)
def test_words_on_dots_say_both_scores_and_who_is_ahead(bent, linear, said):
    words = dots_words((scored(bent, "relu"), scored(linear, "identity")), 10)
    assert words.startswith("At step 10, the network with ReLU")
    assert f"**{100 * bent:.0f} %** of the test dots right" in words
    assert f"without any activation **{100 * linear:.0f} %**" in words
    assert [part for part in (NEEDED, IN_THE_WAY, NO_DIFFERENCE) if part in words] == [said]


def test_a_clear_gap_is_more_than_chance_leaves_between_equal_networks():
    n_test = len(load_dataset(DOTS).y_test)
    assert CLEAR_GAP * n_test >= 4


def test_words_on_dots_draw_no_conclusion_from_a_score_that_is_undefined():
    words = dots_words((scored(float("nan")), scored(0.5, "identity")), 10)
    assert not [part for part in (NEEDED, IN_THE_WAY, NO_DIFFERENCE) if part in words]


# Making the files anew


def test_the_files_can_be_made_anew(tmp_path, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in lessons.STORED.iterdir()}
    short = {"steps": 6, "record_every": 2}
    for name, config in {"XOR": XOR, "DOTS": DOTS, "SEVENS": SEVENS}.items():
        monkeypatch.setattr(lessons, name, config.replace(**short))
    old = stored_images()
    monkeypatch.setattr(lessons, "STORED", tmp_path)
    lessons.store()
    for name, end in (("xor", XOR), ("dots", DOTS)):
        for trajectory in stored_pair(name):
            assert trajectory.run.config is not None
            assert trajectory.run.config.replace(activation=end.activation, depth=end.depth) == end.replace(
                **short
            )
            assert trajectory.steps[-1] == 6
            assert not any(record.histograms for record in trajectory.run.records)
    activations = [t.last.layers[0].activation for name in ("xor", "dots") for t in stored_pair(name)]
    assert activations == ["identity", "relu", "tanh", "identity"]
    for kind, networks in stored_sevens().items():
        assert {network.layers[0].activation for network in networks} == {KINDS[kind][0]}
        assert all(layer.bias.any() == KINDS[kind][1] for net in networks for layer in net.layers)
    assert np.array_equal(stored_images().x, old.x)
    assert np.array_equal(stored_images().y, old.y)
    assert before == {path: path.stat().st_mtime_ns for path in before}


# Fields, where the lessons use what an experiment does not

NAMES_FIELD = Field("show", "names", "Activations", "")
SMALL = Field("tau", "number", "Threshold", "", low=0.01, high=0.5)
STAGE = Field("layer", "integer", "Layer", "", low=-2, high=7)


@pytest.mark.parametrize("names", [(), ("relu",), ("relu", "tanh"), ("a,b", 'a"b', " c "), ("a\nb",), ("",)])
def test_names_come_back_from_their_text(names):
    assert NAMES_FIELD.parse(NAMES_FIELD.format(names)) == names


@pytest.mark.parametrize("text", ["relu\ntanh", "\n", '"relu', 'relu,"tanh'])
def test_text_that_is_no_line_of_names_is_refused(text):
    with pytest.raises(ValueError, match=r"^show: .* is not allowed"):
        NAMES_FIELD.parse(text)


@pytest.mark.parametrize("value", ["relu", None, 5, {"relu"}, ("relu", 5), ["relu", None]])
def test_what_is_no_list_of_names_is_refused(value):
    with pytest.raises(ValueError, match=r"^show: .* is not allowed"):
        NAMES_FIELD.check(value)


@pytest.mark.parametrize("number", [0.01, 0.0591, 0.5, np.float32(0.25), np.float64(0.1)])
def test_a_number_of_a_lesson_comes_back_from_its_text(number):
    checked = SMALL.check(number)
    assert type(checked) is float
    assert SMALL.parse(SMALL.format(checked)) == checked == number


@pytest.mark.parametrize(
    "text", ["0.009", "0.51", "-0.1", "nan", "inf", "1e-400", "0,1", "0.1 ", "١", "0x1", ""]
)
def test_text_that_is_no_number_in_range_is_refused_as_it_was_written(text):
    with pytest.raises(ValueError, match=r"^tau: ") as caught:
        SMALL.parse(text)
    assert repr(text) in str(caught.value)


def test_whole_numbers_below_zero_are_read():
    assert [STAGE.parse(text) for text in ("-2", "+3", "07")] == [-2, 3, 7]
    for text in ("-3", "8", "1.0", "1e0"):
        with pytest.raises(ValueError, match=r"^layer: "):
            STAGE.parse(text)


def test_an_end_of_a_range_that_is_whole_is_said_whole():
    assert STAGE.allowed == "a whole number from -2 to 7"
    assert Field("seed", "integer", "", "", low=0, high=2**32 - 1).allowed.endswith("from 0 to 4,294,967,295")


@pytest.mark.parametrize(("low", "high"), [(0.01, 0.5), (0.05, 0.95), (0.001, 0.3)])
def test_an_end_of_a_range_that_is_a_fraction_is_said_as_it_is(low, high):
    field = Field("tau", "number", "", "", low=low, high=high)
    assert field.allowed == f"a finite number from {low:g} to {high:g}"


def test_every_experiment_of_the_lessons_is_one_that_the_lab_takes_too():
    for config in (XOR, DOTS, SEVENS):
        again, notes = ExperimentConfig.from_query(
            {name: [value] for name, value in config.to_query().items()}, ExperimentConfig()
        )
        assert (again, list(notes)) == (config, [])
    assert all(activation in ACTIVATIONS for activation, _ in KINDS.values())
