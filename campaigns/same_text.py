"""The same text to the same people again: what earlier runs of the tenant have told whom, of late.

Texts are compared by the hash of what was written, people by the runs' rows; nothing is stored for it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings

from campaigns.models import Campaign, TemplateVersion
from campaigns.states import OPEN, State
from smsplatform.common.database import rows

# Whoever got it, may have got it, or is about to.
_TOLD: Final = (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED, State.UNKNOWN, *OPEN)
_RUNS: Final = 20


@dataclass(frozen=True, slots=True)
class Overlap:
    """An earlier run with the same text, and how many of these people it was for."""

    run_id: int
    campaign: str
    launched_at: datetime
    people: int


def overlaps(*, campaign: Campaign, version: TemplateVersion, now: datetime) -> list[Overlap]:
    """Return the latest runs that told the same to some of the campaign's people, the newest first."""
    return [Overlap(*row) for row in _ask("count(*)", campaign, version, now) if row[3]]


def is_repeated(*, campaign: Campaign, version: TemplateVersion, now: datetime) -> bool:
    """Return whether one of the campaign's people was told the same of late; stops at the first."""
    return any(row[3] for row in _ask("1", campaign, version, now, most="LIMIT 1"))


def _ask(
    what: str, campaign: Campaign, version: TemplateVersion, now: datetime, *, most: str = ""
) -> list[tuple[Any, ...]]:
    """Return (run, campaign, launched at, what is asked of the people) of each run with the same text."""
    return rows(
        f"""
        SELECT x.id, c.name, x.launched_at, (
          SELECT {what} FROM campaigns_dispatch d
          WHERE d.id >= (lpad(to_hex(x.id), 16, '0') || repeat('0', 16))::uuid
            AND d.id < (lpad(to_hex(x.id + 1), 16, '0') || repeat('0', 16))::uuid
            AND d.state = ANY(%(told)s)
            AND EXISTS (SELECT 1 FROM campaigns_listmember m WHERE m.recipient_id = d.recipient_id AND m.list_id = ANY(%(lists)s))
            AND NOT EXISTS (
              SELECT 1 FROM campaigns_listmember m WHERE m.recipient_id = d.recipient_id AND m.list_id = ANY(%(minus)s))
          {most})
        FROM (
          SELECT r.id, r.launched_at, r.campaign_id FROM campaigns_run r JOIN campaigns_templateversion v ON v.id = r.version_id
          WHERE r.tenant_id = %(tenant)s AND r.launched_at > %(since)s AND r.launched_at <= %(now)s
            AND r.campaign_id IS NOT NULL AND md5(v.source) = md5(%(source)s)
          ORDER BY r.id DESC LIMIT %(runs)s) x JOIN campaigns_campaign c ON c.id = x.campaign_id
        ORDER BY x.id DESC
        """,
        {
            "told": list(_TOLD),
            "lists": list(campaign.lists.values_list("id", flat=True)),
            "minus": list(campaign.minus_lists.values_list("id", flat=True)),
            "tenant": campaign.tenant_id,
            "since": now - settings.SAME_TEXT_WITHIN,
            "now": now,
            "source": version.source,
            "runs": _RUNS,
        },
    )
