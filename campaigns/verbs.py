"""The verbs the pipeline is written in, as queryset methods: this is where the SQL and the lock order are.

Order of locks, everywhere: batch, dispatch (by id), send lock (by number), permit, cap window.
"""

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from django.db import models

from campaigns import moves
from campaigns.moves import Moved
from campaigns.states import EARLY, FATE, State
from compliance import cap_windows, caps, claim_caps, hygiene, policy, reasons, suppression
from compliance.cap_windows import Quota
from compliance.policy import Objection
from providers.adapters.base import Outcome
from smsplatform.common.database import execute, keys_of, rows
from smsplatform.tenancy.models import Brand, Tenant

if TYPE_CHECKING:
    from campaigns.models import Attempt, Dispatch  # noqa: F401 - the querysets are theirs

LOCK_LIFE: Final = timedelta(seconds=60)
BUSY_WAIT: Final = timedelta(seconds=5)
# The place key of a row: what is known of the person now, not at launch. Of what a row was judged by, `zones` is a note.
ZONES: Final = "coalesce(r.zones, d.zones)"
# How many delivery reports a flight will have at vendors that report on each part; as we count, until the answer says it.
PARTS: Final = "CASE WHEN a.proof = 'answer' THEN a.parts ELSE greatest(a.parts, d.segments) END"
_STOPPED: Final = (State.BLOCKED, State.HELD, State.EXPIRED, State.CANCELLED)

Flight = tuple[uuid.UUID, int]
"""A dispatch and the number of its try."""


class Rendered(NamedTuple):
    """What rendering one row gave: a text, or the rule that forbids it."""

    dispatch_id: uuid.UUID
    state: State
    reason: str = ""
    detail: str = ""
    text: str = ""
    links: str | None = None  # JSON list of destinations
    segments: int = 0
    good_until: datetime | None = None
    zones: str = ""  # the place key that it was judged by


class Settlement(NamedTuple):
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
    parts: int = 1
    opted_out: bool = False
    number_flaw: str = ""  # why no text reaches the number, where the code says so


@dataclass(frozen=True, slots=True)
class Intent:
    """Through which account a slice is about to be posted, by which claim, and until when an answer can come."""

    account_id: int
    claim: uuid.UUID
    horizon: datetime


class Way(NamedTuple):
    """From which sender of the account a row is about to be posted, and why from this one."""

    sender: str
    reason: str


