"""The initializers: spread and bounds of the weights they fill."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nnlab.initializers import INITIALIZERS, Initializer

FAN_OUT, FAN_IN = 400, 300

# The standard deviation each one is defined by, for this shape.
SPREADS = {
    "pytorch_default": math.sqrt(1 / (3 * FAN_IN)),
    "xavier_uniform": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "xavier_normal": math.sqrt(2 / (FAN_IN + FAN_OUT)),
    "kaiming_uniform": math.sqrt(2 / FAN_IN),
    "kaiming_normal": math.sqrt(2 / FAN_IN),
    "lecun_normal": math.sqrt(1 / FAN_IN),
    "orthogonal": math.sqrt(1 / FAN_OUT),
    "glorot_standard": math.sqrt(1 / (3 * FAN_IN)),
    "normal_0.01": 0.01,
    "zeros": 0.0,
    "lsuv": math.sqrt(1 / FAN_OUT),
}
BOUNDS = {
    "pytorch_default": 1 / math.sqrt(FAN_IN),
    "xavier_uniform": math.sqrt(6 / (FAN_IN + FAN_OUT)),
    "kaiming_uniform": math.sqrt(6 / FAN_IN),
    "glorot_standard": 1 / math.sqrt(FAN_IN),
}
NORMAL = ("xavier_normal", "kaiming_normal", "lecun_normal", "normal_0.01")

every_initializer = pytest.mark.parametrize("entry", INITIALIZERS.values(), ids=INITIALIZERS)


def _filled(name: str, shape: tuple[int, int] = (FAN_OUT, FAN_IN), seed: int = 0) -> np.ndarray:
    weight = torch.full(shape, math.nan)
    INITIALIZERS[name].fill(weight, torch.Generator().manual_seed(seed))
    return weight.double().numpy()


@every_initializer
def test_states_the_spread_it_is_defined_by(entry: Initializer) -> None:
    assert entry.std(FAN_IN, FAN_OUT) == pytest.approx(SPREADS[entry.name], rel=1e-12)


@every_initializer
def test_fills_with_the_spread_it_states(entry: Initializer) -> None:
    for shape in ((FAN_OUT, FAN_IN), (FAN_IN, FAN_OUT)):
        weight = _filled(entry.name, shape)
        aim = entry.std(shape[1], shape[0])
        assert weight.std() == pytest.approx(aim, rel=0.03)
        assert abs(weight.mean()) <= 4 * aim / math.sqrt(weight.size)


@pytest.mark.parametrize("name", BOUNDS)
def test_uniform_weights_fill_their_bounds(name: str) -> None:
    largest = abs(_filled(name)).max()
    assert 0.999 * BOUNDS[name] < largest <= np.float32(BOUNDS[name])


@pytest.mark.parametrize("name", BOUNDS)
def test_uniform_weights_are_flat(name: str) -> None:
    counts = np.histogram(_filled(name), bins=10, range=(-BOUNDS[name], BOUNDS[name]))[0]
    assert counts == pytest.approx(FAN_IN * FAN_OUT / 10, rel=0.05)


@pytest.mark.parametrize("name", NORMAL)
def test_normal_weights_have_the_tails_of_a_normal_that_is_not_cut_off(name: str) -> None:
    in_spreads = abs(_filled(name)) / SPREADS[name]
    assert in_spreads.max() > 3.5
    assert (in_spreads > 2).mean() == pytest.approx(0.0455, rel=0.1)


@pytest.mark.parametrize("name", ["orthogonal", "lsuv"])
@pytest.mark.parametrize("shape", [(400, 300), (300, 400), (64, 64), (1, 7), (7, 1)], ids=str)
def test_orthogonal_weights_have_orthonormal_rows_on_the_short_side(
    name: str, shape: tuple[int, int]
) -> None:
    weight = _filled(name, shape)
    short = weight if shape[0] <= shape[1] else weight.T
    np.testing.assert_allclose(short @ short.T, np.eye(len(short)), rtol=0, atol=1e-5)


def test_zeros_are_zero() -> None:
    assert (_filled("zeros") == 0).all()


@every_initializer
def test_the_same_seed_gives_the_same_bits(entry: Initializer) -> None:
    assert _filled(entry.name, seed=5).tobytes() == _filled(entry.name, seed=5).tobytes()


@pytest.mark.parametrize("name", [name for name in SPREADS if name != "zeros"])
def test_another_seed_gives_other_weights(name: str) -> None:
    assert (_filled(name, seed=5) != _filled(name, seed=6)).mean() > 0.99


@every_initializer
def test_the_random_state_of_the_process_is_not_used(entry: Initializer) -> None:
    before = torch.get_rng_state()
    _filled(entry.name)
    assert torch.equal(torch.get_rng_state(), before)


@every_initializer
def test_only_the_default_of_pytorch_draws_biases(entry: Initializer) -> None:
    if entry.name == "pytorch_default":
        assert entry.bias_bound is not None
        assert entry.bias_bound(FAN_IN) == pytest.approx(BOUNDS["pytorch_default"], rel=1e-12)
    else:
        assert entry.bias_bound is None


@every_initializer
def test_says_what_it_is(entry: Initializer) -> None:
    assert INITIALIZERS[entry.name] is entry
    for text in (entry.label, entry.formula, entry.source, entry.made_for):
        assert text.strip() == text != ""
