from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.place import UNKNOWN_US, locate, zone_infos
from compliance.quiet_hours import (
    HORIZON,
    Hours,
    LocalInterval,
    Window,
    local_instant,
    window,
    windows,
)

FEDERAL = Hours(time(8), time(21))
FLORIDA = Hours(time(8), time(20))
KENTUCKY = Hours(time(10), time(21))
NO_GUARD = timedelta()

NEW_YORK = "America/New_York"
AREA_850 = locate(number="+18505550123").zones
AREA_208 = locate(number="+12085550123").zones
AREA_270 = locate(number="+12705550123").zones
ARIZONA_212 = locate(number="+12125550123", postal_code="85001").zones


@dataclass(frozen=True)
class Weekly:
    """Hours by weekday, Monday first, except on holidays."""

    days: tuple[tuple[LocalInterval, ...], ...]
    holidays: tuple[date, ...] = ()

    def on(self, day: date, /) -> tuple[LocalInterval, ...]:
        return () if day in self.holidays else self.days[day.weekday()]


def _weekly(workday, saturday, sunday, holidays=()):
    spans = [((time(span[0]), time(span[1])),) if span else () for span in (workday, saturday, sunday)]
    return Weekly((spans[0],) * 5 + (spans[1], spans[2]), tuple(holidays))


TEXAS = _weekly((9, 21), (9, 21), (12, 21))
PENNSYLVANIA = _weekly((9, 19), (9, 19), None)
RHODE_ISLAND = _weekly((9, 18), (10, 17), None, [date(2026, 11, 26)])


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zones", "hours", "now", "opens"),
    [
        (NEW_YORK, FEDERAL, "2026-11-24T01:59:59Z", None),
        (NEW_YORK, FEDERAL, "2026-11-24T02:00:00Z", "2026-11-24T13:00Z"),
        (NEW_YORK, FEDERAL, "2026-11-24T12:59:59Z", "2026-11-24T13:00Z"),
        (NEW_YORK, FEDERAL, "2026-11-24T13:00:00Z", None),
        (NEW_YORK, FLORIDA, "2026-11-24T00:59Z", None),
        (NEW_YORK, FLORIDA, "2026-11-24T01:00Z", "2026-11-24T13:00Z"),
        (AREA_850, FLORIDA, "2026-11-23T13:30Z", "2026-11-23T14:00Z"),
        (AREA_850, FLORIDA, "2026-11-24T01:00Z", "2026-11-24T14:00Z"),
        (AREA_208, FEDERAL, "2026-11-23T15:30Z", "2026-11-23T16:00Z"),
        (AREA_208, FEDERAL, "2026-11-24T04:30Z", "2026-11-24T16:00Z"),
        (AREA_270, KENTUCKY, "2026-11-23T15:30Z", "2026-11-23T16:00Z"),
        (ARIZONA_212, FEDERAL, "2026-11-23T13:30Z", "2026-11-23T15:00Z"),
        (UNKNOWN_US, FEDERAL, "2026-11-23T15:00Z", "2026-11-23T18:00Z"),
        (UNKNOWN_US, FEDERAL, "2027-07-12T15:00Z", "2027-07-12T18:00Z"),
        (UNKNOWN_US, FEDERAL, "2026-11-24T00:59Z", None),
        (UNKNOWN_US, FEDERAL, "2026-11-24T01:00Z", "2026-11-24T18:00Z"),
        (NEW_YORK, FEDERAL, "2027-03-14T11:59Z", "2027-03-14T12:00Z"),
        (NEW_YORK, FEDERAL, "2026-11-01T12:59Z", "2026-11-01T13:00Z"),
        ("America/Chicago", TEXAS, "2026-11-22T17:00Z", "2026-11-22T18:00Z"),
        ("America/Chicago", TEXAS, "2026-11-23T14:30Z", "2026-11-23T15:00Z"),
        (NEW_YORK, PENNSYLVANIA, "2026-11-22T17:00Z", "2026-11-23T14:00Z"),
        (NEW_YORK, PENNSYLVANIA, "2026-11-22T00:00Z", "2026-11-23T14:00Z"),
        (NEW_YORK, RHODE_ISLAND, "2026-11-20T23:00Z", "2026-11-21T15:00Z"),
        (NEW_YORK, RHODE_ISLAND, "2026-11-21T22:00Z", "2026-11-23T14:00Z"),
        (NEW_YORK, RHODE_ISLAND, "2026-11-26T15:00Z", "2026-11-27T14:00Z"),
    ],
)
def test_opens_when_every_zone_allows_it(zones, hours, now, opens):
    found = window(zones=zones, hours=hours, now=_utc(now), guard=NO_GUARD)
    if opens is None:
        assert found.is_open
    else:
        assert found == Window(is_open=False, until=_utc(opens))


