"""Few hints stand for many, and none is lost that matters."""

import pytest

from campaigns import nudges, tasks
from campaigns.nudges import Nudge


@pytest.mark.parametrize(("wait", "pause"), [(0.25, 1.0), (0.0, 0.25)])
def test_everything_is_followed_by_a_nudge_and_there_are_few(monkeypatch, wait, pause):
    clock, published = [1000.0], []
    monkeypatch.setattr(nudges.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(
        tasks.apply_events, "apply_async", lambda countdown, expires: published.append(clock[0] + (countdown or 0))
    )
    nudge = Nudge("apply_events", wait=wait, pause=pause)
    for step in range(100):
        clock[0] = 1000 + step / 20
        nudge()
        assert 0 <= published[-1] - clock[0] <= pause
        assert published[0] == 1000 + wait
    assert len(published) <= 5 / pause + 1


def test_a_broker_that_is_away_costs_nothing_but_speed(monkeypatch):
    def down(**_):
        raise ConnectionError

    monkeypatch.setattr(tasks.apply_events, "apply_async", down)
    Nudge("apply_events", pause=1.0)()
