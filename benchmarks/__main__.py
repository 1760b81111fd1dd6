"""python -m benchmarks app | lessons: how the pages feel in a real browser."""

from __future__ import annotations

import argparse

from benchmarks import app, lessons

BENCHMARKS = {"app": app.main, "lessons": lessons.main}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    BENCHMARKS[arguments.name](arguments.rounds)
