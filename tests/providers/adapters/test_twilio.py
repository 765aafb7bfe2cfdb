"""Twilio's dialect as tables: a message and its request, an answer and its meaning."""

import json
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

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
from providers.adapters.twilio import CODES, TwilioAdapter, TwilioCredentials

SIMULATED = {
    "account": "AC" + "1" * 32,
    "credentials": {"account_sid": "AC" + "1" * 32, "auth_token": "auth-token"},
    "options": {},
    "base_path": "",
    "sender": "+12025550100",
    "script": {"secret": "auth-token"},
}

SID = "SM" + "0123456789abcdef" * 2
REFERENCE = "0198c0de" * 4 + "00000001"
MESSAGE = Message(
    reference=REFERENCE,
    to="+12025550123",
    sender="+12025550100",
    text="Grüße & 100% + more?",
    segments=1,
    status_url=f"https://sms.example/hooks/7/status?ref={REFERENCE}",
    valid_for=3600,
)


def twilio(**changes):
    ours = {"account_sid": "AC" + "1" * 32, "auth_token": "12345"} | changes
    return TwilioAdapter(credentials=TwilioCredentials(**ours))


def message(**changes):
    return Message(**{name: getattr(MESSAGE, name) for name in Message.__slots__} | changes)


def form_of(call):
    return {name: value for name, [value] in parse_qs(call.body.decode()).items()}


# -- call --------------------------------------------------------------------------------------


def test_posts_a_form_to_the_accounts_messages():
    call = twilio().call(MESSAGE)
    assert call.method == "POST"
    account = "AC" + "1" * 32
    assert call.url == f"https://api.twilio.com/2010-04-01/Accounts/{account}/Messages.json"
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert form_of(call) == {
        "To": "+12025550123",
        "From": "+12025550100",
        "Body": "Grüße & 100% + more?",
        "StatusCallback": MESSAGE.status_url + "#rc=5&rp=all",
        "ValidityPeriod": "3600",
    }


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"sender": "MG" + "2" * 32}, "MessagingServiceSid", "MG" + "2" * 32),
        ({"sender": "+12025550100"}, "From", "+12025550100"),
        ({"sender": "50505"}, "From", "50505"),
        ({"valid_for": 0}, "ValidityPeriod", "1"),
        ({"valid_for": -5}, "ValidityPeriod", "1"),
        ({"valid_for": 1}, "ValidityPeriod", "1"),
        ({"valid_for": 36_000}, "ValidityPeriod", "36000"),
        ({"valid_for": 36_001}, "ValidityPeriod", "36000"),
        ({"valid_for": None}, "ValidityPeriod", None),
        ({"status_url": ""}, "StatusCallback", None),
        ({"status_url": "https://a.example/#rc=1"}, "StatusCallback", "https://a.example/#rc=1"),
    ],
)
def test_writes_each_field_as_twilio_wants_it(changes, name, value):
    assert form_of(twilio().call(message(**changes))).get(name) == value


def test_a_sender_is_either_a_number_or_a_service():
    form = form_of(twilio().call(message(sender="MG" + "2" * 32)))
    assert "From" not in form


@pytest.mark.parametrize(
    ("credentials", "basic"),
    [
        ({"account_sid": "AC1", "auth_token": "token"}, "Basic QUMxOnRva2Vu"),
        ({"api_key_sid": "SK1", "api_key_secret": "secret"}, "Basic U0sxOnNlY3JldA=="),
    ],
)
def test_authorizes_with_the_token_or_the_api_key(credentials, basic):
    adapter = twilio(**credentials)
    assert adapter.call(MESSAGE).headers["Authorization"] == basic
    assert adapter.call(MESSAGE).headers is adapter.call(MESSAGE).headers


def test_another_base_url_replaces_the_vendors():
    adapter = TwilioAdapter(TwilioCredentials("AC1", "token"), "http://127.0.0.1:8025/")
    assert adapter.call(MESSAGE).url.startswith("http://127.0.0.1:8025/2010-04-01/")


# -- read --------------------------------------------------------------------------------------


def error(code, status, **more):
    return {"code": code, "message": "Words", "more_info": "…", "status": status} | more


