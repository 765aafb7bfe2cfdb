"""Launches campaigns: inserts the run, materialises its dispatches, and stops it (pause, resume, cancel).

Launching twice gives the same run. Materialising goes through the audience by recipient id, so each person is met
once whatever changes meanwhile; each chunk is one transaction that inserts whole batches and moves the cursor, so a
crash resumes where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from campaigns import audience, canaries, content, guards, occurrences, spreading
from campaigns.models import Batch, Campaign, Run, TemplateVersion
from campaigns.states import State
from compliance import hours
from compliance.policy import Category
from compliance.quiet_hours import Window
from smsplatform.common import database
from smsplatform.common.database import execute, keys_of, rows
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import audit

CHUNK: Final = 50_000
_FIRST_ZONE: Final = timedelta(hours=14)  # where on Earth a local time is reached first
_LEASE: Final = timedelta(seconds=120)
_ANALYSE_FROM: Final = 5_000


def launch(
    *,
    campaign: Campaign,
    occurrence: str,
    now: datetime,
    actor: str,
    at: datetime | None = None,
    is_meant: bool = False,
    may_be_undone: bool = False,
) -> Run:
    """Insert the run of this occurrence, or return the one that exists. Materialising follows by task.

    `occurrence` is the scheduled local date and time as text, or the caller's launch key; `at` the due instant of an
    occurrence of a repeating schedule. Raises InvalidInput where the campaign cannot be launched, and what the guards
    raise (`guards.pass_all`, which says what the last two arguments mean).
    """
    existing = Run.objects.filter(campaign=campaign, occurrence=occurrence).first()
    if existing is not None:
        return existing
    version = check(campaign)
    plan = plan_of(campaign, occurrence=occurrence, now=now, at=at)
    with transaction.atomic():
        guarded = guards.pass_all(
            campaign=campaign, version=version, actor=actor, now=now, is_meant=is_meant, may_be_undone=may_be_undone
        )
        run, is_new = Run.objects.get_or_create(
            campaign=campaign,
            occurrence=occurrence,
            defaults={
                "tenant_id": campaign.tenant_id,
                "brand_id": campaign.brand_id,
                "version": version,
                "category": campaign.category,
                "plan": plan,
                "launched_at": now,
                "launched_by": actor,
                "materialise_at": max(now, _earliest(plan, now) - settings.MATERIALISE_AHEAD),
                **guarded,
            },
        )
        if is_new:
            audit.record(
                actor=actor, verb="campaign.launched", target=campaign, tenant=campaign.tenant_id, at=now, run=run.pk
            )
    return run


def check(campaign: Campaign) -> TemplateVersion:
    """Return the text that a launch would use; raises InvalidInput where the campaign cannot be launched."""
    version = campaign.template.latest
    if version is None:
        raise InvalidInput("the template has no text yet; write one first", field="template")
    content.require_sendable(
        source=version.source, texts=version.texts, brand=campaign.brand, category=campaign.category
    )
    if not campaign.lists.exists():
        raise InvalidInput("the campaign has no list; add one first", field="lists")
    if not campaign.brand.senders.filter(is_active=True).exists():
        raise InvalidInput("the brand has no active sender; add one at a provider account first", field="brand")
    return version


def plan_of(campaign: Campaign, *, occurrence: str, now: datetime, at: datetime | None = None) -> dict[str, Any]:
    """Return what a run of this occurrence copies of the campaign; raises InvalidInput where it would take too long."""
    plan = {
        "schedule": campaign.schedule,
        "at": (at or campaign.send_at or now).isoformat() if _is_one_instant(campaign) else None,
        "wall": _wall(campaign, occurrence),
        "past_policy": campaign.past_policy,
        "time_field": campaign.time_field,
        "lateness_minutes": campaign.lateness.total_seconds() / 60,
        "lists": sorted(campaign.lists.values_list("id", flat=True)),
        "minus_lists": sorted(campaign.minus_lists.values_list("id", flat=True)),
        "canary": canaries.terms(campaign),
        **spreading.plan_of(campaign),
    }
    spreading.check_launch(campaign, plan)
    return plan


def _is_one_instant(campaign: Campaign) -> bool:
    kind = campaign.schedule
    return kind in (Campaign.Schedule.NOW, Campaign.Schedule.AT) or (
        kind == Campaign.Schedule.REPEAT and campaign.crontab_clock == Campaign.Clock.BRAND
    )


def _earliest(plan: dict[str, Any], now: datetime) -> datetime:
    """Return the first instant at which anybody may be due."""
    if plan["wall"] is not None:
        return datetime.fromisoformat(plan["wall"]).replace(tzinfo=UTC) - _FIRST_ZONE
    return datetime.fromisoformat(plan["at"]) if plan["at"] else now


def _wall(campaign: Campaign, occurrence: str) -> str | None:
    if campaign.schedule == Campaign.Schedule.LOCAL:
        return campaign.local_at
    if campaign.schedule == Campaign.Schedule.REPEAT and campaign.crontab_clock == Campaign.Clock.RECIPIENT:
        try:
            datetime.fromisoformat(occurrence)
        except ValueError:
            raise InvalidInput(
                "a campaign that repeats by each recipient's clock is launched by its schedule, or with a local time"
                " like 2026-12-01T09:00 as its key",
                field="occurrence",
            ) from None
        return occurrence
    return None


# -- stopping -------------------------------------------------------------------------------------------------------


def pause(run: Run, *, now: datetime, actor: str, reason: str = "") -> None:
    """No further slice is claimed; what is in the air is settled. Waiting rows expire at their lateness limit."""
    if run.cancelled_at:
        raise Conflict("the run is cancelled; a cancelled run cannot be paused")
    Run.objects.filter(pk=run.pk, paused_at=None).update(paused_at=now, stop_reason=reason[:200])
    why: dict[str, Any] = {"why": reason} if reason else {}
    audit.record(actor=actor, verb="run.paused", target=run, tenant=run.tenant_id, at=now, run=run.pk, **why)


def resume(run: Run, *, now: datetime, actor: str) -> None:
    """Go on: everything is checked again first. Batches with paused rows are due, and only waited for this."""
    if run.cancelled_at:
        raise Conflict("the run is cancelled; launch the campaign again instead")
    with transaction.atomic():
        if Run.objects.filter(pk=run.pk, paused_at__isnull=False).update(paused_at=None, stop_reason=""):
            spreading.slot_anew(run, now)
        audit.record(actor=actor, verb="run.resumed", target=run, tenant=run.tenant_id, at=now, run=run.pk)


def cancel(run: Run, *, now: datetime, actor: str) -> None:
    """Set the fence, which stops every claim at once; the waiting rows then end as cancelled, batch by batch.

    Cancelling again does no harm, and finishes what a crash between the two left.
    """
    with transaction.atomic():
        if Run.objects.filter(pk=run.pk, cancelled_at=None).update(cancelled_at=now):
            audit.record(actor=actor, verb="run.cancelled", target=run, tenant=run.tenant_id, at=now, run=run.pk)
    _hurry(run, now)


def undo(run: Run, *, now: datetime, actor: str) -> int:
    """Cancel a run that nothing may have been handed over of yet; return how many messages were all the same.

    Raises Conflict when its time to be undone is over, and then changes nothing. Batches at work are waited for: the
    claim holds its batch and reads the fence after that, so what it has handed over is counted here, and it is 0 unless
    the clocks of this call and the claim stand on both sides of the end.
    """
    if run.undo_until is None or run.cancelled_at is not None:
        raise Conflict("there is nothing to undo; `cancel` ends a run that is under way")
    if run.undo_until <= now:
        raise Conflict(
            f"it is too late to undo it: that was possible until {run.undo_until:%H:%M:%S} UTC; cancel it instead"
        )
    cancel(run, now=now, actor=actor)
    [(handed_over,)] = rows(
        "SELECT count(*) FROM campaigns_attempt WHERE dispatch_id >= %(lowest)s AND dispatch_id < %(above)s",
        keys_of(run.pk),
    )
    Run.objects.filter(pk=run.pk).update(stop_reason="")
    audit.record(
        actor=actor, verb="run.undone", target=run, tenant=run.tenant_id, at=now, run=run.pk, handed_over=handed_over
    )
    return int(handed_over)


def _hurry(run: Run, now: datetime) -> None:
    """Make the run's open batches due now.

    Leased ones are locked too: a chain that is just ending its turn has read the old fence, and is waited for.
    """
    with transaction.atomic():
        rows("SELECT id FROM campaigns_batch WHERE run_id = %s AND phase <> 'closed' ORDER BY id FOR UPDATE", [run.pk])
        execute(
            "UPDATE campaigns_batch SET due_at = least(due_at, %s) WHERE run_id = %s AND phase = 'waiting'",
            [now, run.pk],
        )


# -- materialising --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planned:
    """When the people of one place are due, or the rule that keeps them out."""

    due_at: datetime
    expires_at: datetime
    state: State = State.QUEUED
    reason: str = ""
    is_canary: bool = False


def materialise(run_id: int) -> bool:
    """Insert the run's batches and dispatches; return whether this call finished it.

    Holds a lease, so two workers do not do it twice; stops at the fence; a crashed one is resumed by recovery.
    """
    lease = _take_lease(run_id)
    if lease is None:
        return False
    made = 0
    while True:
        with transaction.atomic(durable=True):
            now = database.commit_cheaply()
            if not execute(
                "UPDATE campaigns_run SET lease_until = %s WHERE id = %s AND lease = %s", [now + _LEASE, run_id, lease]
            ):
                return False
            run = Run.objects.select_related("brand").get(pk=run_id)
            size = 0 if run.cancelled_at else _insert_chunk(run, now)
            made += size
            if not size:
                Run.objects.filter(pk=run_id).update(materialised_at=now, lease_until=None)
                break
    if made >= _ANALYSE_FROM:
        _analyse(run_id)
    return True


def _analyse(run_id: int) -> None:
    """Tell the planner of the new rows: of the partition they lie in, not of the years before."""
    [(partition,)] = rows(
        "SELECT min(tableoid::regclass::text) FROM (SELECT tableoid FROM campaigns_dispatch"
        " WHERE id >= %(lowest)s AND id < %(above)s LIMIT 1) d",
        keys_of(run_id),
    )
    execute(f"ANALYZE {partition}")


def _take_lease(run_id: int) -> int | None:
    now = database.now()
    found = rows(
        "UPDATE campaigns_run SET lease = lease + 1, lease_until = %s WHERE id = %s AND materialised_at IS NULL"
        " AND (lease_until IS NULL OR lease_until < %s) RETURNING lease",
        [now + _LEASE, run_id, now],
    )
    return found[0][0] if found else None


def _insert_chunk(run: Run, now: datetime) -> int:
    """Insert the next people's batches and dispatches, move the cursor, and return how many people these were."""
    people = audience.people(run, after=run.cursor, limit=CHUNK)
    if not people:
        return 0
    terms = hours.terms(brand=run.brand, category=Category(run.category), now=run.launched_at)
    _count_people(run, len(people))
    below = canaries.threshold(run)
    planned: dict[tuple[str, Any], Planned] = {}
    groups: dict[Planned, list[audience.Person]] = {}
    for person in people:
        place = (person.zones, person.own_time)
        if place not in planned:
            planned[place] = _plan(run, person, terms)
        plan = planned[place]
        if below and canaries.is_in(run.pk, person.id, below):
            plan = replace(plan, is_canary=True)
        groups.setdefault(plan, []).append(person)
    groups = spreading.spread(run, groups, begins=now, terms=terms)
    batches = [
        (plan, members[start : start + settings.BATCH_SIZE])
        for plan, members in sorted(groups.items(), key=lambda group: (group[0].due_at, not group[0].is_canary))
        for start in range(0, len(members), settings.BATCH_SIZE)
    ]
    _insert(run, batches)
    Run.objects.filter(pk=run.pk).update(cursor=people[-1].id, batches_made=run.batches_made + len(batches))
    return len(people)


