"""P3: losing all of Redis at any moment costs seconds, not messages, and exceeds no limit."""

import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.conf import settings as configured

from campaigns import scheduling, tasks
from campaigns.models import Batch
from campaigns.states import State
from compliance.models import CapWindow
from providers import throttle
from smsplatform.common import database, redis
from tests import world
from tests.promises import sound
from tests.promises.aftermath import heal, run_until_settled

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = [stage.name for stage in world.PIPELINE]


@pytest.mark.parametrize("border", range(len(NAMES) + 1))
def test_a_flush_at_any_border_changes_nothing(acme, simulator, border):
    acme.brand.daily_cap = 15
    acme.brand.save()
    acme.recipients(20)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for place, stage in enumerate(world.PIPELINE):
        if place == border:
            world.lose_redis()
        stage.run(batch.pk, lease)
    if border == len(NAMES):
        world.lose_redis()
    assert world.states(run) == {State.ACCEPTED: 15, State.HELD: 5}
    assert CapWindow.objects.get().used == 15
    assert simulator.ledger()["accepted_twice"] == 0
    sound.check()


@pytest.mark.parametrize("border", range(len(NAMES)))
def test_a_flush_that_eats_the_chain_is_healed_by_the_next_look(acme, simulator, border):
    """The chain's next message is gone: the lease runs out, recovery makes the batch due, the next chain ends it."""
    acme.recipients(10)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:border]:
        stage.run(batch.pk, lease)
    world.lose_redis()
    assert world.work() == 0
    Batch.objects.update(lease_until=database.now() - timedelta(seconds=1))
    heal()
    assert world.work() == 1
    assert world.states(run) == {State.ACCEPTED: 10}
    assert simulator.ledger()["posts"] == 10
    sound.check()


def test_an_outage_in_mid_send_ends_the_turn_and_nothing_else(acme, simulator, monkeypatch):
    from campaigns import sending

    monkeypatch.setattr(sending, "SLICE", 4)
    acme.account.concurrency = 4
    acme.account.save()
    acme.recipients(20)
    run = acme.run()
    client = redis.client
    calls = []

    def going_down():
        calls.append(1)
        if len(calls) > 2:
            raise redis.Unreachable("gone")
        return client()

    with monkeypatch.context() as patch:
        patch.setattr(redis, "client", going_down)
        world.work()
    counts = world.states(run)
    assert set(counts) == {State.ACCEPTED, State.READY}
    assert simulator.ledger()["posts"] == counts[State.ACCEPTED]
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 20}
    assert simulator.ledger()["posts"] == 20
    sound.check()


def test_a_closed_port_sends_nothing_and_everything_after(acme, simulator, monkeypatch, settings):
    """A real client that finds nobody there."""
    acme.recipients(6)
    run = acme.run()
    with monkeypatch.context() as patch:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        redis.client.cache_clear()
        started = time.monotonic()
        world.work()
        assert time.monotonic() - started < 5
        patch.undo()
    assert world.states(run) == {State.READY: 6}
    assert simulator.ledger()["posts"] == 0
    settings.REDIS_URL = os.environ["REDIS_URL"]
    redis.client.cache_clear()
    run_until_settled(run)
    assert world.states(run) == {State.ACCEPTED: 6}


def test_leases_cannot_pile_up_while_the_broker_is_away(acme, settings, monkeypatch):
    """Each look leases, fails to publish, and gives back: nothing is left leased, nothing counts as a start."""
    settings.BATCH_SIZE = 2
    acme.recipients(8)
    acme.run()

    def refused(batch):
        scheduling.give_back(batch, database.now(), wait=timedelta(0))

    monkeypatch.setattr(tasks, "_start", refused)
    for _ in range(5):
        assert tasks.hand_out("bulk") == 4
    assert set(Batch.objects.values_list("phase", "starts")) == {("waiting", 0)}


DOWN = """
import sys, time
import django
django.setup()
from campaigns import tasks
from campaigns.scheduling import Leased
began = time.monotonic()
if sys.argv[1] == "webhook":
    from campaigns import webhooks
    webhooks._nudge()
else:
    tasks.start_chains([Leased(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), "bulk")])
print(time.monotonic() - began)
"""


def beside_a_dead_broker(*arguments):
    """Run it in a process whose Redis is a closed port; return how many seconds it took."""
    database_url = configured.DATABASE_URL.rsplit("/", 1)[0] + "/" + database.connection.settings_dict["NAME"]
    done = subprocess.run(
        [sys.executable, "-c", DOWN, *map(str, arguments)],
        env={**os.environ, "DATABASE_URL": database_url, "REDIS_URL": "redis://127.0.0.1:1/0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def test_a_webhook_does_not_wait_for_a_dead_broker(acme):
    """Vendors give up after seconds, and a web thread that waits serves nobody else."""
    assert beside_a_dead_broker("webhook") < 2


@pytest.mark.parametrize("size", [5, 400])
def test_a_dead_broker_gives_the_lease_back_at_once(acme, size):
    acme.recipients(3)
    acme.run()
    [leased] = world.hand_out()
    seconds = beside_a_dead_broker("start", leased.batch_id, leased.lease, size)
    batch = Batch.objects.get()
    assert (batch.phase, batch.lease_until, batch.starts) == ("waiting", None, 0)
    # A look hands out up to 16 batches: together they must not outlive their leases.
    assert seconds * configured.CLAIM_BATCHES < configured.LEASE.total_seconds()


def test_tokens_are_the_only_thing_that_redis_knows(acme, simulator):
    acme.recipients(5)
    acme.run()
    world.work()
    keys = set(redis.client().keys("*")) - {throttle.SINCE.encode()}
    assert keys
    assert all(key.startswith(b"{throttle:") for key in keys)
