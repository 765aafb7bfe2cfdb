"""How it ended: the numbers a manager reads, and the promises, each checked against the facts and the simulator."""

from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from campaigns import audits, reports
from campaigns.models import Attempt, Dispatch, Import, Receipt, Run
from campaigns.states import OPEN, State
from compliance.models import Suppression
from smsplatform.demo.cast import Cast
from smsplatform.demo.stage import Simulator
from tracking.models import Click

# The slice that is being claimed in the instant of the pause, in each of the four sending processes.
SLACK = 4 * 64
_WORDS = {
    State.DELIVERED: "delivered to the phone",
    State.ACCEPTED: "taken by the provider, no final report",
    State.UNDELIVERED: "taken, but not deliverable",
    State.UNKNOWN: "in doubt: never sent again on our own",
    State.REJECTED: "refused by the provider",
    State.BLOCKED: "not allowed to be texted",
    State.CANCELLED: "cancelled by the manager",
    State.EXPIRED: "too late to be sent",
    State.DEAD: "given up after all tries",
}


@dataclass(frozen=True)
class Clicks:
    """What the demo clicked."""

    people: int
    previews: int
    redirected: int


@dataclass(frozen=True)
class Stop:
    """A pause in full flight: what was in the air when it came, and what the provider still got."""

    in_air: int
    posted: int


@dataclass(frozen=True)
class Promise:
    """One promise and whether it held."""

    name: str
    held: bool
    evidence: str


@dataclass
class Outcome:
    """Everything the report shows."""

    source: Import
    people: Cast
    totals: dict[str, int]
    reasons: list[tuple[str, str, int]]
    promises: list[Promise]
    clicks: Clicks
    hits: int
    attempts: int
    seconds: float = 0.0


def gather(
    *, run: Run, source: Import, people: Cast, simulator: Simulator, clicks: Clicks, stops: list[Stop]
) -> Outcome:
    """Collect the numbers and judge the promises."""
    source.refresh_from_db()
    totals = reports.totals(run.pk)
    rows = Dispatch.objects.of_run(run.pk)
    facts = reports.counted(run)
    ledger: dict[str, Any] = simulator.ledger()
    findings = audits.everything(run_id=run.pk)
    ours = sum(totals.get(state, 0) for state in (State.ACCEPTED, State.DELIVERED, State.UNDELIVERED))
    unknown = totals.get(State.UNKNOWN, 0)
    open_rows = sum(totals.get(state, 0) for state in OPEN)
    stopped = Suppression.objects.filter(brand=run.brand, source="reply").count()
    suppressed = rows.filter(number=people.suppressed).first()
    suppressed_state = suppressed.state if suppressed else "missing"
    in_file = source.rows_new + source.rows_duplicate + source.rows_refused
    return Outcome(
        source=source,
        people=people,
        totals=totals,
        reasons=reports.reasons(run),
        clicks=clicks,
        hits=Click.objects.filter(tenant=run.tenant_id).count(),
        attempts=Attempt.objects.filter(tenant=run.tenant_id).count(),
        promises=[
            Promise(
                "Never twice",
                not ledger["accepted_twice"] and not ledger["numbers_twice"] and not findings.accepted_twice,
                f"the provider took {ledger['accepted']:,} messages for {ledger['distinct_numbers']:,} numbers,"
                f" {ledger['numbers_twice']} of them twice, {ledger['accepted_twice']} messages twice",
            ),
            Promise(
                "Never lost",
                sum(facts.values()) == people.good and not open_rows and not findings.open_in_closed_batches,
                f"{sum(facts.values()):,} of {people.good:,} people ended in one state each, {open_rows} are open",
            ),
            Promise(
                "Unknown is a state",
                ours <= ledger["accepted"] <= ours + unknown and not ledger["resent_after_doubt"],
                f"ours {ours:,} ≤ the provider's {ledger['accepted']:,} ≤ ours + {unknown} in doubt;"
                f" {len(ledger['resent_after_doubt'])} of {ledger['in_doubt']} doubtful ones were posted again",
            ),
            Promise(
                "Stop means stop",
                all(stop.posted <= stop.in_air + SLACK for stop in stops) and bool(stops),
                f"{stops[0].posted} requests after the pause, {stops[0].in_air} were in the air"
                if stops
                else "never paused",
            ),
            Promise(
                "STOP wins",
                not ledger["accepted_after_stop"] and stopped > 0,
                f"{stopped} people opted out; {len(ledger['accepted_after_stop'])} were texted after it",
            ),
            Promise(
                "Suppressed stays suppressed",
                suppressed_state == State.BLOCKED,
                f"the person who asked by phone is {suppressed_state}",
            ),
            Promise(
                "The numbers add up",
                totals == facts and in_file == people.good + people.duplicates + people.bad,
                f"told = counted; file {in_file:,} rows = {source.rows_new:,} people + {source.rows_duplicate} duplicates"
                f" + {source.rows_refused} refused",
            ),
            Promise(
                "Nothing is left held",
                not findings.wrong_permits and not findings.wrong_caps and not findings.wrong_totals,
                f"{len(findings.wrong_permits)} permits, {len(findings.wrong_caps)} counters,"
                f" {len(findings.wrong_totals)} totals are wrong",
            ),
            Promise(
                "Links work",
                clicks.redirected == clicks.people + clicks.previews > 0,
                f"{clicks.redirected} of {clicks.people + clicks.previews} short links led on;"
                f" {Click.objects.filter(tenant=run.tenant_id).count()} hits stored",
            ),
        ],
    )


def show(console: Console, outcome: Outcome) -> int:
    """Print the report and return the exit code."""
    everyone = sum(outcome.totals.values())
    table = Table(title="\nHow the campaign ended", title_style="bold", show_edge=False, pad_edge=False, min_width=78)
    table.add_column("people", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    table.add_column("why", style="dim")
    why: dict[str, list[str]] = {}
    for state, reason, number in outcome.reasons:
        why.setdefault(state, []).append(f"{reason.split('@')[0]} {number:,}")
    for state, number in sorted(outcome.totals.items(), key=lambda item: -item[1]):
        table.add_row(
            f"{number:,}",
            f"{number / everyone:.1%}",
            _WORDS.get(State(state), state),
            ", ".join(why.get(state, [])[:4]),
        )
    table.add_row(f"[bold]{everyone:,}[/]", "", f"[bold]people in {len(outcome.people.awake) + 1} zones[/]", "")
    console.print(table)
    source = outcome.source
    console.print(
        f"\nFile: {source.rows_new:,} people taken, {source.rows_duplicate} duplicates, {source.rows_refused} refused rows."
        f"\nPosts: {outcome.attempts:,} attempts in the ledger for {everyone:,} people."
        f"\nClicks: {outcome.hits} hits stored ({outcome.clicks.people} by people, {outcome.clicks.previews} by previews)."
        f"\nReceipts: {Receipt.objects.filter(tenant=source.tenant_id).count():,} stored as facts."
    )
    promises = Table(title="\nThe promises", title_style="bold", show_edge=False, show_header=False, pad_edge=False)
    for promise in outcome.promises:
        mark = "[green]kept[/]" if promise.held else "[bold red]BROKEN[/]"
        promises.add_row(mark, promise.name, f"[dim]{promise.evidence}[/]")
    console.print(promises)
    broken = [promise.name for promise in outcome.promises if not promise.held]
    if broken:
        console.print(f"\n[bold red]Broken: {', '.join(broken)}.[/]")
        return 1
    console.print(f"\n[bold green]Every promise held.[/] {outcome.seconds:.0f} seconds.\n")
    return 0
