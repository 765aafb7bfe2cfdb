"""The admin's pages of pre-flights, approvals, undo and canaries."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from campaigns import launch, tasks
from campaigns.models import Approval, Batch, Campaign, Preflight, Run
from campaigns.states import State
from smsplatform.common import database
from smsplatform.tenancy.models import Membership, Role
from tests import world

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    made = world.make(undo_above=2)
    made.recipients(3, first_name="Ana")
    return made


def log_in(client, acme, name):
    user, is_new = get_user_model().objects.get_or_create(email=f"{name}@acme.example", defaults={"is_staff": True})
    if is_new:
        Membership.objects.create(user=user, tenant=acme.tenant, role=Role.MANAGER)
    client.force_login(user)
    return client


@pytest.fixture
def manager(client, acme):
    return log_in(client, acme, "ann")


@pytest.fixture
def published(monkeypatch):
    found = []
    for name in ("start_materialising", "start_preflight"):
        monkeypatch.setattr(tasks, name, found.append)
    return found


def address(name, *args):
    return reverse(f"admin:campaigns_{name}", args=args)


def page(client, name, row):
    return client.get(address(f"{name}_change", row.pk)).content.decode()


def press(client, name, row, verb, **given):
    response = client.post(address(f"{name}_do", row.pk, verb), given, follow=True)
    return [str(message) for message in response.context["messages"]]


def offered(client, name, row):
    response = client.get(address(f"{name}_change", row.pk))
    return {button["verb"].name for button in response.context["verbs"]}


def launch_it(client, campaign, **given):
    key = re.search(r'name="launch_key" value="([^"]+)"', page(client, "campaign", campaign))[1]
    return press(client, "campaign", campaign, "launch", launch_key=key, **given)


class TestPreflight:
    def test_is_counted_at_once_for_few(self, manager, acme):
        campaign = acme.campaign("Hello {{ first_name }}")
        [told] = press(manager, "campaign", campaign, "preflight")
        made = Preflight.objects.get()
        assert address("preflight_change", made.pk) in told
        shown = page(manager, "preflight", made)
        assert "3 people: 3 texted at once, 0 later, 0 not; 3 segments" in shown
        assert "Hello Ana" in shown
        assert "Stale" not in shown
        assert "3 at once, 0 later, 0 not" in page(manager, "campaign", campaign)
        campaign.template.write("Hello")
        assert "Stale. Since it was counted this has changed: the text" in page(manager, "preflight", made)

    def test_is_counted_by_a_worker_for_many_and_shows_how_far_it_is(
        self, manager, acme, published, monkeypatch, django_capture_on_commit_callbacks
    ):
        monkeypatch.setattr("campaigns.preflight.INLINE", 2)
        campaign = acme.campaign("Hello")
        with django_capture_on_commit_callbacks(execute=True):
            [told] = press(manager, "campaign", campaign, "preflight")
        made = Preflight.objects.get()
        assert "is being counted" in told
        assert published == [made.pk]
        Preflight.objects.update(status="running", done=1)
        shown = page(manager, "preflight", made)
        assert "<b>33 %</b> of 3 people looked at" in shown
        assert 'http-equiv="refresh"' in shown
        Preflight.objects.update(status="failed", reason="it broke")
        assert "could not be counted: it broke" in page(manager, "preflight", made)

    def test_warns_of_what_is_in_the_way(self, manager, acme):
        campaign = acme.campaign("Hello", canary_percent=10)
        press(manager, "campaign", campaign, "preflight")
        assert "10 % are texted first" in page(manager, "preflight", Preflight.objects.get())

    def test_tells_what_is_missing(self, manager, acme):
        campaign = acme.campaign("Hello")
        campaign.lists.clear()
        assert "has no list" in press(manager, "campaign", campaign, "preflight")[0]


class TestApproval:
    @pytest.fixture(autouse=True)
    def _limit(self, acme):
        acme.tenant.approve_above = 2
        acme.tenant.save()

    def test_takes_two_people(self, client, acme, published):
        campaign = acme.campaign("Hello")
        ann = log_in(client, acme, "ann")
        assert {"ask", "launch"} <= offered(ann, "campaign", campaign)
        assert "are more than the 2 that one person" in launch_it(ann, campaign)[0]
        assert "asked for 3 people" in press(ann, "campaign", campaign, "ask")[0]
        assert "second person" in press(ann, "campaign", campaign, "approve")[0]
        ben = log_in(client, acme, "ben")
        assert {"approve", "decline"} <= offered(ben, "campaign", campaign)
        assert "ask" not in offered(ben, "campaign", campaign)
        assert "is approved" in press(ben, "campaign", campaign, "approve")[0]
        assert "who approves cannot launch" in launch_it(ben, campaign)[0]
        assert "is launched" in launch_it(log_in(client, acme, "ann"), campaign)[0]
        assert Run.objects.get().approved_by == "ben@acme.example"
        assert "ben@acme.example" in page(client, "campaign", campaign)
        assert "approved" in client.get(address("approval_changelist")).content.decode()

    def test_is_declined_with_a_reason(self, client, acme):
        campaign = acme.campaign("Hello")
        press(log_in(client, acme, "ann"), "campaign", campaign, "ask")
        ben = log_in(client, acme, "ben")
        assert "say why" in press(ben, "campaign", campaign, "decline")[0]
        assert "is declined" in press(ben, "campaign", campaign, "decline", why="wrong price")[0]
        assert "wrong price" in page(ben, "campaign", campaign)
        assert "nothing to approve" in press(ben, "campaign", campaign, "approve")[0]

    def test_of_a_run_that_grew(self, client, acme):
        acme.tenant.approve_above = 3
        acme.tenant.save()
        campaign = Campaign.objects.get(pk=acme.campaign("Hello").pk)
        made = launch.launch(campaign=campaign, occurrence="1", now=database.now(), actor="ann@acme.example")
        acme.recipients(2)
        Run.objects.filter(pk=made.pk).update(people=5)
        ann = log_in(client, acme, "ann")
        assert "more than were approved" in page(ann, "run", made)
        assert "second person" in press(ann, "run", made, "approve")[0]
        assert "is approved, and goes on" in press(log_in(client, acme, "ben"), "run", made, "approve")[0]
        assert "approve" not in offered(client, "run", made)
        assert not Approval.objects.exists()

    def test_is_not_offered_where_nobody_needs_it(self, manager, acme):
        acme.tenant.approve_above = None
        acme.tenant.save()
        assert "ask" not in offered(manager, "campaign", acme.campaign("Hello"))


class TestUndo:
    def test_has_a_button_that_counts_down(self, manager, acme, published):
        campaign = acme.campaign("Hello")
        assert "undo" not in offered(manager, "campaign", campaign)
        launch_it(manager, campaign)
        made = Run.objects.get()
        for name, row in (("campaign", campaign), ("run", made)):
            seconds = re.search(r'class="countdown" data-seconds="(\d+)"', page(manager, name, row))
            assert 0 < int(seconds[1]) <= 60
        assert "nobody was texted" in press(manager, "campaign", campaign, "undo")[0]
        made.refresh_from_db()
        assert made.cancelled_at is not None
        assert "undo" not in offered(manager, "run", made)

    def test_is_gone_when_it_is_too_late(self, manager, acme, published):
        campaign = acme.campaign("Hello")
        launch_it(manager, campaign)
        Run.objects.update(undo_until=database.now())
        assert "undo" not in offered(manager, "campaign", campaign)
        assert "nothing to undo" in press(manager, "campaign", campaign, "undo")[0]


class TestSameText:
    def test_is_asked_for_on_the_page(self, manager, acme, published):
        acme.run(acme.campaign("Hello"))
        campaign = acme.campaign("Hello")
        shown = page(manager, "campaign", campaign)
        assert 'name="same_text" value="1" required' in shown
        assert "got the same text within the last 7 days" in launch_it(manager, campaign)[0]
        assert "is launched" in launch_it(manager, campaign, same_text="1")[0]
        assert 'name="same_text"' not in page(manager, "campaign", acme.campaign("Other"))


class TestCanary:
    def test_shows_how_it_goes_and_is_decided_by_hand(self, manager, acme):
        acme.recipients(30)
        made = acme.run(acme.campaign("Hello", canary_percent=50))
        shown = page(manager, "run", made)
        assert "Canary: who was texted first" in shown
        assert "10.0 % allowed" in shown
        assert {"release", "halt"} <= offered(manager, "run", made)
        assert "say why" in press(manager, "run", made, "halt")[0]
        assert "is halted" in press(manager, "run", made, "halt", why="dead link")[0]
        assert "Paused: canary: dead link" in page(manager, "run", made)
        assert not {"release", "halt"} & offered(manager, "run", made)
        press(manager, "run", made, "resume")
        assert "Paused:" not in page(manager, "run", made)

    def test_is_released_by_hand(self, manager, acme):
        acme.recipients(30)
        made = acme.run(acme.campaign("Hello", canary_percent=50))
        assert "the others are released" in press(manager, "run", made, "release")[0]
        assert Run.objects.get().canary == "released"
        assert Batch.objects.filter(is_canary=True).exists()
        assert world.states(made) == {State.QUEUED: 33}
