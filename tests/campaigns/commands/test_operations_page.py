"""docs/operations.md does what it says: its commands run, in their order, and it knows every command."""

import io
import os
import re
import shlex
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands

from campaigns import launch, tasks
from campaigns.models import Run
from campaigns.states import State
from compliance.models import Suppression
from providers.models import Sender
from tests import world
from tests.campaigns.commands.well import make_well

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"^cat > (\S+) <<'(\w+)'\n(.*?)^\2\n", re.DOTALL | re.MULTILINE)
OURS = ("smsplatform.tenancy", "providers", "campaigns")


def statements(block):
    """The block's statements: a file to write, a variable to export, or a command's words."""
    for place, text in enumerate(FILE.split(block)):
        kind = place % 4
        if kind == 1:
            name = text
        elif kind == 3:
            yield "file", (name, text)
        elif kind == 0:
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["export"]:
                    yield "export", words[1].split("=", 1)
                elif words:
                    assert words[:2] == ["python", "manage.py"], line
                    yield "command", words[2:]


def work(run_id):
    """What the workers would do."""
    launch.materialise(run_id)
    while world.work():
        pass


@pytest.mark.django_db(transaction=True)
def test_runs_from_the_first_to_the_last(simulator, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tasks, "start_materialising", work)
    make_well(monkeypatch)
    said = []
    for block in BLOCK.findall(PAGE):
        for kind, content in statements(block.replace("http://127.0.0.1:8025", simulator.url)):
            if kind == "file":
                Path(content[0]).write_text(content[1], encoding="utf-8")
            elif kind == "export":
                monkeypatch.setitem(os.environ, *content)
            else:
                out = io.StringIO()
                call_command(*content, stdout=out)
                said.append((content[0], out.getvalue()))
    first = Run.objects.get(campaign__name="first")
    assert world.states(first) == {State.ACCEPTED: 3}
    assert simulator.ledger()["accepted"] == 3
    assert Run.objects.get(campaign__name="spring").cancelled_at is not None
    assert sorted(Sender.objects.values_list("brand__slug", "account__provider")) == [
        ("rehearsal", "simulator"),
        ("shoes", "twilio"),
        ("shoes", "twilio"),
        ("shoes", "twilio"),
    ]
    assert Suppression.objects.count() == 4
    assert [text for name, text in said if name == "launch"][1].startswith("already launched")
    assert [text.splitlines()[-1] for name, text in said if name == "audit"] == ["clean"]


def test_knows_every_command():
    named = set(re.findall(r"[a-z]+(?:_[a-z]+)*", PAGE))
    missing = {name for name, app in get_commands().items() if app in OURS} - named
    assert not missing
