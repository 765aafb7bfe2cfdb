"""What waits, and what is stopped: the doctor's checks of what is in the database. Each yields its findings."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.conf import settings
from django_celery_beat.models import PeriodicTask

from campaigns import audits, fence
from campaigns.findings import Finding, bad, first_line, ok, span, warn
from compliance import traffic
from compliance.data import statutes
from providers import registering
from providers.models import UNUSABLE, ProviderAccount
from smsplatform.common import database, partitions
from smsplatform.common.database import rows

# Beat stores its last runs every three minutes, so younger than this says nothing.
_BEAT_LATE, _BEAT_GONE = timedelta(minutes=5), timedelta(minutes=10)

_HOLIDAYS_AHEAD: Final = timedelta(days=365)
_FEW: Final = 3


def _beat() -> Iterator[Finding]:
    last = PeriodicTask.objects.filter(enabled=True, name__in=settings.CELERY_BEAT_SCHEDULE).order_by("-last_run_at")
    at = last.exclude(last_run_at=None).values_list("last_run_at", flat=True).first()
    silence = database.now() - at if at else None
    told = f"last heard of {span(silence)} ago" if silence else "never ran"
    if silence is None or silence > _BEAT_GONE:
        yield bad("beat", told, "start one: celery -A smsplatform beat -S smsplatform.beat:Scheduler")
    elif silence > _BEAT_LATE:
        yield warn("beat", told, "look at its log; it should be heard of every three minutes")
    else:
        yield ok("beat", told)


@dataclass(frozen=True, slots=True)
class _Backlog:
    """Rows that should be few and young: `sql` gives their number and the age of the oldest."""

    about: str
    what: str
    sql: str
    warn_after: timedelta
    bad_after: timedelta
    remedy: str


_UNPAUSED: Final = f"""
 FROM campaigns_batch x JOIN campaigns_run r ON r.id = x.run_id JOIN tenancy_brand d ON d.id = x.brand_id
   JOIN tenancy_tenant t ON t.id = x.tenant_id LEFT JOIN tenancy_installation i ON i.id = 1
 WHERE x.phase = 'waiting' AND x.due_at <= now() AND r.paused_at IS NULL AND d.paused_at IS NULL AND t.paused_at IS NULL
   AND coalesce(i.is_sending, true) AND NOT coalesce({fence.IS_COPY}, false) AND {fence.waits("now()")} = ''"""
_BACKLOGS: Final = (
    *(
        _Backlog(
            about=f"due {lane}",
            what="due batch(es)",
            sql=f"SELECT count(*), now() - min(x.due_at) {_UNPAUSED} AND x.lane = '{lane}'",
            warn_after=timedelta(seconds=late),
            bad_after=timedelta(seconds=late * 10),
            remedy="workers or the provider's rate are the limit: see run_status, and the queues above",
        )
        for lane, late in (("bulk", 60), ("urgent", 10))
    ),
    _Backlog(
        "leases",
        "lease(s) over",
        "SELECT count(*), now() - min(lease_until) FROM campaigns_batch WHERE phase = 'leased' AND lease_until < now()",
        timedelta(seconds=30),
        timedelta(minutes=2),
        "recovery ends them: beat and a worker on `control` must run",
    ),
    _Backlog(
        "events",
        "report(s) and repl(ies) to apply",
        "SELECT count(*), now() - min(received_at) FROM campaigns_rawevent WHERE applied_at IS NULL AND retry_at IS NULL",
        timedelta(minutes=1),
        timedelta(minutes=10),
        "a worker on `events` applies them",
    ),
    _Backlog(
        "runs",
        "run(s) due to be expanded",
        "SELECT count(*), now() - min(materialise_at) FROM campaigns_run WHERE materialised_at IS NULL"
        " AND materialise_at <= now() AND cancelled_at IS NULL AND coalesce(lease_until, '-infinity') < now()",
        timedelta(minutes=1),
        timedelta(minutes=10),
        "a worker on `imports` expands them; `manage.py launch --inline` does it here",
    ),
    _Backlog(
        "imports",
        "import(s) that nobody runs",
        "SELECT count(*), now() - min(coalesce(lease_until, created_at)) FROM campaigns_import"
        " WHERE status IN ('waiting', 'running') AND coalesce(lease_until, created_at) < now()",
        timedelta(minutes=2),
        timedelta(minutes=10),
        "a worker on `imports` runs them; `manage.py import_recipients --resume` does it here",
    ),
    _Backlog(
        "traffic",
        "range(s) of numbers that wait for a review",
        "SELECT count(*), now() - min(held_at) FROM compliance_trafficcount WHERE held_at IS NOT NULL AND decided_at IS NULL",
        timedelta(minutes=5),
        timedelta(hours=2),
        "look at them in the admin, under Ranges of numbers to review: their messages expire meanwhile",
    ),
)


def _backlogs() -> Iterator[Finding]:
    for each in _BACKLOGS:
        [(number, age)] = rows(each.sql)
        told = f"{number:,} {each.what}" + (f", the oldest for {span(age)}" if number else "")
        if number and age > each.bad_after:
            yield bad(each.about, told, each.remedy)
        elif number and age > each.warn_after:
            yield warn(each.about, told, each.remedy)
        else:
            yield ok(each.about, told)


def _troubles() -> Iterator[Finding]:
    remedies = {
        "dead": "`manage.py dead_letters` says why; --replay tries again what is safe",
        "unknown": "receipts settle them; until then `manage.py dead_letters --kind unknown` lists them",
    }
    found = {
        kind: (number, age)
        for kind, number, age in rows("SELECT kind, count(*), now() - min(since) FROM campaigns_trouble GROUP BY 1")
    }
    for kind, remedy in remedies.items():
        if kind in found:
            number, age = found[kind]
            yield warn(f"{kind} messages", f"{number:,}, the oldest for {span(age)}", remedy)
        else:
            yield ok(f"{kind} messages", "none")


def _switches() -> Iterator[Finding]:
    if rows("SELECT 1 FROM tenancy_installation WHERE NOT is_sending"):
        yield warn("sending", "is stopped: nothing goes out", "`manage.py start_sending` when the reason is gone")
    else:
        yield ok("sending", "is on")
    paused = rows(
        """
        SELECT 'tenant ' || slug, paused_at FROM tenancy_tenant WHERE paused_at IS NOT NULL
        UNION ALL SELECT 'brand ' || slug, paused_at FROM tenancy_brand WHERE paused_at IS NOT NULL
        UNION ALL SELECT 'account ' || name, paused_at FROM providers_provideraccount WHERE paused_at IS NOT NULL
        UNION ALL SELECT 'run ' || id, paused_at FROM campaigns_run WHERE paused_at IS NOT NULL AND cancelled_at IS NULL
          AND EXISTS (SELECT 1 FROM campaigns_batch b WHERE b.run_id = campaigns_run.id AND b.phase <> 'closed')
        ORDER BY 2 LIMIT 20
        """
    )
    if paused:
        yield warn("paused", ", ".join(f"{name} since {at:%F %H:%M}" for name, at in paused), "`manage.py resume`")
    else:
        yield ok("paused", "nothing")


def _partitions() -> Iterator[Finding]:
    strays = {table: number for table, number in partitions.strays().items() if number}
    present = {name for (name,) in rows("SELECT relname FROM pg_class WHERE relispartition")}
    coming = database.now() + timedelta(days=31)
    missing = [table for table in partitions.TABLES if f"{table}_{coming:%Y_%m}" not in present]
    if strays:
        told = ", ".join(f"{number:,} row(s) in {table}_default" for table, number in strays.items())
        yield warn(
            "partitions", told, "a month was missing when they came; move them before that month's partition is made"
        )
    elif missing:
        yield warn(
            "partitions",
            f"none for next month: {', '.join(missing)}",
            "the hourly task keep_house makes them: is beat up?",
        )
    else:
        yield ok("partitions", "made ahead, and nothing in the default ones")


def _credentials() -> Iterator[Finding]:
    unreadable = []
    for account in ProviderAccount.objects.order_by("tenant_id", "name"):
        try:
            account.adapter()
        except UNUSABLE as error:
            unreadable.append(f"{account}: {first_line(error)}")
    if unreadable:
        yield bad(
            "provider accounts",
            "; ".join(unreadable[:3]),
            "enter its credentials and options again in the admin, or put the old key back into CREDENTIAL_KEYS",
        )
    else:
        yield ok("provider accounts", "all credentials can be read")


def _registrations() -> Iterator[Finding]:
    senders = registering.blocked()
    if senders:
        named = ", ".join(f"{each.address} of {each.account.name}" for each in senders[:_FEW])
        more = f" and {len(senders) - _FEW:,} more" if len(senders) > _FEW else ""
        yield warn("registrations", f"{registering.WORDS}: {named}{more}", registering.REMEDY)
    else:
        yield ok("registrations", "no US long code lacks one")


def _duplicates() -> Iterator[Finding]:
    ledger, reported = audits.duplicates(first_run=audits.first_in_play(database.now()))
    if ledger or reported:
        yield bad(
            "duplicates",
            f"{len({*ledger, *reported}):,} message(s) accepted twice",
            "`manage.py audit_duplicates` names them",
        )
    else:
        yield ok("duplicates", "no message of the runs in play was accepted twice")


def _holidays() -> Iterator[Finding]:
    left = statutes.holidays_known_until() - database.now().date()
    if left < _HOLIDAYS_AHEAD:
        yield warn(
            "holidays",
            f"are known until {statutes.holidays_known_until()} only; later ones would not be kept",
            "refresh the table with .ci/refresh_holidays.py, and update",
        )
    else:
        yield ok("holidays", f"of the states are known until {statutes.holidays_known_until()}")


def _opt_ins() -> Iterator[Finding]:
    low = traffic.low_conversions(database.now())
    for each in low:
        yield warn(
            "opt-ins", f"confirmed for {each}", "a bot may fill in the form: look at it, and at the country's cost"
        )
    if not low:
        yield ok("opt-ins", "nowhere do suspiciously few confirm")


CHECKS: Final[Mapping[str, Callable[[], Iterator[Finding]]]] = {
    "switches": _switches,
    "provider accounts": _credentials,
    "registrations": _registrations,
    "beat": _beat,
    "backlogs": _backlogs,
    "troubles": _troubles,
    "partitions": _partitions,
    "duplicates": _duplicates,
    "holidays": _holidays,
    "opt-ins": _opt_ins,
}
