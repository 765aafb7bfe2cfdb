"""The simulator's own dialect as tables."""

import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from providers.adapters.base import (
    HttpReply,
    Inbound,
    MalformedEvent,
    Message,
    Outcome,
    Receipt,
    ReceiptStatus,
    WebhookRequest,
)
from providers.adapters.simulator import SimulatorAdapter, SimulatorCredentials

SIMULATED = {
    "account": "token1",
    "credentials": {"token": "token1", "webhook_secret": "hush"},
    "options": {},
    "base_path": "",
    "sender": "+12025550100",
    "script": {"secret": "hush"},
}

MESSAGE = Message(
    reference="0198c0de" * 4 + "00000001",
    to="+12025550123",
    sender="+12025550100",
    text="Grüße",
    segments=1,
    status_url="https://sms.example/hooks/7?ref=1",
    valid_for=60,
)
ADAPTER = SimulatorAdapter(SimulatorCredentials(token="tok-en-1", webhook_secret="s3cret-2"))


def read(status, body, headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ADAPTER.read(MESSAGE, HttpReply(status, headers or {}, raw))


def refusal(code, *, taken=False):
    return {"error": {"code": code, "message": "Words", "taken": taken}}


def test_posts_json_with_a_bearer_token():
    call = ADAPTER.call(MESSAGE)
    assert (call.method, call.url) == ("POST", "http://127.0.0.1:8025/v1/messages")
    assert call.headers["Authorization"] == "Bearer tok-en-1"
    assert json.loads(call.body) == {
        "to": "+12025550123",
        "from": "+12025550100",
        "text": "Grüße",
        "reference": MESSAGE.reference,
        "status_url": "https://sms.example/hooks/7?ref=1",
        "valid_for": 60,
    }


def test_an_id_is_an_acceptance():
    result = read(201, {"id": "m1", "status": "accepted"})
    assert (result.outcome, result.provider_id) == (Outcome.ACCEPTED, "m1")


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (429, "rate_limited", Outcome.REJECTED_RETRYABLE),
        (503, "overloaded", Outcome.REJECTED_RETRYABLE),
        (401, "unauthorized", Outcome.REJECTED_PROVIDER),
        (422, "unknown_sender", Outcome.REJECTED_PROVIDER),
        (422, "invalid_number", Outcome.REJECTED_PERMANENT),
        (400, "invalid_request", Outcome.REJECTED_PERMANENT),
        (403, "opted_out", Outcome.REJECTED_PERMANENT),
        (400, "something_new", Outcome.REJECTED_PERMANENT),
    ],
)
def test_reads_a_refusal_by_its_meaning(status, code, outcome):
    result = read(status, refusal(code), {"retry-after": "2"})
    assert (result.outcome, result.code, result.detail) == (outcome, code, "Words")
    assert result.retry_after == 2.0
    assert result.opted_out is (code == "opted_out")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, {"status": "accepted"}),
        (201, {"id": ""}),
        (201, {"id": "../1"}),
        (201, b'{"id": "m1'),
        (429, b"<html>"),
        (429, {"error": "rate_limited"}),
        (429, {"error": {"code": 7, "taken": False}}),
        (429, {"error": {"code": "rate_limited"}}),
        (429, refusal("rate_limited", taken=None)),
        (429, refusal("rate_limited", taken=0)),
        (403, refusal("opted_out", taken=True)),
        (500, {"error": {"code": "internal", "message": "…"}}),
        (307, b""),
    ],
)
def test_without_proof_it_stays_unknown(status, body):
    result = read(status, body)
    assert result.outcome is Outcome.UNKNOWN
    assert not result.opted_out


def signed(body, *, secret="s3cret-2", instant="1790000000"):  # noqa: S107 - a test's own
    digest = hmac.new(secret.encode(), f"{instant}.".encode() + body, hashlib.sha256).hexdigest()
    header = f"t={instant},v1={digest}"
    return WebhookRequest("POST", "https://x/", {"x-simulator-signature": header}, body)


def test_verifies_instant_and_body():
    good = signed(b'{"events":[]}')
    assert ADAPTER.verify(good)
    header = good.headers["x-simulator-signature"]
    later = header.replace("t=1790000000", "t=1790000001")
    for headers, body in [
        ({"x-simulator-signature": header}, good.body + b" "),
        ({"x-simulator-signature": later}, good.body),
        ({"x-simulator-signature": header.partition(",")[2]}, good.body),
        ({}, good.body),
    ]:
        assert not ADAPTER.verify(WebhookRequest("POST", "https://x/", headers, body))
    assert not ADAPTER.verify(signed(good.body, secret="other"))


def test_nothing_verifies_without_a_secret():
    bare = SimulatorAdapter(SimulatorCredentials(token="t", webhook_secret=""))
    assert not bare.verify(signed(b"{}", secret=""))


def parse(*events):
    return ADAPTER.parse(signed(json.dumps({"events": list(events)}).encode()))


REPORT = {"type": "report", "id": "m1", "reference": "r", "status": "delivered"}
INBOUND = {"type": "inbound", "id": "i1", "from": "+1", "to": "+2", "text": "STOP\x00"}


def test_reads_several_events_in_their_order():
    report = REPORT | {"at": "2026-03-01T12:00:00+00:00", "code": ""}
    assert parse(report, INBOUND) == [
        Receipt(
            key="m1:delivered",
            status=ReceiptStatus.DELIVERED,
            reference="r",
            provider_id="m1",
            occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        ),
        Inbound(key="i1", sender="+1", to="+2", text="STOP�", provider_id="i1"),
    ]


def test_a_report_can_tell_of_an_opt_out():
    [receipt] = parse(REPORT | {"status": "rejected", "code": "opted_out"})
    assert receipt.opted_out


@pytest.mark.parametrize(
    ("events", "field"),
    [
        ([], "events"),
        ([7], r"events\[0\]"),
        ([REPORT, REPORT | {"id": None}], r"events\[1\].id"),
        ([REPORT | {"type": "else"}], r"events\[0\].type"),
        ([REPORT | {"status": "lost"}], r"events\[0\].status"),
        ([REPORT | {"status": []}], r"events\[0\].status"),
        ([REPORT | {"at": "yesterday"}], r"events\[0\].at"),
        ([REPORT | {"at": "2026-03-01T12:00:00"}], r"events\[0\].at"),
        ([INBOUND | {"from": ""}], r"events\[0\].from"),
        ([INBOUND | {"to": 5}], r"events\[0\].to"),
    ],
)
def test_names_what_is_malformed(events, field):
    with pytest.raises(MalformedEvent, match=f"^{field}: "):
        parse(*events)


def test_answers_with_nothing():
    assert ADAPTER.answer(signed(b"{}")).status == 204
