"""questions: what the lessons ask, by name. The settings that answer them are the pages' to set."""

from __future__ import annotations

from math import inf

from nnlab.question import Option, Question

_ENTRIES = (
    Question(
        "slope",
        "Backpropagation multiplies by the slope φ′ at every layer. How steep is the **sigmoid** at its "
        "steepest point?",
        "Show the sigmoid",
        "the sigmoid's largest slope",
        (
            Option("1, like a straight line", 0.75, inf),
            Option("a half", 0.375, 0.75),
            Option("a quarter", 0.175, 0.375),
            Option("a tenth or less", 0, 0.175),
        ),
    ),
    Question(
        "threshold",
        "A ReLU neuron has weight 1 on x₁ and **bias −3**. From which x₁ on does it say anything but 0?",
        "Show this neuron",
        "the input at which it begins to speak",
        (
            Option("from −3 on", -inf, -1.5),
            Option("from 0 on", -1.5, 1.5),
            Option("from 3 on", 1.5, inf),
        ),
    ),
    Question(
        "chain",
        "A network has **ten sigmoid layers**. How much of the error signal that arrives at layer 10 gets "
        "through layer 1?",
        "Build it and measure",
        "what gets through layer 1, as a share,",
        (
            Option("about a half", 0.05, inf),
            Option("about a thousandth", 1e-4, 0.05),
            Option("about a millionth or less", -inf, 1e-4),
        ),
    ),
    Question(
        "step",
        "The oldest activation is a **step**: 0 or 1, nothing between. How many of the four hidden "
        "layers of a step network get a gradient at all?",
        "Take the step function",
        "the number of hidden layers with a gradient",
        (Option("all four", 3.5, inf), Option("some", 0.5, 3.5), Option("none", -inf, 0.5)),
    ),
    Question(
        "softmax",
        "Softmax turns scores into probabilities. All scores are divided by a **temperature of 5** "
        "first. What happens to the largest probability?",
        "Set the temperature to 5",
        "the largest probability, against what it is at temperature 1,",
        (
            Option("it grows", 1e-6, inf),
            Option("it stays", -1e-6, 1e-6),
            Option("it shrinks toward an equal share", -inf, -1e-6),
        ),
    ),
    Question(
        "collapse",
        "The layers below have no activation, and one matrix does the same work as all of them. Now "
        "you switch on **ReLU**. By how much does that one matrix miss?",
        "Switch on ReLU",
        "the one matrix's miss, as a share of the output's size,",
        (
            Option("still only by rounding", -inf, 1e-4),
            Option("by about 1 %", 1e-4, 0.05),
            Option("by more than 5 %", 0.05, inf),
        ),
    ),
    Question(
        "example",
        "Multiplied out, the output below is 21E + 11H + 18G + 11. Wrap a and b in **ReLU** and take E = 1, "
        "H = −3, G = 0. How far is that formula then off?",
        "Wrap them in ReLU",
        "the distance between the formula and the network",
        (
            Option("it still holds", -inf, 1e-9),
            Option("by less than 1", 1e-9, 1),
            Option("by more than 1", 1, inf),
        ),
    ),
    Question(
        "xor",
        "XOR says 1 where exactly one of two inputs is 1. The network **without activation** below stops at "
        "an error of 0.25: it says one half for every case. How far does it come with **six** hidden layers?",
        "Train six linear layers",
        "its mean squared error at the end",
        (
            Option("to 0: it learns XOR", -inf, 0.05),
            Option("to about a half of that", 0.05, 0.2),
            Option("no further than one half everywhere", 0.2, inf),
        ),
    ),
    Question(
        "dots",
        "Blue dots surround red ones. The **same network** is trained twice, with tanh and without any "
        "activation. What share of new dots does the one **without** get right?",
        "Train both on two circles",
        "the share of test dots it gets right without activation",
        (
            Option("about half, like guessing", -inf, 0.65),
            Option("about 80 %", 0.65, 0.9),
            Option("nearly all", 0.9, inf),
        ),
    ),
    Question(
        "sevens",
        "All networks have learned digits at normal brightness. Now the test images are made **ten times "
        "lighter** (× 0.1). Which loses more accuracy?",
        "Compare at × 0.1",
        "the accuracy that sigmoid keeps, minus what the network without activation keeps,",
        (
            Option("the one without activation", 0.005, inf),
            Option("neither: they keep the same", -0.005, 0.005),
            Option("the sigmoid network", -inf, -0.005),
        ),
    ),
    Question(
        "survives",
        "One image is made **twice as light** (× 0.5). The two images now differ by half. What is left of "
        "that difference at the output of the **sigmoid** network?",
        "Follow × 0.5 through the sigmoid",
        "the difference at the output, as a share of the output's size,",
        (
            Option("almost nothing, under 1 %", -inf, 0.01),
            Option("some, 1 % to 20 %", 0.01, 0.2),
            Option("a lot, over 20 %", 0.2, inf),
        ),
    ),
    Question(
        "believer",
        "Somewhere in the trained sigmoid networks is a unit that answers nearly the same to an image and to "
        "the same image at **half** its brightness. Does the **whole** network then answer the same?",
        "Find the unit at × 0.5",
        "the change of the whole network's outputs, as a share of their size,",
        (
            Option("yes, to within 1 %", -inf, 0.01),
            Option("nearly, 1 % to 5 %", 0.01, 0.05),
            Option("no, it changes by more than 5 %", 0.05, inf),
        ),
    ),
)

QUESTIONS: dict[str, Question] = {entry.name: entry for entry in _ENTRIES}
