"""Where a person may be: the zones whose clocks, and the states whose laws, must all allow a text.

Both travel as one *place key*: IANA names, sorted, joined with "|", then ";" and the jurisdictions in the same way, like
`America/Chicago|America/New_York;FL`; people who share a key share one answer. For zones better knowledge replaces
guesses (own zone, then postal code, then state, then area code or country); for states signals only add up, because the
law of several states goes by the area code wherever its owner lives. States are written as their postal abbreviations,
`US` where none is known, other countries small (`ca` is Canada). Knowing nothing is the empty key and means every zone of
the United States at once, never "any time is fine". A key without ";" is from before states were kept: until
`manage.py locate_recipients` has been there, the strictest of all states holds. The law behind it is 47 CFR
64.1200(c)(1): "local time at the called party's location".
"""

import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import phonenumbers

from compliance.data import npa, states
from compliance.data.statutes import ANY_STATE, FEDERAL

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

_US_REGIONS: Final = frozenset({"US", *states.TERRITORIES})
_NANP_AREA: Final = slice(2, 5)
_AREA_DIGITS: Final = 3
_ZIP_DIGITS: Final = 5
# `phonenumbers` answers "somewhere in +1" with all its zones; no single area code spans this many.
_TOO_MANY_ZONES: Final = 10
# Kazakhstan shares +7 with Russia, and `phonenumbers` gives its mobiles the zones of both.
_OWN_ZONES: Final = {"KZ": frozenset({"Asia/Almaty", "Asia/Aqtobe"})}
_COUNTRY_NAMES: Final = {
    "USA": "US",
    "UNITED STATES": "US",
    "UNITED STATES OF AMERICA": "US",
    "CANADA": "CA",
    "MEXICO": "MX",
    "PUERTO RICO": "PR",
    "UK": "GB",
    "UNITED KINGDOM": "GB",
    "GREAT BRITAIN": "GB",
}


class ZoneSource(StrEnum):
    """Which signal the zones (or the states) came from, best first."""

    EXPLICIT = "explicit"
    POSTAL_CODE = "postal_code"
    STATE = "state"
    COUNTRY = "country"
    AREA_CODE = "area_code"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """The zones and states a person may be in, and from what; `flaw` says what was wrong in the data, and ignored."""

    zones: str
    source: ZoneSource
    flaw: str = ""
    states: str = FEDERAL
    state_source: ZoneSource = ZoneSource.UNKNOWN

    @property
    def key(self) -> str:
        """The place key; empty where nothing is known."""
        if self.source is ZoneSource.UNKNOWN and self.states == FEDERAL:
            return ""
        return f"{self.zones};{self.states}"


def locate(*, number: str, explicit_zone: str = "", postal_code: str = "", state: str = "", country: str = "") -> Place:
    """The place of a person by an E.164 number and, if known, zone, US ZIP code, US state, country."""
    told = _Told(number, postal_code.strip(), state.strip(), country.strip())
    flaws = told.flaws
    zones, source = _guess(told)
    wanted = explicit_zone.strip()
    if wanted:
        known = _zone_names().get(wanted.casefold())
        if known is not None:
            zones, source = frozenset({known}), ZoneSource.EXPLICIT
        else:
            flaws = [f"unknown time zone {wanted[:60]!r}", *flaws]
    found, state_source = _states(told)
    return Place(zones_key(zones) if zones else UNKNOWN_US, source, "; ".join(flaws), zones_key(found), state_source)


def zones_key(zones: Iterable[str]) -> str:
    """The key of these zones (or states)."""
    return "|".join(sorted(set(zones)))


@lru_cache(maxsize=4096)
def zone_infos(key: str) -> tuple[ZoneInfo, ...]:
    """The zones behind a place key; the unknown person's for an empty key."""
    return tuple(ZoneInfo(name) for name in (key.partition(";")[0] or UNKNOWN_US).split("|"))


@lru_cache(maxsize=4096)
def jurisdictions(key: str) -> tuple[str, ...]:
    """Whose laws hold for a place key."""
    if not key or key == UNKNOWN_US:
        return (FEDERAL,)
    _, has_states, found = key.partition(";")
    if not has_states:
        return (ANY_STATE,)
    return tuple(found.split("|")) if found else (FEDERAL,)


@lru_cache(maxsize=4096)
def may_be_in(key: str, state: str) -> bool:
    """Whether people of this place key may be in a state: it is named, or none is, and their clocks are its own."""
    named = jurisdictions(key)
    if state in named or ANY_STATE in named:
        return True
    zones = key.partition(";")[0]
    return FEDERAL in named and (is_unknown(key) or not npa.STATE_ZONES[state].isdisjoint(zones.split("|")))


