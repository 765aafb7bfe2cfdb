"""The ground under chaos and bench: services, processes and a simulator of their own, all on loopback.

`prepare` comes before anything of Django is imported; `Ground` then starts processes like `make run` does, any number
of each kind, and ends them by pid.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import time as clock_time
from pathlib import Path
from typing import Self

from tests.clocks import awake_zone

ROOT = Path(__file__).resolve().parent.parent
# Who makes work ends first, then who does it, then the provider.
_ENDS = ("beat", "web", "flower", "worker", "simulator")


class GroundFailed(Exception):
    """Something that was waited for did not come."""


def prepare(name: str, **settings: str) -> Path:
    """Empty `.var/<name>`, run embedded services of our own there, migrate, and return the directory."""
    from smsplatform.demo.stage import free_port

    place = ROOT / ".var" / name
    for variable in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "CREDENTIAL_KEYS", "NUMBER_PEPPERS"):
        os.environ.pop(variable, None)
    os.environ.update(DJANGO_SETTINGS_MODULE="smsplatform.settings", SMS_VAR=str(place))
    from smsplatform import embedded

    if place.is_dir():
        embedded.stop()  # what a killed run left
        shutil.rmtree(place)
    place.mkdir(parents=True)
    port = free_port()
    os.environ.update(
        PORT=str(port),
        PUBLIC_URL=f"http://127.0.0.1:{port}",
        SIMULATOR_PORT=str(free_port()),
        LOG_LEVEL="WARNING",
        LOG_FORMAT="console",
        **settings,
    )
    embedded.use_where_unconfigured()
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    return place


def clear() -> None:
    """Forget all that belongs to tenants, and what the queues hold: the next measure finds an empty platform."""
    from smsplatform.common import redis
    from smsplatform.common.database import execute, rows

    named = rows(
        """
        SELECT table_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
        WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND column_name = 'tenant_id'
        """
    )
    truncate = f"TRUNCATE tenancy_tenant, {', '.join(name for (name,) in named)} CASCADE"
    # as the database's owner may: what is only ever added to lets nobody else empty it
    execute(f"SET session_replication_role = replica; {truncate}; SET session_replication_role = origin")
    redis.client().flushdb()


def wait_for(condition: Callable[[], object], what: str, *, seconds: float = 60, every: float = 0.1) -> None:
    """Wait until the condition holds; raises GroundFailed."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise GroundFailed(f"waited {seconds:g} s in vain for {what}")
        time.sleep(every)


