"""What people would read: every text where few differ, else a sample and the longest.

People whose fields agree in what the template reads get one text, rendered once by the code that will render it. Where
nearly everybody has a text of their own, it is only asked who lacks a field, and how long the texts are is estimated
from a sample, always the same one, together with the longest.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final, NamedTuple

from liquid.builtin.content import ContentNode
from liquid.builtin.output import OutputNode

from campaigns import opt_out_links, rendering, rendering_stage
from campaigns.models import Batch
from campaigns.rendering_stage import Writer
from campaigns.states import State
from compliance import languages, policy, segments, stop_lines
from smsplatform.common.database import rows

SAMPLE: Final = 2_000
_MOST_KEPT: Final = 20_000
_WORST: Final = 5
_NORMAL_95: Final = 1.96
_ID_BITS: Final = 40
_OWN_LINK: Final = (opt_out_links.FIELD,)  # everybody has one of their own, and all are equally long

# Any text with a letter or a digit is one as good as another when only asked whether it is there. Whatever is less
# clear (long, signs only, other alphabets) stays itself, so that the renderer decides.
_LETTER: Final = (
    "[[:alnum:]\u00c0-\u024f\u0370-\u04ff\u05d0-\u05ea\u0621-\u064a\u3041-\u30ff\u4e00-\u9fff\uac00-\ud7a3]"
)
_PRESENT: Final = f"""
 CASE WHEN jsonb_typeof({{v}}) = 'string' AND length({{v}} #>> '{{{{}}}}') <= {rendering.MAX_VALUE}
        AND ({{v}} #>> '{{{{}}}}') ~ '{_LETTER}'{{more}} THEN '"x"'::jsonb
      WHEN jsonb_typeof({{v}}) = 'number' AND abs(({{v}} #>> '{{{{}}}}')::numeric) < 1e29 THEN '1'::jsonb ELSE {{v}} END"""
_IS_NO_LINK: Final = " AND ({v} #>> '{{}}') !~ '[.@:/]'"  # of names: one that may be an address stays itself


class Reader(NamedTuple):
    """What decides what a person reads: the values of the fields, as JSON, their language, and whether they are told STOP."""

    values: str
    language: str = ""
    is_stop_due: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A text's size, or the rule that forbids it."""

    segments: int
    characters: int
    encoding: str
    rule: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many segments it will be: between `low` and `high`, which are the same where it is known."""

    low: int
    likely: int
    high: int

    @property
    def is_exact(self) -> bool:
        return self.low == self.high


class Kept(NamedTuple):
    """Somebody whose text is to be looked at."""

    size: int
    person: int
    is_stop_due: bool


def _writer(batch: Batch) -> Writer:
    version = batch.run.version
    assert version is not None, "a launch has a text"  # noqa: S101
    return rendering_stage.writer(batch.brand, {"": version.source, **version.texts})


def _is_there(value: str, path: tuple[str, ...]) -> str:
    more = _IS_NO_LINK.format(v=value) if path[-1] in rendering.NAME_FIELDS else ""
    return _PRESENT.format(v=value, more=more)


class Texts:
    """The texts of one launch, as far as they are known."""

    def __init__(self, batch: Batch) -> None:
        self.run = batch.run
        self.writes = _writer(batch)
        self.tells_stop = rendering_stage.adds_stop_line(batch)
        self.is_varied = False
        self.encodings: Counter[str] = Counter()
        self.by_country: Counter[str] = Counter()  # segments of the texts that were rendered
        self.people: Counter[str] = Counter()  # whom these are for
        self.unread: Counter[str] = Counter()  # people whose texts were not rendered
        self.sampled: list[Made] = []
        self.worst: dict[str, list[Kept]] = {}  # by kind, the largest first
        self.sizes: set[int] = set()  # of all texts rendered, in segments
        self._known: dict[Reader, Made] = {}
        self._paths = self._paths_read()

    def _paths_read(self) -> list[tuple[str, ...]]:
        """Return where the fields of all the texts lie, each one, and its namesake under `custom`."""
        read = (path for text in self.writes.texts.values() for path in text.paths if path != _OWN_LINK)
        rests = dict.fromkeys(path[1:] if path[0] == "custom" and len(path) > 1 else path for path in read)
        return [path for rest in rests for path in (rest, ("custom", *rest))]

    @property
    def knows_what_is_missing(self) -> bool:
        """Return whether who lacks a field is known of everybody, also where the texts are only sampled."""
        plain = (ContentNode, OutputNode)  # without conditions, only that a field is there matters
        return not self.is_varied or all(
            isinstance(node, plain) for text in self.writes.texts.values() for node in text.template.nodes
        )

    def forbids(self, made: Made) -> bool:
        """Return whether this text stands for all people who share its key, and none of them can be texted."""
        if not self.is_varied:
            return bool(made.rule)
        return made.rule == str(policy.MISSING_FIELD) and self.knows_what_is_missing

    # -- in SQL -----------------------------------------------------------------------------------------------------

    def columns(self) -> str:
        """Return the expression, over the recipient `r`, that is the same for people with the same text.

        Of varied texts: for people who have the same fields.
        """
        values = [f"(r.fields #> %(path{place})s::text[])" for place in range(len(self._paths))]
        if self.is_varied:
            values = [_is_there(value, path) for value, path in zip(values, self._paths, strict=True)]
        return f"jsonb_build_array({', '.join(values)})::text"

    def language(self) -> str:
        """Return the expression of the recipient's language, as far as it chooses a text."""
        return "coalesce(r.language, '')" if len(self.writes.texts) > 1 else "''"

    def stop_line(self) -> tuple[str, str]:
        """Return a join and an expression: whether somebody looked at, `d`, is due to be told how to end the texts."""
        return (stop_lines.JOIN, stop_lines.is_due_at("d.look_at")) if self.tells_stop else ("", "false")

    def length(self) -> str:
        """Return the expression of how long the recipient's fields are."""
        lengths = [f"coalesce(length(r.fields #>> %(path{place})s::text[]), 0)" for place in range(len(self._paths))]
        return " + ".join(lengths) or "0"

    def parameters(self) -> dict[str, Any]:
        """Return what these ask for."""
        paths = {f"path{place}": list(path) for place, path in enumerate(self._paths)}
        return {**paths, "stop_line_every": stop_lines.EVERY}

    # -- rendered ---------------------------------------------------------------------------------------------------

    def made(self, reader: Reader) -> Made:
        """Return the text of the people who share this."""
        key = reader._replace(language=languages.choose(reader.language, self.writes.texts))
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            found = self._known[key] = self._make(self._fields(key.values), key)
        return found

    def _make(self, fields: dict[str, Any], reader: Reader) -> Made:
        rendered = rendering_stage.sample(
            self.run, self.writes, fields, language=reader.language, is_stop_due=reader.is_stop_due
        )
        if rendered.state is not State.CLEARED:
            return Made(0, 0, "", rendered.reason, rendered.detail)
        self.sizes.add(rendered.segments)
        return Made(rendered.segments, len(rendered.text), segments.count(rendered.text).encoding)

    def _fields(self, values: str) -> dict[str, Any]:
        """Return fields that have these values where the templates look for them."""
        fields: dict[str, Any] = {}
        for path, value in sorted(zip(self._paths, json.loads(values), strict=True), key=lambda pair: len(pair[0])):
            scope: Any = fields
            for name in path[:-1]:
                scope = scope.setdefault(name, {}) if isinstance(scope, dict) and value is not None else None
            if isinstance(scope, dict) and value is not None:
                scope[path[-1]] = value
        return fields

    # -- counted ----------------------------------------------------------------------------------------------------

    def read(self, reader: Reader, *, country: str, people: int, example: int) -> None:
        """Count the text of so many people who would get it."""
        made = self.made(reader)
        self.people[country] += people
        self.by_country[country] += made.segments * people
        self.encodings[made.encoding] += people
        self._note(made, example, reader)

    def skip(self, *, country: str, people: int) -> None:
        """Count people whose texts only the sample speaks for."""
        self.unread[country] += people

    def refuse(self, reader: Reader, example: int) -> None:
        """Remember somebody whose text cannot be made."""
        self._keep("refused", 0, example, reader)

    def read_sample(self, people: Mapping[int, Reader]) -> None:
        """Render the texts of these people."""
        for person, made in self._made_for(people):
            self.sampled.append(made)
            self._note(made, person, people[person])

    def read_longest(self, packed: Mapping[int, Reader]) -> None:
        """Render the texts with the longest fields, told as `length << 40 | id`."""
        people = {
            each & ((1 << _ID_BITS) - 1): packed[each] for each in sorted(packed, reverse=True)[: 4 * _WORST] if each
        }
        for person, made in self._made_for(people):
            self._note(made, person, people[person])

    def _made_for(self, people: Mapping[int, Reader]) -> Iterator[tuple[int, Made]]:
        for person, fields in rows(
            "SELECT id, fields FROM campaigns_recipient WHERE id = ANY(%s) ORDER BY id", [sorted(people)]
        ):
            yield person, self._make(json.loads(fields) if isinstance(fields, str) else fields or {}, people[person])

    def _note(self, made: Made, person: int, reader: Reader) -> None:
        if made.rule:
            self._keep("refused", 0, person, reader)
            return
        self._keep("longest", made.characters, person, reader)
        self._keep("most segments", made.segments, person, reader)
        if made.encoding == "UCS-2":
            self._keep("special characters", made.characters, person, reader)

    def _keep(self, kind: str, size: int, person: int, reader: Reader) -> None:
        kept = self.worst.setdefault(kind, [])
        if len(kept) < _WORST or size > kept[-1].size:
            kept.append(Kept(size, person, reader.is_stop_due))
            kept.sort(key=lambda each: (-each.size, each.person))
            del kept[_WORST:]

    def mean(self) -> float:
        """Return how many segments the sample's texts have on average."""
        sizes = [made.segments for made in self.sampled if not made.rule]
        return sum(sizes) / len(sizes) if sizes else 1.0

    def segments(self) -> Estimate:
        """Return how many segments all texts have together."""
        known, unread = sum(self.by_country.values()), sum(self.unread.values())
        if not unread:
            return Estimate(known, known, known)
        sizes = [made.segments for made in self.sampled if not made.rule] or [1]
        mean, least = sum(sizes) / len(sizes), min(sizes)
        spread = sqrt(sum((size - mean) ** 2 for size in sizes) / max(len(sizes) - 1, 1))
        # 95 % of the mean's spread, and what the sample may have missed: at most 3/n of the texts are a segment longer.
        margin = _NORMAL_95 * spread / sqrt(len(sizes)) + 3 / len(sizes)
        low = max(mean - margin, least)
        return Estimate(
            known + int(unread * low), known + round(unread * mean), known + int(unread * (mean + margin)) + 1
        )

    def countries(self) -> Mapping[str, tuple[int, int]]:
        """Return people and likely segments by country."""
        mean = self.mean()
        return {
            country: (
                self.people[country] + self.unread[country],
                self.by_country[country] + round(self.unread[country] * mean),
            )
            for country in sorted({*self.people, *self.unread})
        }
