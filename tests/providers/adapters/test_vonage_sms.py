"""The dialect of Vonage's SMS API as tables; its own package is the oracle of requests and signatures."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vonage_http_client.auth import Auth
from vonage_sms import Sms, SmsMessage
from vonage_sms.errors import PartialFailureError, SmsError

from compliance.segments import count
from providers.adapters.base import (
    Finding,
    HttpReply,
    Inbound,
    InvalidOption,
    MalformedEvent,
    Message,
    Outcome,
    Part,
    Question,
    Receipt,
    ReceiptStatus,
    Unreadable,
    WebhookRequest,
)
from providers.adapters.vonage_sms import (
    CODES,
    ERRORS,
    METHODS,
    STATUSES,
    VonageSmsAdapter,
    VonageSmsCredentials,
    VonageSmsOptions,
)

SIMULATED = {
    "account": "abcd1234",
    "credentials": {"api_key": "abcd1234", "api_secret": "api-secret", "signature_secret": "signature-secret"},
    "options": {"signature_method": "sha256"},
    "base_path": "/vonage_sms",
    "sender": "+12025550100",
    "script": {"secret": "signature-secret"},
}

ID = "0A0000000123ABCD1"
REFERENCE = "0198c0de" * 4 + "00000001"
MESSAGE = Message(
    reference=REFERENCE,
    to="+12025550123",
    sender="+12025550100",
    text="Grüße & 100% + more?",
    segments=1,
    status_url=f"https://sms.example/webhooks/vonage_sms/{'k' * 24}/status?ref={REFERENCE}",
    valid_for=3600,
)
QUESTION = Question(REFERENCE, MESSAGE.to, MESSAGE.sender, MESSAGE.text, datetime(2026, 11, 21, 12, tzinfo=UTC))


def vonage(base_url="", options=None, **changes):
    ours = SIMULATED["credentials"] | {"signature_secret": "signature_secret"} | changes
    return VonageSmsAdapter(VonageSmsCredentials(**ours), base_url, VonageSmsOptions(**(options or {})))


def message(**changes):
    return Message(**{name: getattr(MESSAGE, name) for name in Message.__slots__} | changes)


def form_of(call):
    return {name: value for name, [value] in parse_qs(call.body.decode()).items()}


class Client:
    """What Vonage's package posts with: it keeps the request, and answers as told."""

    rest_host = "rest.nexmo.com"
    auth = Auth(api_key="abcd1234", api_secret="api-secret")

    def __init__(self, answer):
        self.answer = answer
        self.posted = None

    def post(self, host, path, params, auth_type, sent_data_type):
        self.posted = (f"https://{host}{path}", {name: str(v) for name, v in params.items() if v is not None})
        assert (auth_type, sent_data_type) == ("basic", "form")
        return self.answer


# -- options -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_knows_the_methods_of_the_dashboard(method):
    assert VonageSmsOptions(signature_method=method).signature_method == method


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"signature_method": "sha3"}, "signature_method: 'sha3'.*md5hash, md5, sha1, sha256, sha512"),
        ({"signature_method": ""}, "signature_method: ''"),
        ({"reports_url": "api.nexmo.com"}, "reports_url: 'api.nexmo.com'.*leave it empty"),
        ({"reports_url": "http://api.nexmo.com"}, "reports_url"),
    ],
)
def test_refuses_an_option_and_says_what_to_do(options, words):
    with pytest.raises(InvalidOption, match=words):
        VonageSmsOptions(**options)


# -- call --------------------------------------------------------------------------------------


