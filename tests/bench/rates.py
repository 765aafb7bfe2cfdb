"""Is a rate kept on the wire, whatever happens, and what does waiting for one cost?

The simulator counts the segments of every account and sender in any second, wherever the second starts; the posts
come from four worker processes of four children each.
"""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests import ground
from tests.bench.frame import Bench, Figures, Measure
from tests.ground import Client, wait_for

SENDERS = ("worker-http", "worker-http/2", "worker-http/3", "worker-http/4")
# 370 characters of GSM-7 are three segments.
THREE_SEGMENTS = "Three segments, said slowly. " * 12 + "Good bye, {{ first_name }}."


@dataclass
class Limit:
    """What one account or sender may do, and the most that the simulator saw within a second."""

    who: str
    segments_per_second: float
    peak: float

    @property
    def share(self) -> float:
        return self.peak / self.segments_per_second


def exact_over_workers(bench: Bench) -> Figures:
    """Run every case one after the other over the same four workers."""
    ground.clear()
    bench.ground.start("simulator", "worker-sql", *SENDERS, "beat")
    bench.ground.simulator.ask("DELETE", "/_control/ledger")
    _warm(bench)
    figures: dict[str, float] = {}
    worst = 0.0
    for case in (_one_account, _account_and_senders, _beside_another, _burst, _frozen_worker, _emptied_redis):
        limits, more = case(bench)
        for limit in limits:
            bench.say(
                f"{case.__name__.strip('_').replace('_', ' ')}: {limit.who} may {limit.segments_per_second:g}"
                f" a second, the most in any second was {limit.peak:g} ({limit.share:.1%})"
            )
        name = f"rate_peak_over_limit{case.__name__}"
        figures[name] = max(limit.share for limit in limits)
        figures.update(more)
        worst = max(worst, figures[name])
    return {"rate_peak_over_limit": worst, **figures}


def waiting_costs_nothing(bench: Bench) -> Figures:
    """Count statements and CPU seconds of a minute: idle, and with 50,000 messages on an account of 10 a second."""
    from smsplatform.common.database import execute

    ground.clear()
    execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    bench.ground.start("simulator", "worker-sql", *SENDERS, "beat")
    seconds = bench.size(60, 15)
    time.sleep(bench.size(15, 8))
    idle = _cost(bench, seconds)
    people = bench.size(50_000, 5_000)
    slow = ground.make_client("slow", people, base_url=bench.ground.simulator.url, rate=10)
    _script(bench, slow)
    _launch(slow)
    wait_for(lambda: _accepted(bench, slow) >= 50, "the slow account to be at work")
    time.sleep(bench.size(15, 5))
    before = _accepted(bench, slow)
    waiting = _cost(bench, seconds)
    sent = _accepted(bench, slow) - before
    minute = 60 / seconds
    bench.say(f"idle: {idle.statements * minute:.0f} statements and {idle.cpu * minute:.1f} CPU seconds a minute")
    bench.say(
        f"{people:,} waiting at 10 a second: {waiting.statements * minute:.0f} statements and"
        f" {waiting.cpu * minute:.1f} CPU seconds a minute, for {sent * minute:.0f} messages"
    )
    for calls, text in waiting.most[:12]:
        bench.say(f"  {calls * minute:8.0f} x {text}")
    return {
        "slow_account_statements_per_minute": waiting.statements * minute,
        "idle_statements_per_minute": idle.statements * minute,
        "slow_account_statements_per_message": (waiting.statements - idle.statements) / max(sent, 1),
        "slow_account_messages_per_minute": sent * minute,
        "slow_account_cpu_share": waiting.cpu / seconds,
        "idle_cpu_share": idle.cpu / seconds,
        "slow_account_cpu_ms_per_message": (waiting.cpu - idle.cpu) / max(sent, 1) * 1000,
    }


# -- cases ----------------------------------------------------------------------------------------------------------

Case = tuple[list[Limit], dict[str, float]]


