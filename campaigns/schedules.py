"""Fires repeating campaigns: each occurrence once, only the latest missed one, never one that is too late."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

from campaigns import launch, occurrences
from campaigns.models import Campaign, Run
from smsplatform.common.errors import ApplicationError
from smsplatform.tenancy import audit


def fire(now: datetime) -> list[Run]:
    """Launch the runs of the schedules whose occurrence has come since they last fired; return them.

    Running twice, or on two schedulers, launches each occurrence once: the run is unique over it.
    """
    runs = []
    repeating = Campaign.objects.filter(schedule=Campaign.Schedule.REPEAT, is_active=True)
    for campaign in repeating.select_related("brand", "template", "tenant"):
        found = latest(campaign, now)
        if found is None:
            continue
        try:
            run = launch.launch(
                campaign=campaign, occurrence=found.text, at=found.at, now=now, actor="schedule", is_meant=True
            )
            runs.append(run)
        except ApplicationError as error:
            audit.record(
                actor="schedule",
                verb="campaign.not_launched",
                target=campaign,
                tenant=campaign.tenant_id,
                at=now,
                why=str(error),
            )
        Campaign.objects.filter(pk=campaign.pk).update(fired_until=now)
    return runs


def latest(campaign: Campaign, now: datetime) -> occurrences.Occurrence | None:
    """Return the latest occurrence that has come and is not too late, if it has not fired."""
    after = max(campaign.fired_until or campaign.created_at, now - max(campaign.lateness, timedelta(minutes=1)))
    if campaign.crontab_clock == Campaign.Clock.BRAND:
        return occurrences.latest_due(
            crontab=campaign.crontab, zone=ZoneInfo(campaign.brand.zone), after=after, now=now
        )
    return occurrences.latest_opening(crontab=campaign.crontab, after=after, now=now, lead=settings.MATERIALISE_AHEAD)
