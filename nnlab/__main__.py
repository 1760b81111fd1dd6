"""The command line: python -m nnlab train | heal | show | export | sweep | convert | papers."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.explanations import why_healthy
from nnlab.failure import is_of_memory
from nnlab.field import Field
from nnlab.layer_table import layer_table
from nnlab.numerals import percent, scientific
from nnlab.palette import Mode
from nnlab.remedies import describe
from nnlab.run import Run, StepRecord
from nnlab.runfile import load_run
from nnlab.runwriter import LostRecordsWarning, RunWriter
from nnlab.whole_file import write_whole

if TYPE_CHECKING:
    from nnlab.run_files import View

EXIT_DONE, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 2, 130
BAR_WIDTH = 30


def _complain(message: str) -> None:
    """Print one line on stderr, whatever the message holds."""
    print("nnlab: " + " ".join(message.splitlines()), file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        _complain(message)
        raise SystemExit(EXIT_BAD_INPUT)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _add_config_flags(parser: argparse.ArgumentParser) -> None:
    default = ExperimentConfig()
    for name, field in FIELDS.items():
        shown = field.format(getattr(default, name))
        help_text = f"{field.help} [{shown}] ({field.allowed})".replace("%", "%%")
        if field.kind == "switch":
            action = argparse.BooleanOptionalAction
            parser.add_argument(_flag(name), action=action, default=None, help=field.help)
        else:
            parser.add_argument(_flag(name), metavar="VALUE", default=None, help=help_text)


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="nnlab", description="See where gradients die.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    train = commands.add_parser("train", help="train and record a network", allow_abbrev=False)
    _add_config_flags(train)
    train.add_argument("--out", metavar="FILE", help="run file to write")
    train.add_argument("--weights", metavar="FILE", help="safetensors file for the trained weights")
    heal = commands.add_parser("heal", help="train, then try one remedy after the other", allow_abbrev=False)
    _add_config_flags(heal)
    show = commands.add_parser("show", help="print a run's verdict and layer table")
    show.add_argument("file", help="run file")
    _add_export(commands)
    _add_sweep(commands)
    convert = commands.add_parser(
        "convert", allow_abbrev=False, help="write a PyTorch state dict (.pt, .pth) as a safetensors file"
    )
    convert.add_argument("file", help="file of torch.save(model.state_dict(), file)")
    convert.add_argument("--out", metavar="FILE", required=True, help="safetensors file to write")
    _add_papers(commands)
    return parser


def _add_export(commands: Any) -> None:
    export = commands.add_parser(
        "export", allow_abbrev=False, help="write a run's charts, tables, report and script"
    )
    export.add_argument("file", help="run file")
    export.add_argument("--to", metavar="DIR", required=True, help="folder that the files go into")
    formats = "comma-separated, or all [csv,parquet,svg,png,report,script,run,weights]"
    export.add_argument("--format", metavar="NAMES", help=formats)
    export.add_argument("--step", metavar="STEP", help="the step that charts and report show [the last]")
    export.add_argument("--theme", metavar="THEME", default="light", help="colors: light or dark [light]")


def _add_papers(commands: Any) -> None:
    papers = commands.add_parser(
        "papers", allow_abbrev=False, help="measure the papers' figures and compare with what they say"
    )
    papers.add_argument("--only", metavar="NAME", nargs="+", help="papers to measure [all]")
    papers.add_argument("--small", action="store_true", help="small settings: seconds, nothing is kept")
    papers.add_argument("--to", metavar="DIR", help="folder for the results [the package's, unless --small]")


def _add_sweep(commands: Any) -> None:
    sweep = commands.add_parser(
        "sweep", allow_abbrev=False, help="train every combination of some fields' values, from several seeds"
    )
    _add_config_flags(sweep)
    axis = "a field and its values; once for every field that varies"
    sweep.add_argument("--grid", metavar="FIELD=VALUES", action="append", default=[], help=axis)
    sweep.add_argument(
        "--seeds", metavar="COUNT", default="1", help="seeds a combination, from --seed on [1]"
    )
    sweep.add_argument("--out", metavar="FILE", required=True, help="Parquet file to write, a row a run")
    kinds = "threads, processes or dask [processes for long sweeps]"
    sweep.add_argument("--executor", metavar="NAME", help=kinds)
    sweep.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler [a local cluster]")
    sweep.add_argument("--workers", metavar="COUNT", help="cells at a time [one a processor]")


def _read_config(arguments: argparse.Namespace) -> ExperimentConfig:
    values: dict[str, Any] = {}
    for name, field in FIELDS.items():
        given = getattr(arguments, name)
        if given is None:
            continue
        try:
            values[name] = given if isinstance(given, bool) else field.parse(given)
        except ValueError as error:
            raise ValueError(_as_flag(error)) from None
    try:
        return ExperimentConfig(**values)
    except ValueError as error:
        raise ValueError(_as_flag(error)) from None


def _as_flag(error: ValueError) -> str:
    """Say "--depth: ..." where the message starts with a field's name."""
    name, colon, rest = str(error).partition(":")
    return f"{_flag(name)}:{rest}" if colon and name in FIELDS else str(error)