class Claimed(NamedTuple):
    """The flights of a claim by dispatch, and the rows that account or carrier have no room for."""

    flights: dict[uuid.UUID, int]
    refused: list[caps.Refusal]


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
        return _judge(self.in_state(*origins).lock(), origins, objection, now)[1]

    def clear(self, rendered: Sequence[Rendered], now: datetime) -> Moved:
        """queued -> cleared with its text, or blocked because there is none."""
        ids = self.in_state(State.QUEUED).lock()
        return moves.apply(
            ids,
            given="""
              SELECT g.*, NULL::timestamptz AS until FROM unnest(
                %(ids)s::uuid[], %(states)s::text[], %(reasons)s::text[], %(details)s::text[], %(texts)s::text[],
                %(links)s::jsonb[], %(segments)s::int[], %(good)s::timestamptz[], %(zones)s::text[])
              AS g(id, state, reason, detail, text, links, segments, good_until, zones)""",
            parameters={
                "ids": [row.dispatch_id for row in rendered],
                "states": [row.state for row in rendered],
                "reasons": [row.reason for row in rendered],
                "details": [row.detail[:200] for row in rendered],
                "texts": [row.text for row in rendered],
                "links": [row.links for row in rendered],
                "segments": [row.segments for row in rendered],
                "good": [row.good_until for row in rendered],
                "zones": [row.zones for row in rendered],
            },
            origins=[State.QUEUED],
            targets=[State.CLEARED, State.BLOCKED],
            now=now,
            assign=", text = g.text, links = g.links, segments = g.segments, good_until = g.good_until, zones = g.zones",
        )

    def take_locks(self, now: datetime, *, person_capped: bool) -> Moved:
        """cleared -> locked, one row per person; the others -> held (person busy)."""
        if not person_capped:
            return self.move([State.CLEARED], State.LOCKED, now=now)
        ids = self.in_state(State.CLEARED).lock()
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

    def reserve(
        self,
        brand: Brand,
        category: policy.Category,
        now: datetime,
        *,
        campaign_id: int | None = None,
        per_hour: int | None = None,
    ) -> Moved:
        """locked -> allowed with a permit, or held by a cap; a row whose lock is gone -> queued. Locks end here."""
        ids = self.in_state(State.LOCKED).lock()
        if not ids:
            return Moved()
        # Locked too: an overtaker of an expired lock waits for our commit, and then counts our permits.
        asking = rows(
            f"""
            SELECT d.id, d.number, d.segments, coalesce({ZONES}, '') FROM campaigns_dispatch d JOIN campaigns_sendlock l
              ON l.brand_id = d.brand_id AND l.number = d.number AND l.dispatch_id = d.id AND l.until > %s
              LEFT JOIN campaigns_recipient r ON r.id = d.recipient_id
            WHERE d.id = ANY(%s) ORDER BY l.number FOR UPDATE OF l
            """
            if category.has_person_cap
            else "SELECT d.id, d.number, d.segments FROM campaigns_dispatch d"
            " WHERE %s IS NOT NULL AND d.id = ANY(%s) ORDER BY d.id",
            [now, ids],
        )
        decisions = caps.reserve(
            brand=brand,
            category=category,
            asking=[caps.Asking(*row) for row in asking],
            now=now,
            campaign_id=campaign_id,
            per_hour=per_hour,
        )
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
        self,
        ways: Mapping[uuid.UUID, Way],
        *,
        objection: Objection,
        intent: Intent,
        now: datetime,
        texts: Mapping[uuid.UUID, tuple[str, int]] = MappingProxyType({}),
        quotas: Sequence[Quota] = (),
    ) -> Claimed:
        """ready -> sending: ask every question again, write the intent of each row's next flight.

        Return the flights, and the rows for which the account or carrier has no room: these stay ready.
        `texts` has the text and its segments of those that are posted with another one than is stored.
        Only inside a durable transaction that commits before the first byte leaves; only the rows returned are ours.
        A row that has a live attempt in the ledger although it is ready must not be: it becomes unknown, and the audit
        raises the alarm.
        """
        if not ways:
            return Claimed({}, [])
        ids = sorted(ways, key=attrgetter("int"))
        locked = rows(
            """
            SELECT id, good_until > %(now)s AND expires_at > %(now)s FROM campaigns_dispatch
            WHERE id = ANY(%(ids)s) AND id BETWEEN %(first)s AND %(last)s AND state = 'ready' ORDER BY id FOR UPDATE
            """,
            {"now": now, "ids": ids, "first": ids[0], "last": ids[-1]},
        )
        stopped, _ = _judge([row_id for row_id, _ in locked], [State.READY], objection, now, quotas)
        wanted = [row_id for row_id, is_good in locked if is_good and row_id not in stopped]
        refused = _take_from(quotas, wanted, texts)
        if refused:
            without_room = {refusal.dispatch_id for refusal in refused}
            wanted = [row_id for row_id in wanted if row_id not in without_room]
        if not wanted:
            return Claimed({}, refused)
        given: dict[str, Any] = {
            "account": intent.account_id,
            "claim": intent.claim,
            "now": now,
            "horizon": intent.horizon,
            "rules": objection.dated,
            "ids": wanted,
            "senders": [ways[row_id].sender for row_id in wanted],
            "reasons": [ways[row_id].reason for row_id in wanted],
            "first": wanted[0],
            "last": wanted[-1],
        }
        ours = dict(
            rows(
                """
                INSERT INTO campaigns_attempt
                  (dispatch_id, flight, tenant_id, account_id, sender, claim, claimed_at, horizon_at, outcome, reason, rules)
                SELECT d.id, d.flight + 1, d.tenant_id, %(account)s, g.sender, %(claim)s, %(now)s, %(horizon)s, 'open', g.reason,
                  %(rules)s
                FROM unnest(%(ids)s::uuid[], %(senders)s::text[], %(reasons)s::text[]) AS g(id, sender, reason)
                JOIN campaigns_dispatch d ON d.id = g.id
                WHERE d.id BETWEEN %(first)s AND %(last)s ORDER BY d.id
                ON CONFLICT DO NOTHING RETURNING dispatch_id, flight
                """,
                given,
            )
        )
        moves.apply(
            list(ours),
            given="SELECT id, 'sending' AS state, '' AS reason, '' AS detail, NULL::timestamptz AS until"
            " FROM unnest(%(ids)s::uuid[]) AS i(id)",
            parameters=given | {"ids": list(ours)},
            origins=[State.READY],
            targets=[State.SENDING],
            now=now,
            assign=", flight = d.flight + 1, account_id = %(account)s",
        )
        if texts:
            execute(
                """
                UPDATE campaigns_dispatch d SET text = g.text, segments = g.segments
                FROM unnest(%(ids)s::uuid[], %(texts)s::text[], %(segments)s::int[]) AS g(id, text, segments)
                WHERE d.id = g.id AND d.id = ANY(%(ours)s) AND d.id BETWEEN %(first)s AND %(last)s
                """,
                {
                    "ids": list(texts),
                    "texts": [text for text, _ in texts.values()],
                    "segments": [segments for _, segments in texts.values()],
                    "ours": list(ours),
                    "first": wanted[0],
                    "last": wanted[-1],
                },
            )
        if len(ours) < len(wanted):
            taken = self.filter(id__in=[row_id for row_id in wanted if row_id not in ours])
            taken.move([State.READY], State.UNKNOWN, now=now, reason="live_attempt_in_ledger")
        return Claimed(ours, refused)

    def give_up(self, now: datetime) -> Moved:
        """sending -> unknown where no answer can come any more: nobody knows whether these were taken."""
        ids = self.in_state(State.SENDING).lock()
        if not ids:
            return Moved()
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
        if not answers:
            return Moved()
        answers = sorted(answers, key=lambda answer: (answer.dispatch_id.int, answer.flight))
        before = _lock([answer.dispatch_id for answer in answers])
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
            _columns(answers, "ids", "flights", "outcomes", "providers", "codes", "details", "times")
            | {"first": answers[0].dispatch_id, "last": answers[-1].dispatch_id},
        )
        taken, surprises, others = [], [], []
        for answer in answers:
            if answer.state is not State.ACCEPTED:
                others.append(answer)
            elif before.get(answer.dispatch_id) == (State.SENDING, answer.flight):
                taken.append(answer)
            else:
                surprises.append(answer)
        believe_opt_outs([answer.dispatch_id for answer in others if answer.opted_out], now)
        believe_flaws([(a.dispatch_id, a.account_id, a.number_flaw, a.code) for a in others if a.number_flaw], now)
        self._remember_names(taken + surprises, now)
        self._remember_parts([answer for answer in taken + surprises if answer.parts > 1])
        return self._accept(taken, now) + self._prove(surprises, now) + self._give_fates(others, now)

    def delivered_in_full(self, flights: Collection[Flight]) -> set[Flight]:
        """Return those of which as many parts are reported delivered as there are (R43).

        How many these are, only the provider's acceptance says; until it is here, as many as we count ourselves. Ask with
        the dispatches locked.
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
                  AND {PARTS} <= (
                  SELECT count(DISTINCT r.part) FROM campaigns_receipt r
                  WHERE r.dispatch_id = k.id AND r.flight = k.flight AND r.status = 'delivered')
                """,
                {"ids": [dispatch_id for dispatch_id, _ in flights], "flights": [flight for _, flight in flights]},
            )
        )

    def _remember_names(self, accepted: Sequence[Settlement], now: datetime) -> None:
        """Store what providers call our messages: receipts without our reference are found by it."""
        named = [answer for answer in accepted if answer.provider_id]
        if not named:
            return
        execute(
            """
            INSERT INTO campaigns_providermessage (account_id, tenant_id, provider_id, dispatch_id, flight, created_at)
            SELECT g.account_id, a.tenant_id, g.provider_id, g.id, g.flight, %(now)s
            FROM unnest(%(ids)s::uuid[], %(flights)s::int[], %(providers)s::text[], %(accounts)s::bigint[])
              AS g(id, flight, provider_id, account_id)
            JOIN providers_provideraccount a ON a.id = g.account_id
            ON CONFLICT (account_id, provider_id) DO NOTHING
            """,
            _columns(named, "ids", "flights", "providers", "accounts") | {"now": now},
        )

    def _remember_parts(self, accepted: Sequence[Settlement]) -> None:
        """Store how many delivery reports these will have, where it is more than one."""
        if accepted:
            execute(
                """
                UPDATE campaigns_attempt a SET parts = g.parts
                FROM unnest(%(ids)s::uuid[], %(flights)s::int[], %(parts)s::int[]) AS g(id, flight, parts)
                WHERE a.dispatch_id = g.id AND a.flight = g.flight AND a.dispatch_id = ANY(%(ids)s)
                """,
                _columns(accepted, "ids", "flights", "parts"),
            )

    def _accept(self, answers: Sequence[Settlement], now: datetime) -> Moved:
        """sending -> accepted: the poster's own answer for the present flight, as nearly always."""
        return moves.apply(
            [answer.dispatch_id for answer in answers],
            given="SELECT id, 'accepted' AS state, '' AS reason, '' AS detail, NULL::timestamptz AS until, at"
            " FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[]) AS g(id, at)",
            parameters=_columns(answers, "ids", "times"),
            origins=[State.SENDING],
            targets=[State.ACCEPTED],
            now=now,
            assign=", accepted_at = coalesce(d.accepted_at, g.at)",
        )

    def _prove(self, answers: Sequence[Settlement], now: datetime) -> Moved:
        """Whatever became of the dispatch meanwhile: this flight was taken (the evidence rule).

        Of some, all parts were reported before the answer said how many they are.
        """
        full = self.delivered_in_full([(answer.dispatch_id, answer.flight) for answer in answers])
        states = [
            State.DELIVERED if (answer.dispatch_id, answer.flight) in full else State.ACCEPTED for answer in answers
        ]
        return moves.prove(
            sorted({answer.dispatch_id for answer in answers}),
            given="SELECT DISTINCT ON (id) id, state, '' AS detail, at"
            " FROM unnest(%(ids)s::uuid[], %(times)s::timestamptz[], %(proven)s::text[]) AS g(id, at, state)"
            " ORDER BY id, state = 'delivered' DESC",
            parameters={**_columns(answers, "ids", "times"), "proven": [state.value for state in states]},
            now=now,
        )

    def prove_by_look_up(self, dispatch_id: uuid.UUID, flight: int, *, provider_id: str, now: datetime) -> Moved:
        """The provider, when asked, had this flight: the evidence rule. A message that is another's by now proves nothing."""
        _lock([dispatch_id])
        if self._is_anothers(dispatch_id, flight, provider_id, now):
            return Moved()
        known = execute(
            """
            UPDATE campaigns_attempt SET proof = 'look-up', proven_at = %(now)s, provider_id = %(provider)s,
              outcome = CASE WHEN outcome IN ('open', 'unknown') THEN 'accepted' ELSE outcome END
            WHERE dispatch_id = %(id)s AND flight = %(flight)s AND proof = ''
            """,
            {"id": dispatch_id, "flight": flight, "provider": provider_id[:80], "now": now},
        )
        if not known:  # a receipt, or the poster's own answer, was faster
            return Moved()
        return moves.prove(
            [dispatch_id],
            given="SELECT dispatch_id AS id, 'accepted' AS state, 'found at the provider' AS detail, claimed_at AS at"
            " FROM campaigns_attempt WHERE dispatch_id = %(of)s AND flight = %(flight)s",
            parameters={"of": dispatch_id, "flight": flight},
            now=now,
        )

    def _is_anothers(self, dispatch_id: uuid.UUID, flight: int, provider_id: str, now: datetime) -> bool:
        """Claim a provider's id for a flight; return whether another flight has it."""
        given = {"id": dispatch_id, "flight": flight, "provider": provider_id[:80], "now": now}
        execute(
            """
            INSERT INTO campaigns_providermessage (account_id, tenant_id, provider_id, dispatch_id, flight, created_at)
            SELECT account_id, tenant_id, %(provider)s, dispatch_id, flight, %(now)s FROM campaigns_attempt
            WHERE dispatch_id = %(id)s AND flight = %(flight)s AND proof = ''
            ON CONFLICT (account_id, provider_id) DO NOTHING
            """,
            given,
        )
        return bool(
            rows(
                """
                SELECT 1 FROM campaigns_providermessage m JOIN campaigns_attempt a ON a.account_id = m.account_id
                WHERE a.dispatch_id = %(id)s AND a.flight = %(flight)s AND m.provider_id = %(provider)s
                  AND (m.dispatch_id, m.flight) <> (a.dispatch_id, a.flight)
                """,
                given,
            )
        )

    def _give_fates(self, answers: Sequence[Settlement], now: datetime) -> Moved:
        """sending, unknown -> what a refusal, a doubt or a message given back means."""
        return moves.apply(
            [answer.dispatch_id for answer in answers],
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
            parameters=_columns(answers, "ids", "flights", "outcomes", "states", "reasons", "details", "untils"),
            origins=[State.SENDING, State.UNKNOWN],
            targets=sorted({*FATE.values(), State.DEAD} - {State.ACCEPTED}),
            now=now,
            assign=", posts = d.posts + g.posted",
        )


