"""The demo's processes: started like in `make run`, ended by pid, and one of them killed on purpose."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from smsplatform import processes

NAMES: Final = ("simulator", "web", "worker-sql", "worker-http", "worker-urgent", "beat")


class DemoFailed(Exception):
    """Something the demo waits for did not come."""


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Stage:
    """The running processes."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        self.running[name] = processes.start(name, log_path=self.logs / f"{name}.log")

    def kill(self, name: str) -> int:
        """kill -9 of a worker and its children, as an out-of-memory killer would; return its pid."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return process.pid

    def stop(self) -> None:
        """End everything: first who makes work, then who does it, then the simulator."""
        for names in (("beat", "web"), ("worker-sql", "worker-http", "worker-urgent"), ("simulator",)):
            group = [self.running.pop(name) for name in names if name in self.running]
            for process in group:
                process.terminate()
            for process in group:
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def check(self) -> None:
        """Raise DemoFailed if a process has ended by itself."""
        for name, process in self.running.items():
            if process.poll() is not None:
                raise DemoFailed(f"{name} ended by itself; its last words are in {self.logs / name}.log")


def wait_for(condition: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    """Wait until the condition holds; raises DemoFailed."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise DemoFailed(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.2)


class Simulator:
    """The provider's side of the story, over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)  # noqa: S310 - loopback
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def is_up(self) -> bool:
        with contextlib.suppress(OSError):
            self.ask("GET", "/_control/healthz")
            return True
        return False

    def ledger(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", "/_control/ledger")
        return found

    def messages(self, limit: int = 1000) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"/_control/ledger/messages?limit={limit}")["messages"]
        return found


def get(url: str, agent: str) -> int:
    """Follow one short link, without its redirect, and return the status."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    request = urllib.request.Request(url, headers={"User-Agent": agent, "Accept-Language": "en-US"})  # noqa: S310
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
