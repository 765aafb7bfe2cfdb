"""`manage.py regional_hold`: nobody in a state gets marketing for a while (an emergency, a proclaimed holiday)."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any, ClassVar

from compliance import holds
from compliance.models import RegionalHold
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.common.errors import InvalidInput, NotFound


class Command(OperatorCommand):
    """Without a state it lists the holds in force."""

    help = "Hold all marketing to people of a state, or lift such a hold."
    option_names: ClassVar = {
        "state": "STATE", "reason": "--reason", "from": "--from", "until": "--until", "hold": "--lift",
    }  # fmt: skip

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "state", nargs="?", metavar="STATE", help="like LA or Louisiana; without it, list the holds"
        )
        parser.add_argument("--reason", default="", help="what it is, and where it was proclaimed")
        parser.add_argument("--from", dest="starts", metavar="INSTANT", help="like 2027-08-29T12:00-05:00 (now)")
        parser.add_argument("--until", dest="ends", metavar="INSTANT", help="when it ends by itself (until lifted)")
        parser.add_argument("--lift", type=int, metavar="HOLD", help="end this hold now")

    def act(self, options: dict[str, Any]) -> Answer:
        """Set, lift or list."""
        now, actor = database.now(), options["actor"]
        if options["lift"] is not None:
            return self._lift(options["lift"], now, actor)
        if options["state"]:
            made = holds.hold(
                state=options["state"],
                reason=options["reason"],
                now=now,
                actor=actor,
                starts_at=_instant(options["starts"], "from"),
                ends_at=_instant(options["ends"], "until"),
            )
            return Answer(
                {"hold": made.pk, "state": made.state},
                [f"hold {made.pk}: nobody in {made.get_state_display()} gets marketing {_span(made)}"],
            )
        found = list(holds.in_force(now))
        shown = [(each.pk, each.state, each.starts_at, each.ends_at, each.reason) for each in found]
        data = [
            {"hold": pk, "state": state, "from": start, "until": end, "reason": why}
            for pk, state, start, end, why in shown
        ]
        return Answer(
            {"holds": data},
            [] if shown else ["no hold is in force"],
            [Table("", ("hold", "state", "from", "until", "reason"), shown)] if shown else (),
        )

    def _lift(self, number: int, now: datetime, actor: str) -> Answer:
        row = RegionalHold.objects.filter(pk=number).first()
        if row is None:
            raise NotFound(f"there is no hold {number}; without options this command lists them", field="hold")
        holds.lift(row, now=now, actor=actor)
        return Answer(
            {"hold": number, "lifted": True}, [f"hold {number} is lifted; what waited goes on within 15 minutes"]
        )


def _span(row: RegionalHold) -> str:
    ends = f"until {row.ends_at.astimezone(UTC):%F %H:%M} UTC" if row.ends_at else "until it is lifted"
    return f"from {row.starts_at.astimezone(UTC):%F %H:%M} UTC {ends}"


def _instant(text: str | None, name: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput(f"{text!r} is no instant; write it like 2027-08-29T12:00-05:00", field=name)
    return found
