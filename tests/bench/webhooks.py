"""How fast providers and visitors are answered: delivery reports by webhook, and redirects of short links."""

import hashlib
import hmac
import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

from django.utils import timezone

from campaigns import launch, sending
from campaigns.models import Attempt, Dispatch, RawEvent, Run
from campaigns.states import State
from providers.models import ProviderAccount
from smsplatform.common import database
from smsplatform.embedded import postgres
from smsplatform.tenancy.models import Brand
from tests import ground
from tests.bench import caller
from tests.bench.caller import Answers, Round
from tests.bench.frame import Bench, Figures, Measure, cpu_seconds, slices
from tests.ground import Client, GroundFailed
from tracking import links
from tracking.models import Click, Link

CONNECTIONS = 32
HALF_OF_TARGET = 750  # reports a second
MOST_PER_BODY = 200  # about 30 kB, half of what the webhook takes


Flight = tuple[UUID, int, str]
Request = tuple[str, str, dict[str, str], str]


def _receipts(bench: Bench) -> Figures:
    ground.clear()
    at_once, paced, in_batches = (bench.size(*sizes) for sizes in ((60_000, 3_000), (22_500, 1_500), (40_000, 4_000)))
    run, client = _sent(at_once + paced + in_batches)
    bench.ground.start("web", "worker-sql", "beat")
    bench.ground.wait_for_worker("worker-sql")
    account = ProviderAccount.objects.get(pk=client.account_id)
    flights = list(Attempt.objects.filter(account_id=account.pk).values_list("dispatch_id", "flight", "provider_id"))
    first, second, third = flights[:at_once], flights[at_once : at_once + paced], flights[at_once + paced :]

    bench.say(f"{at_once:,} reports, one per request, as fast as it goes")
    before = _cpu(bench)
    answers, seconds = _post(bench, [_report(account, [flight]) for flight in first])
    cpu = {name: (spent - before[name]) / at_once for name, spent in _cpu(bench).items()}
    # A server that has run for a while writes its log into files that are there; a fresh one stops to make each.
    database.execute("CHECKPOINT")
    bench.say(f"{paced:,} reports, one per request, {HALF_OF_TARGET} a second")
    calm, _ = _post(bench, [_report(account, [flight]) for flight in second], rate=HALF_OF_TARGET)
    bench.say(f"{in_batches:,} reports, {MOST_PER_BODY} per request")
    _, quick = _post(bench, [_report(account, many) for many in slices(third, MOST_PER_BODY)])
    delivered = Dispatch.objects.of_run(run.pk).in_state(State.DELIVERED).count()
    if delivered != len(flights):
        raise GroundFailed(f"{delivered:,} of {len(flights):,} are delivered")
    return {
        "receipts_per_s": at_once / seconds,
        "receipts_stored_per_s": answers.rate,
        "receipts_in_batches_per_s": in_batches / quick,
        "receipt_p50_ms": calm.p50 * 1000,
        "receipt_p99_ms": calm.p99 * 1000,
        "receipt_most_ms": calm.most * 1000,
        **{f"receipt_cpu_us_{name}": spent * 1e6 for name, spent in cpu.items()},
    }


def _sent(people: int) -> tuple[Run, Client]:
    """Make a campaign that has been sent, with the ledger, the permits and the tallies that go with it."""
    client = ground.make_client("receipts", people, base_url="http://127.0.0.1:9")
    run = ground.launch(client)
    launch.materialise(run.pk)
    run.refresh_from_db()
    names = {
        "run": run.pk,
        "first": database.key(run.pk, 0),
        "last": database.key(run.pk + 1, 0),
        "account": client.account_id,
        "claim": uuid4(),
        "now": database.now(),
    }
    for statement in _SENT:
        database.execute(statement, names)
    for table in ("campaigns_dispatch", "campaigns_attempt", "compliance_permit"):
        database.execute(f"VACUUM ANALYZE {table}")
    return run, client


_OURS = "FROM campaigns_dispatch d WHERE d.id BETWEEN %(first)s AND %(last)s"
_SENT = (
    "UPDATE campaigns_batch SET phase = 'closed', tally = jsonb_build_object('accepted', size) WHERE run_id = %(run)s",
    """
    UPDATE campaigns_dispatch SET state = 'accepted', text = 'Hello', segments = 1, flight = 1, posts = 1,
      account_id = %(account)s, accepted_at = %(now)s, changed_at = %(now)s
    WHERE id BETWEEN %(first)s AND %(last)s
    """,
    f"""
    INSERT INTO campaigns_attempt (dispatch_id, flight, tenant_id, account_id, sender, claim, claimed_at, horizon_at,
      outcome, proof, proven_at, provider_id, answered_at)
    SELECT d.id, 1, d.tenant_id, d.account_id, '+18885550100', %(claim)s, %(now)s, %(now)s, 'accepted', 'answer', %(now)s,
      md5(d.id::text), %(now)s {_OURS}
    """,
    f"""
    INSERT INTO campaigns_providermessage (account_id, tenant_id, provider_id, dispatch_id, flight, created_at)
    SELECT d.account_id, d.tenant_id, md5(d.id::text), d.id, 1, %(now)s {_OURS}
    """,
    f"""
    INSERT INTO compliance_permit (dispatch_id, tenant_id, brand_id, number, is_person_capped, windows, at, over_cap)
    SELECT d.id, d.tenant_id, d.brand_id, d.number, true, '{{}}', %(now)s, false {_OURS}
    """,
)


