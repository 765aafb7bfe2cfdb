"""Tells what is on record of a person's consent, and whether it is enough: for screens, for counsel, for the person."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from compliance import consent_rules
from compliance.consent_models import Consent, ConsentState
from compliance.consent_rules import Status, at_least
from smsplatform.common import mailbox, phone
from smsplatform.tenancy import audit
from smsplatform.tenancy.models import Brand, ConsentKept, Tenant


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether a brand may text a person of a category by its consent alone; `rule` is the one that forbids it."""

    may: bool
    words: str
    rule: str = ""
    tier: str = ""
    status: str = Status.NONE
    since: datetime | None = None
    expires_at: datetime | None = None
    consent_id: int | None = None


def explain(*, brand: Brand, number: str, category: str, now: datetime) -> Explanation:
    """Say what the send gate says of this person's consent, and why."""
    number = mailbox.spelled(number)
    need = consent_rules.needed(category, now.date())
    if need.tier is None:
        return Explanation(may=True, words=f"{category} messages need no consent ({need.citation})")
    states = ConsentState.objects.filter(brand=brand, number=number, category__in=("", category))
    state = states.order_by("-category").first() or ConsentState(status=Status.NONE)
    told = partial(
        Explanation,
        tier=state.tier,
        status=state.status,
        since=state.since,
        expires_at=state.expires_at,
        consent_id=state.consent_id,
    )
    is_enough = state.tier in at_least(need.tier)
    is_over = state.expires_at is not None and state.expires_at <= now
    if is_enough and not is_over:
        return told(may=True, words=f"{state.tier} consent since {state.since:%F %H:%M} UTC")
    if brand.consent_kept == ConsentKept.ELSEWHERE:
        words = (
            f"the proof is kept elsewhere: {brand.consent_attested_by} vouched for it on {brand.consent_attested_at:%F}"
        )
        return told(may=True, words=words)
    needs = f"{category} messages need {need.tier} consent"
    if state.pending_until is not None and state.pending_until > now:
        words = f"{needs}; the person is asked and has until {state.pending_until:%F %H:%M} UTC to say YES"
        return told(may=False, rule="consent_pending_double_opt_in", words=words)
    if is_enough or state.status == Status.EXPIRED or state.pending_until is not None:
        return told(may=False, rule="consent_expired", words=f"{needs}; what there was is over")
    has = f"there is only {state.tier} consent" if state.tier else "there is none on record"
    if state.status == Status.REVOKED:
        has = f"the person revoked it on {state.since:%F %H:%M} UTC"
    return told(may=False, rule="no_consent", words=f"{needs}; {has}")


def states(*, tenant: Tenant | int, number: str) -> list[ConsentState]:
    """Return what holds of a person's consent, by brand and category."""
    found = ConsentState.objects.for_tenant(tenant).filter(brand__in=_brands(tenant), number=number)
    return list(found.select_related("brand").order_by("brand__name", "category"))


def history(*, tenant: Tenant | int, number: str) -> list[Consent]:
    """Return all that is on record of a person, latest first, with the words that were shown."""
    found = Consent.objects.for_tenant(tenant).filter(brand__in=_brands(tenant), number=number)
    return list(found.select_related("brand", "disclosure", "attestation").order_by("-occurred_at", "-id"))


_EVIDENCE: Final = (
    "action", "reason", "basis", "page_url", "form_id", "ip", "user_agent", "session_id", "inbound_id", "inbound_text",
    "our_number", "identity", "import_id", "attested_by", "original_date", "evidence_file",
)  # fmt: skip


def exported(*, tenant: Tenant, number: str, actor: str, now: datetime) -> list[dict[str, Any]]:
    """Return all evidence about a person as plain values, oldest first; that it was taken out stands in the trail."""
    records = [_plain(record) for record in reversed(history(tenant=tenant, number=number))]
    shown = mailbox.masked(number) if "@" in number else phone.masked(number)
    audit.record(actor=actor, verb="consent.exported", target=shown, tenant=tenant, at=now, records=len(records))
    return records


def as_csv(records: Iterable[Mapping[str, Any]]) -> str:
    """Return exported records as a CSV file, safe to open in a spreadsheet."""
    text = io.StringIO()
    out = csv.DictWriter(text, _COLUMNS)
    out.writeheader()
    out.writerows({name: _inert(value) for name, value in record.items()} for record in records)
    return text.getvalue()


_COLUMNS: Final = (
    "id", "brand", "number", "category", "event", "tier", "occurred_at", "recorded_at", "expires_at", "is_undated",
    "source", *_EVIDENCE, "disclosure", "disclosure_version", "attestation",
)  # fmt: skip


def _plain(record: Consent) -> dict[str, Any]:
    return {
        "id": record.pk,
        "brand": record.brand.slug,
        "number": record.number,
        "category": record.category or "all",
        "event": record.event,
        "tier": record.tier,
        "occurred_at": record.occurred_at.isoformat(),
        "recorded_at": record.recorded_at.isoformat(),
        "expires_at": record.expires_at.isoformat() if record.expires_at else None,
        "is_undated": record.is_undated,
        "source": record.source,
        **{name: getattr(record, name) for name in _EVIDENCE},
        "disclosure": record.disclosure.text if record.disclosure else "",
        "disclosure_version": record.disclosure.digest if record.disclosure else "",
        "attestation": record.attestation.text if record.attestation else "",
    }


def _brands(tenant: Tenant | int) -> list[int]:
    """The ledger's only index begins with the brand."""
    return list(Brand.objects.for_tenant(tenant).values_list("pk", flat=True))


def _inert(value: object) -> object:
    """The cell, marked as text if a spreadsheet would run it as a formula; a number's plus sign is harmless."""
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    return value if value[:1] == "+" and value[1:].isdecimal() else f"'{value}"
