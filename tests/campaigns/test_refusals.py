"""Refused webhooks are counted cheaply, by day and kind, and the doctor tells of them."""

from datetime import UTC, datetime

import pytest

from campaigns import refusals
from campaigns.doctor import _webhooks
from smsplatform.common import redis


@pytest.fixture(autouse=True)
def nothing_counted(monkeypatch):
    redis.client().delete(refusals._key(datetime.now(UTC)))
    refusals._counted.clear()
    monkeypatch.setattr(refusals, "_write_at", 0.0)


def today():
    return refusals.of_day(datetime.now(UTC))


def test_a_flood_costs_one_write_a_second(monkeypatch):
    asked = []
    client = redis.client
    monkeypatch.setattr(redis, "client", lambda: asked.append(1) or client())
    for _ in range(1000):
        refusals.count("anybody", "bad_signature")
    assert len(asked) == 1
    monkeypatch.setattr(refusals, "_write_at", 0.0)
    refusals.count("anybody", "unknown_account")
    assert today() == {"anybody bad_signature": 1000, "anybody unknown_account": 1}


def test_made_up_providers_are_one_kind():
    refusals.count("first", "unknown_account")
    for number in range(5000):
        refusals.count(f"p{number}", "unknown_account")
    assert len(refusals._counted) <= refusals._MOST_KINDS + 1
    assert sum(refusals._counted.values()) == 5000


def test_without_redis_they_are_counted_later(monkeypatch):
    client = redis.client

    def unreachable():
        raise redis.Unreachable

    monkeypatch.setattr(redis, "client", unreachable)
    refusals.count("anybody", "bad_signature")
    refusals.count("anybody", "bad_signature")
    monkeypatch.setattr(redis, "client", client)
    monkeypatch.setattr(refusals, "_write_at", 0.0)
    refusals.count("anybody", "bad_signature")
    assert today() == {"anybody bad_signature": 3}


def test_the_doctor_tells_of_them():
    [found] = _webhooks()
    assert (found.level.value, found.told) == ("ok", "none refused today")
    refusals.count("anybody", "bad_signature")
    [found] = _webhooks()
    assert found.level.value == "warn"
    assert "1 × anybody bad_signature" in found.told  # noqa: RUF001 - times
    assert "PUBLIC_URL" in found.remedy


@pytest.mark.django_db
def test_the_web_process_counts_what_it_refuses(client):
    assert client.post("/webhooks/nobody/key/status", data=b"{}", content_type="application/json").status_code == 404
    assert today() == {"nobody unknown_account": 1}
