"""Neither the broker nor a worker's log, at DEBUG, holds a number or a text; Flower shows what the broker holds."""

import base64
import re
import subprocess
import sys

import pytest

from campaigns import imports, launch, tasks
from campaigns.models import Dispatch, Import
from campaigns.states import OPEN
from compliance.policy import Category
from smsplatform.common import database, redis
from tests import world
from tests.journeys.conftest import Worker, until

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

NUMBERS = [f"+1212736424{n}" for n in range(3)]
FIELD = "Plughia"
CANARIES = [*(number[2:] for number in NUMBERS), FIELD]


class Talkative(Worker):
    """A worker that says everything, into a file."""

    def __init__(self, log, *args, **environment):
        self.log = log
        super().__init__(*args, LOG_LEVEL="DEBUG", DEBUG="yes", **environment)

    def start(self):
        queues = ",".join(self.queues)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "smsplatform", "worker", "-l", "DEBUG", "-Q", queues, "-c", "2",
                 "--without-gossip", "--without-mingle", "-n", "talkative@%h"],
                env=self.environment, start_new_session=True, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip


def dump():
    """Everything that Redis holds, messages with what is packed into them."""
    client = redis.client()
    read = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
    }
    found = ((key, client.type(key)) for key in client.scan_iter())
    return {key: unpacked(str(read[kind](key))) for key, kind in found if kind != b"none"}  # some end meanwhile


def unpacked(told):
    bodies = re.findall(r'"body": "([A-Za-z0-9+/=]+)"', told)
    return told + "".join(base64.b64decode(body).decode() for body in bodies)


def test_the_broker_and_a_worker_name_nobody(simulator, live_server, tmp_path, settings):
    settings.PUBLIC_URL = live_server.url
    acme = world.make(base_url=simulator.url)
    hooks = f"{live_server.url}/webhooks/{acme.account.provider}/{acme.account.key}"
    simulator.script("token-acme", inbound_url=f"{hooks}/inbound", dialect="simulator", reject=[NUMBERS[2]])
    file = tmp_path / "people.csv"
    file.write_text("number,first_name\n" + "".join(f"{number},{FIELD}\n" for number in NUMBERS))
    source = imports.create(tenant=acme.tenant, list=acme.people, file=str(file), source=Import.Source.PATH)
    imports.run(source.pk)
    again = imports.create(tenant=acme.tenant, list=acme.people, file=str(file), source=Import.Source.PATH)
    # Nobody works yet: what is published stays where it can be read.
    tasks.start_import(again.pk)
    campaign = acme.campaign(text="Dear {{ first_name }}", category=Category.TRANSACTIONAL)  # at any hour
    run = launch.launch(campaign=campaign, occurrence="1", now=database.now(), actor="ana")
    assert launch.materialise(run.pk)
    settings.SMALL_BATCH = 1  # the chain of six
    assert tasks.hand_out("bulk") == 1
    tasks.apply_events.apply_async(countdown=1)
    tasks.start_erasing()
    waiting = dump()
    assert b"imports" in waiting
    assert any("stage.send" in told for told in waiting.values())
    assert [(key, canary) for key, told in waiting.items() for canary in CANARIES if canary in told] == []

    def is_over():
        tasks.hand_out("bulk")  # whoever missed an instant is due again, and there is no beat
        tasks.recover()
        return not Dispatch.objects.of_run(run.pk).filter(state__in=OPEN).exists()

    log = tmp_path / "worker.log"
    worker = Talkative(log, live_server.url)
    try:
        until(is_over, "the run", seconds=90)
        stop = {"account": "token-acme", "from": NUMBERS[0], "to": acme.sender.address, "text": f"{FIELD} says STOP"}
        simulator.ask("POST", "/_control/inbound", stop)
        tasks.apply_events.delay()
        until(lambda: "apply_events" in log.read_text() and "campaigns_rawevent" in log.read_text(), "the events")
        after = dump()
    finally:
        worker.stop()
    said = log.read_text()
    assert "campaigns_dispatch" in said  # statements are logged: the numbers were at stake
    assert "stage.send" in said
    assert [canary for canary in CANARIES if canary in said] == []
    assert [(key, canary) for key, told in after.items() for canary in CANARIES if canary in told] == []
