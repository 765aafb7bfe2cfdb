"""A chunk of an import on its way into the tables: staged with COPY, then merged set by set.

Everything here runs inside the chunk's own transaction, with the cursor of the import, so a killed chunk never was.
Every statement that locks rows takes them sorted, and the statements always come in the same order, so that two
imports of the same people wait for each other and never deadlock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.backends.utils import CursorWrapper

from campaigns.imports.consents import Vouched
from campaigns.imports.rows import Refused, Taken
from compliance import consent, hygiene
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
    consented: int = 0
    untextable: int = 0


# How much the source of a zone (or a state) is worth; a lower number wins over a higher one.
_WORTH: Final = "array_position(ARRAY[{}], {{}})".format(", ".join(f"'{source.value}'" for source in ZoneSource))


def _is_better(new: str, old: str, column: str = "zone_source") -> str:
    """SQL: the new zones (or states) replace the old ones; newer knowledge wins over equal knowledge."""
    return f"{_WORTH.format(f'{new}.{column}::text')} <= {_WORTH.format(f'{old}.{column}::text')}"


def _tells_state(new: str, old: str) -> str:
    """SQL: the new row says in which state the person is, and knows it no worse: then the old states are past."""
    return f"({new}.state_source IN ('postal_code', 'state') AND {_is_better(new, old, 'state_source')})"


def _merged_place(new: str, old: str) -> str:
    """SQL: the place key of both: the better zones, and all states that either names unless newer ones are told."""
    states = f"""(
        SELECT string_agg(u.state, '|' ORDER BY u.state COLLATE "C") FROM (
            SELECT unnest(string_to_array(split_part({new}.zones, ';', 2), '|'))
            UNION SELECT unnest(string_to_array(split_part({old}.zones, ';', 2), '|'))) u(state) WHERE u.state <> '')"""
    return f"""(CASE
        WHEN {new}.zones = {old}.zones THEN {old}.zones
        WHEN {old}.zones = '' THEN {new}.zones
        WHEN {new}.zones = '' THEN {old}.zones
        ELSE concat_ws(';', CASE WHEN {_is_better(new, old)} THEN split_part({new}.zones, ';', 1)
            ELSE split_part({old}.zones, ';', 1) END,
            CASE WHEN {_tells_state(new, old)} THEN split_part({new}.zones, ';', 2) ELSE {states} END)
        END)"""


def _merged_source(new: str, old: str, column: str) -> str:
    """SQL: the source of what was kept."""
    return f"(CASE WHEN {_is_better(new, old, column)} THEN {new}.{column} ELSE {old}.{column} END)"


def _changes(new: str, old: str) -> str:
    """SQL: merging the new row into the old one would alter it."""
    return f"""(
        {old}.fields || {new}.fields IS DISTINCT FROM {old}.fields
        OR ({new}.send_at IS NOT NULL AND {new}.send_at IS DISTINCT FROM {old}.send_at)
        OR (({new}.zones, {new}.zone_source, {new}.state_source)
                IS DISTINCT FROM ({old}.zones, {old}.zone_source, {old}.state_source)
            AND ({_merged_place(new, old)}, {_merged_source(new, old, "zone_source")},
                {_merged_source(new, old, "state_source")})
                IS DISTINCT FROM ({old}.zones, {old}.zone_source, {old}.state_source))
        OR {new}.country IS DISTINCT FROM {old}.country
    )"""


# Every look-up below is a LATERAL subquery with a LIMIT, which the planner can only do row by row through the key. Free
# to choose, it trusts statistics that are older than the import and reads whole tables once per chunk.
_BY_KEY: Final = "SET LOCAL enable_seqscan TO off"
_STAGE: Final = """
CREATE TEMPORARY TABLE staged_row (
    line bigint, number varchar, country varchar, zones varchar, zone_source varchar, fields jsonb,
    send_at timestamptz, list_name varchar, state_source varchar
) ON COMMIT DROP
"""
_COPY: Final = (
    "COPY staged_row (line, number, country, zones, zone_source, fields, send_at, list_name, state_source) FROM STDIN"
)
_MARK_SEEN: Final = """
INSERT INTO campaigns_seennumber (tenant_id, source_id, number, line)
SELECT DISTINCT ON (substr(number, 2)::bigint) %(tenant)s, %(source)s, substr(number, 2)::bigint, line
FROM staged_row ORDER BY substr(number, 2)::bigint, line
ON CONFLICT DO NOTHING
"""
_FIND_DUPLICATES: Final = """
SELECT staged.line, first.line
FROM staged_row staged
CROSS JOIN LATERAL (
    SELECT line FROM campaigns_seennumber
    WHERE source_id = %(source)s AND number = substr(staged.number, 2)::bigint LIMIT 1
) first
WHERE first.line <> staged.line
"""
_DROP_DUPLICATES: Final = "DELETE FROM staged_row WHERE line = ANY(%s)"
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
        (tenant_id, number, country, zones, zone_source, state_source, fields, send_at, created_at, updated_at)
    SELECT %(tenant)s, staged.number, staged.country, staged.zones, staged.zone_source, staged.state_source, staged.fields,
           staged.send_at, %(now)s, %(now)s
    FROM staged_row staged
    LEFT JOIN LATERAL (
        SELECT * FROM campaigns_recipient
        WHERE tenant_id = %(tenant)s AND number = staged.number LIMIT 1
    ) known ON true
    WHERE known.id IS NULL OR {_changes("staged", "known")}
    ORDER BY staged.number
    ON CONFLICT (tenant_id, number) DO UPDATE SET
        country = excluded.country,
        fields = old.fields || excluded.fields,
        send_at = coalesce(excluded.send_at, old.send_at),
        zones = {_merged_place("excluded", "old")},
        zone_source = {_merged_source("excluded", "old", "zone_source")},
        state_source = {_merged_source("excluded", "old", "state_source")},
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
    SELECT DISTINCT chosen.list_id, known.id AS recipient_id
    FROM staged_row staged
    CROSS JOIN LATERAL (
        SELECT id FROM campaigns_recipient
        WHERE tenant_id = %(tenant)s AND number = staged.number LIMIT 1
    ) known
    CROSS JOIN LATERAL (
        SELECT %(list)s::bigint AS list_id
        UNION ALL
        (SELECT id FROM campaigns_recipientlist
         WHERE staged.list_name <> '' AND tenant_id = %(tenant)s AND name = staged.list_name LIMIT 1)
    ) chosen
) wanted
LEFT JOIN LATERAL (
    SELECT id FROM campaigns_listmember
    WHERE list_id = wanted.list_id AND recipient_id = wanted.recipient_id LIMIT 1
) member ON true
WHERE member.id IS NULL
ORDER BY wanted.list_id, wanted.recipient_id
ON CONFLICT DO NOTHING
"""
_COUNT_SUPPRESSED: Final = """
SELECT count(*)
FROM staged_row staged
CROSS JOIN LATERAL (
    SELECT id FROM compliance_suppression
    WHERE number = staged.number AND released_at IS NULL AND (tenant_id = %(tenant)s OR scope = 'platform') LIMIT 1
) suppression
"""
_COUNT_UNTEXTABLE: Final = hygiene.count_among("SELECT number FROM staged_row")
_COPY_REFUSED: Final = "COPY campaigns_refusedrow (tenant_id, source_id, line, reason, detail, is_taken) FROM STDIN"