def _one_account(bench: Bench) -> Case:
    """One account at 200 segments a second, texts of three segments."""
    client = _client(bench, "one", bench.size(2_000, 400), rate=200)
    _launch(client, text=THREE_SEGMENTS)
    seconds = _finish(bench, client, client.people)
    used = client.people * 3 / seconds / 200
    return _limits(bench, client, 200), {"rate_used_share": used}


def _account_and_senders(bench: Bench) -> Case:
    """Two brands share an account of 120 a second; one's sender may 100, the other's 60."""
    from providers.models import ProviderAccount, Sender
    from smsplatform.tenancy.models import Brand

    client = _client(bench, "shared", bench.size(1_500, 300), rate=120)
    first = Sender.objects.get(account_id=client.account_id)
    first.segments_per_second = 100
    first.save()
    brand = Brand.objects.get(pk=client.brand_id)
    other = Brand.objects.create(
        tenant_id=client.tenant_id, name="other", slug="other", zone=brand.zone, opens_at=brand.opens_at,
        closes_at=brand.closes_at, consent_kept=brand.consent_kept, consent_attested_by=brand.consent_attested_by,
        consent_attested_at=brand.consent_attested_at, consent_attestation=brand.consent_attestation,
    )  # fmt: skip
    account = ProviderAccount.objects.get(pk=client.account_id)
    second = Sender.objects.create(
        tenant_id=client.tenant_id, brand=other, account=account, address=first.address[:-3] + "999",
        segments_per_second=60,
    )  # fmt: skip
    _launch(client)
    _launch(Client(client.slug, client.tenant_id, other.pk, account.pk, client.list_id, client.people), key="2")
    _finish(bench, client, client.people * 2)
    return _limits(bench, client, 120, senders={first.address: 100, second.address: 60}), {}


def _beside_another(bench: Bench) -> Case:
    """Two accounts of 200 and 400 a second, at the same time: the workers are late more often."""
    slow = _client(bench, "beside", bench.size(2_000, 1_000), rate=200)
    quick = _client(bench, "quick", slow.people * 2, rate=400)
    _launch(quick)
    _launch(slow)
    for client in (slow, quick):
        _finish(bench, client, client.people)
    return _limits(bench, slow, 200) + _limits(bench, quick, 400), {}


def _burst(bench: Bench) -> Case:
    """Idle for a while, then 5,000 at once on an account of 400 a second."""
    client = _client(bench, "burst", bench.size(5_000, 1_500), rate=400)
    time.sleep(bench.size(5, 2))
    _launch(client)
    _finish(bench, client, client.people)
    return _limits(bench, client, 400), {}


def _frozen_worker(bench: Bench) -> Case:
    """Workers freeze and go on, for less and for more than the time to post; what was not posted is given back."""
    client = _client(bench, "frozen", bench.size(3_000, 1_000), rate=200)

    def trouble() -> None:
        for turn, seconds in enumerate((0.3, 1.5, 6.0, 0.7, 2.5) * bench.size(2, 1)):
            name = SENDERS[turn % len(SENDERS)]
            bench.ground.signal(name, signal.SIGSTOP)
            time.sleep(seconds)
            bench.ground.signal(name, signal.SIGCONT)
            time.sleep(0.5)

    _launch(client)
    _finish(bench, client, client.people, meanwhile=trouble)
    return _limits(bench, client, 200), {"rate_lost_to_give_backs": _given_back_share(client)}


def _emptied_redis(bench: Bench) -> Case:
    """Redis is emptied twice and restarted empty once, in the middle of it."""
    from smsplatform import embedded
    from smsplatform.common import redis
    from smsplatform.embedded import server, valkey

    client = _client(bench, "emptied", bench.size(4_000, 1_500), rate=200)

    def trouble() -> None:
        for _ in range(2):
            time.sleep(bench.size(4, 2))
            redis.client().flushall()
        time.sleep(bench.size(4, 2))
        redis.client().flushall()
        server.stop(valkey.SERVER)
        embedded.tend()

    _launch(client)
    _finish(bench, client, client.people, meanwhile=trouble)
    return _limits(bench, client, 200), {}


