"""`POST /api/opt-ins`: a person filled in a form of the client's; one text asks them for their YES (facts §3.3)."""

from datetime import datetime
from typing import Any, ClassVar, Final

from django.db import transaction
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns import notifications, opt_ins, tasks
from campaigns.api.view import ClientView, read
from compliance import consent, consent_rules, suppression
from compliance.consent import Standing, Status, Tier
from compliance.policy import Category
from smsplatform.common import database
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import access, audit

_LONGEST_TEXT: Final = 10_000
_LONGEST_URL: Final = 2_000


def _said(longest: int, told: str, **options: Any) -> serializers.CharField:
    """A field that may be empty here: what a consent needs is the ledger's to say."""
    return serializers.CharField(max_length=longest, default="", allow_blank=True, help_text=told, **options)


class OptIn(serializers.Serializer[dict[str, Any]]):
    """Who is to be asked, for which texts of which brand, and what proves that they filled in the form."""

    brand = serializers.SlugField()
    number = serializers.CharField(max_length=60, help_text="As people write it, or E.164.")
    category = serializers.ChoiceField([need.category for need in consent_rules.NEEDS if need.tier is not None])
    tier = serializers.ChoiceField([Tier.WRITTEN.value, Tier.EXPRESS.value], default=Tier.WRITTEN.value)
    action = _said(200, 'What the person did, like "typed the number and ticked the box".')
    disclosure = _said(_LONGEST_TEXT, "What the person was shown, word for word.", trim_whitespace=False)
    page_url = serializers.URLField(max_length=_LONGEST_URL, default="", allow_blank=True)
    form_id = _said(120, "Which form; forms are limited one by one.")
    ip = serializers.IPAddressField(default="", allow_blank=True, help_text="The person's, not the server's.")
    user_agent = _said(2_000, "The person's browser.")
    session_id = _said(120, "The person's session on the page.")
    identity = _said(254, "Name, e-mail address or user id, if known.")


class OptIns(ClientView):
    """Asked once: said again while the question is open, or once the person has consented, nothing is sent."""

    scope: ClassVar = "opt_ins"

    def post(self, request: Request) -> Response:
        """Ask: 201 with the record and until when a YES counts; 200 where there is nothing to ask."""
        said, caller = read(request, OptIn)
        brand = access.access_brand(caller.tenant, said.pop("brand"))
        number = notifications.read_number(brand, said.pop("number")).e164
        category, tier, now = Category(said.pop("category")), Tier(said.pop("tier")), database.now()
        _check_tier(category, tier, now)
        with transaction.atomic(durable=True):
            asked = opt_ins.ask(brand=brand, number=number, category=category, tier=tier, now=now, **said)
            if asked is None:
                stands = consent.standing(brand=brand, number=number, category=category, tier=tier, now=now)
                if stands is None:  # it was why nobody is asked
                    raise Conflict("the person has just said something else; send this again", field="number")
            else:
                stands = Standing(Status.PENDING, asked.consent_id, asked.until)
                audit.record(
                    actor=caller.actor,
                    verb="number.asked",
                    target=suppression.masked(number),
                    tenant=caller.tenant,
                    brand=brand.slug,
                    category=category.value,
                    tier=tier.value,
                    form=said["form_id"],
                    consent=asked.consent_id,
                )
        if asked is not None:
            tasks.start_collecting()
        told = {
            "brand": brand.slug,
            "number": number,
            "category": category.value,
            "status": stands.status.value,
            "consent": stands.consent_id,
            "until": stands.until,
            "made": asked is not None,
        }
        return Response(told, status.HTTP_201_CREATED if asked else status.HTTP_200_OK)


def _check_tier(category: Category, tier: Tier, now: datetime) -> None:
    """Raise InvalidInput for a question whose YES would allow nothing."""
    need = consent_rules.needed(category, now.date()).tier
    if need is not None and tier not in consent_rules.at_least(need):
        raise InvalidInput(
            f"{category} messages need {need} consent; ask for that, or for another category", field="tier"
        )
