"""What holds for every adapter in the folder, unasked.

Reading and verifying never go wrong. And whatever befalls the connection, one request leaves for a message, or one
mail: what its loss means is the platform's rule, the same for all, and no adapter is asked.
"""

import asyncio
import json
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import adapters
from providers.adapters.base import (
    SPLIT,
    Adapter,
    Finding,
    HttpCall,
    HttpReply,
    Inbound,
    MailCall,
    MailReply,
    MailStage,
    MalformedEvent,
    Message,
    OptOut,
    Outcome,
    Question,
    Receipt,
    Unreadable,
    WebhookRequest,
)
from tests import vendor
from tests.envelopes import answered, envelope, posting
from tests.providers import relay
from tests.providers.simulated import runs
from tests.vendor import Vendor

MESSAGE = Message(
    reference="0198c0de" * 4 + "00000001",
    to="+12025550123",
    sender="+12025550100",
    text="Hello",
    segments=1,
    status_url="https://sms.example/hooks/7/status?ref=1",
    valid_for=60,
)
QUESTION = Question(MESSAGE.reference, MESSAGE.to, MESSAGE.sender, MESSAGE.text, datetime(2026, 11, 21, tzinfo=UTC))
PAGES = [
    b"",
    b"<html><body>429 Too Many Requests</body></html>",
    b"<!doctype html><title>404</title>",
    b"upstream connect error or disconnect/reset before headers",
    b"null",
    b"[]",
    b'"error"',
    b"{}",
    b'{"error": "rate limited"}',
    b'{"message": "Too many requests"}',
    b'{"code": 429, "message": "Too many requests", "status": 429}',
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b"9" * 10_000,
]


def ours(slug):
    """Return an adapter whose every credential can be told from anything else."""
    cls = adapters.get(slug)
    values = {each.name: f"Zz{each.name}Zz{n}" for n, each in enumerate(fields(cls.Credentials))}
    return cls(credentials=cls.Credentials(**values)), values


ADAPTERS = {slug: ours(slug) for slug in adapters.ADAPTERS}
every_adapter = pytest.mark.parametrize("slug", sorted(ADAPTERS))
MAILS = {slug for slug, (adapter, _) in ADAPTERS.items() if isinstance(adapter.call(MESSAGE), MailCall)}
over_http = pytest.mark.parametrize("slug", sorted(set(ADAPTERS) - MAILS))
over_smtp = pytest.mark.parametrize("slug", sorted(MAILS))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["sid", "id", "code", "message", "status", "error", "taken", "events"])
            | st.text(max_size=8),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
SENDER_KINDS = {"long_code", "toll_free", "short_code", "alphanumeric", "email"}
bodies = st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode())
names = st.sampled_from(
    [
        "content-type",
        "retry-after",
        "date",
        "x-twilio-signature",
        "x-twilio-webhooks-signature-settings",
        "x-simulator-signature",
        "x-plivo-signature-v2",
        "x-plivo-signature-v2-nonce",
        "x-plivo-signature-ma-v3",
        "x-plivo-signature-v3-nonce",
        "x-sinch-webhook-signature",
        "x-sinch-webhook-signature-nonce",
        "x-sinch-webhook-signature-timestamp",
        "authorization",
    ]
)
headers = st.dictionaries(names, st.text(max_size=60), max_size=5)
replies = st.builds(HttpReply, st.integers(100, 599), headers, bodies)
urls = st.sampled_from([MESSAGE.status_url, "https://[", "https://a:99999/", "", "//"]) | st.text()
requests = st.builds(WebhookRequest, st.sampled_from(["POST", "GET"]), urls, headers, bodies)


def test_being_in_the_folder_is_being_registered():
    assert {"twilio", "simulator"} <= set(adapters.ADAPTERS)
    assert all(cls.slug == slug for slug, cls in adapters.ADAPTERS.items())


def test_an_unknown_slug_is_told_which_ones_there_are():
    with pytest.raises(adapters.UnknownProvider, match=r"'carrier-pigeon'; known are: .*twilio"):
        adapters.get("carrier-pigeon")


@every_adapter
def test_is_complete(slug):
    cls = adapters.get(slug)
    assert issubclass(cls, Adapter)
    assert cls.title
    assert cls.default_base_url.startswith(("http", "smtp"))
    assert not cls.default_base_url.endswith("/")
    assert cls.limits.segments_per_second > 0
    assert cls.limits.concurrency > 0
    assert cls.limits.timeout > 0
    assert cls.channel in {"sms", "email"}
    assert set(cls.sender_rates) <= SENDER_KINDS
    assert all(rate > 0 for rate in cls.sender_rates.values())
    for method in ("call", "read", "verify", "parse"):
        assert getattr(cls, method) is not getattr(Adapter, method)


