"""How many messages a second: bare posting, our pipeline, the same stages one message at a time, and large runs."""

import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict

from tests import ground
from tests.bench.frame import Bench, Figures, Measure, memory_mb, timed

WORKERS = ("worker-sql", "worker-http", "worker-urgent", "beat")
SENDERS = 4  # processes that post: worker-http's
CONCURRENCY = 128  # requests in the air for each of them
BATCHING = "sinch"  # a vendor that takes batches
BATCH_CONCURRENCY = 500  # messages in the air for each of them
# As many as the stages like, so that it is the chains that are measured and not the limits.
PER_MESSAGE = {
    "BATCH_SIZE": "1", "SMALL_BATCH": "0", "CLAIM_BATCHES": "200", "BULK_IN_FLIGHT": "400", "TENANT_IN_FLIGHT": "400",
    "ACCOUNT_IN_FLIGHT": "400",
}  # fmt: skip


def wire_and_pipeline(bench: Bench) -> Figures:
    """Post the same bodies bare and through everything, in turns; the medians are compared."""
    count = bench.size(100_000, 4_000)
    rounds = bench.size(3, 1)
    bench.ground.start("simulator", *WORKERS)
    _warm(bench)
    wire, ours = [], []
    for number in range(rounds):
        wire.append(_post(bench, f"wire-{number}", count))
        ours.append(_send(bench, f"pipeline-{number}", count))
        bench.say(f"bare posting {wire[-1]:,.0f}/s, ours {ours[-1]:,.0f}/s")
    bench.ground.stop(*WORKERS)
    bench.ground.start(*WORKERS, **PER_MESSAGE)
    chains = _send(bench, "chain", bench.size(1_500, 40))
    bench.say(f"a chain per message {chains:,.0f}/s")
    return {
        "wire_per_s": statistics.median(wire),
        "pipeline_per_s": statistics.median(ours),
        "chain_per_message_per_s": chains,
        "pipeline_over_wire": statistics.median(a / b for a, b in zip(ours, wire, strict=True)),
        "pipeline_over_chain_per_message": statistics.median(ours) / chains,
    }


def sizes(bench: Bench) -> Figures:
    """Send runs of growing size through the same processes: a message must not cost more in a large one."""
    bench.ground.start("simulator", *WORKERS)
    _warm(bench)
    small, medium, large = (bench.size(full, short) for full, short in ((10_000, 1000), (100_000, 2000), (10**6, 4000)))
    rates = {}
    smalls = [_send(bench, f"small-{number}", small) for number in range(bench.size(5, 1))]
    rates[small] = statistics.median(smalls)
    for size in (medium, large):
        rates[size] = _send(bench, f"size-{size}", size)
    for size, rate in rates.items():
        bench.say(f"{size:,} messages: {rate:,.0f}/s")
    names = {small: "10k", medium: "100k", large: "1m"}
    figures = {f"pipeline_{names[size]}_per_s": rate for size, rate in rates.items()}
    return figures if bench.is_short else figures | {"cost_1m_over_10k": rates[small] / rates[large]}


def slow_provider(bench: Bench) -> Figures:
    """A day's load against a provider that takes 100 ms to answer: the rate, and the most memory of each process."""
    count = bench.size(400_000, 4_000)
    bench.ground.start("simulator", *WORKERS)
    _warm(bench)
    peaks: dict[str, float] = defaultdict(float)
    first: dict[str, float] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(5):
            for name, process in bench.ground.running.items():
                used = memory_mb(process.pid)
                peaks[name] = max(peaks[name], used)
                first.setdefault(name, used)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        rate = _send(bench, "slow", count, latency_ms=100)
    finally:
        over.set()
        watching.join()
    bench.say(", ".join(f"{name} {peak:.0f} MB" for name, peak in peaks.items()))
    figures = {"slow_provider_per_s": rate, "slow_provider_seconds": count / rate}
    workers = [name for name in peaks if name.startswith("worker")]
    growth = {"workers_memory_growth": sum(map(peaks.get, workers)) / sum(map(first.get, workers))} if workers else {}
    return figures | growth | {f"{name.replace('-', '_')}_peak_mb": peak for name, peak in peaks.items()}


