"""What options make of a message, an answer, a webhook; and what they say about mistakes."""

import base64
import hashlib
import hmac
import json
import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.adapters.base import (
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
from providers.adapters.base_template import TemplateCredentials
from providers.adapters.base_template_options import TemplateOptions
from providers.adapters.http_template import HttpTemplateAdapter

PAGE = (Path(__file__).parents[3] / "docs" / "http-template.md").read_text()
SIMULATED = {
    "account": "main",
    "credentials": {"webhook_token": "hush", "api_key": "hush"},
    "options": json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1]),  # the example of the page
    "base_path": "/http/main",
    "sender": "+12025550100",
    "script": {"secret": "hush"},
}

REFERENCE = "0198c0de" * 4 + "00000001"
STATUS_URL = f"https://sms.example/webhooks/http_template/k/status?ref={REFERENCE}"
MESSAGE = Message(
    reference=REFERENCE,
    to="+12025550123",
    sender="+12025550100",
    text='Grüße & "more"?',
    segments=1,
    status_url=STATUS_URL,
    valid_for=150,
)
CREDENTIALS = TemplateCredentials("t&ken", api_key="k/y", user="ann", password="pä:ss")


def adapter(base_url="https://v.example/api", **options):
    return HttpTemplateAdapter(CREDENTIALS, base_url, TemplateOptions(**options))


# -- the request ---------------------------------------------------------------------------------------------------


def test_posts_json_as_long_as_nothing_else_is_said():
    call = adapter().call(MESSAGE)
    assert (call.method, call.url) == ("POST", "https://v.example/api/send")
    assert call.headers == {"Authorization": "Bearer k/y", "Content-Type": "application/json"}
    assert json.loads(call.body) == {
        "to": "+12025550123",
        "from": "+12025550100",
        "text": 'Grüße & "more"?',
        "reference": REFERENCE,
        "status_url": f"{STATUS_URL}&token=t%26ken",
    }


def test_sends_nothing_to_anybody_without_an_address():
    assert urlsplit(HttpTemplateAdapter(CREDENTIALS).call(MESSAGE).url).hostname.endswith(".invalid")


EVERYTHING = (
    "{to} {from} {to_digits} {from_digits} {to_national} {from_national} {reference} {status_url}"
    " {valid_for} {valid_for_minutes} {api_key} {user} {password} {basic} {text}"
)


def test_knows_these_placeholders():
    basic = base64.b64encode("ann:pä:ss".encode()).decode()
    sent = adapter(content_type="text", body=EVERYTHING, country_code="1").call(MESSAGE).body.decode()
    assert sent.split(" ", 14) == [
        *("+12025550123", "+12025550100", "12025550123", "12025550100", "2025550123", "2025550100"),
        *(REFERENCE, f"{STATUS_URL}&token=t%26ken", "150", "2", "k/y", "ann", "pä:ss", basic, 'Grüße & "more"?'),
    ]


@pytest.mark.parametrize(
    ("options", "body", "content_type"),
    [
        (
            {"content_type": "form", "body": "to={to}&text={text}"},
            b"to=%2B12025550123&text=Gr%C3%BC%C3%9Fe%20%26%20%22more%22%3F",
            "application/x-www-form-urlencoded",
        ),
        (
            {"content_type": "form", "body": "\n to={to_digits}\n\n text={text}\n"},
            b"to=12025550123&text=Gr%C3%BC%C3%9Fe%20%26%20%22more%22%3F",
            "application/x-www-form-urlencoded",
        ),
        (
            {"content_type": "xml", "body": '<sms to="{to}">{text}</sms>'},
            '<sms to="+12025550123">Grüße &amp; &quot;more&quot;?</sms>'.encode(),
            "application/xml",
        ),
        (
            {"content_type": "text", "body": "{to}\n{text}"},
            '+12025550123\nGrüße & "more"?'.encode(),
            "text/plain; charset=utf-8",
        ),
        (
            {"body": '{"a": ["{to}", {valid_for}], "t": "{text}"}'},
            b'{"a": ["+12025550123", 150], "t": "Gr\\u00fc\\u00dfe & \\"more\\"?"}',
            "application/json",
        ),
        (
            {"content_type": "xml", "body": "<a>{to}{text}</a>", "headers": "content-type: text/xml"},
            "<a>+12025550123Grüße &amp; &quot;more&quot;?</a>".encode(),
            "text/xml",
        ),
    ],
)
def test_writes_the_body_in_its_kind(options, body, content_type):
    call = adapter(**options).call(MESSAGE)
    assert call.body == body
    assert {name.lower(): value for name, value in call.headers.items()}["content-type"] == content_type


