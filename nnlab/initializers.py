"""The weight initializers: one registry entry makes one more choice everywhere.

Each entry fills one weight matrix of shape (fan_out, fan_in) from a generator and states the standard
deviation it aims at. Biases start at 0 but for `pytorch_default`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Mishkin & Matas 2016, algorithm 1: unit variance is reached within this, or after so many rounds.
LSUV_TOLERANCE = 0.1
LSUV_ROUNDS = 10
SMALL_STD = 0.01  # Krizhevsky et al. 2012 started all their weights from N(0, 0.01)

Fill = Callable[["torch.Tensor", "torch.Generator"], None]


@dataclass(frozen=True)
class Initializer:
    """A rule for the weights that training starts from.

    `fill(weight, generator)` writes into a weight of shape (fan_out, fan_in). `std(fan_in, fan_out)`
    is the standard deviation of its entries before `gain`. `bias_bound(fan_in)` bounds uniform biases;
    None means zeros. `fitted_to_data` asks for unit variance of z on a batch, layer by layer (LSUV).
    `code` is the same as `fill` in plain PyTorch, for the layer `linear`; `bias_code` as `bias_bound`.
    """

    name: str
    label: str
    formula: str
    source: str
    made_for: str
    fill: Fill
    std: Callable[[int, int], float]
    code: str
    bias_bound: Callable[[int], float] | None = None
    bias_code: str = ""
    fitted_to_data: bool = False


def _uniform(std: Callable[[int, int], float]) -> Fill:
    def fill(weight: torch.Tensor, generator: torch.Generator) -> None:
        fan_out, fan_in = weight.shape
        bound = math.sqrt(3.0) * std(fan_in, fan_out)
        weight.uniform_(-bound, bound, generator=generator)

    return fill


def _normal(std: Callable[[int, int], float]) -> Fill:
    def fill(weight: torch.Tensor, generator: torch.Generator) -> None:
        fan_out, fan_in = weight.shape
        weight.normal_(0.0, std(fan_in, fan_out), generator=generator)

    return fill


def _fill_orthogonal(weight: torch.Tensor, generator: torch.Generator) -> None:
    from torch.nn.init import orthogonal_

    orthogonal_(weight, generator=generator)


def _fill_zeros(weight: torch.Tensor, generator: torch.Generator) -> None:
    weight.zero_()


def _lecun_std(fan_in: int, fan_out: int) -> float:
    return math.sqrt(1.0 / fan_in)


def _standard_std(fan_in: int, fan_out: int) -> float:
    return math.sqrt(1.0 / (3.0 * fan_in))


def _xavier_std(fan_in: int, fan_out: int) -> float:
    return math.sqrt(2.0 / (fan_in + fan_out))


def _kaiming_std(fan_in: int, fan_out: int) -> float:
    return math.sqrt(2.0 / fan_in)


def _orthogonal_std(fan_in: int, fan_out: int) -> float:
    return math.sqrt(1.0 / max(fan_in, fan_out))


def _small_std(fan_in: int, fan_out: int) -> float:
    return SMALL_STD


def _zero_std(fan_in: int, fan_out: int) -> float:
    return 0.0


def _inverse_root(fan_in: int) -> float:
    return 1.0 / math.sqrt(fan_in)


_ENTRIES = (
    Initializer(
        name="pytorch_default",
        label="PyTorch default",
        formula=r"W, b \sim U(\pm 1/\sqrt{n_{in}})",
        source="torch.nn.Linear: kaiming_uniform_ with a = sqrt(5)",
        made_for="What nn.Linear does when nobody asks: variance 1/3 of what a linear net needs.",
        fill=_uniform(_standard_std),
        std=_standard_std,
        code="nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5), generator=generator)",
        bias_bound=_inverse_root,
        bias_code="1 / math.sqrt(linear.in_features)",
    ),
    Initializer(
        name="xavier_uniform",
        label="Xavier uniform",
        formula=r"W \sim U(\pm \sqrt{6/(n_{in} + n_{out})})",
        source="Glorot & Bengio 2010, equation 16",
        made_for="Signals that keep their size forward and backward through tanh layers.",
        fill=_uniform(_xavier_std),
        std=_xavier_std,
        code="nn.init.xavier_uniform_(linear.weight, generator=generator)",
    ),
    Initializer(
        name="xavier_normal",
        label="Xavier normal",
        formula=r"W \sim N(0, 2/(n_{in} + n_{out}))",
        source="Glorot & Bengio 2010",
        made_for="The same variance as Xavier uniform, with Gaussian weights.",
        fill=_normal(_xavier_std),
        std=_xavier_std,
        code="nn.init.xavier_normal_(linear.weight, generator=generator)",
    ),
    Initializer(
        name="kaiming_uniform",
        label="Kaiming uniform",
        formula=r"W \sim U(\pm \sqrt{6/n_{in}})",
        source="He, Zhang, Ren & Sun 2015, equation 10",
        made_for="ReLU: twice the variance, since half of the units are off.",
        fill=_uniform(_kaiming_std),
        std=_kaiming_std,
        code='nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu", generator=generator)',
    ),
    Initializer(
        name="kaiming_normal",
        label="Kaiming normal",
        formula=r"W \sim N(0, 2/n_{in})",
        source="He, Zhang, Ren & Sun 2015, equation 10",
        made_for="ReLU: twice the variance, since half of the units are off.",
        fill=_normal(_kaiming_std),
        std=_kaiming_std,
        code='nn.init.kaiming_normal_(linear.weight, nonlinearity="relu", generator=generator)',
    ),
    Initializer(
        name="lecun_normal",
        label="LeCun normal",
        formula=r"W \sim N(0, 1/n_{in})",
        source="LeCun, Bottou, Orr & Müller 1998; Klambauer et al. 2017 for SELU",
        made_for="Unit variance forward; what SELU's fixed point asks for.",
        fill=_normal(_lecun_std),
        std=_lecun_std,
        code='nn.init.kaiming_normal_(linear.weight, nonlinearity="linear", generator=generator)',
    ),
    Initializer(
        name="orthogonal",
        label="Orthogonal",
        formula=r"W^T W = I",
        source="Saxe, McClelland & Ganguli 2014",
        made_for="A linear network whose signal keeps its length exactly, at any depth.",
        fill=_fill_orthogonal,
        std=_orthogonal_std,
        code="nn.init.orthogonal_(linear.weight, generator=generator)",
    ),
    Initializer(
        name="glorot_standard",
        label="Standard (pre-2010)",
        formula=r"W \sim U(\pm 1/\sqrt{n_{in}}),\ b = 0",
        source="Glorot & Bengio 2010, equation 1: the heuristic of the time",
        made_for="The habit that made deep networks fail: variance 1/3 at every layer.",
        fill=_uniform(_standard_std),
        std=_standard_std,
        code="nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5), generator=generator)",
    ),
    Initializer(
        name="normal_0.01",
        label="Normal, std 0.01",
        formula=r"W \sim N(0, 0.01^2)",
        source="Krizhevsky, Sutskever & Hinton 2012",
        made_for="Small weights whatever the width; too small for deep networks.",
        fill=_normal(_small_std),
        std=_small_std,
        code="nn.init.normal_(linear.weight, std=0.01, generator=generator)",
    ),
    Initializer(
        name="zeros",
        label="Zeros",
        formula=r"W = 0",
        source="The counterexample: Rumelhart, Hinton & Williams 1986 on symmetry breaking",
        made_for="Seeing why weights must differ: no signal passes either way.",
        fill=_fill_zeros,
        std=_zero_std,
        code="nn.init.zeros_(linear.weight)",
    ),
    Initializer(
        name="lsuv",
        label="LSUV (fits data)",
        formula=r"W \leftarrow W / \mathrm{std}(z_l) \text{ until } \mathrm{Var}(z_l) = 1",
        source="Mishkin & Matas 2016, algorithm 1",
        made_for="Unit variance of every layer for any activation, measured instead of derived.",
        fill=_fill_orthogonal,
        std=_orthogonal_std,
        code="nn.init.orthogonal_(linear.weight, generator=generator)",
        fitted_to_data=True,
    ),
)

INITIALIZERS: dict[str, Initializer] = {entry.name: entry for entry in _ENTRIES}
