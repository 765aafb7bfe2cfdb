"""Opt-outs that a client's own systems tell: at once, once, and for that client's brands only."""

import json
from datetime import timedelta

import pytest

from campaigns import opt_outs
from campaigns.models import Dispatch
from compliance.consent_models import Consent
from compliance.models import Suppression
from smsplatform.common import database
from smsplatform.tenancy.models import ApiKey, AuditEvent, Membership, User
from tests import world

pytestmark = pytest.mark.django_db(transaction=True)
NUMBER = "+12122340199"


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def token(acme):
    return ApiKey.issue(tenant=acme.tenant, name="shop")[1]


@pytest.fixture
def tell(client, token):
    """Tell of an opt-out; return the status and what is answered."""

    def tell(token=token, **said):
        body = {"brand": "acme", "number": NUMBER, **said}
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = client.post("/api/opt-outs", json.dumps(body), content_type="application/json", headers=headers)
        kind = "application/problem+json" if answer.status_code >= 400 else "application/json"
        assert answer.headers["Content-Type"] == kind
        return answer.status_code, answer.json()

    return tell


def test_is_stored_at_once_and_once(acme, tell):
    stored = {"brand": "acme", "number": NUMBER, "category": "", "made": True}
    assert tell(number="(212) 234-0199", evidence="ticket 7") == (201, stored)
    assert tell() == (200, stored | {"made": False})
    row = Suppression.objects.get()
    assert (row.brand, row.number, row.reason, row.source) == (acme.brand, NUMBER, "opt_out", "website")
    assert (row.evidence, row.created_by) == ("ticket 7", "API key shop")
    event = AuditEvent.objects.get(verb="number.suppressed")
    assert (event.actor, event.tenant) == ("API key shop", acme.tenant)
    assert "0199" not in event.target.replace(NUMBER[-2:], "")


def test_what_waits_is_blocked_and_the_consent_ends(acme, tell):
    person = acme.recipient()
    acme.run()
    assert tell(number=person.number)[0] == 201
    assert opt_outs.tidy(database.now()) == 1
    assert Dispatch.objects.get().reason == "suppressed_brand@1"
    assert Consent.objects.get().event == "revoked"


def test_may_be_about_one_category(tell):
    assert tell(category="marketing")[0] == 201
    assert Suppression.objects.get().category == "marketing"


@pytest.mark.parametrize(
    ("said", "status", "field"),
    [
        ({"number": "nonsense"}, 400, "number"),
        ({"number": ""}, 400, "number"),
        ({"number": "1" * 300}, 400, "number"),
        ({"number": ["+12122340199"]}, 400, "number"),
        ({"brand": "other"}, 404, "brand"),
        ({"brand": "none"}, 404, "brand"),
        ({"brand": None}, 400, "brand"),
        ({"category": "spam"}, 400, "category"),
        ({"reason": "complaint"}, 400, "reason"),  # would hold for every client
        ({"reason": "provider_blocked"}, 400, "reason"),
        ({"source": "reply"}, 400, "source"),
        ({"evidence": "x" * 201}, 400, "evidence"),
    ],
    ids=str,
)
def test_names_what_is_wrong(tell, said, status, field):
    world.make("other")
    found, told = tell(**said)
    assert (found, told["status"], [each["field"] for each in told["errors"]]) == (status, status, [field])
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "null", "[[1]]"])
def test_takes_objects_only(client, token, body):
    answer = client.post(
        "/api/opt-outs", body, content_type="application/json", headers={"Authorization": f"Bearer {token}"}
    )
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_is_only_told(client, token):
    answer = client.get("/api/opt-outs", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 405


class TestKeys:
    """Who may tell."""

    def refused(self, tell, token, status=401):
        found, told = tell(token=token)
        assert (found, told["status"]) == (status, status)
        assert not Suppression.objects.exists()

    def test_without_one_nobody(self, tell):
        self.refused(tell, "")

    @pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "x", lambda _: "fs_", lambda _: "x", str.upper])
    def test_a_wrong_one(self, tell, token, change):
        self.refused(tell, change(token))

    def test_one_that_was_switched_off(self, tell, token):
        ApiKey.objects.update(is_active=False)
        self.refused(tell, token)

    def test_one_whose_time_is_over(self, tell, token):
        ApiKey.objects.update(expires_at=database.now() - timedelta(seconds=1))
        self.refused(tell, token)
        ApiKey.objects.update(expires_at=database.now() + timedelta(hours=1))
        assert tell()[0] == 201

    def test_one_that_was_made_for_something_else(self, tell, token):
        ApiKey.objects.update(scopes=["messages"])
        self.refused(tell, token, 403)
        ApiKey.objects.update(scopes=["messages", "opt_outs"])
        assert tell()[0] == 201

    def test_none_outlives_the_rights_of_its_owner(self, acme, tell, token):
        owner = User.objects.create_user("ana@example.com", password="a long pass phrase")
        ApiKey.objects.update(owner=owner)
        self.refused(tell, token)
        member = Membership.objects.create(tenant=acme.tenant, user=owner, role="viewer")
        self.refused(tell, token)
        member.role = "manager"
        member.save()
        assert tell()[0] == 201
        User.objects.update(is_active=False)
        assert tell()[0] == 401

    def test_another_clients_key_does_not_reach_the_brand(self, tell):
        other = world.make("other")
        assert tell(token=ApiKey.issue(tenant=other.tenant, name="theirs")[1])[0] == 404
        assert not Suppression.objects.exists()

    def test_says_when_it_was_used(self, tell):
        tell()
        used_at = ApiKey.objects.get().last_used_at
        assert database.now() - used_at < timedelta(minutes=1)
        tell()
        assert ApiKey.objects.get().last_used_at == used_at
