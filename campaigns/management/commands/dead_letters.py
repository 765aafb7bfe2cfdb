"""`manage.py dead_letters`: what gave up and what is in doubt, why, and the replay of what is safe to send again."""

import uuid
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from campaigns import dead_letters
from campaigns.dead_letters import DeadLetter, Replayed
from campaigns.states import State
from smsplatform.common import database, masking
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access
from smsplatform.tenancy.models import Tenant


class Command(OperatorCommand):
    """Only what is proven untaken is replayed; what is in doubt never is."""

    help = "List dead and unknown messages, or replay dead ones."
    option_names: ClassVar = {"good_for": "--good-for", "ids": "--replay", "tenant": "--tenant"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--tenant", help="slug: only of this tenant")
        parser.add_argument("--kind", choices=[State.DEAD.value, State.UNKNOWN.value], help="list only these")
        parser.add_argument("--limit", type=int, default=50, help="how many to list (%(default)s)")
        parser.add_argument("--replay", nargs="*", metavar="ID", help="try these dead messages again; or with --all")
        parser.add_argument("--all", action="store_true", help="with --replay: all dead ones")
        parser.add_argument("--dry-run", action="store_true", help="with --replay: only tell what would happen")
        parser.add_argument(
            "--good-for", type=int, default=240, metavar="MINUTES", help="new lateness limit of a replay (%(default)s)"
        )

    def act(self, options: dict[str, Any]) -> Answer:
        """List, or replay."""
        tenant = access.access_tenant(options["tenant"]) if options["tenant"] else None
        if options["replay"] is None:
            if options["all"] or options["dry_run"]:
                raise InvalidInput("belongs to --replay; add it", field="--all" if options["all"] else "--dry-run")
            return _list(tenant, options["kind"], max(options["limit"], 1))
        ids = _ids(options["replay"])
        if bool(ids) == options["all"]:
            raise InvalidInput("name the messages, or all of them with --all", field="ids")
        if options["all"]:
            ids = list(dead_letters.every_dead(tenant=tenant))
        done = dead_letters.replay(
            ids,
            now=database.now(),
            actor=options["actor"],
            good_for=timedelta(minutes=options["good_for"]),
            is_rehearsal=options["dry_run"],
        )
        return _replayed(done, is_rehearsal=options["dry_run"], is_choice=not options["all"])


def _list(tenant: Tenant | None, kind: str | None, limit: int) -> Answer:
    letters = dead_letters.listed(limit=limit, tenant=tenant, kind=kind)
    numbers = dead_letters.count(tenant=tenant)
    data = {"counts": numbers, "messages": [_told(letter) for letter in letters]}
    if not letters:
        return Answer(data, ["nothing is dead and nothing is in doubt"])
    shown = [
        (
            letter.dispatch_id,
            letter.state,
            letter.tenant,
            str(letter.run_id),
            masking.number(letter.number),
            " ".join(part for part in (letter.reason, masking.text(letter.detail)) if part),
            letter.tries,
            letter.since,
            "may be replayed" if letter.may_be_replayed else letter.refusal,
        )
        for letter in letters
    ]
    columns = ("id", "state", "tenant", "run", "number", "reason", "tries", "since", "replay")
    total = f"{numbers[State.DEAD]:,} dead, {numbers[State.UNKNOWN]:,} unknown."
    hint = "`--replay ID …` or `--replay --all` tries dead ones again; add --dry-run to see which."
    return Answer(data, tables=[Table("", columns, shown)], after=[total, hint])


def _replayed(done: Replayed, *, is_rehearsal: bool, is_choice: bool) -> Answer:
    verb = "would start again" if is_rehearsal else "started again"
    lines = [f"{len(done.moved):,} {verb}; every check and cap is asked anew."]
    lines += [f"{number:,} left: {why}" for why, number in done.why.most_common()]
    lines += [f"{len(done.missing):,} left: there is no such message"] if done.missing else []
    data = {
        "dry_run": is_rehearsal,
        "replayed": [str(each) for each in done.moved],
        "left": [_told(letter) for letter in done.left],
        "missing": [str(each) for each in done.missing],
    }
    # Whoever names messages expects them to go; `--all` means: whatever is safe.
    is_short = is_choice and bool(done.left or done.missing)
    return Answer(data, lines, problem="not all of the messages named may be replayed" if is_short else "")


def _told(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": str(letter.dispatch_id),
        "tenant": letter.tenant,
        "run": letter.run_id,
        "number": masking.number(letter.number),
        "state": letter.state,
        "reason": letter.reason,
        "detail": masking.text(letter.detail),
        "tries": letter.tries,
        "since": letter.since,
        "final_at": letter.due_at,
        "may_be_replayed": letter.may_be_replayed,
        "refusal": letter.refusal,
    }


def _ids(words: Sequence[str]) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(word) for word in words]
    except ValueError:
        raise InvalidInput("an id is no message's; `manage.py dead_letters` lists them", field="ids") from None
