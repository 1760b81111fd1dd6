"""Probe: z, h and delta of every weight-bearing layer of any nn.Module, however it is written.

While it is open, hooks see the modules that bear weights, and a TorchFunctionMode sees every call of a
PyTorch function: activations as modules or as calls, products with a parameter, what lies between the two.
It only looks: no value and no gradient changes by one bit.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from nnlab.activation_calls import (
    Phi,
    base_name,
    is_activation_name,
    is_own_activation,
    phi_of,
    works_in_place,
)
from nnlab.capture import Call, Capture, Grads, Piece, Seen
from nnlab.fused import FUSED, FusedCall, draws
from nnlab.model import Elementwise
from nnlab.run import LayerInfo
from nnlab.samples import LayerSample
from nnlab.trails import Part, Parts, Trails

NORMALIZATIONS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)
# What calls of PyTorch's functions mean, by their names.
_NORMS = frozenset(
    ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm")
)
_LINEAR = frozenset((
    "linear", "bilinear", "embedding", "embedding_bag", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "matmul", "rmatmul", "mm", "bmm", "addmm", "baddbmm", "einsum",
    "tensordot",
))  # fmt: skip
# Between a layer and its activation these change shape, scale or precision, but not what is meant.
_SHAPING = frozenset((
    "view", "view_as", "reshape", "reshape_as", "flatten", "ravel", "unflatten", "permute", "transpose", "t",
    "swapaxes", "swapdims", "movedim", "moveaxis", "contiguous", "squeeze", "unsqueeze", "expand", "clone",
    "to", "type", "type_as", "float", "half", "bfloat16", "double", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "max_pool1d", "max_pool2d",
    "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "lp_pool2d",
    "max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices", "interpolate",
    "pixel_shuffle",
))  # fmt: skip
_CUTTING = frozenset((
    "chunk", "split", "split_with_sizes", "tensor_split", "unbind", "getitem", "narrow", "select"
))  # fmt: skip
# Questions about tensors, whose answers are none.
_ASKING = frozenset((
    "size", "dim", "ndimension", "numel", "nelement", "stride", "is_floating_point", "is_complex", "item",
    "tolist", "numpy", "len", "bool", "int", "format", "repr", "hash", "register_hook", "retain_grad", "set",
    "is_contiguous", "element_size", "data_ptr", "storage_offset", "get_device", "set_grad_enabled",
))  # fmt: skip
_ADDING = frozenset(("add", "radd", "iadd", "sub", "rsub", "isub", "subtract"))
_SCALING = frozenset(("mul", "rmul", "imul", "multiply", "div", "truediv", "itruediv", "divide"))
_TRANSPOSING = frozenset(("t", "transpose", "permute", "swapaxes"))
_T_GETTER = torch.Tensor.T.__get__  # type: ignore[attr-defined]


# Layers of torch.nn that are one call of a function with their weight, and nothing else.
_PLAIN = {
    nn.Linear: "linear", nn.Bilinear: "bilinear", nn.Embedding: "embedding", nn.EmbeddingBag: "embedding_bag",
    nn.Conv1d: "conv1d", nn.Conv2d: "conv2d", nn.Conv3d: "conv3d", nn.ConvTranspose1d: "conv_transpose1d",
    nn.ConvTranspose2d: "conv_transpose2d", nn.ConvTranspose3d: "conv_transpose3d",
}  # fmt: skip


LONGEST_NAME = 200  # a module's path in a large model has about 80 characters


def _no_check() -> None:
    pass


@cache
def _kind(name: str) -> str:
    """Tell what calls of a function mean to a probe."""
    if name == "__get__":
        return "attribute"
    if is_activation_name(name):
        return "activation"
    base = base_name(name)
    kinds = {
        "product": _LINEAR,
        "norm": _NORMS,
        "shaping": _SHAPING,
        "cutting": _CUTTING,
        "adding": _ADDING,
        "scaling": _SCALING,
        "question": _ASKING,
    }
    return next((kind for kind, names in kinds.items() if base in names), "other")


def computes_weight(module: nn.Module) -> bool:
    """Whether a weight is no parameter but computed: by a parametrization or a hook, or as a property."""
    if nn.utils.parametrize.is_parametrized(module, "weight"):
        return True
    if isinstance(vars(module).get("weight"), torch.Tensor):
        return True
    return isinstance(getattr(type(module), "weight", None), property)


def is_weighted(module: nn.Module) -> bool:
    """Tell whether a module is a row of the frames: a weight of two or more dimensions."""
    if nn.utils.parametrize.is_parametrized(module, "weight"):
        # To ask for such a weight is to compute it, which changes what a spectral norm remembers.
        weight = next(module.parametrizations.weight.parameters(), None)  # type: ignore[union-attr]
    else:
        try:
            weight = getattr(module, "weight", None)
        except Exception:  # a property of the user's that cannot be asked for now
            weight = None
    return isinstance(weight, torch.Tensor) and weight.dim() >= 2 and not isinstance(module, NORMALIZATIONS)


class _Sight(TorchFunctionMode):
    """Lets a probe see every call of a PyTorch function."""

    def __init__(self, probe: Probe) -> None:
        super().__init__()
        self._probe = probe

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return self._probe.see(func, args, kwargs or {})


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    """Give the tensors in arguments or results, in lists and dicts too."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))


