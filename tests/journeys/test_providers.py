"""Every provider's whole story in one world: texts go out, reports and replies come back, and a STOP ends it.

Each adapter has a tenant of its own; all share the worker, the web server and the simulator. How an adapter fits the
simulator is said by its own tests, in `SIMULATED`.
"""

import urllib.request
from dataclasses import dataclass
from importlib import import_module
from time import time

import pytest

from campaigns import audits, launch, notifications, reports, sending, tasks
from campaigns.models import Attempt, Dispatch, Lane, RawEvent, Reply
from campaigns.states import State
from compliance.models import Suppression
from providers.adapters import ADAPTERS
from providers.simulator.dialects import BY_NAME
from providers.simulator.dialects.base import Event
from smsplatform.common import database
from tests import world
from tests.conftest import Simulator
from tests.journeys.conftest import until

PEOPLE = 20
# Both are longer than one SMS; some vendors hand on the pieces of a reply one by one.
LONG_TEXT = "Your order is on its way, and this says in more than one part where it is now. " * 3
LONG_REPLY = " ".join(["Thanks! I am at home from nine to five, so please ring the bell twice."] * 3)


def told(slug):
    return import_module(f"tests.providers.adapters.test_{slug}").SIMULATED


@dataclass
class Story:
    """What happens at one provider."""

    slug: str
    told: dict
    world: world.World
    simulator: Simulator
    hooks: str
    numbers: list[str]

    @classmethod
    def begin(cls, slug, simulator, public_url):
        ours = told(slug)
        root = simulator.mail_url if ours.get("transport") == "smtp" else simulator.url
        here = world.make(
            slug.replace("_", "-"), base_url=root + ours["base_path"], provider=slug, credentials=ours["credentials"]
        )
        here.account.options = ours["options"]
        here.account.segments_per_second = 200  # at some vendors' own rates it would take minutes
        here.account.save()
        # An address is one brand's, at whatever vendors.
        here.sender.address = ours["sender"].replace("+12025550100", f"+120255501{sorted(ADAPTERS).index(slug):02d}")
        here.sender.save()
        if ADAPTERS[slug].channel == "email":
            numbers = [f"ana.{number}@example.com" for number in range(PEOPLE)]
        else:
            numbers = [person.number for person in here.recipients(PEOPLE)]
        story = cls(slug, ours, here, simulator, f"{public_url}/webhooks/{slug}/{here.account.key}", numbers)
        story.tell(receipts={"delivered": 1, "sent": 1})
        return story

    @property
    def account(self):
        return self.told["account"]

    @property
    def dialect(self):
        return BY_NAME[self.slug]

    @property
    def best(self):
        """Return where a text that arrives ends, by what this vendor tells."""
        return State.ACCEPTED if self.told.get("reports") == "never" else State.DELIVERED

    @property
    def confirms_stop(self):
        """Whether the confirmation of a STOP is ours: the vendor does not answer it, nor the network; mail is not answered."""
        stop = Reply.objects.get(brand=self.world.brand, is_opt_out=True)
        ours = ADAPTERS[self.slug]
        is_theirs = stop.answered_as or "STOP" in ours.answered_words
        return ours.channel == "sms" and not is_theirs and self.world.sender.keyword_mode != "network_tollfree"

    @property
    def confirmation(self):
        """The message that confirms the STOP; None before there is one."""
        return Reply.objects.get(brand=self.world.brand, is_opt_out=True).answer

    @property
    def confirmed(self):
        """What became of the confirmation."""
        return Dispatch.objects.filter(pk=self.confirmation).values_list("state", "reason").first()

    @property
    def reports_on_parts(self):
        return len(self.dialect.events(self.event(), 2)) > 1

    def hook(self, name):
        """Return the address that the vendor was given, with what proves those that sign nothing."""
        token = self.told["credentials"].get("webhook_token")
        return f"{self.hooks}/{name}" + (f"?token={token}" if token else "")

    def tell(self, **script):
        """Tell the simulator what to do; and where to call us, as far as a post does not say it."""
        if self.told.get("reports") == "by account":
            script["status_url"] = self.hook("status")
        self.simulator.script(self.account, **self.told["script"], inbound_url=self.hook("inbound"), **script)

    def text_everybody(self, name):
        """Return the run's id. Who has only an address is no recipient of a campaign, and gets single messages."""
        if ADAPTERS[self.slug].channel == "email":
            lane = Lane.URGENT if name == "first" else Lane.BULK  # each has a run of its own
            ids = [self.text(number.title(), f"Hello, {name}", lane) for number in self.numbers]
            return Dispatch.objects.get(pk=ids[0]).run_id
        campaign = self.world.campaign(name=f"{self.slug} {name}")
        run = launch.launch(campaign=campaign, occurrence=name, now=database.now(), actor="test", is_meant=True)
        tasks.start_materialising(run.pk)
        return run.pk

    def text(self, number, text, lane=Lane.URGENT):
        return notifications.send(brand=self.world.brand, number=number, text=text, lane=lane, now=database.now())

    def write(self, number, text):
        """Let a person write to the brand."""
        said = {"account": self.account, "from": number, "to": self.world.sender.address, "text": text}
        self.simulator.ask("POST", "/_control/inbound", said)

    def replies(self):
        return set(Reply.objects.filter(brand=self.world.brand).values_list("number", "to", "text", "is_opt_out"))

    def event(self, **more):
        return Event("1", self.account, self.numbers[0], self.world.sender.address, time(), **more)

    def report_parts(self, dispatch_id):
        """Report on a long text part by part, and yield its state when each report is applied."""
        attempt = Attempt.objects.get(dispatch_id=dispatch_id)
        whole = Event(
            attempt.provider_id,
            self.account,
            self.numbers[2],
            self.world.sender.address,
            time(),
            status="delivered",
            reference=sending.reference(dispatch_id, attempt.flight),
        )
        for part in self.dialect.events(whole, attempt.parts):
            hook = self.dialect.hook(self.hook("status"), self.told["script"].get("secret", ""), [part])
            call = urllib.request.Request(hook.url, hook.body, dict(hook.headers), method=hook.method)
            with urllib.request.urlopen(call, timeout=10):
                until(all_events_are_applied, f"the report on {part.id}")
            yield Dispatch.objects.get(pk=dispatch_id).state


