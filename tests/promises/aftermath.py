"""What comes after an accident: leases run out, recovery looks, the next chains go on; or a frozen poster wakes."""

from datetime import timedelta
from unittest.mock import patch

import pytest

from campaigns import recovery, sending, settling, tasks
from campaigns.models import Attempt, Batch, Dispatch
from campaigns.states import OPEN, State
from providers import delivery
from providers.adapters.base import Result
from providers.delivery import Answer
from smsplatform.common import database
from tests import world


class Abandoned:
    """Messages, claimed, and their poster gone before a byte left; what it says later, if it was only frozen."""

    def __init__(self, acme, monkeypatch, count=1):
        self.acme = acme
        acme.recipients(count)
        self.run = acme.run()
        self.envelopes = []
        acme.account.timeout = 0.1
        acme.account.save()
        with monkeypatch.context() as patch:
            patch.setattr(delivery.Poster, "post", lambda _, envelopes, *__: self.envelopes.extend(envelopes))
            patch.setattr(sending._Turn, "_collect", _die)
            patch.setattr(sending._Turn, "_land", lambda _: None)
            with pytest.raises(_Killed):
                world.work()
        assert world.states(self.run) == {State.SENDING: count}

    @property
    def batch(self):
        return world.only_batch(self.run)

    def look_after(self):
        """The next chains find what is left; the horizon has passed for them."""
        Attempt.objects.update(horizon_at=database.now() - timedelta(seconds=1))
        again(self.batch)
        world.work()

    def late(self, outcome, code=""):
        """The poster was only frozen: its answers come now."""
        answers = [
            Answer(e.dispatch_id, e.flight, e.account_id, Result(outcome, code=code), database.now())
            for e in self.envelopes
        ]
        settling.settle([settling.verdict(answer, posts=0, has_next=False) for answer in answers])


class _Killed(BaseException):
    """Stands for kill -9: nothing of ours gets to run."""


def _die(_turn):
    raise _Killed


def again(batch):
    """The lease is over; recovery makes the batch due."""
    Batch.objects.filter(pk=batch.pk, phase="leased").update(lease_until=database.now() - timedelta(seconds=1))
    recovery.end_leases(database.now())
    Batch.objects.filter(pk=batch.pk, phase="waiting").update(due_at=database.now())


def heal():
    """One look of recovery, as beat has it every few seconds; nothing is handed out."""
    with patch.object(tasks, "hand_out", lambda _: 0), patch.object(tasks, "start_materialising", lambda _: None):
        tasks.recover()


def run_until_settled(run, rounds=8):
    """Time passes: whatever is due comes up, until nothing is open."""
    for _ in range(rounds):
        Batch.objects.filter(phase="leased").update(lease_until=database.now() - timedelta(seconds=1))
        heal()
        Batch.objects.filter(run=run, phase="waiting").update(due_at=database.now())
        world.work()
        if not Dispatch.objects.of_run(run.pk).in_state(*OPEN).exists():
            return
    raise AssertionError(f"still open: {world.states(run)}")
