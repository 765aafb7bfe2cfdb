"""May this person be texted now, until when and by which rules: from the number to the answer, without a database."""

import random
import time as clock
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance import hours, law
from compliance.data import npa, statutes
from compliance.law import Basis, Blackout, Law, OwnHours
from compliance.place import UNKNOWN_US, locate, zone_infos
from compliance.policy import BLACKOUT, QUIET, REGIONAL_HOLD, UNKNOWN_PLACE

ALWAYS = OwnHours(time(0), time(0))
TERMS = hours.Terms(Basis.STATES, ALWAYS)
GUARD = timedelta(minutes=10)
NO_GUARD = timedelta()


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def window(key, now, *, terms=TERMS, guard=NO_GUARD):
    return hours.window(key=key, terms=terms, now=_utc(now) if isinstance(now, str) else now, guard=guard)


NEW_YORK = {"number": "+12125550123"}
MIAMI = {"number": "+13055550123"}
PENSACOLA = {"number": "+18505550123"}
IDAHO = {"number": "+12085550123"}
KENTUCKY = {"number": "+12705550123"}
DALLAS = {"number": "+12145550123"}
PHILADELPHIA = {"number": "+12155550123"}
PROVIDENCE = {"number": "+14015550123"}
MOVED = {"number": "+12125550123", "postal_code": "85001"}
NOWHERE = {"number": "+18005550123"}


@pytest.mark.parametrize(
    ("known", "now", "opens"),
    [
        (NEW_YORK, "2026-11-24T01:59:59Z", None),
        (NEW_YORK, "2026-11-24T02:00:00Z", "2026-11-24T13:00Z"),
        (NEW_YORK, "2026-11-24T12:59:59Z", "2026-11-24T13:00Z"),
        (MIAMI, "2026-11-24T00:59Z", None),
        (MIAMI, "2026-11-24T01:00Z", "2026-11-24T13:00Z"),
        (PENSACOLA, "2026-11-23T13:30Z", "2026-11-23T14:00Z"),
        (PENSACOLA, "2026-11-24T01:00Z", "2026-11-24T14:00Z"),
        (IDAHO, "2026-11-23T15:30Z", "2026-11-23T16:00Z"),
        (IDAHO, "2026-11-24T04:30Z", "2026-11-24T16:00Z"),
        (KENTUCKY, "2026-11-23T15:30Z", "2026-11-23T16:00Z"),
        (DALLAS, "2026-11-22T17:00Z", "2026-11-22T18:00Z"),
        (DALLAS, "2026-11-23T14:30Z", "2026-11-23T15:00Z"),
        (PHILADELPHIA, "2026-11-22T17:00Z", "2026-11-23T14:00Z"),
        (PHILADELPHIA, "2026-11-22T00:00Z", "2026-11-23T14:00Z"),
        (PROVIDENCE, "2026-11-20T23:00Z", "2026-11-21T15:00Z"),
        (PROVIDENCE, "2026-11-21T22:00Z", "2026-11-23T14:00Z"),
        (PROVIDENCE, "2026-11-26T15:00Z", "2026-11-27T14:00Z"),
        (MOVED, "2026-11-23T13:30Z", "2026-11-23T15:00Z"),
        (NOWHERE, "2026-11-23T15:00Z", "2026-11-23T18:00Z"),
        (NOWHERE, "2027-07-12T15:00Z", "2027-07-12T18:00Z"),
        (NOWHERE, "2027-07-12T18:00Z", None),
        (NOWHERE, "2027-07-13T00:59Z", None),
        (NOWHERE, "2027-07-13T01:00Z", "2027-07-13T18:00Z"),
        (NOWHERE, "2026-11-24T00:59Z", None),
        (NOWHERE, "2026-11-24T01:00Z", "2026-11-24T18:00Z"),
        (NEW_YORK, "2027-03-14T11:59Z", "2027-03-14T12:00Z"),
        (NEW_YORK, "2026-11-01T12:59Z", "2026-11-01T13:00Z"),
        # The other half of the Earth changes its clocks the other way round.
        ({"number": "+61261234567", "explicit_zone": "Australia/Sydney"}, "2026-10-03T22:59Z", None),  # 09:59, summer
        ({"number": "+61261234567", "explicit_zone": "Australia/Sydney"}, "2026-10-03T21:59Z", "2026-10-03T22:00Z"),
        ({"number": "+61261234567", "explicit_zone": "Australia/Sydney"}, "2027-04-03T22:59Z", "2027-04-03T23:00Z"),
        ({"number": "+64211234567", "explicit_zone": "Pacific/Auckland"}, "2026-09-25T20:59Z", "2026-09-25T21:00Z"),
        ({"number": "+64211234567", "explicit_zone": "Pacific/Auckland"}, "2026-09-27T19:59Z", "2026-09-27T20:00Z"),
    ],
)
def test_gives_the_answers_of_the_research(known, now, opens):
    found = window(locate(**known).key, now)
    if opens is None:
        assert found.is_open
    else:
        assert (found.is_open, found.until) == (False, _utc(opens))


