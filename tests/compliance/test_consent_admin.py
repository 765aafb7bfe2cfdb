"""The pages of consent: the ledger, a record by hand, a person's panel and export, and where a brand's proof is kept."""

import json

import pytest
from django.urls import reverse

from compliance import consent
from compliance.consent import Event, Source, Tier
from compliance.consent_models import Consent
from smsplatform.common import database
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import consent_keeping
from smsplatform.tenancy.models import AuditEvent, Brand, ConsentKept, Membership, Role, User
from tests import world
from tests.compliance.test_consent_states import HERE

pytestmark = pytest.mark.django_db

ADD = reverse("admin:compliance_consent_add")
BY_HAND = {
    "number": "+1 (212) 555-0101", "event": "granted", "category": "", "tier": "written", "source": "paper",
    "occurred_at_0": "2026-01-05", "occurred_at_1": "09:30:00", "action": "signed the card", "identity": "Ana A.",
    "shown": "I agree to texts from Acme.", "evidence_file": "folder 7, card 12",
}  # fmt: skip


@pytest.fixture
def acme():
    return world.make(**HERE)


def as_role(client, acme, role):
    user = User.objects.create_user(f"{role}@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=role)
    client.force_login(user)
    return client


@pytest.fixture
def manager(client, acme):
    return as_role(client, acme, Role.MANAGER)


def grant(acme, number, **said):
    now = database.now()
    told = {
        "event": Event.GRANTED, "tier": Tier.WRITTEN, "source": Source.API, "occurred_at": now, "now": now,
        "action": "ticked the box", "disclosure": "You agree to this very text.",
    }  # fmt: skip
    return consent.record(brand=acme.brand, number=number, **told | said)


class TestByHand:
    def test_is_added_under_the_name_of_who_enters_it(self, manager, acme):
        response = manager.post(ADD, BY_HAND | {"brand": acme.brand.pk})
        assert response.status_code == 302, response.context["adminform"].form.errors
        kept = Consent.objects.get()
        assert (kept.number, kept.tier, kept.source, kept.tenant) == ("+12125550101", "written", "paper", acme.tenant)
        assert (kept.attested_by, kept.evidence_file) == ("manager@acme.example", "folder 7, card 12")
        assert f"{kept.occurred_at:%F %T}" == "2026-01-05 09:30:00"
        assert kept.disclosure.text == "I agree to texts from Acme."
        told = consent.explain(brand=acme.brand, number=kept.number, category="marketing", now=database.now())
        assert told.may
        assert AuditEvent.objects.filter(verb="consent.added", actor="manager@acme.example").exists()

    @pytest.mark.parametrize(
        ("field", "flaw"),
        [
            ("number", {"number": "555"}),
            ("evidence_file", {"evidence_file": ""}),
            ("shown", {"shown": ""}),
            ("action", {"action": ""}),
            ("occurred_at", {"occurred_at_0": "2099-01-01"}),
            ("brand", {"brand": ""}),
            ("source", {"source": "web_form"}),
        ],
    )
    def test_is_refused_without_proof(self, manager, acme, field, flaw):
        response = manager.post(ADD, BY_HAND | {"brand": acme.brand.pk} | flaw)
        assert list(response.context["adminform"].form.errors) == [field]
        assert not Consent.objects.exists()

    def test_corrects_what_was_too_strong(self, manager, acme):
        grant(acme, "+12125550101", occurred_at=world.at("2026-01-01"))
        manager.post(ADD, BY_HAND | {"brand": acme.brand.pk, "event": "corrected", "tier": "express", "shown": ""})
        told = consent.explain(brand=acme.brand, number="+12125550101", category="marketing", now=database.now())
        assert told.rule == "no_consent"

    def test_is_not_for_a_brand_in_which_one_only_looks(self, manager, acme):
        other = world.make("zebra", **HERE)
        user = User.objects.get(email="manager@acme.example")
        Membership.objects.create(user=user, tenant=other.tenant, role=Role.VIEWER)
        response = manager.post(ADD, BY_HAND | {"brand": other.brand.pk, "tenant": other.tenant.pk})
        assert response.status_code in {200, 403}
        assert not Consent.objects.exists()


class TestLedger:
    def test_shows_all_words_and_lets_nobody_change_them(self, admin_client, acme):
        page = reverse("admin:compliance_consent_change", args=[grant(acme, "+12125550101")])
        assert b"You agree to this very text." in admin_client.get(page).content
        assert admin_client.post(page, BY_HAND).status_code == 403
        delete = reverse("admin:compliance_consent_delete", args=[Consent.objects.get().pk])
        assert admin_client.post(delete, {"post": "yes"}).status_code == 403

    def test_is_found_by_number(self, manager, acme):
        grant(acme, "+12125550101")
        grant(acme, "+12125550102")
        response = manager.get(reverse("admin:compliance_consent_changelist"), {"q": "+12125550102"})
        assert [row.number for row in response.context["cl"].result_list] == ["+12125550102"]


class TestPerson:
    def page(self, person):
        return reverse("admin:campaigns_recipient_change", args=[person.pk])

    def test_shows_what_holds_and_what_happened(self, manager, acme):
        person = acme.recipient()
        grant(acme, person.number, tier=Tier.EXPRESS)
        text = manager.get(self.page(person)).content.decode()
        assert "there is only express consent" in text
        assert "ticked the box" in text

    def test_says_when_nothing_is_known(self, manager, acme):
        assert "Nothing is on record" in manager.get(self.page(acme.recipient())).content.decode()

    @pytest.mark.parametrize("kind", ["csv", "json"])
    def test_is_exported_by_managers_and_told_in_the_trail(self, client, acme, kind):
        person = acme.recipient()
        grant(acme, person.number)
        url = reverse(f"admin:campaigns_recipient_consent_{kind}", args=[person.pk])
        assert as_role(client, acme, Role.VIEWER).get(url).status_code == 403
        answer = as_role(client, acme, Role.MANAGER).get(url)
        assert "You agree to this very text." in answer.content.decode()
        if kind == "json":
            assert json.loads(answer.content)["records"][0]["number"] == person.number
        assert [one.actor for one in AuditEvent.objects.filter(verb="consent.exported")] == ["manager@acme.example"]


class TestWhereTheProofIs:
    def do(self, client, brand, verb, **said):
        client.post(reverse("admin:tenancy_brand_do", args=[brand.pk, verb]), said)
        brand.refresh_from_db()
        return brand.consent_kept

    def test_is_decided_by_owners_in_writing(self, client, acme):
        assert self.do(as_role(client, acme, Role.MANAGER), acme.brand, "consent-elsewhere", words="x") == "here"
        owner = as_role(client, acme, Role.OWNER)
        assert self.do(owner, acme.brand, "consent-elsewhere", words=" ") == "here"
        assert self.do(owner, acme.brand, "consent-elsewhere", words="In our CRM; I answer for it.") == "elsewhere"
        assert (acme.brand.consent_attested_by, acme.brand.consent_attestation) == (
            "owner@acme.example",
            "In our CRM; I answer for it.",
        )
        assert self.do(owner, acme.brand, "consent-here") == "here"
        assert acme.brand.consent_attestation == ""
        told = AuditEvent.objects.filter(verb="brand.consent_kept").order_by("pk")
        assert [(one.detail["was"], one.detail["now"], one.detail["words"]) for one in told] == [
            ("here", "elsewhere", "In our CRM; I answer for it."),
            ("elsewhere", "here", ""),
        ]

    def test_is_here_for_brands_made_from_now_on(self, acme):
        assert Brand.objects.create(tenant=acme.tenant, name="New", slug="new").consent_kept == ConsentKept.HERE

    def test_needs_words(self, acme):
        with pytest.raises(InvalidInput, match="consent_attestation"):
            consent_keeping.keep_elsewhere(brand=acme.brand, words="  ", actor="x", now=database.now())

    def test_is_no_field_that_a_form_can_set(self, client, acme):
        page = reverse("admin:tenancy_brand_change", args=[acme.brand.pk])
        as_role(client, acme, Role.OWNER).post(page, {"name": "Acme", "consent_kept": "elsewhere"})
        acme.brand.refresh_from_db()
        assert acme.brand.consent_kept == "here"

    def test_an_import_is_signed_by_whoever_uploads_it(self, manager, acme, settings, tmp_path):
        from django.core.files.uploadedfile import SimpleUploadedFile

        from campaigns.models import Import

        settings.MEDIA_ROOT = str(tmp_path)
        said = {
            "list": acme.people.pk, "default_region": "US", "columns": "{}",
            "upload": SimpleUploadedFile("a.csv", b"number\n+12125550101\n"), "disclosure": "You agree.",
        }  # fmt: skip
        page = reverse("admin:campaigns_import_add")
        errors = manager.post(page, said).context["adminform"].form.errors
        assert list(errors) == ["attestation"]
        said |= {"attestation": "We asked them.", "upload": SimpleUploadedFile("a.csv", b"number\n+12125550101\n")}
        assert list(manager.post(page, said | {"consent_brand": "nope"}).context["adminform"].form.errors) == [
            "consent_brand"
        ]
        said["upload"] = SimpleUploadedFile("a.csv", b"number\n+12125550101\n")
        assert manager.post(page, said).status_code == 302
        options = Import.objects.get().options
        assert (options["attested_by"], options["attestation"]) == ("manager@acme.example", "We asked them.")
