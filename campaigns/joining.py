"""People who text a brand's own word, like JOIN: they get on its list, and what they agreed to is put on record."""

from datetime import datetime

from campaigns import notifications
from campaigns.models import Keyword, ListMember, Recipient, Reply
from compliance import consent, keywords, place
from smsplatform.common import phone
from smsplatform.tenancy.models import Brand


def word_of(brand: Brand, text: str) -> Keyword | None:
    """Return the brand's word that a text is, if it still has it."""
    return Keyword.objects.filter(brand=brand, folded=keywords.normalise(text), is_active=True).first()


def join(reply: Reply, brand: Brand, keyword: Keyword, now: datetime) -> bool | None:
    """Put the person on the word's list with the evidence of it; return whether that is news.

    None: the number is none that the tenant may text, so nothing is stored.
    """
    number = notifications.parse_number(brand, reply.number)
    if isinstance(number, phone.Refusal):
        return None
    where = place.locate(number=number.e164)
    person, _ = Recipient.objects.get_or_create(
        tenant_id=brand.tenant_id,
        number=number.e164,
        defaults={
            "country": number.country,
            "zones": where.zones,
            "zone_source": where.source,
            "created_at": now,
            "updated_at": now,
        },
    )
    _, is_new = ListMember.objects.get_or_create(tenant_id=brand.tenant_id, list=keyword.people, recipient=person)
    consent.record(
        brand=brand,
        number=reply.number,
        event=consent.Event.GRANTED,
        tier=consent.Tier(keyword.tier),
        source=consent.Source.KEYWORD,
        occurred_at=reply.received_at,
        now=now,
        category=keyword.category,
        action=f"texted {keyword.word}",
        disclosure=keyword.disclosure,
        inbound_id=reply.pk,
        inbound_text=reply.text,
        our_number=reply.to,
    )
    return is_new
