"""checkpoint: the weights of an MLP from a safetensors file, and what the file says about them.

Files that nnlab wrote say their experiment, so that nobody has to be asked for the activation; in all
others an MLP is recognized by names and shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.datasets import DATASETS, Data
from nnlab.layer_chain import NoChain, Stage, describe, find_stages, listed
from nnlab.run import Run
from nnlab.tensor_file import CheckpointError, TensorFile, read_json, read_tensors, shown, to_bytes

__all__ = ["Checkpoint", "CheckpointError", "read_checkpoint", "write_checkpoint"]

IGNORED = "What nnlab wrote beside the weights does not fit them and was ignored."


@dataclass(frozen=True)
class Checkpoint:
    """The weights of one MLP; `tensors` are float32, by the names in the file.

    `config` is the experiment that trained them, where nnlab wrote the file. `activations` has one
    registry name a layer, the output's identity included; () where the file does not say. `networks` names
    the networks of a file that holds several. `notes` says how the file was read.
    """

    name: str
    sha256: str
    tensors: Mapping[str, np.ndarray]
    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()
    config: ExperimentConfig | None = None
    activations: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths from the inputs over the hidden layers to the outputs."""
        return (self.stages[0].fan_in, *(stage.fan_out for stage in self.stages))

    @property
    def inputs(self) -> int:
        """How many numbers an example has."""
        return self.widths[0]

    @property
    def outputs(self) -> int:
        """How many numbers come out."""
        return self.widths[-1]

    @property
    def activation(self) -> str | None:
        """The hidden layers' activation, None where the file does not say or they differ."""
        hidden = set(self.activations[:-1])
        return hidden.pop() if len(hidden) == 1 else None

    @property
    def fitting_datasets(self) -> tuple[str, ...]:
        """The datasets of the registry with as many inputs and classes; a CSV file may fit too."""
        return tuple(
            entry.name
            for entry in DATASETS.values()
            if (entry.n_features, entry.n_classes) == (self.inputs, self.outputs)
        )

    def misfit(self, data: Data, dataset: str) -> str:
        """Say in one sentence why the weights do not fit a dataset; "" where they do."""
        differences = []
        if data.n_features != self.inputs:
            differences.append(
                f"the weights take {_count(self.inputs, 'input')}, {dataset} has {data.n_features}"
            )
        if data.n_outputs != self.outputs:
            wanted = _count(data.n_outputs, "class", "es") if data.classes else "one number to predict"
            differences.append(f"the weights give {_count(self.outputs, 'output')}, {dataset} has {wanted}")
        if not differences:
            return ""
        fitting = ", ".join(self.fitting_datasets) or "none of the built-in ones; a CSV file may"
        return f"{shown(self.name)}: {'; '.join(differences)}; datasets that fit: {fitting}"


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def _stated_config(file: TensorFile) -> ExperimentConfig | None:
    try:
        return ExperimentConfig.from_dict(file.ours["config"])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _is_of(config: ExperimentConfig, stages: tuple[Stage, ...]) -> bool:
    """Tell whether layers are those that nnlab builds for an experiment."""
    names = [f"hidden_{number}.linear" for number in range(1, config.depth + 1)] + ["output"]
    kinds = {"none" if stage.norm is None else stage.norm.kind for stage in stages[:-1]}
    return (
        [stage.name for stage in stages] == names
        and {stage.fan_out for stage in stages[:-1]} == {config.width}
        and kinds == {config.normalization}
        and all(
            stage.norm is None or stage.norm.name == stage.name.replace("linear", "norm") for stage in stages
        )
        and all(stage.norm is None or stage.norm.weight is not None for stage in stages)
        and len({stage.bias is None for stage in stages}) == 1
    )


def _find(file: TensorFile) -> tuple[tuple[Stage, ...], bool]:
    """Give the layers, and whether the order that the file lists them in was the one to take."""
    try:
        if file.order:
            return find_stages(file.tensors, file.order), True
    except NoChain:
        pass  # listed in the order in which they were made, which need not be that of their use
    try:
        return find_stages(file.tensors), False
    except NoChain as error:
        raise CheckpointError(f"{shown(file.name)}: {error}") from None


def _of_experiment(file: TensorFile) -> Checkpoint:
    """Read weights under the names of a PyTorch module."""
    stages, is_as_listed = _find(file)
    plain = Checkpoint(file.name, file.sha256, file.tensors, stages)
    config = _stated_config(file)
    if config is not None and _is_of(config, stages):
        chosen = (config.activation,) * config.depth + ("identity",)
        return replace(plain, config=config, activations=chosen, notes=file.notes)
    ignored = (IGNORED,) if "config" in file.ours else ()
    return replace(plain, notes=(*file.notes, *ignored, *describe(stages, is_as_listed=is_as_listed)))


def _of_networks(file: TensorFile, chosen: dict[str, object], network: str) -> Checkpoint:
    """Read one of the networks that nnlab.weights saved side by side."""
    names = tuple(chosen)
    if network and network not in names:
        raise CheckpointError(
            f"{shown(file.name)}: network {network[:60]!r} is not in the file; allowed: {listed(names)}"
        )
    network = network or names[-1]  # of a training's record, the trained one
    start = f"{network}/"
    own = {label.removeprefix(start).replace("/", "."): tensor
           for label, tensor in file.tensors.items() if label.startswith(start)}  # fmt: skip
    stages, _ = _find(replace(file, tensors=own, order=()))
    notes = list(file.notes)
    if len(names) > 1:
        notes.append(f"The file holds {len(names)} networks; this is {shown(network)!r}.")
    stated = chosen[network]
    activations = tuple(stated) if isinstance(stated, list) else ()
    is_usable = len(activations) == len(stages) and activations[-1:] == ("identity",)
    if not is_usable or not all(isinstance(name, str) and name in ACTIVATIONS for name in activations):
        activations = ()
        notes += [IGNORED, *describe(stages, is_as_listed=False)]
    return Checkpoint(
        file.name, file.sha256, own, stages, tuple(notes), activations=activations, networks=names
    )


def read_checkpoint(content: bytes, name: str, network: str = "") -> Checkpoint:
    """Read the weights of an MLP from a safetensors file's bytes.

    Args:
        content: the whole file.
        name: what it is called, for messages.
        network: which one of a file with several, see `Checkpoint.networks`; "" is the last.

    Raises:
        CheckpointError: no safetensors file, too large, damaged, or no MLP; one sentence says why.
    """
    file = read_tensors(content, name)
    saved = read_json(file.metadata.get("activations", ""))
    if saved and all(any(label.startswith(f"{key}/") for label in file.tensors) for key in saved):
        return _of_networks(file, saved, network)
    return _of_experiment(file)


def write_checkpoint(run: Run) -> bytes:
    """Give a run's weights as a safetensors file that says its experiment.

    Raises:
        ValueError: the run has no model, as one that was read from a file.
    """
    if run.model is None:
        raise ValueError("run: it holds no model; a run read from a file has none")
    tensors = {name: tensor.numpy() for name, tensor in run.model.state_dict().items()}
    if run.config is None:
        return to_bytes(tensors, {})
    # Where the data lay is its owner's business, and nobody else's path.
    return to_bytes(tensors, {"config": run.config.replace(csv_path="").to_dict()})
