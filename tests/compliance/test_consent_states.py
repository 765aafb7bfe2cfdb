"""What holds of a consent follows from the ledger alone, in whatever order its rows were written."""

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from compliance import consent
from compliance.consent import Event, Source, Status, Tier, states
from compliance.consent_models import Consent, ConsentState
from compliance.consent_rules import GRANTS, at_least
from tests import world
from tests.world import at

EPOCH = at("2026-01-01T00:00")
NOW = at("2026-12-01T00:00")
_numbers = itertools.count(2_000_000)


def a_number():
    return f"+1212{next(_numbers):07d}"


@dataclass(frozen=True)
class Said:
    """One event: what, how strong, on which day of January, lasting until which day, about what."""

    event: Event
    tier: str = "written"
    day: int = 1
    until: int | None = None
    category: str = ""
    is_undated: bool = False

    @property
    def at(self):
        return EPOCH + timedelta(days=self.day)

    @property
    def ends(self):
        return None if self.until is None else EPOCH + timedelta(days=self.until)


def write(brand, number, said):
    if said.is_undated:
        entry = consent.Entry(number, said.tier, Source.IMPORT, said.at, said.category, is_undated=True)
        consent.record_all(brand=brand, entries=[entry], event=said.event, now=NOW)
        return
    consent.record(
        brand=brand,
        number=number,
        event=said.event,
        tier=said.tier,
        source=Source.API,
        occurred_at=said.at,
        now=NOW,
        category=said.category,
        action="said so",
        disclosure="shown",
        expires_at=said.ends,
    )


def read(brand, number, category=""):
    state = ConsentState.objects.get(brand=brand, number=number, category=category)
    return (state.status, state.tier, state.since, state.expires_at, state.pending_until)


# -- another telling of the same rules, in plain Python ----------------------------------------------------------------


def latest(instants) -> datetime | None:
    return max(instants, default=None)


def told(events, category):
    """Return (status, tier, since, expires_at, pending_until) by looking at everything each time."""
    events = [one for one in events if one.category in ("", category)]
    ends = [one.at for one in events if one.event is Event.REVOKED or (one.event is Event.EXPIRED and not one.tier)]
    corrections = [one.at for one in events if one.event is Event.CORRECTED]

    def stands(one):
        lapsed = [each.at for each in events if each.event is Event.EXPIRED and each.tier == one.tier]
        if one.ends is not None and any(one.ends <= instant for instant in lapsed):
            return False
        if one.is_undated:
            return not ends and not corrections
        return all(one.at > end for end in ends) and all(one.at >= when for when in corrections)

    def best(found):
        ranked = sorted(found, key=lambda one: (len(at_least(Tier(one.tier))), one.ends is not None))
        top = [one for one in ranked if one.tier == ranked[0].tier]
        forever = [one for one in top if one.ends is None]
        if forever:
            return max(forever, key=lambda one: one.at)
        last = max(one.ends for one in top)
        return max((one for one in top if one.ends == last), key=lambda one: one.at)

    grants = [one for one in events if one.event in GRANTS and stands(one)]
    confirmed = [one.at for one in events if one.event is Event.CONFIRMED]
    asks = [
        one for one in events if one.event is Event.ASKED and stands(one) and all(when < one.at for when in confirmed)
    ]
    holds = best(grants) if grants else None
    ask = best(asks) if asks else None
    if ask and holds and holds.tier in at_least(Tier(ask.tier)):
        ask = None
    pending_until = ask.ends if ask else None
    if holds:
        return (Status.GRANTED, holds.tier, holds.at, holds.ends, pending_until)
    if ask:
        return (Status.PENDING, "", ask.at, None, pending_until)
    revoked = latest(one.at for one in events if one.event is Event.REVOKED)
    expired = latest(one.at for one in events if one.event is Event.EXPIRED)
    if revoked and (not expired or revoked >= expired):
        return (Status.REVOKED, "", revoked, None, None)
    return (Status.EXPIRED, "", expired, None, None) if expired else (Status.NONE, "", None, None, None)


