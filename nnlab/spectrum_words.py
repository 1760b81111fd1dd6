"""Spectrum words: what the singular values of drawn Jacobians mean, in sentences and in a table."""

from __future__ import annotations

import math

import pandas as pd

from nnlab.activations import ACTIVATIONS
from nnlab.gaussian_mean import slope_moment
from nnlab.initializers import INITIALIZERS
from nnlab.isometry import Isometry
from nnlab.jacobian import Spectra, Spectrum
from nnlab.numerals import percent, scientific
from nnlab.theory import edge_of_chaos, mean_field

# Stretches that differ by less than a tenth look alike in any use of them.
ALIKE = 1.1
BEST, MIDDLE, LEAST = 0.0, 0.5, 1.0
# Fills with orthogonal matrices: their singular values are those of `Spectra.orthogonal`.
ORTHOGONAL = ("orthogonal", "lsuv")
VANISHING = 1e-9
LEFT_BY_LAYER_NORM = 2  # directions that it takes out: the mean and the length
ROOM = 300  # decades on either side of 1 that float64 has
WORTH = 2.0  # times less uneven, for the advice to change the initializer
TABLE_WORDS = {
    "weights": "Weights",
    "largest": "Largest s",
    "median": "Median s",
    "smallest": "Smallest s",
    "zero_share": "Exactly 0",
    "mean_square": "Mean s²",
    "mean_square_theory": "Theory",
    "square_variance": "Var(s²)",
    "spread": "Var(s²) / (mean s²)²",
    "spread_theory": "Theory of that",
}

TABLE_HELP = {
    "Mean s²": "By what the squared length of a random small change grows on average.",
    "Theory": "Mean s² for layers of infinite width: a product over the layers.",
    "Exactly 0": "Share of directions that are lost entirely.",
    "Var(s²)": "Variance of s² over all directions.",
    "Var(s²) / (mean s²)²": "How unequal the directions are: 0 where all are stretched alike.",
    "Theory of that": "For layers of infinite width: a sum over the layers.",
}


def own_label(spectra: Spectra) -> str:
    """Name the chosen initializer."""
    return f"yours: {INITIALIZERS[spectra.network.config.initializer].label}"


def drawn_words(spectra: Spectra) -> str:
    """Say what was drawn, and where it is not the chosen network."""
    config = spectra.network.config
    layers = f"{config.depth} hidden layers" if config.depth > 1 else "one hidden layer"
    units = f"{spectra.width} units and as many inputs" if spectra.width > 1 else "one unit and one input"
    narrower = ""
    if spectra.width < config.width:
        narrower = f" instead of {config.width:,}, which would take long and look the same"
    parts = [
        f"Drawn: {spectra.draws} networks of each kind, {layers} with {units}{narrower}.",
        "The output layer takes no part, so that all matrices are square.",
    ]
    if INITIALIZERS[config.initializer].fitted_to_data:
        parts.append("LSUV is drawn as orthogonal weights of the size that theory says it ends with.")
    if config.normalization == "batch":
        parts.append("The batch's mean and spread count as constants, as they are once training is over.")
    if spectra.own.lost_draws:
        parts.append(f"In {spectra.own.lost_draws} of yours numbers left float64; they are left out.")
    return " ".join(parts)


def spectrum_words(spectra: Spectra) -> list[str]:
    """Say what the chosen network does to small changes of its input, what others do, and what can be."""
    own = spectra.own
    if not len(own.values):
        return [
            "The signal grows beyond what float64 holds: there is no Jacobian to look at. Lower the gain."
        ]
    if own.zero_share == 1:
        return [_nothing_passes(spectra)]
    sentences = [_stretch_words(spectra), _other_words(spectra)]
    sentences.extend(filter(None, [_possible(spectra)]))
    return sentences


def _nothing_passes(spectra: Spectra) -> str:
    config = spectra.network.config
    if config.initializer == "zeros":
        reason = "all weights are 0. Choose another initializer"
    elif ACTIVATIONS[config.activation].slope_sup == 0:
        reason = f"{config.activation}'s slope is 0 everywhere. Choose another activation"
    elif config.normalization == "layer" and spectra.width <= LEFT_BY_LAYER_NORM:
        reason = "layer normalization leaves nothing of one or two units. Make the layers wider"
    else:
        reason = "in some layer every slope is exactly 0 or every unit is off. Change the gain or the width"
    return f"Nothing passes: no direction of the input reaches the last hidden layer, since {reason}."


def stretch_words(spectrum: Spectrum, share: float) -> str:
    """Write the singular value that a share of all are above, also one that float64 cannot hold."""
    return power_words(spectrum.log10_at(share))


def power_words(log10: float) -> str:
    """Write 10^log10 as `scientific` does, also where float64 has no room for it."""
    beyond = ROOM < abs(log10) < math.inf
    return f"1e{log10:.0f}" if beyond else scientific(10.0**log10)


def _lost_where(spectra: Spectra) -> str:
    if spectra.network.config.normalization == "layer":
        return "since layer normalization takes out the mean and the length"
    return "in units whose slope is 0"


