"""Probe: z, h and delta of every weight-bearing layer of any nn.Module, through forward hooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import nn

from nnlab.activations import ACTIVATIONS
from nnlab.model import Elementwise
from nnlab.run import LayerInfo
from nnlab.samples import LayerSample

NORMALIZATIONS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)
CHANNELS_FIRST = (nn.modules.conv._ConvNd,)
# Elementwise activations of torch.nn beyond the registry; their slope is asked from autograd.
FOREIGN_ACTIVATIONS = (
    nn.ReLU6, nn.CELU, nn.PReLU, nn.RReLU, nn.LogSigmoid, nn.Hardsigmoid, nn.Hardswish,
    nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.Threshold,
)  # fmt: skip
_REGISTRY_CLASSES = {getattr(nn, entry.module): entry.name for entry in ACTIVATIONS.values() if entry.module}
# Where the registry's formula holds only for PyTorch's default parameters.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "leaky_relu": {"negative_slope": 0.01},
    "elu": {"alpha": 1.0},
    "gelu": {"approximate": "none"},
    "softplus": {"beta": 1.0, "threshold": 20.0},
    "hardtanh": {"min_val": -1.0, "max_val": 1.0},
}
# Where sup abs(phi') of an unknown activation is looked for; wide enough for every torch.nn one.
SLOPE_GRID = torch.linspace(-20.0, 20.0, 4001)


def _no_check() -> None:
    pass


def registry_name(module: nn.Module) -> str | None:
    """Give the registry's name of an activation module, None if it is not in there as it stands."""
    if isinstance(module, Elementwise):
        return module.name
    name = _REGISTRY_CLASSES.get(type(module))
    expected = _DEFAULTS.get(name or "", {})
    if all(getattr(module, key) == value for key, value in expected.items()):
        return name
    return None


def is_activation(module: nn.Module) -> bool:
    """Tell whether a module is an elementwise activation; nn.Identity is none outside nnlab."""
    known = isinstance(module, (*FOREIGN_ACTIVATIONS, *_REGISTRY_CLASSES, Elementwise))
    return known and not isinstance(module, nn.Identity)


def is_weighted(module: nn.Module) -> bool:
    """Tell whether a module is a row of the frames: a weight of two or more dimensions."""
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.dim() >= 2 and not isinstance(module, NORMALIZATIONS)


def slope_of(activation: nn.Module | None, z: torch.Tensor) -> torch.Tensor:
    """Give phi'(z) as PyTorch's backward pass computes it, for z of any shape."""
    if activation is None:
        return torch.ones_like(z)
    name = registry_name(activation)
    if name is not None:
        return ACTIVATIONS[name].derivative(z)
    with torch.enable_grad():
        leaf = z.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(activation(leaf.clone()).sum(), leaf)
    return slope


def slope_sup_of(activation: nn.Module | None, z: torch.Tensor) -> float:
    """Give sup abs(phi'): from the registry, or the largest seen on a grid and at z."""
    if activation is None:
        return 1.0
    name = registry_name(activation)
    if name is not None:
        return ACTIVATIONS[name].slope_sup
    seen = float(slope_of(activation, z).abs().max()) if z.numel() else 1.0
    try:
        return max(seen, float(slope_of(activation, SLOPE_GRID).abs().max()))
    except RuntimeError:  # per-channel parameters do not fit the grid
        return seen


def as_matrix(values: torch.Tensor, module: nn.Module) -> torch.Tensor:
    """Give (examples, units): a unit is a feature or a channel, examples are everything else."""
    if isinstance(module, CHANNELS_FIRST):
        spatial = module.weight.dim() - 2
        values = values.movedim(-1 - spatial, -1)
    return values.reshape(-1, values.shape[-1]) if values.dim() else values.reshape(1, 1)


@dataclass
class _Call:
    """One execution of a weight-bearing module and of the activation that follows it."""

    z: torch.Tensor
    h: torch.Tensor | None = None


@dataclass
class Capture:
    """What the probe saw of one weight-bearing module, over all its calls in one pass."""

    name: str
    module: nn.Module
    activation: nn.Module | None = None
    calls: list[_Call] = field(default_factory=list)

    @property
    def activation_name(self) -> str:
        """Registry name, or class name of an activation that is not in the registry."""
        if self.activation is None:
            return "identity"
        return registry_name(self.activation) or type(self.activation).__name__

    def matrix(self, of: Callable[[_Call], torch.Tensor | None]) -> torch.Tensor | None:
        """Give one quantity of all calls as (examples, units), None where it was not measured."""
        parts = [of(call) for call in self.calls]
        if any(part is None for part in parts):
            return None
        rows = [as_matrix(part.detach(), self.module) for part in parts if part is not None]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def parameter_grad(self, name: str) -> torch.Tensor | None:
        """Give the gradient of the module's weight or bias."""
        parameter = getattr(self.module, name, None)
        return None if parameter is None else parameter.grad


