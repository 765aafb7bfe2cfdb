"""The ledger: what goes in stays in, the same evidence once; double opt-in; what ends by itself; the doors."""

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import ProgrammingError, connection, transaction

from compliance import consent, hygiene, suppression
from compliance.consent import Event, Source, Tier, doors, states
from compliance.consent_models import SEALED_COLUMNS, SEALED_INSTANTS, Consent, ConsentState, Disclosure
from compliance.models import NotTextable
from smsplatform.common import database
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import seals
from smsplatform.tenancy.models import AuditEvent, Brand
from tests import world
from tests.compliance.test_consent_states import HERE
from tests.promises.together import together
from tests.world import at

pytestmark = pytest.mark.django_db

NOW = at("2026-11-21T12:00")
ANA, BEN, CARLA = "+12122340001", "+12122340002", "+14165550123"
HASH, OTHER_HASH = "0a1b2c3d:" + "4" * 64, "0a1b2c3d:" + "5" * 64
CONSENT = seals.LEDGERS["consent"]
SHOWN = "By ticking this box you agree that Acme may text you."
FORM = {"page_url": "https://acme.example/join", "ip": "203.0.113.9", "user_agent": "a browser", "session_id": "s1"}
YES = {"inbound_id": 7, "inbound_text": "Yes!", "our_number": "+18885550100"}


@pytest.fixture
def brand(db):
    return world.make(**HERE).brand


def grant(brand, number=ANA, **said):
    told = {
        "event": Event.GRANTED, "tier": Tier.WRITTEN, "source": Source.WEB_FORM, "occurred_at": NOW, "now": NOW,
        "action": "ticked the box", "disclosure": SHOWN, **FORM,
    }  # fmt: skip
    return consent.record(brand=brand, number=number, **told | said)


def revoke(brand, number=ANA, **said):
    told = {"event": Event.REVOKED, "source": Source.KEYWORD, "occurred_at": NOW, "now": NOW, "action": "texted STOP"}
    return consent.record(brand=brand, number=number, **told | said)


def ask(brand, number=ANA, **said):
    told = {"category": "marketing", "now": NOW, "action": "typed the number", "disclosure": SHOWN, **FORM}
    return consent.ask(brand=brand, number=number, **told | said)


def confirm(brand, number=ANA, now=NOW, **said):
    return consent.confirm(brand=brand, number=number, now=now, **YES | said)


def state(brand, number=ANA, category=""):
    return ConsentState.objects.get(brand=brand, number=number, category=category)


def may(brand, number=ANA, category="marketing", now=NOW):
    told = consent.explain(brand=brand, number=number, category=category, now=now)
    assert told.may == (told.rule == "")
    return told.rule or "yes"


