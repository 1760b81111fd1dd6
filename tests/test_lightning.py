"""The callback with the real package: the same numbers as watching the same loop, the same training."""

from __future__ import annotations

import copy
import warnings

import pytest

import nnlab

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def keep_the_process_wide_generator():
    """Models draw from it; other tests must not notice."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def make(accumulate=1, fails_at=None, clip=None, precision="32-true", callbacks=(), steps=6):
    """Give a module, its trainer and its batches."""
    import torch
    from lightning.pytorch import LightningModule, Trainer
    from torch.nn import functional as F

    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(6, 10), torch.nn.ReLU(), torch.nn.Linear(10, 3))

        def training_step(self, batch, number):
            if number == fails_at:
                raise RuntimeError("as planned")
            x, y = batch
            return F.cross_entropy(self.net(x), y)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    generator = torch.Generator().manual_seed(5)
    batches = [
        (torch.randn(8, 6, generator=generator), torch.randint(3, (8,), generator=generator))
        for _ in range(steps)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            accumulate_grad_batches=accumulate,
            gradient_clip_val=clip,
            precision=precision,
            callbacks=list(callbacks),
        )
    return Module(), trainer, batches


def fit(trainer, module, batches):
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(module, torch.utils.data.DataLoader(batches, batch_size=None))


def test_a_fit_is_recorded_and_stays_the_same(tmp_path):
    import torch
    from torch.nn import functional as F

    from nnlab.lightning import Watch

    path = tmp_path / "run.jsonl"
    module, trainer, batches = make(clip=1e-3, callbacks=[Watch(path, every=2)])
    twin, plain = copy.deepcopy(module), copy.deepcopy(module)
    fit(trainer, module, batches)
    _, bare, _ = make(clip=1e-3)
    fit(bare, plain, batches)
    assert all(map(torch.equal, module.parameters(), plain.parameters()))

    opt = torch.optim.SGD(twin.parameters(), lr=0.1)
    with nnlab.watch(twin, every=2) as watch:
        for x, y in batches:
            opt.zero_grad()
            loss = F.cross_entropy(twin.net(x), y)
            loss.backward()
            watch.step(loss)
            torch.nn.utils.clip_grad_norm_(twin.parameters(), 1e-3)
            opt.step()
    run = nnlab.load_run(path)
    assert run.status == "completed"
    assert run.steps.tolist() == [0, 2, 4]
    assert [layer.name for layer in run.layers] == ["net.0", "net.2"]
    assert run.metrics.equals(watch.run.metrics)
    assert run.series("grad_norm")[1].min() > 1e-2
    assert not any(m._forward_hooks for m in module.modules())


def test_accumulated_batches_are_one_step():
    from nnlab.lightning import Watch

    callback = Watch()
    module, trainer, batches = make(accumulate=3, callbacks=[callback])
    fit(trainer, module, batches)
    assert callback.run.steps.tolist() == [0, 1]
    assert callback.run.record_at(0).histograms["delta"][0].sum() == 3 * 8 * 10
    assert 0.5 < callback.run.record_at(0).network["loss"] < 2


def test_bfloat16_is_recorded():
    from nnlab.lightning import Watch

    callback = Watch()
    module, trainer, batches = make(precision="bf16-mixed", callbacks=[callback])
    fit(trainer, module, batches)
    assert (callback.run.series("delta_norm")[1] > 0).all()


def test_an_error_in_training_leaves_a_readable_file(tmp_path):
    from nnlab.lightning import Watch

    module, trainer, batches = make(fails_at=3, callbacks=[Watch(tmp_path / "run.jsonl")])
    with pytest.raises(RuntimeError, match="as planned"):
        fit(trainer, module, batches)
    run = nnlab.load_run(tmp_path / "run.jsonl")
    assert run.status == "failed"
    assert run.steps.tolist() == [0, 1, 2]


def test_before_training_there_is_no_run():
    from nnlab.lightning import Watch

    with pytest.raises(ValueError, match="run: training has not begun"):
        _ = Watch().run


def test_the_lines_that_the_page_offers_record_a_fit(tmp_path, monkeypatch):
    import torch

    from nnlab.snippets import SNIPPETS

    monkeypatch.chdir(tmp_path)
    module, _, batches = make()
    code = SNIPPETS["Lightning"].code
    settings = 'max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, '
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = {"model": module, "batches": torch.utils.data.DataLoader(batches, batch_size=None)}
        exec(compile(code.replace("Trainer(", f"Trainer({settings}"), "snippet", "exec"), names)
    assert nnlab.load_run("run.jsonl").steps.tolist() == [0]
