"""Fills a database with a year, measures what work costs in it and in an empty one, and writes `.var/soak.json`."""

import argparse
import json
import shutil
import signal
import sys
import time

from rich.console import Console
from rich.table import Table

from tests import ground

RESULT = ground.ROOT / ".var" / "soak.json"
MOST_GROWTH = 1.2
# Where an empty database answers within a few pages, a further level of an index is a large share of nearly nothing.
_LEVELS_OF_INDEXES = 1.0  # milliseconds


def main() -> int:
    """Measure; 1 when something costs more than it may."""
    parser = argparse.ArgumentParser(prog="make soak", description="What a year of old messages costs.")
    parser.add_argument("--short", action="store_true", help="60,000 old messages: do the measures still work?")
    parser.add_argument("--rows", type=int, default=0, help="how many old messages (20 million)")
    parser.add_argument("--moves", type=int, default=0, help="how many moves (5 million)")
    arguments = parser.parse_args()
    messages = arguments.rows or (60_000 if arguments.short else 20_000_000)
    moves = arguments.moves or (40_000 if arguments.short else 5_000_000)
    console = Console(highlight=False, soft_wrap=True, width=120)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the processes end with us
    place = ground.prepare("soak", PERSON_CAP_PER_DAY="10000")
    try:
        figures = _measure(console, place, messages, moves, rounds=1 if arguments.short else 5)
    finally:
        from smsplatform import embedded

        embedded.stop()
        shutil.rmtree(place, ignore_errors=True)
    RESULT.write_text(json.dumps({name: round(value, 4) for name, value in figures.items()}, indent=2) + "\n")
    console.print(f"\nWritten to {RESULT}")
    return 0


def _measure(console: Console, place, messages: int, moves: int, *, rounds: int) -> dict[str, float]:
    def say(text: str) -> None:
        console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {text}")

    with ground.Ground(place) as floor:
        floor.start("simulator")
        present, figures = fill(floor, messages, say)
        return figures | look(console, present, moves, rounds, say)


def fill(floor: ground.Ground, messages: int, say) -> tuple[ground.Client, dict[str, float]]:
    """Make two clients, copy the database while it is empty, and insert the year of the first."""
    from django.db import connection

    from smsplatform.common.database import execute
    from smsplatform.tenancy.models import User
    from tests.soak import growth, history

    url = floor.simulator.url
    past = ground.make_client("past", max(messages // 240, 1), base_url=url, person_cap=10_000)
    present = ground.make_client("present", 4_000, base_url=url, person_cap=10_000)
    floor.simulator.ask("PUT", "/_control/accounts/present", {"secret": "secret", "receipts": None})
    for client in (past, present):
        ground.launch(client)
    execute("UPDATE campaigns_run SET materialised_at = now(), settled_at = now()")
    User.objects.create_superuser("root@example.com", "root")
    for setting in ("pg_stat_statements.track_planning = on", "full_page_writes = off", "max_wal_size = '8GB'"):
        execute(f"ALTER SYSTEM SET {setting}")
    execute("SELECT pg_reload_conf()")
    execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    full = connection.settings_dict["NAME"]
    growth.use("postgres")
    execute(f'CREATE DATABASE empty TEMPLATE "{full}"')
    growth.use(full)
    say(f"inserting {messages:,} old messages")
    began = time.monotonic()
    inserted = history.insert(past, messages, say)
    figures = {"old_messages": inserted, "old_gb": history.database_gb(), "fill_seconds": time.monotonic() - began}
    execute("ALTER SYSTEM RESET full_page_writes")
    execute("SELECT pg_reload_conf()")
    return present, figures


def look(console: Console, present: ground.Client, moves: int, rounds: int, say) -> dict[str, float]:
    """Measure in the empty and in the full database; then move many rows in the full one."""
    from django.db import connection

    from smsplatform.common.database import rows
    from tests.soak import churn, growth

    full = connection.settings_dict["NAME"]
    costs = growth.both(present, ("empty", full), rounds, say)
    figures = _show_growth(console, costs["empty"], costs[full])
    growth.use(full)
    [(partitions,)] = rows("SELECT count(*) FROM pg_inherits WHERE inhparent = 'campaigns_dispatch'::regclass")
    say(f"dispatch has {partitions} partitions; {moves:,} moves follow")
    made, tables = churn.moves(present, moves, say)
    return figures | {"moves": made} | _show_churn(console, tables)


def _show_growth(console: Console, empty, full) -> dict[str, float]:
    table = Table(title="\nIn the database, medians", title_style="bold", show_edge=False, pad_edge=False)
    for name in ("work", "empty ms", "full ms", "growth", "empty pages", "full pages"):
        table.add_column(name, justify="left" if name == "work" else "right")
    figures = {}
    for name, before in empty.items():
        after = full[name]
        ratio = after.ms / max(before.ms, 0.001)
        figures[f"{name}_growth"] = ratio
        figures[f"{name}_pages_growth"] = after.middle_pages / max(before.middle_pages, 1)
        figures[f"{name}_ms"] = after.ms
        is_much = ratio > MOST_GROWTH and after.ms - before.ms > _LEVELS_OF_INDEXES
        table.add_row(
            name,
            f"{before.ms:.2f}",
            f"{after.ms:.2f}",
            f"[{'red' if is_much else 'green'}]{ratio:.2f}[/]",
            f"{before.middle_pages:,.0f}",
            f"{after.middle_pages:,.0f}",
        )
    console.print(table)
    return figures


def _show_churn(console: Console, tables) -> dict[str, float]:
    shown = Table(title="\nAfter the moves", title_style="bold", show_edge=False, pad_edge=False)
    columns = (
        "table",
        "updates",
        "heap-only",
        "deletes",
        "live",
        "dead",
        "dead at most",
        "vacuums",
        "MB before",
        "MB",
        "free",
    )
    for name in columns:
        shown.add_column(name, justify="left" if name == "table" else "right")
    figures = {}
    for name, each in tables.items():
        hot = each.hot / each.updates if each.updates else 1.0
        figures |= {
            f"hot_share_{name}": hot,
            f"dead_share_after_{name}": each.dead / max(each.live + each.dead, 1),
            f"dead_share_most_{name}": each.most_dead,
            f"bytes_per_row_{name}": each.size / max(each.live, 1),
            f"mb_{name}": each.size / 2**20,
            f"free_share_{name}": each.free_share,
        }
        shown.add_row(
            name,
            f"{each.updates:,}",
            f"{hot:.1%}" if each.updates else "-",
            f"{each.deletes:,}",
            f"{each.live:,}",
            f"{each.dead:,}",
            f"{each.most_dead:.1%}",
            f"{each.vacuums}",
            f"{each.size_before / 2**20:,.1f}",
            f"{each.size / 2**20:,.1f}",
            f"{each.free_share:.1%}",
        )
    console.print(shown)
    return figures


if __name__ == "__main__":
    sys.exit(main())