def _check_folder(path: str | None, flag: str) -> None:
    folder = Path(path).resolve().parent if path else None
    if folder is not None and not folder.is_dir():
        raise ValueError(f"{flag}: the folder {str(folder)!r} does not exist; make it first")
    if folder is not None and not os.access(folder, os.W_OK):
        raise ValueError(f"{flag}: the folder {str(folder)!r} is not writable")
    if path and Path(path).is_dir():
        raise ValueError(f"{flag}: {path!r} is a folder; name a file")


class _Bar:
    """A progress bar on stderr, if that is a terminal."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._is_shown = sys.stderr.isatty()

    def update(self, record: StepRecord) -> None:
        if not self._is_shown:
            return
        done = BAR_WIDTH * record.step // self._steps
        loss = scientific(record.network["loss"])
        bar = "#" * done + "." * (BAR_WIDTH - done)
        print(f"\r[{bar}] step {record.step}/{self._steps}  loss {loss}   ", end="", file=sys.stderr)

    def close(self) -> None:
        if self._is_shown:
            print(file=sys.stderr)


def _train(arguments: argparse.Namespace) -> int:
    config = _read_config(arguments)
    _check_folder(arguments.out, "--out")
    _check_folder(arguments.weights, "--weights")
    from nnlab.trainer import train

    stop = threading.Event()
    writer: RunWriter | None = None
    latest: Run | None = None
    bar = _Bar(config.steps)

    def on_record(run: Run, record: StepRecord) -> None:
        nonlocal writer, latest
        latest = run
        if arguments.out:  # opened at the first record: an unusable dataset leaves an old file alone
            writer = writer or RunWriter(arguments.out)
            writer.append(run, record)
        bar.update(record)

    try:
        with _interrupts_set(stop), _losses_said_at_the_end():
            run = train(config, on_record=on_record, stop=stop)
    except BaseException as error:
        if writer is not None and latest is not None:  # the file, too, says that this is no whole run
            _finish(writer, replace(latest, status="failed"))
        if isinstance(error, ValueError):
            raise ValueError(_as_flag(error)) from None
        raise
    finally:
        bar.close()
    if arguments.out:
        writer = writer or RunWriter(arguments.out)  # stopped before its first record
        _finish(writer, run)
    if arguments.weights:
        _save_weights(run, arguments.weights)
    _print_verdict(run)
    if writer is not None and writer.trouble:  # the file that was asked for is not what it should be
        _complain(writer.trouble)
        return EXIT_BAD_INPUT
    return EXIT_INTERRUPTED if run.status == "stopped" else EXIT_DONE


def _heal(arguments: argparse.Namespace) -> int:
    config = _read_config(arguments)
    # These load torch and pandas, which bad input does without.
    from nnlab.comparison import differences, last_ratio, verdict_words
    from nnlab.healing import heal
    from nnlab.trainer import train

    stop = threading.Event()
    latest = config

    def train_and_say(tried: ExperimentConfig) -> Run:
        nonlocal latest
        run = train(tried, stop=stop)
        if stop.is_set():
            raise KeyboardInterrupt
        said = differences(latest, tried) or tried.words
        print(f"{said}: R {last_ratio(run)}, {_test_score(run)}, {verdict_words(run)}", flush=True)
        latest = tried
        return run

    try:
        with _interrupts_set(stop):
            runs = heal(config, train_and_say)
    except ValueError as error:
        raise ValueError(_as_flag(error)) from None
    if runs[-1].findings:
        print(f"not healthy after {len(runs) - 1} remedies")
    return EXIT_DONE


def _finish(writer: RunWriter, run: Run) -> None:
    with _losses_said_at_the_end():
        writer.finish(run, "interrupted" if run.status == "stopped" else run.status)


@contextmanager
def _losses_said_at_the_end() -> Iterator[None]:
    """Keep a full disk from being said twice: it does not end the run, and the exit code tells it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LostRecordsWarning)
        yield


