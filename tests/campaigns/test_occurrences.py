from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.occurrences import (
    PastPolicy,
    check_crontab,
    latest_due,
    latest_instant,
    latest_opening,
    next_due,
    planned_instant,
    to_minute,
)
from compliance.quiet_hours import local_instant

NEW_YORK = ZoneInfo("America/New_York")


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("instant", "minute"),
    [
        ("2026-11-21T09:00:00Z", "2026-11-21T09:00Z"),
        ("2026-11-21T09:00:00.000001Z", "2026-11-21T09:01Z"),
        ("2026-11-21T09:00:59Z", "2026-11-21T09:01Z"),
        ("2026-12-31T23:59:01Z", "2027-01-01T00:00Z"),
    ],
)
def test_rounds_up_to_the_minute(instant, minute):
    assert to_minute(_utc(instant)) == _utc(minute)


@pytest.mark.parametrize(
    ("zones", "instant"),
    [
        ("America/New_York", "2026-11-23T14:00Z"),
        ("America/Chicago|America/New_York", "2026-11-23T15:00Z"),
        ("", "2026-11-23T19:00Z"),  # the unknown person: 09:00 in Honolulu
    ],
)
def test_takes_the_latest_of_the_zones(zones, instant):
    assert latest_instant(wall=_wall("2026-11-23T09:00"), zones=zones) == _utc(instant)


@pytest.mark.parametrize(
    ("now", "policy", "planned"),
    [
        ("2026-11-23T13:00Z", "skip", "2026-11-23T14:00Z"),
        ("2026-11-23T14:00Z", "skip", "2026-11-23T14:00Z"),
        ("2026-11-23T14:00:01Z", "skip", None),
        ("2026-11-23T14:00:01Z", "send_now", "2026-11-23T14:01Z"),
        ("2026-11-23T14:00:01Z", "next_day", "2026-11-24T14:00Z"),
        ("2026-11-26T13:59Z", "next_day", "2026-11-26T14:00Z"),
        ("2026-11-26T14:01Z", "next_day", "2026-11-27T14:00Z"),
        ("2027-03-14T12:59Z", "next_day", "2027-03-14T13:00Z"),  # 09:00 again, in summer time
        ("2027-03-14T13:01Z", "next_day", "2027-03-15T13:00Z"),
    ],
)
def test_plans_for_those_whose_time_has_passed(now, policy, planned):
    found = planned_instant(
        wall=_wall("2026-11-23T09:00"),
        zones="America/New_York",
        now=_utc(now),
        past_policy=policy,
    )
    assert found == (None if planned is None else _utc(planned))


def test_keeps_the_wall_time_across_a_clock_change():
    found = planned_instant(
        wall=_wall("2026-10-31T09:00"),
        zones="America/New_York",
        now=_utc("2026-10-31T13:30Z"),
        past_policy=PastPolicy.NEXT_DAY,
    )
    assert found == _utc("2026-11-01T14:00Z")  # 25 hours after 2026-10-31T13:00Z


