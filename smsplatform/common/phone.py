"""Phone numbers: what a person wrote, as one E.164 number that may be texted, or a refusal with its reason.

`phonenumbers` knows the numbering plans; the policy around it is ours, because it is made to find a number in
anything: it turns letters into digits, drops extensions, and calls fiction and satellites valid. Plain North
American numbers, nearly all there are, take a short cut through the same patterns; a test holds both paths equal.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType, ValidationResult

_NANP: Final = 1
_MAX_TEXT: Final = 60
_NO_NPAS: Final[Mapping[str, str]] = {}


class Kind(StrEnum):
    """What the digits of a number tell about the line."""

    MOBILE = "mobile"
    FIXED_OR_MOBILE = "fixed_or_mobile"
    PERSONAL = "personal"


class Number(NamedTuple):
    """A number that may be texted; `npa` is the area code of a +1 number."""

    e164: str
    country: str
    npa: str | None
    kind: Kind


class Refusal(NamedTuple):
    """Why a text is not taken: a stable code, and a sentence for the person who wrote it."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Rules:
    """How numbers are read; made once, used for many.

    `countries` are those whose numbers are taken; GB brings Guernsey, Jersey and the Isle of Man. `known_npas` maps
    assigned area codes to their country, for the newest ones, which `phonenumbers` does not know yet.
    """

    countries: frozenset[str]
    default_region: str = "US"
    includes_country_code: bool = False
    sandbox: bool = False
    known_npas: Mapping[str, str] = field(default_factory=dict)

    def parse(self, raw: str) -> Number | Refusal:
        """Return the number that the text means, or why it is refused."""
        plain = _PLAIN(raw)
        if plain is not None:
            prefix, npa, exchange, line = plain.groups()
            if self._is_north_american(prefix) and exchange != _FICTION_EXCHANGE:
                country = _geographic(npa + exchange + line)
                if country in self.countries:
                    return Number(f"+1{npa}{exchange}{line}", country, npa, Kind.FIXED_OR_MOBILE)
        return self.parse_slowly(raw)

    def parse_slowly(self, raw: str) -> Number | Refusal:
        """Return what `parse` returns, without the short cut."""
        text = _cleaned(raw)
        refusal = _unreadable(text)
        if refusal is not None:
            return refusal
        digits = _marked(text, self.default_region)
        if digits[0] == "+":
            return self._read(digits)
        if not self.includes_country_code:
            found = self._read(digits)
            return _MISSING_PLUS if found in _LENGTHS and self._is_read("+" + digits) else found
        # The owner of the column says that the country code is there, so that reading goes first.
        found = self._read("+" + digits)
        if isinstance(found, Number):
            return found
        without = self._read(digits)
        return without if isinstance(without, Number) else found

    def _is_north_american(self, prefix: str | None) -> bool:
        if prefix is not None and (prefix[0] == "+" or self.includes_country_code):
            return True
        return not self.includes_country_code and self.default_region in ("US", "CA")

    def _is_read(self, digits: str) -> bool:
        return isinstance(self._read(digits), Number)

    def _read(self, digits: str) -> Number | Refusal:
        if (match := _MEXICAN_ONE(digits)) is not None:
            digits = f"+52{match[1]}"
        try:
            parsed = phonenumbers.parse(digits, self.default_region)
        except NumberParseException as error:
            return _UNPARSED.get(error.error_type, _NOT_A_NUMBER)
        e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        found = _staged(e164) if self.sandbox else _reserved(e164)
        if found is None:
            found = _planned(parsed, e164, self.known_npas)
        if isinstance(found, Number) and found.country not in with_implied(self.countries):
            message = f"numbers of {found.country} are not allowed here; allowed: {_listed(self.countries)}"
            return Refusal("country_not_allowed", message)
        return found


