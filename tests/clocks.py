"""Where on Earth it is day now: tests that send at the real time send to people there."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_ROUND_THE_EARTH = (
    "America/New_York",
    "America/Los_Angeles",
    "Pacific/Honolulu",
    "Pacific/Auckland",
    "Asia/Tokyo",
    "Asia/Dhaka",
    "Asia/Dubai",
    "Europe/Athens",
    "Europe/London",
    "America/Sao_Paulo",
)


def awake_zone(now: datetime | None = None) -> str:
    """A zone whose day does not end within the next hours: the law lets its people be texted, and caps are per day."""
    now = now or datetime.now(UTC)
    return next(zone for zone in _ROUND_THE_EARTH if 9 <= now.astimezone(ZoneInfo(zone)).hour < 16)
