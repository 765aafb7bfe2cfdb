"""Sinch's dialect as tables: messages and their requests, answers and their meanings, reports and replies."""

import base64
import hashlib
import hmac
import json
import string
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sinch.domains.authentication.sinch_events.v1.authentication_validation import (
    calculate_sinch_event_signature,
    validate_sinch_event_signature_with_nonce,
)

from providers.adapters.base import (
    SPLIT,
    Finding,
    HttpReply,
    Inbound,
    InvalidOption,
    MalformedEvent,
    Message,
    Outcome,
    Question,
    Receipt,
    ReceiptStatus,
    Unreadable,
    WebhookRequest,
)
from providers.adapters.sinch import REASONS, SinchAdapter, SinchCredentials, SinchOptions
from tests.providers.test_contract import PAGES
from tests.providers.test_contract import replies as any_replies

SIMULATED = {
    "account": "plan1",
    "credentials": {"service_plan_id": "plan1", "api_token": "token2", "webhook_secret": "hush"},
    "options": {},
    "base_path": "",
    "sender": "+12025550100",
    "script": {"secret": "hush"},
}
BATCH = "01FC66621VHDBN119Z8PMV1QPU"
REFERENCE = "0198c0de" * 4 + "00000001"
MESSAGE = Message(
    reference=REFERENCE,
    to="+12025550123",
    sender="+12025550100",
    text="Grüße & 100% + more?",
    segments=1,
    status_url=f"https://sms.example/webhooks/sinch/key/status?ref={REFERENCE}",
    valid_for=3600,
    expires_at=datetime(2026, 11, 21, 13, 0, 0, 250_000, tzinfo=UTC),
)
QUESTION = Question(REFERENCE, MESSAGE.to, MESSAGE.sender, MESSAGE.text, datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC))
ID = f"{BATCH}:12025550123"


def adapter(credentials=None, **options):
    ours = {"service_plan_id": "plan1", "api_token": "token2", "webhook_secret": "foo_secret1234"}
    return SinchAdapter(SinchCredentials(**(credentials or ours)), options=SinchOptions(**options))


def message(**changes):
    return Message(**{name: getattr(MESSAGE, name) for name in Message.__slots__} | changes)


def body_of(call):
    return json.loads(call.body)


def reply(status, body, headers=None):
    return HttpReply(status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode())


# -- call --------------------------------------------------------------------------------------


def test_posts_a_batch_of_one():
    call = adapter().call(MESSAGE)
    assert (call.method, call.url) == ("POST", "https://us.sms.api.sinch.com/xms/v1/plan1/batches")
    assert dict(call.headers) == {
        "Authorization": "Bearer token2",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    assert body_of(call) == {
        "to": ["12025550123"],
        "from": "12025550100",
        "body": "Grüße & 100% + more?",
        "type": "mt_text",
        "delivery_report": "per_recipient",
        "callback_url": MESSAGE.status_url,
        "client_reference": REFERENCE,
        "expire_at": "2026-11-21T13:00:00.250Z",
    }


EAST = timezone(timedelta(hours=-5))


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"sender": "50505"}, "from", "50505"),
        ({"sender": "ACME"}, "from", "ACME"),
        ({"status_url": ""}, "callback_url", None),
        ({"expires_at": None}, "expire_at", None),
        ({"expires_at": datetime(2026, 11, 21, 8, tzinfo=EAST)}, "expire_at", "2026-11-21T13:00:00.000Z"),
        # Default and most: 3 days.
        ({"valid_for": None}, "expire_at", "2026-11-21T13:00:00.250Z"),
        ({"valid_for": 259_199}, "expire_at", "2026-11-21T13:00:00.250Z"),
        ({"valid_for": 259_200}, "expire_at", None),
        ({"text": "costs $5 {now}"}, "body", "costs $5 {now}"),
        ({"text": "costs $5 {now}"}, "parameters", None),
        # A `${name}` would be taken for a parameter without a value, and its recipient refused.
        ({"text": "a ${name} b"}, "body", "a ${dollar}{name} b"),
        ({"text": "a ${name} b"}, "parameters", {"dollar": {"default": "$"}}),
    ],
)
def test_writes_each_field_as_sinch_wants_it(changes, name, value):
    assert body_of(adapter().call(message(**changes))).get(name) == value


