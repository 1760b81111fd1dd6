"""Fused modules: recurrent networks and multi-head attention, whose insides no hook sees.

Their outputs and the gradients there are kept, and what lies between is computed once more in the open: by
the published equations, from the inputs, weights and random numbers they had. Where that does not give their
very outputs (dropout on a GPU, a mask of another kind) their signals are left unmeasured, and the layer's
notes say so.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from nnlab.activation_calls import IDENTITY, Phi
from nnlab.seen import Rows, Seen, as_matrix, plain, side_by_side

FUSED = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)
OUT = "out_proj"
# What a second computation in float32 may differ by from one in half precision, as a share of its norm.
SAME = 0.02
NEAR = 3  # steps back in autograd's graph: an LSTM cell's output is o tanh(c)
_SIGMOID, _TANH, _RELU = Phi("sigmoid"), Phi("tanh"), Phi("relu")
# Hochreiter & Schmidhuber 1997 with Gers et al. 2000; Cho et al. 2014; the order of PyTorch's weights.
_GATES = {
    "LSTM": (_SIGMOID, _SIGMOID, _TANH, _SIGMOID),
    "GRU": (_SIGMOID, _SIGMOID, _TANH),
    "RNN_TANH": (_TANH,),
    "RNN_RELU": (_RELU,),
}

Tensors = list[torch.Tensor]


class Unlike(Exception):
    """The computation in the open cannot be what the module did; the message says why."""


@dataclass(frozen=True)
class _Replay:
    """What was computed once more: what goes into activations and comes out of each gate or projection.

    Shapes: z and h hold a tensor a step, (batch, units) or (length, batch, units), for each gate of each
    track (a layer in a direction, a projection): the very ones that the outputs were computed from.
    `outputs` stand for the module's own. `backward` marks tracks that run from the last step to the first.
    """

    z: tuple[Tensors, ...]
    h: tuple[Tensors, ...]
    outputs: tuple[torch.Tensor | None, ...]
    backward: tuple[bool, ...] = ()


def _mode(module: nn.Module) -> str:
    """Give the kind of a recurrent module."""
    if isinstance(module, nn.RNNBase):
        return str(module.mode)
    kinds = {nn.LSTMCell: "LSTM", nn.GRUCell: "GRU"}
    cell = next((kind for cls, kind in kinds.items() if isinstance(module, cls)), "")
    return cell or f"RNN_{getattr(module, 'nonlinearity', 'tanh').upper()}"


class FusedCall:
    """One execution of a fused module."""

    def __init__(
        self,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        output: Any,
        keep: Callable[[torch.Tensor], Seen],
        random_state: torch.Tensor | None = None,
    ) -> None:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
        bound.apply_defaults()
        self._module = module
        self._inputs = {name: _kept(value, keep) for name, value in bound.arguments.items()}
        self._outputs = _kept(output, keep)
        self._random_state = random_state
        self._memory_feeds_output = isinstance(module, nn.LSTMCell) and _is_made_of(*output)
        self.passed = 0

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows of the table that this module fills: "" for its own name."""
        return ("", OUT) if isinstance(self._module, nn.MultiheadAttention) else ("",)

    def _named(self, row: str, ending: str) -> Tensors:
        if row == OUT:
            found = getattr(self._module.out_proj, ending, None)
            return [] if found is None else [found]
        own = self._module.named_parameters(recurse=False)
        return [p for name, p in own if (ending in name) and (p.dim() >= 2) == (ending == "weight")]

    def weights(self, row: str) -> Tensors:
        """Give the weights of a row."""
        return self._named(row, "weight")

    def biases(self, row: str) -> Tensors:
        """Give the biases of a row."""
        return self._named(row, "bias")

    @property
    def got_gradient(self) -> bool:
        """Whether a backward pass came by."""
        return any(seen.grad is not None for seen in _flat(self._outputs))

    @property
    def needs_gradient(self) -> bool:
        """Whether an error signal is to come to its outputs."""
        return any(seen.needs_gradient for seen in _flat(self._outputs))

    def phis(self, row: str) -> tuple[tuple[Phi, int], ...]:
        """Give the activations with their numbers of units."""
        module = self._module
        if isinstance(module, nn.MultiheadAttention):
            rows = self._by_row.get(row)
            return rows.phis if rows else ((IDENTITY, module.embed_dim * (1 if row == OUT else 3)),)
        gates = _GATES[_mode(module)]
        tracks = len(_tracks(module)) if isinstance(module, nn.RNNBase) else 1
        return tuple((phi, int(module.hidden_size)) for _ in range(tracks) for phi in gates)  # type: ignore[arg-type]

    def notes(self, row: str) -> tuple[str, ...]:
        """Say what could not be computed once more, and why."""
        if isinstance(self._replayed, str) and row != OUT:
            return (f"its inside cannot be seen: {self._replayed}",)
        return ()

    def rows_of(self, row: str) -> Rows:
        """Give what the call left in a row; the backward pass must be done."""
        return self._by_row.get(row) or Rows(None, None, None, None, self.phis(row))

    @cached_property
    def _replayed(self) -> _Replay | str:
        """Compute the module once more; a sentence where that cannot be done."""
        try:
            inputs = {name: _values(v) for name, v in self._inputs.items()}
            with torch.enable_grad(), torch.autocast("cpu", enabled=False), _drawing_from(self._random_state):
                replayed = self._replay(inputs)
            self._check(replayed)
        except Unlike as reason:
            return str(reason)
        return replayed

    def _replay(self, inputs: Mapping[str, Any]) -> _Replay:
        if isinstance(self._module, nn.MultiheadAttention):
            return _attention(self._module, inputs)
        if isinstance(self._module, nn.RNNBase):
            return _recurrent(self._module, inputs)
        return _one_cell(self._module, inputs["input"], inputs["hx"], apart=self._memory_feeds_output)

    def _check(self, replayed: _Replay) -> None:
        for mine, its in zip(replayed.outputs, _flat(self._outputs), strict=False):
            values = its.values
            if mine is None or values is None:
                continue
            wanted = plain(values)
            if mine.shape != wanted.shape:
                raise Unlike("it put out another shape than its equations give")
            off = float((mine.detach() - wanted).norm())
            if not (off <= SAME * float(wanted.norm()) or not wanted.isfinite().all()):
                raise Unlike("its outputs are not those of its equations, as with dropout inside")

    @cached_property
    def _by_row(self) -> dict[str, Rows]:
        replayed = self._replayed
        rows: dict[str, Rows] = {}
        if isinstance(self._module, nn.MultiheadAttention):
            (out,) = _flat(self._outputs)[:1]
            units = self._module.embed_dim
            z = None if out.values is None else as_matrix(plain(out.values), units, -1)
            delta = None if out.grad is None else as_matrix(plain(out.grad), units, -1)
            rows[OUT] = Rows(z, z, delta, delta, ((IDENTITY, units),))
        if not isinstance(replayed, str):
            rows[""] = self._rows_of_replay(replayed)
        return rows

    def _rows_of_replay(self, replayed: _Replay) -> Rows:
        deltas, h_grads = self._gradients
        # Queries and keys of different lengths have no examples in common: below each other then.
        lengths = {tuple(steps[0].shape[:-1]) for steps in replayed.z}
        join = side_by_side if len(lengths) == 1 else _below
        z = join([_flattened(torch.stack(steps).detach()) for steps in replayed.z])
        h = join([_flattened(torch.stack(steps).detach()) for steps in replayed.h])
        phis = self.phis("") if not isinstance(self._module, nn.MultiheadAttention) else None
        return Rows(
            z=z,
            h=h,
            delta=None if deltas is None else join([_flattened(d) for d in deltas]),
            h_grad=None if h_grads is None else join([_flattened(d) for d in h_grads]),
            phis=phis or ((IDENTITY, 0 if z is None else z.shape[1]),),
        )

    @cached_property
    def _gradients(self) -> tuple[Tensors | None, Tensors | None]:
        """Give dLoss/dz and dLoss/dh of the computation in the open, None where no gradient arrived."""
        replayed = self._replayed
        if isinstance(replayed, str):
            return None, None
        pairs = [
            (mine, plain(its.grad))
            for mine, its in zip(replayed.outputs, _flat(self._outputs), strict=False)
            if mine is not None and its.grad is not None
        ]
        if not pairs:
            return None, None
        gates = [*replayed.z, *replayed.h]
        inside = [step for steps in gates for step in steps]
        found = torch.autograd.grad(
            [mine for mine, _ in pairs],
            inside,
            [grad for _, grad in pairs],
            retain_graph=True,
            allow_unused=True,
        )
        filled = iter([torch.zeros_like(t) if g is None else g for t, g in zip(inside, found, strict=True)])
        stacked = [torch.stack([next(filled) for _ in steps]) for steps in gates]
        return stacked[: len(replayed.z)], stacked[len(replayed.z) :]

    @property
    def time_ratio(self) -> float:
        """Give ||delta|| at the first time step over that at the last, of the track where it is largest."""
        deltas, replayed = self._gradients[0], self._replayed
        if deltas is None or isinstance(replayed, str) or not replayed.backward or len(deltas[0]) < 2:
            return math.nan
        gates = len(deltas) // len(replayed.backward)
        ratios = []
        for track, runs_back in enumerate(replayed.backward):
            steps = torch.cat(deltas[track * gates : (track + 1) * gates], dim=-1).double()
            first, last = (steps[-1], steps[0]) if runs_back else (steps[0], steps[-1])
            ratios.append(float(first.norm() / last.norm()) if last.any() else math.nan)
        known = [ratio for ratio in ratios if not math.isnan(ratio)]
        return max(known, default=math.nan)


