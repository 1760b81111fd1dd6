"""Every number of random networks against a second implementation in NumPy and float64 (tests/oracle.py).

A number must agree to 1e-5 of its size where nnlab trained in float32, to 1e-12 where it diagnosed in
float64. Where a last digit more or less in every product moves the second implementation itself by more than
that, as it does in a saturated slope, in a difference that cancels or across a threshold, that is the room.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

import nnlab
from benchmarks.ratios import save, show
from nnlab import member
from nnlab.datasets import Data
from tests import oracle

NETWORKS, SMALL = 1000, 12
CHUNK = 10  # networks a process takes at once
SINGLE, DOUBLE = 1e-5, 1e-12
# (unit, smallest) of each precision's rounding, and how often it is drawn.
UNITS = {SINGLE: (2.0**-24, 2.0**-149), DOUBLE: (2.0**-53, 5e-324)}
DRAWS = 3
# A draw rounds every number once; a sum of as many terms as a layer has units rounds so often.
ROOM = 64.0
# Below its smallest normal number, 1.2e-38, float32 loses a digit with every decade: nothing agrees there.
NEARLY_LOST = {SINGLE: 1e-35, DOUBLE: 0.0}
# Made of a layer's gradients; of the network, of any layer's.
OF_GRADIENTS = frozenset(
    {"delta_norm", "delta_rms", "activation_grad_norm", "backward_gain", "weight_grad_norm", "bias_grad_norm"}
    | {"grad_to_weight", "gradient_ratio", "vanishing_index"}
)
# Elements of a histogram that may sit in a neighboring bin where none did in a draw.
MOVES = 2
# How many times as far as in a draw an element is taken to see whether it is near an edge.
FARTHER = 8.0
# nnlab takes singular values from h^T h where that is exact to this (nnlab.rank.RANK_TOLERANCE).
RANK = 1e-10
# On these, rounding shows on the scale of 1, whatever their own size.
OF_ORDER_ONE = ("mean_cosine", "vanishing_index", "effective_rank")
Table = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Case:
    """A random network with random data."""

    config: nnlab.ExperimentConfig
    data: Data

    @property
    def norm(self) -> str:
        """The kind of normalization."""
        return self.config.normalization


@dataclass
class Tally:
    """How many numbers were compared, how many needed the room that rounding takes, which are wrong."""

    networks: int = 0
    compared: int = 0
    roomy: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    worst: float = 0.0  # the largest relative difference of those that agree without room


def main(*, small: bool) -> None:
    """Compare 1,000 networks, or a dozen."""
    seeds = range(SMALL if small else NETWORKS)
    parts = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(2) as pool:
        tallies = merged(list(pool.map(compare, parts)))
    rows = [
        {
            "precision": "float32, trained" if tolerance == SINGLE else "float64, diagnosed",
            "tolerance": f"{tolerance:g}",
            "networks": tally.networks,
            "of": len(seeds),
            "numbers": tally.compared,
            "disagree": len(tally.wrong),
            "within the tolerance": f"{1 - tally.roomy.total() / tally.compared:.4%}",
            "largest difference there": f"{tally.worst:.1e}",
            "within what rounding moves": dict(tally.roomy.most_common()),
        }
        for tolerance, tally in tallies.items()
    ]
    show([{name: value for name, value in row.items() if not isinstance(value, dict)} for row in rows])
    for tally in tallies.values():
        print(*tally.wrong[:40], sep="\n")
    if not small:
        save("oracle", rows)


def compare(seeds: range) -> dict[float, Tally]:
    """Compare the networks of some seeds in both precisions."""
    tallies = {SINGLE: Tally(), DOUBLE: Tally()}
    with np.errstate(all="ignore"):  # what is divided by 0, or overflows, is compared too
        for seed in seeds:
            for tolerance, want, got, name in _compared(draw(seed)):
                _add(tallies[tolerance], tolerance, want, got, f"seed {seed} {name}")
                tallies[tolerance].networks += 1
    return tallies


def merged(parts: Sequence[dict[float, Tally]]) -> dict[float, Tally]:
    """Add tallies up."""
    tallies = {SINGLE: Tally(), DOUBLE: Tally()}
    for part in parts:
        for tolerance, tally in part.items():
            whole = tallies[tolerance]
            whole.networks += tally.networks
            whole.compared += tally.compared
            whole.roomy += tally.roomy
            whole.wrong += tally.wrong
            whole.worst = max(whole.worst, tally.worst)
    return tallies


def draw(seed: int) -> Case:
    """Draw a network of any kind, with data."""
    random = np.random.default_rng(seed)

    def pick(options: Any) -> Any:
        return options[int(random.integers(len(options)))]

    task = pick(("classification", "classification", "regression"))
    normalization = pick(("none", "none", "batch", "layer"))
    config = nnlab.ExperimentConfig(
        depth=int(random.integers(1, 13)),
        width=pick((1, 2, int(random.integers(3, 65)), int(random.integers(3, 65)))),
        activation=pick(sorted(nnlab.ACTIVATIONS)),
        initializer=pick(sorted(nnlab.INITIALIZERS)),
        gain=pick((0.5, 1.0, 1.0, 2.0)),
        normalization=normalization,
        residual=bool(random.integers(2)),
        loss="mse" if task == "regression" else pick(("cross_entropy", "mse")),
        optimizer=pick(("sgd", "sgd", "momentum", "adam", "adamw", "rmsprop")),
        learning_rate=0.01,
        batch_size=int(random.integers(2, 65)),
        steps=int(random.integers(1, 6)),
        record_every=20_000,  # the first and the last
        seed=seed,
    )
    return Case(config, _draw_data(random, task))


def _draw_data(random: np.random.Generator, task: str) -> Data:
    features, classes = int(random.integers(1, 31)), int(random.integers(2, 11))
    sizes = int(random.integers(20, 101)), int(random.integers(5, 30))
    x = [random.normal(size=(size, features)).astype(np.float32) for size in sizes]
    if task == "regression":
        y: list[np.ndarray] = [random.normal(size=size).astype(np.float32) for size in sizes]
    else:
        y = [random.integers(0, classes, size) for size in sizes]
    names = tuple(map(str, range(classes))) if task != "regression" else ()
    return Data(x[0], y[0], x[1], y[1], task, names, tuple(map(str, range(features))))


# What the second implementation says, once exactly and some times with rounding.
Counts = dict[tuple[str, str], np.ndarray]
Answer = tuple[Table, Counts]


def _compared(case: Case) -> Iterator[tuple[float, list[Answer], Answer, str]]:
    """Give tolerance, what the second implementation says, what nnlab says, and of what."""
    config, data = case.config, case.data
    run = nnlab.train(config, data=data)
    start, first = nnlab.build_model(config, data), run.records[0].step
    rows = next(member.batches(data, config)).numpy()
    batch = data.x_train[rows], data.y_train[rows]
    if math.isfinite(run.records[0].network["loss"]):  # what overflows float32 has no number to agree with
        yield SINGLE, _trained_answers(case, start, *batch), _found(run, first), "trained"
    model = (run.model if run.status == "completed" else start).double().train()
    x, y = batch[0].astype(float), batch[1] if config.loss != "mse" else _as_target(batch[1])
    yield DOUBLE, _diagnosed_answers(case, model, x, batch[1]), _diagnosed(model, x, y, config), "diagnosed"


def _as_target(y: np.ndarray) -> np.ndarray:
    return y if y.dtype.kind == "i" else y.astype(float)[:, None]


def _diagnosed(model: torch.nn.Module, x: np.ndarray, y: np.ndarray, config: Any) -> Answer:
    run = nnlab.diagnose(model, x, y, loss=config.loss)
    return _found(run, 0)


def _found(run: nnlab.Run, step: int) -> Answer:
    """Give nnlab's numbers of a step, by layer and metric, and its counts."""
    run = replace(run, records=tuple(record for record in run.records if record.step == step))
    frame = run.metrics
    table: Table = {}
    for layer, metric, value in zip(frame["layer"], frame["metric"], frame["value"], strict=True):
        table.setdefault(layer, {})[metric] = value
    counts = run.histograms
    return table, {
        (str(layer), str(quantity)): rows[["bin_left", "bin_right", "count"]].to_numpy(float)
        for (layer, quantity), rows in counts.groupby(["layer", "quantity"])
    }


