"""What is recorded says who, from where, before and after, and names nobody who may be texted."""

import pytest
from django.urls import reverse

from smsplatform.tenancy import audit
from smsplatform.tenancy.models import AuditEvent, Brand, Membership, Role, User
from tests import world

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def owner(client, acme):
    user = User.objects.create_user("ann@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=Role.OWNER)
    client.force_login(user)
    return client


def brand_form(brand, **changes):
    return {
        "name": brand.name, "slug": brand.slug, "zone": brand.zone, "link_domain": "", "opens_at": "08:00",
        "closes_at": "21:00", "daily_cap": "", "person_cap": brand.person_cap, "person_cap_hours": 24, "opt_in_hours": 72,
        "optout_scope_policy": "all", "stop_lines": "{}", **changes,
    }  # fmt: skip


def test_a_change_says_before_and_after_and_from_where(owner, acme):
    page = reverse("admin:tenancy_brand_change", args=[acme.brand.pk])
    Brand.objects.filter(pk=acme.brand.pk).update(opens_at="08:00", closes_at="21:00")
    acme.brand.refresh_from_db()
    answer = owner.post(
        page,
        brand_form(acme.brand, person_cap=2, name="Acme Shoes"),
        headers={"X-Request-Id": "from-the-proxy-1"},
        REMOTE_ADDR="203.0.113.9",
    )
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    assert answer.headers["X-Request-Id"] == "from-the-proxy-1"
    event = AuditEvent.objects.get(verb="brand.changed")
    assert event.before == {"name": "Acme", "person_cap": 3}
    assert event.after == {"name": "Acme Shoes", "person_cap": 2}
    assert (event.actor, event.ip, event.request_id) == ("ann@acme.example", "203.0.113.9", "from-the-proxy-1")
    assert (event.object_type, event.object_id) == ("tenancy.Brand", str(acme.brand.pk))


def test_a_request_without_an_id_gets_one_and_a_bad_one_another(owner):
    first = owner.get(reverse("admin:index")).headers["X-Request-Id"]
    second = owner.get(reverse("admin:index"), headers={"X-Request-Id": "<script>"}).headers["X-Request-Id"]
    assert len(first) == len(second) == 32
    assert first != second


def test_behind_our_own_proxy_the_address_is_the_one_it_added(owner, acme, settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    page = reverse("admin:tenancy_brand_do", args=[acme.brand.pk, "pause"])
    owner.post(page, headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}, REMOTE_ADDR="10.0.0.1")
    assert AuditEvent.objects.get(verb="brand.paused").ip == "203.0.113.9"


def test_what_is_done_outside_of_a_request_has_no_address(acme):
    audit.record(actor="beat", verb="looked", target=acme.brand, tenant=acme.tenant)
    event = AuditEvent.objects.get(verb="looked")
    assert (event.ip, event.request_id, event.object_type) == (None, "", "tenancy.Brand")


def test_numbers_secrets_and_texts_do_not_get_into_the_trail(acme):
    person = acme.recipient()
    audit.record(
        actor="ana", verb="looked", target=f"12 {person.number}", tenant=acme.tenant, row=person,
        before={"number": person.number, "fields": {"first_name": "Ana"}, "password": "x"},
        after={"number": person.number, "text": "Dear Ana"}, to=[person.number], email="ana.b@example.com",
    )  # fmt: skip
    event = AuditEvent.objects.get(verb="looked")
    told = str((event.target, event.before, event.after, event.detail))
    for said in (person.number[2:-4], "Ana", "ana.b", "'x'"):
        assert said not in told
    assert event.target == f"12 +1*******{person.number[-4:]}"


def test_an_account_says_that_its_credentials_changed_and_not_to_what(owner, acme):
    page = reverse("admin:providers_provideraccount_change", args=[acme.account.pk])
    form = owner.get(page).context["adminform"].form
    data = {name: value for name, value in form.initial.items() if value is not None and name in form.fields}
    inline = {"senders-TOTAL_FORMS": "0", "senders-INITIAL_FORMS": "0"}
    answer = owner.post(page, {**data, **inline, "credential_token": "token-plugh", "concurrency": 17})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    event = AuditEvent.objects.get(verb="provideraccount.changed")
    assert event.after["credential_token"] == "(hidden)"
    assert event.after["concurrency"] == 17
    assert "plugh" not in str((event.before, event.after, event.detail))


def test_the_rows_below_a_row_are_told_too(owner, acme):
    page = reverse("admin:providers_provideraccount_change", args=[acme.account.pk])
    form = owner.get(page).context["adminform"].form
    data = {name: value for name, value in form.initial.items() if value is not None and name in form.fields}
    formset = owner.get(page).context["inline_admin_formsets"][0].formset
    sender = acme.sender
    values = {
        "id": sender.pk, "account": acme.account.pk, "brand": acme.brand.pk, "address": sender.address, "kind": sender.kind,
        "position": 7, "weight": sender.weight, "is_active": "on",
    }  # fmt: skip
    row = {f"{formset.prefix}-0-{name}": value for name, value in values.items()}
    inline = {f"{formset.prefix}-TOTAL_FORMS": "1", f"{formset.prefix}-INITIAL_FORMS": "1", **row}
    answer = owner.post(page, {**data, **inline})
    assert answer.status_code == 302, answer.context["inline_admin_formsets"][0].formset.errors
    event = AuditEvent.objects.get(verb="provideraccount.changed")
    assert "position" in str(event.after[formset.prefix]["changed"])
