"""Plivo's dialect as tables: a message and its request, an answer and its meaning; Plivo's package as the oracle."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode, urlsplit

import plivo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plivo.utils import validate_signature
from plivo.utils.signature_v3 import (
    construct_get_url,
    construct_post_url,
    get_signature_v3,
    validate_v3_signature,
)

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
from providers.adapters.plivo import REASONS, PlivoAdapter, PlivoCredentials, PlivoOptions

SIMULATED = {
    "account": "MA" + "1" * 18,
    "credentials": {"auth_id": "MA" + "1" * 18, "auth_token": "auth-token"},
    "options": {},
    "base_path": "",
    "sender": "+12025550100",
    "script": {"secret": "auth-token"},
}
AUTH_ID = "MA" + "1" * 18
TOKEN = "my_auth_token"
UUID = "83876bdb-2033-4876-bfaf-0ff8693705af"
OTHER = "93876bdb-2033-4876-bfaf-0ff8693705af"
API_ID = "db342550-7f1d-11e1-8ea7-1231380bc196"
POWERPACK = "ca5fd1f2-26c0-43e9-a7e4-0dc426e9dd2f"
REFERENCE = "0198c0de" * 4 + "00000001"
MESSAGE = Message(
    reference=REFERENCE,
    to="+12025550123",
    sender="+12025550100",
    text="Grüße & 100% + more?",
    segments=1,
    status_url=f"https://sms.example/webhooks/plivo/key/status?ref={REFERENCE}",
    valid_for=3600,
)
QUESTION = Question(
    REFERENCE, MESSAGE.to, MESSAGE.sender, MESSAGE.text, datetime(2026, 11, 21, 12, 0, 30, 500_000, tzinfo=UTC)
)


def adapter(token=TOKEN, **options):
    return PlivoAdapter(PlivoCredentials(AUTH_ID, token), options=PlivoOptions(**options))


def message(**changes):
    return Message(**{name: getattr(MESSAGE, name) for name in Message.__slots__} | changes)


def body_of(call):
    return json.loads(call.body)


# -- call --------------------------------------------------------------------------------------


def test_posts_json_to_the_accounts_messages():
    call = adapter().call(MESSAGE)
    assert (call.method, call.url) == ("POST", f"https://api.plivo.com/v1/Account/{AUTH_ID}/Message/")
    assert dict(call.headers) == {
        "Authorization": "Basic TUExMTExMTExMTExMTExMTExMTE6bXlfYXV0aF90b2tlbg==",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    assert body_of(call) == {
        "src": "12025550100",
        "dst": "12025550123",
        "text": "Grüße & 100% + more?",
        "type": "sms",
        "log": "true",
        "url": MESSAGE.status_url,
        "method": "POST",
        "message_expiry": 3600,
    }


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"sender": POWERPACK}, "powerpack_uuid", POWERPACK),
        ({"sender": POWERPACK}, "src", None),
        ({"sender": "50505"}, "src", "50505"),
        ({"sender": "ACME"}, "src", "ACME"),
        ({"status_url": ""}, "url", None),
        ({"status_url": ""}, "method", None),
        # 5 to 10,799 seconds, by default 10,800: https://support.plivo.com/hc/en-us/articles/14814454609561
        ({"valid_for": -1}, "message_expiry", 5),
        ({"valid_for": 5}, "message_expiry", 5),
        ({"valid_for": 10_799}, "message_expiry", 10_799),
        ({"valid_for": 10_800}, "message_expiry", None),
        ({"valid_for": None}, "message_expiry", None),
    ],
)
def test_writes_each_field_as_plivo_wants_it(changes, name, value):
    assert body_of(adapter().call(message(**changes))).get(name) == value


def sent_by_plivos_package(act):
    """Return the request that the vendor's own client would make; nothing leaves."""
    client = plivo.RestClient(AUTH_ID, TOKEN)
    prepared = []

    def send(request, **_kwargs):
        prepared.append(request)
        raise ConnectionError

    client.session.send = send
    with pytest.raises(ConnectionError):
        act(client)
    return prepared[0]


