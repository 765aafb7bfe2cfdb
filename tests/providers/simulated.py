"""A simulator over real HTTP, with a client that speaks through the adapters and hears webhooks."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from functools import wraps
from importlib import import_module

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from providers import adapters, delivery
from providers.adapters.base import HttpReply, Message, WebhookRequest
from providers.adapters.plivo import PlivoAdapter, PlivoCredentials
from providers.adapters.simulator import SimulatorAdapter, SimulatorCredentials
from providers.adapters.sinch import SinchAdapter, SinchCredentials, SinchOptions
from providers.adapters.twilio import TwilioAdapter, TwilioCredentials
from providers.adapters.vonage_messages import VonageMessagesAdapter, VonageMessagesCredentials
from providers.adapters.vonage_sms import VonageSmsAdapter, VonageSmsCredentials, VonageSmsOptions
from providers.simulator.app import build

SID = "AC" + "1" * 32
PERSON, SENDER = "+12025550123", "+12025550100"
AUTH_ID, PLAN, KEY = "MA" + "1" * 18, "plan1", "abcd1234"
DIALECTS = [
    ("own", "token1"),
    ("twilio", SID),
    ("plivo", AUTH_ID),
    ("sinch", PLAN),
    ("vonage_sms", KEY),
    ("vonage_messages", KEY),
    ("http_template", "main"),
    ("pineapple", "key-1"),
]
# Of those that tell of their messages only where the account says so, or never, and do not know our reference.
SILENT = [("textback", "tb-key"), ("simpletexting", "st-token"), ("slooce", "partner1")]
both = pytest.mark.parametrize(("dialect", "account"), DIALECTS, ids=[name for name, _ in DIALECTS])
every = pytest.mark.parametrize(("dialect", "account"), DIALECTS + SILENT, ids=[name for name, _ in DIALECTS + SILENT])
# Those that give each message an id; Slooce takes ours for one.
named = pytest.mark.parametrize(("dialect", "account"), [each for each in DIALECTS + SILENT if each[0] != "slooce"])
# What signs the webhooks of each, in a script; the others sign with what their posts are authorized with.
SECRETS = {"own": "hush", "sinch": "hush", "http_template": "hush"}
# Whose reports tell of opt-outs, not their answers.
LATE = frozenset({"plivo", "sinch"})
# Of these nobody knows the words for an opt-out.
VAGUE = frozenset({"simpletexting"})
# Ends that a vendor has no word for, and the word it has.
OTHER_WORDS = {("vonage_sms", "undelivered"): "failed", ("vonage_messages", "failed"): "rejected"}


def runs(scenario):
    @wraps(scenario)
    def test(*args, **kwargs):
        asyncio.run(asyncio.wait_for(scenario(*args, **kwargs), 30))

    return test


class Platform:
    """A client of the simulator, and the receiver of its webhooks."""

    def __init__(self, session, root):
        self.session = session
        self.root = root
        self.hooks = ""
        self.received = []
        self.answers = []  # statuses to give to the next webhooks; then 204

    def own(self):
        return SimulatorAdapter(SimulatorCredentials("token1", "hush"), self.root)

    def twilio(self):
        return TwilioAdapter(TwilioCredentials(SID, "auth-token"), self.root)

    def simpletexting(self):
        return self.simulated("simpletexting")

    def slooce(self):
        return self.simulated("slooce")

    def http_template(self):
        return self.simulated("http_template")

    def pineapple(self):
        return self.simulated("pineapple")

    def textback(self):
        return self.simulated("textback")

    def simulated(self, slug):
        """Return the adapter as its own tests say that it fits the simulator."""
        told = import_module(f"tests.providers.adapters.test_{slug}").SIMULATED
        kind = adapters.get(slug)
        credentials, options = kind.Credentials(**told["credentials"]), kind.Options(**told["options"])
        return kind(credentials, self.root + told["base_path"], options)

    def address(self, adapter, name):
        """Return where the vendor is told to call us, with the token of vendors that sign nothing."""
        token = getattr(adapter.credentials, "webhook_token", "")
        sign = "&" if "?" in name else "?"
        return f"{self.hooks}/{name}" + (f"{sign}token={token}" if token else "")

    def plivo(self):
        return PlivoAdapter(PlivoCredentials(AUTH_ID, "auth-token"), self.root)

    def sinch(self, **options):
        return SinchAdapter(SinchCredentials(PLAN, "token2", "hush"), self.root, SinchOptions(**options))

    def vonage_sms(self):
        credentials = VonageSmsCredentials(KEY, "auth-token", "auth-token")
        return VonageSmsAdapter(credentials, f"{self.root}/vonage_sms", VonageSmsOptions(signature_method="sha256"))

    def vonage_messages(self):
        credentials = VonageMessagesCredentials(KEY, "auth-token", "auth-token")
        return VonageMessagesAdapter(credentials, f"{self.root}/vonage_messages")

    async def control(self, method, path, body=None, *, expect=200):
        async with self.session.request(method, f"{self.root}{path}", json=body) as answer:
            text = await answer.text()
            assert answer.status == expect, text
            return json.loads(text) if text and answer.content_type.endswith("json") else text

    async def tell(self, account, script):
        return await self.control("PUT", f"/_control/accounts/{account}", script)

    async def ledger(self):
        return await self.control("GET", "/_control/ledger")

    async def ledger_when(self, condition):
        """Return the ledger as soon as the condition holds for it."""
        while not condition(ledger := await self.ledger()):
            pass  # the scenario's own time limit ends this
        return ledger

    async def send(self, adapter, number=1, *, to=PERSON, text="Hello", flight=1):
        message = self.message(number, to=to, text=text, flight=flight)
        return adapter.read(message, await self.call(adapter.call(message)))

    def message(self, number=1, *, to=PERSON, text="Hello", flight=1):
        reference = f"{number:032x}{flight:08d}"
        url = f"{self.hooks}/status?ref={reference}" if self.hooks else ""
        return Message(reference, to, SENDER, text, 1, url)

    async def call(self, call):
        """Make an adapter's HTTP call and return the answer as adapters read it."""
        async with self.session.request(
            call.method,
            URL(call.url, encoded=True),
            data=call.body or None,
            headers=dict(call.headers),
            timeout=aiohttp.ClientTimeout(total=10.0),
            allow_redirects=False,
            middlewares=(delivery._Once(),),
        ) as answer:
            named = {name.lower(): value for name, value in answer.headers.items()}
            return HttpReply(answer.status, named, await answer.read())

    async def receive(self, request):
        headers = {name.lower(): value for name, value in request.headers.items()}
        url = str(self.hooks + request.raw_path)
        hook = WebhookRequest(request.method, url, headers, await request.read())
        self.received.append(hook)
        return web.Response(status=self.answers.pop(0) if self.answers else 204)

    async def events(self, adapter, count):
        """Wait for that many events, each from a request that the adapter verifies."""
        await until(lambda: len(self._parsed(adapter)) >= count)
        assert all(adapter.verify(hook) for hook in self.received)
        return self._parsed(adapter)

    def _parsed(self, adapter):
        return [event for hook in self.received for event in adapter.parse(hook)]


async def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def serving(app):
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def platform(*, hooks=False, **options):
    async with serving(build(**options)) as root, aiohttp.ClientSession() as session:
        here = Platform(session, root)
        if not hooks:
            yield here
            return
        receiver = web.Application()
        receiver.router.add_post("/{tail:.*}", here.receive)
        async with serving(receiver) as url:
            here.hooks = url
            yield here
