"""P10: the statements of a stage do not depend on how many rows it moves, nor on how many others there are."""

import json
import re
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from campaigns import audience, audits, launch, notifications, receipts, recovery, replies, sending, tasks
from campaigns.models import Attempt, Batch, Dispatch, RecipientList, Run
from campaigns.states import State
from compliance import suppression
from compliance.policy import Category
from providers.models import Sender
from smsplatform.common import database
from smsplatform.common.database import execute
from tests import world
from tests.promises import hooks, sound
from tests.promises.conftest import TOKEN

pytestmark = pytest.mark.django_db(transaction=True)

FEW, MANY = 5, 300
_COMMANDS = ("SET", "BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "SHOW")


def statements(work):
    """Return the statements that the work sends, without the commands around them."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        work()
    return [q["sql"] for q in captured.captured_queries if not q["sql"].lstrip().upper().startswith(_COMMANDS)]


def a_chain(acme, count, simulator):
    """Run a batch of this size, with something of everything in it; return how many statements each stage sent."""
    acme.brand.daily_cap = 1_000_000
    acme.brand.save()
    people = acme.recipients(count)
    simulator.script(
        TOKEN,
        receipts=None,
        reject=[people[0].number],
        faults=[{"fault": "accept_then_drop", "to": [people[1].number]}],
    )
    suppression.suppress(brand=acme.brand, number=people[2].number, reason="opt_out", source="test", now=database.now())
    run = acme.run(text="Hello {{ first_name | default: 'x' }}: https://example.com/a", key=str(count))
    batch = world.only_batch(run)
    lease = world.start(batch)
    counts = {}
    for stage in world.PIPELINE:
        counts[stage.name] = len(statements(lambda: stage.run(batch.pk, lease)))  # noqa: B023 - called at once
    assert world.states(run) == {State.ACCEPTED: count - 3, State.REJECTED: 1, State.UNKNOWN: 1, State.BLOCKED: 1}
    return counts


def test_no_stage_sends_more_statements_for_more_rows(acme, simulator, monkeypatch):
    monkeypatch.setattr(sending, "SLICE", 1000)  # one slice
    monkeypatch.setattr(sending, "GROUP", 1000)  # and, patiently, one settlement
    monkeypatch.setattr(sending, "GROUP_WAIT", 10.0)
    acme.account.concurrency = 1000
    acme.account.save()
    few = a_chain(acme, FEW, simulator)
    world.ListMember.objects.all().delete()
    many = a_chain(acme, MANY, simulator)
    assert many == few
    assert sum(many.values()) < 90
    sound.check()


def test_send_costs_the_same_for_each_slice(acme, simulator, monkeypatch):
    monkeypatch.setattr(sending, "GROUP_WAIT", 10.0)
    costs = {}
    for slices in (1, 3):
        world.ListMember.objects.all().delete()
        monkeypatch.setattr(sending, "SLICE", 20)
        acme.account.concurrency = 20
        acme.account.save()
        acme.recipients(20 * slices)
        run = acme.run(key=str(slices))
        batch = world.only_batch(run)
        lease = world.start(batch)
        for stage in world.PIPELINE[:4]:
            stage.run(batch.pk, lease)
        costs[slices] = len(statements(lambda: world.stage_named("send").run(batch.pk, lease)))  # noqa: B023
        assert world.states(run) == {State.ACCEPTED: 20 * slices}
    a_slice = (costs[3] - costs[1]) / 2
    assert a_slice == int(a_slice)
    assert costs[3] == costs[1] + 2 * a_slice
    assert a_slice < 25


def test_send_costs_the_same_for_any_number_of_senders(acme, simulator, monkeypatch):
    monkeypatch.setattr(sending, "GROUP", 1000)
    monkeypatch.setattr(sending, "GROUP_WAIT", 10.0)
    acme.account.concurrency = 1000
    acme.account.save()
    ours = [acme.sender.address]
    costs = {}
    for senders in (1, 30):
        while len(ours) < senders:
            ours.append(f"+1833555{len(ours):04d}")
            Sender.objects.create(tenant=acme.tenant, brand=acme.brand, account=acme.account, address=ours[-1])
        world.ListMember.objects.all().delete()
        acme.recipients(60)
        run = acme.run(key=str(senders))
        batch = world.only_batch(run)
        lease = world.start(batch)
        for stage in world.PIPELINE[:4]:
            stage.run(batch.pk, lease)
        costs[senders] = len(statements(lambda: world.stage_named("send").run(batch.pk, lease)))  # noqa: B023
        assert world.states(run) == {State.ACCEPTED: 60}
    assert costs[30] == costs[1]
    used = Attempt.objects.filter(dispatch_id__in=Dispatch.objects.of_run(run.pk).values("id"))
    assert len(set(used.values_list("sender", flat=True))) > 10
    taken = simulator.ask("GET", "/_control/ledger/messages?limit=1000")["messages"]
    posted = {each["reference"]: each["sender"] for each in taken}
    for attempt in used:
        assert posted[sending.reference(attempt.dispatch_id, attempt.flight)] == attempt.sender
        assert attempt.reason.startswith("choice 1, position 0, weight 1 of 30")
    sound.check()


def receipts_for(acme, count):
    acme.recipients(count)
    run = acme.run(key=str(count))
    world.work()
    for dispatch_id in Dispatch.objects.of_run(run.pk).values_list("id", flat=True):
        hooks.call(acme, hooks.report(dispatch_id))
    sent = statements(receipts.apply_events)
    assert world.states(run) == {State.DELIVERED: count}
    world.ListMember.objects.all().delete()
    return len(sent)


def test_receipts_are_applied_in_a_fixed_number_of_statements(acme):
    assert receipts_for(acme, FEW) == receipts_for(acme, 20)


def test_recovery_looks_in_a_fixed_number_of_statements(acme, settings):
    settings.BATCH_SIZE = 1
    settings.LANE_IN_FLIGHT = {"bulk": 1000, "urgent": 1}
    settings.TENANT_IN_FLIGHT = settings.ACCOUNT_IN_FLIGHT = settings.CLAIM_BATCHES = 1000
    counts = []
    for count in (FEW, 60):
        acme.recipients(count)
        acme.run(key=str(count))
        assert len(world.hand_out()) >= count
        Batch.objects.filter(phase="leased").update(lease_until=world.at("2020-01-01"))
        counts.append(len(statements(lambda: recovery.end_leases(database.now()))))
    assert counts[0] == counts[1]


def test_handing_out_is_a_fixed_number_of_statements(acme, settings):
    settings.BATCH_SIZE = 1
    settings.LANE_IN_FLIGHT = {"bulk": 1000, "urgent": 1}
    settings.TENANT_IN_FLIGHT = settings.ACCOUNT_IN_FLIGHT = settings.CLAIM_BATCHES = 1000
    acme.account.segments_per_second = 10_000
    acme.account.save()
    counts = []
    for count in (FEW, 60):
        acme.recipients(count)
        acme.run(key=str(count))
        counts.append(len(statements(world.hand_out)))
    assert counts[0] == counts[1]
    assert Batch.objects.filter(phase="leased").count() == FEW * 2 + 60


def test_materialising_is_a_fixed_number_of_statements_per_chunk(acme):
    counts = []
    for count in (FEW, MANY):
        acme.recipients(count - world.ListMember.objects.count())
        run = launch.launch(campaign=acme.campaign(), occurrence="1", now=database.now(), actor="test", is_meant=True)
        counts.append(len(statements(lambda: launch.materialise(run.pk))))  # noqa: B023
    assert counts[0] == counts[1]
    assert Dispatch.objects.count() == FEW + MANY


def test_collecting_is_a_fixed_number_of_statements(acme):
    counts = []
    for count in (FEW, 40):
        for n in range(count):
            notifications.send(
                brand=acme.brand,
                number=f"+1212555{n:04d}",
                text="Hi",
                now=database.now(),
                category=Category.TRANSACTIONAL,
            )
        counts.append(len(statements(lambda: notifications.collect(database.now()))))
    assert counts[0] == counts[1]


def test_tidying_is_a_fixed_number_of_statements(acme):
    counts = []
    for count in (FEW, 15):
        people = acme.recipients(count)
        acme.run(key=str(count))
        for person in people:
            hooks.stop(acme, person.number)
        counts.append(len(statements(lambda: replies.tidy_stops(database.now()))))
    assert counts[0] == counts[1]


def plan_of(sql, parameters=()):
    return "\n".join(line for (line,) in database.rows("EXPLAIN " + sql, parameters))


def test_no_index_knows_the_state_of_a_dispatch(acme):
    """It would end heap-only updates (measured: 71 % to none)."""
    definitions = [
        definition
        for (definition,) in database.rows(
            "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'campaigns_dispatch%%'"
        )
    ]
    assert definitions
    assert not [definition for definition in definitions if "state" in definition]


def test_a_message_costs_one_row_of_each_kind(acme):
    """No history table grows behind the back: what a message leaves is known."""
    acme.recipients(10)
    acme.run()
    world.work()
    tables = {
        table: database.rows(f"SELECT count(*) FROM {table}")[0][0]
        for table in (
            "campaigns_dispatch",
            "campaigns_attempt",
            "compliance_permit",
            "campaigns_providermessage",
            "campaigns_tallydelta",
            "campaigns_sendlock",
            "campaigns_trouble",
        )
    }
    assert tables == {
        "campaigns_dispatch": 10, "campaigns_attempt": 10, "compliance_permit": 10, "campaigns_providermessage": 10,
        "campaigns_tallydelta": 0, "campaigns_sendlock": 0, "campaigns_trouble": 0,
    }  # fmt: skip


def test_a_stages_rows_are_found_by_batch_and_not_by_reading_the_table(acme):
    acme.recipients(3)
    run = acme.run()
    batch = world.only_batch(run)
    with transaction.atomic():
        database.rows("SET LOCAL enable_seqscan = off")
        plan = plan_of(
            "SELECT id FROM campaigns_dispatch WHERE batch_id = %s AND state = 'queued' ORDER BY id FOR UPDATE",
            [batch.pk],
        )
    assert "batch_id" in plan
    assert "Index" in plan


_PARTITION = re.compile(r'"Relation Name": "(campaigns_(?:dispatch|attempt)_\w+)"')
_SCANNED = re.compile(r'"Node Type": "Seq Scan",[^{}]*"Relation Name": "(\w+)"')
_GROWING = re.compile(
    "campaigns_(dispatch|attempt|batch|tallydelta|sendlock|providermessage|receipt|rawevent)|compliance_permit"
)


def plan(sql):
    """Return the statement's plan as text, where nothing is scanned whole but for want of an index."""
    if not sql.lstrip().upper().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
        return ""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN (FORMAT JSON) " + sql.replace("%", "%%"), [])
        return json.dumps(cursor.fetchone()[0])


@pytest.fixture
def plans(acme, simulator):
    """The plans of all that happens to a batch, from its first stage to its receipts."""
    acme.recipients(30)
    run = acme.run(text="Hello {{ first_name | default: 'x' }}: https://example.com/a")
    batch = world.only_batch(run)
    lease = world.start(batch)

    def all_of_it():
        for stage in world.PIPELINE:
            stage.run(batch.pk, lease)
        hooks.call(acme, *[hooks.report(dispatch.pk) for dispatch in Dispatch.objects.of_run(run.pk)])
        receipts.apply_events()

    found = {sql: plan(sql) for sql in statements(all_of_it)}
    assert world.states(run) == {State.DELIVERED: 30}
    return found


def test_the_work_on_a_batch_looks_at_no_other_month(plans):
    """Else each statement would take locks and look into an index for each month there ever was."""
    wide = [sql for sql, found in plans.items() if len(set(_PARTITION.findall(found))) > 2]  # one of either table
    assert not wide, "\n\n".join(wide)


def test_the_work_on_a_batch_scans_no_table_that_grows(plans):
    scanned = [sql for sql, found in plans.items() if any(_GROWING.match(name) for name in _SCANNED.findall(found))]
    assert not scanned, "\n\n".join(scanned)


def test_the_planner_is_told_of_the_month_of_the_run(acme, monkeypatch):
    """To analyse the years before costs seconds for each launch."""
    monkeypatch.setattr(launch, "_ANALYSE_FROM", 1)
    acme.recipients(3)
    sent = statements(acme.run)
    analysed = [sql for sql in sent if sql.startswith("ANALYZE")]
    assert analysed == [f"ANALYZE campaigns_dispatch_{database.now():%Y_%m}"]


def test_recovery_does_not_look_at_the_rows_of_runs_that_wait_for_their_end(acme, settings):
    """Every few seconds would be far too often for a million rows; the hourly task does."""
    acme.recipients(2)
    run = acme.run()
    world.work()
    Run.objects.update(launched_at=database.now() - settings.REPORT_HORIZON * 2)
    Dispatch.objects.update(accepted_at=database.now() - settings.REPORT_HORIZON * 2)
    assert not [sql for sql in statements(tasks.recover) if '"campaigns_dispatch"' in sql]
    tasks.keep_house()
    run.refresh_from_db()
    assert run.settled_at is not None


def test_the_doctor_looks_for_duplicates_in_the_runs_in_play(acme, settings):
    acme.recipients(1)
    acme.run()
    world.work()
    now = database.now()
    Attempt.objects.update(proof="answer", outcome="rejected_permanent")
    Attempt.objects.create(**Attempt.objects.values().get() | {"flight": 2})
    assert [len(found) for found in audits.duplicates()] == [1, 0]
    assert [len(found) for found in audits.duplicates(first_run=audits.first_in_play(now))] == [1, 0]
    later = now + settings.REPORT_HORIZON + timedelta(hours=1)
    assert [len(found) for found in audits.duplicates(first_run=audits.first_in_play(later))] == [1, 0]
    Run.objects.update(settled_at=now)
    assert [len(found) for found in audits.duplicates(first_run=audits.first_in_play(later))] == [0, 0]


def test_locks_end_one_by_one_although_their_table_was_empty_a_moment_ago(acme):
    """To its statistics it still is: to compare each lock with each row of a batch would look cheap, and cost its square."""
    people = 300
    acme.recipients(people)
    execute(
        "INSERT INTO campaigns_sendlock (tenant_id, brand_id, number, dispatch_id, until)"
        " SELECT %s, %s, n::text, gen_random_uuid(), now() FROM generate_series(1, 2000) n",
        [acme.tenant.pk, acme.brand.pk],
    )
    execute("DELETE FROM campaigns_sendlock")
    execute("ANALYZE campaigns_sendlock")
    batch = world.only_batch(acme.run())
    lease = world.start(batch)
    for stage in world.PIPELINE[:2]:
        stage.run(batch.pk, lease)

    def reserve():
        with transaction.atomic():
            batch.dispatches.reserve(batch.brand, Category.MARKETING, database.now())
            transaction.set_rollback(True)

    [sql] = [sql for sql in statements(reserve) if "DELETE FROM campaigns_sendlock" in sql]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql.replace("%", "%%"), [])
        found = json.dumps(cursor.fetchone()[0])
        transaction.set_rollback(True)
    assert "campaigns_sendlock" in found
    assert all(int(compared) < people for compared in re.findall(r'"Rows Removed by Join Filter": (\d+)', found))


