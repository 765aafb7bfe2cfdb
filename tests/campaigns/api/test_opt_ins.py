"""Opt-ins that a client's own forms tell: one ask with the form's evidence, and nothing more before the YES."""

import json
import urllib.error
import urllib.request
from datetime import datetime, timedelta

import pytest
from kombu.exceptions import OperationalError

from campaigns import tasks, traffic_reviews
from campaigns.models import Dispatch
from compliance import consent, suppression
from compliance.consent_models import Consent
from compliance.models import AutomaticTexts, OptInCount, TrafficCount
from smsplatform.common import database
from smsplatform.tenancy.models import ApiKey, AuditEvent
from tests import world
from tests.compliance.test_consent_states import HERE
from tests.promises import talk
from tests.promises.together import together

pytestmark = pytest.mark.django_db(transaction=True)
NUMBER = "+12122340199"
SHOWN = " I agree that Acme may text me offers, up to 4 a month.\nConsent is no condition of a purchase. "
FORM = {
    "brand": "acme",
    "number": NUMBER,
    "category": "marketing",
    "action": "typed the number and ticked the box",
    "disclosure": SHOWN,
    "page_url": "https://acme.example/join?from=footer",
    "form_id": "footer",
    "ip": "203.0.113.9",
    "user_agent": "Mozilla/5.0",
    "session_id": "s-1",
    "identity": "ana@example.com",
}
QUESTION = (
    "Acme Deals: reply YES to get recurring marketing texts (up to 4/mo). Msg&data rates may apply."
    " HELP for help, STOP to cancel."
)


@pytest.fixture
def nudges(monkeypatch):
    """What is published to have the ask go out."""
    published = []
    monkeypatch.setattr(tasks.collect, "apply_async", lambda *_, **options: published.append(options["queue"]))
    return published


@pytest.fixture
def acme(simulator, nudges):
    simulator.script("token-acme", receipts=None)
    return talk.prepare(world.make(base_url=simulator.url, **HERE))


@pytest.fixture
def token(acme):
    return ApiKey.issue(tenant=acme.tenant, name="site", scopes=["opt_ins"])[1]


@pytest.fixture
def tell(client, token):
    """Tell of a form that was filled in; return the status and what is answered. None leaves a field out."""

    def tell(token=token, **said):
        answer = post(client, token, **said)
        return answer.status_code, answer.json()

    return tell


def post(client, token, **said):
    body = {name: value for name, value in (FORM | said).items() if value is not None}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = client.post("/api/opt-ins", json.dumps(body), content_type="application/json", headers=headers)
    kind = "application/problem+json" if answer.status_code >= 400 else "application/json"
    assert answer.headers["Content-Type"] == kind
    return answer


def nothing_happened(nudges):
    return not (Consent.objects.exists() or Dispatch.objects.exists() or TrafficCount.objects.exists() or nudges)


# -- one story ---------------------------------------------------------------------------------------------------------


def test_goes_from_the_form_over_the_yes_to_the_first_message(acme, simulator, tell, nudges):
    ana = talk.Person(acme, simulator, NUMBER)
    before = database.now()
    status, told = tell(number="(212) 234-0199")
    asked = Consent.objects.get()
    assert datetime.fromisoformat(told["until"]) == asked.expires_at
    assert (status, told) == (
        201,
        {
            "brand": "acme", "number": NUMBER, "category": "marketing", "status": "pending", "consent": asked.pk,
            "until": told["until"], "made": True,
        },
    )  # fmt: skip
    assert asked.expires_at - before >= timedelta(hours=72)
    assert nudges == ["urgent.sql"]
    talk.deliver()
    assert ana.heard == [QUESTION]
    assert consent.explain(
        brand=acme.brand, number=NUMBER, category="marketing", now=database.now()
    ).rule == "consent_pending_double_opt_in"  # fmt: skip
    assert ana.texts("Yes!") == talk.WELCOME
    assert consent.explain(brand=acme.brand, number=NUMBER, category="marketing", now=database.now()).may
    confirmed = Consent.objects.get(event="confirmed")
    assert (confirmed.tier, confirmed.category, confirmed.disclosure.text) == ("written", "marketing", SHOWN)
    count = OptInCount.objects.get()
    assert (count.asked, count.confirmed) == (1, 1)
    assert tell() == (200, told | {"status": "granted", "consent": confirmed.pk, "until": None, "made": False})
    assert len(ana.heard) == 2


