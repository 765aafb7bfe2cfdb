"""The link under which a person opts out: nobody can make one, looking changes nothing, one press ends it."""

import http.client
import uuid
from urllib.parse import urlsplit

import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from campaigns import notifications, opt_out_links, opt_out_page
from campaigns.models import Dispatch
from campaigns.states import State
from compliance import suppression
from compliance.models import Suppression
from providers import delivery
from smsplatform.common import database
from tests import world
from tracking.models import Link

database_test = pytest.mark.django_db(transaction=True)
ids = st.integers(0, (1 << 128) - 1).map(lambda number: uuid.UUID(int=number))
PART = '--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
TEXT = "Sale at https://shop.example.com/a! Stop: {{ opt_out_link }}"


# -- the link -------------------------------------------------------------------------------------------------------


@given(ids)
def test_a_link_leads_back_to_its_message(dispatch_id):
    token = opt_out_links.token(dispatch_id)
    assert opt_out_links.read(token) == dispatch_id
    assert len(token) == (28 if dispatch_id.int & ((1 << 64) - 1) < 1 << 40 else 32)


@given(ids, st.data())
def test_no_other_spelling_and_no_changed_sign_is_a_link(dispatch_id, data):
    token = opt_out_links.token(dispatch_id)
    place = data.draw(st.integers(0, len(token) - 1))
    sign = data.draw(st.sampled_from("ABCXYZabcxyz0189-_=. %+/").filter(lambda sign: sign != token[place]))
    for other in (token[:place] + sign + token[place + 1 :], token + sign, token[:place], f"{token}=", f" {token}"):
        assert opt_out_links.read(other) is None


@given(st.text(max_size=60))
def test_anything_else_is_refused(text):
    assert opt_out_links.read(text) is None


def test_a_link_is_of_this_installation(settings):
    dispatch_id = uuid.uuid4()
    token = opt_out_links.token(dispatch_id)
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another-key-that-signs-other-links"
    assert opt_out_links.read(token) is None
    settings.SECRET_KEY_FALLBACKS = [old]  # the key was changed, and links of before still work
    assert opt_out_links.read(token) == dispatch_id


# -- in a text ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sent(acme, settings):
    """A text with the link in it, as it was handed over."""
    settings.LINK_DOMAIN = "testserver"
    acme.recipient()
    run = acme.run(acme.campaign(TEXT))
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1}
    return Dispatch.objects.get()


def link_in(dispatch):
    return dispatch.text.rpartition(" ")[2]


@database_test
def test_a_text_carries_its_own_link_which_is_not_shortened_again(acme, sent):
    assert link_in(sent) == f"http://testserver/o/{opt_out_links.token(sent.pk)}"
    assert Link.objects.get().destination == "https://shop.example.com/a"
    assert sent.segments == 1


@database_test
def test_a_brand_with_a_domain_of_its_own_keeps_to_it(acme, settings):
    settings.LINK_SCHEME = "https"
    acme.brand.link_domain = "go.acme.example"
    acme.brand.save()
    people = acme.recipients(2)
    acme.run(acme.campaign(TEXT))
    world.work()
    links = {link_in(dispatch) for dispatch in Dispatch.objects.all()}
    assert len(links) == len(people)
    assert all(link.startswith("https://go.acme.example/o/") for link in links)


@database_test
def test_a_column_of_that_name_never_takes_its_place(acme):
    acme.recipient(opt_out_link="https://phish.example.com")
    acme.run(acme.campaign("Stop: {{ opt_out_link | default: 'nowhere' }}"))
    world.work()
    assert link_in(Dispatch.objects.get()).endswith(f"/o/{opt_out_links.token(Dispatch.objects.get().pk)}")


@database_test
def test_mails_can_be_ended_with_one_click(acme, simulator, settings, monkeypatch):
    settings.LINK_SCHEME, settings.LINK_DOMAIN = "https", "go.acme.example"
    acme.account.provider, acme.account.base_url = "smtp", simulator.mail_url
    acme.account.options = {"security": "plain", "login": "no"}
    acme.account.set_credentials({"webhook_token": "t"})
    acme.account.save()
    acme.sender.address = "news@acme.example"
    acme.sender.save()
    posted = []
    post = delivery.Poster.post

    def watch(poster, envelopes, *more):
        posted.extend(envelopes)
        post(poster, envelopes, *more)

    monkeypatch.setattr(delivery.Poster, "post", watch)
    notifications.send(brand=acme.brand, number="ana@example.com", text="Hi", now=database.now())
    notifications.collect(database.now())
    world.work("urgent")
    [envelope] = posted
    url = f"https://go.acme.example/o/{opt_out_links.token(envelope.dispatch_id)}"
    assert envelope.message.opt_out_url == url
    head = envelope.adapter.call(envelope.message).body.decode()
    assert f"\r\nList-Unsubscribe: <{url}>, <mailto:news@acme.example?subject=STOP>\r\n" in head
    assert "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in head


