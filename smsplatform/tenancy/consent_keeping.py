"""Where a brand's proof of consent is: in our ledger, or with the tenant, who then vouches for it in writing."""

from datetime import datetime

from django.db import transaction

from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import audit
from smsplatform.tenancy.models import Brand, ConsentKept


def keep_elsewhere(*, brand: Brand, words: str, actor: str, now: datetime) -> None:
    """Let the brand text without our ledger, on the tenant's word. Callers check that the actor owns the tenant."""
    words = words.strip()
    if not words:
        raise InvalidInput(
            "write where the proof of consent is kept and who answers for it; your words are stored with your name",
            field="consent_attestation",
        )
    _set(brand, actor, now, ConsentKept.ELSEWHERE, words)


def keep_here(*, brand: Brand, actor: str, now: datetime) -> None:
    """Text nobody without a consent on record from now on; the words that were given before stay in the trail."""
    _set(brand, actor, now, ConsentKept.HERE, "")


def _set(brand: Brand, actor: str, now: datetime, where: ConsentKept, words: str) -> None:
    is_vouched = where is ConsentKept.ELSEWHERE
    with transaction.atomic():
        locked = Brand.objects.select_for_update().get(pk=brand.pk)
        was = locked.consent_kept
        locked.consent_kept = where
        locked.consent_attested_by = actor[:120] if is_vouched else ""
        locked.consent_attested_at = now if is_vouched else None
        locked.consent_attestation = words
        fields = ("consent_kept", "consent_attested_by", "consent_attested_at", "consent_attestation")
        locked.save(update_fields=fields)
        audit.record(
            actor=actor, verb="brand.consent_kept", target=f"{brand.pk} {brand}", tenant=brand.tenant_id, at=now,
            was=was, now=where.value, words=words,
        )  # fmt: skip
    for name in fields:
        setattr(brand, name, getattr(locked, name))
