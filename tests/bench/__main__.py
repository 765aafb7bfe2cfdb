"""Runs the measures one after the other, prints a table, and writes `.var/bench.json`."""

import argparse
import importlib
import json
import signal
import sys

from rich.console import Console
from rich.table import Table

from tests import ground
from tests.bench.frame import Bench, Measure, timed

MODULES = ("throughput", "imports", "preflight", "webhooks", "waiting", "rates")
RESULT = ground.ROOT / ".var" / "bench.json"
# Ratios and limits of docs/performance.md: (name, at least or at most, value)
TARGETS = {
    "pipeline_over_wire": (">=", 0.5),
    "pipeline_over_chain_per_message": (">=", 40),
    "cost_1m_over_10k": ("<=", 1.2),
    "import_rows_per_s": (">=", 15_000),
    "import_peak_mb": ("<=", 200),
    "preflight_1m_few_texts_seconds": ("<=", 20),
    "preflight_1m_own_texts_seconds": ("<=", 20),
    "preflight_1m_spread_seconds": ("<=", 20),
    "receipts_per_s": (">=", 1_500),
    "receipt_p99_ms": ("<=", 50),
    "redirect_over_empty_view": (">=", 0.6),
    "fairness_seconds": ("<=", 2),
}


def main() -> int:
    """Measure; 1 when a measure could not be made."""
    parser = argparse.ArgumentParser(prog="make bench", description="How fast it is, all side by side in one run.")
    parser.add_argument("--short", action="store_true", help="small numbers: do the measures still work?")
    parser.add_argument("--only", default="", help="modules, or measures of them, like pipeline,imports")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the processes end with us
    place = ground.prepare("bench", PERSON_CAP_PER_DAY="30000")
    console = Console(highlight=False, soft_wrap=True)
    figures: dict[str, float] = {}
    failed = []
    only = set(filter(None, arguments.only.split(",")))
    by_module: dict[str, tuple[Measure, ...]] = {
        name: importlib.import_module(f"tests.bench.{name}").MEASURES for name in MODULES
    }
    known = {*by_module, *(measure.name for measures in by_module.values() for measure in measures)}
    if not only <= known:
        parser.error(f"--only: there is no {', '.join(sorted(only - known))}; choose from {', '.join(sorted(known))}")
    for name, measures in by_module.items():
        for measure in measures:
            if only and not only & {name, measure.name}:
                continue
            console.print(f"\n[bold]{measure.what}[/]")
            with ground.Ground(place) as floor, timed() as clock:
                try:
                    figures.update(measure.run(Bench(floor, place, console, arguments.short)))
                except ground.GroundFailed as failure:
                    failed.append(measure.name)
                    console.print(f"[bold red]{measure.name}: {failure}[/]; logs are in {floor.logs}")
            console.print(f"[dim]{measure.name}: {clock.seconds:.0f} s[/]")
    _write(figures, keep=bool(arguments.only))
    _show(console, figures)
    return 1 if failed else 0


def _write(figures: dict[str, float], *, keep: bool) -> None:
    """Write the figures; `keep` those of modules that were measured before and are not measured now."""
    known = json.loads(RESULT.read_text()) if keep and RESULT.exists() else {}
    known.update({name: round(value, 4) for name, value in figures.items()})
    RESULT.write_text(json.dumps(known, indent=2) + "\n")


def _show(console: Console, figures: dict[str, float]) -> None:
    table = Table(title="\nBench", title_style="bold", show_edge=False, pad_edge=False)
    table.add_column("figure")
    table.add_column("measured", justify="right")
    table.add_column("target", justify="right")
    table.add_column("")
    for name, value in figures.items():
        shown = f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
        target, mark = "", ""
        if name in TARGETS:
            sign, limit = TARGETS[name]
            is_met = value >= limit if sign == ">=" else value <= limit
            target, mark = f"{sign} {limit:,g}", "[green]met[/]" if is_met else "[red]missed[/]"
        table.add_row(name, shown, target, mark)
    console.print(table)
    console.print(f"\nWritten to {RESULT}")


if __name__ == "__main__":
    sys.exit(main())
