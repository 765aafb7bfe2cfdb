"""Who is in the demo: the people of the CSV file, the zones they live in, and what is wrong with the file."""

import csv
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from compliance import quiet_hours

PER_ZONE: Final = 740
AWAKE_ZONES: Final = 7
ASLEEP: Final = 60
OPENS, CLOSES = time(8), time(21)
_NAMES: Final = ("Ana", "Ben", "Carla", "Dmitri", "Emma", "Félix", "Grace", "Hiro", "", "Jo")
_JOBS: Final = ("Barista", "Forklift driver", "Nurse", "Line cook", "Carpenter")
_WORLD: Final = (
    "America/Los_Angeles", "America/Denver", "America/Chicago", "America/New_York", "America/Sao_Paulo",
    "Atlantic/Azores", "Europe/London", "Europe/Paris", "Europe/Athens", "Asia/Dubai", "Asia/Karachi", "Asia/Kolkata",
    "Asia/Dhaka", "Asia/Bangkok", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland", "Pacific/Honolulu",
    "America/Anchorage", "America/Halifax", "Asia/Shanghai", "Pacific/Guam", "Africa/Nairobi", "Pacific/Pago_Pago",
)  # fmt: skip


@dataclass(frozen=True)
class Cast:
    """The file that was written, and the people the story is about."""

    path: Path
    awake: tuple[str, ...]
    asleep: str
    good: int
    duplicates: int
    bad: int
    suppressed: str
    stoppers: tuple[str, ...]  # late in the file: they text STOP while their message still waits
    stubborn: str  # a number the provider refuses


def choose_zones(now: datetime) -> tuple[tuple[str, ...], str]:
    """Return zones in which people may be texted for the next half hour, and one in which they may not for hours."""
    hours = quiet_hours.Hours(OPENS, CLOSES)
    awake, asleep = [], []
    for zone in _WORLD:
        window = quiet_hours.window(zones=zone, hours=hours, now=now)
        left = window.until - now if window.until else timedelta()
        if window.is_open and left > timedelta(minutes=30):
            awake.append(zone)
        elif not window.is_open and left > timedelta(minutes=30):
            asleep.append(zone)
    return tuple(awake[:AWAKE_ZONES]), asleep[0]


def write_csv(path: Path, now: datetime) -> Cast:
    """Write the file: a header, people of several zones shuffled together, and the usual flaws of real files."""
    awake, asleep = choose_zones(now)
    people = [(f"+1646{2_000_000 + n:07d}", awake[n % len(awake)]) for n in range(PER_ZONE * len(awake))]
    sleepers = [(f"+1917{2_000_000 + n:07d}", asleep) for n in range(ASLEEP)]
    everyone = people + sleepers
    repeated = [people[n] for n in (0, 7, 70, 700, 1400)]
    bad = [
        "not a number", "2.025550123E9", "+1 212 555 0123 ext 9", "1-800-FLOWERS", "+1 202 555 0142", "+1 900 234 5678",
        "12345",
    ]  # fmt: skip
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        out = csv.writer(file, delimiter=";")
        out.writerow(["Mobile", "First name", "Job", "Job ID", "TZ", "Consent at", "Consent source"])
        for n, (number, zone) in enumerate(everyone):
            shown = f"({number[2:5]}) {number[5:8]}-{number[8:]}" if n % 3 == 0 else number
            out.writerow([shown, _NAMES[n % len(_NAMES)], _JOBS[n % len(_JOBS)], 1000 + n, zone, *_consented(n, now)])
            if n % 900 == 899:  # noqa: PLR2004
                file.write("\n")  # a blank row
        for number, zone in repeated:
            out.writerow([number, "Again", "Nurse", 1, zone, *_consented(0, now)])
        for number in bad:
            out.writerow([number, "Nobody", "Nurse", 1, awake[0], *_consented(0, now)])
    return Cast(
        path=path,
        awake=awake,
        asleep=asleep,
        good=len(everyone),
        duplicates=len(repeated),
        bad=len(bad),
        suppressed=people[123][0],
        stoppers=tuple(number for number, _ in people[-40:]),
        stubborn=people[222][0],
    )


def _consented(n: int, now: datetime) -> tuple[str, str]:
    """When and how the person consented: somewhere in the last year."""
    return (now - timedelta(days=1 + n % 360)).isoformat(timespec="seconds"), "web form" if n % 4 else "paper"


def is_in(zone: str, now: datetime) -> str:
    """Return what the clock shows there."""
    return f"{now.astimezone(ZoneInfo(zone)):%H:%M}"