def test_keeps_all_that_the_form_says(acme, tell):
    assert tell()[0] == 201
    kept = Consent.objects.get()
    assert (kept.brand, kept.number, kept.event, kept.source) == (acme.brand, NUMBER, "asked", "web_form")
    evidence = {name: FORM[name] for name in FORM.keys() - {"brand", "disclosure"}}
    assert {name: getattr(kept, name) for name in evidence} == evidence
    assert kept.disclosure.text == SHOWN, "not even a space is taken off"


def test_stands_in_the_trail_without_the_number(acme, tell):
    consent_id = tell()[1]["consent"]
    event = AuditEvent.objects.get(verb="number.asked")
    assert (event.actor, event.tenant) == ("API key site", acme.tenant)
    assert event.detail == {
        "brand": "acme", "category": "marketing", "tier": "written", "form": "footer", "consent": consent_id,
    }  # fmt: skip
    assert "0199" not in event.target.replace(NUMBER[-2:], "")


# -- nothing to ask ----------------------------------------------------------------------------------------------------


def test_asks_once_however_often_the_form_is_sent(tell, nudges):
    _, first = tell()
    assert tell() == (200, first | {"made": False})
    assert tell(category="informational", tier="express") == (
        200,
        first | {"category": "informational", "made": False},
    )
    assert (Dispatch.objects.count(), Consent.objects.count(), len(nudges)) == (1, 1, 1)
    assert AuditEvent.objects.filter(verb="number.asked").count() == 1
    assert TrafficCount.objects.get(subject="country:US").used == 1


def test_of_four_at_once_one_asks(acme, client, token):
    answers = together(*(lambda: post(client.__class__(), token) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["consent"] for answer in answers}) == 1
    assert Dispatch.objects.count() == 1


def test_never_asks_who_opted_out(acme, tell, nudges):
    suppression.suppress(brand=acme.brand, number=NUMBER, reason="opt_out", source="test", now=database.now())
    status, told = tell()
    assert (status, told["title"], told["errors"][0]["field"]) == (409, "conflict", "number")
    assert "may text START" in told["detail"]
    assert nothing_happened(nudges)
    assert not AuditEvent.objects.filter(verb="number.asked").exists()


