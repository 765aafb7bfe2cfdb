"""Whatever is done to the trail afterwards shows; and what comes late is sealed, too."""

import threading
import tracemalloc

import pytest
from django.db import DatabaseError, transaction

from smsplatform.common import database
from smsplatform.common.database import execute, rows
from smsplatform.tenancy import audit, seals
from smsplatform.tenancy.models import AuditEvent, AuditSeal, Tenant
from tests.promises.together import Gate, Job, together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def tenants():
    return [Tenant.objects.create(name=name, slug=name) for name in ("acme", "zebra")]


def happen(tenant, count=1, **more):
    for number in range(count):
        audit.record(actor="ana", verb="run.paused", target=f"run {number}", tenant=tenant, n=number, **more)


def seal():
    return seals.seal(seals.AUDIT, database.now())


def flaws():
    return [str(each) for each in seals.verify(seals.AUDIT).breaks]


def tamper(sql, *parameters):
    """As somebody who owns the database can."""
    with transaction.atomic():
        execute("SET LOCAL session_replication_role = replica")
        assert execute(sql, list(parameters)) == 1


@pytest.fixture
def trail(tenants):
    """Two tenants' events and the installation's, in three seals each."""
    for _ in range(3):
        for tenant in (*tenants, None):
            happen(tenant, 4, before={"cap": 1}, after={"cap": 2})
        assert seal() == 12
    return tenants


def test_a_whole_trail_verifies(trail):
    found = seals.verify(seals.AUDIT)
    assert (found.breaks, found.rows, found.seals, found.unsealed) == ([], 36, 9, 0)
    assert set(found.heads) == {trail[0].pk, trail[1].pk, None}
    happen(trail[0])
    assert seals.verify(seals.AUDIT).unsealed == 1
    assert seal() == 1
    assert seal() == 0
    assert flaws() == []


EVENT = "(SELECT id FROM tenancy_auditevent WHERE tenant_id = %s ORDER BY id OFFSET 5 LIMIT 1)"


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (f"UPDATE tenancy_auditevent SET actor = 'nobody' WHERE id = {EVENT}", "a row was changed"),
        (f"UPDATE tenancy_auditevent SET verb = 'run.resumed' WHERE id = {EVENT}", "a row was changed"),
        (f"UPDATE tenancy_auditevent SET target = '' WHERE id = {EVENT}", "a row was changed"),
        (f"UPDATE tenancy_auditevent SET before = NULL WHERE id = {EVENT}", "a row was changed"),
        (f"UPDATE tenancy_auditevent SET after = '{{\"cap\": 3}}' WHERE id = {EVENT}", "a row was changed"),
        (f"UPDATE tenancy_auditevent SET detail = '{{}}' WHERE id = {EVENT}", "a row was changed"),
        (f"UPDATE tenancy_auditevent SET ip = '203.0.113.9' WHERE id = {EVENT}", "a row was changed"),
        (f"UPDATE tenancy_auditevent SET at = at + interval '1 microsecond' WHERE id = {EVENT}", "a row was changed"),
        (f"UPDATE tenancy_auditevent SET tenant_id = NULL WHERE id = {EVENT}", "1 of 4 rows are missing"),
        (f"DELETE FROM tenancy_auditevent WHERE id = {EVENT}", "1 of 4 rows are missing"),
    ],
)
def test_a_change_breaks_the_range_it_is_in(trail, change, flaw):
    second = AuditSeal.objects.filter(tenant=trail[0]).order_by("first_id")[1]
    tamper(change, trail[0].pk)
    [found] = [each for each in flaws() if f"of tenant {trail[0].pk}," in each]
    assert found == f"audit of tenant {trail[0].pk}, ids {second.first_id}-{second.last_id}: {found.partition(': ')[2]}"
    assert flaw in found