GRANT = Said(Event.GRANTED, "written", 10)
TABLE = {
    "nothing": ([], Status.NONE, ""),
    "granted": ([GRANT], Status.GRANTED, "written"),
    "revoked later": ([GRANT, Said(Event.REVOKED, "", 11)], Status.REVOKED, ""),
    "revoked in the same instant: the revocation wins": ([GRANT, Said(Event.REVOKED, "", 10)], Status.REVOKED, ""),
    "granted again after it": ([Said(Event.REVOKED, "", 9), GRANT], Status.GRANTED, "written"),
    "an older import after a revocation": (
        [Said(Event.REVOKED, "", 11), Said(Event.IMPORTED, "written", 10)], Status.REVOKED, "",
    ),
    "an import of a later consent": (
        [Said(Event.REVOKED, "", 11), Said(Event.IMPORTED, "written", 12)], Status.GRANTED, "written",
    ),
    "an import without a date outlives no revocation": (
        [Said(Event.REVOKED, "", 9), Said(Event.IMPORTED, "express", 12, is_undated=True)], Status.REVOKED, "",
    ),
    "an import without a date": ([Said(Event.IMPORTED, "express", 12, is_undated=True)], Status.GRANTED, "express"),
    "a weaker one never weakens": ([GRANT, Said(Event.IMPORTED, "express", 12)], Status.GRANTED, "written"),
    "but what is left after a revocation does": (
        [GRANT, Said(Event.REVOKED, "", 11), Said(Event.GRANTED, "express", 12)], Status.GRANTED, "express",
    ),
    "asked": ([Said(Event.ASKED, "written", 10, 13)], Status.PENDING, ""),
    "asked and confirmed": (
        [Said(Event.ASKED, "written", 10, 13), Said(Event.CONFIRMED, "written", 11)], Status.GRANTED, "written",
    ),
    "asked and revoked": ([Said(Event.ASKED, "written", 10, 13), Said(Event.REVOKED, "", 11)], Status.REVOKED, ""),
    "asked and never answered": (
        [Said(Event.ASKED, "written", 10, 13), Said(Event.EXPIRED, "written", 13)], Status.EXPIRED, "",
    ),
    "asked for more than there is": (
        [Said(Event.GRANTED, "express", 5), Said(Event.ASKED, "written", 10, 13)], Status.GRANTED, "express",
    ),
    "a term that is over": (
        [Said(Event.GRANTED, "implied", 5, 9), Said(Event.EXPIRED, "implied", 9)], Status.EXPIRED, "",
    ),
    "a term that is over leaves what lasts": (
        [Said(Event.GRANTED, "implied", 5, 9), Said(Event.EXPIRED, "implied", 9), Said(Event.GRANTED, "express", 1)],
        Status.GRANTED, "express",
    ),
    "a longer term of the same tier": (
        [Said(Event.GRANTED, "implied", 5, 30), Said(Event.GRANTED, "implied", 6, 9), Said(Event.EXPIRED, "implied", 9)],
        Status.GRANTED, "implied",
    ),
    "a number that was given back": ([GRANT, Said(Event.EXPIRED, "", 11)], Status.EXPIRED, ""),
    "and its new owner": (
        [GRANT, Said(Event.EXPIRED, "", 11), Said(Event.GRANTED, "express", 12)], Status.GRANTED, "express",
    ),
    "corrected to less": ([GRANT, Said(Event.CORRECTED, "express", 11)], Status.GRANTED, "express"),
    "another category's revocation": ([GRANT, Said(Event.REVOKED, "", 11, category="marketing")], Status.GRANTED, "written"),
}  # fmt: skip


@pytest.fixture
def brand(db):
    return world.make(**HERE).brand


HERE = {
    "consent_kept": "here", "consent_attested_by": "", "consent_attested_at": None, "consent_attestation": "",
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in TABLE if name != "nothing"])
def test_holds_what_the_table_says_in_every_order(brand, name):
    events, status, tier = TABLE[name]
    for order in itertools.permutations(events):
        number = a_number()
        for said in order:
            write(brand, number, said)
        found = read(brand, number)
        assert found[:2] == (status, tier), order
        assert found == told(events, "")
        assert states.differences(brand_id=brand.pk, most=10_000) == ([], "")


def test_a_category_of_its_own_sees_what_is_for_all(brand):
    """STOP to marketing only, and START for everything after it, in either order of arrival."""
    events = [
        Said(Event.GRANTED, "written", 10),
        Said(Event.REVOKED, "", 11, category="marketing"),
        Said(Event.GRANTED, "express", 12),
    ]
    for order in itertools.permutations(events):
        number = a_number()
        for said in order:
            write(brand, number, said)
        assert read(brand, number, "marketing")[:2] == (Status.GRANTED, "express")
        assert read(brand, number, "")[:2] == (Status.GRANTED, "written")


def test_a_state_names_the_record_that_decided(brand):
    number = a_number()
    write(brand, number, GRANT)
    write(brand, number, Said(Event.IMPORTED, "express", 20))
    state = ConsentState.objects.get(brand=brand, number=number)
    assert Consent.objects.get(pk=state.consent_id).event == Event.GRANTED


_TIERS = st.sampled_from([tier.value for tier in Tier])
_CATEGORIES = st.sampled_from(["", "", "marketing", "informational"])
_DAYS = st.integers(1, 6)  # few, so that many fall together


@st.composite
def _said(draw):
    event = draw(st.sampled_from(list(Event)))
    day, category = draw(_DAYS), draw(_CATEGORIES)
    if event is Event.REVOKED:
        return Said(event, "", day, category=category)
    if event is Event.EXPIRED:
        return Said(event, draw(st.one_of(st.just(""), _TIERS)), day, category=category)
    if event is Event.ASKED:
        return Said(event, draw(_TIERS), day, day + draw(st.integers(1, 3)), category)
    if event is Event.IMPORTED and draw(st.booleans()):
        # When we first heard of it is all its date says, so it is one day whatever the order.
        return Said(event, draw(_TIERS), 1, category=category, is_undated=True)
    until = draw(st.one_of(st.none(), st.integers(1, 3)))
    return Said(event, draw(_TIERS), day, None if until is None else day + until, category)


class TestEveryOrder(TestCase):
    """Hypothesis invents the histories; the plain telling above is the judge."""

    def setUp(self):
        self.brand = world.make(**HERE).brand

    @settings(max_examples=150, deadline=None)
    @given(st.lists(_said(), min_size=1, max_size=7), st.randoms(use_true_random=False))
    def test_gives_the_same_state(self, events, random):
        shuffled = list(events)
        random.shuffle(shuffled)
        found = []
        for order in (events, shuffled):
            number = a_number()
            for said in order:
                write(self.brand, number, said)
            categories = {"", *(said.category for said in events)}
            assert (
                set(ConsentState.objects.filter(brand=self.brand, number=number).values_list("category", flat=True))
                == categories
            )
            found.append({category: read(self.brand, number, category) for category in categories})
            assert found[-1] == {category: told(events, category) for category in categories}
        assert found[0] == found[1]