def test_gets_with_everything_in_the_address():
    call = adapter(method="GET", path="/u/{api_key}/send?to={to}&text={text}", headers="").call(MESSAGE)
    assert (call.method, call.body, call.headers) == ("GET", b"", {})
    assert call.url == (
        "https://v.example/api/u/k%2Fy/send?to=%2B12025550123&text=Gr%C3%BC%C3%9Fe%20%26%20%22more%22%3F"
    )


def test_writes_headers_for_each_message():
    lines = "Authorization: Basic {basic}\n\n  X-Request:{reference}\nX-Empty:\n"
    headers = adapter(headers=lines).call(MESSAGE).headers
    assert headers == {
        "Authorization": "Basic " + base64.b64encode("ann:pä:ss".encode()).decode(),
        "X-Request": REFERENCE,
        "X-Empty": "",
        "Content-Type": "application/json",
    }


@pytest.mark.parametrize(
    ("valid_for", "seconds", "minutes"),
    [
        (None, "172800", "2880"),
        (0, "1", "1"),
        (-5, "1", "1"),
        (59, "59", "1"),
        (150, "150", "2"),
        (10**9, "172800", "2880"),
    ],
)
def test_says_how_long_a_text_is_good(valid_for, seconds, minutes):
    ours = adapter(content_type="form", body="a={valid_for}&b={valid_for_minutes}&c={to}{text}")
    sent = dict(parse_qsl(ours.call(replace(MESSAGE, valid_for=valid_for)).body.decode()))
    assert (sent["a"], sent["b"]) == (seconds, minutes)


@pytest.mark.parametrize(
    ("number", "national"),
    [("+12025550123", "2025550123"), ("12345", "12345"), ("+4915112345678", "4915112345678"), ("Acme", "Acme")],
)
def test_leaves_the_country_code_off_full_numbers_only(number, national):
    ours = adapter(content_type="form", body="f={from_national}&c={to}{text}", country_code="1")
    assert dict(parse_qsl(ours.call(replace(MESSAGE, sender=number)).body.decode()))["f"] == national


@pytest.mark.parametrize(
    ("url", "options", "sent"),
    [
        (STATUS_URL, {}, f"{STATUS_URL}&token=t%26ken"),
        ("https://sms.example/s", {}, "https://sms.example/s?token=t%26ken"),
        (STATUS_URL, {"hmac_header": "X-Signature"}, STATUS_URL),  # the token is the key then, and stays with us
        ("", {}, ""),
    ],
)
def test_the_address_of_reports_brings_its_proof(url, options, sent):
    assert json.loads(adapter(**options).call(replace(MESSAGE, status_url=url)).body)["status_url"] == sent


