"""Whatever happens to a message, no log names the person and no log quotes a text (facts §8.1).

One story with everything in it, every logger at DEBUG. Each line is written twice: as it is masked, and as it would be
without; the second proves that the first could fail.
"""

import io
import logging

import pytest
from django.conf import settings as configured
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from campaigns import imports, launch, notifications, receipts, replies, tasks
from campaigns.admin.people import RecipientAdmin
from campaigns.models import Import, Recipient
from campaigns.states import State
from smsplatform.common import database
from smsplatform.common import logging as ours
from smsplatform.tenancy.models import AuditEvent, User
from tests import world
from tests.clocks import awake_zone
from tests.promises import hooks
from tests.promises.conftest import TOKEN

pytestmark = pytest.mark.django_db(transaction=True)

FIELD, ANSWER, STREET = "Plughia", "xyzzyish words", "203.0.113.77"
NUMBERS = [f"+1212736424{n}" for n in range(8)]


@pytest.fixture
def written():
    """What is logged: masked, and as it came."""
    root = logging.getLogger()
    before = root.handlers[:]
    ours.configure({"level": "DEBUG", "format": "json"})
    [handler] = root.handlers[-1:] if len(root.handlers) == 1 else [
        each for each in root.handlers if isinstance(each.formatter, ours._Formatter)
    ]  # fmt: skip
    masked, plain = io.StringIO(), io.StringIO()
    handler.setStream(masked)
    as_it_came = logging.StreamHandler(plain)
    as_it_came.setFormatter(logging.Formatter("%(message)s"))
    root.handlers.insert(0, as_it_came)  # before the masks change the record
    for name in list(logging.Logger.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    connection.force_debug_cursor = True
    yield masked, plain
    connection.force_debug_cursor = False
    for name in list(logging.Logger.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.handlers[:] = before
    ours.configure(configured.LOGGING)


def told(stream, *canaries):
    lines = stream.getvalue().splitlines()
    return [line for line in lines for canary in canaries if canary in line]


def test_a_whole_story_names_nobody(acme, simulator, written, tmp_path, monkeypatch):
    masked, plain = written
    acme.account.timeout = 1
    acme.account.save()
    # In: a file with good and bad rows.
    file = tmp_path / "people.csv"
    rows = [f"{number},{FIELD}\n" for number in NUMBERS] + [f"{NUMBERS[0][:-1]},{FIELD}\n", f"{NUMBERS[1]},{FIELD}\n"]
    file.write_text("number,first_name\n" + "".join(rows))
    source = imports.create(tenant=acme.tenant, list=acme.people, file=str(file), source=Import.Source.PATH)
    assert imports.run(source.pk)
    world.Recipient.objects.update(zones=f"{awake_zone()};NY")  # where it is day
    # Out: taken, refused, in doubt, without an answer, not understood.
    simulator.script(
        TOKEN,
        receipts=None,
        reject=[NUMBERS[0]],
        faults=[
            {"fault": "accept_then_drop", "to": [NUMBERS[1]]},
            {"fault": "garbled", "to": [NUMBERS[2]]},
            {"fault": "rate_limited", "to": [NUMBERS[3]]},
            {"fault": "html", "to": [NUMBERS[4]]},
            {"fault": "slow", "seconds": 3, "to": [NUMBERS[5]]},
        ],
    )
    campaign = acme.campaign(text="Dear {{ first_name }}, see https://shop.example/{{ first_name }}")
    run = launch.launch(campaign=campaign, occurrence="1", now=database.now(), actor="ana")
    launch.materialise(run.pk)
    world.work()
    assert len(world.states(run)) > 2
    # Single messages, with a link and without.
    single = notifications.send(brand=acme.brand, number=NUMBERS[6], text=f"Dear {FIELD}", now=database.now())
    notifications.collect(database.now())
    world.work("urgent")
    assert world.Dispatch.objects.get(pk=single).state == State.ACCEPTED
    # Back: reports, answers, STOP, what is forged, what is broken.
    hooks.call(acme, {**hooks.report(single), "to": NUMBERS[6]})
    hooks.call(acme, hooks.inbound(acme, NUMBERS[6], f"{ANSWER}, {FIELD}"), hooks.inbound(acme, NUMBERS[7], "STOP"))
    assert hooks.call(acme, hooks.inbound(acme, NUMBERS[6], ANSWER), secret="wrong") == 403
    assert hooks.call(acme, {"id": "x", "type": "inbound", "from": NUMBERS[6], "text": 3}) == 400
    tasks.apply_events()
    receipts.apply_events()
    replies.tidy_stops(database.now())
    tasks.recover()
    tasks.keep_house()
    # Errors with values in them: in a page, in the database, in the middle of a stage.
    admin = Client(raise_request_exception=False)
    admin.force_login(User.objects.create_superuser("root@example.com"))
    person = Recipient.objects.get(number=NUMBERS[6])

    def fails(*_):
        raise RuntimeError(f"no page for {NUMBERS[6]} ({ANSWER})".replace(ANSWER, "something"))

    monkeypatch.setattr(RecipientAdmin, "page_context", fails)
    page = admin.get(reverse("admin:campaigns_recipient_change", args=[person.pk]), REMOTE_ADDR=STREET)
    assert page.status_code == 500
    admin.get(reverse("admin:campaigns_recipient_changelist"), {"q": NUMBERS[6]}, REMOTE_ADDR=STREET)
    log = logging.getLogger("some.package")
    try:
        with transaction.atomic():
            Recipient.objects.create(tenant=acme.tenant, number=NUMBERS[6], fields={"first_name": FIELD})
    except IntegrityError:
        log.exception("could not store %s from %s", NUMBERS[6], STREET)
    # Nothing of it anywhere.
    canaries = [*(number[2:] for number in NUMBERS), FIELD, ANSWER, STREET]
    assert told(masked, *canaries) == []
    assert len(masked.getvalue().splitlines()) > 200
    for canary in (NUMBERS[6][2:], FIELD, ANSWER, STREET):
        assert told(plain, canary), f"{canary} was never at stake"
    # What was done is in the trail, and names nobody there either.
    trail = str(list(AuditEvent.objects.values()))
    assert [canary for canary in canaries if canary in trail] == []
