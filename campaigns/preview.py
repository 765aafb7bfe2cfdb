"""How a text will look: rendered for a few people, with its size, and with what smart encoding changes and what is dear."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from campaigns import rendering, rendering_stage
from campaigns.models import Recipient
from campaigns.rendering_stage import Writer
from compliance import languages, segments, smart
from smsplatform.common import masking
from smsplatform.tenancy.models import Brand
from tracking import links, shortening

MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text. `kind` is plain, changed (then `before` is what was written), dear, or added."""

    text: str
    kind: str = "plain"
    before: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One person's text, or why there is none. `who` is the person's number, masked."""

    who: str
    language: str
    pieces: list[Piece] = field(default_factory=list)
    segments: int = 0
    units: int = 0
    encoding: str = ""
    problem: str = ""

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


def samples(*, brand: Brand, source: str, texts: Mapping[str, str], most: int = MOST) -> list[Sample]:
    """Return the texts of some of the tenant's people, at least one of each language. Raises rendering.BadTemplate.

    As long as a text can get: with the STOP line, where the brand adds one.
    """
    writes = rendering_stage.writer(brand, {"": source, **texts})
    people = list(Recipient.objects.for_tenant(brand.tenant_id).order_by("number")[:most])
    for language in texts:
        if not any(languages.choose(person.language or "", texts) == language for person in people):
            people += Recipient.objects.for_tenant(brand.tenant_id).filter(language__startswith=language)[:1]
    return [
        _sample(brand, writes, masking.number(person.number), person.language or "", person.fields) for person in people
    ]


def _sample(brand: Brand, writes: Writer, who: str, language: str, fields: Mapping[str, object]) -> Sample:
    chosen = languages.choose(language, writes.texts)
    try:
        written = rendering.render(writes.texts[chosen], fields)
        text = writes.write(fields, language=language, is_stop_due=brand.adds_stop_line)
        short, _ = shortening.with_placeholders(text, links.base_url(brand))
    except rendering.RenderError as error:
        return Sample(who, chosen, problem=f"is skipped: {error}")
    except shortening.BadDestination as error:
        return Sample(who, chosen, problem=f"is skipped: a link {error}")
    size = segments.count(short)
    sent = smart.encode(written, smart=writes.smart, accents=writes.accents)
    pieces = list(_pieces(written, writes, is_dear=size.encoding == "UCS-2"))
    if text != sent:
        pieces.append(Piece(text.removeprefix(sent.rstrip()), "added"))
    return Sample(who, chosen, pieces, size.segments, size.units, size.encoding)


def _pieces(written: str, writes: Writer, *, is_dear: bool) -> Iterator[Piece]:
    """Split a text where a character was changed, or costs the whole text its cheap encoding."""
    changed = {each.at: each for each in smart.changes(written, smart=writes.smart, accents=writes.accents)}
    place = 0
    while place < len(written):
        change = changed.get(place)
        if change is not None:
            yield Piece(change.after, "changed", change.before)
            place += len(change.before)
            continue
        end = next((at for at in range(place, len(written)) if at in changed), len(written))
        for is_gsm, run in groupby(written[place:end], segments.GSM.__contains__):
            yield Piece("".join(run), "plain" if is_gsm or not is_dear else "dear")
        place = end


def total(found: list[Sample]) -> str:
    """Return what the samples cost, in words."""
    sizes = [each.segments for each in found if each.segments]
    if not sizes:
        return ""
    return f"{min(sizes)} to {max(sizes)} segments, {sum(sizes) / len(sizes):.1f} on average"
