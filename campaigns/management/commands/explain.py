"""`manage.py explain`: what happened to one message, step by step, and what happens next."""

import uuid
from argparse import ArgumentParser
from typing import Any, ClassVar

from campaigns.management.commands import _facts, _lookup
from campaigns.models import Dispatch, Run
from compliance.data import npa
from smsplatform.common import phone
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.common.errors import InvalidInput, NotFound
from smsplatform.tenancy import audit


class Command(OperatorCommand):
    """Shows the whole number and text: this is for the person who must answer the question. It stands in the trail."""

    help = "Explain one message: by its id, or by run and number."
    option_names: ClassVar = {"number": "--number", "dispatch": "ID", "run": "--run"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument(
            "words",
            nargs="*",
            metavar="ID",
            help="the message's id; or with --number a run's number, or TENANT CAMPAIGN",
        )
        parser.add_argument("--run", help="a run's number, with --number")
        parser.add_argument("--number", help="the person's number")

    def act(self, options: dict[str, Any]) -> Answer:
        """Read the facts."""
        dispatch = _access(options)
        audit.record(
            actor=options["actor"],
            verb="number.revealed",
            target=str(dispatch),
            tenant=dispatch.tenant_id,
            row=dispatch,
        )
        found = _facts.of(dispatch)
        shown = [(at, what) for at, what in _facts.steps(found)]
        name = found["campaign"] or "single message"
        lines = [
            f"{found['number']}, {name}, run {found['run']}, {found['brand']} of {found['tenant']}: {found['state']}"
        ]
        if found["text"]:
            lines.append(f"  “{found['text']}” ({found['segments']} segments)")
        place = found["place"]
        after = [found["next"], f"Place (by {place['zones_from']}): {place['where']}. The person {place['now']}."]
        if place["rules"]:
            after.append(f"Rules of {place['rules_version']}: {'; '.join(place['rules'])}")
        if found["permit"]:
            after.append(
                "It counts towards the caps." + (" It was taken above them." if found["permit"]["over_cap"] else "")
            )
        used = [
            (
                each["what"],
                f"{each['used']:,} of {'any' if each['limit'] is None else format(each['limit'], ',')}",
                each["rule"],
            )
            for each in found["limits"]
        ]
        tables = [Table("", ("at", "what"), shown), Table("limits, now", ("what", "used", "rule"), used)]
        return Answer(found, lines, tables, after=after)


def _access(options: dict[str, Any]) -> Dispatch:
    words = options["words"] or ([options["run"]] if options["run"] else [])
    if options["number"] and words:
        return _in_run(_lookup.access_run(words), options["number"])
    if len(words) != 1 or options["run"]:
        raise InvalidInput("give the message's id, or a run and --number")
    try:
        dispatch: Dispatch | None = Dispatch.objects.filter(pk=uuid.UUID(words[0])).first()
    except ValueError:
        raise InvalidInput(
            f"{words[0]!r} is no message's id; give one, or a run and --number", field="dispatch"
        ) from None
    if dispatch is None:
        raise NotFound(f"there is no message {words[0]}", field="dispatch")
    return dispatch


def _in_run(run: Run, text: str) -> Dispatch:
    read = phone.parse(text, countries=run.tenant.allowed_countries, sandbox=True, known_npas=npa.COUNTRY)
    number = read.e164 if isinstance(read, phone.Number) else text.strip()
    found: Dispatch | None = Dispatch.objects.of_run(run.pk).filter(number=number).first()
    if found is None:
        raise NotFound(
            f"run {run.pk} has no message to {number}; was the person on its lists at launch?", field="number"
        )
    return found
