"""`python -m providers.simulator`: serve until SIGTERM or Ctrl-C. See docs/simulator.md."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from aiohttp import web

from providers.simulator import mail
from providers.simulator.app import SIMULATOR, Scripts, build, read_scripts
from providers.simulator.reading import InvalidField


def main() -> None:
    """Read the arguments and serve."""
    arguments = _parser().parse_args()
    try:
        scripts = read_scripts(arguments.scripts) if arguments.scripts else {}
    except InvalidField as refusal:
        raise SystemExit(f"scripts: {refusal}") from None
    asyncio.run(_serve(arguments, scripts))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m providers.simulator",
        description="Takes messages, misbehaves as told, keeps a ledger.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", type=int, default=8025, help="0 picks a free one (%(default)s)")
    parser.add_argument("--smtp-port", type=int, help="take mail here too; 0 picks a free one")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (%(default)s)")
    parser.add_argument("--scripts", type=Path, help="JSON file: object from account to script")
    parser.add_argument("--ledger", type=Path, help="file that lets the ledger survive a kill")
    parser.add_argument("--concurrency", type=int, default=64, help="webhooks in the air (%(default)s)")
    return parser


async def _serve(arguments: argparse.Namespace, scripts: Scripts) -> None:
    app = build(
        seed=arguments.seed,
        ledger=arguments.ledger,
        concurrency=arguments.concurrency,
        scripts=scripts,
    )
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=75.0, shutdown_timeout=2.0)
    await runner.setup()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        site = web.TCPSite(runner, arguments.host, arguments.port, backlog=1024)
        await site.start()
        host, port = runner.addresses[0][:2]
        told = f"Simulator at http://{host}:{port}\n"
        if arguments.smtp_port is not None:
            door = await mail.serve(app[SIMULATOR], arguments.host, arguments.smtp_port)
            told += f"Mail at {mail.address(door)}\n"
        sys.stdout.write(told)
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    main()
