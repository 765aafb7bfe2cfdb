"""Beat: its schedule is one that it can keep, and it ends when it is told to."""

import os
import signal
import subprocess
import sys

import pytest
from celery import signals
from django.conf import settings
from django_celery_beat.models import IntervalSchedule
from django_celery_beat.schedulers import ModelEntry

from smsplatform import celery


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(settings.CELERY_BEAT_SCHEDULE))
def test_beat_keeps_every_interval(name):
    """The scheduler stores whole seconds: less than one would be none, and fire without a pause."""
    ModelEntry.from_entry(name, app=celery.app, **settings.CELERY_BEAT_SCHEDULE[name])
    stored = IntervalSchedule.objects.get(periodictask__name=name)
    assert stored.every == settings.CELERY_BEAT_SCHEDULE[name]["schedule"] >= 1


def test_no_setting_makes_beat_fire_without_a_pause():
    shown = subprocess.run(
        [sys.executable, "-c", "from smsplatform import settings; print(settings.SEND_INTERVAL)"],
        env={**os.environ, "SEND_INTERVAL": "0"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout == "1\n"


def test_beat_saves_its_schedule_outside_of_the_signal_handler():
    """A handler that queried would wait for ever where it interrupted a query."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        signals.beat_init.send(sender=None)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
