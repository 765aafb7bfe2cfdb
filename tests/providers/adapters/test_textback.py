"""TextBack as its one known request, and as little else as is known."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from providers.adapters.base import (
    HttpReply,
    Inbound,
    Message,
    Outcome,
    Receipt,
    ReceiptStatus,
    WebhookRequest,
)
from providers.adapters.textback import TextBackAdapter, TextBackCredentials, TextBackOptions

# The vendor publishes no refusals; these are the simulator's, which an account would name if they were the vendor's.
REFUSALS = """
status=400 field=error.code value=invalid_number -> rejected_permanent
status=400 field=error.code value=invalid_request -> rejected_permanent
status=400 field=error.code value=opted_out -> rejected_permanent opted_out
status=429 field=error.code value=rate_limited -> rejected_retryable
status=401 field=error.code value=unauthorized -> rejected_provider
"""
SIMULATED = {
    "account": "tb-key",
    "credentials": {"webhook_token": "t0ken", "api_key": "tb-key"},
    "options": {"refused_when": REFUSALS},
    "base_path": "/textback",
    "sender": "+12025550100",
    "script": {},
    "reports": "by account",
}

MESSAGE = Message(
    reference="0198c0de" * 4 + "00000001",
    to="+12025550123",
    sender="+12025550100",
    text="Grüße & 100% + more?\n#1",
    segments=1,
    status_url="https://sms.example/webhooks/textback/k/status?ref=1",
    valid_for=60,
)
ADAPTER = TextBackAdapter(TextBackCredentials("t0ken", api_key="k&y"))


def test_gets_with_everything_in_the_query():
    call = ADAPTER.call(MESSAGE)
    parts = urlsplit(call.url)
    assert (call.method, call.body, call.headers) == ("GET", b"", {"Cache-Control": "no-store"})
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://api.textback.ai/send"
    assert parse_qsl(parts.query) == [
        ("action", "sendText"),
        ("apiKey", "k&y"),
        ("from", "12025550100"),
        ("to", "12025550123"),
        ("text", "Grüße & 100% + more?\n#1"),
    ]


def test_the_key_is_shown_nowhere():
    assert "k&y" not in repr([ADAPTER, ADAPTER.call(MESSAGE)])
    assert "k%26y" not in repr([ADAPTER, ADAPTER.call(MESSAGE)])


@pytest.mark.parametrize(
    ("status", "body", "provider_id"),
    [
        (200, {"id": "m1"}, "m1"),
        (200, {"id": 17, "success": True}, "17"),
        # Nobody knows what the vendor says when it refuses, so nothing proves a refusal.
        (200, {"success": False, "error": {"code": "opted_out"}}, ""),
        (201, {"id": "m1"}, ""),
        (400, {"error": {"code": "invalid_number", "message": "Words"}}, ""),
        (401, {"message": "Unauthorized"}, ""),
        (403, {"error": "unsubscribed"}, ""),
        (404, b"<html>", ""),
        (429, {"error": {"code": "rate_limited"}}, ""),
        (500, {"error": {"code": "internal"}}, ""),
        (302, b"", ""),
        (200, b"", ""),
        (200, b"OK", ""),
        (200, b"OK 17", ""),
    ],
)
def test_whatever_is_not_clear_is_unknown(status, body, provider_id):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    result = ADAPTER.read(MESSAGE, HttpReply(status, {"retry-after": "1"}, raw))
    assert result.outcome is (Outcome.ACCEPTED if provider_id else Outcome.UNKNOWN)
    assert (result.provider_id, result.opted_out) == (provider_id, False)


@pytest.mark.parametrize(
    ("code", "status", "outcome", "opted_out"),
    [
        ("invalid_number", 400, Outcome.REJECTED_PERMANENT, False),
        ("opted_out", 400, Outcome.REJECTED_PERMANENT, True),
        ("rate_limited", 429, Outcome.REJECTED_RETRYABLE, False),
        ("unauthorized", 401, Outcome.REJECTED_PROVIDER, False),
        ("internal", 500, Outcome.UNKNOWN, False),
    ],
)
def test_an_account_may_say_what_it_has_learnt(code, status, outcome, opted_out):
    ours = TextBackAdapter(ADAPTER.credentials, "", TextBackOptions(**SIMULATED["options"]))
    result = ours.read(MESSAGE, HttpReply(status, {}, json.dumps({"error": {"code": code}}).encode()))
    assert (result.outcome, result.opted_out, result.code) == (outcome, opted_out, code)


def hook(rest, body=b""):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WebhookRequest("POST", f"https://sms.example/webhooks/textback/k/{rest}", {}, raw)


def test_webhooks_prove_that_they_know_the_token():
    assert ADAPTER.verify(hook("inbound?token=t0ken"))
    assert not ADAPTER.verify(hook("inbound?token=T0ken"))
    assert not ADAPTER.verify(hook("inbound"))


@pytest.mark.parametrize("body", [{"id": 5, "from": "2025550123", "to": "12025550100", "text": "STOP"}, b""])
def test_reads_a_persons_message_from_body_or_query(body):
    query = "" if body else "&id=5&from=12025550123&to=12025550100&text=STOP"
    assert ADAPTER.parse(hook(f"inbound?token=t0ken{query}", body)) == [
        Inbound("5", "+12025550123", "+12025550100", "STOP")
    ]


def test_reads_a_report_by_the_vendors_id():
    assert ADAPTER.parse(hook("status?token=t0ken", {"id": "m1", "status": "Undelivered", "code": "x"})) == [
        Receipt("m1:Undelivered", ReceiptStatus.UNDELIVERED, provider_id="m1", code="x")
    ]