# -- what the cases are made of -------------------------------------------------------------------------------------


def _client(bench: Bench, slug: str, people: int, *, rate: float) -> Client:
    client = ground.make_client(slug, people, base_url=bench.ground.simulator.url, rate=rate, concurrency=256)
    _script(bench, client)
    return client


def _script(bench: Bench, client: Client) -> None:
    bench.ground.simulator.ask(
        "PUT", f"/_control/accounts/{client.slug}", {"secret": "secret", "latency_ms": 20, "receipts": None}
    )


def _launch(client: Client, key: str = "1", **options: str) -> None:
    from campaigns import launch

    launch.materialise(ground.launch(client, key, **options).pk)


def _warm(bench: Bench) -> None:
    """Have every process make its connections before anything is counted."""
    client = _client(bench, "warm", 400, rate=1e6)
    _launch(client)
    wait_for(lambda: _accepted(bench, client) >= client.people, "the workers to be warm")


def _finish(bench: Bench, client: Client, messages: int, meanwhile: Callable[[], None] | None = None) -> float:
    """Wait until all of them are taken; return the seconds from the first to the last."""
    helper = threading.Thread(target=meanwhile or (lambda: None))
    helper.start()
    wait_for(lambda: _accepted(bench, client) >= messages, f"{messages} messages of {client.slug}", seconds=180)
    helper.join()
    counted = [second for second, posts, *_ in _rates(bench, client)["accounts"][client.slug]["seconds"] if posts]
    return counted[-1] - counted[0] + 1.0


def _rates(bench: Bench, client: Client) -> dict:
    return bench.ground.simulator.ask("GET", f"/_control/rates?account={client.slug}")


def _accepted(bench: Bench, client: Client) -> int:

    told = _rates(bench, client)["accounts"].get(client.slug)
    return sum(accepted for _, _, accepted, _ in told["seconds"]) if told else 0


def _limits(bench: Bench, client: Client, limit: float, senders: dict[str, float] | None = None) -> list[Limit]:
    told = _rates(bench, client)
    return [Limit("the account", limit, told["accounts"][client.slug]["peak"]["segments"])] + [
        Limit("a sender", senders[each["sender"]], each["peak"]["segments"]) for each in told["senders"] if senders
    ]


def _given_back_share(client: Client) -> float:
    """Return the share of granted posts that were not made."""
    from campaigns.models import Attempt

    attempts = Attempt.objects.filter(account_id=client.account_id)
    return attempts.filter(outcome="not_posted").count() / attempts.count()


@dataclass
class _Cost:
    statements: int
    cpu: float
    most: list[tuple[int, str]]


def _cost(bench: Bench, seconds: float) -> _Cost:
    """Return what all processes together spent in this time, the database's own included."""
    from smsplatform.common.database import execute, rows

    execute("SELECT pg_stat_statements_reset()")
    before = _cpu(bench)
    time.sleep(seconds)
    cpu = _cpu(bench) - before
    counted = rows(
        "SELECT calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 90) FROM pg_stat_statements s"
        " JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database()"
        " AND query NOT LIKE %s ORDER BY calls DESC",
        ["%pg_stat_statements%"],
    )
    return _Cost(sum(calls for calls, _ in counted), cpu, counted)


def _cpu(bench: Bench) -> float:
    """Return the CPU seconds so far of the platform's processes and the database's, without the simulator."""
    from smsplatform import embedded

    pids = [process.pid for name, process in bench.ground.running.items() if name != "simulator"]
    pids += [service.pid for service in embedded.status() if service.pid]
    total = 0.0
    for pid in pids:
        for member in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            times = member.cpu_times()
            total += times.user + times.system
    return total


MEASURES = (
    Measure("rates", "Rates: never more than the limit in any second, over four workers", exact_over_workers),
    Measure("slow_account", "A slow account: what 50,000 waiting messages cost", waiting_costs_nothing),
)