def _is_plain_leaf(module: nn.Module) -> bool:
    """Whether a module may be an activation that somebody wrote: without parts and parameters."""
    if isinstance(module, Elementwise):
        return True
    is_foreign = not type(module).__module__.startswith("torch.")
    return is_foreign and not (module._modules or module._parameters or module._buffers)


def printable(name: str) -> str:
    """Give a module's name as one short line: the keys of a ModuleDict may be any text."""
    shown = name if name.isprintable() else name.encode("unicode_escape").decode()
    half = LONGEST_NAME // 2 - 1
    return shown if len(shown) <= LONGEST_NAME else f"{shown[:half]}…{shown[-half:]}"


def _owners(model: nn.Module) -> dict[int, tuple[nn.Module | None, str]]:
    """Tell which module a parameter is of, under which name; None where several share it."""
    owners: dict[int, tuple[nn.Module | None, str]] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            owners[id(parameter)] = (None if id(parameter) in owners else module, name)
    return owners


def _bearing(names: Mapping[nn.Module, str]) -> dict[nn.Module, str]:
    """Name the modules that bear weights, without the parts of fused ones."""
    inside = {part for module in names if isinstance(module, FUSED) for part in module.modules()}
    return {
        module: name or type(module).__name__
        for module, name in names.items()
        if isinstance(module, FUSED) or (is_weighted(module) and module not in inside)
    }


