"""python -m benchmarks NAME: ratios of times, how pages feel in a real browser, and what the app bears."""

from __future__ import annotations

import argparse
from importlib import import_module

RATIOS = (
    "overhead",
    "seeds",
    "peers",
    "app",
    "lessons",
    "export",
    "runfile",
    "watch",
    "theory",
    "initialization_page",
    "sweep",
    "sweep_page",
    "sweep_memory",
    "footprint",
)
# These take minutes in full; in small they are a look that takes seconds, and nothing is kept.
SIZED = ("oracle", "fuzz", "faults", "load", "soak")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("name", choices=RATIOS + SIZED)
    parser.add_argument("--rounds", type=int, default=5, help=f"not for {', '.join(SIZED)}")
    parser.add_argument("--small", action="store_true", help=f"for {', '.join(SIZED)}")
    arguments = parser.parse_args()
    # Each has packages of its own to load.
    main = import_module(f"benchmarks.{arguments.name}").main
    main(small=arguments.small) if arguments.name in SIZED else main(arguments.rounds)