def parse(
    raw: str,
    *,
    countries: frozenset[str],
    default_region: str = "US",
    includes_country_code: bool = False,
    sandbox: bool = False,
    known_npas: Mapping[str, str] = _NO_NPAS,
) -> Number | Refusal:
    """Return the number that one text means, or why it is refused; see `Rules` for the arguments."""
    rules = Rules(countries, default_region, includes_country_code, sandbox, known_npas)
    return rules.parse(raw)


def country(number: str) -> str:
    """Return the country of a stored number; the main one of its country code where the plan has no such number."""
    if number.startswith("+1") and (found := _geographic(number[2:])):
        return found
    try:
        parsed = phonenumbers.parse(number)
    except NumberParseException:
        return ""
    main: str = phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    return phonenumbers.region_code_for_number(parsed) or main


def with_implied(countries: frozenset[str]) -> frozenset[str]:
    """Return these countries and those that share the numbers of one of them: GB brings Guernsey, Jersey and Man."""
    return countries | _BRITISH if "GB" in countries else countries


def countries(words: Iterable[str]) -> list[str]:
    """Return two-letter codes, sorted, in capitals; raises ValueError naming those of which there are no numbers."""
    found = sorted({word.strip().upper() for word in words})
    unknown = [word for word in found if word not in phonenumbers.SUPPORTED_REGIONS]
    if unknown:
        raise ValueError(
            f"{', '.join(word or 'nothing' for word in unknown)} is no country; write two letters, like US"
        )
    return found


def masked(raw: str) -> str:
    """Return the text with every digit but the last two hidden, for messages about what somebody wrote."""
    hidden = len([mark for mark in raw if mark.isdigit()]) - 2
    shown = []
    for mark in raw:
        shown.append("*" if mark.isdigit() and hidden > 0 else mark)
        hidden -= mark.isdigit()
    return "".join(shown)


# -- Reading the text ----------------------------------------------------------------------------------------------

_PLAIN: Final = re.compile(r"\s*(\+?1[ .-]?)?\(?([2-9]\d\d)\)?[ .-]?([2-9]\d\d)[ .-]?(\d{4})\s*", re.ASCII).fullmatch
_FLOAT_TAIL: Final = re.compile(r"(\+?\d{7,15})\.0").fullmatch
_SCIENTIFIC: Final = re.compile(r"\+?\d+(?:[.,]\d*)?e[+-]?\d+", re.IGNORECASE).fullmatch
_EXTENSION: Final = re.compile(
    r".*\d[\s,;.)-]*(?:#|x|ext?n?|extension)[\s.:=#]*\d{1,9}#?", re.IGNORECASE | re.DOTALL
).fullmatch
_MARKS: Final = re.compile(r"[\s(\[]*\+?[\d\s()\[\]./~\u2010-\u2015\u2212\u30fc-]*").fullmatch
_MEXICAN_ONE: Final = re.compile(r"\+521(\d{10})").fullmatch
_FULL_WIDTH: Final = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def _cleaned(raw: str) -> str:
    """The text without what spreadsheets and address books put around a number."""
    text = raw.strip()
    if not text.isascii():
        text = "".join(map(_plain_mark, text.translate(_FULL_WIDTH))).strip()
    text = text.removeprefix("'")
    if text[:4].lower() == "tel:":
        text = text[4:]
    whole = _FLOAT_TAIL(text)
    return whole[1] if whole else text


def _plain_mark(mark: str) -> str:
    if mark.isdecimal():
        return str(unicodedata.decimal(mark))
    # Direction marks and joiners come with copied contacts and are invisible.
    return "" if unicodedata.category(mark) == "Cf" else mark


def _unreadable(text: str) -> Refusal | None:
    """What makes the text something else than a number, before the library makes one of it."""
    for is_so, refusal in _UNREADABLE:
        if is_so(text):
            return refusal
    return None


