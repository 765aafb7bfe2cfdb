"""How long things wait: a small tenant behind a huge one, what is due in time, and everybody after a catastrophe."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from campaigns import notifications, tasks
from campaigns.models import Campaign, Dispatch, ListMember, RecipientList, Run
from campaigns.states import State
from smsplatform.common import database, redis
from smsplatform.common.database import rows
from smsplatform.tenancy.models import Brand
from tests import ground
from tests.bench.frame import Bench, Figures, Measure, percentile
from tests.ground import Client, GroundFailed

WORKERS = ("worker-sql", "worker-http", "worker-urgent")
SINGLES = 10
LATENCY_MS = 30
WINDOW = 2.0  # seconds over which a rate is told
FORMER = 0.7  # a rate counts as the former one from this share of it


# -- behind a huge tenant -------------------------------------------------------------------------------------------


def _fairness(bench: Bench) -> Figures:
    ground.clear()
    people = bench.size(1_000_000, 100_000)
    _start(bench)
    bench.say(f"a tenant with {people:,} people launches")
    giant = ground.make_client("giant", people, base_url=bench.ground.simulator.url)
    small = ground.make_client("small", SINGLES, base_url=bench.ground.simulator.url)
    run = _materialised(ground.launch(giant))
    ground.wait_for(lambda: _accepted(run) > 500, "the huge campaign to run")
    bench.say(f"{SINGLES} single messages and {SINGLES} campaigns to one person, of a small tenant")
    between = bench.size(3, 1)
    singles, campaigns = [], []
    for number in range(1, SINGLES + 1):
        time.sleep(between * 0.43)  # no multiple of beat's second
        singles.append(_single(bench, small, f"+1646{2_000_000 + number}"))
        time.sleep(between * 0.43)
        campaigns.append(_to_one_person(bench, small, number))
    if not Dispatch.objects.of_run(run.pk).in_state(State.QUEUED).exists():
        raise GroundFailed("the huge campaign was over too soon")
    return {
        "fairness_seconds": max(singles),
        "fairness_p50_seconds": percentile(singles, 0.5),
        "fairness_bulk_seconds": max(campaigns),
        "fairness_bulk_p50_seconds": percentile(campaigns, 0.5),
    }


def _single(bench: Bench, client: Client, number: str) -> float:
    """Send one message as a program would; return the seconds until the provider has taken it."""
    began = time.time()
    notifications.send(
        brand=Brand.objects.get(pk=client.brand_id), number=number, text="Your code is 1234", now=database.now()
    )
    tasks.collect.delay()
    return _taken_at(bench, client, number) - began


def _to_one_person(bench: Bench, client: Client, number: int) -> float:
    """Launch a campaign to one person; return the seconds until the provider has taken it."""
    member = ListMember.objects.filter(list_id=client.list_id).order_by("recipient_id")[number - 1]
    alone = RecipientList.objects.create(tenant_id=client.tenant_id, name=f"only {number}")
    ListMember.objects.create(tenant_id=client.tenant_id, list=alone, recipient_id=member.recipient_id)
    began = time.time()
    run = ground.launch(Client(**{**vars(client), "list_id": alone.pk}), f"to {number}")
    tasks.start_materialising(run.pk)
    return _taken_at(bench, client, member.recipient.number) - began


def _taken_at(bench: Bench, client: Client, number: str) -> float:
    """Wait until the simulator has taken a message to this number; return when."""
    found: list[dict] = []

    def look() -> bool:
        path = f"/_control/ledger/messages?account={client.slug}&to={number.replace('+', '%2B')}"
        found[:] = bench.ground.simulator.ask("GET", path)["messages"]
        return bool(found)

    ground.wait_for(look, f"the message to {number}", every=0.05)
    return found[0]["at"]


# -- due in time ----------------------------------------------------------------------------------------------------


def _lateness(bench: Bench) -> Figures:
    ground.clear()
    waves = bench.size(60, 10)
    burst = bench.size(20_000, 3_000)
    _start(bench)
    client = ground.make_client("punctual", burst, base_url=bench.ground.simulator.url, person_cap=30_000)
    run = _materialised(ground.launch(client, "burst"))
    ground.wait_for(lambda: _accepted(run) == burst, "the burst", seconds=300)
    [(seconds,)] = rows(
        "SELECT extract(epoch FROM max(answered_at) - min(claimed_at))::float FROM campaigns_attempt WHERE account_id = %s",
        [client.account_id],
    )
    size = min(int(burst / seconds / 2), burst)
    bench.say(f"{burst / seconds:,.0f} messages a second at most; now {size:,} fall due every second, {waves} times")
    some = _some_of(client, size)
    begins = database.now() + timedelta(seconds=bench.size(30, 10))
    runs = [
        _materialised(
            ground.launch(some, f"wave {wave}", schedule=Campaign.Schedule.AT, send_at=begins + timedelta(seconds=wave))
        )
        for wave in range(waves)
    ]
    if database.now() > begins:
        raise GroundFailed("the waves were launched too slowly: the first were due before the last were ready")
    for each in runs:
        ground.wait_for(lambda each=each: _accepted(each) == size, "all waves", seconds=120)
    late = [
        seconds
        for each in runs
        for (seconds,) in rows(
            """
            SELECT extract(epoch FROM min(a.claimed_at) - d.due_at)::float
            FROM campaigns_dispatch d JOIN campaigns_attempt a ON a.dispatch_id = d.id
            WHERE d.run_id = %s AND d.id BETWEEN %s AND %s GROUP BY d.id, d.due_at
            """,
            [each.pk, database.key(each.pk, 0), database.key(each.pk + 1, 0)],
        )
    ]
    return {
        "lateness_p50_seconds": percentile(late, 0.5),
        "lateness_p99_seconds": percentile(late, 0.99),
        "lateness_at_per_s": size,
    }


def _some_of(client: Client, size: int) -> Client:
    """Return the client with a list of so many of its people."""
    some = RecipientList.objects.create(tenant_id=client.tenant_id, name=f"{size} people")
    database.execute(
        "INSERT INTO campaigns_listmember (tenant_id, list_id, recipient_id)"
        " SELECT tenant_id, %s, recipient_id FROM campaigns_listmember WHERE list_id = %s ORDER BY recipient_id LIMIT %s",
        [some.pk, client.list_id, size],
    )
    return Client(**{**vars(client), "list_id": some.pk, "people": size})


# -- after a catastrophe --------------------------------------------------------------------------------------------


def _recovery(bench: Bench) -> Figures:
    ground.clear()
    rate, watch = 400, bench.size(75, 30)
    lease = {} if not bench.is_short else {"LEASE_SECONDS": "10"}
    _start(bench, **lease)
    client = ground.make_client("phoenix", rate * (2 * watch + 45), base_url=bench.ground.simulator.url, rate=rate)
    run = _materialised(ground.launch(client))
    ground.wait_for(lambda: _accepted(run) > rate, "the campaign to run")

    def kill() -> None:
        for name in WORKERS:
            bench.ground.kill(name)
        bench.ground.start(*WORKERS, **lease)

    bench.say("kill -9 of all workers; new ones start at once")
    killed = _until_as_before(bench, kill, watch)
    bench.say("FLUSHALL")
    flushed = _until_as_before(bench, redis.client().flushall, watch)
    if bench.ground.simulator.ledger()["accepted_twice"]:
        raise GroundFailed("messages were taken twice")
    return {"recovery_kill_seconds": killed, "recovery_flush_seconds": flushed}


def _until_as_before(bench: Bench, break_it: Callable[[], object], watch: float) -> float:
    """Break something; return the seconds until messages are taken at the former rate again, and go on to be."""
    before = list(_rates(bench, 10))
    former = percentile([rate for _, rate in before], 0.5)
    began = time.monotonic()
    break_it()
    after = list(_rates(bench, watch))
    if after[-1][1] < former * FORMER:
        raise GroundFailed(f"{watch:g} s later it is {after[-1][1]:,.0f} a second; it was {former:,.0f}")
    low = [at for at, rate in after if rate < former * FORMER]
    return max(low, default=began) - began


def _rates(bench: Bench, seconds: float) -> Iterator[tuple[float, float]]:
    """Yield, a few times a second, the instant and how many messages a second were taken in the window before it."""
    seen: list[tuple[float, int]] = []
    until = time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        seen.append((now, bench.ground.simulator.ledger()["accepted"]))
        window = [each for each in seen if each[0] >= now - WINDOW]
        if seen[0][0] < now - WINDOW:
            yield now, (window[-1][1] - window[0][1]) / (window[-1][0] - window[0][0])
        time.sleep(0.2)


# -- shared ---------------------------------------------------------------------------------------------------------


def _start(bench: Bench, **env: str) -> None:
    """Start all that sends, and a provider that answers like a real one and reports nothing."""
    bench.ground.start("simulator")
    bench.ground.simulator.ask("PUT", "/_control/accounts/*", {"receipts": None, "latency_ms": LATENCY_MS})
    bench.ground.start(*WORKERS, "beat", **env)
    for name in WORKERS:
        bench.ground.wait_for_worker(name)


def _materialised(run: Run) -> Run:
    tasks.start_materialising(run.pk)
    ground.wait_for(
        lambda: Run.objects.filter(pk=run.pk).exclude(materialised_at=None).exists(), "the run", seconds=300
    )
    return run


def _accepted(run: Run) -> int:
    return Dispatch.objects.of_run(run.pk).in_state(State.ACCEPTED).count()


MEASURES = (
    Measure("fairness", "A small tenant behind a huge one", _fairness),
    Measure("lateness", "Batches that fall due every second, at half load", _lateness),
    Measure("recovery", "After kill -9 of all workers, and after FLUSHALL", _recovery),
)
