"""The webhook between its request and its answer: whom it believes, and how it stores what comes at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, connection

from campaigns import arrivals, webhooks
from campaigns.models import RawEvent, SeenEvent
from providers.models import ProviderAccount
from tests import world
from tests.promises import hooks
from tests.properties import events


@pytest.fixture
def acme(monkeypatch):
    monkeypatch.setattr(webhooks, "_nudge", lambda: None)
    monkeypatch.setattr(webhooks, "_remembered", {})
    return world.make()


def report(number):
    return {"id": f"m{number}", "type": "report", "status": "delivered"}


def call(acme, *reports):
    request = events.signed(acme.account, reports)
    return acme.account, request, acme.account.adapter().parse(request)


@pytest.mark.django_db
def test_a_changed_secret_counts_at_once(acme):
    assert hooks.call(acme, report(1)) == 204
    acme.account.set_credentials({"token": "token-acme", "webhook_secret": "another"})
    acme.account.save()
    assert hooks.call(acme, report(2)) == 403
    assert hooks.call(acme, report(2), secret="another") == 204
    assert hooks.call(acme, report(3), secret="another") == 204
    assert RawEvent.objects.count() == 3


@pytest.mark.django_db
def test_an_account_that_is_gone_is_gone_at_once(acme):
    assert hooks.call(acme, report(1)) == 204
    ProviderAccount.objects.filter(pk=acme.account.pk).update(key="moved-elsewhere", secret="")
    assert hooks.call(acme, report(2)) == 404
    assert RawEvent.objects.count() == 1


@pytest.mark.django_db
def test_a_bad_signature_is_not_remembered(acme):
    assert hooks.call(acme, report(1), secret="wrong") == 403
    assert webhooks._remembered == {}
    assert hooks.call(acme, report(1)) == 204


@pytest.mark.django_db
def test_what_is_remembered_is_bounded(acme, monkeypatch):
    monkeypatch.setattr(webhooks, "_MOST_REMEMBERED", 2)
    for slug in ("one", "two", "three"):
        assert hooks.call(world.make(slug), report(1)) == 204
    assert len(webhooks._remembered) <= 2


@pytest.mark.django_db
def test_requests_that_come_together_are_stored_by_one_statement(acme, django_assert_num_queries):
    rival = world.make("rival")
    together = [
        arrivals._Arrival(*call(acme, report(1), report(2))),
        arrivals._Arrival(*call(acme, report(2), report(3))),  # m2 is the first one's
        arrivals._Arrival(*call(rival, report(1))),
        arrivals._Arrival(*call(acme, report(1))),  # nothing new
    ]
    with django_assert_num_queries(1):
        arrivals._insert(together)
    assert [one.kept and list(one.kept.news) for one in together] == [[0, 1], [1], [0], None]
    assert all(one.error is None for one in together)
    assert sorted(RawEvent.objects.values_list("account_id", "news")) == sorted(
        [(acme.account.pk, [0, 1]), (acme.account.pk, [1]), (rival.account.pk, [0])]
    )
    assert SeenEvent.objects.count() == 4


@pytest.mark.django_db
def test_one_whose_account_has_changed_does_not_take_the_others_with_it(acme):
    rival = world.make("rival")
    together = [arrivals._Arrival(*call(rival, report(1))), arrivals._Arrival(*call(acme, report(1)))]
    ProviderAccount.objects.filter(pk=rival.account.pk).update(secret="another")
    arrivals._insert(together)
    assert isinstance(together[0].error, arrivals.AccountChanged)
    assert together[1].kept is not None
    assert RawEvent.objects.get().account_id == acme.account.pk


@pytest.mark.django_db
def test_one_that_cannot_be_stored_does_not_take_the_others_with_it(acme, monkeypatch):
    good, bad = arrivals._Arrival(*call(acme, report(1))), arrivals._Arrival(*call(acme, report(2)))
    real = arrivals._insert

    def insert(some):
        if bad in some:
            raise DatabaseError("no")
        real(some)

    monkeypatch.setattr(arrivals, "_insert", insert)
    arrivals._insert_each_or_all([good, bad])
    assert good.kept is not None
    assert good.error is None
    assert isinstance(bad.error, DatabaseError)
    assert RawEvent.objects.count() == 1


@pytest.mark.django_db
def test_nobody_is_told_stored_when_the_one_who_stores_dies(acme, monkeypatch):
    waiting = arrivals._Arrival(*call(acme, report(1)))
    monkeypatch.setattr(arrivals, "_arrivals", [waiting])

    def dies(_):
        raise SystemExit

    monkeypatch.setattr(arrivals, "_insert", dies)
    with pytest.raises(SystemExit):
        arrivals.keep_together(*call(acme, report(2)))
    assert waiting.is_over
    assert waiting.error is not None


@pytest.mark.django_db(transaction=True)
def test_threads_store_together_and_each_learns_its_own(acme, monkeypatch):
    real, sizes, begin = arrivals._insert, [], threading.Barrier(8)

    def insert(some):
        sizes.append(len(some))
        real(some)

    monkeypatch.setattr(arrivals, "_insert", insert)

    def store(number):
        mine = call(acme, report(number // 2))  # each event comes twice
        begin.wait(10)
        try:
            return arrivals.keep_together(*mine) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads, arrivals._turn:
        stored = [threads.submit(store, number) for number in range(8)]
        while len(arrivals._arrivals) < 8:
            pass
        arrivals._turn.release()
        try:
            news = [one.result(10) for one in stored]
        finally:
            arrivals._turn.acquire()
    assert sum(news) == 4
    assert sizes == [8]
    assert RawEvent.objects.count() == 4


def test_every_event_is_followed_by_a_nudge_and_there_are_few(monkeypatch):
    from campaigns import tasks

    clock, published = [1000.0], []
    monkeypatch.setattr(webhooks, "_nudged_for", 0.0)
    monkeypatch.setattr(webhooks.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(
        tasks.apply_events, "apply_async", lambda countdown, expires: published.append(clock[0] + countdown)
    )
    for step in range(100):
        clock[0] = 1000 + step / 20
        webhooks._nudge()
        assert 0 < published[-1] - clock[0] <= webhooks._NUDGE_PAUSE
    assert len(published) <= 6