def _marked(text: str, region: str) -> str:
    """The digits, with a plus in front if they start with a country code, however that was said."""
    digits = "".join(mark for mark in text if mark.isdigit())
    if "+" in text:
        return "+" + digits
    prefix = _dialled_abroad(region)
    if prefix is not None and (match := prefix.match(digits)) is not None:
        return "+" + digits[match.end() :]
    # Most of the world dials 00; nobody's national numbers start with it.
    return "+" + digits[2:] if digits.startswith("00") else digits


@lru_cache(maxsize=300)
def _dialled_abroad(region: str) -> re.Pattern[str] | None:
    plan: Any = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    return re.compile(plan.international_prefix) if plan and plan.international_prefix else None


_NOT_A_NUMBER: Final = Refusal("not_a_number", "this is not a telephone number")
_UNREADABLE: Final[tuple[tuple[Callable[[str], object], Refusal], ...]] = (
    (lambda text: not text, Refusal("empty", "there is no number")),
    (lambda text: len(text) > _MAX_TEXT, _NOT_A_NUMBER),
    (
        _SCIENTIFIC,
        Refusal(
            "scientific_notation",
            "a spreadsheet has shortened the number and digits are lost; format the column as text and export again",
        ),
    ),
    (_EXTENSION, Refusal("has_extension", "a number with an extension cannot be texted")),
    (
        lambda text: any(mark.isalpha() for mark in text),
        Refusal("letters", "there are letters in the number; write digits only"),
    ),
    (lambda text: not _MARKS(text) or not any(mark.isdigit() for mark in text), _NOT_A_NUMBER),
)


# -- Judging the number --------------------------------------------------------------------------------------------

_TOO_SHORT: Final = Refusal("too_short", "there are digits missing")
_TOO_LONG: Final = Refusal("too_long", "there are too many digits")
_NO_COUNTRY: Final = Refusal("invalid_country_code", "no country has this code")
_MISSING_PLUS: Final = Refusal(
    "missing_plus", "this looks like a number with its country code; write a + in front, or say so in the options"
)
_RESERVED: Final = Refusal("reserved_number", "this number is reserved for fiction and tests; nobody has it")
_WRONG_LENGTH: Final = Refusal("wrong_length", "the country has no numbers of this length")
_LENGTHS: Final = frozenset({_TOO_SHORT, _TOO_LONG, _WRONG_LENGTH})
_UNPARSED: Final = {
    NumberParseException.INVALID_COUNTRY_CODE: _NO_COUNTRY,
    NumberParseException.TOO_SHORT_AFTER_IDD: _TOO_SHORT,
    NumberParseException.TOO_SHORT_NSN: _TOO_SHORT,
    NumberParseException.TOO_LONG: _TOO_LONG,
}
_IMPOSSIBLE: Final = {
    ValidationResult.TOO_SHORT: _TOO_SHORT,
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: _TOO_SHORT,
    ValidationResult.TOO_LONG: _TOO_LONG,
    ValidationResult.INVALID_COUNTRY_CODE: _NO_COUNTRY,
    ValidationResult.INVALID_LENGTH: _WRONG_LENGTH,
}
_NOT_ASSIGNED: Final = Refusal("not_assigned", "the country has given out no such numbers")
_TEXTABLE: Final = {
    PhoneNumberType.MOBILE: Kind.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: Kind.FIXED_OR_MOBILE,
    PhoneNumberType.PERSONAL_NUMBER: Kind.PERSONAL,
}
_UNTEXTABLE: Final = {
    PhoneNumberType.FIXED_LINE: Refusal("landline", "this is a landline"),
    PhoneNumberType.TOLL_FREE: Refusal("toll_free", "toll-free numbers belong to businesses"),
    PhoneNumberType.PREMIUM_RATE: Refusal("premium_rate", "premium-rate numbers are not texted"),
    PhoneNumberType.SHARED_COST: Refusal("shared_cost", "shared-cost numbers are not texted"),
    PhoneNumberType.VOIP: Refusal("voip", "numbers of internet telephony only are not texted"),
    PhoneNumberType.PAGER: Refusal("pager", "pagers are not texted"),
    PhoneNumberType.UAN: Refusal("company_number", "company-wide numbers are not texted"),
    PhoneNumberType.VOICEMAIL: Refusal("voicemail", "voicemail access numbers are not texted"),
}
_SATELLITES: Final = frozenset({870, 878, 881, 882, 883})
_FICTION_EXCHANGE: Final = "555"
_US_FICTION: Final = re.compile(r"\+1\d{3}55501\d\d").fullmatch
_DIRECTORY: Final = re.compile(r"\+1\d{3}5551212").fullmatch
_VENDOR_TEST: Final = re.compile(r"\+1500555000\d").fullmatch
_UK_DRAMA: Final = range(447700900000, 447700901000)
_AU_DRAMA: Final = frozenset({61491570006, 61491570110, *range(61491570156, 61491570160)})
_BRITISH: Final = frozenset({"GG", "JE", "IM"})


