"""What people and vendors say that is no delivery report: opt-outs, and messages that come in pieces."""

from datetime import timedelta
from itertools import count, permutations

import pytest

from campaigns import replies, webhooks
from campaigns.models import Reply
from compliance.models import Suppression
from providers.adapters.base import Inbound, OptOut, Part, WebhookRequest
from providers.models import Sender
from smsplatform.common import database
from smsplatform.tenancy.models import Brand
from tests import world
from tests.promises.together import Gate, Job, gated

PERSON = "+12125550123"
_keys = count(1)


@pytest.fixture
def acme():
    return world.make()


@pytest.fixture
def second(acme):
    """Another brand of the same tenant that texts through the same account."""
    brand = Brand.objects.create(tenant=acme.tenant, name="Second", slug="second", zone="America/New_York")
    Sender.objects.create(tenant=acme.tenant, brand=brand, account=acme.account, address="+18885550777")
    return brand


def take(acme, *events):
    """The vendor calls with these events; each call is another one."""
    call = WebhookRequest("POST", "http://sms.example/webhooks/x", {}, str(next(_keys)).encode())
    return webhooks.store(acme.account, call, events)


def said(acme, text, part=None, **values):
    sender = values.pop("sender", PERSON)
    return Inbound(f"k{next(_keys)}", sender, values.pop("to", acme.sender.address), text, part=part, **values)


def piece(acme, number, total, text, whole="w1", **values):
    return said(acme, text, Part(whole, number, total), **values)


def stopped():
    return sorted(Suppression.objects.filter(category="").values_list("number", "brand__slug"))


def texts():
    return list(Reply.objects.order_by("id").values_list("text", "is_opt_out"))


# -- which brand ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("to", "brands", "brand"),
    [
        ("+18885550777", ["second"], "second"),
        ("", ["acme", "second"], None),  # the vendor does not say
        ("+18885559999", ["acme", "second"], None),  # out of the vendor's pool, or a sender that was removed
    ],
)
def test_a_stop_reaches_the_brand_that_texts_from_there_or_all_that_may_be_meant(acme, second, to, brands, brand):
    take(acme, said(acme, "STOP", to=to))
    assert stopped() == [(PERSON, slug) for slug in brands]
    reply = Reply.objects.get()
    assert (reply.is_opt_out, reply.brand and reply.brand.slug) == (True, brand)


@pytest.mark.django_db
@pytest.mark.parametrize(("to", "brands"), [("+18885550777", ["second"]), ("", ["acme", "second"])])
def test_what_the_vendor_answered_as_a_stop_is_one(acme, second, to, brands):
    take(acme, said(acme, "enough", to=to, answered_as="stop"))
    assert stopped() == [(PERSON, slug) for slug in brands]


@pytest.mark.django_db
def test_a_reply_to_an_unknown_number_is_the_only_brands(acme):
    take(acme, said(acme, "Hello?", to="+18885559999"))
    assert Reply.objects.get().brand == acme.brand
    assert stopped() == []


@pytest.mark.django_db
def test_another_tenants_brand_is_never_meant(acme):
    world.make("rival")
    take(acme, said(acme, "STOP", to="+18885559999"), OptOut("o1", "+12125550124"))
    assert stopped() == [(PERSON, "acme"), ("+12125550124", "acme")]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("sender", "brands"),
    [("+18885550777", ["second"]), ("", ["acme", "second"]), ("+18885559999", ["acme", "second"])],
)
def test_a_vendors_opt_out_suppresses_and_is_no_reply(acme, second, sender, brands):
    for key in ("o1", "o1", "o2"):
        take(acme, OptOut(key, PERSON, sender))
    assert stopped() == [(PERSON, slug) for slug in brands]
    assert set(Suppression.objects.values_list("source", "reason", "evidence")) == {
        ("provider", "provider_blocked", "o1")
    }
    assert not Reply.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("number", ["", "AMZN", "12345", "+0123456", "no number at all"])
def test_nobody_is_suppressed_whom_nobody_can_text(acme, number):
    take(acme, OptOut("o1", number))
    take(acme, said(acme, "STOP", sender=number))
    assert stopped() == []


# -- pieces ---------------------------------------------------------------------------------------------------------

PIECES = [
    (["I like ", "your ", "shoes"], False),
    (["STOP", "\nand never", " write again"], True),  # a STOP in the first piece
    (["ST", "OP"], True),  # in the whole
    (["Un", "sub\n", "scribe from what?"], True),  # in its first line
    (["Please do not ", "stop"], False),  # a last piece alone says nothing; all of it is for somebody to read
    (["I will ", "end", " it"], False),
    (["Please take me off", " your list"], True),  # a wish, once all of it is there
    (["", "STOP"], True),
]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("pieces", "is_stop", "order"),
    [(pieces, is_stop, order) for pieces, is_stop in PIECES for order in permutations(range(len(pieces)))],
)
def test_pieces_are_one_reply_in_any_order(acme, pieces, is_stop, order):
    for place in order:
        take(acme, piece(acme, place + 1, len(pieces), pieces[place]))
    assert texts() == [("".join(pieces), is_stop)]
    assert stopped() == [(PERSON, "acme")] * is_stop


