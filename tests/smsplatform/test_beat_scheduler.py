"""Beat looks for changed schedules once a second, however often its loop turns."""

from smsplatform import beat
from smsplatform.celery import app


def test_a_turn_of_the_loop_costs_no_look(monkeypatch):
    now, looks = [100.0], []
    monkeypatch.setattr(beat.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(beat.DatabaseScheduler, "schedule_changed", lambda _: looks.append(now[0]) or True)
    scheduler = beat.Scheduler(app=app, lazy=True)
    told = []
    for late in (0.0, 0.1, 0.9, 1.1):
        now[0] = 100.0 + late
        told.append(scheduler.schedule_changed())
    assert told == [True, False, False, True]
    assert looks == [100.0, 101.1]