# -- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"method": "PUT"}, "method: 'PUT' is unknown; write one of POST, GET"),
        ({"content_type": "application/json"}, "content_type: 'application/json' is unknown; write one of json, xml"),
        ({"reply_type": ""}, "reply_type: '' is unknown"),
        ({"hmac_algorithm": "md5"}, "hmac_algorithm: 'md5' is unknown; write one of sha1, sha256, sha512"),
        ({"hmac_header": "X Signature"}, "hmac_header: 'X Signature' cannot be used; write the header's name"),
        ({"country_code": "+1"}, "country_code: '+1' cannot be used; write 1 for +1, or leave it empty"),
        ({"longest_valid_for": "0"}, "longest_valid_for: '0' is no such number; write one from 1"),
        ({"longest_valid_for": "3 days"}, "longest_valid_for: '3 days' is no such number"),
        ({"longest_valid_for": "²"}, "longest_valid_for: '²' is no such number"),
        ({"answer_status": "302"}, "answer_status: '302' is no such number; write one from 200 to 299"),
        ({"answer_type": "text/plain\r\nX: 1"}, "answer_type: 'text/plain\\r\\nX: 1' cannot be used"),
        ({"path": "send"}, "path: 'send' is no path; write /send or /send?to={to}"),
        ({"path": ""}, "path: '' is no path"),
        ({"path": "/a b"}, "path: '/a b' is no path"),
        ({"path": "//other.example"}, "path: '//other.example' is no path"),
        ({"path": "/a/../b"}, "path: '/a/../b' is no path"),
        ({"path": "/.."}, "path: '/..' is no path"),
        ({"path": "/a#b"}, "path: '/a#b' is no path"),
        ({"path": "/a\\b"}, "path: '/a\\\\b' is no path"),
        ({"path": "/é"}, "path: '/é' is no path"),
        ({"path": "/{text}"}, "path, before the ?: {text} cannot stand here; use {to} {to_digits}"),
        ({"path": "/{from}?a={text}"}, "path, before the ?: {from} cannot stand here"),
        ({"path": "/send?key={webhook_token}"}, "{webhook_token} cannot stand here"),
        (
            {"headers": "Authorization {api_key}"},
            "headers, line 1: 'Authorization {api_key}' is no header; write Name: value",
        ),
        ({"headers": "A: b\nX-Text: {text}"}, "headers, line 2: {text} cannot stand here; use {reference} {api_key}"),
        ({"headers": "A: é"}, "headers, line 1: 'A: é' is no header"),
        ({"body": '{"to": "{to}", "text": "{txt}"}'}, "body: {txt} cannot stand here; use {to} {to_digits}"),
        ({"body": '{"to": {to}, "text": "{text}"}'}, "body: is not JSON when values are filled in"),
        ({"body": '{"to": "{to}"}'}, "body: the text is not sent; put {text} where it belongs"),
        ({"body": '{"text": "{text}"}'}, "body: the person is not named; put {to} or {to_digits}"),
        ({"method": "GET"}, "path: the text is not sent; put {text}"),
        ({"body": '"{to_national}{text}"'}, "country_code: {to_national} and {from_national} need one; write 1"),
        ({"look_up_path": "/m?from={from_national}"}, "country_code: {to_national} and {from_national} need one"),
        ({"accepted_when": ""}, "accepted_when: only success can accept; write status=200"),
        ({"accepted_when": "status=200,302"}, "accepted_when: only success can accept"),
        ({"accepted_when": "status=200 -> accepted"}, "accepted_when: '->' stands wrong"),
        ({"id_field": ""}, "accepted_when: without an id in JSON or XML any page would do; add field="),
        ({"reply_type": "text", "id_field": "1"}, "accepted_when: without an id in JSON or XML any page would do"),
        ({"reply_type": "form"}, "accepted_when: without an id in JSON or XML any page would do"),
        ({"id_field": "a b"}, "id_field: 'a b' is no field; write its path, such as error.code"),
        ({"id_field": "a..b"}, "id_field: 'a..b' is no field"),
        ({"inbound_text": ""}, "inbound_text: '' is no field"),
        ({"report_status": ""}, "report_status: '' is no field"),
        ({"report_key": " "}, "report_key: must name fields; write their paths with spaces between"),
        ({"inbound_key": "a..b"}, "inbound_key: must name fields"),
        ({"refused_when": "status=429 -> rejected_retryable"}, "refused_when, line 1: a status alone"),
        ({"statuses": "A -> sent\nB -> gone"}, "statuses, line 2: 'gone' is no meaning"),
        ({"inbound_when": "status=200 field=a value=b"}, "inbound_when: events have no HTTP status; write field="),
        ({"look_up_path": "messages"}, "look_up_path: 'messages' is no path"),
        ({"look_up_path": "/m?text={text}"}, "look_up_path: {text} cannot stand here"),
        ({"look_up_id": ""}, "look_up_id: '' is no field"),
        ({"check_path": "/b?{reference}"}, "check_path: {reference} cannot stand here; use {api_key} {user}"),
    ],
)
def test_a_mistake_is_told_with_its_option_and_its_remedy(options, told):
    with pytest.raises(InvalidOption) as raised:
        TemplateOptions(**options)
    assert told in str(raised.value)
    assert "; " in str(raised.value)


