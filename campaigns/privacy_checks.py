"""The doctor's checks of what people are promised: the trail is sealed, the forgotten are known again, erasures end."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Final

from django.conf import settings

from campaigns import erasure as erasures
from campaigns.findings import Finding, bad, ok, span, warn
from compliance import erasure
from compliance.models import ErasedPerson
from smsplatform.common import database
from smsplatform.tenancy import seals

_SEAL_LATE, _SEAL_GONE = timedelta(minutes=5), timedelta(hours=1)
_ERASURE_LATE: Final = timedelta(hours=1)


def _trail() -> Iterator[Finding]:
    now = database.now()
    for ledger in seals.LEDGERS.values():
        since = seals.unsealed_since(ledger)
        age = now - since if since else None
        told = f"the oldest event of {ledger.name} that is not sealed is {span(age)} old" if age else "all is sealed"
        remedy = "the task seal_ledgers runs every minute: are beat and a worker on `control` up?"
        if age and age > _SEAL_GONE:
            yield bad(f"trail {ledger.name}", told, remedy)
        elif age and age > _SEAL_LATE:
            yield warn(f"trail {ledger.name}", told, remedy)
        else:
            yield ok(f"trail {ledger.name}", told)


def _erased() -> Iterator[Finding]:
    unreadable = erasure.unreadable()
    if unreadable:
        named = ", ".join(f"{number:,} under pepper {version}" for version, number in unreadable.items())
        yield bad(
            "erased people",
            f"not to be known again: {named}; nobody of their tenants is texted",
            "put the pepper back into NUMBER_PEPPERS, behind the newest",
        )
    else:
        yield ok("erased people", f"{ErasedPerson.objects.count():,}, all to be known again")
    now = database.now()
    late = ErasedPerson.objects.filter(pk__in=erasures.at_work(now), erased_at=None, asked_at__lt=now - _ERASURE_LATE)
    horizon = now - settings.REPORT_HORIZON - 2 * _ERASURE_LATE
    overdue = ErasedPerson.objects.filter(done_at=None, asked_at__lt=horizon)
    number = late.count() + overdue.count()
    if number:
        yield warn("erasures", f"{number:,} should have ended", "a worker on `imports` does them: is one up?")
    else:
        yield ok("erasures", "none is late")


CHECKS: Final[Mapping[str, Callable[[], Iterator[Finding]]]] = {"trail": _trail, "erased people": _erased}
