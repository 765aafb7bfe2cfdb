"""An operator erases a person, takes away what is over, and proves the trail."""

import pytest
from django.db import transaction

from campaigns import doctor
from campaigns.findings import Level
from campaigns.models import Dispatch, Recipient
from compliance.models import ErasedPerson
from smsplatform.common import database
from smsplatform.common.database import execute
from smsplatform.tenancy import seals
from smsplatform.tenancy.models import AuditEvent, AuditSeal
from tests import world
from tests.campaigns.commands.shell import ask, failed, refused, run
from tests.campaigns.commands.well import make_well
from tracking.models import Click

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme():
    return world.make()


class TestErase:
    def test_forgets_a_person(self, acme):
        person = acme.recipient(first_name="Ana")
        acme.run()
        told = run(f"erase acme {person.number} --reason letter --yes --actor ana")
        assert f"+1*******{person.number[-4:]} is forgotten, and is never texted again" in told
        assert person.number[2:-4] not in told
        assert Recipient.objects.get().number == f"#{person.pk}"
        assert Dispatch.objects.get().state == "blocked"
        event = AuditEvent.objects.get(verb="person.erased")
        assert (event.actor, event.detail["reason"]) == ("ana", "letter")

    def test_reads_a_number_as_people_write_it_and_addresses(self, acme):
        assert ask("erase acme '(212) 736-4242' --reason letter --yes")["finished"]
        assert ask("erase acme Ana@example.com --reason letter --yes")["finished"]
        assert ask("erase acme ana@Example.com --reason letter --yes")["erased"] == ErasedPerson.objects.last().pk
        assert ErasedPerson.objects.count() == 2

    def test_may_leave_a_person_textable(self, acme):
        assert not ask("erase acme +12127364242 --reason letter --yes --may-be-texted")["is_suppressed"]

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("nobody +12127364242 --reason r --yes", "TENANT: there is no tenant"),
            ("acme hello --reason r --yes", "NUMBER: "),
            ("acme +12127364242 --yes", "--reason: say who asked for it"),
            ("acme +12127364242 --reason r", "--yes: +1*******4242 will be forgotten for good"),
        ],
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"erase {line}")


class TestRetention:
    def test_says_what_would_go_then_does_it(self, acme):
        Click.objects.create(
            tenant=acme.tenant,
            code="abc",
            dispatch_id="0" * 32,
            at=world.at("2020-01-01"),
            method="GET",
            ip="203.0.113.9",
        )
        assert ask("retention --dry-run")["due"]["clicks"] == 1
        assert Click.objects.get().ip == "203.0.113.9"
        assert ask("retention")["done"] == {"clicks": 1}
        assert Click.objects.get().ip is None
        assert "nothing is older" in run("retention")


class TestVerifyAudit:
    def test_is_clean_and_names_the_ends(self, acme):
        run("suppress acme acme +12127364242")
        found = ask("verify_audit")
        assert found["clean"]
        assert found["ledgers"]["audit"] == {"rows": AuditEvent.objects.count(), "seals": 1, "unsealed": 0}
        [head] = found["heads"]
        assert head["head"] == AuditSeal.objects.get().digest
        assert ask(f"verify_audit --head {head['head']}")["clean"]

    def test_names_the_range_that_was_changed(self, acme):
        run("suppress acme acme +12127364242 --actor ana")
        run("verify_audit")
        with transaction.atomic():
            execute("ALTER TABLE tenancy_auditevent DISABLE TRIGGER auditevent_append_only")
            execute("UPDATE tenancy_auditevent SET actor = 'nobody' WHERE actor = 'ana'")
            execute("ALTER TABLE tenancy_auditevent ENABLE TRIGGER auditevent_append_only")
        _, problem = failed("verify_audit")
        last = AuditSeal.objects.get().last_id
        assert f"audit of tenant {acme.tenant.pk}, ids 1-{last}: a row was changed since it was sealed" in problem

    def test_misses_an_end_that_was_noted(self, acme):
        assert "no chain has the seal" in failed(f"verify_audit --head {'0' * 64}")[1]
        assert "head: 'x' is no hash" in refused("verify_audit --head x")


class TestDoctor:
    @pytest.fixture(autouse=True)
    def _well(self, monkeypatch):
        make_well(monkeypatch)

    def found(self, about):
        return next(each for each in doctor.examine() if each.about == about)

    def test_is_content(self, acme):
        run("suppress acme acme +12127364242")
        seals.seal_all(database.now())
        for about in ("trail audit", "erased people", "erasures"):
            assert self.found(about).level is Level.OK

    @pytest.mark.parametrize(("minutes", "level"), [(1, Level.OK), (10, Level.WARN), (90, Level.BAD)])
    def test_says_that_nobody_seals(self, acme, minutes, level):
        AuditEvent.objects.create(actor="a", verb="v", at=database.now() - world.timedelta(minutes=minutes))
        assert self.found("trail audit").level is level

    def test_says_that_a_pepper_is_missing(self, acme, settings):
        run("erase acme +12127364242 --reason letter --yes")
        settings.NUMBER_PEPPERS = ["another-pepper-that-is-long-enough"]
        found = self.found("erased people")
        assert found.level is Level.BAD
        assert "1 under pepper" in found.told
        settings.NUMBER_PEPPERS = ["short"]
        assert "NUMBER_PEPPERS" in next(each for each in doctor.examine() if "NUMBER_PEPPERS" in each.told).told

    def test_says_that_an_erasure_does_not_end(self, acme):
        run("erase acme +12127364242 --reason letter --yes")
        ErasedPerson.objects.update(erased_at=None, asked_at=database.now() - world.timedelta(hours=2))
        assert self.found("erasures").level is Level.WARN
