"""Visitors who come, train and go leave nothing behind: the soak in small."""

from __future__ import annotations

from benchmarks import soak

CYCLES, WARM_UP, FORGOTTEN_SECONDS = 4, 1, 1.0
# What ended visits take is told apart from what stays only after hundreds of them: see the soak in full.
NOISY = "growth over 4 open-train-close cycles"


def test_visitors_who_come_train_and_go_leave_no_error_no_thread_and_a_server_within_its_memory() -> None:
    outcome = soak.measure(CYCLES, WARM_UP, FORGOTTEN_SECONDS)
    assert {target.name for target in outcome.targets} == {
        NOISY,
        "memory at the peak, with child processes",
        "threads more than before",
        "errors",
        "server processes ended by the system",
    }
    assert [target.row for target in outcome.targets if not target.holds and target.name != NOISY] == []
    cycles = next(row["value"] for row in outcome.figures if row["figure"] == "cycles a minute")
    assert cycles > 0
