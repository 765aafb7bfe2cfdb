"""One run of an import: take the lease, read chunk after chunk, commit each with its cursor, end.

The cursor is the line behind which the next chunk starts. It is written in the transaction that writes the chunk, so
a run killed anywhere leaves nothing half done, and the next one goes on as if nothing had happened.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, BinaryIO, Final

import structlog
from django.db import transaction

from campaigns.imports import columns as import_columns
from campaigns.imports import consents, csv_layout, staging
from campaigns.imports import file as import_file
from campaigns.imports import rows as import_rows
from campaigns.imports.columns import Columns
from campaigns.imports.consents import Vouched
from campaigns.imports.csv_layout import Layout, UnreadableFileError
from campaigns.imports.csv_reader import Reader
from campaigns.imports.options import Options
from campaigns.imports.rows import Refused, Taken
from campaigns.models import Import, RefusedRow
from campaigns.models.recipient import SeenNumber
from compliance import erasure
from compliance.data import npa
from smsplatform.common import database, phone
from smsplatform.tenancy.models import Brand

log = structlog.get_logger(__name__)

CHUNK_ROWS: Final = 10_000
MAX_LISTS: Final = 200
LEASE: Final = timedelta(seconds=60)
MAX_STARTS: Final = 5
"""So often may a run die at one place before the import is given up: a poison row must not loop for ever."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is; read = new + changed + same + duplicate + refused."""

    read_bytes: int
    total_bytes: int
    read: int
    new: int
    changed: int
    same: int
    duplicate: int
    refused: int
    flagged: int
    suppressed: int
    consented: int
    untextable: int


class _LeaseLostError(Exception):
    """Another worker runs this import, or nobody may any more."""