def test_refuses_a_policy_it_does_not_know():
    with pytest.raises(ValueError, match="never"):
        planned_instant(
            wall=_wall("2026-11-23T09:00"), zones="UTC", now=_utc("2027-01-01T00:00Z"),
            past_policy="never",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("crontab", "zone", "after", "now", "text", "at"),
    [
        # Exactly on time, too early, and already fired.
        ("0 9 * * *", "America/New_York", "2026-11-20T00:00Z", "2026-11-21T14:00Z",
         "2026-11-21T09:00", "2026-11-21T14:00Z"),
        ("0 9 * * *", "America/New_York", "2026-11-20T15:00Z", "2026-11-21T13:59:59Z", None, None),
        ("0 9 * * *", "America/New_York", "2026-11-21T14:00Z", "2026-11-21T20:00Z", None, None),
        # Three days missed: only the latest.
        ("0 9 * * *", "America/New_York", "2026-11-18T14:00Z", "2026-11-21T14:00:30Z",
         "2026-11-21T09:00", "2026-11-21T14:00Z"),
        ("*/15 9-17 * * MON-FRI", "Europe/London", "2026-11-20T00:00Z", "2026-11-22T12:00Z",
         "2026-11-20T17:45", "2026-11-20T17:45Z"),
        # 01:30 is shown twice and fires at its first showing only.
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00Z", "2026-11-01T05:30Z",
         "2026-11-01T01:30", "2026-11-01T05:30Z"),
        ("30 1 * * *", "America/New_York", "2026-11-01T05:30Z", "2026-11-01T06:30Z", None, None),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00Z", "2026-11-01T06:31Z",
         "2026-11-01T01:30", "2026-11-01T05:30Z"),
        # 02:30 is skipped and fires an hour later by the clock.
        ("30 2 * * *", "America/New_York", "2027-03-13T12:00Z", "2027-03-14T07:29Z", None, None),
        ("30 2 * * *", "America/New_York", "2027-03-13T12:00Z", "2027-03-14T07:30Z",
         "2027-03-14T02:30", "2027-03-14T07:30Z"),
        ("30 2 * * *", "America/New_York", "2027-03-14T07:30Z", "2027-03-14T23:00Z", None, None),
        # Hourly: the skipped 02:30 and 03:30 fall together; one fires.
        ("30 * * * *", "America/New_York", "2027-03-14T06:30Z", "2027-03-14T07:45Z",
         "2027-03-14T03:30", "2027-03-14T07:30Z"),
        ("15 2 * * *", "Australia/Lord_Howe", "2027-10-02T00:00Z", "2027-10-02T16:00Z",
         "2027-10-03T02:15", "2027-10-02T15:45Z"),
        ("0 12 29 2 *", "UTC", "2026-01-01T00:00Z", "2028-03-01T00:00Z",
         "2028-02-29T12:00", "2028-02-29T12:00Z"),
    ],
)  # fmt: skip
def test_finds_the_latest_occurrence_that_is_due(crontab, zone, after, now, text, at):
    found = latest_due(crontab=crontab, zone=ZoneInfo(zone), after=_utc(after), now=_utc(now))
    if text is None:
        assert found is None
        return
    assert found is not None
    assert (found.text, found.wall, found.at) == (text, _wall(text), _utc(at))


@pytest.mark.parametrize(
    ("crontab", "after", "text", "at"),
    [
        ("0 9 * * *", "2026-11-21T13:59Z", "2026-11-21T09:00", "2026-11-21T14:00Z"),
        ("0 9 * * *", "2026-11-21T14:00Z", "2026-11-22T09:00", "2026-11-22T14:00Z"),
        ("30 1 * * *", "2026-11-01T05:30Z", "2026-11-02T01:30", "2026-11-02T06:30Z"),
        ("30 2 * * *", "2027-03-14T05:00Z", "2027-03-14T02:30", "2027-03-14T07:30Z"),
        ("0,30 2,3 * * *", "2027-03-14T06:59Z", "2027-03-14T02:00", "2027-03-14T07:00Z"),
    ],
)
def test_finds_the_next_occurrence(crontab, after, text, at):
    found = next_due(crontab=crontab, zone=NEW_YORK, after=_utc(after))
    assert found is not None
    assert (found.text, found.at) == (text, _utc(at))


def test_finds_no_next_occurrence_of_a_day_that_never_comes():
    never = "0 0 */28 2 MON#2"
    assert next_due(crontab=never, zone=NEW_YORK, after=_utc("2026-01-01T00:00Z")) is None
    assert check_crontab(never).startswith("day of month:")


