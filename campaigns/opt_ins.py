"""Double opt-in: the one text that asks a person for their YES, sent at once after a form.

The ask and its text are committed together, so nobody is asked without a record, and nobody twice. What the person
answers comes back through replies.
"""

import uuid
from datetime import datetime
from typing import NamedTuple, Unpack

from django.conf import settings
from django.db import transaction

from campaigns import notifications
from campaigns.models import Lane
from compliance import automatic_texts, consent, traffic
from compliance.consent import Source, Tier
from compliance.consent.ledger import Evidence
from compliance.keywords import Purpose
from compliance.policy import Category
from compliance.traffic import Origin, Trigger
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy.models import Brand


class Asking(NamedTuple):
    """The ask on record, the text that goes out, and until when a YES counts."""

    consent_id: int
    dispatch_id: uuid.UUID
    until: datetime


def ask(
    *,
    brand: Brand,
    number: str,
    category: Category,
    now: datetime,
    action: str,
    tier: Tier = Tier.WRITTEN,
    source: Source = Source.WEB_FORM,
    disclosure: str = "",
    **evidence: Unpack[Evidence],
) -> Asking | None:
    """Ask the person for their YES; None where they are asked already, or have consented. The caller nudges `collect`.

    `number` may be written as people do. The text needs no consent and waits for no morning: the person has just asked
    for it (facts §2.2). Raises InvalidInput for a number that the tenant does not text, for evidence that lacks something,
    and where the brand's facts make no fit text; Conflict for a number that has opted out; TooMany for more than forms may
    trigger (compliance.traffic).
    """
    number = notifications.read_number(brand, number).e164
    text = automatic_texts.text(automatic_texts.of(brand), purpose=Purpose.ASK, day=now.date())
    if not text.is_fit:
        lacks = ", ".join([*text.missing, *text.faults])
        raise InvalidInput(
            f"the brand's automatic texts have none that may ask for a YES ({lacks}); complete them", field="ask_text"
        )
    with transaction.atomic():
        asked = consent.ask(
            brand=brand,
            number=number,
            category=category.value,
            now=now,
            tier=tier,
            source=source,
            action=action,
            disclosure=disclosure,
            **evidence,
        )
        if asked is None:
            return None
        dispatch_id = notifications.send(
            brand=brand,
            number=number,
            text=text.text,
            now=now,
            category=Category.TRANSACTIONAL,
            lane=Lane.URGENT,
            lifetime=min(asked.until - now, settings.LATENESS_LIMIT),
            origin=Trigger(Origin.FORM, form=evidence.get("form_id", ""), ip=evidence.get("ip") or ""),
        )
        traffic.note_opt_in_asked(tenant=brand.tenant, number=number, now=now)
    return Asking(asked.consent_id, dispatch_id, asked.until)