@pytest.mark.parametrize("region", ["us", "eu", "au", "br", "ca"])
def test_calls_the_region_of_the_service_plan(region):
    assert adapter(region=region).call(MESSAGE).url.startswith(f"https://{region}.sms.api.sinch.com/xms/")


def test_another_base_url_replaces_the_vendors():
    credentials = SinchCredentials("a/b", "token2", "hush")
    assert SinchAdapter(credentials, "http://127.0.0.1:8025/").call(MESSAGE).url == (
        "http://127.0.0.1:8025/xms/v1/a%2Fb/batches"
    )


def test_reports_may_be_the_final_ones_alone():
    assert body_of(adapter(delivery_report="per_recipient_final").call(MESSAGE))["delivery_report"] == (
        "per_recipient_final"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"region": "mars"}, "region: 'mars' is none of Sinch's; give one of us, eu, au, br, ca"),
        *[
            ({"batch_size": size}, f"batch_size: '{size}' is not a number from 1 to 100; give one")
            for size in ("0", "101", "-1", "x", "", "²", "01")
        ],
        (
            {"delivery_report": "none"},
            "delivery_report: 'none' tells nothing of each person; give per_recipient or per_recipient_final",
        ),
    ],
)
def test_refuses_options_that_cannot_be(options, told):
    with pytest.raises(InvalidOption) as refusal:
        SinchOptions(**options)
    assert str(refusal.value) == told


@pytest.mark.parametrize("extra", [{}, {"webhook_user": "us"}, {"webhook_password": "pass"}])
def test_callbacks_must_be_provable(extra):
    with pytest.raises(TypeError, match="give webhook_secret, or webhook_user and webhook_password"):
        SinchCredentials("plan1", "token2", **extra)


# -- read --------------------------------------------------------------------------------------


def read(status, body, headers=None):
    return adapter().read(MESSAGE, reply(status, body, headers))


def error(code, text="Words"):
    return {"code": code, "text": text}


def test_an_id_is_an_acceptance():
    result = read(201, {"id": BATCH, "to": ["12025550123"], "canceled": False})
    assert (result.outcome, result.provider_id) == (Outcome.ACCEPTED, ID)
    assert len(ID) <= 80


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        # The table of the SMS guide and the page on status codes.
        (400, "syntax_invalid_json", Outcome.REJECTED_PERMANENT),
        (400, "syntax_invalid_parameter_format", Outcome.REJECTED_PERMANENT),
        (400, "syntax_constraint_violation", Outcome.REJECTED_PERMANENT),
        (403, "unknown_group", Outcome.REJECTED_PROVIDER),
        (403, "missing_callback_url", Outcome.REJECTED_PROVIDER),
        (403, "blocked_account", Outcome.REJECTED_PROVIDER),
        (403, "illegal_number_type", Outcome.REJECTED_PROVIDER),
        (403, "llegal_number_type", Outcome.REJECTED_PROVIDER),  # so the guide of 2021
        (401, "unauthorized", Outcome.REJECTED_PROVIDER),
        (404, "not_found", Outcome.REJECTED_PROVIDER),
        (405, "method_not_allowed", Outcome.REJECTED_PROVIDER),
        (415, "unsupported_media_type", Outcome.REJECTED_PROVIDER),
        (429, "too_many_requests", Outcome.REJECTED_RETRYABLE),
        # "Not processed", says the page; by look-up, not by faith.
        (500, "internal_error", Outcome.UNKNOWN),
        (503, "unavailable", Outcome.UNKNOWN),
        (500, "syntax_invalid_json", Outcome.UNKNOWN),
        (302, "syntax_invalid_json", Outcome.UNKNOWN),
        # Codes that are new to us.
        (400, "something_else", Outcome.REJECTED_PERMANENT),
        (403, "something_else", Outcome.REJECTED_PROVIDER),
        (408, "something_else", Outcome.UNKNOWN),
        (409, "something_else", Outcome.UNKNOWN),
    ],
)
def test_reads_a_refusal_by_its_code(status, code, outcome):
    result = read(status, error(code))
    assert (result.outcome, result.code, result.detail, result.opted_out) == (outcome, code, "Words", False)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b""),
        (201, b'{"id":"01F'),
        (201, {"to": ["12025550123"]}),
        (201, {"id": ""}),
        (201, {"id": 17}),
        (201, {"id": "two words"}),
        (201, {"id": "x" * 61}),
        (400, {"code": "syntax_invalid_json"}),
        (400, {"text": "Words"}),
        (400, {"code": 400, "text": "Words"}),
        (400, {"code": "", "text": "Words"}),
        (400, {"error": {"code": 400, "message": "Words", "status": "INVALID_ARGUMENT"}}),
        (400, [error("syntax_invalid_json")]),
        (401, b""),
        (429, b"<html>Too many requests</html>"),
        (302, b""),
    ],
)
def test_what_sinch_did_not_say_stays_unknown(status, body):
    result = read(status, body)
    assert (result.outcome, result.provider_id) == (Outcome.UNKNOWN, "")