def test_posts_a_form():
    call = vonage().call(MESSAGE)
    assert (call.method, call.url) == ("POST", "https://rest.nexmo.com/sms/json")
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert form_of(call) == {
        "from": "12025550100",
        "to": "12025550123",
        "text": "Grüße & 100% + more?",
        "type": "text",
        "client-ref": REFERENCE,
        "callback": f"https://sms.example/webhooks/vonage_sms/{'k' * 24}/status",
        "ttl": "3600000",
    }


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"sender": "AcmeInc"}, "from", "AcmeInc"),
        ({"sender": "50505"}, "from", "50505"),
        # ttl in milliseconds, from 20 seconds to a week.
        ({"valid_for": -5}, "ttl", "20000"),
        ({"valid_for": 0}, "ttl", "20000"),
        ({"valid_for": 20}, "ttl", "20000"),
        ({"valid_for": 21}, "ttl", "21000"),
        ({"valid_for": 604_800}, "ttl", "604800000"),
        ({"valid_for": 604_801}, "ttl", "604800000"),
        ({"valid_for": None}, "ttl", None),
        # Vonage does not find out by itself what is not GSM-7, and loses it.
        ({"text": "plain"}, "type", "text"),
        ({"text": "€ [x] {y} ~ | ^ \\ \f"}, "type", "text"),
        ({"text": "Ω Å ø É Ç"}, "type", "text"),
        ({"text": "ç"}, "type", "unicode"),
        ({"text": "“quoted”"}, "type", "unicode"),
        ({"text": "Привет"}, "type", "unicode"),
        ({"text": "👋"}, "type", "unicode"),
        # A callback has at most 100 characters; else the account's own address hears of it.
        ({"status_url": ""}, "callback", None),
        ({"status_url": "https://a.example/" + "x" * 82}, "callback", "https://a.example/" + "x" * 82),
        ({"status_url": "https://a.example/" + "x" * 83}, "callback", None),
        ({"status_url": "https://a.example/" + "x" * 82 + "?ref=1"}, "callback", "https://a.example/" + "x" * 82),
    ],
)
def test_writes_each_field_as_vonage_wants_it(changes, name, value):
    assert form_of(vonage().call(message(**changes))).get(name) == value


@given(text=st.text(max_size=40))
def test_says_unicode_exactly_where_the_platform_counts_so(text):
    kind = form_of(vonage().call(message(text=text + "x")))["type"]
    assert kind == {"GSM-7": "text", "UCS-2": "unicode"}[count(text).encoding]


def test_authorizes_with_key_and_secret():
    call = vonage().call(MESSAGE)
    assert call.headers["Authorization"] == Client.auth.create_basic_auth_string()


def test_another_base_url_replaces_the_vendors():
    adapter = vonage("http://127.0.0.1:8025/vonage_sms/")
    assert adapter.call(MESSAGE).url == "http://127.0.0.1:8025/vonage_sms/sms/json"
    assert adapter.look_up(QUESTION).url.startswith("http://127.0.0.1:8025/vonage_sms/v2/reports/records?")
    assert adapter.check().url == "http://127.0.0.1:8025/vonage_sms/account/get-balance"


@pytest.mark.parametrize("changes", [{}, {"text": "👋"}, {"valid_for": 1}, {"sender": "AcmeInc"}, {"status_url": ""}])
def test_posts_what_vonages_own_package_posts(changes):
    call = vonage().call(message(**changes))
    form = form_of(call)
    names = {name.replace("from", "from_").replace("-", "_"): value for name, value in form.items()}
    client = Client(answer(part()))
    Sms(client).send(SmsMessage(**names))
    assert client.posted == (call.url, form)


# -- read --------------------------------------------------------------------------------------


def part(message_id=ID, **more):
    taken = {"to": "12025550123", "message-id": message_id, "status": "0", "remaining-balance": "3.14159265"}
    return taken | {"message-price": "0.03330000", "network": "12345", "client-ref": REFERENCE} | more


def refusal(status, text="Words"):
    return {"status": status, "error-text": text}


def answer(*parts):
    return {"message-count": str(len(parts)), "messages": list(parts)}


