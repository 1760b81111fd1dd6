"""Audit: whether a version that requirements.lock names is known to be vulnerable, where that can be asked.

Ends with 0 where none is, or where nobody can be asked: then it says so. pip-audit does the asking.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"
PATIENCE = 5  # seconds that one answer may take
FIRST_PATIENCE, ALL_PATIENCE = (
    20,
    120,
)  # seconds for the first question, which may end it all, and for all others
FIRST = "pip==23.2.1"  # a version with a known vulnerability: who does not know it knows nothing

Package = dict[str, Any]


def ask(pins: list[str], patience: float = ALL_PATIENCE) -> list[Package]:
    """Give what is known of some versions; nothing where nobody answers."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(pins))
        file.flush()
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "--requirement",
            file.name,
            "--no-deps",
            "--disable-pip",
        ]
        command += ["--format", "json", "--progress-spinner", "off", "--timeout", str(PATIENCE)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=patience)
        except subprocess.TimeoutExpired:
            return []
    return list(json.loads(done.stdout)["dependencies"]) if done.stdout.startswith("{") else []


def pins_of(lock: str) -> list[str]:
    """Give the versions in a lock as the index names them, without the mark of torch's build."""
    named = (line.split()[0] for line in lock.splitlines() if "==" in line and not line.startswith("#"))
    return [pin.partition("+")[0] for pin in named]


def audit(lock: str) -> tuple[int, list[str]]:
    """Give the exit code and what to say."""
    if not any(package.get("vulns") for package in ask([FIRST], FIRST_PATIENCE)):
        return 0, ["audit: what is known of vulnerabilities is not reachable: skipped"]
    asked = pins_of(lock)
    answers = ask(asked)
    answered = [package for package in answers if "vulns" in package]
    said = [
        f"audit: {package['name']} {package['version']}: {flaw['id']}, fixed in "
        f"{', '.join(flaw['fix_versions']) or 'no version yet'}"
        for package in answered
        for flaw in package["vulns"]
    ]
    silent = len(asked) - len(answered)
    unanswered = f", {silent} were not answered" if silent else ""
    summary = f"audit: {len(answered)} of {len(asked)} versions asked{unanswered}, {len(said)} known flaws"
    return (1 if said else 0), [*said, summary]


if __name__ == "__main__":
    code, lines = audit(LOCK.read_text())
    print("\n".join(lines))
    sys.exit(code)