def is_unknown(key: str) -> bool:
    """Whether nothing at all is known about the place."""
    return key in ("", UNKNOWN_US, f"{UNKNOWN_US};{FEDERAL}")


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known of a person, as it came."""

    number: str
    postal_code: str
    raw_state: str
    raw_country: str

    @property
    def is_nanp(self) -> bool:
        return self.number.startswith("+1")

    @property
    def npa_state(self) -> str:
        return npa.STATE.get(self.number[_NANP_AREA], "") if self.is_nanp else ""

    @property
    def country(self) -> str:
        """ISO 3166 alpha-2 of the country told; "" if none that exists."""
        return _read_country(self.raw_country)

    @property
    def is_in_us(self) -> bool:
        if self.country:
            return self.country in _US_REGIONS
        return self.is_nanp and _region(self.number) in {"", *_US_REGIONS}

    @property
    def zip_place(self) -> tuple[str, frozenset[str]]:
        # A postal code of another country is no ZIP code; a +1 number without a country is enough to try.
        may_be_zip = self.country in _US_REGIONS or (not self.country and self.is_nanp)
        return _zip_place(self.postal_code) if may_be_zip else ("", frozenset())

    @property
    def state(self) -> str:
        """The state told, where the person is in the United States at all; a territory may be told as the country."""
        if self.country in states.TERRITORIES:
            return self.country
        return states.read(self.raw_state) if self.is_in_us else ""

    @property
    def flaws(self) -> list[str]:
        found = []
        if self.raw_country and not self.country:
            found.append(f"unknown country {self.raw_country[:40]!r}")
        if self.raw_state and self.is_in_us and not states.read(self.raw_state):
            found.append(f"unknown state {self.raw_state[:40]!r}")
        by_zip = self.zip_place[0]
        if by_zip and self.state and by_zip != self.state:
            found.append(f"ZIP code {self.postal_code[:10]} is in {by_zip}, not in {self.state}: both count")
        return found


def _guess(told: _Told) -> tuple[frozenset[str], ZoneSource]:
    """The zones without an own one. Signals that contradict each other add up."""
    number, country, own_state = told.number, told.country, told.npa_state
    by_number = _nanp_zones(number[_NANP_AREA]) if told.is_nanp else _foreign_zones(number)
    by_state = npa.STATE_ZONES.get(told.state, frozenset[str]())
    state, by_zip = told.zip_place
    if by_zip:
        zones = by_zip | by_state if told.state not in ("", state) else by_zip
        return zones if own_state == state else zones | by_number, ZoneSource.POSTAL_CODE
    if by_state and told.raw_state:
        return by_state if own_state == told.state else by_state | by_number, ZoneSource.STATE
    if country and not _is_in(country, _region(number)):
        elsewhere = country_zones(country)
        if elsewhere:
            return elsewhere | by_number, ZoneSource.COUNTRY
    if not by_number:
        return frozenset(), ZoneSource.UNKNOWN
    return by_number, ZoneSource.AREA_CODE if told.is_nanp else ZoneSource.COUNTRY


def _states(told: _Told) -> tuple[set[str], ZoneSource]:
    """Every state (or country) whose law may hold: those told, and that of the number."""
    by_zip = told.zip_place[0]
    region, country = _region(told.number), told.country
    found = {by_zip, told.state, told.npa_state} - {""}
    if region.isalpha() and region not in _US_REGIONS:  # satellites are in "001"
        found.add(region.lower())
    if country and country not in _US_REGIONS and country_zones(country):
        found.add(country.lower())
    if country in _US_REGIONS and not any(each.isupper() for each in found):
        found.add(FEDERAL)
    if by_zip:
        return found, ZoneSource.POSTAL_CODE
    if told.state:
        return found, ZoneSource.STATE if told.raw_state else ZoneSource.COUNTRY
    if told.npa_state:
        return found, ZoneSource.AREA_CODE
    return found or {FEDERAL}, ZoneSource.COUNTRY if found else ZoneSource.UNKNOWN


@lru_cache(maxsize=1024)
def _read_country(text: str) -> str:
    wanted = text.replace(".", "").upper()
    wanted = _COUNTRY_NAMES.get(wanted, wanted)
    return wanted if wanted in phonenumbers.SUPPORTED_REGIONS else ""


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


@lru_cache(maxsize=4096)
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
    state = state if state in states.NAMES else ""  # military post is in no state
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
