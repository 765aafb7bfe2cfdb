"""Sets and ends limits: each change is a version and stands in the trail."""

from datetime import datetime
from typing import Any

from django.db import transaction

from compliance.models import Limit
from smsplatform.common.errors import Conflict, NotFound
from smsplatform.tenancy import audit


def set_limit(*, wanted: Limit, actor: str, is_operator: bool, now: datetime) -> tuple[Limit, bool]:
    """Store the limit, or change the amount of the one that there is; return it and whether anything is new.

    Raises ValidationError for what cannot be counted or would loosen, Conflict for what only operators may change.
    """
    with transaction.atomic():
        wanted.set_by, wanted.set_at, wanted.is_operators = actor[:120], now, is_operator
        wanted.clean()
        found = live(wanted)
        if found is None:
            wanted.full_clean()
            wanted.save()
            _record("limit.set", wanted, actor, now)
            return wanted, True
        if (found.amount, found.is_promised, found.note) == (wanted.amount, wanted.is_promised, wanted.note):
            return found, False
        _check_operator(found, is_operator=is_operator)
        before = found.amount
        found.amount, found.is_promised, found.note = wanted.amount, wanted.is_promised, wanted.note
        found.set_by, found.set_at = wanted.set_by, now
        found.full_clean()
        found.save()
        _record("limit.changed", found, actor, now, before=before)
        return found, True


def end_limit(*, limit: Limit, actor: str, is_operator: bool, now: datetime) -> None:
    """The limit holds no more. Its row stays, as decisions name it."""
    _check_operator(limit, is_operator=is_operator)
    with transaction.atomic():
        if Limit.objects.filter(pk=limit.pk, ended_at=None).update(ended_at=now):
            _record("limit.ended", limit, actor, now)


def live(wanted: Limit) -> Limit | None:
    """Return the limit that holds for the same thing now."""
    return (
        Limit.objects.filter(
            subject=wanted.subject,
            subject_id=wanted.subject_id,
            carrier=wanted.carrier,
            period=wanted.period,
            hours=wanted.hours,
            zone=wanted.zone,
            unit=wanted.unit,
            ended_at=None,
        )
        .select_for_update()
        .first()
    )


def access_live(wanted: Limit) -> Limit:
    """Return the limit that holds for the same thing now; raises NotFound."""
    wanted.clean()
    with transaction.atomic():
        found = live(wanted)
    if found is None:
        raise NotFound("there is no such limit; `manage.py limits` shows those there are", field="limit")
    return found


def _check_operator(limit: Limit, *, is_operator: bool) -> None:
    if limit.is_operators and not is_operator:
        raise Conflict(
            "the platform's operators have set this limit, and only they change it; a stricter one may be added"
        )


def _record(verb: str, limit: Limit, actor: str, now: datetime, **more: Any) -> None:
    detail = {"amount": limit.amount, "version": limit.version, "note": limit.note, **more}
    audit.record(actor=actor, verb=verb, target=f"{limit.pk} {limit}", tenant=limit.tenant_id, at=now, **detail)
