"""A number that could not be texted may be texted again."""

import pytest

from compliance import hygiene
from compliance.models import NotTextable
from smsplatform.common import database
from smsplatform.tenancy.models import AuditEvent
from tests import world
from tests.campaigns.commands.shell import ask, refused

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("written", ["+12122345678", "(212) 234-5678"])
def test_clears_what_speaks_against_it(written):
    hygiene.mark_for_all(numbers=["+12122345678"], reason="landline", by="ann", now=database.now())
    assert ask(f"clear_number '{written}' --actor ana") == {"number": "+12122345678", "cleared": True}
    assert ask(f"clear_number '{written}'") == {"number": "+12122345678", "cleared": False}
    assert NotTextable.objects.get().cleared_by == "ana"
    event = AuditEvent.objects.get(verb="number.cleared")
    assert event.actor == "ana"
    assert "2234" not in event.target


def test_refuses_what_is_no_number():
    world.make()
    assert "write it like +12125550123" in refused("clear_number 12")