def _reserved(e164: str) -> Refusal | None:
    """The refusal of a number that nobody has."""
    digits = int(e164[1:])
    if _US_FICTION(e164) or _VENDOR_TEST(e164) or digits in _UK_DRAMA or digits in _AU_DRAMA:
        return _RESERVED
    return None


def _staged(e164: str) -> Number | None:
    """The reserved number as a number, if no numbering plan has it; the others pass as ordinary ones."""
    if _VENDOR_TEST(e164):
        return Number(e164, "US", e164[2:5], Kind.PERSONAL)
    if int(e164[1:]) in _UK_DRAMA:
        return Number(e164, "GB", None, Kind.MOBILE)
    return None


def _planned(parsed: phonenumbers.PhoneNumber, e164: str, known_npas: Mapping[str, str]) -> Number | Refusal:
    """The number as its country's plan has it, if the plan says that people carry it."""
    if parsed.country_code in _SATELLITES:
        return Refusal("satellite", "satellite and global network numbers are not texted: they cost too much")
    if _DIRECTORY(e164):
        return Refusal("directory_assistance", "this is directory assistance")
    npa = e164[2:5] if parsed.country_code == _NANP else None
    line_type = phonenumbers.number_type(parsed)
    if line_type == PhoneNumberType.UNKNOWN:
        return _unknown(parsed, e164, npa, known_npas)
    if line_type not in _TEXTABLE:
        return _UNTEXTABLE.get(line_type, _NOT_ASSIGNED)
    if npa is not None and line_type == PhoneNumberType.PERSONAL_NUMBER:
        return Refusal("personal_number", "+1 5xx follow-me numbers are not texted")
    country = phonenumbers.region_code_for_number(parsed) or ""
    return Number(e164, country, npa, _TEXTABLE[line_type])


def _unknown(
    parsed: phonenumbers.PhoneNumber, e164: str, npa: str | None, known_npas: Mapping[str, str]
) -> Number | Refusal:
    """What is in no plan of the library: impossible, or of an area code newer than it, or not given out."""
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    if reason in _IMPOSSIBLE:
        return _IMPOSSIBLE[reason]
    if npa is not None and npa in known_npas and e164[5] in "23456789":
        return Number(e164, known_npas[npa], npa, Kind.FIXED_OR_MOBILE)
    return _NOT_ASSIGNED


def _listed(countries: frozenset[str]) -> str:
    return ", ".join(sorted(countries))


# -- The short cut -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def _patterns(region: str) -> re.Pattern[str]:
    plan: Any = phonenumbers.PhoneMetadata.metadata_for_region(region)
    return re.compile(plan.fixed_line.national_number_pattern)


def _geographic(national: str) -> str:
    """US or CA if this is an ordinary number of theirs. The US come first, as in the library."""
    if _patterns("US").fullmatch(national):
        return "US"
    return "CA" if _patterns("CA").fullmatch(national) else ""
