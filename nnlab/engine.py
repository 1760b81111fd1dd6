"""Engine: forward and backward of plain MLPs written out, over buffers that every step uses again.

No autograd: the chain rule stands here line by line (`_forward`, `_backward`). Several networks of one shape
(the seeds of one experiment) go through together. Normalizations are left to autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import torch

from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.kernels import BACKWARD, FORWARD
from nnlab.losses import make_loss
from nnlab.model import MLP
from nnlab.samples import NAN, LayerSample

Product = Callable[..., object]
Call = Callable[[], object]
Views = tuple[torch.Tensor, torch.Tensor]
# Up to here all layers' bias gradients are summed in one call; larger layers while they lie in cache.
SMALL_LAYER = 16_384
# Before layers whose product takes more it is asked whether to go on: a fiftieth of a millisecond, but up to
# two hundred times that with numbers too small for the processor's fast way.
ASKED_FLOP = 2e6
# So many numbers that are equal to the last bit were rounded alike.
TELLING = 4096
# In numbers of 4 bytes: a cache line. PyTorch's products round otherwise from other addresses, and a module's
# own tensors begin at such ones.
ALIGNMENT = 16


class Watcher(Protocol):
    """Something that looks at a layer as soon as a pass has filled it."""

    def forward_done(self, layer: int) -> None:
        """Z and h of a hidden layer (from 0) are there."""
        ...

    def backward_done(self, layer: int) -> None:
        """Delta, dLoss/dh and the weights' gradients of a layer are there; the output is the last."""
        ...


def covers(config: ExperimentConfig) -> bool:
    """Whether the engine can train an experiment's network; else autograd does."""
    return config.normalization == "none"