def read(body, status=200, headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return vonage().read(MESSAGE, HttpReply(status, headers or {}, raw))


def test_an_id_is_an_acceptance():
    result = read(answer(part()))
    assert (result.outcome, result.provider_id, result.code, result.parts) == (Outcome.ACCEPTED, ID, "", 1)


def test_each_part_of_a_long_text_will_be_reported_on():
    result = read(answer(part("A1"), part("A2"), part("A3")))
    assert (result.outcome, result.provider_id, result.parts) == (Outcome.ACCEPTED, "A1", 3)


@pytest.mark.parametrize(
    ("parts", "provider_id", "count", "code"),
    [
        ([part("A1"), refusal("9"), part("A3")], "A1", 2, "9"),
        ([refusal("1"), part("A2")], "A2", 1, "1"),
        ([part("A1"), refusal("5")], "A1", 1, "5"),
        ([part("A1"), {"status": "7"}], "A1", 1, ""),
        ([part("A1"), None, part("")], "A1", 1, ""),
    ],
)
def test_a_text_of_which_one_part_is_taken_is_taken(parts, provider_id, count, code):
    result = read(answer(*parts))
    assert (result.outcome, result.provider_id, result.parts) == (Outcome.ACCEPTED, provider_id, count)
    assert (result.code, result.opted_out) == (code, False)
    assert result.detail == (f"{count} of {len(parts)} parts taken: Words" if code else "")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        # The list of errors of the SMS API.
        ("1", Outcome.REJECTED_RETRYABLE),
        ("2", Outcome.REJECTED_PERMANENT),
        ("3", Outcome.REJECTED_PERMANENT),
        ("4", Outcome.REJECTED_PROVIDER),
        ("5", Outcome.UNKNOWN),
        ("6", Outcome.REJECTED_PERMANENT),
        ("7", Outcome.REJECTED_PERMANENT),
        ("8", Outcome.REJECTED_PROVIDER),
        ("9", Outcome.REJECTED_PROVIDER),
        ("10", Outcome.REJECTED_RETRYABLE),
        ("11", Outcome.REJECTED_PROVIDER),
        ("12", Outcome.REJECTED_PERMANENT),
        ("14", Outcome.REJECTED_PROVIDER),
        ("15", Outcome.REJECTED_PROVIDER),
        ("17", Outcome.REJECTED_PERMANENT),
        ("22", Outcome.REJECTED_PERMANENT),
        ("23", Outcome.REJECTED_PERMANENT),
        ("29", Outcome.REJECTED_PROVIDER),
        ("32", Outcome.REJECTED_PROVIDER),
        ("33", Outcome.REJECTED_PERMANENT),  # "The number you are trying to send messages to is de-activated"
        # New to us.
        ("77", Outcome.REJECTED_PERMANENT),
    ],
)
def test_reads_a_refusal_by_its_meaning(status, outcome):
    for http_status in (200, 401):  # documented is 200 for all of them
        result = read(answer(refusal(status)), http_status)
        assert (result.outcome, result.code, result.detail) == (outcome, status, "Words")
        assert result.opted_out is (status == "7")


def test_every_status_has_its_row():
    assert set(CODES) == {str(n) for n in (*range(1, 13), 14, 15, 17, 22, 23, 29, 32, 33)}


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        (["1", "1"], Outcome.REJECTED_RETRYABLE),
        (["1", "9"], Outcome.REJECTED_RETRYABLE),
        (["9", "5"], Outcome.UNKNOWN),
        (["5", "1"], Outcome.UNKNOWN),
        (["7", "5"], Outcome.UNKNOWN),
    ],
)
def test_a_text_refused_in_every_part_is_refused_unless_one_is_in_doubt(statuses, outcome):
    result = read(answer(*map(refusal, statuses)))
    assert (result.outcome, result.code, result.opted_out) == (outcome, statuses[0], False)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"<html>", 200),
        ({"message-count": "1"}, 200),
        ({"message-count": "0", "messages": []}, 200),
        ({"message-count": "1", "messages": {"status": "4"}}, 200),
        (answer({"status": "0"}), 200),
        (answer(part("")), 200),
        (answer(part("has space")), 200),
        (answer(part("x" * 65)), 200),
        (answer(part("A1", status=0)), 200),
        (answer({"status": "4"}), 200),
        (answer({"status": 4, "error-text": "Words"}), 200),
        (answer({"status": "four", "error-text": "Words"}), 200),
        (answer(refusal("4"), part("")), 200),
        (answer(refusal("4"), None), 200),
        ({"messages": [refusal("4")]}, 200),
        ({"message-count": "2", "messages": [refusal("4")]}, 200),
        ([answer(refusal("4"))], 200),
        # Neither broken nor pointing elsewhere is Vonage's way of refusing; nor does it take like that.
        (answer(refusal("4")), 500),
        (answer(refusal("4")), 302),
        (answer(part()), 500),
        (answer(part()), 404),
        (b"<html>Too many requests</html>", 429),
        ({"error-code": "401", "error-code-label": "authentication failed"}, 401),
    ],
)
def test_what_vonage_did_not_say_stays_unknown(body, status):
    result = read(body, status)
    assert (result.outcome, result.provider_id) == (Outcome.UNKNOWN, "")


