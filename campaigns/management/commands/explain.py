"""`manage.py explain`: what happened to one message, step by step, and what happens next."""

import uuid
from argparse import ArgumentParser
from typing import Any, ClassVar

from campaigns.management.commands import _facts, _lookup
from campaigns.models import Dispatch
from smsplatform.common import phone
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.common.errors import InvalidInput, NotFound


class Command(OperatorCommand):
    """Shows the whole number and text: this is for the person who must answer the question."""

    help = "Explain one message: by its id, or by run and number."
    option_names: ClassVar = {"number": "--number", "dispatch": "ID", "run": "--run"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("id", nargs="?", metavar="ID", help="the message's id")
        parser.add_argument("--run", help="a run's number, with --number")
        parser.add_argument("--number", help="the person's number, with --run")

    def act(self, options: dict[str, Any]) -> Answer:
        """Read the facts."""
        found = _facts.of(_access(options))
        shown = [(at, what) for at, what in _facts.steps(found)]
        name = found["campaign"] or "single message"
        lines = [
            f"{found['number']}, {name}, run {found['run']}, {found['brand']} of {found['tenant']}: {found['state']}"
        ]
        if found["text"]:
            lines.append(f"  “{found['text']}” ({found['segments']} segments)")
        after = [found["next"]]
        if found["permit"]:
            after.append(
                "It counts towards the caps." + (" It was taken above them." if found["permit"]["over_cap"] else "")
            )
        return Answer(found, lines, [Table("", ("at", "what"), shown)], after=after)


def _access(options: dict[str, Any]) -> Dispatch:
    if options["id"]:
        try:
            dispatch_id: uuid.UUID | None = uuid.UUID(options["id"])
        except ValueError:
            raise InvalidInput(
                f"{options['id']!r} is no message's id; give one, or --run and --number", field="dispatch"
            ) from None
        dispatch = Dispatch.objects.filter(pk=dispatch_id).first()
        if dispatch is None:
            raise NotFound(f"there is no message {options['id']}", field="dispatch")
        return dispatch
    if not (options["run"] and options["number"]):
        raise InvalidInput("give the message's id, or --run and --number")
    run = _lookup.access_run([options["run"]])
    read = phone.parse(options["number"], countries=run.tenant.allowed_countries, sandbox=True)
    number = read.e164 if isinstance(read, phone.Number) else options["number"].strip()
    found = _facts.of_run(run, number)
    if found is None:
        raise NotFound(
            f"run {run.pk} has no message to {number}; was the person on its lists at launch?", field="number"
        )
    return Dispatch.objects.get(pk=found)