@given(option=st.sampled_from([each.name for each in fields(TemplateOptions)]), text=st.text(max_size=30))
def test_any_text_for_an_option_is_refused_or_can_be_used(option, text):
    try:
        made = adapter(**{option: text})
    except InvalidOption:
        return
    made.call(MESSAGE)
    made.read(MESSAGE, HttpReply(200, {}, b'{"id": 1}'))


# -- the answer ----------------------------------------------------------------------------------------------------

RULES = """
status=400 field=error.code value=E12 -> rejected_permanent
status=403 field=error.code value=E13 -> rejected_permanent opted_out
status=429 field=error.code value=* -> rejected_retryable
status=401 field=error.code value=E11 -> rejected_provider
status=200 field=status value=failed -> rejected_provider
"""


def read(status, body, headers=None, **options):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return adapter(**{"refused_when": RULES} | options).read(MESSAGE, HttpReply(status, headers or {}, raw))


@pytest.mark.parametrize(
    ("options", "status", "body", "given"),
    [
        ({}, 200, {"id": "m1"}, "m1"),
        ({}, 202, {"id": 17}, "17"),
        ({"id_field": "messages.0.id"}, 200, {"messages": [{"id": "m1"}, {"id": "m2"}]}, "m1"),
        ({"accepted_when": "status=200 field=status value=ok"}, 200, {"status": "ok", "id": "m1"}, "m1"),
        ({"reply_type": "xml", "id_field": "r.@id"}, 200, b'<r id="m1"/>', "m1"),
        (
            {"reply_type": "form", "accepted_when": "status=200 field=status value=0"},
            200,
            b"status=0&id=m1",
            "m1",
        ),
        (
            {"reply_type": "text", "accepted_when": "status=200 field=0 value=ID", "id_field": "1"},
            200,
            b"ID: m1\r\n",
            "m1",
        ),
        # A vendor who names no id: ours stands for it.
        (
            {"reply_type": "text", "accepted_when": "status=200 field=0 value=OK", "id_field": ""},
            200,
            b"OK",
            REFERENCE,
        ),
    ],
)
def test_an_id_under_the_right_conditions_is_an_acceptance(options, status, body, given):
    result = read(status, body, **options)
    assert (result.outcome, result.provider_id, result.code, result.detail) == (Outcome.ACCEPTED, given, "", "")


def refusal(code):
    return {"error": {"code": code, "message": "Words with k/y"}}


@pytest.mark.parametrize(
    ("status", "body", "outcome", "opted_out"),
    [
        (400, refusal("E12"), Outcome.REJECTED_PERMANENT, False),
        (403, refusal("E13"), Outcome.REJECTED_PERMANENT, True),
        (429, refusal("anything"), Outcome.REJECTED_RETRYABLE, False),
        (401, refusal("E11"), Outcome.REJECTED_PROVIDER, False),
    ],
)
def test_a_refusal_is_what_its_rule_says(status, body, outcome, opted_out):
    result = read(status, body, {"retry-after": "7"})
    assert (result.outcome, result.opted_out, result.code) == (outcome, opted_out, body["error"]["code"])
    assert (result.detail, result.retry_after, result.provider_id) == ("Words with ***", 7.0, "")


