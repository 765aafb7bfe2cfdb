"""What a scenario plays with: clients and runs, the processes, instants to act at, and the end to wait for."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from campaigns import launch as launching
from campaigns import tasks
from campaigns.models import Dispatch, Run
from campaigns.states import EARLY, State
from providers.models import ProviderAccount, Sender
from smsplatform.common import database
from smsplatform.common.database import rows
from tests import ground
from tests.chaos.audit import Expected
from tests.clocks import awake_zone
from tests.ground import Client, Ground, wait_for

WORKERS = ("worker-sql/1", "worker-sql/2", "worker-http/1", "worker-http/2")
ALL_WORKERS = (*WORKERS, "worker-urgent")
BASE = ("simulator", "web", *ALL_WORKERS, "beat")
CONCURRENCY = 16  # requests in the air, per child of worker-http
CHILDREN = 4  # of worker-http
IN_AIR = CONCURRENCY * CHILDREN  # most that one worker-http may leave in doubt
LATENCY = {"uniform": [30, 200]}
REPORTS = {"delay_ms": {"uniform": [50, 300]}}
_REST = 0.8  # seconds without work after which nothing more is to come


class Play:
    """One scenario's stage. `people` is how many the scenario should text in all."""

    def __init__(self, floor: Ground, place: Path, name: str, people: int, seed: str, *, short: bool) -> None:
        self.floor = floor
        self.place = place
        self.name = name
        self.people = people
        self.short = short
        self.random = Random(seed)
        self.expected = Expected()
        self._clients = itertools.count(1)
        self._accounts_of: dict[int, tuple[str, ...]] = {}
        self.odd: set[str] = set()  # workers that were started with orders of their own
        self.notes: dict[str, object] = {}
        self.flaws: list[str] = []
        self.last_seen: dict[str, int] = {}

    # -- who and what -------------------------------------------------------------------------------------------

    def client(
        self, people: int | None = None, *, rate: float = 120, timeout: float = 5, script: dict | None = None, **brand
    ) -> Client:
        """A client whose account at the simulator follows the script; nobody reports unless it says so."""
        made = ground.make_client(
            f"{self.name}-{next(self._clients)}",
            self.people if people is None else people,
            base_url=self.floor.simulator.url,
            rate=rate,
            concurrency=CONCURRENCY,
            timeout=timeout,
            zone=awake_zone(),
            **brand,
        )
        self.tell(made, **(script or {}))
        return made

    def spare(self, client: Client, *, rate: float = 120, timeout: float = 5, **script: object) -> str:
        """A second account for the client's brand, for when the first cannot be used; return its name at the simulator."""
        name = f"{client.slug}-spare"
        account = ProviderAccount(
            tenant_id=client.tenant_id, name="spare", provider="simulator", base_url=self.floor.simulator.url,
            segments_per_second=rate, concurrency=CONCURRENCY, timeout=timeout,
        )  # fmt: skip
        account.set_credentials({"token": name, "webhook_secret": "secret"})
        account.save()
        Sender.objects.create(
            tenant_id=client.tenant_id, brand_id=client.brand_id, account=account, position=1,
            address=f"+1877{5_000_000 + client.tenant_id:07d}",
        )  # fmt: skip
        self.floor.simulator.ask(
            "PUT", f"/_control/accounts/{name}", {"secret": "secret", "latency_ms": LATENCY, "receipts": None, **script}
        )
        return name

    def tell(self, client: Client, **script: object) -> None:
        """Tell the client's account how to behave from now on."""
        key = ProviderAccount.objects.get(pk=client.account_id).key
        told = {
            "secret": "secret",
            "latency_ms": LATENCY,
            "receipts": None,
            "inbound_url": f"{os.environ['PUBLIC_URL']}/webhooks/simulator/{key}/inbound",
            "webhooks": {"retry_for_seconds": 60},
            **script,
        }
        self.floor.simulator.ask("PUT", f"/_control/accounts/{client.slug}", told)

    def launch(self, client: Client, key: str = "1", *, by_task: bool = False, **options) -> Run:
        """Launch to all people of the client."""
        run = ground.launch(client, key, **options)
        self.expected.people[run.pk] = client.people
        self._accounts_of[run.pk] = (client.slug, f"{client.slug}-spare")
        if by_task:
            tasks.start_materialising(run.pk)
        else:
            launching.materialise(run.pk)
        return run

    # -- processes ----------------------------------------------------------------------------------------------

    def give_orders(self, names: Sequence[str], orders: dict[str, str]) -> None:
        """Start workers again, with orders to harm themselves."""
        for name in names:
            self.floor.kill(name)  # before the launch: nobody is at work
        self.floor.start(*names, **orders)
        self.odd.update(names)

    def kill(self, name: str) -> None:
        """kill -9; what it had in the air is in doubt. Then a new one."""
        self.floor.kill(name)
        self.floor.start(name)
        if name.startswith("worker-http"):
            self.expected.doubt += IN_AIR

    def revive(self, orders: dict[str, str] | None = None) -> list[str]:
        """Start again what has ended; return what that was."""
        ended = [name for name, process in self.floor.running.items() if process.poll() is not None]
        for name in ended:
            self.floor.running.pop(name)
        self.floor.start(*ended, **(orders or {}))
        return ended

    def stop_flood(self, client: Client, count: int) -> None:
        """People of the second half of the list text STOP, through webhooks that our web process answers."""
        numbers = [f"+1212{n:07d}" for n in range(client.people // 2, client.people + 1)]
        sender = Sender.objects.get(account_id=client.account_id).address
        for number in self.random.sample(numbers, min(count, len(numbers))):
            body = {"account": client.slug, "from": number, "to": sender, "text": "STOP"}
            self.floor.simulator.ask("POST", "/_control/inbound", body)

    def stand_still(self, run: Run, seconds: float) -> None:
        """Pause a run, watch that no more goes out than was in the air, and resume it."""
        launching.pause(run, now=database.now(), actor="chaos")
        closed_at = self._watch_ending(run)
        posts = self.posts(run)
        self.pause(seconds)
        if (more := self.posts(run) - posts) > 0:
            self.flaws.append(f"{more} posts while the run was paused and nothing in the air")
        self.expected.fences.append((run.pk, closed_at, database.now()))
        launching.resume(run, now=database.now(), actor="chaos")

    def cancel(self, run: Run) -> None:
        launching.cancel(run, now=database.now(), actor="chaos")
        closed_at = self._watch_ending(run)
        self.expected.fences.append((run.pk, closed_at, closed_at + timedelta(days=1)))

    def _watch_ending(self, run: Run) -> datetime:
        """Wait until what is in the air has landed; return the instant from which nothing may be claimed."""
        closed_at, posts = database.now(), self.posts(run)
        sending = Dispatch.objects.of_run(run.pk).filter(state=State.SENDING)
        in_air = sending.count()
        wait_for(lambda: not sending.exists(), "the requests in the air")
        # A claim may have been committing as the fence closed: a slice per child.
        if (more := self.posts(run) - posts) > in_air + 2 * IN_AIR:
            self.flaws.append(f"{more} posts after the fence closed, {in_air} were in the air")
        return closed_at

    # -- time ---------------------------------------------------------------------------------------------------

    def posts(self, run: Run) -> int:
        """How many requests came from the run's client: others' go on while it stands still."""
        told = self.floor.simulator.ledger()["accounts"]
        return sum(told.get(name, {}).get("posts", 0) for name in self._accounts_of[run.pk])

    def progress(self) -> float:
        """The share of all people that has left the waiting states."""
        waiting = self.steadily(lambda: self._of_runs().filter(state__in=EARLY).count())
        return 1 - waiting / max(sum(self.expected.people.values()), 1)

    def until(self, share: float, seconds: float = 60) -> None:
        """Wait until this share of the people is on its way."""
        wait_for(lambda: self.progress() >= share, f"{share:.0%} of {self.name}", seconds=seconds)

    def while_it_lasts(
        self, low: float, high: float, *, until: float = 0.9, times: int = 1000, seconds: float = 60
    ) -> Iterator[int]:
        """Yield at random instants, `low` to `high` seconds apart, until most people are on their way."""
        deadline = time.monotonic() + seconds
        turn = 0
        while turn < times and self.progress() < until and time.monotonic() < deadline:
            yield turn
            turn += 1
            self.pause(self.random.uniform(low, high))

    def pause(self, seconds: float) -> None:
        """Let the scenario run on for a while: the length is the fault's, nothing is waited for."""
        time.sleep(seconds)

    def finish(self, seconds: float = 120) -> None:
        """Wait until everything has come to rest, and stayed so for a moment."""
        rested_since: list[float] = []

        def is_over() -> bool:
            self.revive()
            if self.steadily(self._busy):
                rested_since.clear()
                return False
            rested_since.append(time.monotonic())
            return rested_since[-1] - rested_since[0] > _REST

        wait_for(is_over, f"the end of {self.name}", seconds=seconds, every=0.2)

    def steadily(self, ask: Callable[[], object]):
        """Ask the database, again where it is away."""
        for _ in range(600):
            try:
                return ask()
            except (DatabaseError, InterfaceError):
                connection.close()
                time.sleep(0.05)
        raise ground.GroundFailed("the database stays away")

    def _busy(self) -> str:
        """Name what still moves, or nothing."""
        [(unmade, leased, working, waiting, events, stops, open_batches)] = rows(
            """
            SELECT (SELECT count(*) FROM campaigns_run WHERE id = ANY(%(runs)s) AND materialised_at IS NULL),
              (SELECT count(*) FROM campaigns_batch WHERE run_id = ANY(%(runs)s) AND phase = 'leased'),
              (SELECT count(*) FROM campaigns_dispatch WHERE run_id = ANY(%(runs)s) AND state = ANY(%(busy)s)),
              (SELECT count(*) FROM campaigns_dispatch WHERE run_id = ANY(%(runs)s) AND state = 'held'
                 AND NOT reason = ANY(%(fates)s)),
              (SELECT count(*) FROM campaigns_rawevent WHERE applied_at IS NULL),
              (SELECT count(*) FROM campaigns_reply WHERE is_opt_out AND tidied_at IS NULL),
              (SELECT count(*) FROM campaigns_batch WHERE run_id = ANY(%(runs)s) AND phase <> 'closed'
                     AND due_at < now() + interval '1 minute')
            """,
            {
                "runs": list(self.expected.people),
                "busy": [*EARLY, State.SENDING],
                "fates": list(self.expected.fates),
            },
        )
        webhooks = self.floor.simulator.ledger()["webhooks"]
        found = {
            "unmade": unmade,
            "leased": leased,
            "working": working,
            "held": waiting,
            "events": events,
            "stops": stops,
            "batches": open_batches,
            "hooks": webhooks["events"] - webhooks["answered"] - webhooks["given_up"],
        }
        self.last_seen = found
        return ", ".join(name for name, number in found.items() if number)

    def _of_runs(self):
        return Dispatch.objects.filter(run_id__in=list(self.expected.people))

    def struck(self, client: Client) -> dict[str, int]:
        """How often which of its faults struck the client."""
        return self.floor.simulator.ledger()["accounts"].get(client.slug, {}).get("faults", {})

    def freeze(self, *names: str) -> None:
        for name in names:
            self.floor.signal(name, signal.SIGSTOP)

    def thaw(self, *names: str) -> None:
        for name in names:
            self.floor.signal(name, signal.SIGCONT)


def horizon(client_timeout: float) -> float:
    """Seconds after a claim in which its answer must have come."""
    return settings.POST_WITHIN.total_seconds() + client_timeout + settings.HORIZON_MARGIN.total_seconds()
