"""The breaker: opens on what is the provider's fault, elects one canary, comes back slowly, switches seldom."""

from datetime import UTC, datetime, timedelta

import pytest

from providers import health
from providers.adapters.base import Outcome
from providers.health import Counts
from providers.models import AccountHealth
from smsplatform.common import redis
from tests import world
from tests.promises.together import together
from tests.providers.test_routing import channel

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BAD = Counts(ok=5, bad=10, streak=3)


@pytest.fixture
def account(db):
    return world.make().account


def state(account):
    return AccountHealth.objects.get(account=account).state


def after(seconds):
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("outcome", "code", "bad"),
    [
        (Outcome.ACCEPTED, "", False),
        (Outcome.REJECTED_PERMANENT, "21211", False),
        (Outcome.REJECTED_RETRYABLE, "20429", False),
        (Outcome.REJECTED_RETRYABLE, "no_connection", True),
        (Outcome.REJECTED_PROVIDER, "20003", True),
        (Outcome.UNKNOWN, "timeout", True),
        (Outcome.NOT_POSTED, "too_late_to_post", None),
    ],
)
def test_only_what_is_the_providers_fault_counts(outcome, code, bad):
    assert health.is_bad(outcome, code) is bad


@pytest.mark.parametrize(
    ("counts", "is_ill"),
    [
        (Counts(ok=0, bad=4, streak=4), False),
        (Counts(ok=0, bad=5, streak=5), True),
        (Counts(ok=1, bad=5, streak=5), False),
        (Counts(ok=10, bad=10, streak=1), True),
        (Counts(ok=11, bad=10, streak=1), False),
        (Counts(ok=8, bad=9, streak=1), False),
        (Counts(ok=46, bad=20, streak=1), True),
        (Counts(ok=47, bad=20, streak=1), False),
        (Counts(ok=30, bad=19, streak=1), False),
    ],
)
def test_is_ill_by_share_or_by_a_row_without_one_good(counts, is_ill):
    assert counts.is_ill is is_ill


class TestCounting:
    @pytest.fixture(autouse=True)
    def empty(self):
        redis.client().flushdb()

    def test_good_answers_alone_ask_nobody(self, monkeypatch):
        monkeypatch.setattr(health, "_count", lambda *_: pytest.fail("asked"))
        assert health.Watch(1).saw([False] * 100, now=0.0) is None

    def test_processes_add_up(self):
        one, other = health.Watch(1), health.Watch(1)
        assert one.saw([False] * 8 + [True] * 2, now=0.0) == Counts(8, 2, 2)
        assert other.saw([True] * 3, now=0.0) == Counts(8, 5, 5)
        assert health.Watch(2).saw([True], now=0.0) == Counts(0, 1, 1)

    def test_a_good_answer_ends_the_row(self):
        watch = health.Watch(1)
        watch.saw([True] * 4, now=0.0)
        assert watch.saw([False, True], now=0.0) == Counts(1, 5, 1)

    def test_old_good_answers_are_not_told(self):
        watch = health.Watch(1)
        watch.saw([False] * 50, now=0.0)
        assert watch.saw([True], now=health.WINDOW + 1.0) == Counts(0, 1, 1)

    def test_an_outage_shows_within_a_window_however_long_all_was_well(self):
        """What is told with the first bad answer is what came of late, at the time when it came."""
        watch = health.Watch(1)
        for second in range(3600):
            assert watch.saw([False], now=float(second)) is None
        assert watch.saw([True], now=3600.0).ok <= health.WINDOW
        other = health.Watch(2)
        other.saw([False] * 1000, now=0.0)
        other.saw([False] * 3, now=45.0)
        assert other.saw([True], now=55.0) == Counts(1003, 1, 1)
        found = redis.client().hgetall(health._key(2))
        assert sorted(int(count) for name, count in found.items() if name.startswith(b"ok:")) == [3, 1000]

    def test_what_is_older_than_the_window_is_forgotten(self, monkeypatch):
        client = redis.client()
        health.Watch(1).saw([True] * 9, now=0.0)
        seconds, _ = client.time()

        class Later:
            def __getattr__(self, name):
                return getattr(client, name)

            def time(self):
                return seconds + health.WINDOW + 20, 0

        monkeypatch.setattr(redis, "client", Later)
        assert health.Watch(1).saw([True], now=0.0).bad == 1

    def test_without_redis_it_is_what_this_process_saw(self, monkeypatch):
        def unreachable():
            raise redis.Unreachable

        monkeypatch.setattr(redis, "client", unreachable)
        assert health.Watch(1).saw([True] * 5, now=0.0).is_ill
        assert not health.Watch(1).saw([True] * 5 + [False], now=0.0).is_ill


