"""Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks"."""

from __future__ import annotations

from nnlab import glorot_charts, glorot_first_pass, glorot_training
from nnlab.glorot_first_pass import FULL, SMALL
from nnlab.paper import Paper

AUTHORS, YEAR = "Glorot & Bengio", 2010
SETUP = (
    "tanh, 5 hidden layers, scanned digits, one forward and backward pass of 300 training images at the "
    "initial weights. Standard weights are uniform within ±1/√n, which is PyTorch's default to this day; "
    "normalized ones, called Xavier since, within ±√(6/(inputs + outputs))."
)
DIFFERENT_DATA = (
    "The paper's networks have 784 to 3,072 inputs and 1,000 units a layer; our digits have 64 inputs, far "
    "fewer than a layer has units."
)
NO_NUMBER = (
    "The paper draws histograms and prints no number for the ratio. It is held against the law that the "
    "paper derives, with the slope of tanh kept where the paper takes it as 1 (mean field, as on the page "
    "Initialization)."
)

SIGMOID = Paper(
    name="glorot_sigmoid",
    title="The top sigmoid layer saturates",
    authors=AUTHORS,
    year=YEAR,
    figure="figure 2",
    claim=(
        "In a deep network of sigmoids started with standard weights, the top layer is quickly pushed to 0 "
        "while the lower layers stay near 0.5. That slows down all learning, until the layer slowly recovers "
        "around epoch 100."
    ),
    setup=(
        "4 hidden layers of 200 sigmoids, standard weights, scanned digits, SGD with batches of 10 and "
        "learning rate 0.1."
    ),
    notes=(
        "The paper uses 1,000 units a layer and Shapeset, images of drawn shapes; ours are digits, easier "
        "and fewer. An epoch is 143 steps here, and our run ends at epoch 60, before the layer recovers.",
        "The paper draws curves and prints no numbers for them: what they show is checked as bounds.",
    ),
    full={"width": 200, "epochs": 60, "seeds": 3},
    small={"width": 200, "epochs": glorot_training.EARLY_EPOCH, "seeds": 1},
    measure=glorot_training.measure_sigmoid,
    check=glorot_training.check_sigmoid,
    charts=glorot_charts.sigmoid_charts,
)
SATURATION = Paper(
    name="glorot_saturation",
    title="tanh saturates layer by layer, softsign hardly",
    authors=AUTHORS,
    year=YEAR,
    figure="figure 3",
    claim=(
        "In training, tanh layers saturate one after the other, from the first one up. softsign layers "
        "saturate less, and all together."
    ),
    setup=(
        "4 hidden layers, standard weights, normally distributed inputs with classes drawn at random, SGD "
        "with batches of 10. Random classes must be learned by heart, which needs large weights."
    ),
    notes=(
        "The paper trains on Shapeset, without end. The data here were chosen because the effect shows on "
        "them. On digits it does not: they are learned within three epochs, hardly anything saturates, and "
        "the top layer spreads most. On spirals and noisy XOR little saturated in 4,000 to 6,000 steps.",
        "So this card shows that the effect exists and how it looks, not that it is general.",
        "With softsign, layer 1 leads here too; the paper sees its layers move together. That part of the "
        "claim does not come out here, and is not counted above.",
        "The paper draws curves and prints no numbers for them: what they show is checked as bounds.",
    ),
    full={"samples": 4000, "width": 100, "learning_rate": 0.1, "steps": 20000},
    small={"samples": 1000, "width": 50, "learning_rate": 0.2, "steps": 2000},
    measure=glorot_training.measure_two,
    check=glorot_training.check_two,
    charts=glorot_charts.saturation_charts,
)
ACTIVATIONS = Paper(
    name="glorot_activations",
    title="Activations shrink toward the output",
    authors=AUTHORS,
    year=YEAR,
    figure="figure 6",
    claim=(
        "Before training, with standard weights, activations crowd around 0 more and more in higher layers; "
        "with normalized weights their distribution stays about the same."
    ),
    setup=SETUP,
    notes=(DIFFERENT_DATA, NO_NUMBER),
    full=FULL,
    small=SMALL,
    measure=glorot_first_pass.measure,
    check=glorot_first_pass.check_activations,
    charts=glorot_charts.activation_charts,
)
WEIGHT_GRADIENTS = Paper(
    name="glorot_weight_gradients",
    title="Why the weight gradient alone hides vanishing",
    authors=AUTHORS,
    year=YEAR,
    figure="figure 8",
    claim=(
        "With standard weights the error signal shrinks from layer to layer, and yet the variance of the "
        "weight gradients is about the same in all layers."
    ),
    setup=SETUP,
    notes=(
        DIFFERENT_DATA,
        "With normalized weights, layer 1 stands out: its weights are scaled for 64 inputs and 1,000 "
        "outputs together, so its error signal meets larger inputs. That is why layer 2 is compared.",
        "The paper prints no numbers for this figure. Its equation 14 says that the ratio is 1.",
    ),
    full=FULL,
    small=SMALL,
    measure=glorot_first_pass.measure,
    check=glorot_first_pass.check_weight_gradients,
    charts=glorot_charts.weight_gradient_charts,
)
GRADIENTS = Paper(
    name="glorot_gradients",
    title="The error signal shrinks toward the input",
    authors=AUTHORS,
    year=YEAR,
    figure="figure 7",
    claim=(
        "With standard weights, back-propagated gradients get smaller from the output to the input; with "
        "normalized weights they keep about the same size."
    ),
    setup=SETUP,
    notes=(
        "A layer's Jacobian is the matrix by which it passes small changes on. Its mean singular value says "
        "by how much it stretches them: 0.5 halves them at every layer.",
        DIFFERENT_DATA,
        NO_NUMBER,
    ),
    full={**FULL, "seeds_with_jacobian": 1},
    small={**SMALL, "seeds_with_jacobian": 1},
    measure=glorot_first_pass.measure,
    check=glorot_first_pass.check_gradients,
    charts=glorot_charts.gradient_charts,
)

PAPERS = (SIGMOID, SATURATION, ACTIVATIONS, GRADIENTS, WEIGHT_GRADIENTS)