def test_asks_the_same_as_plivos_own_client():
    theirs = sent_by_plivos_package(
        lambda client: client.messages.create(
            src="12025550100",
            dst="12025550123",
            text=MESSAGE.text,
            url=MESSAGE.status_url,
            message_expiry=3600,
        )
    )
    ours = adapter().call(MESSAGE)
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    assert body_of(ours) | {"trackable": False} == json.loads(theirs.body)
    for name in ("Authorization", "Content-Type", "Accept"):
        assert ours.headers[name] == theirs.headers[name]


def test_keeps_of_a_message_what_the_account_wants():
    assert body_of(adapter(log="content_only").call(MESSAGE))["log"] == "content_only"
    with pytest.raises(InvalidOption, match=r"^log: 'yes' .* give one of true, false, number_only"):
        PlivoOptions(log="yes")


# -- read --------------------------------------------------------------------------------------


def read(status, body, headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return adapter().read(MESSAGE, HttpReply(status, headers or {}, raw))


def taken(ids, invalid=()):
    return {"api_id": API_ID, "message": "message(s) queued", "message_uuid": ids, "invalid_number": list(invalid)}


def error(words="Words"):
    return {"api_id": API_ID, "error": words}


@pytest.mark.parametrize("body", [taken([UUID]), {"message_uuid": [UUID]}, taken([UUID], ["12025550199"])])
def test_an_id_is_an_acceptance(body):
    result = read(202, body)
    assert (result.outcome, result.provider_id, result.parts) == (Outcome.ACCEPTED, UUID, 1)


def test_the_only_number_being_invalid_is_a_refusal():
    result = read(202, taken([], ["12025550123"]))
    assert (result.outcome, result.code) == (Outcome.REJECTED_PERMANENT, "invalid_number")


@pytest.mark.parametrize(
    ("status", "words", "outcome"),
    [
        (400, "12 is not a valid phone number", Outcome.REJECTED_PERMANENT),
        (405, "method not allowed", Outcome.REJECTED_PERMANENT),
        (422, "unprocessable", Outcome.REJECTED_PERMANENT),
        (401, "authentication failed", Outcome.REJECTED_PROVIDER),
        (403, "geo permission is not enabled", Outcome.REJECTED_PROVIDER),
        (404, "not found", Outcome.REJECTED_PROVIDER),
        (429, "too many requests", Outcome.REJECTED_RETRYABLE),
        # Out of credit is said in words alone (Plivo's page on error 900).
        (400, "Insufficient credit. Please recharge.", Outcome.REJECTED_PROVIDER),
        (402, "insufficient credit", Outcome.REJECTED_PROVIDER),
        (500, "insufficient credit", Outcome.UNKNOWN),
        (409, "conflict", Outcome.UNKNOWN),
        (408, "timeout", Outcome.UNKNOWN),
        (500, "internal error", Outcome.UNKNOWN),
        (503, "unavailable", Outcome.UNKNOWN),
        (302, "moved", Outcome.UNKNOWN),
    ],
)
def test_reads_a_refusal_by_its_http_status(status, words, outcome):
    result = read(status, error(words))
    assert (result.outcome, result.code, result.detail) == (outcome, str(status), words)
    assert not result.opted_out  # said only in reports


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (202, b""),
        (202, taken([])),
        (202, taken([], ["12025550199"])),
        (202, taken([], ["12025550123", "12025550199"])),
        (202, {"message_uuid": [], "invalid_number": ["12025550123"]}),
        (202, taken([""])),
        (202, taken([17])),
        (202, taken(UUID)),
        (200, {"api_id": API_ID}),
        (400, {"error": "no api_id"}),
        (400, {"api_id": API_ID}),
        (400, {"api_id": API_ID, "error": {"code": 1}}),
        (400, {"api_id": "two words", "error": "…"}),
        (401, b"Could not verify your access level for that URL."),
        (429, b"<html>Too many requests</html>"),
        (429, [error()]),
        (302, b""),
    ],
)
def test_what_plivo_did_not_say_stays_unknown(status, body):
    result = read(status, body)
    assert (result.outcome, result.provider_id) == (Outcome.UNKNOWN, "")