def _parts(model: torch.nn.Module, kind: str) -> tuple[oracle.Weights, list[oracle.Norm]]:
    """Read weights and normalizations of a model."""
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    norms = []
    for number in range(1, 1 + sum(name.endswith(".linear.weight") for name in state)):
        stem = f"hidden_{number}.norm"
        if kind != "none":
            scale, shift = (state[f"{stem}.{part}"].astype(float) for part in ("weight", "bias"))
            norms.append(oracle.Norm(kind, scale, shift))
    return oracle.weights_of(state), norms


def _roundings(tolerance: float) -> list[Any]:
    return [oracle.Rounding(*UNITS[tolerance], seed=seed, cancels=seed == 0) for seed in range(DRAWS)]


def _trained_answers(case: Case, model: torch.nn.Module, x: np.ndarray, y: np.ndarray) -> list[Answer]:
    """Answer for the record of step 0: its batch in training mode, the probe set and the test split not."""
    config, data = case.config, case.data
    weights, norms = _parts(model, case.norm)
    answers: list[Answer] = []
    passes: list[oracle.Pass] = []
    for near in (None, *_roundings(SINGLE)):
        rounded = {"near": near} if near else {}

        def go(at: np.ndarray, of: np.ndarray, ns: Any) -> oracle.Pass:
            return oracle.run_pass(
                weights,
                config.activation,
                at,
                of,
                config.loss,
                config.residual,
                ns,
                **rounded,  # noqa: B023
            )

        record = go(x, y, norms)
        settled = _evaluated(norms, record)
        probe = go(data.x_train[: member.PROBE_EXAMPLES], data.y_train[: member.PROBE_EXAMPLES], settled)
        tested = go(data.x_test, data.y_test, settled)
        table = _table(weights, config.activation, record, probe)
        table["network"] |= {"test_loss": tested.loss, "test_accuracy": tested.accuracy}
        for name in table:
            if name != "network":
                table[name]["update_ratio"] = math.nan  # nothing was updated yet
        _add_doubts(table, config.activation, record, probe, UNITS[SINGLE])
        passes.append(record)
        answers.append((table, _counts(config.activation, passes)))
    return answers


