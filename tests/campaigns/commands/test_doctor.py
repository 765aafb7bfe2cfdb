"""The doctor says what is wrong and what to do, whatever is down."""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django_celery_beat.models import PeriodicTask

from campaigns import backlog, doctor
from campaigns.findings import Level
from campaigns.models import Attempt, Batch, Dispatch, Import, RawEvent, Run, Trouble
from compliance import traffic
from compliance.models import TrafficCount
from providers import registering
from providers.models import ProviderAccount, Sender
from smsplatform.common import database, redis
from smsplatform.common.database import execute
from smsplatform.tenancy.models import Installation
from tests import world
from tests.campaigns.commands.shell import ask, failed, run
from tests.campaigns.commands.well import make_well

ROOT = Path(__file__).parents[3]
NOBODY = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}


def test_works_within_seconds_when_nothing_is_up():
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        cwd=ROOT,
        env={**os.environ, **NOBODY},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    found = {each["about"]: each for each in json.loads(done.stdout)["findings"]}
    assert "start PostgreSQL, or correct DATABASE_URL" in found["database"]["remedy"]
    assert "start Redis, or correct REDIS_URL" in found["redis"]["remedy"]
    assert found["settings"]["level"] == "ok"
    assert "2 thing(s) are bad" in done.stderr
    assert time.monotonic() - began < 30


@pytest.fixture
def acme(db, monkeypatch, settings):
    settings.PUBLIC_URL = "https://sms.example.com"
    settings.HTTPS = True
    settings.ALLOWED_HOSTS = ["sms.example.com"]
    make_well(monkeypatch)
    return world.make()


def found(about):
    return next(each for each in doctor.examine() if each.about == about)


def test_finds_nothing_where_all_is_well(acme):
    assert [each for each in doctor.examine() if each.level is not Level.OK] == []
    assert ask("doctor")["well"]
    assert "0 bad" in run("doctor")


def test_tells_what_to_do_and_fails_when_something_is_bad(acme, monkeypatch):
    make_well(monkeypatch, queues=["control"])
    said, problem = failed("doctor")
    assert "BAD   queue bulk.http" in said
    assert "-> start a worker: celery -A smsplatform worker -Q bulk.http" in said
    assert problem.startswith("6 thing(s) are bad")


def test_looks_only(acme):
    before = list(Batch.objects.values_list()), list(Run.objects.values_list())
    doctor.examine()
    assert (list(Batch.objects.values_list()), list(Run.objects.values_list())) == before


def test_finds_a_broker_that_is_down(acme, monkeypatch):
    def down():
        raise redis.Unreachable("connection refused")

    monkeypatch.setattr(redis, "client", down)
    assert found("redis").level is Level.BAD
    assert not [each for each in doctor.examine() if each.about.startswith("queue")]


def test_finds_workers_that_cannot_keep_up(acme):
    redis.client().rpush("bulk.http", *range(1001))
    assert found("queue bulk.http").level is Level.WARN


@pytest.mark.parametrize(("off", "level"), [(1, Level.OK), (10, Level.WARN), (60, Level.BAD)])
def test_compares_the_clocks(acme, monkeypatch, off, level):
    real = database.now
    monkeypatch.setattr(doctor.database, "now", lambda: real() + timedelta(seconds=off))
    assert found("clock").level is level


@pytest.mark.parametrize(("minutes", "level"), [(1, Level.OK), (7, Level.WARN), (20, Level.BAD)])
def test_listens_for_beat(acme, minutes, level):
    PeriodicTask.objects.update(last_run_at=database.now() - timedelta(minutes=minutes))
    assert found("beat").level is level


def test_finds_that_beat_never_ran(acme):
    PeriodicTask.objects.all().delete()
    assert (found("beat").level, found("beat").told) == (Level.BAD, "never ran")


def test_finds_batches_that_are_late(acme):
    acme.recipients(1)
    acme.run()
    assert found("due bulk").level is Level.OK
    Batch.objects.update(due_at=database.now() - timedelta(minutes=2))
    assert found("due bulk").level is Level.WARN
    Batch.objects.update(due_at=database.now() - timedelta(minutes=20))
    assert found("due bulk").level is Level.BAD
    run("pause --tenant acme")
    assert found("due bulk").level is Level.OK
    assert "tenant acme since" in found("paused").told


def test_finds_leases_that_nobody_ends(acme):
    acme.recipients(1)
    acme.run()
    Batch.objects.update(phase="leased", lease_until=database.now() - timedelta(minutes=3))
    assert found("leases").level is Level.BAD


def test_finds_events_that_nobody_applies(acme):
    long_ago = database.now() - timedelta(hours=1)
    event = RawEvent.objects.create(
        tenant=acme.tenant, account=acme.account, method="POST", url="/", body=b"", received_at=long_ago
    )
    assert found("events").level is Level.BAD
    RawEvent.objects.filter(pk=event.pk).update(retry_at=database.now())
    assert found("events").level is Level.OK


def test_finds_runs_that_nobody_expands(acme):
    acme.recipients(1)
    made = acme.run()
    long_ago = database.now() - timedelta(hours=1)
    Run.objects.filter(pk=made.pk).update(materialised_at=None, materialise_at=long_ago, lease_until=None)
    assert found("runs").level is Level.BAD


def test_finds_imports_that_nobody_runs(acme):
    Import.objects.create(
        tenant=acme.tenant, list=acme.people, file="x", created_at=database.now() - timedelta(hours=1)
    )
    assert found("imports").level is Level.BAD


