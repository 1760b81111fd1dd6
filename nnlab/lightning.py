"""A Lightning callback that watches the module in training; it needs the package lightning."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnlab.watching import watch

if TYPE_CHECKING:
    import torch

    from nnlab.run import Run
    from nnlab.watching import Watch as Recording


def _callback_class() -> type[Any]:
    """Give the base class of callbacks: of the package that is in use, where both are installed."""
    packages = ("lightning.pytorch", "pytorch_lightning")
    ordered = sorted(packages, key=lambda package: package not in sys.modules)
    for package in ordered:
        try:
            found: type[Any] = importlib.import_module(package).Callback
        except ModuleNotFoundError:
            continue
        return found
    raise ModuleNotFoundError("nnlab.lightning needs the package lightning: pip install lightning")


class Watch(_callback_class()):  # type: ignore[misc]
    """Records a module while a Trainer fits it: before gradients are clipped, without a loss scaler's factor.

    With several optimizers the steps of the first one are recorded.
    """

    def __init__(self, path: str | Path | None = None, *, every: int = 1) -> None:
        super().__init__()
        self._path, self._every = path, every
        self._recording: Recording | None = None
        self._loss: torch.Tensor | float = float("nan")

    @property
    def run(self) -> Run:
        """The run so far; raises ValueError before training has begun."""
        if self._recording is None:
            raise ValueError("run: training has not begun")
        return self._recording.run

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin; only one process of several writes the file."""
        path = self._path if trainer.is_global_zero else None
        self._recording = watch(pl_module, path, every=self._every)
        self._recording.start()

    def on_before_backward(self, trainer: Any, pl_module: Any, loss: torch.Tensor) -> None:
        """Keep the loss; of accumulated batches each is divided by their number already."""
        self._loss = loss.detach() * trainer.accumulate_grad_batches

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        """Record the step."""
        if self._recording is not None and optimizer is _first(trainer):
            # Lightning's own plugin has the gradients unscaled by now, but not what came by in between.
            self._recording.step(self._loss, scaler=getattr(trainer.precision_plugin, "scaler", None))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """End the file."""
        self._close("completed")

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """End the file, and say how training ended."""
        self._close("failed" if isinstance(exception, Exception) else "interrupted")

    def _close(self, status: str) -> None:
        if self._recording is not None:
            self._recording.close(status)


def _first(trainer: Any) -> Any:
    return trainer.optimizers[0]
