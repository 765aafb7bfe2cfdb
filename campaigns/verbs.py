"""The verbs the pipeline is written in, as queryset methods: this is where the SQL and the lock order are.

Order of locks, everywhere: batch, dispatch (by id), send lock (by number), permit, cap window.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from django.db import models

from campaigns import moves
from campaigns.moves import Moved
from campaigns.states import EARLY, FATE, State
from compliance import caps, policy
from compliance.policy import Objection
from providers.adapters.base import Outcome
from smsplatform.common.database import execute, keys_of, rows
from smsplatform.tenancy.models import Brand, Tenant

if TYPE_CHECKING:
    from campaigns.models import Attempt, Dispatch  # noqa: F401 - the querysets are theirs

LOCK_LIFE: Final = timedelta(seconds=60)
BUSY_WAIT: Final = timedelta(seconds=5)
# The zones key of a row: what is known of the person now, not at launch.
ZONES: Final = "coalesce(r.zones, d.zones)"
_STOPPED: Final = (State.BLOCKED, State.HELD, State.EXPIRED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What rendering one row gave: a text, or the rule that forbids it."""

    dispatch_id: uuid.UUID
    state: State
    reason: str = ""
    detail: str = ""
    text: str = ""
    links: str | None = None  # JSON list of destinations
    segments: int = 0
    good_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """An answer and what it means for its dispatch."""

    dispatch_id: uuid.UUID
    flight: int
    outcome: Outcome
    state: State
    answered_at: datetime
    account_id: int
    reason: str = ""
    detail: str = ""
    until: datetime | None = None
    provider_id: str = ""
    code: str = ""


