"""Millions of moves: what they leave behind in the tables, and whether autovacuum keeps up.

The provider takes everything at once and says so: nothing here is about the network.
"""

import time
from dataclasses import dataclass
from typing import NamedTuple
from unittest.mock import patch

from campaigns import launch
from campaigns.models import Campaign, Dispatch
from campaigns.pipeline import PIPELINE
from providers import delivery
from providers.adapters.base import Outcome, Result
from smsplatform.common import database, partitions
from smsplatform.common.database import execute, rows
from tests import world
from tests.ground import Client

TABLES = {
    "dispatch": "campaigns_dispatch",
    "attempt": "campaigns_attempt",
    "permit": "compliance_permit",
    "sendlock": "campaigns_sendlock",
    "tallydelta": "campaigns_tallydelta",
    "batch": "campaigns_batch",
    "capwindow": "compliance_capwindow",
}


# Below this many rows a share of dead ones says nothing: autovacuum does not look either.
_ENOUGH = 20_000


@dataclass
class Table:
    """What a table (of the partitioned ones, this month's part) went through, and what it looks like now."""

    updates: int
    hot: int
    deletes: int
    vacuums: int
    live: int
    dead: int
    most_dead: float
    size_before: int
    size: int
    free_share: float


class _Accepting:
    """Stands for the poster: every message is taken."""

    count = 0

    def post(self, envelopes, answers, _again) -> None:
        for envelope in envelopes:
            _Accepting.count += 1
            taken = Result(Outcome.ACCEPTED, provider_id=f"churn{_Accepting.count:027d}")
            delivery._answer(answers, envelope, taken)


def moves(client: Client, wanted: int, say) -> tuple[int, dict[str, Table]]:
    """Send to the client's people again and again until dispatches have moved this often; return how often, and the tables."""
    execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    campaign = Campaign.objects.get(tenant_id=client.tenant_id)
    names = {short: _part(table) for short, table in TABLES.items()}
    before = {short: _counts(table) for short, table in names.items()}
    worst = dict.fromkeys(TABLES, 0.0)
    began, done, number = time.monotonic(), 0, 0
    told = wanted // 20
    with patch.object(delivery, "poster", _Accepting):
        while done < wanted:
            number += 1
            run = launch.launch(
                campaign=campaign, occurrence=f"churn {number}", now=database.now(), actor="soak", is_meant=True
            )
            launch.materialise(run.pk)
            while leased := world.hand_out():
                for batch in leased:
                    for stage in PIPELINE:
                        stage.run(batch.batch_id, batch.lease)
            execute("SELECT pg_stat_force_next_flush()")
            for short, table in names.items():
                now = _counts(table)
                if now.live + now.dead > _ENOUGH:
                    worst[short] = max(worst[short], now.dead / (now.live + now.dead))
            done = _counts(names["dispatch"]).updates - before["dispatch"].updates
            if done >= told:
                told += wanted // 20
                say(f"{done:,} moves, {done / (time.monotonic() - began):,.0f} a second")
    assert not Dispatch.objects.of_run(run.pk).exclude(state="accepted").exists()
    return done, {short: _table(table, before[short], worst[short]) for short, table in names.items()}


class _Counts(NamedTuple):
    updates: int
    hot: int
    deletes: int
    vacuums: int
    live: int
    dead: int
    size: int


def _part(table: str) -> str:
    """Return the partition that the present runs are in, or the table itself."""
    return f"{table}_{database.now():%Y_%m}" if table in partitions.TABLES else table


def _counts(table: str) -> _Counts:
    [found] = rows(
        "SELECT n_tup_upd, n_tup_hot_upd, n_tup_del, autovacuum_count, n_live_tup, n_dead_tup, pg_total_relation_size(relid)"
        " FROM pg_stat_user_tables WHERE relid = %s::regclass",
        [table],
    )
    return _Counts(*found)


def _table(table: str, before: _Counts, most_dead: float) -> Table:
    now = _counts(table)
    [(dead, free)] = rows("SELECT dead_tuple_count, approx_free_percent FROM pgstattuple_approx(%s::regclass)", [table])
    return Table(
        updates=now.updates - before.updates,
        hot=now.hot - before.hot,
        deletes=now.deletes - before.deletes,
        vacuums=now.vacuums - before.vacuums,
        live=now.live,
        dead=dead,
        most_dead=most_dead,
        size_before=before.size,
        size=now.size,
        free_share=free / 100,
    )