@every_adapter
def test_credentials_are_frozen_texts_with_at_least_one_secret(slug):
    credentials = adapters.get(slug).Credentials
    assert credentials.__dataclass_params__.frozen
    assert {each.type for each in fields(credentials)} <= {str, "str"}
    assert any(not each.repr for each in fields(credentials))


@every_adapter
def test_options_are_frozen_texts_with_defaults_and_no_secrets(slug):
    options = adapters.get(slug).Options
    assert options.__dataclass_params__.frozen
    assert {each.type for each in fields(options)} <= {str, "str"}
    assert all(each.repr for each in fields(options))
    options()


@every_adapter
def test_refuses_the_credentials_of_another(slug):
    with pytest.raises(TypeError, match="Credentials"):
        adapters.get(slug)(credentials=object())


@every_adapter
def test_refuses_the_options_of_another(slug):
    adapter, _ = ADAPTERS[slug]
    with pytest.raises(TypeError, match="Options"):
        type(adapter)(credentials=adapter.credentials, options=object())


@over_http
def test_calls_the_configured_address(slug):
    adapter, _ = ADAPTERS[slug]
    assert adapter.call(MESSAGE).url.startswith(adapter.base_url + "/")
    moved = type(adapter)(adapter.credentials, "http://127.0.0.1:1/x/")
    calls = [moved.call(MESSAGE), moved.look_up(QUESTION), moved.check()]
    if moved.batch_size > 1:
        calls.append(moved.call_batch([MESSAGE]))
    for call in filter(None, calls):
        assert call.url.startswith("http://127.0.0.1:1/x/")
        assert "//" not in call.url.removeprefix("http://").partition("?")[0]


@over_smtp
def test_calls_the_configured_server(slug):
    adapter, _ = ADAPTERS[slug]
    moved = type(adapter)(adapter.credentials, "smtp://127.0.0.1:1")
    assert moved.call(MESSAGE).url == "smtp://127.0.0.1:1"


@every_adapter
def test_asks_without_changing_anything(slug):
    adapter, _ = ADAPTERS[slug]
    for call in filter(None, [adapter.look_up(QUESTION), adapter.check()]):
        assert isinstance(call, HttpCall)
        assert call.method == "GET"


@every_adapter
def test_shows_no_secret(slug):
    adapter, values = ADAPTERS[slug]
    secrets = [values[each.name] for each in fields(adapter.Credentials) if not each.repr]
    calls = [adapter.call(MESSAGE), adapter.look_up(QUESTION), adapter.check()]
    shown = [repr(thing) for thing in (adapter, adapter.credentials, MESSAGE, *calls)]
    assert not [(s, text) for s in secrets for text in shown if s in text]
    for call in calls:
        authorization = getattr(call, "headers", {}).get("Authorization")
        assert authorization is None or authorization not in "".join(shown)


@over_http
def test_sends_no_secret_with_the_text(slug):
    """What people read, and what vendors keep of it, has none of our credentials."""
    adapter, _ = ADAPTERS[slug]
    one, other = adapter.call(MESSAGE), adapter.call(replace(MESSAGE, text="Something else entirely"))
    assert (one.url, one.body) != (other.url, other.body)


@every_adapter
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503])
def test_no_detail_repeats_a_secret(slug, status):
    adapter, values = ADAPTERS[slug]
    echo = " ".join(values.values())
    error = {"code": 21610, "message": echo, "status": status, "error_message": echo, "error": echo, "api_id": echo}
    error |= {"type": "about:blank", "title": echo, "detail": echo, "errorCode": echo, "error-text": echo}
    replies = [
        HttpReply(status, {}, json.dumps(body).encode()) for body in (error, {"error": {**error, "taken": False}})
    ]
    if slug in MAILS:
        replies = [MailReply(stage, status, echo) for stage in MailStage]
    for reply in replies:
        assert not [secret for secret in adapter.secrets if secret in repr(adapter.read(MESSAGE, reply))]


