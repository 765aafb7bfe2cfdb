"""A number that an operator suppressed is not texted, until one with a reason releases it."""

import pytest

from campaigns.states import State
from compliance.models import Suppression
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, failed, refused, run

pytestmark = pytest.mark.django_db(transaction=True)
BECAUSE = "--because 'came back in shop 4, form 77'"


@pytest.fixture
def acme(simulator):
    simulator.script("token-acme", receipts=None)
    return world.make(base_url=simulator.url)


@pytest.mark.parametrize(
    ("words", "scope"),
    [
        ("acme acme {number}", "brand"),
        ("acme acme {number} --category marketing", "category"),
        ("acme acme {number} --reason complaint", "platform"),  # the reason decides
        ("--platform {number}", "platform"),
    ],
)
def test_holds_in_the_run_that_is_at_work(acme, simulator, words, scope):
    person, other = acme.recipient(), acme.recipient()
    made = acme.run()
    line = f"suppress {words.format(number=person.number)} --source voice --evidence 'call 77' --actor ana"
    assert ask(line)["made"]
    assert not ask(line)["made"]
    world.work()
    assert world.states(made) == {State.BLOCKED: 1, State.ACCEPTED: 1}
    row = Suppression.objects.get()
    assert (row.scope, row.source, row.evidence, row.created_by) == (scope, "voice", "call 77", "ana")
    [event] = AuditEvent.objects.filter(verb="number.suppressed")
    assert event.actor == "ana"
    assert person.number not in str((event.target, event.detail))
    assert other.number


def test_reads_a_number_as_people_write_it(acme):
    assert ask("suppress acme acme '(212) 234-5678'")["number"] == "+12122345678"


def test_takes_an_address_in_any_case(acme):
    assert ask("suppress acme acme Ana.B@Example.com")["number"] == "ana.b@example.com"
    assert "ana.b" not in AuditEvent.objects.get(verb="number.suppressed").target


def test_takes_numbers_that_could_not_be_texted_anyway(acme):
    assert ask("suppress acme acme +12025550123")["number"] == "+12025550123"


def test_says_to_whom_a_reason_reaches(acme):
    assert "is not texted by brand acme any more" in run("suppress acme acme +12122345678")
    assert "is not texted by everybody any more" in run("suppress acme acme +12122345678 --reason wrong_number")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nobody acme +12122345678", "tenant: there is no tenant"),
        ("acme boots +12122345678", "BRAND: acme has no brand 'boots'"),
        ("acme acme hello", "NUMBER: 'hello'"),
        ("acme +12122345678", "NUMBER: write TENANT BRAND NUMBER, or NUMBER with --platform"),
        ("", "NUMBER: write TENANT BRAND NUMBER, or NUMBER with --platform"),
        ("acme acme +12122345678 --platform", "NUMBER: with --platform give the number only"),
        ("+12122345678 --platform --category marketing", "--category: a number suppressed for the platform"),
        ("acme acme +12122345678 --category spam", "--category: 'spam' is none of marketing"),
        ("acme acme +12122345678 --reason complaint --category marketing", "--category: complaint holds for every"),
        ("acme acme +12122345678 --reason ''", "--reason: '' is none of opt_out"),
        ("acme acme +12122345678 --reason provider_blocked", "--reason: 'provider_blocked' is none of opt_out"),
        ("acme acme +12122345678 --source telepathy", "--source: 'telepathy' is none of email, voice"),
        (f"acme acme +12122345678 --evidence {'x' * 201}", "--evidence: is longer than 200 characters"),
        ("acme acme +12122345678 --file list.txt", "NUMBER: write TENANT BRAND, or --platform, before --file"),
        ("acme acme --file /nowhere/list.txt", "--file: /nowhere/list.txt: No such file or directory"),
    ],
)
def test_is_refused(acme, line, said):
    assert said in refused(f"suppress {line}")


