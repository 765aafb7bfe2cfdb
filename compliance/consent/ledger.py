"""Adds evidence to the ledger, one record or a file of them; the states follow in the same transaction.

Evidence that is there already is not added again: a text by the reply it came with, a row of a file by what it says.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypedDict, Unpack

from django.db import transaction

from compliance import consent_rules
from compliance.consent import states
from compliance.consent_rules import GRANTS, NEEDS, PROOF, Event, Source, Tier
from smsplatform.common import mailbox
from smsplatform.common.database import rows
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy.models import Brand

MOST_AT_ONCE: Final = 20_000


class Evidence(TypedDict, total=False):
    """What else is known of a record, by source (facts §3.2)."""

    page_url: str
    form_id: str
    ip: str | None
    user_agent: str
    session_id: str
    inbound_id: int | None
    inbound_text: str
    our_number: str
    identity: str
    import_id: int | None
    attested_by: str
    attestation: str
    original_date: str
    evidence_file: str
    basis: str
    reason: str
    expires_at: datetime | None


class Entry(NamedTuple):
    """A record of many that share their event, import and attestation. Undated: `occurred_at` is when we heard of it."""

    number: str
    tier: str
    source: Source
    occurred_at: datetime
    category: str = ""
    action: str = ""
    disclosure: str = ""
    original_date: str = ""
    is_undated: bool = False


def record(  # noqa: PLR0913 - evidence has many sides
    *,
    brand: Brand,
    number: str,
    event: Event,
    tier: Tier | str = "",
    source: Source,
    occurred_at: datetime,
    now: datetime,
    category: str = "",
    action: str = "",
    disclosure: str = "",
    **evidence: Unpack[Evidence],
) -> int | None:
    """Add one record and return its id; None where the same evidence is there already.

    A grant names its tier and the act, and what its source demands (`consent_rules.PROOF`); raises InvalidInput for what
    lacks. A text that names no disclosure counts with the one that the person was shown last; written consent is
    only what a disclosure was shown for, so without any the tier is express.
    """
    number = mailbox.spelled(number)
    with transaction.atomic():
        if event in GRANTS and source is Source.KEYWORD and not disclosure:
            disclosure = last_disclosure(brand=brand, number=number)
            if tier == Tier.WRITTEN and not disclosure:
                tier = Tier.EXPRESS
        check(
            event=event,
            tier=tier,
            source=source,
            action=action,
            disclosure=disclosure,
            occurred_at=occurred_at,
            now=now,
            category=category,
            **evidence,
        )
        expires_at = evidence.pop("expires_at", None)
        shared: dict[str, Any] = {**evidence, "event": event}
        entry = _Row(
            number=number,
            tier=tier,
            source=source,
            occurred_at=occurred_at,
            category=category,
            action=action[:200],
            disclosure=disclosure,
            once=_once_by_reply(evidence.get("inbound_id"), event, category, occurred_at),
            original_date=evidence.get("original_date", "")[:60],
            expires_at=expires_at or _ends_at(event, number, tier, evidence.get("basis", ""), occurred_at),
        )
        made = _add(brand, [entry], shared, now)
        return made[0] if made else None


def record_all(
    *,
    brand: Brand,
    entries: Iterable[Entry],
    now: datetime,
    event: Event = Event.IMPORTED,
    import_id: int | None = None,
    attested_by: str = "",
    attestation: str = "",
    reason: str = "",
) -> int:
    """Add what is new of many records that share this and return how many that were. A few statements per 20,000."""
    shared = {
        "event": event,
        "import_id": import_id,
        "attested_by": attested_by,
        "attestation": attestation,
        "reason": reason,
    }
    signed = _digest(attestation)
    made = 0
    with transaction.atomic():
        todo = [
            _Row(
                number=entry.number,
                tier=entry.tier,
                source=entry.source,
                occurred_at=entry.occurred_at,
                category=entry.category,
                action=entry.action[:200],
                disclosure=entry.disclosure,
                once=_once_by_words(entry, event, signed),
                original_date=entry.original_date[:60],
                is_undated=entry.is_undated,
                expires_at=_ends_at(event, entry.number, entry.tier, "", entry.occurred_at),
            )
            for entry in entries
        ]
        todo.sort(key=lambda row: row.number)
        if len(todo) > 1:
            # The planner's statistics are older than the file: free to choose, it would read whole tables.
            rows("SELECT set_config('enable_seqscan', 'off', true)")
        for start in range(0, len(todo), MOST_AT_ONCE):
            made += len(_add(brand, todo[start : start + MOST_AT_ONCE], shared, now))
    return made


def last_disclosure(*, brand: Brand, number: str) -> str:
    """Return what the person was shown when they last consented to this brand's texts, or ""."""
    found = rows(
        """
        SELECT t.text FROM compliance_consent c JOIN compliance_disclosure t ON t.id = c.disclosure_id
        WHERE c.brand_id = %s AND c.number = %s ORDER BY c.occurred_at DESC, c.id DESC LIMIT 1
        """,
        [brand.pk, number],
    )
    return str(found[0][0]) if found else ""


