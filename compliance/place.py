"""Where a person may be: the zones whose clocks must all allow a text.

Zones travel as a *zones key*: IANA names, sorted, joined with "|", so that people who share a key
share one answer. Better knowledge replaces guesses (own zone, then postal code, then area code or
country); signals that contradict each other add up; knowing nothing means every zone of the United
States at once, never "any time is fine". The law behind it is 47 CFR 64.1200(c)(1): "local time
at the called party's location".
"""

import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import phonenumbers

from compliance.data import npa

_UNKNOWN_US: Final = frozenset(
    {
        "America/Anchorage",
        "America/Chicago",
        "America/Denver",
        "America/Los_Angeles",
        "America/New_York",
        "America/Phoenix",
        "America/Puerto_Rico",
        "Pacific/Honolulu",
    }
)
UNKNOWN_US: Final = "|".join(sorted(_UNKNOWN_US))
"""The zones of a person about whom nothing is known: of daytime, 18:00 to 01:00 UTC is left."""

_US_REGIONS: Final = frozenset({"US", "PR", "VI", "GU", "MP", "AS"})
_NANP_AREA: Final = slice(2, 5)
_AREA_DIGITS: Final = 3
_ZIP_DIGITS: Final = 5
# `phonenumbers` answers "somewhere in +1" with all its zones; no single area code spans this many.
_TOO_MANY_ZONES: Final = 10
# Kazakhstan shares +7 with Russia, and `phonenumbers` gives its mobiles the zones of both.
_OWN_ZONES: Final = {"KZ": frozenset({"Asia/Almaty", "Asia/Aqtobe"})}


class ZoneSource(StrEnum):
    """Which signal the zones came from, best first."""

    EXPLICIT = "explicit"
    POSTAL_CODE = "postal_code"
    AREA_CODE = "area_code"
    COUNTRY = "country"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """The zones a person may be in; `flaw` says what was wrong in the data, and ignored."""

    zones: str
    source: ZoneSource
    flaw: str = ""


def locate(*, number: str, explicit_zone: str = "", postal_code: str = "", country: str = "") -> Place:
    """The place of a person by an E.164 number and, if known, zone, US ZIP code, ISO country."""
    flaw = ""
    wanted = explicit_zone.strip()
    if wanted:
        known = _zone_names().get(wanted.casefold())
        if known is not None:
            return Place(known, ZoneSource.EXPLICIT)
        flaw = f"unknown time zone {wanted[:60]!r}"
    zones, source = _guess(number, postal_code.strip(), country.strip().upper())
    return Place(zones_key(zones) if zones else UNKNOWN_US, source, flaw)


def zones_key(zones: Iterable[str]) -> str:
    """The key of these zones."""
    return "|".join(sorted(set(zones)))


@lru_cache(maxsize=4096)
def zone_infos(key: str) -> tuple[ZoneInfo, ...]:
    """The zones behind a key; the unknown person's for an empty key."""
    return tuple(ZoneInfo(name) for name in (key or UNKNOWN_US).split("|"))


def _guess(number: str, postal_code: str, country: str) -> tuple[frozenset[str], ZoneSource]:
    is_nanp = number.startswith("+1")
    by_number = _nanp_zones(number[_NANP_AREA]) if is_nanp else _foreign_zones(number)
    lives_in_us = country in _US_REGIONS or (not country and is_nanp)
    state, by_zip = _zip_place(postal_code) if lives_in_us else ("", frozenset[str]())
    if by_zip:
        same_state = is_nanp and npa.STATE.get(number[_NANP_AREA]) == state
        return by_zip if same_state else by_zip | by_number, ZoneSource.POSTAL_CODE
    if country and not _is_in(country, _region(number)):
        elsewhere = country_zones(country)
        if elsewhere:
            return elsewhere | by_number, ZoneSource.COUNTRY
    if not by_number:
        return frozenset(), ZoneSource.UNKNOWN
    return by_number, ZoneSource.AREA_CODE if is_nanp else ZoneSource.COUNTRY


