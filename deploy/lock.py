"""Lock: every package that requirements.txt brings, one version each, with the hashes of its wheels.

`make lock` asks pip, as it is set up on this machine, and writes requirements.lock. It needs Python 3.11:
what 3.12 needs is among its packages.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
REQUIREMENTS, LOCK = ROOT / "requirements.txt", ROOT / "requirements.lock"
PYTHONS = ("3.11", "3.12")
# Wheels for these run on any Linux of 2018 or later.
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64")
TORCH_BUILD = "+cpu"  # the other one brings several GB of CUDA libraries
HEADER = """\
# Every package that requirements.txt brings, with the hashes of its wheels: CPython 3.11 and 3.12 on Linux,
# x86-64. Made by `make lock`; installed by `pip install --no-deps --require-hashes -r requirements.lock`. The
# hashes of torch are those of PyTorch's own CPU build, where pip must be told to look: the build of the same
# version that it finds by itself on Linux, with CUDA, is another file.
"""

Wheels = dict[str, tuple[str, set[str]]]  # name -> version and hashes


def plain(name: str) -> str:
    """Give a package's name as every index knows it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(text: str) -> Wheels:
    """Read the versions and hashes of a lock."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    entries = re.findall(r"^(\S+)==(\S+)((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})+)$", lines, re.MULTILINE)
    return {name: (version, set(re.findall(r"[0-9a-f]{64}", rest))) for name, version, rest in entries}


def write_lock(wheels: Wheels) -> str:
    """Write a lock, the same for the same wheels."""
    entries = (
        f"{name}=={version}" + "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(hashes))
        for name, (version, hashes) in sorted(wheels.items())
    )
    return HEADER + "\n".join(entries) + "\n"


def _report(*arguments: str) -> Wheels:
    """Give what pip would install, without installing it."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", "--report", "-", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1])
    return {
        plain(item["metadata"]["name"]): (
            item["metadata"]["version"],
            {item["download_info"]["archive_info"]["hashes"]["sha256"]},
        )
        for item in json.loads(done.stdout)["install"]
    }


def _for_python(python: str, pins: list[str]) -> Wheels:
    with tempfile.TemporaryDirectory() as folder:
        platforms = [word for name in PLATFORMS for word in ("--platform", name)]
        target = ["--python-version", python, *platforms, "--no-deps", "--target", folder]
        return _report(*target, *pins)


def resolve() -> Wheels:
    """Give all packages for all Pythons.

    Raises:
        ValueError: pip finds no wheel of a package, or torch with CUDA only.
    """
    wheels = _report("-r", str(REQUIREMENTS))
    pins = {name: f"{name}=={version}" for name, (version, _) in wheels.items()}
    if not wheels["torch"][0].endswith(TORCH_BUILD):
        raise ValueError(f"pip finds torch {wheels['torch'][0]}: tell it where PyTorch's CPU builds are")
    for python in PYTHONS:
        for name, (_, hashes) in _for_python(python, [p for n, p in pins.items() if n != "torch"]).items():
            wheels[name][1].update(hashes)
        wheels["torch"][1].update(_torch(python, pins["torch"]))
    return wheels


def _torch(python: str, pin: str) -> set[str]:
    """Give the hash of torch's CPU build, where it is not to be had those of the same version in the lock."""
    try:
        return _for_python(python, [pin])["torch"][1]
    except ValueError:
        version, hashes = (
            read_lock(LOCK.read_text()).get("torch", ("", set())) if LOCK.exists() else ("", set())
        )
        if f"torch=={version}" != pin:
            raise
        print(
            f"pip finds no {pin} for Python {python} here: the hashes that are in the lock stay",
            file=sys.stderr,
        )
        return hashes


if __name__ == "__main__":
    if not sys.version.startswith(PYTHONS[0]):
        sys.exit(f"the lock is made with Python {PYTHONS[0]}, and this is {sys.version.split()[0]}")
    try:
        LOCK.write_text(write_lock(resolve()))
    except ValueError as error:
        sys.exit(f"no lock: {error}")
