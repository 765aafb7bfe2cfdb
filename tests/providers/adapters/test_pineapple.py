"""PineApple as it is assumed to be, until its document says otherwise."""

import json

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
from providers.adapters.pineapple import PineAppleAdapter, PineAppleCredentials, PineAppleOptions

# Assumed like everything else, so an account must say them.
REFUSALS = """
status=422 field=error_code value=invalid_number -> rejected_permanent
status=422 field=error_code value=opted_out -> rejected_permanent opted_out
status=400 field=error_code value=invalid_request -> rejected_permanent
status=429 field=error_code value=rate_limited -> rejected_retryable
status=401 field=error_code value=unauthorized -> rejected_provider
"""
SIMULATED = {
    "account": "key-1",
    "credentials": {"webhook_token": "t0ken", "api_key": "key-1"},
    "options": {"refused_when": REFUSALS},
    "base_path": "/pineapple",
    "sender": "+12025550100",
    "script": {},
}

MESSAGE = Message(
    reference="0198c0de" * 4 + "00000001",
    to="+12025550123",
    sender="+12025550100",
    text='Grüße & "more"?',
    segments=1,
    status_url="https://sms.example/webhooks/pineapple/k/status?ref=1",
    valid_for=60,
)
ADAPTER = PineAppleAdapter(PineAppleCredentials("t0ken", api_key="key-1"), "https://v.example")


def test_posts_json():
    call = ADAPTER.call(MESSAGE)
    assert (call.method, call.url) == ("POST", "https://v.example/v1/messages")
    assert call.headers == {"X-Api-Key": "key-1", "Content-Type": "application/json"}
    assert json.loads(call.body) == {
        "to": "+12025550123",
        "from": "+12025550100",
        "text": 'Grüße & "more"?',
        "reference": MESSAGE.reference,
        "callback_url": f"{MESSAGE.status_url}&token=t0ken",
        "valid_for": 60,
    }


def test_sends_nothing_to_a_host_that_was_guessed():
    ours = PineAppleAdapter(ADAPTER.credentials)
    assert ours.call(MESSAGE).url.startswith("https://base-url-is-missing.invalid/")


@pytest.mark.parametrize(
    ("status", "body", "provider_id"),
    [
        (202, {"message_id": "m1"}, "m1"),
        (200, {"message_id": 17}, "17"),
        (200, {"id": "m1"}, ""),
        (202, b"", ""),
        (422, {"error_code": "opted_out", "error_message": "Words"}, ""),
        (429, {"error_code": "rate_limited"}, ""),
        (401, {"error_code": "unauthorized"}, ""),
        (500, {"message_id": "m1"}, ""),
        (502, b"<html>", ""),
    ],
)
def test_only_an_id_means_anything(status, body, provider_id):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    result = ADAPTER.read(MESSAGE, HttpReply(status, {}, raw))
    assert result.outcome is (Outcome.ACCEPTED if provider_id else Outcome.UNKNOWN)
    assert (result.provider_id, result.opted_out) == (provider_id, False)


@pytest.mark.parametrize(
    ("code", "status", "outcome", "opted_out"),
    [
        ("invalid_number", 422, Outcome.REJECTED_PERMANENT, False),
        ("opted_out", 422, Outcome.REJECTED_PERMANENT, True),
        ("rate_limited", 429, Outcome.REJECTED_RETRYABLE, False),
        ("unauthorized", 401, Outcome.REJECTED_PROVIDER, False),
        ("internal", 500, Outcome.UNKNOWN, False),
    ],
)
def test_an_account_may_say_what_the_document_says(code, status, outcome, opted_out):
    ours = PineAppleAdapter(ADAPTER.credentials, "", PineAppleOptions(**SIMULATED["options"]))
    body = {"error_code": code, "error_message": "Words"}
    result = ours.read(MESSAGE, HttpReply(status, {}, json.dumps(body).encode()))
    assert (result.outcome, result.opted_out, result.code) == (outcome, opted_out, code)
    assert result.detail.endswith("Words")


def hook(rest, body):
    url = f"https://sms.example/webhooks/pineapple/k/{rest}"
    return WebhookRequest("POST", url, {}, json.dumps(body).encode())


def test_webhooks_prove_that_they_know_the_token():
    assert ADAPTER.verify(hook("status?ref=1&token=t0ken", {}))
    assert not ADAPTER.verify(hook("status?ref=1&token=key-1", {}))


def test_reads_a_report():
    body = {"message_id": "m1", "reference": "r", "status": "failed", "error_code": "lost"}
    assert ADAPTER.parse(hook("status?ref=other", body)) == [
        Receipt("m1:failed", ReceiptStatus.FAILED, reference="r", provider_id="m1", code="lost")
    ]


def test_reads_a_persons_message():
    body = {"message_id": "i1", "from": "2025550123", "to": "+12025550100", "text": "STOP"}
    assert ADAPTER.parse(hook("inbound", body)) == [Inbound("i1", "+12025550123", "+12025550100", "STOP")]