def test_passes_on_how_long_to_wait():
    assert read(429, error("too_many_requests"), {"retry-after": "7"}).retry_after == 7.0


def test_a_detail_holds_neither_our_token_nor_what_cannot_be_stored():
    result = read(403, error("token2", "token token2 \x00 \ud800 end"))
    assert (result.code, result.detail) == ("***", "token *** � � end")


# -- batches -----------------------------------------------------------------------------------

SECOND = "0198c0df" * 4 + "00000002"
BOTH = (message(text="Hi Ann"), message(reference=SECOND, to="+12025550124", text="Hi Bob"))


def test_batches_are_off():
    assert adapter().batch_size == 1
    assert not adapter().fits_batch(MESSAGE)


@pytest.mark.parametrize(("given", "size"), [("2", 2), ("100", 100)])
def test_batches_are_as_large_as_the_option_says(given, size):
    assert adapter(batch_size=given).batch_size == size


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("Hello", True),
        ("x" * 160, True),
        ("x" * 161, False),
        ("🙂" * 80, True),
        ("🙂" * 81, False),
        ("$5 {now}", True),
        ("${name}", False),
        ("\ud800", True),
    ],
)
def test_what_can_be_a_value_fits_a_batch(text, fits):
    assert adapter(batch_size="10").fits_batch(message(text=text)) is fits


def test_posts_a_batch_with_each_persons_own_words():
    call = adapter(batch_size="10").call_batch(BOTH)
    assert (call.method, call.url) == ("POST", "https://us.sms.api.sinch.com/xms/v1/plan1/batches")
    assert body_of(call) == {
        "to": ["12025550123", "12025550124"],
        "from": "12025550100",
        "body": "${text}",
        "parameters": {
            "text": {"12025550123": "Hi Ann", "12025550124": "Hi Bob"},
            "ref": {"12025550123": REFERENCE, "12025550124": SECOND},
        },
        "type": "mt_text",
        "delivery_report": "per_recipient",
        "callback_url": "https://sms.example/webhooks/sinch/key/status",
        "client_reference": f"{REFERENCE}+1",
        "expire_at": "2026-11-21T13:00:00.250Z",
    }


def test_a_full_batch_stays_within_the_limits():
    many = [message(to=f"+1202555{number:04}", reference=f"{number:040}") for number in range(100)]
    body = body_of(adapter(batch_size="100").call_batch(many))
    assert len(body["client_reference"]) <= 128
    assert all(len(value) <= 160 for own in body["parameters"].values() for value in own.values())
    assert all(len(key) <= 16 for key in body["parameters"])
    assert [len(own) for own in body["parameters"].values()] == [100, 100]


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ends", "expire_at"),
    [
        ((NOON, NOON + timedelta(hours=1)), "2026-11-21T12:00:00.000Z"),
        ((NOON + timedelta(hours=1), NOON), "2026-11-21T12:00:00.000Z"),
        ((None, NOON), "2026-11-21T12:00:00.000Z"),
        ((None, None), None),
    ],
)
def test_a_batch_ends_with_the_first_of_its_messages(ends, expire_at):
    several = [message(to=f"+1202555000{number}", expires_at=end) for number, end in enumerate(ends)]
    assert body_of(adapter(batch_size="10").call_batch(several)).get("expire_at") == expire_at


