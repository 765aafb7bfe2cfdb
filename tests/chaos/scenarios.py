"""The scenarios: each breaks one thing while a campaign goes out, and says which ends it expects.

What is not expected is a flaw: rows in doubt where nothing was in the air, or a person who is not texted for a reason
that the scenario does not name.
"""

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.test import override_settings

from campaigns import reports, scheduling
from campaigns.leases import LeaseLost
from campaigns.models import Dispatch, Recipient, Reply
from campaigns.pipeline import PIPELINE
from campaigns.states import EARLY, State
from compliance import policy
from compliance.models import Suppression
from providers.models import AccountHealth
from smsplatform.common import database
from tests.chaos import faults, texts, worker
from tests.chaos.play import ALL_WORKERS, CONCURRENCY, IN_AIR, REPORTS, WORKERS, Play, horizon
from tests.ground import Client, wait_for

Act = Callable[[Play], None]
DAILY_CAP, PERSON_CAP = str(policy.DAILY_CAP), str(policy.PERSON_CAP)
CANCELLED, STOPPED = str(policy.CANCELLED), str(policy.SUPPRESSED_BRAND)


STAGE_ERROR = "stage_error"
RETRIED_OUT = "retries_exhausted"


@dataclass(frozen=True)
class Scenario:
    """One act; `people` in the full form and in the short one (0: not in it)."""

    number: int
    name: str
    act: Act
    people: int
    short: int

    @property
    def what(self) -> str:
        return (self.act.__doc__ or "").strip().split("\n")[0].rstrip(".")


SCENARIOS: dict[str, Scenario] = {}


def scenario(*, people: int = 1000, short: int = 0) -> Callable[[Act], Act]:
    """Enter the function as a scenario; its name is the scenario's, in the order of the file."""

    def enter(act: Act) -> Act:
        name = act.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(len(SCENARIOS) + 1, name, act, people, short)
        return act

    return enter


# -- processes --------------------------------------------------------------------------------------------------------