def stages(bench: Bench) -> Figures:
    """Run batches through the stages in this process: milliseconds of each stage per 1,000 messages."""
    from django.db import transaction

    from campaigns import launch, scheduling
    from campaigns.pipeline import PIPELINE
    from smsplatform.common import database

    bench.ground.start("simulator")
    count = bench.size(20_000, 1_000)
    client = _client(bench, "stages", count)
    launch.materialise(ground.launch(client).pk)
    spent: dict[str, float] = defaultdict(float)
    while True:
        with timed() as clock, transaction.atomic():
            leased = scheduling.claim_due_batches("bulk", database.now())
        spent["hand_out"] += clock.seconds
        if not leased:
            break
        for batch in leased:
            for stage in PIPELINE:
                with timed() as clock:
                    stage.run(batch.batch_id, batch.lease)
                spent[stage.name] += clock.seconds
    return {f"{name}_ms_per_1000": seconds / count * 10**6 for name, seconds in spent.items()}


def batches(bench: Bench) -> Figures:
    """Send through a vendor that takes many messages in a request: one in each, against as many as fit."""
    count = bench.size(40_000, 2_000)
    bench.ground.start("simulator", *WORKERS)
    _warm(bench)
    rates = {}
    for size in ("1", "100"):
        slug = f"batches-of-{size}"
        bench.ground.simulator.ask("DELETE", "/_control/ledger")
        bench.ground.simulator.ask("PUT", f"/_control/accounts/{slug}", {"receipts": None})
        client = ground.make_client(
            slug, count, base_url=bench.ground.simulator.url, concurrency=BATCH_CONCURRENCY, provider=BATCHING,
            credentials={"service_plan_id": slug, "api_token": "token", "webhook_secret": "secret"},
            options={"batch_size": size},
        )  # fmt: skip
        rates[size] = _timed(bench, client, count)
        posts = bench.ground.simulator.ledger()["posts"]
        bench.say(f"up to {size} in a request: {rates[size]:,.0f}/s, {posts:,} requests")
    return {"alone_per_s": rates["1"], "batched_per_s": rates["100"], "batched_over_alone": rates["100"] / rates["1"]}


def _client(bench: Bench, slug: str, count: int, *, latency_ms: int = 0) -> ground.Client:
    simulator = bench.ground.simulator
    simulator.ask("DELETE", "/_control/ledger")
    simulator.ask("PUT", f"/_control/accounts/{slug}", {"receipts": None, "latency_ms": latency_ms})
    return ground.make_client(slug, count, base_url=simulator.url, concurrency=CONCURRENCY)


def _warm(bench: Bench) -> None:
    """Have every process import, connect and cache what it will need."""
    _send(bench, f"warm-{time.monotonic_ns()}", 2_000)


def _send(bench: Bench, slug: str, count: int, *, latency_ms: int = 0) -> float:
    """Return messages per second from launching until the last is accepted and recorded."""
    return _timed(bench, _client(bench, slug, count, latency_ms=latency_ms), count)


def _timed(bench: Bench, client: ground.Client, count: int) -> float:
    """Launch to all of the client, and return messages per second until the last is accepted and recorded."""
    from campaigns import reports, tasks

    with timed() as clock:
        run = ground.launch(client)
        tasks.start_materialising(run.pk)

        def is_over() -> bool:
            return reports.totals(run.pk).get("accepted", 0) >= count

        ground.wait_for(is_over, f"{count:,} messages of {client.slug}", seconds=120 + count / 50)
    taken = bench.ground.simulator.ledger()
    assert not taken["accepted_twice"], taken["accepted_twice"]
    return count / clock.seconds


def _post(bench: Bench, slug: str, count: int) -> float:
    """Return bare posts per second, by as many processes as post for us."""
    _client(bench, slug, 0)
    share = count // SENDERS
    posters = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.bench.posting", bench.ground.simulator.url, slug),
                *(str(share), str(CONCURRENCY), str(number * share)),
            ],
            cwd=ground.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(SENDERS)
    ]
    for poster in posters:
        assert poster.stdout.readline() == "ready\n"
    with timed() as clock:
        for poster in posters:
            poster.stdin.write("\n")
            poster.stdin.flush()
        for poster in posters:
            assert float(poster.stdout.readline()) > 0
    for poster in posters:
        poster.wait()
    return share * SENDERS / clock.seconds


MEASURES = (
    Measure("pipeline", "Bare posting, ours, and a chain per message", wire_and_pipeline),
    Measure("sizes", "10,000, 100,000 and 1,000,000 messages", sizes),
    Measure("slow_provider", "400,000 messages to a provider that needs 100 ms", slow_provider),
    Measure("batches", "Many messages in a request", batches),
    Measure("stages", "What each stage costs", stages),
)
