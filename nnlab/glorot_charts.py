"""Charts of Glorot & Bengio 2010: what is seen of every layer before and during training."""

from __future__ import annotations

import pandas as pd

from nnlab.chart import Chart
from nnlab.glorot_first_pass import DEPTH, INITIALIZERS, STANDARD, geometric_ratio
from nnlab.numerals import scientific
from nnlab.palette import Mode
from nnlab.paper import Columns
from nnlab.paper_charts import LAW, MEASURED, Axis, Caption, depth_lines, over_seeds, series_lines


def _layer_chart(frame: pd.DataFrame, title: str, caption: Caption, mode: Mode) -> tuple[Chart, ...]:
    x = Axis("layer", is_whole=True, low=1, high=DEPTH)
    return (series_lines(frame, x, Axis(title, is_log=True), caption, mode),)


def _with_law(columns: Columns, field: str, law: str, *, is_relative: bool) -> pd.DataFrame:
    """Give a field per start and layer over the seeds, and its law, relative ones from the last layer."""
    table = pd.DataFrame(dict(columns))
    measured = over_seeds(table, ["start", "layer"], field)
    predicted = over_seeds(table, ["start", "layer"], law)
    if is_relative:
        ends = measured[measured["layer"] == DEPTH].set_index("start")["value"]
        scale = predicted["start"].map(ends)
        predicted = predicted.assign(**{name: predicted[name] * scale for name in ("value", "low", "high")})
    both = pd.concat([measured.assign(kind=MEASURED), predicted.assign(kind=LAW)], ignore_index=True)
    return both.rename(columns={"start": "series", "layer": "x"})


def _ends(columns: Columns, field: str, above: int, below: int) -> str:
    ratios = {start: geometric_ratio(columns, field, start, above, below) for start in INITIALIZERS}
    return " and ".join(f"{scientific(ratio)} with {start} weights" for start, ratio in ratios.items())


LAW_WORDS = "A band reaches over the seeds; crosses are the law (mean field)."


def gradient_charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Error signal of every layer."""
    caption = Caption(
        name="glorot_gradients",
        title="Error signal in every layer before training",
        how_to_read=(
            r"The error signal is $\delta_l = \partial\,\mathrm{loss}/\partial z_l$; shown is its root mean "
            "square over examples and units, in a network that has not been trained. It starts at the last "
            "layer and travels to the first, from right to left. Weights drawn the standard way shrink it "
            f"at every layer; normalized ones nearly keep it. {LAW_WORDS} Glorot & Bengio 2010 draw the same "
            "as histograms in figure 7."
        ),
        alt_text=(
            f"Error signal over {DEPTH} layers. In layer 1 it is as large as in layer {DEPTH} times "
            f"{_ends(columns, 'delta_rms', 1, DEPTH)}."
        ),
    )
    frame = _with_law(columns, "delta_rms", "delta_ratio_law", is_relative=True)
    return _layer_chart(frame, "root mean square of δ", caption, mode)


def activation_charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Spread of the activations of every layer."""
    caption = Caption(
        name="glorot_activations",
        title="Spread of the activations in every layer before training",
        how_to_read=(
            r"The standard deviation of the activations $h = \tanh(z)$ over examples and units. With "
            "standard weights it falls layer by layer: in histograms, as the paper's figure 6 has them, the "
            f"peak at 0 grows. With normalized weights it falls much less. {LAW_WORDS} Glorot & Bengio 2010, "
            "figure 6 and equation 5."
        ),
        alt_text=(
            f"Spread of activations over {DEPTH} layers. In layer {DEPTH} it is that of layer 1 times "
            f"{_ends(columns, 'activation_std', DEPTH, 1)}."
        ),
    )
    frame = _with_law(columns, "activation_std", "activation_std_law", is_relative=False)
    return _layer_chart(frame, "standard deviation of h", caption, mode)


