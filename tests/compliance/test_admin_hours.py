"""Managers and counsel see the rules; managers set blackouts; operators hold states."""

import pytest
from django.urls import reverse

from compliance.models import Blackout, RegionalHold
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent, Membership, Role, User
from tests import world

pytestmark = pytest.mark.django_db

PAGE = "/admin/compliance/blackout/hours/"


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def manager(client, acme):
    user = User.objects.create_user("ann@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=Role.MANAGER)
    client.force_login(user)
    return client


def text(response):
    assert response.status_code == 200
    return response.content.decode()


class TestThePageOfRules:
    def test_shows_every_rule_with_its_source(self, manager):
        page = text(manager.get(PAGE, {"on": "2026-11-22"}))
        for told in (
            "Fla. Stat. 501.616(6)",
            "PA/2026-10-18",
            "09-21:30",
            "47 CFR 64.1200(c)(1)",
            "tzdata 2026",
            "Mardi Gras",
        ):
            assert told in page
        assert "Known until 2030-12-31" in page

    def test_shows_the_rules_of_another_date(self, manager):
        page = text(manager.get(PAGE, {"on": "2026-10-17"}))
        assert "PA/2026-10-18" not in page
        assert "73 P.S. 2245" in page

    def test_says_what_is_wrong_with_a_date(self, manager):
        assert "Enter a valid date" in text(manager.get(PAGE, {"on": "soon"}))

    def test_shows_what_is_held(self, manager):
        RegionalHold.objects.create(state="LA", reason="hurricane", starts_at=database.now())
        assert "hurricane" in text(manager.get(PAGE))

    def test_is_linked_from_the_lists(self, manager, admin_client):
        assert PAGE in text(manager.get(reverse("admin:compliance_blackout_changelist")))

    def test_is_closed_to_who_works_for_nobody(self, client):
        client.force_login(User.objects.create_user("stranger@example.com", is_staff=True))
        assert client.get(PAGE).status_code == 403


class TestBlackouts:
    def add(self, client, acme, **changed):
        data = {"brand": acme.brand.pk, "first_on": "2026-12-24", "last_on": "2026-12-26", "note": "closed", **changed}
        return client.post(reverse("admin:compliance_blackout_add"), data)

    def test_are_set_by_managers(self, manager, acme):
        assert self.add(manager, acme).status_code == 302
        row = Blackout.objects.get()
        assert (row.tenant, row.brand, str(row.last_on)) == (acme.tenant, acme.brand, "2026-12-26")
        assert AuditEvent.objects.filter(verb="blackout.added").exists()

    def test_end_after_they_begin(self, manager, acme):
        response = self.add(manager, acme, last_on="2026-12-23")
        assert "last day is before the first" in str(response.context["adminform"].form.errors["last_on"])

    def test_are_of_ones_own_brands(self, manager, acme):
        zebra = world.make("zebra")
        assert "brand" in self.add(manager, acme, brand=zebra.brand.pk).context["adminform"].form.errors
        assert not Blackout.objects.exists()


class TestRegionalHolds:
    def test_are_entered_and_lifted_by_operators(self, admin_client, acme):
        data = {
            "state": "LA",
            "starts_at_0": "2026-11-22",
            "starts_at_1": "00:00",
            "ends_at_0": "",
            "ends_at_1": "",
            "reason": "storm",
        }
        assert admin_client.post(reverse("admin:compliance_regionalhold_add"), data).status_code == 302
        row = RegionalHold.objects.get()
        assert row.created_by
        assert "Lift" in text(admin_client.get(reverse("admin:compliance_regionalhold_change", args=[row.pk])))
        assert admin_client.post(reverse("admin:compliance_regionalhold_do", args=[row.pk, "lift"])).status_code == 302
        row.refresh_from_db()
        assert row.lifted_at
        assert AuditEvent.objects.filter(verb="hold.lifted").exists()

    def test_are_never_deleted(self, admin_client, acme):
        row = RegionalHold.objects.create(state="LA", reason="storm")
        assert (
            admin_client.post(
                reverse("admin:compliance_regionalhold_delete", args=[row.pk]), {"post": "yes"}
            ).status_code
            == 403
        )


def test_a_persons_page_says_whether_they_may_be_texted_now_and_by_which_rules(manager, acme):
    person = acme.recipient(zones="America/New_York;FL")
    page = text(manager.get(reverse("admin:campaigns_recipient_change", args=[person.pk])))
    assert "Marketing now" in page
    assert "America/New_York; law of Florida" in page
    assert "Fla. Stat. 501.616(6)" in page
    assert "may be texted now" in page or "may not be texted now" in page


def test_a_messages_page_says_by_which_place_it_was_judged(manager, acme):
    acme.recipient(zones="America/New_York;FL")
    run = acme.run()
    batch = world.only_batch(run)
    world.stage_named("check_compliance").run(batch.pk, world.start(batch))
    dispatch = batch.dispatches.get()
    page = text(manager.get(reverse("admin:campaigns_dispatch_change", args=[dispatch.pk])))
    assert "Place and time" in page
    assert "America/New_York; law of Florida" in page


def test_a_brand_has_both_sunday_hours_or_none(manager, acme):
    page = reverse("admin:tenancy_brand_change", args=[acme.brand.pk])
    data = {
        "name": "Acme", "slug": "acme", "zone": "America/New_York", "link_domain": "", "daily_cap": "", "person_cap": "3",
        "person_cap_hours": "24", "opens_at": "09:00", "closes_at": "20:00",
        "optout_scope_policy": "all", "opt_in_hours": "72", "stop_lines": "{}",
    }  # fmt: skip
    response = manager.post(page, {**data, "sunday_opens_at": "12:00"})
    assert "both times" in str(response.context["adminform"].form.errors)
    response = manager.post(page, {**data, "sunday_opens_at": "12:00", "sunday_closes_at": "11:00"})
    assert "both times" in str(response.context["adminform"].form.errors)
    assert manager.post(page, {**data, "sunday_opens_at": "12:00", "sunday_closes_at": "20:00"}).status_code == 302
