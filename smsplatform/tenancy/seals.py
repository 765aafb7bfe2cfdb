"""Seals what is only ever added to: one hash per tenant and range of ids, each over the one before (R64).

Rows are appended freely; every minute beat seals what has come since. Whoever later changes, deletes or slips in a
row breaks the hash of its range; whoever changes a seal breaks the chain behind it. What nothing inside a database can
show is the loss of a chain's end, so each new end is logged: `verify_audit --head` asks for one that was noted.

A table is sealed by having its ledger in `LEDGERS`. Its ids come from a sequence, and no hashed column ever changes.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from django.db import transaction

from smsplatform.common.database import execute, rows

log = structlog.get_logger("seals")

RANGE: Final = 10_000  # rows in one step: what is in memory at once, here and in the database
_STEPS: Final = 200  # in one call, so that no backlog keeps a worker for long
_SEALS_AT_ONCE: Final = 200
_LOOKS: Final = 20  # at those who were writing when we came, before they are left to the next call
_PAUSE: Final = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Ledger:
    """A sealed table: `columns` are hashed as they are, `instants` as microseconds, so that no time zone matters.

    What may be taken away later is not hashed; `check` is SQL that holds for a row while it is what the hashed columns
    vouch for.
    """

    name: str
    table: str
    columns: Sequence[str]
    instants: Sequence[str] = ()
    check: str = "true"

    @property
    def row(self) -> str:
        """SQL: a row's hash, in hexadecimal digits."""
        values = [*self.columns, *(f"(extract(epoch FROM {name}) * 1000000)::bigint" for name in self.instants)]
        # An array of JSON tells NULL from the empty text, and where one value ends and the next begins.
        return f"encode(sha256(convert_to(jsonb_build_array({', '.join(values)})::text, 'UTF8')), 'hex')"

    @property
    def digest(self) -> str:
        """SQL: the hash of a group of rows."""
        return f"encode(sha256(convert_to(coalesce(string_agg({self.row}, '' ORDER BY id), ''), 'UTF8')), 'hex')"

    @property
    def unsound(self) -> str:
        """SQL: how many of a group of rows the check does not hold for."""
        return f"count(*) FILTER (WHERE ({self.check}) IS NOT TRUE)"


AUDIT: Final = Ledger(
    name="audit",
    table="tenancy_auditevent",
    columns=(
        "id", "tenant_id", "actor", "verb", "target", "object_type", "object_id", "before", "after", "detail", "ip",
        "request_id",
    ),
    instants=("at",),
)  # fmt: skip
LEDGERS: dict[str, Ledger] = {AUDIT.name: AUDIT}


def register(ledger: Ledger) -> None:
    """Have another table sealed, too; called when its app is ready."""
    LEDGERS[ledger.name] = ledger


def seal_all(now: datetime) -> int:
    """Seal what has come in every ledger; return how many rows."""
    return sum(seal(ledger, now) for ledger in LEDGERS.values())