class Probe:
    """Context manager: sees one or more forward passes of a model while it is open.

    With `gradients`, delta and dLoss/dh are kept by the backward pass that runs while it is open or
    later. `check` is called at every layer, so that a caller can leave a long pass by raising;
    `on_gradient` in the backward pass, whenever a gradient arrives.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        gradients: bool,
        check: Callable[[], None] = _no_check,
        on_gradient: Callable[[], None] | None = None,
    ) -> None:
        self.captures: list[Capture] = []
        self.passes = 0
        self._model = model
        self._gradients = gradients
        self._check = check
        self._on_gradient = on_gradient
        self._by_row: dict[tuple[nn.Module, str], Capture] = {}
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._names = {module: name for name, module in model.named_modules()}
        self._rows: dict[str, str] = getattr(model, "nnlab_layer_names", {})
        self._known = _owners(model)
        self._bearing = _bearing(self._names)
        # By weight: the function that its layer is one call of, with the layer.
        self._own_calls: dict[int, tuple[str, nn.Module]] = {}
        self._layers: dict[int, Capture] = {}  # by weight, what was captured of such layers
        self._sites = list(self._find_sites())
        self._sight = _Sight(self)
        self._trails = Trails()
        self._kept: list[Seen] = []
        self._opaque = 0  # how many modules deep the probe is that are looked at from outside only
        self._inside: list[nn.Module] = []  # weight-bearing modules under way
        self._own: dict[nn.Module, bool] = {}
        self._transposed: dict[int, tuple[weakref.ref[torch.Tensor], torch.Tensor]] = {}

    def _find_sites(self) -> Iterator[tuple[nn.Module, Callable[..., Any], Callable[..., Any]]]:
        """Give the modules that need hooks, with what is done before and after them."""
        for module in self._names:
            if isinstance(module, FUSED):
                yield module, self._enter_opaque, self._after_fused
            elif is_weighted(module) and not any(map(is_weighted, list(module.modules())[1:])):
                if self._is_one_call(module):
                    self._own_calls[id(module.weight)] = _PLAIN[type(module)], module
                else:
                    yield module, self._before_weight, self._after_weight
            elif _is_plain_leaf(module):
                yield module, self._before_own, self._after_own

    def _is_one_call(self, module: nn.Module) -> bool:
        """Whether a layer is one call of a function, whose weight says whose it is."""
        weight = module._parameters.get("weight")
        is_its_own = weight is not None and self._known.get(id(weight), (None, ""))[0] is module
        return type(module) in _PLAIN and is_its_own and not module._forward_hooks

    def attach(self) -> None:
        """Put the hooks where they are needed."""
        for module, before, after in self._sites:
            self._handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(after, with_kwargs=True))

    def detach(self) -> None:
        """Remove every hook."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def look(self) -> None:
        """Begin to see the calls of one forward pass."""
        self.passes += 1
        self._opaque = 0
        self._sight.__enter__()  # type: ignore[no-untyped-call]

    def look_away(self) -> None:
        """End it; where tensors came from is forgotten."""
        self._sight.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        self._trails.clear()
        self._kept.clear()
        self._transposed.clear()
        self._inside.clear()

    def clear(self) -> None:
        """Forget everything that was seen."""
        self.captures.clear()
        self._by_row.clear()
        self._layers.clear()
        self.passes = 0

    def __enter__(self) -> Probe:
        self.attach()
        self.look()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.look_away()
        self.detach()

    # What comes by.

    def see(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run one call of a PyTorch function, and note what it has to do with layers."""
        name = getattr(function, "__name__", "")
        kind = _kind(name)
        if self._opaque or kind == "question":
            return function(*args, **kwargs)
        if kind == "attribute":
            return self._see_attribute(function, args, kwargs)
        if kind == "product" and not self._inside and len(args) > 1:
            capture = self._layer_of(args[1], name)
            if capture is not None:
                return self._see_layer(capture, function, args, kwargs)
        in_place = bool(args) and works_in_place(name, args, kwargs)
        if kind == "activation" and args and isinstance(args[0], torch.Tensor):
            return self._see_activation(function, name, args, kwargs, in_place=in_place)
        if in_place:
            self._save(args[0])
        if self._inside:
            if kind == "product":
                self._see_computed_weight(base_name(name), args, kwargs)
            return function(*args, **kwargs)
        if kind == "product":
            return self._see_product(function, args, kwargs)
        return self._see_other(function, kind, args, kwargs)

    def _see_attribute(self, function: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        result = function(*args, **kwargs)
        if function == _T_GETTER:
            self._note_transposed(args, result)
            self._trails.leave(result, *self._trails.of(args[0]))
        return result

    def _layer_of(self, weight: Any, function: str) -> Capture | None:
        """Give the layer that a call is all of, by its weight; None where it is more or other than one."""
        capture = self._layers.get(id(weight))
        name, module = self._own_calls.get(id(weight), ("", None))
        if name != function or module is None:
            return None
        if capture is None:
            capture = self._layers[id(weight)] = self._row(module)
        return capture

    def _see_layer(self, capture: Capture, function: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        self._check()
        result = function(*args, **kwargs)
        self._take(capture, args[:1], result)
        return result

    def _see_activation(
        self, function: Any, name: str, args: Any, kwargs: Mapping[str, Any], *, in_place: bool
    ) -> Any:
        z = args[0]
        self._trails.count_uses((z,))
        parts = self._trails.open_parts(z)
        influences = self._trails.of(z)[1]
        before = self._seen_before(parts, z) if parts else None
        if in_place:
            self._save(z)
        result = function(*args, **kwargs)
        if before is None:
            self._trails.leave(result, (), influences)
        else:
            self._activated(parts, before, result, phi_of(function, name, args, kwargs), influences)
        return result

    def _seen_before(self, parts: Parts, z: torch.Tensor) -> Seen:
        """Give what was kept of a tensor already, where it is a layer's very output, or keep it."""
        for part in parts:
            if part.call.gave(z) and part.call.seen.is_current:
                return part.call.seen
        return self._keep(z)

    def _activated(self, parts: Parts, z: Seen, result: torch.Tensor, phi: Phi, influences: int) -> None:
        piece = Piece(z, self._keep(result), phi)
        for part in parts:
            part.call.pieces.append(piece)
            part.call.is_activated |= not part.cut
        self._trails.leave(result, (), influences)

    def _see_product(self, function: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        base = base_name(function.__name__)
        given = list(_tensors(args)) + list(_tensors(kwargs))
        owner = next((known for t in given if (known := self._parameter(t, base))), None)
        if owner is None:
            return self._see_other(function, "other", args, kwargs)
        module, name, weight = owner
        self._check()
        inputs = [t for t in given if t is not weight and not isinstance(t, nn.Parameter)]
        result = function(*args, **kwargs)
        self._take(self._capture(module, name), inputs, result)
        return result

    def _see_computed_weight(self, base: str, args: Any, kwargs: Mapping[str, Any]) -> None:
        """Catch the gradient of a weight that is computed from others, as by a weight norm."""
        if not computes_weight(self._inside[-1]):
            return
        place = 2 if base == "bilinear" else 1
        weight = args[place] if len(args) > place else kwargs.get("weight")
        if isinstance(weight, torch.Tensor) and not isinstance(weight, nn.Parameter):
            capture = self._row(self._inside[-1])
            if capture.computed_weight is None or capture.computed_weight() is not weight:
                capture.computed_weight = weakref.ref(weight)
                capture.weight_seen.append(self._keep(weight))

    def _see_other(self, function: Any, kind: str, args: Any, kwargs: Mapping[str, Any]) -> Any:
        given = list(_tensors(args)) + list(_tensors(kwargs))
        self._trails.count_uses(given)
        parts, influences = self._trails.merge(given)
        result = function(*args, **kwargs)
        if kind == "shaping" and given and isinstance(given[0], nn.Parameter):
            self._note_transposed(args, result)
        if parts or influences:
            kept = self._parts_after(kind, parts, given, result)
            for tensor in _tensors(result):
                self._trails.leave(tensor, kept, influences)
        return result

    def _parts_after(self, kind: str, parts: Parts, given: list[torch.Tensor], result: Any) -> Parts:
        """Give what the result of a call still comes from."""
        first = self._trails.of(given[0])[0] if given else ()
        if kind == "norm":
            self._normalized(first, given[:1], result)
        if kind in ("norm", "shaping"):
            return first
        if kind == "cutting":
            return tuple(replace(part, cut=True) for part in first)
        if kind == "adding" and self._is_bias(parts, given):
            return self._with_bias(parts[0].call, result)
        if kind == "adding":
            return tuple(replace(part, added=len(given) > 1 or part.added) for part in parts)
        return parts if kind == "scaling" and len(given) == 1 else ()

    @staticmethod
    def _is_bias(parts: Parts, given: list[torch.Tensor]) -> bool:
        """Whether a sum adds a bias to a product that was written out."""
        others = [t for t in given if isinstance(t, nn.Parameter) and t.dim() == 1]
        return len(parts) == 1 and len(given) == 2 and len(others) == 1 and not parts[0].added

    def _with_bias(self, call: Call, result: torch.Tensor) -> Parts:
        call.seen, call.output, call.uses = self._keep(result), weakref.ref(result), 0
        return (Part(call),)

    def _normalized(self, parts: Parts, inputs: list[torch.Tensor], result: Any) -> None:
        for part in parts:
            if inputs and part.call.gave(inputs[0]):
                part.call.normalized = self._keep(result)

    # Modules that are looked at from outside.

    def _before_weight(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._check()
        self._inside.append(module)

    def _after_weight(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if self._inside and self._inside[-1] is module:
            self._inside.pop()
        if isinstance(output, torch.Tensor) and not self._opaque and not self._inside:
            with torch._C.DisableTorchFunction():
                self._take(self._row(module), list(_tensors((args, kwargs))), output)

    def _enter_opaque(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._check()
        self._opaque += 1
        self._random_state = torch.get_rng_state() if draws(module) else None

    def _after_fused(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        self._opaque -= 1
        if self._opaque:
            return
        with torch._C.DisableTorchFunction():
            self._take_fused(module, args, kwargs, output)

    def _take_fused(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        call = FusedCall(module, args, kwargs, output, self._keep, self._random_state)
        call.passed = self.passes
        influences = self._trails.merge(list(_tensors((args, kwargs))))[1]
        for row in call.rows:
            capture = self._capture(module, row)
            self._consume(capture, list(_tensors((args, kwargs))))
            capture.fused.append(call)
            influences |= capture.bit
        for tensor in _tensors(output):
            self._trails.leave(tensor, (), influences)

    def _before_own(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        z = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if z is None or self._opaque or not self._trails.open_parts(z):
            return
        with torch._C.DisableTorchFunction():
            if module not in self._own:
                self._own[module] = isinstance(module, Elementwise) or is_own_activation(module, z)
            if self._own[module]:
                self._opaque += 1
                self._awaited = (module, z, self._keep(z))

    _random_state: torch.Tensor | None = None
    _awaited: tuple[nn.Module, torch.Tensor, Seen] | None = None

    def _after_own(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if self._awaited is None or self._awaited[0] is not module:
            return
        _, tensor, z = self._awaited
        self._awaited = None
        self._opaque -= 1
        if isinstance(output, torch.Tensor):
            own = module.name if isinstance(module, Elementwise) else type(module).__name__
            phi = Phi(own, None if isinstance(module, Elementwise) else module.forward)
            with torch._C.DisableTorchFunction():
                self._activated(self._trails.open_parts(tensor), z, output, phi, self._trails.of(tensor)[1])

    # What is kept.

    def _row(self, module: nn.Module) -> Capture:
        return self._capture(module, "weight")

    def _capture(self, module: nn.Module, parameter: str) -> Capture:
        """Give a row's capture; a module with several weights that are used one by one has a row each."""
        suffix = self._suffix(module, parameter)
        capture = self._by_row.get((module, suffix))
        if capture is None:
            name = self._free_name(module, suffix)
            capture = Capture(name, module, parameter, bit=1 << len(self.captures))
            self._by_row[module, suffix] = capture
            self.captures.append(capture)
        return capture

    def _free_name(self, module: nn.Module, suffix: str) -> str:
        """Name a row; what was shortened to the same name gets a number."""
        qualified = self._names.get(module, "")
        name = self._rows.get(qualified, qualified or type(module).__name__)
        name = printable(f"{name}.{suffix}" if suffix else name)
        taken = sum(capture.name.partition(" (")[0] == name for capture in self.captures)
        return f"{name} ({taken + 1})" if taken else name

    def _suffix(self, module: nn.Module, parameter: str) -> str:
        if isinstance(module, FUSED):
            return parameter
        if is_weighted(module):
            return "" if parameter == "weight" else parameter
        weights = [p for p in module.parameters(recurse=False) if p.dim() >= 2]
        return parameter if len(weights) > 1 else ""

    def _parameter(self, tensor: torch.Tensor, function: str) -> tuple[nn.Module, str, torch.Tensor] | None:
        """Tell whose weight a tensor is, itself or transposed."""
        entry = self._transposed.get(id(tensor))
        weight = entry[1] if entry is not None and entry[0]() is tensor else tensor
        if not isinstance(weight, nn.Parameter) or weight.dim() < 2:
            return None
        module, name = self._known.get(id(weight), (None, ""))
        if module is None:
            return None
        if weight is tensor and self._own_calls.get(id(weight), ("",))[0] == function:
            return module, name, tensor
        # A weight of a layer with a row of its own that is used once more, as a tied output layer does.
        return module, "tied" if is_weighted(module) and name == "weight" else name, tensor

    def _note_transposed(self, args: Any, result: Any) -> None:
        if args and isinstance(args[0], nn.Parameter) and isinstance(result, torch.Tensor):
            self._transposed[id(result)] = (weakref.ref(result), args[0])

    def _take(self, capture: Capture, inputs: Sequence[torch.Tensor], output: torch.Tensor) -> None:
        """Keep one execution of a layer."""
        influences = self._consume(capture, inputs)
        if not output.is_floating_point():
            return
        call = Call(self._keep(output), capture.bit, weakref.ref(output), self.passes)
        capture.calls.append(call)
        self._trails.leave(output, (Part(call),), influences | capture.bit)

    def _consume(self, capture: Capture, inputs: Sequence[torch.Tensor]) -> int:
        """Note that a layer takes its inputs; give the layers that had a part in them.

        A sum that goes into a layer belongs to no activation after it.
        """
        parts, influences = self._trails.merge(inputs)
        capture.is_recurrent |= bool(influences & capture.bit)
        for part in parts:
            part.call.is_over |= part.added
        self._trails.count_uses(inputs)
        return influences

    def _keep(self, tensor: torch.Tensor) -> Seen:
        seen = Seen(tensor, gradients=self._gradients, on_gradient=self._on_gradient)
        self._kept.append(seen)
        return seen

    def _save(self, target: Any) -> None:
        """Copy what lies where something is about to be overwritten."""
        if isinstance(target, torch.Tensor):
            place = target.untyped_storage().data_ptr()
            for seen in self._kept:
                if seen.tensor.untyped_storage().data_ptr() == place:
                    seen.save()

    # What comes of it.

    def infos(self) -> tuple[LayerInfo, ...]:
        """Describe the layers in order of execution."""
        return tuple(capture.info(number, self._gradients) for number, capture in enumerate(self.seen, 1))

    @property
    def seen(self) -> list[Capture]:
        """The layers that were executed with at least one example, in order."""
        return [capture for capture in self.captures if capture.is_executed]

    def drop_passes_without_gradient(self) -> bool:
        """Forget the passes that no backward pass came through; tell whether one is left."""
        passes = {call.passed for capture in self.captures for call in capture.called if call.got_gradient}
        if len(passes) == self.passes:
            return bool(passes)
        for capture in self.captures:
            capture.keep_passes(passes)
        return bool(passes)

    @property
    def signature(self) -> tuple[str, ...]:
        """Tell which layers were executed with how many activations: where it is equal, so are the infos."""
        return tuple(f"{capture.name} {capture.activations}" for capture in self.seen)

    @property
    def unexecuted(self) -> list[str]:
        """The weight-bearing modules that no pass came through."""
        executed = {capture.module for capture in self.seen}
        return [name for module, name in self._bearing.items() if module not in executed]

    def samples(self, grads: Grads | None = None, *, linked: bool = True) -> list[LayerSample]:
        """Give what was captured, one sample a layer from input to output.

        Gradients are there once the backward pass has run; those of the parameters are read from `grads`,
        where it is given. `linked` ones know the norm of the error signal after them.
        """
        samples = []
        delta_norm_after = float("nan")
        for capture in reversed(self.seen):
            sample = capture.sample(delta_norm_after, (grads or Grads()) if self._gradients else None)
            delta_norm_after = sample.delta_norm if linked else float("nan")
            samples.append(sample)
        return samples[::-1]