def _counts(activation: str, passes: Sequence[oracle.Pass]) -> Counts:
    """Count the last pass; beyond the one that cancels, every element some times as far from the first."""
    exact, record = passes[0], passes[-1]
    if len(passes) < 3:
        return oracle.histograms(activation, record)

    def far(ones: list[np.ndarray], others: list[np.ndarray]) -> list[np.ndarray]:
        return [one + FARTHER * (other - one) for one, other in zip(ones, others)]

    gradients = far([weight for weight, _ in exact.gradients], [weight for weight, _ in record.gradients])
    moved = replace(
        exact,
        z=far(exact.z, record.z),
        h=far(exact.h, record.h),
        deltas=far(exact.deltas, record.deltas),
        gradients=[(weight, bias) for weight, (_, bias) in zip(gradients, exact.gradients)],
    )
    return oracle.histograms(activation, moved)


def _evaluated(norms: list[oracle.Norm], record: oracle.Pass) -> list[oracle.Norm]:
    """Give batch normalizations as one pass in training mode leaves them: a tenth of its moments, PyTorch."""
    return [
        oracle.Norm(
            norm.kind, norm.scale, norm.shift, 0.1 * u.mean(axis=0), 0.9 + 0.1 * u.var(axis=0, ddof=1)
        )
        if norm.kind == "batch"
        else norm
        for norm, u in zip(norms, record.sums)
    ]