@pytest.mark.parametrize("kind", ["dead", "unknown"])
def test_counts_what_is_in_trouble(acme, kind):
    Trouble.objects.create(tenant=acme.tenant, kind=kind, since=database.now() - timedelta(hours=5, minutes=5))
    assert (found(f"{kind} messages").level, found(f"{kind} messages").told) == (Level.WARN, "1, the oldest for 5 h")


def test_sees_that_sending_is_stopped(acme):
    run("stop_sending")
    assert "`manage.py start_sending`" in found("sending").remedy


def test_sees_that_the_database_is_a_copy(acme):
    Installation.objects.create(pk=1, identity="another:1")
    assert "`manage.py accept_database`" in found("identity").remedy
    assert found("identity").level is Level.BAD


def test_sees_credentials_that_cannot_be_read(acme):
    ProviderAccount.objects.update(secret="nonsense")
    assert found("provider accounts").level is Level.BAD
    assert "CREDENTIAL_KEYS" in found("provider accounts").remedy


def test_sees_a_message_accepted_twice(acme):
    acme.recipients(1)
    acme.run()
    one = Dispatch.objects.get()
    for flight, outcome in ((1, "accepted"), (2, "rejected_retryable")):
        Attempt.objects.create(
            pk=(one.pk, flight),
            tenant_id=acme.tenant.pk,
            account_id=acme.account.pk,
            sender="x",
            claim=one.pk,
            claimed_at=database.now(),
            horizon_at=database.now(),
            outcome=outcome,
            proof="receipt",
        )
    assert found("duplicates").level is Level.BAD


def test_sees_rows_in_the_default_partitions(acme):
    acme.recipients(1)
    acme.run()
    execute("UPDATE campaigns_dispatch SET id = '00000000-0000-0001-0000-000000000001'")
    assert (found("partitions").level, "1 row(s) in campaigns_dispatch_default" in found("partitions").told) == (
        Level.WARN,
        True,
    )


def test_warns_of_long_codes_that_carriers_block(acme):
    real = world.make("real", provider="twilio", credentials={"account_sid": "AC1", "auth_token": "t"})
    assert found("registrations").level is Level.OK
    for last in range(5):
        Sender.objects.create(tenant=real.tenant, brand=real.brand, account=real.account, address=f"+1212555012{last}")
    said = found("registrations")
    assert said.level is Level.WARN
    assert said.told == (
        f"{registering.WORDS}: +12125550120 of main, +12125550121 of main, +12125550122 of main and 2 more"
    )
    assert said.remedy == registering.REMEDY


def test_sees_migrations_that_are_missing(acme):
    execute("DELETE FROM django_migrations WHERE app = 'tracking'")
    findings = {each.about: each for each in doctor.examine()}
    assert findings["migrations"].remedy == "run `manage.py migrate`"
    assert "switches" not in findings


@pytest.mark.parametrize(
    ("changes", "about", "level"),
    [
        ({"PUBLIC_URL": "http://127.0.0.1:8000", "ALLOWED_HOSTS": ["127.0.0.1"]}, "PUBLIC_URL", Level.WARN),
        ({"PUBLIC_URL": "http://sms.example.com", "HTTPS": False}, "PUBLIC_URL", Level.WARN),
        ({"ALLOWED_HOSTS": ["other.example.com"]}, "ALLOWED_HOSTS", Level.BAD),
        ({"DEBUG": True}, "DEBUG", Level.WARN),
        ({"CREDENTIAL_KEYS": ["short"]}, "settings", Level.BAD),
        ({"CREDENTIAL_KEYS": []}, "settings", Level.BAD),
    ],
)
def test_judges_the_settings(acme, settings, changes, about, level):
    for name, value in changes.items():
        setattr(settings, name, value)
    assert found(about).level is level


def test_goes_on_when_one_check_cannot_be_made(acme, monkeypatch):
    def broken(**_):
        raise ValueError("no such thing")

    monkeypatch.setattr(backlog.audits, "duplicates", broken)
    assert found("duplicates").told == "cannot be read: no such thing"
    assert found("partitions").level is Level.OK


def test_does_not_wait_for_a_long_count(acme, monkeypatch):
    monkeypatch.setattr(doctor, "_SLOWEST", "10ms")
    monkeypatch.setattr(backlog.audits, "duplicates", lambda **_: execute("SELECT pg_sleep(20)"))
    assert found("duplicates").level is Level.WARN
    assert "`manage.py audit`" in found("duplicates").remedy


def test_says_that_a_range_of_numbers_waits_for_a_review(acme):
    assert found("traffic").level is Level.OK
    row = TrafficCount.objects.create(
        tenant=acme.tenant, subject="range:+1212234", starts_at=database.now(), held_at=database.now()
    )
    assert found("traffic").level is Level.OK
    for minutes, level in ((6, Level.WARN), (125, Level.BAD)):
        TrafficCount.objects.update(held_at=database.now() - timedelta(minutes=minutes))
        assert found("traffic").level is level
        assert "Ranges of numbers to review" in found("traffic").remedy
    traffic.decide(count=row, let_through=True, by="ann", now=database.now())
    assert found("traffic").level is Level.OK


def test_says_where_few_confirm_their_opt_in(acme):
    assert found("opt-ins").level is Level.OK
    for _ in range(20):
        traffic.note_opt_in_asked(tenant=acme.tenant, number="+12122345678", now=database.now())
    assert (found("opt-ins").level, found("opt-ins").told) == (Level.WARN, "confirmed for acme, US: 0 of 20")