def run(
    import_id: int,
    *,
    turn: timedelta | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> bool:
    """Run the import from where it is; False when the turn was over first, so that somebody must run it again.

    Does nothing, quietly, if the import has ended or another worker runs it.
    """
    source = _claim(import_id)
    if source is None:
        return True
    try:
        _check_starts(source)
        with import_file.opened(source) as file:
            return _read(source, file, turn, on_progress)
    except _LeaseLostError:
        log.info("import.lease_lost", import_id=import_id)
    except UnreadableFileError as error:
        _fail(source, str(error))
    except import_file.Trouble as error:
        _fail(source, import_file.told(error, source))
    return True


def progress(source: Import) -> Progress:
    """Return how far the import was when it was read from the database."""
    return Progress(
        source.read_bytes,
        source.total_bytes,
        source.rows_read,
        source.rows_new,
        source.rows_changed,
        source.rows_same,
        source.rows_duplicate,
        source.rows_refused,
        source.rows_flagged,
        source.rows_suppressed,
        source.rows_consented,
        source.rows_untextable,
    )


def _claim(import_id: int) -> Import | None:
    """Take the lease by compare-and-set; None if there is nothing to do or somebody is at it."""
    claimed = database.execute(
        """
        UPDATE campaigns_import
        SET status = 'running', lease = lease + 1, lease_until = clock_timestamp() + %(lease)s,
            started_at = coalesce(started_at, clock_timestamp()),
            cursor = cursor || jsonb_build_object('starts', coalesce((cursor->>'starts')::int, 0) + 1)
        WHERE id = %(id)s
          AND (status = 'waiting' OR (status = 'running' AND lease_until < clock_timestamp()))
        """,
        {"id": import_id, "lease": LEASE},
    )
    return Import.objects.select_related("tenant").get(pk=import_id) if claimed else None


def _check_starts(source: Import) -> None:
    if source.cursor["starts"] > MAX_STARTS:
        line = source.cursor.get("line", 0)
        raise UnreadableFileError(
            f"reading stopped {MAX_STARTS} times in the {CHUNK_ROWS:,} rows behind line {line:,}, each time without"
            " an answer; the server's log says why. Trying again goes on there"
        )


def _read(
    source: Import,
    file: BinaryIO,
    turn: timedelta | None,
    on_progress: Callable[[Progress], None] | None,
) -> bool:
    options = Options.from_json(source.options)
    rules = phone.Rules(
        source.tenant.allowed_countries,
        options.default_region,
        options.includes_country_code,
        options.sandbox,
        npa.COUNTRY,
    )
    fingerprint = import_file.fingerprint(source, file)
    if source.cursor.get("fingerprint") != fingerprint:
        _start_over(source, file, rules, options, fingerprint)
    layout = Layout.from_json(source.dialect["layout"])
    columns = Columns.from_json(source.dialect["columns"])
    vouched = _vouched(source, options, columns)
    judged = import_rows.judge(columns, rules, vouched=vouched, now=database.now())
    reader = Reader(file, layout, skip=source.cursor["line"])
    ends_at = None if turn is None else database.now() + turn
    records = iter(reader)
    while chunk := [judged(record) for record in islice(records, CHUNK_ROWS)]:
        _check_lists(chunk)
        _commit(source, chunk, line=reader.lines_done, read_bytes=reader.bytes_done, vouched=vouched)
        if on_progress is not None:
            on_progress(progress(source))
        if ends_at is not None and database.now() >= ends_at:
            _let_go(source)
            return False
    _finish(source)
    return True


def _start_over(source: Import, file: BinaryIO, rules: phone.Rules, options: Options, fingerprint: str) -> None:
    """Look at the file, which is new to us or has changed, and forget what an earlier one left."""

    def is_header(cells: tuple[str, ...]) -> bool:
        if options.has_header is not None:
            return options.has_header
        return import_columns.is_header(cells, source.columns, rules)

    layout = csv_layout.find(file, is_header=is_header, encoding=options.encoding, delimiter=options.delimiter)
    columns = import_columns.match(layout, source.columns, options.types)
    source.dialect = {"layout": layout.as_json(), "columns": columns.as_json()}
    source.total_bytes = import_file.size_of(file)
    source.cursor = {"line": layout.first_line, "fingerprint": fingerprint, "starts": source.cursor["starts"]}
    for counter in _COUNTERS:
        setattr(source, counter, 0)
    with transaction.atomic():
        _renew(source)
        RefusedRow.objects.filter(source=source).delete()
        SeenNumber.objects.filter(source=source).delete()
        source.save(update_fields=["dialect", "total_bytes", "cursor", *_COUNTERS])


def _check_lists(chunk: list[Taken | Refused]) -> None:
    """Refuse a file whose list column holds something else, before it makes a list of every person."""
    names = {row.list_name for row in chunk if isinstance(row, Taken)}
    if len(names) > MAX_LISTS:
        raise UnreadableFileError(
            f"the column for lists names {len(names):,} lists within {len(chunk):,} rows (at most {MAX_LISTS});"
            " it seems to hold something else: rename its header, or say which column names the list"
        )


def _vouched(source: Import, options: Options, columns: Columns) -> Vouched | None:
    """Return who signs for the consents in the file. Raises UnreadableFileError where it has some and nobody does."""
    if not options.attestation:
        if not consents.has_columns(columns):
            return None
        raise UnreadableFileError(
            "the file says how people consented (columns consent_at, consent_source, consent_tier or consent_text), but"
            " nobody signs for it: import it with an attestation, or rename these columns to keep them as plain fields"
        )
    brands = list(Brand.objects.filter(tenant=source.tenant_id).order_by("slug"))
    named = [brand for brand in brands if options.consent_brand in ("", brand.slug)]
    if len(named) != 1:
        known = ", ".join(brand.slug for brand in brands) or "none yet"
        raise UnreadableFileError(
            f"consent is given to one brand: say to which with consent_brand; {source.tenant.slug} has {known}"
        )
    return Vouched(named[0], options.attested_by, options.attestation, options.disclosure, source.created_at)


def _commit(
    source: Import, chunk: list[Taken | Refused], *, line: int, read_bytes: int, vouched: Vouched | None
) -> None:
    """Merge one chunk and move the cursor behind it, both or neither."""
    with database.cheap_commit() as cursor:
        now = _renew(source)
        chunk = _without_erased(source, chunk)
        merged = staging.merge(
            cursor,
            [row for row in chunk if isinstance(row, Taken)],
            [row for row in chunk if isinstance(row, Refused)],
            tenant_id=source.tenant_id,
            list_id=source.list_id,
            source_id=source.pk,
            now=now,
            vouched=vouched,
        )
        source.cursor = {**source.cursor, "line": line, "starts": 0}
        source.read_bytes = read_bytes
        source.rows_read += len(chunk)
        for what, count in asdict(merged).items():
            setattr(source, f"rows_{what}", getattr(source, f"rows_{what}") + count)
        source.save(update_fields=["cursor", *_COUNTERS])


def _without_erased(source: Import, chunk: list[Taken | Refused]) -> list[Taken | Refused]:
    """Refuse the people whom the tenant has erased: their data does not come in again."""
    if not erasure.has_any(source.tenant_id):
        return chunk
    numbers = [row.number for row in chunk if isinstance(row, Taken)]
    erased = erasure.among(tenant_id=source.tenant_id, numbers=numbers).numbers
    told = "this person asked to be erased, and is not taken in again"
    return [
        Refused(row.line, "erased", told) if isinstance(row, Taken) and row.number in erased else row for row in chunk
    ]


_COUNTERS: Final = (
    "read_bytes", "rows_read", "rows_new", "rows_changed", "rows_same", "rows_duplicate", "rows_refused",
    "rows_flagged", "rows_suppressed", "rows_consented", "rows_untextable",
)  # fmt: skip


def _renew(source: Import) -> Any:
    """Prolong the lease and lock the import's row for the transaction; returns the time. Raises _LeaseLostError."""
    renewed = database.rows(
        """
        UPDATE campaigns_import SET lease_until = clock_timestamp() + %s
        WHERE id = %s AND lease = %s AND status = 'running' RETURNING clock_timestamp()
        """,
        [LEASE, source.pk, source.lease],
    )
    if not renewed:
        raise _LeaseLostError
    return renewed[0][0]


def _let_go(source: Import) -> None:
    """Give the lease back before it is over, so that the next run need not wait for its end."""
    Import.objects.filter(pk=source.pk, lease=source.lease, status=Import.Status.RUNNING).update(
        status=Import.Status.WAITING, lease_until=database.now() + LEASE
    )


def _finish(source: Import) -> None:
    with transaction.atomic():
        now = _renew(source)
        SeenNumber.objects.filter(source=source).delete()
        source.status, source.finished_at, source.read_bytes = Import.Status.DONE, now, source.total_bytes
        source.save(update_fields=["status", "finished_at", "read_bytes"])
    log.info("import.done", import_id=source.pk, rows=source.rows_read, refused=source.rows_refused)


def _fail(source: Import, reason: str) -> None:
    Import.objects.filter(pk=source.pk, lease=source.lease, status=Import.Status.RUNNING).update(
        status=Import.Status.FAILED, reason=reason, finished_at=database.now(), lease_until=None
    )
    log.warning("import.failed", import_id=source.pk, reason=reason)
