"""Windows of limits, and how rows fit into them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from compliance import cap_windows, policy
from compliance.cap_windows import Key, Open, Quota

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "now", "starts", "ends"),
    [
        ("America/New_York", "2026-06-01T17:00", "2026-06-01T04:00", "2026-06-02T04:00"),
        ("America/New_York", "2026-03-08T17:00", "2026-03-08T05:00", "2026-03-09T04:00"),  # 23 hours
        ("America/New_York", "2026-11-01T17:00", "2026-11-01T04:00", "2026-11-02T05:00"),  # 25 hours
        ("America/Los_Angeles", "2026-11-22T07:59", "2026-11-21T08:00", "2026-11-22T08:00"),  # T-Mobile's day
        ("America/Los_Angeles", "2026-11-22T08:00", "2026-11-22T08:00", "2026-11-23T08:00"),
        ("America/Vancouver", "2026-12-01T12:00", "2026-12-01T07:00", "2026-12-02T07:00"),  # tzdata of 2026
        ("Pacific/Kiritimati", "2026-06-01T09:59", "2026-05-31T10:00", "2026-06-01T10:00"),
    ],
)
def test_a_day_is_from_midnight_to_midnight_in_its_zone(zone, now, starts, ends):
    read = datetime.fromisoformat
    found = cap_windows.day(ZoneInfo(zone), read(now).replace(tzinfo=UTC))
    assert found == (read(starts).replace(tzinfo=UTC), read(ends).replace(tzinfo=UTC))


def quota(name, amount, *, unit="messages", carrier="", hours=24):
    key = Key(name, BEGIN, BEGIN + timedelta(hours=hours), unit, carrier)
    return Quota(key, 1, amount, policy.DAILY_CAP, name)


def fit(quotas, used, rows):
    """Rows are numbers of segments; return those granted and whose quota stopped the others."""
    windows = {quota.key: Open(n, used.get(quota.key.holder, 0)) for n, quota in enumerate(quotas)}
    granted, refused = cap_windows.fit(
        quotas, windows, rows, lambda quota, row: row if quota.key.unit == "segments" else 1
    )
    return [row for row, _ in granted], [(row, quota.whose) for row, quota, _ in refused]


@pytest.mark.parametrize(
    ("quotas", "used", "rows", "granted", "refused"),
    [
        ([quota("a", 2)], {}, [1, 1, 1], [1, 1], [(1, "a")]),
        ([quota("a", 2)], {"a": 2}, [1], [], [(1, "a")]),
        ([quota("a", 2)], {"a": 5}, [1], [], [(1, "a")]),  # above it, by proof
        ([quota("a", None)], {"a": 5}, [1, 1], [1, 1], []),
        ([quota("a", 0)], {}, [1], [], [(1, "a")]),
        ([quota("a", 4, unit="segments")], {}, [3, 2, 1], [3, 1], [(2, "a")]),
        ([quota("a", 2), quota("b", 1)], {}, [1, 1], [1], [(1, "b")]),
        # of those that stop it, the one that ends last is named
        ([quota("a", 1, hours=1), quota("b", 1)], {}, [1, 1], [1], [(1, "b")]),
        ([quota("a", 9), quota("b", 3, unit="segments")], {}, [2, 2, 1], [2, 1], [(2, "b")]),
    ],
)
def test_grants_by_position_while_there_is_room_everywhere(quotas, used, rows, granted, refused):
    assert fit(quotas, used, rows) == (granted, refused)


@pytest.mark.parametrize("amounts", [(None,), (2,), (0,), (9,), (3, 2), (2, None), (-1,), (5, 5)])
@pytest.mark.parametrize("used", [0, 1, 5])
def test_one_each_is_the_same_as_counting_row_by_row(amounts, used):
    quotas = [quota(str(n), amount, hours=24 - n) for n, amount in enumerate(amounts)]
    windows = {each.key: Open(n, used + n) for n, each in enumerate(quotas)}
    rows = ["a", "b", "c", "d"]
    assert cap_windows.fit_one_each(quotas, windows, rows) == cap_windows.fit(quotas, windows, rows, lambda *_: 1)


def test_two_limits_of_one_window_are_counted_once_and_the_strictest_holds():
    first, second = quota("a", 5), quota("a", 2)
    windows = {first.key: Open(1, 0)}
    granted, refused = cap_windows.fit([first, second], windows, [1, 2, 3], lambda *_: 1)
    assert [(row, needs) for row, needs in granted] == [(1, {first.key: 1}), (2, {first.key: 1})]
    assert len(refused) == 1
    assert cap_windows.amounts([first, second]) == {first.key: 2}


def test_carriers_are_counted_in_hundredths():
    limit = quota("a", 1, unit="segments", carrier="t-mobile")
    windows = {limit.key: Open(1, 35)}
    granted, refused = cap_windows.fit([limit], windows, ["x", "y"], lambda *_: 35)
    assert len(granted) == 1
    [(_, _, words)] = refused
    assert words == "1 of 1 segments to t-mobile today used (a), next at 2026-11-23 00:00 UTC"


def test_what_costs_nothing_is_never_stopped():
    limit = quota("a", 1, unit="segments", carrier="t-mobile")
    granted, refused = cap_windows.fit([limit], {limit.key: Open(1, 500)}, ["x"], lambda *_: 0)
    assert (len(granted), refused) == (1, [])