@pytest.mark.parametrize(
    ("zones", "hours", "now", "closes"),
    [
        (NEW_YORK, FEDERAL, "2026-11-24T15:00Z", "2026-11-25T01:50Z"),
        (NEW_YORK, FEDERAL, "2026-11-25T01:49:59Z", "2026-11-25T01:50Z"),
        (AREA_850, FLORIDA, "2026-11-24T18:00Z", "2026-11-25T00:50Z"),
        (UNKNOWN_US, FEDERAL, "2026-11-24T18:00Z", "2026-11-25T00:50Z"),
        ("Asia/Tokyo", FEDERAL, "2026-11-24T23:30Z", "2026-11-25T11:50Z"),  # across midnight UTC
        ("Asia/Tokyo", FEDERAL, "2026-11-23T23:59Z", "2026-11-24T11:50Z"),
    ],
)
def test_is_open_until_the_guard_before_the_first_zone_closes(zones, hours, now, closes):
    found = window(zones=zones, hours=hours, now=_utc(now), guard=timedelta(minutes=10))
    assert found == Window(is_open=True, until=_utc(closes))


def test_is_closed_in_the_guard():
    found = window(zones=NEW_YORK, hours=FEDERAL, now=_utc("2026-11-25T01:50Z"), guard=timedelta(minutes=10))
    assert found == Window(is_open=False, until=_utc("2026-11-25T13:00Z"))


def test_skips_what_is_shorter_than_the_guard():
    hours = Hours(time(9), time(9, 10))
    now = _utc("2026-11-24T00:00Z")
    assert window(zones=NEW_YORK, hours=hours, now=now, guard=timedelta(minutes=10)).until is None
    assert window(zones=NEW_YORK, hours=hours, now=now, guard=timedelta(minutes=9)).until == _utc("2026-11-24T14:00Z")


def test_never_opens_for_zones_that_have_no_hour_in_common():
    found = window(
        zones="Asia/Tokyo|Europe/London",
        hours=Hours(time(9), time(12)),
        now=_utc("2026-11-24T12:00Z"),
        guard=NO_GUARD,
    )
    assert found == Window(is_open=False, until=None)


def test_looks_two_weeks_ahead_and_no_further():
    only_day = Weekly(
        (((time(9), time(20)),),) * 7,
        tuple(date(2026, 11, 1) + timedelta(days=n) for n in range(40) if n != 30),
    )
    opens = _utc("2026-12-01T09:00Z")

    def at(now):
        return window(zones="UTC", hours=only_day, now=now, guard=NO_GUARD).until

    assert at(opens - HORIZON) == opens
    assert at(opens - HORIZON - timedelta(minutes=1)) is None


@pytest.mark.parametrize(("start", "end"), [((21, 0), (8, 0)), ((9, 0), (9, 0)), ((9, 0), (8, 59))])
def test_refuses_hours_that_end_before_they_begin(start, end):
    with pytest.raises(ValueError, match="allowed hours"):
        Hours(time(*start), time(*end))


def test_reads_midnight_as_the_end_of_the_day():
    all_day = Hours(time(0), time(0))
    now = _utc("2026-11-24T12:34Z")
    found = window(zones=UNKNOWN_US, hours=all_day, now=now, guard=NO_GUARD)
    assert found.is_open
    assert found.until is not None
    assert found.until > now + HORIZON
    evening = Hours(time(18), time(0))
    assert window(zones="UTC", hours=evening, now=now, guard=NO_GUARD).until == _utc("2026-11-24T18:00Z")


def test_answers_for_each_key_of_a_batch():
    now = _utc("2026-11-24T13:30Z")
    found = windows(zones_keys=[NEW_YORK, AREA_850, "", NEW_YORK], hours=FLORIDA, now=now, guard=NO_GUARD)
    assert {key: value.is_open for key, value in found.items()} == {
        NEW_YORK: True,
        AREA_850: False,
        "": False,
    }


