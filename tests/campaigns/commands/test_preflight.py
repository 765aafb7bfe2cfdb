"""`manage.py preflight`, as an operator reads it."""

import pytest

from campaigns.models import Preflight, Recipient, Run
from providers.models import Price
from tests import world
from tests.campaigns.commands.shell import ask, everything, refused, run

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    made = world.make()
    made.recipients(2, first_name="Ana")
    made.recipient()
    made.campaign("Hello {{ first_name }}", name="spring")
    Price.objects.create(tenant=made.tenant, account=made.account, micros=10_000)
    return made


def test_tells_who_why_when_and_what_it_costs(acme):
    before = everything()
    said = run("preflight acme spring")
    assert "3 people: 2 texted at once, 0 later, 1 not; 2 segments, 0.02 USD; through by about" in said
    assert "lacks a field that the text needs" in said
    assert "blocked: missing_merge_field@1" in said
    assert "Hello Ana" in said
    assert everything() == before
    assert not Preflight.objects.exists()
    assert not Run.objects.exists()


def test_tells_programs_everything(acme):
    Recipient.objects.update(zones="America/New_York;NY")
    told = ask("preflight acme spring --at 2026-11-24T12:00-05:00")
    assert (told["at"], told["people"], told["now"], told["never"]) == ("2026-11-24T12:00:00-05:00", 3, 2, 1)
    assert told["cost"]["likely"] == 20_000


def test_says_how_far_it_is(acme, monkeypatch):
    monkeypatch.setattr("campaigns.preflight.counting.CHUNK", 2)
    assert "2 of 3 people" in run("preflight acme spring")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("acme winter", "CAMPAIGN: acme has no campaign 'winter'"),
        ("acme spring --at tomorrow", "--at: 'tomorrow' is no instant with an offset"),
        ("acme spring --at 2026-11-24T12:00", "--at: '2026-11-24T12:00' is no instant with an offset"),
    ],
)
def test_is_refused(acme, line, said):
    assert said in refused(f"preflight {line}")


def test_is_refused_where_a_launch_would_be(acme):
    acme.sender.delete()
    assert "has no active sender" in refused("preflight acme spring")