def test_holds_every_states_law_in_every_zone():
    """A Floridian number (two zones possible in 850) of somebody whose ZIP code is in Rhode Island, on a Saturday: 10-17."""
    key = locate(number="+18505550123", postal_code="02903").key
    assert key == "America/Chicago|America/New_York;FL|RI"
    found = window(key, "2026-11-28T12:00Z")
    assert found.until == _utc("2026-11-28T16:00Z")  # 10:00 in Chicago
    assert window(key, "2026-11-28T16:00Z", guard=GUARD).until == _utc("2026-11-28T21:50Z")  # 17:00 in New York


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-11-23T14:59Z", False),  # Monday, 09:59 in New York
        ("2026-11-23T15:00Z", True),
        ("2026-11-23T22:59Z", True),
        ("2026-11-23T23:00Z", False),  # 18:00
        ("2026-11-28T21:59Z", True),  # Saturday, 16:59
        ("2026-11-28T22:00Z", False),
        ("2026-11-29T18:00Z", False),  # Sunday
        ("2026-11-26T18:00Z", False),  # Thanksgiving
    ],
)
def test_takes_the_strictest_of_all_states_for_a_key_from_before(now, is_open):
    assert window("America/New_York", now).is_open is is_open


class TestTheAnswer:
    def test_names_the_rules_that_forbid(self):
        [found] = hours.windows(
            keys=["America/New_York;FL|KY"], terms=TERMS, now=_utc("2026-11-24T01:30Z"), guard=GUARD
        ).values()
        assert (found.code, found.detail) == (QUIET.code, "FL 08-20 Fla. Stat. 501.616(6)")
        [found] = hours.windows(
            keys=["America/New_York;FL|KY"], terms=TERMS, now=_utc("2026-11-24T14:30Z"), guard=GUARD
        ).values()
        assert found.detail == "KY 10-21 KRS 367.46955(16)"
        [found] = hours.windows(
            keys=["America/New_York;RI"], terms=TERMS, now=_utc("2026-11-26T15:00Z"), guard=GUARD
        ).values()
        assert found.detail.startswith("RI no texts on Thanksgiving Day R.I. Gen. Laws 5-61-2(2)")

    def test_names_what_is_about_to_forbid_in_the_last_minutes(self):
        [found] = hours.windows(
            keys=["America/New_York;FL"], terms=TERMS, now=_utc("2026-11-24T00:55Z"), guard=GUARD
        ).values()
        assert (found.is_open, found.detail) == (False, "FL 08-20 Fla. Stat. 501.616(6)")

    def test_names_a_brands_own_hours(self):
        terms = hours.Terms(Basis.STATES, OwnHours(time(10), time(18)))
        [found] = hours.windows(
            keys=["America/New_York;NY"], terms=terms, now=_utc("2026-11-24T14:00Z"), guard=GUARD
        ).values()
        assert (found.code, found.detail) == (QUIET.code, "brand hours 10-18")

    def test_says_all_of_it_in_a_sentence(self):
        found = hours.answer(key="America/New_York;FL", terms=TERMS, now=_utc("2026-11-23T18:00Z"), guard=GUARD)
        assert found.sentence == "may be texted now, until 2026-11-24 00:50 UTC"
        assert found.rules == ("FL 08-20 Fla. Stat. 501.616(6)", "brand hours 00-00")
        assert found.version == statutes.RULES_VERSION
        found = hours.answer(key="America/New_York;FL", terms=TERMS, now=_utc("2026-11-24T01:30Z"), guard=GUARD)
        assert found.sentence == (
            "may not be texted now (FL 08-20 Fla. Stat. 501.616(6)); not before 2026-11-24 13:00 UTC"
        )
        assert (
            hours.answer(key="", terms=None, now=_utc("2026-11-24T01:30Z"), guard=GUARD).sentence == "may be texted now"
        )

    def test_says_a_place_in_words(self):
        assert hours.place_in_words("America/Chicago|America/New_York;FL|ca") == (
            "America/Chicago or America/New_York; law of Florida and CA"
        )
        assert hours.place_in_words("") == "unknown: anywhere in the United States"
        assert "every state" in hours.place_in_words("America/New_York")

    def test_fits_the_column_whatever_forbids(self):
        everywhere = "|".join(sorted(npa.STATE_ZONES))
        for key in (f"{UNKNOWN_US};{everywhere}", "America/New_York"):
            [found] = hours.windows(keys=[key], terms=TERMS, now=_utc("2026-11-29T08:00Z"), guard=GUARD).values()
            assert 0 < len(found.detail) <= 200


