"""Runs commands as an operator would, and looks whether a refused one left anything behind."""

import io
import json
import shlex

import pytest
from django.apps import apps
from django.core.management import call_command
from django.core.management.base import CommandError

from smsplatform.common.database import rows

OURS = ("tenancy", "providers", "campaigns", "compliance", "tracking")


def run(line):
    """What a command prints for people."""
    name, *words = shlex.split(line)
    out = io.StringIO()
    call_command(name, *words, stdout=out)
    return out.getvalue()


def ask(line):
    """What a command says to programs."""
    return json.loads(run(f"{line} --json"))


def refused(line):
    """Why a command is refused; nothing may be left behind, and --json must say the same."""
    before = everything()
    with pytest.raises(CommandError) as refusal:
        run(line)
    out = io.StringIO()
    name, *words = shlex.split(line)
    with pytest.raises(CommandError):
        call_command(name, *words, "--json", stdout=out)
    assert json.loads(out.getvalue())["error"]["message"] == str(refusal.value)
    assert everything() == before
    return str(refusal.value)


def failed(line):
    """What a command prints, and with which words it ends with exit code 1."""
    name, *words = shlex.split(line)
    out = io.StringIO()
    with pytest.raises(CommandError) as refusal:
        call_command(name, *words, stdout=out)
    return out.getvalue(), str(refusal.value)


def everything():
    """What every table of ours holds, by its name: one statement, as many tests ask."""
    tables = {
        model._meta.db_table
        for label in OURS
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
    }
    held = (
        f"SELECT '{table}', md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {table} t"
        for table in sorted(tables)
    )
    return dict(rows(" UNION ALL ".join(held)))
