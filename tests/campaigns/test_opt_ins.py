"""Double opt-in from the form to the first message: one ask, at once, whatever the hour; nothing before the YES."""

from datetime import time, timedelta

import pytest

from campaigns import notifications, opt_ins
from campaigns.models import Dispatch
from campaigns.states import State
from compliance import consent, suppression
from compliance.consent_models import Consent
from compliance.models import AutomaticTexts
from compliance.policy import Category
from smsplatform.common import database
from smsplatform.common.errors import Conflict, InvalidInput
from tests import world
from tests.compliance.test_consent_states import HERE
from tests.promises.together import together

pytestmark = pytest.mark.django_db(transaction=True)

ANA = "+12125550201"


@pytest.fixture
def acme(simulator):
    simulator.script("token-acme", receipts=None)
    acme = world.make(base_url=simulator.url, **HERE)
    AutomaticTexts.objects.create(tenant=acme.tenant, brand=acme.brand, monthly=4, help_email="help@acme.example")
    return acme


def ask(acme, number=ANA, **said):
    told = {
        "category": Category.MARKETING, "now": database.now(), "action": "typed the number",
        "disclosure": "You agree that Acme may text you.", "page_url": "https://acme.example/join", "ip": "203.0.113.9",
    }  # fmt: skip
    return opt_ins.ask(brand=acme.brand, number=number, **told | said)


def messages(simulator):
    return simulator.ask("GET", "/_control/ledger/messages?limit=1000")["messages"]


def send_single():
    notifications.collect(database.now())
    return world.work("urgent")


def test_asks_at_once_and_texts_nothing_else_before_the_yes(acme, simulator):
    acme.brand.opens_at, acme.brand.closes_at = time(0), time(0, 1)  # nobody may be texted marketing now
    acme.brand.save()
    person = acme.recipient()
    asked = ask(acme, person.number)
    send_single()
    [text] = messages(simulator)
    assert text["to"] == person.number
    assert "YES" in text["text"]
    assert "Acme" in text["text"]
    assert Consent.objects.get(pk=asked.consent_id).event == "asked"
    acme.brand.opens_at, acme.brand.closes_at = time(0), time(23, 59, 59)
    acme.brand.save()
    acme.run(key="early")
    world.work()
    assert Dispatch.objects.exclude(pk=asked.dispatch_id).get().reason == "consent_pending_double_opt_in@1"
    assert consent.confirm(
        brand=acme.brand, number=person.number, now=database.now(), inbound_id=1, inbound_text="yes", our_number="+1888"
    )
    acme.run(key="late")
    world.work()
    assert len(messages(simulator)) == 2


def test_asks_once_however_often_the_form_is_sent(acme, simulator):
    asked = together(*(lambda: ask(acme) for _ in range(4)))
    assert sum(one is not None for one in asked) == 1
    send_single()
    assert len(messages(simulator)) == 1


def test_never_asks_who_opted_out(acme):
    suppression.suppress(brand=acme.brand, number=ANA, reason="opt_out", source="test", now=database.now())
    with pytest.raises(Conflict):
        ask(acme)
    assert not Dispatch.objects.exists()
    assert not Consent.objects.exists()


def test_a_stop_overtakes_the_ask(acme, simulator):
    asked = ask(acme)
    suppression.suppress(brand=acme.brand, number=ANA, reason="opt_out", source="test", now=database.now())
    send_single()
    assert Dispatch.objects.get(pk=asked.dispatch_id).state == State.BLOCKED
    assert messages(simulator) == []


def test_the_brand_asks_in_its_own_words(acme, simulator):
    own = "Acme alerts: up to 4 msgs/month. Msg&data rates may apply. Reply YES to join, HELP for help, STOP to end."
    AutomaticTexts.objects.update(ask_text=own)
    ask(acme)
    send_single()
    assert [text["text"] for text in messages(simulator)] == [own]


def test_a_brand_without_facts_asks_nobody(acme):
    AutomaticTexts.objects.all().delete()
    with pytest.raises(InvalidInput, match="frequency"):
        ask(acme)
    assert not Consent.objects.exists()


def test_the_ask_ends_with_the_time_for_a_yes(acme):
    acme.brand.opt_in_hours = 1
    acme.brand.save()
    now = database.now()
    asked = ask(acme, now=now)
    assert asked.until == now + timedelta(hours=1)
    assert Dispatch.objects.get().expires_at == asked.until
