"""The story: import, launch, a misbehaving provider, STOPs in full flight, a worker killed, and how it ended."""

import os
import random
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connection
from rich.console import Console

from campaigns import imports, launch, reports, tasks
from campaigns.models import Campaign, Dispatch, Import, RecipientList, Run, Template
from campaigns.states import State
from compliance import suppression
from providers.adapters.base import HttpCall, Message
from providers.models import ProviderAccount, Sender
from smsplatform.common import database
from smsplatform.demo import cast, report
from smsplatform.demo.stage import NAMES, DemoFailed, Simulator, Stage, get, wait_for
from smsplatform.tenancy.models import Brand, Tenant
from tracking.models import Link

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 130)
TEXT = (
    "Harbor Jobs: {{ first_name | default: 'Hi' }}, a new {{ job }} job near you: "
    "https://jobs.example.com/{{ job_id }} Reply STOP to opt out."
)
DISCLOSURE = (
    "By ticking this box you agree that Harbor Jobs may text you job offers, also by automated means, at the number above."
    " Consent is not required to use our services. Up to 4 msgs/month. Msg&data rates may apply. Reply STOP to opt out."
)
ATTESTATION = "All of these people ticked the box on our sign-up page or signed our card; we keep the originals."
RATE = 300  # segments per second: slow enough to watch
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile/15E148 Safari/604.1"
PREVIEW = "facebookexternalhit/1.1 Facebot Twitterbot/1.0"


def tell(*, sabotage: str | None) -> int:
    """Tell the story and return the exit code."""
    began = time.monotonic()
    logs = Path(os.environ["SMS_VAR"]) / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    stage = Stage(logs)
    try:
        outcome = _play(stage, sabotage)
        outcome.seconds = time.monotonic() - began
        return report.show(console, outcome)
    except DemoFailed as failure:
        console.print(f"\n[bold red]The demo stopped: {failure}[/]\nLogs: {logs}")
        return 2
    except KeyboardInterrupt:
        console.print("\nStopped.")
        return 130
    finally:
        stage.stop()
        connection.close()


def _say(text: str) -> None:
    console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {text}")


def _play(stage: Stage, sabotage: str | None) -> report.Outcome:
    console.print("\n[bold]One campaign, and everything that goes wrong in a real one[/]\n")
    _say("starting Postgres, Redis, web, three workers, beat and a provider simulator")
    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)
    simulator = Simulator(f"http://127.0.0.1:{os.environ['SIMULATOR_PORT']}")
    for name in NAMES:
        stage.start(name)
    wait_for(simulator.is_up, "the simulator")
    wait_for(_is_web_up, "the web process")

    now = database.now()
    people = cast.write_csv(Path(os.environ["SMS_VAR"]) / "recipients.csv", now)
    brand, account = _set_up(simulator)
    suppression.suppress(brand=brand, number=people.suppressed, reason="opt_out", source="voice", now=now)
    _misbehave(simulator, account, people)
    source = _import(stage, brand, people)
    run = _launch(brand, source.list)
    stops = _watch(stage, simulator, run, account, brand, people)
    _rest(stage, run)
    clicks = _click(simulator)
    outcome = report.gather(run=run, source=source, people=people, simulator=simulator, clicks=clicks, stops=stops)
    if sabotage:
        _break(sabotage, simulator, run, account, people)
        outcome = report.gather(run=run, source=source, people=people, simulator=simulator, clicks=clicks, stops=stops)
    return outcome


def _is_web_up() -> bool:
    try:
        return get(f"{os.environ['PUBLIC_URL']}/ping", "demo") == 200  # noqa: PLR2004
    except OSError:
        return False


def _set_up(simulator: Simulator) -> tuple[Brand, ProviderAccount]:
    slug = f"harbor-{int(time.time())}"
    tenant = Tenant.objects.create(name="Harbor Jobs", slug=slug)
    brand = Brand.objects.create(
        tenant=tenant, name="Harbor Jobs", slug="harbor", opens_at=cast.OPENS, closes_at=cast.CLOSES, daily_cap=6000
    )
    account = ProviderAccount(
        tenant=tenant, name="main", provider="simulator", base_url=simulator.url, segments_per_second=RATE,
        concurrency=64, timeout=4,
    )  # fmt: skip
    account.set_credentials({"token": slug, "webhook_secret": "the demo's secret"})
    account.save()
    Sender.objects.create(tenant=tenant, brand=brand, account=account, address=f"+1888555{tenant.pk:04d}")
    return brand, account