@pytest.mark.parametrize(
    ("text", "headers", "wait"),
    [
        ("Throughput Rate Exceeded - please wait [ 978 ] and retry", {}, 0.978),
        ("please wait [1000] and retry", {"retry-after": "9"}, 1.0),
        ("Throughput Rate Exceeded", {"retry-after": "9"}, 9.0),
        ("Throughput Rate Exceeded - please wait [ soon ] and retry", {}, None),
    ],
)
def test_passes_on_how_long_to_wait(text, headers, wait):
    assert read(answer(refusal("1", text)), headers=headers).retry_after == wait


def test_a_detail_holds_neither_our_secrets_nor_what_cannot_be_stored():
    words = "api-secret signature_secret \x00 \ud800 end"
    assert read(answer(refusal("4", words))).detail == "*** *** � � end"
    assert read(answer(part("A1"), refusal("9", words))).detail == "1 of 2 parts taken: *** *** � � end"


statuses = st.sampled_from(["0", *CODES])


@given(st.lists(statuses, min_size=1, max_size=4))
def test_agrees_with_vonages_own_package_on_what_failed(given_statuses):
    body = answer(*(part(f"A{n}") if s == "0" else refusal(s) for n, s in enumerate(given_statuses)))
    result = read(body)
    try:
        sent = Sms(Client(body)).send(SmsMessage(to="12025550123", from_="AcmeInc", text="Hi"))
    except PartialFailureError:
        assert (result.outcome is Outcome.ACCEPTED) == ("0" in given_statuses)
    except SmsError:
        assert result.outcome is not Outcome.ACCEPTED
    else:
        assert [each.message_id for each in sent.messages][:1] == [result.provider_id]
        assert result.parts == len(sent.messages)


# -- look-up -----------------------------------------------------------------------------------


def test_asks_for_the_persons_records_of_those_minutes():
    call = vonage().look_up(QUESTION)
    url = urlsplit(call.url)
    assert (call.method, f"{url.scheme}://{url.netloc}{url.path}") == (
        "GET",
        "https://api.nexmo.com/v2/reports/records",
    )
    assert call.headers["Authorization"] == vonage().call(MESSAGE).headers["Authorization"]
    assert dict(parse_qsl(url.query)) == {
        "product": "SMS",
        "account_id": "abcd1234",
        "direction": "outbound",
        "to": "12025550123",
        "date_start": "2026-11-21T11:55:00Z",
        "date_end": "2026-11-21T12:30:00Z",
    }


def test_asks_at_another_address_or_not_at_all():
    elsewhere = {"reports_url": "https://reports.example/"}
    assert vonage(options=elsewhere).look_up(QUESTION).url.startswith("https://reports.example/v2/")
    assert vonage(options={"reports_url": ""}).look_up(QUESTION) is None
    # A simulator or a proxy is asked itself, whatever is said of Vonage's own.
    assert vonage("http://127.0.0.1:1", {"reports_url": ""}).look_up(QUESTION).url.startswith("http://127.0.0.1:1/v2/")


def record(**changes):
    found = {"account_id": "abcd1234", "message_id": ID, "client_ref": REFERENCE, "to": "12025550123"}
    return found | {"date_received": "2026-11-21T12:00:01+00:00", "status": "accepted"} | changes


def found(body, status=200):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return vonage().found(QUESTION, HttpReply(status, {}, raw))


OURS = Finding(ID, REFERENCE, datetime(2026, 11, 21, 12, 0, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], []),
        ([record()], [OURS]),
        ([record(message_id="B"), record()], [Finding("B", REFERENCE, OURS.created_at)]),  # two parts of one text
        ([record(client_ref="another"), record()], [OURS]),
        ([record(client_ref="")], []),
        ([record(client_ref=None)], []),
        ([record(message_id="")], []),
        ([record(date_received="2026")], [Finding(ID, REFERENCE)]),
    ],
)
def test_finds_the_record_with_our_reference(records, expected):
    assert found({"request_status": "SUCCESS", "product": "SMS", "records": records}) == expected


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"<html>", 200),
        ({"product": "SMS"}, 200),
        ({"product": "MESSAGES", "records": []}, 200),
        ({"product": "SMS", "records": {}}, 200),
        ({"product": "SMS", "records": [record(), "x"]}, 200),
        ({"product": "SMS", "records": [record()]}, 500),
        ({"type": "https://developer.vonage.com/api-errors#unauthorized", "title": "Unauthorized"}, 401),
        (answer(refusal("4")), 200),
    ],
)
def test_an_answer_without_records_is_unreadable(body, status):
    with pytest.raises(Unreadable, match=r"HTTP|records"):
        found(body, status)