def until_each(stories, see, wanted, what, tick=lambda: None):
    """Wait until every story shows what is wanted of it; a failure tells what the others show instead."""
    seen = {}

    def all_show():
        tick()
        seen.update((story.slug, see(story)) for story in stories)
        return all(seen[story.slug] == wanted(story) for story in stories)

    try:
        until(all_show, what)
    except AssertionError:
        assert seen == {story.slug: wanted(story) for story in stories}, what
        raise


def all_events_are_applied():
    return not RawEvent.objects.filter(applied_at=None).exists()


@pytest.mark.parametrize("slug", ADAPTERS)
def test_its_tests_say_how_it_fits_the_simulator(slug):
    assert told(slug).keys() >= {"account", "credentials", "options", "base_path", "sender", "script"}


def test_no_two_share_an_account_at_the_simulator():
    accounts = [told(slug)["account"] for slug in ADAPTERS]
    assert sorted(set(accounts)) == sorted(accounts)


@pytest.mark.journey
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("worker")
def test_goes_from_the_first_text_to_the_stop(simulator, ticking, live_server):
    stories = [Story.begin(slug, simulator, live_server.url) for slug in ADAPTERS]

    runs = {story.slug: story.text_everybody("first") for story in stories}
    until_each(
        stories, lambda s: reports.totals(runs[s.slug]), lambda s: {s.best: PEOPLE}, "the first texts' reports", ticking
    )

    for story in stories:
        story.write(story.numbers[0], LONG_REPLY)
        story.write(story.numbers[1], "STOP")
    until_each(
        stories,
        Story.replies,
        lambda s: {
            (s.numbers[0], s.world.sender.address, LONG_REPLY, False),
            (s.numbers[1], s.world.sender.address, "STOP", True),
        },
        "the replies",
    )
    stopped = set(Suppression.objects.values_list("brand_id", "number"))  # some vendors say so, too
    assert stopped == {(story.world.brand.pk, story.numbers[1]) for story in stories}

    runs = {story.slug: story.text_everybody("second") for story in stories}
    until_each(
        stories,
        lambda s: reports.totals(runs[s.slug]),
        lambda s: {s.best: PEOPLE - 1, State.BLOCKED: 1},
        "the second texts' reports",
        ticking,
    )
    for story in stories:
        assert Dispatch.objects.get(run_id=runs[story.slug], state=State.BLOCKED).number == story.numbers[1]

    confirmed = [story for story in stories if story.confirms_stop]
    until_each(
        confirmed,
        lambda s: s.confirmed,
        lambda s: (s.best, ""),
        "the confirmations",
        ticking,
    )
    check_ledgers(
        simulator,
        {story.account: 2 * PEOPLE - 1 + story.confirms_stop for story in stories},
        after_stop={sending.reference(story.confirmation, 1) for story in confirmed},
    )


@pytest.mark.journey
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("worker")
def test_a_long_text_is_delivered_when_all_its_parts_are(simulator, ticking, live_server):
    stories = [Story.begin(slug, simulator, live_server.url) for slug in ADAPTERS]
    in_parts = [story for story in stories if story.reports_on_parts]

    def ending(story):
        if len(LONG_TEXT) > story.told.get("longest", 1600):
            return State.REJECTED
        return State.ACCEPTED if story in in_parts else story.best

    for story in in_parts:
        story.tell(receipts=None)  # its reports come from here, one by one
    ids = {story.slug: story.text(story.numbers[2], LONG_TEXT) for story in stories}
    until_each(
        stories, lambda s: Dispatch.objects.get(pk=ids[s.slug]).state, ending, "the long texts' reports", ticking
    )
    for story in in_parts:
        *before, last = story.report_parts(ids[story.slug])
        assert (set(before), last) == ({State.ACCEPTED}, State.DELIVERED), story.slug
    check_ledgers(simulator, {story.account: 1 for story in stories if ending(story) != State.REJECTED})


def check_ledgers(simulator, accepted, after_stop=frozenset()):
    """The simulator took as many texts as it should, none twice, after a STOP only these; and we know of all of it."""
    ledger = simulator.ledger()
    assert {name: counts["accepted"] for name, counts in ledger["accounts"].items()} == accepted
    assert (ledger["accepted_twice"], len(ledger["accepted_after_stop"])) == (0, len(after_stop))
    # not every vendor is given our reference
    assert {entry["reference"] for entry in ledger["accepted_after_stop"]} - {""} <= after_stop
    until(all_events_are_applied, "all events")
    assert not RawEvent.objects.exclude(flaw="").exists()
    assert audits.everything().is_clean