class DispatchQuerySet(models.QuerySet["Dispatch"]):
    """Dispatches, and everything that may be done to many of them at once."""

    def for_tenant(self, tenant: Tenant | int) -> Self:
        return self.filter(tenant=tenant)

    def in_state(self, *states: State) -> Self:
        return self.filter(state__in=states)

    def of_run(self, run_id: int) -> Self:
        """A run's dispatches are a range of ids."""
        keys = keys_of(run_id)
        return self.filter(id__gte=keys["lowest"], id__lt=keys["above"])

    def lock(self) -> list[uuid.UUID]:
        """Lock the rows, in the order of their ids, and return these."""
        return list(self.order_by("id").select_for_update(of=("self",)).values_list("id", flat=True))

    def totals(self) -> dict[str, int]:
        """Count by state, from the rows themselves."""
        return dict(self.order_by().values_list("state").annotate(n=models.Count("*")))

    # -- moves --------------------------------------------------------------------------------------------------

    def move(
        self,
        origins: Sequence[State],
        to: State,
        *,
        now: datetime,
        reason: str = "",
        detail: str = "",
        until: datetime | None = None,
    ) -> Moved:
        """Move all rows that are in one of these states to one other."""
        ids = self.in_state(*origins).lock()
        return moves.apply(
            ids,
            given="SELECT unnest(%(ids)s::uuid[]) AS id, %(to)s AS state, %(reason)s AS reason, %(detail)s AS detail,"
            " %(until)s::timestamptz AS until, NULL::timestamptz AS at",
            parameters={"ids": ids, "to": to, "reason": reason, "detail": detail, "until": until},
            origins=origins,
            targets=[to],
            now=now,
        )

    def bring_back(self, now: datetime, *, everything: bool, resumed: bool) -> Moved:
        """held -> queued where the time has come; cleared … ready -> queued where the checks are no longer good.

        `everything`: the campaign is cancelled, so nothing needs to wait; `resumed`: what a pause held goes on.
        """
        due = models.Q(not_before__lte=now)
        if everything:
            due = models.Q()
        elif resumed:
            due |= models.Q(reason=str(policy.PAUSED))
        stale = models.Q(state__in=EARLY[1:], good_until__lte=now)
        came = self.filter((models.Q(state=State.HELD) & due) | stale)
        return came.move([State.HELD, *EARLY[1:]], State.QUEUED, now=now)

    def zones(self) -> list[str]:
        """Return the zones keys that occur: what is known of the persons now."""
        sql, parameters = self.order_by().values_list("recipient_id", "zones").query.sql_with_params()
        found = rows(
            f"SELECT DISTINCT {ZONES} FROM ({sql}) d LEFT JOIN campaigns_recipient r ON r.id = d.recipient_id",
            parameters,
        )
        return [zones for (zones,) in found]

    def judge(self, origins: Sequence[State], objection: Objection, now: datetime) -> Moved:
        """Move each row that breaks a rule to blocked, held, expired or cancelled, with the rule and until when."""
        ids = self.in_state(*origins).lock()
        return moves.apply(
            ids,
            given=f"""
              SELECT d.id, {objection.fate} AS state, {objection.rule} AS reason, '' AS detail, {objection.until} AS until
              FROM campaigns_dispatch d LEFT JOIN campaigns_recipient r ON r.id = d.recipient_id {objection.joins}
              WHERE d.id = ANY(%(ids)s) AND {objection.rule} IS NOT NULL""",
            parameters={**objection.parameters, "ids": ids},
            origins=origins,
            targets=_STOPPED,
            now=now,
        )

    def clear(self, rendered: Sequence[Rendered], now: datetime) -> Moved:
        """queued -> cleared with its text, or blocked because there is none."""
        ids = self.filter(id__in=[row.dispatch_id for row in rendered]).in_state(State.QUEUED).lock()
        return moves.apply(
            ids,
            given="""
              SELECT g.*, NULL::timestamptz AS until FROM unnest(
                %(ids)s::uuid[], %(states)s::text[], %(reasons)s::text[], %(details)s::text[], %(texts)s::text[],
                %(links)s::jsonb[], %(segments)s::int[], %(good)s::timestamptz[])
              AS g(id, state, reason, detail, text, links, segments, good_until)""",
            parameters={
                "ids": [row.dispatch_id for row in rendered],
                "states": [row.state for row in rendered],
                "reasons": [row.reason for row in rendered],
                "details": [row.detail[:200] for row in rendered],
                "texts": [row.text for row in rendered],
                "links": [row.links for row in rendered],
                "segments": [row.segments for row in rendered],
                "good": [row.good_until for row in rendered],
            },
            origins=[State.QUEUED],
            targets=[State.CLEARED, State.BLOCKED],
            now=now,
            assign=", text = g.text, links = g.links, segments = g.segments, good_until = g.good_until",
        )

    def take_locks(self, now: datetime, *, person_capped: bool) -> Moved:
        """cleared -> locked, one row per person; the others -> held (person busy)."""
        ids = self.in_state(State.CLEARED).lock()
        if not person_capped:
            return self.filter(id__in=ids).move([State.CLEARED], State.LOCKED, now=now)
        mine = rows(
            """
            INSERT INTO campaigns_sendlock AS l (tenant_id, brand_id, number, dispatch_id, until)
            SELECT DISTINCT ON (number) tenant_id, brand_id, number, id, %(until)s FROM campaigns_dispatch
            WHERE id = ANY(%(ids)s) ORDER BY number, id
            ON CONFLICT (brand_id, number) DO UPDATE SET dispatch_id = excluded.dispatch_id, until = excluded.until
              WHERE l.until <= %(now)s OR l.dispatch_id = excluded.dispatch_id
            RETURNING dispatch_id
            """,
            {"ids": ids, "now": now, "until": now + LOCK_LIFE},
        )
        return moves.apply(
            ids,
            given="""
              SELECT i.id, CASE WHEN i.id = ANY(%(mine)s::uuid[]) THEN 'locked' ELSE 'held' END AS state,
                CASE WHEN i.id = ANY(%(mine)s::uuid[]) THEN '' ELSE %(busy)s END AS reason, '' AS detail,
                CASE WHEN i.id = ANY(%(mine)s::uuid[]) THEN NULL ELSE %(until)s::timestamptz END AS until
              FROM unnest(%(ids)s::uuid[]) AS i(id)""",
            parameters={
                "ids": ids,
                "mine": [dispatch_id for (dispatch_id,) in mine],
                "busy": str(policy.PERSON_BUSY),
                "until": now + BUSY_WAIT,
            },
            origins=[State.CLEARED],
            targets=[State.LOCKED, State.HELD],
            now=now,
        )

    def reserve(self, brand: Brand, category: policy.Category, now: datetime) -> Moved:
        """locked -> allowed with a permit, or held by a cap; a row whose lock is gone -> queued. Locks end here."""
        ids = self.in_state(State.LOCKED).lock()
        if not ids:
            return Moved()
        # Locked too: an overtaker of an expired lock waits for our commit, and then counts our permits.
        asking = rows(
            """
            SELECT d.id, d.number FROM campaigns_dispatch d JOIN campaigns_sendlock l
              ON l.brand_id = d.brand_id AND l.number = d.number AND l.dispatch_id = d.id AND l.until > %s
            WHERE d.id = ANY(%s) ORDER BY l.number FOR UPDATE OF l
            """
            if category.has_person_cap
            else "SELECT d.id, d.number FROM campaigns_dispatch d WHERE %s IS NOT NULL AND d.id = ANY(%s) ORDER BY d.id",
            [now, ids],
        )
        decisions = caps.reserve(brand=brand, category=category, asking=asking, now=now)
        decided: list[tuple[Any, ...]] = [
            (d.dispatch_id, State.ALLOWED, "", "", None, d.good_until)
            if isinstance(d, caps.Grant)
            else (d.dispatch_id, State.HELD, str(d.rule), d.detail, d.until, None)
            for d in decisions
        ]
        known = {row[0] for row in decided}
        decided += [(dispatch_id, State.QUEUED, "", "", None, None) for dispatch_id in ids if dispatch_id not in known]
        columns = list(zip(*decided, strict=True))
        return moves.apply(
            ids,
            given="SELECT * FROM unnest(%(ids)s::uuid[], %(states)s::text[], %(reasons)s::text[], %(details)s::text[],"
            " %(untils)s::timestamptz[], %(good)s::timestamptz[]) AS g(id, state, reason, detail, until, good_until)",
            parameters=dict(
                zip(("ids", "states", "reasons", "details", "untils", "good"), map(list, columns), strict=True)
            ),
            origins=[State.LOCKED],
            targets=[State.ALLOWED, State.HELD, State.QUEUED],
            now=now,
            assign=", good_until = least(d.good_until, g.good_until)",
        )

    def link(self, texts: Mapping[uuid.UUID, str], now: datetime) -> Moved:
        """allowed -> ready; the rows named get the text with their links filled in."""
        ids = self.in_state(State.ALLOWED).lock()
        return moves.apply(
            ids,
            given="""
              SELECT i.id, 'ready' AS state, '' AS reason, '' AS detail, NULL::timestamptz AS until, t.text
              FROM unnest(%(ids)s::uuid[]) AS i(id)
              LEFT JOIN unnest(%(linked)s::uuid[], %(texts)s::text[]) AS t(id, text) ON t.id = i.id""",
            parameters={"ids": ids, "linked": list(texts), "texts": list(texts.values())},
            origins=[State.ALLOWED],
            targets=[State.READY],
            now=now,
            assign=", text = coalesce(g.text, d.text), links = NULL",
        )

    def claim(
        self, *, account_id: int, sender: str, reason: str, claim: uuid.UUID, now: datetime, horizon: datetime
    ) -> list[tuple[uuid.UUID, int]]:
        """ready -> sending: write the intent of each row's next flight; return (dispatch, flight) of the rows that are ours.

        Only inside a durable transaction that commits before the first byte leaves. A row that has a live attempt in
        the ledger although it is ready must not be: it becomes unknown, and the audit raises the alarm.
        """
        ids = self.in_state(State.READY).filter(good_until__gt=now, expires_at__gt=now).lock()
        if not ids:
            return []
        ours = rows(
            """
            INSERT INTO campaigns_attempt
              (dispatch_id, flight, tenant_id, account_id, sender, claim, claimed_at, horizon_at, outcome, reason)
            SELECT id, flight + 1, tenant_id, %(account)s, %(sender)s, %(claim)s, %(now)s, %(horizon)s, 'open', %(reason)s
            FROM campaigns_dispatch WHERE id = ANY(%(ids)s) AND id BETWEEN %(first)s AND %(last)s ORDER BY id
            ON CONFLICT DO NOTHING RETURNING dispatch_id, flight
            """,
            {
                "account": account_id,
                "sender": sender,
                "claim": claim,
                "now": now,
                "horizon": horizon,
                "reason": reason,
                "ids": ids,
                "first": ids[0],
                "last": ids[-1],
            },
        )
        flights = dict(ours)
        moves.apply(
            ids,
            given="""
              SELECT i.id, CASE WHEN f.flight IS NULL THEN 'unknown' ELSE 'sending' END AS state,
                CASE WHEN f.flight IS NULL THEN 'live_attempt_in_ledger' ELSE '' END AS reason, '' AS detail,
                NULL::timestamptz AS until, f.flight, CASE WHEN f.flight IS NULL THEN %(now)s::timestamptz END AS at
              FROM unnest(%(ids)s::uuid[]) AS i(id)
              LEFT JOIN unnest(%(ours)s::uuid[], %(flights)s::int[]) AS f(id, flight) ON f.id = i.id""",
            parameters={"ids": ids, "ours": list(flights), "flights": list(flights.values()), "account": account_id},
            origins=[State.READY],
            targets=[State.SENDING, State.UNKNOWN],
            now=now,
            assign=", flight = coalesce(g.flight, d.flight), account_id = %(account)s",
        )
        return ours

    def give_up(self, now: datetime) -> Moved:
        """sending -> unknown where no answer can come any more: nobody knows whether these were taken."""
        ids = self.in_state(State.SENDING).lock()
        lost = rows(
            """
            UPDATE campaigns_attempt SET outcome = 'unknown', detail = 'no answer before the horizon'
            WHERE dispatch_id = ANY(%s) AND outcome = 'open' AND horizon_at <= %s RETURNING dispatch_id, claimed_at
            """,
            [ids, now],
        )
        return moves.apply(
            ids,
            given="SELECT id, 'unknown' AS state, 'no_answer' AS reason, '' AS detail, NULL::timestamptz AS until, at"
            " FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS g(id, at)",
            parameters={"ids": [row[0] for row in lost], "times": [row[1] for row in lost]},
            origins=[State.SENDING],
            targets=[State.UNKNOWN],
            now=now,
            assign=", posts = d.posts + 1",
        )