# -- what is wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status", "field", "remedy"),
    [
        ({"number": "nonsense"}, 400, "number", "write digits only"),
        ({"number": ""}, 400, "number", "blank"),
        ({"number": None}, 400, "number", "required"),
        ({"number": "1" * 61}, 400, "number", "60"),
        ({"number": "ana@example.com"}, 400, "number", "digits only"),
        ({"number": "212 234"}, 400, "number", "digits missing"),
        ({"number": "+12125550123"}, 400, "number", "fiction"),
        ({"number": "+18002345678"}, 400, "number", "toll-free"),
        ({"number": "+447400123456"}, 400, "number", "allowed: "),
        ({"brand": "other"}, 404, "brand", "has no brand"),
        ({"brand": "none"}, 404, "brand", "has no brand"),
        ({"category": None}, 400, "category", "required"),
        ({"category": "transactional"}, 400, "category", "not a valid choice"),  # needs no YES
        ({"tier": "implied"}, 400, "tier", "not a valid choice"),
        ({"tier": "express"}, 400, "tier", "marketing messages need written consent"),
        ({"disclosure": None}, 400, "disclosure", "the words that the person was shown"),
        ({"disclosure": " \n"}, 400, "disclosure", "the words that the person was shown"),
        ({"disclosure": "a\0b"}, 400, "disclosure", "Null characters"),
        ({"disclosure": "\ud800"}, 400, "disclosure", "Surrogate characters"),
        ({"action": None}, 400, "action", "say what the person did"),
        ({"action": "x" * 201}, 400, "action", "200"),
        ({"page_url": None}, 400, "page_url", "needs page_url"),
        ({"page_url": "acme"}, 400, "page_url", "valid URL"),
        ({"ip": None}, 400, "ip", "needs ip"),
        ({"ip": "somewhere"}, 400, "ip", "valid IPv4 or IPv6"),
        ({"form_id": "x" * 121}, 400, "form_id", "120"),
        ({"user_agent": ["a"]}, 400, "user_agent", "valid string"),
    ],
    ids=str,
)
def test_names_what_is_wrong_and_the_remedy(tell, nudges, said, status, field, remedy):
    world.make("other")
    found, told = tell(**said)
    assert (found, told["status"], [each["field"] for each in told["errors"]]) == (status, status, [field])
    assert remedy in told["errors"][0]["problem"]
    assert not any(run in told["detail"] for run in ("5550123", "2345678", "7400123456")), "no number in full"
    assert nothing_happened(nudges)


def test_says_so_too_where_nothing_is_to_be_asked(tell):
    tell()
    assert tell(disclosure=None)[0] == 400


def test_names_all_fields_that_are_wrong(tell):
    told = tell(number=None, category="spam", ip="x")[1]
    assert [each["field"] for each in told["errors"]] == ["number", "category", "ip"]


def test_express_consent_needs_no_disclosure(tell):
    assert tell(category="informational", tier="express", disclosure=None)[0] == 201
    kept = Consent.objects.get()
    assert (kept.tier, kept.category, kept.disclosure) == ("express", "informational", None)


def test_a_country_that_forms_may_not_reach(acme, tell, nudges):
    acme.tenant.countries = ["US", "GB"]
    acme.tenant.save()
    status, told = tell(number="+447400123456")
    assert (status, told["errors"][0]["field"]) == (400, "number")
    assert "may not send to numbers of GB" in told["detail"]
    assert nothing_happened(nudges)


