"""Applies stored events: delivery reports move dispatches by the evidence rule, in any order, any number of times.

A report that fits no flight of ours yet is parked and looked at again until the report horizon (R42).
"""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from campaigns import moves, sending, verbs, webhooks
from campaigns.models import Attempt, RawEvent
from campaigns.states import PROOF_RANK, PROVEN, State
from campaigns.verbs import Flight
from providers.adapters.base import Adapter, MalformedEvent, Receipt
from providers.models import UNUSABLE, ProviderAccount
from smsplatform.common import database
from smsplatform.common.database import execute, rows

MOST = 1000
COLUMNS: Final = ("place", "dispatch_id", "flight", "provider_id", "status", "code", "detail", "part")
_GONE: Final = "its provider account is gone"


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery report, its place in the request that brought it, and the flight that it is about."""

    raw: RawEvent
    place: int
    receipt: Receipt
    flight: Flight | None
    number_flaw: str = ""  # why no text reaches the number, where the code says so


@dataclass(frozen=True, slots=True)
class Reading:
    """What events say: reports on flights of ours, why some cannot be read, and which may be read or fit later."""

    fitting: Sequence[Report]
    flaws: Mapping[int, str]
    parked: AbstractSet[int]


def apply_events(limit: int = MOST) -> int:
    """Apply the oldest events that nobody applies yet; return how many were looked at.

    Workers share the work by passing over each other's rows. A fixed number of statements.
    """
    with transaction.atomic(durable=True):
        execute("SET LOCAL synchronous_commit TO off")
        now = database.now()
        news = list(
            RawEvent.objects.filter(applied_at=None)
            .exclude(retry_at__gt=now)
            .order_by("id")
            .select_for_update(skip_locked=True)[:limit]
        )
        if not news:
            return 0
        reading = read(news)
        _keep(reading.fitting)
        _prove(reading.fitting, now)
        verbs.believe_opt_outs([r.flight[0] for r in reading.fitting if r.flight and r.receipt.opted_out], now)
        flawed = [r for r in reading.fitting if r.number_flaw]
        verbs.believe_flaws(
            [(r.flight[0], r.raw.account_id, r.number_flaw, r.receipt.code) for r in flawed if r.flight], now
        )
        _close(news, reading, now)
    return len(news)


def read(news: Sequence[RawEvent]) -> Reading:
    """Return what today's adapters make of these events."""
    reports, flaws, parked = _read(news)
    reports = _match(reports)
    posters = _posters([report.flight for report in reports if report.flight])
    # Only the account that posted a flight can report on it: anybody else's report fits nothing.
    fitting = [r for r in reports if r.flight and posters.get(r.flight) == r.raw.account_id]
    parked |= {r.raw.pk for r in reports if not (r.flight and posters.get(r.flight) == r.raw.account_id)}
    return Reading(fitting, flaws, parked)


def as_stored(report: Report) -> tuple[Any, ...]:
    """Return the values of a report's row, by `COLUMNS`."""
    dispatch_id, flight = report.flight or (None, None)
    receipt = report.receipt
    return (
        report.place,
        dispatch_id,
        flight,
        receipt.provider_id[:80],
        receipt.status.value,
        receipt.code[:60],
        receipt.detail[:200],
        receipt.part[:80],
    )


def _read(news: Sequence[RawEvent]) -> tuple[list[Report], dict[int, str], set[int]]:
    """Return the reports of these events, why some could not be read, and which of them may be read later."""
    accounts = ProviderAccount.objects.in_bulk({raw.account_id for raw in news})
    adapters: dict[int, Adapter] = {}
    unusable: dict[int, str] = {}
    for key, account in accounts.items():
        try:
            adapters[key] = account.adapter()
        except UNUSABLE as error:  # one sick account keeps no other's reports waiting
            unusable[key] = f"its provider account cannot be used: {error}"[:200]
    reports: list[Report] = []
    flaws = {raw.pk: unusable.get(raw.account_id, _GONE) for raw in news if raw.account_id not in adapters}
    parked = {raw.pk for raw in news if raw.account_id in unusable}
    for raw in news:
        adapter = adapters.get(raw.account_id)
        try:
            events = adapter.parse(webhooks.as_call(raw)) if adapter else []
        except MalformedEvent as error:
            flaws[raw.pk] = str(error)[:200]
            continue
        reports += [
            Report(raw, place, event, sending.read_reference(event.reference), _flaw(adapter, event))
            for place, event in enumerate(events)
            if place in raw.news and isinstance(event, Receipt)
        ]
    return reports, flaws, parked