class Ground:
    """The running processes, each under a name of its own ("worker-http", "worker-http/2", …)."""

    def __init__(self, place: Path) -> None:
        from smsplatform.demo.stage import Simulator

        self.logs = place / "logs"
        self.logs.mkdir(exist_ok=True)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.simulator = Simulator(f"http://127.0.0.1:{os.environ['SIMULATOR_PORT']}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *names: str, **env: str) -> None:
        """Start processes; what follows the slash tells several of a kind apart."""
        from smsplatform import processes

        for name in names:
            kind, log = name.partition("/")[0], self.logs / f"{name.replace('/', '-')}.log"
            self.running[name] = processes.start(kind, log_path=log, env=env)
        if "simulator" in names:
            wait_for(self.simulator.is_up, "the simulator")
        if "web" in names:
            wait_for(self.is_web_up, "the web process")

    def wait_for_worker(self, name: str) -> None:
        """Wait until a worker (of this kind, whichever of several) takes work."""
        from celery import current_app

        node = f"{name.partition('/')[0].removeprefix('worker-')}@{socket.gethostname()}"
        answers = current_app.control.inspect([node], timeout=0.5)
        wait_for(answers.ping, name)

    def is_web_up(self) -> bool:
        from smsplatform.demo.stage import get

        with contextlib.suppress(OSError):
            return get(f"{os.environ['PUBLIC_URL']}/ping", "ground") == 200
        return False

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a process and its children."""
        os.killpg(self.running[name].pid, number)

    def kill(self, name: str) -> None:
        """kill -9 of a process and its children, as the kernel short of memory would."""
        self.signal(name, signal.SIGKILL)
        self.running.pop(name).wait()

    def stop(self, *names: str, seconds: float = 20) -> None:
        """End processes (all of them unless named) in order; what does not listen is killed."""
        wanted = [name for name in self.running if not names or name in names]
        for kind in _ENDS:
            group = [name for name in wanted if name.startswith(kind)]
            for name in group:
                self.running[name].terminate()
            for name in group:
                process = self.running.pop(name)
                try:
                    process.wait(timeout=seconds)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


@dataclass(frozen=True)
class Client:
    """A tenant with a brand, an account at the simulator, and people on a list."""

    slug: str
    tenant_id: int
    brand_id: int
    account_id: int
    list_id: int
    people: int


def make_client(
    slug: str,
    people: int,
    *,
    base_url: str,
    rate: float = 1e6,
    concurrency: int = 64,
    timeout: float = 10,
    zone: str = "",
    provider: str = "simulator",
    credentials: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    **brand,
) -> Client:
    """Make a tenant that may text all day (where it is day, unless a zone is given); its people are inserted by one statement."""
    from campaigns.models import RecipientList
    from providers.models import ProviderAccount, Sender
    from smsplatform.common.database import execute
    from smsplatform.tenancy.models import Brand, Tenant
    from tests.world import CONSENT_ELSEWHERE

    zone = zone or awake_zone()
    tenant = Tenant.objects.create(name=slug, slug=slug)
    hours = {"opens_at": clock_time(0), "closes_at": clock_time(23, 59, 59), "zone": zone}
    owned = Brand.objects.create(tenant=tenant, name=slug, slug=slug, **{**hours, **CONSENT_ELSEWHERE, **brand})
    account = ProviderAccount(
        tenant=tenant, name="main", provider=provider, base_url=base_url, segments_per_second=rate,
        concurrency=concurrency, timeout=timeout, options=options or {},
    )  # fmt: skip
    account.set_credentials(credentials or {"token": slug, "webhook_secret": "secret"})
    account.save()
    Sender.objects.create(tenant=tenant, brand=owned, account=account, address=f"+1888{5_000_000 + tenant.pk:07d}")
    listed = RecipientList.objects.create(tenant=tenant, name="everybody")
    execute(
        """
        WITH people AS (
          INSERT INTO campaigns_recipient
            (tenant_id, number, country, zones, zone_source, fields, created_at, updated_at)
          SELECT %(tenant)s, '+1' || (2120000000 + n)::text, 'US', %(zone)s, 'explicit',
            jsonb_build_object('first_name', 'Person ' || n), now(), now()
          FROM generate_series(1, %(people)s) n RETURNING id)
        INSERT INTO campaigns_listmember (tenant_id, list_id, recipient_id)
        SELECT %(tenant)s, %(list)s, id FROM people
        """,
        {"tenant": tenant.pk, "list": listed.pk, "people": people, "zone": f"{zone};NY"},
    )
    execute("ANALYZE campaigns_recipient")
    execute("ANALYZE campaigns_listmember")
    return Client(slug, tenant.pk, owned.pk, account.pk, listed.pk, people)


def make_campaign(client: Client, name: str, *, text: str = "Hello {{ first_name | default: 'there' }}", **options):
    """Make a campaign to all people of the client."""
    from campaigns.models import Campaign, Template

    template = Template.objects.create(tenant_id=client.tenant_id, brand_id=client.brand_id, name=name)
    template.write(text)
    campaign = Campaign.objects.create(
        tenant_id=client.tenant_id, brand_id=client.brand_id, name=name, template=template, **options
    )
    campaign.lists.add(client.list_id)
    return campaign


def launch(client: Client, key: str = "1", **options):
    """Launch a campaign to all people of the client; return its run, not materialised yet."""
    from campaigns import launch as launching
    from smsplatform.common import database

    campaign = make_campaign(client, f"campaign {key}", **options)
    return launching.launch(campaign=campaign, occurrence=key, now=database.now(), actor="ground", is_meant=True)