class TestRefusals:
    """Of an account that brands share: about the sender, until another is refused as well."""

    @pytest.fixture(autouse=True)
    def empty(self):
        redis.client().flushdb()

    def test_of_one_sender_are_its_own_however_many(self):
        assert [health.is_general(channel(sender="a")) for _ in range(20)] == [False] * 20

    def test_of_two_are_the_accounts(self):
        assert [health.is_general(channel(sender=name)) for name in "aba"] == [False, True, True]
        assert not health.is_general(channel(2, sender="c"))

    def test_of_another_sender_are_forgotten_although_one_goes_on(self, monkeypatch):
        client = redis.client()
        seconds, _ = client.time()
        now = [seconds]

        class Later:
            def __getattr__(self, name):
                return getattr(client, name)

            def time(self):
                return now[0], 0

        monkeypatch.setattr(redis, "client", Later)
        assert not health.is_general(channel(sender="once"))
        for _ in range(health.WINDOW // 10):
            now[0] += 10
            general = health.is_general(channel(sender="again and again"))
        assert not general

    def test_without_redis_are_the_senders(self, monkeypatch):
        def unreachable():
            raise redis.Unreachable

        monkeypatch.setattr(redis, "client", unreachable)
        assert not health.is_general(channel())


class TestSwitching:
    def test_breaks_once(self, account):
        assert health.declare_broken(account.pk, BAD, NOW)
        assert not health.declare_broken(account.pk, BAD, after(1))
        row = AccountHealth.objects.get()
        assert (row.state, row.since, row.reason) == ("broken", NOW, "10 of 15 answers of the last minute were bad")
        assert row.probe_at == after(health.FIRST_PAUSE)

    def test_a_canary_goes_when_its_time_has_come(self, account):
        health.declare_broken(account.pk, BAD, NOW)
        assert not health.elect(account.pk, after(health.FIRST_PAUSE - 1))
        assert health.elect(account.pk, after(health.FIRST_PAUSE))
        assert state(account) == "recovery"
        assert not health.elect(account.pk, after(health.FIRST_PAUSE))

    def test_a_canary_whose_worker_died_is_sent_again(self, account):
        health.declare_broken(account.pk, BAD, NOW)
        assert health.elect(account.pk, after(10))
        assert not health.elect(account.pk, after(69))
        assert health.elect(account.pk, after(70))

    def test_comes_back_after_enough_canaries_in_a_row(self, account):
        health.declare_broken(account.pk, BAD, NOW)
        seen = []
        at = 0.0
        for is_well in (True, True, False, True, True, True):
            at = (AccountHealth.objects.get().probe_at - NOW).total_seconds()
            assert health.elect(account.pk, after(at))
            health.canary_came_back(account.pk, is_well=is_well, now=after(at))
            seen.append((at, state(account)))
        assert [name for _, name in seen] == ["broken"] * 5 + ["ok"]
        assert [at for at, _ in seen] == [10, 20, 30, 50, 60, 70]
        assert AccountHealth.objects.get().switches == [NOW, after(70)]

    def test_the_pause_is_bounded(self, account):
        health.declare_broken(account.pk, BAD, NOW)
        for _ in range(12):
            at = AccountHealth.objects.get().probe_at
            health.elect(account.pk, at)
            health.canary_came_back(account.pk, is_well=False, now=at)
        assert AccountHealth.objects.get().pause == health.LONGEST_PAUSE

    def test_a_third_switch_within_the_hour_lasts(self, account):
        health.declare_broken(account.pk, BAD, NOW)
        first = _come_back(account, NOW)
        assert health.declare_broken(account.pk, BAD, first + timedelta(minutes=1))
        back = _come_back(account, first)
        assert back >= NOW + timedelta(hours=1)

    def test_an_answer_after_the_return_changes_nothing(self, account):
        health.declare_broken(account.pk, BAD, NOW)
        _come_back(account, NOW)
        health.canary_came_back(account.pk, is_well=False, now=after(500))
        assert state(account) == "ok"

    def test_what_was_counted_before_the_return_is_forgotten(self, account):
        health.Watch(account.pk).saw([True] * 4, now=0.0)
        health.declare_broken(account.pk, BAD, NOW)
        _come_back(account, NOW)
        assert health.Watch(account.pk).saw([True], now=0.0) == Counts(0, 1, 1)

    def test_an_operator_may_say_that_it_is_well(self, account):
        assert not health.reset(account.pk, NOW)
        health.declare_broken(account.pk, BAD, NOW)
        assert health.reset(account.pk, after(1))
        row = AccountHealth.objects.get()
        assert (row.state, row.reason, row.switches) == ("ok", "reset by an operator", [NOW, after(1)])


@pytest.mark.django_db(transaction=True)
def test_of_thirty_that_ask_one_sends_the_canary():
    account = world.make().account
    health.declare_broken(account.pk, BAD, NOW)
    elected = together(*[lambda: health.elect(account.pk, after(10))] * 30)
    assert sum(elected) == 1


def _come_back(account, at):
    """Let canaries come through until it is well; return when that was."""
    for _ in range(2000):
        at = max(at, AccountHealth.objects.get().probe_at)
        health.elect(account.pk, at)
        health.canary_came_back(account.pk, is_well=True, now=at)
        if state(account) == "ok":
            return at
    pytest.fail("never came back")