def test_a_brand_without_facts_asks_nobody(acme, tell, nudges):
    AutomaticTexts.objects.all().delete()
    status, told = tell()
    assert status == 400
    assert "complete them" in told["detail"]
    assert nothing_happened(nudges)


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "null", "[[1]]"])
def test_takes_objects_only(client, token, body):
    answer = client.post(
        "/api/opt-ins", body, content_type="application/json", headers={"Authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_is_only_told(client, token):
    assert client.get("/api/opt-ins", headers={"Authorization": f"Bearer {token}"}).status_code == 405


def test_reads_well_over_plain_http(live_server, token):
    """What curl shows: one line of JSON that says what to change."""

    def ask(**said):
        request = urllib.request.Request(f"{live_server.url}/api/opt-ins", json.dumps(FORM | said).encode())
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    words = "written consent needs the words that the person was shown, as they were; without them record express"
    assert ask(disclosure="") == (
        400,
        {
            "type": "about:blank", "title": "invalid", "status": 400, "detail": f"disclosure: {words}",
            "errors": [{"field": "disclosure", "problem": words}],
        },
    )  # fmt: skip
    status, told = ask()
    assert (status, told["made"], told["number"]) == (201, True, NUMBER)


# -- the guards --------------------------------------------------------------------------------------------------------


def lines(count):
    return [f"+1212{exchange}0199" for exchange in range(234, 234 + count)]


@pytest.fixture
def midday(monkeypatch):
    """No hour and no day ends while limits are counted."""
    now = database.now().replace(hour=12, minute=30)
    monkeypatch.setattr(database, "now", lambda: now)


@pytest.mark.usefixtures("midday")
def test_an_address_that_asks_for_too_many_must_wait(settings, client, token, nudges):
    settings.TRIGGERS_PER_IP = 2
    first, second, third = lines(3)
    assert [post(client, token, number=number).status_code for number in (first, second, first)] == [201, 201, 200]
    refused = post(client, token, number=third)
    assert (refused.status_code, refused.json()["title"]) == (429, "too_many")
    assert 29 * 60 < int(refused.headers["Retry-After"]) <= 30 * 60
    assert "within an hour" in refused.json()["detail"]
    assert (Dispatch.objects.count(), Consent.objects.count(), len(nudges)) == (2, 2, 2)
    assert post(client, token, number=third, ip="203.0.113.10").status_code == 201


@pytest.mark.usefixtures("midday")
def test_so_must_a_form(settings, client, token):
    settings.TRIGGERS_PER_FORM = 1
    first, second, third = lines(3)
    assert post(client, token, number=first).status_code == 201
    assert post(client, token, number=second).status_code == 429
    assert post(client, token, number=third, form_id="header").status_code == 201


@pytest.mark.usefixtures("midday")
def test_so_must_a_country(acme, client, token):
    acme.tenant.triggered_segments = 1
    acme.tenant.save()
    first, second = lines(2)
    assert post(client, token, number=first).status_code == 201
    refused = post(client, token, number=second)
    assert refused.status_code == 429
    assert 11.4 * 3600 < int(refused.headers["Retry-After"]) <= 11.5 * 3600


def test_a_range_that_is_pumped_waits_and_then_is_refused(acme, simulator, client, token):
    def answers(*last):
        return [post(client, token, number=f"+1212234{line:04d}").status_code for line in last]

    assert answers(*range(6)) == [201] * 6
    talk.deliver()
    assert len(simulator.ask("GET", "/_control/ledger/messages?limit=1000")["messages"]) == 5
    assert Dispatch.objects.get(state="held").reason == "traffic_review@1"
    count = TrafficCount.objects.get(held_at__isnull=False)
    traffic_reviews.stop(count, by="ann", now=database.now())
    refused = post(client, token, number="+12122340007")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (429, "number")
    assert timedelta(days=29) < timedelta(seconds=int(refused.headers["Retry-After"])) <= timedelta(days=30)
    assert Consent.objects.filter(number="+12122340007").count() == 0


def test_a_broker_that_is_down_costs_seconds_only(acme, simulator, tell, monkeypatch, caplog):
    def is_down(*_, **__):
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks.collect, "apply_async", is_down)
    caplog.set_level("DEBUG")
    assert tell()[0] == 201
    assert "publish.broker_down" in caplog.text
    assert NUMBER[2:] not in caplog.text
    talk.deliver()  # what beat does
    assert talk.Person(acme, simulator, NUMBER).heard == [QUESTION]


class TestKeys:
    """Who may tell."""

    def test_without_one_nobody(self, tell, nudges):
        assert tell(token="")[0] == 401
        assert nothing_happened(nudges)

    def test_one_that_was_made_for_something_else(self, tell, nudges):
        ApiKey.objects.update(scopes=["messages", "opt_outs"])
        status, told = tell()
        assert (status, told["status"]) == (403, 403)
        assert "scope" in told["detail"]
        assert nothing_happened(nudges)

    def test_one_for_everything(self, tell):
        ApiKey.objects.update(scopes=[])
        assert tell()[0] == 201

    def test_another_clients_key_does_not_reach_the_brand(self, tell, nudges):
        other = world.make("other")
        assert tell(token=ApiKey.issue(tenant=other.tenant, name="theirs")[1])[0] == 404
        assert nothing_happened(nudges)

    def test_what_another_clients_brand_knows_is_not_told(self, acme, tell):
        tell()
        other = talk.prepare(world.make("other"))
        theirs = ApiKey.issue(tenant=other.tenant, name="theirs")[1]
        status, told = tell(token=theirs, brand="other")
        assert (status, told["made"]) == (201, True)
