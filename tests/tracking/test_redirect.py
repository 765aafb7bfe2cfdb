"""Short links: made once per dispatch and position, they lead on and every hit is stored."""

import pytest
from django.db import DatabaseError

from campaigns.models import Dispatch
from campaigns.states import State
from tests import world
from tracking import views
from tracking.models import Click, Link

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = "New job {{ job }}: https://jobs.example.com/{{ job }}?x=1#f and https://example.com/all."


@pytest.fixture
def acme(settings):
    settings.LINK_DOMAIN = "testserver"
    acme = world.make()
    acme.recipient(job="7")
    return acme


def ready(acme):
    run = acme.run(acme.campaign(TEXT))
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:4]:
        stage.run(batch.pk, lease)
    return Dispatch.objects.get()


def test_replaces_each_url_by_a_link_of_this_dispatch(acme):
    dispatch = ready(acme)
    assert dispatch.state == State.READY
    first, second = Link.objects.order_by("position")
    assert dispatch.text == f"New job 7: http://testserver/{first.code} and http://testserver/{second.code}."
    assert [first.destination, second.destination] == ["https://jobs.example.com/7?x=1#f", "https://example.com/all"]


def test_finds_its_own_links_again_when_the_stage_is_repeated(acme, monkeypatch):
    run = acme.run(acme.campaign(TEXT))
    batch = world.only_batch(run)
    lease = world.start(batch)
    for stage in world.PIPELINE[:3]:
        stage.run(batch.pk, lease)
    waiting = Dispatch.objects.get()
    world.stage_named("shorten_links").run(batch.pk, lease)
    text = Dispatch.objects.get().text
    Dispatch.objects.update(state="allowed", text=waiting.text, links=waiting.links)
    world.stage_named("shorten_links").run(batch.pk, lease)
    assert Dispatch.objects.get().text == text
    assert Link.objects.count() == 2


def test_leads_on_and_stores_the_hit(acme, client):
    ready(acme)
    link = Link.objects.get(position=0)
    answer = client.get(f"/{link.code}", headers={"user-agent": "phone", "accept-language": "en"})
    assert (answer.status_code, answer["Location"]) == (302, link.destination)
    assert answer["Cache-Control"] == "no-store, private"
    click = Click.objects.get()
    assert (click.code, click.method, click.user_agent) == (link.code, "GET", "phone")
    assert click.signals == {"accept-language": "en"}
    assert (click.tenant_id, click.dispatch_id) == (acme.tenant.pk, link.dispatch_id)


def test_answers_head_alike_and_refuses_other_methods(acme, client):
    ready(acme)
    link = Link.objects.get(position=0)
    assert client.head(f"/{link.code}").status_code == 302
    assert client.post(f"/{link.code}").status_code == 405
    assert Click.objects.get().method == "HEAD"


def test_stores_the_address_that_our_own_proxy_added(acme, client, settings):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    link = Link.objects.get(dispatch_id=ready(acme).pk, position=0)
    client.get(f"/{link.code}", headers={"x-forwarded-for": "6.6.6.6, 203.0.113.9"}, REMOTE_ADDR="10.0.0.1")
    assert Click.objects.get().ip == "203.0.113.9"


def test_stores_every_header_that_a_verdict_looks_at(acme, client):
    link = Link.objects.get(dispatch_id=ready(acme).pk, position=0)
    headers = {
        "accept": "text/html", "accept-language": "en", "sec-fetch-mode": "navigate", "sec-purpose": "prefetch",
        "purpose": "prefetch", "x-purpose": "preview", "x-moz": "prefetch",
    }  # fmt: skip
    client.get(f"/{link.code}", headers=headers)
    click = Click.objects.get()
    assert (click.signals, click.verdict) == (headers, "")


def test_sends_people_and_machines_on_alike(acme, client):
    link = Link.objects.get(dispatch_id=ready(acme).pk, position=0)
    asked = [{"user-agent": "GoogleMessages"}, {"user-agent": ""}, {"user-agent": "Mozilla/5.0", "purpose": "prefetch"}]
    answers = [client.get(f"/{link.code}", headers=headers) for headers in asked]
    answers.append(client.head(f"/{link.code}"))
    assert {(one.status_code, one["Location"], one["Cache-Control"], one.content) for one in answers} == {
        (302, link.destination, "no-store, private", b"")
    }


def test_codes_out_there_keep_their_destination_when_the_text_is_changed(acme, client):
    run = ready(acme).run
    link = Link.objects.get(position=1)
    run.campaign.template.write("Now see https://elsewhere.example.com/")
    assert client.get(f"/{link.code}")["Location"] == "https://example.com/all"


def test_does_not_work_on_another_host(acme, client, settings):
    settings.ALLOWED_HOSTS = ["*"]
    ready(acme)
    link = Link.objects.get(position=0)
    assert client.get(f"/{link.code}", headers={"host": "other.example"}).status_code == 404
    assert not Click.objects.exists()


def test_is_gone_when_it_is_killed_or_expired_and_unknown_otherwise(acme, client):
    ready(acme)
    link = Link.objects.get(position=0)
    Link.objects.update(killed_at=link.created_at)
    assert client.get(f"/{link.code}").status_code == 410
    Link.objects.update(killed_at=None, expires_at=link.created_at)
    assert client.get(f"/{link.code}").status_code == 410
    assert client.get("/BCDFGHJKMN").status_code == 404


def test_leads_on_even_when_the_hit_cannot_be_stored(acme, client, monkeypatch):
    ready(acme)
    link = Link.objects.get(position=0)
    find = views.rows

    def only_finds(sql, parameters):
        if "INSERT" in sql:
            raise DatabaseError("full")
        return find(sql, parameters)

    monkeypatch.setattr(views, "rows", only_finds)
    assert client.get(f"/{link.code}")["Location"] == link.destination


def test_visits_that_come_together_are_one_statement_and_each_leads_to_its_own(acme, django_assert_num_queries):
    ready(acme)
    first, second = Link.objects.order_by("position")

    def hit(code, *, host="testserver", agent='a "phone"'):
        return views._Hit(code=code, host=host, method="GET", ip="127.0.0.1", user_agent=agent, signals='{"dnt": "1"}')

    visits = [
        hit(second.code),
        hit("BCDFGHJKMN"),
        hit(first.code, agent="b"),
        hit(second.code),
        hit(first.code, host="x"),
    ]
    with django_assert_num_queries(1):
        found = views._look_up(views._FIND_AND_COUNT, visits)
    assert [one and one.destination for one in found] == [
        second.destination,
        None,
        first.destination,
        second.destination,
        None,
    ]
    assert sorted(Click.objects.values_list("code", "user_agent", "signals__dnt")) == sorted(
        [(second.code, 'a "phone"', "1"), (second.code, 'a "phone"', "1"), (first.code, "b", "1")]
    )


def test_blocks_the_message_whose_link_is_not_allowed(acme):
    person = acme.recipient(shop="user:pw@evil.example")
    acme.run(text="Look: https://{{ shop }}/")
    world.work()
    dispatch = Dispatch.objects.get(recipient=person)
    assert (dispatch.state, dispatch.reason) == (State.BLOCKED, "link_not_allowed@1")
