"""snippets: the lines that record somebody's own model, ready to be copied; tests run them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Snippet:
    """Lines of Python for one way to train, and in words when to take them."""

    label: str
    about: str
    code: str


_ENTRIES = (
    Snippet(
        "Plain loop",
        "Two lines in your own loop; the model and the numbers of its training stay as they are.",
        """\
import nnlab

with nnlab.watch(model, "run.jsonl", every=10) as watch:
    for x, y in batches:
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        watch.step(loss)  # after backward(), before the optimizer's step
        optimizer.step()
""",
    ),
    Snippet(
        "Accumulation and mixed precision",
        "Several batches a step, gradients scaled: name the scaler, and the numbers are those without it.",
        """\
import nnlab
import torch

scaler = torch.amp.GradScaler()
with nnlab.watch(model, "run.jsonl", every=10) as watch:
    for number, (x, y) in enumerate(batches, start=1):
        with torch.autocast(device):
            loss = loss_function(model(x), y) / batches_per_step
        scaler.scale(loss).backward()
        if number % batches_per_step == 0:
            watch.step(loss * batches_per_step, scaler=scaler)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
""",
    ),
    Snippet(
        "Lightning",
        "A callback; nothing else changes.",
        """\
from lightning import Trainer
from nnlab.lightning import Watch

trainer = Trainer(callbacks=[Watch("run.jsonl", every=10)])
trainer.fit(model, batches)
""",
    ),
    Snippet(
        "One batch",
        "One forward and backward pass, no training: where is the signal lost at the start?",
        """\
import nnlab

nnlab.diagnose(model, x, y, loss="cross_entropy").save("run.jsonl")
""",
    ),
)
SNIPPETS = {snippet.label: snippet for snippet in _ENTRIES}
FOLLOW = "streamlit run dashboard.py -- --run run.jsonl"
CONVERT = "python -m nnlab convert model.pt --out model.safetensors"
