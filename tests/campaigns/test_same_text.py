"""The same text to the same people: told before, asked for at launch, and nobody else is bothered."""

from datetime import timedelta

import pytest

from campaigns import guards, launch, same_text
from campaigns.models import Dispatch, RecipientList, Run
from smsplatform.common import database
from tests import world
from tests.campaigns.commands.shell import refused, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(simulator):
    made = world.make(base_url=simulator.url)
    simulator.script("token-acme", receipts=None)
    made.recipients(3)
    return made


@pytest.fixture
def told(acme):
    """A run that has told everybody "Hello"."""
    made = acme.run(acme.campaign("Hello", name="first"))
    world.work()
    return made


def overlap(campaign, now=None):
    found = same_text.overlaps(campaign=campaign, version=campaign.template.latest, now=now or database.now())
    return {each.run_id: each.people for each in found}


def is_refused(campaign, **options):
    try:
        launch.launch(campaign=campaign, occurrence="again", now=database.now(), actor="ann", **options)
    except guards.SameText:
        return True
    return False


def test_is_counted_and_refused(acme, told):
    acme.recipient()  # was not told
    campaign = acme.campaign("Hello")
    assert overlap(campaign) == {told.pk: 3}
    assert is_refused(campaign)
    assert Run.objects.count() == 1


def test_is_launched_when_it_is_meant(acme, told):
    assert not is_refused(acme.campaign("Hello"), is_meant=True)


@pytest.mark.parametrize("kind", ["another text", "other people", "long ago", "left out", "not texted"])
def test_what_is_not_the_same_is_launched(acme, told, settings, kind):
    campaign = acme.campaign("Hallo" if kind == "another text" else "Hello")
    now = database.now()
    match kind:
        case "other people":
            others = RecipientList.objects.create(tenant=acme.tenant, name="others")
            campaign.lists.set([others])
        case "long ago":
            Run.objects.update(launched_at=now - settings.SAME_TEXT_WITHIN - timedelta(minutes=1))
        case "left out":
            campaign.minus_lists.add(acme.people)
            campaign.lists.add(RecipientList.objects.create(tenant=acme.tenant, name="others"))
        case "not texted":
            Dispatch.objects.update(state="blocked")
    assert not any(overlap(campaign).values())
    assert not is_refused(campaign)


def test_what_is_on_its_way_counts_too(acme):
    waiting = acme.run(acme.campaign("Hello"))
    assert overlap(acme.campaign("Hello")) == {waiting.pk: 3}
    launch.cancel(waiting, now=database.now(), actor="ann")
    world.work()
    assert not is_refused(acme.campaign("Hello"))


def test_another_tenant_is_nobodys_business(acme, told):
    zebra = world.make("zebra")
    zebra.recipients(2)
    assert overlap(zebra.campaign("Hello")) == {}


def test_a_schedule_may_repeat_itself(acme, told):
    from campaigns import schedules

    campaign = acme.campaign("Hello", schedule="repeat", crontab="* * * * *")
    assert [each.campaign for each in schedules.fire(database.now() + timedelta(minutes=2))] == [campaign]


def test_the_command_wants_it_said(acme, told, monkeypatch):
    monkeypatch.setattr("campaigns.tasks.start_materialising", lambda _: None)
    acme.campaign("Hello", name="spring")
    assert "--same-text: some of its people got the same text within the last 7 days" in refused("launch acme spring")
    assert "launched: run" in run("launch acme spring --same-text")