def test_an_answer_of_success_can_be_a_refusal():
    assert read(200, {"status": "failed"}).outcome is Outcome.REJECTED_PROVIDER


@pytest.mark.parametrize(
    ("status", "body", "options"),
    [
        (400, refusal("E99"), {}),
        (400, refusal("E13"), {}),
        (500, refusal("E12"), {}),
        (429, {"error": "rate limited"}, {}),
        (429, b"<html>Too many requests</html>", {}),
        (400, refusal("E12"), {"refused_when": ""}),
        (200, {"status": "ok"}, {}),
        (200, {"id": ""}, {}),
        (200, {"id": "a b"}, {}),
        (200, {"id": "x" * 65}, {}),
        (200, {"id": {"id": "m1"}}, {}),
        (200, b'{"id": "m1"', {}),
        (200, b"", {}),
        (302, {"id": "m1"}, {}),
        (500, {"id": "m1"}, {}),
        (201, {"id": "m1"}, {"accepted_when": "status=200"}),
        (200, {"id": "m1", "status": "queued"}, {"accepted_when": "status=200 field=status value=ok"}),
        (200, {"id": "m1"}, {"reply_type": "xml"}),
        (
            200,
            b"<html>1 2 3</html>",
            {"reply_type": "text", "accepted_when": "status=200 field=0 value=OK", "id_field": "1"},
        ),
        (200, b"NO", {"reply_type": "text", "accepted_when": "status=200 field=0 value=OK", "id_field": ""}),
        # It is both, so it is neither.
        (200, {"id": "m1", "status": "failed"}, {}),
        (429, refusal("E1"), {"refused_when": "status=429 field=error.code value=E1 -> unknown\n" + RULES}),
    ],
)
def test_whatever_else_is_said_is_unknown(status, body, options):
    result = read(status, body, **options)
    assert (result.outcome, result.provider_id, result.opted_out) == (Outcome.UNKNOWN, "", False)


@pytest.mark.parametrize(
    ("status", "body", "detail"),
    [
        (500, refusal("E99"), "HTTP 500 fits no rule: Words with ***"),
        (200, {"id": 1, "status": "failed"}, "HTTP 200 fits accepted_when and refused_when: "),
    ],
)
def test_says_why_it_does_not_know(status, body, detail):
    assert read(status, body).detail == detail


# -- proof ---------------------------------------------------------------------------------------------------------

HOOK = "https://sms.example/webhooks/http_template/k"
# RFC 2202 and RFC 4231, test case 2.
SAID, KEY = b"what do ya want for nothing?", "Jefe"
HMACS = {
    "sha1": "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
    "sha256": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    "sha512": (
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
    ),
}


def hook(rest="/status", body=b"", headers=None, method="POST"):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return WebhookRequest(method, f"{HOOK}{rest}", headers or {}, raw)


@pytest.mark.parametrize(
    ("rest", "is_ours"),
    [
        ("/status?token=t%26ken", True),
        ("/inbound?ref=1&token=t%26ken", True),
        ("/status?token=t&ken", False),
        ("/status?token=", False),
        ("/status", False),
        ("/t%26ken", False),
        ("/status#?token=t%26ken", False),
    ],
)
def test_the_token_in_the_address_is_proof(rest, is_ours):
    assert adapter().verify(hook(rest)) is is_ours


def test_an_address_that_is_none_is_no_proof():
    assert not adapter().verify(WebhookRequest("POST", "https://[?token=t%26ken", {}, b""))


