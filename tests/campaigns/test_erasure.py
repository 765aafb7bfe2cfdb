"""Who asks to be forgotten is forgotten, and never texted again; what was counted stays counted."""

from datetime import timedelta

import pytest

from campaigns import erasure, imports, launch, notifications, receipts, sending, settling, tasks
from campaigns.models import (
    Attempt,
    Dispatch,
    Import,
    ListMember,
    RawEvent,
    Receipt,
    Recipient,
    RefusedRow,
    Reply,
)
from campaigns.states import State
from compliance import consent, suppression
from compliance import erasure as erased
from compliance.models import (
    Consent,
    ConsentState,
    ErasedPerson,
    NotTextable,
    Permit,
    StopLine,
    Suppression,
    TrafficCount,
)
from compliance.policy import Category
from smsplatform.common import crypto, database
from smsplatform.common.database import rows
from smsplatform.tenancy import seals
from smsplatform.tenancy.models import AuditEvent, Brand
from tests import world
from tests.clocks import awake_zone
from tests.promises import hooks, sound
from tests.promises.conftest import TOKEN
from tests.promises.together import Gate, Job, gated
from tracking.models import Click, Link

pytestmark = pytest.mark.django_db(transaction=True)

PLUGH = "Plughia"


@pytest.fixture(autouse=True)
def small(settings, monkeypatch):
    settings.HORIZON_MARGIN = timedelta(seconds=0.1)
    settings.RETRY_FIRST = settings.RETRY_LONGEST = 0.0
    monkeypatch.setattr(sending, "GROUP_WAIT", 0.02)
    monkeypatch.setattr(tasks, "_start", lambda batch: None)
    monkeypatch.setattr(tasks.apply_events, "apply_async", lambda *_, **__: None)


@pytest.fixture
def acme(simulator):
    simulator.script(TOKEN, receipts=None)
    return world.make(base_url=simulator.url)


def erase(acme, number, *, now=None, **more):
    person = erasure.ask(
        tenant=acme.tenant, number=number, reason="letter of 3 November", actor="ana", now=now or database.now(), **more
    )
    assert erasure.work(person.pk)
    return ErasedPerson.objects.get(pk=person.pk)


def finish(person, settings):
    """The days pass in which reports may come."""
    over = settings.REPORT_HORIZON + timedelta(hours=2)
    ErasedPerson.objects.filter(pk=person.pk).update(asked_at=person.asked_at - over)
    assert erasure.at_work(database.now()) == [person.pk]
    assert erasure.work(person.pk)


def everywhere(*canaries):
    """Where any of these stands in the database: every text, JSON and bytes of every table of ours."""
    columns = rows(
        """
        SELECT table_name, column_name, data_type FROM information_schema.columns
        JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND data_type IN
          ('text', 'character varying', 'jsonb', 'bytea', 'bigint', 'inet', 'ARRAY')
        """
    )
    found = set()
    for table, column, kind in columns:
        shown = f"encode(\"{column}\", 'escape')" if kind == "bytea" else f'"{column}"::text'
        for canary in canaries:
            if rows(f'SELECT 1 FROM "{table}" WHERE position(%s IN {shown}) > 0 LIMIT 1', [canary]):
                found.add(f"{table}.{column}")
    return found


def whole_story(acme, simulator):
    """A person with a message of each kind, a link that was followed, an answer and reports."""
    person = acme.recipient(first_name=PLUGH)
    other = acme.recipient(first_name="Other")
    run = acme.run(text="Hello {{ first_name }}: https://shop.example/offer/{{ first_name }}")
    world.work()
    assert world.states(run) == {State.ACCEPTED: 2}
    dispatch = Dispatch.objects.of_run(run.pk).get(recipient=person)
    single = notifications.send(
        brand=acme.brand,
        number=person.number,
        text=f"Dear {PLUGH}",
        now=database.now(),
        category=Category.TRANSACTIONAL,
    )
    notifications.collect(database.now())
    world.work("urgent")
    hooks.call(acme, {**hooks.report(dispatch.pk), "detail": f"{person.number} has it", "to": person.number})
    hooks.call(acme, hooks.inbound(acme, person.number, f"Thank you, says {PLUGH}"))
    receipts.apply_events()
    code = Link.objects.get(dispatch_id=dispatch.pk).code
    Click.objects.create(
        tenant=acme.tenant, code=code, dispatch_id=dispatch.pk, method="GET", ip="203.0.113.77", user_agent=PLUGH,
        signals={"accept-language": PLUGH},
    )  # fmt: skip
    noted(acme, person)
    waiting = acme.run(key="2", text="Again, {{ first_name }}")
    return person, other, run, dispatch, single, waiting


