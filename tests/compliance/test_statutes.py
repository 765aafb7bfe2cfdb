"""The table of hours is what the sources say: every row of the research, at every edge, on the days it holds."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from compliance import hours
from compliance.data import npa, states, statutes
from compliance.law import Basis, OwnHours

ALWAYS = hours.Terms(Basis.STATES, OwnHours(time(0), time(0)))
MONDAY, SATURDAY, SUNDAY = date(2026, 11, 23), date(2026, 11, 28), date(2026, 11, 29)
THANKSGIVING = date(2026, 11, 26)

# State: Monday to Friday, Saturday, Sunday, whether holidays are barred (research note §2.4), its statute.
TABLE = {
    "AL": ("08-20", "08-20", None, True, "770-X-5-.17"),
    "CT": ("09-20", "09-20", "09-20", False, "42-288a"),
    "FL": ("08-20", "08-20", "08-20", False, "501.616(6)"),
    "IN": ("08-21", "08-21", "08-21", False, "24-5-14-8"),
    "KY": ("10-21", "10-21", "10-21", False, "367.46955"),
    "LA": ("08-20", "08-20", None, True, "R-29617"),
    "MA": ("08-20", "08-20", "08-20", False, "c.159C"),
    "MD": ("08-20", "08-20", "08-20", False, "14-4502"),
    "ME": ("08-21", "08-21", "08-21", False, "1498(3)"),
    "MI": ("09-21", "09-21", "09-21", False, "750.540e"),
    "MN": ("09-21", "09-21", "09-21", False, "325E.30"),
    "MS": ("08-20", "08-20", None, True, "77-3-723"),
    "NJ": ("08-21", "08-21", "08-21", False, "56:8-128"),
    "NM": ("09-21", "09-21", "09-21", False, "57-12-22"),
    "NV": ("09-20", "09-20", "09-20", False, "598.0918"),
    "OK": ("08-20", "08-20", "08-20", False, "775C.4"),
    "OR": ("08-20", "08-20", "08-20", False, "646.563"),
    "PA": ("09-19", "09-19", None, True, "Act 47"),
    "RI": ("09-18", "10-17", None, True, "5-61-2"),
    "SD": ("09-21", "09-21", None, False, "37-30A-3"),
    "TX": ("09-21", "09-21", "12-21", False, "301.051"),
    "UT": ("08-21", "08-21", None, True, "13-25a-103"),
    "WA": ("08-20", "08-20", "08-20", False, "80.36.390"),
    "WY": ("08-20", "08-20", "08-20", False, "40-12-302"),
    "CA": ("08-21", "08-21", "08-21", False, "64.1200"),
    **dict.fromkeys(
        ["IL", "NC", "NY", "SC", "VA", "WI", "ND", "MT", "MO", "TN", "HI", "WV", "DC", "GA", "NE"],
        ("08-21", "08-21", "08-21", False, "federal hours (47 CFR 64.1200(c)(1)); state citation not researched"),
    ),
    # No row of their own: federal.
    **dict.fromkeys(
        ["AK", "AR", "AZ", "CO", "DE", "IA", "ID", "KS", "NH", "OH", "VT", "PR", "VI", "GU", "MP", "AS", "US"],
        ("08-21", "08-21", "08-21", False, "64.1200"),
    ),
}
COUNTRIES = {
    "de": ("09-20", "09-20", None),
    "ca": ("09-21:30", "10-18", "10-18"),
    "fr": ("08-22", "08-22", None),
    "gb": ("09-20", "09-20", "09-20"),
    "be": ("09-20", "09-20", "09-20"),
    "au": ("09-20", "09-20", "09-20"),
    "br": ("08-21", "08-21", "08-21"),
    "mx": ("08-20", "08-20", "08-20"),
    "kz": ("09-22", "09-22", "09-22"),
}
ZONES = {
    "US": "America/New_York", "de": "Europe/Berlin", "ca": "America/Toronto", "fr": "Europe/Paris",
    "gb": "Europe/London", "be": "Europe/Brussels", "au": "Australia/Sydney", "br": "America/Sao_Paulo",
    "mx": "America/Mexico_City", "kz": "Asia/Almaty",
}  # fmt: skip


def is_open(place, zone, day, wall):
    now = datetime.combine(day, wall, ZoneInfo(zone)).astimezone(UTC)
    return hours.window(key=f"{zone};{place}", terms=ALWAYS, now=now, guard=timedelta()).is_open


def minutes(text):
    hour, _, minute = text.partition(":")
    return time(int(hour), int(minute or 0))


def before(wall):
    return (datetime.combine(MONDAY, wall) - timedelta(minutes=1)).time()


def check_edges(place, zone, day, span):
    if span is None:
        assert not any(is_open(place, zone, day, time(hour)) for hour in range(24))
        return
    start, end = map(minutes, span.split("-"))
    assert not is_open(place, zone, day, before(start))
    assert is_open(place, zone, day, start)
    assert is_open(place, zone, day, before(end))
    assert not is_open(place, zone, day, end)


@pytest.mark.parametrize("state", sorted(TABLE))
def test_a_state_allows_its_hours_start_inclusive_and_end_exclusive(state):
    weekdays, saturday, sunday, bars_holidays, citation = TABLE[state]
    zone = ZONES.get(state) or min(npa.STATE_ZONES[state])
    for day, span in ((MONDAY, weekdays), (SATURDAY, saturday), (SUNDAY, sunday)):
        check_edges(state, zone, day, span)
    check_edges(state, zone, THANKSGIVING, None if bars_holidays else weekdays)
    [row] = statutes.in_force(state, MONDAY)
    assert citation in row.source


@pytest.mark.parametrize("country", sorted(COUNTRIES))
def test_a_country_allows_its_hours(country):
    for day, span in zip((MONDAY, SATURDAY, SUNDAY), COUNTRIES[country], strict=True):
        check_edges(country, ZONES[country], day, span)


def test_every_state_and_territory_is_in_the_table():
    assert set(TABLE) - {"US"} == set(states.NAMES) == set(npa.STATE_ZONES)


@pytest.mark.parametrize(
    ("state", "day", "span", "rule"),
    [
        # Act 47 of 2026: from a Sunday on there are no Sundays.
        ("PA", date(2026, 10, 11), "08-21", "PA"),
        ("PA", date(2026, 10, 17), "08-21", "PA"),
        ("PA", date(2026, 10, 18), None, "PA/2026-10-18"),
        ("PA", date(2026, 10, 19), "09-19", "PA/2026-10-18"),
        ("PA", date(2026, 9, 7), None, "PA"),  # Labor Day, before
        ("TX", date(2025, 8, 31), "08-21", "US"),
        ("TX", date(2025, 9, 1), "09-21", "TX/2025-09-01"),
        ("OR", date(2025, 12, 31), "08-21", "US"),
        ("OR", date(2026, 1, 1), "08-20", "OR/2026-01-01"),
    ],
)
def test_a_rule_holds_from_its_date_to_its_end(state, day, span, rule):
    check_edges(state, min(npa.STATE_ZONES[state]), day, span)
    assert [row.id for row in statutes.in_force(state, day)] == [rule]


def test_no_two_rows_of_a_jurisdiction_hold_on_one_day():
    for on in (date(2025, 1, 1), date(2026, 6, 1), date(2026, 10, 17), date(2026, 10, 18), date(2027, 6, 1)):
        named = [row.jurisdiction for row in statutes.table(on)]
        assert len(named) == len(set(named))
    assert len({row.id for row in statutes.STATUTES}) == len(statutes.STATUTES)


def test_no_state_allows_what_the_federal_rule_forbids():
    for row in statutes.STATUTES:
        if statutes.is_state(row.jurisdiction):
            for span in (row.weekdays, row.saturday, row.sunday):
                assert span is None or (time(8) <= span[0] and span[1] <= time(21))


def test_caps_and_what_consent_may_lift_are_those_of_the_research():
    rows = statutes.table(MONDAY)
    assert {row.jurisdiction for row in rows if row.cap} == {"FL", "MD", "OK", "OR"}
    assert {row.jurisdiction for row in rows if row.consent_relaxes} == {"TX", "UT", "VA", "RI", "OR"}
    assert {row.confidence for row in rows} <= set("ABCDQ")
    assert all(row.citation for row in rows)


@pytest.mark.parametrize(
    ("state", "day", "name"),
    [
        ("AL", "2027-02-09", "Mardi Gras"),
        ("AL", "2027-06-07", "Jefferson Davis Birthday"),
        ("LA", "2027-02-09", "Mardi Gras"),
        ("LA", "2027-03-26", "Good Friday"),
        ("LA", "2027-11-01", "All Saints' Day"),
        ("PA", "2027-03-26", "Good Friday"),
        ("PA", "2027-06-14", "Flag Day"),
        ("PA", "2027-11-02", "Election Day"),
        ("PA", "2026-11-03", "Election Day"),
        ("RI", "2027-08-09", "Victory Day"),
        ("RI", "2026-11-26", "Thanksgiving Day"),
        ("UT", "2027-07-24", "Pioneer Day"),
        ("MS", "2027-11-25", "Thanksgiving Day"),
        # The day itself and the one it is observed on.
        ("PA", "2027-07-04", "Independence Day"),
        ("PA", "2027-07-05", "Independence Day (observed)"),
        ("UT", "2027-07-23", "Pioneer Day (observed)"),
        ("LA", "2026-11-02", "All Saints' Day (observed)"),
        ("AL", "2027-12-31", "New Year's Day (observed)"),
        ("ca", "2027-07-01", "Canada Day"),
        ("fr", "2027-07-14", "National Day"),
    ],
)
def test_knows_a_holiday(state, day, name):
    assert statutes.holiday(state, date.fromisoformat(day)) == name
    zone = ZONES.get(state) or min(npa.STATE_ZONES[state])
    check_edges(state, zone, date.fromisoformat(day), None)


def test_knows_the_holidays_of_every_state_that_bars_them_for_years():
    barring = {row.jurisdiction for row in statutes.STATUTES if row.bars_holidays}
    for place in barring:
        for year in range(2026, 2031):
            days = dict(statutes.holidays(place, year))
            assert len(days) >= 9, (place, year)
            assert date(year, 12, 25) in days
    assert statutes.holidays_known_until() == date(2030, 12, 31)


def test_says_a_rule_in_words():
    [florida] = statutes.in_force("FL", MONDAY)
    assert florida.told(MONDAY) == "FL 08-20 Fla. Stat. 501.616(6)"
    [island] = statutes.in_force("RI", MONDAY)
    assert island.told(THANKSGIVING).startswith("RI no texts on Thanksgiving Day R.I. Gen. Laws")
    assert island.told(SUNDAY).startswith("RI no texts on Sundays")
    [canada] = statutes.in_force("ca", MONDAY)
    assert canada.told(MONDAY).startswith("ca 09-21:30")


@pytest.mark.parametrize(
    ("text", "code"),
    [("FL", "FL"), ("fl", "FL"), (" Florida ", "FL"), ("new  york", "NY"), ("D.C.", "DC"), ("Washington, D.C.", "DC"),
     ("US-TX", "TX"), ("u.s. virgin islands", "VI"), ("Ontario", ""), ("", ""), ("active", "")],
)  # fmt: skip
def test_reads_a_state_as_people_write_it(text, code):
    assert states.read(text) == code
