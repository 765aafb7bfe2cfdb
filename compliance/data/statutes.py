"""The hours in which the law lets us text people, by state and country, as dated rows. Data only; marketing is meant.

Each row says from which to which date it holds and where it comes from; a change of the law is a new row and an end for
the old one, never an edit, and gets a new RULES_VERSION: decisions are stored with it. `docs/compliance.md` says how the
rows were found; "confidence" is A (seen at the source) to D (our own decision), Q (a statute as others quote it).
Start inclusive, end exclusive, in local time.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from functools import lru_cache
from pathlib import Path
from typing import Final

RULES_VERSION: Final = "2026-11-21"

FEDERAL: Final = "US"
ABROAD: Final = "xx"
ANY_STATE: Final = "*"
"""The jurisdiction of somebody in the United States of whom only zones are known: every row at once."""

_SATURDAY: Final = 5
_SUNDAY: Final = 6

Span = tuple[time, time]


@dataclass(frozen=True, slots=True)
class Statute:
    """One row: the hours of one jurisdiction while it is in force. `cap`: marketing texts per rolling 24 hours.

    `consent_relaxes` marks what counsel may read as lifted by consent; nothing here acts on it. `is_researched` is not
    so where a state has a statute of its own that was not looked up: the citation is that of the federal hours.
    """

    jurisdiction: str
    weekdays: Span | None
    saturday: Span | None
    sunday: Span | None
    citation: str
    confidence: str
    bars_holidays: bool = False
    cap: int | None = None
    note: str = ""
    effective_from: date | None = None
    effective_to: date | None = None
    consent_relaxes: bool = False
    is_researched: bool = True

    @property
    def source(self) -> str:
        """What counsel is told about where the row comes from."""
        if self.is_researched:
            return self.citation
        return f"federal hours ({self.citation}); state citation not researched"

    @property
    def id(self) -> str:
        """What decisions name: the jurisdiction, and since when where that is known."""
        return f"{self.jurisdiction}/{self.effective_from}" if self.effective_from else self.jurisdiction

    def is_in_force(self, on: date) -> bool:
        return (self.effective_from is None or self.effective_from <= on) and (
            self.effective_to is None or on <= self.effective_to
        )

    def on(self, day: date, /) -> Sequence[Span]:
        """The allowed hours of a local date."""
        if self.bars_holidays and holiday(self.jurisdiction, day):
            return ()
        weekday = day.weekday()
        span = self.sunday if weekday == _SUNDAY else self.saturday if weekday == _SATURDAY else self.weekdays
        return () if span is None else (span,)

    def told(self, day: date) -> str:
        """The rule as it applies on a date: what it is called, its hours or why there are none, and its source."""
        span = next(iter(self.on(day)), None)
        if span is not None:
            return f"{self.id} {spelled(span)} {self.citation}"
        name = holiday(self.jurisdiction, day) if self.bars_holidays else ""
        return f"{self.id} no texts on {name or f'{day:%A}s'} {self.citation}"


@lru_cache(maxsize=1024)
def spelled(span: Span | None) -> str:
    """The hours as people write them: 08-20, 09-21:30."""
    if span is None:
        return "none"
    return "-".join(f"{each:%H}" if not each.minute else f"{each:%H:%M}" for each in span)


def _span(text: str | None) -> Span | None:
    if text is None:
        return None
    start, end = (time(int(part[:2]), int(part[3:] or 0)) for part in text.split("-"))
    return start, end


def _row(
    jurisdiction: str,
    weekdays: str,
    citation: str,
    confidence: str,
    *,
    sat: str | None = "=",
    sun: str | None = "=",
    **more: object,
) -> Statute:
    """A row as the table has it; "=" are the hours of weekdays."""
    return Statute(
        jurisdiction,
        _span(weekdays),
        _span(weekdays if sat == "=" else sat),
        _span(weekdays if sun == "=" else sun),
        citation,
        confidence,
        **more,  # type: ignore[arg-type]  # the names of the dataclass
    )


_FEDERAL_HOURS: Final = "47 CFR 64.1200(c)(1)"
_PA_TEXTS: Final = date(2026, 10, 18)

STATUTES: Final[tuple[Statute, ...]] = (
    _row(FEDERAL, "08-21", _FEDERAL_HOURS, "Q", note="every state without a row, and whoever may be anywhere"),
    _row(
        "AL", "08-20", "Ala. Admin. Code r. 770-X-5-.17(2)", "Q", sun=None, bars_holidays=True,
        note="reach beyond utilities arguable (C)",
    ),
    _row("CT", "09-20", "Conn. Gen. Stat. 42-288a(c)", "Q", note='"mobile" numbers named; one chart still says 09-21'),
    _row(
        "FL", "08-20", "Fla. Stat. 501.616(6)", "Q", cap=3,
        note="FTSA 501.059 needs written consent; 15-day STOP cure before suit on texts (B)",
    ),
    _row("IN", "08-21", "Ind. Code 24-5-14-8", "C", note="the autodialer rule (09-20) is for prerecorded calls"),
    _row("KY", "10-21", "KRS 367.46955(16)", "Q", note='"person\'s residence"'),
    _row(
        "LA", "08-20", "LPSC Gen. Order R-29617 V(A), R.S. 45:811", "B", sun=None, bars_holidays=True,
        note="total ban during a state of emergency, and holidays that the governor adds: see Regional holds;"
        " no consent exemption",
    ),
    _row("MA", "08-20", "M.G.L. c.159C s.3, 201 CMR 12.02(2)", "Q"),
    _row("MD", "08-20", "Md. Com. Law 14-4502(c)", "Q", cap=3),
    _row("ME", "08-21", "10 MRS 1498(3)", "C", note="weekdays 09-17 only for devices that play recordings, not texts"),
    _row("MI", "09-21", "MCL 750.540e(1)(f)", "C", note="contestable (malice)"),
    _row("MN", "09-21", "Minn. Stat. 325E.30", "Q"),
    _row(
        "MS", "08-20", "Miss. Code 77-3-723(1)", "Q", sun=None, bars_holidays=True,
        note="texts covered; the statute says Central Standard Time, we use local time; holidays C",
    ),
    _row(
        "NJ", "08-21", "N.J.S.A. 56:8-128(c)", "Q",
        note="56:8-130 bars unsolicited sales calls to cell phones; vendors that say 08-20 are stricter than the text",
    ),
    _row("NM", "09-21", "NMSA 57-12-22(B)(5)", "Q", note='"received"'),
    _row("NV", "09-20", "NRS 598.0918(3)", "B"),
    _row("OK", "08-20", "15 O.S. 775C.4(A)", "Q", cap=3),
    _row(
        "OR", "08-20", "ORS 646.563 (HB 3865)", "Q", cap=3, effective_from=date(2026, 1, 1), consent_relaxes=True,
        note="an existing business relationship of 18 months is exempt",
    ),
    _row("PA", "08-21", "73 P.S. 2245", "B", bars_holidays=True, effective_to=date(2026, 10, 17)),
    _row(
        "PA", "09-19", "73 P.S. 2245 (Act 47 of 2026)", "B", sun=None, bars_holidays=True, effective_from=_PA_TEXTS,
        note="texts covered; assume that consent changes nothing",
    ),
    _row(
        "RI", "09-18", "R.I. Gen. Laws 5-61-2(2), 5-61-3.6(a)", "Q", sat="10-17", sun=None, bars_holidays=True,
        consent_relaxes=True, note='"mobile" named; "unsolicited"',
    ),
    _row("SD", "09-21", "SDCL 37-30A-3(2)", "B", sun=None, note='"residence"'),
    _row(
        "TX", "09-21", "Bus. & Com. Code 301.051", "Q", sun="12-21", effective_from=date(2025, 9, 1),
        consent_relaxes=True, note="exempts the consumer's express request and existing relationships",
    ),
    _row(
        "UT", "08-21", "Utah Code 13-25a-103(3)", "Q", sun=None, bars_holidays=True, consent_relaxes=True,
        note='"cellular"; only without prior express consent',
    ),
    _row(
        "WA", "08-20", "RCW 80.36.390, 19.158.110(4)", "Q",
        note="CEMA 19.190.060 separately bans unconsented commercial texts",
    ),
    _row("WY", "08-20", "Wyo. Stat. 40-12-302(d)", "Q"),
    _row(
        "CA", "08-21", _FEDERAL_HOURS, "Q",
        note="Pub. Util. Code 2872 (09-21) is for devices with a prerecorded voice, not texts",
    ),
    *(
        _row(state, "08-21", _FEDERAL_HOURS, "Q", is_researched=False, note="a statute of its own with these hours")
        for state in ("DC", "HI", "IL", "MO", "MT", "NC", "ND", "NY", "SC", "TN", "WI", "WV")
    ),
    _row(
        "VA", "08-21", _FEDERAL_HOURS, "Q", is_researched=False, consent_relaxes=True,
        note="a statute of its own with these hours; they may be exceeded with consent",
    ),
    *(
        _row(
            state, "08-21", _FEDERAL_HOURS, "Q", is_researched=False,
            note="a statute of its own with these hours, for announcing devices only",
        )
        for state in ("GA", "NE")
    ),
    # Other countries: mostly vendors' practice. Countries are written small, so that Canada is not California.
    _row(ABROAD, "09-20", "our fallback", "D", sun=None, note="every country without a row"),
    _row(
        "ca", "09-21:30", "CRTC telemarketing hours", "B", sat="10-18", sun="10-18", bars_holidays=True,
        note="made for voice; CASL has no hours for texts; holidays of all provinces",
    ),
    _row(
        "fr", "08-22", "operators block outside", "B", sun=None, bars_holidays=True,
        note="never on Sundays and public holidays; the text must say how to STOP",
    ),
    _row("gb", "09-20", "vendors' practice", "C"),
    _row("be", "09-20", "vendors' practice", "C"),
    _row("au", "09-20", "vendors' practice", "C", note="one vendor's table says 11-20"),
    _row("br", "08-21", "vendors' practice", "C"),
    _row("mx", "08-20", "vendors' practice", "C"),
    _row("kz", "09-22", "vendors' practice", "C"),
)  # fmt: skip


def is_state(jurisdiction: str) -> bool:
    """Whether this is the United States, one of their states or territories, or "any of them"."""
    return jurisdiction == ANY_STATE or jurisdiction.isupper()


@lru_cache(maxsize=4096)
def in_force(jurisdiction: str, on: date) -> tuple[Statute, ...]:
    """Return the rows that bind in a jurisdiction on a date: its own, else the federal one, else that for countries."""
    if jurisdiction == ANY_STATE:
        return tuple(each for each in STATUTES if is_state(each.jurisdiction) and each.is_in_force(on))
    own = tuple(each for each in _BY_JURISDICTION.get(jurisdiction, ()) if each.is_in_force(on))
    return own or _BY_JURISDICTION[FEDERAL if is_state(jurisdiction) else ABROAD]


def table(on: date) -> list[Statute]:
    """Return every row in force on a date, as the table lists them."""
    return [each for each in STATUTES if each.is_in_force(on)]


def holiday(jurisdiction: str, day: date) -> str:
    """Return the name of the day on which nobody in the jurisdiction is texted; "" on other days."""
    return _holidays().get((jurisdiction, day), "")


def holidays(jurisdiction: str, year: int) -> Iterator[tuple[date, str]]:
    """Yield the days and names of a jurisdiction's holidays of a year, in order."""
    yield from sorted((day, name) for (of, day), name in _holidays().items() if of == jurisdiction and day.year == year)


@lru_cache(maxsize=1)
def holidays_known_until() -> date:
    """The last date of the holiday table; it must be refreshed before."""
    return date(max(day.year for _, day in _holidays()), 12, 31)


@lru_cache(maxsize=1)
def _holidays() -> Mapping[tuple[str, date], str]:
    """`holidays.csv`: generated by `.ci/refresh_holidays.py`, then reviewed."""
    with (Path(__file__).parent / "holidays.csv").open(encoding="utf-8", newline="") as file:
        return {(row["state"], date.fromisoformat(row["date"])): row["name"] for row in csv.DictReader(file)}


_BY_JURISDICTION: Final[Mapping[str, tuple[Statute, ...]]] = {
    name: tuple(each for each in STATUTES if each.jurisdiction == name)
    for name in {each.jurisdiction for each in STATUTES}
}
