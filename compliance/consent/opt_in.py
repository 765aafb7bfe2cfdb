"""Double opt-in: one ask, a YES within the time the brand gives, or nothing; and everything else that ends by itself.

The instants decide, not the clock of whoever looks: the gate and `pending` compare them with `now`. What `expire` writes
only puts into words, in the ledger, what has been true since the instant it names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Unpack

from django.db import transaction

from compliance.consent import ledger, states
from compliance.consent.ledger import Entry, Evidence
from compliance.consent_rules import Event, Source, Status, Tier, at_least
from smsplatform.common import mailbox
from smsplatform.common.database import rows
from smsplatform.common.errors import Conflict
from smsplatform.tenancy.models import Brand

_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A person is to be asked for a YES, which counts until then."""

    consent_id: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """Why nobody is asked: a consent that is granted, or an ask that is pending, on which record, and until when."""

    status: Status
    consent_id: int
    until: datetime | None


def ask(
    *,
    brand: Brand,
    number: str,
    category: str,
    now: datetime,
    tier: Tier = Tier.WRITTEN,
    source: Source = Source.WEB_FORM,
    action: str,
    disclosure: str = "",
    **evidence: Unpack[Evidence],
) -> Asked | None:
    """Record that the person is asked, with the form's evidence; None where nothing is to be asked.

    Nothing is where an ask is open already, or a consent of this tier stands. Raises Conflict for a suppressed number:
    it is never asked, only its own START lets it come back. Raises InvalidInput for evidence that would prove nothing,
    also where nothing is to be asked: a form that forgets something is not told so only now and then.
    """
    number = mailbox.spelled(number)
    ledger.check(
        event=Event.ASKED,
        tier=tier,
        source=source,
        action=action,
        disclosure=disclosure,
        occurred_at=now,
        now=now,
        category=category,
        **evidence,
    )
    with transaction.atomic():
        if _is_suppressed(brand, number, category):
            raise Conflict(
                "this number has opted out and must not be asked; the person may text START to come back",
                field="number",
            )
        _lock_or_make(brand, number)
        if standing(brand=brand, number=number, category=category, tier=tier, now=now):
            return None
        evidence["expires_at"] = until = now + timedelta(hours=brand.opt_in_hours)
        asked = ledger.record(
            brand=brand,
            number=number,
            event=Event.ASKED,
            tier=tier,
            source=source,
            occurred_at=now,
            now=now,
            category=category,
            action=action,
            disclosure=disclosure,
            **evidence,
        )
        return None if asked is None else Asked(asked, until)


def standing(*, brand: Brand, number: str, category: str, tier: Tier, now: datetime) -> Standing | None:
    """Return the consent of this tier, or else the ask of any kind, that makes another ask needless."""
    number = mailbox.spelled(number)
    found = rows(
        """
        SELECT tier, consent_id, expires_at FROM compliance_consentstate
        WHERE brand_id = %s AND number = %s AND category IN ('', %s) ORDER BY category DESC LIMIT 1
        """,
        [brand.pk, number, category],
    )
    if found and found[0][0] in at_least(tier) and (found[0][2] is None or found[0][2] > now):
        return Standing(Status.GRANTED, found[0][1], found[0][2])
    asked = rows(
        """
        SELECT pending_id, pending_until FROM compliance_consentstate
        WHERE brand_id = %s AND number = %s AND pending_until > %s ORDER BY pending_until DESC LIMIT 1
        """,
        [brand.pk, number, now],
    )
    return Standing(Status.PENDING, *asked[0]) if asked else None


def pending(*, brand: Brand, numbers: Iterable[str], now: datetime) -> set[str]:
    """Return those of the numbers whose YES is waited for."""
    found = rows(
        "SELECT DISTINCT number FROM compliance_consentstate"
        " WHERE brand_id = %s AND number = ANY(%s) AND pending_until > %s",
        [brand.pk, sorted({mailbox.spelled(number) for number in numbers}), now],
    )
    return {number for (number,) in found}


def asked_at(*, brand: Brand, number: str) -> datetime | None:
    """Return when the person was asked for the YES that is waited for, or None."""
    [(at,)] = rows(
        """
        SELECT max(a.occurred_at) FROM compliance_consentstate s JOIN compliance_consent a ON a.id = s.pending_id
        WHERE s.brand_id = %s AND s.number = %s
        """,
        [brand.pk, mailbox.spelled(number)],
    )
    return at  # type: ignore[no-any-return]


