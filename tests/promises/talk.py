"""People who text a brand and hear from it: over our webhook in, through the pipeline and the simulator out."""

from campaigns import answers, notifications
from campaigns.models import Reply
from compliance.models import AutomaticTexts, Suppression
from smsplatform.common import database
from tests import world
from tests.promises import hooks

STOPPED = "Acme Deals: You are unsubscribed and will get no more messages from us. Reply START to resubscribe."
HELP = (
    "Acme Deals: up to 4 msgs/month. Help: acme.com/help or 800-555-0199."
    " Msg&data rates may apply. Reply STOP to opt out."
)
WELCOME = (
    "Acme Deals: you're subscribed! Up to 4 msgs/mo. Msg&data rates may apply."
    " Reply HELP for help, STOP to opt out. Consent not required to buy."
)


def prepare(acme):
    """We answer keywords on the brand's number, and have all that the texts need."""
    acme.sender.opt_out_mode = "self"
    acme.sender.save()
    AutomaticTexts.objects.create(
        tenant=acme.tenant,
        brand=acme.brand,
        program="Acme Deals",
        monthly=4,
        help_page="acme.com/help",
        help_phone="800-555-0199",
    )
    return acme


class Person:
    """Somebody with a telephone."""

    def __init__(self, acme, simulator, number):
        self.acme, self.simulator, self.number = acme, simulator, number

    def writes(self, text, **where):
        """Text the brand; the webhook has answered when this returns."""
        assert hooks.call(self.acme, hooks.inbound(self.acme, self.number, text, **where)) == 204
        return Reply.objects.filter(number=self.number).latest("id")

    def texts(self, text, **where):
        """Text the brand and wait for an answer; return it, or None."""
        before = len(self.heard)
        self.writes(text, **where)
        answers.answer_replies(database.now())
        deliver()
        heard = self.heard[before:]
        assert len(heard) <= 1
        return heard[0] if heard else None

    @property
    def messages(self):
        path = f"/_control/ledger/messages?limit=1000&to={self.number.replace('+', '%2B')}"
        return self.simulator.ask("GET", path)["messages"]

    @property
    def heard(self):
        return [entry["text"] for entry in self.messages]

    @property
    def is_stopped(self):
        return Suppression.objects.filter(
            number=self.number, brand=self.acme.brand, category="", released_at=None
        ).exists()

    @property
    def is_held(self):
        """Nothing is marketed, until somebody has read what the person wrote."""
        return Suppression.objects.filter(
            number=self.number, brand=self.acme.brand, category="marketing", reason="review", released_at=None
        ).exists()


def deliver():
    """What is due of single messages goes out."""
    notifications.collect(database.now())
    while world.work("urgent"):
        pass