class TestBrandHours:
    def test_only_tighten(self):
        terms = hours.Terms(Basis.STATES, OwnHours(time(9), time(22)))
        assert window("America/New_York;NY", "2026-11-24T13:30Z", terms=terms).until == _utc("2026-11-24T14:00Z")
        assert window("America/New_York;NY", "2026-11-24T15:00Z", terms=terms).until == _utc("2026-11-25T02:00Z")

    def test_may_be_shorter_on_sundays(self):
        terms = hours.Terms(Basis.STATES, OwnHours(time(9), time(20), (time(12), time(20))))
        assert window("America/New_York;NY", "2026-11-29T14:30Z", terms=terms).until == _utc("2026-11-29T17:00Z")
        assert window("America/New_York;NY", "2026-11-28T14:30Z", terms=terms).is_open

    def test_informational_messages_go_by_the_federal_hours_everywhere(self):
        terms = hours.Terms(Basis.FEDERAL, ALWAYS)
        assert window("America/New_York;RI", "2026-11-29T13:00Z", terms=terms).is_open  # a Sunday
        assert window("America/New_York;RI", "2026-11-30T02:00Z", terms=terms).until == _utc("2026-11-30T13:00Z")
        assert window("Europe/Paris;fr", "2026-11-29T08:00Z", terms=terms).is_open
        [found] = hours.windows(
            keys=["America/New_York"], terms=terms, now=_utc("2026-11-30T02:00Z"), guard=GUARD
        ).values()
        assert found.detail == "federal 08-21 47 CFR 64.1200(c)(1)"


class TestBlackouts:
    TERMS = hours.Terms(Basis.STATES, ALWAYS, (Blackout(date(2026, 12, 24), date(2026, 12, 26), "closed"),))

    def test_hold_in_each_persons_own_calendar(self):
        """2026-12-24 begins nine hours earlier in Tokyo than in London."""
        assert window("Asia/Tokyo;NY", "2026-12-23T10:00Z", terms=self.TERMS).is_open
        assert not window("Asia/Tokyo;NY", "2026-12-24T01:00Z", terms=self.TERMS).is_open
        assert window("America/New_York;NY", "2026-12-24T01:00Z", terms=self.TERMS).is_open
        found = window("America/New_York;NY", "2026-12-24T15:00Z", terms=self.TERMS)
        assert found.until == _utc("2026-12-27T13:00Z")

    def test_are_a_rule_of_their_own(self):
        def judged(now):
            [found] = hours.windows(keys=["America/New_York;NY"], terms=self.TERMS, now=_utc(now), guard=GUARD).values()
            return found.code, found.detail

        assert judged("2026-12-25T15:00Z") == (BLACKOUT.code, "brand blackout 2026-12-24 to 2026-12-26: closed")
        code, detail = judged("2026-12-25T08:00Z")  # night, too
        assert code == QUIET.code
        assert "NY 08-21" in detail
        assert "brand blackout" in detail

    def test_longer_than_two_weeks_never_open(self):
        terms = hours.Terms(Basis.STATES, ALWAYS, (Blackout(date(2026, 12, 1), date(2026, 12, 20)),))
        assert window("America/New_York;NY", "2026-12-02T15:00Z", terms=terms).until is None