def _report(account: ProviderAccount, flights: Sequence[Flight]) -> Request:
    """Return the request with which the simulator reports these flights delivered."""
    instant = timezone.now()
    events = [
        {
            "type": "report",
            "id": provider_id,
            "reference": sending.reference(dispatch_id, flight),
            "status": "delivered",
            "code": "",
            "detail": "",
            "at": instant.isoformat(),
        }
        for dispatch_id, flight, provider_id in flights
    ]
    body = json.dumps({"events": events})
    secret = account.adapter().credentials.webhook_secret
    signed = hmac.new(secret.encode(), f"{int(instant.timestamp())}.{body}".encode(), hashlib.sha256).hexdigest()
    url = f"{os.environ['PUBLIC_URL']}/webhooks/simulator/{account.key}/status?ref={events[0]['reference']}"
    headers = {
        "Content-Type": "application/json",
        "X-Simulator-Signature": f"t={int(instant.timestamp())},v1={signed}",
    }
    return "POST", url, headers, body


def _post(bench: Bench, requests: Sequence[Request], *, rate: float = 0) -> tuple[Answers, float]:
    """Post reports; return the answers, and the seconds from the first request until all is applied."""
    path = caller.write_requests(bench.place / "requests.jsonl", requests)
    [answers] = caller.call([Round(str(path), connections=CONNECTIONS if not rate else 256, rate=rate)])
    if set(answers.statuses) != {"204"}:
        raise GroundFailed(f"the webhook answered {answers.statuses}")
    ground.wait_for(lambda: not RawEvent.objects.filter(applied_at=None).exists(), "the reports to be applied")
    return answers, time.time() - answers.began


def _cpu(bench: Bench) -> dict[str, float]:
    """Return the seconds of CPU that each part has used."""
    server = int(postgres.pid_file().read_text().splitlines()[0])
    running = bench.ground.running
    return {
        "web": cpu_seconds(running["web"].pid),
        "worker": cpu_seconds(running["worker-sql"].pid),
        "postgres": cpu_seconds(server),
    }


def _redirects(bench: Bench) -> Figures:
    ground.clear()
    bench.ground.start("web")
    rounds, seconds = bench.size(8, 3), bench.size(4, 1)
    client = ground.make_client("visitors", 0, base_url="http://127.0.0.1:9")
    _shorten(client, bench.size(20_000, 500))
    base, agent = os.environ["PUBLIC_URL"], "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0"
    headers = {"User-Agent": agent, "Accept": "text/html", "Accept-Language": "en-US", "Sec-Fetch-Mode": "navigate"}
    codes = Link.objects.values_list("code", flat=True)
    follow = _calls(bench.place / "follow.jsonl", [("GET", f"{base}/{code}", headers, "") for code in codes])
    empty = _calls(bench.place / "empty.jsonl", [("GET", f"{base}/ping", headers, "")])
    bench.say(f"{rounds} rounds of {seconds} s each: an empty view, short links, an empty view, …")
    plan = [Round(path, connections=CONNECTIONS, seconds=seconds) for path in (empty, follow)]
    caller.call(plan)  # every thread has its connection
    before = Click.objects.count()
    answers = caller.call(plan * rounds)
    empties, follows = answers[::2], answers[1::2]
    if any(set(each.statuses) != {"302"} for each in follows):
        raise GroundFailed(f"short links answered {[each.statuses for each in follows]}")
    if (stored := Click.objects.count() - before) != (followed := sum(each.count for each in follows)):
        raise GroundFailed(f"{stored:,} hits are stored of {followed:,}")
    return {
        "redirects_per_s": statistics.median(each.rate for each in follows),
        "empty_views_per_s": statistics.median(each.rate for each in empties),
        "redirect_over_empty_view": statistics.median(
            link.rate / view.rate for view, link in zip(empties, follows, strict=True)
        ),
        "redirect_p99_ms": statistics.median(each.p99 for each in follows) * 1000,
    }


def _shorten(client: Client, count: int) -> None:
    """Make short links as a campaign does."""
    brand = Brand.objects.get(pk=client.brand_id)
    base = links.base_url(brand)
    for some in slices(range(count), 1000):
        wanting = [(UUID(int=n + 1), f"See {base}/0000000000", [f"https://example.com/{n}"]) for n in some]
        links.shorten(tenant=client.tenant_id, brand=brand, wanting=wanting, now=timezone.now())


def _calls(path: Path, requests: Sequence[Request]) -> str:
    return str(caller.write_requests(path, requests))


MEASURES = (
    Measure("receipts", "Delivery reports by webhook, stored and applied", _receipts),
    Measure("redirects", "Redirects of short links, beside an empty view", _redirects),
)