@pytest.mark.parametrize(
    ("after", "now", "text"),
    [
        ("2026-11-10T00:00Z", "2026-11-20T18:59Z", "2026-11-21T09:00"),
        ("2026-11-19T18:00Z", "2026-11-20T17:59Z", None),
        ("2026-11-19T18:00Z", "2026-11-20T18:00Z", "2026-11-21T09:00"),
        ("2026-11-20T18:00Z", "2026-11-21T17:59Z", None),
    ],
)
def test_opens_a_local_schedule_before_the_first_clock_on_earth_reaches_it(after, now, text):
    # 2026-11-21 09:00 at UTC+14 is 2026-11-20T19:00Z.
    found = latest_opening(crontab="0 9 * * *", after=_utc(after), now=_utc(now), lead=timedelta(hours=1))
    assert (found.text if found else None) == text
    if found:
        first = local_instant(wall=found.wall, zone=ZoneInfo("Pacific/Kiritimati"))
        assert found.at == first - timedelta(hours=1)


@pytest.mark.parametrize(
    ("crontab", "named"),
    [
        ("61 9 * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 9 32 * *", "day of month"),
        ("0 9 0 * *", "day of month"),
        ("0 9 * 13 *", "month"),
        ("0 9 * * 8", "day of week"),
        ("0 9 * * FUNDAY", "day of week"),
        ("0 9 31 2,4 *", "day of month"),
        ("x 9 * * *", "minute"),
        ("0 */0 * * *", "hour"),
        ("0 17-9 * * *", "hour"),
        ("0 9 * *", "five fields"),
        ("0 0 9 * * *", "five fields"),
        ("", "five fields"),
        ("@daily", "five fields"),
    ],
)
def test_names_the_field_of_a_crontab_that_is_wrong(crontab, named):
    assert check_crontab(crontab).startswith(("a schedule has " + named, named + ":"))


@pytest.mark.parametrize(
    "crontab",
    ["0 9 * * *", "*/15 9-17 * * mon-fri", "0 9 L * *", "0 9 LW * *", "0 9 * * MON#1",
     "0 9 1,15 JAN-JUN 7", "  0   9 * * *  ", "0 9 29 2 *"],
)  # fmt: skip
def test_accepts_a_crontab(crontab):
    assert check_crontab(crontab) == ""


_ZONES = st.sampled_from(
    ["America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Havana", "Africa/Cairo",
     "Asia/Kathmandu", "Antarctica/Troll", "America/Santiago"]
).map(ZoneInfo)  # fmt: skip
_CRONTABS = st.sampled_from(
    [
        "30 1 * * *",
        "30 2 * * *",
        "0 * * * *",
        "*/20 0-4 * * *",
        "15 0 * * SUN",
        "0 9 * * *",
        "59 23 * * SAT",
    ]
)
_NIGHTS = st.sampled_from(
    ["2026-11-01T06:00Z", "2027-03-14T07:00Z", "2027-03-28T01:00Z", "2027-10-02T15:30Z",
     "2027-04-29T22:00Z", "2027-10-28T21:00Z", "2027-09-05T04:00Z"]
).map(_utc)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    crontab=_CRONTABS,
    zone=_ZONES,
    night=_NIGHTS,
    steps=st.lists(st.integers(1, 200), min_size=5, max_size=40),
)
def test_fires_each_occurrence_once_however_often_it_is_asked(crontab, zone, night, steps):
    """A beat that asks at irregular instants through a night of clock changes."""
    now = night - timedelta(hours=30)
    last = now
    fired = []
    for step in steps:
        now += timedelta(minutes=step)
        found = latest_due(crontab=crontab, zone=zone, after=last, now=now)
        if found is not None:
            assert last < found.at <= now
            last = found.at
            fired.append(found)
            upcoming = next_due(crontab=crontab, zone=zone, after=found.at - timedelta(seconds=1))
            assert upcoming is not None
            assert upcoming.at == found.at
        else:
            upcoming = next_due(crontab=crontab, zone=zone, after=last)
            assert upcoming is not None
            assert upcoming.at > now
    assert len({each.text for each in fired}) == len(fired)
    assert all(each.at == local_instant(wall=each.wall, zone=zone) for each in fired)
