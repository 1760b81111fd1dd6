"""weights: networks as a safetensors file, which holds numbers and text and can hold no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nnlab.network import Layer, Network


def save_networks(networks: Mapping[str, Network], path: Path) -> None:
    """Write named networks; raises OSError where the folder is missing or full."""
    from safetensors.numpy import save_file

    tensors, activations = {}, {}
    for name, network in networks.items():
        activations[name] = [layer.activation for layer in network.layers]
        for number, layer in enumerate(network.layers):
            tensors[f"{name}/{number}/weight"] = layer.weight
            tensors[f"{name}/{number}/bias"] = layer.bias
    save_file(tensors, path, metadata={"activations": json.dumps(activations)})


def load_networks(path: Path) -> dict[str, Network]:
    """Read back what `save_networks` wrote, in the order it was written.

    Raises:
        OSError: there is no such file.
        ValueError: the file holds no networks of nnlab.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            activations = json.loads((file.metadata() or {})["activations"])
            return {
                name: Network(
                    tuple(
                        Layer(
                            file.get_tensor(f"{name}/{number}/weight"),
                            file.get_tensor(f"{name}/{number}/bias"),
                            activation,
                        )
                        for number, activation in enumerate(chosen)
                    )
                )
                for name, chosen in activations.items()
            }
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"{path.name}: no networks of nnlab: {error}") from None
