"""`POST /api/opt-outs`: a person told the client, somewhere else, that they want no more texts."""

from typing import Any, ClassVar

from django.db import transaction
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from campaigns.api.view import ClientView, read
from compliance import do_not_text, reasons, suppression
from compliance.policy import Category
from compliance.reasons import REASONS, Reach
from smsplatform.common import database
from smsplatform.tenancy import access, audit

# A client speaks for its own people: what holds for every client is for people to decide, not for a program.
_REASONS = [code for code, _ in reasons.typed() if REASONS[code].reach is Reach.BRAND]


class OptOut(serializers.Serializer[dict[str, Any]]):
    """Who wants no more texts, of which brand, and how the client knows."""

    brand = serializers.SlugField()
    number = serializers.CharField(max_length=254, help_text="E.164, or an e-mail address.")
    category = serializers.ChoiceField(
        Category.choices(), default="", allow_blank=True, help_text="Empty: all of them."
    )
    reason = serializers.ChoiceField(_REASONS, default=reasons.OPT_OUT)
    source = serializers.ChoiceField(list(reasons.SOURCES), default="website")  # type: ignore[assignment]  # a field of that name
    evidence = serializers.CharField(max_length=200, default="", allow_blank=True, help_text="Where the proof is.")


class OptOuts(ClientView):
    """Holds from the next claim on, also for what is being sent right now. Said again it changes nothing."""

    scope: ClassVar = "opt_outs"

    def post(self, request: Request) -> Response:
        """Store it: 201, or 200 where it is stored already."""
        said, caller = read(request, OptOut)
        number = do_not_text.read_number(said["number"])
        brand = access.access_brand(caller.tenant, said["brand"])
        with transaction.atomic(durable=True):
            is_new = suppression.suppress(
                brand=brand,
                number=number,
                reason=said["reason"],
                source=said["source"],
                category=said["category"],
                evidence=said["evidence"],
                by=caller.actor,
                now=database.now(),
            )
            if is_new:
                audit.record(
                    actor=caller.actor,
                    verb="number.suppressed",
                    target=suppression.masked(number),
                    tenant=caller.tenant,
                    brand=brand.slug,
                    reason=said["reason"],
                    source=said["source"],
                    category=said["category"],
                )
        told = {"brand": brand.slug, "number": number, "category": said["category"], "made": is_new}
        return Response(told, status.HTTP_201_CREATED if is_new else status.HTTP_200_OK)