def believe_opt_outs(ids: Sequence[uuid.UUID], now: datetime) -> None:
    """The provider says that these dispatches' people have opted out: whoever else we could send through must not."""
    if not ids:
        return
    found = rows(
        "SELECT tenant_id, brand_id, number, id::text, id FROM campaigns_dispatch WHERE id = ANY(%s)",
        [sorted(set(ids))],
    )
    people = [suppression.Person(*row) for row in found]
    suppression.suppress_all(people, reason=reasons.PROVIDER_BLOCKED, source="provider", now=now)


def believe_flaws(said: Sequence[tuple[uuid.UUID, int, str, str]], now: datetime) -> None:
    """The provider says that no text reaches these dispatches' numbers: (dispatch, account, why, the provider's code)."""
    if not said:
        return
    found = rows(
        """
        SELECT d.tenant_id, d.number, g.reason, a.provider, g.code, d.id::text
        FROM unnest(%(ids)s::uuid[], %(accounts)s::bigint[], %(reasons)s::text[], %(codes)s::text[])
          AS g(id, account_id, reason, code)
        JOIN campaigns_dispatch d ON d.id = g.id AND d.id = ANY(%(ids)s)
        JOIN providers_provideraccount a ON a.id = g.account_id
        """,
        dict(zip(("ids", "accounts", "reasons", "codes"), map(list, zip(*said, strict=True)), strict=True)),
    )
    hygiene.mark([hygiene.Fact(*row) for row in found], now=now)


