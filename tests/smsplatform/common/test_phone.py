"""Phone numbers: every case of the decision tables, and both ways of reading agree."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smsplatform.common import phone
from smsplatform.common.phone import Kind, Number, Refusal, Rules, masked, parse

NORTH = frozenset({"US", "CA"})


def read(raw, *countries, **options):
    return parse(raw, countries=frozenset(countries) or NORTH, **options)


@pytest.mark.parametrize(
    "raw",
    [
        "(202) 555-0123",
        "2025550123",
        "12025550123",
        "+1 202 555 0123",
        "1-202-555-0123",
        "(+1) 202.555.0123",
        "tel:+12025550123",
        "TEL:2025550123",
        "\uff0b1 \uff12\uff10\uff12 \uff15\uff15\uff15 \uff10\uff11\uff12\uff13",
        "+١٢٠٢٥٥٥٠١٢٣",
        "\u202a+1 202\u00a0555\u20110123\u202c",
        "'+12025550123",
        "2025550123.0",
        "  2025550123\t",
        "0012025550123",
        "01112025550123",
    ],
)
def test_reads_one_number_however_it_is_written(raw):
    assert read(raw, sandbox=True) == Number("+12025550123", "US", "202", Kind.FIXED_OR_MOBILE)
    assert read(raw) == Refusal("reserved_number", read(raw).message)


@pytest.mark.parametrize(
    ("raw", "options", "e164", "country", "kind"),
    [
        ("011 44 7911 123456", {}, "+447911123456", "GG", Kind.MOBILE),
        ("0044 7911 123456", {}, "+447911123456", "GG", Kind.MOBILE),
        ("+44 (0)7911 123456", {}, "+447911123456", "GG", Kind.MOBILE),
        ("07911 123456", {"default_region": "GB"}, "+447911123456", "GG", Kind.MOBILE),
        ("0044 7400 123456", {"default_region": "GB"}, "+447400123456", "GB", Kind.MOBILE),
        ("447400123456", {"includes_country_code": True}, "+447400123456", "GB", Kind.MOBILE),
        ("+52 1 55 1234 5678", {}, "+525512345678", "MX", Kind.FIXED_OR_MOBILE),
        ("011 52 1 55 1234 5678", {}, "+525512345678", "MX", Kind.FIXED_OR_MOBILE),
        ("+525512345678", {}, "+525512345678", "MX", Kind.FIXED_OR_MOBILE),
        ("0011 44 7400 123456", {"default_region": "AU"}, "+447400123456", "GB", Kind.MOBILE),
        ("4165550199", {"sandbox": True}, "+14165550199", "CA", Kind.FIXED_OR_MOBILE),
        ("+1 416 234 5678", {}, "+14162345678", "CA", Kind.FIXED_OR_MOBILE),
        ("787 234 5678", {}, "+17872345678", "PR", Kind.FIXED_OR_MOBILE),
        ("+1 (876) 234-5678", {}, "+18762345678", "JM", Kind.MOBILE),
        ("+1 809 234 5678", {}, "+18092345678", "DO", Kind.FIXED_OR_MOBILE),
        ("+1 242 357 1234", {}, "+12423571234", "BS", Kind.MOBILE),
        ("+447012345678", {}, "+447012345678", "GB", Kind.PERSONAL),
    ],
)
def test_takes_numbers_of_the_allowed_countries(raw, options, e164, country, kind):
    allowed = ("US", "CA", "GB", "MX", "PR", "JM", "DO", "BS")
    found = read(raw, *allowed, **options)
    assert found == Number(e164, country, e164[2:5] if e164.startswith("+1") else None, kind)
    refused = read(raw, *(set(allowed) - {country, "GB" if country in ("GG", "GB") else country}), **options)
    assert refused.code == "country_not_allowed"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("\u200b", "empty"),
        ("1-800-FLOWERS", "letters"),
        ("call me", "letters"),
        ("ann@example.com", "letters"),
        ("202-555-0123 x5", "has_extension"),
        ("+12125550123;ext=9", "has_extension"),
        ("212-234-5678 ext. 12", "has_extension"),
        ("212-234-5678 #12", "has_extension"),
        ("2.025550123E9", "scientific_notation"),
        ("2,02556E+09", "scientific_notation"),
        ("2E9", "scientific_notation"),
        ("202555012", "too_short"),
        ("911", "too_short"),
        ("12345", "too_short"),
        ("234-5678", "too_short"),
        ("202555012345", "too_long"),
        ("+1 (0) 202 555 0123", "too_long"),
        ("+" + "4" * 40, "too_long"),
        ("+0 12", "invalid_country_code"),
        ("+999 123456789", "invalid_country_code"),
        ("447911123456", "missing_plus"),
        ("2122345678 / 2122345679", "too_long"),
        ("=2122345678", "not_a_number"),
        ("212*234*5678", "not_a_number"),
        ("212+2345678", "not_a_number"),
        ("+", "not_a_number"),
        ("--", "not_a_number"),
        ("5" * 61, "not_a_number"),
        ("212\n234\0 5678", "not_a_number"),
        ("²⁰²⁵⁵⁵⁰¹²³", "not_a_number"),
        ("1234567890", "not_assigned"),
        ("+1 999 234 5678", "not_assigned"),
        ("+14572345678", "not_assigned"),
        ("8002345678", "toll_free"),
        ("+18332345678", "toll_free"),
        ("+80012345678", "toll_free"),
        ("+19002345678", "premium_rate"),
        ("+979123456789", "premium_rate"),
        ("+15222345678", "personal_number"),
        ("+16002345678", "voip"),
        ("2125551212", "directory_assistance"),
        ("+12125551212", "directory_assistance"),
        ("+870773111632", "satellite"),
        ("+878101234567890", "satellite"),
        ("+881612345678", "satellite"),
        ("+882 34 123456", "satellite"),
        ("+883510012345678", "satellite"),
        ("+442079460018", "landline"),
        ("+49 30 123456", "landline"),
        ("+4918012345", "shared_cost"),
        ("+447640123456", "pager"),
        ("+445512345678", "company_number"),
        ("+49177991234567", "voicemail"),
        ("+445612345678", "voip"),
        ("+16644913456", "landline"),
        ("2125550100", "reserved_number"),
        ("2125550199", "reserved_number"),
        ("+15005550006", "reserved_number"),
        ("+447700900000", "reserved_number"),
        ("+447700900999", "reserved_number"),
        ("+61491570006", "reserved_number"),
        ("+61491570110", "reserved_number"),
        ("+61491570156", "reserved_number"),
        ("+61491570159", "reserved_number"),
    ],
)
def test_refuses(raw, code):
    refused = read(raw, "US", "CA", "GB", "AU", "DE")
    assert isinstance(refused, Refusal)
    assert refused.code == code
    assert not any(digit.isdigit() for digit in refused.message.replace("5xx", "").replace("+1", ""))


@pytest.mark.parametrize(
    ("raw", "country"),
    [
        ("2125550100", "US"),
        ("+447700900000", "GB"),
        ("+447700900999", "GB"),
        ("+61491570006", "AU"),
        ("+61491570158", "AU"),
        ("+15005550001", "US"),
    ],
)
def test_the_sandbox_takes_what_is_reserved(raw, country):
    found = read(raw, "US", "GB", "AU", sandbox=True)
    assert (found.country, found.e164[0]) == (country, "+")
    assert read(raw, "FR", sandbox=True).code == "country_not_allowed"


@pytest.mark.parametrize(
    "raw", ["2125550099", "2125550200", "+447400900000", "+61491570155", "+61491570160", "2125551213"]
)
def test_the_neighbours_of_what_is_reserved_are_ordinary(raw):
    assert isinstance(read(raw, "US", "GB", "AU"), Number)


@pytest.mark.parametrize("raw", ["+447700899999", "+447700901000"])
def test_the_drama_range_ends_where_it_ends(raw):
    assert getattr(read(raw, "GB", "JE", sandbox=True), "code", "") != "reserved_number"


def test_drama_and_satellites_stay_refused_in_the_sandbox():
    assert read("2125551212", sandbox=True).code == "directory_assistance"
    assert read("+881612345678", sandbox=True).code == "satellite"


@pytest.mark.parametrize(
    ("raw", "npas", "expected"),
    [
        ("+14572345678", {"457": "US"}, ("+14572345678", "US", "457")),
        ("4572345678", {"457": "US"}, ("+14572345678", "US", "457")),
        ("+18792345678", {"879": "CA"}, ("+18792345678", "CA", "879")),
        ("+14571345678", {"457": "US"}, "not_assigned"),
        ("+1457234567", {"457": "US"}, "too_short"),
        ("+14582345678", {}, ("+14582345678", "US", "458")),
    ],
)
def test_takes_area_codes_that_the_library_does_not_know_yet(raw, npas, expected):
    found = read(raw, known_npas=npas)
    assert expected == (found.code if isinstance(found, Refusal) else found[:3])


def test_a_column_with_country_codes_is_read_so_first():
    singapore = {"includes_country_code": True}
    assert read("6582345678", "US", "SG", **singapore).e164 == "+6582345678"
    assert read("2122345678", "US", "SG", **singapore).e164 == "+12122345678"
    assert read("12122345678", "US", **singapore).e164 == "+12122345678"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("+12025550123", "+*********23"), ("911", "*11"), ("1-800-FLOWERS", "*-*00-FLOWERS"), ("", ""), ("x", "x")],
)
def test_masks_all_digits_but_two(raw, expected):
    assert masked(raw) == expected


NANP = st.from_regex(r"\A(\+1|1|\+?1[ .-])?\(?[2-9][0-9]{2}\)?[ .-]?[0-9]{3}[ .-]?[0-9]{4}\Z")
SPOILED = st.text(alphabet="0123456789+-() .xE٣\uff11\u200e\n", max_size=20)
RULES = st.builds(
    Rules,
    countries=st.sets(st.sampled_from(["US", "CA", "GB", "JM", "PR"]), min_size=1).map(frozenset),
    default_region=st.sampled_from(["US", "CA", "GB", "JM", "AU"]),
    includes_country_code=st.booleans(),
    sandbox=st.booleans(),
    known_npas=st.sampled_from([{}, {"457": "US", "212": "US", "879": "CA"}]),
)


@given(rules=RULES, raw=NANP | SPOILED)
@example(rules=Rules(NORTH), raw="5202345678")
@example(rules=Rules(NORTH), raw="9832345678")
@example(rules=Rules(NORTH), raw="9831345678")
def test_the_short_cut_answers_as_the_long_way(rules, raw):
    assert rules.parse(raw) == rules.parse_slowly(raw)


def test_the_short_cut_agrees_on_every_area_code_and_leading_digit_of_the_exchange():
    rules = Rules(frozenset({"US", "CA"}))
    for npa in range(200, 1000):
        for exchange in range(200, 1000, 100):
            raw = f"{npa}{exchange + npa % 89}2345"
            assert rules.parse(raw) == rules.parse_slowly(raw)


@given(raw=st.text())
def test_any_text_gives_a_number_or_a_reason(raw):
    found = parse(raw, countries=NORTH)
    assert isinstance(found, Number) or (found.code and found.message)


def test_most_numbers_take_the_short_cut(monkeypatch):
    def never(_self, raw):
        raise AssertionError(raw)

    monkeypatch.setattr(Rules, "parse_slowly", never)
    for raw in ("+12122345678", "2122345678", "(212) 234-5678", "1-416-234-5678", "212.234.5678"):
        assert phone.parse(raw, countries=NORTH).npa in ("212", "416")


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+12025550123", "US"),
        ("+16135550123", "CA"),
        ("+18005550123", "US"),
        ("+18765550123", "JM"),
        ("+447700900123", "GB"),
        ("+4915112345678", "DE"),
        ("+99912345678", ""),
        ("ana@example.com", ""),
    ],
)
def test_the_country_of_a_stored_number(number, country):
    assert phone.country(number) == country