def merge(
    cursor: CursorWrapper,
    taken: Sequence[Taken],
    refused: Sequence[Refused],
    *,
    tenant_id: int,
    list_id: int,
    source_id: int,
    now: datetime,
    vouched: Vouched | None = None,
) -> Merged:
    """Merge the chunk into recipients and lists, in the caller's transaction, and return what became of it."""
    ids: dict[str, Any] = {"tenant": tenant_id, "list": list_id, "source": source_id, "now": now}
    counts = Merged()
    remarks: list[tuple[Any, ...]] = [(row.line, row.reason, row.detail, False) for row in refused]
    if taken:
        cursor.execute(_BY_KEY)
        cursor.execute(_STAGE)
        _copy(cursor, _COPY, (row[:9] for row in taken))
        cursor.execute(_MARK_SEEN, ids)
        cursor.execute(_FIND_DUPLICATES, ids)
        first_lines = dict(cursor.fetchall())
        cursor.execute(_DROP_DUPLICATES, [list(first_lines)])
        if any(row.list_name for row in taken):
            cursor.execute(_ADD_LISTS, ids)
        cursor.execute(_MERGE, ids)
        new, changed = cursor.fetchone()
        cursor.execute(_ADD_MEMBERS, ids)
        cursor.execute(_COUNT_SUPPRESSED, ids)
        (suppressed,) = cursor.fetchone()
        cursor.execute(_COUNT_UNTEXTABLE, ids)
        (untextable,) = cursor.fetchone()
        cursor.execute("DROP TABLE staged_row")
        flagged = [(row.line, *row.remark, True) for row in taken if row.remark and row.line not in first_lines]
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
            untextable=untextable,
            refused=len(refused),
            consented=_record_consents(taken, first_lines, source_id, vouched, now),
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


def _record_consents(
    taken: Sequence[Taken], duplicates: Mapping[int, int], source_id: int, vouched: Vouched | None, now: datetime
) -> int:
    """Put on record what the file says of people's consent; what is there already is not written again."""
    if vouched is None:
        return 0
    return consent.record_all(
        brand=vouched.brand,
        entries=[row.consent for row in taken if row.consent is not None and row.line not in duplicates],
        import_id=source_id,
        attested_by=vouched.attested_by,
        attestation=vouched.attestation,
        now=now,
    )


def _copy(cursor: CursorWrapper, sql: str, rows: Iterable[Sequence[Any]]) -> None:
    with cursor.copy(sql) as copy:
        for row in rows:
            copy.write_row(row)