def _flaw(adapter: Adapter | None, report: Receipt) -> str:
    """Return what the report says against the number; one of delivery says nothing, whatever its code."""
    if adapter is None or PROVEN[report.status] is not State.UNDELIVERED:
        return ""
    return adapter.reported_flaws.get(report.code.lower(), "")


def _match(reports: Sequence[Report]) -> list[Report]:
    """Find the flight of reports that carry only the provider's id."""
    nameless = [report for report in reports if report.flight is None and report.receipt.provider_id]
    known = {
        (account_id, provider_id): (dispatch_id, flight)
        for account_id, provider_id, dispatch_id, flight in rows(
            """
            SELECT m.account_id, m.provider_id, m.dispatch_id, m.flight FROM campaigns_providermessage m
            JOIN unnest(%s::bigint[], %s::text[]) AS k(account_id, provider_id)
              ON m.account_id = k.account_id AND m.provider_id = k.provider_id
            """,
            [[r.raw.account_id for r in nameless], [r.receipt.provider_id for r in nameless]],
        )
    }
    return [
        report
        if report.flight
        else replace(report, flight=known.get((report.raw.account_id, report.receipt.provider_id)))
        for report in reports
    ]


def _posters(flights: Sequence[Flight]) -> dict[Flight, int]:
    """Return the account that posted each of these flights, for those in the ledger."""
    return {
        (dispatch_id, flight): account_id
        for dispatch_id, flight, account_id in rows(
            """
            SELECT a.dispatch_id, a.flight, a.account_id FROM campaigns_attempt a
            JOIN unnest(%s::uuid[], %s::int[]) AS k(id, flight) ON a.dispatch_id = k.id AND a.flight = k.flight
            WHERE a.dispatch_id = ANY(%s)
            """,
            [[f[0] for f in flights], [f[1] for f in flights], [f[0] for f in flights]],
        )
    }


def _keep(reports: Sequence[Report]) -> None:
    """Add the facts; one that is looked at again, because its neighbour was parked, is known."""
    execute(
        f"""
        INSERT INTO campaigns_receipt (tenant_id, raw_id, received_at, {", ".join(COLUMNS)})
        SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::int[], %s::uuid[], %s::int[], %s::text[],
          %s::text[], %s::text[], %s::text[], %s::text[]) ON CONFLICT (raw_id, place) DO NOTHING
        """,
        [
            [r.raw.tenant_id for r in reports],
            [r.raw.pk for r in reports],
            [r.raw.received_at for r in reports],
            *(map(list, zip(*map(as_stored, reports), strict=True)) if reports else [[] for _ in COLUMNS]),
        ],
    )


