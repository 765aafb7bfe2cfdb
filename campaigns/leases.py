"""Who works on a batch: the lease number that every message of a chain carries (R10)."""

from datetime import datetime

from django.conf import settings

from campaigns.models import Batch
from smsplatform.common.database import execute


class LeaseLost(Exception):
    """Another chain works on this batch, or nobody any more: this one ends quietly."""


def take(batch_id: int, lease: int, now: datetime) -> Batch:
    """Renew the lease and return the batch with what every stage needs of it."""
    renew(batch_id, lease, now)
    return Batch.objects.select_related("run__version", "brand__tenant").get(pk=batch_id)


def renew(batch_id: int, lease: int, now: datetime) -> None:
    """Prolong the lease by compare-and-set, locking the batch's row for the transaction; raises LeaseLost."""
    ours = execute(
        "UPDATE campaigns_batch SET lease_until = %s WHERE id = %s AND lease = %s AND phase = 'leased'",
        [now + settings.LEASE, batch_id, lease],
    )
    if not ours:
        raise LeaseLost(f"batch {batch_id} is no longer leased under number {lease}")


def begin(batch: Batch, stage: str) -> bool:
    """Write who is at work, where an earlier start brought nothing; return whether this was still to be written.

    Commit before the work: a worker that dies leaves the name of its stage. A lease that ends without one says nothing
    against the batch's rows, only that nobody came to work on them (`recovery.end_leases`).
    """
    if batch.starts <= 1 or batch.stage == stage:
        return False
    batch.stage = stage
    Batch.objects.filter(pk=batch.pk).update(stage=stage)
    return True


def end(batch: Batch) -> None:
    """The stage is done, whatever it brought: from now on the batch waits for the next one."""
    if batch.stage:
        batch.stage = ""
        Batch.objects.filter(pk=batch.pk, lease=batch.lease).update(stage="")


def note_progress(batch: Batch) -> None:
    """Rows moved, so whatever killed earlier starts is not this batch's rows."""
    if batch.starts:
        batch.starts = 0
        Batch.objects.filter(pk=batch.pk).update(starts=0, error="")