# -- verify: the vectors V1 to V7 ----------------------------------------------------------------

PLAIN = {"param1": "value1", "param2": "value2", "timestamp": "1234567890"}
SHA_512 = (
    "740ea4cd4c004c619d3b4cf060484278290d43d2b9d6693ada7b4c4ac48b18f3"
    "9675710a5a878cde6f4349bd19e8b8e033e3f0b4816b805a969e0f24ae726292"
)
VECTORS = [
    ("V1", "md5", PLAIN, "724c2bf6ca423c36e20631b11d1c5753"),
    ("V2", "sha256", PLAIN, "280c4320703dbc98bfa22db676655ed2acfbfe8792b062ff7622e67f1183c287"),
    ("V3", "sha1", PLAIN, "e4ebfd0ecd877fed7b414b5c87d0d7dfebb10a19"),
    ("V4", "sha512", PLAIN, SHA_512),
    ("V5", "md5hash", PLAIN, "d72f75ac8cda9bbce891c4fa62bee6cd"),
    ("V6", "md5", PLAIN | {"param1": "value&1", "param2": "value=2"}, "2bbf0abafb2c55e5af6231513896a2ac"),
    ("V7", "md5", {"param": "value", "timestamp": "1234567890"}, "655a4d0b7f064dff438defc52b012cf5"),
]
TRANSPORTS = ["GET", "form", "JSON"]
HOOK = "https://sms.example/webhooks/vonage_sms/key/status"


def webhook(said, transport="JSON"):
    if transport == "GET":
        return WebhookRequest("GET", f"{HOOK}?{urlencode(said)}", {}, b"")
    if transport == "form":
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return WebhookRequest("POST", HOOK, kind, urlencode(said).encode())
    return WebhookRequest("POST", HOOK, {"content-type": "application/json"}, json.dumps(dict(said)).encode())


def signing(method):
    return vonage(options={"signature_method": method})


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("method", "said", "sig"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS])
def test_accepts_the_known_signatures(method, said, sig, transport):
    adapter = signing(method)
    assert adapter.verify(webhook(said | {"sig": sig}, transport))
    assert adapter.verify(webhook(said | {"sig": sig.upper()}, transport))
    assert not adapter.verify(webhook(said | {"sig": sig, "x": ""}, transport))
    assert not adapter.verify(webhook(said | {"sig": sig, "timestamp": "1234567891"}, transport))
    assert not adapter.verify(webhook(said | {"sig": sig[:-1]}, transport))
    assert not adapter.verify(webhook(said | {"sig": ""}, transport))
    assert not adapter.verify(webhook(said, transport))
    another = VonageSmsOptions(signature_method=method)
    assert not VonageSmsAdapter(VonageSmsCredentials("k", "s", "signature_secreT"), "", another).verify(
        webhook(said | {"sig": sig}, transport)
    )


@pytest.mark.parametrize(("method", "said", "sig"), [v[1:] for v in VECTORS[:5]], ids=[v[0] for v in VECTORS[:5]])
def test_a_signature_of_another_method_is_not_verified(method, said, sig):
    for other in {*METHODS} - {method}:
        assert not signing(other).verify(webhook(said | {"sig": sig}))


def test_begins_with_the_method_the_dashboard_begins_with():
    assert vonage().verify(webhook(PLAIN | {"sig": VECTORS[4][3]}))


def test_signs_a_number_in_json_as_it_is_spelled():
    sig = VECTORS[1][3]
    body = b'{"param1": "value1", "param2": "value2", "timestamp": 1234567890, "sig": "%s"}' % sig.encode()
    assert signing("sha256").verify(WebhookRequest("POST", HOOK, {}, body))
    assert not signing("sha256").verify(WebhookRequest("POST", HOOK, {}, body.replace(b"7890,", b"7890.0,")))


@pytest.mark.parametrize("value", [None, [], {}])
def test_what_has_no_spelling_is_not_verified(value):
    assert not signing("sha256").verify(webhook(PLAIN | {"sig": VECTORS[1][3], "x": value}))


