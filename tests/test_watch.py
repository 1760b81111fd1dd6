"""watch in loops as people write them: the same training, the right numbers, nothing left behind."""

from __future__ import annotations

import copy
import gc
import io
import math
import signal
import subprocess
import sys
import textwrap
import weakref

import numpy as np
import pytest

import nnlab
from nnlab.run import is_probe_record


@pytest.fixture(autouse=True)
def keep_the_process_wide_generator():
    """Models draw from it; other tests must not notice."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def make_model(dropout=0.1):
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.head = nn.Linear(6, 12), nn.Linear(12, 10), nn.Linear(10, 3)
            self.norm = nn.BatchNorm1d(12)

        def forward(self, x):
            h = F.dropout(F.relu(self.norm(self.one(x))), dropout, self.training)
            return self.head(torch.tanh(self.two(h)))

    return Net()


def make_batches(count, size=16):
    import torch

    generator = torch.Generator().manual_seed(7)
    return [
        (torch.randn(size, 6, generator=generator), torch.randint(3, (size,), generator=generator))
        for _ in range(count)
    ]


OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop")


def train(
    model, batches, *, watch=None, optimizer="SGD", clip=None, clip_first=False, accumulate=1, learn=0.05
):
    """Train as anybody would, and call watch where the documentation says."""
    import torch
    from torch.nn import functional as F

    opt = getattr(torch.optim, optimizer)(model.parameters(), lr=learn)
    losses = []
    for number, (x, y) in enumerate(batches, start=1):
        loss = F.cross_entropy(model(x), y) / accumulate
        loss.backward()
        losses.append(loss.item())
        if number % accumulate:
            continue
        if clip is not None and clip_first:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        if watch is not None:
            watch.step(loss)
        if clip is not None and not clip_first:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        opt.step()
        opt.zero_grad()
    return losses


def everything(model):
    return [value.clone() for value in model.state_dict().values()]


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_is_the_same_bit_for_bit(optimizer, every, tmp_path):
    import torch

    model = make_model()
    twin, state = copy.deepcopy(model), torch.get_rng_state()
    plain = train(model, make_batches(20), optimizer=optimizer, clip=0.5)
    drawn = torch.get_rng_state()
    torch.set_rng_state(state)
    with nnlab.watch(twin, tmp_path / "run.jsonl", every=every) as watch:
        watched = train(twin, make_batches(20), watch=watch, optimizer=optimizer, clip=0.5)
    assert watched == plain
    assert all(map(torch.equal, everything(model), everything(twin)))
    assert torch.equal(torch.get_rng_state(), drawn)
    run = nnlab.load_run(tmp_path / "run.jsonl")
    assert run.status == "completed"
    assert run.steps.tolist() == list(range(0, 20, every))


def test_numbers_are_those_of_hand_placed_autograd():
    """At every step: delta, gradients before clipping, and the update that was really made."""
    import torch
    from torch.nn import functional as F

    model = make_model(dropout=0.0)
    twin = copy.deepcopy(model)
    with nnlab.watch(model) as watch:
        train(model, make_batches(6), watch=watch, optimizer="Adam", clip=0.01, clip_first=True)
    opt = torch.optim.Adam(twin.parameters(), lr=0.05)
    before = None
    for step, (x, y) in enumerate(make_batches(6)):
        z1 = twin.norm(twin.one(x))
        h1 = F.relu(z1)
        z2 = twin.two(h1)
        h2 = torch.tanh(z2)
        for tensor in (z1, h1, z2, h2):
            tensor.retain_grad()
        loss = F.cross_entropy(twin.head(h2), y)
        opt.zero_grad()
        loss.backward()
        layers = watch.run.records[step].layers
        network = watch.run.records[step].network
        weights = (twin.one.weight, twin.two.weight, twin.head.weight)
        expected = {
            "delta_norm": [z1.grad, z2.grad],
            "activation_grad_norm": [h1.grad, h2.grad],
            "weight_grad_norm": [weight.grad for weight in weights],
        }
        for metric, gradients in expected.items():
            norms = [gradient.double().norm().item() for gradient in gradients]
            assert layers[metric][: len(norms)] == pytest.approx(norms, rel=1e-5)
        total = math.sqrt(sum(p.grad.double().square().sum().item() for p in twin.parameters()))
        assert network["grad_norm"] == pytest.approx(total, rel=1e-5)
        assert network["loss"] == pytest.approx(loss.item(), rel=1e-6)
        if before is None:
            assert np.isnan(layers["update_ratio"]).all()
        else:
            ratios = [
                (now.detach() - old).double().std(correction=0).item() / old.double().std(correction=0).item()
                for now, old in zip(weights, before, strict=True)
            ]
            assert layers["update_ratio"] == pytest.approx(ratios, rel=1e-4)
        before = [weight.detach().clone() for weight in weights]
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.01)
        opt.step()


def test_clipping_first_or_last_records_the_same():
    runs = []
    for clip_first in (True, False):
        import torch

        torch.manual_seed(1)
        model = make_model()
        with nnlab.watch(model) as watch:
            train(model, make_batches(5), watch=watch, clip=1e-3, clip_first=clip_first)
        runs.append(watch.run)
    assert runs[0].metrics.equals(runs[1].metrics)
    assert runs[0].histograms.equals(runs[1].histograms)
    assert runs[0].series("grad_norm")[1].min() > 1e-2


def test_accumulated_passes_are_one_record():
    """Two halves of a batch, accumulated, give the gradients of the whole one."""
    import torch

    model = make_model(dropout=0.0).eval()  # batch statistics of halves would differ
    twin = copy.deepcopy(model)
    whole = make_batches(3, size=16)
    halves = [(x[part], y[part]) for x, y in whole for part in (slice(0, 8), slice(8, 16))]
    with nnlab.watch(model) as one:
        train(model, whole, watch=one)
    with nnlab.watch(twin) as two:
        train(twin, halves, watch=two, accumulate=2)
    assert two.run.steps.tolist() == [0, 1, 2]
    for metric in ("delta_norm", "weight_grad_norm", "pre_activation_std", "saturation", "dead_units"):
        assert np.allclose(two.run.series(metric)[1], one.run.series(metric)[1], rtol=1e-4), metric
    counts = [run.histograms.query("quantity == 'delta'")["count"].sum() for run in (one.run, two.run)]
    assert counts[0] == counts[1]
    assert not torch.is_inference_mode_enabled()


class Scaler:
    """What torch.amp.GradScaler does on a GPU, which there is none of here: its own arithmetic and states."""

    def __init__(self, scale):
        self._scale, self._per_optimizer_states = scale, {}

    def is_enabled(self):
        return True

    def get_scale(self):
        return self._scale

    def unscale_(self, optimizer, parameters):
        from torch.amp.grad_scaler import OptState

        for parameter in parameters:
            parameter.grad.mul_(1 / self._scale)
        self._per_optimizer_states[id(optimizer)] = {"stage": OptState.UNSCALED}


@pytest.mark.parametrize("unscaled_before", [True, False])
def test_a_scaled_loss_is_recorded_unscaled(unscaled_before):
    import torch
    from torch.nn import functional as F

    model = make_model(dropout=0.0)
    twin = copy.deepcopy(model)
    x, y = make_batches(1)[0]
    with nnlab.watch(model) as plain:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        plain.step(loss)
    scaler, opt = Scaler(2.0**10), torch.optim.SGD(twin.parameters(), lr=0.1)
    with nnlab.watch(twin) as watch:
        loss = F.cross_entropy(twin(x), y)
        (loss * 2.0**10).backward()
        if unscaled_before:
            scaler.unscale_(opt, twin.parameters())
        watch.step(loss, scaler=scaler)
    assert watch.run.metrics.equals(plain.run.metrics)  # a power of two changes no digit
    assert watch.run.histograms.equals(plain.run.histograms)


def test_the_real_scaler_is_understood():
    import torch

    model = make_model(dropout=0.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    twin = copy.deepcopy(model)
    x, y = make_batches(1)[0]
    records = []
    for network, is_scaled in ((model, True), (twin, False)):
        with nnlab.watch(network) as watch:
            loss = torch.nn.functional.cross_entropy(network(x), y)
            (scaler.scale(loss) if is_scaled else loss).backward()
            if is_scaled:
                scaler.unscale_(opt)
            watch.step(loss, scaler=scaler if is_scaled else None)
        records.append(watch.run)
    assert records[0].metrics.equals(records[1].metrics)


def test_a_scaler_that_is_not_named_is_seen_by_what_it_took_out():
    import torch
    from torch.nn import functional as F

    model = make_model(dropout=0.0)
    twin = copy.deepcopy(model)
    x, y = make_batches(1)[0]
    runs = []
    for network, scale in ((model, 1.0), (twin, 2.0**12)):
        scaler, opt = Scaler(scale), torch.optim.SGD(network.parameters(), lr=0.1)
        with nnlab.watch(network) as watch:
            loss = F.cross_entropy(network(x), y)
            (loss * scale).backward()
            scaler.unscale_(opt, network.parameters())
            watch.step(loss)
        runs.append(watch.run)
    assert runs[1].metrics.equals(runs[0].metrics)


@pytest.mark.parametrize("scale", [1.0, 2.0**12])
def test_records_without_histograms_hold_the_same_numbers(scale, monkeypatch):
    """Those keep no copies of the gradients: clipping and a scaler nobody named must still be told."""
    import torch
    from torch.nn import functional as F

    from nnlab import watching

    model = make_model(dropout=0.0)
    twin = copy.deepcopy(model)
    x, y = make_batches(1)[0]
    runs = []
    for network, factor in ((model, 1.0), (twin, scale)):
        scaler, opt = Scaler(factor), torch.optim.SGD(network.parameters(), lr=0.1)
        with nnlab.watch(network) as watch:
            for _ in range(3):
                opt.zero_grad()
                loss = F.cross_entropy(network(x), y)
                (loss * factor).backward()
                scaler.unscale_(opt, network.parameters())
                if scale == 1.0 and network is twin:
                    torch.nn.utils.clip_grad_norm_(network.parameters(), 1e-3)
                watch.step(loss)
                for parameter in network.parameters():
                    parameter.grad.zero_()
        runs.append(watch.run)
        monkeypatch.setattr(watching, "is_probe_record", lambda number, *, last: False)
    probed, bare = runs
    assert probed.records[0].is_probe
    assert not any(record.is_probe for record in bare.records)
    for before, after in zip(probed.records, bare.records, strict=True):
        for metric, numbers in after.layers.items():
            assert np.array_equal(numbers, before.layers[metric], equal_nan=True), metric
        assert after.network["grad_norm"] == before.network["grad_norm"] > 1e-2


def test_hooks_vanish_and_nothing_is_kept(tmp_path):
    model = make_model()
    watch = nnlab.watch(model, tmp_path / "run.jsonl")
    with watch:
        train(model, make_batches(3), watch=watch)
        assert any(module._forward_hooks for module in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    output = model(make_batches(1)[0][0])
    seen = weakref.ref(output)
    del output
    reference = weakref.ref(model)
    del model, watch
    gc.collect()
    assert seen() is None
    assert reference() is None


def test_between_recorded_steps_nothing_is_hooked():
    model = make_model()
    with nnlab.watch(model, every=3) as watch:
        hooked = []
        batches = make_batches(7)
        for number in range(7):
            hooked.append(any(module._forward_hooks for module in model.modules()))
            train(model, batches[number : number + 1], watch=watch)
    assert hooked == [True, False, False, True, False, False, True]


def test_start_and_stop_at_will(tmp_path):
    model = make_model()
    watch = nnlab.watch(model, tmp_path / "run.jsonl", every=2)
    train(model, make_batches(4), watch=watch)
    watch.start()
    train(model, make_batches(4), watch=watch)
    watch.stop()
    train(model, make_batches(3), watch=watch)
    watch.start()
    train(model, make_batches(3), watch=watch)
    watch.close()
    watch.close()
    assert nnlab.load_run(tmp_path / "run.jsonl").steps.tolist() == [4, 6, 12]
    with pytest.raises(ValueError, match="watch: it is closed"):
        watch.start()


@pytest.mark.parametrize(
    ("error", "status"),
    [(RuntimeError, "failed"), (KeyboardInterrupt, "interrupted"), (SystemExit, "interrupted")],
)
def test_an_error_leaves_a_readable_file(tmp_path, error, status):
    model = make_model()

    def loop():
        with nnlab.watch(model, tmp_path / "run.jsonl") as watch:
            train(model, make_batches(4), watch=watch)
            raise error

    with pytest.raises(error):
        loop()
    run = nnlab.load_run(tmp_path / "run.jsonl")
    assert run.status == status
    assert len(run.records) == 4
    assert not any(module._forward_hooks for module in model.modules())


def test_an_error_inside_the_model_leaves_it_as_it_was():
    import torch

    model = make_model()
    x, y = make_batches(1)[0]
    with nnlab.watch(model) as watch:
        with pytest.raises(RuntimeError):
            model(torch.randn(4, 5))
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        watch.step(loss)
    assert len(watch.run.records) == 1
    assert torch.overrides._get_current_function_mode() is None


def test_ctrl_c_in_a_real_process(tmp_path):
    script = """
        import signal, sys, torch, nnlab
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would ignore it
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
        with nnlab.watch(model, sys.argv[1]) as watch:
            for step in range(10**9):
                loss = model(torch.randn(8, 4)).square().mean()
                loss.backward()
                watch.step(loss)
                if step == 5:
                    print("going", flush=True)
    """
    path = tmp_path / "run.jsonl"
    command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"going\n"
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        finally:
            process.kill()
    run = nnlab.load_run(path)
    assert run.status == "interrupted"
    assert run.steps.tolist() == list(range(len(run.records)))
    assert len(run.records) >= 6


def test_a_copy_of_the_model_is_not_watched():
    """A moving average copies the model, hooks and all; a pickled model must load anywhere."""
    import torch

    model = make_model()
    x, y = make_batches(1)[0]
    with nnlab.watch(model) as watch:
        average = copy.deepcopy(model)
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        average(x)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        watch.step(loss)
    assert watch.run.record_at(0).histograms["delta"][0].sum() == 16 * 12


def test_validation_between_steps_is_not_part_of_the_record():
    import torch

    model = make_model(dropout=0.0)
    x, y = make_batches(1)[0]
    with nnlab.watch(model) as watch:
        model.eval()
        with torch.no_grad():
            model(torch.randn(50, 6))
        model(torch.randn(50, 6))  # without no_grad, as people forget
        model.train()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        model(torch.randn(50, 6))
        watch.step(loss)
    counts = watch.run.record_at(0).histograms["pre_activation"][0].sum()
    assert counts == 16 * 12


def test_a_step_without_a_backward_pass_is_said():
    model = make_model()
    with nnlab.watch(model) as watch:
        watch.step(0.5)
    assert watch.run.records == ()
    assert "no backward pass" in watch.run.notes[0]


def test_steps_without_a_backward_pass_are_one_note():
    model = make_model()
    with nnlab.watch(model) as watch:
        for _ in range(50):
            watch.step(0.5)
    (note,) = watch.run.notes[:1]
    assert note.startswith("50 steps were not recorded")
    assert sum("no backward pass" in one for one in watch.run.notes) == 1


def test_layers_that_come_in_later_get_rows(tmp_path):
    """A mixture of experts: the second one runs first at step 2."""
    import torch
    from torch import nn

    class Mixture(nn.Module):
        def __init__(self):
            super().__init__()
            self.experts = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)])
            self.head = nn.Linear(6, 3)

        def forward(self, x, chosen):
            return self.head(torch.relu(self.experts[chosen](x)))

    model = Mixture()
    with nnlab.watch(model, tmp_path / "run.jsonl") as watch:
        for step, (x, y) in enumerate(make_batches(4)):
            model.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x, int(step >= 2)), y)
            loss.backward()
            watch.step(loss)
    run = nnlab.load_run(tmp_path / "run.jsonl")
    assert sorted(layer.name for layer in run.hidden) == ["experts.0", "experts.1"]
    assert run.layers[-1].name == "head"
    names = [layer.name for layer in run.layers]
    delta = run.series("delta_norm")[1]
    seen = np.isfinite(delta)
    assert seen[:, names.index("experts.0")].tolist() == [True, True, False, False]
    assert seen[:, names.index("experts.1")].tolist() == [False, False, True, True]
    assert seen[:, -1].all()
    assert any("experts.2" in note for note in run.notes)


def test_calls_of_parts_of_a_model_are_seen():
    """A loop that calls encoder and decoder, never the model itself."""
    import torch
    from torch import nn

    encoder = nn.Sequential(nn.Linear(6, 5), nn.Tanh())
    model = nn.ModuleDict({"encoder": encoder, "decoder": nn.Linear(5, 3)})
    with nnlab.watch(model, every=2) as watch:
        for x, y in make_batches(4):
            loss = torch.nn.functional.cross_entropy(model["decoder"](model["encoder"](x)), y)
            loss.backward()
            watch.step(loss)
    run = watch.run
    assert [(layer.name, layer.activation) for layer in run.layers] == [
        ("encoder.0", "tanh"),
        ("decoder", "identity"),
    ]
    assert run.steps.tolist() == [0, 2]


def test_checkpointed_blocks_are_seen_once():
    import torch
    from torch import nn
    from torch.utils.checkpoint import checkpoint

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x):
            h = checkpoint(lambda x: torch.relu(self.one(x)), x, use_reentrant=False)
            return self.two(h)

    model = Net()
    x, y = make_batches(1)[0]
    with nnlab.watch(model) as watch:
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        watch.step(loss)
    assert watch.run.record_at(0).histograms["pre_activation"][0].sum() == 16 * 8
    assert watch.run.record_at(0).layers["delta_norm"][0] > 0


def test_records_go_on_probing_by_the_rule_and_measure_by_definition():
    from nnlab.metrics import METRICS

    model = make_model()
    with nnlab.watch(model) as watch:
        train(model, make_batches(20), watch=watch)
    run = watch.run
    assert [r.is_probe for r in run.records] == [is_probe_record(n, last=False) for n in range(20)]
    assert {name for name in run.records[9].layers} <= set(METRICS)


def test_a_diverging_loop_is_recorded_to_its_end():
    import torch

    model = make_model()
    with nnlab.watch(model) as watch:
        train(model, make_batches(12), watch=watch, learn=3e38)
    run = watch.run
    assert run.status == "diverged"
    assert run.findings[0].kind == "diverged"
    assert not math.isfinite(run.records[-1].network["loss"])
    assert torch.isnan(next(model.parameters())).any()


def test_a_gradient_that_is_no_number_is_recorded_as_such():
    import torch

    model = make_model(dropout=0.0)
    with nnlab.watch(model) as watch:
        loss = model(make_batches(1)[0][0]).sum() * math.inf
        loss.backward()
        watch.step(loss)
    record = watch.run.records[0]
    assert not math.isfinite(record.network["grad_norm"])
    assert not np.isfinite(record.layers["weight_grad_norm"]).any()
    assert not torch.isfinite(next(model.parameters()).grad).all()


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_a_wrong_every_is_named(every):
    with pytest.raises(ValueError, match=r"every: .* is not allowed; allowed: a whole number of 1 or more"):
        nnlab.watch(make_model(), every=every)


def test_a_second_watch_on_the_same_file_is_refused(tmp_path):
    model = make_model()
    with nnlab.watch(model, tmp_path / "run.jsonl") as watch:
        train(model, make_batches(2), watch=watch)
        with pytest.raises(OSError, match="another training run is writing"):
            nnlab.watch(make_model(), tmp_path / "run.jsonl")
    assert len(nnlab.load_run(tmp_path / "run.jsonl").records) == 2


def test_a_full_disk_does_not_end_the_training(tmp_path, monkeypatch):
    import errno
    import os

    model = make_model()
    path = tmp_path / "run.jsonl"
    real = os.write

    def full(descriptor, data):
        if len(data) > 500:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    with nnlab.watch(model, path) as watch:
        train(model, make_batches(3), watch=watch)
        monkeypatch.setattr(os, "write", full)
        with pytest.warns(UserWarning, match="not in the file"):
            train(model, make_batches(2), watch=watch)
        monkeypatch.undo()
        train(model, make_batches(1), watch=watch)
    run = nnlab.load_run(path)
    assert run.steps.tolist() == [0, 1, 2, 5]
    assert any("missing" in note for note in run.notes)


@pytest.mark.parametrize("label", ["Plain loop", "Accumulation and mixed precision", "One batch"])
def test_the_lines_that_the_page_offers_record_a_run(label, tmp_path, monkeypatch):
    import torch

    from nnlab.snippets import SNIPPETS

    monkeypatch.chdir(tmp_path)
    model = make_model(dropout=0.0)
    x, y = make_batches(1)[0]
    names = {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
        "loss_function": torch.nn.functional.cross_entropy,
        "batches": make_batches(24),
        "batches_per_step": 2,
        "device": "cpu",
        "x": x,
        "y": y,
    }
    code = SNIPPETS[label].code.replace("GradScaler()", 'GradScaler("cpu")')
    exec(compile(code, label, "exec"), names)
    run = nnlab.load_run("run.jsonl")
    steps = {"Plain loop": [0, 10, 20], "Accumulation and mixed precision": [0, 10], "One batch": [0]}
    assert run.steps.tolist() == steps[label]
    assert run.status == "completed"
    assert [layer.name for layer in run.layers] == ["one", "two", "head"]
    assert (run.series("delta_norm")[1] > 0).all()
    assert 0.3 < run.records[0].network["loss"] < 3
