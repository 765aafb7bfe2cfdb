"""A person's talk with a brand by keywords, over HTTP both ways, through a real worker and broker."""

import time
from functools import partial

import pytest

from campaigns import tasks
from campaigns.models import Keyword, ListMember, Reply
from compliance.models import Suppression
from tests import world
from tests.journeys.conftest import until
from tests.promises import talk

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
PERSON = "+12132345678"


@pytest.mark.usefixtures("worker")
def test_goes_from_join_over_stop_to_start(simulator, live_server):
    acme = talk.prepare(world.make(base_url=simulator.url))
    Keyword.objects.create(tenant=acme.tenant, brand=acme.brand, word="JOIN", people=acme.people)
    hooks = f"{live_server.url}/webhooks/{acme.account.provider}/{acme.account.key}"
    simulator.script("token-acme", receipts={"delivered": 1}, inbound_url=f"{hooks}/inbound", dialect="simulator")
    ana = talk.Person(acme, simulator, PERSON)
    wanted = []
    for text, answer in (
        ("Join!", talk.WELCOME),
        ("STOP", talk.STOPPED),
        ("STOP", None),
        ("HELP", talk.HELP),
        ("Start", talk.WELCOME),
    ):
        number = Reply.objects.count() + 1
        said = {"account": "token-acme", "from": PERSON, "to": acme.sender.address, "text": text}
        simulator.ask("POST", "/_control/inbound", said)
        wanted += [answer] if answer else []
        until(_beaten(partial(_is_done, number)), f"what {text} asks for")
        until(_beaten(partial(_has_heard, ana, len(wanted))), f"the answer to {text}")
        assert ana.is_stopped is (text in ("STOP", "HELP"))
    assert ana.heard == wanted
    assert {message["sender"] for message in ana.messages} == {acme.sender.address}
    assert ListMember.objects.get(recipient__number=PERSON).list == acme.people
    assert Suppression.objects.get(number=PERSON).released_at is not None


def _beaten(condition):
    """The condition, looked at while beat ticks each second: what the webhook has published may have expired."""
    last = time.monotonic()

    def is_met():
        nonlocal last
        if time.monotonic() - last > 1:
            last = time.monotonic()
            tasks.answer_replies.delay()
            tasks.collect.delay()
            tasks.hand_out.delay("urgent")
        return condition()

    return is_met


def _is_done(number):
    return Reply.objects.filter(number=PERSON, apply_at=None).exclude(answer_rule="").count() == number


def _has_heard(person, number):
    return len(person.heard) == number
