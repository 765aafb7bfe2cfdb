"""Settles unknown outcomes by asking the provider, for as long as they may still be settled (P4).

Each question is asked seldom and ever more seldom: vendors list late, and most unknowns end by a receipt.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from django.db import transaction

from campaigns import sending
from campaigns.models import Attempt
from providers import reconcile
from providers.adapters.base import Question, Unreadable
from providers.models import UNUSABLE, ProviderAccount
from smsplatform.common.database import execute, rows

log = structlog.get_logger("reconcile")

MOST: Final = 20  # questions per round, each of which may take long
_FIRST_PAUSE: Final = 60  # seconds after the outcome became unknown
_LONGEST_PAUSE: Final = 3600


@dataclass(frozen=True, slots=True)
class _Doubt:
    dispatch_id: uuid.UUID
    flight: int
    account_id: int
    question: Question
    has_twin: bool  # another doubt about the same person: not every vendor gives the text back, to tell them apart


def ask_providers(now: datetime) -> int:
    """Ask about the unknowns whose time has come; return how many were proven taken."""
    found = 0
    accounts: dict[int, ProviderAccount] = {}
    for doubt in _due(now):
        account = accounts.get(doubt.account_id) or ProviderAccount.objects.filter(pk=doubt.account_id).first()
        if account is None:
            continue
        accounts[doubt.account_id] = account
        try:
            adapter = account.adapter()
        except UNUSABLE as error:
            log.warning("reconcile.unusable", account=account.pk, provider=account.provider, error=str(error))
            continue
        try:
            findings = reconcile.ask(adapter, doubt.question)
        except Unreadable as error:
            log.warning("reconcile.unreadable", account=account.pk, provider=account.provider, error=str(error))
            continue
        if findings is None:
            # Nobody to ask: a receipt or the deadline settles it.
            execute("UPDATE campaigns_trouble SET ask_at = due_at WHERE dispatch_id = %s", [doubt.dispatch_id])
            continue
        if doubt.has_twin:
            findings = [finding for finding in findings if finding.reference]
        claimed = _claimed(account.pk, [finding.provider_id for finding in findings], doubt)
        proven = reconcile.proof(doubt.question, findings, claimed)
        if proven is not None:
            with transaction.atomic(durable=True):
                found += Attempt.objects.prove_by_look_up(
                    doubt.dispatch_id, doubt.flight, provider_id=proven.provider_id, now=now
                ).total()
            log.info("reconcile.found", account=account.pk, dispatch=str(doubt.dispatch_id))
    return found


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
        SELECT d.id, a.flight::int, a.account_id, d.number, a.sender, d.text, a.claimed_at, EXISTS (
          SELECT 1 FROM campaigns_trouble t JOIN campaigns_dispatch o ON o.id = t.dispatch_id
          WHERE t.kind = 'unknown' AND o.id <> d.id AND o.tenant_id = d.tenant_id AND o.number = d.number
            AND o.account_id = a.account_id)
        FROM campaigns_dispatch d JOIN campaigns_attempt a ON a.dispatch_id = d.id AND a.flight = d.flight
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
            question=Question(sending.reference(dispatch_id, flight), number, sender, text, claimed_at),
            has_twin=has_twin,
        )
        for dispatch_id, flight, account_id, number, sender, text, claimed_at, has_twin in found
    ]


def _claimed(account_id: int, provider_ids: list[str], doubt: _Doubt) -> set[str]:
    """Return which of these ids belong to other flights."""
    return {
        provider_id
        for (provider_id,) in rows(
            "SELECT provider_id FROM campaigns_providermessage WHERE account_id = %s AND provider_id = ANY(%s)"
            " AND (dispatch_id, flight) <> (%s, %s)",
            [account_id, provider_ids, doubt.dispatch_id, doubt.flight],
        )
    }