class TestList:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "list.csv"
        path.write_text("phone,name\n2122345678,Ana\n+1 212 234 5679,Bob\n\n212-234-5678,Ana again\n")
        return path

    def test_suppresses_everybody_on_it_once(self, acme, path):
        line = f"suppress acme acme --file {path} --reason do_not_text_list --source list --evidence 'CRM export 7'"
        assert ask(line) == {"scope": "brand acme", "numbers": 3, "new": 2, "refused": 0, "flaws": []}
        assert ask(line)["new"] == 0
        rows = Suppression.objects.order_by("number").values_list(
            "number", "reason", "source", "evidence", "brand__slug"
        )
        assert list(rows) == [
            (number, "do_not_text_list", "list", "CRM export 7", "acme") for number in ("+12122345678", "+12122345679")
        ]
        first, again = AuditEvent.objects.filter(verb="numbers.suppressed").order_by("id")
        assert (first.target, again.target) == ("3 numbers, 2 of them new", "3 numbers, 0 of them new")

    def test_may_be_for_everybody(self, acme, path):
        assert ask(f"suppress --platform --file {path}")["scope"] == "everybody"
        assert set(Suppression.objects.values_list("scope", flat=True)) == {"platform"}

    def test_names_each_line_it_does_not_understand_and_stores_the_others(self, acme, path):
        path.write_text(path.read_text() + "911,Eve\n2122345670,Zoe\nnobody at all,Eve\n")
        printed, said = failed(f"suppress acme acme --file {path}")
        assert "2 lines were not understood: correct them and run this again" in said
        assert [line.split()[0] for line in printed.splitlines() if "write it like" in line] == ["6", "8"]
        assert Suppression.objects.count() == 3

    def test_goes_through_long_files_in_pieces(self, acme, path, monkeypatch):
        from campaigns.management.commands import suppress

        monkeypatch.setattr(suppress, "_AT_ONCE", 7)
        path.write_text("".join(f"212234{number:04d}\n" for number in range(20)))
        said = run(f"suppress acme acme --file {path}")
        assert "20 numbers read, 20 of them new" in said
        assert Suppression.objects.count() == 20


class TestRelease:
    def test_lets_a_number_be_texted_again(self, acme):
        person = acme.recipient()
        run(f"suppress acme acme {person.number}")
        run(f"suppress acme acme {person.number} --category marketing --reason opt_out")
        assert world.states(launched(acme, "1")) == {State.BLOCKED: 1}
        found = ask(f"unsuppress acme acme {person.number} {BECAUSE} --actor ana")
        assert found == {
            "number": person.number,
            "scope": "brand acme",
            "released": ["operator", "opt_out"],
            "still_suppressed": False,
        }
        assert world.states(launched(acme, "2")) == {State.ACCEPTED: 1}
        assert AuditEvent.objects.filter(verb="number.released", actor="ana").count() == 2
        row = Suppression.objects.first()
        assert (row.released_by, row.released_because) == ("ana", "came back in shop 4, form 77")

    def test_says_what_still_holds(self, acme):
        run("suppress acme acme +12122345678")
        run("suppress --platform +12122345678 --reason litigator")
        assert "It is still suppressed for everybody (--platform)" in run(
            f"unsuppress acme acme '212 234 5678' {BECAUSE}"
        )
        assert ask(f"unsuppress --platform +12122345678 {BECAUSE}")["released"] == ["litigator"]
        assert not Suppression.objects.filter(released_at=None).exists()

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (
                "acme acme +12122345679 --because 'a good reason'",
                "NUMBER: +12122345679 is not suppressed for brand acme",
            ),
            (
                "--platform +12122345678 --because 'a good reason'",
                "NUMBER: +12122345678 is not suppressed for everybody",
            ),
            ("acme acme +12122345678 --because no", "--because: say why in 10 to 200 characters"),
            ("acme acme hello --because 'a good reason'", "NUMBER: 'hello'"),
            ("acme +12122345678 --because 'a good reason'", "NUMBER: write TENANT BRAND NUMBER"),
            ("nobody acme +12122345678 --because 'a good reason'", "tenant: there is no tenant"),
        ],
    )
    def test_is_refused(self, acme, line, said):
        run("suppress acme acme +12122345678")
        assert said in refused(f"unsuppress {line}")


def launched(acme, key):
    made = acme.run(key=key)
    world.work()
    return made


class TestCounting:
    def test_counts_opt_outs_by_brand_and_by_how(self, acme):
        assert "nobody opted out in the last 30 days" in run("opt_outs acme")
        run("suppress acme acme +12122345678 --reason opt_out --source voice")
        run("suppress acme acme +12122345679 --reason opt_out --source voice")
        run("suppress acme acme +12122345670")
        assert ask("opt_outs acme --days 1")["opt_outs"] == [
            {"brand": "acme", "how": "voice", "people": 2, "still_out": 2}
        ]
        assert "voice" in run("opt_outs acme")

    @pytest.mark.parametrize(
        ("line", "said"), [("nobody", "tenant: there is no tenant"), ("acme --days 0", "--days: give a number of days")]
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"opt_outs {line}")

    def test_a_run_tells_its_own(self, acme):
        acme.recipient()
        made = launched(acme, "1")
        assert "nobody" in run(f"run_status {made.pk}")
        dispatch = made.batches.get().dispatches.get()
        Suppression.objects.create(
            tenant=acme.tenant, brand=acme.brand, number=dispatch.number, reason="opt_out", source="web", dispatch_id=dispatch.pk
        )  # fmt: skip
        assert ask(f"run_status {made.pk}")["opt_outs"] == {"web": 1}
        assert "1 by web" in run(f"run_status {made.pk}")