def _judge(
    ids: Sequence[uuid.UUID],
    origins: Sequence[State],
    objection: Objection,
    now: datetime,
    quotas: Sequence[Quota] = (),
) -> tuple[set[uuid.UUID], Moved]:
    """Move those of the locked rows that break a rule; most break none, and then nothing is written.

    `quotas` are what the caller takes from next.
    """
    if not ids:
        return set(), Moved()
    found = rows(
        f"""
        SELECT * FROM (
          SELECT d.id, {objection.place} AS place, {objection.until} AS until, {objection.detail} AS detail
          FROM campaigns_dispatch d LEFT JOIN campaigns_recipient r ON r.id = d.recipient_id {objection.joins}
          WHERE d.id = ANY(%(ids)s) AND d.id BETWEEN %(first)s AND %(last)s) j
        WHERE place IS NOT NULL ORDER BY id
        """,
        {**objection.parameters, "ids": list(ids), "first": ids[0], "last": ids[-1]},
    )
    if not found:
        return set(), Moved()
    stopped = [row_id for row_id, _, _, _ in found]
    if quotas:  # what the stopped give back may be locked after what is taken next: R17
        cap_windows.lock(quotas, stopped)
    rules = [objection.rules[place] for _, place, _, _ in found]
    moved = moves.apply(
        stopped,
        given="SELECT id, state, reason, detail, until"
        " FROM unnest(%(ids)s::uuid[], %(fates)s::text[], %(rules)s::text[], %(details)s::text[], %(untils)s::timestamptz[])"
        " AS g(id, state, reason, detail, until)",
        parameters={
            "ids": stopped,
            "fates": [rule.fate.value for rule in rules],
            "rules": [str(rule) for rule in rules],
            "details": [detail for _, _, _, detail in found],
            "untils": [until for _, _, until, _ in found],
        },
        origins=origins,
        targets=_STOPPED,
        now=now,
    )
    return set(stopped), moved


