"""A chunk of an import on its way into the tables: staged with COPY, then merged set by set.

Everything here runs inside the chunk's own transaction, with the cursor of the import, so a killed chunk never was.
Every statement that locks rows takes them sorted, and the statements always come in the same order, so that two
imports of the same people wait for each other and never deadlock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.backends.utils import CursorWrapper

from campaigns.import_rows import Refused, Taken
from compliance.place import ZoneSource

MAX_DETAIL: Final = 200


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of a chunk's rows."""

    new: int = 0
    changed: int = 0
    same: int = 0
    duplicate: int = 0
    refused: int = 0
    flagged: int = 0
    suppressed: int = 0


# How much a zone's source is worth; a lower number wins over a higher one.
_WORTH: Final = "array_position(ARRAY[{}], {{}})".format(", ".join(f"'{source.value}'" for source in ZoneSource))


def _is_better(new: str, old: str) -> str:
    """SQL: the new zones replace the old ones; newer knowledge wins over equal knowledge."""
    return f"{_WORTH.format(f'{new}.zone_source::text')} <= {_WORTH.format(f'{old}.zone_source::text')}"


def _changes(new: str, old: str) -> str:
    """SQL: merging the new row into the old one would alter it."""
    return f"""(
        {old}.fields || {new}.fields IS DISTINCT FROM {old}.fields
        OR ({new}.send_at IS NOT NULL AND {new}.send_at IS DISTINCT FROM {old}.send_at)
        OR ({_is_better(new, old)}
            AND ({new}.zones, {new}.zone_source) IS DISTINCT FROM ({old}.zones, {old}.zone_source))
        OR {new}.country IS DISTINCT FROM {old}.country
    )"""


