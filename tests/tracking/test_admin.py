"""The admin of hits says what each was taken for and why, and shows nobody another client's."""

import pytest
from django.urls import reverse

from campaigns.models import Dispatch
from smsplatform.tenancy.models import Membership, Role, User
from tests import world
from tracking.models import Click, Link

pytestmark = pytest.mark.django_db

LIST = reverse("admin:tracking_click_changelist")


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def manager(acme, client):
    user = User.objects.create_user("ann@acme.example", name="Ann", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=Role.MANAGER)
    client.force_login(user)
    return client


def click(owner, agent, verdict, **more):
    return Click.objects.create(
        tenant=owner.tenant, code="c" * 10, dispatch_id=more.pop("dispatch_id", "0" * 32), method="GET", ip="198.51.100.7",
        user_agent=agent, verdict=verdict, **more,
    )  # fmt: skip


def page(client, address=LIST, **parameters):
    answer = client.get(address, parameters)
    assert answer.status_code == 200
    return answer.content.decode()


def test_shows_the_verdict_and_why(manager, acme):
    one = click(acme, "Phone", "bot_suspected", reasons="at_once no_language", points=3, list_version="1+lists")
    for shown in (page(manager), page(manager, reverse("admin:tracking_click_change", args=[one.pk]))):
        assert "probably a machine" in shown
        assert "within 2 seconds after the provider took the message (2); no Accept-Language (1)" in shown
    assert "1+lists" in shown
    assert "198.51.100.0" in shown
    assert "198.51.100.7" not in shown


def test_filters_by_verdict(manager, acme):
    click(acme, "Some phone", "human")
    click(acme, "Some crawler", "bot")
    shown = page(manager, verdict__exact="human")
    assert "Some phone" in shown
    assert "Some crawler" not in shown


@pytest.mark.parametrize("parameters", [{}, {"verdict__exact": "human"}, {"q": "c" * 10}])
def test_shows_nobody_another_clients_hits(manager, parameters):
    other = click(world.make("zebra"), "Zebras phone", "human")
    assert "Zebras phone" not in page(manager, **parameters)
    assert manager.get(reverse("admin:tracking_click_change", args=[other.pk])).status_code == 302


def test_a_runs_page_counts_people_and_what_was_filtered(manager, acme):
    acme.recipients(2)
    run = acme.run()
    first, second = Dispatch.objects.of_run(run.pk)
    for verdict in ("human", "human", "duplicate", "prefetch", "bot"):
        click(acme, "x", verdict, dispatch_id=first.pk)
    click(acme, "x", "bot_suspected", dispatch_id=second.pk)
    shown = page(manager, reverse("admin:campaigns_run_change", args=[run.pk]))
    assert "1 people followed a link (3 hits filtered out)" in shown
    assert "a browser, ahead of time" in shown


def test_a_runs_page_says_nothing_of_people_before_anybody_came(manager, acme):
    acme.recipient()
    shown = page(manager, reverse("admin:campaigns_run_change", args=[acme.run().pk]))
    assert "followed a link (" not in shown
    assert "Nobody followed a link, as far as hits are judged." in shown


@pytest.mark.django_db(transaction=True)
def test_a_messages_page_says_what_its_hits_were(manager, acme):
    acme.recipient()
    run = acme.run(text="Look: https://jobs.example.com/")
    world.work(stages=world.PIPELINE[:4])
    dispatch = Dispatch.objects.of_run(run.pk).get()
    Click.objects.create(
        tenant=acme.tenant, code=Link.objects.get().code, dispatch_id=dispatch.pk, method="HEAD", verdict="bot", reasons="method"
    )  # fmt: skip
    shown = page(manager, reverse("admin:campaigns_dispatch_change", args=[dispatch.pk]))
    assert "a machine" in shown
    assert "asked with HEAD or OPTIONS, not GET" in shown
