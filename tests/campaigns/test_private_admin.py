"""Who sees what of a person in the admin: numbers masked for all, shown on request and recorded; texts for managers."""

import uuid
from datetime import timedelta

import pytest
from django.urls import reverse

from campaigns import preflight, tasks
from campaigns.models import Attempt, Dispatch, RawEvent, Receipt, Reply, ReviewedReply, Trouble
from compliance import consent
from compliance.models import Consent, ErasedPerson, Suppression
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent, Membership, Role, User
from tests import world
from tracking.models import Link

pytestmark = pytest.mark.django_db

TEXT = "I am Plughia"


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def rows(acme):
    """A row of each kind that is about a person."""
    person = acme.recipient(first_name="Plughia")
    run = acme.run()
    [dispatch] = Dispatch.objects.of_run(run.pk)
    says = f"21211 The 'To' number {person.number} is not a valid phone number"
    Dispatch.objects.of_run(run.pk).update(text=TEXT, state="dead", reason="rejected", detail=says)
    told = {"tenant": acme.tenant, "dispatch_id": dispatch.pk, "flight": 1, "detail": says}
    Attempt.objects.create(
        **told, account_id=acme.account.pk, outcome="rejected_permanent", claim=uuid.uuid4(), claimed_at=database.now(),
        horizon_at=database.now(),
    )  # fmt: skip
    raw = RawEvent.objects.create(
        tenant=acme.tenant, account=acme.account, method="POST", url=f"http://x/?from={person.number}",
        body=f"from={person.number}".encode(), applied_at=database.now(),
    )  # fmt: skip
    short = Link.objects.create(
        code="short1", host="l.example", tenant=acme.tenant, dispatch_id=dispatch.pk, position=0,
        destination="https://shop.example/?name=Plughia", created_at=database.now(), expires_at=database.now(),
    )  # fmt: skip
    receipt = Receipt.objects.create(**told, raw=raw, place=0, status="undelivered", received_at=database.now())
    reply = Reply.objects.create(
        tenant=acme.tenant, brand=acme.brand, raw=raw, account=acme.account, number=person.number, to="+1888", text=TEXT,
        received_at=database.now(), kind="review", review_until=database.now() + timedelta(days=1),
    )  # fmt: skip
    consented = Consent.objects.get(
        pk=consent.record(
            brand=acme.brand, number=person.number, event=consent.Event.REVOKED, source=consent.Source.KEYWORD,
            occurred_at=database.now(), now=database.now(), identity="Plughia plughia@example.com", inbound_id=reply.pk,
            inbound_text=TEXT, our_number="+1888", ip="198.51.100.77", page_url=f"https://x.example/?tel={person.number}",
        )
    )  # fmt: skip
    flown = preflight.create(campaign=run.campaign, now=database.now(), actor="ann")
    preflight.run(flown.pk)
    kept = Suppression.objects.create(
        tenant=acme.tenant, brand=acme.brand, number=person.number, reason="r", source="s"
    )
    return {
        "campaigns_recipient": person,
        "campaigns_dispatch": Dispatch.objects.of_run(run.pk).get(),
        "campaigns_preflight": flown,
        "campaigns_receipt": receipt,
        "campaigns_trouble": Trouble.objects.create(dispatch_id=dispatch.pk, tenant=acme.tenant, kind="dead"),
        "campaigns_reply": reply,
        "campaigns_reviewedreply": ReviewedReply.objects.get(pk=reply.pk),
        "campaigns_rawevent": raw,
        "tracking_link": short,
        "compliance_consent": consented,
        "compliance_suppression": kept,
    }


