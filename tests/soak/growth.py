"""What each piece of work costs the database, in an empty one and in one with a year in it, turn by turn.

Both are databases of one server; the same process works in the one and then in the other. What counts is the time that
the server spent in planning and executing, and the pages it touched, from pg_stat_statements.
"""

import io
import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client as Browser
from django.test import override_settings

from campaigns import backlog, launch, notifications, receipts, recovery, replies, reports, sending
from campaigns.models import Attempt, Campaign, Dispatch, RawEvent, Run
from campaigns.pipeline import PIPELINE
from campaigns.states import State
from providers.adapters.base import Receipt, ReceiptStatus
from smsplatform.common import database
from smsplatform.common.database import execute, rows
from smsplatform.tenancy.models import User
from tests import ground, world
from tests.ground import Client

_REPORTS_PER_REQUEST = 100
_COMMANDS = "^(begin|commit|rollback|set|savepoint|release|show|deallocate)"


@dataclass
class Cost:
    """Milliseconds in the database and pages touched, of many repetitions."""

    milliseconds: list[float] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)

    @property
    def ms(self) -> float:
        return statistics.median(self.milliseconds)

    @property
    def middle_pages(self) -> float:
        return statistics.median(self.pages)


Costs = defaultdict[str, Cost]


def use(name: str) -> None:
    """Work in this database from now on."""
    connection.close()
    connection.settings_dict["NAME"] = name


@contextmanager
def counted(costs: Costs, what: str) -> Iterator[None]:
    """Add what the work costs the database."""
    execute("SELECT pg_stat_statements_reset()")
    yield
    [(milliseconds, pages)] = rows(
        "SELECT coalesce(sum(total_exec_time + total_plan_time), 0), coalesce(sum(shared_blks_hit + shared_blks_read), 0)"
        " FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()"
        " AND query NOT LIKE %s AND query !~* %s",
        ["%pg_stat_statements%", _COMMANDS],
    )
    costs[what].milliseconds.append(float(milliseconds))
    costs[what].pages.append(int(pages))


def one_round(client: Client, costs: Costs, number: int) -> None:
    """Do everything once: a campaign to all the client's people, from its launch to its receipts, and all looks at it."""
    run = _launch(client, number)
    with counted(costs, "materialise"):
        launch.materialise(run.pk)
    while True:
        with counted(costs, "claim"):
            leased = world.hand_out()
        if not leased:
            costs["claim"].milliseconds.pop()
            costs["claim"].pages.pop()
            break
        for batch in leased:
            for stage in PIPELINE:
                with counted(costs, f"stage_{stage.name}"):
                    stage.run(batch.batch_id, batch.lease)
    _check_all_went_out(run)
    _receipts(client, run, costs)
    _looks(client, run, costs)
    _housekeeping(costs)


def _check_all_went_out(run: Run) -> None:
    """A figure of a round that sent little is the figure of something else."""
    states = world.states(run)
    if set(states) != {State.ACCEPTED}:
        raise ground.GroundFailed(f"not everything of run {run.pk} was accepted: {states}")


def _launch(client: Client, number: int) -> Run:
    campaign = Campaign.objects.get(tenant_id=client.tenant_id)
    return launch.launch(
        campaign=campaign, occurrence=f"round {number}", now=database.now(), actor="soak", is_meant=True
    )