@pytest.mark.parametrize("minus", [False, True])
def test_people_are_found_one_by_one_although_their_list_was_not_there_a_moment_ago(acme, minus):
    """To the statistics a client that has just imported its people has nobody: to compare all with all would look cheap."""
    people = 2000
    client = world.make("newcomer")
    other = RecipientList.objects.create(tenant=client.tenant, name="other")

    def enter(place, lists):
        execute(
            "INSERT INTO campaigns_recipient (tenant_id, number, zones, zone_source, country, fields, created_at, updated_at)"
            " SELECT %s, '+1212555' || n, '', '', 'US', '{}', now(), now() FROM generate_series(1, %s) n",
            [place.tenant.pk, people],
        )
        for members, every in lists:
            execute(
                "INSERT INTO campaigns_listmember (tenant_id, list_id, recipient_id)"
                " SELECT tenant_id, %s, id FROM campaigns_recipient WHERE tenant_id = %s AND mod(id, %s) = 0",
                [members.pk, place.tenant.pk, every],
            )

    enter(acme, [(acme.people, 1)])
    execute("ANALYZE campaigns_recipient, campaigns_listmember")
    enter(client, [(client.people, 1), (other, 2)])
    plan = {"lists": [client.people.pk], "minus_lists": [other.pk] * minus, "schedule": "now", "time_field": ""}
    run = Run(tenant=client.tenant, plan=plan)
    found = []
    asked = statements(lambda: found.extend([audience.people(run, after=0, limit=people), audience.count(run)]))
    assert [len(found[0]), found[1]] == [people // (2 if minus else 1)] * 2
    for sql in asked:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql.replace("%", "%%"), [])
            assert touched(cursor.fetchone()[0][0]["Plan"]) < 20 * people, sql


def touched(plan):
    """How many rows all nodes of a plan have made or thrown away."""
    seen = sum(plan.get(name, 0) for name in ("Actual Rows", "Rows Removed by Join Filter", "Rows Removed by Filter"))
    return seen * plan.get("Actual Loops", 1) + sum(map(touched, plan.get("Plans", [])))
