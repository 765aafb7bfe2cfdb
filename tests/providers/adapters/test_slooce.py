"""Slooce's dialect as tables: a message and its request, an answer and its meaning.

The vendor publishes nothing. Sources: acquia/mc-cs-plugin-slooce (plugin) and stephen-moyer/Slooce.NET (client); where
a row is in neither, a comment says so.
"""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.adapters.base import (
    HttpReply,
    Inbound,
    InvalidOption,
    MalformedEvent,
    Message,
    Outcome,
    WebhookRequest,
)
from providers.adapters.slooce import REFUSALS, SlooceAdapter, SlooceCredentials, SlooceOptions

SIMULATED = {
    "account": "partner1",
    "credentials": {"partner_id": "partner1", "partner_password": "s3cret", "webhook_token": "hush"},
    "options": {},
    "base_path": "/slooce_apps/spi",
    "sender": "PIZZA",
    "script": {"secret": "hush"},
    "reports": "never",
    "longest": 160,  # characters
}

REFERENCE = "0198c0de" * 4 + "00000001"
MESSAGE = Message(
    reference=REFERENCE,
    to="+12025550123",
    sender="PIZZA",
    text="Correct! Mount Everest is the tallest peak.",
    segments=1,
    status_url=f"https://sms.example/hooks/7/status?ref={REFERENCE}",
    valid_for=3600,
)
HOST = "acme.cloud.sloocetech.net"


def slooce(base_url="", host=HOST, **changes):
    ours = {"partner_id": "partner1", "partner_password": "s3cret", "webhook_token": "hush"} | changes
    return SlooceAdapter(SlooceCredentials(**ours), base_url, SlooceOptions(host))


def message(**changes):
    return Message(**{name: getattr(MESSAGE, name) for name in Message.__slots__} | changes)


def tree(body):
    return ET.fromstring(body)  # noqa: S314 - our own


# -- call --------------------------------------------------------------------------------------


def test_posts_xml_to_the_person_and_keyword():
    call = slooce().call(MESSAGE)
    assert call.method == "POST"
    assert call.url == f"https://{HOST}/slooce_apps/spi/partner1/12025550123/PIZZA/messages/mt"
    assert dict(call.headers) == {"Content-Type": "application/xml", "Accept": "application/xml"}
    assert call.body == (
        b'<message id="0198c0de0198c0de0198c0de0198c0de00000001"><partnerpassword>s3cret</partnerpassword>'
        b"<content>Correct! Mount Everest is the tallest peak.</content></message>"
    )


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"sender": "50505"}, "/partner1/12025550123/50505/messages/mt"),
        ({"sender": "a b/c?d"}, "/partner1/12025550123/a%20b%2Fc%3Fd/messages/mt"),
        ({"to": "+442071838750"}, "/partner1/442071838750/PIZZA/messages/mt"),
    ],
)
def test_writes_each_part_of_the_path(changes, path):
    assert slooce().call(message(**changes)).url.endswith(path)
    assert slooce(partner_id="a/b").call(MESSAGE).url.endswith("/spi/a%2Fb/12025550123/PIZZA/messages/mt")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('1 < 2 && "so" ]]> </content>', b'1 &lt; 2 &amp;&amp; "so" ]]&gt; &lt;/content&gt;'),
        ("Grüße ÿ", b"Gr&#252;&#223;e &#255;"),
        ("&amp; &#65;", b"&amp;amp; &amp;#65;"),
        ("two\nlines", b"two\nlines"),
        ("", b"<content />"),
    ],
)
def test_escapes_the_text(text, written):
    body = slooce().call(message(text=text)).body
    assert written in body
    assert tree(body).findtext("content") == text


def test_escapes_the_password():
    body = slooce(partner_password="<&>\"'").call(MESSAGE).body
    assert tree(body).findtext("partnerpassword") == "<&>\"'"


sayable = st.text(st.sampled_from([chr(code) for code in (10, *range(32, 127), *range(160, 256))]), max_size=160)


@given(text=sayable)
def test_what_is_sayable_arrives_as_it_is(text):
    root = tree(slooce().call(message(text=text)).body)
    assert root.findtext("content", "") == text
    assert root.get("id") == REFERENCE


@pytest.mark.parametrize("text", ["x" * 160, "ü" * 160])
def test_160_characters_are_carried(text):
    assert slooce().call(message(text=text))


def test_161_characters_are_refused():
    with pytest.raises(ValueError, match=r"^text: 161 characters; Slooce takes 160"):
        slooce().call(message(text="x" * 161))


