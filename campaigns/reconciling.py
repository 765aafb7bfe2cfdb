"""Settles unknown outcomes by asking the provider, for as long as they may still be settled (P4).

Each question is asked seldom and ever more seldom: vendors list late, and most unknowns end by a receipt.
"""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import transaction

from campaigns import sending
from campaigns.models import Attempt
from providers import reconcile
from providers.adapters.base import Finding, Question, Unreadable
from providers.models import ProviderAccount
from smsplatform.common.database import execute, rows

log = structlog.get_logger("reconcile")

MOST: Final = 20  # questions per round, each of which may take long
_LONGEST_ROUND: Final = 40.0  # seconds after which no further question is asked; the next round asks it
_FIRST_PAUSE: Final = 60  # seconds after the outcome became unknown
_LONGEST_PAUSE: Final = 3600


@dataclass(frozen=True, slots=True)
class _Doubt:
    dispatch_id: uuid.UUID
    flight: int
    account_id: int
    patience: timedelta  # after which no answer to a post can come any more
    question: Question
    has_twin: bool  # another doubt about the same person: not every vendor gives the text back, to tell them apart


def ask_providers(now: datetime) -> int:
    """Ask about the unknowns whose time has come; return how many were proven taken.

    A vendor that does not answer is asked once a round, and no round lasts: others wait for theirs.
    """
    ends = time.monotonic() + _LONGEST_ROUND
    doubts = _due(now)
    accounts = ProviderAccount.objects.in_bulk({doubt.account_id for doubt in doubts})
    adapters = {pk: account.usable_adapter() for pk, account in accounts.items()}
    silent: set[int] = set()
    found = 0
    for place, doubt in enumerate(doubts):
        if time.monotonic() >= ends:
            _give_back(doubts[place:], now)
            break
        adapter = adapters.get(doubt.account_id)
        if adapter is None or doubt.account_id in silent:
            continue
        try:
            findings = reconcile.ask(adapter, doubt.question)
        except Unreadable as error:
            log.warning("reconcile.unreadable", account=doubt.account_id, error=str(error))
            if isinstance(error, reconcile.NoAnswer):
                silent.add(doubt.account_id)
            continue
        found += _judge(doubt, findings, now)
    return found


def _judge(doubt: _Doubt, findings: Sequence[Finding] | None, now: datetime) -> int:
    """Write what the vendor's answer proves; return how many dispatches moved."""
    if findings is None:
        # Nobody to ask: a receipt or the deadline settles it.
        execute("UPDATE campaigns_trouble SET ask_at = due_at WHERE dispatch_id = %s", [doubt.dispatch_id])
        return 0
    if doubt.has_twin:
        findings = [finding for finding in findings if finding.reference]
    claimed = _claimed(doubt, [finding.provider_id for finding in findings])
    # Whoever posted before then has the provider's id, or is in doubt as well.
    answered_until = now - doubt.patience - reconcile.BEFORE
    proven = reconcile.proof(doubt.question, findings, claimed, answered_until=answered_until)
    if proven is None:
        return 0
    with transaction.atomic(durable=True):
        moved = Attempt.objects.prove_by_look_up(
            doubt.dispatch_id, doubt.flight, provider_id=proven.provider_id, now=now
        ).total()
    log.info("reconcile.found", account=doubt.account_id, dispatch=str(doubt.dispatch_id), moved=moved)
    return moved


def _due(now: datetime) -> list[_Doubt]:
    """Take the questions that are due, oldest first; each is due again after twice as long."""
    taken = rows(
        """
        UPDATE campaigns_trouble t SET asked = t.asked + 1,
          ask_at = %(now)s + least(%(first)s * 2 ^ least(t.asked + 1, 10), %(longest)s) * interval '1 second'
        WHERE t.dispatch_id IN (
          SELECT dispatch_id FROM campaigns_trouble
          WHERE kind = 'unknown' AND due_at > %(now)s AND since <= %(now)s - %(first)s * interval '1 second'
            AND (ask_at IS NULL OR ask_at <= %(now)s)
          ORDER BY ask_at NULLS FIRST, since LIMIT %(most)s FOR UPDATE SKIP LOCKED)
        RETURNING t.dispatch_id
        """,
        {"now": now, "first": _FIRST_PAUSE, "longest": _LONGEST_PAUSE, "most": MOST},
    )
    ids = sorted(row[0] for row in taken)
    if not ids:
        return []
    found = rows(
        """
        SELECT d.id, a.flight::int, a.account_id, a.horizon_at - a.claimed_at, d.number, a.sender, d.text, a.claimed_at, EXISTS (
          SELECT 1 FROM campaigns_trouble t JOIN campaigns_dispatch o ON o.id = t.dispatch_id
            JOIN providers_provideraccount q ON q.id = o.account_id
          WHERE t.kind = 'unknown' AND o.id <> d.id AND o.number = d.number AND q.provider = p.provider)
        FROM campaigns_dispatch d JOIN campaigns_attempt a ON a.dispatch_id = d.id AND a.flight = d.flight
          JOIN providers_provideraccount p ON p.id = a.account_id
        WHERE d.id = ANY(%(ids)s) AND a.dispatch_id = ANY(%(ids)s) AND d.state = 'unknown' AND a.proof = ''
        ORDER BY a.claimed_at
        """,
        {"ids": ids},
    )
    return [
        _Doubt(
            dispatch_id=dispatch_id,
            flight=flight,
            account_id=account_id,
            patience=patience,
            question=Question(sending.reference(dispatch_id, flight), number, sender, text, claimed_at),
            has_twin=has_twin,
        )
        for dispatch_id, flight, account_id, patience, number, sender, text, claimed_at, has_twin in found
    ]


def _give_back(doubts: Sequence[_Doubt], now: datetime) -> None:
    """Make questions due again that were taken and not asked."""
    execute(
        "UPDATE campaigns_trouble SET ask_at = %s, asked = asked - 1 WHERE dispatch_id = ANY(%s)",
        [now, [doubt.dispatch_id for doubt in doubts]],
    )


def _claimed(doubt: _Doubt, provider_ids: list[str]) -> set[str]:
    """Return which of these ids belong to other flights, through whichever of our accounts: two may be one at the vendor."""
    return {
        provider_id
        for (provider_id,) in rows(
            """
            SELECT m.provider_id FROM campaigns_providermessage m
            WHERE m.account_id IN (
                SELECT o.id FROM providers_provideraccount o JOIN providers_provideraccount a ON a.provider = o.provider
                WHERE a.id = %s)
              AND m.provider_id = ANY(%s) AND (m.dispatch_id, m.flight) <> (%s, %s)
            """,
            [doubt.account_id, provider_ids, doubt.dispatch_id, doubt.flight],
        )
    }