def _aligned(numbers: int) -> int:
    return -(-numbers // ALIGNMENT) * ALIGNMENT


def _in_order(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Give all weights, then all biases: those of the equal layers then lie one stride apart."""
    parameters = list(model.parameters())
    return [p for p in parameters if p.dim() > 1] + [p for p in parameters if p.dim() == 1]


def _starts(model: torch.nn.Module) -> list[int]:
    """Give where each parameter, in order, begins in a row of all of them; the last is the row's length."""
    starts = [0]
    for parameter in _in_order(model):
        starts.append(starts[-1] + _aligned(parameter.numel()))
    return starts


def flatten(models: Sequence[torch.nn.Module]) -> tuple[torch.Tensor, torch.Tensor]:
    """Move all parameters and gradients into two tensors, a row a model; the models' become views.

    Between the parameters lie zeros, to begin each where the processor likes it.
    """
    starts = _starts(models[0])
    values, grads = torch.zeros(2, len(models), starts[-1])
    for model, row, grad_row in zip(models, values, grads, strict=True):
        for parameter, start in zip(_in_order(model), starts, strict=False):
            part = slice(start, start + parameter.numel())
            row[part] = parameter.detach().reshape(-1)
            parameter.data = row[part].view_as(parameter)
            parameter.grad = grad_row[part].view_as(parameter)
    return values, grads


def named_slices(model: torch.nn.Module) -> list[tuple[str, slice]]:
    """Name the parts of a row of all parameters, in their order there."""
    # Weights first, as `_in_order` has them: sorting keeps what is equal in its order.
    named = sorted(model.named_parameters(), key=lambda pair: pair[1].dim() == 1)
    starts = _starts(model)
    return [(name, slice(at, at + p.numel())) for (name, p), at in zip(named, starts, strict=False)]


def _buffer(layers: int, models: int, batch: int, width: int) -> torch.Tensor:
    """Make a tensor (layers, models, batch, width) whose every last two dimensions begin aligned."""
    size = batch * width
    whole = torch.zeros(layers, models, _aligned(size))
    return whole[:, :, :size].view(layers, models, batch, width)


def unflatten(model: torch.nn.Module) -> None:
    """Give every parameter storage of its own again, as a file of weights wants it."""
    for parameter in model.parameters():
        parameter.data = parameter.detach().clone()
        parameter.grad = None


class Engine:
    """The forward and backward pass of one or several MLPs of one shape for batches of one size.

    Buffers of shape (depth, models, batch, width): `z` (pre_activation), `h` (activation before the
    residual add), `delta` (dLoss/dz), `h_grad` (dLoss/dh, filled only where a watcher looks on, since it is
    delta before the slope). `values` and `grads`, shape (models, parameters), hold all parameters.
    """

    def __init__(self, models: Sequence[MLP], config: ExperimentConfig, batch: int) -> None:
        self.models, self.config, self.batch = tuple(models), config, batch
        self.values, self.grads = flatten(models)
        self.entry = ACTIVATIONS[config.activation]
        self._apply = FORWARD.get(config.activation, self._apply_registry)
        self._multiply_slope = BACKWARD.get(config.activation, self._multiply_registry)
        shape = (config.depth, len(models), batch, config.width)
        self.z_and_h = _buffer(2 * config.depth, *shape[1:]).unflatten(0, (2, config.depth))
        self.z, self.h = self.z_and_h
        self.delta, self.h_grad = (_buffer(*shape) for _ in range(2))
        self.sums = _buffer(*shape) if config.residual else self.h
        first, last = models[0].linears[0], models[0].linears[-1]
        (self.x,) = _buffer(1, len(models), batch, first.in_features)
        self.outputs, self.output_delta = _buffer(2, len(models), batch, last.out_features)
        self.targets: list[torch.Tensor] = [torch.empty(0)] * len(models)
        self.losses = [make_loss(config.loss, batch, last.out_features) for _ in models]
        self._is_small = self.z[0].numel() <= SMALL_LAYER
        self._is_asked = 2 * self.z[0].numel() * config.width > ASKED_FLOP
        self.check: Callable[[], None] = lambda: None
        self._make_views()
        self._choose_kernels()
        self._unwatched = self._program(None)
        self._watched = self._unwatched

    def close(self) -> None:
        """Forget the calls of a pass."""
        # They refer to this engine, whose buffers then only a full collection would free.
        self._watched, self._unwatched = [], []
        del self._apply, self._multiply_slope

    def watch(self, watcher: Watcher) -> None:
        """Let a watcher look on at every `run(watched=True)` from now on."""
        self._watched = self._program(watcher)

    def _make_views(self) -> None:
        # A view costs as much to make as a small product takes: they are made once.
        def one(tensor: torch.Tensor) -> torch.Tensor:
            return tensor[0] if len(self.models) == 1 else tensor

        self._x, self._outputs, self._output_delta = one(self.x), one(self.outputs), one(self.output_delta)
        self._zs, self._hs = [one(z) for z in self.z], [one(h) for h in self.h]
        self._deltas, self._h_grads = [one(d) for d in self.delta], [one(grad) for grad in self.h_grad]
        self._sums = [one(total) for total in self.sums]
        weights, biases = self._parameter_views()
        self.weights, self.weight_grads = [w for w, _ in weights], [grad for _, grad in weights]
        self.biases, self.bias_grads = [b for b, _ in biases], [grad for _, grad in biases]
        self._weights = [one(weight) for weight in self.weights]
        self._weight_grads = [one(grad) for grad in self.weight_grads]
        self._biases = [one(bias.unsqueeze(1)) for bias in self.biases]
        self._bias_grads = [one(grad) for grad in self.bias_grads]
        self._x_rows = list(self.x)

    def _parameter_views(self) -> tuple[list[Views], list[Views]]:
        """Give weights (models, fan_out, fan_in) and biases (models, fan_out), each with its gradient."""
        parameters = _in_order(self.models[0])
        pairs: list[Views] = []
        for parameter, start in zip(parameters, _starts(self.models[0]), strict=False):
            part = slice(start, start + parameter.numel())
            shape = (len(self.models), *parameter.shape)
            pairs.append((self.values[:, part].view(shape), self.grads[:, part].view(shape)))
        depth = self.config.depth
        return pairs[: depth + 1], pairs[depth + 1 :]

    def _choose_kernels(self) -> None:
        self._mm: Product = torch.mm
        self._addmm: Product = torch.addmm
        if len(self.models) > 1:
            self._mm, self._addmm = torch.bmm, torch.baddbmm
            if not self._all_at_once_gives_the_same_bits():
                self._mm, self._addmm = _mm_each, _addmm_each
                self._apply = partial(_each, self._apply)
                self._multiply_slope = partial(_each, self._multiply_slope)

    def _all_at_once_gives_the_same_bits(self) -> bool:
        """Whether kernels round alike for all models at once and one by one, which hangs on the shapes alone.

        They do but for some odd sizes; a run must not depend on how many others run beside it.
        """
        draw = torch.Generator().manual_seed(0)
        # A few numbers may agree by chance.
        for _ in range(1 + TELLING // (self.batch * self.config.width)):
            for buffer in (self.x, self.z, self.h, self.sums, self.delta, self.output_delta):
                buffer.uniform_(-1, 1, generator=draw)
            layers = {0, 1, self.config.depth}
            if not all(self._products_agree(layer) for layer in layers) or not self._slopes_agree():
                return False
        return True

    def _products_agree(self, layer: int) -> bool:
        x, delta, weight = self._inputs(layer), self._delta_of(layer), self._weights[layer]
        z = torch.empty_like(self._zs[layer] if layer < self.config.depth else self._outputs)
        same = _same(torch.bmm, _mm_each, (x, weight.mT), z)
        same &= _same(torch.bmm, _mm_each, (delta.mT, x), self._weight_grads[layer])
        if self._biases:
            same &= _same(torch.baddbmm, _addmm_each, (self._biases[layer], x, weight.mT), z)
        if layer:
            same &= _same(torch.bmm, _mm_each, (delta, weight), self._h_grads[layer - 1])
        return same

    def _slopes_agree(self) -> bool:
        z, h, grad, delta = self._zs[0], self._hs[0], self._h_grads[0], self._deltas[0]
        grad.copy_(delta)
        one_by_one = torch.empty_like(h)
        self._apply(z, h)
        _each(self._apply, z, one_by_one)
        if not torch.equal(h, one_by_one):
            return False
        self._multiply_slope(grad, z, h, delta)
        _each(self._multiply_slope, grad, z, h, one_by_one)
        return torch.equal(delta, one_by_one)

    def _inputs(self, layer: int) -> torch.Tensor:
        return self._sums[layer - 1] if layer else self._x

    def _delta_of(self, layer: int) -> torch.Tensor:
        return self._deltas[layer] if layer < len(self._deltas) else self._output_delta

    def _apply_registry(self, z: torch.Tensor, h: torch.Tensor) -> None:
        h.copy_(self.entry.function(z))

    def _multiply_registry(
        self, grad: torch.Tensor, z: torch.Tensor, h: torch.Tensor, delta: torch.Tensor
    ) -> None:
        torch.mul(grad, self.entry.derivative(z), out=delta)

    def load(self, model: int, x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor) -> None:
        """Take rows of x (examples, inputs) and y (examples,) as a model's next batch."""
        torch.index_select(x, 0, rows, out=self._x_rows[model])
        self.targets[model] = y.index_select(0, rows)

    def run(self, *, watched: bool = False) -> None:
        """Pass the loaded batches forward and backward; the buffers then hold all there is to know."""
        for call in self._watched if watched else self._unwatched:
            call()

    def _program(self, watcher: Watcher | None) -> list[Call]:
        """List the calls of one pass: which tensors they take never changes, so it is settled here, once."""
        layers = range(self.config.depth)
        forward = [call for layer in layers for call in self._forward(layer, watcher)]
        backward = [call for layer in reversed(layers) for call in self._backward(layer, watcher)]
        output = [self._affine(-1, self._outputs), self._differentiate_loss, *self._output_gradients(watcher)]
        return [*forward, *output, *backward, *self._bias_gradients()]

    def _ask(self) -> None:
        """Let the caller leave a long pass by raising."""
        self.check()

    def _affine(self, layer: int, out: torch.Tensor) -> Call:
        """Out = W x + b for the rows x of the layer's input."""
        x, weight = self._inputs(layer % (self.config.depth + 1)), self._weights[layer].mT
        if self._biases:
            return partial(self._addmm, self._biases[layer], x, weight, out=out)
        return partial(self._mm, x, weight, out=out)

    def _forward(self, layer: int, watcher: Watcher | None) -> Iterator[Call]:
        z, h, total = self._zs[layer], self._hs[layer], self._sums[layer]
        if self._is_asked:
            yield self._ask
        yield self._affine(layer, z)
        yield partial(self._apply, z, h)
        if self.config.residual:
            # The first block changes the space from inputs to units, so it has nothing to add.
            yield partial(torch.add, h, self._inputs(layer), out=total) if layer else partial(total.copy_, h)
        if watcher is not None:
            yield partial(watcher.forward_done, layer)

    def _backward(self, layer: int, watcher: Watcher | None) -> Iterator[Call]:
        delta = self._deltas[layer]
        if self._is_asked:
            yield self._ask
        # dLoss/dh may be overwritten by delta where nobody asks for it: half the memory to pass through.
        keeps = watcher is not None or (self.config.residual and layer > 0)
        grad = self._h_grads[layer] if keeps else delta
        yield partial(self._mm, self._delta_of(layer + 1), self._weights[layer + 1], out=grad)
        if self.config.residual and layer + 1 < self.config.depth:
            yield partial(grad.add_, self._h_grads[layer + 1])  # it comes past the layer above, unchanged
        yield partial(self._multiply_slope, grad, self._zs[layer], self._hs[layer], delta)
        yield partial(self._mm, delta.mT, self._inputs(layer), out=self._weight_grads[layer])
        if self._biases and not self._is_small:
            yield partial(torch.sum, delta, -2, out=self._bias_grads[layer])
        if watcher is not None:
            yield partial(watcher.backward_done, layer)

    def _output_gradients(self, watcher: Watcher | None) -> Iterator[Call]:
        delta, h = self._output_delta, self._sums[-1]
        yield partial(self._mm, delta.mT, h, out=self._weight_grads[-1])
        if self._biases:
            yield partial(torch.sum, delta, -2, out=self._bias_grads[-1])
        if watcher is not None:
            yield partial(watcher.backward_done, self.config.depth)

    def _bias_gradients(self) -> list[Call]:
        """Sum small layers' deltas over the batch in one call; large ones are summed while in cache."""
        if not self._biases or not self._is_small:
            return []
        hidden = torch.as_strided(
            self.grads,
            (self.config.depth, len(self.models), self.config.width),
            (_aligned(self.config.width), self.grads.stride(0), 1),
            self.bias_grads[0].storage_offset(),
        )
        return [partial(torch.sum, self.delta, -2, out=hidden)]

    def _differentiate_loss(self) -> None:
        for model, loss in enumerate(self.losses):
            loss.differentiate(self.outputs[model], self.targets[model], self.output_delta[model])

    def samples(self, model: int) -> list[LayerSample]:
        """Give what the last watched pass left of a model at every layer, output last, as the probe does."""
        samples: list[LayerSample] = []
        after = NAN
        for layer in range(len(self._zs), -1, -1):
            sample = self._sample(model, layer, after)
            after = sample.delta_norm
            samples.append(sample)
        return samples[::-1]

    def _sample(self, model: int, layer: int, after: float) -> LayerSample:
        is_hidden = layer < len(self._zs)
        z = self.z[layer, model] if is_hidden else self.outputs[model]
        return LayerSample(
            z=z,
            h=self.h[layer, model] if is_hidden else z,
            derivative=self.entry.derivative if is_hidden else torch.ones_like,
            slope_sup=self.entry.slope_sup if is_hidden else 1.0,
            two_sided=is_hidden and self.entry.two_sided,
            delta=self.delta[layer, model] if is_hidden else self.output_delta[model],
            h_grad=self.h_grad[layer, model] if is_hidden else self.output_delta[model],
            weight=self.weights[layer][model],
            weight_grad=self.weight_grads[layer][model],
            bias_grad=self.bias_grads[layer][model] if self.bias_grads else None,
            delta_norm_after=after,
        )


def _same(one: Product, other: Product, factors: tuple[torch.Tensor, ...], out: torch.Tensor) -> bool:
    one(*factors, out=out)
    first = out.clone()
    other(*factors, out=out)
    return torch.equal(first, out)


def _each(kernel: Callable[..., object], *tensors: torch.Tensor) -> None:
    for parts in zip(*tensors, strict=True):
        kernel(*parts)


def _mm_each(a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> None:
    for parts in zip(a, b, out, strict=True):
        torch.mm(parts[0], parts[1], out=parts[2])


def _addmm_each(bias: torch.Tensor, a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> None:
    for parts in zip(bias, a, b, out, strict=True):
        torch.addmm(parts[0][0], parts[1], parts[2], out=parts[3])