def _prove(reports: Sequence[Report], now: datetime) -> None:
    """A report is proof that its flight was taken: the ledger and the dispatch learn the strongest proof."""
    ids = [
        dispatch_id
        for (dispatch_id,) in rows(
            "SELECT id FROM campaigns_dispatch WHERE id = ANY(%s) ORDER BY id FOR UPDATE",
            [sorted({report.flight[0] for report in reports if report.flight})],
        )
    ]
    in_parts = {
        report.flight
        for report in reports
        if report.flight and report.receipt.part and PROVEN[report.receipt.status] is State.DELIVERED
    }
    # The dispatches are locked, so of two workers with a part each the second one sees both.
    proofs = list(_strongest(reports, in_parts - Attempt.objects.delivered_in_full(in_parts)).items())
    learnt = {
        "now": now,
        "ids": [flight[0] for flight, _ in proofs],
        "flights": [flight[1] for flight, _ in proofs],
        "providers": [report.receipt.provider_id[:80] for _, (_, report) in proofs],
    }
    # Where the answer was lost, the report is the first to tell what the provider calls it.
    execute(
        """
        INSERT INTO campaigns_providermessage (account_id, tenant_id, provider_id, dispatch_id, flight, created_at)
        SELECT a.account_id, a.tenant_id, k.provider_id, a.dispatch_id, a.flight, %(now)s
        FROM unnest(%(ids)s::uuid[], %(flights)s::int[], %(providers)s::text[]) AS k(id, flight, provider_id)
          JOIN campaigns_attempt a ON a.dispatch_id = k.id AND a.flight = k.flight AND a.dispatch_id = ANY(%(ids)s)
        WHERE a.provider_id = '' AND k.provider_id <> '' ON CONFLICT (account_id, provider_id) DO NOTHING
        """,
        learnt,
    )
    execute(
        """
        UPDATE campaigns_attempt a SET proof = CASE a.proof WHEN '' THEN 'receipt' ELSE a.proof END,
          proven_at = coalesce(a.proven_at, %(now)s),
          outcome = CASE WHEN a.outcome IN ('open', 'unknown') THEN 'accepted' ELSE a.outcome END,
          provider_id = CASE a.provider_id WHEN '' THEN k.provider_id ELSE a.provider_id END
        FROM unnest(%(ids)s::uuid[], %(flights)s::int[], %(providers)s::text[]) AS k(id, flight, provider_id)
        WHERE a.dispatch_id = k.id AND a.flight = k.flight AND a.dispatch_id = ANY(%(ids)s)
        """,
        learnt,
    )
    moves.prove(
        ids,
        given="""
          SELECT DISTINCT ON (k.id) k.id, k.state, k.detail, coalesce(a.claimed_at, %(now)s) AS at
          FROM unnest(%(of)s::uuid[], %(flights)s::int[], %(states)s::text[], %(ranks)s::int[], %(details)s::text[])
            AS k(id, flight, state, rank, detail)
          LEFT JOIN campaigns_attempt a ON a.dispatch_id = k.id AND a.flight = k.flight AND a.dispatch_id = ANY(%(of)s)
          ORDER BY k.id, k.rank DESC""",
        parameters={
            "of": [flight[0] for flight, _ in proofs],
            "flights": [flight[1] for flight, _ in proofs],
            "states": [state for _, (state, _) in proofs],
            "ranks": [PROOF_RANK[state] for _, (state, _) in proofs],
            "details": [f"{report.receipt.code} {report.receipt.detail}".strip()[:200] for _, (_, report) in proofs],
        },
        now=now,
    )


def _strongest(reports: Sequence[Report], lacking: Collection[Flight]) -> dict[Flight, tuple[State, Report]]:
    """Return what is proven of each flight; a part that was delivered proves no delivery of those that lack others."""
    strongest: dict[Flight, tuple[State, Report]] = {}
    for report in reports:
        if report.flight is None:
            continue
        state = PROVEN[report.receipt.status]
        if state is State.DELIVERED and report.flight in lacking:
            state = State.ACCEPTED
        known = strongest.get(report.flight)
        if known is None or PROOF_RANK[known[0]] < PROOF_RANK[state]:
            strongest[report.flight] = (state, report)
    return strongest


def _close(news: Sequence[RawEvent], reading: Reading, now: datetime) -> None:
    """Mark events applied; park those that fit nothing yet, until the report horizon."""
    flaws, parked = reading.flaws, reading.parked
    horizon = now - settings.REPORT_HORIZON
    again = [raw for raw in news if raw.pk in parked and raw.received_at > horizon]
    orphans = {raw.pk for raw in news if raw.pk in parked and raw.received_at <= horizon}
    waiting = {raw.pk for raw in again}
    done = [raw for raw in news if raw.pk not in waiting]
    execute(
        """
        UPDATE campaigns_rawevent r SET applied_at = k.applied_at, retry_at = k.retry_at, flaw = k.flaw
        FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[]) AS k(id, applied_at, retry_at, flaw)
        WHERE r.id = k.id
        """,
        [
            [raw.pk for raw in done] + [raw.pk for raw in again],
            [now for _ in done] + [None for _ in again],
            [None for _ in done] + [now + _patience(raw, now) for raw in again],
            [flaws.get(raw.pk, "fits no message of ours" if raw.pk in orphans else "") for raw in done]
            + [flaws.get(raw.pk, "waits for its message") for raw in again],
        ],
    )


def _patience(raw: RawEvent, now: datetime) -> timedelta:
    """Wait as long again as it has waited, between 2 seconds and 10 minutes."""
    return min(max(now - raw.received_at, timedelta(seconds=2)), timedelta(minutes=10))
