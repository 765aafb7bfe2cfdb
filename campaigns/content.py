"""What a text says, looked at before anybody gets it: findings with their place, what is wrong, and what to do.

Errors keep a text from being saved or launched; what is to be reviewed, warnings and notes are told and do not. Rows are
checked again when they are rendered, for what only a person's own values bring in.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from django.conf import settings

from campaigns import hosts, rendering, rendering_stage
from compliance import content_terms, languages, segments, smart, stop_lines
from compliance.policy import Category
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy.models import Brand
from tracking import links, shortening


class Severity(StrEnum):
    """How grave a finding is."""

    ERROR = "error"
    REVIEW = "review"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a text. Line and column count from one; `language` is empty for the default text."""

    severity: Severity
    code: str
    line: int
    column: int
    message: str
    remedy: str = ""
    language: str = ""

    def __str__(self) -> str:
        where = f"{self.language}, " if self.language else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{where}line {self.line}, column {self.column}: {self.message}{remedy}"


def lint(
    *, source: str, texts: Mapping[str, str], brand: Brand | None, category: str = Category.MARKETING
) -> list[Finding]:
    """Return what is to be said about a template's texts, the gravest first. Without a brand, what any brand's has."""
    found = list(_of_text(source, "", brand, category))
    for language, text in texts.items():
        found += [replace(each, language=language) for each in _of_text(text, language, brand, category)]
    order = list(Severity)
    return sorted(found, key=lambda each: (order.index(each.severity), each.language, each.line, each.column))


def problems(*, source: str, texts: Mapping[str, Any], brand: Brand | None) -> dict[str, list[str]]:
    """Return what keeps a template's texts from being saved, by field; empty where nothing does."""
    found: dict[str, list[str]] = {}
    for language, text in texts.items():
        if languages.tag(language) != language:
            told = f"{language!r} is no language; write a tag in small letters, like es or es-mx"
            found.setdefault("texts", []).append(told)
        elif not isinstance(text, str) or not text.strip():
            found.setdefault("texts", []).append(f"{language}: there is no text; leave the language out, or write one")
    if found:
        return found
    for each in lint(source=source, texts=texts, brand=brand):
        if each.severity is Severity.ERROR:
            found.setdefault("texts" if each.language else "source", []).append(str(each))
    return found


def require_sendable(*, source: str, texts: Mapping[str, str], brand: Brand, category: str) -> None:
    """Raise InvalidInput where a text has an error: what was saved long ago may break a rule of today."""
    errors = [
        each
        for each in lint(source=source, texts=texts, brand=brand, category=category)
        if each.severity is Severity.ERROR
    ]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise InvalidInput(f"the text cannot be sent: {errors[0]}{more}", field="template")


# -- one text -------------------------------------------------------------------------------------------------------

_SLOT: Final = "\ue000"  # stands for each character of a field or tag, so that places stay what they are
_TAG: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_BARE_WWW: Final = re.compile(r"(?<![\w/.@-])www\.[\w-]+\.\w+", re.IGNORECASE)
_CAPITALS: Final = 0.8
_LETTERS_TO_SHOUT: Final = 20


def _of_text(source: str, language: str, brand: Brand | None, category: str) -> Iterator[Finding]:
    flaws = rendering.check(source)
    if flaws:
        for flaw in flaws:
            yield Finding(Severity.ERROR, "template", flaw.line, flaw.column, flaw.message)
        return
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    literal = _TAG.sub(lambda tag: "".join(mark if mark == "\n" else _SLOT for mark in tag[0]), source)
    yield from _of_links(literal, brand)
    yield from _of_length(source, brand)
    for at, term, subject in content_terms.find(literal):
        told = f"“{term}” is about {subject}, which carriers restrict"
        yield _at(literal, at, Severity.REVIEW, "restricted_content", told, "have somebody look whether it may be sent")
    if category != Category.MARKETING:
        # It would go to people who never agreed to offers, and perhaps at night (CTIA: mixed is marketing).
        for at, words in content_terms.find_offers(literal):
            told = f"“{words}” makes an offer of the text, and offers are marketing whatever their category is called"
            yield _at(
                literal, at, Severity.ERROR, "offer_under_another_name", told, "choose marketing, or leave it out"
            )
    for flaw in rendering.warnings(source):
        yield Finding(Severity.WARNING, "looks_like_a_field", flaw.line, flaw.column, flaw.message)
    yield from _of_manners(literal, language, brand, category)


