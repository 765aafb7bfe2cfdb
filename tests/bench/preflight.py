"""How long a manager waits to know what a launch would do: every person is asked every rule, in the database."""

from typing import Any

from campaigns import preflight
from smsplatform.common import database
from smsplatform.common.database import execute
from tests import ground
from tests.bench.frame import Bench, Figures, Measure, timed

# What years leave behind: consent of nine in ten, three messages to every other person, one in three told how to stop.
_PAST = (
    """
    INSERT INTO compliance_consentstate (tenant_id, brand_id, number, category, tier, status)
    SELECT tenant_id, %(brand)s, number, '', 'written', 'granted' FROM campaigns_recipient WHERE mod(id, 10) > 0
    """,
    """
    INSERT INTO compliance_permit (dispatch_id, tenant_id, brand_id, number, is_person_capped, windows, at, over_cap)
    SELECT gen_random_uuid(), tenant_id, %(brand)s, number, true, '{}', now() - k * interval '5 hours', false
    FROM campaigns_recipient, generate_series(1, 3) k WHERE mod(id, 2) = 0
    """,
    """
    INSERT INTO compliance_stopline (tenant_id, brand_id, number, told_at)
    SELECT tenant_id, %(brand)s, number, now() - interval '10 days' FROM campaigns_recipient WHERE mod(id, 3) = 0
    """,
)
_CAMPAIGNS: dict[str, dict[str, Any]] = {
    "few_texts": {"text": "Our sale begins tomorrow at nine."},
    "own_texts": {"text": "Hello {{ first_name }}, our sale begins tomorrow at nine."},
    "spread": {"text": "Our sale begins tomorrow at nine.", "spread_hours": 8},
}


def _run(bench: Bench) -> Figures:
    ground.clear()
    people = bench.size(1_000_000, 20_000)
    client = ground.make_client("preflight", people, base_url="http://127.0.0.1:9", consent_kept="here")
    for sql in _PAST:
        execute(sql, {"brand": client.brand_id})
    execute("ANALYZE compliance_consentstate, compliance_permit, compliance_stopline")
    figures: Figures = {}
    for name, options in _CAMPAIGNS.items():
        campaign = ground.make_campaign(client, name, **options)
        with timed() as clock:
            numbers = preflight.count(campaign=campaign, at=database.now())
        if numbers["people"] != people:
            raise ground.GroundFailed(f"{numbers['people']:,} people were counted instead of {people:,}")
        bench.say(f"{name}: {numbers['now']:,} now, {numbers['never']:,} never; {clock.seconds:.1f} s")
        figures[f"preflight_{'' if bench.is_short else '1m_'}{name}_seconds"] = clock.seconds
    return figures


MEASURES = (Measure("preflight", "Pre-flight of a launch to everybody", _run),)
