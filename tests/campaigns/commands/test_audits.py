"""The audits say "clean" when it is, and exit with 1 when it is not."""

import pytest

from campaigns.models import Attempt, Batch, Dispatch
from compliance.models import CapWindow
from tests import world
from tests.campaigns.commands.shell import ask, failed, run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sent(simulator):
    acme = world.make(base_url=simulator.url)
    simulator.script("token-acme", receipts=None)
    acme.recipients(2)
    made = acme.run(acme.campaign(name="spring"))
    world.work()
    return made


def test_are_clean_after_a_run(sent):
    assert ask("audit")["clean"]
    assert ask("audit acme spring")["run"] == sent.pk
    assert ask("audit_duplicates")["clean"]
    assert ask("audit_caps") == {"clean": True, "windows": []}
    assert "clean" in run("audit")


def test_find_a_message_accepted_twice(sent):
    first = Attempt.objects.first()
    Attempt.objects.create(
        pk=(first.dispatch_id, 9),
        tenant_id=first.tenant_id,
        account_id=first.account_id,
        sender=first.sender,
        claim=first.claim,
        claimed_at=first.claimed_at,
        horizon_at=first.horizon_at,
        outcome="rejected_retryable",
        proof="receipt",
    )
    said, problem = failed("audit_duplicates")
    assert f"`manage.py explain {first.dispatch_id}`" in said
    assert "1 message(s) were accepted more than once" in problem
    assert "accepted_twice" in failed("audit")[0]


def test_find_a_counter_that_is_wrong(sent):
    CapWindow.objects.update(used=7)
    said, problem = failed("audit_caps")
    assert "7" in said
    assert problem == "1 counter(s) are wrong"
    assert "wrong_caps" in failed("audit")[0]


def test_find_totals_permits_and_batches_that_are_wrong(sent):
    Dispatch.objects.update(state="queued")
    said, problem = failed(f"audit {sent.pk}")
    for name in ("open_in_closed_batches", "wrong_totals", "wrong_permits"):
        assert name in said
    assert "that must not be; see docs/operations.md" in problem
    Batch.objects.update(phase="waiting")
    assert "open_in_closed_batches" not in failed("audit")[0]
