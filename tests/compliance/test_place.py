import zoneinfo

import phonenumbers
import pytest
from phonenumbers.tzdata import TIMEZONE_DATA

from compliance.data import npa
from compliance.data.statutes import ANY_STATE, FEDERAL
from compliance.place import UNKNOWN_US, ZoneSource, country_zones, is_unknown, jurisdictions, locate, zone_infos

# Names for one and the same clock since before any date a text is sent at.
_SAME_CLOCK = {
    "America/Juneau": "America/Anchorage",
    "America/North_Dakota/Center": "America/Chicago",
    "America/Boise": "America/Denver",
}
_AND_PARIS = UNKNOWN_US.replace("|Pacific", "|Europe/Paris|Pacific")
# `phonenumbers` gives Alaska the clock of Hawaii, and Newfoundland's 879 that of Puerto Rico.
_WRONG_PREFIXES = {("907", "Pacific/Honolulu"), ("879", "America/Puerto_Rico")}


@pytest.mark.parametrize(
    ("known", "zones", "source"),
    [
        ({"number": "+12125550123"}, "America/New_York", "area_code"),
        ({"number": "+18505550123"}, "America/Chicago|America/New_York", "area_code"),
        ({"number": "+14485550123"}, "America/Chicago|America/New_York", "area_code"),
        ({"number": "+12085550123"}, "America/Boise|America/Los_Angeles", "area_code"),
        ({"number": "+12705550123"}, "America/Chicago|America/New_York", "area_code"),
        ({"number": "+19285550123"}, "America/Denver|America/Phoenix", "area_code"),
        ({"number": "+19075550123"}, "America/Adak|America/Anchorage", "area_code"),
        ({"number": "+14575550123"}, "America/Chicago", "area_code"),  # newer than `phonenumbers`
        ({"number": "+17875550123"}, "America/Puerto_Rico", "area_code"),
        ({"number": "+14165550123"}, "America/Toronto", "area_code"),
        ({"number": "+18075550123"}, "America/Toronto|America/Winnipeg", "area_code"),
        ({"number": "+18795550123"}, "America/Halifax|America/St_Johns", "area_code"),
        ({"number": "+12425550123"}, "America/Nassau", "area_code"),
        ({"number": "+18765550123"}, "America/Jamaica", "area_code"),
        ({"number": "+18005550123"}, UNKNOWN_US, "unknown"),
        ({"number": "+19005550123"}, UNKNOWN_US, "unknown"),
        ({"number": "+15005550006"}, UNKNOWN_US, "unknown"),
        ({"number": "+881612345678"}, UNKNOWN_US, "unknown"),
        ({"number": ""}, UNKNOWN_US, "unknown"),
        ({"number": "+1"}, UNKNOWN_US, "unknown"),
        ({"number": "nonsense"}, UNKNOWN_US, "unknown"),
        ({"number": "+4915112345678"}, "Europe/Berlin", "country"),
        ({"number": "+77012345678"}, "Asia/Almaty|Asia/Aqtobe", "country"),
    ],
)
def test_finds_the_zones_of_a_number(known, zones, source):
    place = locate(**known)
    assert (place.zones, place.source, place.flaw) == (zones, ZoneSource(source), "")


def test_takes_all_zones_of_a_country_whose_mobiles_have_none():
    place = locate(number="+61412345678")
    assert {"Australia/Perth", "Australia/Sydney", "Australia/Adelaide"} <= set(place.zones.split("|"))


