"""P5: rates hold for everybody together, and without tokens nothing is posted."""

import itertools
from datetime import timedelta

import pytest
from django.db import transaction

from campaigns import notifications, sending
from campaigns.models import Dispatch
from campaigns.states import State
from compliance import caps
from compliance.models import CapWindow
from compliance.policy import Category
from providers import delivery, throttle
from smsplatform.common import database, redis
from tests import world
from tests.promises import sound
from tests.promises.together import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_posts_nothing_without_tokens(acme, simulator, monkeypatch):
    acme.recipients(4)
    run = acme.run()
    monkeypatch.setattr(redis, "client", _unreachable)
    monkeypatch.setattr(throttle.redis, "client", _unreachable)
    world.work()
    assert world.states(run) == {State.READY: 4}
    assert simulator.ledger()["posts"] == 0
    batch = world.only_batch(run)
    assert (batch.phase, batch.starts) == ("waiting", 0)
    assert batch.due_at <= database.now() + timedelta(seconds=5)
    sound.check()


def _unreachable():
    raise redis.Unreachable("closed")


def test_the_rate_of_an_account_is_shared_by_all_who_send(acme, simulator):
    """Four workers, one account of 40 segments a second, from empty buckets: never more than its share."""
    acme.account.segments_per_second = 40
    acme.account.save()
    [channel] = sending.routing.routes(acme.brand.pk).channels
    granted = together(*[lambda: throttle.take(channel, [1] * 100)] * 4)
    delays = sorted(delay for grant in granted for delay in grant.delays)
    gaps = [later - earlier for earlier, later in itertools.pairwise(delays)]
    # A second of look-ahead at 95 % of 40, and 5 % of a second saved up at most.
    assert 38 <= len(delays) <= 42
    assert sum(gap < 0.005 for gap in gaps) <= 4


def test_an_empty_redis_gives_no_burst(acme):
    """Nobody knows what was granted before; when all of that is posted, the bucket begins empty."""
    acme.account.segments_per_second = 20
    acme.account.save()
    [channel] = sending.routing.routes(acme.brand.pk).channels
    first = throttle.take(channel, [1] * 100)
    redis.client().flushdb()
    lost = throttle.take(channel, [1] * 100)
    assert lost.delays == ()
    assert max(first.delays) + 1 < lost.wait <= throttle.FORGOTTEN_AFTER + throttle.LEAD
    world.lose_redis()
    later = throttle.take(channel, [1] * 100)
    for granted in (first, later):
        assert len([delay for delay in granted.delays if delay < 0.05]) <= 2


def test_an_urgent_message_is_served_while_a_campaign_takes_all_that_flows(acme, simulator):
    acme.account.segments_per_second = 10
    acme.account.save()
    [channel] = sending.routing.routes(acme.brand.pk).channels
    run = acme.run(acme.campaign(), key="bulk")
    notifications.send(
        brand=acme.brand, number="+12125550100", text="1", now=database.now(), category=Category.TRANSACTIONAL
    )
    notifications.collect(database.now())
    throttle.take(channel, [1] * 100)
    assert throttle.take(channel, [1]).delays == ()
    world.work("urgent")
    assert Dispatch.objects.exclude(run=run).get().state == State.ACCEPTED


def test_an_empty_bucket_is_no_state_of_a_row(acme, simulator):
    """400 rows on a slow sender: they stay ready, and the batch comes back when tokens do (R15)."""
    acme.sender.segments_per_second = 2
    acme.sender.save()
    acme.recipients(12)
    run = acme.run()
    world.work()
    counts = world.states(run)
    assert set(counts) == {State.ACCEPTED, State.READY}
    assert 1 <= counts[State.ACCEPTED] <= 4
    due_at = world.only_batch(run).due_at
    assert database.now() < due_at + timedelta(seconds=1)
    assert due_at < database.now() + timedelta(seconds=5)
    sound.check()


def test_counts_exactly_what_it_writes_when_a_stage_is_repeated_after_its_commit(acme):
    """A replayed reservation writes no second permit and counts none (R26)."""
    acme.brand.daily_cap = 50
    acme.brand.save()
    acme.recipients(5)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:3]:
        stage.run(batch.pk, lease)
    asking = [caps.Asking(*row) for row in Dispatch.objects.of_run(run.pk).values_list("id", "number")]
    with transaction.atomic():
        caps.reserve(brand=acme.brand, category=Category.TRANSACTIONAL, asking=asking, now=database.now())
    assert CapWindow.objects.get().used == 5
    assert caps.audit() == []


def test_rows_of_a_slow_claim_go_out_behind_those_that_others_were_granted_meanwhile(acme, monkeypatch):
    acme.account.segments_per_second = 100
    acme.account.save()
    acme.recipients(10)
    run = acme.run()
    clock, claim, deliver = delivery.clock, sending._Turn._claim, delivery.Poster._deliver
    late, others, posted = [], [], []
    monkeypatch.setattr(delivery, "clock", lambda: clock() + (0.5 if late else 0.0))

    def slowly(turn, granted):
        claimed = claim(turn, granted)
        others.extend(clock() + delay for delay in throttle.take(granted[0].choice.channel, [1] * 20).delays)
        late.append(1)
        return claimed

    async def note(poster, session, envelope, answers):
        posted.append(clock())
        await deliver(poster, session, envelope, answers)

    monkeypatch.setattr(sending._Turn, "_claim", slowly)
    monkeypatch.setattr(delivery.Poster, "_deliver", note)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 10}
    assert len(others) == 20
    assert posted[0] > others[-1]
    assert posted[-1] - posted[0] > 9 * 0.0105 - 0.03