def draws(module: nn.Module) -> bool:
    """Whether a fused module is about to draw random numbers."""
    return module.training and float(getattr(module, "dropout", 0.0)) > 0


@contextmanager
def _drawing_from(random_state: torch.Tensor | None) -> Iterator[None]:
    """Draw the same random numbers once more, and leave the generator as it is."""
    if random_state is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.set_rng_state(random_state)
        yield


def _is_made_of(result: torch.Tensor, part: torch.Tensor) -> bool:
    """Whether autograd's graph leads from one output of a module to another.

    Then the gradient at `part` already holds what comes through `result`. PyTorch's LSTM cell is so on
    CPU, while its kernel for GPU gives both at once.
    """
    node, nodes = part.grad_fn, [result.grad_fn]
    for _ in range(NEAR):
        nodes = [after for n in nodes if n is not None for after, _ in n.next_functions]
        if node is not None and node in nodes:
            return True
    return False


def _kept(value: Any, keep: Callable[[torch.Tensor], Seen]) -> Any:
    if isinstance(value, torch.Tensor):
        return keep(value)
    return tuple(_kept(part, keep) for part in value) if type(value) in (tuple, list) else value


def _values(value: Any) -> Any:
    if isinstance(value, Seen):
        if value.values is None:
            raise Unlike("an input was overwritten")
        return plain(value.values) if value.values.is_floating_point() else value.values
    return tuple(_values(part) for part in value) if isinstance(value, tuple) else value