def noted(acme, person):
    """What the rules keep about a person."""
    now = database.now()
    who = {"tenant": acme.tenant, "number": person.number}
    consent.record(
        brand=acme.brand, number=person.number, event=consent.Event.GRANTED, tier=consent.Tier.WRITTEN,
        source=consent.Source.WEB_FORM, action="ticked the box", page_url="https://acme.example/join",
        disclosure="Yes, send me offers.", identity=PLUGH,
        ip="203.0.113.77", user_agent=PLUGH, occurred_at=now, now=now,
    )  # fmt: skip
    StopLine.objects.create(brand=acme.brand, told_at=now, **who)
    NotTextable.objects.create(reason="landline", provider="any", code="1", **who)
    TrafficCount.objects.create(tenant=acme.tenant, subject="prefix:+1", starts_at=now, recent={person.number: 1})


def test_nothing_of_the_person_is_left_anywhere(acme, simulator, settings):
    person, other, run, dispatch, single, waiting = whole_story(acme, simulator)
    assert len(everywhere(person.number[2:], PLUGH, "203.0.113.77")) > 10
    cost = Dispatch.objects.get(pk=dispatch.pk).segments
    before = {
        model: model.objects.count()
        for model in (Dispatch, Attempt, Receipt, Reply, RawEvent, Link, Click, Permit, Recipient)
    }
    person_id = person.pk
    seals.seal_all(database.now())
    gone = erase(acme, person.number)
    assert everywhere(person.number[2:], PLUGH, "203.0.113.77") == {"compliance_erasedperson.number"}
    finish(gone, settings)
    assert everywhere(person.number[2:], PLUGH, "203.0.113.77") == set()
    # The evidence of consent stays, about somebody of whom only the hash is known, and nothing holds any more.
    assert Consent.objects.get(brand=acme.brand).number == gone.keyed
    assert not ConsentState.objects.exists()
    assert not seals.verify(seals.LEDGERS["consent"]).breaks
    # What was counted stays.
    assert {model: model.objects.count() for model in before} == before
    kept = Dispatch.objects.get(pk=dispatch.pk)
    assert (kept.recipient_id, kept.segments, kept.state) == (person_id, cost, State.DELIVERED)
    assert kept.accepted_at is not None
    assert Dispatch.objects.get(pk=single).state == State.ACCEPTED
    assert world.states(run) == {State.DELIVERED: 1, State.ACCEPTED: 1}
    assert Recipient.objects.get(pk=person_id).fields == {}
    assert not ListMember.objects.filter(recipient=person_id).exists()
    # Nobody else is touched.
    assert Recipient.objects.get(pk=other.pk).fields == {"first_name": "Other"}
    assert "Other" in Dispatch.objects.of_run(run.pk).get(recipient=other).text
    # And what waited for the person will not come.
    world.work()
    assert world.states(waiting) == {State.BLOCKED: 1, State.ACCEPTED: 1}
    assert Dispatch.objects.of_run(waiting.pk).get(recipient=person_id).reason == "erased@1"
    sound.check()


def test_the_trail_says_who_asked_and_why_and_not_who_was_erased(acme):
    person = acme.recipient()
    erase(acme, person.number)
    event = AuditEvent.objects.get(verb="person.erased")
    assert (event.actor, event.detail["reason"]) == ("ana", "letter of 3 November")
    assert event.target == f"+1*******{person.number[-4:]}"
    assert person.number[2:-4] not in str((event.target, event.detail, event.before, event.after))


def test_a_number_that_comes_back_is_not_texted(acme, simulator):
    """By whatever way, and past the import: the claim knows the hash."""
    person = acme.recipient()
    number = person.number
    erase(acme, number)
    again = Recipient.objects.create(
        tenant=acme.tenant, number=number, zones=f"{awake_zone()};NY", zone_source="explicit", country="US"
    )
    ListMember.objects.create(tenant=acme.tenant, list=acme.people, recipient=again)
    run = acme.run()
    single = notifications.send(brand=acme.brand, number=number, text="Hi", now=database.now())
    notifications.collect(database.now())
    world.work()
    world.work("urgent")
    assert world.states(run) == {State.BLOCKED: 1}
    assert Dispatch.objects.get(pk=single).reason == "erased@1"
    assert simulator.ledger()["posts"] == 0
    sound.check()