@dataclass(slots=True)
class _Row:
    number: str
    tier: str
    source: Source
    occurred_at: datetime
    category: str
    action: str
    disclosure: str
    once: str
    original_date: str = ""
    is_undated: bool = False
    expires_at: datetime | None = None


_SHARED: Final[Mapping[str, str]] = {
    "event": "text", "reason": "text", "basis": "text", "page_url": "text", "form_id": "text", "ip": "inet",
    "user_agent": "text", "session_id": "text", "inbound_id": "bigint", "inbound_text": "text", "our_number": "text",
    "identity": "text", "import_id": "bigint", "attested_by": "text", "evidence_file": "text",
}  # fmt: skip
_NULLABLE: Final = frozenset({"ip", "inbound_id", "import_id"})
_LENGTHS: Final = {
    "form_id": 120, "session_id": 120, "our_number": 254, "identity": 254, "attested_by": 120, "evidence_file": 400,
    "reason": 60, "basis": 12,
}  # fmt: skip
_OWN: Final[Mapping[str, str]] = {
    "number": "text", "tier": "text", "source": "text", "occurred_at": "timestamptz", "category": "text",
    "action": "text", "original_date": "text", "is_undated": "boolean", "once": "uuid",
    "expires_at": "timestamptz", "disclosure_id": "bigint",
}  # fmt: skip
# Salted so that it tells nothing once number and salt are gone, and proves both while they are here.
_INSERT: Final = """
  INSERT INTO compliance_consent (tenant_id, brand_id, recorded_at, attestation_id, salt, commitment, {names})
  SELECT %(tenant)s, %(brand)s, %(now)s, %(attestation)s, e.salt,
    sha256(convert_to(e.salt::text || '|' || e.number || '|' || %(identity)s::text, 'UTF8')), {values}
  FROM (SELECT gen_random_uuid() AS salt, u.* FROM unnest({arrays}) AS u({own})) e
  ORDER BY e.number, e.once
  ON CONFLICT (brand_id, number, once) DO NOTHING RETURNING id"""


@cache
def _insert(own: tuple[str, ...]) -> str:
    """SQL: add records that differ in these columns and share all others."""
    kinds = {**_SHARED, **_OWN}
    shared = {name: f"%({name})s::{kind}" for name, kind in kinds.items()}
    return _INSERT.format(
        names=", ".join(kinds),
        values=", ".join((shared | {name: f"e.{name}" for name in own}).values()),
        arrays=", ".join(f"{shared[name]}[]" for name in own),
        own=", ".join(own),
    )