def _receipts(client: Client, run: Run, costs: Costs) -> None:
    """The provider reports on every message, a hundred at a time; half of the reports name only its own id."""
    taken = list(
        Attempt.objects.filter(dispatch_id__gte=database.key(run.pk, 0), dispatch_id__lt=database.key(run.pk + 1, 0))
        .filter(outcome="accepted")
        .values_list("dispatch_id", "flight", "provider_id")
    )
    now = database.now()
    requests = []
    for start in range(0, len(taken), _REPORTS_PER_REQUEST):
        part = taken[start : start + _REPORTS_PER_REQUEST]
        events = [
            {
                "id": provider_id,
                "type": "report",
                "status": "delivered",
                "reference": sending.reference(dispatch_id, flight) if place % 2 else "",
            }
            for place, (dispatch_id, flight, provider_id) in enumerate(part)
        ]
        requests.append(
            RawEvent(
                tenant_id=client.tenant_id,
                account_id=client.account_id,
                method="POST",
                url="/",
                body=json.dumps({"events": events}).encode(),
                news=list(range(len(part))),
                received_at=now,
            )
        )
    RawEvent.objects.bulk_create(requests)
    while True:
        with counted(costs, "receipts"):
            found = receipts.apply_events(limit=5)
        if not found:
            costs["receipts"].milliseconds.pop()
            costs["receipts"].pages.pop()
            break
    report = RawEvent.objects.filter(account_id=client.account_id).last()
    nameless = [
        receipts.Report(report, 0, Receipt(status=ReceiptStatus.DELIVERED, provider_id=provider_id, key="k"), None)
        for _, _, provider_id in taken[:500]
    ]
    for _ in range(5):
        with counted(costs, "lookup"):
            matched = receipts._match(nameless)
        assert all(each.flight for each in matched)


def _looks(client: Client, run: Run, costs: Costs) -> None:
    browser = Browser()
    browser.force_login(User.objects.get(is_superuser=True))
    one = Dispatch.objects.of_run(run.pk).first()
    pages = {
        "admin_list": "/admin/campaigns/dispatch/",
        "admin_search": f"/admin/campaigns/dispatch/?q=%2B{one.number[1:]}",
        "admin_page": f"/admin/campaigns/dispatch/{one.pk}/change/",
        "admin_run": f"/admin/campaigns/run/{run.pk}/change/",
        "admin_runs": "/admin/campaigns/run/",
        "admin_batches": "/admin/campaigns/batch/",
        "admin_events": "/admin/campaigns/rawevent/",
    }
    for _ in range(3):
        for name, path in pages.items():
            with counted(costs, name):
                answer = browser.get(path)
            assert answer.status_code == 200, (path, answer.status_code)
        with counted(costs, "explain"), redirect_stdout(io.StringIO()):
            call_command("explain", str(one.pk))
        with counted(costs, "totals"):
            reports.report(run)


def _housekeeping(costs: Costs) -> None:
    """What runs by itself, all the time."""
    work: dict[str, Callable[[], object]] = {
        "end_leases": lambda: recovery.end_leases(database.now()),
        "half_made_runs": lambda: recovery.half_made_runs(database.now()),
        "settle_unknowns": lambda: recovery.settle_unknowns(database.now()),
        "settle_runs": lambda: recovery.settle_runs(database.now()),
        "forget": lambda: recovery.forget(database.now()),
        "collect": lambda: notifications.collect(database.now()),
        "claim_nothing": world.hand_out,
        "events_nothing": receipts.apply_events,
        "tidy_stops": lambda: replies.tidy_stops(database.now()),
        "backlogs": lambda: [list(check()) for name, check in backlog.CHECKS.items() if name != "duplicates"],
    }
    for _ in range(3):
        for name, do in work.items():
            with counted(costs, name):
                do()


def standing_audit(costs: Costs) -> None:
    """The doctor's look for duplicates."""
    with counted(costs, "duplicates"):
        list(backlog.CHECKS["duplicates"]())


def both(client: Client, names: tuple[str, str], rounds: int, say) -> dict[str, Costs]:
    """Work in the two databases, turn by turn; the first round warms up and is not counted."""
    found = {name: Costs(Cost) for name in names}
    world.lose_redis()  # it is new, and nothing went out before: rates need not wait
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(ALLOWED_HOSTS=["*"], STORAGES={**settings.STORAGES, "staticfiles": plain}):
        for number in range(rounds + 1):
            for name in names:
                use(name)
                one_round(client, found[name] if number else Costs(Cost), number)
                standing_audit(found[name] if number else Costs(Cost))
            say(f"round {number} of {rounds} is done")
    return found
