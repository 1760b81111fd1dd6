"""example_model: a convolutional network that goes wrong in the middle of its training, recorded.

Its run file is what the page Your model shows before there is another one; `python -m nnlab.example_model`
makes it anew.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from nnlab.datasets import GRAY_LEVELS, load_pixels
from nnlab.presets import EXAMPLE_RUN
from nnlab.run import LayerNumbers, Run, StepRecord
from nnlab.threads import one_thread
from nnlab.watching import watch

STEPS, EVERY, BATCH = 300, 10, 128
SPIKE_STEP, SPIKE = 120, 50.0  # the planted fault: a schedule that is right but for one step
LEARNING_RATE = 0.02
DIGITS = 7
HISTOGRAM_EVERY = 60  # histograms are nine tenths of a file


class DigitNet(nn.Module):
    """Two stages of convolutions over 8 x 8 pixels, and a head."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.stem = _convolution(1, 8)
        self.stage1 = nn.Sequential(_convolution(8, 16), nn.MaxPool2d(2), _convolution(16, 16))
        self.stage2 = nn.Sequential(_convolution(16, 32), nn.MaxPool2d(2), _convolution(32, 32))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the logits of images, shape (batch, 64)."""
        images = x.reshape(-1, 1, 8, 8)
        return self.head(self.stage2(self.stage1(self.stem(images))))


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())


def _lean(record: StepRecord) -> StepRecord:
    """Leave most records without histograms, and all with as many digits as float32 has."""
    layers = {
        name: np.array([float(f"{value:.{DIGITS}g}") for value in values])
        for name, values in record.layers.items()
    }
    kept = record.histograms if record.step % HISTOGRAM_EVERY == 0 else {}
    return replace(record, layers=LayerNumbers.of(layers), histograms=kept)


def record_example() -> Run:
    """Train the network with its fault, watched."""
    generator = torch.Generator().manual_seed(0)
    pixels = load_pixels()
    x, y = torch.from_numpy(pixels.x_train / GRAY_LEVELS).float(), torch.from_numpy(pixels.y_train)
    model = DigitNet(generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9)
    with watch(model, every=EVERY) as watched:
        for step in range(STEPS + 1):
            batch = torch.randint(len(x), (BATCH,), generator=generator)
            optimizer.param_groups[0]["lr"] = LEARNING_RATE * (SPIKE if step == SPIKE_STEP else 1)
            optimizer.zero_grad()
            outputs = model(x[batch])
            loss = nn.functional.cross_entropy(outputs, y[batch])
            loss.backward()
            watched.step(loss, outputs=outputs, targets=y[batch])
            optimizer.step()
    run = watched.run
    return replace(run, records=tuple(_lean(record) for record in run.records), model=None)


if __name__ == "__main__":
    with one_thread():
        record_example().save(EXAMPLE_RUN)
