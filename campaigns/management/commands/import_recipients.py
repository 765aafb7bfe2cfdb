"""`manage.py import_recipients`: a CSV file into a list, with progress, a summary and an exit code."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from campaigns import imports
from campaigns.imports import Progress
from campaigns.models import Import, RecipientList
from smsplatform.common.errors import ApplicationError
from smsplatform.tenancy import access
from smsplatform.tenancy.models import Tenant

_SECONDS_BETWEEN_LINES: Final = 2.0
_ROWS: Final = (
    ("new", "new people"),
    ("changed", "known people, changed"),
    ("same", "known people, nothing to change"),
    ("duplicate", "the same number again in this file"),
    ("refused", "refused"),
)


class Command(BaseCommand):
    """Imports now, in this process; killed, it is resumed by the platform or by --resume."""

    help = "Import a CSV file of recipients into a list (made if there is none of this name)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("file", nargs="?", help="path of the file, or with --storage its name there")
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument("--list", help="name of the list")
        parser.add_argument("--storage", action="store_true", help="the file is in Django's storage")
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="ROLE=COLUMN",
            help="number=Mobile, zone=TZ, postal_code=, state=, country=, send_at=, list= or a field; #2 is the second column",
        )
        parser.add_argument(
            "--type", action="append", default=[], metavar="FIELD=TYPE", help="age=integer, vip=boolean"
        )
        parser.add_argument("--default-region", default="US", help="country of numbers without code (US)")
        parser.add_argument("--country-codes", action="store_true", help="numbers start with their country code")
        parser.add_argument("--sandbox", action="store_true", help="take numbers reserved for fiction and tests")
        parser.add_argument("--attestation", metavar="WORDS", help="how you know that these people consented")
        parser.add_argument("--attested-by", metavar="NAME", help="who vouches for it (the actor)")
        parser.add_argument("--disclosure", metavar="WORDS", help="what the people were shown when they consented")
        parser.add_argument("--consent-brand", metavar="SLUG", help="to which brand they consented (the only one)")
        parser.add_argument("--actor", default="operator", help="who does this, for the audit trail")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
        parser.add_argument("--errors", metavar="CSV", help="write the refused rows there")
        parser.add_argument("--resume", type=int, metavar="ID", help="go on with this import, or retry it")

    def handle(self, *_: Any, **options: Any) -> None:
        """Make or find the import, run it to its end, report."""
        try:
            tenant = access.access_tenant(options["tenant"])
            source = (
                _resumed(tenant, options["resume"], options["actor"]) if options["resume"] else _made(tenant, options)
            )
        except ApplicationError as error:
            raise CommandError(str(error)) from None
        started = time.monotonic()
        with self._shown(is_quiet=options["json"]) as show:
            imports.run(source.pk, on_progress=show)
        seconds = time.monotonic() - started
        source.refresh_from_db()
        if options["errors"]:
            with Path(options["errors"]).open("w", encoding="utf-8", newline="") as file:
                file.writelines(imports.error_file(source))
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(source, seconds)))
        else:
            self._summarise(source, seconds)
        if source.status == Import.Status.FAILED:
            raise CommandError(
                f"import {source.pk} failed: {source.reason}\n"
                f"when that is mended: import_recipients --tenant {tenant.slug} --resume {source.pk}"
            )
        if source.status != Import.Status.DONE:
            raise CommandError(f"import {source.pk} is run by another process; it is {source.status}")

    @contextmanager
    def _shown(self, *, is_quiet: bool) -> Iterator[Callable[[Progress], None]]:
        """Give the function that shows progress: a bar on a terminal, else a line now and then."""
        if is_quiet:
            yield lambda _: None
        elif not sys.stdout.isatty():
            yield self._line_now_and_then()
        else:
            columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
            with Bars(*columns) as bars:
                bar = bars.add_task("reading", total=None)
                yield lambda done: bars.update(
                    bar, total=done.total_bytes, completed=done.read_bytes, description=_line(done)
                )

    def _line_now_and_then(self) -> Callable[[Progress], None]:
        written_at = 0.0

        def show(done: Progress) -> None:
            nonlocal written_at
            if time.monotonic() - written_at >= _SECONDS_BETWEEN_LINES:
                written_at = time.monotonic()
                share = 100 * done.read_bytes // max(done.total_bytes, 1)
                self.stdout.write(f"{share:3d} %  {_line(done)}")
                self.stdout.flush()

        return show

    def _summarise(self, source: Import, seconds: float) -> None:
        done = imports.progress(source)
        table = Table(title=f"Import {source.pk}: {source.file} into {source.list.name}", title_justify="left")
        table.add_column("rows")
        table.add_column("", justify="right")
        counts = asdict(done)
        for name, text in _ROWS:
            table.add_row(text, f"{counts[name]:,}")
        for reason, is_taken, count in imports.reasons(source):
            if reason != "duplicate":
                table.add_row(f"  {reason}{' (taken)' if is_taken else ''}", f"{count:,}", style="dim")
        table.add_section()
        rate = f"   ({done.read / seconds:,.0f} a second)" if seconds else ""
        table.add_row(f"read{rate}", f"{done.read:,}")
        if done.consented:
            table.add_row("consents put on record", f"{done.consented:,}")
        if done.suppressed:
            table.add_row("of them suppressed: kept, and never texted", f"{done.suppressed:,}")
        if done.untextable:
            table.add_row("of them landlines and dead numbers: kept, and not texted", f"{done.untextable:,}")
        console = Console(file=self.stdout, soft_wrap=True)  # type: ignore[arg-type]
        console.print(table)


def _made(tenant: Tenant, options: dict[str, Any]) -> Import:
    if not options["file"] or not options["list"]:
        raise CommandError("name a file and, with --list, a list; or --resume an import")
    is_stored = options["storage"]
    people, _ = RecipientList.objects.get_or_create(tenant=tenant, name=options["list"])
    return imports.create(
        tenant=tenant,
        list=people,
        file=options["file"] if is_stored else str(Path(options["file"]).resolve()),
        source=Import.Source.STORAGE if is_stored else Import.Source.PATH,
        columns=_pairs(options["map"], "--map"),
        options={
            "default_region": options["default_region"],
            "includes_country_code": options["country_codes"],
            "sandbox": options["sandbox"],
            "types": _pairs(options["type"], "--type"),
            **_signed(options),
        },
        actor=options["actor"],
    )


def _signed(options: dict[str, Any]) -> dict[str, str]:
    """What is said of consent, as far as something is."""
    attested_by = options["attested_by"] or (options["actor"] if options["attestation"] else "")
    said = {
        "attestation": options["attestation"],
        "attested_by": attested_by,
        "disclosure": options["disclosure"],
        "consent_brand": options["consent_brand"],
    }
    return {name: value for name, value in said.items() if value}


def _resumed(tenant: Tenant, import_id: int, actor: str) -> Import:
    source = access.access(Import, tenant, pk=import_id)
    return imports.retry(source, actor=actor) if source.status == Import.Status.FAILED else source


def _pairs(given: list[str], option: str) -> dict[str, str]:
    wrong = [pair for pair in given if "=" not in pair]
    if wrong:
        raise CommandError(f"{option} {wrong[0]}: write it like {option} name=value")
    return dict(pair.split("=", 1) for pair in given)


def _line(done: Progress) -> str:
    return f"{done.read:,} rows: {done.new:,} new, {done.changed:,} changed, {done.refused:,} refused"


def _as_json(source: Import, seconds: float) -> dict[str, Any]:
    why = [{"reason": reason, "taken": is_taken, "rows": count} for reason, is_taken, count in imports.reasons(source)]
    return {
        "id": source.pk,
        "status": source.status,
        "reason": source.reason,
        "seconds": round(seconds, 3),
        **asdict(imports.progress(source)),
        "reasons": why,
    }
