"""`manage.py up`: migrate, make a login, and keep every process of the platform up (`make run`)."""

import os
import secrets
import socket
from argparse import ArgumentParser
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from smsplatform import embedded, processes
from smsplatform.embedded import home

EMAIL: Final = "admin@example.com"


class Command(BaseCommand):
    """Everything the platform needs, in one terminal, until Ctrl-C."""

    help = "Run the whole platform on this machine: migrate, make a login, start every process."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        names = ",".join(processes.PROCESSES)
        parser.add_argument("--only", help=f"some of {names}")
        parser.add_argument("--no-migrate", action="store_true", help="leave the schema as it is")
        parser.add_argument("--reload", action="store_true", help="restart when the code changes")

    def handle(self, *_: Any, **options: Any) -> None:
        """Prepare, print where to go, supervise."""
        names = _chosen(options["only"])
        _claim(names)
        ports = _ports(names)
        os.environ.update(ports)
        os.environ.setdefault("PUBLIC_URL", f"http://127.0.0.1:{ports['PORT']}")
        if not options["no_migrate"]:
            call_command("migrate", interactive=False, verbosity=1)
        if "web" in names:
            _collect_static()
        login = _login()
        flower_login = os.environ.setdefault("FLOWER_BASIC_AUTH", _flower_login())
        connections.close_all()
        self.stdout.write(
            "\n"
            f"  Admin      http://127.0.0.1:{ports['PORT']}/admin/\n"
            f"             {login}\n"
            f"  Simulator  http://127.0.0.1:{ports['SIMULATOR_PORT']}/\n"
            f"  Flower     http://127.0.0.1:{ports['FLOWER_PORT']}/\n"
            f"             {flower_login.replace(':', '  ', 1)}\n\n"
        )
        self.stdout.flush()
        processes.Supervisor(
            [processes.PROCESSES[name] for name in names],
            tend=embedded.tend,
            reload=options["reload"],
        ).run()


def _chosen(only: str | None) -> list[str]:
    names = only.split(",") if only else list(processes.PROCESSES)
    unknown = set(names) - set(processes.PROCESSES)
    if unknown:
        raise CommandError(f"Unknown: {', '.join(sorted(unknown))}. There are {', '.join(processes.PROCESSES)}.")
    return names


def _claim(names: Iterable[str]) -> None:
    """Make sure that no other `up` runs one of these; the locks end with this process."""
    home.make()
    running = [name for name in names if home.try_lock(f"up-{name}.lock") is None]
    if running:
        raise CommandError(
            f"Another `manage.py up` runs {', '.join(running)} with {embedded.var()}. Stop it, "
            "choose others with --only, or set SMS_VAR to run a second platform beside it."
        )


def _ports(names: Iterable[str]) -> dict[str, str]:
    """The port of each name in PORTS; only a default moves when it is taken."""
    used = {part for name in names for part in processes.PROCESSES[name].arguments}
    ports = {}
    for name, default in processes.PORTS.items():
        given = os.environ.get(name)
        is_ours = any(f"{{{name}}}" in part for part in used)
        if given and is_ours and not _is_free(int(given)):
            raise CommandError(f"{name} is {given}, and that port is taken.")
        wanted = int(given or default)
        candidates = range(wanted, wanted + 100)
        free = next((p for p in candidates if _is_free(p)), wanted) if is_ours else wanted
        ports[name] = str(free)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def _collect_static() -> None:
    """Make the manifest, which pages need without DEBUG; it takes seconds, so only when old."""
    manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
    sources = [processes.ROOT / "requirements.txt", *(processes.ROOT / "static").rglob("*")]
    newest = max((path.stat().st_mtime for path in sources if path.is_file()), default=0.0)
    if not settings.DEBUG and not (manifest.is_file() and manifest.stat().st_mtime > newest):
        call_command("collectstatic", interactive=False, verbosity=0)


def _login() -> str:
    """One line with the administrator's login; made, and kept in login.txt, if there is none."""
    users: Any = get_user_model()
    file = embedded.var() / "login.txt"
    if not users.objects.filter(is_superuser=True).exists():
        password = secrets.token_urlsafe(12)
        users.objects.create_superuser(email=EMAIL, password=password)
        _write_private(file, f"{EMAIL}  {password}\n")
        return f"{EMAIL}  {password}   (kept in {file})"
    if file.is_file():
        email, _, password = file.read_text().strip().partition("  ")
        user = users.objects.filter(email=email).first()
        if user is not None and user.check_password(password):
            return f"{email}  {password}   (kept in {file})"
    return "with the login you have; `manage.py changepassword` sets a new password"


def _write_private(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)


def _flower_login() -> str:
    return f"admin:{embedded.secret('flower_password', lambda: secrets.token_urlsafe(12))}"
