"""Whatever somebody decides stands in the trail (facts §8.4): a table of acts and the verbs they leave."""

import io
import re

import pytest
from django.core.management import call_command
from django.urls import reverse

from campaigns import dead_letters, erasure, imports, launch, tasks
from campaigns.models import Dispatch, Import, RecipientList
from campaigns.states import State
from smsplatform.common import database
from smsplatform.tenancy.models import ApiKey, AuditEvent, Membership, Role, User
from tests import world

pytestmark = pytest.mark.django_db


class Scene:
    """A tenant, and an owner at the admin."""

    def __init__(self, client):
        self.acme = world.make()
        self.acme.recipient()
        self.user = User.objects.create_user("ann@acme.example", is_staff=True)
        Membership.objects.create(user=self.user, tenant=self.acme.tenant, role=Role.OWNER)
        client.force_login(self.user)
        self.client = client

    def press(self, model, row, verb):
        answer = self.client.post(reverse(f"admin:{model}_do", args=[row.pk, verb]))
        assert answer.status_code == 302

    def add(self, model, /, **data):
        answer = self.client.post(reverse(f"admin:{model}_add"), data)
        assert answer.status_code == 302, answer.context["adminform"].form.errors

    def change(self, name, row, **changes):
        page = reverse(f"admin:{name}_change", args=[row.pk])
        form = self.client.get(page).context["adminform"].form
        data = {key: "" if value is None else value for key, value in form.initial.items() if key in form.fields}
        answer = self.client.post(page, {**data, **changes})
        assert answer.status_code == 302, answer.context["adminform"].form.errors

    def command(self, line):
        call_command(*line.split(), "--actor", "ann@acme.example", stdout=io.StringIO())


def launch_it(scene):
    scene.acme.run()


def of_run(act):
    def done(scene):
        act(scene.acme.run(), now=database.now(), actor="ann@acme.example")

    return done


def replay(scene):
    run = scene.acme.run()
    Dispatch.objects.of_run(run.pk).move([State.QUEUED], State.DEAD, now=database.now(), reason="r")
    dead_letters.replay([Dispatch.objects.of_run(run.pk).get().pk], now=database.now(), actor="ann@acme.example")


def import_file(scene):
    source = imports.create(
        tenant=scene.acme.tenant,
        list=scene.acme.people,
        file="x.csv",
        source=Import.Source.PATH,
        actor="ann@acme.example",
    )
    Import.objects.filter(pk=source.pk).update(status=Import.Status.FAILED)


def retry_import(scene):
    import_file(scene)
    imports.retry(Import.objects.get(), actor="ann@acme.example")


def other_member(scene):
    other = User.objects.create_user("ben@acme.example", is_staff=True)
    return Membership.objects.create(user=other, tenant=scene.acme.tenant, role=Role.VIEWER)


ACTS = {
    "campaign.launched": launch_it,
    "run.paused": of_run(launch.pause),
    "run.resumed": of_run(launch.resume),
    "run.cancelled": of_run(launch.cancel),
    "dispatch.replayed": replay,
    "import.created": import_file,
    "import.retried": retry_import,
    "import.errors_exported": lambda scene: (
        import_file(scene),
        scene.client.get(reverse("admin:campaigns_import_errors", args=[Import.objects.get().pk])),
    ),
    "number.revealed": lambda scene: scene.press(
        "campaigns_recipient", scene.acme.people.members.get().recipient, "reveal"
    ),
    "person.erased": lambda scene: scene.command("erase acme +12127364242 --reason letter --yes"),
    "recipient.added": lambda scene: scene.add(
        "campaigns_recipient", number="+12127364242", zone="", fields="{}", send_at_0="", send_at_1=""
    ),
    "number.suppressed": lambda scene: scene.command("suppress acme acme +12127364242"),
    "brand.changed": lambda scene: scene.change("tenancy_brand", scene.acme.brand, opens_at="09:00", closes_at="20:00"),
    "brand.paused": lambda scene: scene.press("tenancy_brand", scene.acme.brand, "pause"),
    "provideraccount.paused": lambda scene: scene.press("providers_provideraccount", scene.acme.account, "pause"),
    "sender.changed": lambda scene: scene.change("providers_sender", scene.acme.sender, position=5),
    "membership.added": lambda scene: (
        User.objects.create_user("ben@acme.example"),
        scene.add("tenancy_membership", email="ben@acme.example", role="viewer"),
    ),
    "membership.changed": lambda scene: scene.change("tenancy_membership", other_member(scene), role="manager"),
    "apikey.added": lambda scene: scene.add("tenancy_apikey", name="shop"),
    "retention.added": lambda scene: scene.add(
        "tenancy_retention", texts_months=6, events_months=1, clicks_months=6, imports_months=1
    ),
    "sending.stopped": lambda scene: scene.command("stop_sending"),
    "recipientlist.deleted": lambda scene: scene.client.post(
        reverse(
            "admin:campaigns_recipientlist_delete",
            args=[RecipientList.objects.create(tenant=scene.acme.tenant, name="old").pk],
        ),
        {"post": "yes"},
    ),
}


@pytest.fixture
def scene(client, monkeypatch):
    monkeypatch.setattr(tasks, "_publish", lambda publish: None)
    return Scene(client)


@pytest.mark.parametrize("verb", ACTS)
def test_an_act_leaves_an_event(scene, verb):
    ACTS[verb](scene)
    event = AuditEvent.objects.filter(verb=verb).latest("pk")
    assert event.actor in ("ann@acme.example", "test")
    if not verb.startswith("sending."):
        assert event.tenant_id == scene.acme.tenant.pk
    assert not re.search(r"\+\d{8,}", str((event.target, event.before, event.after, event.detail)))


def test_a_change_of_hours_says_which(scene):
    ACTS["brand.changed"](scene)
    event = AuditEvent.objects.get(verb="brand.changed")
    assert event.before == {"opens_at": "00:00:00", "closes_at": "23:59:59"}
    assert event.after == {"opens_at": "09:00:00", "closes_at": "20:00:00"}


def test_an_api_key_leaves_no_token(scene):
    ACTS["apikey.added"](scene)
    told = str(list(AuditEvent.objects.values()))
    assert ApiKey.objects.get().digest not in told


def test_erasing_by_hand_is_the_same_as_by_command(scene):
    person = scene.acme.people.members.get().recipient
    scene.press("campaigns_recipient", person, "erase")
    assert AuditEvent.objects.filter(verb="person.erased", object_type="compliance.ErasedPerson").exists()
    assert erasure.at_work(database.now())
