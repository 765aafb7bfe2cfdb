"""How much consent each kind of message needs, how long a consent lasts, and what proves it (facts §2.2, §3.1-3.4)."""

from datetime import date

import pytest

from compliance.consent import Event, Source, Tier, ledger
from compliance.consent_rules import CONFIRM_WITHIN, NEEDS, at_least, ends_at, needed, weaker
from compliance.policy import Category
from smsplatform.common.errors import InvalidInput
from tests.world import at

TODAY = date(2026, 11, 21)
NOON = at("2026-11-21T12:00")


@pytest.mark.parametrize(
    ("category", "tier"),
    [("marketing", Tier.WRITTEN), ("informational", Tier.EXPRESS), ("transactional", None), ("keyword_reply", None)],
)
def test_a_category_needs_its_tier(category, tier):
    assert needed(category, TODAY).tier is tier


@pytest.mark.parametrize("category", list(Category))
def test_every_category_has_a_rule(category):
    need = needed(category, TODAY)
    assert need in NEEDS
    assert need.citation


def test_what_no_rule_knows_needs_the_strongest():
    assert needed("horoscopes", TODAY).tier is Tier.WRITTEN


def test_tiers_are_ordered():
    assert at_least(Tier.IMPLIED) == [Tier.IMPLIED, Tier.EXPRESS, Tier.WRITTEN]
    assert at_least(Tier.EXPRESS) == [Tier.EXPRESS, Tier.WRITTEN]
    assert at_least(Tier.WRITTEN) == [Tier.WRITTEN]
    assert weaker(Tier.WRITTEN, Tier.IMPLIED) is Tier.IMPLIED
    assert Tier.EXPRESS_WRITTEN is Tier.WRITTEN


def test_a_yes_is_waited_for_72_hours():
    assert CONFIRM_WITHIN.total_seconds() == 72 * 3600


CANADA, TORONTO_MAIL, US = "+14165550123", "ana@example.ca", "+12125550123"


@pytest.mark.parametrize(
    ("number", "tier", "basis", "given", "ends"),
    [
        (CANADA, Tier.IMPLIED, "purchase", "2026-11-21T12:00", "2028-11-21T12:00"),
        (CANADA, Tier.IMPLIED, "inquiry", "2026-11-21T12:00", "2027-05-21T12:00"),
        (CANADA, Tier.IMPLIED, "", "2026-11-21T12:00", "2027-05-21T12:00"),
        (CANADA, Tier.IMPLIED, "purchase", "2024-02-29T12:00", "2026-02-28T12:00"),
        (CANADA, Tier.IMPLIED, "inquiry", "2026-08-31T12:00", "2027-02-28T12:00"),
        (CANADA, Tier.EXPRESS, "purchase", "2026-11-21T12:00", None),
        (CANADA, Tier.WRITTEN, "", "2026-11-21T12:00", None),
        (US, Tier.IMPLIED, "purchase", "2026-11-21T12:00", None),
        (TORONTO_MAIL, Tier.IMPLIED, "purchase", "2026-11-21T12:00", None),
    ],
)
def test_implied_consent_ends_in_canada(number, tier, basis, given, ends):
    """[CASL]: 2 years after a purchase, 6 months after an inquiry; of unknown basis, the shorter."""
    assert ends_at(number=number, tier=tier, basis=basis, occurred_at=at(given)) == (at(ends) if ends else None)


GOOD = {
    "event": Event.GRANTED,
    "tier": "written",
    "source": Source.WEB_FORM,
    "action": "ticked the box",
    "disclosure": "You agree that …",
    "occurred_at": NOON,
    "now": NOON,
    "page_url": "https://acme.example/join",
    "ip": "203.0.113.9",
}


def test_takes_what_proves_something():
    ledger.check(**GOOD)
    ledger.check(**GOOD | {"tier": "express", "disclosure": ""})
    ledger.check(**GOOD | {"event": Event.REVOKED, "tier": "", "action": "", "page_url": "", "disclosure": ""})


@pytest.mark.parametrize(
    ("field", "flaw"),
    [
        ("occurred_at", {"occurred_at": at("2026-11-21T12:01")}),
        ("tier", {"tier": "strong"}),
        ("tier", {"tier": ""}),
        ("action", {"action": ""}),
        ("disclosure", {"disclosure": ""}),
        ("page_url", {"page_url": ""}),
        ("ip", {"ip": None}),
        ("inbound_id", {"source": Source.KEYWORD}),
        ("inbound_text", {"source": Source.KEYWORD, "inbound_id": 7}),
        ("our_number", {"source": Source.KEYWORD, "inbound_id": 7, "inbound_text": "JOIN"}),
        ("attested_by", {"source": Source.PAPER}),
        ("evidence_file", {"source": Source.VERBAL, "attested_by": "Ada"}),
        ("evidence_file", {"source": Source.POS, "attested_by": "Ada"}),
        ("attestation", {"source": Source.IMPORT, "attested_by": "Ada"}),
    ],
)
def test_refuses_what_proves_nothing_and_names_the_field(field, flaw):
    with pytest.raises(InvalidInput) as refused:
        ledger.check(**GOOD | flaw)
    assert refused.value.field == field