@pytest.mark.parametrize(
    ("known", "zones", "source"),
    [
        # The ZIP code is better knowledge than the area code of the same state ...
        ({"number": "+18505550123", "postal_code": "32301"}, "America/New_York", "postal_code"),
        (
            {"number": "+18505550123", "postal_code": "32301-1234"},
            "America/New_York",
            "postal_code",
        ),
        # ... and of another state they add up.
        (
            {"number": "+12125550123", "postal_code": "85001"},
            "America/New_York|America/Phoenix",
            "postal_code",
        ),
        ({"number": "+18005550123", "postal_code": "85001"}, "America/Phoenix", "postal_code"),
        (
            {"number": "+447911123456", "postal_code": "85001", "country": "US"},
            "America/Phoenix|Europe/Guernsey|Europe/Isle_of_Man|Europe/Jersey|Europe/London",
            "postal_code",
        ),
        # A German postal code is no ZIP code, nor is one that does not exist.
        (
            {"number": "+4915112345678", "postal_code": "10115"},
            "Europe/Berlin",
            "country",
        ),
        ({"number": "+12125550123", "postal_code": "99999"}, "America/New_York", "area_code"),
        ({"number": "+12125550123", "postal_code": "1000"}, "America/New_York", "area_code"),
        ({"number": "+12125550123", "postal_code": "SW1A 1AA"}, "America/New_York", "area_code"),
        (
            {"number": "+12125550123", "postal_code": "\u0661\u0660\u0660\u0660\u0661"},
            "America/New_York",
            "area_code",
        ),
        # Napakiak, Alaska: the data has a town for a zone. Military post has none.
        (
            {"number": "+19075550123", "postal_code": "99634"},
            "America/Adak|America/Anchorage",
            "postal_code",
        ),
        ({"number": "+12125550123", "postal_code": "09001"}, "America/New_York", "area_code"),
        ({"number": "+12125550123", "country": "us"}, "America/New_York", "area_code"),
        ({"number": "+17875550123", "country": "US"}, "America/Puerto_Rico", "area_code"),
        (
            {"number": "+12125550123", "country": "DO"},
            "America/New_York|America/Santo_Domingo",
            "country",
        ),
        ({"number": "+12125550123", "country": "XX"}, "America/New_York", "area_code"),
        ({"number": "", "country": "PR"}, "America/Puerto_Rico", "country"),
        ({"number": "", "country": "US"}, UNKNOWN_US, "country"),
        ({"number": "+18005550123", "country": "US"}, UNKNOWN_US, "unknown"),
    ],
)
def test_adds_up_signals_that_disagree(known, zones, source):
    place = locate(**known)
    assert (place.zones, place.source) == (zones, ZoneSource(source))
    assert place.flaw == ("unknown country 'XX'" if known.get("country") == "XX" else "")


@pytest.mark.parametrize(
    ("known", "key", "source", "state_source"),
    [
        ({"number": "+13055550123"}, "America/New_York;FL", "area_code", "area_code"),
        ({"number": "+18505550123"}, "America/Chicago|America/New_York;FL", "area_code", "area_code"),
        ({"number": "+17875550123"}, "America/Puerto_Rico;PR", "area_code", "area_code"),
        ({"number": "+14165550123"}, "America/Toronto;ca", "area_code", "country"),
        ({"number": "+33612345678"}, "Europe/Paris;fr", "country", "country"),
        ({"number": "+18005550123"}, "", "unknown", "unknown"),
        ({"number": "+881612345678"}, "", "unknown", "unknown"),
        ({"number": "ana@example.com"}, "", "unknown", "unknown"),
        # A zone of one's own replaces every guess; the law of the number's state holds all the same.
        (
            {"number": "+13055550123", "explicit_zone": "America/Los_Angeles"},
            "America/Los_Angeles;FL", "explicit", "area_code",
        ),
        (
            {"number": "+13055550123", "explicit_zone": "America/Los_Angeles", "postal_code": "85001"},
            "America/Los_Angeles;AZ|FL", "explicit", "postal_code",
        ),
        ({"number": "+18005550123", "explicit_zone": "America/Denver"}, "America/Denver;US", "explicit", "unknown"),
        # ZIP code and number in one state, and in two.
        ({"number": "+18505550123", "postal_code": "32301"}, "America/New_York;FL", "postal_code", "postal_code"),
        (
            {"number": "+12125550123", "postal_code": "85001"},
            "America/New_York|America/Phoenix;AZ|NY", "postal_code", "postal_code",
        ),
        # A state means all of its zones, and those of the number where that is of another state.
        ({"number": "+18005550123", "state": "Texas"}, "America/Chicago|America/Denver;TX", "state", "state"),
        ({"number": "+19155550123", "state": "tx"}, "America/Chicago|America/Denver;TX", "state", "state"),
        (
            {"number": "+12125550123", "state": "US-FL"},
            "America/Chicago|America/New_York;FL|NY", "state", "state",
        ),
        ({"number": "+12025550123", "state": "D.C."}, "America/New_York;DC", "state", "state"),
        # Elsewhere in the world the column means something else.
        ({"number": "+14165550123", "state": "ON"}, "America/Toronto;ca", "area_code", "country"),
        ({"number": "+61412345678", "state": "NSW", "country": "AU"}, None, "country", "country"),
        # Lives abroad with a number of here, or here with a number from abroad.
        (
            {"number": "+12125550123", "country": "Dominican Republic"},
            "America/New_York;NY", "area_code", "area_code",
        ),
        (
            {"number": "+12125550123", "country": "DO"},
            "America/New_York|America/Santo_Domingo;NY|do", "country", "area_code",
        ),
        (
            {"number": "+33612345678", "country": "USA", "postal_code": "85001"},
            "America/Phoenix|Europe/Paris;AZ|fr", "postal_code", "postal_code",
        ),
        ({"number": "+33612345678", "country": "US"}, f"{_AND_PARIS};US|fr", "country", "country"),
        ({"number": "", "country": "PR"}, "America/Puerto_Rico;PR", "country", "country"),
        # Military post is in no state.
        ({"number": "+12125550123", "postal_code": "09001"}, "America/New_York;NY", "area_code", "area_code"),
    ],
)  # fmt: skip
def test_finds_whose_law_holds(known, key, source, state_source):
    place = locate(**known)
    assert (place.source, place.state_source) == (ZoneSource(source), ZoneSource(state_source))
    if key is None:
        assert place.key.endswith(";au")
    else:
        assert place.key == key
    if place.key and key is not None:
        assert [zone.key for zone in zone_infos(place.key)] == key.partition(";")[0].split("|")
        assert jurisdictions(place.key) == tuple(key.partition(";")[2].split("|"))