def test_a_row_slipped_in_breaks_the_range_it_is_in(trail):
    tamper(f"DELETE FROM tenancy_auditevent WHERE id = {EVENT}", trail[1].pk)
    gap = rows("SELECT g FROM generate_series(1, (SELECT max(id) FROM tenancy_auditevent)) g WHERE NOT EXISTS"
               " (SELECT 1 FROM tenancy_auditevent WHERE id = g) ORDER BY g DESC LIMIT 1")[0][0]  # fmt: skip
    tamper(
        "INSERT INTO tenancy_auditevent (id, tenant_id, actor, verb, target, detail, at)"
        " VALUES (%s, %s, 'ana', 'run.paused', '', '{}', now())",
        gap,
        trail[0].pk,
    )
    assert any("1 rows were slipped in; 4 were sealed" in flaw for flaw in flaws())


def test_a_row_slipped_in_for_a_tenant_without_seals_is_found(trail):
    other = Tenant.objects.create(name="new", slug="new")
    tamper(f"UPDATE tenancy_auditevent SET tenant_id = {other.pk} WHERE id = {EVENT}", trail[1].pk)
    assert any(f"of tenant {other.pk}" in flaw and "slipped in" in flaw for flaw in flaws())


@pytest.mark.parametrize("row_id", [0, -1])
@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_row_slipped_in_below_the_first_id_is_found(tenants, row_id, is_sealed):
    """No sequence draws such an id, and no seal covers it."""
    if is_sealed:
        happen(tenants[0])
        seal()
    execute(
        "INSERT INTO tenancy_auditevent (id, tenant_id, actor, verb, target, detail, at)"
        " VALUES (%s, %s, 'ana', 'run.paused', '', '{}', now())",
        [row_id, tenants[0].pk],
    )
    seal()
    [flaw] = flaws()
    assert f"of tenant {tenants[0].pk}, ids {row_id}-" in flaw
    assert "1 rows were slipped in" in flaw


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (
            "UPDATE tenancy_auditseal SET digest = repeat('0', 64) WHERE id = %s",
            "a row was changed since it was sealed",
        ),
        ("UPDATE tenancy_auditseal SET previous = repeat('0', 64) WHERE id = %s", "does not follow on the one before"),
        ("UPDATE tenancy_auditseal SET last_id = last_id + 1 WHERE id = %s", ""),
        ("DELETE FROM tenancy_auditseal WHERE id = %s", "there is no seal of the ids"),
    ],
)
def test_a_change_of_a_seal_breaks_the_chain(trail, change, flaw):
    second = AuditSeal.objects.filter(tenant=trail[0]).order_by("first_id")[1]
    tamper(change, second.pk)
    assert any(flaw in each for each in flaws())
    assert flaws()


def test_who_seals_a_changed_row_again_breaks_the_chain_behind(trail):
    """The last resort of who owns the database: change a row, compute its seal anew."""
    second = AuditSeal.objects.filter(tenant=trail[0]).order_by("first_id")[1]
    tamper(f"UPDATE tenancy_auditevent SET actor = 'nobody' WHERE id = {EVENT}", trail[0].pk)
    [(_, _, number, _, previous, _, content, _)] = [
        each for each in seals._recomputed(seals.AUDIT, trail[0].pk) if each[0] == second.first_id
    ]
    forged = seals._link("audit", trail[0].pk, second.first_id, second.last_id, number, content, previous)
    tamper(f"UPDATE tenancy_auditseal SET digest = '{forged}' WHERE id = %s", second.pk)
    assert any("does not follow" in flaw for flaw in flaws())


def test_an_end_that_was_cut_off_is_missed_by_who_noted_it(trail):
    head = seals.verify(seals.AUDIT).heads[None]
    assert seals.has_head(seals.AUDIT, head)
    last = AuditSeal.objects.filter(tenant=None).order_by("first_id").last()
    tamper("DELETE FROM tenancy_auditseal WHERE id = %s", last.pk)
    assert not seals.has_head(seals.AUDIT, head)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {} SET tenant_id = NULL",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "UPDATE {} SET tenant_id = NULL WHERE false",
    ],
)
@pytest.mark.parametrize("table", ["tenancy_auditevent", "tenancy_auditseal"])
def test_the_database_refuses_anything_but_adding(trail, table, statement):
    with pytest.raises(DatabaseError, match=f"{table} is only ever added to"), transaction.atomic():
        execute(statement.format(table))
    assert flaws() == []


