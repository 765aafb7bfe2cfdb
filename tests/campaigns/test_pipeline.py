"""The pipeline, stage by stage, on a real database."""

import pytest

from campaigns import audits, reports
from campaigns.states import State
from compliance.models import CapWindow
from providers.models import Sender
from tests import world

pytestmark = pytest.mark.django_db(transaction=True)


def test_takes_a_batch_from_queued_to_accepted(simulator):
    acme = world.make(base_url=simulator.url)
    simulator.script("token-acme")
    acme.recipients(30, first_name="Ana")
    run = acme.run()
    assert world.states(run) == {State.QUEUED: 30}
    assert world.work() == 1
    assert world.states(run) == {State.ACCEPTED: 30}
    assert simulator.ledger()["accepted"] == 30
    report = reports.report(run)
    assert (report.progress, report.result, report.totals) == ("finished", "all", {"accepted": 30})
    assert audits.everything().is_clean


def test_sends_from_the_longest_address_that_a_sender_may_have(simulator):
    acme = world.make(base_url=simulator.url)
    simulator.script("token-acme", receipts=None)
    longest = Sender._meta.get_field("address").max_length
    acme.sender.address = "news@brand.example".rjust(longest, "n")
    acme.sender.save()
    acme.recipient()
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1}


def test_gives_the_permit_of_a_refused_message_back(simulator):
    acme = world.make(base_url=simulator.url, daily_cap=10)
    people = acme.recipients(3)
    simulator.script("token-acme", reject=[people[1].number])
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2, State.REJECTED: 1}
    assert audits.everything().is_clean
    assert CapWindow.objects.get().used == 2