def test_an_empty_token_proves_nothing():
    for options in ({}, {"hmac_header": "x-sig"}):
        ours = HttpTemplateAdapter(TemplateCredentials(""), "", TemplateOptions(**options))
        signature = hmac.new(b"", b"{}", hashlib.sha256).hexdigest()
        assert not ours.verify(hook("/status?token=", b"{}", {"x-sig": signature}))


@pytest.mark.parametrize("algorithm", sorted(HMACS))
def test_accepts_the_known_signatures(algorithm):
    ours = HttpTemplateAdapter(
        TemplateCredentials(KEY), "", TemplateOptions(hmac_header="X-Sig", hmac_algorithm=algorithm)
    )
    in_hex = HMACS[algorithm]
    in_base64 = base64.b64encode(bytes.fromhex(in_hex)).decode()
    for right in (in_hex, in_hex.upper(), f"{algorithm}={in_hex}", f" {in_base64} ", f"{algorithm}={in_base64}"):
        assert ours.verify(hook("/status", SAID, {"x-sig": right}))
        assert not ours.verify(hook("/status", SAID + b" ", {"x-sig": right}))
        assert not ours.verify(hook("/status", SAID, {"x-other": right}))
    for wrong in ("", in_hex[:-1], in_base64.lower(), KEY, "é"):
        assert not ours.verify(hook(f"/status?token={KEY}", SAID, {"x-sig": wrong}))


def test_a_signature_of_nothing_would_be_good_for_every_query():
    ours = adapter(hmac_header="X-Sig")
    signature = hmac.new(b"t&ken", b"", hashlib.sha256).hexdigest()
    assert not ours.verify(hook("/status?id=m1&status=delivered", b"", {"x-sig": signature}))


# -- events --------------------------------------------------------------------------------------------------------


def parse(rest, body=b"", **options):
    return adapter(**options).parse(hook(rest, body))


REPORT = {"id": "m1", "reference": REFERENCE, "status": "delivered", "code": 0}


@pytest.mark.parametrize(
    ("rest", "body", "options"),
    [
        ("/status", REPORT, {}),
        ("/status", [REPORT], {}),
        ("/status", {"data": {"results": [REPORT]}}, {"events_field": "data.results"}),
        ("/status", {"data": REPORT}, {"events_field": "data"}),
        ("/status", urlencode(REPORT).encode(), {}),
        ("/status?" + urlencode(REPORT), b"", {}),
        ("/status?ref=" + REFERENCE, {"id": "m1", "status": "Delivered", "code": 0}, {}),
        ("/anything/else", REPORT, {}),
        (
            "/status",
            f'<r id="m1" s="delivered"><ref>{REFERENCE}</ref><code>0</code></r>'.encode(),
            {
                "report_id": "r.@id",
                "report_reference": "r.ref",
                "report_status": "r.@s",
                "report_code": "r.code",
                "report_key": "r.@id r.@s",
            },
        ),
    ],
)
def test_reads_a_report_wherever_its_fields_stand(rest, body, options):
    [receipt] = parse(rest, body, **options)
    assert replace(receipt, key=receipt.key.lower()) == Receipt(
        key="m1:delivered",
        status=ReceiptStatus.DELIVERED,
        reference=REFERENCE,
        provider_id="m1",
        code="0",
    )


@pytest.mark.parametrize(
    ("said", "status", "detail", "opted_out"),
    [
        ("DELIVRD", ReceiptStatus.DELIVERED, "", False),
        ("delivrd", ReceiptStatus.DELIVERED, "", False),
        ("handed over", ReceiptStatus.DELIVERED, "", False),
        ("failed", ReceiptStatus.FAILED, "", False),
        ("17", ReceiptStatus.EXPIRED, "", False),
        ("UNSUB", ReceiptStatus.REJECTED, "", True),
        ("teleported", ReceiptStatus.UNKNOWN, "teleported", False),
    ],
)
def test_normalises_a_status_by_its_table(said, status, detail, opted_out):
    table = 'DELIVRD "Handed Over" -> delivered\n17 -> expired\nUNSUB -> rejected opted_out'
    [receipt] = parse("/status", REPORT | {"status": said}, statuses=table)
    assert (receipt.status, receipt.detail, receipt.opted_out) == (status, detail, opted_out)