@contextmanager
def _interrupts_set(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C end the run at its next step, with everything recorded."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears signals
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _save_weights(run: Run, path: str) -> None:
    from nnlab.checkpoint import write_checkpoint

    write_whole(path, [write_checkpoint(run)])


def _print_verdict(run: Run) -> None:
    print(run.title)
    if not run.records:
        print(f"{run.status}: no records")
        return
    last = run.records[-1]
    loss = scientific(last.network["loss"])
    print(f"{run.status} at step {last.step}: loss {loss}, {_test_score(run)}")
    for note in run.notes:
        print(f"note: {note}")
    if not run.findings:
        print(f"healthy: {why_healthy(run)}")
    for finding in run.findings:
        print(f"{finding.severity}: {finding.title} ({finding.layer}): {finding.explanation}")
        if finding.remedy:
            print(f"  try: {describe(finding.remedy)}")


def _test_score(run: Run) -> str:
    if run.predicts_numbers:
        return f"test loss {scientific(float(run.series('test_loss')[1][-1]))}"
    accuracy = run.series("test_accuracy")[1]
    return f"test accuracy {percent(float(accuracy[-1])) if len(accuracy) else 'undefined'}"


def _show(arguments: argparse.Namespace) -> int:
    run = load_run(arguments.file)
    _print_verdict(run)
    if run.records:
        table = layer_table(run, run.records[-1].step)
        print()
        print(table.to_string(index=False, float_format=lambda value: f"{value:.3g}"))
    return EXIT_DONE


def _read_view(arguments: argparse.Namespace) -> View:
    """Check what is to be exported; raises ValueError naming the flag."""
    from nnlab.run_files import View

    if arguments.theme not in get_args(Mode):
        raise ValueError(f"--theme: {arguments.theme!r} is not allowed; allowed: {', '.join(get_args(Mode))}")
    run = load_run(arguments.file)
    if arguments.step is None:
        return View(run, None, arguments.theme)
    last = int(run.records[-1].step) if run.records else 0
    step = Field("step", "integer", "Step", "", low=0, high=last)
    try:
        return View(run, int(step.parse(arguments.step)), arguments.theme)
    except ValueError as error:
        raise ValueError(f"--{error}") from None


def _read_formats(text: str | None) -> tuple[str, ...]:
    from nnlab.run_files import ALL, USUAL

    if text is None:
        return USUAL
    return tuple(name for part in text.split(",") for name in (ALL if part == "all" else (part,)))


def _export(arguments: argparse.Namespace) -> int:
    # These load Altair and pandas, which training does without.
    from nnlab.folder import write_folder
    from nnlab.run_files import files_of

    folder = Path(arguments.to)
    _check_folder(str(folder / "README.md"), "--to")
    named = _read_formats(arguments.format)
    view = _read_view(arguments)
    try:
        files = files_of(view, named)
    except ValueError as error:
        raise ValueError(f"--{error}" if str(error).startswith("format:") else str(error)) from None
    for path in write_folder(files, folder):
        print(path)
    if view.run.ending:
        print(f"the run {view.run.ending}", file=sys.stderr)
    return EXIT_DONE


# What the library calls by a name that is a flag here.
_ORDER_FLAGS = ("grid", "seeds", "executor", "scheduler", "workers")


def _sweep(arguments: argparse.Namespace) -> int:
    from nnlab.sweep_command import SweepOrder, sweep_to_file

    base = _read_config(arguments)
    _check_folder(arguments.out, "--out")
    order = SweepOrder(**{name: getattr(arguments, name) for name in _ORDER_FLAGS})
    stop = threading.Event()
    try:
        with _interrupts_set(stop):
            sweep, trouble = sweep_to_file(base, order, Path(arguments.out), stop)
    except ValueError as error:
        name = str(error).partition(":")[0]
        raise ValueError(f"--{error}" if name in (*_ORDER_FLAGS, "out") else _as_flag(error)) from None
    if trouble:
        _complain(trouble)
        return EXIT_BAD_INPUT
    return EXIT_INTERRUPTED if sweep.status == "stopped" else EXIT_DONE


def _convert(arguments: argparse.Namespace) -> int:
    _check_folder(arguments.out, "--out")
    source, target = Path(arguments.file), Path(arguments.out)
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"--out: {arguments.out!r} is the file that is read; name another one")
    from nnlab.conversion import convert

    converted = convert(source)
    write_whole(arguments.out, [converted.content])
    print(f"{arguments.out}: {converted.tensors:,} tensors, {len(converted.content):,} bytes")
    for note in converted.notes:
        print(f"note: {note}")
    return EXIT_DONE


