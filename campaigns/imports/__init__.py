"""Imports: a CSV file becomes recipients on a list: resumable, watched, and the same when run again.

Within a file the first row of a number counts. Imported fields replace fields of the same name and leave the others;
a zone that was told is never replaced by a guess; suppression is not touched, and consent
that a file vouches for is added to the ledger, where nothing is ever weakened. Paths on the server are
for operators: the API's edge offers files of the storage only.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Count

from campaigns.imports.options import Options, check_columns
from campaigns.imports.running import LEASE, Progress, progress, run
from campaigns.models import Import, RecipientList, RefusedRow
from campaigns.models.recipient import SeenNumber
from smsplatform.common import database
from smsplatform.common.errors import Conflict, InvalidInput
from smsplatform.tenancy import audit
from smsplatform.tenancy.models import Brand, Tenant

__all__ = [
    "Progress", "create", "error_file", "forget_failed", "progress", "reasons", "resume_stalled", "retry", "run",
]  # fmt: skip

KEPT_AFTER_FAILURE: Final = timedelta(days=7)
_PAGE: Final = 5_000


def create(
    *,
    tenant: Tenant,
    list: RecipientList,  # noqa: A002
    file: str,
    source: str = Import.Source.STORAGE,
    columns: Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    actor: str = "",
) -> Import:
    """Return a waiting import of the file (a name in the storage, or a path) into the list. Raises InvalidInput."""
    if list.tenant_id != tenant.pk:
        raise InvalidInput("the list belongs to somebody else", field="list")
    if not file:
        raise InvalidInput("name a file", field="file")
    if source not in Import.Source.values:
        raise InvalidInput(f"must be one of {', '.join(Import.Source.values)}", field="source")
    check_columns(columns or {})
    told = Options.from_json(options or {})
    if told.consent_brand and not Brand.objects.filter(tenant=tenant, slug=told.consent_brand).exists():
        raise InvalidInput(f"{tenant.slug} has no brand {told.consent_brand!r}", field="options.consent_brand")
    signed: dict[str, Any] = (
        {"attested_by": told.attested_by, "attestation": told.attestation} if told.attestation else {}
    )
    with transaction.atomic():
        made = Import.objects.create(
            tenant=tenant,
            list=list,
            file=file,
            source=source,
            columns=dict(columns or {}),
            options=dict(options or {}),
            created_by=actor[:120],
        )
        audit.record(actor=actor, verb="import.created", target=made.pk, tenant=tenant, list=list.name, **signed)
    return made


def retry(source: Import, *, actor: str = "") -> Import:
    """Have a failed import wait again; it goes on where it stopped unless the file has changed. Raises Conflict."""
    with transaction.atomic():
        locked = Import.objects.select_for_update().get(pk=source.pk)
        if locked.status != Import.Status.FAILED:
            raise Conflict(f"only a failed import can be tried again; this one is {locked.status}")
        locked.status, locked.reason, locked.lease_until, locked.finished_at = Import.Status.WAITING, "", None, None
        locked.cursor = {**locked.cursor, "starts": 0}
        locked.save(update_fields=["status", "reason", "lease_until", "finished_at", "cursor"])
        audit.record(actor=actor, verb="import.retried", target=locked.pk, tenant=locked.tenant_id)
    return locked


def resume_stalled(now: datetime) -> list[int]:
    """Return the imports that nobody is running though somebody should: to be queued again.

    Each is named once per lease, however often this is asked: a busy worker gets no second message for it.
    """
    found = database.rows(
        """
        UPDATE campaigns_import SET status = 'waiting', lease = lease + 1, lease_until = %(until)s
        WHERE id IN (
            SELECT id FROM campaigns_import
            WHERE status IN ('waiting', 'running') AND coalesce(lease_until, created_at + %(patience)s) < %(now)s
            ORDER BY id FOR UPDATE SKIP LOCKED
        )
        RETURNING id
        """,
        {"now": now, "until": now + LEASE, "patience": LEASE},
    )
    return sorted(row[0] for row in found)


def forget_failed(now: datetime) -> int:
    """Drop what long failed imports remember of their files; trying one again then starts from the top."""
    old = Import.objects.filter(status=Import.Status.FAILED, finished_at__lt=now - KEPT_AFTER_FAILURE)
    with transaction.atomic():
        ids = [one.pk for one in old.exclude(cursor={}).select_for_update().order_by("pk")]
        SeenNumber.objects.filter(source_id__in=ids).delete()
        return Import.objects.filter(pk__in=ids).update(cursor={})


def reasons(source: Import) -> list[tuple[str, bool, int]]:
    """Return why rows were refused or remarked on: reason, whether the rows were taken all the same, how many."""
    found = RefusedRow.objects.filter(source=source).values_list("reason", "is_taken")
    return [tuple(row) for row in found.annotate(count=Count("id")).order_by("-count", "reason")]


def error_file(source: Import) -> Iterator[str]:
    """Yield, piece by piece, the CSV of refused and remarked rows, safe to open in a spreadsheet."""
    yield _csv([("line", "reason", "taken", "detail")])
    line = 0
    while True:
        rows = RefusedRow.objects.filter(source=source, line__gt=line).order_by("line")
        page = rows.values_list("line", "reason", "is_taken", "detail")[:_PAGE]
        lines = [(at, reason, "yes" if taken else "no", _inert(detail)) for at, reason, taken, detail in page]
        if not lines:
            return
        yield _csv(lines)
        line = lines[-1][0]


def _csv(rows: Sequence[tuple[object, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _inert(cell: str) -> str:
    """The cell, marked as text if a spreadsheet would run it as a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