def imported(acme, tmp_path, *numbers):
    file = tmp_path / "people.csv"
    file.write_text("number,first_name\n" + "".join(f"{number},Ana\n" for number in numbers))
    source = imports.create(tenant=acme.tenant, list=acme.people, file=str(file), source=Import.Source.PATH)
    assert imports.run(source.pk)
    source.refresh_from_db()
    return source


OLD, NEW = "an-old-pepper-that-is-long-enough-0", "a-new-pepper-that-is-long-enough-00"


@pytest.mark.parametrize("rotation", [([OLD], [OLD]), ([OLD], [NEW, OLD])], ids=["one pepper", "pepper changed"])
def test_an_import_does_not_take_the_person_in_again(acme, simulator, settings, tmp_path, rotation):
    settings.NUMBER_PEPPERS = rotation[0]
    number, other = "+12127364242", "+12127364243"
    assert imported(acme, tmp_path, number, other).rows_new == 2
    erase(acme, number)
    settings.NUMBER_PEPPERS = rotation[1]
    source = imported(acme, tmp_path, number, other)
    assert (source.rows_new, source.rows_same, source.rows_refused) == (0, 1, 1)
    [row] = RefusedRow.objects.filter(source=source)
    assert (row.line, row.reason) == (2, "erased")
    assert "2736" not in row.detail
    assert not Recipient.objects.filter(number=number).exists()
    Recipient.objects.update(zones=f"{awake_zone()};NY")
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1}
    # The other order: imported under one pepper, erased under the next.
    erase(acme, other)
    assert imported(acme, tmp_path, number, other).rows_refused == 2


def test_without_the_pepper_nobody_of_the_tenant_is_texted(acme, simulator, settings):
    """Fail closed: an erased person could be among them."""
    settings.NUMBER_PEPPERS = [OLD]
    erase(acme, acme.recipient().number)
    other = acme.recipient()
    zebra = world.make("zebra", base_url=simulator.url)
    simulator.script("token-zebra", receipts=None)
    zebra.recipient()
    settings.NUMBER_PEPPERS = [NEW]
    run, theirs = acme.run(), zebra.run()
    world.work()
    [held] = Dispatch.objects.of_run(run.pk)
    assert (held.state, held.reason, held.number) == (State.HELD, "erased_unreadable@1", other.number)
    assert world.states(theirs) == {State.ACCEPTED: 1}
    assert list(erased.unreadable().values()) == [1]
    settings.NUMBER_PEPPERS = [NEW, OLD]
    world.work(now=database.now() + timedelta(minutes=6))
    Dispatch.objects.of_run(run.pk).update(not_before=database.now())
    world.work(now=database.now() + timedelta(minutes=6))
    assert world.states(run) == {State.ACCEPTED: 1}


@pytest.mark.parametrize("was_erased_before", [False, True])
def test_what_comes_back_from_the_air_is_not_handed_on(acme, simulator, monkeypatch, was_erased_before):
    """One account refuses for the moment, another would take it within the same turn: the ask alone must stop that."""
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited"}])
    spare = world.ProviderAccount(tenant=acme.tenant, name="spare", provider="simulator", base_url=simulator.url)
    spare.set_credentials({"token": "token-second", "webhook_secret": "secret"})
    spare.save()
    simulator.script("token-second", receipts=None)
    world.Sender.objects.create(tenant=acme.tenant, brand=acme.brand, account=spare, address="+18885559999", position=1)
    gone, _ = sorted(acme.recipients(2), key=lambda person: person.pk)
    asked = {"tenant": acme.tenant, "number": gone.number, "reason": "a letter", "actor": "ana"}
    if was_erased_before:
        erasure.ask(**asked, is_suppressed=False, now=database.now())
    acme.run()
    monkeypatch.setattr(sending, "SLICE", 1)
    claim, claimed = sending._Turn._claim, []

    def asking(turn, granted):
        if claimed == [gone.number]:  # in the air; whom the next claim looks for is remembered
            erasure.ask(**asked, now=database.now())
        claimed.extend(each.row.number for each in granted)
        return claim(turn, granted)

    monkeypatch.setattr(sending._Turn, "_claim", asking)
    world.work()
    assert claimed.count(gone.number) == 2
    sent = {entry["to"] for entry in simulator.ask("GET", "/_control/ledger/messages?limit=100")["messages"]}
    assert gone.number not in sent
    sound.check()