def test_passes_on_how_long_to_wait():
    assert read(429, error(), {"retry-after": "7"}).retry_after == 7.0


def test_a_detail_holds_neither_our_token_nor_what_cannot_be_stored():
    assert read(400, error("token my_auth_token \x00 \ud800 end")).detail == "token *** � � end"


# -- look-up -----------------------------------------------------------------------------------


def test_asks_for_the_texts_to_a_person_around_the_claim():
    call = adapter().look_up(QUESTION)
    assert call.method == "GET"
    assert call.url.partition("?")[0] == f"https://api.plivo.com/v1/Account/{AUTH_ID}/Message/"
    asked = {name: value for name, [value] in parse_qs(urlsplit(call.url).query).items()}
    assert asked == {
        "message_direction": "outbound",
        "from_number": "12025550100",
        "to_number": "12025550123",
        "message_time__gte": "2026-11-21 11:59:30",
        "message_time__lte": "2026-11-21 12:10:30",
        "limit": "20",
    }


def test_asks_the_list_as_plivos_own_client_does():
    theirs = sent_by_plivos_package(
        lambda client: client.messages.list(
            message_direction="outbound",
            from_number="12025550100",
            to_number="12025550123",
            message_time__gte="2026-11-21 11:59:30",
            message_time__lte="2026-11-21 12:10:30",
            limit=20,
        )
    )
    ours = adapter().look_up(QUESTION)
    assert parse_qs(urlsplit(ours.url).query) == parse_qs(urlsplit(theirs.url).query)
    assert ours.url.partition("?")[0] == theirs.url.partition("?")[0]


@pytest.mark.parametrize(
    ("log", "can"), [("true", True), ("number_only", True), ("false", False), ("content_only", False)]
)
def test_cannot_ask_where_plivo_keeps_no_numbers(log, can):
    assert (adapter(log=log).look_up(QUESTION) is not None) is can


def test_a_powerpack_is_no_number_to_ask_for():
    question = Question(REFERENCE, MESSAGE.to, POWERPACK, "Hello", QUESTION.since)
    assert "from_number" not in adapter().look_up(question).url
    found = adapter().found(
        question, HttpReply(200, {}, json.dumps(page([listed(from_number="12025550177")])).encode())
    )
    assert [finding.provider_id for finding in found] == [UUID]


def listed(**changes):
    return {
        "message_uuid": UUID,
        "from_number": "12025550100",
        "to_number": "12025550123",
        "message_direction": "outbound",
        "message_state": "sent",
        "message_time": "2026-11-21 12:00:31.250000+00:00",
        "units": 1,
    } | changes


def page(objects):
    meta = {"limit": 20, "offset": 0, "previous": None, "next": None, "total_count": len(objects)}
    return {"api_id": API_ID, "meta": meta, "objects": objects}


def found(body, status=200):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return adapter().found(QUESTION, HttpReply(status, {}, raw))


def test_finds_candidates_with_the_instant_of_their_making():
    created_at = datetime(2026, 11, 21, 12, 0, 31, 250_000, tzinfo=UTC)
    assert found(page([listed()])) == [Finding(UUID, "", created_at)]
    both = found(page([listed(), listed(message_uuid=OTHER, message_time="2026-11-21 12:00:40")]))
    assert both == [Finding(UUID, "", created_at), Finding(OTHER)]
    assert found(page([])) == []


@pytest.mark.parametrize(
    "other",
    [
        listed(to_number="12025550124"),
        listed(from_number="12025550101"),
        listed(message_direction="inbound"),
        listed(message_uuid=""),
        listed(message_uuid=None),
        {},
        None,
        "x",
    ],
)
def test_what_is_not_ours_is_not_found(other):
    assert found(page([other])) == []


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (200, b"<html>"), (200, {"objects": []}), (200, {"api_id": API_ID}), (401, error()), (500, page([]))],
)
def test_an_answer_that_is_no_list_is_unreadable(status, body):
    with pytest.raises(Unreadable, match=f"^HTTP {status}: "):
        found(body, status)