def _diagnosed_answers(case: Case, model: torch.nn.Module, x: np.ndarray, y: np.ndarray) -> list[Answer]:
    config = case.config
    weights, norms = _parts(model, case.norm)
    answers: list[Answer] = []
    passes: list[oracle.Pass] = []
    for near in (None, *_roundings(DOUBLE)):
        rounded = {"near": near} if near else {}
        record = oracle.run_pass(
            weights, config.activation, x, y, config.loss, config.residual, norms, **rounded
        )
        table = _table(weights, config.activation, record, record)
        table["network"] |= {"test_loss": math.nan, "test_accuracy": math.nan}  # there is no test split
        _add_doubts(table, config.activation, record, record, UNITS[DOUBLE])
        passes.append(record)
        answers.append((table, _counts(config.activation, passes)))
    return answers


def _table(weights: oracle.Weights, activation: str, record: oracle.Pass, probe: oracle.Pass) -> Table:
    layers = oracle.layer_metrics(weights, activation, record, probe)
    return {"network": oracle.network_metrics(record), **layers}


def _add_doubts(
    table: Table, activation: str, record: oracle.Pass, probe: oracle.Pass, unit: tuple[float, float]
) -> None:
    """Say by how much rounding may change each share and count: slopes and values that may round to 0."""
    near = oracle.Rounding(*unit, seed=0)
    for number, (z, h, slope) in enumerate(zip(record.z, record.h, record.slopes), start=1):
        row = table[f"hidden_{number}"]
        row["doubt zero_fraction"] = float(_may_be_zero(near, h, oracle.value_size(activation, z, h)).mean())
        delta = record.deltas[number - 1]
        lost = _may_be_zero(near, slope, oracle.slope_size(activation, z, slope)) | (
            (delta != 0) & (abs(delta) < 4 * near.smallest)
        )
        # Between the row of zeros and the last bin lie all others.
        row["doubt delta"] = float(lost.sum() * 100)
        weight_grad = abs(record.gradients[number - 1][0])
        # Made of factors that float32 cannot hold: 0, or in the row beside it.
        row["doubt weight_grad"] = float(((weight_grad > 0) & (weight_grad < 1e9 * near.smallest)).sum())
    for number, (z, h, slope) in enumerate(zip(probe.z, probe.h, probe.slopes), start=1):
        row = table[f"hidden_{number}"]
        flat = _may_be_zero(near, slope, oracle.slope_size(activation, z, slope)) | (slope == 0)
        dead = float(flat.all(axis=0).sum() - (slope == 0).all(axis=0).sum())
        silent = _may_be_zero(near, h, oracle.value_size(activation, z, h)) | (h == 0)
        row["doubt dead_units"], row["doubt dead_fraction"] = dead, dead / h.shape[1]
        row["doubt silent_units"] = float(silent.all(axis=0).sum() - (h == 0).all(axis=0).sum())


def _may_be_zero(near: oracle.Rounding, values: np.ndarray, size: np.ndarray) -> np.ndarray:
    return (values != 0) & (abs(values) <= 4 * near.doubt(size))


