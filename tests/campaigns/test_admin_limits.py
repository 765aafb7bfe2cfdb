"""The admin of limits: whose, how much, and how much of it is used."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from compliance.models import CapWindow, Limit
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent, Membership, Role
from tests import world

pytestmark = pytest.mark.django_db

EMPTY = {"period": "day", "hours": "", "unit": "messages", "carrier": "", "zone": "", "note": ""}


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def manager(client, acme):
    user = get_user_model().objects.create_user("ann@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=Role.MANAGER)
    client.force_login(user)
    return client


def address(name, *args):
    return reverse(f"admin:compliance_{name}", args=args)


def add(client, **fields):
    return client.post(address("limit_add"), {**EMPTY, **fields})


def errors(response):
    return response.context["adminform"].form.errors


def test_a_manager_sets_a_limit_for_something_of_theirs(manager, acme):
    page = manager.get(address("limit_add")).content.decode()
    for offered in (f"brand:{acme.brand.pk}", f"account:{acme.account.pk}", f"tenant:{acme.tenant.pk}"):
        assert f'value="{offered}"' in page
    assert 'value="platform"' not in page
    assert add(manager, whose=f"brand:{acme.brand.pk}", amount="500", unit="segments").status_code == 302
    limit = Limit.objects.get()
    assert (limit.holder, limit.amount, limit.unit, limit.zone) == (
        f"brand:{acme.brand.pk}", 500, "segments", "America/New_York",
    )  # fmt: skip
    assert (limit.tenant, limit.set_by, limit.is_operators) == (acme.tenant, "ann@acme.example", False)
    assert AuditEvent.objects.filter(tenant=acme.tenant, actor="ann@acme.example", verb="limit.added").exists()
    listed = manager.get(address("limit_changelist")).content.decode()
    assert "500 segments a day" in listed
    assert "brand Acme" in listed


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"amount": "4", "period": "person", "hours": "24"}, "amount", "the platform allows 3 in 24 hours"),
        ({"amount": "4", "period": "person"}, "hours", "say in how many hours"),
        ({"amount": "5", "zone": "Mars/Olympus"}, "zone", "is not an IANA time zone"),
        ({"amount": ""}, "amount", "required"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(manager, acme, fields, field, said):
    assert said in errors(add(manager, whose=f"brand:{acme.brand.pk}", **fields))[field][0]
    assert not Limit.objects.exists()


def test_a_second_limit_of_the_same_is_refused(manager, acme):
    acme.limit("brand", 5)
    assert "there is such a limit already" in str(errors(add(manager, whose=f"brand:{acme.brand.pk}", amount="4")))


@pytest.mark.parametrize("whose", ["brand", "tenant", "account"])
def test_nothing_of_another_tenant_is_offered_or_taken(manager, acme, whose):
    rival = world.make("rival")
    holder = f"{whose}:{getattr(rival, whose).pk}"
    assert f'value="{holder}"' not in manager.get(address("limit_add")).content.decode()
    assert "whose" in errors(add(manager, whose=holder, amount="0"))
    assert "whose" in errors(add(manager, whose="platform", amount="0"))
    assert not Limit.objects.exists()


def test_a_change_is_a_version_and_an_end_stays(manager, acme):
    limit = acme.limit("brand", 5)
    change = address("limit_change", limit.pk)
    assert manager.post(change, {"amount": "6", "note": "more"}).status_code == 302
    limit.refresh_from_db()
    assert (limit.amount, limit.version, limit.set_by) == (6, 2, "ann@acme.example")
    assert manager.post(address("limit_do", limit.pk, "end")).status_code == 302
    limit.refresh_from_db()
    assert limit.ended_at is not None
    assert manager.post(change, {"amount": "7"}).status_code == 403
    assert AuditEvent.objects.filter(verb="limit.ended").exists()


def test_what_operators_set_is_theirs(manager, acme):
    limit = acme.limit("tenant", 5, is_operators=True)
    change = address("limit_change", limit.pk)
    assert manager.get(change).status_code == 200
    assert manager.post(change, {"amount": "6"}).status_code == 403
    said = manager.post(address("limit_do", limit.pk, "end"), follow=True)
    assert "only they change it" in str([str(message) for message in said.context["messages"]])
    limit.refresh_from_db()
    assert (limit.amount, limit.ended_at) == (5, None)
    assert "the tenant allows 5" in str(errors(add(manager, whose=f"brand:{acme.brand.pk}", amount="6")))


def test_an_operator_limits_the_whole_platform(admin_client):
    assert add(admin_client, whose="platform", amount="1000").status_code == 302
    limit = Limit.objects.get()
    assert (limit.holder, limit.tenant, limit.is_operators) == ("platform", None, True)


class TestWindows:
    def window(self, acme, used, amount, *, days=0, **more):
        now = database.now() + timedelta(days=days)
        return CapWindow.objects.create(
            tenant=acme.tenant, subject=f"brand:{acme.brand.pk}", starts_at=now - timedelta(hours=1),
            ends_at=now + timedelta(hours=1), used=used, amount=amount, **more,
        )  # fmt: skip

    def test_today_is_shown_with_a_bar(self, manager, acme):
        self.window(acme, 9, 10)
        self.window(acme, 70, 100, unit="segments", carrier="t-mobile")
        self.window(acme, 4321, 5000, days=-3)
        page = manager.get(address("capwindow_changelist")).content.decode()
        assert "brand Acme" in page
        assert "9 messages" in page
        assert '<rect width="90.000" height="10" fill="#ffb300"/>' in page
        assert "0 segments to t-mobile (estimated)" in page
        assert "4,321" not in page
        assert "4,321" in manager.get(address("capwindow_changelist"), {"ends_at": "all"}).content.decode()

    @pytest.mark.parametrize(
        ("used", "amount", "said"),
        [(10, 10, "#e53935"), (12, 10, "#e53935"), (0, 0, "#e53935"), (1, 10, "#2e7d32"), (3, None, "only counted")],
    )
    def test_a_full_one_is_red(self, manager, acme, used, amount, said):
        self.window(acme, used, amount)
        assert said in manager.get(address("capwindow_changelist")).content.decode()

    def test_the_list_asks_the_same_for_any_number_of_rows(self, manager, acme):
        counts = []
        for number in (1, 20):
            for n in range(number):
                self.window(acme, n, 100, unit="segments", carrier=f"c{number}-{n}")
            with CaptureQueriesContext(connection) as captured:
                manager.get(address("capwindow_changelist"))
            counts.append(len(captured))
        assert counts[0] == counts[1]


def test_the_page_of_a_message_shows_what_limits_it(manager, acme):
    acme.limit("tenant", 7)
    acme.recipient()
    run = acme.run()
    from campaigns.models import Dispatch

    [dispatch] = Dispatch.objects.of_run(run.pk)
    page = manager.get(reverse("admin:campaigns_dispatch_change", args=[dispatch.pk])).content.decode()
    assert "Limits, now" in page
    assert "tenant_cap@1" in page
    assert "this person in 24 h" in page