def test_checks_the_credentials_by_the_list():
    call = adapter().check()
    assert (call.method, call.url) == ("GET", f"https://api.plivo.com/v1/Account/{AUTH_ID}/Message/?limit=1")


# -- verify: the vectors P1 to P4 ----------------------------------------------------------------

FORM = {"From": "14151234567", "MessageUUID": "abc", "Text": "hello", "To": "14157654321"}
EXAMPLE = "https://example.com/sms/"
P1 = "ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc="
P2 = "eYsscsiz+4mPRtSl+P2d9kODYDMS3RfFx7VzzxmLTfE="
P3 = "YyknGrKMkc5PVNLldYgBWBgK+kEjVaimDx7z7hgbOkY="
P4 = "VEFpF7bp4r7xH9Xxs7XyW/1Yr2rtoqfdad9sPfDr8L4="


def webhook(url, form=None, headers=None, method="POST"):
    body = urlencode(form).encode() if form else b""
    return WebhookRequest(method, url, headers or {}, body)


def v2(signature, kind="", nonce="12345"):
    return {f"x-plivo-signature{kind}-v2": signature, "x-plivo-signature-v2-nonce": nonce}


def v3(signature, kind="", nonce="12345"):
    return {f"x-plivo-signature{kind}-v3": signature, "x-plivo-signature-v3-nonce": nonce}


VECTORS = [
    ("P1", webhook("https://answer.url", {}, v2(P1))),
    ("P1 main", webhook("https://answer.url", {}, v2(P1, "-ma"))),
    ("P2", webhook(EXAMPLE, FORM, v3(P2))),
    ("P2 main", webhook(EXAMPLE, FORM, v3(P2, "-ma"))),
    ("P2 in a list", webhook(EXAMPLE, FORM, v3(f"AAAA, {P2},BBBB"))),
    ("P3", webhook(f"{EXAMPLE}?b=2&a=1", FORM, v3(P3))),
    ("P4", webhook(f"{EXAMPLE}?b=2&a=1&{urlencode(FORM)}", {}, v3(P4), "GET")),
]


@pytest.mark.parametrize("request_", [v[1] for v in VECTORS], ids=[v[0] for v in VECTORS])
def test_accepts_the_known_signatures(request_):
    assert adapter().verify(request_)
    assert not adapter("my_other_token").verify(request_)
    moved = WebhookRequest(request_.method, request_.url.replace(".", "x.", 1), request_.headers, request_.body)
    assert not adapter().verify(moved)
    other_nonce = {name: "54321" if "nonce" in name else value for name, value in request_.headers.items()}
    assert not adapter().verify(WebhookRequest(request_.method, request_.url, other_nonce, request_.body))


def test_the_third_version_covers_query_and_body_and_the_second_neither():
    assert not adapter().verify(webhook(EXAMPLE, FORM | {"Text": "bye"}, v3(P2)))
    assert not adapter().verify(webhook(f"{EXAMPLE}?c=3", FORM, v3(P2)))
    assert adapter().verify(webhook("https://answer.url?ref=1", FORM, v2(P1)))


def test_the_third_version_decides_where_it_is_sent():
    good, bad = v2(P1), v3("AAAA")
    assert adapter().verify(webhook("https://answer.url", {}, good))
    assert not adapter().verify(webhook("https://answer.url", {}, good | bad))
    assert adapter().verify(webhook(EXAMPLE, FORM, v3(P2) | v2("AAAA")))


@pytest.mark.parametrize("headers", [{}, {"x-plivo-signature-v2-nonce": "12345"}, v2(""), v3(" , "), v2("é")])
def test_nothing_verifies_without_a_signature(headers):
    assert not adapter().verify(webhook("https://answer.url", {}, headers))