def log_in(client, acme, role):
    user = User.objects.create_user(f"{role}@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=role)
    client.force_login(user)
    return client


def page(name, row=None):
    return reverse(f"admin:{name}_changelist") if row is None else reverse(f"admin:{name}_change", args=[row.pk])


# What has a button that shows the number.
KINDS = [
    "campaigns_recipient", "campaigns_dispatch", "campaigns_reply", "campaigns_reviewedreply", "campaigns_rawevent",
    "compliance_consent", "compliance_suppression",
]  # fmt: skip


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("name", [*KINDS, "campaigns_preflight", "campaigns_receipt", "campaigns_trouble"])
def test_numbers_are_masked_for_everybody(client, acme, rows, name, role):
    number = rows["campaigns_recipient"].number
    log_in(client, acme, role)
    for address in (page(name), page(name, rows[name])):
        shown = client.get(address).content.decode()
        assert number[2:-4] not in shown, address
        assert "198.51.100.77" not in shown
        assert "plughia@" not in shown
    assert not AuditEvent.objects.filter(verb="number.revealed").exists()


@pytest.mark.parametrize("name", KINDS)
def test_a_manager_may_see_a_number_and_that_is_recorded(client, acme, rows, name):
    row, number = rows[name], rows["campaigns_recipient"].number
    log_in(client, acme, Role.MANAGER)
    do = reverse(f"admin:{name}_do", args=[row.pk, "reveal"])
    assert client.get(do).status_code == 405
    answer = client.post(do, follow=True)
    assert number in answer.content.decode()
    event = AuditEvent.objects.get(verb="number.revealed")
    assert (event.actor, event.tenant_id, event.object_id) == ("manager@acme.example", acme.tenant.pk, str(row.pk))
    assert number[2:-4] not in str((event.target, event.detail))
    # Once, to whoever asked.
    assert number not in client.get(page(name, row)).content.decode()


@pytest.mark.parametrize("name", KINDS)
def test_a_viewer_may_not(client, acme, rows, name):
    log_in(client, acme, Role.VIEWER)
    assert client.post(reverse(f"admin:{name}_do", args=[rows[name].pk, "reveal"])).status_code == 403
    assert not AuditEvent.objects.filter(verb="number.revealed").exists()


@pytest.mark.parametrize(
    "name",
    [
        "campaigns_dispatch",
        "campaigns_preflight",
        "campaigns_reply",
        "campaigns_reviewedreply",
        "campaigns_recipient",
        "compliance_consent",
        "tracking_link",
    ],
)
@pytest.mark.parametrize(("role", "is_shown"), [(Role.VIEWER, False), (Role.MANAGER, True), (Role.OWNER, True)])
def test_texts_and_fields_are_for_managers(client, acme, rows, name, role, is_shown):
    log_in(client, acme, role)
    assert ("Plughia" in client.get(page(name, rows[name])).content.decode()) is is_shown
    assert is_shown or "Plughia" not in client.get(page(name)).content.decode()


@pytest.mark.parametrize(("role", "is_shown"), [(Role.VIEWER, False), (Role.MANAGER, True)])
def test_lists_of_answers_show_texts_to_managers(client, acme, rows, role, is_shown):
    log_in(client, acme, role)
    shown = client.get(page("campaigns_reply")).content.decode()
    assert ("Plughia" in shown) is is_shown
    assert ("12 characters" in shown) is not is_shown


def test_who_manages_one_tenant_and_views_another_sees_no_texts_in_common_lists(client, acme, rows):
    log_in(client, acme, Role.VIEWER)
    zebra = world.make("zebra")
    Membership.objects.create(user=User.objects.get(), tenant=zebra.tenant, role=Role.MANAGER)
    assert "Plughia" not in client.get(page("campaigns_reply")).content.decode()
    assert "Plughia" not in client.get(page("campaigns_reply", rows["campaigns_reply"])).content.decode()


def test_the_history_of_a_row_names_nobody(client, acme, rows):
    person = rows["campaigns_recipient"]
    log_in(client, acme, Role.MANAGER)
    data = {"zone": "", "fields": "{}", "send_at_0": "", "send_at_1": ""}
    assert client.post(page("campaigns_recipient", person), data).status_code == 302
    for address in (reverse("admin:campaigns_recipient_history", args=[person.pk]), reverse("admin:index")):
        assert person.number[2:-4] not in client.get(address).content.decode()
    event = AuditEvent.objects.get(verb="recipient.changed")
    assert event.before == {"fields": "(hidden)"}
    assert "Plughia" not in str((event.before, event.after))


def test_a_number_cannot_be_changed(client, acme, rows):
    person = rows["campaigns_recipient"]
    log_in(client, acme, Role.OWNER)
    data = {"number": "+12127365000", "zone": "America/Chicago", "fields": "{}", "send_at_0": "", "send_at_1": ""}
    assert client.post(page("campaigns_recipient", person), data).status_code == 302
    number = person.number
    person.refresh_from_db()
    assert (person.number, person.zones) == (number, "America/Chicago;NY")
    assert (
        client.post(reverse("admin:campaigns_recipient_delete", args=[person.pk]), {"post": "yes"}).status_code == 403
    )


class TestErasing:
    @pytest.mark.parametrize("role", [Role.VIEWER, Role.MANAGER])
    def test_is_the_owners(self, client, acme, rows, role):
        log_in(client, acme, role)
        do = reverse("admin:campaigns_recipient_do", args=[rows["campaigns_recipient"].pk, "erase"])
        assert client.post(do).status_code == 403
        assert not ErasedPerson.objects.exists()

    def test_begins_at_once_and_is_recorded(self, client, acme, rows, django_capture_on_commit_callbacks, monkeypatch):
        monkeypatch.setattr(tasks, "start_erasing", tasks.erase_people)
        person = rows["campaigns_recipient"]
        number = person.number
        log_in(client, acme, Role.OWNER)
        with django_capture_on_commit_callbacks(execute=True):
            answer = client.post(reverse("admin:campaigns_recipient_do", args=[person.pk, "erase"]), follow=True)
        assert "is being forgotten, and is never texted again" in answer.content.decode()
        person.refresh_from_db()
        assert (person.number, person.fields) == (f"#{person.pk}", {})
        assert AuditEvent.objects.get(verb="person.erased").actor == "owner@acme.example"
        assert "Erase this person" not in client.get(page("campaigns_recipient", person)).content.decode()
        assert "(erased)" in client.get(page("campaigns_recipient")).content.decode()
        # Nor is the person taken in again by hand.
        data = {"number": number, "zone": "", "fields": "{}", "send_at_0": "", "send_at_1": ""}
        refused = client.post(reverse("admin:campaigns_recipient_add"), data)
        assert "asked to be erased" in refused.content.decode()
        listed = client.get(page("compliance_erasedperson")).content.decode()
        assert "erased person" in listed
        assert number[2:-4] not in listed


def test_the_file_of_refused_rows_is_recorded(client, acme):
    from campaigns.models import Import

    source = Import.objects.create(tenant=acme.tenant, list=acme.people, file="x.csv")
    log_in(client, acme, Role.VIEWER)
    client.get(reverse("admin:campaigns_import_errors", args=[source.pk]))
    assert AuditEvent.objects.get().verb == "import.errors_exported"
