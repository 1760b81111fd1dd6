"""footprint: the memory and the time that an experiment will take, guessed before anything is allocated."""

from __future__ import annotations

from collections.abc import Sequence

from nnlab.config import ExperimentConfig
from nnlab.datasets import DATASETS, Data
from nnlab.run import is_probe_record
from nnlab.split import TEST_SHARE
from nnlab.sweep_cost import work

# Examples of the real datasets, which a guess need not load.
EXAMPLES = {"digits": 1797, "iris": 150, "wine": 178, "breast_cancer": 569}
PROBE_EXAMPLES = 1024  # as nnlab.member has it, which loads torch
# Tensors of z's size that a layer keeps for the backward pass: z, h and their gradients; by autograd also
# what a normalization makes and saves, each with its gradient.
KEPT_BY_ENGINE, KEPT_BY_AUTOGRAD = 4, 8
# Copies of the weights: values, gradients, those before an update, the trained model and its passing double;
# with the optimizer's moments on top.
WEIGHT_COPIES = 5
MOMENTS = {"sgd": 0, "momentum": 1, "rmsprop": 1, "adam": 2, "adamw": 2}
# Of the layer that is measured, in float64: z or h, what is squared, and the singular values' workspace.
MEASURED_COPIES = 3
HISTOGRAM_ROWS, METRICS_OF_A_LAYER, REST_OF_A_RECORD = 340, 28, 1_000
# A number of the data: float32 in the splits and in their copies for torch; and on its way there float64, as
# drawn and standardized.
DATA_BYTES, RAW_BYTES = 8, 16
SMALLEST = 2_500_000  # what the smallest run takes
MARGIN = 1.15  # what is lost between blocks
# Guessed for the same core as nnlab.sweep_cost's figures, with records.
SECONDS_PER_RECORD, SECONDS_PER_RECORDED_NUMBER = 2e-4, 4e-9
SECONDS_PER_PROBED_LAYER, SECONDS_PER_PROBED_NUMBER = 5e-4, 4e-8


def probe_records(config: ExperimentConfig) -> int:
    """Count the records that take the costly diagnostics too."""
    count = len(config.recorded_steps)
    return sum(is_probe_record(number, last=number == count - 1) for number in range(count))


def _examples(config: ExperimentConfig, data: Data | None) -> int:
    """Give the examples of both splits; of a file not read yet, as many as fill a batch and a probe."""
    if data is not None:
        return len(data.x_train) + len(data.x_test)
    if DATASETS[config.dataset].is_generated:
        return config.samples
    return EXAMPLES.get(config.dataset, 2 * max(config.batch_size, PROBE_EXAMPLES))


def _training_examples(config: ExperimentConfig, data: Data | None) -> int:
    return len(data.x_train) if data is not None else round(_examples(config, None) * (1 - TEST_SHARE))


def probe_bytes(config: ExperimentConfig, data: Data | None = None) -> int:
    """Guess the memory of a probe: z and h of its examples, one layer's copies or the test split's pass."""
    examples = min(PROBE_EXAMPLES, _training_examples(config, data))
    kept = 2 + (config.normalization != "none") + config.residual
    tested = _examples(config, data) - _training_examples(config, data)
    passing = max(8 * MEASURED_COPIES * examples, 4 * 3 * tested)
    return config.width * (4 * kept * examples * config.depth + passing)


def _weight_bytes(config: ExperimentConfig, data: Data | None) -> int:
    copies = WEIGHT_COPIES + MOMENTS[config.optimizer]
    return 4 * copies * config.count_weights(0 if data is None else data.ends)


def _training_bytes(config: ExperimentConfig, data: Data | None) -> int:
    batch = min(config.batch_size, _training_examples(config, data))
    kept = (KEPT_BY_ENGINE if config.normalization == "none" else KEPT_BY_AUTOGRAD) + config.residual
    return 4 * kept * batch * config.width * config.depth


def record_bytes(config: ExperimentConfig) -> int:
    """Guess the memory of a run's records: int32 counts, float64 metrics."""
    layers, probes = config.depth + 1, probe_records(config)
    each = REST_OF_A_RECORD + 8 * METRICS_OF_A_LAYER * layers
    return each * len(config.recorded_steps) + 4 * HISTOGRAM_ROWS * layers * probes


def kept_bytes(config: ExperimentConfig) -> int:
    """Guess the memory of a run that has ended: its records and the trained network."""
    return record_bytes(config) + 4 * config.weight_count


def _data_bytes(config: ExperimentConfig, data: Data | None) -> int:
    if data is not None:
        return 2 * data.nbytes  # with the copies for torch
    features = DATASETS[config.dataset].n_features or 0
    return DATA_BYTES * (features + 1) * _examples(config, None)


def _raw_bytes(config: ExperimentConfig, data: Data | None) -> int:
    """Guess what the data take while they are made, before anything is trained."""
    features = DATASETS[config.dataset].n_features or 0
    return 0 if data is not None else RAW_BYTES * features * _examples(config, None)


def estimated_bytes(config: ExperimentConfig, data: Data | None = None) -> int:
    """Guess by how many bytes a run makes the process grow at its peak; `data` stands in for the dataset.

    Within 0.7 and 1.5 of what was measured, or above it, for depths of 2 to 100, widths of 8 to 512 and all
    kinds of networks (benchmarks footprint).
    """
    return together_bytes([(config, data)])


def together_bytes(networks: Sequence[tuple[ExperimentConfig, Data | None]]) -> int:
    """Guess the same of several runs side by side; data and probes pass one at a time."""
    lasting = [
        _weight_bytes(*network) + _training_bytes(*network) + _data_bytes(*network) + record_bytes(network[0])
        for network in networks
    ]
    passing = max(max(probe_bytes(*network), _raw_bytes(*network)) for network in networks)
    return round(MARGIN * (SMALLEST + sum(lasting) + passing))


def estimated_seconds(config: ExperimentConfig) -> float:
    """Guess the seconds that a run takes with its records, on a core of its own."""
    layers, records, probes = config.depth + 1, len(config.recorded_steps), probe_records(config)
    batch, probed = config.batch_size * config.width, PROBE_EXAMPLES * config.width
    recording = records * (SECONDS_PER_RECORD + layers * batch * SECONDS_PER_RECORDED_NUMBER)
    probing = probes * layers * (SECONDS_PER_PROBED_LAYER + probed * SECONDS_PER_PROBED_NUMBER)
    return work(config) + recording + probing