def test_a_report_without_our_reference_is_found_by_its_id_and_the_other_way_round():
    [by_id] = parse("/status", {"id": "m1", "status": "sent"})
    assert (by_id.provider_id, by_id.reference) == ("m1", "")
    [by_reference] = parse("/status", {"reference": "r", "status": "sent"}, report_id="", report_key="reference status")
    assert (by_reference.provider_id, by_reference.reference) == ("", "r")


def test_keys_differ_for_any_two_events():
    pairs = [("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c"), ("a", "c"), ("a ", "c")]
    keys = [parse("/status", {"id": a, "status": b, "reference": "r"})[0].key for a, b in pairs]
    assert len(set(keys)) == len(pairs)


TEXT = {"id": "i1", "from": "12025550123", "to": "+12025550100", "text": "STOP\x00"}


@pytest.mark.parametrize(
    ("rest", "body", "options"),
    [
        ("/inbound", TEXT, {}),
        ("/inbound/", urlencode(TEXT).encode(), {}),
        ("/inbound?" + urlencode(TEXT), b"", {}),
        ("/events", TEXT | {"type": "mo"}, {"inbound_when": "field=type value=mo"}),
        ("/events?type=mo", TEXT, {"inbound_when": "field=type value=mo"}),
    ],
)
def test_reads_a_persons_message(rest, body, options):
    assert parse(rest, body, **options) == [Inbound("i1", "+12025550123", "+12025550100", "STOP\ufffd")]


@pytest.mark.parametrize(
    ("code", "given", "number"),
    [
        ("1", "2025550123", "+12025550123"),
        ("1", "12025550123", "+12025550123"),
        ("1", " +12025550123 ", "+12025550123"),
        ("1", "50505", "50505"),
        ("", "4712345678", "+4712345678"),
    ],
)
def test_ten_digits_are_national_where_there_is_a_country(code, given, number):
    [inbound] = parse("/inbound", TEXT | {"from": given}, country_code=code)
    assert inbound.sender == number


def test_one_address_may_bring_reports_and_messages_together():
    events = [TEXT | {"type": "mo"}, REPORT | {"type": "dlr"}]
    first, second = parse("/inbound", events, inbound_when="field=type value=mo")
    assert (type(first), type(second)) == (Inbound, Receipt)


def test_no_events_are_no_mistake():
    assert parse("/status", b"[]") == []


@pytest.mark.parametrize(
    ("rest", "body", "options", "told"),
    [
        ("/status", b"", {}, "status: missing"),
        ("/status", {"id": "m1"}, {}, "status: missing"),
        ("/status", {"id": "m1", "status": {}}, {}, "status: missing, or not text"),
        ("/status", {"status": "sent"}, {}, "id: neither an id nor our reference"),
        ("/status", {"status": "sent", "id": "a b"}, {}, "id: neither an id nor our reference"),
        # Without its id, every report of this status would have the same key.
        ("/status?ref=r", {"status": "sent"}, {}, "id: missing"),
        ("/inbound", TEXT | {"from": ""}, {}, "from: missing"),
        ("/inbound", TEXT | {"to": None}, {}, "to: missing"),
        ("/inbound", {"from": "+1", "to": "+2", "text": "x"}, {}, "id: missing"),
        ("/status", b'{"id": "m1"', {}, "body: neither an event nor a list"),
        ("/status", b"<!DOCTYPE r><r/>", {}, "body: neither an event"),
        ("/status", REPORT, {"events_field": "results"}, "results: neither an event"),
        ("/status?" + "a=1&" * 501, REPORT, {}, "query: "),
        ("/status", b"a=1&" * 501, {}, "body: neither an event"),
    ],
)
def test_names_what_is_malformed(rest, body, options, told):
    with pytest.raises(MalformedEvent, match=f"^{told}"):
        parse(rest, body, **options)