@pytest.mark.parametrize(
    "char", ["€", "\u2019", "“", "…", "Ł", "🍕", "\t", "\x00", "\x1b", "\x85", "\x7f", "\ud800", "\u2028"]
)
def test_characters_beyond_latin_1_are_refused(char):
    with pytest.raises(ValueError, match=r"^text: a character that ISO-8859-1 has not"):
        slooce().call(message(text=f"Hello {char}"))


# -- the address -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.cloud.sloocetech.net/slooce_apps/spi",
        "http://127.0.0.1:8025/slooce_apps/spi",
        "http://127.9.9.9/spi",
        "http://localhost:8025/spi",
        "http://[::1]:8025/spi",
        "HTTPS://ACME.example/spi",
    ],
)
def test_the_password_travels_encrypted_or_within_this_machine(url):
    assert slooce(url).call(MESSAGE).url == f"{url}/partner1/12025550123/PIZZA/messages/mt"


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.cloud.sloocetech.net:8084/spi-war/spi",
        "http://10.0.0.1/spi",
        "http://127.0.0.1.example.com/spi",
        "http://localhost.example.com/spi",
        "http://",
        "http://[",
        "ftp://acme.example/spi",
        "acme.example/spi",
    ],
)
def test_an_address_that_would_show_the_password_is_refused(url):
    with pytest.raises(InvalidOption, match=r"^base_url: .* unencrypted; use https://"):
        slooce(url)


@pytest.mark.parametrize(
    "host", ["", "acme.example/x", "acme.example?", "a b", "https://acme.example", "-a", "a.", "ä.de"]
)
def test_a_host_that_is_none_is_refused(host):
    with pytest.raises(InvalidOption, match=r"^host: .* is no host name; set what Slooce gave you"):
        SlooceOptions(host)


def test_without_a_host_nobody_is_reached():
    """The name can belong to nobody (RFC 2606): the messages wait, as for any server that is down."""
    adapter = SlooceAdapter(SlooceCredentials("partner1", "s3cret", "hush"))
    assert adapter.call(MESSAGE).url.startswith("https://customer.invalid/slooce_apps/spi/")


# -- read --------------------------------------------------------------------------------------


def response(result, words="", message_id=REFERENCE):
    return f'<response id="{message_id}" result="{result}">{words}</response>'.encode()


def read(status, body, headers=None):
    return slooce().read(MESSAGE, HttpReply(status, headers or {}, body))


@pytest.mark.parametrize(
    "body",
    [
        response("ok"),
        response("OK "),
        b'<?xml version="1.0" encoding="ISO-8859-1"?>\n<response id="x" result="ok"/>',
        '<?xml version="1.0" encoding="utf-16"?><response id="x" result="ok"/>'.encode("utf-16"),
        b"<!-- hello --><response result='ok'><more><deeper/></more></response>",
    ],
)
def test_ok_is_an_acceptance_with_our_own_id(body):
    result = read(202, body)
    assert (result.outcome, result.provider_id, result.code) == (Outcome.ACCEPTED, REFERENCE, "")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        # Of an mt (client, MTResponseResult).
        ("invalid mt request", Outcome.REJECTED_PERMANENT),
        ("unsupported operator", Outcome.REJECTED_PERMANENT),
        ("empty mt request", Outcome.REJECTED_PERMANENT),
        ("unknown error", Outcome.UNKNOWN),
        # Of a start (client, UserRegisterResponseResult).
        ("invalid phonenumber", Outcome.REJECTED_PERMANENT),
        ("invalid keyword", Outcome.REJECTED_PROVIDER),
        ("service deactivated", Outcome.REJECTED_PROVIDER),
        ("unknown operator", Outcome.UNKNOWN),
        # Of a stop.
        ("invalid stop request", Outcome.UNKNOWN),
        # New to us.
        ("out for lunch", Outcome.UNKNOWN),
        ("", Outcome.UNKNOWN),
    ],
)
@pytest.mark.parametrize("status", [200, 202, 400, 404])
def test_reads_a_refusal_by_its_result(said, outcome, status):
    result = read(status, response(said, "Words"))
    assert (result.outcome, result.code, result.detail) == (outcome, said or f"http {status}", "Words")
    assert not result.opted_out


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (401, Outcome.REJECTED_PROVIDER),  # in neither source
        (403, Outcome.REJECTED_PERMANENT),  # plugin: an invalid recipient, or one who opted out
        (429, Outcome.REJECTED_RETRYABLE),  # in neither source
        (400, Outcome.UNKNOWN),
        (404, Outcome.UNKNOWN),
        (500, Outcome.UNKNOWN),
        (202, Outcome.UNKNOWN),
        (307, Outcome.UNKNOWN),
    ],
)
def test_reads_a_refusal_of_unknown_words_by_its_status(status, outcome):
    """A 403 may say that the number is wrong: rather one number too many is never tried again than one person too few."""
    for body in (response("no such words"), f'<response id="{REFERENCE}">Words</response>'.encode()):
        result = read(status, body)
        assert (result.outcome, result.opted_out) == (outcome, status == 403)


