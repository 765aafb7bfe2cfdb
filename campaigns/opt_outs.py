"""What an opt-out means: how far it reaches, which text it answers, what becomes of texts that still wait, and of consent.

The suppression commits first and alone; the rest only tidies up: the claim refuses these people anyway (P6).
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple

from django.db import transaction

from campaigns import scheduling
from campaigns.models import Dispatch
from campaigns.states import EARLY, State
from compliance import consent, policy, reasons, suppression
from compliance.consent import Source
from compliance.models import Suppression
from compliance.policy import Category
from smsplatform.common.database import execute, rows
from smsplatform.tenancy.models import Brand

_ANSWERED_WITHIN: Final = timedelta(hours=24)
_TEXTS: Final = 20
_STOPPABLE: Final = (*EARLY, State.HELD)
_AT_ONCE: Final = 20_000
# How the ledger of consent calls the ways in which word of an opt-out comes.
_HEARD: Final = {
    "web": Source.WEB_FORM, "website": Source.WEB_FORM, "voice": Source.VERBAL, "person": Source.VERBAL,
    "letter": Source.PAPER, "provider": Source.SYSTEM,
}  # fmt: skip


class Answered(NamedTuple):
    """What a person may be answering: the categories of the brand's latest texts to them, and the very last text."""

    categories: frozenset[str] = frozenset()
    dispatch_id: uuid.UUID | None = None


def store(*, brand: Brand, number: str, reason: str, source: str, now: datetime, evidence: str = "") -> bool:
    """Store that a person, or their provider, wants no more texts of a brand; False where that is stored already.

    A STOP may be about one category only, if that is what the brand's policy says. Everything else is about all.
    """
    answered = answered_by(brand, number, now)
    is_stop = reason == reasons.OPT_OUT
    return suppression.suppress(
        brand=brand,
        number=number,
        reason=reason,
        source=source,
        now=now,
        evidence=evidence,
        category=suppression.category_of_stop(brand=brand, answered=answered.categories) if is_stop else "",
        dispatch_id=answered.dispatch_id,
    )


def answered_by(brand: Brand, number: str, now: datetime) -> Answered:
    """Return what a text from this person answers: what the brand sent them in the last day, or else the last one.

    Found through the permits, which are kept by brand and person: one statement, whatever the number of messages.
    """
    found = rows(
        """
        SELECT p.dispatch_id, r.category, coalesce(p.at, %(now)s)
        FROM compliance_permit p JOIN campaigns_dispatch d ON d.id = p.dispatch_id JOIN campaigns_run r ON r.id = d.run_id
        WHERE p.brand_id = %(brand)s AND p.number = %(number)s AND (p.at IS NOT NULL OR d.state = 'sending')
        ORDER BY coalesce(p.at, %(now)s) DESC, p.dispatch_id DESC LIMIT %(most)s
        """,
        {"brand": brand.pk, "number": number, "now": now, "most": _TEXTS},
    )
    if not found:
        return Answered()
    lately = {category for _, category, at in found if at > now - _ANSWERED_WITHIN}
    return Answered(frozenset(lately or {found[0][1]}), found[0][0])


def tidy(now: datetime) -> int:
    """Block what still waits for people who were suppressed otherwise than by a text; return how many rows.

    Where it is their own word, it goes on record as the end of their consent. Those who texted STOP are tidied with
    their replies.
    """
    untidied = (
        Suppression.objects.filter(tidied_at=None, released_at=None)
        .exclude(source="reply", brand__isnull=False)
        .order_by("id")
    )
    found = list(untidied[:_AT_ONCE])
    if not found:
        return 0
    _revoke(found, now)
    # More than these people's own rows may be found; which of them are meant, the rule says.
    waiting = rows(
        """
        SELECT d.id, d.batch_id, r.category
        FROM campaigns_batch b JOIN campaigns_run r ON r.id = b.run_id JOIN campaigns_dispatch d ON d.batch_id = b.id
        WHERE (b.phase = 'waiting' OR b.phase = 'leased') AND (%(all)s OR b.brand_id = ANY(%(brands)s))
          AND d.number = ANY(%(numbers)s) AND d.state = ANY(%(states)s)
        """,
        {
            "all": any(each.brand_id is None for each in found),
            "brands": sorted({each.brand_id for each in found if each.brand_id is not None}),
            "numbers": sorted({each.number for each in found}),
            "states": list(_STOPPABLE),
        },
    )
    moved = 0
    for category in sorted({row[2] for row in waiting}):
        theirs = Dispatch.objects.filter(id__in=[row[0] for row in waiting if row[2] == category])
        with transaction.atomic():
            moved += theirs.judge(_STOPPABLE, policy.suppressions(Category(category)), now).total()
    scheduling.end_where_empty([row[1] for row in waiting], now)
    # What was said once more meanwhile is tidied once more.
    execute(
        "UPDATE compliance_suppression s SET tidied_at = %s FROM unnest(%s::bigint[], %s::timestamptz[]) AS f(id, renewed_at)"
        " WHERE s.id = f.id AND s.renewed_at = f.renewed_at",
        [now, [each.pk for each in found], [each.renewed_at for each in found]],
    )
    return moved


def _revoke(found: Sequence[Suppression], now: datetime) -> None:
    """Put on record that these people's consent has ended, so that no later release brings it back."""
    own = set(reasons.own_words())
    theirs = [each for each in found if each.reason in own and _is_person(each.number)]
    meant = [(each.brand_id, each) for each in theirs if each.brand_id is not None]
    meant += _everywhere({each.number: each for each in theirs if each.brand_id is None})
    brands = Brand.objects.in_bulk({brand_id for brand_id, _ in meant})
    for (brand_id, reason), group in groupby(sorted(meant, key=_of), key=_of):
        entries = [
            consent.Entry(
                number=each.number,
                tier="",
                source=_HEARD.get(each.source, Source.ADMIN),
                occurred_at=each.renewed_at,
                category=each.category,
                action=f"{reasons.told(reason)}: {each.evidence or each.source}",
            )
            for _, each in group
        ]
        consent.record_all(brand=brands[brand_id], entries=entries, now=now, event=consent.Event.REVOKED, reason=reason)


def _everywhere(found: Mapping[str, Suppression]) -> list[tuple[int, Suppression]]:
    """Return these with every brand that the person ever consented to."""
    if not found:
        return []
    consented = rows(
        """
        SELECT DISTINCT s.brand_id, s.number FROM tenancy_brand b CROSS JOIN LATERAL (
          SELECT x.brand_id, x.number FROM compliance_consentstate x
          WHERE x.brand_id = b.id AND x.number = ANY(%s) OFFSET 0) s
        """,
        [list(found)],
    )
    return [(brand_id, found[number]) for brand_id, number in consented]


def _is_person(number: str) -> bool:
    """Return whether this is still somebody: of who was erased only a hash is left."""
    return number.startswith("+") or "@" in number


def _of(meant: tuple[int, Suppression]) -> tuple[int, str]:
    brand_id, each = meant
    return brand_id, each.reason