def test_opt_outs_are_kept_under_the_hash_and_still_hold(acme):
    person = acme.recipient()
    hooks.stop(acme, person.number)
    gone = erase(acme, person.number, is_suppressed=False)
    assert gone.is_suppressed  # an opt-out outlives whatever was wished for
    [kept] = Suppression.objects.all()
    assert kept.number == crypto.keyed(person.number)
    assert (kept.reason, kept.released_at) == ("opt_out", None)
    # Opted out again, erased again: still one live opt-out.
    suppression.suppress(brand=acme.brand, number=person.number, reason="opt_out", source="reply", now=database.now())
    erase(acme, person.number)
    assert Suppression.objects.filter(released_at=None).count() == 1
    assert not Suppression.objects.filter(number=person.number).exists()


def test_a_stop_that_comes_while_an_erasure_is_at_work_outlives_it(acme, simulator, settings):
    """May be texted again, it was said; then the person says STOP, to a message that was under way."""
    person = acme.recipient()
    gone = erase(acme, person.number, is_suppressed=False)
    hooks.stop(acme, person.number)
    finish(gone, settings)
    gone.refresh_from_db()
    assert (gone.is_suppressed, gone.number) == (True, "")
    again = Recipient.objects.create(
        tenant=acme.tenant, number=person.number, zones=f"{awake_zone()};NY", zone_source="explicit", country="US"
    )
    ListMember.objects.create(tenant=acme.tenant, list=acme.people, recipient=again)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.BLOCKED: 1}
    assert simulator.ledger()["posts"] == 0


def test_what_the_platform_forbids_for_everybody_stays_as_it_is(acme):
    person = acme.recipient()
    suppression.suppress_everywhere(number=person.number, reason="legal", source="operator", now=database.now())
    erase(acme, person.number)
    assert Suppression.objects.get().number == person.number


def test_who_never_opted_out_may_be_left_textable(acme, simulator):
    person = acme.recipient()
    gone = erase(acme, person.number, is_suppressed=False)
    assert not gone.is_suppressed
    again = Recipient.objects.create(
        tenant=acme.tenant, number=person.number, zones=f"{awake_zone()};NY", zone_source="explicit", country="US"
    )
    ListMember.objects.create(tenant=acme.tenant, list=acme.people, recipient=again)
    run = acme.run()
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1}


def test_another_tenants_person_is_another(acme, simulator):
    zebra = world.make("zebra", base_url=simulator.url)
    simulator.script("token-zebra", receipts=None)
    person = acme.recipient()
    theirs = Recipient.objects.create(
        tenant=zebra.tenant, number=person.number, zones=f"{awake_zone()};NY", zone_source="explicit", country="US"
    )
    ListMember.objects.create(tenant=zebra.tenant, list=zebra.people, recipient=theirs)
    run = zebra.run()
    erase(acme, person.number)
    world.work()
    assert world.states(run) == {State.ACCEPTED: 1}
    theirs.refresh_from_db()
    assert theirs.number == person.number


def test_in_the_middle_of_a_running_send(acme, simulator, monkeypatch):
    """What is in the air is in the air; nothing is sent after, and the totals add up."""
    monkeypatch.setattr(sending, "SLICE", 2)
    acme.account.concurrency = 2
    acme.account.save()
    people = sorted(acme.recipients(8), key=lambda person: person.pk)
    run = acme.run()
    gate = Gate()
    gated(monkeypatch, settling, "settle", gate)  # the first slice is out
    chain = Job(world.work)
    gate.wait()
    gone = [erase(acme, people[0].number), erase(acme, people[-1].number)]  # one is out, one waits
    gate.open()
    chain.result()
    assert world.states(run) == {State.ACCEPTED: 7, State.BLOCKED: 1}
    sent = {entry["to"] for entry in simulator.ask("GET", "/_control/ledger/messages?limit=100")["messages"]}
    assert people[-1].number not in sent
    assert len(sent) == 7
    assert set(Dispatch.objects.filter(number__startswith="#").values_list("number", flat=True)) == {
        f"#{one.pk}" for one in gone
    }
    sound.check()