def read_both(status, body, of=BOTH):
    return adapter(batch_size="10").read_batch(of, reply(status, body))


def test_a_batch_taken_is_taken_for_each():
    results = read_both(201, {"id": BATCH})
    assert [(each.outcome, each.provider_id) for each in results] == [
        (Outcome.ACCEPTED, f"{BATCH}:12025550123"),
        (Outcome.ACCEPTED, f"{BATCH}:12025550124"),
    ]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "syntax_invalid_parameter_format"),
        (400, "syntax_constraint_violation"),
        (400, "syntax_invalid_json"),
        (400, "something_else"),
        (403, "illegal_number_type"),
        (403, "llegal_number_type"),
    ],
)
def test_what_may_be_about_some_of_them_is_split(status, code):
    assert read_both(status, error(code)) is SPLIT
    [alone] = read_both(status, error(code), BOTH[:1])
    assert alone == read(status, error(code))


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (401, "unauthorized", Outcome.REJECTED_PROVIDER),
        (403, "blocked_account", Outcome.REJECTED_PROVIDER),
        (403, "missing_callback_url", Outcome.REJECTED_PROVIDER),
        (404, "not_found", Outcome.REJECTED_PROVIDER),
        (429, "too_many_requests", Outcome.REJECTED_RETRYABLE),
        (500, "internal_error", Outcome.UNKNOWN),
        (503, "unavailable", Outcome.UNKNOWN),
        (500, "syntax_invalid_parameter_format", Outcome.UNKNOWN),
    ],
)
def test_what_is_about_the_account_holds_for_each(status, code, outcome):
    results = read_both(status, error(code))
    assert [each.outcome for each in results] == [outcome, outcome]
    assert results[0] == results[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page[:20]))
def test_a_page_that_is_not_sinchs_proves_nothing_of_a_batch(page):
    for status in range(100, 600):
        results = read_both(status, page)
        assert results is not SPLIT
        assert [each.outcome for each in results] == [Outcome.UNKNOWN] * 2


@given(answer=any_replies)
def test_reading_garbage_of_a_batch_never_raises(answer):
    results = adapter(batch_size="10").read_batch(BOTH, answer)
    assert results is SPLIT or len(results) == 2


# -- look-up -----------------------------------------------------------------------------------


def asked(call):
    return {name: value for name, [value] in parse_qs(urlsplit(call.url).query).items()}


def test_asks_by_reference():
    call = adapter().look_up(QUESTION)
    assert (call.method, call.url.partition("?")[0]) == ("GET", "https://us.sms.api.sinch.com/xms/v1/plan1/batches")
    assert asked(call) == {
        "client_reference": REFERENCE,
        "start_date": "2026-11-21T11:59:30.000Z",
        "page_size": "100",
    }


def test_asks_by_sender_and_time_where_batches_have_other_references():
    assert asked(adapter(batch_size="10").look_up(QUESTION)) == {
        "from": "12025550100",
        "start_date": "2026-11-21T11:59:30.000Z",
        "end_date": "2026-11-21T12:02:30.000Z",
        "page_size": "100",
    }


def listed(**changes):
    return {
        "id": BATCH,
        "to": ["12025550123"],
        "from": "12025550100",
        "canceled": False,
        "body": MESSAGE.text,
        "type": "mt_text",
        "created_at": "2026-11-21T12:00:31.250Z",
        "client_reference": REFERENCE,
    } | changes


def listed_batch(**changes):
    own = {
        "text": {"12025550122": "Hi", "12025550123": MESSAGE.text},
        "ref": {"12025550122": SECOND, "12025550123": REFERENCE},
    }
    several = {"to": ["12025550122", "12025550123"], "body": "${text}", "client_reference": f"{SECOND}+1"}
    return listed(**several, parameters=own) | changes


