"""`manage.py accept_database`: let a restored dump or a promoted copy send, without sending anything twice.

Such a database has forgotten the last claims of the one it was made from: its rows look ready although the person may
have the text. So, before it becomes the database that sends:

- `ready` and `sending` messages of batches that were at work near the cut become `unknown`: never sent again by itself;
- what waited and was due before the old database stopped sending (`--sent-until`) becomes `expired`: it may have gone;
- runs that the old database may have expanded meanwhile are paused, for a person to look at;
- repeating campaigns do not fire again for that time.

The cut is the newest claim that this database knows. Running it again after a crash goes on.
"""

import uuid
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from campaigns import fence, moves, scheduling
from campaigns.management.commands import _switch
from campaigns.models import Campaign, Dispatch, Run
from campaigns.moves import Moved
from campaigns.states import EARLY, State
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.database import execute, rows
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import audit

_REASON: Final = "database_restored"
_CHUNK: Final = 1000
_WAITED: Final = (*EARLY, State.HELD)


@dataclass(frozen=True)
class _Plan:
    """What will become of what."""

    cut: datetime | None
    sent_until: datetime | None  # None: not after the cut
    doubtful: list[uuid.UUID] = field(default_factory=list)
    late: list[uuid.UUID] = field(default_factory=list)
    half_made: list[int] = field(default_factory=list)


