"""What a pre-flight was counted from, so that a later look can say what has changed since."""

from typing import Any, Final

from campaigns import fingerprints
from campaigns.models import Campaign, Import, Preflight
from compliance import limit_rules
from compliance.data.statutes import RULES_VERSION
from compliance.models import Blackout, RegionalHold
from providers.models import Pin, Price, Sender
from smsplatform.common.database import rows

_BRAND: Final = (
    "zone", "opens_at", "closes_at", "sunday_opens_at", "sunday_closes_at", "daily_cap", "person_cap", "person_cap_hours",
    "consent_kept", "adds_stop_line", "stop_lines", "max_segments", "link_domain", "paused_at", "tenant__paused_at",
    "tenant__countries", "tenant__informational_hours", "tenant__texts_unknown_places", "tenant__has_smart_encoding",
    "tenant__strips_accents", "tenant__banned_hosts",
)  # fmt: skip
_CONSENTS: Final = "consents"
_TOLD: Final = {
    "campaign": "the text, the lists or the schedule",
    "people": "who is on the lists",
    "imports": "people were imported",
    "policy": "the brand's hours or limits",
    "law": "blackouts, regional holds, limits or the law",
    _CONSENTS: "who has consented",
    "suppressions": "who must not be texted",
    "routes": "the senders, their rates or prices",
}


def take(campaign: Campaign) -> dict[str, str]:
    """Return a stamp of each thing that the numbers come from. A fixed number of cheap statements."""
    version = campaign.template.latest
    lists = sorted({*campaign.lists.values_list("id", flat=True), *campaign.minus_lists.values_list("id", flat=True)})
    brand = type(campaign.brand).objects.filter(pk=campaign.brand_id).values(*_BRAND).get()
    return {
        "campaign": fingerprints.of(campaign, version) if version else "",
        "people": _hash(
            rows("SELECT list_id, count(*) FROM campaigns_listmember WHERE list_id = ANY(%s) GROUP BY 1", [lists])
        ),
        "imports": _hash(
            list(
                Import.objects.filter(list__in=lists, finished_at__isnull=False)
                .order_by("id")
                .values_list("id", "rows_changed", "finished_at")
            )
        ),
        "policy": _hash(brand),
        "law": _hash(
            [
                RULES_VERSION,
                list(Blackout.objects.filter(brand=campaign.brand_id).order_by("id").values_list("id", "first_on", "last_on")),
                list(RegionalHold.objects.filter(lifted_at=None).order_by("id").values_list("id", "starts_at", "ends_at")),
                [(limit.pk, limit.version) for limit in limit_rules.live(campaign.brand)],
            ]
        ),
        # Kept as it is: who has consented since is found among the records behind it.
        _CONSENTS: str(rows("SELECT coalesce(max(id), 0) FROM compliance_consent")[0][0]),
        "suppressions": _hash(
            rows(
                """
                SELECT max(id), max(released_at),
                  (SELECT max(id) FROM compliance_erasedperson WHERE tenant_id = %(tenant)s),
                  (SELECT max(id) FROM compliance_nottextable WHERE tenant_id = %(tenant)s OR tenant_id IS NULL),
                  (SELECT max(cleared_at) FROM compliance_nottextable WHERE tenant_id = %(tenant)s OR tenant_id IS NULL)
                FROM compliance_suppression WHERE brand_id = %(brand)s OR brand_id IS NULL
                """,
                {"tenant": campaign.tenant_id, "brand": campaign.brand_id},
            )
        ),
        "routes": _hash(
            [
                list(
                    Sender.objects.filter(brand=campaign.brand_id)
                    .order_by("id")
                    .values_list(
                        "id", "is_active", "position", "weight", "countries", "segments_per_second",
                        "registration__status", "registration__segments_per_second", "account__paused_at",
                        "account__segments_per_second", "account__health__state",
                    )
                ),
                list(Price.objects.filter(account__senders__brand=campaign.brand_id).order_by("id").distinct().values_list()),
                list(Pin.objects.filter(brand=campaign.brand_id).values_list()),
            ]
        ),
    }  # fmt: skip


def changes(preflight: Preflight) -> list[str]:
    """Return what has changed since, in words; nothing where the numbers still hold."""
    now = take(preflight.campaign)
    changed = {name for name in _TOLD if now[name] != preflight.stamps.get(name)}
    if _CONSENTS in changed and not _has_consent_since(preflight):
        changed.remove(_CONSENTS)
    return [told for name, told in _TOLD.items() if name in changed]


def _has_consent_since(preflight: Preflight) -> bool:
    """Return whether a consent to the brand is on record that was not then. Reads only what came since."""
    [(found,)] = rows(
        "SELECT EXISTS (SELECT 1 FROM compliance_consent WHERE id > %s AND brand_id = %s)",
        [int(preflight.stamps.get(_CONSENTS, 0)), preflight.campaign.brand_id],
    )
    return bool(found)


def _hash(found: Any) -> str:
    return fingerprints.digest({"found": found})