@pytest.mark.parametrize(
    ("said", "is_opt_out"),
    [
        ("invalid mt request", True),
        ("empty mt request", True),
        ("invalid phonenumber", False),
        ("unsupported operator", False),
        ("unknown error", False),
        ("service deactivated", False),
    ],
)
def test_a_403_is_an_opt_out_unless_its_words_mean_something_else(said, is_opt_out):
    assert read(403, response(said)).opted_out is is_opt_out


@pytest.mark.parametrize(("status", "result"), [(403, "unknown error"), (401, "unknown error"), (429, "unknown error")])
def test_an_unknown_error_proves_nothing_under_any_status(status, result):
    assert read(status, response(result)).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("status", [100, 307, 400, 403, 500, 503])
def test_an_error_that_says_ok_contradicts_itself(status):
    assert read(status, response("ok")).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("said", sorted(REFUSALS))
@pytest.mark.parametrize("status", [301, 500, 503, 599])
def test_a_server_error_or_redirect_refuses_nothing(status, said):
    assert read(status, response(said)).outcome is Outcome.UNKNOWN


BILLION = b"""<?xml version="1.0"?><!DOCTYPE response [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>"""
FLAWS = [
    b"",
    b"ok",
    b"<response",
    b'<response result="ok">',
    b'<response result="ok"/><response result="ok"/>',
    b'<response result="ok" result="ok"/>',
    b'<response result="&nbsp;"/>',
    b'<response result="ok"/>\x00',
    b'<x:response xmlns:x="urn:x" result="ok"/>',
    b'<response result="ok">&c;</response>',
    BILLION + b'<response result="ok">&c;</response>',
    BILLION + b'<response result="ok"/>',
    b'<!DOCTYPE response><response result="ok"/>',
    b'<!DOCTYPE response SYSTEM "file:///etc/passwd"><response result="ok"/>',
    b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><response result="ok">&x;</response>',
    b'<!DOCTYPE r [<!ATTLIST response result CDATA "ok">]><response id="1"/>',
    b'<?xml version="1.0" encoding="klingon"?><response result="ok"/>',
    b'<?xml version="1.0" encoding="utf-7"?><response result="ok"/>',
    b'<?xml version="1.0" encoding="shift_jis"?><response result="ok"/>',
    b'<response result="ok">\xff</response>',
    b"<response result='ok'>" + b"<a>" * 50_000,
    b'<response result="ok">' + b"x" * 65_536 + b"</response>",
    b"<response>ok</response>",
    b'<message id="1" result="ok"/>',
    b'<RESPONSE id="1" result="ok"/>',
    b'<html><response result="ok"/></html>',
    b'{"response": {"result": "ok"}}',
]


@pytest.mark.parametrize("body", FLAWS, ids=lambda body: str(body[:60]))
@pytest.mark.parametrize("status", [202, 403])
def test_what_slooce_did_not_say_stays_unknown(status, body):
    result = read(status, body)
    assert (result.outcome, result.provider_id) == (Outcome.UNKNOWN, "")
    assert result.detail == f"HTTP {status}, not in Slooce's dialect"


def test_a_deep_document_is_no_danger():
    depth = 8_000
    body = b'<response result="ok">' + b"<a>" * depth + b"</a>" * depth + b"</response>"
    assert read(202, body).outcome is Outcome.ACCEPTED


def test_passes_on_how_long_to_wait():
    assert read(429, response("slow down"), {"retry-after": "7"}).retry_after == 7.0


def test_neither_code_nor_detail_holds_our_secrets():
    result = slooce(partner_password="PassWord").read(
        MESSAGE, HttpReply(403, {}, response("wrong PassWord hush", "PassWord, hush"))
    )
    assert (result.code, result.detail) == ("wrong *** ***", "***, ***")


# -- verify --------------------------------------------------------------------------------------


def webhook(body, url="https://sms.example/hooks/7/inbound?token=hush"):
    return WebhookRequest("POST", url, {"content-type": "application/xml"}, body)


