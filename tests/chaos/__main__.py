"""Breaks everything that can break, one after the other, audits, prints a table and writes `.var/chaos.json`."""

import argparse
import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests import ground

if TYPE_CHECKING:
    from tests.chaos.stage import Outcome

RESULT = ground.ROOT / ".var" / "chaos.json"
# Leases, horizons and retries pass in seconds. None of these settings can break a promise.
SETTINGS = {
    "BATCH_SIZE": "50",
    "SMALL_BATCH": "10",
    "LEASE_SECONDS": "4",
    "POST_WITHIN_SECONDS": "2",
    "HORIZON_MARGIN_SECONDS": "1",
    "SEND_TURN_SECONDS": "10",
    "RETRY_FIRST_SECONDS": "0.5",
    "RETRY_LONGEST_SECONDS": "4",
}


def main() -> int:
    """Play the scenarios; 1 when an audit failed."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the processes end with us
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 170)
    place = ground.prepare("chaos", **SETTINGS)
    from django.conf import settings

    from tests.chaos.scenarios import SCENARIOS

    settings.CELERY_BROKER_CONNECTION_TIMEOUT = 2
    chosen = [one for one in SCENARIOS.values() if not arguments.only or one.name in arguments.only.split(",")]
    if arguments.short:
        chosen = [one for one in chosen if one.short or arguments.only]
    console.print(f"\n[bold]Chaos[/], seed {arguments.seed}: {len(chosen)} scenarios, logs in {place / 'logs'}\n")
    outcomes: list[Outcome] = []
    known: set[str] = set()
    began = time.monotonic()
    with ground.Ground(place) as floor:
        from tests.chaos import stage

        stage.open_(floor)
        for one in chosen:
            outcome = stage.play(floor, place, one, short=arguments.short, seed=arguments.seed, known=known)
            known.update(outcome.flaws)
            outcomes.append(outcome)
            mark = "[red]✗[/]" if outcome.flaws else "[green]✓[/]"
            console.print(f"{mark} {one.name} [dim]{outcome.seconds:.0f} s  {_notes(outcome)}[/]")
            for flaw in outcome.flaws:
                console.print(f"    [red]{flaw}[/]")
        for name in list(floor.running):
            floor.kill(name)
    _write(outcomes)
    _show(console, outcomes, time.monotonic() - began)
    broken = [outcome.name for outcome in outcomes if outcome.flaws]
    if broken:
        console.print(
            f"[bold red]Broken: {', '.join(broken)}[/]. Logs: {floor.logs}. Again: make chaos SEED={arguments.seed} ONLY=…"
        )
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description="Breaks what can break, and audits.")
    parser.add_argument("--short", action="store_true", help="the nastiest scenarios, with fewer people")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of everything chosen by chance")
    parser.add_argument("--only", default="", help="scenarios, like flushall,stop-flood")
    return parser.parse_args()


def _notes(outcome: "Outcome") -> str:
    return ", ".join(f"{name}: {value}" for name, value in outcome.notes.items())


def _write(outcomes: "list[Outcome]") -> None:
    found = {
        outcome.name: {
            **asdict(outcome.found),
            "most_in_doubt": outcome.most_in_doubt,
            "flaws": outcome.flaws,
            "notes": outcome.notes,
            "seconds": round(outcome.seconds, 1),
        }
        for outcome in outcomes
    }
    RESULT.write_text(json.dumps(found, indent=2, default=str) + "\n")


def _show(console: Console, outcomes: "list[Outcome]", seconds: float) -> None:
    table = Table(title="\nChaos", title_style="bold", show_edge=False, pad_edge=False)
    for name in ("scenario", "what happens"):
        table.add_column(name)
    for name in ("dispatches", "accepted", "twice", "lost", "over cap", "in doubt", "peak rate", "seconds", ""):
        table.add_column(name, justify="right")
    for one in outcomes:
        found = one.found
        table.add_row(
            one.name, one.what, f"{found.dispatches:,}", f"{found.accepted:,}", str(found.accepted_twice), str(found.lost),
            str(found.over_cap), f"{found.in_doubt} of ≤ {one.most_in_doubt}", f"{found.of_rate:.0%}", f"{one.seconds:.0f}",
            "[red]✗[/]" if one.flaws else "[green]✓[/]",
        )  # fmt: skip
    total = sum(one.found.dispatches for one in outcomes)
    table.add_section()
    table.add_row("all", "", f"{total:,}", *[""] * 6, f"{seconds:.0f}", "")
    console.print(table)


if __name__ == "__main__":
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    sys.exit(main())