def _take_from(
    quotas: Sequence[Quota], ids: Sequence[uuid.UUID], texts: Mapping[uuid.UUID, tuple[str, int]]
) -> list[caps.Refusal]:
    """Take from the limits of account and carrier, by position; return the rows without room."""
    if not quotas or not ids:
        return []
    found = rows(
        """
        SELECT d.id, d.number, d.segments, coalesce((
            SELECT max(coalesce(u.n, 1)) FROM compliance_permit p, unnest(p.windows, p.charges) AS u(id, n)
            JOIN compliance_capwindow w ON w.id = u.id AND w.unit = 'segments' AND w.carrier = ''
            WHERE p.dispatch_id = d.id), d.segments),
          r.fields ->> 'carrier'
        FROM campaigns_dispatch d LEFT JOIN campaigns_recipient r ON r.id = d.recipient_id
        WHERE d.id = ANY(%(ids)s) AND d.id BETWEEN %(first)s AND %(last)s ORDER BY d.id
        """,
        {"ids": list(ids), "first": ids[0], "last": ids[-1]},
    )
    claiming = []
    for row_id, number, segments, reserved, carrier in found:
        present = texts[row_id][1] if row_id in texts else segments
        # By how much it has grown since its permit: an earlier try may have left the longer text, and given its share back.
        claiming.append(claim_caps.Claiming(row_id, number, present, max(present - reserved, 0), carrier))
    return claim_caps.take(quotas, claiming)