def _of_links(literal: str, brand: Brand | None) -> Iterator[Finding]:
    own = (links.base_url(brand).split("://")[-1].split("/")[0].split(":")[0]) if brand else ""
    banned = rendering_stage.banned_hosts(brand.tenant) if brand else frozenset()
    covered: list[range] = []
    for found in shortening.find_urls(literal):
        host = found.url.split("://", 1)[1].split("/", 1)[0].split("?", 1)[0]
        covered.append(range(found.start, found.end))
        if _SLOT in host:
            told, remedy = "the host of this link comes from a field", "write the host into the text"
            yield _at(literal, found.start, Severity.WARNING, "host_from_field", told, remedy)
            continue
        if own and host.split(":")[0].casefold() == own:
            continue
        try:
            destination = shortening.check_destination(found.url.replace(_SLOT, "x"))
        except shortening.BadDestination as error:
            told = f"{found.url.replace(_SLOT, '…')} {error.reason}"
            yield _at(literal, found.start, Severity.ERROR, "link_not_allowed", told, _REMEDY)
            continue
        if bad := hosts.forbidden("", [destination], banned):
            yield _at(
                literal, found.start, Severity.ERROR, "link_host_blocked", f"{bad} must not be in a text", _REMEDY
            )
    for at, host in hosts.find(literal, banned):
        if not any(at in span for span in covered):
            yield _at(literal, at, Severity.ERROR, "link_host_blocked", f"{host} must not be in a text", _REMEDY)
    for match in _BARE_WWW.finditer(literal):
        told, remedy = f"{match[0]} is neither shortened nor counted", "write https:// in front of it"
        yield _at(literal, match.start(), Severity.WARNING, "link_without_scheme", told, remedy)


_REMEDY: Final = "link to your own https:// page; the platform shortens it"


def _of_length(source: str, brand: Brand | None) -> Iterator[Finding]:
    """What is certain before anybody's values are known: the text without them, and the characters that are written."""
    compiled = rendering.compile_text(source)
    pieces = compiled.parts or ()
    text = "".join(part if isinstance(part, str) else part.default or "" for part in pieces)
    tenant = brand.tenant if brand else None
    sent = smart.encode(
        text or _TAG.sub("", source),
        smart=tenant is None or tenant.has_smart_encoding,
        accents=tenant is not None and tenant.strips_accents,
    )
    foreign = sorted({character for character in sent if character not in segments.GSM})
    if foreign:
        named = " ".join(f"“{character}”" for character in foreign[:5])
        at = next((place for place, mark in enumerate(source) if mark in foreign), 0)
        told = (
            f"{named} {'is' if len(foreign) == 1 else 'are'} not in GSM-7: a segment has 70 characters instead of 160"
        )
        yield _at(source, at, Severity.NOTE, "ucs2", told, "write a plainer character if that is too dear")
    count = segments.count(sent).segments
    most = rendering_stage.most_segments(brand.max_segments if brand else None)
    if compiled.parts is not None and count > most:
        told = f"{count} segments even without anybody's values; {most} are allowed"
        yield Finding(Severity.ERROR, "too_many_segments", 1, 1, told, "write less")
    elif count > settings.WARN_SEGMENTS:
        told = f"{count} segments, and each is paid for"
        yield Finding(Severity.WARNING, "many_segments", 1, 1, told, "write less")


def _of_manners(literal: str, language: str, brand: Brand | None, category: str) -> Iterator[Finding]:
    """What CTIA asks of every campaign: who writes, how it ends, and no shouting."""
    letters = [mark for mark in literal if mark.isalpha()]
    if len(letters) >= _LETTERS_TO_SHOUT and sum(map(str.isupper, letters)) > _CAPITALS * len(letters):
        yield Finding(
            Severity.WARNING, "all_capitals", 1, 1, "the text is nearly all capitals", "write it as one speaks"
        )
    if brand is None or category == Category.TRANSACTIONAL:
        return
    if brand.name.casefold() not in literal.casefold():
        told = f"the text does not name {brand.name}"
        yield Finding(Severity.WARNING, "brand_name_missing", 1, 1, told, "say who writes")
    if category != Category.MARKETING or stop_lines.tells_stop(literal):
        return
    line = stop_lines.line(language=language, own=brand.stop_lines)
    if brand.adds_stop_line:
        told = f"“{line}” is added for people who were not told for {stop_lines.EVERY.days} days"
        yield Finding(Severity.NOTE, "stop_line_added", 1, 1, told)
    else:
        yield Finding(
            Severity.WARNING, "stop_missing", 1, 1, "the text does not say how to end the texts",
            f"add “{line}”, or have the brand add it",
        )  # fmt: skip


def _at(text: str, at: int, severity: Severity, code: str, message: str, remedy: str = "") -> Finding:
    return Finding(severity, code, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), message, remedy)