def _stretch_words(spectra: Spectra) -> str:
    own = spectra.own
    top, middle, least = (stretch_words(own, share) for share in (BEST, MIDDLE, LEAST))
    along = "along the most stretched direction"
    if own.zero_share:
        rest = f" and by {middle} along the one in the middle" if own.zero_share < MIDDLE else ""
        return (
            f"Your network multiplies a small change of its input by {top} {along}{rest}; "
            f"{percent(own.zero_share)} of the directions are lost entirely, {_lost_where(spectra)}."
        )
    if own.unevenness(LEAST) <= ALIKE:
        kept = 1 / ALIKE <= own.at(MIDDLE) <= ALIKE
        isometry = ": every small change keeps its length, which is called dynamical isometry" if kept else ""
        return f"Your network stretches every direction alike, by {middle}{isometry}."
    return (
        f"Your network multiplies a small change of its input by {top} {along}, by {middle} along the one in "
        f"the middle, and by {least} along the least."
    )


def _range_words(spectrum: Spectrum) -> str:
    if not len(spectrum.values):
        return "leave what float64 holds"
    if spectrum.zero_share:
        return f"lose {percent(spectrum.zero_share)} of the directions"
    times = spectrum.unevenness(MIDDLE)
    if times <= ALIKE:
        return "stretch the best direction as far as the middle one"
    return f"stretch the best direction {scientific(times)} times as far as the middle one"


def _other_words(spectra: Spectra) -> str:
    said = (
        f"Of weights of the same size, Gaussian ones {_range_words(spectra.gaussian)}; orthogonal ones "
        f"{_range_words(spectra.orthogonal)}."
    )
    would_help = spectra.own.unevenness(MIDDLE) > WORTH * spectra.orthogonal.unevenness(MIDDLE)
    return f"{said} The initializer Orthogonal treats directions more alike." if would_help else said


def _possible(spectra: Spectra) -> str | None:
    """Say whether other weights could keep all lengths (Pennington, Schoenholz & Ganguli 2017)."""
    config = spectra.network.config
    label = ACTIVATIONS[config.activation].label
    if config.normalization != "none" or config.residual or not ACTIVATIONS[config.activation].slope_sup:
        return None
    if config.activation == "identity":
        return "A linear network with orthogonal weights keeps every length exactly, at sigma_w = 1."
    unequal = float(slope_moment(config.activation, 0, 4) / slope_moment(config.activation, 0, 2) ** 2) - 1
    if unequal > VANISHING:
        lost = "half of its slopes are 0" if config.activation == "relu" else "its slope jumps at 0"
        return (
            f"No weights make a {label} network keep all lengths, since {lost} however small the signal is; "
            f"theory adds {scientific(unequal)} to Var(s²) / (mean s²)² at every layer "
            "(Pennington, Schoenholz & Ganguli 2017)."
        )
    edge = edge_of_chaos(config.activation, 0.0)
    if not (math.isfinite(edge) and mean_field(config.activation, edge, 0.0).q_star < VANISHING):
        return None
    return (
        f"A {label} network can come as near as wanted to keeping all lengths: orthogonal weights, sigma_b = "
        f"0 and sigma_w just at {scientific(edge)}, where signals are small and all slopes nearly equal "
        "(Pennington, Schoenholz & Ganguli 2017). Gaussian weights cannot."
    )


def spectrum_table(spectra: Spectra, told: Isometry) -> pd.DataFrame:
    """Give the numbers of the three kinds beside theory's, in full precision; columns as TABLE_WORDS."""
    is_orthogonal = spectra.network.config.initializer in ORTHOGONAL
    own_spread = told.orthogonal_spread if is_orthogonal else told.gaussian_spread
    rows = (
        (own_label(spectra), spectra.own, own_spread),
        ("Gaussian", spectra.gaussian, told.gaussian_spread),
        ("orthogonal", spectra.orthogonal, told.orthogonal_spread),
    )
    return pd.DataFrame(
        [
            {
                "weights": label,
                "largest": spectrum.at(BEST),
                "median": spectrum.at(MIDDLE),
                "smallest": spectrum.at(LEAST),
                "zero_share": spectrum.zero_share,
                "mean_square": spectrum.mean_square,
                "mean_square_theory": told.mean_square,
                "square_variance": spectrum.square_variance,
                "spread": spectrum.spread,
                "spread_theory": spread,
            }
            for label, spectrum, spread in rows
        ]
    )


def in_words(spectra: Spectra, told: Isometry) -> pd.DataFrame:
    """Give the table with its numbers as text and its columns as they are called on the page."""
    table = spectrum_table(spectra, told)
    shown = {name: [value if isinstance(value, str) else scientific(value) for value in table[name]]
             for name in TABLE_WORDS}  # fmt: skip
    shown["zero_share"] = [percent(share) for share in table["zero_share"]]
    kinds = (spectra.own, spectra.gaussian, spectra.orthogonal)
    for name, share in (("largest", BEST), ("median", MIDDLE), ("smallest", LEAST)):
        shown[name] = [stretch_words(kind, share) for kind in kinds]
    return pd.DataFrame(shown).rename(columns=TABLE_WORDS)