def test_nothing_verifies_without_a_token():
    url = "https://answer.url"
    signature = get_signature_v3("", construct_post_url(url, {}).decode(), "12345").decode()
    assert not adapter("").verify(webhook(url, {}, v3(signature)))


words = st.text(st.characters(codec="utf-8"), max_size=20)
plain = st.text(st.sampled_from("abcXYZ019-_"), min_size=1, max_size=8)
paths = st.sampled_from(["/", "/a/b/", "/a?ref=1", "/?b=2&a=1&a=0&empty=", ""])


@given(form=st.dictionaries(words, words, max_size=6), path=paths)
def test_agrees_with_plivos_own_validator_on_posts(form, path):
    url = f"https://sms.example{path}"
    signature = get_signature_v3(TOKEN, construct_post_url(url, dict(form)).decode(), "9").decode()
    assert validate_v3_signature("POST", url, "9", TOKEN, signature, dict(form))
    assert adapter().verify(webhook(url, form, v3(signature, nonce="9")))
    tampered = form | {"extra": "1"}
    expected = validate_v3_signature("POST", url, "9", TOKEN, signature, dict(tampered))
    assert adapter().verify(webhook(url, tampered, v3(signature, nonce="9"))) is expected


ascii_words = st.text(st.characters(codec="ascii"), max_size=20)


@given(query=st.dictionaries(plain, ascii_words, max_size=6))
def test_agrees_with_plivos_own_validator_on_gets(query):
    """Other than ASCII in a query makes Plivo's package fail."""
    url = f"https://sms.example/a?{urlencode(query)}"
    signature = get_signature_v3(TOKEN, construct_get_url(url, {}).decode(), "9").decode()
    assert validate_v3_signature("GET", url, "9", TOKEN, signature)
    assert adapter().verify(webhook(url, {}, v3(signature, nonce="9"), "GET"))


@given(path=paths, nonce=plain)
def test_agrees_with_plivos_own_second_version(path, nonce):
    url = f"https://sms.example{path}"
    for signature in (P1, "AAAA"):
        expected = validate_signature(url, nonce, signature, TOKEN)
        assert adapter().verify(webhook(url, FORM, v2(signature, nonce=nonce))) is expected


# -- parse ---------------------------------------------------------------------------------------


def report(**changes):
    """A callback as in the documents of Courier, with what has come since."""
    return {
        "MessageUUID": UUID,
        "ParentMessageUUID": UUID,
        "PartInfo": "1 of 1",
        "From": "12025550100",
        "To": "12025550123",
        "Type": "sms",
        "Status": "delivered",
        "ErrorCode": "",
        "Units": "1",
        "TotalRate": "0.0025",
        "TotalAmount": "0.0025",
        "MCC": "310",
        "MNC": "260",
        "Sequence": "2",
        "MessageTime": "2026-11-21 12:00:31.250000",
    } | changes


def parse(form, url=MESSAGE.status_url, method="POST"):
    return adapter().parse(webhook(url, form, method=method))


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        ("queued", "", ReceiptStatus.QUEUED),
        ("sent", "", ReceiptStatus.SENT),
        ("delivered", "", ReceiptStatus.DELIVERED),
        ("delivered", "000", ReceiptStatus.DELIVERED),
        ("read", "", ReceiptStatus.DELIVERED),
        ("undelivered", "80", ReceiptStatus.UNDELIVERED),
        ("undelivered", "200", ReceiptStatus.REJECTED),
        *[("failed", code, ReceiptStatus.FAILED) for code in ("10", "20", "30", "40", "50", "60", "70", "80", "90")],
        *[("failed", code, ReceiptStatus.FAILED) for code in ("100", "110", "201", "300", "450", "900", "910", "1000")],
        ("failed", "200", ReceiptStatus.REJECTED),
        ("failed", "420", ReceiptStatus.EXPIRED),
        ("failed", "12345", ReceiptStatus.FAILED),
        ("rejected", "", ReceiptStatus.REJECTED),
        ("rejected", "200", ReceiptStatus.REJECTED),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_normalises_a_report(said, code, status, method):
    form = report(Status=said, ErrorCode=code)
    url = MESSAGE.status_url if method == "POST" else f"{MESSAGE.status_url}&{urlencode(form)}"
    [receipt] = parse(form if method == "POST" else {}, url, method)
    assert receipt == Receipt(
        key=f"{UUID}:{said}",
        status=status,
        reference=REFERENCE,
        provider_id=UUID,
        code="" if code == "000" else code,
        detail=REASONS.get(code, ""),
        opted_out=code == "200",
    )


