"""What every operator's command shares: clear refusals, `--json`, and tables for people.

A command declares its options in `declare` and does its work in `act`, which returns an Answer. What the code below
refuses becomes a CommandError (exit code 1) that names field, problem and remedy; with `--json` standard output holds
one JSON object whatever happens.
"""

import io
import json
import shutil
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NoReturn, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, InterfaceError, OperationalError, ProgrammingError
from django.db.models import Model
from rich.console import Console
from rich.table import Table as RichTable

from smsplatform.common.errors import ApplicationError, Conflict, NotFound

Row = TypeVar("Row", bound=Model)

_NO_SUCH_SCHEMA: Final = ("42P01", "42703")  # undefined table, undefined column

# How an operator makes what was not found; the field is the name of the model.
_MADE_BY: Final[Mapping[str, str]] = {
    "brand": "`manage.py create_brand` makes one",
    "provideraccount": "`manage.py create_provider_account` makes one",
    "template": "`manage.py create_template` makes one",
    "campaign": "`manage.py create_campaign` makes one",
    "recipientlist": "`manage.py import_recipients` makes one from a CSV file",
    "run": "`manage.py run_status` lists the runs",
    "dispatch": "`manage.py run_status` lists the runs, and `explain --run --number` finds a message",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows for people, under a title and column names."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say: `data` for programs, the rest for people.

    A `problem` is said last, on standard error, with exit code 1.
    """

    data: Mapping[str, Any]
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    problem: str = ""
    after: Sequence[str] = field(default=())


class OperatorCommand(BaseCommand):
    """A command for operators. `option_names` tells under which option a model's field was given."""

    requires_system_checks = ()
    option_names: ClassVar[Mapping[str, str]] = {}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the command's own options."""

    def act(self, options: dict[str, Any]) -> Answer:
        """Do the work; raise ApplicationError or ValidationError to refuse."""
        raise NotImplementedError

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command's options and those that all commands have."""
        self.declare(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--actor", default="operator", help="who does this, for the audit trail (%(default)s)")

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the command and show its answer or why it was refused."""
        self.is_json: bool = options["json"]
        try:
            answer = self.act(options)
        except ApplicationError as error:
            self._refuse(error.code, self._told(error))
        except ValidationError as error:
            self._refuse("invalid", "\n".join(self._flaws(error)))
        except IntegrityError as error:
            self._refuse("conflict", f"somebody else has just made the same; run this again ({_first_line(error)})")
        except ProgrammingError as error:
            if getattr(error.__cause__, "sqlstate", None) not in _NO_SUCH_SCHEMA:
                raise
            self._refuse("schema", f"{_first_line(error)}: the database is not this program's; run `manage.py migrate`")
        except (OperationalError, InterfaceError) as error:
            self._refuse("unreachable", f"database: {_first_line(error)}; `manage.py doctor` says what is missing")
        self._show(answer)

    def tell(self, line: str) -> None:
        """Say something to people while the command still works."""
        if not self.is_json:
            self.stdout.write(line)
            self.stdout.flush()

    # -- answers --------------------------------------------------------------------------------------------------

    def _show(self, answer: Answer) -> None:
        if self.is_json:
            self.stdout.write(json.dumps(answer.data, cls=DjangoJSONEncoder, indent=2, ensure_ascii=False))
        else:
            for line in answer.lines:
                self.stdout.write(line)
            for table in answer.tables:
                self.stdout.write(_drawn(table) if self.stdout.isatty() else _plain(table))
            for line in answer.after:
                self.stdout.write(line)
        if answer.problem:
            raise CommandError(answer.problem)

    # -- refusals -------------------------------------------------------------------------------------------------

    def _refuse(self, code: str, message: str) -> NoReturn:
        if self.is_json:
            self.stdout.write(json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False))
        raise CommandError(message)

    def _told(self, error: ApplicationError) -> str:
        remedy = _MADE_BY.get(error.field) if isinstance(error, NotFound) else None
        told = f"{self._option(error.field)}: {error.message}" if error.field else error.message
        return f"{told}; {remedy}" if remedy else told

    def _flaws(self, error: ValidationError) -> list[str]:
        if not hasattr(error, "error_dict"):
            return error.messages
        return [
            message if name == NON_FIELD_ERRORS else f"{self._option(name)}: {message}"
            for name, messages in error.message_dict.items()
            for message in messages
        ]

    def _option(self, name: str) -> str:
        return self.option_names.get(name, name)


def make_once(
    model: type[Row],
    *,
    by: Mapping[str, Any],
    given: Mapping[str, Any],
    finish: Callable[[Row], None] | None = None,
) -> tuple[Row, bool]:
    """Return the row that `by` names, and whether it is new; Conflict where it exists and differs from what is given.

    What is given as None counts as not said: the model's default for a new row, anything for an existing one.
    `finish` sets what the model needs and the caller cannot compare (a secret), on a new row only.
    """
    said = {name: value for name, value in given.items() if value is not None}
    wanted = model(**by, **said)
    found = model._default_manager.filter(**by).first()  # noqa: SLF001 - the documented way to a model's rows
    if found is None:
        if finish is not None:
            finish(wanted)
        wanted.full_clean()
        wanted.save()
        return wanted, True
    wanted.clean_fields(exclude={each.name for each in model._meta.fields} - set(said))  # noqa: SLF001
    different = [
        f"{name} is {_shown(getattr(found, name))}, not {_shown(getattr(wanted, name))}"
        for name in said
        if getattr(found, name) != getattr(wanted, name)
    ]
    if different:
        kind = model._meta.verbose_name  # noqa: SLF001
        raise Conflict(
            f"the {kind} {found} exists and is different: {'; '.join(different)}. Nothing was changed;"
            " change it in the admin, or choose another name"
        )
    return found, False


def made(kind: str, name: object, *, is_new: bool) -> str:
    """Return the line that says that something was made, or was there."""
    return f"{kind} {name} made" if is_new else f"{kind} {name} exists, and is the same: nothing to do"


def _shown(value: object) -> str:
    return "empty" if value in (None, "", []) else str(value)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _plain(table: Table) -> str:
    """Return the table in columns of spaces, as programs of the shell like it."""
    lines = [[_cell(value) for value in row] for row in (table.columns, *table.rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(table.columns))]
    body = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([table.title, *body] if table.title else body)


def _drawn(table: Table) -> str:
    drawing = RichTable(title=table.title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in table.columns:
        drawing.add_column(name)
    for row in table.rows:
        drawing.add_row(*(_cell(value) for value in row))
    canvas = io.StringIO()
    console = Console(file=canvas, force_terminal=True, width=shutil.get_terminal_size().columns, markup=False)
    console.print(drawing)
    return canvas.getvalue().rstrip("\n")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if hasattr(value, "isoformat"):
        return f"{value:%F %T}" if hasattr(value, "hour") and hasattr(value, "year") else str(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
