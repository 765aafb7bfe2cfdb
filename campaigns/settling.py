"""What answers mean for their dispatches, and their way into the database: an answer in hand is never lost (R6)."""

import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    connection,
    transaction,
)

from campaigns import scheduling
from campaigns.models import Attempt, Dispatch
from campaigns.states import FATE, State
from campaigns.verbs import Settlement
from providers.adapters.base import Outcome
from providers.delivery import Answer
from smsplatform.common import database

log = structlog.get_logger("settle")

_REFUSED: Final = (DataError, IntegrityError, ProgrammingError)
_PAUSES: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


def verdict(answer: Answer, *, posts: int, has_next: bool, number_flaw: str = "") -> Settlement:
    """Return what an answer means for its dispatch, given how often it was posted before, and for its number."""
    result = answer.result
    state = FATE[result.outcome]
    reason, until = "", None
    if result.outcome is Outcome.REJECTED_PERMANENT:
        reason = f"provider:{result.code}"
    elif result.outcome is Outcome.UNKNOWN:
        reason = "no_clear_answer"
    elif state is State.HELD:
        reason = "retry"
        if posts + 1 >= settings.MAX_FLIGHTS:
            state, reason = State.DEAD, "retries_exhausted"
        elif has_next:
            state, reason = State.READY, ""
        else:
            until = answer.answered_at + timedelta(seconds=backoff(posts, result.retry_after))
    return Settlement(
        dispatch_id=answer.dispatch_id,
        flight=answer.flight,
        outcome=result.outcome,
        state=state,
        answered_at=answer.answered_at,
        account_id=answer.account_id,
        reason=reason,
        detail=f"{result.code} {result.detail}".strip() if state is not State.ACCEPTED else "",
        until=until,
        provider_id=result.provider_id,
        code=result.code,
        parts=result.parts,
        opted_out=result.opted_out,
        number_flaw=number_flaw,
    )


def backoff(posts: int, retry_after: float | None) -> float:
    """Return the seconds to wait after the n-th posted try: doubled each time, with jitter, never below the vendor's wish."""
    longest: float = settings.RETRY_LONGEST
    wait: float = min(settings.RETRY_FIRST * 2**posts, longest)
    wait *= random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret
    return max(wait, min(retry_after or 0.0, longest))


def settle(settlements: Sequence[Settlement]) -> None:
    """Store answers, retrying until it succeeds: an answer in hand must never become an unknown (R6).

    One that the database can never store is stored as unknown, alone: it must not take its whole group with it.
    """
    if not settlements:
        return
    try:
        persist(lambda: _write(settlements))
    except _REFUSED:
        if len(settlements) == 1:
            log.exception("settle.unstorable", dispatch=str(settlements[0].dispatch_id))
            only = settlements[0]
            doubt = Settlement(
                dispatch_id=only.dispatch_id,
                flight=only.flight,
                outcome=Outcome.UNKNOWN,
                state=State.UNKNOWN,
                answered_at=only.answered_at,
                account_id=only.account_id,
                reason="unstorable_answer",
            )
            persist(lambda: _write([doubt]))
            return
        for settlement in settlements:
            settle([settlement])


def _write(settlements: Sequence[Settlement]) -> None:
    """Settle in one transaction; batches whose rows come back to life by a late answer are made due again."""
    with transaction.atomic(durable=True):
        now = database.commit_cheaply()
        moved = Attempt.objects.settle(settlements, now)
        if moved[State.UNKNOWN, State.HELD]:
            revived = Dispatch.objects.filter(id__in=[s.dispatch_id for s in settlements], batch__isnull=False)
            scheduling.reopen(revived.values_list("batch_id", flat=True), now)


def persist(write: Callable[[], None]) -> None:
    """Repeat while the database is away. Only the death of the process ends this; then recovery says `unknown`.

    What the database refuses for its content is raised: repeating would not help.
    """
    failures = 0
    while True:
        try:
            write()
        except _REFUSED:
            raise
        except (DatabaseError, InterfaceError):
            pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
            failures += 1
            log.warning("settle.waits", failures=failures, exc_info=failures == 1)
            connection.close()
            time.sleep(pause)
        else:
            return