def read(status, body, headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return twilio().read(MESSAGE, HttpReply(status, headers or {}, raw))


def test_an_id_is_an_acceptance():
    result = read(201, {"sid": SID, "status": "queued", "error_code": None})
    assert (result.outcome, result.provider_id, result.code) == (Outcome.ACCEPTED, SID, "")


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [
        (20003, 401, Outcome.REJECTED_PROVIDER),
        (20005, 403, Outcome.REJECTED_PROVIDER),
        (30002, 400, Outcome.REJECTED_PROVIDER),
        (20429, 429, Outcome.REJECTED_RETRYABLE),
        (20500, 500, Outcome.UNKNOWN),
        (20503, 503, Outcome.UNKNOWN),
        (30410, 504, Outcome.UNKNOWN),
        *[(c, 400, Outcome.REJECTED_PERMANENT) for c in (21211, 21217, 21214, 21614)],
        *[(c, 400, Outcome.REJECTED_PERMANENT) for c in (21604, 21612, 21610)],
        (21408, 403, Outcome.REJECTED_PROVIDER),
        *[(c, 400, Outcome.REJECTED_PROVIDER) for c in (21212, 21603, 21606, 21608)],
        *[(c, 400, Outcome.REJECTED_PROVIDER) for c in range(21701, 21706)],
        *[(c, 400, Outcome.REJECTED_PERMANENT) for c in (21602, 21617, 21618, 21609)],
        *[(c, 400, Outcome.REJECTED_PERMANENT) for c in (21620, 21623, 21624, 30007, 14107)],
        (21611, 400, Outcome.REJECTED_RETRYABLE),
        (63017, 429, Outcome.REJECTED_RETRYABLE),
        *[(c, 400, Outcome.REJECTED_PROVIDER) for c in (30018, 30024, 30032, 30034)],
        # A known refusal under a server error is no proof, nor is a server error's code under 4xx.
        (21610, 500, Outcome.UNKNOWN),
        (20500, 400, Outcome.UNKNOWN),
        # Codes that are new to us.
        (29999, 400, Outcome.REJECTED_PERMANENT),
        (29999, 401, Outcome.REJECTED_PROVIDER),
        (29999, 404, Outcome.REJECTED_PROVIDER),
        (29999, 408, Outcome.UNKNOWN),
        (29999, 429, Outcome.REJECTED_RETRYABLE),
        (29999, 307, Outcome.REJECTED_PROVIDER),
    ],
)
def test_reads_a_refusal_by_its_meaning(code, status, outcome):
    result = read(status, error(code, status))
    assert (result.outcome, result.code, result.detail) == (outcome, str(code), "Words")


def test_reads_the_newer_shape_of_errors():
    body = {"type": "…", "title": "Unsubscribed", "status": 400, "code": 21610}
    result = read(400, body)
    assert (result.outcome, result.detail) == (Outcome.REJECTED_PERMANENT, "Unsubscribed")


@pytest.mark.parametrize("code", sorted(CODES))
def test_only_an_opt_out_says_that_the_person_opted_out(code):
    assert read(400, error(code, 400)).opted_out is (code == 21610)


def test_a_server_error_proves_no_opt_out():
    assert not read(500, error(21610, 500)).opted_out


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b""),
        (201, b"<html>"),
        (201, {"status": "queued"}),
        (201, {"sid": ""}),
        (201, {"sid": 17}),
        (201, {"sid": "SM\x00"}),
        (201, {"sid": "x" * 65}),
        (204, b""),
        (429, b"<html>Too many requests</html>"),
        (404, b"<html>nginx</html>"),
        (404, {"detail": "Not found"}),
        (429, {"code": 429, "message": "Too many requests", "status": 429}),
        (429, {"code": 20429, "message": "Too Many Requests", "status": 400}),
        (429, {"code": 20429, "message": "Too Many Requests"}),
        (429, {"code": 20429, "status": 429}),
        (400, {"code": True, "message": "…", "status": 400}),
        (400, [error(21610, 400)]),
        (307, b""),
        (302, b"<html>moved</html>"),
        (502, b"<html>Bad gateway</html>"),
        (100, b""),
    ],
)
def test_what_twilio_did_not_say_stays_unknown(status, body):
    result = read(status, body)
    assert result.outcome is Outcome.UNKNOWN
    assert result.provider_id == ""


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 120 "}, 120.0),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30.0,
        ),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:27:00 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            0.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 5000}, None),
        ({}, None),
    ],
)
def test_passes_on_how_long_to_wait(headers, wait):
    assert read(429, error(20429, 429), headers).retry_after == wait