@pytest.mark.parametrize("method", METHODS)
def test_nothing_verifies_without_a_secret(method):
    signed = b"&param1=value1&param2=value2&timestamp=1234567890"
    anybodys = (
        hashlib.new("md5", signed, usedforsecurity=False) if method == "md5hash" else hmac.new(b"", signed, method)
    )
    empty = VonageSmsAdapter(VonageSmsCredentials("k", "s", ""), "", VonageSmsOptions(signature_method=method))
    assert not empty.verify(webhook(PLAIN | {"sig": anybodys.hexdigest()}))


words = st.text(st.characters(codec="utf-8"), max_size=20)
names = words.filter(lambda name: name not in {"sig", "timestamp"})


@given(
    said=st.dictionaries(names, words, max_size=6),
    method=st.sampled_from(["md5", "sha1", "sha256", "sha512"]),
    transport=st.sampled_from(TRANSPORTS),
    tampered=st.booleans(),
)
def test_agrees_with_vonages_own_package(said, method, transport, tampered):
    oracle = Auth(api_key="k", signature_secret="signature_secret", signature_method=method)
    said = said | {"timestamp": "1234567890"}
    signed = said | {"sig": oracle.sign_params(dict(said))}
    if tampered:
        signed |= {"extra": "1"}
    expected = oracle.check_signature(dict(signed))
    assert signing(method).verify(webhook(signed, transport)) is expected


# -- parse ---------------------------------------------------------------------------------------

RECEIPT = {
    "msisdn": "12025550123",
    "to": "12025550100",
    "network-code": "310260",
    "messageId": ID,
    "price": "0.03330000",
    "status": "delivered",
    "scts": "2611211200",
    "err-code": "0",
    "api-key": "abcd1234",
    "client-ref": REFERENCE,
    "message-timestamp": "2026-11-21 12:00:05",
    "timestamp": "1795262405",
    "nonce": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
    "sig": "…",
}
TEXT = {
    "msisdn": "12025550123",
    "to": "12025550100",
    "messageId": ID,
    "text": "STOP & go",
    "type": "text",
    "keyword": "STOP",
    "api-key": "abcd1234",
    "message-timestamp": "2026-11-21 12:00:05",
}


def parse(said, transport="JSON"):
    return vonage().parse(webhook(said, transport))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_reads_a_receipt_however_it_comes(transport):
    assert parse(RECEIPT, transport) == [
        Receipt(
            key=f"{ID}:delivered",
            status=ReceiptStatus.DELIVERED,
            reference=REFERENCE,
            provider_id=ID,
            occurred_at=datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC),
            part=ID,
        )
    ]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("accepted", ReceiptStatus.SENT),
        ("buffered", ReceiptStatus.QUEUED),
        ("delivered", ReceiptStatus.DELIVERED),
        ("expired", ReceiptStatus.EXPIRED),
        ("failed", ReceiptStatus.FAILED),
        ("rejected", ReceiptStatus.REJECTED),
        ("unknown", ReceiptStatus.UNKNOWN),
        ("teleported", ReceiptStatus.UNKNOWN),
    ],
)
def test_normalises_a_status(said, status):
    [receipt] = parse(RECEIPT | {"status": said})
    assert (receipt.status, receipt.key) == (status, f"{ID}:{said}")
    assert receipt.detail == ("" if said in STATUSES else said)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1", "Unknown"),
        ("2", "Absent subscriber, for now"),
        ("3", "Absent subscriber, for good"),
        ("4", "Barred by the person"),
        ("5", "Portability error"),
        ("6", "Rejected as spam"),
        ("7", "Handset busy"),
        ("8", "Network error"),
        ("9", "Illegal number, or the person has texted STOP"),
        ("10", "Illegal message"),
        ("11", "Unroutable"),
        ("12", "Destination unreachable"),
        ("13", "Age restriction"),
        ("14", "Blocked by the carrier"),
        ("15", "Prepaid, without funds"),
        ("16", "Gateway quota exceeded"),
        ("50", "Entity filter"),
        ("51", "Header filter"),
        ("52", "Content filter"),
        ("53", "Consent filter"),
        ("54", "Regulation error"),
        ("99", "General error"),
        ("77", ""),
    ],
)
def test_says_why_and_who_has_opted_out(code, words):
    [receipt] = parse(RECEIPT | {"status": "failed", "err-code": code})
    assert (receipt.status, receipt.code, receipt.detail) == (ReceiptStatus.FAILED, code, words)
    assert receipt.opted_out is (code == "9")


