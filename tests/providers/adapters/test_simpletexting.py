"""SimpleTexting's dialect as tables: a message and its request, an answer and its meaning.

Shapes and examples are those of the vendor's OpenAPI document 2.0.0; where a row is not in it, a comment says so.
"""

import json
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest

from providers.adapters.base import (
    Finding,
    HttpReply,
    Inbound,
    InvalidOption,
    MalformedEvent,
    Message,
    OptOut,
    Outcome,
    Question,
    Receipt,
    ReceiptStatus,
    Unreadable,
    WebhookRequest,
)
from providers.adapters.simpletexting import (
    REFUSALS,
    SimpleTextingAdapter,
    SimpleTextingCredentials,
    SimpleTextingOptions,
)

SIMULATED = {
    "account": "st-token",
    "credentials": {"token": "st-token", "webhook_token": "hush"},
    "options": {},
    "base_path": "/v2",
    "sender": "+12025550100",
    "script": {"secret": "hush"},
    "reports": "by account",
}

ID = "507f191e810c19729de860ea"
REPORT = "607f0558a7c898629dd47d7a"
REFERENCE = "0198c0de" * 4 + "00000001"
MESSAGE = Message(
    reference=REFERENCE,
    to="+13051234567",
    sender="+18005551234",
    text="Grüße & 100% + more? 🍕",
    segments=1,
    status_url=f"https://sms.example/hooks/7/status?ref={REFERENCE}",
    valid_for=3600,
)


def simpletexting(mode="AUTO", **changes):
    ours = {"token": "api-token", "webhook_token": "hush"} | changes
    return SimpleTextingAdapter(SimpleTextingCredentials(**ours), options=SimpleTextingOptions(mode))


def message(**changes):
    return Message(**{name: getattr(MESSAGE, name) for name in Message.__slots__} | changes)


# -- call --------------------------------------------------------------------------------------


def test_posts_json_with_the_token():
    call = simpletexting().call(MESSAGE)
    assert (call.method, call.url) == ("POST", "https://api-app2.simpletexting.com/v2/api/messages")
    assert dict(call.headers) == {
        "Authorization": "Bearer api-token",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    assert json.loads(call.body) == {
        "contactPhone": "3051234567",
        "accountPhone": "8005551234",
        "mode": "AUTO",
        "text": "Grüße & 100% + more? 🍕",
    }


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"to": "+12025550123"}, "contactPhone", "2025550123"),
        ({"sender": "50505"}, "accountPhone", "50505"),
        ({"sender": "+12025550100"}, "accountPhone", "2025550100"),
        ({"text": ""}, "text", ""),
    ],
)
def test_writes_each_field_as_the_vendor_wants_it(changes, name, value):
    assert json.loads(simpletexting().call(message(**changes)).body)[name] == value


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"to": "+442071838750"}, "contactPhone"),
        # Ten digits after the plus, which the vendor would take for somebody in the United States.
        ({"to": "+6561234567"}, "contactPhone"),
        ({"to": "+1202555012"}, "contactPhone"),
        ({"to": "+120255501234"}, "contactPhone"),
        ({"sender": "+442071838750"}, "accountPhone"),
        ({"sender": ""}, "accountPhone"),
    ],
)
def test_refuses_numbers_of_other_countries(changes, field):
    with pytest.raises(ValueError, match=f"^{field}: not a \\+1 number"):
        simpletexting().call(message(**changes))


def test_the_mode_is_an_option():
    call = simpletexting(mode="SINGLE_SMS_STRICTLY").call(MESSAGE)
    assert json.loads(call.body)["mode"] == "SINGLE_SMS_STRICTLY"
    with pytest.raises(InvalidOption, match="mode: 'MMS_PREFERRED' is not known; set AUTO or SINGLE_SMS_STRICTLY"):
        SimpleTextingOptions("MMS_PREFERRED")


def test_another_base_url_replaces_the_vendors():
    adapter = SimpleTextingAdapter(SimpleTextingCredentials("t", "w"), "http://127.0.0.1:8025/v2/")
    assert adapter.call(MESSAGE).url == "http://127.0.0.1:8025/v2/api/messages"


def test_asks_for_the_account_to_check_the_token():
    call = simpletexting().check()
    assert (call.method, call.url) == ("GET", "https://api-app2.simpletexting.com/v2/api/tenant")
    assert call.headers["Authorization"] == "Bearer api-token"


# -- read --------------------------------------------------------------------------------------


