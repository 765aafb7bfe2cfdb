"""Put the simulator together as an aiohttp application."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from providers.simulator.control import Control
from providers.simulator.dialects import BY_NAME
from providers.simulator.reading import InvalidField
from providers.simulator.script import Script, read_script
from providers.simulator.server import Simulator

SIMULATOR: Final = web.AppKey("simulator", Simulator)
Scripts = Mapping[str, tuple[Script, Mapping[str, Any]]]
_MAX_BODY: Final = 4 * 1024 * 1024


def build(
    *,
    seed: int = 1,
    ledger: Path | None = None,
    concurrency: int = 64,
    scripts: Scripts | None = None,
) -> web.Application:
    """Return the application; `app[SIMULATOR]` is the simulator behind it."""
    app = web.Application(client_max_size=_MAX_BODY)
    simulator = Simulator.create(seed=seed, ledger=ledger, concurrency=concurrency)
    for name, (script, raw) in (scripts or {}).items():
        simulator.accounts.tell(name, script, raw)
    app[SIMULATOR] = simulator
    # Routes are tried in order, so the ones that carry the load stand first.
    app.add_routes(
        [
            *(
                web.route(method, path, handler)
                for dialect in BY_NAME.values()
                for handler, routes in (
                    (simulator.posting(dialect), dialect.posts),
                    (simulator.looking_up(dialect), dialect.look_ups),
                )
                for method, path in routes
            ),
            *Control(simulator).routes(),
        ]
    )

    async def at_work(_app: web.Application) -> AsyncIterator[None]:
        await simulator.webhooks.start()
        yield
        await simulator.close()

    app.cleanup_ctx.append(at_work)
    return app


def read_scripts(path: Path) -> dict[str, tuple[Script, Mapping[str, Any]]]:
    """Return the scripts in a JSON file, an object from account to script; raises InvalidField."""
    try:
        given = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidField(str(path), f"not readable as JSON: {error}") from None
    if not isinstance(given, dict):
        raise InvalidField(str(path), "must be an object from account to script")
    scripts = {}
    for name, raw in given.items():
        try:
            scripts[name] = (read_script(raw), raw)
        except InvalidField as refusal:
            raise InvalidField(f"{name}: {refusal.field}", refusal.problem) from None
    return scripts