def _add(brand: Brand, todo: Sequence[_Row], shared: Mapping[str, Any], now: datetime) -> list[int]:
    if not todo:
        return []
    attestation = str(shared.get("attestation", ""))
    texts = stored(brand.tenant_id, {attestation, *(row.disclosure for row in todo)} - {""}, now)
    given: dict[str, Any] = {
        name: shared.get(name, None if name in _NULLABLE else "") or (None if name in _NULLABLE else "")
        for name in _SHARED
    }
    given |= {name: str(given[name])[:most] for name, most in _LENGTHS.items()}
    columns: dict[str, list[Any]] = {
        "disclosure_id": [texts.get(row.disclosure) for row in todo],
        **{name: list(map(attrgetter(name), todo)) for name in _OWN if name != "disclosure_id"},
    }
    # What all have in common is sent once: of a file that is nearly everything.
    own = tuple(name for name, values in columns.items() if name in _KEY or len(set(values)) > 1)
    given |= {name: values if name in own else values[0] for name, values in columns.items()}
    given |= {"tenant": brand.tenant_id, "brand": brand.pk, "now": now, "attestation": texts.get(attestation)}
    made = rows(_insert(own), given)
    if made:
        states.follow(
            tenant_id=brand.tenant_id, brand_id=brand.pk, numbers=columns["number"], categories=columns["category"]
        )
    return [record_id for (record_id,) in made]


_KEY: Final = ("number", "once")


def stored(tenant_id: int, texts: Iterable[str], now: datetime) -> dict[str, int]:
    """Return the id of each text, stored once by its hash."""
    by_digest = {_digest(text): text for text in texts}
    if not by_digest:
        return {}
    digests = sorted(by_digest)
    rows(
        """
        INSERT INTO compliance_disclosure (tenant_id, digest, text, seen_at)
        SELECT %s, d, t, %s FROM unnest(%s::text[], %s::text[]) AS u(d, t) ON CONFLICT (tenant_id, digest) DO NOTHING
        """,
        [tenant_id, now, digests, [by_digest[digest] for digest in digests]],
    )
    found = rows(
        "SELECT digest, id FROM compliance_disclosure WHERE tenant_id = %s AND digest = ANY(%s)", [tenant_id, digests]
    )
    return {by_digest[digest]: text_id for digest, text_id in found}


def _ends_at(event: Event, number: str, tier: str, basis: str, occurred_at: datetime) -> datetime | None:
    if event not in GRANTS or tier not in consent_rules.ENDING:
        return None
    return consent_rules.ends_at(number=number, tier=Tier(tier), basis=basis, occurred_at=occurred_at)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _once_by_reply(inbound_id: int | None, event: Event, category: str, occurred_at: datetime) -> str:
    if inbound_id is None:
        return uuid.uuid4().hex
    return _fingerprint("reply", str(inbound_id), event, category, occurred_at.isoformat())


def _once_by_words(entry: Entry, event: Event, signed: str) -> str:
    """The same words about the same person are the same evidence, however often a file is sent."""
    at = "" if entry.is_undated else entry.occurred_at.isoformat()
    return _fingerprint(
        event, entry.tier, entry.source, entry.category, at, entry.action, entry.original_date, entry.disclosure, signed
    )


def _fingerprint(*words: str) -> str:
    return hashlib.sha256("\x1f".join(words).encode()).hexdigest()[:32]


def check(
    *,
    event: Event,
    tier: str,
    source: Source,
    action: str,
    disclosure: str,
    occurred_at: datetime,
    now: datetime,
    category: str = "",
    **evidence: Unpack[Evidence],
) -> None:
    """Raise InvalidInput where the evidence would prove nothing."""
    if occurred_at > now:
        raise InvalidInput("lies in the future; give the instant at which the person did it", field="occurred_at")
    known = sorted(need.category for need in NEEDS)
    if category and category not in known:
        raise InvalidInput(f"{category!r} is none of {', '.join(known)}; empty means all", field="category")
    if tier and tier not in list(Tier):
        raise InvalidInput(f"{tier!r} is none of {', '.join(Tier)}", field="tier")
    if event not in GRANTS and event is not Event.ASKED:
        return
    if not tier:
        raise InvalidInput(f"say how strong the consent is: {', '.join(Tier)}", field="tier")
    if not action:
        raise InvalidInput('say what the person did, like "ticked the box"', field="action")
    if tier == Tier.WRITTEN and not disclosure.strip():
        raise InvalidInput(
            "written consent needs the words that the person was shown, as they were; without them record express",
            field="disclosure",
        )
    lacking = [name for name in PROOF.get(source, ()) if not evidence.get(name)]
    if lacking:
        raise InvalidInput(
            f"consent by {source.replace('_', ' ')} needs {', '.join(lacking)} as well", field=lacking[0]
        )
