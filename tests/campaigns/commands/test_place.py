"""Operators place people again, hold a state, and ask why somebody is (not) texted."""

import pytest

from campaigns.models import Dispatch, Recipient
from compliance.models import RegionalHold
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, refused, run
from tests.properties.clock import Clock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme():
    return world.make(home="America/New_York")


def old(acme, count):
    """People from before states were kept."""
    people = acme.recipients(count)
    Recipient.objects.filter(pk__in=[person.pk for person in people]).update(
        zones="America/Denver", state_source="unknown"
    )
    return people


class TestLocating:
    def test_places_those_whose_states_are_not_known(self, acme):
        told = acme.recipient()
        old(acme, 5)
        before = Recipient.objects.filter(pk=told.pk).values().get()
        assert ask("locate_recipients --dry-run")["changed"] == 5
        assert Recipient.objects.filter(zones="America/Denver").count() == 5
        assert not AuditEvent.objects.filter(verb="recipients.located").exists()
        found = ask("locate_recipients")
        assert (found["looked"], found["changed"]) == (5, 5)
        assert Recipient.objects.filter(zones="America/Denver;NY", state_source="area_code").count() == 5
        assert Recipient.objects.filter(pk=told.pk).values().get() == before
        assert AuditEvent.objects.get(verb="recipients.located").target == "5 people"
        assert ask("locate_recipients")["looked"] == 0

    def test_goes_on_where_it_was(self, acme, monkeypatch):
        from campaigns.management.commands import locate_recipients

        monkeypatch.setattr(locate_recipients, "_AT_ONCE", 2)
        people = old(acme, 5)
        assert ask(f"locate_recipients --after {people[2].pk}")["changed"] == 2
        told = run("locate_recipients")
        assert "the last was" in told
        assert "3 people looked at, 3 placed anew" in told

    def test_looks_at_everybody_or_one_tenant_where_asked(self, acme):
        other = world.make("zebra", home="America/New_York")
        person, theirs = acme.recipient(), other.recipient()
        Recipient.objects.filter(pk__in=[person.pk, theirs.pk]).update(fields={"state": "TX"}, zone_source="area_code")
        assert ask("locate_recipients")["looked"] == 0
        assert ask("locate_recipients --all --tenant acme")["changed"] == 1
        person.refresh_from_db()
        theirs.refresh_from_db()
        assert (person.zones, theirs.zones) == (
            "America/Chicago|America/Denver|America/New_York;NY|TX",
            "America/New_York;NY",
        )

    def test_is_refused(self, acme):
        assert "tenant" in refused("locate_recipients --tenant nobody")
        assert "--after" in refused("locate_recipients --after=-1")


class TestHolding:
    def test_sets_lists_and_lifts(self, acme):
        made = ask("regional_hold Louisiana --reason 'hurricane, proclamation 41' --actor ana")
        assert made["state"] == "LA"
        [listed] = ask("regional_hold")["holds"]
        assert (listed["hold"], listed["state"], listed["until"]) == (made["hold"], "LA", None)
        assert "hurricane" in run("regional_hold")
        assert "15 minutes" in run(f"regional_hold --lift {made['hold']} --actor ben")
        row = RegionalHold.objects.get()
        assert (row.created_by, row.lifted_by) == ("ana", "ben")
        assert run("regional_hold").strip() == "no hold is in force"
        assert sorted(AuditEvent.objects.values_list("verb", "actor")) == [("hold.lifted", "ben"), ("hold.set", "ana")]
        assert "lifted already" in refused(f"regional_hold --lift {row.pk}")

    def test_may_have_an_end(self, acme):
        ask("regional_hold LA --reason storm --from 2030-01-01T00:00Z --until 2030-01-02T00:00-06:00")
        row = RegionalHold.objects.get()
        assert (row.starts_at, row.ends_at) == (world.at("2030-01-01"), world.at("2030-01-02T06:00"))
        assert ask("regional_hold")["holds"] == []  # not yet

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("Ontario --reason x", "STATE: 'Ontario' is no state"),
            ("LA", "--reason: say why"),
            ("LA --reason x --until tomorrow", "--until: 'tomorrow' is no instant"),
            ("LA --reason x --until 2030-01-01T00:00", "--until: '2030-01-01T00:00' is no instant"),
            ("LA --reason x --until 2020-01-01T00:00Z", "--until: it is over before it starts"),
            ("--lift 77", "--lift: there is no hold 77"),
        ],
    )
    def test_is_refused(self, acme, line, said):
        assert said in refused(f"regional_hold {line}")


def test_explain_says_where_the_person_may_be_and_by_which_rules_they_wait(acme):
    clock = Clock(start=world.at("2026-11-25T01:30"))  # 20:30 in New York
    clock.start()
    try:
        person = acme.recipient(zones="America/New_York;FL")
        made = acme.run(now=clock.now)
        batch = world.only_batch(made)
        world.stage_named("check_compliance").run(batch.pk, world.start(batch))
        line = f"explain {made.pk} --number {person.number}"
        told, found = run(line), ask(line)
    finally:
        clock.stop()
    assert Dispatch.objects.get().state == "held"
    assert "FL 08-20 Fla. Stat. 501.616(6)" in told
    assert "Place (by explicit): America/New_York; law of Florida." in told
    assert "not before 2026-11-25 13:00 UTC" in told
    assert (found["place"]["may_be_texted"], found["place"]["states_from"]) == (False, "area_code")
    assert found["place"]["rules"][0] == "FL 08-20 Fla. Stat. 501.616(6)"
