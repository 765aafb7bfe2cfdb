"""Millions of moves: what they leave behind in the tables, and whether autovacuum keeps up.

The provider takes everything at once and says so: nothing here is about the network.
"""

import time
from dataclasses import dataclass
from unittest.mock import patch

from campaigns import launch
from campaigns.models import Campaign, Dispatch
from campaigns.pipeline import PIPELINE
from providers import delivery
from providers.adapters.base import Outcome, Result
from smsplatform.common import database
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


@dataclass
class Table:
    """What a table (all its partitions together) went through, and how much of it is dead now."""

    updates: int
    hot: int
    deletes: int
    live: int
    dead: int
    most_dead: float
    vacuums: int
    bytes_per_row: float
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
    """Send to the client's people again and again until dispatches have changed this often; return how often, and the tables."""
    execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    campaign = Campaign.objects.get(tenant_id=client.tenant_id)
    execute("SELECT pg_stat_reset()")
    began, number = time.monotonic(), 0
    worst = dict.fromkeys(TABLES, 0.0)
    with patch.object(delivery, "poster", _Accepting):
        while (done := _counts("campaigns_dispatch")[0]) < wanted:
            number += 1
            run = launch.launch(campaign=campaign, occurrence=f"churn {number}", now=database.now(), actor="soak")
            launch.materialise(run.pk)
            while leased := world.hand_out():
                for batch in leased:
                    for stage in PIPELINE:
                        stage.run(batch.batch_id, batch.lease)
            _told()
            for name, table in TABLES.items():
                _, _, _, live, dead, _ = _counts(table)
                worst[name] = max(worst[name], dead / max(live + dead, 1))
            rate = done / (time.monotonic() - began)
            say(f"{done:,} moves, {rate:,.0f} a second; dead rows of dispatch: {worst['dispatch']:.1%} at most")
    assert not Dispatch.objects.filter(run_id=run.pk).exclude(state="accepted").exists()
    _told()
    return _counts("campaigns_dispatch")[0], {name: _table(table, worst[name]) for name, table in TABLES.items()}


def _told() -> None:
    """Have the statistics of this connection written."""
    execute("SELECT pg_stat_force_next_flush()")
    execute("SELECT 1")


def _parts(table: str) -> list[str]:
    found = rows("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table])
    return [name for (name,) in found] or [table]


def _counts(table: str) -> tuple[int, ...]:
    """Return updates, heap-only ones, deletes, live and dead rows, vacuums; of partitions that changed since the reset."""
    [found] = rows(
        "SELECT sum(n_tup_upd), sum(n_tup_hot_upd), sum(n_tup_del), sum(n_live_tup), sum(n_dead_tup), sum(autovacuum_count)"
        " FROM pg_stat_user_tables WHERE relid = ANY(%s::regclass[]) AND (n_tup_upd + n_tup_ins + n_tup_del > 0)",
        [_parts(table)],
    )
    return tuple(int(number or 0) for number in found)


def _table(table: str, most_dead: float) -> Table:
    updates, hot, deletes, live, dead, vacuums = _counts(table)
    [(size, free)] = rows(
        "SELECT sum(pg_total_relation_size(s.relid)), sum(t.approx_free_space + t.dead_tuple_len)"
        " FROM pg_stat_user_tables s, pgstattuple_approx(s.relid) t"
        " WHERE s.relid = ANY(%s::regclass[]) AND (n_tup_upd + n_tup_ins + n_tup_del > 0)",
        [_parts(table)],
    )
    [(heap,)] = rows(
        "SELECT sum(pg_relation_size(relid)) FROM pg_stat_user_tables WHERE relid = ANY(%s::regclass[])"
        " AND (n_tup_upd + n_tup_ins + n_tup_del > 0)",
        [_parts(table)],
    )
    return Table(
        updates=updates,
        hot=hot,
        deletes=deletes,
        live=live,
        dead=dead,
        most_dead=most_dead,
        vacuums=vacuums,
        bytes_per_row=float(size or 0) / max(live, 1),
        free_share=float(free or 0) / max(float(heap or 0), 1),
    )