@pytest.mark.parametrize("stages", range(1, 5))
def test_before_any_stage_of_a_running_chain(acme, simulator, stages):
    people = acme.recipients(4)
    run = acme.run()
    batch = world.only_batch(run)
    lease = world.start(batch)
    for place, stage in enumerate(world.PIPELINE):
        if place == stages:
            erase(acme, people[1].number)
        stage.run(batch.pk, lease)
    assert world.states(run) == {State.ACCEPTED: 3, State.BLOCKED: 1}
    sound.check()


def test_a_retry_does_not_bring_the_person_back(acme, simulator):
    """Refused for the moment, erased, due again: it is not sent to what is left of the number."""
    person = acme.recipient()
    simulator.script(TOKEN, receipts=None, faults=[{"fault": "rate_limited"}])
    run = acme.run()
    world.work()
    assert world.states(run) == {State.HELD: 1}
    erase(acme, person.number)
    assert world.states(run) == {State.BLOCKED: 1}
    simulator.script(TOKEN, receipts=None)
    world.work(now=database.now() + timedelta(hours=1))
    assert world.states(run) == {State.BLOCKED: 1}
    assert simulator.ledger()["posts"] == 1
    sound.check()


def test_messages_made_meanwhile_by_who_did_not_know_are_caught(acme, simulator, settings, monkeypatch):
    """A run that is being expanded has read the number already."""
    person = acme.recipient()
    number = person.number
    run = launch.launch(campaign=acme.campaign(), occurrence="1", now=database.now(), actor="test")
    gate = Gate()
    gated(monkeypatch, launch, "_insert", gate)
    making = Job(lambda: launch.materialise(run.pk))
    gate.wait()
    gone = erase(acme, number)
    gate.open()
    making.result()
    assert Dispatch.objects.of_run(run.pk).get().number == number
    world.work()
    assert world.states(run) == {State.BLOCKED: 1}
    assert simulator.ledger()["posts"] == 0
    finish(gone, settings)
    assert everywhere(number[2:]) == set()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", range(len(erasure._STEPS)))
def test_goes_on_where_it_was_killed(acme, simulator, settings, monkeypatch, step):
    person, *_ = whole_story(acme, simulator)

    def killed(*_):
        raise Killed

    steps = list(erasure._STEPS)
    broken = [*steps[:step], killed, *steps[step + 1 :]]
    asked = erasure.ask(tenant=acme.tenant, number=person.number, reason="r", actor="ana", now=database.now())
    monkeypatch.setattr(erasure, "_STEPS", tuple(broken))
    with pytest.raises(Killed):
        erasure.work(asked.pk)
    monkeypatch.setattr(erasure, "_STEPS", tuple(steps))
    assert erasure.at_work(database.now()) == [asked.pk]
    tasks.erase_people()
    assert everywhere(person.number[2:], PLUGH, "203.0.113.77") == {"compliance_erasedperson.number"}
    assert erasure.at_work(database.now()) == []
    sound.check()


def test_twice_is_once(acme, simulator):
    person, *_ = whole_story(acme, simulator)
    number = person.number
    first = erase(acme, number)
    counts = dict(first.counts)
    second = erase(acme, number)
    assert second.pk == first.pk
    assert second.counts == counts
    assert ErasedPerson.objects.count() == 1


def test_two_at_once_do_it_once(acme, simulator):
    person, *_ = whole_story(acme, simulator)
    asked = erasure.ask(tenant=acme.tenant, number=person.number, reason="r", actor="ana", now=database.now())
    jobs = [Job(lambda: erasure.work(asked.pk)) for _ in range(2)]
    [job.result() for job in jobs]
    erasure.work(asked.pk)
    assert everywhere(person.number[2:], PLUGH) == {"compliance_erasedperson.number"}
    sound.check()


def test_reports_that_come_later_are_emptied_too(acme, simulator, settings):
    person = acme.recipient()
    run = acme.run()
    world.work()
    gone = erase(acme, person.number)
    dispatch = Dispatch.objects.of_run(run.pk).get()
    hooks.call(acme, {**hooks.report(dispatch.pk), "to": person.number})
    hooks.call(acme, hooks.inbound(acme, person.number, "Who is this?"))
    receipts.apply_events()
    assert world.states(run) == {State.DELIVERED: 1}  # what is counted goes on being counted
    assert "campaigns_rawevent.body" in everywhere(person.number[2:])
    finish(gone, settings)
    assert everywhere(person.number[2:]) == set()


