"""Small waits, so that leases and horizons pass within a test; and a world to break."""

from datetime import timedelta

import pytest

from campaigns import sending, tasks
from providers import delivery
from tests import world

TOKEN = "token-acme"


@pytest.fixture(autouse=True)
def small(settings, monkeypatch):
    """Settings of which each promise says that they cannot break it. Nothing is published unless a test wants it."""
    settings.HORIZON_MARGIN = timedelta(seconds=0.1)
    settings.RETRY_FIRST = 0.0
    settings.RETRY_LONGEST = 0.0
    monkeypatch.setattr(sending, "GROUP_WAIT", 0.02)
    monkeypatch.setattr(tasks, "_start", lambda batch: None)
    monkeypatch.setattr(tasks.apply_events, "apply_async", lambda *_, **__: None)
    monkeypatch.setattr(delivery, "_airs", {})
    return settings


@pytest.fixture
def acme(simulator, small):
    """A tenant at the simulator, which takes everything and reports nothing."""
    simulator.script(TOKEN, receipts=None)
    made = world.make(base_url=simulator.url)
    made.account.timeout = 5
    made.account.save()
    return made
