"""A platform on which the doctor finds nothing bad, without starting its processes."""

from django.conf import settings
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from campaigns import doctor
from smsplatform.common import database


class Control:
    """The workers' side of the broker: who listens to what."""

    def __init__(self, queues):
        self.queues = queues

    def inspect(self, timeout):
        return self

    def active_queues(self):
        return {"worker@here": [{"name": name} for name in self.queues]}


def make_well(monkeypatch, *, queues=settings.QUEUES):
    monkeypatch.setattr(doctor.current_app, "control", Control(queues))
    every, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
    beat, _ = PeriodicTask.objects.get_or_create(name="recover", defaults={"task": "recover", "interval": every})
    PeriodicTask.objects.filter(pk=beat.pk).update(last_run_at=database.now())
