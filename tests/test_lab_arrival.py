"""The lab's page waits once, where timers have just ended, until what it drew has been sent."""

from __future__ import annotations

from types import SimpleNamespace

from pages.parts import lab


def test_it_waits_once_where_timers_have_just_ended(monkeypatch):
    waited: list[float] = []
    state: dict[str, bool] = {}
    monkeypatch.setattr(lab, "time", SimpleNamespace(sleep=waited.append))
    monkeypatch.setattr(lab, "st", SimpleNamespace(session_state=state))
    counts = []
    for ticking in (False, True, True, False, False, True, False):
        state[lab.TICKING] = ticking
        lab._let_arrive()
        counts.append(len(waited))
    assert counts == [0, 0, 0, 1, 1, 1, 2]
    assert set(waited) == {lab.ARRIVE_SECONDS}
