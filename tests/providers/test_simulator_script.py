"""Scripts are read strictly, and segments are counted as on the air."""

import pytest

from providers.simulator.reading import InvalidField
from providers.simulator.script import read_script
from providers.simulator.segments import is_gsm, pieces, segments


@pytest.mark.parametrize(
    ("script", "field"),
    [
        ([], ""),
        ({"latncy_ms": 5}, "latncy_ms"),
        ({"latency_ms": "fast"}, "latency_ms"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"latency_ms": True}, "latency_ms"),
        ({"latency_ms": {"gamma": 1}}, "latency_ms"),
        ({"latency_ms": {"uniform": [5, 1]}}, "latency_ms.uniform"),
        ({"latency_ms": {"lognormal": {"median": 5}}}, "latency_ms.lognormal.p99"),
        ({"latency_ms": {"lognormal": {"median": 5, "p99": 1}}}, "latency_ms.lognormal.p99"),
        ({"rate_limit": {}}, "rate_limit.per_second"),
        ({"rate_limit": {"per_second": 0}}, "rate_limit.per_second"),
        ({"rate_limit": {"per_second": 5, "per": "moon"}}, "rate_limit.per"),
        ({"faults": {}}, "faults"),
        ({"faults": [{}]}, "faults[0].fault"),
        ({"faults": [{"fault": "flood"}]}, "faults[0].fault"),
        ({"faults": [{"fault": "error", "status": 404}]}, "faults[0].status"),
        ({"faults": [{"fault": "html", "status": 600}]}, "faults[0].status"),
        ({"faults": [{"fault": "slow", "taken": True}]}, "faults[0].taken"),
        ({"faults": [{"fault": "slow", "probability": 2}]}, "faults[0].probability"),
        ({"faults": [{"fault": "slow", "next": 0}]}, "faults[0].next"),
        ({"faults": [{"fault": "slow", "every": 1.5}]}, "faults[0].every"),
        ({"faults": [{"fault": "slow", "between": [1]}]}, "faults[0].between"),
        ({"faults": [{"fault": "reset_before_read", "to": ["+1"]}]}, "faults[0].to"),
        ({"reject": "+1"}, "reject"),
        ({"reject": ["*"]}, "reject"),
        ({"receipts": {"delivered": 0.9, "undelivered": 0.2}}, "receipts.delivered"),
        ({"receipts": 5}, "receipts"),
        ({"stops": {"share": 0.1}}, "inbound_url"),
        ({"inbound_url": "localhost:8000"}, "inbound_url"),
        ({"webhooks": {"batch": 0}}, "webhooks.batch"),
        ({"dialect": "morse"}, "dialect"),
    ],
)
def test_a_wrong_script_is_refused_by_the_name_of_the_field(script, field):
    with pytest.raises(InvalidField) as refusal:
        read_script(script)
    assert refusal.value.field == field
    assert refusal.value.problem


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("x" * 152 + "€" + "x" * 152, 3),
        ("ы" * 70, 1),
        ("ы" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 67, 3),
    ],
)
def test_counts_segments(text, count):
    assert segments(text) == count
    assert len(pieces(text)) == count
    assert "".join(pieces(text)) == text


def test_fills_each_segment_but_splits_no_character():
    assert [len(piece) for piece in pieces("x" * 152 + "€" + "x" * 152)] == [152, 152, 1]
    assert [len(piece) for piece in pieces("😀" * 67)] == [33, 33, 1]
    assert [len(piece) for piece in pieces("ы" * 71)] == [67, 4]


def test_knows_what_gsm_has():
    assert is_gsm("Ω Ç € [x]")
    assert not is_gsm("ç")
