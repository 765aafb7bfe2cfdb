"""Takes away what is about people when its time is over: each tenant's months, in `tenancy.Retention` (facts §3.4).

What is counted stays: who was texted when, through whom, by which rule, at what cost. Nothing old is looked at twice:
runs and imports remember that they are done, and tables that only grow are read once from a mark, in bounded steps that
may be killed anywhere. Opt-outs are kept for ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from django.core.files.storage import default_storage
from django.db import transaction

from campaigns.models import Import, RefusedRow, Run
from smsplatform.common import database
from smsplatform.common.database import execute, keys_of, rows
from smsplatform.tenancy.models import Retention, RetentionMark

log = structlog.get_logger("retention")

STEP: Final = 5_000  # rows of one transaction
_RUNS: Final = 500
_DEFAULTS: Final = Retention()


@dataclass(frozen=True, slots=True)
class Table:
    """A table that only grows, its ids in the order of time: `change` is done to rows of these tenants in a range."""

    kind: str
    table: str
    time: str
    months: str  # the name in `tenancy.Retention`
    change: str
    has_more: str  # which rows still have something to take away


TABLES: Final = (
    Table(
        kind="answers",
        table="campaigns_reply",
        time="received_at",
        months="texts_months",
        change="UPDATE campaigns_reply SET text = '', media = '[]', pieces = '{{}}', whole = '' WHERE {which}",
        has_more="(text <> '' OR media <> '[]' OR pieces <> '{}' OR whole <> '')",
    ),
    Table(
        kind="events",
        table="campaigns_rawevent",
        time="received_at",
        months="events_months",
        change="DELETE FROM campaigns_rawevent WHERE {which}",
        has_more="applied_at IS NOT NULL",
    ),
    Table(
        kind="clicks",
        table="tracking_click",
        time="at",
        months="clicks_months",
        change="UPDATE tracking_click SET ip = NULL, user_agent = '', signals = '{{}}' WHERE {which}",
        has_more="(ip IS NOT NULL OR user_agent <> '' OR signals <> '{}')",
    ),
)


@dataclass(frozen=True, slots=True)
class Due:
    """What is over, by kind: how many rows, or where that is as good, how many runs and imports."""

    kind: str
    what: str
    number: int


# -- doing -----------------------------------------------------------------------------------------------------------


def apply(*, now: datetime, until: datetime | None = None) -> dict[str, int]:
    """Take away what is over; return how many rows of each kind. With `until` it may stop before the end."""
    done: dict[str, int] = {}
    works: list[tuple[str, Callable[[], int]]] = [
        ("texts", lambda: _redact_next_run(now)),
        ("imports", lambda: _forget_next_import(now)),
        *((table.kind, _stepper(table, months, now)) for table in TABLES for months in _months_of(table.months)),
    ]
    for kind, step in works:
        while until is None or database.now() < until:
            number = step()
            if number < 0:
                break
            done[kind] = done.get(kind, 0) + number
    taken = {kind: number for kind, number in done.items() if number}
    if taken:
        log.info("retention.applied", **taken)
    return taken


def _stepper(table: Table, months: int, now: datetime) -> Callable[[], int]:
    return lambda: _step(table, months, now)


def _months_of(field: str) -> list[int]:
    """Return the different lengths that tenants have chosen, the default among them."""
    chosen = set(Retention.objects.values_list(field, flat=True))
    return sorted({*chosen, getattr(_DEFAULTS, field)})


def _tenants_with(field: str, months: int) -> tuple[str, dict[str, Any]]:
    """SQL: the tenants that keep it for so long."""
    own = (
        "SELECT t.id FROM tenancy_tenant t LEFT JOIN tenancy_retention k ON k.tenant_id = t.id"
        f" WHERE coalesce(k.{field}, %(default)s) = %(months)s"
    )
    return own, {"default": getattr(_DEFAULTS, field), "months": months}


# Months as the calendar has them; `months` of one length, or `k`'s own where tenants differ.
_OVER: Final = "%(now)s::timestamptz - make_interval(months => %(months)s)"


def _step(table: Table, months: int, now: datetime) -> int:
    """Do the next rows behind the mark; return how many were changed, or -1 where none is over."""
    own, given = _tenants_with(table.months, months)
    with transaction.atomic():
        RetentionMark.objects.get_or_create(kind=table.kind, months=months)
        mark = RetentionMark.objects.select_for_update().get(kind=table.kind, months=months)
        # The order of ids is nearly that of time: the first row that is not over is the end, whatever comes behind it.
        [(last,)] = rows(
            f"""
            SELECT coalesce(min(id) FILTER (WHERE time >= {_OVER}) - 1, max(id)) FROM (
              SELECT id, {table.time} AS time FROM {table.table} WHERE id > %(upto)s ORDER BY id LIMIT {STEP}) r
            """,
            {"upto": mark.upto, "now": now, "months": months},
        )
        if last is None or last <= mark.upto:
            return -1
        which = f"id > %(upto)s AND id <= %(last)s AND {table.has_more} AND tenant_id IN ({own})"
        changed = execute(table.change.format(which=which), {**given, "upto": mark.upto, "last": last})
        mark.upto = last
        mark.save(update_fields=["upto"])
    return changed


# -- messages --------------------------------------------------------------------------------------------------------


def _runs_over(now: datetime, limit: int) -> Sequence[int]:
    """Return the settled runs whose texts are over, the oldest first."""
    found = rows(
        f"""
        SELECT r.id FROM campaigns_run r LEFT JOIN tenancy_retention k ON k.tenant_id = r.tenant_id
        WHERE r.redacted_at IS NULL AND r.settled_at IS NOT NULL
          AND r.launched_at < {_OVER}
          AND r.launched_at < %(now)s::timestamptz - make_interval(months => coalesce(k.texts_months, %(default)s))
        ORDER BY r.launched_at LIMIT %(limit)s
        """,
        {
            "now": now,
            "months": min(_months_of("texts_months")),
            "default": _DEFAULTS.texts_months,
            "limit": limit,
        },
    )
    return [run_id for (run_id,) in found]


def _redact_next_run(now: datetime) -> int:
    """Take the texts of the next run away, batch by batch; return how many messages had one, or -1 where none is over."""
    due = _runs_over(now, 1)
    if not due:
        return -1
    run, redacted, after = due[0], 0, keys_of(due[0])["lowest"]
    while True:
        with transaction.atomic():
            page = rows(
                f"""
                SELECT max(id::text)::uuid, count(*) FROM (
                  SELECT id FROM campaigns_dispatch WHERE id >= %(after)s AND id < %(above)s ORDER BY id LIMIT {STEP}) d
                """,
                {"after": after, "above": keys_of(run)["above"]},
            )
            [(last, number)] = page
            if last is None:
                break
            redacted += _redact({"first": after, "last": last, "now": now})
        if number < STEP:
            break
        after = last
    Run.objects.filter(pk=run).update(redacted_at=now)
    return redacted


def _redact(given: dict[str, Any]) -> int:
    """Take away texts, what vendors said about them, and where their links led."""
    redacted = execute(
        """
        UPDATE campaigns_dispatch SET text = '', links = NULL, detail = ''
        WHERE id BETWEEN %(first)s AND %(last)s AND (text <> '' OR detail <> '')
        """,
        given,
    )
    execute(
        "UPDATE campaigns_attempt SET detail = '' WHERE dispatch_id BETWEEN %(first)s AND %(last)s AND detail <> ''",
        given,
    )
    execute(
        """
        UPDATE tracking_link SET destination = '', killed_at = coalesce(killed_at, %(now)s)
        WHERE dispatch_id BETWEEN %(first)s AND %(last)s AND destination <> ''
        """,
        given,
    )
    return redacted


# -- imports ---------------------------------------------------------------------------------------------------------


def _imports_over(now: datetime, limit: int) -> list[int]:
    found = rows(
        """
        SELECT i.id FROM campaigns_import i LEFT JOIN tenancy_retention k ON k.tenant_id = i.tenant_id
        WHERE i.forgotten_at IS NULL AND i.status IN ('done', 'failed')
          AND i.finished_at < %(now)s::timestamptz - make_interval(months => coalesce(k.imports_months, %(default)s))
        ORDER BY i.id LIMIT %(limit)s
        """,
        {"now": now, "default": _DEFAULTS.imports_months, "limit": limit},
    )
    return [import_id for (import_id,) in found]


def _forget_next_import(now: datetime) -> int:
    """Delete the next import's refused rows and its file, if that is ours; return how many rows, or -1 where none is over.

    Files on a path of the server are an operator's. A file that a younger import names, too, goes with that one.
    """
    due = _imports_over(now, 1)
    if not due:
        return -1
    source = Import.objects.get(pk=due[0])
    deleted = execute(
        "DELETE FROM campaigns_refusedrow WHERE ctid = ANY (ARRAY("
        f"SELECT ctid FROM campaigns_refusedrow WHERE source_id = %s LIMIT {STEP}))",
        [source.pk],
    )
    if RefusedRow.objects.filter(source=source).exists():
        return deleted
    if source.source == Import.Source.STORAGE:
        others = Import.objects.filter(file=source.file, source=source.source, forgotten_at=None)
        if not others.exclude(pk=source.pk).exists():
            default_storage.delete(source.file)
    Import.objects.filter(pk=source.pk).update(forgotten_at=now)
    return deleted


# -- telling ---------------------------------------------------------------------------------------------------------


def due(now: datetime) -> list[Due]:
    """Return what `apply` would take away; changes nothing. Counts rows, so it may take its time."""
    found = [
        Due("texts", "runs whose texts are over", len(_runs_over(now, 1_000_000))),
        Due("imports", "imports whose file and refused rows are over", len(_imports_over(now, 1_000_000))),
    ]
    for table in TABLES:
        number = 0
        for months in _months_of(table.months):
            own, given = _tenants_with(table.months, months)
            mark = RetentionMark.objects.filter(kind=table.kind, months=months).first()
            [(more,)] = rows(
                f"""
                SELECT count(*) FROM {table.table}
                WHERE id > %(upto)s AND {table.time} < {_OVER} AND {table.has_more} AND tenant_id IN ({own})
                """,
                {**given, "upto": mark.upto if mark else 0, "now": now},
            )
            number += more
        found.append(Due(table.kind, f"rows of {table.table}", number))
    return found