@pytest.mark.django_db
def test_a_stop_counts_before_the_rest_is_there(acme):
    take(acme, piece(acme, 1, 3, "STOP\n"))
    assert stopped() == [(PERSON, "acme")]
    assert replies.tidy_stops(database.now()) == 0
    take(acme, piece(acme, 2, 3, "please"))
    assert texts() == [("STOP\nplease", True)]


@pytest.mark.django_db
def test_repeated_pieces_change_nothing(acme):
    first = piece(acme, 1, 2, "Hello ", media=("http://a/1.jpg",))
    assert take(acme, first)
    assert not take(acme, first)  # the same event
    take(acme, piece(acme, 2, 2, "you"))
    take(acme, piece(acme, 1, 2, "Hello ", media=("http://a/1.jpg",)))  # another event that says the same
    assert texts() == [("Hello you", False)]
    assert Reply.objects.get().media == ["http://a/1.jpg"]


@pytest.mark.django_db
def test_a_mark_that_comes_again_is_another_message(acme):
    """Vendors count their long messages from 0 to 255 and begin anew."""
    for number, text in ((1, "Hello "), (2, "you")):
        take(acme, piece(acme, number, 2, text))
    take(acme, piece(acme, 1, 2, "STOP\n"))
    take(acme, piece(acme, 2, 2, "now"))
    assert texts() == [("Hello you", False), ("STOP\nnow", True)]
    assert stopped() == [(PERSON, "acme")]


@pytest.mark.django_db
def test_a_mark_that_comes_again_after_days_is_another_message_although_pieces_were_missing(acme):
    take(acme, piece(acme, 2, 2, "old end"))
    Reply.objects.update(received_at=database.now() - timedelta(days=2))
    take(acme, piece(acme, 1, 2, "new beginning"))
    assert texts() == [("old end", False), ("new beginning", False)]


@pytest.mark.django_db
def test_an_old_stop_is_not_repeated_by_another_message_with_its_mark(acme):
    take(acme, piece(acme, 1, 2, "STOP"))
    take(acme, piece(acme, 2, 2, " it"))
    Suppression.objects.all().delete()
    Reply.objects.update(received_at=database.now() - timedelta(days=30))
    take(acme, piece(acme, 2, 2, "world"))
    take(acme, piece(acme, 1, 2, "hello "))
    assert [text for text, _ in texts()] == ["STOP it", "hello world"]
    assert not Suppression.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "other", [{"whole": "w2"}, {"sender": "+12125550124"}, {"to": "+18885559999"}], ids=lambda other: next(iter(other))
)
def test_pieces_of_another_message_stay_apart(acme, other):
    take(acme, piece(acme, 1, 2, "one "))
    take(acme, piece(acme, 2, 2, "other", **other))
    assert texts() == [("one ", False), ("other", False)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_first", [True, False])
def test_pieces_that_come_at_the_same_time_are_one_reply(acme, monkeypatch, is_first):
    """The first has stored its piece and has not committed when the second comes."""
    pieces = [piece(acme, 1, 2, "ST"), piece(acme, 2, 2, "OP")]
    gate = Gate()
    gated(monkeypatch, replies, "_stop_in_beginning", gate)
    first = Job(lambda: take(acme, pieces[not is_first]))
    gate.wait()
    second = Job(lambda: take(acme, pieces[is_first]))
    gate.open()
    first.result()
    second.result()
    assert texts() == [("STOP", True)]
    assert stopped() == [(PERSON, "acme")]


@pytest.mark.django_db
def test_pieces_that_never_come_are_not_waited_for(acme):
    take(acme, piece(acme, 1, 3, "take me "))
    take(acme, piece(acme, 2, 3, "off your list"))
    now = database.now()
    assert replies.read_incomplete(now) == 0
    assert replies.read_incomplete(now + timedelta(minutes=2)) == 1
    assert texts() == [("take me off your list", True)]
    assert stopped() == [(PERSON, "acme")]
    assert replies.read_incomplete(now + timedelta(minutes=2)) == 0


@pytest.mark.django_db
def test_a_piece_that_comes_late_may_still_make_it_a_stop(acme):
    take(acme, piece(acme, 2, 3, "me off "))
    assert replies.read_incomplete(database.now() + timedelta(minutes=2)) == 1
    assert Reply.objects.get().kind == "none"
    take(acme, piece(acme, 1, 3, "take "))
    take(acme, piece(acme, 3, 3, "your list"))
    assert texts() == [("take me off your list", True)]
    assert stopped() == [(PERSON, "acme")]


@pytest.mark.django_db
def test_what_was_read_with_a_piece_missing_is_read_again_with_each_that_comes(acme):
    take(acme, piece(acme, 2, 4, "me off "))
    replies.read_incomplete(database.now() + timedelta(minutes=2))
    take(acme, piece(acme, 1, 4, "take "))
    take(acme, piece(acme, 3, 4, "your list"))
    assert texts() == [("take me off your list", True)]


@pytest.mark.django_db
def test_pieces_for_nobody_in_particular_are_read_for_all(acme, second):
    take(acme, piece(acme, 1, 2, "take me off your list, please", to=""))
    assert replies.read_incomplete(database.now() + timedelta(minutes=2)) == 1
    assert stopped() == [(PERSON, "acme"), (PERSON, "second")]