class TestRegionalHolds:
    NOW = _utc("2026-11-23T18:00Z")

    def judged(self, key, *holds):
        terms = hours.Terms(Basis.STATES, ALWAYS, (), holds)
        return hours.windows(keys=[key], terms=terms, now=self.NOW, guard=GUARD)[key]

    def test_keep_everybody_whose_state_it_may_be(self):
        storm = hours.Hold("LA", None, "hurricane, proclamation 41")
        for key in (
            "America/Chicago;LA",
            "America/New_York;LA|NY",
            "America/Chicago",
            "",  # toll-free, no other word: they may be anywhere
            UNKNOWN_US,
            f"{UNKNOWN_US};US",
            "America/Chicago;US",
        ):
            found = self.judged(key, storm)
            assert (found.is_open, found.code) == (False, REGIONAL_HOLD.code)
            assert found.detail == "LA until it is lifted: hurricane, proclamation 41"
            assert found.until == self.NOW + hours.HOLD_LOOK
        for key in ("America/Chicago;TX", "America/New_York;US", "America/Toronto;ca"):
            assert self.judged(key, storm).is_open

    def test_end_at_their_instant(self):
        soon = hours.Hold("LA", self.NOW + timedelta(minutes=5), "a holiday")
        assert self.judged("America/Chicago;LA", soon).until == soon.until
        late = hours.Hold("LA", None, "a storm")
        assert "a storm" in self.judged("America/Chicago;LA", soon, late).detail


def test_a_tenant_may_leave_out_people_of_whom_no_place_is_known():
    terms = hours.Terms(Basis.STATES, ALWAYS, texts_unknown_places=False)
    found = hours.windows(
        keys=["", UNKNOWN_US, "America/New_York;NY"], terms=terms, now=_utc("2026-11-23T19:00Z"), guard=GUARD
    )
    assert [found[key].code for key in ("", UNKNOWN_US)] == [UNKNOWN_PLACE.code] * 2
    assert found["America/New_York;NY"].is_open


class TestTheSpread:
    @pytest.mark.parametrize(
        ("own", "wished", "given"),
        [
            (ALWAYS, 30, 30),
            (OwnHours(time(10), time(10, 30)), 30, 10),  # twenty minutes are open, for ten is the guard
            (OwnHours(time(10), time(10, 30)), 5, 5),
        ],
    )
    def test_takes_half_of_the_open_time_at_most(self, own, wished, given):
        terms = hours.Terms(Basis.STATES, own)
        [found] = hours.windows(
            keys=["America/New_York;NY"], terms=terms, now=_utc("2026-11-24T06:00Z"), guard=GUARD,
            spread=timedelta(minutes=wished),
        ).values()  # fmt: skip
        assert found.spread == timedelta(minutes=given)

    def test_is_nothing_for_who_need_not_wait(self):
        [found] = hours.windows(
            keys=["America/New_York;NY"], terms=TERMS, now=_utc("2026-11-24T18:00Z"), guard=GUARD,
            spread=timedelta(minutes=30),
        ).values()  # fmt: skip
        assert found.spread == timedelta()


# -- against a look at every minute ---------------------------------------------------------------------------------


@lru_cache(maxsize=200_000)
def _is_allowed(key: str, law_: Law, instant: datetime) -> bool:
    """The definition, without any cleverness: every rule, in every zone."""
    for zone in zone_infos(key):
        local = instant.astimezone(zone)
        for part in law_.parts(local.date()):
            spans = part.on(local.date())
            if not any(start <= local.time() and (local.time() < end or end == time(0)) for start, end in spans):
                return False
    return True