def _misbehave(simulator: Simulator, account: ProviderAccount, people: cast.Cast) -> None:
    hooks = f"{os.environ['PUBLIC_URL']}/webhooks/simulator/{account.key}"
    simulator.ask(
        "PUT",
        f"/_control/accounts/{account.tenant.slug}",
        {
            "secret": "the demo's secret",
            "latency_ms": {"lognormal": {"median": 40, "p99": 400}},
            "reject": [people.stubborn],
            "faults": [
                {"fault": "accept_then_drop", "probability": 0.004},
                {"fault": "reset_before_read", "probability": 0.002},
                {"fault": "slow", "seconds": 6, "probability": 0.002},
                {"fault": "rate_limited", "between": [4, 6]},
                {"fault": "html", "status": 502, "probability": 0.002},
            ],
            "receipts": {
                "delivered": 0.94, "undelivered": 0.05, "duplicated": 0.03, "out_of_order": 0.05, "lost": 0.01,
                "delay_ms": {"uniform": [200, 2500]},
            },
            "stops": {"share": 0.01, "delay_ms": 400},
            "inbound_url": f"{hooks}/inbound",
            "webhooks": {"batch": 10, "linger_ms": 100},
        },
    )  # fmt: skip


def _import(stage: Stage, brand: Brand, people: cast.Cast) -> Import:
    customers = RecipientList.objects.create(tenant=brand.tenant, name="job seekers")
    source = imports.create(
        tenant=brand.tenant,
        list=customers,
        file=str(people.path),
        source=Import.Source.PATH,
        columns={"number": "Mobile", "zone": "TZ"},
        options={"attestation": ATTESTATION, "attested_by": "Ada of Harbor Jobs", "disclosure": DISCLOSURE},
        actor="demo",
    )
    tasks.start_import(source.pk)

    def is_done() -> bool:
        stage.check()
        source.refresh_from_db()
        return source.status in (Import.Status.DONE, Import.Status.FAILED)

    wait_for(is_done, "the import")
    if source.status == Import.Status.FAILED:
        raise DemoFailed(f"the import failed: {source.reason}")
    _say(
        f"imported [bold]{source.rows_new:,}[/] people from {people.path.name}; {source.rows_duplicate} duplicates,"
        f" {source.rows_refused} refused rows, {source.rows_suppressed} suppressed person kept and never texted;"
        f" {source.rows_consented:,} consents put on record"
    )
    return source


def _launch(brand: Brand, people: RecipientList) -> Run:
    template = Template.objects.create(tenant=brand.tenant, brand=brand, name="new job")
    template.write(TEXT)
    campaign = Campaign(tenant=brand.tenant, brand=brand, name="New jobs near you", template=template)
    campaign.full_clean()
    campaign.save()
    campaign.lists.add(people)
    run = launch.launch(campaign=campaign, occurrence="demo", now=database.now(), actor="demo")
    again = launch.launch(campaign=campaign, occurrence="demo", now=database.now(), actor="an impatient operator")
    if again.pk != run.pk:
        raise DemoFailed("launching twice made two runs")
    tasks.start_materialising(run.pk)
    _say("launched, twice in a row by an impatient operator: one run")
    return run


def _watch(
    stage: Stage, simulator: Simulator, run: Run, account: ProviderAccount, brand: Brand, people: cast.Cast
) -> list[report.Stop]:
    """Follow the run, and let things happen on the way; return what the pause did."""
    stops: list[report.Stop] = []
    sender = brand.senders.get().address
    steps: list[tuple[float, Callable[[], object]]] = [
        (0.15, lambda: _stops(simulator, account, sender, people.stoppers)),
        (0.35, lambda: _kill(stage)),
        (0.60, _flush),
        (0.70, lambda: _pause(simulator, run, stops)),
    ]
    wait_for(lambda: Run.objects.filter(pk=run.pk, materialised_at__isnull=False).exists(), "the dispatches")
    everyone = sum(reports.totals(run.pk).values())
    deadline, shown = time.monotonic() + 150, 0.0
    while True:
        stage.check()
        totals = reports.totals(run.pk)
        done = 1 - sum(totals.get(state, 0) for state in (State.QUEUED, State.READY, State.CLEARED)) / everyone
        while steps and done >= steps[0][0]:
            steps.pop(0)[1]()
        if time.monotonic() - shown > 1:
            shown = time.monotonic()
            _say(_line(totals, everyone))
        run.refresh_from_db()
        running = sum(totals.get(state, 0) for state in (State.QUEUED, State.CLEARED, State.LOCKED, State.ALLOWED,
                                                         State.READY, State.SENDING))  # fmt: skip
        retrying = Dispatch.objects.of_run(run.pk).filter(state=State.HELD, reason="retry").exists()
        if not running and not retrying and not steps:
            _say(_line(totals, everyone))
            return stops
        if time.monotonic() > deadline:
            raise DemoFailed(f"the run did not end: {totals}")
        time.sleep(0.25)


