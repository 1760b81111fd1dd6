"""The layer meter gives what the definitions give, layer by layer."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnlab.activations import ACTIVATIONS


def sample(name, generator, *, scale=1.0, units=7, dtype=None, examples=33):
    import torch

    from nnlab.samples import LayerSample

    entry = ACTIVATIONS[name]
    z = scale * torch.randn(examples, units, generator=generator)
    draw = lambda *shape: scale * torch.randn(*shape, generator=generator)  # noqa: E731
    return LayerSample(
        z=z if dtype is None else z.to(dtype),
        h=entry.function(z if dtype is None else z.to(dtype)),
        derivative=entry.derivative,
        slope_sup=entry.slope_sup,
        two_sided=entry.two_sided,
        delta=draw(examples, units),
        h_grad=draw(examples, units),
        weight=draw(units, 5),
        weight_grad=draw(units, 5),
        bias_grad=draw(units),
        activation=name,
    )


def chained(samples):
    """Tell every sample the next one's error signal, as a pass does."""
    from dataclasses import replace

    after = math.nan
    linked = []
    for one in reversed(samples):
        linked.append(replace(one, delta_norm_after=after))
        after = one.delta_norm
    return linked[::-1]


def compare(samples, updates=None, rel=1e-5, near_zero=1e-8):
    from nnlab.layer_meter import LayerMeter
    from nnlab.metrics import measure_layers

    read, defined = LayerMeter(samples, updates).read(), measure_layers(samples, at_probe=False)
    assert set(read) == set(defined)
    for metric, values in defined.items():
        if metric != "update_ratio":
            # A mean near 0 has no digits of its own in float32.
            assert read[metric] == pytest.approx(values, rel=rel, abs=near_zero, nan_ok=True), metric


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_as_defined(name):
    import torch

    generator = torch.Generator().manual_seed(3)
    compare(chained([*(sample(name, generator) for _ in range(4)), sample("identity", generator, units=3)]))


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e15, 1e25])
def test_numbers_near_the_limits_of_float32(scale):
    import torch

    generator = torch.Generator().manual_seed(4)
    compare(chained([sample("tanh", generator, scale=scale) for _ in range(3)]), rel=1e-4, near_zero=0)


def test_layers_that_are_not_like_others():
    """Double precision, nan, infinity, nothing at all, other shapes: all as defined."""
    from dataclasses import replace

    import torch

    generator = torch.Generator().manual_seed(5)
    odd = [sample("relu", generator) for _ in range(7)]
    odd[1] = sample("relu", generator, dtype=torch.float64)
    odd[2].z[3, 2] = math.nan
    odd[3].h[0, 0] = math.inf
    odd[4] = replace(odd[4], z=torch.empty(0, 7), h=torch.empty(0, 7), delta=None, h_grad=None)
    odd[5] = sample("sigmoid", generator, units=300, examples=1000)
    odd[6] = replace(odd[6], weight_grad=None, bias_grad=None, time_ratio=3.0)
    compare(chained([*odd, sample("identity", generator)]))


def test_updates_are_ratios_of_spreads():
    import torch

    from nnlab.layer_meter import LayerMeter

    generator = torch.Generator().manual_seed(6)
    samples = chained([sample("tanh", generator) for _ in range(3)])
    before, update = np.array([0.5, 0.0, np.nan]), np.array([0.1, 0.2, 0.3])
    read = LayerMeter(samples, (before, update)).read()["update_ratio"]
    assert read[0] == pytest.approx(0.2)
    assert np.isnan(read[1:]).all()


def test_one_layer_is_only_an_output():
    import torch

    compare([sample("identity", torch.Generator().manual_seed(0))])