def seal(ledger: Ledger, now: datetime) -> int:
    """Seal the rows that nobody can add to any more; return how many. Two at once: one does it.

    Nobody waits for us; what somebody holds back for longer than a second is sealed by the next call.
    """
    sealed = 0
    for _ in range(_STEPS):
        with transaction.atomic():
            [(is_ours,)] = rows("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [f"seal {ledger.name}"])
            if not is_ours:
                break
            [(done,)] = rows("SELECT coalesce(max(last_id), 0) FROM tenancy_auditseal WHERE ledger = %s", [ledger.name])
            horizon = _horizon(ledger, done)
            if horizon <= done:
                break
            [(last,)] = rows(
                f"""
                SELECT max(id) FROM (
                  SELECT id FROM {ledger.table} WHERE id > %s AND id <= %s ORDER BY id LIMIT {RANGE}) r
                """,
                [done, horizon],
            )
            sealed += _seal_range(ledger, done, last, now)
    return sealed


def _horizon(ledger: Ledger, done: int) -> int:
    """Return the id up to which every row is there or never will be.

    An id is drawn before its row is committed, so a higher one may be seen first. Whoever has drawn an id holds the
    table's lock for writers until the end of the transaction: when nobody does who did at the time of the look at the
    highest id, there is nothing left to come below it.
    """
    [(highest,)] = rows(f"SELECT coalesce(max(id), 0) FROM {ledger.table} WHERE id > %s", [done])
    if highest <= done:
        return done
    # Whoever begins to write after the look above draws a higher id, so only these are waited for.
    writing = _writers(ledger)
    for _ in range(_LOOKS):
        if not writing:
            return int(highest)
        time.sleep(_PAUSE)
        writing &= _writers(ledger)
    return int(highest) if not writing else done


def _writers(ledger: Ledger) -> set[str]:
    """Return the transactions of others that have written to the table and have not ended."""
    found = rows(
        """
        SELECT virtualtransaction FROM pg_locks
        WHERE relation = %s::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND mode = 'RowExclusiveLock' AND granted AND pid <> pg_backend_pid()
        """,
        [ledger.table],
    )
    return {transaction_id for (transaction_id,) in found}


def _seal_range(ledger: Ledger, done: int, last: int, now: datetime) -> int:
    """Add a link to the chain of each tenant that has rows in the range."""
    found = rows(
        f"""
        SELECT f.tenant_id, f.n, f.digest, coalesce(s.last_id, 0), coalesce(s.digest, '') FROM (
          SELECT tenant_id, count(*) AS n, {ledger.digest} AS digest FROM {ledger.table}
          WHERE id > %(done)s AND id <= %(last)s GROUP BY tenant_id) f
        LEFT JOIN LATERAL (
          SELECT last_id, digest FROM tenancy_auditseal x
          WHERE x.ledger = %(ledger)s AND (x.tenant_id = f.tenant_id OR (x.tenant_id IS NULL AND f.tenant_id IS NULL))
          ORDER BY first_id DESC LIMIT 1) s ON true
        """,
        {"done": done, "last": last, "ledger": ledger.name},
    )
    links = [
        (
            tenant_id,
            before + 1,
            number,
            _link(ledger.name, tenant_id, before + 1, last, number, content, previous),
            previous,
        )
        for tenant_id, number, content, before, previous in found
    ]
    execute(
        """
        INSERT INTO tenancy_auditseal (ledger, tenant_id, first_id, last_id, rows, digest, previous, at)
        SELECT %(ledger)s, s.tenant_id, s.first_id, %(last)s, s.n, s.digest, s.previous, %(now)s
        FROM unnest(%(tenants)s::bigint[], %(firsts)s::bigint[], %(numbers)s::bigint[], %(digests)s::text[],
          %(before)s::text[]) AS s(tenant_id, first_id, n, digest, previous)
        """,
        {
            "ledger": ledger.name,
            "last": last,
            "now": now,
            "tenants": [link[0] for link in links],
            "firsts": [link[1] for link in links],
            "numbers": [link[2] for link in links],
            "digests": [link[3] for link in links],
            "before": [link[4] for link in links],
        },
    )
    for tenant_id, _, number, digest, _ in links:
        log.info("audit.sealed", ledger=ledger.name, tenant=tenant_id, last=last, rows=number, head=digest)
    return sum(link[2] for link in links)


def _link(ledger: str, tenant_id: int | None, first: int, last: int, number: int, content: str, previous: str) -> str:
    told = f"{previous}|{ledger}|{tenant_id or ''}|{first}|{last}|{number}|{content}"
    return hashlib.sha256(told.encode()).hexdigest()


# -- verifying -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a chain does not hold."""

    ledger: str
    tenant_id: int | None
    first_id: int
    last_id: int
    flaw: str

    def __str__(self) -> str:
        whose = "the installation" if self.tenant_id is None else f"tenant {self.tenant_id}"
        return f"{self.ledger} of {whose}, ids {self.first_id}-{self.last_id}: {self.flaw}"


@dataclass(slots=True)
class Verified:
    """What was looked at, the ends of the chains by tenant, and where they break."""

    seals: int
    rows: int
    unsealed: int
    heads: dict[int | None, str]
    breaks: list[Break]


def verify(ledger: Ledger) -> Verified:
    """Compute every hash again, in pages: the first flaw of each tenant's chain is named."""
    found = Verified(0, 0, 0, {}, [])
    for tenant_id in _tenants(ledger):
        _verify_chain(ledger, tenant_id, found)
    _find_uncovered(ledger, found)
    return found


def has_head(ledger: Ledger, digest: str) -> bool:
    """Return whether the chains have this link: an end that was noted must still be a part of them."""
    return bool(rows("SELECT 1 FROM tenancy_auditseal WHERE ledger = %s AND digest = %s", [ledger.name, digest]))


def _tenants(ledger: Ledger) -> list[int | None]:
    return [
        tenant_id
        for (tenant_id,) in rows("SELECT DISTINCT tenant_id FROM tenancy_auditseal WHERE ledger = %s", [ledger.name])
    ]


def _own(tenant_id: int | None) -> str:
    """SQL: whose rows; written so that an index serves."""
    return "tenant_id IS NULL" if tenant_id is None else f"tenant_id = {int(tenant_id)}"


def _verify_chain(ledger: Ledger, tenant_id: int | None, found: Verified) -> None:
    previous, following = "", 1
    for first, last, number, digest, told, is_number, content, unsound in _recomputed(ledger, tenant_id):
        found.seals += 1
        found.rows += is_number
        flaw = ""
        if first != following:
            first, flaw = following, f"there is no seal of the ids {following}-{first - 1}"  # noqa: PLW2901 - where it breaks
        elif told != previous:
            flaw = "its seal does not follow on the one before: a seal was changed or replaced"
        elif is_number < number:
            flaw = f"{number - is_number} of {number} rows are missing"
        elif is_number > number:
            flaw = f"{is_number - number} rows were slipped in; {number} were sealed"
        elif _link(ledger.name, tenant_id, first, last, number, content, told) != digest:
            flaw = "a row was changed since it was sealed"
        elif unsound:
            flaw = f"{unsound} rows are not about whom they were written about"
        if flaw:
            found.breaks.append(Break(ledger.name, tenant_id, first, last, flaw))
            return
        previous, following = digest, last + 1
    found.heads[tenant_id] = previous


def _recomputed(ledger: Ledger, tenant_id: int | None) -> Iterator[tuple[int, int, int, str, str, int, str, int]]:
    """Yield a tenant's seals in order, each with the rows that are there now: number, hash, how many are unsound."""
    after = 0
    while True:
        page = rows(
            f"""
            SELECT s.first_id, s.last_id, s.rows, s.digest, s.previous, n.rows, n.digest, n.unsound FROM (
              SELECT first_id, last_id, rows, digest, previous FROM tenancy_auditseal
              WHERE ledger = %s AND {_own(tenant_id)} AND first_id > %s ORDER BY first_id LIMIT {_SEALS_AT_ONCE}) s
            CROSS JOIN LATERAL (
              SELECT count(*) AS rows, {ledger.digest} AS digest, {ledger.unsound} AS unsound FROM {ledger.table}
              WHERE {_own(tenant_id)} AND id BETWEEN s.first_id AND s.last_id) n
            ORDER BY s.first_id
            """,
            [ledger.name, after],
        )
        yield from page
        if len(page) < _SEALS_AT_ONCE:
            return
        after = page[-1][0]


def _find_uncovered(ledger: Ledger, found: Verified) -> None:
    """Rows that belong to no seal were slipped in below what is sealed, or below all ids that a sequence draws.

    Those above wait for the next seal. The rows themselves say whose they are: one slipped in may name a tenant that is none.
    """
    [(horizon,)] = rows("SELECT coalesce(max(last_id), 0) FROM tenancy_auditseal WHERE ledger = %s", [ledger.name])
    uncovered = rows(
        f"""
        SELECT e.tenant_id, least(min(e.id), min(coalesce(s.last_id, 0)) + 1), count(*)
        FROM {ledger.table} e
        LEFT JOIN (
          SELECT tenant_id, max(last_id) AS last_id FROM tenancy_auditseal WHERE ledger = %(ledger)s GROUP BY tenant_id) s
        ON coalesce(s.tenant_id, 0) = coalesce(e.tenant_id, 0) AND (s.tenant_id IS NULL) = (e.tenant_id IS NULL)
        WHERE (e.id > coalesce(s.last_id, 0) AND e.id <= %(horizon)s) OR e.id < 1
        GROUP BY e.tenant_id
        """,
        {"ledger": ledger.name, "horizon": horizon},
    )
    for tenant_id, first, number in uncovered:
        found.breaks.append(Break(ledger.name, tenant_id, first, horizon, f"{number} rows were slipped in"))
    [(found.unsealed,)] = rows(f"SELECT count(*) FROM {ledger.table} WHERE id > %s", [horizon])


def unsealed_since(ledger: Ledger) -> datetime | None:
    """Return the instant of the oldest row that no seal covers yet, for ledgers with one."""
    if not ledger.instants:
        return None
    found = rows(
        f"""
        SELECT min({ledger.instants[0]}) FROM {ledger.table}
        WHERE id > (SELECT coalesce(max(last_id), 0) FROM tenancy_auditseal WHERE ledger = %s)
        """,
        [ledger.name],
    )
    instant: datetime | None = found[0][0]
    return instant
