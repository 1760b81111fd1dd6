"""The shape of the project: which module may import which, how long pages are, what is documented."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
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
        "split", "fonts", "provenance", "snippets", "advice", "layer_names",
    ),
    (
        "initializers", "datasets", "csvfile", "csvtable", "csvdata", "network", "questions",
        "activation_facts",
    ),
    ("gaussian_mean", "born_dead", "length_chain", "linear_product"),
    ("variance_table", "correlation", "moment_map"),
    ("theory",),
    ("config", "points", "surface", "chain", "collapse", "xor", "brightness", "followed", "neuron"),
    ("signal_theory",),
    ("histogram", "metrics", "model", "environment", "autograd", "brightness_words", "kernels", "losses",
     "optimizer", "threads", "sums"),
    ("run", "presets", "engine", "columns"),
    ("activation_calls", "user_batch"),
    ("seen", "function_kinds"),
    ("fused",),
    ("capture", "bearers"),
    ("trails",),
    ("alignment", "runline", "writer_lock"),
    ("runheader", "runrecord"),
    ("runreader",),
    ("runfile", "probe", "remedies", "weights", "meter", "tables", "event_file", "layer_chain",
     "tensor_file", "checkpoint", "archive", "conversion"),
    ("trajectory", "runwriter", "live_file"),
    ("recorder", "rules", "layer_meter"),
    ("explanations", "learner", "measures", "gaps"),
    ("selection",),
    ("diagnosis", "autograd_learner", "member"),
    ("trainer", "snapshot", "layer_table", "summary", "chart", "frames", "lessons"),
    ("comparison", "watching", "rebuilt", "example_model"),
    ("lightning",),
    ("gradient_charts", "histogram_charts", "line_charts", "unit_charts", "jobs"),
    (
        "activation_charts", "neuron_charts", "softmax_charts", "chain_charts", "collapse_charts",
        "xor_charts", "surface_charts", "neuron_map_charts", "signal_charts", "brightness_charts",
        "followed_charts",
    ),
    ("charts",),
    ("export", "reproduction", "reproduction_data", "reproduction_facts", "reproduction_network",
     "reproduction_text"),
    ("report",),
    ("printout",),
    ("run_files",),
    ("folder",),
    ("__main__",),
)  # fmt: skip
TORCH_FREE = (
    "run", "runfile", "runline", "runheader", "runrecord", "runreader", "runwriter", "live_file",
    "writer_lock", "alignment",
    "diagnosis", "remedies", "chart", "charts", "gradient_charts", "histogram_charts",
    "line_charts", "unit_charts", "export", "layer_table", "summary", "presets", "jobs", "config",
    "network", "weights", "trajectory", "lessons", "chain", "collapse", "xor", "surface", "points", "neuron",
    "softmax", "brightness", "activation_facts", "activation_charts", "neuron_charts", "softmax_charts",
    "chain_charts", "collapse_charts", "xor_charts", "surface_charts", "brightness_charts", "questions",
    "neuron_map_charts", "signal_charts", "csvfile", "csvtable", "csvdata",
    "followed", "followed_charts", "brightness_words",
    "fonts", "provenance", "columns", "tables", "event_file", "report", "printout", "run_files", "folder",
    "reproduction", "reproduction_data", "reproduction_facts", "reproduction_network", "reproduction_text",
    "checkpoint", "conversion",  # which import layer_chain and tensor_file, and archive
    "theory", "variance_table", "gaussian_mean", "correlation", "moment_map", "born_dead", "length_chain",
    "linear_product", "signal_theory",
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


def test_no_process_wide_randomness_and_no_pickle():
    banned = (
        "torch.manual_seed",
        "np.random.seed",
        "random.seed",
        "torch.load",
        "pickle",
        "unsafe_allow_html",
    )
    for path in [*MODULES, *PARTS, *PAGES]:
        text = path.read_text()
        allowed = UNPICKLING if path == CONVERSION else ()
        assert not [word for word in banned if word in text and word not in allowed], path


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