@scenario(people=1200)
def random_kills(play: Play) -> None:
    """kill -9 of random workers every few seconds, under a daily cap."""
    play.expected.fates.add(DAILY_CAP)
    play.launch(play.client(timeout=2, rate=80, daily_cap=play.people * 9 // 10))
    for _ in play.while_it_lasts(1.5, 4, until=0.85):
        play.kill(play.random.choice(WORKERS))


@scenario(people=1000, short=400)
def deaths_in_the_pipeline(play: Play) -> None:
    """kill -9 of a child at every border of a stage and inside `send` at each of its steps."""
    _die(play, (*worker.BORDERS, *worker.STEPS), whole=False)


@scenario(people=800)
def deaths_of_senders(play: Play) -> None:
    """kill -9 of a whole sending worker, with its other children, at each step of `send`."""
    _die(play, ("before send", *worker.STEPS, "after send"), whole=True)


def _die(play: Play, points: tuple[str, ...], *, whole: bool) -> None:
    marks = play.place / "marks" / play.name
    marks.mkdir(parents=True)
    orders = worker.orders(marks=marks, points=points, whole=whole)
    play.give_orders(WORKERS, orders)
    play.launch(play.client(timeout=3, rate=100))
    # At each of these, rows of an earlier slice may be in the air; with the whole worker, those of its other children.
    play.expected.doubt += len(points) * IN_AIR if whole else len(worker.STEPS) * CONCURRENCY
    for _ in play.while_it_lasts(0.2, 0.4, until=1):
        play.revive(orders)
    play.finish()
    missed = {point.replace(" ", "-") for point in points} - {mark.name for mark in marks.iterdir()}
    play.flaws += [f"nobody died {point}" for point in sorted(missed)]


# -- Redis ------------------------------------------------------------------------------------------------------------


@scenario()
def flushall(play: Play) -> None:
    """FLUSHALL again and again: no message, token or lock of Redis survives."""
    play.expected.fates.add(DAILY_CAP)
    play.launch(play.client(rate=80, daily_cap=play.people - 50), by_task=True)
    faults.flush_redis()
    for _ in play.while_it_lasts(4, 8):
        faults.flush_redis()


@scenario()
def redis_restart(play: Play) -> None:
    """Redis killed and started again on its port, with tasks in flight."""
    play.launch(play.client(rate=80, script={"latency_ms": {"uniform": [200, 1200]}}))
    for _ in play.while_it_lasts(4, 7, times=3):
        faults.restart("redis", signal.SIGKILL, down=play.random.uniform(0, 1.5))


# -- Postgres ---------------------------------------------------------------------------------------------------------


@scenario(people=1000, short=400)
def postgres_restart(play: Play) -> None:
    """Postgres restarted fast (SIGINT) and immediately (SIGQUIT), on its port."""
    client = play.client(rate=80, script={"receipts": REPORTS})
    play.launch(client)
    play.until(0.1)
    for turn in play.while_it_lasts(6, 9, times=2 if play.short else 4):
        faults.restart("postgres", (signal.SIGINT, signal.SIGQUIT)[turn % 2], down=play.random.uniform(0, 1))


@scenario(people=1000)
def ended_connections(play: Play) -> None:
    """Sessions of Postgres ended at random (pg_terminate_backend), whatever they are doing."""
    play.launch(play.client(rate=80))
    for _ in play.while_it_lasts(0.2, 0.8, until=0.95):
        play.steadily(lambda: faults.end_connections(play.random))


@scenario(people=800)
def disk_full(play: Play) -> None:
    """Postgres refuses every write to the hot tables for seconds, as with a full disk (SQLSTATE 53100)."""
    play.launch(play.client(rate=60, script={"receipts": REPORTS}))
    play.until(0.1)
    for _ in play.while_it_lasts(3, 6, times=3):
        with faults.full_disk():
            play.pause(play.random.uniform(2, 5))


# -- doing it twice ---------------------------------------------------------------------------------------------------


@scenario(people=1000)
def broker_replays(play: Play) -> None:
    """Every message of the broker is delivered twice, and all of them again later; people are capped at one message."""
    play.expected.fates.add(PERSON_CAP)
    client = play.client(play.people // 2, rate=60, person_cap=1)
    echo = faults.Echo()
    for key in ("first", "second"):
        play.launch(client, key)
    for _ in play.while_it_lasts(0.02, 0.05, until=0.95):
        echo.copy()
    echo.repeat()
    play.notes["messages replayed"] = echo.copied


@scenario(people=1000)
def beats(play: Play) -> None:
    """Three beats at once, one of them killed; two campaigns to the same people, who are capped at one message."""
    play.expected.fates.add(PERSON_CAP)
    play.floor.start("beat/2", "beat/3")
    client = play.client(play.people // 2, rate=60, person_cap=1)
    for key in ("first", "second"):
        play.launch(client, key, by_task=True)
    play.until(0.2)
    play.kill(play.random.choice(("beat", "beat/2", "beat/3")))


@scenario(people=1200)
def claimers(play: Play) -> None:
    """30 more claimers race for batches and run the chains themselves, under a daily cap and a cap per person."""
    play.expected.fates.update((DAILY_CAP, PERSON_CAP))
    client = play.client(play.people // 2, rate=200, person_cap=1, daily_cap=play.people // 2 - 60)
    for key in ("first", "second"):
        play.launch(client, key)
    leases: list[tuple[int, int]] = []

    def claim() -> None:
        while play.progress() < 0.95:
            with transaction.atomic():
                leased = scheduling.claim_due_batches("bulk", database.now())
            leases.extend((batch.batch_id, batch.lease) for batch in leased)
            for batch in leased:
                with contextlib.suppress(LeaseLost):
                    for stage in PIPELINE:
                        stage.run(batch.batch_id, batch.lease)

    faults.together([claim] * 30)
    twice = [lease for lease, times in Counter(leases).items() if times > 1]
    play.flaws += [f"batch {batch} was leased twice under number {number}" for batch, number in twice]
    play.notes["claimed by them"] = len(leases)


# -- stops and pauses -------------------------------------------------------------------------------------------------


@scenario(people=1000)
def replaced_workers(play: Play) -> None:
    """SIGTERM to all workers in full flight, while new ones take over."""
    play.launch(play.client(rate=60))
    old, new = WORKERS, tuple(f"{name}-new" for name in WORKERS)
    for _ in play.while_it_lasts(2, 3, times=2):
        play.floor.start(*new)
        play.pause(2)
        play.floor.stop(*old, seconds=65)
        old, new = new, old


@scenario(people=1000)
def frozen_workers(play: Play) -> None:
    """Workers stopped (SIGSTOP) past their leases and past the horizon of their attempts, then let go on."""
    timeout = 1.0
    play.launch(play.client(timeout=timeout, rate=50))
    for _ in play.while_it_lasts(2, 4, times=2, until=0.8):
        frozen = [play.random.choice([name for name in WORKERS if kind in name]) for kind in ("http", "sql")]
        play.freeze(*frozen)
        play.expected.doubt += IN_AIR
        play.pause(max(horizon(timeout), settings.LEASE.total_seconds()) + 2)
        play.thaw(*frozen)


@scenario(people=1000)
def pause_and_resume(play: Play) -> None:
    """The run paused and resumed in full flight, twice."""
    run = play.launch(play.client(rate=60))
    for share in (0.2, 0.6):
        play.until(share)
        play.stand_still(run, 3)


@scenario(people=1000, short=300)
def cancelled(play: Play) -> None:
    """The run cancelled in full flight."""
    play.expected.fates.add(CANCELLED)
    run = play.launch(play.client(rate=60, daily_cap=play.people))
    play.until(0.3)
    play.cancel(run)


@scenario(people=1000, short=500)
def stop_flood(play: Play) -> None:
    """Hundreds of people text STOP while their messages go out."""
    play.expected.fates.add(STOPPED)
    client = play.client(rate=60, script={"receipts": REPORTS, "stops": {"share": 0.05, "delay_ms": 100}})
    play.launch(client)
    play.until(0.1)
    play.stop_flood(client, play.people // 3)


# -- the provider -----------------------------------------------------------------------------------------------------


def _two_clients(play: Play, *rules: dict, timeout: float = 5) -> Client:
    """Launch for two clients with these faults, of whom only the second gets reports; return the first."""
    first, second = (
        play.client(play.people // 2, rate=40, timeout=timeout, script={"faults": rules, "receipts": receipts})
        for receipts in (None, REPORTS)
    )
    play.launch(first)
    play.launch(second)
    return first


@scenario(people=1000)
def accept_then_drop(play: Play) -> None:
    """The provider takes messages and drops the connection: in doubt, until a report settles it."""
    client = _two_clients(play, {"fault": "accept_then_drop", "probability": 0.1})
    play.finish()
    play.expected.doubt = play.struck(client)["accept_then_drop"]


@scenario(people=800)
def resets(play: Play) -> None:
    """The provider resets connections before and after reading; nothing was taken, but nobody can know."""
    client = play.client(rate=60, script={"faults": [
        {"fault": "reset_before_read", "probability": 0.08}, {"fault": "reset_after_read", "probability": 0.04},
    ]})  # fmt: skip
    play.launch(client)
    play.finish()
    play.expected.doubt = sum(play.struck(client).values())


@scenario(people=1000)
def storm_of_429(play: Play) -> None:
    """The provider answers 429 to everybody for seconds, then to some."""
    rules = [{"fault": "rate_limited", "between": [1, 4]}, {"fault": "rate_limited", "probability": 0.1}]
    play.expected.fates.add(RETRIED_OUT)
    play.launch(play.client(rate=60, script={"faults": rules}))


@scenario(people=1000)
def storm_of_5xx(play: Play) -> None:
    """The provider answers 503 to everybody for seconds, and 502 to some whom it has texted."""
    rules = [
        {"fault": "error", "status": 503, "between": [2, 4]},
        {"fault": "html", "status": 502, "taken": True, "probability": 0.05},
    ]
    client = play.client(rate=60, script={"faults": rules, "receipts": REPORTS})
    play.launch(client)
    play.finish()
    play.expected.doubt = play.struck(client).get("error", 0)


@scenario(people=800)
def slow_answers(play: Play) -> None:
    """Answers that take longer than the account's patience, and some that just do not."""
    timeout = 2.0
    client = _two_clients(
        play,
        {"fault": "slow", "seconds": timeout * 1.6, "probability": 0.05},
        {"fault": "slow", "seconds": timeout * 0.75, "probability": 0.2},
        timeout=timeout,
    )
    play.finish()
    play.expected.doubt = play.struck(client)["slow"]


def _with_neighbour(play: Play, *rules: dict, spare: bool = True) -> tuple[Client, float]:
    """Launch for a client whose provider has these faults, and for one next door; return the first, and the other's time."""
    sick = play.client(play.people // 2, rate=60, timeout=2, script={"faults": list(rules)})
    neighbour = play.client(play.people // 2, rate=60)
    if spare:
        play.spare(sick)
    play.launch(sick)
    run = play.launch(neighbour)
    began = time.monotonic()
    others = Dispatch.objects.of_run(run.pk)
    wait_for(lambda: not others.filter(state__in=(*EARLY, State.SENDING)).exists(), "the neighbour", seconds=60)
    seconds = time.monotonic() - began
    fastest = neighbour.people / 60
    play.notes["the neighbour took"] = f"{seconds:.0f} s, {fastest:.0f} at best"
    if seconds > fastest * 1.5 + 5 or others.exclude(state=State.ACCEPTED).exists():
        play.flaws.append(f"the neighbour was harmed: {seconds:.0f} s, {reports.totals(run.pk)}")
    return sick, seconds


def _switches(play: Play, client: Client, most: int) -> None:
    """The breaker has switched, and not more often than it may in an hour."""
    health = AccountHealth.objects.filter(account_id=client.account_id).first()
    number = len(health.switches) if health else 0
    play.notes["switches"] = number
    if not 1 <= number <= most:
        play.flaws.append(f"the breaker switched {number} times, expected 1 to {most}")


@scenario(people=1400)
def brown_out(play: Play) -> None:
    """A provider of which most answers are bad for a while: the other account takes over, at most two switches."""
    client, _ = _with_neighbour(play, {"fault": "html", "status": 502, "probability": 0.6, "between": [2, 25]})
    play.finish()
    play.expected.doubt = play.struck(client).get("html", 0)
    if play.expected.doubt > 60:
        play.flaws.append(f"{play.expected.doubt} in doubt before the breaker opened")
    _switches(play, client, most=2)


@scenario(people=1400)
def flapping(play: Play) -> None:
    """A provider that is away and there again every few seconds."""
    rules = [{"fault": "unauthorized", "between": [start, start + 4]} for start in range(2, 60, 8)]
    client, _ = _with_neighbour(play, *rules)
    play.finish()
    _switches(play, client, most=2)


@scenario(people=1000)
def total_outage(play: Play) -> None:
    """The only provider of a client refuses everything, then comes back: all wait, nobody is lost, the canaries find out."""
    play.expected.fates.add(RETRIED_OUT)
    client, _ = _with_neighbour(play, {"fault": "unauthorized", "between": [2, 15]}, spare=False)
    play.finish(seconds=150)
    _switches(play, client, most=2)


@scenario(people=400)
def inbound_burst(play: Play) -> None:
    """20,000 people text in within seconds while all workers are down; vendors repeat some; then it is processed."""
    count = play.people * 50
    play.expected.fates.add(STOPPED)
    client = play.client()
    run = play.launch(client)
    play.floor.stop(*ALL_WORKERS, "beat")
    bodies = texts.bodies(client, count, play.random)
    began = time.monotonic()
    statuses = texts.post(play.place / f"{play.name}.jsonl", bodies)
    play.notes["texts a second"] = f"{sum(statuses.values()) / (time.monotonic() - began):,.0f}"
    play.notes["answered"] = ", ".join(f"{status}: {number:,}" for status, number in sorted(statuses.items()))
    if set(statuses) != {"204"}:
        play.flaws.append(f"answers were {statuses}")
    replies = Reply.objects.filter(tenant_id=client.tenant_id)
    stops = sum(text == "STOP" for text in texts.of(bodies).values())
    suppressed = Suppression.objects.filter(brand_id=client.brand_id, reason="opt_out").count()
    if (replies.count(), suppressed) != (count, stops):
        play.flaws.append(f"{replies.count():,} of {count:,} replies and {suppressed} of {stops} opt-outs are stored")
    began = time.monotonic()
    play.floor.start(*ALL_WORKERS, "beat")
    play.finish(seconds=180)
    play.notes["processed in"] = f"{time.monotonic() - began:.0f} s"
    texted = Dispatch.objects.of_run(run.pk).filter(accepted_at__isnull=False).values_list("number", flat=True)
    wrong = set(texted) & {number for number, text in texts.of(bodies).items() if text == "STOP"}
    if wrong:
        play.flaws.append(f"{len(wrong)} were texted although they had texted STOP")


# -- the machine ------------------------------------------------------------------------------------------------------


@scenario(people=1000)
def wrong_clocks(play: Play) -> None:
    """Workers whose wall clock is wrong, or jumps by minutes and hours, before and during the run."""
    clocks = {name: play.place / f"clock-{name.replace('/', '-')}" for name in WORKERS}
    for name, path in clocks.items():
        path.write_text("0")
        play.give_orders([name], worker.orders(clock=path))
    clocks["worker-http/1"].write_text("600")
    clocks["worker-sql/1"].write_text("-600")
    play.launch(play.client(rate=50))
    jumps = (7200, 0, -300, 0, 20, 0, -86400, 0)
    for turn in play.while_it_lasts(1, 2.5):
        clocks["worker-http/2"].write_text(str(jumps[turn % len(jumps)]))
        clocks["worker-sql/2"].write_text(str(jumps[(turn + 3) % len(jumps)]))
    for path in clocks.values():
        path.write_text("0")


@scenario(people=600)
def poison(play: Play) -> None:
    """Two people whose texts kill the process that renders them: they end dead, everybody else is texted."""
    play.give_orders(WORKERS, worker.orders(poison=True))
    client = play.client(rate=100)
    victims = sorted(play.random.sample(range(1, client.people + 1), 2))
    numbers = [f"+1212{n:07d}" for n in victims]
    rename = {"fields": {"first_name": worker.POISON}}
    Recipient.objects.filter(tenant_id=client.tenant_id, number__in=numbers).update(**rename)
    play.expected.fates.add(STAGE_ERROR)
    with override_settings(BATCH_SIZE=4):
        run = play.launch(client)
    play.finish(seconds=150)
    dead = set(Dispatch.objects.of_run(run.pk).filter(reason=STAGE_ERROR).values_list("number", flat=True))
    if dead != set(numbers):
        play.flaws.append(f"dead are {sorted(dead)}, the poison was {numbers}")


@scenario(people=2000)
def everything(play: Play) -> None:
    """All of it at once: a bad provider, kills, flushes, restarts, ended sessions, a full disk, replays, STOPs, pauses."""
    play.expected.fates.update((DAILY_CAP, STOPPED, RETRIED_OUT))
    rules = [
        {"fault": name, "probability": 0.01}
        for name in ("accept_then_drop", "reset_before_read", "reset_after_read", "garbled", "rate_limited")
    ]
    reports = {**REPORTS, "lost": 0.02, "duplicated": 0.1, "out_of_order": 0.1, "undelivered": 0.05}
    script = {"faults": rules, "receipts": reports, "stops": {"share": 0.02, "delay_ms": 200}}
    clients = [
        play.client(play.people // 2, timeout=2, rate=40, script=script, daily_cap=play.people // 2 - 100)
        for _ in range(2)
    ]
    runs = [play.launch(client) for client in clients]
    play.floor.start("beat/2")
    echo = faults.Echo()

    def kill() -> None:
        play.kill(play.random.choice(WORKERS))

    def freeze() -> None:
        name = play.random.choice(WORKERS)
        play.freeze(name)
        play.pause(3)
        play.thaw(name)

    def fill_disk() -> None:
        with faults.full_disk():
            play.pause(2)

    def restart_postgres() -> None:
        faults.restart("postgres", play.random.choice((signal.SIGINT, signal.SIGQUIT)))

    def restart_redis() -> None:
        faults.restart("redis", signal.SIGKILL)

    acts = [kill, freeze, fill_disk, restart_postgres, restart_redis, faults.flush_redis, echo.copy, echo.repeat,
            lambda: faults.end_connections(play.random), lambda: play.stop_flood(clients[0], 20),
            lambda: play.stand_still(runs[1], 1)]  # fmt: skip
    for _ in play.while_it_lasts(1, 3, until=0.95, seconds=90):
        play.steadily(play.random.choice(acts))
    play.finish(seconds=180)
    play.expected.doubt += sum(sum(play.struck(client).values()) for client in clients) + IN_AIR