class AttemptQuerySet(models.QuerySet["Attempt"]):
    """The ledger's verbs."""

    def settle(self, answers: Sequence[Settlement], now: datetime) -> Moved:
        """sending -> as the answers say, each tied to its flight; a late answer also moves unknown.

        Answers of a flight that is not the dispatch's present one only complete the ledger. An answer that proves
        acceptance follows the evidence rule, whatever the state.
        """
        ids = _lock([answer.dispatch_id for answer in answers])
        execute(
            """
            UPDATE campaigns_attempt a SET provider_id = g.provider_id, code = g.code,
              outcome = CASE WHEN a.proof = '' OR g.outcome = 'accepted' THEN g.outcome ELSE a.outcome END,
              detail = g.detail, answered_at = g.answered_at,
              proof = CASE WHEN g.outcome = 'accepted' THEN 'answer' ELSE a.proof END,
              proven_at = CASE WHEN g.outcome = 'accepted' THEN coalesce(a.proven_at, g.answered_at) ELSE a.proven_at END
            FROM unnest(%(ids)s::uuid[], %(flights)s::int[], %(outcomes)s::text[], %(providers)s::text[], %(codes)s::text[],
              %(details)s::text[], %(times)s::timestamptz[]) AS g(id, flight, outcome, provider_id, code, detail, answered_at)
            WHERE a.dispatch_id = g.id AND a.flight = g.flight AND a.dispatch_id BETWEEN %(first)s AND %(last)s
              AND (a.outcome IN ('open', 'unknown') OR (a.proof <> '' AND a.answered_at IS NULL))
            """,
            {**_columns(answers), "first": ids[0] if ids else None, "last": ids[-1] if ids else None},
        )
        accepted = [answer for answer in answers if answer.state is State.ACCEPTED]
        execute(
            """
            INSERT INTO campaigns_providermessage (account_id, tenant_id, provider_id, dispatch_id, flight, created_at)
            SELECT g.account_id, a.id, g.provider_id, g.id, g.flight, %(now)s
            FROM unnest(%(ids)s::uuid[], %(flights)s::int[], %(providers)s::text[], %(accounts)s::bigint[])
              AS g(id, flight, provider_id, account_id)
            JOIN LATERAL (SELECT tenant_id AS id FROM providers_provideraccount WHERE id = g.account_id) a ON true
            WHERE g.provider_id <> '' ON CONFLICT (account_id, provider_id) DO NOTHING
            """,
            {**_columns(accepted), "now": now},
        )
        moved = moves.prove(
            ids,
            given="SELECT DISTINCT ON (id) id, 'accepted' AS state, '' AS detail, at"
            " FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS g(id, at)",
            parameters=_columns(accepted),
            now=now,
        )
        others = [answer for answer in answers if answer.state is not State.ACCEPTED]
        return moved + moves.apply(
            ids,
            given="""
              SELECT g.id, g.detail, d.changed_at AS at,
                CASE WHEN d.state = 'unknown' AND g.state = 'ready' THEN 'given_back_late' ELSE g.reason END AS reason,
                CASE WHEN d.state = 'unknown' AND g.state = 'ready' THEN 'held' ELSE g.state END AS state,
                CASE WHEN d.state = 'unknown' AND g.state = 'ready' THEN %(now)s ELSE g.until END AS until,
                (g.outcome <> 'not_posted')::int - (d.state = 'unknown')::int AS posted
              FROM unnest(%(ids)s::uuid[], %(flights)s::int[], %(outcomes)s::text[], %(states)s::text[],
                %(reasons)s::text[], %(details)s::text[], %(untils)s::timestamptz[])
                AS g(id, flight, outcome, state, reason, detail, until)
              JOIN campaigns_dispatch d ON d.id = g.id AND d.flight = g.flight
              WHERE d.id BETWEEN %(first)s AND %(last)s
                AND NOT EXISTS (SELECT 1 FROM campaigns_attempt p WHERE p.dispatch_id = d.id AND p.proof <> ''
                  AND p.dispatch_id BETWEEN %(first)s AND %(last)s)""",
            parameters=_columns(others),
            origins=[State.SENDING, State.UNKNOWN],
            targets=sorted({*FATE.values(), State.DEAD} - {State.ACCEPTED}),
            now=now,
            assign=", posts = d.posts + g.posted",
        )


def _lock(ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    found = rows("SELECT id FROM campaigns_dispatch WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [list(set(ids))])
    return [dispatch_id for (dispatch_id,) in found]


def _columns(answers: Sequence[Settlement]) -> dict[str, Any]:
    return {
        "ids": [answer.dispatch_id for answer in answers],
        "flights": [answer.flight for answer in answers],
        "outcomes": [answer.outcome for answer in answers],
        "states": [answer.state for answer in answers],
        "reasons": [answer.reason[:60] for answer in answers],
        "details": [answer.detail[:200] for answer in answers],
        "untils": [answer.until for answer in answers],
        "times": [answer.answered_at for answer in answers],
        "providers": [answer.provider_id[:80] for answer in answers],
        "codes": [answer.code[:60] for answer in answers],
        "accounts": [answer.account_id for answer in answers],
    }