def test_nobody_is_looked_for_where_nobody_was_erased(acme, monkeypatch):
    asked = []
    among = erased.among
    monkeypatch.setattr(erased, "among", lambda **given: asked.append(given["numbers"]) or among(**given))
    people = acme.recipients(5)
    acme.run()
    world.work()
    assert asked == []
    erase(acme, people[0].number)
    run = acme.run(key="2")
    world.work()
    # Once for the check, and once a turn for all of its claims.
    assert [sorted(numbers) for numbers in asked] == [sorted(person.number for person in people[1:])] * 2
    assert world.states(run) == {State.ACCEPTED: 4}


def test_mail_addresses_are_forgotten_as_well(acme):
    single = notifications.send(brand=acme.brand, number="Ana.B@example.com", text="Dear Ana", now=database.now())
    erase(acme, "ana.b@Example.com")
    kept = Dispatch.objects.get(pk=single)
    assert kept.number.startswith("#")
    assert (kept.text, kept.state) == ("", State.BLOCKED)
    assert everywhere("ana.b@example.com") == {"compliance_erasedperson.number"}


def events_left(acme, address, *bodies):
    """Those of these events of providers that are still there when the address is erased."""
    now = database.now()
    made = [
        RawEvent.objects.create(
            tenant=acme.tenant, account=acme.account, method="POST", url="/x", body=body.encode(), received_at=now,
            applied_at=now,
        )
        for body in bodies
    ]  # fmt: skip
    erase(acme, address)
    kept = {event.pk: bytes(event.body) for event in RawEvent.objects.all()}
    return [body for event, body in zip(made, bodies, strict=True) if kept[event.pk]]


def test_events_about_an_address_are_emptied_and_other_peoples_stay(acme):
    theirs = "From: Ben@Example.com\n\nAsk ana.b, she is my Ana.Best friend at example.com."
    assert events_left(acme, "ana.b@example.com", "From: Ana.B@Example.com\n\nHello", theirs) == [theirs]


@pytest.mark.parametrize(
    "written",
    [
        "AL@example.com",
        "From: <al@example.com>",
        "Final-Recipient: rfc822;al@example.com.",
        "from=al%40example.com&text=Hello",
        "from=Ana+%3CAl%40Example.com%3E",
        "text=I+am+al%40example.com+now",
        '{"from": "al@example.com"}',
        '{"from": "al\\u0040example.com"}',
        '{"from": "Al \\u003cal@example.com\\u003e"}',
        '{"text": "I am\\nal@example.com\\n"}',
        '{"Message": "{\\"from\\": \\"al\\\\u0040example.com\\"}"}',
        "Zoë\x00—al@example.com—",
    ],
)
def test_an_address_is_found_however_it_is_written(acme, written):
    assert events_left(acme, "al@example.com", written) == []


@pytest.mark.parametrize(
    "address", ["pal@example.com", "x.al@example.com", "x+al@example.com", "al@example.com.au", "al@example.community"]
)
def test_an_address_that_ends_or_begins_alike_is_somebody_elses(acme, address):
    form = f"from={address}".replace("+", "%2B").replace("@", "%40")
    assert events_left(acme, "al@example.com", f"From: {address}", form) == [f"From: {address}", form]


def test_an_address_with_signs_is_found_escaped_as_well(acme):
    written = (
        "From: o'neil+é@example.com",
        "from=o%27neil%2B%C3%A9%40example.com",
        '"o\\u0027neil\\u002b\\u00e9@example.com"',
    )
    assert events_left(acme, "o'neil+é@example.com", *written, "From: neil@example.com") == ["From: neil@example.com"]


def test_a_brands_other_people_are_found_by_index(acme):
    """Erased are found by (tenant, hash): no scan, however many they are."""
    database.execute(
        "INSERT INTO compliance_erasedperson (tenant_id, keyed, is_suppressed, number, reason, asked_by, asked_at, cursor,"
        " counts) SELECT %s, 'aaaaaaaa:' || n, true, '', '', 'x', now(), '{}', '{}' FROM generate_series(1, 5000) n",
        [acme.tenant.pk],
    )
    database.execute("ANALYZE compliance_erasedperson")
    plan = "\n".join(
        line
        for (line,) in rows(
            "EXPLAIN SELECT keyed FROM compliance_erasedperson WHERE tenant_id = %s AND is_suppressed AND keyed = ANY(%s)",
            [acme.tenant.pk, [crypto.keyed(f"+1212555{n:04d}") for n in range(500)]],
        )
    )
    assert "one_erased_person" in plan
    assert Brand.objects.count() == 1
