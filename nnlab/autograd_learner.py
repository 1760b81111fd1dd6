"""AutogradLearner: trains what the engine does not cover, one network, by an ordinary PyTorch loop."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from nnlab.config import ExperimentConfig
from nnlab.engine import flatten, unflatten
from nnlab.learner import FLOAT32_END, Check, bad_state, clip
from nnlab.metrics import measure_layers
from nnlab.model import MLP
from nnlab.offender import first_bad
from nnlab.optimizer import make_optimizer, update
from nnlab.probe import Probe
from nnlab.recorder import LOSSES, Measured
from nnlab.run import LayerInfo
from nnlab.samples import LayerSample, norm


def _no_check() -> None:
    pass


class AutogradLearner:
    """Trains one network of any kind by autograd, and measures it by hooks; the engine's judge."""

    name = "autograd"

    def __init__(self, model: MLP, config: ExperimentConfig) -> None:
        self._model, self._config = model, config
        self._values, self._flat_grads = flatten([model])
        self._optimizer = make_optimizer(config, self._values, self._flat_grads, list(model.parameters()))
        self._weights_before: list[torch.Tensor] | None = None
        self._probe: Probe | None = None
        self._check: Check = _no_check
        self._decay = max(1.0, config.weight_decay)
        self._has_squares = True  # whether the weights fit float32 squared

    def infos(self) -> tuple[LayerInfo, ...]:
        """Describe the layers; known after a watched pass."""
        assert self._probe is not None
        return self._probe.infos()

    def load(self, number: int, x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor) -> None:
        """Take rows of x (examples, inputs) and y (examples,) as the next batch."""
        self._x, self._y = x[rows], y[rows]

    @torch.enable_grad()
    def forward_backward(self, *, watched: bool, check: Check) -> None:
        """Pass the loaded batch forward and backward."""
        self._flat_grads.zero_()
        self._check = check
        # Weights of such a size can make z overflow while the loss does not: a layer's z tells.
        self._has_squares = _norm(list(self._model.parameters())) * self._decay < FLOAT32_END**0.5
        watched = watched or not self._has_squares
        self._probe = Probe(self._model, gradients=True, check=check) if watched else None
        if self._probe is None:
            outputs = self._model(self._x)
        else:
            with self._probe:
                outputs = self._model(self._x)
        check()
        loss = LOSSES[self._config.loss](outputs, self._y)
        loss.backward()
        self._loss, self._outputs = loss.detach(), outputs.detach()

    def loss(self, number: int) -> float:
        """Give the mean loss of the batch."""
        return float(self._loss)

    def is_sound(self) -> bool:
        """Whether the weights, the loss and the gradients are finite, and their squares too."""
        is_small = self._has_squares and _norm([grad for _, grad in self._grads()]) < FLOAT32_END**0.5
        return is_small and self.has_finite_loss(0)

    def has_finite_loss(self, number: int) -> bool:
        """Whether the loss of the batch is finite."""
        return bool(self._loss.isfinite())

    def scored(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the outputs and the y they should be."""
        return self._outputs, self._y

    def _grads(self) -> list[tuple[str, torch.Tensor]]:
        return [(name, p.grad) for name, p in self._model.named_parameters() if p.grad is not None]

    def bad_weight(self, number: int) -> str | None:
        """Name the first parameter that is not finite."""
        named = [(name, p.detach()) for name, p in self._model.named_parameters()]
        return None if _are_finite([values for _, values in named]) else first_bad(named)

    def bad_state(self, number: int) -> str | None:
        """Name the first parameter of which the optimizer remembers something that is not finite."""
        return bad_state(self._optimizer, [self._model], 0)

    def bad_activation(self, number: int) -> str | None:
        """Name the first layer whose z is not finite; where only the loss is not, after a watched pass."""
        # Were it always looked for where there is a probe, a run's end would hang on what is recorded.
        if self._probe is None or (self._has_squares and self.has_finite_loss(0)):
            return None
        named = zip(self._probe.infos(), self._probe.samples())
        return first_bad([(info.name, sample.z) for info, sample in named])

    def bad_gradient(self, number: int) -> str | None:
        """Name the first parameter, as backpropagation meets them, whose gradient is not finite."""
        named = self._grads()
        return None if _are_finite([values for _, values in named]) else first_bad(named[::-1])

    def is_still(self, number: int) -> bool:
        """Whether every gradient is exactly 0."""
        return not any(bool(grad.any()) for _, grad in self._grads())

    def all_move(self) -> bool:
        """Whether there is a gradient that is not 0."""
        return not self.is_still(0)

    @torch.no_grad()
    def measure(self) -> list[Measured]:
        """Measure the last watched pass."""
        samples = self._samples()
        layers = measure_layers(samples, at_probe=False, check=self._check)
        return [Measured(layers, [norm(grad) for _, grad in self._grads()], lambda: samples)]

    def _samples(self) -> list[LayerSample]:
        assert self._probe is not None
        samples = self._probe.samples()
        if self._weights_before is None:
            return samples
        return [
            replace(
                sample,
                weight_std_before=float(before.double().std(correction=0)),
                update_std=float((linear.weight.detach() - before).double().std(correction=0)),
            )
            for sample, linear, before in zip(samples, self._model.linears, self._weights_before, strict=True)
        ]

    def update(self, *, watched: bool) -> None:
        """Change the weights."""
        self._weights_before = None
        if watched:
            self._weights_before = [linear.weight.detach().clone() for linear in self._model.linears]
        clip(self._model, self._config)
        update(self._optimizer)

    def release(self, number: int) -> None:
        """Leave the network as it is from now on, with storage of its own."""
        unflatten(self._model)

    def close(self) -> None:
        """Let go of what a pass left; nothing can be trained or measured any more."""
        self._probe, self._check = None, _no_check


def _norm(tensors: list[torch.Tensor]) -> float:
    total = float(torch.nn.utils.get_total_norm([tensor.detach() for tensor in tensors]))
    return math.inf if math.isnan(total) else total


def _are_finite(tensors: list[torch.Tensor]) -> bool:
    # One cheap norm in the common case; it can overflow where every entry is finite.
    total = torch.nn.utils.get_total_norm(tensors)
    return bool(total.isfinite()) or all(bool(t.isfinite().all()) for t in tensors)