def error(http, code="ERR_SOMETHING", **changes):
    """The API's envelope, as a request without a token was answered in August 2026."""
    name = REFUSALS[http][0] if http in REFUSALS else "SOMETHING_ELSE"
    words = {"errorCode": code, "code": code, "message": "Words", "errorDetails": []}
    return {"status": name, **words, "path": "/v2/api/messages", "timestamp": 1786600000.123456789} | changes


def gateway(code="ERR_SOMETHING", error_code="ERR_SOMETHING", **changes):
    """The gateway's envelope, as an unknown path was answered in August 2026."""
    return {"code": code, "errorCode": error_code, "timestamp": "2026-08-13T10:00:00Z", "message": "Words"} | changes


def read(status, body, headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return simpletexting().read(MESSAGE, HttpReply(status, headers or {}, raw))


def test_an_id_is_an_acceptance():
    result = read(201, {"id": ID, "credits": -17})
    assert (result.outcome, result.provider_id, result.parts) == (Outcome.ACCEPTED, ID, 1)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Outcome.REJECTED_PERMANENT),
        (401, Outcome.REJECTED_PROVIDER),
        # From here on not documented.
        (402, Outcome.REJECTED_PROVIDER),
        (403, Outcome.REJECTED_PROVIDER),
        (404, Outcome.REJECTED_PROVIDER),
        (429, Outcome.REJECTED_RETRYABLE),
        (307, Outcome.UNKNOWN),
        (408, Outcome.UNKNOWN),
        (409, Outcome.UNKNOWN),
        (422, Outcome.UNKNOWN),
        (500, Outcome.UNKNOWN),
        (503, Outcome.UNKNOWN),
    ],
)
@pytest.mark.parametrize("envelope", [error, lambda status, code: gateway(code, code)], ids=["api", "gateway"])
def test_reads_a_refusal_by_its_status(status, outcome, envelope):
    result = read(status, envelope(status, "ERR_AUTH_TOKEN_MISSING"))
    assert (result.outcome, result.code, result.detail) == (outcome, "ERR_AUTH_TOKEN_MISSING", "Words")
    assert not result.opted_out


@pytest.mark.parametrize(
    "body",
    [
        gateway("INTERNAL_ERROR", "UNKNOWN_ERR"),
        gateway("INTERNAL_ERROR", "ERR_SOMETHING"),
        gateway("ERR_SOMETHING", "UNKNOWN_ERR"),
        error(400, "UNKNOWN_ERR"),
    ],
)
def test_an_error_that_the_vendor_does_not_understand_itself_proves_nothing(body):
    result = read(400, body)
    assert (result.outcome, result.detail) == (Outcome.UNKNOWN, "Words")


def without(body, name):
    return {key: value for key, value in body.items() if key != name}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b""),
        (201, b'{"id":"507f'),
        (201, {"credits": 1}),
        (201, {"id": 17}),
        (201, {"id": ""}),
        (201, {"id": "a b"}),
        (201, {"id": "x" * 65}),
        (201, [{"id": ID}]),
        (204, b""),
        (429, b"<html>Too many requests</html>"),
        (404, {"message": "no Route matched with those values"}),
        (429, {"message": "API rate limit exceeded"}),
        (400, {"timestamp": "2026-08-13T10:00:00Z", "status": 400, "error": "Bad Request", "path": "/v2"}),
        (400, error(401)),
        (400, error(400, status=400)),
        (400, error(400, status=None)),
        (500, error(500, status=["x"])),
        (400, error(400, errorCode="lower")),
        (400, error(400, errorCode=400)),
        (400, error(400, message=None)),
        (400, error(400, code=7)),
        (400, without(error(400), "path")),
        (400, without(error(400), "errorCode")),
        (400, without(gateway(), "timestamp")),
        (400, gateway(timestamp=17)),
        (400, without(gateway(), "code")),
        (400, [error(400)]),
    ],
)
def test_what_the_vendor_did_not_say_stays_unknown(status, body):
    result = read(status, body)
    assert (result.outcome, result.provider_id, result.code) == (Outcome.UNKNOWN, "", "")


def test_passes_on_how_long_to_wait():
    assert read(429, error(429), {"retry-after": "7"}).retry_after == 7.0


def test_a_detail_holds_neither_our_tokens_nor_what_cannot_be_stored():
    result = read(400, error(400, message="api-token hush \x00 \ud800 end"))
    assert result.detail == "*** *** � � end"


# -- look-up -----------------------------------------------------------------------------------

ASKED = Question(
    REFERENCE, MESSAGE.to, MESSAGE.sender, MESSAGE.text, datetime(2026, 11, 21, 10, 0, 30, 5000, tzinfo=UTC)
)