def _add(tally: Tally, tolerance: float, want: list[Answer], got: Answer, name: str) -> None:
    """Add one network's comparison to a tally."""
    exact, *rounded = [table for table, _ in want]
    found, counts = got
    for layer, row in exact.items():
        metrics = {metric for metric in row if not metric.startswith("doubt ")}
        missing = (set(found.get(layer, {})) ^ metrics) - {"update_ratio"}
        if missing:
            tally.wrong.append(f"{name} {layer}: only one side has {sorted(missing)}")
        for metric in sorted(metrics & set(found[layer])):
            tally.compared += 1
            spread = [abs(table[layer][metric] - row[metric]) for table in rounded]
            room = float(np.max([ROOM * np.max(spread), row.get(f"doubt {metric}", 0.0)]))
            if metric in OF_GRADIENTS and _least(exact, layer, metric) < NEARLY_LOST[tolerance]:
                room = math.nan
            _judge(tally, f"{name} {layer} {metric}", found[layer][metric], row, metric, tolerance, room)
    doubts = {
        (layer, quantity): row.get(f"doubt {quantity}", 0.0)
        for layer, row in exact.items()
        for quantity in ("delta", "weight_grad")
    }
    _add_counts(tally, want, counts, name, doubts)


def _least(table: Table, layer: str, metric: str) -> float:
    """Give the smallest size, but for 0, of the gradients that a metric is made of."""
    rows = [row for name, row in table.items() if name != "network"] if layer == "network" else [table[layer]]
    made_of = ("weight_grad_norm", "bias_grad_norm") if metric == "grad_to_weight" else (metric,)
    names = {"delta_norm", *made_of} & set(rows[0])
    return min((row[name] for row in rows for name in names if row[name] > 0), default=math.inf)


def _judge(
    tally: Tally,
    name: str,
    found: float,
    row: Mapping[str, float],
    metric: str,
    tolerance: float,
    room: float,
) -> None:
    value = row[metric]
    if found == value or (math.isnan(found) and math.isnan(value)):
        return
    # Or 0 / 0, or not, as it is rounded: the gradient before a layer norm of one unit.
    if math.isnan(room):
        tally.roomy[metric] += 1
        return
    scale = _scale(metric, row)
    difference = abs(found - value)
    near = tolerance * scale
    if metric == "effective_rank":
        near = max(near, RANK)
    if difference <= near:
        tally.worst = max(tally.worst, difference / scale)
    elif difference <= near + room:
        tally.roomy[metric] += 1
    else:
        tally.wrong.append(f"{name}: nnlab {found}, oracle {value}, room {near + room:.2g}")


def _scale(metric: str, row: Mapping[str, float]) -> float:
    """Give the size on which a metric's rounding shows, where that is not its own."""
    if metric in OF_ORDER_ONE:
        return max(1.0, abs(row[metric]))
    for quantity in ("pre_activation", "activation"):  # a mean and a std may cancel to 0
        if metric in (f"{quantity}_mean", f"{quantity}_std"):
            return math.hypot(row[f"{quantity}_mean"], row[f"{quantity}_std"])
    return abs(row[metric])


def _add_counts(
    tally: Tally,
    want: list[Answer],
    got: Mapping[tuple[str, str], np.ndarray],
    name: str,
    doubts: Mapping[tuple[str, str], float],
) -> None:
    """Compare histograms: elements may sit in a neighboring bin where rounding moves them there."""
    exact, *rounded = [_cumulated(counts) for _, counts in want]
    found = _cumulated(got)
    if set(exact) != set(found):
        tally.wrong.append(f"{name}: histograms of {sorted(set(exact) ^ set(found))}")
    for key in sorted(set(exact) & set(found)):
        tally.compared += 1
        moved = abs(found[key] - exact[key]).sum()
        spread = max(abs(other[key] - exact[key]).sum() for other in rounded)
        room = MOVES + ROOM * spread + doubts.get(key, 0.0)
        if moved > room:
            tally.wrong.append(f"{name} {key}: {moved:g} moves, at most {room:g}")
        elif moved:
            tally.roomy[f"histogram of {key[1]}"] += 1


def _cumulated(counts: Mapping[tuple[str, str], np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """Give cumulated counts in the order of the bins, nan last."""
    return {key: np.cumsum(rows[np.lexsort((rows[:, 1], rows[:, 0])), 2]) for key, rows in counts.items()}