class Probe:
    """Context manager: hooks on all weight-bearing and activation modules while it is open.

    With `gradients`, delta and dLoss/dh are kept by the backward pass that runs while it is open or
    later. `check` is called at every hook, so that a caller can leave a long pass by raising.
    Hooks never change a value: training is the same bit for bit with and without.
    """

    def __init__(self, model: nn.Module, *, gradients: bool, check: Callable[[], None] = _no_check) -> None:
        self.captures: list[Capture] = []
        self._model = model
        self._gradients = gradients
        self._check = check
        self._by_module: dict[nn.Module, Capture] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._names = {module: name for name, module in model.named_modules()}
        self._rows: dict[str, str] = getattr(model, "nnlab_layer_names", {})

    def __enter__(self) -> Probe:
        for module in self._model.modules():
            if is_weighted(module):
                self._handles.append(module.register_forward_hook(self._after_weight))
            elif isinstance(module, NORMALIZATIONS):
                self._handles.append(module.register_forward_hook(self._after_normalization))
            elif is_activation(module):
                self._handles.append(module.register_forward_pre_hook(self._before_activation))
                self._handles.append(module.register_forward_hook(self._after_activation))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _keep(self, values: torch.Tensor) -> torch.Tensor:
        if self._gradients and values.requires_grad:
            values.retain_grad()
        return values

    def _after_weight(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._check()
        if not isinstance(output, torch.Tensor) or not output.is_floating_point():
            return
        capture = self._by_module.get(module)
        if capture is None:
            qualified = self._names[module]
            capture = Capture(self._rows.get(qualified, qualified or type(module).__name__), module)
            self._by_module[module] = capture
            self.captures.append(capture)
        capture.calls.append(_Call(self._keep(output)))
        self._latest = capture

    _latest: Capture | None = None

    def _after_normalization(self, module: nn.Module, inputs: Any, output: Any) -> None:
        latest = self._latest
        if latest is not None and inputs and latest.calls[-1].z is inputs[0]:
            latest.calls[-1].z = self._keep(output)

    def _awaited(self, module: nn.Module) -> _Call | None:
        """Give the call that this activation belongs to: the latest, if it has none yet."""
        latest = self._latest
        if latest is None or latest.calls[-1].h is not None:
            return None
        if latest.activation not in (None, module):
            return None
        return latest.calls[-1]

    def _before_activation(self, module: nn.Module, inputs: Any) -> Any:
        call = self._awaited(module)
        if call is None or not isinstance(inputs[0], torch.Tensor):
            return None
        assert self._latest is not None
        self._latest.activation = module
        call.z = self._keep(inputs[0])
        # An in-place activation would overwrite z: let it have a copy.
        return (inputs[0].clone(), *inputs[1:]) if getattr(module, "inplace", False) else None

    def _after_activation(self, module: nn.Module, inputs: Any, output: Any) -> None:
        call = self._awaited(module)
        if call is not None and self._latest is not None and self._latest.activation is module:
            call.h = self._keep(output)

    def infos(self) -> tuple[LayerInfo, ...]:
        """Describe the layers in order of execution."""
        return tuple(self._info(number, capture) for number, capture in enumerate(self.captures, 1))

    def _info(self, index: int, capture: Capture) -> LayerInfo:
        weight = capture.module.weight
        assert isinstance(weight, torch.Tensor)
        slope_sup = slope_sup_of(capture.activation, torch.empty(0))
        return LayerInfo(
            name=capture.name,
            index=index,
            activation=capture.activation_name,
            weight_shape=tuple(weight.shape),
            trainable=weight.requires_grad,
            slope_sup=slope_sup,
            notes=self._notes(capture),
        )

    def _notes(self, capture: Capture) -> tuple[str, ...]:
        if self._gradients and not all(call.z.requires_grad for call in capture.calls):
            return ("no gradient reaches this layer's output: nothing before it needs one",)
        return ()

    def samples(self) -> list[LayerSample]:
        """Give what was captured, one sample a layer from input to output.

        Gradients are there once the backward pass has run.
        """
        samples = []
        delta_norm_after = float("nan")
        for capture in reversed(self.captures):
            sample = self._sample(capture, delta_norm_after)
            delta_norm_after = sample.delta_norm
            samples.append(sample)
        return samples[::-1]

    def _sample(self, capture: Capture, delta_norm_after: float) -> LayerSample:
        z = capture.matrix(lambda call: call.z)
        h = capture.matrix(lambda call: call.z if call.h is None else call.h)
        assert z is not None
        assert h is not None
        weight = capture.module.weight
        assert isinstance(weight, torch.Tensor)
        name = registry_name(capture.activation) if capture.activation is not None else None
        return LayerSample(
            z=z,
            h=h,
            derivative=partial(slope_of, capture.activation),
            slope_sup=slope_sup_of(capture.activation, z),
            two_sided=name is not None and ACTIVATIONS[name].two_sided,
            delta=capture.matrix(lambda call: call.z.grad) if self._gradients else None,
            h_grad=capture.matrix(_h_grad) if self._gradients else None,
            weight=weight.detach(),
            weight_grad=capture.parameter_grad("weight") if self._gradients else None,
            bias_grad=capture.parameter_grad("bias") if self._gradients else None,
            delta_norm_after=delta_norm_after,
        )


def _h_grad(call: _Call) -> torch.Tensor | None:
    return call.z.grad if call.h is None else call.h.grad