def _minutes(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        yield start
        start += timedelta(minutes=1)


_ZONES = st.lists(
    st.sampled_from(
        ["America/New_York", "America/Chicago", "America/Phoenix", "America/Adak", "America/Havana", "Asia/Beirut",
         "America/Santiago", "Australia/Lord_Howe", "Europe/London", "Pacific/Chatham", "Africa/Casablanca"]
    ),
    min_size=1, max_size=3, unique=True,
)  # fmt: skip
_STATES = st.lists(
    st.sampled_from([*sorted(npa.STATE_ZONES), "US", "ca", "fr", "de", "kz"]), min_size=1, max_size=4, unique=True
)
_NOWS = st.builds(
    lambda base, minutes: _utc(base) + timedelta(minutes=minutes),
    st.sampled_from(
        ["2026-11-01T06:00Z", "2027-03-14T07:00Z", "2027-03-28T01:00Z", "2026-10-25T01:00Z", "2027-04-03T15:00Z",
         "2027-10-02T15:30Z", "2026-10-18T12:00Z", "2026-11-26T12:00Z", "2027-07-04T12:00Z", "2026-12-31T12:00Z"]
    ),
    st.integers(-36 * 60, 36 * 60),
)  # fmt: skip
_TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))


@st.composite
def _terms(draw) -> hours.Terms:
    start, end = sorted([draw(_TIMES), draw(_TIMES)])
    sunday = sorted([draw(_TIMES), draw(_TIMES)])
    own = OwnHours(
        *((time(0), time(0)) if start == end or draw(st.booleans()) else (start, end)),
        tuple(sunday) if sunday[0] < sunday[1] and draw(st.booleans()) else None,
    )
    first = draw(st.sampled_from([date(2026, 11, 26), date(2027, 3, 14), date(2026, 10, 18)]))
    blackouts = (Blackout(first, first + timedelta(days=draw(st.integers(0, 2)))),) if draw(st.booleans()) else ()
    return hours.Terms(draw(st.sampled_from([Basis.STATES, Basis.STATES, Basis.FEDERAL])), own, blackouts)


@settings(max_examples=120, deadline=None)
@given(zones=_ZONES, named=_STATES, terms=_terms(), now=_NOWS)
def test_agrees_with_a_look_at_every_minute(zones, named, terms, now):
    key = f"{'|'.join(sorted(zones))};{'|'.join(sorted(named))}"
    all_of_it = terms.law(key)
    found = hours.window(key=key, terms=terms, now=now, guard=NO_GUARD)
    assert found.is_open is _is_allowed(key, all_of_it, now)
    horizon = now + timedelta(days=2)
    until = found.until if found.until is not None and found.until < horizon else horizon
    assert [minute for minute in _minutes(now, until) if _is_allowed(key, all_of_it, minute) != found.is_open] == []
    if until is found.until:
        assert _is_allowed(key, all_of_it, until) is not found.is_open
    if not found.is_open:
        assert law.why(law=all_of_it, zones=key, now=now, guard=NO_GUARD).detail


def test_answers_for_more_than_fifty_thousand_people_a_second():
    """People share answers by place: 200,000 of them in 400 batches, everywhere in the United States at once."""
    chance = random.Random(7)
    codes = sorted(code for code in npa.STATE)
    zips = ["", "", "", "85001", "10001", "60601", "02903"]
    keys = [
        locate(number=f"+1{chance.choice(codes)}2345678", postal_code=chance.choice(zips)).key for _ in range(2_000)
    ]
    batches = [[chance.choice(keys) for _ in range(500)] for _ in range(400)]
    brands = [hours.Terms(Basis.STATES, OwnHours(time(8 + n % 2), time(20))) for n in range(10)]
    started = clock.process_time()  # of this machine's cores others have their share
    answered = 0
    for place, batch in enumerate(batches):
        now = _utc("2026-11-23T12:00Z") + timedelta(seconds=7 * place)
        found = hours.windows(keys=batch, terms=brands[place % 10], now=now, guard=GUARD)
        answered += sum(1 for key in batch if found[key] is not None)
    rate = answered / (clock.process_time() - started)
    print(f"{rate:,.0f} people/s, {len(set(keys))} places")  # noqa: T201 - the figure is asked for
    assert rate > 50_000