@over_http
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page[:20]))
def test_a_page_that_is_not_the_vendors_proves_nothing(slug, page):
    adapter, _ = ADAPTERS[slug]
    replies = [HttpReply(status, {"retry-after": "1"}, page) for status in range(100, 600)]
    assert {adapter.read(MESSAGE, reply).outcome for reply in replies} == {Outcome.UNKNOWN}
    if adapter.batch_size > 1:
        for reply in replies:
            results = adapter.read_batch([MESSAGE, MESSAGE], reply)
            assert results is not SPLIT
            assert [result.outcome for result in results] == [Outcome.UNKNOWN] * 2


@over_http
@given(reply=replies)
def test_reading_garbage_never_raises_and_never_accepts_without_an_id(slug, reply):
    adapter, _ = ADAPTERS[slug]
    result = adapter.read(MESSAGE, reply)
    _check_result(result)
    if result.outcome is Outcome.ACCEPTED:
        assert 200 <= reply.status < 300
    if adapter.batch_size > 1:
        results = adapter.read_batch([MESSAGE, MESSAGE], reply)
        assert results is SPLIT or len(results) == 2


@over_smtp
@given(stage=st.sampled_from(MailStage), code=st.integers(0, 599), text=st.text(max_size=80))
def test_reading_any_smtp_answer_never_raises(slug, stage, code, text):
    adapter, _ = ADAPTERS[slug]
    result = adapter.read(MESSAGE, MailReply(stage, code, text))
    _check_result(result)
    if stage is MailStage.DOT and code == 0:
        assert result.outcome is Outcome.UNKNOWN
    assert (result.outcome is Outcome.ACCEPTED) == (stage is MailStage.DOT and 200 <= code < 300)


def _check_result(result):
    assert isinstance(result.outcome, Outcome)
    assert result.outcome is not Outcome.NOT_POSTED
    assert (result.outcome is Outcome.ACCEPTED) == bool(result.provider_id)
    assert "\x00" not in repr([result.provider_id, result.code, result.detail])
    assert result.retry_after is None or 0 <= result.retry_after < 10**12
    assert result.parts >= 1
    (result.provider_id + result.code + result.detail).encode()


@every_adapter
@given(reply=replies)
def test_an_answer_to_a_look_up_is_unreadable_or_names_what_was_found(slug, reply):
    adapter, _ = ADAPTERS[slug]
    if adapter.look_up(QUESTION) is None:
        return
    try:
        found = adapter.found(QUESTION, reply)
    except Unreadable:
        return
    assert 200 <= reply.status < 300
    for finding in found:
        assert isinstance(finding, Finding)
        assert finding.provider_id
        assert finding.reference in {"", QUESTION.reference}


@every_adapter
@given(request=requests)
def test_garbage_is_never_verified(slug, request):
    adapter, _ = ADAPTERS[slug]
    assert adapter.verify(request) is False


@every_adapter
@given(request=requests)
def test_parsing_garbage_refuses_it_or_finds_events(slug, request):
    adapter, _ = ADAPTERS[slug]
    try:
        events = adapter.parse(request)
    except MalformedEvent:
        return
    for event in events:
        assert isinstance(event, Receipt | Inbound | OptOut)
        assert event.key


@every_adapter
@given(request=requests)
def test_answering_garbage_never_raises(slug, request):
    adapter, _ = ADAPTERS[slug]
    assert 200 <= adapter.answer(request).status < 300


# -- one message, one request ---------------------------------------------------------------------


# What befalls a request that was read, and how we tell it; nothing of this proves that the message was not taken.
LOSSES = {
    "reset": (vendor.RESET, "connection_lost"),
    "no answer": (vendor.DROP, "connection_lost"),
    "time-out": (vendor.SILENCE, "timeout"),
    "half a head": (vendor.HALF_HEAD, "connection_lost"),
    "half an answer": (vendor.HALF, "connection_lost"),
    "garbage": (vendor.GARBAGE, "connection_lost"),
}
# The client repeats by itself what HTTP calls idempotent, so each adapter is tried with both kinds of request.
either_method = pytest.mark.parametrize("method", ["POST", "GET"])


SOON = 0.3  # seconds in which a silent vendor is given up


@pytest.fixture
def poster():
    with posting() as made:
        yield made


def at(slug, url, method="POST"):
    """Return the adapter at this address, with this method; a mail goes there without encryption."""
    adapter, _ = ADAPTERS[slug]
    kind = type(adapter)
    changes = {"plain": True} if slug in MAILS else {"method": method}
    moved = type(kind.__name__, (kind,), {"call": lambda self, message: replace(kind.call(self, message), **changes)})
    return moved(adapter.credentials, url)


