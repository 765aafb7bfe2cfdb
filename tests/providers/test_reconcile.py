"""What an answer to a look-up proves: a positive hit that can be nobody else's, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from providers import reconcile
from providers.adapters.base import Finding, HttpCall, Question, Unreadable
from tests.vendor import DROP, Vendor

SINCE = datetime(2026, 11, 21, 12, tzinfo=UTC)
OURS = "0198c0de" * 4 + "00000001"
QUESTION = Question(OURS, "+12025550123", "+12025550100", "Hello", SINCE)


def listed(provider_id, seconds=1, reference=""):
    return Finding(provider_id, reference, SINCE + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("findings", "claimed", "proven"),
    [
        ([], (), None),
        ([listed("a", reference=OURS)], (), "a"),
        ([listed("a", seconds=-9999, reference=OURS)], (), "a"),
        ([listed("b"), listed("a", reference=OURS)], (), "a"),
        ([listed("a", reference="0" * 40)], (), None),
        ([listed("a")], (), "a"),
        ([listed("a"), listed("b")], (), None),
        ([listed("a"), listed("b")], ("b",), "a"),
        ([listed("a")], ("a",), None),
        ([listed("a", seconds=-61)], (), None),
        ([listed("a", seconds=-60)], (), "a"),
        ([listed("a", seconds=600)], (), "a"),
        ([listed("a", seconds=601)], (), None),
        ([Finding("a")], (), None),
    ],
    ids=[
        "an empty list proves nothing",
        "our reference",
        "our reference, whenever",
        "our reference among others",
        "somebody else's reference",
        "the only candidate",
        "two candidates are none",
        "the other one is another flight's",
        "the only one is another flight's",
        "too early",
        "as early as clocks may differ",
        "as late as it may be",
        "too late",
        "without an instant",
    ],
)
def test_proof(findings, claimed, proven):
    found = reconcile.proof(QUESTION, findings, claimed, answered_until=SINCE + timedelta(hours=1))
    assert (found and found.provider_id) == proven


@pytest.mark.parametrize(("reference", "proven"), [("", None), (OURS, "a")])
def test_whose_a_young_message_is_only_our_reference_tells(reference, proven):
    found = reconcile.proof(QUESTION, [listed("a", 60, reference)], (), answered_until=SINCE + timedelta(seconds=59))
    assert (found and found.provider_id) == proven


def call(vendor, path="/x?key=hush"):
    return HttpCall("GET", vendor.url + path, {"Authorization": "Bearer hush"}, b"")


def test_returns_the_answer():
    with Vendor([b"HTTP/1.1 404 Not Found\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nno"]) as vendor:
        reply = reconcile.fetch(call(vendor))
    assert (reply.status, reply.headers["x-a"], reply.body) == (404, "1", b"no")


def test_follows_nobody():
    with Vendor([b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"]) as vendor:
        assert reconcile.fetch(call(vendor)).status == 302


@pytest.mark.parametrize("answer", [DROP, b"not http\r\n\r\n"])
def test_no_answer_is_unreadable_and_tells_no_secret(answer):
    with Vendor([answer]) as vendor, pytest.raises(Unreadable) as refusal:
        reconcile.fetch(call(vendor))
    assert "hush" not in str(refusal.value)
    assert refusal.value.__cause__ is None