@lru_cache(maxsize=1024)
def _nanp_zones(area: str) -> frozenset[str]:
    """The zones of an area code; none for toll-free and unassigned codes."""
    known = npa.ZONES.get(area)
    if known is not None or len(area) != _AREA_DIGITS:
        return known or frozenset()
    from phonenumbers import timezone

    try:
        sample = phonenumbers.parse(f"+1{area}2345678")
    except phonenumbers.NumberParseException:
        return frozenset()
    zones = _real(timezone.time_zones_for_geographical_number(sample))
    return zones if len(zones) < _TOO_MANY_ZONES else frozenset()


def _foreign_zones(number: str) -> frozenset[str]:
    """Every zone a number outside +1 may be in: those of its area, or else of its country."""
    from phonenumbers import timezone

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return frozenset()
    own = _OWN_ZONES.get(phonenumbers.region_code_for_number(parsed) or "")
    return own or _real(timezone.time_zones_for_number(parsed))


@lru_cache(maxsize=512)
def country_zones(country: str) -> frozenset[str]:
    """All zones of a country or US territory (ISO 3166 alpha-2); none if it does not exist."""
    if country == "US":
        return _UNKNOWN_US
    if country == "CA":
        return npa.CANADA_ZONES
    if country in npa.STATE_ZONES and country in _US_REGIONS:
        return npa.STATE_ZONES[country]
    if country in _OWN_ZONES:
        return _OWN_ZONES[country]
    calling_code = phonenumbers.country_code_for_region(country)
    if calling_code in (0, 1):
        return _nanp_country(country) if calling_code else frozenset()
    from phonenumbers.tzdata import TIMEZONE_DATA

    return _real(TIMEZONE_DATA.get(str(calling_code), ()))


def _nanp_country(country: str) -> frozenset[str]:
    """The zones of a Caribbean country, by an example of its numbers."""
    example = phonenumbers.example_number(country)
    return frozenset() if example is None else _nanp_zones(str(example.national_number)[:_AREA_DIGITS])


def _is_in(country: str, region: str) -> bool:
    """Whether a number of this region says nothing new about a person in this country."""
    return country == region or (country == "US" and region in _US_REGIONS)


def _region(number: str) -> str:
    if number.startswith("+1") and number[_NANP_AREA] in npa.STATE:
        state = npa.STATE[number[_NANP_AREA]]
        return state if state in _US_REGIONS else "US"
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number)) or ""
    except phonenumbers.NumberParseException:
        return ""


@lru_cache(maxsize=65_536)
def _zip_place(postal_code: str) -> tuple[str, frozenset[str]]:
    """State and zones of a US ZIP or ZIP+4; ("", nothing) if there is no such code."""
    zip5 = postal_code.split("-", maxsplit=1)[0].strip()
    if len(zip5) != _ZIP_DIGITS or not (zip5.isascii() and zip5.isdigit()):
        return "", frozenset()
    state, names = _zips().get(zip5, ("", ()))
    # A few rows carry a town where the zone should be: then any zone of the state.
    return state, _real(names) or npa.STATE_ZONES.get(state, frozenset())


@lru_cache(maxsize=1)
def _zips() -> dict[str, tuple[str, tuple[str, ...]]]:
    """ZIP -> state and zone names. Half a second, once; looking one up in the package itself takes 0.2 ms each time."""
    import zipcodes

    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for row in zipcodes.list_all():  # type: ignore[no-untyped-call]
        code, name = str(row["zip_code"]), str(row["timezone"])
        state, names = found.get(code, (str(row["state"]), ()))
        found[code] = (state, (*names, name))
    return found


def _real(names: Iterable[str]) -> frozenset[str]:
    """Those of the names that are zones we have rules for."""
    known = _zone_names()
    return frozenset(name for name in names if name.casefold() in known)


@lru_cache(maxsize=1)
def _zone_names() -> dict[str, str]:
    return {name.casefold(): name for name in zoneinfo.available_timezones() if name != "Factory"}
