"""The shape of the project: which module may import which, how long pages are, what is documented."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "nnlab").glob("*.py"))
PAGES = [ROOT / "dashboard.py", *sorted((ROOT / "pages").glob("*.py"))]
PARTS = sorted((ROOT / "pages" / "parts").glob("*.py"))

# Layers from the ground up; a module imports from its own layer or from below.
LAYERS = (
    (
        "activations", "streams", "numerals", "palette", "samples", "field", "question", "softmax", "shipped",
        "split", "fonts", "provenance", "snippets", "advice", "layer_names", "stop", "joblog", "vega",
        "whole_file", "failure", "hosting", "memory", "lease", "allowance", "upload_gate", "unread",
        "spreadsheet", "courtesy", "errands",
    ),
    (
        "initializers", "datasets", "csvfile", "csvtable", "csvdata", "network", "questions",
        "activation_facts",
    ),
    ("gaussian_mean", "born_dead", "length_chain", "linear_product", "mode_strength", "matrix_chain"),
    ("variance_table", "correlation", "moment_map"),
    ("theory", "fixed_correlation"),
    ("config", "points", "surface", "chain", "collapse", "xor", "brightness", "followed", "neuron"),
    ("signal_theory", "random_network"),
    ("isometry",),
    ("jacobian", "born_dead_curves"),
    ("spectrum_words", "born_dead_words"),
    ("phase_map",),
    ("criticality", "phase_words"),
    ("cosine_theory", "ensemble", "scatter"),
    ("prediction",),
    ("agreement", "settled", "theory_facts"),
    ("histogram", "metrics", "model", "environment", "autograd", "brightness_words", "kernels", "losses",
     "optimizer", "threads", "sums", "offender"),
    ("run", "presets", "engine", "columns"),
    ("activation_calls", "user_batch", "grid", "sweep_cost", "pace"),
    ("footprint", "schedule"),
    ("seen", "function_kinds"),
    ("fused",),
    ("capture", "bearers"),
    ("trails",),
    ("alignment", "runline", "writer_lock"),
    ("runheader", "runrecord"),
    ("runreader",),
    ("runfile", "probe", "remedies", "weights", "meter", "tables", "event_file", "layer_chain",
     "tensor_file", "checkpoint", "archive", "conversion"),
    ("trajectory", "runwriter", "live_file", "sweep_row"),
    ("sweep_summary",),
    ("recorder", "rules", "layer_meter"),
    ("explanations", "learner", "measures", "gaps", "cure", "caveats"),
    ("selection", "signal_words"),
    ("diagnosis", "autograd_learner", "member"),
    ("training",),
    ("trainer", "snapshot", "drawn", "layer_table", "summary", "chart", "frames", "lessons"),
    ("comparison", "watching", "rebuilt", "example_model", "forecast", "healing", "overlay"),
    ("overlay_table", "overlay_text", "overlay_sets"),
    ("lightning",),
    ("gradient_charts", "histogram_charts", "line_charts", "unit_charts", "jobs", "warm_up", "movable_axis"),
    (
        "activation_charts", "neuron_charts", "softmax_charts", "chain_charts", "collapse_charts",
        "xor_charts", "surface_charts", "neuron_map_charts", "signal_charts", "brightness_charts",
        "followed_charts", "paper_charts", "spectrum_charts", "born_dead_charts",
        "initialization_charts", "healing_charts", "overlay_charts", "overlay_job",
    ),
    ("overlay_stored", "job_board"),
    ("phase_marks",),
    ("phase_charts", "depth_charts"),
    ("paper", "first_pass", "linear_task"),
    ("paper_rows", "drawn_training"),
    ("paper_law_charts", "paper_depth_charts"),
    ("saxe_times", "saxe_modes", "schoenholz_depth", "klambauer_fixed_point", "hanin_fluctuation",
     "lu_born_dead", "yang_explosion"),
    ("paper_result", "paper_table", "paper_training", "glorot_first_pass", "glorot_training",
     "he_2015", "makemore"),
    ("glorot_charts",),
    ("glorot_papers",),
    ("papers",),
    ("paper_job",),
    ("charts",),
    ("worker", "worker_pool"),
    ("painter",),
    ("export", "reproduction", "reproduction_data", "reproduction_facts", "reproduction_network",
     "reproduction_text"),
    ("report",),
    ("printout", "sweep_charts", "sweep_words"),
    ("run_files",),
    ("folder",),
    ("sweep_store", "sweep_memory", "cell_training"),
    ("dask_task",),
    ("dask_executor",),
    ("executors",),
    ("sweep",),
    ("sweep_command", "sweep_job", "sweep_presets"),
    ("__main__",),
)  # fmt: skip
TORCH_FREE = (
    "run", "runfile", "runline", "runheader", "runrecord", "runreader", "runwriter", "live_file",
    "writer_lock", "alignment",
    "whole_file", "failure",
    "diagnosis", "remedies", "chart", "charts", "gradient_charts", "histogram_charts",
    "line_charts", "unit_charts", "export", "layer_table", "summary", "presets", "jobs", "joblog", "config",
    "job_board", "lease", "hosting", "memory", "schedule", "footprint", "warm_up",
    "network", "weights", "trajectory", "lessons", "chain", "collapse", "xor", "surface", "points", "neuron",
    "softmax", "brightness", "activation_facts", "activation_charts", "neuron_charts", "softmax_charts",
    "chain_charts", "collapse_charts", "xor_charts", "surface_charts", "brightness_charts", "questions",
    "neuron_map_charts", "signal_charts", "csvfile", "csvtable", "csvdata",
    "followed", "followed_charts", "brightness_words",
    "sweep_summary", "sweep_charts", "sweep_words", "sweep_memory", "sweep_job", "sweep_presets",
    "fonts", "provenance", "columns", "tables", "event_file", "report", "printout", "run_files", "folder",
    "vega", "painter",
    "reproduction", "reproduction_data", "reproduction_facts", "reproduction_network", "reproduction_text",
    "checkpoint", "conversion",  # which import layer_chain and tensor_file, and archive
    "theory", "variance_table", "gaussian_mean", "correlation", "moment_map", "born_dead", "length_chain",
    "linear_product", "signal_theory", "random_network", "mode_strength",
    "fixed_correlation", "matrix_chain", "isometry", "jacobian", "spectrum_words",
    "spectrum_charts", "born_dead_curves", "born_dead_words", "born_dead_charts",
    "phase_map", "criticality", "phase_words", "errands",
    "phase_marks", "phase_charts", "depth_charts",
    "cosine_theory", "scatter", "ensemble", "prediction", "agreement", "settled", "cure",
    "signal_words", "theory_facts", "caveats", "initialization_charts", "movable_axis",
    "paper", "papers", "paper_charts", "paper_table", "paper_result", "paper_job", "glorot_first_pass",
    "glorot_charts", "glorot_papers", "glorot_training", "he_2015", "makemore",
    "paper_rows", "paper_law_charts", "paper_depth_charts", "linear_task", "saxe_times", "saxe_modes",
    "schoenholz_depth", "klambauer_fixed_point", "hanin_fluctuation", "lu_born_dead", "yang_explosion",
    "grid", "sweep_cost", "pace", "sweep_row", "sweep_store", "worker", "worker_pool", "cell_training",
    "dask_task", "dask_executor", "executors", "sweep", "sweep_command",
    "comparison", "forecast", "healing", "healing_charts",
    "overlay", "overlay_charts", "overlay_table", "overlay_text", "overlay_sets", "overlay_job",
    "overlay_stored",
    "allowance", "upload_gate", "unread", "spreadsheet",
    "selection", "gaps",  # which import measures and layer_names
)  # fmt: skip
# The command that converts .pt files unpickles them on their owner's machine: there is no other way to read
# one. What a server reads never comes there.
CONVERSION, UNPICKLING = ROOT / "nnlab" / "conversion.py", ("torch.load", "pickle")
REGISTRIES = ("activations", "initializers", "datasets", "metrics")


def imported_names(path: Path, *, top_level_only: bool) -> set[str]:
    """Give the dotted names a file imports, without those behind TYPE_CHECKING."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.Import):
                names.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                names.add(child.module)
                names.update(f"{child.module}.{alias.name}" for alias in child.names)
            if top_level_only and isinstance(child, ast.FunctionDef):
                continue
            visit(child)

    visit(ast.parse(path.read_text()))
    return names


