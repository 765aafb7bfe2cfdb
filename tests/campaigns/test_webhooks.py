"""The webhook between its request and its answer: whom it believes, and how it stores what comes at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from django.db import DatabaseError, DataError, connection
from django.test.utils import CaptureQueriesContext

from campaigns import arrivals, replies, webhooks
from campaigns.models import RawEvent, Reply, SeenEvent
from compliance.models import Suppression
from providers.models import ProviderAccount
from smsplatform.common.together import Together
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
        arrivals.Arrival(*call(acme, report(1), report(2))),
        arrivals.Arrival(*call(acme, report(2), report(3))),  # m2 is the first one's
        arrivals.Arrival(*call(rival, report(1))),
        arrivals.Arrival(*call(acme, report(1))),  # nothing new
    ]
    with django_assert_num_queries(1):
        kept = arrivals.insert(together)
    assert [one and list(one.news) for one in kept] == [[0, 1], [1], [0], None]
    assert sorted(RawEvent.objects.values_list("account_id", "news")) == sorted(
        [(acme.account.pk, [0, 1]), (acme.account.pk, [1]), (rival.account.pk, [0])]
    )
    assert SeenEvent.objects.count() == 4


@pytest.mark.django_db
def test_one_whose_account_has_changed_does_not_take_the_others_with_it(acme):
    rival = world.make("rival")
    together = [arrivals.Arrival(*call(rival, report(1))), arrivals.Arrival(*call(acme, report(1)))]
    ProviderAccount.objects.filter(pk=rival.account.pk).update(secret="another")
    changed, kept = arrivals.insert(together)
    assert isinstance(changed, arrivals.AccountChanged)
    assert list(kept.news) == [0]
    assert RawEvent.objects.get().account_id == acme.account.pk


@pytest.mark.django_db(transaction=True)
def test_one_that_cannot_be_stored_does_not_take_the_others_with_it(acme, monkeypatch):
    together = Together(arrivals.insert)
    monkeypatch.setattr(arrivals, "_insert_together", together)
    unstorable = replace(call(acme, report(2))[1], url="\0")
    _, stored = store_at_once(
        together, [call(acme, report(1)), (acme.account, unstorable, []), call(acme, report(3)), call(acme, report(1))]
    )
    assert [type(one) for one in stored] == [bool, DataError, bool, bool]
    assert sorted([stored[0], stored[3]]) == [False, True]
    assert RawEvent.objects.count() == 3  # with the one that went before


@pytest.mark.django_db(transaction=True)
def test_threads_store_together_and_each_learns_its_own(acme, monkeypatch):
    sizes = []

    def insert(some):
        sizes.append(len(some))
        return arrivals.insert(some)

    together = Together(insert)
    monkeypatch.setattr(arrivals, "_insert_together", together)
    first, stored = store_at_once(
        together, [call(acme, report(number // 2)) for number in range(8)]
    )  # each comes twice
    assert first
    assert sum(stored) == 4
    assert sizes == [1, 8]
    assert RawEvent.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_opt_outs_that_come_together_hold_together(acme, monkeypatch):
    sizes = []

    def keep(some):
        sizes.append(len(some))
        return webhooks._keep_words(some)

    together = Together(keep)
    monkeypatch.setattr(webhooks, "_keep_words_together", together)
    _, stored = store_at_once(together, [call(acme, text(number // 2)) for number in range(8)], word=text)
    assert sum(stored) == 4
    assert sizes == [1, 8]
    mine = Suppression.objects.filter(brand=acme.brand)
    assert sorted(mine.values_list("number", flat=True)) == [f"+1212345000{number}" for number in range(4)]
    assert Reply.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_a_text_that_cannot_be_read_does_not_take_the_others_with_it(acme, monkeypatch):
    honour, together = replies.honour, Together(webhooks._keep_words)

    def failing(reply, *arguments, **named):
        if reply.number.endswith("2"):
            raise DataError
        honour(reply, *arguments, **named)

    monkeypatch.setattr(replies, "honour", failing)
    monkeypatch.setattr(webhooks, "_keep_words_together", together)
    _, stored = store_at_once(together, [call(acme, text(number)) for number in range(4)], word=text)
    assert [type(one) for one in stored] == [bool, bool, DataError, bool]
    mine = Suppression.objects.filter(brand=acme.brand)
    assert sorted(mine.values_list("number", flat=True)) == ["+12123450000", "+12123450001", "+12123450003"]
    assert SeenEvent.objects.filter(account=acme.account).count() == 3  # and the vendor may repeat the other


@pytest.mark.django_db
def test_what_is_known_of_a_brand_is_looked_up_once_for_texts_that_come_together(acme):
    def statements(numbers):
        came = [arrivals.Arrival(*call(acme, {**text(number), "text": "hello"})) for number in numbers]
        with CaptureQueriesContext(connection) as seen:
            webhooks._keep_words(came)
        return len(seen.captured_queries)

    assert statements(range(1, 11)) - statements([11]) == 2 * 9  # is a YES waited for; and the text itself


@pytest.mark.django_db
def test_opt_outs_that_come_together_are_stored_in_the_order_of_their_numbers(acme):
    """As everywhere: two that store the same ones would else wait for each other."""
    webhooks._keep_words([arrivals.Arrival(*call(acme, text(number))) for number in (3, 1, 2)])
    stored = Suppression.objects.order_by("id").values_list("number", flat=True)
    assert [number[-1] for number in stored] == ["1", "2", "3"]


def text(number):
    return {"id": f"t{number}", "type": "inbound", "from": f"+1212345000{number}", "to": "+18775550000", "text": "STOP"}


def store_at_once(together, calls, word=report):
    """Store all calls in one turn, behind one of its own kind; return what the webhook learns of that, and of these."""
    behind = world.make("behind")
    real, begun, go_on = together._work, threading.Event(), threading.Event()

    def work(some):
        if not begun.is_set():
            begun.set()
            assert go_on.wait(10)
        return real(some)

    def store(one):
        try:
            return webhooks.store(*one)
        except DatabaseError as error:
            return error
        finally:
            connection.close()

    together._work = work
    with ThreadPoolExecutor(len(calls) + 1) as threads:
        first = threads.submit(store, call(behind, word(0)))
        assert begun.wait(10)
        stored = [threads.submit(store, one) for one in calls]
        while len(together._waiting) < len(calls):
            pass
        go_on.set()
        return first.result(10), [one.result(10) for one in stored]


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://sms.example/x", "https://sms.example/x"),
        ("https://sms.example/x?", "https://sms.example/x?"),
        ("https://sms.example/x?token=s3cret", "https://sms.example/x?token=***"),
        ("https://sms.example/x?ref=1&token=s3cret&a=b%26c", "https://sms.example/x?ref=1&token=***&a=b%26c"),
        ("https://sms.example/x?token=s3cret&token=s3cret", "https://sms.example/x?token=***&token=***"),
        ("https://sms.example/x?t%6Fken=s3cret", "https://sms.example/x?t%6Fken=***"),
        ("https://sms.example/x?token", "https://sms.example/x?token"),
        ("https://sms.example/x?token=", "https://sms.example/x?token=***"),
        ("https://sms.example/x?mytoken=1&tokens=2", "https://sms.example/x?mytoken=1&tokens=2"),
    ],
)
def test_the_token_of_an_address_is_not_stored(url, stored):
    assert arrivals._without_token(url) == stored


@pytest.mark.django_db
def test_what_is_stored_reads_the_same_without_its_token(client, monkeypatch):
    monkeypatch.setattr(webhooks, "_nudge", lambda: None)
    monkeypatch.setattr(webhooks, "_remembered", {})
    credentials = {"webhook_token": "s3cret", "api_key": "k"}
    acme = world.make(provider="http_template", base_url="https://sms.example", credentials=credentials)
    reference = "0198c0de" * 4 + "00000001"
    path = f"/webhooks/http_template/{acme.account.key}/status"
    body = {"id": "m1", "status": "delivered"}
    assert client.post(f"{path}?token=wrong", body, content_type="application/json").status_code == 403
    assert client.post(f"{path}?ref={reference}&token=s3cret", body, content_type="application/json").status_code == 200
    raw = RawEvent.objects.get()
    assert "s3cret" not in str(RawEvent.objects.values().get())
    [event] = acme.account.adapter().parse(webhooks.as_call(raw))
    assert (event.reference, event.status) == (reference, "delivered")