def found(batches, status=200):
    body = {"count": len(batches), "page": 0, "page_size": 30, "batches": batches}
    return adapter().found(QUESTION, reply(status, body))


CREATED_AT = datetime(2026, 11, 21, 12, 0, 31, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("batch", "reference"),
    [
        (listed(), REFERENCE),
        (listed(to=["+12025550123"]), REFERENCE),
        (listed(body=None), REFERENCE),
        (listed_batch(), REFERENCE),
        # As the first of a batch; its own reference is in front of the plus.
        (listed_batch(client_reference=f"{REFERENCE}+1"), REFERENCE),
        # Without the parameters, or any reference: a candidate, if the words are the same.
        (listed(client_reference=None), ""),
        (listed_batch(parameters=None), ""),
        (listed_batch(parameters={"text": {"12025550123": MESSAGE.text}}), ""),
    ],
)
def test_finds_the_message(batch, reference):
    assert found([batch]) == [Finding(ID, reference, CREATED_AT)]


def test_finds_every_candidate():
    both = found([listed(client_reference=None), listed(id="01X", client_reference=None, created_at="yesterday")])
    assert both == [Finding(ID, "", CREATED_AT), Finding("01X:12025550123")]
    assert found([]) == []


@pytest.mark.parametrize(
    "batch",
    [
        listed(client_reference=SECOND),
        listed(client_reference="order-17"),
        listed(client_reference=None, body="Another text"),
        listed(to=["12025550122"]),
        listed(to=[]),
        listed(to="12025550123"),
        listed(to=[12025550123]),
        listed(id=""),
        listed(id="two words"),
        listed_batch(parameters={"ref": {"12025550123": SECOND}, "text": {"12025550123": MESSAGE.text}}),
        listed_batch(parameters={"text": {"12025550123": "Another text"}}),
        {},
        None,
        "x",
    ],
)
def test_what_is_not_ours_is_not_found(batch):
    assert found([batch]) == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, {"batches": []}),
        (200, {"count": 0}),
        (401, error("unauthorized")),
        (500, {"count": 0, "batches": []}),
    ],
)
def test_an_answer_that_is_no_list_is_unreadable(status, body):
    with pytest.raises(Unreadable, match=f"^HTTP {status}: "):
        adapter().found(QUESTION, reply(status, body))


def test_checks_the_credentials_by_the_list():
    call = adapter().check()
    assert (call.method, call.url) == ("GET", "https://us.sms.api.sinch.com/xms/v1/plan1/batches?page_size=1")


# -- verify: the vector S1 -----------------------------------------------------------------------

# Published in sinch-sdk-python, tests of its Conversation callbacks; one function serves both APIs.
S1_BODY = (
    b'{"app_id":"01EB37HMH1M6SV18BSNS3G135H","accepted_time":"2020-11-17T15:09:11.659Z",'
    b'"project_id":"c36f3d3d-1513-2edd-ae42-11995557ff61","message_delivery_report":'
    b'{"message_id":"01EQBC1A3BEK731GY4YXEN0C2R","conversation_id":"01EPYATA64TMNZ1FV02JKF12JF",'
    b'"status":"QUEUED_ON_CHANNEL","contact_id":"01EXA07N79THJ20WSN6AS30TMW"}}'
)
S1 = {
    "x-sinch-webhook-signature": "Yc+3R1pIS78xLASybulhs8BsSo9BPB3Pr92QCUoczfk=",
    "x-sinch-webhook-signature-nonce": "01FJA8B4A7BM43YGWSG9GBV067",
    "x-sinch-webhook-signature-timestamp": "1634579353",
    "x-sinch-webhook-signature-algorithm": "HmacSHA256",
}
BASIC = {"service_plan_id": "plan1", "api_token": "token2", "webhook_user": "us", "webhook_password": "pass:word"}


