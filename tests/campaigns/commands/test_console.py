"""What all commands share: tables for people and programs, and errors that name the remedy."""

import io
import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper
from django.db import OperationalError, ProgrammingError

from smsplatform.common.console import Answer, OperatorCommand, Table


class Terminal(io.StringIO):
    def isatty(self):
        return True


def command(act):
    """A command that does this."""

    class Command(OperatorCommand):
        pass

    Command.act = lambda self, options: act()
    return Command()


TABLE = Answer(
    {"n": 1}, ["first"], [Table("Runs", ("state", "number"), [("sent", 12345), ("held", None)])], after=["last"]
)


def test_aligns_columns_where_no_person_looks():
    out = io.StringIO()
    call_command(command(lambda: TABLE), stdout=out)
    assert out.getvalue() == "first\nRuns\nstate  number\nsent   12,345\nheld\nlast\n"


def test_draws_on_a_terminal():
    out = Terminal()
    call_command(command(lambda: TABLE), stdout=OutputWrapper(out))
    assert "\x1b[" in out.getvalue()
    assert "12,345" in out.getvalue()


def test_prints_one_object_for_programs():
    out = io.StringIO()
    call_command(command(lambda: TABLE), "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"n": 1}


class Cause(Exception):
    sqlstate = "42P01"


def raised(error, cause=None):
    def act():
        raise error from cause

    return act


@pytest.mark.parametrize(
    ("act", "code", "said"),
    [
        (
            raised(OperationalError("connection refused\nmore")),
            "unreachable",
            "database: connection refused; `manage.py doctor`",
        ),
        (raised(ProgrammingError("no relation x"), Cause()), "schema", "run `manage.py migrate`"),
    ],
)
def test_names_the_remedy_when_the_database_is_not_usable(act, code, said):
    out = io.StringIO()
    with pytest.raises(CommandError, match=said):
        call_command(command(act), "--json", stdout=out)
    assert json.loads(out.getvalue())["error"]["code"] == code


def test_does_not_hide_a_defect():
    with pytest.raises(ProgrammingError):
        call_command(command(raised(ProgrammingError("syntax error"), Exception())), stdout=io.StringIO())