def test_a_detail_holds_neither_our_token_nor_what_cannot_be_stored():
    result = read(400, error(21610, 400, message="token 12345 \x00 \ud800 end"))
    assert result.detail == "token *** � � end"


# -- verify: the vectors T1 to T5 ----------------------------------------------------------------

URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
CALL = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}
REPEATED = [
    ("Sid", "CA123"),
    ("SidAccount", "AC123"),
    ("Digits", "5678"),
    ("Digits", "1234"),
    ("Digits", "1234"),
]
JSON_BODY = b'{"property": "value", "boolean": true}'
JSON_HASH = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
SHA256 = {"x-twilio-webhooks-signature-settings": "key=webhooks_1,algorithm=HMAC_SHA256"}
VECTORS = [
    ("T1", URL, CALL, {}, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    ("T2", URL, CALL, SHA256, "033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s="),
    ("T3", URL, REPEATED, {}, "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
    (
        "T5a",
        URL.replace("https://mycompany.com", "http://mycompany.com:80"),
        CALL,
        {},
        "0ZXoZLH/DfblKGATFgpif+LLRf4=",
    ),
    (
        "T5b",
        URL.replace("mycompany.com", "mycompany.com:443"),
        CALL,
        {},
        "kvajT1Ptam85bY51eRf/AJRuM3w=",
    ),
    (
        "T5c",
        URL.replace("https://mycompany.com", "http://mycompany.com:1234"),
        CALL,
        {},
        "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=",
    ),
]


def webhook(url, form, signature, headers=None):
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    kind = "application/json" if isinstance(form, bytes) else "application/x-www-form-urlencoded"
    named = {"content-type": kind, "x-twilio-signature": signature}
    return WebhookRequest("POST", url, named | (headers or {}), body)


@pytest.mark.parametrize(("url", "form", "headers", "signature"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS])
def test_accepts_the_known_signatures(url, form, headers, signature):
    assert twilio().verify(webhook(url, form, signature, headers))
    assert not twilio().verify(webhook(url + "&x=1", form, signature, headers))
    assert not twilio().verify(webhook(url, [*dict(form).items(), ("x", "")], signature, headers))
    assert not twilio(auth_token="12346").verify(webhook(url, form, signature, headers))


def test_accepts_the_known_signature_of_a_json_body():
    url, signature = f"{URL}&bodySHA256={JSON_HASH}", "a9nBmqA0ju/hNViExpshrM61xv4="
    assert twilio().verify(webhook(url, JSON_BODY, signature))
    assert not twilio().verify(webhook(url, JSON_BODY + b" ", signature))
    assert not twilio().verify(webhook(URL, JSON_BODY, signature))


@pytest.mark.parametrize("ported", ["https://mycompany.com:443/a", "https://mycompany.com/a"])
@pytest.mark.parametrize("signed", ["https://mycompany.com:443/a", "https://mycompany.com/a"])
def test_the_default_port_may_be_there_or_not(ported, signed):
    signature = RequestValidator("12345").compute_signature(signed, CALL)
    assert twilio().verify(webhook(ported, CALL, signature))


def test_the_fragment_we_asked_for_may_be_signed():
    signature = RequestValidator("12345").compute_signature(URL + "#rc=5&rp=all", CALL)
    assert twilio().verify(webhook(URL, CALL, signature))


def test_an_unknown_algorithm_is_not_verified():
    settings = {"x-twilio-webhooks-signature-settings": "key=1,algorithm=NONE"}
    assert not twilio().verify(webhook(URL, CALL, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", settings))


def test_nothing_verifies_without_a_token():
    signature = RequestValidator("").compute_signature(URL, CALL)
    assert not twilio(auth_token="").verify(webhook(URL, CALL, signature))


words = st.text(st.characters(codec="utf-8"), max_size=20)


@given(form=st.dictionaries(words, words, max_size=6), path=st.sampled_from(["/", "/a?b=1", ""]))
def test_agrees_with_twilios_own_validator(form, path):
    url = f"https://sms.example{path}"
    oracle = RequestValidator("12345")
    signature = oracle.compute_signature(url, form)
    assert oracle.validate(url, form, signature)
    assert twilio().verify(webhook(url, form, signature))
    tampered = form | {"extra": "1"}
    expected = oracle.validate(url, tampered, signature)
    assert twilio().verify(webhook(url, tampered, signature)) is expected


# -- parse ---------------------------------------------------------------------------------------


def parse(form, url=MESSAGE.status_url):
    return twilio().parse(webhook(url, form, ""))


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        ("accepted", "", ReceiptStatus.ACCEPTED),
        ("scheduled", "", ReceiptStatus.ACCEPTED),
        ("queued", "", ReceiptStatus.QUEUED),
        ("sending", "", ReceiptStatus.QUEUED),
        ("sent", "", ReceiptStatus.SENT),
        ("delivered", "", ReceiptStatus.DELIVERED),
        ("read", "", ReceiptStatus.DELIVERED),
        ("partially_delivered", "", ReceiptStatus.DELIVERED),
        ("undelivered", "30003", ReceiptStatus.UNDELIVERED),
        ("undelivered", "30007", ReceiptStatus.UNDELIVERED),
        ("failed", "30008", ReceiptStatus.FAILED),
        ("failed", "30007", ReceiptStatus.REJECTED),
        ("failed", "30034", ReceiptStatus.REJECTED),
        ("failed", "21610", ReceiptStatus.REJECTED),
        ("canceled", "", ReceiptStatus.FAILED),
        ("teleported", "", ReceiptStatus.UNKNOWN),
    ],
)
def test_normalises_a_report(said, code, status):
    form = {"MessageSid": SID, "MessageStatus": said, "To": "+1", "From": "+2"}
    [receipt] = parse(form | ({"ErrorCode": code} if code else {}))
    assert receipt == Receipt(
        key=f"{SID}:{said}",
        status=status,
        reference=REFERENCE,
        provider_id=SID,
        code=code,
        detail=said if said == "teleported" else "",
        opted_out=code == "21610",
    )


def test_reads_a_persons_message():
    form = {
        "MessageSid": SID,
        "SmsStatus": "received",
        "From": "+12025550123",
        "To": "+12025550100",
        "Body": "STOP\x00 please",
        "NumMedia": "2",
        "MediaUrl0": "https://m.example/0",
        "MediaUrl1": "https://m.example/1",
        "MediaUrl2": "https://m.example/not-counted",
        "OptOutType": "STOP",
    }
    assert parse(form, "https://sms.example/hooks/7/inbound") == [
        Inbound(
            key=SID,
            sender="+12025550123",
            to="+12025550100",
            text="STOP� please",
            provider_id=SID,
            media=("https://m.example/0", "https://m.example/1"),
            answered_as="stop",
        )
    ]


@pytest.mark.parametrize("count", ["", "x", "-1", "99999999999999999999", "²", "11"])
def test_a_strange_media_count_is_no_media(count):
    form = {"MessageSid": SID, "From": "+1", "To": "+2", "Body": "", "NumMedia": count}
    [inbound] = parse(form)
    assert inbound.media == ()


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "MessageSid"),
        ({"MessageSid": "<>", "MessageStatus": "sent"}, "MessageSid"),
        ({"MessageSid": SID}, "MessageStatus"),
        ({"MessageSid": SID, "Body": "hi", "To": "+1"}, "From"),
        ({"MessageSid": SID, "Body": "hi", "From": "+1"}, "To"),
        ([(f"n{number}", "") for number in range(501)], "form"),
    ],
)
def test_names_what_is_malformed(form, field):
    with pytest.raises(MalformedEvent, match=f"^{field}"):
        parse(form)


def test_answers_a_message_with_empty_twiml_and_a_report_with_nothing():
    inbound = webhook(URL, {"MessageSid": SID, "Body": "hi", "From": "+1", "To": "+2"}, "")
    answer = twilio().answer(inbound)
    assert (answer.status, answer.content_type, answer.body) == (200, "text/xml", b"<Response/>")
    report = webhook(URL, {"MessageSid": SID, "MessageStatus": "sent"}, "")
    assert (twilio().answer(report).status, twilio().answer(report).body) == (204, b"")