def rank(module: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_library_never_imports_streamlit(path):
    assert not any(name.split(".")[0] == "streamlit" for name in imported_names(path, top_level_only=False))


@pytest.mark.parametrize("path", [p for p in MODULES if p.stem != "__init__"], ids=lambda path: path.stem)
def test_imports_go_one_way(path):
    for name in imported_names(path, top_level_only=True):
        parts = name.split(".")
        if parts[0] == "nnlab" and len(parts) > 1 and parts[1] in {p.stem for p in MODULES}:
            assert rank(parts[1]) <= rank(path.stem), f"{path.stem} imports {name}"


def heavy_after(names: Sequence[str]) -> set[str]:
    """Import modules in a process of their own; give what of torch and scikit-learn they have loaded."""
    code = (
        f"import sys, importlib; [importlib.import_module('nnlab.' + n) for n in {list(names)!r}];"
        "print(*({'torch', 'sklearn'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_drawing_a_stored_run_needs_no_torch():
    if heavy_after(TORCH_FREE):  # all at once takes a second; which one it is, is asked only then
        guilty = [name for name in TORCH_FREE if heavy_after([name])]
        pytest.fail(f"torch or scikit-learn is loaded by {', '.join(guilty)}")


def test_a_verdict_needs_neither_pandas_nor_altair():
    code = (
        "import sys; from nnlab.presets import STORED_RUN; from nnlab.runfile import load_run;"
        "assert load_run(STORED_RUN).findings; sys.exit(bool({'pandas', 'altair'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("name", REGISTRIES)
def test_registries_import_neither_torch_nor_scikit_learn(name):
    names = imported_names(ROOT / "nnlab" / f"{name}.py", top_level_only=True)
    assert not {part.split(".")[0] for part in names} & {"torch", "sklearn", "scipy"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_pages_are_short(path):
    assert len(path.read_text().splitlines()) <= 120


@pytest.mark.parametrize("path", [*PAGES, *PARTS], ids=lambda path: path.stem)
def test_pages_hold_no_arithmetic_libraries(path):
    roots = {name.split(".")[0] for name in imported_names(path, top_level_only=False)}
    assert not roots & {"numpy", "pandas", "torch", "altair", "sklearn", "math"}


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", [*MODULES, *PARTS, *PAGES], ids=lambda path: path.stem)
def test_functions_fit_on_a_screen(path):
    for function in functions(path):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length <= 60, f"{function.name} has {length} lines"


# What no module of the app may call or import, by the end of its dotted name: it runs code that a file holds,
# shares one stream of random numbers among all visitors, or puts somebody's text into a page as HTML.
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
BANNED_CALLS = (
    "torch.load", "torch.manual_seed", "torch.seed", "torch.random.manual_seed", "np.random.seed",
    "random.seed", "st.html", "st.iframe", "components.html", "components.v1.html", "eval", "exec",
)  # fmt: skip
GLOBAL_RANDOM = re.compile(r"(np|numpy)\.random\.(?!default_rng$)[a-z]\w*")
TORCH_RANDOM = re.compile(r"torch\.(rand|randn|randint|randperm|bernoulli|normal|multinomial)")
DRAWS_OF_RANDOM = ("random", "randint", "choice", "shuffle", "uniform", "gauss", "sample", "randrange")


def _offences(path: Path) -> Iterator[str]:
    """Give what a module does that none may, by line."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            yield from (f"imports {name}" for name in names if name.split(".")[0] in PICKLES)
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{node.lineno}: bare except"
        elif isinstance(node, ast.Call):
            yield from _offences_of_call(node)


def _offences_of_call(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    given = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if any(name == banned or (name.endswith(f".{banned}") and "." in banned) for banned in BANNED_CALLS):
        yield f"{call.lineno}: {name}"
    if name.split(".")[-1] in ("read_pickle", "to_pickle"):
        yield f"{call.lineno}: {name}"
    if GLOBAL_RANDOM.fullmatch(name) or name in [f"random.{draw}" for draw in DRAWS_OF_RANDOM]:
        yield f"{call.lineno}: {name}"
    if TORCH_RANDOM.fullmatch(name) and "generator" not in given:
        yield f"{call.lineno}: {name} without a generator"
    if given.get("allow_pickle", "False") != "False" or "unsafe_allow_html" in given:
        yield f"{call.lineno}: {name} with {', '.join(map(str, given))}"
    if name == "np.load" and "allow_pickle" not in given:
        yield f"{call.lineno}: np.load that does not say allow_pickle=False"


def test_nothing_unpickles_draws_from_a_shared_stream_or_writes_html():
    for path in [*MODULES, *PARTS, *PAGES]:
        allowed = "torch.load" if path == CONVERSION else "\0"
        assert not [found for found in _offences(path) if allowed not in found], path


def test_the_look_at_modules_finds_what_it_looks_for(tmp_path):
    lines = (
        "import pickle", "from joblib import load", "try:\n    pass\nexcept:\n    pass", "torch.load(f)",
        "np.load(f, allow_pickle=True)", "np.load(f)", "pd.read_pickle(f)", "torch.manual_seed(0)",
        "np.random.seed(0)", "np.random.normal()", "random.random()", "torch.randn(3)", "st.html(x)",
        "st.markdown(x, unsafe_allow_html=True)", "st.components.v1.html(x)", "eval(x)",
    )  # fmt: skip
    for number, line in enumerate(lines):
        (tmp_path / f"m{number}.py").write_text(line)
        assert list(_offences(tmp_path / f"m{number}.py")), line
    (tmp_path / "good.py").write_text(
        "rng = np.random.default_rng(0)\ntorch.randn(3, generator=g)\nmodel.eval()\ng.manual_seed(1)\n"
        "np.load(f, allow_pickle=False)\nrandom.Random(3).choice(x)\n"
    )
    assert not list(_offences(tmp_path / "good.py"))


def cached_functions(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Give every function that Streamlit keeps the results of, with what it is asked by."""
    for function in functions(path):
        if any(
            "cache_data" in ast.unparse(d) or "cache_resource" in ast.unparse(d)
            for d in function.decorator_list
        ):
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            yield function.name, [ast.unparse(a.annotation) if a.annotation else "" for a in arguments]


def test_no_cache_is_asked_by_a_table_or_by_an_array():
    """Streamlit looks at a sample of large ones only: one visitor would get what another's file gives."""
    asked = [(path.stem, *found) for path in [*PARTS, *PAGES] for found in cached_functions(path)]
    assert asked
    for page, name, kinds in asked:
        text = " ".join(kinds)
        assert not re.search(r"DataFrame|ndarray|Tensor|Table|Data\b|Run\b|Any|^$| $", text) or not kinds, (
            page,
            name,
        )


def test_what_is_unpickled_can_run_no_code_and_only_the_command_line_asks_for_it():
    calls = [node for node in ast.walk(ast.parse(CONVERSION.read_text())) if isinstance(node, ast.Call)]
    loads = [call for call in calls if ast.unparse(call.func) in ("torch.load", "load", "loads")]
    assert [ast.unparse(call.func) for call in loads] == ["torch.load"]
    given = {word.arg: ast.unparse(word.value) for word in loads[0].keywords}
    assert (given["weights_only"], given["mmap"]) == ("True", "True")
    for path in [*MODULES, *PARTS, *PAGES]:
        assert path.stem == "__main__" or "nnlab.conversion" not in path.read_text(), path


def test_importing_nnlab_loads_neither_torch_nor_altair():
    code = "import sys, nnlab; sys.exit(bool({'torch', 'altair', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_every_name_of_the_contract_is_there():
    import nnlab

    for name in (*nnlab.__all__, "ExperimentConfig", "train", "diagnose", "build_model", "load_run"):
        assert getattr(nnlab, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = nnlab.no_such_name