def _count_people(run: Run, more: int) -> None:
    """Store whom the run is for before its first row is there: the fence compares it with what was approved.

    Lists may grow while they are expanded, so that what is there already counts, too.
    """
    made = run.batches.aggregate(people=Sum("size"))["people"] or 0
    run.people = max(run.people if run.cursor else audience.count(run), made + more)
    Run.objects.filter(pk=run.pk).update(people=run.people)


def _insert(run: Run, batches: Sequence[tuple[Planned, Sequence[audience.Person]]]) -> None:
    """Insert whole batches: their rows are born with them and keep them for life (R49). Two statements."""
    made = dict(
        rows(
            """
            INSERT INTO campaigns_batch
              (tenant_id, brand_id, run_id, position, lane, due_at, expires_at, phase, lease, starts, error, size, tally,
               is_canary)
            SELECT %(tenant)s, %(brand)s, %(run)s, b.position, %(lane)s, b.due_at, b.expires_at, b.phase, 0, 0, '', b.size,
              jsonb_build_object(b.state, b.size), b.is_canary
            FROM unnest(%(positions)s::int[], %(dues)s::timestamptz[], %(expiries)s::timestamptz[], %(phases)s::text[],
              %(sizes)s::int[], %(states)s::text[], %(canaries)s::bool[])
              AS b(position, due_at, expires_at, phase, size, state, is_canary)
            RETURNING position, id
            """,
            {
                "tenant": run.tenant_id,
                "brand": run.brand_id,
                "run": run.pk,
                "lane": run.lane,
                "positions": [run.batches_made + n for n in range(len(batches))],
                "dues": [plan.due_at for plan, _ in batches],
                "expiries": [plan.expires_at for plan, _ in batches],
                "phases": [
                    Batch.Phase.WAITING if plan.state is State.QUEUED else Batch.Phase.CLOSED for plan, _ in batches
                ],
                "sizes": [len(members) for _, members in batches],
                "states": [plan.state for plan, _ in batches],
                "canaries": [plan.is_canary for plan, _ in batches],
            },
        )
    )
    execute(
        """
        INSERT INTO campaigns_dispatch
          (id, tenant_id, brand_id, run_id, batch_id, recipient_id, number, state, reason, due_at, expires_at, settled_at)
        SELECT (lpad(to_hex(%(run)s::bigint), 16, '0') || lpad(to_hex(p.id), 16, '0'))::uuid,
          %(tenant)s, %(brand)s, %(run)s, b.id, p.id, p.number, b.state, b.reason, b.due_at, b.expires_at,
          CASE WHEN b.state <> 'queued' THEN %(launched)s::timestamptz END
        FROM unnest(%(ids)s::bigint[], %(numbers)s::text[], %(of)s::bigint[]) AS p(id, number, batch_id)
        JOIN unnest(%(batches)s::bigint[], %(states)s::text[], %(reasons)s::text[], %(dues)s::timestamptz[],
          %(expiries)s::timestamptz[]) AS b(id, state, reason, due_at, expires_at) ON b.id = p.batch_id
        """,
        {
            "run": run.pk,
            "tenant": run.tenant_id,
            "brand": run.brand_id,
            "launched": run.launched_at,
            "ids": [person.id for _, members in batches for person in members],
            "numbers": [person.number for _, members in batches for person in members],
            "of": [made[run.batches_made + n] for n, (_, members) in enumerate(batches) for _ in members],
            "batches": [made[run.batches_made + n] for n in range(len(batches))],
            "states": [plan.state for plan, _ in batches],
            "reasons": [plan.reason for plan, _ in batches],
            "dues": [plan.due_at for plan, _ in batches],
            "expiries": [plan.expires_at for plan, _ in batches],
        },
    )


