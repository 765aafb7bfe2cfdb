"""How fast people come in and a campaign is made ready: a CSV of a million rows, and a launch to all of them."""

import csv
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

from campaigns import imports, tasks
from campaigns.models import Import, RecipientList, Run
from smsplatform.common.database import execute
from smsplatform.tenancy.models import Tenant
from tests import ground
from tests.bench.frame import Bench, Figures, Measure, memory_mb, timed
from tests.ground import Client

_AREAS = {
    "212": "America/New_York", "312": "America/Chicago", "213": "America/Los_Angeles", "303": "America/Denver",
    "404": "America/New_York", "214": "America/Chicago", "415": "America/Los_Angeles", "602": "America/Phoenix",
    "617": "America/New_York", "713": "America/Chicago",
}  # fmt: skip
_NAMES = ("Ana", "Ben", "Carla", "Dmitri", "Emma", "Félix", "Grace", "Hiro", "", "Jo")
_JOBS = ("Barista", "Forklift driver", "Nurse", "Line cook", "Carpenter")
_BETWEEN_LOOKS = 0.1  # seconds
_COLUMNS = "tenant_id, number, country, zones, zone_source, fields, send_at, created_at, updated_at"


@dataclass
class Peak:
    """The most memory that a process had, in MB."""

    memory: float = 0.0


@contextmanager
def watched(pid: int) -> Iterator[Peak]:
    """Look at a process's memory ten times a second."""
    peak = Peak()
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(_BETWEEN_LOOKS):
            peak.memory = max(peak.memory, memory_mb(pid))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        is_over.set()
        watcher.join()


def _run(bench: Bench) -> Figures:
    ground.clear()
    rows = bench.size(1_000_000, 20_000)
    path = bench.place / "people.csv"
    _write(path, rows)
    bench.ground.start("worker-sql")
    bench.ground.wait_for_worker("worker-sql")
    worker = bench.ground.running["worker-sql"].pid
    idle = memory_mb(worker)
    client = ground.make_client("imports", 0, base_url="http://127.0.0.1:9")
    bench.say(f"importing {rows:,} rows, {path.stat().st_size / 2**20:.0f} MB")
    with watched(worker) as importing:
        first = _import(client, path)
    bench.say("importing the same file again")
    again = _import(client, path)
    copied = _copy(bench.place / "people.copy", rows)
    bench.say("launching")
    with watched(worker) as launching:
        run = _launch(client)
    seconds = (run.materialised_at - run.launched_at).total_seconds()
    figures = {
        "import_rows_per_s": rows / first,
        "import_again_rows_per_s": rows / again,
        "import_over_copy": rows / first / copied,
        "import_peak_mb": importing.memory - idle,
        "launch_peak_mb": launching.memory - idle,
    }
    return figures | (
        {"launch_seconds": seconds, "launch_people": rows} if bench.is_short else {"launch_1m_seconds": seconds}
    )


def _write(path: Path, rows: int) -> None:
    """Write a file like those of real clients: numbers as people write them, empty cells, several zones."""
    areas = list(_AREAS.items())
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        out = csv.writer(file, delimiter=";")
        out.writerow(["Mobile", "First name", "Job", "Job ID", "City", "TZ"])
        for n in range(rows):
            area, zone = areas[n % len(areas)]
            line = f"{4_200_000 + n // len(areas):07d}"
            number = f"({area}) {line[:3]}-{line[3:]}" if n % 3 == 0 else f"+1{area}{line}"
            out.writerow([number, _NAMES[n % 10], _JOBS[n % 5], 1000 + n, f"City {n % 977}", zone])


def _import(client: Client, path: Path) -> float:
    """Have the worker import the file; return the seconds from the wish to the end."""
    source = imports.create(
        tenant=Tenant.objects.get(pk=client.tenant_id),
        list=RecipientList.objects.get(pk=client.list_id),
        file=str(path),
        source=Import.Source.PATH,
    )
    tasks.start_import(source.pk)

    def is_over() -> bool:
        source.refresh_from_db()
        return source.finished_at is not None

    ground.wait_for(is_over, "the import", seconds=600)
    if (
        source.status != Import.Status.DONE
        or source.rows_refused
        or source.rows_new + source.rows_same != source.rows_read
    ):
        raise ground.GroundFailed(f"the import is {source.status}: {source.reason} {imports.reasons(source)}")
    return (source.finished_at - source.created_at).total_seconds()


def _copy(path: Path, rows: int) -> float:
    """COPY the same people from a file into a table with the same columns and nothing else; return rows a second."""
    execute(f"CREATE TABLE bare_copy AS SELECT {_COLUMNS} FROM campaigns_recipient LIMIT 0")
    try:
        with connection.cursor() as cursor:
            with path.open("wb") as file, cursor.copy(f"COPY campaigns_recipient ({_COLUMNS}) TO STDOUT") as out:
                for block in out:
                    file.write(block)
            with (
                timed() as clock,
                path.open("rb") as file,
                cursor.copy(f"COPY bare_copy ({_COLUMNS}) FROM STDIN") as into,
            ):
                while block := file.read(1 << 16):
                    into.write(block)
    finally:
        execute("DROP TABLE bare_copy")
        path.unlink(missing_ok=True)
    return rows / clock.seconds


def _launch(client: Client) -> Run:
    run = ground.launch(client)
    tasks.start_materialising(run.pk)

    def is_ready() -> bool:
        run.refresh_from_db()
        return run.materialised_at is not None

    ground.wait_for(is_ready, "the materialised run", seconds=600)
    return run


MEASURES = (Measure("imports", "Import of a CSV, again, and launch to all of its people", _run),)