def _flat(value: Any) -> list[Seen]:
    if isinstance(value, Seen):
        return [value]
    return [seen for part in value for seen in _flat(part)] if isinstance(value, tuple) else []


def _flattened(values: torch.Tensor) -> torch.Tensor:
    return values.reshape(-1, values.shape[-1])


def _below(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.cat(list(parts))


# Recurrent networks.


def _tracks(module: nn.RNNBase) -> list[str]:
    """Give the endings of the parameters of every layer and direction, in order of execution."""
    directions = ("", "_reverse") if module.bidirectional else ("",)
    return [f"l{layer}{direction}" for layer in range(module.num_layers) for direction in directions]


def _parameters(module: nn.Module, ending: str) -> dict[str, torch.Tensor | None]:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    found = {name: getattr(module, f"{name}{ending}", None) for name in names}
    # They must need a gradient, so that there is a way back to what they are multiplied with.
    return {n: None if p is None else plain(p.detach()).clone().requires_grad_() for n, p in found.items()}


def _cell(
    mode: str, p: Mapping[str, Any], x: torch.Tensor, state: Tensors
) -> tuple[Tensors, Tensors, Tensors]:
    """Take one step; give z and h of every gate, and the next state."""
    from_input = F.linear(x, p["weight_ih"], p["bias_ih"])
    from_state = F.linear(state[0], p["weight_hh"], p["bias_hh"])
    if mode == "LSTM":
        z = list((from_input + from_state).chunk(4, -1))
        i, f, g, o = z[0].sigmoid(), z[1].sigmoid(), z[2].tanh(), z[3].sigmoid()
        c = f * state[1] + i * g
        return z, [i, f, g, o], [o * c.tanh(), c]
    if mode == "GRU":
        (a, b, c), (d, e, s) = from_input.chunk(3, -1), from_state.chunk(3, -1)
        reset_z, update_z = a + d, b + e
        reset, update = reset_z.sigmoid(), update_z.sigmoid()
        new_z = c + reset * s
        new = new_z.tanh()
        return [reset_z, update_z, new_z], [reset, update, new], [(1 - update) * new + update * state[0]]
    z0 = from_input + from_state
    h = z0.tanh() if mode == "RNN_TANH" else z0.relu()
    return [z0], [h], [h]


def _walk(
    mode: str, p: Mapping[str, Any], x: torch.Tensor, state: Tensors, *, backward: bool
) -> tuple[list[Tensors], list[Tensors], torch.Tensor, Tensors]:
    """Run one layer in one direction over (steps, batch, inputs); give z and h by gate and step."""
    zs, hs, outs = [], [], []
    order = range(len(x) - 1, -1, -1) if backward else range(len(x))
    for step in order:
        z, h, state = _cell(mode, p, x[step], state)
        zs.append(z)
        hs.append(h)
        outs.append(state[0])
    if backward:
        zs, hs, outs = zs[::-1], hs[::-1], outs[::-1]
    by_gate = (
        [list(steps) for steps in zip(*zs, strict=True)],
        [list(steps) for steps in zip(*hs, strict=True)],
    )
    return *by_gate, torch.stack(outs), state


def _recurrent(module: nn.RNNBase, inputs: Mapping[str, Any]) -> _Replay:
    x, hx = inputs["input"], inputs["hx"]
    if not isinstance(x, torch.Tensor):
        raise Unlike("its input is a packed sequence")
    if module.proj_size:
        raise Unlike("it projects its state")
    is_batched = x.dim() == 3
    x = x if is_batched else x.unsqueeze(1)
    x = x.transpose(0, 1) if module.batch_first and is_batched else x
    return _replay_layers(module, x, _states(module, x, hx, is_batched=is_batched), is_batched=is_batched)


def _states(module: nn.RNNBase, x: torch.Tensor, hx: Any, *, is_batched: bool) -> list[torch.Tensor]:
    """Give the first states, (tracks, batch, units) each: one, or with LSTM's memory two."""
    count = 2 if module.mode == "LSTM" else 1
    if hx is None:
        return [x.new_zeros(len(_tracks(module)), x.shape[1], module.hidden_size)] * count
    given = hx if isinstance(hx, tuple) else (hx,)
    return [state if is_batched else state.unsqueeze(1) for state in given]


def _replay_layers(
    module: nn.RNNBase, x: torch.Tensor, first: list[torch.Tensor], *, is_batched: bool
) -> _Replay:
    tracks = _tracks(module)
    together = 2 if module.bidirectional else 1
    zs: list[Tensors] = []
    hs: list[Tensors] = []
    lasts: list[Tensors] = []
    for start in range(0, len(tracks), together):
        outs = []
        for number in range(start, start + together):
            parameters = _parameters(module, f"_{tracks[number]}")
            runs_back = tracks[number].endswith("_reverse")
            z, h, out, last = _walk(
                module.mode, parameters, x, [s[number] for s in first], backward=runs_back
            )
            zs += z
            hs += h
            outs.append(out)
            lasts.append(last)
        x = torch.cat(outs, dim=-1)
        if start + together < len(tracks):
            x = F.dropout(x, module.dropout, module.training)
    finals = [torch.stack([last[kind] for last in lasts]) for kind in range(len(first))]
    if not is_batched:
        x, finals = x.squeeze(1), [final.squeeze(1) for final in finals]
    elif module.batch_first:
        x = x.transpose(0, 1)
    back = tuple(track.endswith("_reverse") for track in tracks)
    return _Replay(tuple(zs), tuple(hs), (x, *finals), back)


def _one_cell(module: nn.Module, x: torch.Tensor, hx: Any, *, apart: bool) -> _Replay:
    """Take one step; `apart` cuts the way from an LSTM's output back to its memory."""
    mode = _mode(module)
    count = 2 if mode == "LSTM" else 1
    given = hx if isinstance(hx, tuple) else (hx,) * count
    blank = x.new_zeros(*x.shape[:-1], int(module.hidden_size))  # type: ignore[arg-type]
    state = [blank if part is None else part for part in given]
    z, h, after = _cell(mode, _parameters(module, ""), x, state)
    if apart:
        after[0] = h[-1] * after[1].detach().tanh()
    return _Replay(tuple([step] for step in z), tuple([step] for step in h), tuple(after))


# Attention (Vaswani et al. 2017, equation 1).


def _projections(module: nn.MultiheadAttention, inputs: Mapping[str, Any]) -> Tensors:
    """Give queries, keys and values, (length, batch, units) each."""
    weights: Sequence[Any]
    if module._qkv_same_embed_dim:
        weights = module.in_proj_weight.detach().chunk(3)
    else:
        weights = [w.detach() for w in (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)]
    biases = [None] * 3 if module.in_proj_bias is None else module.in_proj_bias.detach().chunk(3)
    projected = []
    for name, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
        x = inputs[name]
        x = x.unsqueeze(1) if x.dim() == 2 else x.transpose(0, 1) if module.batch_first else x
        projected.append(F.linear(x, plain(weight), None if bias is None else plain(bias)).requires_grad_())
    return projected


def _mask(inputs: Mapping[str, Any], heads: int, batch: int) -> torch.Tensor | float:
    """Give what is added to the scores (batch, heads, queries, keys)."""
    total: torch.Tensor | float = 0.0
    for name in ("attn_mask", "key_padding_mask"):
        mask = inputs[name]
        if mask is None:
            continue
        if mask.dtype == torch.bool:
            mask = torch.zeros(mask.shape, device=mask.device).masked_fill_(mask, -math.inf)
        if name == "key_padding_mask":
            mask = mask.reshape(batch, 1, 1, -1)
        elif mask.dim() == 3:
            mask = mask.reshape(batch, heads, *mask.shape[1:])
        total = total + mask
    return total


def _attention(module: nn.MultiheadAttention, inputs: Mapping[str, Any]) -> _Replay:
    if module.bias_k is not None or module.add_zero_attn:
        raise Unlike("it adds keys of its own")
    if any(isinstance(inputs[name], torch.Tensor) and inputs[name].is_nested for name in ("query", "key")):
        raise Unlike("its inputs are nested tensors")
    queries, keys, values = projected = _projections(module, inputs)
    batch, heads = queries.shape[1], module.num_heads

    def by_head(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(len(x), batch, heads, -1).permute(1, 2, 0, 3)

    scores = by_head(queries) @ by_head(keys).transpose(-1, -2) / math.sqrt(module.head_dim)
    shares = (scores + _mask(inputs, heads, batch)).softmax(-1)
    mixed = F.dropout(shares, module.dropout, module.training) @ by_head(values)
    mixed = mixed.permute(2, 0, 1, 3).reshape(*queries.shape[:2], -1)
    out = module.out_proj
    result = F.linear(
        mixed, plain(out.weight.detach()), None if out.bias is None else plain(out.bias.detach())
    )
    if inputs["query"].dim() == 2:
        result = result.squeeze(1)
    elif module.batch_first:
        result = result.transpose(0, 1)
    return _Replay(tuple([part] for part in projected), tuple([part] for part in projected), (result,))