@pytest.mark.parametrize(
    ("query", "is_ours"),
    [
        ("?token=hush", True),
        ("?x=1&token=hush", True),
        ("?token=hush2", False),
        ("?token=", False),
        ("?token=s3cret", False),
        ("", False),
    ],
)
def test_knows_its_webhooks_by_the_token_in_their_address(query, is_ours):
    assert slooce().verify(webhook(mo(), f"https://sms.example/hooks/7/inbound{query}")) is is_ours


def test_nothing_verifies_without_a_token():
    assert not slooce(webhook_token="").verify(webhook(mo(), "https://sms.example/?token="))


# -- parse ---------------------------------------------------------------------------------------


def mo(inner="<content>Hello</content>", attributes='id="abc-123"', user="12025550123", keyword="PIZZA"):
    """A person's message (client, MOResponse, MOCommandResponse and UserRegisteredResponse; its id: plugin)."""
    return f"<message {attributes}><user>{user}</user><keyword>{keyword}</keyword>{inner}</message>".encode()


@pytest.mark.parametrize(
    ("inner", "text", "answered_as"),
    [
        ("<content>Hello</content>", "Hello", ""),
        ("<content> Gr&#252;&#223;e &amp; &lt;more&gt; </content>", " Grüße & <more> ", ""),
        ("<content>Grüße</content>", "Grüße", ""),
        ("<content><![CDATA[<3 & more]]></content>", "<3 & more", ""),
        ("<content>stop</content>", "stop", ""),
        ("<command>Q</command>", "STOP", "stop"),
        ("<command> q </command>", "STOP", "stop"),
        ("<command>H</command>", "HELP", "help"),
        ("<command>Q</command><content>quit please</content>", "STOP", "stop"),
        ("<command>X</command>", "X", ""),
        ("<command/><content>Hello</content>", "Hello", ""),
        ("<content>one</content><content>two</content>", "one", ""),
    ],
)
def test_reads_a_persons_message_or_command(inner, text, answered_as):
    assert slooce().parse(webhook(mo(inner))) == [
        Inbound(
            key="abc-123",
            sender="+12025550123",
            to="PIZZA",
            text=text,
            provider_id="abc-123",
            answered_as=answered_as,
        )
    ]


@pytest.mark.parametrize("inner", ["", "<content/>", "<content></content>", "<operator>Verizon</operator>"])
def test_a_person_who_starts_a_keyword_says_nothing(inner):
    assert slooce().parse(webhook(mo(inner))) == []


@pytest.mark.parametrize(
    ("keyword", "to"),
    [(" PIZZA ", "PIZZA"), ("12345678", "12345678"), ("+12025550100", "+12025550100"), ("pizza", "pizza")],
)
def test_the_keyword_leads_back_to_the_sender(keyword, to):
    [inbound] = slooce().parse(webhook(mo(keyword=keyword)))
    assert inbound.to == to


@pytest.mark.parametrize("user", ["12025550123", "+12025550123", " 12025550123\n"])
def test_a_person_is_a_number(user):
    [inbound] = slooce().parse(webhook(mo(user=user)))
    assert inbound.sender == "+12025550123"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        *[(flaw, "body") for flaw in FLAWS if not flaw.startswith(b"<message")],
        (response("ok"), "body"),
        (BILLION.replace(b"response", b"message") + mo("<content>&c;</content>"), "body"),
        (b'<!DOCTYPE message SYSTEM "http://127.0.0.1/x.dtd">' + mo(), "body"),
        (mo(attributes=""), "id"),
        (mo(attributes='id=""'), "id"),
        (mo(attributes='id="a b"'), "id"),
        (mo(attributes=f'id="{"x" * 65}"'), "id"),
        (mo(user=""), "user"),
        (mo(user=" "), "user"),
        (mo(keyword=""), "keyword"),
        (b'<message id="1"><content>Hello</content></message>', "user"),
    ],
)
def test_names_what_is_malformed(body, field):
    with pytest.raises(MalformedEvent, match=f"^{field}: "):
        slooce().parse(webhook(body))


@given(
    body=st.binary(max_size=200)
    | st.text(max_size=60).map(lambda text: mo(f"<content>{text}</content>".encode("utf-8", "replace").decode()))
)
def test_reading_any_bytes_never_raises(body):
    read(202, body)
    try:
        slooce().parse(webhook(body))
    except MalformedEvent:
        return


def test_answers_with_nothing():
    answer = slooce().answer(webhook(mo()))
    assert (answer.status, answer.body) == (200, b"")


def test_nobody_can_be_asked():
    assert slooce().check() is None