def _line(totals: dict[str, int], everyone: int) -> str:
    width = 30
    taken = sum(totals.get(state, 0) for state in (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED))
    full = taken * width // max(everyone, 1)
    numbers = "  ".join(f"{state} [bold]{number:,}[/]" for state, number in totals.items())
    return f"[green]{'█' * full}[/][dim]{'░' * (width - full)}[/] {numbers}"


def _stops(simulator: Simulator, account: ProviderAccount, sender: str, numbers: tuple[str, ...]) -> None:
    for number in numbers:
        text = random.choice(("STOP", "Stop.", "stop all"))  # noqa: S311
        body = {"account": account.tenant.slug, "from": number, "to": sender, "text": text}
        simulator.ask("POST", "/_control/inbound", body)
    _say(f"[yellow]{len(numbers)} people whose message still waits text STOP[/]")


def _kill(stage: Stage) -> None:
    pid = stage.kill("worker-http")
    _say(f"[red]the sending worker (pid {pid}) is killed with -9, requests in the air[/]")
    stage.start("worker-http")


def _flush() -> None:
    from smsplatform.common import redis

    redis.client().flushall()
    _say("[red]Redis is flushed: every queued task and every token is gone[/]")


def _pause(simulator: Simulator, run: Run, stops: list[report.Stop]) -> None:
    """Pause, count what still goes out, resume."""
    launch.pause(run, now=database.now(), actor="demo")
    posts = simulator.ledger()["posts"]
    in_air = reports.counted(run).get(State.SENDING, 0)
    _say("[yellow]paused by a manager[/]")
    calm_until = time.monotonic() + 3
    wait_for(lambda: time.monotonic() > calm_until, "a calm moment")
    stops.append(report.Stop(in_air=in_air, posted=simulator.ledger()["posts"] - posts))
    launch.resume(run, now=database.now(), actor="demo")
    _say(f"[yellow]resumed; {stops[0].posted} requests were in the air when the pause came[/]")


def _rest(stage: Stage, run: Run) -> None:
    """Whoever sleeps waits for the morning. The manager decides that this is too late, and cancels the rest."""
    held = Dispatch.objects.of_run(run.pk).filter(state=State.HELD)
    first = held.order_by("not_before").first()
    if first is not None and first.not_before is not None:
        _say(
            f"{held.count()} people are asleep: held ({first.reason}) until {first.not_before:%Y-%m-%d %H:%M} UTC;"
            " the manager cancels these"
        )
    launch.cancel(run, now=database.now(), actor="demo")

    def is_over() -> bool:
        stage.check()
        run.refresh_from_db()
        return reports.report(run).progress == "cancelled"

    wait_for(is_over, "the cancelled rows to end")
    _say("waiting for the last delivery reports")
    settled, unchanged = -1, 0
    for _ in range(60):
        totals = reports.totals(run.pk)
        number = totals.get(State.ACCEPTED, 0) + 10_000 * totals.get(State.UNKNOWN, 0)
        unchanged = unchanged + 1 if number == settled else 0
        settled = number
        if unchanged >= 10:  # noqa: PLR2004 - five seconds without news
            break
        time.sleep(0.5)


def _click(simulator: Simulator) -> report.Clicks:
    """Some people follow their links; so do some previews."""
    texted = {row["reference"][:32] for row in simulator.messages()}
    links = Link.objects.filter(dispatch_id__in=texted).order_by("code")[:90]
    found = [f"http://{link.host}/{link.code}" for link in links]
    people, previews = found[:60], found[60:]
    answers = [get(url, PHONE) for url in people] + [get(url, PREVIEW) for url in previews]
    return report.Clicks(people=len(people), previews=len(previews), redirected=answers.count(302))


def _break(sabotage: str, simulator: Simulator, run: Run, account: ProviderAccount, people: cast.Cast) -> None:
    """Break a promise behind the platform's back; the report must notice."""
    _say(f"[red]breaking a promise on purpose: {sabotage}[/]")
    simulator.ask("DELETE", f"/_control/accounts/{account.tenant.slug}")
    taken: dict[str, Any] = simulator.messages(1)[0]
    if sabotage == "never-lost":
        first = Dispatch.objects.of_run(run.pk).filter(state=State.DELIVERED).first()
        if first is not None:
            Dispatch.objects.filter(pk=first.pk).delete()
        return
    to = taken["to"] if sabotage == "never-twice" else people.stoppers[0]
    adapter = account.adapter()
    call = adapter.call(
        Message(reference=taken["reference"], to=to, sender="+18885550100", text="again", segments=1, status_url="")
    )
    assert isinstance(call, HttpCall)  # noqa: S101 - it is the simulator's
    request = urllib.request.Request(call.url, data=call.body, headers=dict(call.headers), method=call.method)  # noqa: S310
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310


if __name__ == "__main__":
    sys.exit("run it with: make demo")