def webhook(body, headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WebhookRequest("POST", "https://sms.example/webhooks/sinch/key/status", headers or {}, raw)


@given(
    body=st.text(), secret=st.text(min_size=1), nonce=st.text(string.ascii_letters, min_size=1), changed=st.booleans()
)
def test_agrees_with_the_vendors_package(body, secret, nonce, changed):
    signed = calculate_sinch_event_signature(f"{body}.{nonce}.1634579353", secret)
    headers = {
        "x-sinch-webhook-signature": signed,
        "x-sinch-webhook-signature-nonce": nonce,
        "x-sinch-webhook-signature-timestamp": "1634579353",
        "x-sinch-webhook-signature-algorithm": "HmacSHA256",
    }
    content = body + "x" * changed
    theirs = validate_sinch_event_signature_with_nonce(secret, headers, content)
    ours = adapter(BASIC | {"webhook_secret": secret, "webhook_user": "", "webhook_password": ""})
    assert ours.verify(webhook(content.encode(), headers)) is theirs is not changed


def test_accepts_the_published_signature():
    assert adapter().verify(webhook(S1_BODY, S1))


@pytest.mark.parametrize(
    "changes",
    [
        {"x-sinch-webhook-signature": ""},
        {"x-sinch-webhook-signature": "AAAA"},
        {"x-sinch-webhook-signature": "é"},
        {"x-sinch-webhook-signature-nonce": "01FJA8B4A7BM43YGWSG9GBV068"},
        {"x-sinch-webhook-signature-nonce": ""},
        {"x-sinch-webhook-signature-timestamp": "1634579354"},
        {"x-sinch-webhook-signature-timestamp": ""},
    ],
)
def test_refuses_what_the_secret_did_not_sign(changes):
    assert not adapter().verify(webhook(S1_BODY, S1 | changes))
    assert not adapter().verify(webhook(S1_BODY + b" ", S1))
    assert not adapter(BASIC | {"webhook_secret": "foo_secret1235"}).verify(webhook(S1_BODY, S1))


def test_a_secret_alone_verifies_where_there_is_one():
    both = adapter(BASIC | {"webhook_secret": "foo_secret1234"})
    assert both.verify(webhook(S1_BODY, S1))
    assert not both.verify(webhook(S1_BODY, basic("us:pass:word")))


def basic(pair):
    return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@pytest.mark.parametrize(
    ("headers", "is_right"),
    [
        (basic("us:pass:word"), True),
        ({"authorization": basic("us:pass:word")["authorization"].replace("Basic", "basic")}, True),
        (basic("us:pass"), False),
        (basic("them:pass:word"), False),
        (basic(":"), False),
        ({"authorization": basic("us:pass:word")["authorization"].replace("Basic", "Bearer")}, False),
        ({"authorization": "Basic é"}, False),
        ({"authorization": "Basic /w=="}, False),
        ({}, False),
        (S1, False),
    ],
)
def test_without_a_secret_the_password_decides(headers, is_right):
    assert adapter(BASIC).verify(webhook(S1_BODY, headers)) is is_right


@given(body=st.binary(max_size=80), nonce=st.text("abc019", min_size=1), timestamp=st.text("0123456789", min_size=1))
def test_verifies_whatever_bytes_are_signed(body, nonce, timestamp):
    signed = hmac.new(b"foo_secret1234", body + f".{nonce}.{timestamp}".encode(), hashlib.sha256).digest()
    headers = {
        "x-sinch-webhook-signature": base64.b64encode(signed).decode(),
        "x-sinch-webhook-signature-nonce": nonce,
        "x-sinch-webhook-signature-timestamp": timestamp,
    }
    assert adapter().verify(webhook(body, headers))
    assert not adapter().verify(webhook(body + b"0", headers))


# -- parse: reports --------------------------------------------------------------------------------


def report(**changes):
    return {
        "type": "recipient_delivery_report_sms",
        "batch_id": BATCH,
        "recipient": "12025550123",
        "code": 0,
        "status": "Delivered",
        "at": "2026-11-21T12:00:35.500Z",
        "operator_status_at": "2026-11-21T12:00:35.000Z",
        "client_reference": REFERENCE,
    } | changes


def parse(body):
    return adapter().parse(webhook(body))


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        ("Queued", 400, ReceiptStatus.QUEUED),
        ("Dispatched", 401, ReceiptStatus.SENT),
        ("Delivered", 0, ReceiptStatus.DELIVERED),
        *[("Failed", code, ReceiptStatus.UNDELIVERED) for code in (60, 62, 64, 150, 151, 153)],
        ("Failed", 61, ReceiptStatus.REJECTED),
        ("Rejected", 61, ReceiptStatus.REJECTED),
        ("Aborted", 61, ReceiptStatus.REJECTED),
        ("Expired", 406, ReceiptStatus.EXPIRED),
        ("Unknown", 1, ReceiptStatus.UNKNOWN),
        *[("Aborted", code, ReceiptStatus.REJECTED) for code in (402, 403, 404, 405, 408, 410, 411, 412, 413)],
        *[("Aborted", code, ReceiptStatus.REJECTED) for code in (414, 415, 416, 417, 418)],
        ("Aborted", 406, ReceiptStatus.EXPIRED),
        ("Aborted", 407, ReceiptStatus.FAILED),
        ("Rejected", 408, ReceiptStatus.REJECTED),
        ("Cancelled", 407, ReceiptStatus.FAILED),
        ("Deleted", 407, ReceiptStatus.FAILED),
    ],
)
@pytest.mark.parametrize("spelling", [str, str.upper])
@pytest.mark.parametrize("kind", ["sms", "mms"])
def test_normalises_a_report(said, code, status, spelling, kind):
    [receipt] = parse(report(status=spelling(said), code=code, type=f"recipient_delivery_report_{kind}"))
    assert receipt == Receipt(
        key=f"{ID}:{said.lower()}:{code}",
        status=status,
        reference=REFERENCE,
        provider_id=ID,
        code=str(code) if code else "",
        detail=REASONS.get(str(code), ""),
        occurred_at=datetime(2026, 11, 21, 12, 0, 35, 500_000, tzinfo=UTC),
        opted_out=code == 61,
    )