class Command(OperatorCommand):
    """Without --yes it only tells what it would do."""

    help = "Accept a restored or promoted database as the one that sends."
    option_names: ClassVar = {"minutes": "--minutes", "sent_until": "--sent-until"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--yes", action="store_true", help="do it")
        parser.add_argument(
            "--minutes", type=float, default=10, help="how long before the cut a batch counts as near it (%(default)g)"
        )
        parser.add_argument(
            "--sent-until",
            metavar="INSTANT",
            help="when the old database stopped sending, like 2026-12-01T09:00Z; `cut` when nothing after the newest"
            " claim was lost, as with a synchronous replica (now, which is safe whatever happened)",
        )
        parser.add_argument(
            "--force", action="store_true", help="although this database looks like the one that was sending"
        )

    def act(self, options: dict[str, Any]) -> Answer:
        """Plan; with --yes, do it."""
        if not 0 <= options["minutes"] <= 24 * 60:
            raise InvalidInput("give 0 to 1440", field="minutes")
        if not _switch.is_copy() and not options["force"]:
            line = "this database is the one that sends: nothing to accept. After a restore in place, add --force."
            return Answer({"accepted": True, "changed": False}, [line])
        now = database.now()
        plan = _planned(now, timedelta(minutes=options["minutes"]), options["sent_until"])
        data = {
            "cut": plan.cut,
            "sent_until": plan.sent_until,
            "unknown": len(plan.doubtful),
            "expired": len(plan.late),
            "paused_runs": plan.half_made,
        }
        will = "becomes" if options["yes"] else "would become"
        lines = [
            f"newest claim in this database: {f'{plan.cut:%F %T %Z}' if plan.cut else 'none'}",
            "the old database counts as sending until: "
            + (f"{plan.sent_until:%F %T %Z}" if plan.sent_until else "the newest claim"),
            f"{len(plan.doubtful):,} message(s) near the cut: {will} unknown",
            f"{len(plan.late):,} message(s) that waited and were due by then: {will} expired",
            f"{len(plan.half_made):,} run(s) that may have been expanded meanwhile: paused {plan.half_made or ''}".rstrip(),
        ]
        if not options["yes"]:
            return Answer(
                {"accepted": False, "changed": False, **data}, lines, problem="nothing was done; add --yes to do this"
            )
        _carry_out(plan, options["actor"], now)
        after = [
            "This database sends from now on.",
            "STOPs that came after the cut are lost: enter them with `manage.py suppress` from the providers' logs.",
        ]
        return Answer({"accepted": True, "changed": True, **data}, [*lines, *after])


def _planned(now: datetime, near: timedelta, sent_until: str | None) -> _Plan:
    [(cut,)] = rows("SELECT max(claimed_at) FROM campaigns_attempt")
    until = _instant(sent_until, cut, now)
    doubtful: list[uuid.UUID] = []
    if cut is not None:
        # A lease is renewed for LEASE, so a batch at work at the cut has a lease until then; rows tell of ended turns.
        doubtful = [
            row[0]
            for row in rows(
                """
                SELECT d.id FROM campaigns_batch b JOIN campaigns_dispatch d ON d.batch_id = b.id
                WHERE b.phase <> 'closed' AND d.state IN ('ready', 'sending')
                  AND (d.state = 'sending' OR b.lease_until >= %(from)s + %(lease)s OR d.changed_at >= %(from)s
                    OR EXISTS (SELECT 1 FROM campaigns_dispatch o WHERE o.batch_id = b.id AND o.changed_at >= %(from)s))
                ORDER BY d.id
                """,
                {"from": cut - near, "lease": settings.LEASE},
            )
        ]
    if until is None:
        return _Plan(cut, None, doubtful)
    late = rows(
        """
        SELECT d.id FROM campaigns_dispatch d LEFT JOIN campaigns_batch b ON b.id = d.batch_id
        WHERE coalesce(b.phase, '') <> 'closed' AND d.state = ANY(%(states)s) AND NOT d.id = ANY(%(doubtful)s)
          AND CASE WHEN d.state = 'held' AND d.reason NOT LIKE 'paused@%%' THEN d.not_before ELSE d.due_at END <= %(until)s
        ORDER BY d.id
        """,
        {"states": list(_WAITED), "doubtful": doubtful, "until": until},
    )
    half_made = Run.objects.filter(materialised_at=None, cancelled_at=None, paused_at=None, materialise_at__lte=until)
    return _Plan(
        cut, until, doubtful, [row[0] for row in late], list(half_made.order_by("id").values_list("id", flat=True))
    )


def _instant(text: str | None, cut: datetime | None, now: datetime) -> datetime | None:
    """Return until when the old database sent; None: not after the cut."""
    if text is None:
        return now
    if text == "cut":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput(
            f"{text!r} is no instant with an offset; write it like 2026-12-01T09:00Z, or `cut`", field="sent_until"
        )
    if cut is not None and found < cut:
        raise InvalidInput(
            f"the old database was still sending at {cut:%F %T %Z}; give a later instant", field="sent_until"
        )
    return found


def _carry_out(plan: _Plan, actor: str, now: datetime) -> None:
    """Move first and accept last, so that a crash in between leaves the database fenced."""
    _in_chunks(plan.doubtful, lambda ids: _doubt(ids, now), now)
    _in_chunks(plan.late, lambda ids: _expire(ids, now), now)
    with transaction.atomic():
        Run.objects.filter(pk__in=plan.half_made).update(paused_at=now)
        if plan.sent_until is not None:
            behind = Q(fired_until=None) | Q(fired_until__lt=plan.sent_until)
            Campaign.objects.filter(behind, schedule=Campaign.Schedule.REPEAT).update(fired_until=plan.sent_until)
        execute(
            f"""
            INSERT INTO tenancy_installation AS i (id, is_sending, identity, changed_at, changed_by)
            VALUES (1, true, {fence.IDENTITY}, %(now)s, %(actor)s)
            ON CONFLICT (id) DO UPDATE SET identity = excluded.identity
            """,
            {"now": now, "actor": actor[:120]},
        )
        audit.record(
            actor=actor,
            verb="database.accepted",
            target="installation",
            cut=plan.cut.isoformat() if plan.cut else None,
            unknown=len(plan.doubtful),
            expired=len(plan.late),
            paused_runs=plan.half_made,
        )


def _in_chunks(ids: Sequence[uuid.UUID], move: Callable[[list[uuid.UUID]], Moved], now: datetime) -> None:
    for start in range(0, len(ids), _CHUNK):
        chunk = list(ids[start : start + _CHUNK])
        with transaction.atomic(durable=True):
            batches = [
                row[0]
                for row in rows(
                    "SELECT id FROM campaigns_batch WHERE id IN (SELECT batch_id FROM campaigns_dispatch WHERE id = ANY(%s))"
                    " ORDER BY id FOR UPDATE",
                    [chunk],
                )
            ]
            rows("SELECT id FROM campaigns_dispatch WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [chunk])
            move(chunk)
            # A chain of before the restore may still be on its way: another number ends it.
            execute("UPDATE campaigns_batch SET lease = lease + 1 WHERE id = ANY(%s) AND phase = 'leased'", [batches])
            execute(
                "UPDATE campaigns_batch SET phase = 'waiting', lease_until = NULL WHERE id = ANY(%s) AND phase = 'leased'",
                [batches],
            )
            scheduling.reopen(batches, now)


def _expire(ids: list[uuid.UUID], now: datetime) -> Moved:
    return Dispatch.objects.filter(id__in=ids).move(_WAITED, State.EXPIRED, now=now, reason=_REASON)


def _doubt(ids: list[uuid.UUID], now: datetime) -> Moved:
    execute(
        "UPDATE campaigns_attempt SET outcome = 'unknown', detail = 'the database was restored'"
        " WHERE dispatch_id = ANY(%s) AND outcome = 'open'",
        [ids],
    )
    return moves.apply(
        ids,
        given="SELECT d.id, 'unknown' AS state, %(reason)s AS reason, '' AS detail, NULL::timestamptz AS until,"
        " d.changed_at AS at FROM campaigns_dispatch d WHERE d.id = ANY(%(ids)s)",
        parameters={"ids": ids, "reason": _REASON},
        origins=[State.READY, State.SENDING],
        targets=[State.UNKNOWN],
        now=now,
        assign=", posts = d.posts + (d.state = 'sending')::int",
    )