def sent(poster, adapter, messages=1, *, timeout=10.0):
    """Post as many messages at once; return the outcomes and codes, and which ran out of time."""
    answers = answered(poster, *(envelope(adapter, MESSAGE, timeout=timeout) for _ in range(messages)))
    assert len(answers) == messages
    return [(answer.result.outcome, answer.result.code, answer.timed_out) for answer in answers]


@over_http
def test_sends_by_a_method_that_is_tried_here(slug):
    adapter, _ = ADAPTERS[slug]
    assert adapter.call(MESSAGE).method in {"POST", "GET"}


@every_adapter
def test_who_is_not_reached_was_given_nothing(poster, slug):
    with vendor.nobody() as nowhere:
        adapter = at(slug, f"{'smtp' if slug in MAILS else 'http'}://{nowhere}")
        assert sent(poster, adapter) == [(Outcome.REJECTED_RETRYABLE, "no_connection", False)]


@over_http
@either_method
@pytest.mark.parametrize("loss", LOSSES)
def test_one_request_leaves_whatever_befalls_it(poster, slug, method, loss):
    """Two at once: one by a connection that was there, one by a new one."""
    befalls, code = LOSSES[loss]
    with Vendor([vendor.NOTHING, befalls, befalls, vendor.NOTHING]) as server:
        adapter = at(slug, server.url, method)
        sent(poster, adapter)
        is_late = befalls is vendor.SILENCE
        lost = sent(poster, adapter, 2, timeout=SOON if is_late else 10.0)
        assert lost == [(Outcome.UNKNOWN, code, is_late)] * 2
        assert server.connections == 2
        # A second try would come at once; the next message shows that none is on its way.
        sent(poster, adapter)
        assert [request.split()[0].decode() for request in server.requests] == [method] * 4


@over_http
@either_method
@pytest.mark.parametrize("status", [302, 307])
def test_follows_nobody_elsewhere(poster, slug, method, status):
    with Vendor([]) as server:
        server.answers = [vendor.moved(status, f"{server.url}/elsewhere"), vendor.NOTHING]
        adapter = at(slug, server.url, method)
        [(outcome, _, _)] = sent(poster, adapter)
        assert outcome is Outcome.UNKNOWN
        sent(poster, adapter)
        assert len(server.requests) == 2
        assert not [request for request in server.requests if b"/elsewhere" in request]


@over_http
@either_method
def test_a_connection_that_was_closed_while_idle_costs_no_second_request(poster, slug, method):
    """Whether the close was seen in time or not: nothing was proven, and nothing is said again."""
    with Vendor([vendor.NOTHING]) as server:
        adapter = at(slug, server.url, method)
        sent(poster, adapter)
        server.hang_up()
        [(outcome, _, _)] = sent(poster, adapter)
        assert outcome is Outcome.UNKNOWN
        left = len(server.requests)
        assert left in {1, 2}
        sent(poster, adapter)
        assert len(server.requests) == left + 1


@over_smtp
@pytest.mark.parametrize("step", ["GREETING", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize(
    ("befalls", "code"),
    [
        (relay.RESET, "connection_lost"),
        (relay.DROP, "connection_lost"),
        (relay.SILENCE, "timeout"),
        (relay.HALF, "connection_lost"),
        (b"<html>", "connection_lost"),
    ],
    ids=["reset", "no answer", "time-out", "half an answer", "garbage"],
)
@runs
async def test_one_mail_leaves_whatever_befalls_it(slug, step, befalls, code):
    """Before the final dot nothing is taken; after it, only an answer tells."""
    outcome = Outcome.UNKNOWN if step == "DOT" else Outcome.REJECTED_RETRYABLE
    if step == "GREETING" and code == "connection_lost":
        code = "no_connection"
    async with relay.relay({step: befalls}) as server:
        with posting() as poster:
            adapter = at(slug, server.url)
            is_late = befalls is relay.SILENCE
            [result] = await asyncio.to_thread(sent, poster, adapter, timeout=SOON if is_late else 10.0)
            assert result == (outcome, code, is_late)
            mails = len(server.mails)
            assert (server.connections, mails) == (1, step == "DOT")
            server.answers = relay.ANSWERS
            [(outcome, _, _)] = await asyncio.to_thread(sent, poster, adapter)
            assert outcome is Outcome.ACCEPTED
            assert (server.connections, len(server.mails)) == (2, mails + 1)
