"""What a person is answered goes out by queues of its own, whatever becomes of the work on what they wrote (D2)."""

import pytest

from campaigns import notifications, tasks
from campaigns.models import Dispatch, RawEvent, Reply
from campaigns.states import State
from smsplatform.common import database
from tests import world
from tests.journeys.conftest import Worker, until

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]


@pytest.fixture
def answering(live_server, settings):
    """A worker for answers; nobody works on events."""
    settings.PUBLIC_URL = live_server.url
    worker = Worker(live_server.url, queues=("control", "urgent.sql", "urgent.http"))
    yield worker
    worker.stop()


@pytest.mark.usefixtures("answering")
def test_an_answer_does_not_wait_for_the_work_on_events(simulator, live_server):
    acme = world.make(base_url=simulator.url)
    hooks = f"{live_server.url}/webhooks/{acme.account.provider}/{acme.account.key}"
    person = acme.recipient().number
    text = {"account": "token-acme", "from": person, "to": acme.sender.address, "text": "When do you open?"}
    simulator.script("token-acme", receipts=None, inbound_url=f"{hooks}/inbound", dialect="simulator")
    simulator.ask("POST", "/_control/inbound", text)
    until(lambda: Reply.objects.filter(number=person).exists(), "the reply")
    answer = notifications.send(brand=acme.brand, number=person, text="At nine.", now=database.now())
    tasks.collect.delay()
    until(lambda: Dispatch.objects.get(pk=answer).state == State.ACCEPTED, "the answer")
    assert RawEvent.objects.filter(applied_at=None).count() == 1
    [entry] = simulator.ask("GET", "/_control/ledger/messages")["messages"]
    assert (entry["to"], entry["text"]) == (person, "At nine.")
