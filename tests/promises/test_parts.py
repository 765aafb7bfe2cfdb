"""Delivery reports of texts in parts: delivered is what has arrived whole."""

import pytest

from campaigns import receipts
from campaigns.models import Attempt, Dispatch, RawEvent
from campaigns.states import State
from providers.adapters.base import Receipt, ReceiptStatus
from smsplatform.common import database
from tests import world

pytestmark = pytest.mark.django_db(transaction=True)
ARRIVED, LOST, SENT = ReceiptStatus.DELIVERED, ReceiptStatus.FAILED, ReceiptStatus.SENT


@pytest.mark.parametrize(
    ("reports", "state"),
    [
        ([[("a", ARRIVED)]], State.ACCEPTED),
        ([[("a", ARRIVED), ("b", ARRIVED)]], State.DELIVERED),
        ([[("a", ARRIVED)], [("b", ARRIVED)]], State.DELIVERED),
        ([[("a", ARRIVED)], [("a", ARRIVED)]], State.ACCEPTED),
        ([[("a", ARRIVED)], [("b", LOST)]], State.UNDELIVERED),
        ([[("b", LOST)], [("a", ARRIVED)]], State.UNDELIVERED),
        ([[("a", ARRIVED), ("b", LOST)]], State.UNDELIVERED),
        ([[("b", LOST), ("a", ARRIVED)]], State.UNDELIVERED),
        ([[("a", SENT), ("b", ARRIVED)]], State.ACCEPTED),
    ],
)
def test_a_text_is_delivered_when_all_of_its_parts_are(acme, reports, state):
    acme.recipients(1)
    run = acme.run()
    world.work()
    dispatch = Dispatch.objects.of_run(run.pk).get()
    Attempt.objects.update(parts=2)
    for together in reports:
        raws = [
            RawEvent.objects.create(
                tenant=acme.tenant, account=acme.account, method="POST", url="/", body=b"", applied_at=database.now()
            )
            for _ in together
        ]
        told = [
            receipts.Report(raw, 0, Receipt(part, status, part=part), (dispatch.pk, 1))
            for raw, (part, status) in zip(raws, together, strict=True)
        ]
        receipts._keep(told)
        with receipts.transaction.atomic():
            receipts._prove(told, database.now())
    assert world.states(run) == {state: 1}
