"""What people and vendors tell: long messages in pieces, and opt-outs that reach whom they concern."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from campaigns import replies
from campaigns.models import RawEvent, Reply
from compliance.models import Suppression
from providers.adapters.base import Inbound, OptOut, Part
from providers.models import Sender
from smsplatform.tenancy.models import Brand
from tests import world

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PERSON = "+12025550123"


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def other(acme):
    """Another brand that texts through the same account."""
    brand = Brand.objects.create(tenant=acme.tenant, name="Other", slug="other", zone="UTC", **world.ALL_DAY)
    Sender.objects.create(tenant=acme.tenant, brand=brand, account=acme.account, address="+18885550099")
    return brand


def take_in(acme, *events, now=NOW):
    raw = RawEvent.objects.create(
        tenant=acme.tenant, account=acme.account, method="POST", url="/", body=b"", received_at=now
    )
    with transaction.atomic():
        replies.take_in(acme.account, raw, events)


def suppressed():
    return set(Suppression.objects.values_list("brand__slug", "number"))


@pytest.mark.parametrize(
    "opt_out",
    [
        lambda address: OptOut("k", PERSON, address),
        lambda address: Inbound("k", PERSON, address, "STOP"),
        lambda address: Inbound("k", PERSON, address, "enough", answered_as="stop"),
    ],
    ids=["told by the vendor", "a reply", "answered by the vendor"],
)
class TestOptOut:
    def test_is_for_the_brand_of_the_address(self, acme, other, opt_out):
        take_in(acme, opt_out(acme.sender.address))
        assert suppressed() == {("acme", PERSON)}

    @pytest.mark.parametrize("address", ["", "+18885557777"], ids=["without an address", "to nobody's address"])
    def test_is_for_every_brand_of_the_account_where_it_may_mean_any(self, acme, other, opt_out, address):
        """A number given back, or written otherwise than at the vendor: the person has said STOP all the same."""
        world.make("stranger")
        take_in(acme, opt_out(address))
        assert suppressed() == {("acme", PERSON), ("other", PERSON)}


def piece(acme, number, text, total=2, mark="7"):
    return Inbound(f"k{number}{text}", PERSON, acme.sender.address, text, part=Part(mark, number, total))


def texts():
    return list(Reply.objects.order_by("id").values_list("text", flat=True))


def test_the_pieces_of_a_long_message_are_one_reply_in_any_order(acme):
    take_in(acme, piece(acme, 2, "world"))
    take_in(acme, piece(acme, 1, "hello "), now=NOW + timedelta(minutes=5))
    assert texts() == ["hello world"]


def test_the_same_mark_much_later_is_another_message(acme):
    take_in(acme, piece(acme, 1, "STOP"))
    take_in(acme, piece(acme, 2, " it"))
    Suppression.objects.all().delete()
    later = NOW + timedelta(days=30)
    take_in(acme, piece(acme, 2, "world"), now=later)
    take_in(acme, piece(acme, 1, "hello "), now=later)
    assert texts() == ["STOP it", "hello world"]
    assert not Suppression.objects.exists()


def test_the_same_piece_again_is_another_message(acme):
    for word in ("one ", "two "):
        take_in(acme, piece(acme, 1, word))
        take_in(acme, piece(acme, 2, "end"))
    assert texts() == ["one end", "two end"]
