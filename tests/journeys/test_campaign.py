"""A campaign from its CSV file to its receipts, through a real worker, broker, web server and provider over HTTP."""

import pytest

from campaigns import audits, imports, launch, reports, tasks
from campaigns.models import Dispatch, Import, RawEvent, Reply
from campaigns.states import OPEN, State
from compliance.models import Suppression
from smsplatform.common import database
from tests import world
from tests.clocks import awake_zone
from tests.journeys.conftest import until

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

DIALECTS = {
    "simulator": {"token": "token-acme", "webhook_secret": "secret"},
    "twilio": {"account_sid": "AC" + "0" * 32, "auth_token": "secret"},
}


def account_of(provider):
    return DIALECTS[provider].get("token") or DIALECTS[provider]["account_sid"]


def csv_file(tmp_path, count):
    zone = awake_zone()  # New Yorkers on a journey: where they are it is day
    lines = [
        "Mobile,First name,Zone",
        *(f"+1212{2_340_000 + n},Ana,{zone}" for n in range(count)),
        f"nonsense,Bo,{zone}",
        f"+12122340000,Twin,{zone}",
    ]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines))
    return path


def finished(run, tick):
    def check():
        tick()
        run.refresh_from_db()
        return run.materialised_at and not any(reports.totals(run.pk).get(state) for state in OPEN)

    return check


@pytest.mark.parametrize("provider", DIALECTS)
def test_goes_from_the_file_to_the_receipts_and_honours_a_stop(
    provider, worker, simulator, ticking, tmp_path, live_server
):
    acme = world.make(base_url=simulator.url, provider=provider, credentials=DIALECTS[provider])
    hooks = f"{live_server.url}/webhooks/{provider}/{acme.account.key}"
    simulator.script(account_of(provider), receipts={"delivered": 1, "sent": 1}, inbound_url=f"{hooks}/inbound")
    source = imports.create(
        tenant=acme.tenant, list=acme.people, file=str(csv_file(tmp_path, 120)), source=Import.Source.PATH, actor="test"
    )
    tasks.start_import(source.pk)
    until(lambda: Import.objects.get(pk=source.pk).status == "done", "the import")
    source.refresh_from_db()
    assert (source.rows_new, source.rows_duplicate, source.rows_refused) == (120, 1, 1)

    run = launch.launch(campaign=acme.campaign(), occurrence="1", now=database.now(), actor="test")
    tasks.start_materialising(run.pk)
    until(finished(run, ticking), "the run to end")
    until(lambda: reports.totals(run.pk) == {"delivered": 120}, "the receipts")

    person = Dispatch.objects.of_run(run.pk).first().number
    simulator.ask(
        "POST",
        "/_control/inbound",
        {"account": account_of(provider), "from": person, "to": acme.sender.address, "text": "Stop."},
    )
    until(lambda: Suppression.objects.filter(number=person).exists(), "the suppression")
    assert Reply.objects.get().is_opt_out
    again = launch.launch(
        campaign=acme.campaign("Again", name="again"), occurrence="1", now=database.now(), actor="test"
    )
    tasks.start_materialising(again.pk)
    until(finished(again, ticking), "the second run to end")
    assert Dispatch.objects.of_run(again.pk).get(number=person).state == State.BLOCKED
    ledger = simulator.ledger()
    assert (ledger["accepted"], ledger["accepted_twice"], ledger["accepted_after_stop"]) == (239, 0, [])
    until(lambda: not RawEvent.objects.filter(applied_at=None).exists(), "all events")
    assert audits.everything().is_clean


def test_survives_the_worker_being_killed_and_redis_being_flushed(worker, simulator, ticking):
    acme = world.make(base_url=simulator.url)
    acme.account.timeout = 3
    acme.account.save()
    simulator.script("token-acme", latency_ms=30, receipts=None)
    acme.recipients(400)
    run = launch.launch(campaign=acme.campaign(), occurrence="1", now=database.now(), actor="test")
    tasks.start_materialising(run.pk)

    def taken():
        ticking()
        return simulator.ledger()["accepted"] >= 100

    until(taken, "a part to go out")
    worker.kill()
    from smsplatform.common import redis

    redis.client().flushdb()  # all that is this test's: its neighbours share the server
    worker.start()
    until(finished(run, ticking), "the run to end")
    totals = reports.totals(run.pk)
    ledger = simulator.ledger()
    assert sum(totals.values()) == 400
    assert totals["accepted"] <= ledger["accepted"] <= totals["accepted"] + totals.get("unknown", 0)
    assert (ledger["accepted_twice"], ledger["numbers_twice"]) == (0, 0)
    assert audits.everything().is_clean
