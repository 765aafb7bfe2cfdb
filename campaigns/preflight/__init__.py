"""Before a launch: who would be texted, who not and why, what it costs, and when it is through.

`count` puts the pipeline's own question (`pipeline.question`) to rows that are not there yet, so that what it says is
what the run's report will say: a rule that is added there is counted here. Nothing is written but the pre-flight's row,
and nothing is locked, so it may be asked at any time. `docs/compliance.md` says what the numbers mean.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import F

from campaigns import audience, launch, occurrences, spreading
from campaigns.models import Batch, Campaign, Lane, Preflight, Run
from campaigns.models.campaign import run_id
from campaigns.preflight import counting, stamps, summary
from campaigns.preflight.counted import Sums
from campaigns.preflight.looks import Hours
from campaigns.preflight.texts import Texts
from providers import routing
from smsplatform.common import database
from smsplatform.common.errors import ApplicationError, Conflict
from smsplatform.tenancy import audit

__all__ = ["changes", "count", "create", "run", "stalled"]

INLINE: Final = 5_000  # people that are counted while the person who asks waits
_STALLED: Final = timedelta(minutes=2)
changes = stamps.changes
Progress = Callable[[int, int], None]


def create(*, campaign: Campaign, now: datetime, actor: str) -> Preflight:
    """Return a new pre-flight, which `run` counts. Raises InvalidInput where the campaign cannot be launched."""
    version = launch.check(campaign)
    occurrence, _ = _next(campaign, now)
    return Preflight.objects.create(
        tenant_id=campaign.tenant_id,
        campaign=campaign,
        version=version,
        at=now,
        occurrence=occurrence,
        people=audience.count_of(campaign),
        created_by=actor[:120],
        created_at=now,
        renewed_at=now,
    )


def run(preflight_id: int) -> Preflight:
    """Count it and store the numbers; of one that is done already, nothing. A refusal is stored, any other error raised."""
    found = Preflight.objects.select_related("campaign__brand", "campaign__template", "campaign__tenant").get(
        pk=preflight_id
    )
    mine = Preflight.objects.filter(pk=preflight_id, status__in=[Preflight.Status.WAITING, Preflight.Status.RUNNING])
    if not mine.update(status=Preflight.Status.RUNNING, done=0, renewed_at=database.now()):
        return found

    def went_on(done: int, people: int) -> None:
        mine.update(done=done, people=people, renewed_at=database.now())

    try:
        before = stamps.take(found.campaign)
        numbers = count(campaign=found.campaign, at=found.at, progress=went_on)
    except ApplicationError as error:
        mine.update(status=Preflight.Status.FAILED, reason=str(error), finished_at=database.now())
    except Exception as error:
        mine.update(status=Preflight.Status.FAILED, reason=type(error).__name__, finished_at=database.now())
        raise
    else:
        mine.update(
            status=Preflight.Status.DONE,
            numbers=numbers,
            stamps=before,
            people=numbers["people"],
            done=F("people"),
            finished_at=database.now(),
        )
        audit.record(
            actor=found.created_by,
            verb="campaign.preflight",
            target=found.campaign,
            tenant=found.tenant_id,
            at=found.at,
            preflight=found.pk,
            people=numbers["people"],
            never=numbers["never"],
        )
    found.refresh_from_db()
    return found


def count(*, campaign: Campaign, at: datetime, progress: Progress | None = None) -> dict[str, Any]:
    """Return what a launch at this instant would do, as plain data (see `summary.tell`).

    Raises InvalidInput where it could not be launched. `progress` is told how many people are looked at, of how many.
    """
    began = time.monotonic()
    batch = _imagined(campaign, at)
    people = audience.count(batch.run)
    batch.run.plan["per_hour"] = spreading.rate_of(batch.run.plan, people)
    hours, texts = Hours(batch), Texts(batch)
    sums = Sums(hours, texts)
    done = 0
    for chunk in counting.chunks(hours, texts, people):
        sums.add(chunk.groups)
        done += chunk.people
        if progress is not None:
            progress(done, max(people, done))
    numbers = summary.tell(hours, sums, routing.routes(campaign.brand_id), at)
    return {**numbers, "people": done, "seconds": round(time.monotonic() - began, 2)}


def stalled(now: datetime) -> list[int]:
    """Return the pre-flights that nobody counts any more."""
    open_ = Preflight.objects.filter(status__in=[Preflight.Status.WAITING, Preflight.Status.RUNNING])
    return list(open_.filter(renewed_at__lt=now - _STALLED).order_by("id").values_list("id", flat=True)[:20])


def _imagined(campaign: Campaign, at: datetime) -> Batch:
    """Return a batch of the run that a launch at this instant would make; neither is stored."""
    version = launch.check(campaign)
    occurrence, due_at = _next(campaign, at)
    run = Run(
        pk=run_id(at),
        tenant_id=campaign.tenant_id,
        brand=campaign.brand,
        campaign=campaign,
        version=version,
        category=campaign.category,
        lane=Lane.BULK,
        occurrence=occurrence,
        plan=launch.plan_of(campaign, occurrence=occurrence, now=at, at=due_at),
        launched_at=at,
    )
    return Batch(
        pk=0, tenant_id=run.tenant_id, brand=run.brand, run=run, position=0, lane=run.lane, due_at=at, expires_at=at
    )


def _next(campaign: Campaign, at: datetime) -> tuple[str, datetime | None]:
    """Return the occurrence that a launch now would be; of a repeating campaign, the next one and when it is due."""
    if campaign.schedule != Campaign.Schedule.REPEAT:
        return "", None
    found = occurrences.next_due(crontab=campaign.crontab, zone=ZoneInfo(campaign.brand.zone), after=at)
    if found is None:
        raise Conflict("its schedule never comes again; change it first", field="crontab")
    return found.text, found.at
