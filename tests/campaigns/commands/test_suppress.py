"""A number that an operator suppressed is not texted."""

import pytest

from campaigns.states import State
from compliance.models import Suppression
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, refused

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(simulator):
    simulator.script("token-acme", receipts=None)
    return world.make(base_url=simulator.url)


@pytest.mark.parametrize("words", ["acme acme {number}", "--platform {number}"])
def test_holds_in_the_run_that_is_at_work(acme, simulator, words):
    person, other = acme.recipient(), acme.recipient()
    made = acme.run()
    line = f"suppress {words.format(number=person.number)} --reason complaint --actor ana"
    assert ask(line)["made"]
    assert not ask(line)["made"]
    world.work()
    assert world.states(made) == {State.BLOCKED: 1, State.ACCEPTED: 1}
    assert Suppression.objects.get().source == "operator: ana"
    [event] = AuditEvent.objects.filter(verb="number.suppressed")
    assert person.number not in str((event.target, event.detail))
    assert other.number


def test_reads_a_number_as_people_write_it(acme):
    assert ask("suppress acme acme '(212) 234-5678'")["number"] == "+12122345678"


def test_takes_an_address_in_any_case(acme):
    assert ask("suppress acme acme Ana.B@Example.com")["number"] == "ana.b@example.com"
    assert "ana.b" not in AuditEvent.objects.get(verb="number.suppressed").target


def test_takes_numbers_that_could_not_be_texted_anyway(acme):
    assert ask("suppress acme acme +12025550123")["number"] == "+12025550123"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nobody acme +12122345678", "tenant: there is no tenant"),
        ("acme boots +12122345678", "BRAND: acme has no brand 'boots'"),
        ("acme acme hello", "NUMBER: 'hello'"),
        ("acme +12122345678", "NUMBER: write TENANT BRAND NUMBER, or NUMBER with --platform"),
        ("acme acme +12122345678 --platform", "NUMBER: with --platform give the number only"),
        ("+12122345678 --platform --category marketing", "--category: a number suppressed for the platform"),
        ("acme acme +12122345678 --category spam", "--category: 'spam' is none of marketing"),
        ("acme acme +12122345678 --reason ''", "--reason: give 1 to 60 characters"),
    ],
)
def test_is_refused(acme, line, said):
    assert said in refused(f"suppress {line}")
