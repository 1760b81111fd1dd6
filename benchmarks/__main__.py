"""python -m benchmarks NAME: ratios of times, and how the pages feel in a real browser."""

from __future__ import annotations

import argparse
from importlib import import_module

BENCHMARKS = ("overhead", "seeds", "peers", "app", "lessons", "export", "runfile", "watch")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    # Each has packages of its own to load.
    import_module(f"benchmarks.{arguments.name}").main(arguments.rounds)