@pytest.mark.parametrize("code", [60, 61, 62, 64, 150, 151, 153, 402, 403, 404, 405, 406, 407, 408, *range(410, 419)])
def test_every_documented_code_has_its_words(code):
    [receipt] = parse(report(status="Failed", code=code))
    assert receipt.detail


def test_a_status_that_is_new_to_us_is_told_as_it_is_and_stored():
    unheard = webhook(report(status="Teleported", code=999))
    [receipt] = adapter().parse(unheard)
    assert (receipt.status, receipt.code, receipt.detail) == (ReceiptStatus.UNKNOWN, "999", "teleported")
    assert adapter().answer(unheard).status == 200


@pytest.mark.parametrize(
    ("code", "told"), [(0, ""), ("0", ""), ("402", "402"), (10**30, str(10**30)[:20]), (None, ""), ([], ""), (1.5, "")]
)
def test_a_code_is_a_number_or_a_text(code, told):
    [receipt] = parse(report(code=code, status="Failed"))
    assert receipt.code == told


@pytest.mark.parametrize(
    ("echoed", "reference"),
    [(REFERENCE, REFERENCE), (f"{REFERENCE}+99", ""), (None, ""), ("", ""), (17, ""), ("x" * 128, "x" * 64)],
)
def test_the_reference_of_a_batch_is_nobodys(echoed, reference):
    [receipt] = parse(report(client_reference=echoed))
    assert (receipt.reference, receipt.provider_id) == (reference, ID)


def test_reports_name_the_message_as_the_answer_did():
    several = adapter(batch_size="10").read_batch(BOTH, reply(201, {"id": BATCH}))
    told = [parse(report(recipient=each.to.removeprefix("+")))[0] for each in BOTH]
    assert [each.provider_id for each in told] == [each.provider_id for each in several]
    assert parse(report(recipient="+12025550123"))[0].provider_id == read(201, {"id": BATCH}).provider_id


def test_a_repeat_has_the_same_key_and_another_event_has_not():
    events = [report(), report(), report(status="Dispatched", code=401), report(recipient="12025550124")]
    first, again, other, person = (parse(each)[0].key for each in events)
    assert first == again
    assert len({first, other, person}) == 3