class TestRecords:
    def test_keep_every_word(self, brand):
        kept = Consent.objects.get(pk=grant(brand, identity="Ana A.", form_id="f1", category="marketing"))
        assert (kept.tenant_id, kept.brand, kept.number, kept.category) == (brand.tenant_id, brand, ANA, "marketing")
        assert (kept.event, kept.tier, kept.source, kept.action) == ("granted", "written", "web_form", "ticked the box")
        assert (kept.occurred_at, kept.recorded_at) == (NOW, NOW)
        assert kept.disclosure.text == SHOWN
        assert (kept.page_url, kept.ip, kept.user_agent) == (FORM["page_url"], FORM["ip"], FORM["user_agent"])
        assert (kept.identity, kept.form_id, kept.session_id) == ("Ana A.", "f1", "s1")

    def test_store_each_text_once(self, brand):
        grant(brand, ANA)
        grant(brand, BEN)
        grant(brand, BEN, disclosure=SHOWN + " Again.", now=NOW, occurred_at=NOW - timedelta(days=1))
        assert sorted(Disclosure.objects.values_list("text", flat=True)) == [SHOWN, SHOWN + " Again."]

    def test_of_one_text_are_written_once(self, brand):
        for _ in range(2):
            made = revoke(brand, inbound_id=5, inbound_text="STOP", our_number="+1888")
        assert made is None
        assert Consent.objects.count() == 1

    def test_of_a_keyword_stand_on_what_was_shown_before(self, brand):
        start = {"source": Source.KEYWORD, "action": "texted START", "disclosure": "", **YES}
        first = Consent.objects.get(pk=grant(brand, BEN, **start))
        assert (first.tier, first.disclosure) == ("express", None)
        grant(brand, ANA, occurred_at=NOW - timedelta(days=2))
        revoke(brand, ANA, occurred_at=NOW - timedelta(days=1))
        again = Consent.objects.get(pk=grant(brand, ANA, **start))
        assert (again.tier, again.disclosure.text) == ("written", SHOWN)
        assert (may(brand, ANA), may(brand, BEN)) == ("yes", "no_consent")

    def test_know_a_mailbox_in_every_spelling(self, brand):
        grant(brand, "Ana@Example.COM")
        assert may(brand, "ana@example.com") == "yes"
        ask(brand, "Ben@example.com")
        assert confirm(brand, "ben@EXAMPLE.com")

    def test_refuse_a_category_that_nobody_knows(self, brand):
        with pytest.raises(InvalidInput, match="category"):
            grant(brand, category="horoscopes")

    def test_refuse_what_proves_nothing(self, brand):
        with pytest.raises(InvalidInput, match="disclosure"):
            grant(brand, disclosure="")
        assert not Consent.objects.exists()
        assert not ConsentState.objects.exists()

    @pytest.mark.parametrize("table", ["compliance_consent", "compliance_disclosure"])
    @pytest.mark.parametrize(
        "verb",
        [
            "UPDATE {} SET tenant_id = 1",
            "DELETE FROM {}",
            "TRUNCATE {} CASCADE",
            "SET LOCAL consent.door = 'retention'; TRUNCATE {} CASCADE",
            "SET LOCAL consent.door = 'erasure'; DELETE FROM {}",
            "SET LOCAL consent.door = 'retention'; UPDATE {} SET tenant_id = 1",
            "SET LOCAL consent.door = 'erasure'; UPDATE {} SET tenant_id = 0",
        ],
    )
    def test_are_never_changed(self, brand, table, verb):
        grant(brand)
        with (
            pytest.raises(ProgrammingError, match="only ever added"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; " + verb.format(table))

    @pytest.mark.parametrize("column", ["occurred_at = now()", "event = 'revoked'", "tier = 'express'", "action = 'x'"])
    def test_are_not_changed_by_an_erasure_either(self, brand, column):
        grant(brand)
        with (
            pytest.raises(ProgrammingError, match="only ever added"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(
                f"SET LOCAL consent.door = 'erasure'; UPDATE compliance_consent SET number = '{HASH}', salt = NULL,"
                f" identity = '', {column}"
            )

    @pytest.mark.parametrize(
        "change",
        [
            f"number = '{BEN}'",
            f"number = '{BEN}', identity = '', salt = NULL",
            f"number = '{HASH}', identity = ''",
            f"number = '{HASH}', identity = 'Ben B.', salt = NULL",
            "identity = 'Ben B.'",
            "number = 'v1:abc', identity = '', salt = NULL",
        ],
    )
    def test_are_not_made_somebody_elses_by_an_erasure(self, brand, change):
        grant(brand, identity="Ana A.")
        assert_refused(f"SET LOCAL consent.door = 'erasure'; UPDATE compliance_consent SET {change}")
        doors.erase(tenant_id=brand.tenant_id, keyed={ANA: HASH})
        assert_refused(f"SET LOCAL consent.door = 'erasure'; UPDATE compliance_consent SET number = '{OTHER_HASH}'")


def assert_refused(statement):
    with (
        pytest.raises(ProgrammingError, match="only ever added"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


class TestSeals:
    """As somebody who owns the database can change it."""

    @pytest.fixture
    def record_id(self, brand):
        made = grant(brand, identity="Ana A.")
        grant(brand, BEN)
        assert seals.seal(CONSENT, NOW) == 2
        assert seals.verify(CONSENT).breaks == []
        return made

    @pytest.mark.parametrize(
        "change",
        [
            f"number = '{CARLA}'",
            "identity = 'Ben B.'",
            "salt = gen_random_uuid()",
            f"number = '{CARLA}', identity = '', salt = NULL",
            "salt = NULL",
            f"number = '{HASH}'",
        ],
    )
    def test_say_who_a_record_is_about(self, record_id, change):
        tamper(f"UPDATE compliance_consent SET {change} WHERE id = {record_id}")
        [found] = seals.verify(CONSENT).breaks
        assert "1 rows are not about whom they were written about" in str(found)
        with pytest.raises(CommandError, match="not about whom"):
            call_command("verify_audit")

    @pytest.mark.parametrize(("row_id", "tenant"), [(0, "tenant_id"), (-1, "tenant_id"), (0, "0"), (-1, "999999")])
    def test_miss_no_record_below_the_first(self, brand, record_id, row_id, tenant):
        """Whoever's it is said to be: of a consent, its brand decides."""
        columns = [field.column for field in Consent._meta.fields if field.column not in ("id", "tenant_id", "once")]
        database.execute(
            f"INSERT INTO compliance_consent (id, tenant_id, once, {', '.join(columns)})"
            f" SELECT {row_id}, {tenant}, gen_random_uuid(), {', '.join(columns)}"
            f" FROM compliance_consent WHERE id = {record_id}"
        )
        seals.seal(CONSENT, NOW)
        [found] = seals.verify(CONSENT).breaks
        assert "1 rows were slipped in" in str(found)

    def test_hold_after_an_erasure(self, brand, record_id):
        doors.erase(tenant_id=brand.tenant_id, keyed={ANA: HASH})
        assert seals.verify(CONSENT).breaks == []


def tamper(statement):
    with transaction.atomic():
        database.execute("SET LOCAL session_replication_role = replica")
        assert database.execute(statement) == 1
        database.execute("SET LOCAL session_replication_role = origin")


TIERS_BY_CATEGORY = [
    ("marketing", "written", "yes"),
    ("marketing", "express", "no_consent"),
    ("marketing", "implied", "no_consent"),
    ("marketing", "", "no_consent"),
    ("informational", "written", "yes"),
    ("informational", "express", "yes"),
    ("informational", "implied", "no_consent"),
    ("informational", "", "no_consent"),
    ("transactional", "", "yes"),
]


@pytest.mark.parametrize(("category", "tier", "answer"), TIERS_BY_CATEGORY)
def test_explains_tier_by_category(brand, category, tier, answer):
    if tier:
        grant(brand, tier=tier)
    assert may(brand, category=category) == answer


def test_explains_why_not(brand):
    def words(number, now=NOW):
        return consent.explain(brand=brand, number=number, category="marketing", now=now).words

    assert "none on record" in words(ANA)
    grant(brand, tier=Tier.EXPRESS)
    assert "only express consent" in words(ANA)
    revoke(brand)
    assert "revoked it on 2026-11-21 12:00" in words(ANA)
    ask(brand, BEN)
    assert "has until 2026-11-24 12:00" in words(BEN)
    assert "is over" in words(BEN, NOW + timedelta(hours=72))


class TestDoubleOptIn:
    def test_waits_for_a_yes_and_takes_it(self, brand):
        asked = ask(brand)
        assert asked.until == NOW + timedelta(hours=72)
        assert consent.pending(brand=brand, numbers=[ANA, BEN], now=NOW) == {ANA}
        assert may(brand) == "consent_pending_double_opt_in"
        assert confirm(brand)
        assert may(brand) == "yes"
        assert consent.pending(brand=brand, numbers=[ANA], now=NOW) == set()
        kept = Consent.objects.get(event="confirmed")
        assert (kept.inbound_id, kept.inbound_text, kept.our_number) == (7, "Yes!", "+18885550100")
        assert (kept.tier, kept.category, kept.disclosure.text) == ("written", "marketing", SHOWN)
        assert kept.page_url == FORM["page_url"]

    def test_confirms_once(self, brand):
        ask(brand)
        assert confirm(brand)
        assert not confirm(brand, inbound_id=8)
        assert Consent.objects.filter(event="confirmed").count() == 1

    def test_does_not_confirm_what_nobody_asked(self, brand):
        assert not confirm(brand)
        assert not Consent.objects.exists()

    @pytest.mark.parametrize(
        ("after", "counts"), [(timedelta(hours=72, microseconds=-1), True), (timedelta(hours=72), False)]
    )
    def test_ends_on_the_instant(self, brand, after, counts):
        ask(brand)
        assert confirm(brand, now=NOW + after) is counts

    def test_waits_as_long_as_the_brand_says(self, brand):
        Brand.objects.filter(pk=brand.pk).update(opt_in_hours=2)
        brand.refresh_from_db()
        assert ask(brand).until == NOW + timedelta(hours=2)

    def test_asks_once(self, brand):
        assert ask(brand)
        assert ask(brand) is None
        assert ask(brand, category="informational", now=NOW + timedelta(hours=71)) is None
        assert Consent.objects.count() == 1

    def test_asks_again_when_the_first_is_over(self, brand):
        ask(brand)
        assert ask(brand, now=NOW + timedelta(hours=72))

    def test_asks_nobody_who_has_consented(self, brand):
        grant(brand)
        assert ask(brand) is None
        grant(brand, BEN, tier=Tier.EXPRESS)
        assert ask(brand, BEN)
        assert may(brand, BEN, "informational") == "yes"

    @pytest.mark.parametrize("category", ["", "marketing"])
    def test_never_asks_the_suppressed(self, brand, category):
        suppression.suppress(brand=brand, number=ANA, reason="opt_out", source="t", now=NOW, category=category)
        suppression.suppress_everywhere(number=BEN, reason="wrong_number", source="t", now=NOW)
        for number in (ANA, BEN):
            with pytest.raises(Conflict, match="opted out"):
                ask(brand, number)
        assert not ConsentState.objects.exists()

    def test_ends_with_a_stop(self, brand):
        ask(brand)
        revoke(brand, occurred_at=NOW + timedelta(hours=1), now=NOW + timedelta(hours=1))
        assert not confirm(brand, now=NOW + timedelta(hours=2))
        assert may(brand, now=NOW + timedelta(hours=2)) == "no_consent"

    def test_is_written_down_as_expired_and_only_once(self, brand):
        ask(brand)
        later = NOW + timedelta(hours=80)
        assert consent.expire(later - timedelta(hours=9)) == 0
        assert may(brand, now=later) == "consent_expired"
        assert consent.expire(later) == 1
        assert consent.expire(later) == 0
        assert may(brand, now=later) == "consent_expired"
        kept = Consent.objects.get(event="expired")
        assert (kept.occurred_at, kept.reason, kept.source) == (NOW + timedelta(hours=72), "not_confirmed", "system")
        assert state(brand, category="marketing").status == "expired"


class TestEnds:
    def test_implied_consent_ends_by_its_term(self, brand):
        grant(brand, CARLA, tier=Tier.IMPLIED, basis="inquiry", disclosure="")
        assert state(brand, CARLA).expires_at == at("2027-05-21T12:00")
        assert consent.expire(at("2027-05-21T11:59")) == 0
        assert consent.expire(at("2027-05-21T12:00")) == 1
        assert state(brand, CARLA).status == "expired"
        assert Consent.objects.get(event="expired").reason == "term_over"

    def test_the_gate_does_not_wait_for_it_to_be_written_down(self, brand):
        grant(brand, expires_at=NOW + timedelta(days=1))
        assert may(brand, now=NOW + timedelta(days=1, microseconds=-1)) == "yes"
        assert may(brand, now=NOW + timedelta(days=1)) == "consent_expired"

    def test_what_lasts_longer_is_left(self, brand):
        grant(brand, expires_at=NOW + timedelta(days=1))
        grant(brand, tier=Tier.EXPRESS, action="gave the number")
        later = NOW + timedelta(days=2)
        consent.expire(later)
        assert (may(brand, now=later), may(brand, category="informational", now=later)) == ("no_consent", "yes")

    def test_many_end_together(self, brand, django_assert_max_num_queries):
        entries = [
            consent.Entry(f"+1416555{n:04d}", Tier.IMPLIED, Source.IMPORT, NOW - timedelta(days=300))
            for n in range(300)
        ]
        consent.record_all(brand=brand, entries=entries, now=NOW)
        with django_assert_max_num_queries(25):
            assert consent.expire(NOW) == 300
        assert not ConsentState.objects.exclude(status="expired").exists()

    def test_a_number_given_back_ends_everything_of_every_brand(self, brand):
        other = world.make("zebra", **HERE).brand
        grant(brand)
        grant(other)
        grant(brand, BEN)
        assert consent.deactivate(numbers=[ANA], occurred_at=NOW, now=NOW) == 2
        assert consent.deactivate(numbers=[ANA], occurred_at=NOW, now=NOW) == 0
        assert (may(brand), may(other), may(brand, BEN)) == ("consent_expired", "consent_expired", "yes")
        assert {one.reason for one in Consent.objects.filter(event="expired")} == {"deactivated"}

    def test_a_consent_younger_than_the_deactivation_stands(self, brand):
        grant(brand)
        assert consent.deactivate(numbers=[ANA], occurred_at=NOW - timedelta(days=1), now=NOW) == 0
        assert may(brand) == "yes"


class TestDoors:
    def test_an_erasure_forgets_who_and_keeps_what(self, brand):
        grant(brand, identity="Ana A.")
        before = list(Consent.objects.values("id", "commitment", "action", "disclosure_id", "occurred_at"))
        assert doors.erase(tenant_id=brand.tenant_id, keyed={ANA: HASH}) == 1
        assert doors.erase(tenant_id=brand.tenant_id, keyed={ANA: HASH}) == 0
        kept = Consent.objects.get()
        assert (kept.number, kept.identity, kept.salt, kept.ip, kept.user_agent) == (HASH, "", None, None, "")
        assert list(Consent.objects.values("id", "commitment", "action", "disclosure_id", "occurred_at")) == before
        assert not ConsentState.objects.exists()
        assert may(brand) == "no_consent"

    def test_who_comes_back_can_be_erased_again(self, brand):
        entry = consent.Entry(ANA, Tier.EXPRESS, Source.IMPORT, NOW)
        for _ in range(2):
            assert consent.record_all(brand=brand, entries=[entry], now=NOW) == 1
            assert doors.erase(tenant_id=brand.tenant_id, keyed={ANA: HASH}) == 1
        assert Consent.objects.filter(number=HASH).count() == 2

    def test_an_erasure_leaves_all_that_a_seal_hashes(self, brand):
        """Which is everything but who it is about: that is in the commitment."""
        grant(brand, identity="Ana A.")
        revoke(brand, **YES)
        sealed = [*SEALED_COLUMNS, *SEALED_INSTANTS]
        ask_for = f"SELECT sha256(string_agg(jsonb_build_array({', '.join(sealed)})::text, '' ORDER BY id)::bytea)"
        before = database.rows(f"{ask_for} FROM compliance_consent")
        doors.erase(tenant_id=brand.tenant_id, keyed={ANA: HASH})
        assert database.rows(f"{ask_for} FROM compliance_consent") == before
        personal = {"number", "identity", "salt", "ip", "user_agent", "session_id", "once"}
        assert {field.column for field in Consent._meta.fields} == {*sealed} | personal

    def test_an_erasure_touches_no_other_tenant(self, brand):
        other = world.make("zebra", **HERE).brand
        grant(brand)
        grant(other)
        doors.erase(tenant_id=brand.tenant_id, keyed={ANA: HASH})
        assert may(other) == "yes"

    def test_the_commitment_proves_who_it_was_while_number_and_salt_are_known(self, brand):
        record_id = grant(brand, identity="Ana A.")
        [(is_proven,)] = database.rows(
            "SELECT commitment = sha256(convert_to(salt::text || '|' || number || '|' || identity, 'UTF8'))"
            " FROM compliance_consent WHERE id = %s",
            [record_id],
        )
        assert is_proven

    def test_the_end_of_the_term_takes_all_of_a_person_or_nothing(self, brand):
        grant(brand)
        revoke(brand)
        grant(brand, BEN)
        assert doors.forget(brand_id=brand.pk, numbers=[ANA]) == 2
        assert list(Consent.objects.values_list("number", flat=True)) == [BEN]
        assert states.differences(brand_id=brand.pk) == ([], "")


class TestCommands:
    def test_the_audit_names_a_state_that_does_not_follow(self, brand):
        grant(brand)
        call_command("audit_consent")
        ConsentState.objects.filter(number=ANA).update(tier="express")
        with pytest.raises(CommandError, match="1 state"):
            call_command("audit_consent")
        states.refresh([(brand.pk, ANA)])
        call_command("audit_consent")
        ConsentState.objects.all()._raw_delete("default")
        with pytest.raises(CommandError, match="1 state"):
            call_command("audit_consent")

    def test_the_audit_goes_through_everybody(self, brand):
        for n in range(5):
            grant(brand, f"+1212234010{n}")
        ConsentState.objects.filter(number="+12122340104").update(status="none")
        found, after = [], ""
        while True:
            wrong, after = states.differences(brand_id=brand.pk, after=after, most=2)
            found += wrong
            if not after:
                break
        assert found == [("+12122340104", "")]

    @pytest.mark.parametrize("suffix", ["csv", "json"])
    def test_the_export_has_all_words_and_is_in_the_trail(self, brand, tmp_path, suffix):
        grant(brand, identity="=cmd()")
        revoke(brand, inbound_id=3, inbound_text="STOP", our_number="+1888")
        grant(world.make("zebra", **HERE).brand)
        path = tmp_path / f"out.{suffix}"
        call_command("export_consent", "acme", ANA, "--to", str(path), "--actor", "counsel")
        text = path.read_text()
        assert SHOWN in text
        assert "STOP" in text
        if suffix == "json":
            assert [one["event"] for one in json.loads(text)] == ["granted", "revoked"]
        else:
            assert "'=cmd()" in text
            assert ANA in text
        told = AuditEvent.objects.get(verb="consent.exported")
        assert (told.actor, told.tenant_id, told.detail["records"]) == ("counsel", brand.tenant_id, 2)
        assert ANA not in told.target

    def test_deactivated_numbers_come_in_a_file(self, brand, tmp_path, capsys):
        now = database.now()
        grant(brand, occurred_at=now, now=now)
        path = tmp_path / "gone.txt"
        path.write_text(f"{ANA}\n\n{BEN}\n")
        call_command("deactivate_numbers", str(path))
        told = "2 numbers read; {} consents have ended; {} numbers are texted no more"
        assert told.format(1, 2) in capsys.readouterr().out
        call_command("deactivate_numbers", str(path), "--on", f"{now:%F}")
        assert told.format(0, 0) in capsys.readouterr().out
        assert set(NotTextable.objects.values_list("number", "tenant", "reason")) == {
            (ANA, None, "deactivated"),
            (BEN, None, "deactivated"),
        }
        hygiene.clear(number=ANA, by="ann", now=database.now())
        call_command("deactivate_numbers", str(path), "--on", f"{now:%F}")
        assert told.format(0, 0) in capsys.readouterr().out
        call_command("deactivate_numbers", str(path))
        assert told.format(0, 1) in capsys.readouterr().out
        path.write_text(f"{ANA}\nnobody\n")
        with pytest.raises(CommandError, match="line 2 is no number"):
            call_command("deactivate_numbers", str(path))
        with pytest.raises(CommandError, match="--on"):
            call_command("deactivate_numbers", str(path), "--on", "yesterday")


@pytest.mark.django_db(transaction=True)
class TestTogether:
    def test_of_two_yeses_one_confirms(self):
        brand = world.make(**HERE).brand
        ask(brand)
        answers = together(*(lambda n=n: confirm(brand, inbound_id=n) for n in range(1, 5)))
        assert sorted(answers) == [False, False, False, True]
        assert Consent.objects.filter(event="confirmed").count() == 1

    def test_of_two_asks_one_is_sent(self):
        brand = world.make(**HERE).brand
        asked = together(*(lambda: ask(brand) for _ in range(4)))
        assert sum(one is not None for one in asked) == 1
        assert Consent.objects.count() == 1

    def test_nobody_misses_what_others_write(self):
        """New people, new categories, known people: whatever is written at once, the states follow from all of it."""
        brand = world.make(**HERE).brand

        def write(category, event):
            def work():
                for n in range(12):
                    number = f"+1212234020{n % 3}"
                    said = {"category": category, "occurred_at": NOW - timedelta(minutes=n)}
                    (grant if event is Event.GRANTED else revoke)(brand, number, **said)

            return work

        together(
            write("", Event.GRANTED),
            write("marketing", Event.GRANTED),
            write("", Event.REVOKED),
            write("informational", Event.REVOKED),
        )
        assert Consent.objects.count() == 48
        assert ConsentState.objects.count() == 9
        assert states.differences(brand_id=brand.pk) == ([], "")

    def test_two_files_of_the_same_people_neither_deadlock_nor_miss(self):
        brand = world.make(**HERE).brand
        entries = [
            consent.Entry(f"+1212235{n:04d}", Tier.WRITTEN, Source.PAPER, NOW, disclosure=SHOWN) for n in range(400)
        ]
        made = together(
            lambda: consent.record_all(brand=brand, entries=entries, now=NOW, attested_by="a", attestation="signed"),
            lambda: consent.record_all(
                brand=brand, entries=entries[::-1], now=NOW, attested_by="a", attestation="signed"
            ),
        )
        assert sum(made) == 400
        assert ConsentState.objects.filter(tier="written").count() == 400
        assert states.differences(brand_id=brand.pk) == ([], "")