def question(**changes):
    return Question(**{name: getattr(ASKED, name) for name in Question.__slots__} | changes)


def test_asks_for_what_was_sent_to_the_person():
    call = simpletexting().look_up(ASKED)
    assert call.method == "GET"
    assert call.url.startswith("https://api-app2.simpletexting.com/v2/api/messages?")
    assert call.headers["Authorization"] == "Bearer api-token"
    assert parse_qs(urlsplit(call.url).query) == {
        "contactPhone": ["3051234567"],
        "accountPhone": ["8005551234"],
        "since": ["2026-11-21T09:59:30.005Z"],
        "page": ["0"],
        "size": ["500"],
    }


def test_asks_in_the_vendors_zone():
    here = datetime(2026, 11, 21, 4, 0, tzinfo=timezone(timedelta(hours=-6)))
    assert "since=2026-11-21T09%3A59%3A00.000Z" in simpletexting().look_up(question(since=here)).url


@pytest.mark.parametrize("changes", [{"to": "+442071838750"}, {"sender": "+442071838750"}])
def test_does_not_ask_for_what_was_never_sent(changes):
    assert simpletexting().look_up(question(**changes)) is None


def listed(**changes):
    """A message of the list, with the fields of the document."""
    return {
        "id": ID,
        "subject": None,
        "text": ASKED.text,
        "contactPhone": "3051234567",
        "accountPhone": "8005551234",
        "directionType": "MT",
        "timestamp": "2026-11-21T10:00:31.489Z",
        "referenceType": "API_SEND",
        "category": "SMS",
        "mediaItems": [],
    } | changes


def page(*content, **changes):
    return {"content": list(content), "totalPages": 1 if content else 0, "totalElements": len(content)} | changes


def found(body, status=200):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return simpletexting().found(ASKED, HttpReply(status, {}, raw))


def test_finds_the_messages_with_the_very_text():
    sent_at = datetime(2026, 11, 21, 10, 0, 31, 489000, tzinfo=UTC)
    assert found(page(listed())) == [Finding(ID, created_at=sent_at)]
    assert [each.provider_id for each in found(page(listed(), listed(id=REPORT)))] == [ID, REPORT]


@pytest.mark.parametrize(
    "changes",
    [
        {"directionType": "MO"},
        {"text": ASKED.text + " "},
        {"text": None},
        {"contactPhone": "3051234568"},
        {"contactPhone": None},
        {"accountPhone": "8005551235"},
        {"id": ""},
        {"id": 7},
    ],
)
def test_passes_over_other_messages(changes):
    assert found(page(listed(**changes), "garbage", None)) == []


def test_a_message_of_no_readable_instant_is_found_too():
    assert found(page(listed(timestamp=17))) == [Finding(ID)]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, []),
        (200, {}),
        (200, page(content=None)),
        (200, page(content={})),
        (200, page(listed(), totalPages=2)),
        (200, page(listed(), totalPages=None)),
        (200, page(listed(), totalPages=[])),
        (200, without(page(listed()), "totalPages")),
        (401, error(401)),
        (404, page(listed())),
        (500, page(listed())),
    ],
)
def test_says_when_an_answer_is_no_list(status, body):
    with pytest.raises(Unreadable):
        found(body, status)


# -- verify --------------------------------------------------------------------------------------


def webhook(kind="DELIVERY_REPORT", values=None, url="https://sms.example/hooks/7/status?token=hush", **changes):
    body = {"reportId": REPORT, "webhookId": ID, "type": kind, "values": values} | changes
    return WebhookRequest("POST", url, {"content-type": "application/json"}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("query", "is_ours"),
    [
        ("?token=hush", True),
        ("?x=1&token=hush", True),
        ("?token=hush2", False),
        ("?token=Hush", False),
        ("?token=", False),
        ("?Token=hush", False),
        ("", False),
        ("#token=hush", False),
    ],
)
def test_knows_its_webhooks_by_the_token_in_their_address(query, is_ours):
    assert simpletexting().verify(webhook(url=f"https://sms.example/hooks/7/status{query}")) is is_ours


def test_nothing_verifies_without_a_token():
    assert not simpletexting(webhook_token="").verify(webhook(url="https://sms.example/?token="))


# -- parse ---------------------------------------------------------------------------------------


def parse(kind, values, **changes):
    return simpletexting().parse(webhook(kind, values, **changes))