def test_a_full_report_tells_of_each_person():
    states = [
        {"code": 0, "status": "Delivered", "count": 2, "recipients": ["12025550123", "12025550124"]},
        {"code": 402, "status": "Aborted", "count": 1, "recipients": ["12025550125"]},
    ]
    full = {"type": "delivery_report_sms", "batch_id": BATCH, "statuses": states, "total_message_count": 3}
    told = [(each.provider_id, each.status, each.code) for each in parse(full)]
    assert told == [
        (f"{BATCH}:12025550123", ReceiptStatus.DELIVERED, ""),
        (f"{BATCH}:12025550124", ReceiptStatus.DELIVERED, ""),
        (f"{BATCH}:12025550125", ReceiptStatus.REJECTED, "402"),
    ]
    assert parse(full)[0].key == parse(report())[0].key


def test_a_summary_tells_nothing_of_ours():
    states = [{"code": 0, "status": "Delivered", "count": 3}]
    summary = {"type": "delivery_report_mms", "batch_id": BATCH, "statuses": states, "total_message_count": 3}
    assert parse(summary) == []


# -- parse: people ---------------------------------------------------------------------------------


def inbound(**changes):
    return {
        "type": "mo_text",
        "id": "01FC66621XXXXX119Z8PMV1QPQ",
        "from": "12025550123",
        "to": "12025550100",
        "body": "STOP\x00 please",
        "operator_id": "310260",
        "received_at": "2026-11-21T12:00:35.500Z",
    } | changes


def told_by_person(**changes):
    id_ = "01FC66621XXXXX119Z8PMV1QPQ"
    of = {"key": id_, "sender": "+12025550123", "to": "+12025550100", "provider_id": id_}
    return Inbound(**of | changes)


FILES = [
    {"url": "https://m.example/0", "content_type": "image/png", "status": "Uploaded", "code": 0},
    {"url": None, "content_type": "image/png", "status": "Failed", "code": 1},
    {"url": "https://m.example/2", "content_type": "image/png", "status": "Uploaded", "code": 0},
]
URLS = ("https://m.example/0", "https://m.example/2")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (inbound(), told_by_person(text="STOP� please")),
        (inbound(to="50505"), told_by_person(text="STOP� please", to="50505")),
        (
            inbound(type="mo_media", body={"subject": "Look", "message": "Stop", "media": FILES}),
            told_by_person(text="Stop", media=URLS),
        ),
        (inbound(type="mo_media", body={"subject": "Look", "media": FILES}), told_by_person(text="Look", media=URLS)),
        (inbound(type="mo_media", body={"media": "x"}), told_by_person(text="")),
        (inbound(type="mo_media", body={}), told_by_person(text="")),
        # "STOP" is base64 of three bytes; what bytes mean, nobody says.
        (inbound(type="mo_binary", body="STOP", udh="06050423F4"), told_by_person(text="")),
        (inbound(body=None), told_by_person(text="")),
    ],
)
def test_reads_a_persons_message(body, told):
    assert parse(body) == [told]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "type"),
        (b"[]", "type"),
        ({}, "type"),
        ({"type": 17}, "type"),
        (report(batch_id=""), "batch_id"),
        (report(batch_id="two words"), "batch_id"),
        (report(recipient=""), "recipient"),
        (report(recipient=["12025550123"]), "recipient"),
        (report(status=""), "status"),
        (report(status=None), "status"),
        ({"type": "delivery_report_sms", "batch_id": BATCH}, "statuses"),
        (inbound(id=""), "id"),
        (inbound(id="two words"), "id"),
        (inbound(**{"from": None}), "from"),
        (inbound(to=""), "to"),
    ],
)
def test_names_what_is_malformed(body, field):
    with pytest.raises(MalformedEvent, match=f"^{field}"):
        parse(body)


@pytest.mark.parametrize("kind", ["", "something_new", "group_event"])
def test_what_is_of_another_type_is_stored_and_none_of_ours(kind):
    other = webhook({"type": kind})
    assert adapter().parse(other) == []
    assert adapter().answer(other).status == 200