def test_every_error_has_its_row():
    assert set(ERRORS) == {str(n) for n in (*range(1, 17), *range(50, 55), 99)}


def test_each_part_reports_for_itself():
    receipts = [parse(RECEIPT | {"messageId": each})[0] for each in ("A1", "A2", "A1")]
    assert [each.part for each in receipts] == ["A1", "A2", "A1"]
    assert {each.reference for each in receipts} == {REFERENCE}
    assert (receipts[0].key, receipts[1].key) == ("A1:delivered", "A2:delivered")
    assert receipts[0] == receipts[2]


@pytest.mark.parametrize("stamp", [None, "", "soon", "-1", "12345678901", "1.5", "²"])
def test_a_strange_instant_is_no_instant(stamp):
    said = {name: value for name, value in RECEIPT.items() if name != "timestamp"}
    [receipt] = parse(said if stamp is None else said | {"timestamp": stamp})
    assert receipt.occurred_at is None


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_reads_a_persons_message_however_it_comes(transport):
    assert parse(TEXT | {"text": "Grüße\x00 & more?"}, transport) == [
        Inbound(
            key=ID,
            sender="+12025550123",
            to="+12025550100",
            text="Grüße� & more?",
            provider_id=ID,
        )
    ]


def test_reads_a_short_code_and_a_binary_message():
    said = {name: value for name, value in TEXT.items() if name != "text"}
    [inbound] = parse(said | {"to": "50505", "type": "binary", "data": "0011", "udh": "06050415811581"})
    assert (inbound.to, inbound.text, inbound.part) == ("50505", "", None)


def pieces(**changes):
    return TEXT | {"concat": "true", "concat-ref": "17", "concat-total": "3", "concat-part": "2"} | changes


def test_reads_a_piece_of_a_long_message():
    [inbound] = parse(pieces())
    assert inbound.part == Part("+12025550123:+12025550100:17", 2, 3)
    assert inbound.key == f"{ID}:2"
    [other] = parse(pieces(**{"concat-part": "3"}))
    assert other.part.whole == inbound.part.whole
    assert other.key != inbound.key
    for change in ({"msisdn": "12025550199"}, {"to": "12025550101"}, {"concat-ref": "18"}):
        assert parse(pieces(**change))[0].part.whole != inbound.part.whole


@pytest.mark.parametrize(
    "changes",
    [
        {"concat": "false"},
        {"concat-part": "0"},
        {"concat-part": "4"},
        {"concat-part": "x"},
        {"concat-part": "²"},
        {"concat-part": ""},
        {"concat-total": "9999"},
        {"concat-total": "0"},
    ],
)
def test_a_strange_piece_is_a_whole(changes):
    [inbound] = parse(pieces(**changes))
    assert (inbound.part, inbound.key) == (None, ID)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "messageId"),
        (RECEIPT | {"messageId": "<a b>"}, "messageId"),
        (RECEIPT | {"status": ""}, "status"),
        ({"messageId": ID}, "status"),
        (TEXT | {"msisdn": ""}, "msisdn"),
        ({"messageId": ID, "text": "hi", "msisdn": "1"}, "to"),
        (RECEIPT | {"nested": {}}, "webhook: nested"),
    ],
)
def test_names_what_is_malformed(said, field):
    with pytest.raises(MalformedEvent, match=f"^{field}"):
        parse(said)


@pytest.mark.parametrize("body", [b"{", b'{"a":' * 100_000, b"&".join(b"n%d=" % n for n in range(501))])
def test_refuses_what_cannot_be_read(body):
    with pytest.raises(MalformedEvent, match=r"^webhook"):
        vonage().parse(WebhookRequest("POST", HOOK, {}, body))


def test_of_a_repeated_field_the_first_counts():
    request = WebhookRequest("GET", f"{HOOK}?{urlencode(RECEIPT)}&status=failed", {}, b"")
    [receipt] = vonage().parse(request)
    assert receipt.status is ReceiptStatus.DELIVERED


def test_answers_with_an_empty_200():
    answered = vonage().answer(webhook(RECEIPT))
    assert (answered.status, answered.body) == (200, b"")
