"""R43: a text of several parts is delivered when each part is, in whatever order its answer and its reports come."""

from dataclasses import replace
from itertools import permutations

import pytest

from campaigns import audits, receipts, settling
from campaigns.models import Attempt, Dispatch, Receipt
from campaigns.states import State
from providers.adapters.base import Outcome, Result
from providers.adapters.simulator import SimulatorAdapter
from providers.delivery import Answer
from smsplatform.common import database
from tests import world
from tests.promises import hooks, sound
from tests.promises.aftermath import Abandoned
from tests.promises.together import Gate, Job, blocked_sessions, gated, until

pytestmark = pytest.mark.django_db(transaction=True)

A, B = ("partA", "delivered"), ("partB", "delivered")
LOST = ("partB", "undelivered")


@pytest.fixture
def text(acme, monkeypatch):
    """One message in the air at a vendor that reports on each part; we count two parts."""
    return Text(acme, monkeypatch)


class Text:
    def __init__(self, acme, monkeypatch, segments=2):
        parse = SimulatorAdapter.parse
        monkeypatch.setattr(
            SimulatorAdapter,
            "parse",
            lambda self, request: [replace(event, part=event.provider_id) for event in parse(self, request)],
        )
        self.sent = Abandoned(acme, monkeypatch)
        [self.envelope] = self.sent.envelopes
        Dispatch.objects.update(segments=segments)

    def answer(self, parts, outcome=Outcome.ACCEPTED):
        envelope = self.envelope
        result = Result(outcome, provider_id="partA" if outcome is Outcome.ACCEPTED else "", parts=parts)
        answer = Answer(envelope.dispatch_id, envelope.flight, envelope.account_id, result, database.now())
        settling.settle([settling.verdict(answer, posts=0, has_next=False)])

    def report(self, *reports):
        """The vendor calls once for all of these, or again where some came before."""
        events = [hooks.report(self.envelope.dispatch_id, status=status, id_=part) for part, status in reports]
        assert hooks.call(self.sent.acme, *events) == 204

    def happen(self, event):
        if isinstance(event, int):
            self.answer(event)
        else:
            self.report(event)
            receipts.apply_events()

    @property
    def state(self):
        [state] = world.states(self.sent.run)
        return state


ENDS = [
    ((2, A, B), State.DELIVERED),
    ((2, A, LOST), State.UNDELIVERED),
    ((2, LOST, A), State.UNDELIVERED),
    ((2, A, ("partA", "sent")), State.ACCEPTED),
    ((2, ("partA", "sent"), B), State.ACCEPTED),
    ((1, A), State.DELIVERED),  # the vendor needed fewer parts than we count
    ((A, B), State.DELIVERED),  # the answer never came
]
ORDERS = [(order, state) for events, state in ENDS for order in permutations(events)]
ORDERS += [
    ((2, A, A), State.ACCEPTED),
    ((2, LOST, A, B), State.DELIVERED),  # the vendor has thought better of it
    ((A, B, 2, LOST), State.DELIVERED),
    ((3, A, B), State.ACCEPTED),
    ((A, 3, B), State.ACCEPTED),
    ((3, A, B, ("partC", "delivered")), State.DELIVERED),
    ((A, A, 2, B), State.DELIVERED),
]


@pytest.mark.parametrize(("events", "state"), ORDERS, ids=str)
def test_counts_in_any_order(text, events, state):
    for event in events:
        text.happen(event)
    assert text.state == state
    sound.check()


@pytest.mark.parametrize(
    ("together", "state"),
    [((A, B), State.DELIVERED), ((A, LOST), State.UNDELIVERED), ((LOST, A), State.UNDELIVERED), ((A,), State.ACCEPTED)],
)
def test_counts_what_comes_in_one_request_as_if_it_came_apart(text, together, state):
    text.answer(2)
    text.report(*together)
    receipts.apply_events()
    assert text.state == state
    sound.check()


def test_repeats_of_a_part_are_no_other_part(text):
    text.answer(2)
    for _ in range(2):
        text.report(A)
        text.report(A, ("partA", "sent"))  # in other company
    receipts.apply_events()
    assert Receipt.objects.count() == 2
    assert text.state == State.ACCEPTED
    text.report(B, A)
    receipts.apply_events()
    assert text.state == State.DELIVERED
    sound.check()


def test_a_lost_answer_does_not_make_one_part_the_whole(text):
    """Nobody said how many parts there are, so it is as many as we count."""
    text.answer(1, Outcome.UNKNOWN)
    text.happen(A)
    assert text.state == State.ACCEPTED
    text.happen(B)
    assert text.state == State.DELIVERED
    sound.check()


def test_reports_that_were_there_first_count_when_the_answer_says_how_many(acme, monkeypatch):
    text = Text(acme, monkeypatch, segments=3)
    text.happen(A)
    text.happen(B)
    assert text.state == State.ACCEPTED
    text.answer(2)
    assert text.state == State.DELIVERED
    assert Attempt.objects.get().parts == 2
    sound.check()


@pytest.mark.parametrize("after", [False, True], ids=["before it counts", "before it commits"])
def test_of_two_workers_with_a_part_each_the_second_sees_both(text, monkeypatch, after):
    text.answer(2)
    for part in (A, B):
        text.report(part)
    gate = Gate()
    gated(monkeypatch, receipts, "_prove", gate, after=after)
    first = Job(lambda: receipts.apply_events(1))
    gate.wait()
    second = Job(lambda: receipts.apply_events(1))
    until(blocked_sessions if after else lambda: not second.is_waiting)
    gate.open()
    assert (first.result(), second.result()) == (1, 1)
    assert text.state == State.DELIVERED
    sound.check()


def test_the_answer_and_the_last_part_at_the_same_time(text, monkeypatch):
    """The reporter has stored its part and waits for the row; the answer says that it was the last."""
    Dispatch.objects.update(segments=3)
    text.happen(A)
    text.report(B)
    gate = Gate()
    gated(monkeypatch, receipts, "_prove", gate)
    reporter = Job(receipts.apply_events)
    gate.wait()
    text.answer(2)
    gate.open()
    reporter.result()
    assert text.state == State.DELIVERED
    sound.check()


@pytest.mark.parametrize(("parts", "twice"), [(2, False), (1, True)])
def test_more_parts_than_there_are_is_a_message_accepted_twice(text, parts, twice):
    text.answer(parts)
    text.happen(A)
    text.happen(B)
    assert audits.everything().reported_twice == [str(text.envelope.dispatch_id)] * twice
