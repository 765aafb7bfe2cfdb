"""P1 and P4: one request leaves per envelope, whatever the vendor does, and only an answer in its dialect proves anything."""

import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from campaigns.models import Batch
from campaigns.states import State
from providers import delivery, throttle
from providers.adapters.base import HttpCall, Outcome
from providers.adapters.simulator import SimulatorAdapter, SimulatorCredentials
from smsplatform.common import database
from tests import vendor, world
from tests.envelopes import CLAIMED_AT, envelope, posted, posting
from tests.promises import sound
from tests.promises.conftest import TOKEN
from tests.vendor import Vendor

pytestmark = pytest.mark.django_db(transaction=True)


class GetAdapter(SimulatorAdapter):
    """A vendor to whom one sends by GET."""

    def call(self, message):
        call = super().call(message)
        return HttpCall("GET", call.url, call.headers, b"")


@pytest.fixture
def poster():
    with posting() as made:
        yield made


@pytest.mark.parametrize("kind", [SimulatorAdapter, GetAdapter], ids=["post", "get"])
@pytest.mark.parametrize("is_reused", [False, True], ids=["fresh", "reused"])
@pytest.mark.parametrize(
    "answer", [vendor.DROP, vendor.RESET, vendor.SILENCE, vendor.HALF], ids=["drop", "reset", "silence", "half"]
)
def test_exactly_one_request_leaves_whatever_the_vendor_does(poster, kind, is_reused, answer):
    with Vendor([vendor.OK] * is_reused + [answer]) as server:
        adapter = kind(SimulatorCredentials("token", "secret"), server.url)
        if is_reused:
            assert posted(poster, envelope(adapter))[0].outcome is Outcome.ACCEPTED
        [result] = posted(poster, envelope(adapter, timeout=0.3))
        assert result.outcome is Outcome.UNKNOWN
        # A second try would come at once; the next message shows that none is on its way.
        server.answers.append(vendor.OK)
        assert posted(poster, envelope(adapter))[0].outcome is Outcome.ACCEPTED
        assert len(server.requests) == is_reused + 2
        if is_reused and answer is not vendor.SILENCE:
            assert server.connections == 2


def test_a_connection_that_the_vendor_closed_while_idle_costs_no_second_request(poster):
    """Keep-alive ends at the vendor's side between two messages; whatever becomes of the second, it leaves once."""
    with Vendor([vendor.OK]) as server:
        adapter = SimulatorAdapter(SimulatorCredentials("token", "secret"), server.url)
        posted(poster, envelope(adapter))
        server.hang_up()
        [result] = posted(poster, envelope(adapter))
        assert result.outcome in (Outcome.ACCEPTED, Outcome.UNKNOWN)
        assert len(server.requests) <= 2


def test_html_of_a_proxy_proves_nothing(poster):
    with Vendor([vendor.HTML]) as server:
        adapter = SimulatorAdapter(SimulatorCredentials("token", "secret"), server.url)
        assert posted(poster, envelope(adapter))[0].outcome is Outcome.UNKNOWN


def test_no_connection_proves_that_nothing_was_taken(poster):
    with Vendor([vendor.OK]) as server:
        url = server.url
    adapter = SimulatorAdapter(SimulatorCredentials("token", "secret"), url)
    assert posted(poster, envelope(adapter))[0].outcome is Outcome.REJECTED_RETRYABLE


def test_gives_back_what_it_may_no_longer_post(poster):
    with Vendor([vendor.OK]) as server:
        adapter = SimulatorAdapter(SimulatorCredentials("token", "secret"), server.url)
        late = envelope(adapter, post_by=-0.001)
        by_wall = envelope(adapter)._replace(wall_by=time.time() - 10)
        assert {result.outcome for result in posted(poster, late, by_wall)} == {Outcome.NOT_POSTED}
        assert server.requests == []


def test_gives_back_what_was_claimed_before_its_account_broke(poster, monkeypatch):
    monkeypatch.setattr(delivery, "_withdrawn", {})
    with Vendor([vendor.OK] * 3) as server:
        adapter = SimulatorAdapter(SimulatorCredentials("token", "secret"), server.url)
        before, of_another = envelope(adapter), envelope(adapter)._replace(account_id=2)
        delivery.withdraw(1)
        canary = envelope(adapter)._replace(claimed=delivery.clock() + 0.001)
        delivery.withdraw(1)  # by an answer that came late
        taken = posted(poster, before, of_another, canary)
        assert sorted((result.outcome, result.code) for result in taken) == sorted(
            [(Outcome.NOT_POSTED, "account_broken"), (Outcome.ACCEPTED, ""), (Outcome.ACCEPTED, "")]
        )
        assert len(server.requests) == 2


