"""What a file says of consent: only what somebody signs for, never more than is certain, never twice."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from campaigns import imports
from campaigns.models import Import, RecipientList, RefusedRow
from compliance import consent
from compliance.consent import Event, Source, Tier, states
from compliance.consent_models import Consent, ConsentState
from smsplatform.common import database
from smsplatform.common.errors import InvalidInput
from smsplatform.demo import cast, story
from smsplatform.tenancy.models import AuditEvent, Brand
from tests import world
from tests.compliance.test_consent_states import HERE
from tests.world import at

pytestmark = pytest.mark.django_db(transaction=True)

SIGNED = {
    "attestation": "They ticked the box on our page; we keep the logs.",
    "attested_by": "Ada",
    "disclosure": "You agree that Acme may text you.",
}
HEAD = "number,consent_at,consent_source,consent_tier,consent_text\n"


@pytest.fixture
def acme(db):
    return world.make(**HERE)


@pytest.fixture
def load(acme, tmp_path):
    def load(text, *, name="file.csv", run=True, **options):
        path = tmp_path / name
        path.write_text(text)
        made = imports.create(
            tenant=acme.tenant, list=acme.people, file=str(path), source=Import.Source.PATH, options=options
        )
        if run:
            imports.run(made.pk)
        made.refresh_from_db()
        return made

    return load


def number(index):
    return f"+1212{2_340_000 + index:07d}"


def may(acme, index, category="marketing"):
    told = consent.explain(brand=acme.brand, number=number(index), category=category, now=database.now())
    return told.rule or "yes"


def remarks(made):
    return list(RefusedRow.objects.filter(source=made).values_list("line", "reason", "is_taken"))


ROWS = [  # consent_at, consent_source, consent_tier, consent_text -> tier, remark
    ("2026-01-05T09:30-05:00,web form,,", "written", None),
    ("2026-01-05T09:30-05:00,paper,written,", "written", None),
    ("2026-01-05,website,express,", "express", None),
    ("2026-01-05,sms,implied,", "implied", None),
    (",,written,", "express", "consent_lowered"),
    ("2026-01-05,,written,", "express", "consent_lowered"),
    (",web form,written,", "express", "consent_lowered"),
    ("2026-01-05,,,", "express", None),
    (",web form,,", "express", None),
    ("2026-01-05,carrier pigeon,,", "express", "unknown_consent_source"),
    ("05/01/2026,web form,,", None, "bad_consent_at"),
    ("2026-13-05,web form,,", None, "bad_consent_at"),
    ("1901-01-05,web form,,", None, "bad_consent_at"),
    ("2099-01-05,web form,,", None, "bad_consent_at"),
    ("2026-01-05,web form,strong,", None, "bad_consent_tier"),
    (",,,", None, None),
]


@pytest.mark.parametrize(("cells", "tier", "remark"), ROWS)
def test_a_row_counts_for_what_is_certain(acme, load, cells, tier, remark):
    made = load(HEAD + f"{number(1)},{cells}\n", **SIGNED)
    assert (made.status, made.rows_new, made.reason) == ("done", 1, "")
    assert [one.tier for one in Consent.objects.all()] == ([tier] if tier else [])
    assert made.rows_consented == (1 if tier else 0)
    assert remarks(made) == ([(2, remark, True)] if remark else [])
    assert may(acme, 1) == ("yes" if tier == "written" else "no_consent")


def test_a_record_holds_who_signed_what(acme, load):
    made = load(HEAD + f"{number(1)},2026-01-05T09:30-05:00,web form,,Tick to get texts.\n", **SIGNED)
    kept = Consent.objects.get()
    assert (kept.event, kept.source, kept.action) == ("imported", "web_form", "consent_source: web form")
    assert (kept.occurred_at, kept.original_date) == (at("2026-01-05T14:30"), "2026-01-05T09:30-05:00")
    assert (kept.import_id, kept.attested_by, kept.attestation.text) == (made.pk, "Ada", SIGNED["attestation"])
    assert kept.disclosure.text == "Tick to get texts."
    told = AuditEvent.objects.get(verb="import.created").detail
    assert (told["attested_by"], told["attestation"]) == ("Ada", SIGNED["attestation"])


def test_a_day_counts_from_its_first_instant_on_earth(load):
    load(HEAD + f"{number(1)},2026-01-05,web form,,\n{number(2)},2026-01-05 09:30,web form,,\n", **SIGNED)
    assert sorted(Consent.objects.values_list("occurred_at", flat=True)) == [
        at("2026-01-04T10:00"),
        at("2026-01-04T19:30"),
    ]


@pytest.mark.parametrize("disclosure", ["", " \n"])
def test_written_consent_needs_what_was_shown(acme, load, disclosure):
    load(HEAD + f"{number(1)},2026-01-05,web form,written,\n", **SIGNED | {"disclosure": disclosure})
    assert Consent.objects.get().tier == "express"
    assert may(acme, 1) == "no_consent"
    assert may(acme, 1, "informational") == "yes"


def test_a_file_without_these_columns_is_express_by_signature_and_nothing_without(acme, load):
    load(f"number\n{number(1)}\n")
    assert not Consent.objects.exists()
    load(f"number\n{number(1)}\n", **SIGNED)
    kept = Consent.objects.get()
    assert (kept.tier, kept.source, kept.is_undated) == ("express", "import", True)
    assert (may(acme, 1), may(acme, 1, "informational")) == ("no_consent", "yes")


def test_a_file_with_these_columns_needs_a_signature(load):
    made = load(HEAD + f"{number(1)},2026-01-05,web form,,\n")
    assert made.status == "failed"
    assert "nobody signs for it" in made.reason
    assert not Consent.objects.exists()


def test_consent_is_given_to_one_brand(acme, load):
    other = Brand.objects.create(tenant=acme.tenant, name="Shoes", slug="shoes")
    made = load(HEAD + f"{number(1)},2026-01-05,web form,,\n", **SIGNED)
    assert made.status == "failed"
    assert "acme has acme, shoes" in made.reason
    load(HEAD + f"{number(1)},2026-01-05,web form,,\n", **SIGNED, consent_brand="shoes")
    assert Consent.objects.get().brand == other


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("options.attested_by", {"attestation": "x"}),
        ("options.attestation", {"attested_by": "Ada"}),
        ("options.attestation", {"disclosure": "You agree"}),
        ("options.attestation", {"consent_brand": "acme"}),
        ("options.consent_brand", {**SIGNED, "consent_brand": "nobody"}),
        ("options.attested_by", {"attestation": "x", "attested_by": "A" * 121}),
    ],
)
def test_what_is_half_signed_is_refused(load, field, options):
    with pytest.raises(InvalidInput) as refused:
        load("number\n", **options)
    assert refused.value.field == field


def test_the_same_file_again_writes_nothing(load):
    text = HEAD + "".join(f"{number(n)},2026-01-05,web form,,\n" for n in range(50))
    text += "".join(f"{number(n)},,,express,\n" for n in range(50, 60))
    first = load(text, **SIGNED)
    before = list(Consent.objects.order_by("pk").values()), list(ConsentState.objects.values())
    again = load(text, name="again.csv", **SIGNED)
    assert (first.rows_consented, again.rows_consented) == (60, 0)
    assert (list(Consent.objects.order_by("pk").values()), list(ConsentState.objects.values())) == before


def test_of_a_number_twice_in_a_file_the_first_counts(load):
    text = HEAD + f"{number(1)},2026-01-05,web form,express,\n{number(1)},2026-02-05,web form,,\n"
    assert load(text, **SIGNED).rows_consented == 1
    assert Consent.objects.get().tier == "express"


def revoke(acme, index, when):
    consent.record(
        brand=acme.brand, number=number(index), event=Event.REVOKED, source=Source.KEYWORD, occurred_at=when,
        now=database.now(), action="texted STOP",
    )  # fmt: skip


def test_no_old_file_ever_brings_anybody_back(acme, load):
    """Imported before or after the STOP, dated or not, by the same or by another signature."""
    text = HEAD + f"{number(1)},2026-01-05,web form,,\n{number(2)},,,express,\n{number(3)},2026-03-01,web form,,\n"
    load(text, **SIGNED)
    assert [may(acme, n, "informational") for n in (1, 2, 3)] == ["yes", "yes", "yes"]
    for n in (1, 2, 3):
        revoke(acme, n, at("2026-03-01T12:00"))
    for signature in (SIGNED, SIGNED | {"attestation": "Really, they all want it."}, SIGNED | {"attested_by": "Bob"}):
        load(text, name="again.csv", **signature)
        load(f"number\n{number(1)}\n{number(2)}\n", name="plain.csv", **signature)
        assert [may(acme, n, "informational") for n in (1, 2, 3)] == ["no_consent"] * 3
    load(HEAD + f"{number(1)},2026-03-02T12:00Z,web form,,\n", name="newer.csv", **SIGNED)
    assert may(acme, 1) == "yes"  # the person came back on the page, a day later
    assert states.differences(brand_id=acme.brand.pk) == ([], "")


def test_an_import_never_weakens(acme, load):
    load(HEAD + f"{number(1)},2026-01-05,web form,,\n", **SIGNED)
    load(HEAD + f"{number(1)},2026-02-05,web form,express,\n", name="weaker.csv", **SIGNED)
    assert may(acme, 1) == "yes"


def test_a_killed_import_records_everybody_once(acme, load, monkeypatch):
    monkeypatch.setattr(imports.running, "CHUNK_ROWS", 10)
    text = HEAD + "".join(f"{number(n)},2026-01-05,web form,,\n" for n in range(35))
    made = load(text, run=False, **SIGNED)

    class Killed(Exception):
        pass

    def die(progress):
        if progress.read == 20:
            raise Killed

    with pytest.raises(Killed):
        imports.run(made.pk, on_progress=die)
    assert Consent.objects.count() == 20
    Import.objects.filter(pk=made.pk).update(lease_until=database.now() - timedelta(seconds=1))
    imports.run(made.pk)
    made.refresh_from_db()
    assert (made.status, made.rows_consented, Consent.objects.count()) == ("done", 35, 35)


def test_the_command_signs(acme, tmp_path, capsys):
    path = tmp_path / "people.csv"
    path.write_text(HEAD + f"{number(1)},2026-01-05,web form,,\n")
    line = ["import_recipients", str(path), "--tenant", "acme", "--list", "new"]
    with pytest.raises(CommandError, match="nobody signs"):
        call_command(*line)
    call_command(
        *line, "--attestation", "They ticked the box.", "--disclosure", "You agree.", "--consent-brand", "acme",
        "--actor", "Ada",
    )  # fmt: skip
    assert "consents put on record" in capsys.readouterr().out
    kept = Consent.objects.get()
    assert (kept.attested_by, kept.tier, RecipientList.objects.filter(name="new").count()) == ("Ada", Tier.WRITTEN, 1)


def test_the_file_of_the_demo_allows_marketing_to_everybody_in_it(acme, tmp_path):
    people = cast.write_csv(tmp_path / "demo.csv", database.now())
    made = imports.create(
        tenant=acme.tenant, list=acme.people, file=str(people.path), source=Import.Source.PATH,
        columns={"number": "Mobile", "zone": "TZ"},
        options={"attestation": story.ATTESTATION, "attested_by": "Ada", "disclosure": story.DISCLOSURE},
    )  # fmt: skip
    imports.run(made.pk)
    made.refresh_from_db()
    assert (made.status, made.rows_new, made.rows_consented) == ("done", people.good, people.good)
    assert made.rows_refused == people.bad
    assert set(ConsentState.objects.values_list("status", "tier")) == {("granted", "written")}