def confirm(*, brand: Brand, number: str, now: datetime, inbound_id: int, inbound_text: str, our_number: str) -> bool:
    """Record the YES to what was asked; False where nothing was, or not any more. Of two at once, one confirms."""
    number = mailbox.spelled(number)
    with transaction.atomic():
        states.lock([(brand.pk, number)])
        asks = rows(
            """
            SELECT DISTINCT a.id, a.category, a.tier, coalesce(t.text, ''), a.page_url, a.identity
            FROM compliance_consentstate s JOIN compliance_consent a ON a.id = s.pending_id
              LEFT JOIN compliance_disclosure t ON t.id = a.disclosure_id
            WHERE s.brand_id = %s AND s.number = %s AND s.pending_until > %s ORDER BY a.id
            """,
            [brand.pk, number, now],
        )
        made = [
            ledger.record(
                brand=brand,
                number=number,
                event=Event.CONFIRMED,
                tier=tier,
                source=Source.DOUBLE_OPTIN,
                occurred_at=now,
                now=now,
                category=category,
                action=f"replied to the ask, record {asked}",
                disclosure=disclosure,
                inbound_id=inbound_id,
                inbound_text=inbound_text,
                our_number=our_number,
                page_url=page_url,
                identity=identity,
            )
            for asked, category, tier, disclosure, page_url, identity in asks
        ]
        return any(record_id is not None for record_id in made)


def expire(now: datetime) -> int:
    """Write down the asks and consents whose time is over; return how many. Running it again finds nothing."""
    count = 0
    while True:
        with transaction.atomic():
            lapsed = _lapsed(now)
            made = _end(lapsed, now)
            if not made:  # somebody else is writing them down, or has
                states.refresh({(one.brand_id, one.number) for one in lapsed})
        count += made
        if not made:
            return count


def deactivate(*, numbers: Sequence[str], occurred_at: datetime, now: datetime) -> int:
    """A carrier took these numbers back: no consent of anybody for them holds any more. Return how many ended."""
    with transaction.atomic():
        holders = rows(
            """
            SELECT DISTINCT s.brand_id, s.number FROM unnest(%s::text[]) AS u(number)
              CROSS JOIN tenancy_brand b CROSS JOIN LATERAL (
                SELECT * FROM compliance_consentstate x WHERE x.brand_id = b.id AND x.number = u.number OFFSET 0) s
            WHERE s.status IN ('granted', 'pending') AND s.since <= %s
            """,
            [sorted(set(numbers)), occurred_at],
        )
        ended = [_Lapse(brand_id, number, 0, "", "", occurred_at, "") for brand_id, number in holders]
        return _end(ended, now, reason="deactivated")


class _Lapse(NamedTuple):
    """A record that ends at an instant; without a tier: whatever the person consented to."""

    brand_id: int
    number: str
    record_id: int
    category: str
    tier: str
    ended_at: datetime
    event: str


def _lapsed(now: datetime) -> list[_Lapse]:
    """The records that the overdue states rest on: of the grant, of the ask, or of both."""
    found = rows(
        """
        SELECT DISTINCT c.brand_id, c.number, c.id, c.category, c.tier, c.expires_at, c.event
        FROM (SELECT consent_id, pending_id FROM compliance_consentstate WHERE lapses_at <= %(now)s
              ORDER BY lapses_at, brand_id, number LIMIT %(most)s) s
          CROSS JOIN LATERAL unnest(ARRAY[s.consent_id, s.pending_id]) AS r(id) JOIN compliance_consent c ON c.id = r.id
        WHERE c.expires_at <= %(now)s
        """,
        {"now": now, "most": _AT_ONCE},
    )
    return [_Lapse(*row) for row in found]


def _end(lapsed: Sequence[_Lapse], now: datetime, *, reason: str = "") -> int:
    """Add the ends to the ledger, a few statements per brand."""
    groups: dict[tuple[int, str], list[Entry]] = {}
    for one in sorted(lapsed):
        why = reason or ("not_confirmed" if one.event == Event.ASKED else "term_over")
        groups.setdefault((one.brand_id, why), []).append(
            Entry(
                number=one.number,
                tier=one.tier,
                source=Source.SYSTEM,
                occurred_at=one.ended_at,
                category=one.category,
                action=f"the time of record {one.record_id} is over" if one.record_id else "",
            )
        )
    brands = Brand.objects.in_bulk({brand_id for brand_id, _ in groups})
    return sum(
        ledger.record_all(brand=brands[brand_id], entries=entries, event=Event.EXPIRED, reason=why, now=now)
        for (brand_id, why), entries in groups.items()
    )


def _lock_or_make(brand: Brand, number: str) -> None:
    """Lock the person; who has no record yet gets an empty state to be locked, so that of two asks one is sent."""
    rows(
        """
        INSERT INTO compliance_consentstate (tenant_id, brand_id, number, category, tier, status)
        VALUES (%s, %s, %s, '', '', 'none') ON CONFLICT (brand_id, number, category) DO NOTHING
        """,
        [brand.tenant_id, brand.pk, number],
    )
    states.lock([(brand.pk, number)])


def _is_suppressed(brand: Brand, number: str, category: str) -> bool:
    """Any suppression counts that the messages asked for, or the ask itself, would meet."""
    return bool(
        rows(
            """
            SELECT 1 FROM compliance_suppression WHERE number = %s AND released_at IS NULL
              AND (brand_id = %s OR brand_id IS NULL) AND (category = '' OR %s = '' OR category = %s) LIMIT 1
            """,
            [number, brand.pk, category, category],
        )
    )
