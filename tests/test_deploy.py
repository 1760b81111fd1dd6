"""What is deployed: the lock agrees with requirements.txt and with itself, the audit tells what it knows."""

from __future__ import annotations

import configparser
import re
import tomllib
from importlib import metadata
from typing import Any

import pytest
from browsing import ROOT
from packaging.requirements import Requirement

from deploy import audit, lock

LOCKED = lock.read_lock(lock.LOCK.read_text())
PINS = [
    Requirement(line)
    for line in lock.REQUIREMENTS.read_text().splitlines()
    if line and not line.startswith(("#", "--"))
]


def test_the_lock_is_read_whole():
    text = lock.LOCK.read_text()
    assert len(LOCKED) == text.count("==") > len(PINS)
    assert sum(len(hashes) for _, hashes in LOCKED.values()) == text.count("--hash=")
    assert lock.write_lock(LOCKED) == text


def test_the_lock_holds_what_requirements_say():
    for pin in PINS:
        version, _ = LOCKED[lock.plain(pin.name)]
        assert str(pin.specifier) == f"=={version.partition('+')[0]}", pin.name
    assert LOCKED["torch"][0].endswith(lock.TORCH_BUILD)


def installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def test_what_a_locked_package_needs_is_locked_in_a_version_that_suits_it():
    asked = 0
    for name, (version, _) in LOCKED.items():
        if installed(name) != version:
            continue  # another day's package, which may need something else
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert needed.specifier.contains(LOCKED[lock.plain(needed.name)][0]), f"{name} needs {text}"
                asked += 1
    assert asked > len(PINS)


def test_nothing_is_locked_that_nobody_needs():
    if any(installed(name) != version for name, (version, _) in LOCKED.items()):
        pytest.skip("other versions than the locked ones are installed here")
    needed = {lock.plain(pin.name) for pin in PINS}
    ahead = list(needed)
    while ahead:
        for text in metadata.requires(ahead.pop()) or ():
            one = Requirement(text)
            if (one.marker is None or one.marker.evaluate({"extra": ""})) and lock.plain(
                one.name
            ) not in needed:
                needed.add(lock.plain(one.name))
                ahead.append(lock.plain(one.name))
    assert set(LOCKED) <= needed


def test_where_pip_finds_no_torch_for_a_python_its_hashes_stay(monkeypatch, capsys):
    def nothing(python: str, pins: list[str]) -> lock.Wheels:
        raise ValueError("No matching distribution found")

    monkeypatch.setattr(lock, "_for_python", nothing)
    version, hashes = LOCKED["torch"]
    assert lock._torch("3.12", f"torch=={version}") == hashes
    assert "3.12" in capsys.readouterr().err
    with pytest.raises(ValueError, match="No matching"):
        lock._torch("3.12", "torch==9.9+cpu")


# The audit


def answers(*packages: dict[str, Any]):
    """Stand in for pip-audit: what is known of the first question, then of all."""
    knows = {"name": "pip", "version": "23.2.1", "vulns": [{"id": "CVE-1", "fix_versions": ["23.3"]}]}
    given = iter(([knows], list(packages)))
    return lambda pins, patience=0.0: next(given)


LINES = "# a comment\na==1 \\\n    --hash=sha256:0\ntorch==2.13.0+cpu \\\n    --hash=sha256:1\n"
FLAW = {"id": "CVE-2026-1", "fix_versions": ["2"]}


def test_a_known_flaw_fails_the_check_and_is_named(monkeypatch):
    whole = {"name": "torch", "version": "2.13.0", "vulns": []}
    monkeypatch.setattr(audit, "ask", answers({"name": "a", "version": "1", "vulns": [FLAW]}, whole))
    code, said = audit.audit(LINES)
    assert code == 1
    assert said[0] == "audit: a 1: CVE-2026-1, fixed in 2"
    assert said[1] == "audit: 2 of 2 versions asked, 1 known flaws"


def test_no_flaw_passes_and_who_was_not_answered_is_counted(monkeypatch):
    unknown = {"name": "torch", "version": "2.13.0", "skip_reason": "not found"}
    monkeypatch.setattr(audit, "ask", answers({"name": "a", "version": "1", "vulns": []}, unknown))
    assert audit.audit(LINES) == (
        0, ["audit: 1 of 2 versions asked, 1 were not answered, 0 known flaws"]
    )  # fmt: skip


@pytest.mark.parametrize("known", [[], [{"name": "pip", "skip_reason": "not found"}], [{"vulns": []}]])
def test_whoever_does_not_know_an_old_flaw_is_not_asked_further(monkeypatch, known):
    given = iter([known])
    monkeypatch.setattr(audit, "ask", lambda pins, patience: next(given))
    code, (said,) = audit.audit(LINES)
    assert code == 0
    assert said.endswith("not reachable: skipped")


def test_a_build_of_torch_is_asked_for_by_its_version():
    assert audit.pins_of(LINES) == ["a==1", "torch==2.13.0"]


# The service


def test_the_service_sets_the_limits_of_a_host_and_asks_for_health():
    unit = (ROOT / "deploy" / "nnlab.service").read_text()
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit)
    service = parser["Service"]
    assert service["MemoryMax"] == "690M"
    assert "NNLAB_HOSTED=1" in service["Environment"].split()
    port = re.search(r"--server\.port (\d+)", service["ExecStart"])
    assert port is not None
    health = (ROOT / "deploy" / "nnlab-health.service").read_text()
    assert f"127.0.0.1:{port[1]}/_stcore/health" in health


def test_a_public_server_tells_nobody_of_its_visitors_or_its_errors():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"
    # Streamlit would print errors of pages by another way than its log, which holds no visitor's words.
    assert config["logger"]["enableRich"] is False