SENT = {
    "messageId": ID,
    "text": "Hello! How are you?",
    "accountPhone": "8005551234",
    "contactPhone": "8001234567",
    "timestamp": "2020-04-28T23:20:08.489Z",
    "category": "SMS",
    "referenceType": "API",
}
REPORTED = {
    "messageId": ID,
    "category": "SMS",
    "referenceType": "API",
    "accountPhone": "8005551234",
    "contactPhone": "8001234567",
    "carrier": "Verizon",
}
AT = datetime(2020, 4, 28, 23, 20, 8, 489000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "values", "status", "detail", "at"),
    [
        ("OUTGOING_MESSAGE", SENT, ReceiptStatus.SENT, "", AT),
        ("DELIVERY_REPORT", REPORTED, ReceiptStatus.DELIVERED, "Verizon", None),
        ("NON_DELIVERED_REPORT", REPORTED, ReceiptStatus.UNDELIVERED, "Verizon", None),
        ("DELIVERY_REPORT", {"messageId": ID}, ReceiptStatus.DELIVERED, "", None),
        ("DELIVERY_REPORT", {"messageId": ID, "carrier": 7}, ReceiptStatus.DELIVERED, "", None),
    ],
)
def test_normalises_a_report(kind, values, status, detail, at):
    key = f"{ID}:{kind}"
    assert parse(kind, values) == [Receipt(key, status, provider_id=ID, detail=detail, occurred_at=at)]


def test_a_report_told_by_two_webhooks_is_one():
    [one], [other] = parse("DELIVERY_REPORT", REPORTED), parse("DELIVERY_REPORT", REPORTED, reportId=ID, webhookId="x")
    assert one.key == other.key


def test_reads_a_persons_message():
    values = SENT | {"text": "STOP\x00 please", "mediaItems": [ID, "https://txt.so/img.jpg", None, 7, ""]}
    assert parse("INCOMING_MESSAGE", values) == [
        Inbound(
            key=ID,
            sender="+18001234567",
            to="+18005551234",
            text="STOP� please",
            provider_id=ID,
            media=(ID, "https://txt.so/img.jpg"),
        )
    ]


@pytest.mark.parametrize(
    ("spelled", "number"),
    [("8005551234", "+18005551234"), ("18005551234", "+18005551234"), ("+18005551234", "+18005551234"), ("50505",) * 2],
)
def test_understands_each_spelling_of_our_number(spelled, number):
    [inbound] = parse("INCOMING_MESSAGE", SENT | {"accountPhone": spelled})
    assert inbound.to == number


@pytest.mark.parametrize("changes", [{"text": None}, {"mediaItems": "x"}, {"mediaItems": None}])
def test_a_picture_needs_no_text_and_a_text_no_picture(changes):
    [inbound] = parse("INCOMING_MESSAGE", SENT | changes)
    assert (inbound.text, inbound.media) == (changes.get("text", SENT["text"]) or "", ())


def test_reads_an_opt_out():
    values = {"contactId": ID, "phone": "8001234567"}
    assert parse("UNSUBSCRIBE_REPORT", values) == [OptOut(key=REPORT, number="+18001234567")]
    [again] = parse("UNSUBSCRIBE_REPORT", values, reportId=ID)
    assert again.key == ID


@pytest.mark.parametrize(
    ("kind", "values", "changes", "field"),
    [
        ("DELIVERY_REPORT", None, {}, "values"),
        ("DELIVERY_REPORT", [], {}, "values"),
        ("DELIVERY_REPORT", {}, {}, "values.messageId"),
        ("DELIVERY_REPORT", {"messageId": "<>\n"}, {}, "values.messageId"),
        ("OUTGOING_MESSAGE", {"messageId": 7}, {}, "values.messageId"),
        ("INCOMING_MESSAGE", without(SENT, "messageId"), {}, "values.messageId"),
        ("INCOMING_MESSAGE", without(SENT, "contactPhone"), {}, "values.contactPhone"),
        ("INCOMING_MESSAGE", SENT | {"accountPhone": 7}, {}, "values.accountPhone"),
        ("UNSUBSCRIBE_REPORT", {}, {}, "values.phone"),
        ("UNSUBSCRIBE_REPORT", {"phone": "8001234567"}, {"reportId": None}, "reportId"),
        ("READ_REPORT", {}, {}, "type"),
        (None, {}, {}, "type"),
        (["DELIVERY_REPORT"], REPORTED, {}, "type"),
    ],
)
def test_names_what_is_malformed(kind, values, changes, field):
    with pytest.raises(MalformedEvent, match=f"^{field}: "):
        parse(kind, values, **changes)


def test_answers_with_nothing():
    answer = simpletexting().answer(webhook())
    assert (answer.status, answer.body) == (200, b"")
