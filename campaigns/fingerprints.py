"""What a launch would be, in short: two equal fingerprints mean the same text, lists, schedule and precautions."""

import hashlib
import json
from typing import Any, Final

from campaigns.models import Campaign, TemplateVersion

_FIELDS: Final = (
    "brand_id",
    "category",
    "schedule",
    "send_at",
    "local_at",
    "past_policy",
    "crontab",
    "crontab_clock",
    "time_field",
    "lateness_minutes",
    "spread_hours",
    "most_per_hour",
    "canary_percent",
    "canary_people",
    "canary_minutes",
    "canary_minimum",
    "canary_max_errors",
    "canary_max_opt_outs",
)


def of(campaign: Campaign, version: TemplateVersion) -> str:
    """Return the fingerprint of the campaign as it is stored now, with this text."""
    stored = Campaign.objects.filter(pk=campaign.pk).values(*_FIELDS).get()
    return digest(
        {
            "version": version.pk,
            "lists": sorted(campaign.lists.values_list("id", flat=True)),
            "minus_lists": sorted(campaign.minus_lists.values_list("id", flat=True)),
            **stored,
        }
    )


def digest(facts: dict[str, Any]) -> str:
    """Return a hash of named facts, whatever their order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
