"""rebuilt: a network made again from its weights, and its diagnosis on a dataset."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from nnlab.activations import ACTIVATIONS
from nnlab.checkpoint import Checkpoint
from nnlab.datasets import Data
from nnlab.layer_chain import EPSILON, Norm, Stage
from nnlab.member import PROBE_EXAMPLES
from nnlab.model import MLP, make_activation
from nnlab.recorder import LOSSES
from nnlab.run import Run
from nnlab.snapshot import diagnose
from nnlab.tensor_file import shown
from nnlab.threads import one_thread

# Every quantity is kept for all examples and units at once: 2 million are 8 MB, and with the gradients and
# what the metrics make of them a run of this size takes up to 100 MB.
MAX_ACTIVATIONS = 2_097_152


class Rebuilt(nn.Sequential):
    """Layers from input to output; `nnlab_layer_names` says what they are called in the file."""

    def __init__(self, parts: OrderedDict[str, nn.Module], names: Mapping[str, str]) -> None:
        super().__init__(parts)
        self.nnlab_layer_names = dict(names)


def _parameter(values: np.ndarray | None) -> nn.Parameter | None:
    return None if values is None else nn.Parameter(torch.from_numpy(values.copy()))


def _linear(stage: Stage) -> nn.Linear:
    linear = nn.Linear(stage.fan_in, stage.fan_out, bias=stage.bias is not None, device="meta")
    linear.register_parameter("weight", _parameter(stage.weight))
    linear.register_parameter("bias", _parameter(stage.bias))
    return linear


def _normalization(norm: Norm) -> nn.Module:
    if norm.mean is None or norm.variance is None:
        made: nn.Module = nn.LayerNorm(norm.units, eps=EPSILON)
    else:
        made = nn.BatchNorm1d(norm.units, eps=EPSILON)
        made.running_mean = torch.from_numpy(norm.mean.copy())
        made.running_var = torch.from_numpy(norm.variance.copy())
    made.register_parameter("weight", _parameter(norm.weight))
    made.register_parameter("bias", _parameter(norm.bias))
    return made


def _layer(stage: Stage, activation: str) -> nn.Sequential:
    """Make one hidden layer; the numbers of its parts tell a reader of its weights where the norm stands."""
    parts: list[nn.Module] = [_linear(stage), make_activation(activation)]
    if stage.norm is not None:
        parts.insert(2 if stage.norm.is_behind else 1, _normalization(stage.norm))
    return nn.Sequential(*parts)


def _chosen(checkpoint: Checkpoint, activation: str | None) -> tuple[str, ...]:
    """Give every hidden layer's activation."""
    allowed = ", ".join(ACTIVATIONS)
    if activation is None and not checkpoint.activations:
        raise ValueError(f"activation: the file does not say it; choose one of {allowed}")
    if activation is None:
        return checkpoint.activations[:-1]
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation: {activation!r} is not allowed; allowed: {allowed}")
    return (activation,) * (len(checkpoint.stages) - 1)


def build(checkpoint: Checkpoint, activation: str | None = None) -> nn.Module:
    """Build the network of some weights, in evaluation mode.

    Args:
        checkpoint: the weights.
        activation: registry name of the hidden layers' activation; None for what the file says.

    Raises:
        ValueError: the activation is not known, or nobody says which.
    """
    chosen = _chosen(checkpoint, activation)
    config = checkpoint.config
    if config is not None:
        has_bias = checkpoint.stages[0].bias is not None
        config = config.replace(activation=chosen[0])
        model = MLP(config, checkpoint.inputs, checkpoint.outputs, bias=has_bias)
        # Not strict: what batch normalization counts is in the file, but is no weight.
        model.load_state_dict(
            {name: torch.from_numpy(t) for name, t in checkpoint.tensors.items()}, strict=False
        )
        return model.eval()
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    names = {}
    for number, (stage, name) in enumerate(zip(checkpoint.stages, (*chosen, None), strict=True), start=1):
        # The output is linear: no module stands for its activation.
        parts[f"layer_{number}"] = _linear(stage) if name is None else _layer(stage, name)
        names[f"layer_{number}" + ("" if name is None else ".0")] = stage.name or "layer"
    return Rebuilt(parts, names).eval()


def _examples(checkpoint: Checkpoint, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Give as many training examples as the probe set has, fewer of a network with very many units."""
    units = sum(checkpoint.widths)
    count = max(1, min(PROBE_EXAMPLES, MAX_ACTIVATIONS // units))
    return data.x_train[:count], data.y_train[:count]


def _check(checkpoint: Checkpoint, data: Data, loss: str, dataset: str) -> None:
    misfit = checkpoint.misfit(data, dataset)
    if misfit:
        raise ValueError(misfit)
    if loss not in LOSSES:
        raise ValueError(f"loss: {loss!r} is not allowed; allowed: {', '.join(LOSSES)}")
    if loss == "cross_entropy" and data.task == "regression":
        raise ValueError(f"loss: 'cross_entropy' needs classes, and {dataset} has numbers; allowed: mse")


def diagnose_checkpoint(
    checkpoint: Checkpoint,
    activation: str | None,
    data: Data,
    loss: str = "cross_entropy",
    *,
    dataset: str = "the dataset",
) -> Run:
    """Run one forward and backward pass over training examples and give its record.

    Args:
        checkpoint: the weights.
        activation: registry name of the hidden layers' activation; None for what the file says.
        data: the dataset; at most 1,024 of its training examples are taken.
        loss: "cross_entropy" or "mse".
        dataset: what the data are called, for messages and the run.

    Raises:
        ValueError: weights and data do not fit, an unknown activation or loss; one sentence says why.
    """
    dataset = shown(dataset)
    _check(checkpoint, data, loss, dataset)
    x, y = _examples(checkpoint, data)
    chosen = ", ".join(dict.fromkeys(_chosen(checkpoint, activation)))
    model = build(checkpoint, activation)
    with one_thread():
        # Copied: NumPy's arrays may be read-only, which torch warns of.
        run = diagnose(model, torch.from_numpy(x.copy()), torch.from_numpy(y.copy()), loss)
    said = _sources(checkpoint, chosen, data, dataset, loss)
    note = (
        f"Weights of {said['weights_file']} (sha256 {checkpoint.sha256}) with {chosen}, in evaluation mode, "
        f"on {len(x):,} training examples of {dataset}; loss {loss}."
    )
    notes = (note, *checkpoint.notes, *data.notes, *run.notes)
    return replace(run, environment={**run.environment, **said}, notes=notes)


def _sources(checkpoint: Checkpoint, chosen: str, data: Data, dataset: str, loss: str) -> dict[str, str]:
    """Say what the numbers were made of, for the run's environment."""
    name = shown(checkpoint.name)
    return {
        "model": name,
        "weights_file": name,
        "weights_sha256": checkpoint.sha256,
        "activation": chosen,
        "dataset": dataset,
        "dataset_sha256": data.sha256,
        "loss": loss,
    }
