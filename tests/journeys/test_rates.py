"""Four workers, one account with a rate: the provider never sees more than the rate within any second."""

import pytest

from campaigns import tasks
from tests import world
from tests.journeys.conftest import Worker, until

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

RATE = 90
TEXT = "Two segments, said slowly. " * 8


@pytest.fixture
def four_workers(live_server, settings):
    settings.BATCH_SIZE = 20
    workers = [Worker(live_server.url, LEASE_SECONDS="20", POST_WITHIN_SECONDS="5") for _ in range(4)]
    yield workers
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.wait(40)


@pytest.mark.usefixtures("four_workers")
def test_four_workers_together_keep_the_rate_of_an_account_and_of_its_sender(simulator):
    acme = world.make(base_url=simulator.url)
    acme.account.segments_per_second = RATE
    acme.account.save()
    simulator.script("token-acme", receipts=None)
    acme.recipients(160)
    acme.run(acme.campaign(text=TEXT))

    def all_taken():
        tasks.hand_out("bulk")
        return simulator.ledger()["accepted"] == 160

    until(all_taken, "everything to go out")
    rate = simulator.ask("GET", "/_control/rates?account=token-acme")["accounts"]["token-acme"]
    # A message of two segments goes out whole; and on a busy machine the simulator itself is late, by some of them.
    assert RATE / 2 < rate["peak"]["segments"] <= RATE * 1.05 + 1
