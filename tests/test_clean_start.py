"""A clean clone with requirements.txt alone: the app starts, trains, exports, and stays small."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import browsing
import pytest
from browsing import ROOT, leave, open_page, serve

from nnlab.hosting import HOSTED_VARIABLE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

browser = browsing.browser

MOST_BYTES = 500e6
# Python reads this file at its start: what requirements.txt does not bring is then as if it were not there.

HIDE = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

HIDDEN = frozenset(%r)
sys.meta_path.insert(0, Hide())
"""


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0].lower().replace("_", "-")


def _brought_by(names: set[str]) -> set[str]:
    """Give distributions with everything that they need, as pip would install them."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                ahead.append(_name(needed.name))
    return found


def _hidden() -> list[str]:
    """Name the packages of this environment that requirements.txt does not bring."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    brought = _brought_by({_name(line) for line in lines if line and not line.startswith("#")})
    return sorted(
        package
        for package, owners in metadata.packages_distributions().items()
        if not {_name(owner) for owner in owners} & brought
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of what git knows, beside a start file that hides all other packages."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: there is no clean clone of it")
    folder = tmp_path_factory.mktemp("clone")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / "sitecustomize.py").write_text(HIDE % _hidden())
    return folder


def environment(clone: Path) -> dict[str, str]:
    return {**os.environ, HOSTED_VARIABLE: "1", "PYTHONPATH": str(clone)}


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return 1024 * int(found[1])


def test_what_is_hidden_is_what_only_development_brings() -> None:
    hidden = _hidden()
    assert {"pytest", "hypothesis", "playwright", "tensorboard", "mypy"} <= set(hidden)
    assert not {"streamlit", "torch", "altair", "pandas", "numpy", "pyarrow", "fpdf", "pypdf"} & set(hidden)


def test_the_command_line_trains_and_exports(clone: Path, tmp_path: Path) -> None:
    run = str(tmp_path / "run.jsonl")
    for arguments in (
        ["train", "--dataset", "iris", "--depth", "2", "--width", "4", "--steps", "5", "--out", run],
        ["export", run, "--to", str(tmp_path), "--format", "csv,parquet,report,printout,script"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "nnlab", *arguments],
            cwd=clone,
            env=environment(clone),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read memory from")
def test_the_app_starts_trains_and_stays_small(browser: Browser, clone: Path) -> None:
    with serve(clone, environment(clone)) as (address, process):
        page = open_page(browser)
        page.goto(address)
        page.locator(".st-key-verdict").wait_for()
        page.locator(browsing.TRAIN).click()
        page.wait_for_url("**made=**")
        page.locator(browsing.TRAIN).wait_for()
        browsing.wait_for_charts(page, 6)
        assert resident_bytes(process.pid) < MOST_BYTES
        leave(page)


def test_the_limits_of_a_host_are_set_by_its_secrets(browser: Browser, clone: Path, tmp_path: Path) -> None:
    shutil.copytree(clone, tmp_path, dirs_exist_ok=True)
    (tmp_path / ".streamlit" / "secrets.toml").write_text(f'{HOSTED_VARIABLE} = "1"\n')
    unset = {name: value for name, value in environment(tmp_path).items() if name != HOSTED_VARIABLE}
    with serve(tmp_path, unset) as (address, _):
        page = open_page(browser)
        page.goto(f"{address}/?depth=100&width=512")
        page.locator(".st-key-verdict").wait_for()
        page.locator(browsing.TRAIN).click()
        page.get_by_text("here at most 64 MB are allowed").wait_for()
        leave(page)