def _plan(run: Run, person: audience.Person, terms: hours.Terms | None) -> Planned:
    """Return when this person is due. Late is counted from the first instant at which the person may be texted."""
    plan = run.plan
    lateness = timedelta(minutes=plan["lateness_minutes"])

    def window(at: datetime) -> Window | None:
        if terms is None:
            return None
        return hours.window(key=person.zones, terms=terms, now=at, guard=settings.QUIET_GUARD)

    def is_allowed(at: datetime) -> bool:
        found = window(at)
        return found is None or found.is_open

    if plan["schedule"] == Campaign.Schedule.FIELD:
        due_at = person.own_time
        if due_at is None:
            return Planned(run.launched_at, run.launched_at, State.BLOCKED, "no_send_time@1")
        if due_at < run.launched_at and plan["past_policy"] != Campaign.PastPolicy.SEND_NOW:
            return Planned(run.launched_at, run.launched_at, State.EXPIRED, "send_time_past@1")
        due_at = occurrences.to_minute(max(due_at, run.launched_at))
    elif plan["wall"] is not None:
        found = occurrences.planned_instant(
            wall=datetime.fromisoformat(plan["wall"]),
            zones=person.zones,
            now=run.launched_at,
            past_policy=plan["past_policy"],
            is_allowed=is_allowed,
        )
        if found is None:
            return Planned(run.launched_at, run.launched_at, State.EXPIRED, "zone_already_past@1")
        due_at = found
    else:
        due_at = datetime.fromisoformat(plan["at"])
    present = window(due_at)
    opens_at = present.until if present is not None and not present.is_open and present.until else due_at
    return Planned(due_at, opens_at + lateness)


def place_plan(run: Run, zones: str, own_time: datetime | None, terms: hours.Terms | None) -> Planned:
    """Return when the people of a place, with this time of their own, would be due in the run; `terms` are its hours."""
    return _plan(run, audience.Person(id=0, number="", zones=zones, own_time=own_time), terms)