# A chunk looks up its own rows and never reads a whole table, whatever the planner believes of tables that grow as it
# looks: the last chunk of a file must cost what the first one did.
_BY_INDEX: Final = "; ".join(
    f"SET LOCAL enable_{way} TO off" for way in ("hashjoin", "mergejoin", "seqscan", "bitmapscan", "material")
)
_STAGE: Final = """
CREATE TEMPORARY TABLE staged_row (
    line bigint, number varchar, country varchar, zones varchar, zone_source varchar, fields jsonb,
    send_at timestamptz, list_name varchar
) ON COMMIT DROP
"""
_COPY: Final = (
    "COPY staged_row (line, number, country, zones, zone_source, fields, send_at, list_name) FROM STDIN"
)
_MARK_SEEN: Final = """
INSERT INTO campaigns_seennumber (source_id, number, line)
SELECT DISTINCT ON (substr(number, 2)::bigint) %(source)s, substr(number, 2)::bigint, line
FROM staged_row ORDER BY substr(number, 2)::bigint, line
ON CONFLICT DO NOTHING
"""
_DROP_DUPLICATES: Final = """
DELETE FROM staged_row USING campaigns_seennumber seen
WHERE seen.source_id = %(source)s AND seen.number = substr(staged_row.number, 2)::bigint
  AND seen.line <> staged_row.line
RETURNING staged_row.line, seen.line
"""
_ADD_LISTS: Final = """
INSERT INTO campaigns_recipientlist (tenant_id, name, created_at)
SELECT DISTINCT %(tenant)s::bigint, list_name, %(now)s::timestamptz FROM staged_row
WHERE list_name <> '' ORDER BY list_name
ON CONFLICT (tenant_id, name) DO NOTHING
"""
# What would stay as it is, is not even locked: a file imported again writes nothing.
_MERGE: Final = f"""
WITH written AS (
    INSERT INTO campaigns_recipient AS old
        (tenant_id, number, country, zones, zone_source, fields, send_at, created_at, updated_at)
    SELECT %(tenant)s, staged.number, staged.country, staged.zones, staged.zone_source, staged.fields,
           staged.send_at, %(now)s, %(now)s
    FROM staged_row staged
    LEFT JOIN campaigns_recipient known ON known.tenant_id = %(tenant)s AND known.number = staged.number
    WHERE known.id IS NULL OR {_changes("staged", "known")}
    ORDER BY staged.number
    ON CONFLICT (tenant_id, number) DO UPDATE SET
        country = excluded.country,
        fields = old.fields || excluded.fields,
        send_at = coalesce(excluded.send_at, old.send_at),
        zones = CASE WHEN {_is_better("excluded", "old")} THEN excluded.zones ELSE old.zones END,
        zone_source = CASE WHEN {_is_better("excluded", "old")} THEN excluded.zone_source ELSE old.zone_source END,
        updated_at = excluded.updated_at
    WHERE {_changes("excluded", "old")}
    RETURNING (xmax = 0) AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""
_ADD_MEMBERS: Final = """
INSERT INTO campaigns_listmember (tenant_id, list_id, recipient_id)
SELECT %(tenant)s, wanted.list_id, wanted.recipient_id
FROM (
    SELECT %(list)s::bigint AS list_id, known.id AS recipient_id
    FROM staged_row staged
    JOIN campaigns_recipient known ON known.tenant_id = %(tenant)s AND known.number = staged.number
    UNION
    SELECT (
        SELECT named.id FROM campaigns_recipientlist named
        WHERE named.tenant_id = %(tenant)s AND named.name = staged.list_name
    ), known.id
    FROM staged_row staged
    JOIN campaigns_recipient known ON known.tenant_id = %(tenant)s AND known.number = staged.number
    WHERE staged.list_name <> ''
) wanted
WHERE NOT EXISTS (
    SELECT FROM campaigns_listmember member
    WHERE member.list_id = wanted.list_id AND member.recipient_id = wanted.recipient_id
)
ORDER BY wanted.list_id, wanted.recipient_id
ON CONFLICT DO NOTHING
"""
_COUNT_SUPPRESSED: Final = """
SELECT count(*) FROM staged_row staged WHERE EXISTS (
    SELECT FROM compliance_suppression suppression
    WHERE suppression.number = staged.number AND suppression.released_at IS NULL
      AND (suppression.tenant_id = %(tenant)s OR suppression.scope = 'platform')
)
"""
_COPY_REFUSED: Final = (
    "COPY campaigns_refusedrow (tenant_id, source_id, line, reason, detail, is_taken) FROM STDIN"
)


def merge(  # noqa: PLR0913
    cursor: CursorWrapper,
    taken: Sequence[Taken],
    refused: Sequence[Refused],
    *,
    tenant_id: int,
    list_id: int,
    source_id: int,
    now: datetime,
) -> Merged:
    """Merge the chunk into recipients and lists, in the caller's transaction, and return what became of it."""
    ids = {"tenant": tenant_id, "list": list_id, "source": source_id, "now": now}
    counts = Merged()
    remarks: list[tuple[Any, ...]] = [(row.line, row.reason, row.detail, False) for row in refused]
    if taken:
        cursor.execute(_BY_INDEX)
        cursor.execute(_STAGE)
        _copy(cursor, _COPY, (row[:8] for row in taken))
        cursor.execute(_MARK_SEEN, ids)
        cursor.execute(_DROP_DUPLICATES, ids)
        first_lines = dict(cursor.fetchall())
        if any(row.list_name for row in taken):
            cursor.execute(_ADD_LISTS, ids)
        cursor.execute(_MERGE, ids)
        new, changed = cursor.fetchone()
        cursor.execute(_ADD_MEMBERS, ids)
        cursor.execute(_COUNT_SUPPRESSED, ids)
        (suppressed,) = cursor.fetchone()
        cursor.execute("DROP TABLE staged_row")
        flagged = [
            (row.line, *row.remark, True) for row in taken if row.remark and row.line not in first_lines
        ]
        remarks += flagged
        remarks += [
            (line, "duplicate", f"the same number as in line {first}, which was taken", False)
            for line, first in first_lines.items()
        ]
        counts = Merged(
            new=new,
            changed=changed,
            same=len(taken) - len(first_lines) - new - changed,
            duplicate=len(first_lines),
            flagged=len(flagged),
            suppressed=suppressed,
            refused=len(refused),
        )
    else:
        counts = Merged(refused=len(refused))
    if remarks:
        remarks.sort()
        _copy(
            cursor,
            _COPY_REFUSED,
            (
                (tenant_id, source_id, line, reason, detail[:MAX_DETAIL], is_taken)
                for line, reason, detail, is_taken in remarks
            ),
        )
    return counts


def _copy(cursor: CursorWrapper, sql: str, rows: Iterable[Sequence[Any]]) -> None:
    with cursor.copy(sql) as copy:
        for row in rows:
            copy.write_row(row)
