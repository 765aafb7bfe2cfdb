"""The diagram is drawn from the table, and a stale copy is noticed."""

import pytest

from campaigns.states import TRANSITIONS
from tests.campaigns.commands.shell import ask, failed, refused, run

EMPTY = "# Life\n\n<!-- states -->\n<!-- /states -->\n\nrest\n"


def test_draws_every_move_of_the_table():
    drawn = run("state_diagram").splitlines()
    for origin, targets in TRANSITIONS.items():
        for to in targets:
            assert f"    {origin} --> {to}" in drawn


def test_writes_between_the_markers_only(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(EMPTY)
    assert "is stale; run `manage.py state_diagram --write" in failed(f"state_diagram --check {page}")[1]
    assert ask(f"state_diagram --write {page}")["written"]
    assert not ask(f"state_diagram --write {page}")["written"]
    assert ask(f"state_diagram --check {page}")["fresh"]
    text = page.read_text()
    assert text.startswith("# Life\n\n<!-- states -->\n```mermaid\nstateDiagram-v2\n")
    assert text.endswith("\n```\n<!-- /states -->\n\nrest\n")
    page.write_text(text.replace("queued --> cleared\n", ""))
    assert "is stale" in failed(f"state_diagram --check {page}")[1]


@pytest.mark.django_db
def test_refuses_a_file_without_the_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing")
    assert "must have the markers" in refused(f"state_diagram --check {page}")
    assert "cannot be read: No such file" in refused(f"state_diagram --write {tmp_path}/none.md")
