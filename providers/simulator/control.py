"""The control side: scripts in, ledger out. Every refusal is a 400 that names the field."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any, Final

from aiohttp import web

from providers.simulator.accounts import Account
from providers.simulator.dialects import DEFAULT
from providers.simulator.dialects.base import Entry
from providers.simulator.page import render
from providers.simulator.reading import Fields, InvalidField
from providers.simulator.script import read_script
from providers.simulator.server import Simulator

_PAGE_LIMIT: Final = 1_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """The routes under /_control, and the front page."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        account = "/_control/accounts/{account}"
        routes: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.page),
            ("GET", "/_control/healthz", self.healthz),
            ("GET", "/_control/accounts", self.accounts),
            ("PUT", account, self.put_account),
            ("GET", account, self.get_account),
            ("DELETE", account, self.delete_account),
            ("GET", "/_control/ledger", self.ledger),
            ("DELETE", "/_control/ledger", self.reset_ledger),
            ("GET", "/_control/ledger/messages", self.messages),
            ("GET", "/_control/ledger/stops", self.stops),
            ("GET", "/_control/rates", self.rates),
            ("POST", "/_control/inbound", self.inbound),
        ]
        # Not a middleware: that would stand in the way of every message too.
        return [web.route(method, path, _refusing(handler)) for method, path, handler in routes]

    async def page(self, _request: web.Request) -> web.Response:
        """Show everything to a person."""
        told = [_described(account) for account in self._simulator.accounts.all()]
        html = render(told, self._summary())
        return web.Response(text=html, content_type="text/html")

    async def healthz(self, _request: web.Request) -> web.Response:
        """Say that the simulator is up."""
        up = time.time() - self._simulator.started_at
        return web.json_response({"ok": True, "uptime_seconds": round(up, 3)})

    async def accounts(self, _request: web.Request) -> web.Response:
        """Return every account's script and counts."""
        told = [_described(account) for account in self._simulator.accounts.all()]
        return web.json_response({"accounts": told})

    async def put_account(self, request: web.Request) -> web.Response:
        """Tell an account what to do."""
        raw = await _json(request)
        self._simulator.accounts.tell(request.match_info["account"], read_script(raw), raw)
        return await self.get_account(request)

    async def get_account(self, request: web.Request) -> web.Response:
        """Return an account's script."""
        account = self._simulator.accounts.known(request.match_info["account"])
        if account is None:
            return web.json_response({"error": "this account is not known"}, status=404)
        return web.json_response(_described(account))

    async def delete_account(self, request: web.Request) -> web.Response:
        """Return an account to the default script."""
        self._simulator.accounts.forget(request.match_info["account"])
        return web.Response(status=204)

    async def ledger(self, _request: web.Request) -> web.Response:
        """Return totals and whatever should not have happened."""
        return web.json_response(self._summary())

    async def reset_ledger(self, _request: web.Request) -> web.Response:
        """Forget everything taken so far."""
        self._simulator.ledger.reset()
        return web.Response(status=204)

    async def messages(self, request: web.Request) -> web.Response:
        """Return a page of acceptances; `after` is the `next` of the page before."""
        query = request.query
        limit = _number(query, "limit", 100, highest=_PAGE_LIMIT)
        after = _number(query, "after", 0)
        names = ("account", "reference", "to", "sender")
        found = self._simulator.ledger.find(**{name: query.get(name, "") for name in names})
        rows = list(islice((pair for pair in found if pair[0] >= after), limit + 1))
        more = rows[limit][0] if len(rows) > limit else None
        return web.json_response({"messages": [_message(entry) for _, entry in rows[:limit]], "next": more})

    async def stops(self, _request: web.Request) -> web.Response:
        """Return every STOP with its times."""
        return web.json_response({"stops": self._simulator.ledger.stop_times()})

    async def rates(self, request: web.Request) -> web.Response:
        """Return what went through per second."""
        report = self._simulator.ledger.rates.report(request.query.get("account", ""))
        return web.json_response(report)

    async def inbound(self, request: web.Request) -> web.Response:
        """Let a person text one of an account's numbers."""
        given = Fields(await _json(request))
        name, number = given.text("account"), given.text("from")
        sender, text = given.text("to"), given.text("text")
        given.done()
        for field, value in (("account", name), ("from", number), ("to", sender)):
            if not value:
                raise InvalidField(field, "missing")
        account = self._simulator.accounts.get(name)
        if not account.script.inbound_url:
            raise InvalidField("account", f"the script of {name} has no inbound_url")
        if not account.secret:
            raise InvalidField("account", f"the script of {name} has no secret to sign with")
        account.dialect = account.dialect or DEFAULT
        return web.json_response({"id": self._simulator.aftermath.inbound(account, number, sender, text)}, status=202)

    def _summary(self) -> dict[str, Any]:
        webhooks = self._simulator.webhooks
        return {
            **self._simulator.ledger.summary(),
            "webhooks": {**asdict(webhooks.tally), "waiting": webhooks.waiting},
        }


def _refusing(handler: Handler) -> Handler:
    """Return the handler with refusals turned into a 400 that names the field."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except InvalidField as refusal:
            return web.json_response({"error": {"field": refusal.field, "problem": refusal.problem}}, status=400)

    return handle


async def _json(request: web.Request) -> Mapping[str, Any]:
    try:
        value = json.loads(await request.read() or b"null")
    except ValueError as error:
        raise InvalidField("", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidField("", "the body must be a JSON object")
    return value


def _number(query: Mapping[str, str], name: str, default: int, *, highest: int = 10**12) -> int:
    given = query.get(name, "")
    if not given:
        return default
    if not given.isascii() or not given.isdigit() or not int(given[:20]) <= highest:
        raise InvalidField(name, f"must be a whole number up to {highest}")
    return int(given)


def _described(account: Account) -> dict[str, Any]:
    return {"account": account.name, "dialect": account.dialect, "script": account.raw}


def _message(entry: Entry) -> dict[str, Any]:
    return entry._asdict()