@pytest.mark.parametrize(
    ("known", "flaw"),
    [
        ({"number": "+12125550123", "explicit_zone": "Mars/Base"}, "unknown time zone 'Mars/Base'"),
        ({"number": "+12125550123", "state": "Atlantis"}, "unknown state 'Atlantis'"),
        ({"number": "+12125550123", "country": "Atlantis"}, "unknown country 'Atlantis'"),
        (
            {"number": "+12125550123", "postal_code": "85001", "state": "TX"},
            "ZIP code 85001 is in AZ, not in TX: both count",
        ),
        ({"number": "+12125550123", "postal_code": "85001", "state": "Arizona", "country": "US"}, ""),
    ],
)
def test_says_what_it_ignores_or_doubts(known, flaw):
    assert locate(**known).flaw == flaw


def test_counts_a_state_that_contradicts_the_zip_code_too():
    place = locate(number="+12125550123", postal_code="85001", state="TX")
    assert place.key == "America/Chicago|America/Denver|America/New_York|America/Phoenix;AZ|NY|TX"


def test_reads_a_key_from_before_states_as_every_state_and_an_empty_one_as_the_federal_law():
    assert jurisdictions("America/New_York") == (ANY_STATE,)
    assert jurisdictions("") == jurisdictions(UNKNOWN_US) == (FEDERAL,)
    assert [is_unknown(key) for key in ("", UNKNOWN_US, f"{UNKNOWN_US};US", "America/New_York", f"{UNKNOWN_US};TX")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_keys_fit_their_column():
    longest = max(
        len(locate(number="+12125550123", country=country, state="TX").key)
        for country in phonenumbers.SUPPORTED_REGIONS
    )
    assert longest <= 400


def test_knows_every_zone_of_canada_for_its_country_code():
    assert {"America/Vancouver", "America/St_Johns", "America/Halifax"} <= country_zones("CA")
    assert locate(number="", country="CA").source is ZoneSource.COUNTRY


def test_believes_an_explicit_zone_over_everything_else():
    place = locate(number="+12125550123", explicit_zone=" america/los_angeles ", postal_code="85001")
    assert (place.zones, place.source) == ("America/Los_Angeles", ZoneSource.EXPLICIT)


@pytest.mark.parametrize("wrong", ["Eastern Standard Time", "America/Nowhere", "Factory", "../etc/passwd"])
def test_ignores_and_reports_a_zone_that_does_not_exist(wrong):
    place = locate(number="+12125550123", explicit_zone=wrong)
    assert (place.zones, place.source) == ("America/New_York", ZoneSource.AREA_CODE)
    assert wrong in place.flaw


def test_knows_366_codes_of_the_states_and_6_of_the_territories():
    territories = {"PR", "VI", "GU", "MP", "AS"}
    codes = [code for code, state in npa.STATE.items() if state not in territories]
    assert (len(codes), len(npa.STATE)) == (366, 372)
    assert len(npa.STATE_ZONES) == 51 + len(territories)


def test_names_only_zones_that_exist():
    named = frozenset().union(*npa.ZONES.values()) | npa.CANADA_ZONES
    assert named <= zoneinfo.available_timezones()


@pytest.mark.parametrize("code", sorted(npa.ZONES))
def test_lists_for_each_code_at_least_the_zones_of_its_prefixes(code):
    known = {_SAME_CLOCK.get(zone, zone) for zone in npa.ZONES[code]}
    prefixes = {
        _SAME_CLOCK.get(zone, zone)
        for prefix, zones in TIMEZONE_DATA.items()
        if prefix.startswith(f"1{code}")
        for zone in zones
        if (code, zone) not in _WRONG_PREFIXES
    }
    if code == "867":  # the north of British Columbia, whose clock is Whitehorse's
        prefixes -= {"America/Fort_Nelson", "America/Vancouver"}
    assert prefixes <= known


def test_reads_an_empty_key_as_the_unknown_person():
    assert zone_infos("") == zone_infos(UNKNOWN_US)
    assert [zone.key for zone in zone_infos("America/Boise|Asia/Tokyo")] == [
        "America/Boise",
        "Asia/Tokyo",
    ]