@pytest.mark.parametrize(
    ("wall", "zone", "instant"),
    [
        ("2027-03-14T02:30", "America/New_York", "2027-03-14T07:30Z"),
        ("2026-11-01T01:30", "America/New_York", "2026-11-01T05:30Z"),
        ("2027-03-14T02:30", "America/Phoenix", "2027-03-14T09:30Z"),
        ("2027-03-28T01:30", "Europe/London", "2027-03-28T01:30Z"),
        ("2026-10-25T01:30", "Europe/London", "2026-10-25T00:30Z"),
        ("2027-10-03T02:15", "Australia/Lord_Howe", "2027-10-02T15:45Z"),
        # These two need zone rules of 2026 or later.
        ("2026-12-01T09:00", "America/Vancouver", "2026-12-01T16:00Z"),
        ("2026-12-01T09:00", "America/Edmonton", "2026-12-01T15:00Z"),
    ],
)
def test_reads_a_wall_time_as_the_decisions_for_clock_changes_say(wall, zone, instant):
    at = local_instant(wall=datetime.fromisoformat(wall), zone=ZoneInfo(zone))
    assert at == _utc(instant)
    assert at.tzinfo is UTC


# Every kind of clock change: north, south, half an hour, two hours, at midnight, none.
_ZONES = st.lists(
    st.sampled_from(
        [
            "America/New_York", "America/Chicago", "America/Phoenix", "America/Adak",
            "America/St_Johns", "America/Santiago", "America/Havana", "America/Vancouver",
            "Australia/Lord_Howe", "Africa/Cairo", "Africa/Casablanca", "Antarctica/Troll",
            "Asia/Beirut", "Asia/Kathmandu", "Europe/London", "Pacific/Chatham",
            "Pacific/Kiritimati", "Pacific/Pago_Pago",
        ]
    ),
    min_size=1, max_size=3, unique=True,
)  # fmt: skip
_CLOCK_CHANGES = [
    _utc(text)
    for text in (
        "2026-11-01T06:00Z", "2027-03-14T07:00Z", "2027-03-28T01:00Z", "2026-10-25T01:00Z",
        "2027-04-03T15:00Z", "2027-10-02T15:30Z", "2027-04-04T03:00Z", "2027-09-05T04:00Z",
        "2027-04-29T22:00Z", "2027-10-28T21:00Z", "2027-02-07T02:00Z", "2027-03-14T05:00Z",
    )
]  # fmt: skip
_NOWS = st.builds(
    lambda base, minutes: base + timedelta(minutes=minutes),
    st.sampled_from([*_CLOCK_CHANGES, _utc("2027-06-15T12:00Z")]),
    st.integers(-36 * 60, 36 * 60),
)
_TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))


@st.composite
def _hours(draw) -> Hours:
    start, end = sorted([draw(_TIMES), draw(_TIMES)])
    if start == end:
        end = time(0)
    return Hours(start, end)


def _is_allowed(zones: str, hours: Hours, instant: datetime) -> bool:
    """The definition, without any cleverness."""
    for zone in zone_infos(zones):
        wall = instant.astimezone(zone).time()
        if not (hours.start <= wall and (wall < hours.end or hours.end == time(0))):
            return False
    return True


def _minutes(start: datetime, end: datetime) -> Iterator[datetime]:
    while start < end:
        yield start
        start += timedelta(minutes=1)


@settings(max_examples=120, deadline=None)
@given(zones=_ZONES.map(sorted).map("|".join), hours=_hours(), now=_NOWS)
def test_agrees_with_a_look_at_every_minute(zones, hours, now):
    found = window(zones=zones, hours=hours, now=now, guard=NO_GUARD)
    assert found.is_open is _is_allowed(zones, hours, now)
    horizon = now + timedelta(days=3)
    until = found.until if found.until is not None and found.until < horizon else horizon
    changed = [minute for minute in _minutes(now, until) if _is_allowed(zones, hours, minute) != found.is_open]
    assert changed == []
    if until is found.until:
        assert _is_allowed(zones, hours, until) is not found.is_open


@settings(max_examples=80, deadline=None)
@given(
    zones=_ZONES.map(sorted).map("|".join),
    hours=_hours(),
    now=_NOWS,
    guard=st.integers(0, 90).map(lambda minutes: timedelta(minutes=minutes)),
)
def test_leaves_the_guard_before_anything_closes(zones, hours, now, guard):
    found = window(zones=zones, hours=hours, now=now, guard=guard)
    start = now if found.is_open else found.until
    if start is None:
        return
    assert all(_is_allowed(zones, hours, minute) for minute in _minutes(start, start + guard))
    if found.is_open:
        assert found.until is not None
        assert now < found.until
        assert _is_allowed(zones, hours, found.until + guard - timedelta(seconds=1))
