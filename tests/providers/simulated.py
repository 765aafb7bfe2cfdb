"""A simulator over real HTTP, with a client that speaks through the adapters and hears webhooks."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from functools import wraps

import aiohttp
import pytest
from aiohttp import web

from providers.adapters.base import HttpReply, Message, WebhookRequest
from providers.adapters.simpletexting import SimpleTextingAdapter, SimpleTextingCredentials
from providers.adapters.simulator import SimulatorAdapter, SimulatorCredentials
from providers.adapters.slooce import SlooceAdapter, SlooceCredentials
from providers.adapters.twilio import TwilioAdapter, TwilioCredentials
from providers.simulator.app import build

SID = "AC" + "1" * 32
PERSON, SENDER = "+12025550123", "+12025550100"
DIALECTS = [("own", "token1"), ("twilio", SID)]
both = pytest.mark.parametrize(("dialect", "account"), DIALECTS, ids=["own", "twilio"])
# And those that give back no reference, or report nothing: for posting they are as good as any.
POSTED = [*DIALECTS, ("simpletexting", "st-token"), ("slooce", "partner1")]
every = pytest.mark.parametrize(("dialect", "account"), POSTED, ids=[name for name, _ in POSTED])
SAY_OPTED_OUT = {"own", "twilio"}  # of the others nobody knows the words for it


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
        return SimpleTextingAdapter(SimpleTextingCredentials("st-token", "hush"), f"{self.root}/v2")

    def slooce(self):
        credentials = SlooceCredentials("partner1", "s3cret", "hush")
        return SlooceAdapter(credentials, f"{self.root}/slooce_apps/spi")

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
        reference = f"{number:032x}{flight:08d}"
        url = f"{self.hooks}/status?ref={reference}" if self.hooks else ""
        message = Message(reference, to, SENDER, text, 1, url)
        return adapter.read(message, await self.exchange(adapter.call(message)))

    async def exchange(self, call):
        """Return the simulator's answer to a request of an adapter's."""
        async with self.session.request(
            call.method,
            call.url,
            data=call.body,
            headers=dict(call.headers),
            timeout=aiohttp.ClientTimeout(total=10.0),
            allow_redirects=False,
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
