"""Whatever the order in which texts are stored and applied: the latest received decides, and a tie goes to STOP (R37)."""

from datetime import timedelta
from itertools import count, permutations, product

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from campaigns import answers, conversations, replies
from campaigns.models import Conversation, RawEvent, Reply
from compliance import suppression
from compliance.models import Suppression
from providers.adapters.base import Inbound, OptOut
from smsplatform.common import database
from tests import world
from tests.promises.together import Gate, Job, blocked_sessions, gated, together, until
from tests.properties.effort import trying

_people = count(1)
_keys = count(1)


@pytest.fixture
def acme():
    return world.make()


def newcomer():
    return f"+1212{next(_people) + 6_660_000:07d}"


def receive(acme, number, *words, at):
    """Store these words as received at this instant, in one call of the vendor."""
    events = [
        OptOut(f"k{next(_keys)}", number, acme.sender.address)
        if word == "vendor"
        else Inbound(f"k{next(_keys)}", number, acme.sender.address, word)
        for word in words
    ]
    with transaction.atomic():
        raw = RawEvent(id=0, tenant_id=acme.tenant.pk, received_at=at)
        replies.take_in([replies.Heard(acme.account, raw, events)])


def is_stopped(acme, number):
    return Suppression.objects.filter(brand=acme.brand, number=number, category="", released_at=None).exists()


def is_stopped_in_the_end(said):
    """What holds, by nothing but when each word was received; None: nobody said anything."""
    stops = [at for word, at in said if word != "START"]
    starts = [at for word, at in said if word == "START"]
    return bool(stops) and (not starts or max(stops) >= max(starts))


STORIES = [
    [("STOP", 1), ("START", 2)],
    [("START", 1), ("STOP", 2)],
    [("STOP", 1), ("START", 1)],
    [("STOP", 1), ("START", 2), ("STOP", 3)],
    [("START", 1), ("STOP", 2), ("START", 3)],
    [("STOP", 1), ("STOP", 2), ("START", 2)],
    [("STOP", 1), ("START", 2), ("vendor", 2)],
    [("vendor", 1), ("START", 2), ("STOP", 2), ("START", 3)],
]


@pytest.mark.django_db
@pytest.mark.parametrize("story", STORIES, ids=lambda story: " ".join(f"{word}{at}" for word, at in story))
def test_every_order_of_arrival_ends_the_same(acme, story):
    base = database.now() - timedelta(minutes=1)
    for order, is_applied_between in product(permutations(story), (True, False)):
        number = newcomer()
        for word, at in order:
            receive(acme, number, word, at=base + timedelta(seconds=at))
            if is_applied_between:
                answers.answer_replies(database.now())
        answers.answer_replies(database.now())
        assert is_stopped(acme, number) is is_stopped_in_the_end(story), (order, is_applied_between)


@pytest.mark.django_db
@given(
    said=st.lists(
        st.tuples(st.sampled_from(["STOP", "START", "vendor", "please stop"]), st.integers(0, 4)), max_size=7
    ),
    choices=st.data(),
)
@trying(60)
def test_any_story_in_any_order_ends_the_same(acme, said, choices):
    base = database.now() - timedelta(minutes=1)
    number = newcomer()
    for word, at in choices.draw(st.permutations(said)):
        receive(acme, number, word, at=base + timedelta(seconds=at))
        if choices.draw(st.booleans()):
            answers.answer_replies(database.now())
    answers.answer_replies(database.now())
    assert is_stopped(acme, number) is is_stopped_in_the_end(said)
    assert not Reply.objects.filter(apply_at__isnull=False).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("words", [("START", "STOP"), ("STOP", "START")])
def test_of_one_call_the_stop_wins(acme, words):
    number = newcomer()
    receive(acme, number, *words, at=database.now())
    answers.answer_replies(database.now())
    assert is_stopped(acme, number)


