"""What holds for every adapter in the folder, unasked: reading and verifying never go wrong."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import adapters
from providers.adapters.base import (
    Adapter,
    HttpReply,
    Inbound,
    MalformedEvent,
    Message,
    Outcome,
    Receipt,
    WebhookRequest,
)

MESSAGE = Message(
    reference="0198c0de" * 4 + "00000001",
    to="+12025550123",
    sender="+12025550100",
    text="Hello",
    segments=1,
    status_url="https://sms.example/hooks/7/status?ref=1",
    valid_for=60,
)
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
bodies = st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode())
names = st.sampled_from(
    [
        "content-type",
        "retry-after",
        "date",
        "x-twilio-signature",
        "x-twilio-webhooks-signature-settings",
        "x-simulator-signature",
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
    assert cls.default_base_url.startswith("http")
    assert not cls.default_base_url.endswith("/")
    assert cls.limits.segments_per_second > 0
    assert cls.limits.concurrency > 0
    assert cls.limits.timeout > 0
    for method in ("call", "read", "verify", "parse"):
        assert getattr(cls, method) is not getattr(Adapter, method)


@every_adapter
def test_credentials_are_frozen_texts_with_at_least_one_secret(slug):
    credentials = adapters.get(slug).Credentials
    assert credentials.__dataclass_params__.frozen
    assert {each.type for each in fields(credentials)} <= {str, "str"}
    assert any(not each.repr for each in fields(credentials))


@every_adapter
def test_refuses_the_credentials_of_another(slug):
    with pytest.raises(TypeError, match="Credentials"):
        adapters.get(slug)(credentials=object())


@every_adapter
def test_calls_the_configured_address(slug):
    adapter, _ = ADAPTERS[slug]
    assert adapter.call(MESSAGE).url.startswith(adapter.default_base_url + "/")
    moved = type(adapter)(adapter.credentials, "http://127.0.0.1:1/x/")
    assert moved.call(MESSAGE).url.startswith("http://127.0.0.1:1/x/")
    assert "//" not in moved.call(MESSAGE).url.removeprefix("http://")


@every_adapter
def test_shows_no_secret(slug):
    adapter, values = ADAPTERS[slug]
    secrets = [values[each.name] for each in fields(adapter.Credentials) if not each.repr]
    call = adapter.call(MESSAGE)
    shown = [repr(thing) for thing in (adapter, adapter.credentials, MESSAGE, call)]
    assert not [(s, text) for s in secrets for text in shown if s in text]
    assert call.headers["Authorization"] not in "".join(shown)


@every_adapter
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503])
def test_no_detail_repeats_a_secret(slug, status):
    adapter, values = ADAPTERS[slug]
    echo = " ".join(values.values())
    error = {"code": 21610, "message": echo, "status": status, "error_message": echo}
    for body in (error, {"error": {"code": echo, "message": echo, "taken": False}}):
        reply = HttpReply(status, {}, json.dumps(body).encode())
        result = adapter.read(MESSAGE, reply)
        for secret in adapter.secrets:
            assert secret not in repr(result)


@every_adapter
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page[:20]))
def test_a_page_that_is_not_the_vendors_proves_nothing(slug, page):
    adapter, _ = ADAPTERS[slug]
    outcomes = {
        status: adapter.read(MESSAGE, HttpReply(status, {"retry-after": "1"}, page)).outcome
        for status in range(100, 600)
    }
    assert set(outcomes.values()) == {Outcome.UNKNOWN}, outcomes


@every_adapter
@given(reply=replies)
def test_reading_garbage_never_raises_and_never_accepts_without_an_id(slug, reply):
    adapter, _ = ADAPTERS[slug]
    result = adapter.read(MESSAGE, reply)
    assert isinstance(result.outcome, Outcome)
    assert result.outcome is not Outcome.NOT_POSTED
    assert (result.outcome is Outcome.ACCEPTED) == bool(result.provider_id)
    if result.outcome is Outcome.ACCEPTED:
        assert 200 <= reply.status < 300
    assert "\x00" not in repr([result.provider_id, result.code, result.detail])
    assert result.retry_after is None or 0 <= result.retry_after < 10**12
    (result.provider_id + result.code + result.detail).encode()


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
    assert events
    for event in events:
        assert isinstance(event, Receipt | Inbound)
        assert event.key


@every_adapter
@given(request=requests)
def test_answering_garbage_never_raises(slug, request):
    adapter, _ = ADAPTERS[slug]
    assert 200 <= adapter.answer(request).status < 300