# -- the page -------------------------------------------------------------------------------------------------------


def path_of(dispatch):
    return f"/o/{opt_out_links.token(dispatch.pk)}"


@database_test
@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_changes_nothing_however_often(client, sent, method):
    for _ in range(3):
        page = getattr(client, method)(path_of(sent))
        assert page.status_code == 200
    assert not Suppression.objects.exists()
    assert not page.cookies
    assert page["Cache-Control"] == "no-store, private"
    assert page["Referrer-Policy"] == "no-referrer"
    assert "noindex" in page["X-Robots-Tag"]
    assert "frame-ancestors 'none'" in page["Content-Security-Policy"]


@database_test
def test_says_whose_texts_end_for_whom_and_shows_no_number(client, sent):
    text = client.get(path_of(sent)).content.decode()
    assert "No more texts from Acme?" in text
    assert sent.number[-4:] in text
    assert sent.number[:-4] not in text
    assert '<html lang="en">' in text
    assert '<form method="post">' in text
    assert "<script" not in text


@database_test
def test_one_press_ends_it_and_pressing_again_changes_nothing(client, acme, sent):
    for _ in range(3):
        page = client.post(path_of(sent))
        assert page.status_code == 200
        assert "Done: nothing more from Acme" in page.content.decode()
    [row] = Suppression.objects.all()
    assert (row.number, row.brand, row.scope, row.category) == (sent.number, acme.brand, "brand", "")
    assert (row.reason, row.source, row.dispatch_id) == ("opt_out", "web", sent.pk)
    assert "Done: nothing more from Acme" in client.get(path_of(sent)).content.decode()
    again = acme.run(key="2")
    world.work()
    assert world.states(again) == {State.BLOCKED: 1}


@database_test
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"),
        (PART, "multipart/form-data; boundary=x"),
        ("anything", "text/plain"),
        (b"\xff\xfe", "application/json"),
    ],
)  # fmt: skip
def test_a_mail_program_needs_no_cookie_and_no_form(sent, body, kind):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    assert strict.post(path_of(sent), body, content_type=kind).status_code == 200
    assert Suppression.objects.get().source == "web"


@database_test
def test_who_ended_one_category_may_end_the_rest(client, acme, sent):
    suppression.suppress(
        brand=acme.brand, number=sent.number, reason="opt_out", source="reply", category="marketing", now=database.now()
    )
    assert "No more texts from Acme?" in client.get(path_of(sent)).content.decode()
    client.post(path_of(sent))
    assert Suppression.objects.filter(category="", released_at=None).count() == 1


@database_test
def test_the_name_of_a_brand_is_only_text(client, acme, sent):
    acme.brand.name = "<script>alert(1)</script>"
    acme.brand.save()
    assert "<script" not in client.get(path_of(sent)).content.decode()


@database_test
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_link_that_nobody_gave_tells_and_does_nothing(client, acme, sent, method, django_assert_num_queries):
    good = path_of(sent)
    for path in (good[:-1], good[:-1] + ("A" if good[-1] != "A" else "B"), "/o/x", f"/o/{sent.pk}", f"/o/{'A' * 28}"):
        with django_assert_num_queries(0):
            page = getattr(client, method)(path)
        assert page.status_code == 404
        assert "Acme" not in page.content.decode()
    assert not Suppression.objects.exists()


@database_test
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("fate", ["the partition is dropped", "the person was forgotten"])
def test_a_message_that_is_not_kept_any_more_is_said_to_be_too_old(client, sent, method, fate):
    path = path_of(sent)
    if fate == "the partition is dropped":
        Dispatch.objects.all().delete()
    else:
        Dispatch.objects.update(number="")
    page = getattr(client, method)(path)
    assert page.status_code == 410
    assert "STOP" in page.content.decode()
    assert not Suppression.objects.exists()


@database_test
@pytest.mark.parametrize("method", ["put", "delete", "patch", "options"])
def test_nothing_else_may_be_asked(client, sent, method):
    assert getattr(client, method)(path_of(sent)).status_code == 405


@database_test
def test_says_so_when_it_cannot_be_stored_now(client, sent, monkeypatch):
    def down(**_):
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(opt_out_page.suppression, "suppress", down)
        page = client.post(path_of(sent))
    assert page.status_code == 503
    assert "try again" in page.content.decode()
    assert not Suppression.objects.exists()
    assert client.post(path_of(sent)).status_code == 200


@database_test
def test_works_over_http_without_a_browser(live_server, sent):
    host = urlsplit(live_server.url).netloc
    answers = []
    for method in ("HEAD", "GET", "POST", "GET"):
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request(method, path_of(sent))
        answer = connection.getresponse()
        answers.append((method, answer.status, b"Done" in answer.read(), answer.getheader("Set-Cookie")))
        connection.close()
    assert answers == [
        ("HEAD", 200, False, None),
        ("GET", 200, False, None),
        ("POST", 200, True, None),
        ("GET", 200, True, None),
    ]
    assert Suppression.objects.count() == 1