def _papers(arguments: argparse.Namespace) -> int:
    from nnlab.paper import Interrupted
    from nnlab.paper_result import STORED_PAPERS, reproduce, write_result
    from nnlab.papers import PAPERS

    chosen = _read_papers(arguments.only, tuple(PAPERS))
    folder = Path(arguments.to) if arguments.to else None if arguments.small else STORED_PAPERS
    if folder is not None:
        _check_folder(str(folder / "NAME.json"), "--to")
    stop = threading.Event()
    with _interrupts_set(stop):
        for paper in (PAPERS[name] for name in chosen):
            settings = paper.small if arguments.small else paper.full
            try:
                result = reproduce(paper, settings, lambda done, steps: None, stop)
            except Interrupted:
                return EXIT_INTERRUPTED
            if folder is not None:
                write_result(result, folder)
            print(f"{paper.name}: {paper.source} ({result.seconds:.0f} s)")
            for check in paper.check(result.columns, settings):
                print(f"  {check.words}")
    return EXIT_DONE


def _read_papers(given: Sequence[str] | None, known: Sequence[str]) -> Sequence[str]:
    for name in given or ():
        if name not in known:
            raise ValueError(f"--only: {name!r} is not allowed; allowed: {', '.join(known)}")
    return tuple(dict.fromkeys(given or known))


def _with_values_joined(arguments: list[str]) -> list[str]:
    """Write "--noise -1" as "--noise=-1": argparse would take -1e5 or -inf for a flag."""
    valued = {_flag(name) for name, field in FIELDS.items() if field.kind != "switch"}
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in valued and not argument.startswith("--"):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _check_said_once(arguments: Sequence[str]) -> None:
    """Raise ValueError where a field is given twice: argparse would silently take the last."""
    given = [argument.partition("=")[0].replace("--no-", "--", 1) for argument in arguments]
    for flag in map(_flag, FIELDS):
        if given.count(flag) > 1:
            raise ValueError(f"{flag}: given {given.count(flag)} times; allowed: once")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 done, 2 bad input, 130 interrupted."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    joined = _with_values_joined(given)
    parsed = _build_parser().parse_args(joined)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows only ASCII
    commands = {
        "train": _train,
        "heal": _heal,
        "show": _show,
        "export": _export,
        "sweep": _sweep,
        "convert": _convert,
        "papers": _papers,
    }
    try:
        _check_said_once(joined)
        return commands[parsed.command](parsed)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader, a pager or `head`, has seen enough; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _complain(f"{place}{error.strerror or error}")
    except ValueError as error:
        _complain(str(error))
    except (MemoryError, RuntimeError) as error:
        if not is_of_memory(error):
            raise
        _complain("not enough memory; what was finished before is kept")
    return EXIT_BAD_INPUT


if __name__ == "__main__":
    raise SystemExit(main())