def test_who_missed_the_instant_is_posted_at_another(poster):
    asked = []
    with Vendor([vendor.OK] * 3) as server:
        adapter = SimulatorAdapter(SimulatorCredentials("token", "secret"), server.url)
        late = [envelope(adapter)._replace(post_at=delivery.clock() - 1) for _ in range(2)]
        soon = envelope(adapter)._replace(post_at=delivery.clock() + 0.1)
        began = delivery.clock()
        results = posted(poster, *late, soon, again=lambda segments: asked.append(segments) or [0.2, 0.3])
        assert [result.outcome for result in results] == [Outcome.ACCEPTED] * 3
        assert asked == [[1, 1]]
        assert delivery.clock() - began > 0.3


def test_who_is_late_all_the_time_posts_everything_in_the_end(poster):
    asked = []
    with Vendor([vendor.OK]) as server:
        adapter = SimulatorAdapter(SimulatorCredentials("token", "secret"), server.url)
        late = envelope(adapter)._replace(post_at=delivery.clock() - 0.2)
        [result] = posted(poster, late, again=lambda segments: asked.append(segments) or [-0.2])
        assert result.outcome is Outcome.ACCEPTED
        assert 1 < len(asked) <= 5  # 10, 20, 40, 80, 160 milliseconds are not enough
        assert asked[0] == [1]
        assert asked[1:] == [[2]] * (len(asked) - 1)  # what may be so late must not bunch up with others


def test_lateness_never_bunches_up_beyond_the_limit():
    assert throttle._SHARE * (1 + throttle._BURST + delivery._TOO_LATE_TO_BE_EXACT) <= 1
    assert throttle._SHARE * (1 + throttle._BURST + delivery._MOST_LATE) / 2 <= 1


def test_a_step_of_the_wall_clock_moves_no_date(poster):
    with Vendor([vendor.OK]) as server, time_machine.travel(datetime(1999, 1, 1, tzinfo=UTC)):
        adapter = SimulatorAdapter(SimulatorCredentials("token", "secret"), server.url)
        answers = delivery.Answers()
        poster.post([envelope(adapter)], answers, list)
        [answer] = answers.take(1, wait=20)
    assert answer.result.outcome is Outcome.ACCEPTED
    assert CLAIMED_AT < answer.answered_at < CLAIMED_AT + timedelta(seconds=20)


def _no_redis(_segments):
    raise ConnectionError


@pytest.mark.parametrize("again", [lambda _: [], _no_redis], ids=["none", "error"])
def test_who_missed_the_instant_and_gets_no_other_is_given_back(poster, again):
    with Vendor([vendor.OK]) as server:
        adapter = SimulatorAdapter(SimulatorCredentials("token", "secret"), server.url)
        late = [envelope(adapter)._replace(post_at=delivery.clock() - 1) for _ in range(2)]
        assert {result.outcome for result in posted(poster, *late, again=again)} == {Outcome.NOT_POSTED}
        assert server.requests == []


def test_an_adapter_that_raises_costs_only_its_own_message(poster):
    class Broken(SimulatorAdapter):
        def call(self, message):
            raise ZeroDivisionError

    class Deaf(SimulatorAdapter):
        def read(self, message, reply):
            raise ZeroDivisionError

    with Vendor([vendor.OK]) as server:
        credentials = SimulatorCredentials("token", "secret")
        envelopes = [envelope(kind(credentials, server.url)) for kind in (Broken, SimulatorAdapter, Deaf)]
        outcomes = sorted(result.outcome for result in posted(poster, *envelopes))
    assert outcomes == sorted([Outcome.REJECTED_PERMANENT, Outcome.ACCEPTED, Outcome.UNKNOWN])


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        ("accept_then_drop", 6),
        ("reset_after_read", 0),
        ("reset_before_read", 0),
        ("garbled", 6),
        ("html", 0),
        ("slow", 6),
        ("redirect", 0),
    ],
)
def test_each_fault_that_proves_nothing_is_unknown_after_one_post(acme, simulator, fault, accepted):
    acme.recipients(6)
    acme.account.timeout = 1
    acme.account.save()
    simulator.script(TOKEN, receipts=None, faults=[{"fault": fault}])
    run = acme.run()
    world.work()
    assert world.states(run) == {State.UNKNOWN: 6}
    ledger = simulator.ledger()
    assert (ledger["posts"], ledger["accepted"], ledger["accepted_twice"]) == (6, accepted, 0)
    Batch.objects.update(phase="waiting", due_at=database.now())
    world.work()
    assert simulator.ledger()["posts"] == 6
    sound.check()
