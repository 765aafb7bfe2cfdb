#!/usr/bin/env python3
"""Writes compliance/data/holidays.csv: the days on which a state's law bars texts. Once a year, then review the diff.

    pip install --target /tmp/holidays holidays==0.108
    PYTHONPATH=/tmp/holidays python .ci/refresh_holidays.py 2026 2030

The package gives most days, with the day on which each is observed; both are barred. What it misses is added here, and
the federal holidays are added to every state: a day too many costs little. What a governor proclaims in the year is
entered as a regional hold.
"""

import csv
import sys
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path

import holidays
from dateutil.easter import easter

FILE = Path(__file__).resolve().parent.parent / "compliance" / "data" / "holidays.csv"
STATES = ("AL", "LA", "MS", "PA", "RI", "UT")


def missed(state: str, year: int) -> dict[date, str]:
    """What the package does not know (checked with 0.108)."""
    november = date(year, 11, 1)
    first_monday = november + timedelta(days=-november.weekday() % 7)
    found = {
        "AL": {easter(year) - timedelta(days=47): "Mardi Gras"},
        "LA": {november: "All Saints' Day"},
        "PA": {
            easter(year) - timedelta(days=2): "Good Friday",
            date(year, 6, 14): "Flag Day",
            first_monday + timedelta(days=1): "Election Day",
        },
    }.get(state, {})
    shift = {5: -1, 6: 1}  # a Saturday is observed on Friday, a Sunday on Monday
    observed = {
        day + timedelta(days=shift[day.weekday()]): f"{name} (observed)"
        for day, name in found.items()
        if day.weekday() in shift
    }
    return {**observed, **found}


def days_of(jurisdiction: str, year: int) -> dict[date, str]:
    """Every barred day of a year."""
    if jurisdiction == "ca":
        provinces = holidays.CA.subdivisions
        return union(holidays.CA(subdiv=each, years=year) for each in (None, *provinces))
    if jurisdiction == "fr":
        return union(holidays.FR(subdiv=each, years=year) for each in (None, "57", "6AE"))
    own = holidays.US(subdiv=jurisdiction, years=year)
    return union([holidays.US(years=year), missed(jurisdiction, year), own])


def union(several: Iterable[Mapping[date, str]]) -> dict[date, str]:
    """The days of all of them; the later ones give the names."""
    found: dict[date, str] = {}
    for each in several:
        found.update(each)
    return found


def main() -> None:
    """Write the file for the years from the first to the last."""
    first, last = (int(word) for word in sys.argv[1:3])
    rows = sorted(
        (jurisdiction, day.isoformat(), name.replace("; ", " / "))
        for jurisdiction in (*STATES, "ca", "fr")
        for year in range(first, last + 2)  # New Year's Day of the year after may be observed in this one
        for day, name in days_of(jurisdiction, year).items()
        if first <= day.year <= last
    )
    with FILE.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(("state", "date", "name"))
        out.writerows(dict.fromkeys(rows))


if __name__ == "__main__":
    main()