def test_an_event_that_is_committed_late_is_not_passed_over(tenants):
    """Its id was drawn before that of an event which is there already."""
    gate = Gate()

    def slowly():
        with transaction.atomic():
            happen(tenants[0])
            gate()

    slow = Job(slowly)
    gate.wait()
    happen(tenants[1])
    assert seal() == 0  # nobody knows yet what comes below
    assert AuditSeal.objects.count() == 0
    gate.open()
    slow.result()
    assert list(AuditEvent.objects.order_by("id").values_list("tenant_id", flat=True)) == [tenants[0].pk, tenants[1].pk]
    assert seal() == 2
    assert flaws() == []


def test_who_writes_on_and_on_holds_nobody_up(tenants, monkeypatch):
    """Only those are waited for who were writing when we came; others may begin meanwhile."""
    first, second = Gate(), Gate()

    def write(gate, tenant):
        def work():
            with transaction.atomic():
                happen(tenant)
                gate()

        return work

    happen(None)
    one = Job(write(first, tenants[0]))
    first.wait()
    happen(None)
    pauses = []

    def pause(_seconds):
        if not pauses:
            pauses.append(Job(write(second, tenants[1])))
            second.wait()
            first.open()
            one.result()

    monkeypatch.setattr(seals.time, "sleep", pause)
    assert seal() == 3
    second.open()
    pauses[0].result()
    assert seal() == 1
    assert flaws() == []


def test_writers_and_sealers_together_lose_nothing(tenants):
    stop = threading.Event()

    def sealing():
        sealed = 0
        while not stop.is_set():
            sealed += seal()
        return sealed

    def writing(tenant):
        def work():
            for _ in range(60):
                with transaction.atomic():
                    happen(tenant, 2)

        return work

    sealers = [Job(sealing), Job(sealing)]
    together(writing(tenants[0]), writing(tenants[1]), writing(None))
    stop.set()
    sealed = sum(sealer.result() for sealer in sealers) + seal()
    assert sealed == 360
    found = seals.verify(seals.AUDIT)
    assert (found.breaks, found.rows, found.unsealed) == ([], 360, 0)


def test_long_ranges_are_sealed_and_verified_in_pieces(tenants, monkeypatch):
    monkeypatch.setattr(seals, "RANGE", 50)
    monkeypatch.setattr(seals, "_SEALS_AT_ONCE", 3)
    execute(
        "INSERT INTO tenancy_auditevent (tenant_id, actor, verb, target, detail, at)"
        " SELECT CASE n %% 3 WHEN 0 THEN NULL WHEN 1 THEN %s ELSE %s END, 'ana', 'run.paused', n::text, '{}', now()"
        " FROM generate_series(1, 1000) n",
        [tenant.pk for tenant in tenants],
    )
    assert seal() == 1000
    tracemalloc.start()
    found = seals.verify(seals.AUDIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.breaks, found.rows) == ([], 1000)
    assert found.seals >= 60
    assert peak < 1_000_000


def test_another_ledger_is_sealed_by_being_registered(tenants, monkeypatch):
    monkeypatch.setattr(seals, "LEDGERS", dict(seals.LEDGERS))
    execute("CREATE TEMPORARY TABLE evidence (id bigserial PRIMARY KEY, tenant_id bigint, told text)")
    try:
        seals.register(seals.Ledger(name="evidence", table="evidence", columns=("id", "tenant_id", "told")))
        execute("INSERT INTO evidence (tenant_id, told) VALUES (%s, 'yes'), (%s, 'no')", [tenants[0].pk, tenants[1].pk])
        happen(None)
        assert seals.seal_all(database.now()) == 3
        execute("UPDATE evidence SET told = 'yes'")
        assert len(seals.verify(seals.LEDGERS["evidence"]).breaks) == 1
        assert flaws() == []
    finally:
        execute("DROP TABLE evidence")