@pytest.mark.django_db
def test_an_overtaken_start_says_so(acme):
    now = database.now()
    receive(acme, number := newcomer(), "STOP", at=now)
    receive(acme, number, "START", at=now - timedelta(seconds=1))
    answers.answer_replies(database.now())
    reply = Reply.objects.get(text="START")
    assert (reply.answer_rule, reply.answer) == ("overtaken_by_stop", None)


@pytest.mark.django_db
def test_lifting_touches_only_what_is_older_and_the_brands(acme):
    now = database.now()
    number = newcomer()
    rival = world.make("rival")
    kinds = {
        "older": {"category": "", "reason": "opt_out", "now": now - timedelta(seconds=1)},
        "same instant": {"category": "marketing", "reason": "opt_out", "now": now},
        "operator": {"category": "informational", "reason": "court order", "now": now - timedelta(days=1)},
    }
    for kind in kinds.values():
        suppression.suppress(brand=acme.brand, number=number, source="test", **kind)
    suppression.suppress(brand=rival.brand, number=number, reason="opt_out", source="test", now=now - timedelta(days=1))
    suppression.suppress_everywhere(number=number, reason="opt_out", source="test", now=now - timedelta(days=1))
    assert suppression.lift(brand=acme.brand, number=number, before=now, now=now) == 1
    assert suppression.lift(brand=acme.brand, number=number, before=now, now=now) == 0
    [lifted] = Suppression.objects.exclude(released_at=None)
    assert (lifted.brand, lifted.category, lifted.released_at) == (acme.brand, "", now)


# -- at the same time ------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("stop_at", "start_at"), [(1, 2), (2, 1), (1, 1)])
def test_two_workers_and_a_webhook_at_once_end_the_same(acme, stop_at, start_at):
    base = database.now() - timedelta(minutes=1)

    def work():
        return answers.answer_replies(database.now())

    for _ in range(8):
        number = newcomer()
        receive(acme, number, "STOP", at=base)
        receive(acme, number, "START", at=base + timedelta(seconds=start_at))
        together(
            work,
            work,
            lambda: receive(acme, number, "STOP", at=base + timedelta(seconds=stop_at)),  # noqa: B023 - run at once
        )
        work()
        assert is_stopped(acme, number) is (stop_at >= start_at)


@pytest.mark.django_db(transaction=True)
def test_a_stop_waits_for_the_start_that_is_being_applied_and_then_wins(acme, monkeypatch):
    """The START has looked for a later STOP and found none; it has not committed when the STOP comes."""
    base = database.now() - timedelta(minutes=1)
    number = newcomer()
    receive(acme, number, "STOP", at=base)
    receive(acme, number, "START", at=base + timedelta(seconds=1))
    gate = Gate()
    gated(monkeypatch, conversations, "start", gate)
    worker = Job(lambda: answers.answer_replies(database.now()))
    gate.wait()
    webhook = Job(lambda: receive(acme, number, "STOP", at=base + timedelta(seconds=2)))
    until(lambda: not webhook.is_alive() or blocked_sessions())
    assert webhook.is_alive()
    gate.open()
    worker.result()
    webhook.result()
    assert is_stopped(acme, number)


@pytest.mark.django_db(transaction=True)
def test_calls_about_many_people_never_wait_for_each_other_in_a_circle(acme):
    people = [newcomer() for _ in range(12)]

    def call(numbers):
        events = [Inbound(f"k{next(_keys)}", number, acme.sender.address, "STOP") for number in numbers]
        with transaction.atomic():
            raw = RawEvent(id=0, tenant_id=acme.tenant.pk, received_at=database.now())
            replies.take_in([replies.Heard(acme.account, raw, events)])

    for _ in range(5):
        together(*(lambda order=order: call(order) for order in (people, people[::-1], people[6:] + people[:6])))
    assert Conversation.objects.count() == 12
    assert Suppression.objects.count() == 12