def weight_gradient_charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Weight gradient and error signal of every layer, on one scale."""
    table = pd.DataFrame(dict(columns))
    parts = []
    for field, words in {"weight_grad_rms": "weight gradient", "delta_rms": "error signal δ"}.items():
        frame = over_seeds(table, ["start", "layer"], field)
        # Both relative to the last layer: their units differ, their way through the layers is the point.
        ends = frame["start"].map(frame[frame["layer"] == DEPTH].set_index("start")["value"])
        relative = {name: frame[name] / ends for name in ("value", "low", "high")}
        parts.append(frame.assign(series=frame["start"] + ": " + words, x=frame["layer"], **relative))
    caption = Caption(
        name="glorot_weight_gradients",
        title="Weight gradient and error signal, relative to the last layer",
        how_to_read=(
            "Root mean squares over all weights of a layer, or over examples and units, each divided by its "
            "own number in the last hidden layer. With standard weights the error signal gets smaller from "
            "right to left, but the activations that it is multiplied with get larger: the weight gradient "
            r"$\partial\,\mathrm{loss}/\partial W_l = \delta_l^\top h_{l-1}$ stays level. Looking at weight "
            "gradients alone one would see nothing wrong. Glorot & Bengio 2010, figure 8 and equation 14."
        ),
        alt_text=(
            f"With standard weights, layer 1 has {_of_standard(columns, 'weight_grad_rms')} times the weight "
            f"gradient of layer {DEPTH} but only {_of_standard(columns, 'delta_rms')} times its error signal."
        ),
    )
    return _layer_chart(pd.concat(parts, ignore_index=True), f"relative to layer {DEPTH}", caption, mode)


def _of_standard(columns: Columns, field: str) -> str:
    return scientific(geometric_ratio(columns, field, STANDARD, 1, DEPTH))


def sigmoid_charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Mean activation of every sigmoid layer over the epochs."""
    table = pd.DataFrame(dict(columns))
    frame = over_seeds(table, ["layer", "epoch"], "activation_mean")
    frame = frame.rename(columns={"layer": "number", "epoch": "x"})
    last = frame["x"].max()
    ends = frame[frame["x"] == last]["value"].tolist()
    caption = Caption(
        name="glorot_sigmoid",
        title="Mean activation of every sigmoid layer in training",
        how_to_read=(
            "The mean of the sigmoid's output over examples and units, a line a layer, the mean over the "
            "seeds. All begin at 0.5, the middle of the curve. The top layer is driven to 0, its flat end, "
            "where it passes almost no gradient down. The paper supposes why: the output's biases learn "
            "first, and what the untrained layers below send up is noise, best switched off. Glorot & Bengio "
            "2010, figure 2 and section 3.1."
        ),
        alt_text=(
            f"Mean activation of {len(ends)} sigmoid layers over {last:.0f} epochs: at the end "
            f"{ends[0]:.2g} in layer 1 and {ends[-1]:.2g} in the top layer."
        ),
    )
    return (
        depth_lines(frame, Axis("epoch", is_whole=True), Axis("mean of h", low=0.0, high=1.0), caption, mode),
    )


def saturation_charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Spread of the activations of every layer in training, for tanh and for softsign."""
    return _spread_chart(columns, "tanh", mode), _spread_chart(columns, "softsign", mode)


def _spread_chart(columns: Columns, activation: str, mode: Mode) -> Chart:
    table = pd.DataFrame(dict(columns))
    frame = table[table["activation"] == activation].reset_index(drop=True)
    frame = frame.rename(columns={"layer": "number", "step": "x", "activation_std": "value"})
    ends = frame[frame["x"] == frame["x"].max()]
    caption = Caption(
        name=f"glorot_spread_{activation}",
        title=f"Spread of {activation}'s activations",
        how_to_read=(
            "The standard deviation of the activations over a batch and all units, a line a layer. It can be "
            "1 at most, when every activation is at -1 or 1, its flat ends. tanh's layers go there one after "
            "the other, the first one first. softsign, $z/(1+|z|)$, approaches its ends far more slowly, and "
            "stays away from them. Glorot & Bengio 2010, figure 3, solid lines."
        ),
        alt_text=(
            f"Spread of {activation} activations over training: at the end {ends['value'].iloc[0]:.2g} in "
            f"layer 1 and {ends['value'].iloc[-1]:.2g} in layer {len(ends)}."
        ),
    )
    x, y = Axis("step", is_whole=True), Axis("standard deviation of h", low=0.0, high=1.0)
    return depth_lines(frame[["number", "x", "value"]], x, y, caption, mode)
