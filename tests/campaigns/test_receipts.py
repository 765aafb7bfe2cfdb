"""Reports on the parts of a long text, from a vendor that gives each an id and a report of its own (R43)."""

from datetime import timedelta
from time import time

import pytest
from django.test import Client

from campaigns import audits, receipts, sending
from campaigns.models import Attempt, Dispatch, RawEvent
from campaigns.states import State
from providers.simulator.dialects import BY_NAME
from providers.simulator.dialects.base import Event
from smsplatform.common import database
from tests import world
from tests.providers.adapters.test_vonage_sms import SIMULATED

pytestmark = pytest.mark.django_db(transaction=True)

DIALECT = BY_NAME["vonage_sms"]


@pytest.fixture
def acme(simulator):
    simulator.script(SIMULATED["account"], **SIMULATED["script"], receipts=None)
    made = world.make(
        base_url=simulator.url + SIMULATED["base_path"], provider="vonage_sms", credentials=SIMULATED["credentials"]
    )
    made.account.options = SIMULATED["options"]
    made.account.save()
    made.recipient()
    made.run(made.campaign(text="Said in two parts. " * 15))
    world.work()
    return made


def report(acme, part, status="delivered"):
    """Have the vendor report on this part, and the report applied; return the state then."""
    dispatch, attempt = Dispatch.objects.get(), Attempt.objects.get()
    whole = Event(
        attempt.provider_id,
        SIMULATED["account"],
        dispatch.number,
        acme.sender.address,
        time(),
        status=status,
        reference=sending.reference(dispatch.pk, 1),
    )
    path = f"/webhooks/vonage_sms/{acme.account.key}/status"
    hook = DIALECT.hook(path, SIMULATED["script"]["secret"], [DIALECT.events(whole, 2)[part]])
    answer = Client().post(path, hook.body, content_type="application/json", headers=hook.headers)
    assert answer.status_code == 200
    receipts.apply_events()
    assert not RawEvent.objects.filter(applied_at=None).exists()
    return Dispatch.objects.get().state


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_is_delivered_when_all_its_parts_are(acme, order):
    assert Attempt.objects.get().parts == 2
    assert [report(acme, part) for part in order] == [State.ACCEPTED, State.DELIVERED]
    assert audits.everything().is_clean


def test_a_part_reported_twice_is_one_part(acme):
    assert [report(acme, 0), report(acme, 0), report(acme, 1, "sent")] == [State.ACCEPTED] * 3
    assert report(acme, 1) == State.DELIVERED


def test_a_part_that_was_lost_is_not_made_good_by_the_other(acme):
    assert [report(acme, 0, "failed"), report(acme, 1)] == [State.UNDELIVERED] * 2


def test_until_the_answer_is_there_it_has_as_many_parts_as_we_count(acme):
    Attempt.objects.update(
        answered_at=None, proof="", outcome=Attempt.OPEN, parts=1, horizon_at=database.now() + timedelta(minutes=1)
    )
    assert [report(acme, 0), report(acme, 1)] == [State.ACCEPTED, State.DELIVERED]
    assert audits.everything().is_clean