@pytest.mark.parametrize(
    "code", [10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 200, 201, 300, 420, 450, 900, 910, 1000]
)
def test_every_documented_code_has_its_words(code):
    [receipt] = parse(report(Status="failed", ErrorCode=str(code)))
    assert receipt.detail
    assert receipt.code == str(code)


def test_a_status_that_is_new_to_us_is_told_as_it_is():
    [receipt] = parse(report(Status="Teleported", ErrorCode="200"))
    assert (receipt.status, receipt.detail, receipt.opted_out) == (ReceiptStatus.UNKNOWN, "teleported", False)


def test_parts_are_told_under_the_first_ones_id():
    first = parse(report(PartInfo="1 of 2", Status="sent"))[0]
    second = parse(report(MessageUUID=OTHER, PartInfo="2 of 2", Status="sent"))[0]
    assert (first.provider_id, first.part) == (UUID, "1")
    assert (second.provider_id, second.part) == (UUID, "2")
    assert first.key != second.key


@pytest.mark.parametrize("info", ["", "1 of 1", "1", "one of two", "1 of 2 of 3", "² of ³"])
def test_a_whole_message_has_no_part(info):
    [receipt] = parse(report(PartInfo=info))
    assert (receipt.part, receipt.key) == ("", f"{UUID}:delivered")


@pytest.mark.parametrize("parent", ["", "not an id", "\x00"])
def test_without_a_parent_the_message_stands_for_itself(parent):
    [receipt] = parse(report(ParentMessageUUID=parent, MessageUUID=OTHER))
    assert receipt.provider_id == OTHER


def test_a_repeat_has_the_same_key_and_another_status_has_not():
    sent, again, delivered = (parse(report(Status=said))[0].key for said in ("sent", "sent", "delivered"))
    assert sent == again != delivered


def inbound(**changes):
    return {
        "MessageUUID": UUID,
        "From": "12025550123",
        "To": "12025550100",
        "Text": "STOP\x00 please",
        "Type": "sms",
        "Units": "1",
    } | changes


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_reads_a_persons_message(method):
    url = "https://sms.example/webhooks/plivo/key/inbound"
    form = inbound() if method == "POST" else {}
    url = url if method == "POST" else f"{url}?{urlencode(inbound())}"
    assert parse(form, url, method) == [
        Inbound(key=UUID, sender="+12025550123", to="+12025550100", text="STOP� please", provider_id=UUID)
    ]


def test_reads_a_persons_pictures():
    form = inbound(Type="mms", Media0="https://m.example/0", Media1="https://m.example/1", MediaCount="2")
    form.pop("Text")
    [told] = parse(form)
    assert (told.text, told.media) == ("", ("https://m.example/0", "https://m.example/1"))


def test_a_short_code_stays_as_it_is():
    [told] = parse(inbound(To="50505"))
    assert told.to == "50505"


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({}, "MessageUUID"),
        ({"MessageUUID": "two words", "Status": "sent"}, "MessageUUID"),
        ({"MessageUUID": UUID}, "From"),
        (inbound(From=""), "From"),
        (inbound(To=""), "To"),
        ({"MessageUUID": UUID, "From": "1", "To": "2"}, "Status"),
        ([(f"n{number}", "") for number in range(501)], "form"),
    ],
)
def test_names_what_is_malformed(form, field):
    with pytest.raises(MalformedEvent, match=f"^{field}"):
        parse(form)


def test_answers_that_it_is_stored():
    answer = adapter().answer(webhook(MESSAGE.status_url, report()))
    assert (answer.status, answer.body) == (200, b"")
