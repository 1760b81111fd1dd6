"""Probe: z, h and delta of every weight-bearing layer of any nn.Module, however it is written.

While it is open, hooks see the modules that bear weights, and a TorchFunctionMode sees every call of a
PyTorch function: activations as modules or as calls, products with a parameter, what lies between the two.
It only looks: no value and no gradient changes by one bit.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from nnlab.activation_calls import (
    Phi,
    base_name,
    is_own_activation,
    phi_of,
    works_in_place,
)
from nnlab.bearers import ONE_CALL, bearing, computes_weight, is_weighted, owners_of, printable
from nnlab.capture import Call, Capture, Grads, Piece
from nnlab.function_kinds import kind_of
from nnlab.fused import FUSED, FusedCall, draws
from nnlab.model import Elementwise
from nnlab.run import LayerInfo
from nnlab.samples import LayerSample
from nnlab.seen import Seen
from nnlab.trails import Part, Parts, Trails

_T_GETTER = torch.Tensor.T.__get__  # type: ignore[attr-defined]


def _no_check() -> None:
    pass


def _is_transformed() -> bool:
    """Whether a function transform as vmap is under way, in which tensors have no numbers of their own."""
    return torch._C._functorch.peek_interpreter_stack() is not None


Hook = Callable[..., Any]


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


@dataclass
class _Looking:
    """Whether a forward pass is looked at now; with `later`, gradients of that time do not count."""

    later: bool
    is_on: bool = False

    def counts(self) -> bool:
        """Whether a gradient that arrives now is of the loss."""
        return not (self.later and self.is_on)


class Probe:
    """Context manager: sees one or more forward passes of a model while it is open.

    With `gradients`, delta and dLoss/dh are kept by the backward pass that runs while it is open or
    later. `check` is called at every layer, so that a caller can leave a long pass by raising;
    `on_gradient` in the backward pass, whenever a gradient arrives. With `later`, gradients that arrive
    while it is open do not count: they are of a backward pass that the model runs itself.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        gradients: bool,
        check: Callable[[], None] = _no_check,
        on_gradient: Callable[[], None] | None = None,
        later: bool = False,
    ) -> None:
        self.captures: list[Capture] = []
        self.passes = 0
        self._model = model
        self._gradients = gradients
        self._check = check
        self._on_gradient = on_gradient
        self._looking = _Looking(later)
        self._by_row: dict[tuple[nn.Module, str], Capture] = {}
        self._labels: dict[tuple[nn.Module, str], tuple[str, str]] = {}
        self._taken: dict[str, int] = {}  # by name, how many rows would have it
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._names = {module: name for name, module in model.named_modules()}
        self._rows: dict[str, str] = getattr(model, "nnlab_layer_names", {})
        self._known = owners_of(model)
        self._bearing = bearing(self._names)
        # By weight: the function that its layer is one call of, with the layer.
        self._own_calls: dict[int, tuple[str, nn.Module]] = {}
        self._layers: dict[int, Capture] = {}  # by weight, what was captured of such layers
        self._sites = list(self._find_sites())
        self._sight: _Sight | None = None
        self._trails = Trails()
        self._kept: list[Seen] = []
        self._opaque = 0  # how many modules deep the probe is that are looked at from outside only
        self._inside: list[nn.Module] = []  # weight-bearing modules under way
        self._own: dict[nn.Module, bool] = {}
        self._transposed: dict[int, tuple[weakref.ref[torch.Tensor], torch.Tensor]] = {}

    def _find_sites(self) -> Iterator[tuple[nn.Module, Hook, Hook]]:
        """Give the modules that need hooks, with what is done before and after them.

        Functions, not this probe's own methods: what refers to itself, and all tensors with it, is freed only
        by the next full collection, hundreds of MB later.
        """
        for module in self._names:
            if isinstance(module, torch.jit.ScriptModule):
                continue  # it takes no hooks
            if isinstance(module, FUSED):
                yield module, Probe._enter_opaque, Probe._after_fused
            elif is_weighted(module) and not any(map(is_weighted, list(module.modules())[1:])):
                if self._is_one_call(module):
                    self._own_calls[id(module.weight)] = ONE_CALL[type(module)], module
                else:
                    yield module, Probe._before_weight, Probe._after_weight
            elif _is_plain_leaf(module):
                yield module, Probe._before_own, Probe._after_own

    def _is_one_call(self, module: nn.Module) -> bool:
        """Whether a layer is one call of a function, whose weight says whose it is."""
        weight = module._parameters.get("weight")
        is_its_own = weight is not None and self._known.get(id(weight), (None, ""))[0] is module
        return type(module) in ONE_CALL and is_its_own and not module._forward_hooks

    def attach(self) -> None:
        """Put the hooks where they are needed."""
        for module, before, after in self._sites:
            hook = partial(before, self)
            self._handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
            # Always: a model may catch an error of its part and go on.
            hook = partial(after, self)
            self._handles.append(module.register_forward_hook(hook, with_kwargs=True, always_call=True))

    def detach(self) -> None:
        """Remove every hook."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def look(self) -> None:
        """Begin to see the calls of one forward pass."""
        self.passes += 1
        self._opaque = 0
        self._looking.is_on = True
        self._sight = _Sight(self)
        self._sight.__enter__()  # type: ignore[no-untyped-call]

    def look_away(self) -> None:
        """End it; where tensors came from is forgotten."""
        self._looking.is_on = False
        if self._sight is not None:
            self._sight.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        self._sight = None
        self._trails.clear()
        self._kept.clear()
        self._transposed.clear()
        self._inside.clear()

    def clear(self) -> None:
        """Forget everything that was seen."""
        self.captures.clear()
        self._by_row.clear()
        self._taken.clear()
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
        kind = kind_of(name)
        if self._opaque or kind == "question" or _is_transformed():
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
        is_blind = self._opaque or self._inside or _is_transformed()
        if isinstance(output, torch.Tensor) and not is_blind:
            with torch._C.DisableTorchFunction():
                self._take(self._row(module), list(_tensors((args, kwargs))), output)

    def _enter_opaque(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._check()
        self._opaque += 1
        self._random_state = torch.get_rng_state() if draws(module) else None

    def _after_fused(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        self._opaque -= 1
        if self._opaque or output is None or _is_transformed():
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
        if z is None or self._opaque or not self._trails.open_parts(z) or _is_transformed():
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
        label = self._labels.get((module, parameter))
        if label is None:
            label = self._labels[module, parameter] = self._label(module, parameter)
        suffix, name = label
        capture = self._by_row.get((module, suffix))
        if capture is None:
            # What was shortened to the same name gets a number.
            taken = self._taken[name] = self._taken.get(name, 0) + 1
            free = f"{name} ({taken})" if taken > 1 else name
            capture = Capture(free, module, parameter, bit=1 << len(self.captures))
            self._by_row[module, suffix] = capture
            self.captures.append(capture)
        return capture

    def _label(self, module: nn.Module, parameter: str) -> tuple[str, str]:
        """Give what tells a row from others of its module, and its name."""
        suffix, qualified = self._suffix(module, parameter), self._names.get(module, "")
        name = self._rows.get(qualified, qualified or type(module).__name__)
        return suffix, printable(f"{name}.{suffix}" if suffix else name)

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
        seen = Seen(
            tensor, gradients=self._gradients, on_gradient=self._on_gradient, counts=self._looking.counts
        )
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
