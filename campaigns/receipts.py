"""Applies stored events: delivery reports move dispatches by the evidence rule, in any order, any number of times.

A report that fits no flight of ours yet is parked and looked at again until the report horizon (R42).
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from campaigns import moves, sending, verbs, webhooks
from campaigns.models import RawEvent
from campaigns.states import PROOF_RANK, PROVEN, State
from campaigns.verbs import PARTS
from providers.adapters.base import MalformedEvent, Receipt
from providers.models import ProviderAccount
from smsplatform.common import database
from smsplatform.common.database import execute, rows

MOST = 1000


@dataclass(frozen=True, slots=True)
class _Report:
    raw: RawEvent
    place: int
    receipt: Receipt
    flight: tuple[uuid.UUID, int] | None


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
        reports, flaws, unread = _read(news)
        reports = _match(reports)
        posters = _posters([report.flight for report in reports if report.flight])
        # Only the account that posted a flight can report on it: anybody else's report fits nothing.
        fitting = [r for r in reports if r.flight and posters.get(r.flight) == r.raw.account_id]
        unfit = {r.raw.pk for r in reports if not (r.flight and posters.get(r.flight) == r.raw.account_id)}
        _keep(fitting)
        _prove(fitting, now)
        verbs.believe_opt_outs([r.flight[0] for r in fitting if r.flight and r.receipt.opted_out], now)
        _close(news, flaws, unfit | unread, now)
    return len(news)


def _read(news: Sequence[RawEvent]) -> tuple[list[_Report], dict[int, str], set[int]]:
    """Return the reports of these events, why some could not be read, and which of these may be later."""
    accounts = ProviderAccount.objects.in_bulk({raw.account_id for raw in news})
    adapters = {key: account.usable_adapter() for key, account in accounts.items()}
    reports: list[_Report] = []
    flaws: dict[int, str] = {}
    unread: set[int] = set()
    for raw in news:
        if raw.account_id not in accounts:
            flaws[raw.pk] = "its provider account is gone"
            continue
        adapter = adapters[raw.account_id]
        if adapter is None:
            flaws[raw.pk] = "its provider account cannot be used"
            unread.add(raw.pk)
            continue
        try:
            events = adapter.parse(webhooks.as_call(raw))
        except MalformedEvent as error:
            flaws[raw.pk] = str(error)[:200]
            continue
        reports += [
            _Report(raw, place, event, sending.read_reference(event.reference))
            for place, event in enumerate(events)
            if place in raw.news and isinstance(event, Receipt)
        ]
    return reports, flaws, unread


def _match(reports: Sequence[_Report]) -> list[_Report]:
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


def _posters(flights: Sequence[tuple[uuid.UUID, int]]) -> dict[tuple[uuid.UUID, int], int]:
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


def _keep(reports: Sequence[_Report]) -> None:
    """Add the facts; one that is looked at again, because its neighbour was parked, is known."""
    execute(
        """
        INSERT INTO campaigns_receipt
          (tenant_id, raw_id, place, dispatch_id, flight, provider_id, status, code, detail, received_at, part)
        SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::uuid[], %s::int[], %s::text[], %s::text[], %s::text[],
          %s::text[], %s::timestamptz[], %s::text[]) ON CONFLICT (raw_id, place) DO NOTHING
        """,
        [
            [r.raw.tenant_id for r in reports],
            [r.raw.pk for r in reports],
            [r.place for r in reports],
            [r.flight[0] for r in reports if r.flight],
            [r.flight[1] for r in reports if r.flight],
            [r.receipt.provider_id[:80] for r in reports],
            [r.receipt.status for r in reports],
            [r.receipt.code[:60] for r in reports],
            [r.receipt.detail[:200] for r in reports],
            [r.raw.received_at for r in reports],
            [r.receipt.part[:80] for r in reports],
        ],
    )


def _prove(reports: Sequence[_Report], now: datetime) -> None:
    """A report is proof that its flight was taken: the ledger and the dispatch learn the strongest proof."""
    told = [(report.flight, PROVEN[report.receipt.status], report) for report in reports if report.flight]
    ids = [
        dispatch_id
        for (dispatch_id,) in rows(
            "SELECT id FROM campaigns_dispatch WHERE id = ANY(%s) ORDER BY id FOR UPDATE",
            [sorted({flight[0] for flight, _, _ in told})],
        )
    ]
    incomplete = _incomplete(
        sorted({flight for flight, state, report in told if state is State.DELIVERED and report.receipt.part})
    )
    strongest: dict[tuple[uuid.UUID, int], tuple[State, _Report]] = {}
    for flight, claimed, report in told:
        # A part that arrived must not hide another, reported with it, that did not.
        is_part_of_it = claimed is State.DELIVERED and flight in incomplete
        state = State.ACCEPTED if is_part_of_it else claimed
        known = strongest.get(flight)
        if known is None or PROOF_RANK[known[0]] < PROOF_RANK[state]:
            strongest[flight] = (state, report)
    proofs = list(strongest.items())
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


def _incomplete(flights: Sequence[tuple[uuid.UUID, int]]) -> set[tuple[uuid.UUID, int]]:
    """Return the flights of which not every part is reported delivered yet (R43).

    Their dispatches are locked, so of two workers with a part each the second one sees both.
    """
    if not flights:
        return set()
    return set(
        rows(
            f"""
            SELECT a.dispatch_id, a.flight::int FROM campaigns_attempt a
            JOIN unnest(%(ids)s::uuid[], %(flights)s::int[]) AS k(id, flight) ON a.dispatch_id = k.id AND a.flight = k.flight
            JOIN campaigns_dispatch d ON d.id = k.id
            WHERE a.dispatch_id = ANY(%(ids)s) AND d.id = ANY(%(ids)s)
              AND {PARTS} > (
              SELECT count(DISTINCT r.part) FROM campaigns_receipt r
              WHERE r.dispatch_id = k.id AND r.flight = k.flight AND r.status = 'delivered')
            """,
            {"ids": [dispatch_id for dispatch_id, _ in flights], "flights": [flight for _, flight in flights]},
        )
    )


def _close(news: Sequence[RawEvent], flaws: dict[int, str], parked: set[int], now: datetime) -> None:
    """Mark events applied; park those that fit nothing yet, until the report horizon."""
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