def _lock(ids: list[uuid.UUID]) -> dict[uuid.UUID, tuple[str, int]]:
    """Lock the rows, given in order, and return each one's state and latest flight."""
    found = rows(
        "SELECT id, state, flight FROM campaigns_dispatch WHERE id = ANY(%s) AND id BETWEEN %s AND %s ORDER BY id FOR UPDATE",
        [ids, ids[0], ids[-1]],
    )
    return {row_id: (state, flight) for row_id, state, flight in found}


_READ: Final[Mapping[str, Callable[[Settlement], object]]] = {
    "ids": lambda answer: answer.dispatch_id,
    "flights": lambda answer: answer.flight,
    "outcomes": lambda answer: answer.outcome.value,
    "states": lambda answer: answer.state.value,
    "reasons": lambda answer: answer.reason[:60],
    "details": lambda answer: answer.detail[:200],
    "untils": lambda answer: answer.until,
    "times": lambda answer: answer.answered_at,
    "providers": lambda answer: answer.provider_id[:80],
    "codes": lambda answer: answer.code[:60],
    "accounts": lambda answer: answer.account_id,
    "parts": lambda answer: min(answer.parts, 255),
}


def _columns(answers: Sequence[Settlement], *names: str) -> dict[str, Any]:
    """Return columns of the answers for `unnest`."""
    return {name: [_READ[name](answer) for answer in answers] for name in names}
