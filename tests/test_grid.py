"""Grids: every combination once, and one sentence for what is none."""

from __future__ import annotations

import pytest

import nnlab
from nnlab.grid import MAX_CELLS, list_grid, make_grid, parse_axis

BASE = nnlab.ExperimentConfig(steps=7, seed=5)


def test_every_combination_from_every_seed():
    grid = make_grid(BASE, {"depth": (2, 10), "activation": ["tanh", "relu"]}, 2)
    said = [(cell.depth, cell.activation, cell.seed, cell.steps) for cell in grid.cells]
    assert said == [(d, a, s, 7) for d in (2, 10) for a in ("tanh", "relu") for s in (5, 6)]
    assert grid.axes == {"depth": (2, 10), "activation": ("tanh", "relu"), "seed": (5, 6)}
    assert grid.groups == ((0, 1), (2, 3), (4, 5), (6, 7))


def test_seeds_are_named_counted_or_an_axis():
    assert [c.seed for c in make_grid(BASE, {}, (9, 3)).cells] == [9, 3]
    assert [c.seed for c in make_grid(BASE, {"seed": (9, 3)}).cells] == [9, 3]
    assert make_grid(BASE, {}).cells == (BASE,)


def test_a_list_of_experiments_keeps_each_once():
    grid = list_grid([BASE, BASE.replace(depth=3), BASE])
    assert grid.cells == (BASE, BASE.replace(depth=3))
    assert grid.axes == {"depth": (6, 3)}
    with pytest.raises(ValueError, match="no cells"):
        list_grid([])
    with pytest.raises(ValueError, match="more than 2 cells"):
        list_grid((BASE.replace(seed=seed) for seed in range(10**9)), limit=2)


@pytest.mark.parametrize(("text", "name", "values"), [
    ("depth=2,5,10", "depth", (2, 5, 10)), ("batch-size=32", "batch_size", (32,)),
    ("clip_norm=none,1,0.5", "clip_norm", (None, 1.0, 0.5)),
    ("residual=true,false", "residual", (True, False)),
    ('target="a, b",c', "target", ("a, b", "c")), ('features="a,b",c', "features", (("a", "b"), ("c",))),
    ("learning_rate=1e-3,.1", "learning_rate", (0.001, 0.1)),
], ids=str)  # fmt: skip
def test_an_axis_is_read_as_flags_are(text, name, values):
    assert parse_axis(text) == (name, values)


@pytest.mark.parametrize(("text", "said"), [
    ("depth", "no FIELD=VALUE"), ("dept=2", "'dept' is no field; allowed: dataset, samples"),
    ("depth=2,,3", "depth: '' is not allowed"), ("depth=2,x", "'x' is not allowed; allowed: a whole number"),
    ("depth=", "depth: '' is not allowed|no cells"), ('target="a', "quote that is not closed"),
    ("=2", "'' is no field"), ("depth=0", "from 1 to 100"), ("depth=2\n3", "grid: "),
], ids=str)  # fmt: skip
def test_an_axis_that_is_none_is_refused(text, said):
    with pytest.raises(ValueError, match=said) as error:
        make_grid(BASE, dict([parse_axis(text)]))
    assert str(error.value).startswith("grid: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("axes", "seeds", "said"), [
    ({"depht": (1,)}, 1, "'depht' is no field"), ({"depth": ()}, 1, "no cells"), ({}, 0, "seeds: 0 seeds"),
    ({"depth": (2, 3, 2)}, 1, "depth 2 is there twice"), ({"depth": (2, 2.0)}, 1, "depth 2 is there twice"),
    ({"activation": ("tanh", "tan")}, 1, "activation: 'tan' is not allowed"),
    ({"gain": (0.0,)}, 1, "gain: 0.0 is not allowed"), ({"depth": 3}, 1, "'3' is no list"),
    ({"activation": "tanh"}, 1, "'tanh' is no list"),
    ({"seed": (1, 2)}, 3, "seeds: the grid names its seeds already"),
    ({"seed": range(10**9)}, 1, r"1,000,000,000 cells; allowed: at most 10,000"),
    ({}, 10**9, r"1,000,000,000 cells; allowed: at most 10,000"),
    ({"depth": range(1, 101), "width": range(1, 1025), "seed": range(10**30)}, 1, r"about 10\^\d+ cells"),
    ({"normalization": ("none", "batch"), "batch_size": (1,)}, 1, "the cell normalization batch batch_s"),
    ({"depth": (100,), "width": (1024,), "batch_size": (4096,)}, 1, "GFLOP a step"),
], ids=str)  # fmt: skip
def test_a_grid_that_cannot_be_trained_is_refused_before_it_is_built(axes, seeds, said):
    with pytest.raises(ValueError, match=said) as error:
        make_grid(BASE, axes, seeds)
    assert "\n" not in str(error.value)


def test_the_limit_itself_is_allowed():
    assert len(make_grid(BASE, {"depth": range(1, 101)}, MAX_CELLS // 100).cells) == MAX_CELLS
    with pytest.raises(ValueError, match="10,100 cells"):
        make_grid(BASE, {"depth": range(1, 101)}, MAX_CELLS // 100 + 1)