def test_answers_as_told():
    answer = adapter(answer_status="202", answer_type="text/xml", answer_body="<ok>ü</ok>").answer(hook())
    assert (answer.status, answer.content_type, answer.body) == (202, "text/xml", "<ok>ü</ok>".encode())


# -- questions -----------------------------------------------------------------------------------------------------

QUESTION = Question(REFERENCE, MESSAGE.to, MESSAGE.sender, MESSAGE.text, datetime(2026, 11, 21, tzinfo=UTC))
ASKING = {"look_up_path": "/messages?ref={reference}&to={to_digits}", "headers": "X-Key: {api_key}"}


def test_asks_only_what_it_was_told_to_ask():
    assert adapter().look_up(QUESTION) is None
    assert adapter().check() is None
    ours = adapter(**ASKING, check_path="/users/{user}?key={api_key}")
    asked, checked = ours.look_up(QUESTION), ours.check()
    assert (asked.method, asked.url) == ("GET", f"https://v.example/api/messages?ref={REFERENCE}&to=12025550123")
    assert (checked.method, checked.url) == ("GET", "https://v.example/api/users/ann?key=k%2Fy")
    assert asked.headers == checked.headers == {"X-Key": "k/y"}


@pytest.mark.parametrize(
    ("body", "options", "found"),
    [
        ({"messages": [{"id": "m1", "reference": REFERENCE}]}, {}, ["m1"]),
        ({"messages": [{"id": 1, "reference": REFERENCE}, {"id": 2, "reference": REFERENCE}]}, {}, ["1", "2"]),
        ({"messages": [{"id": "m1", "reference": "another"}, {"id": "m2"}, "m3", None]}, {}, []),
        ({"messages": [{"id": "", "reference": REFERENCE}]}, {}, []),
        ({"messages": []}, {}, []),
        ([{"id": "m1", "reference": REFERENCE}], {"look_up_list": ""}, ["m1"]),
        ({"id": "m1", "meta": {"r": REFERENCE}}, {"look_up_list": "", "look_up_reference": "meta.r"}, ["m1"]),
    ],
)
def test_finds_what_has_our_reference(body, options, found):
    reply = HttpReply(200, {}, json.dumps(body).encode())
    assert adapter(**ASKING, **options).found(QUESTION, reply) == [Finding(each, REFERENCE) for each in found]


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"{}"), (200, b"<html>"), (200, b'{"messages": "none"}'), (404, b'{"messages": []}'), (200, b"")],
)
def test_an_answer_without_a_list_is_unreadable(status, body):
    with pytest.raises(Unreadable, match=f"^HTTP {status}, or no list at messages"):
        adapter(**ASKING).found(QUESTION, HttpReply(status, {}, body))


# -- the manual ----------------------------------------------------------------------------------------------------


def test_the_docstring_of_the_options_tells_of_each():
    manual = re.sub(r"\s+", " ", TemplateOptions.__doc__)
    assert [each.name for each in fields(TemplateOptions) if f"`{each.name}`" not in manual] == []


def test_the_page_tells_of_each_option_and_its_default():
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE))
    told = {name: default.strip("`").replace("empty", "") for name, default in rows.items()}
    defaults = {each.name: each.default for each in fields(TemplateOptions)}
    assert json.loads(adapter().call(MESSAGE).body).keys() == set(re.findall(r"\w+", told["body"])) - {
        "and",
        "in",
        "JSON",
    }
    assert told | {"body": defaults["body"]} == defaults


@pytest.mark.parametrize("place", [TemplateOptions.__doc__, PAGE], ids=["docstring", "page"])
def test_the_manual_tells_of_each_placeholder(place):
    assert [each for each in re.findall(r"\{\w+\}", EVERYTHING) if each not in place] == []
