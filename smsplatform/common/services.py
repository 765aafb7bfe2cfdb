"""What is known about the services of this machine, for layers that may not know how they are embedded."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalService:
    """One embedded server: whether it runs, where it listens, and where it writes its log."""

    name: str
    is_running: bool
    port: int | None
    log: Path


def embedded_services() -> list[LocalService]:
    """Return the embedded servers; starts and creates nothing."""
    from smsplatform import embedded

    return [LocalService(each.name, each.is_running, each.port, each.log) for each in embedded.status()]
