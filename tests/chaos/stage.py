"""Plays one scenario on the running processes, and puts everything back in order behind it."""

import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

from tests.chaos.audit import Verdict, Witness, audit
from tests.chaos.play import BASE, Play
from tests.chaos.scenarios import Scenario
from tests.ground import Ground


@dataclass
class Outcome:
    """How a scenario ended."""

    name: str
    what: str
    found: Verdict
    flaws: list[str]  # of the verdict, those that are new; and of the play
    most_in_doubt: int
    notes: dict[str, object]
    seconds: float


def open_(floor: Ground) -> None:
    """Start what every scenario finds running."""
    floor.start(*BASE)


def play(floor: Ground, place: Path, one: Scenario, *, short: bool, seed: int, known: set[str]) -> Outcome:
    """Play and audit; a flaw that an earlier scenario left is not told again."""
    began = time.monotonic()
    floor.simulator.ask("DELETE", "/_control/ledger")
    people = one.short if short and one.short else one.people
    scene = Play(floor, place, one.name, people, f"{seed} {one.name}", short=short)
    try:
        one.act(scene)
        scene.finish()
    except Exception as failure:  # noqa: BLE001 - the other scenarios are played all the same
        with (floor.logs / "chaos.log").open("a") as log:
            log.write(f"{one.name}\n{traceback.format_exc()}\n")
        scene.flaws.append(f"{type(failure).__name__}: {failure} (still: {scene.last_seen})")
    connection.close()
    found = audit(scene.expected, Witness.ask(floor.simulator))
    outcome = Outcome(
        name=one.name,
        what=one.what,
        found=found,
        flaws=[flaw for flaw in found.flaws if flaw not in known] + scene.flaws,
        most_in_doubt=scene.expected.doubt,
        notes=scene.notes,
        seconds=time.monotonic() - began,
    )
    _restore(floor, scene)
    return outcome


def _restore(floor: Ground, scene: Play) -> None:
    """Plain processes again, whatever the scenario started, stopped or ended. Nobody is at work: no need to be gentle."""
    ended = [name for name, process in floor.running.items() if process.poll() is not None]
    for name in ended:
        floor.running.pop(name)
    for name in [name for name in floor.running if name not in BASE or name in scene.odd]:
        floor.kill(name)
    floor.start(*[name for name in BASE if name not in floor.running])
