"""Words that brands give a meaning: which they may have, and what belongs to them."""

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from campaigns.models import Keyword, RecipientList
from smsplatform.tenancy.models import AuditEvent, Membership, Role, User
from tests import world

pytestmark = pytest.mark.django_db
FIT = "Acme VIP: up to 4 msgs/mo, recurring. Msg&data rates may apply. HELP for help, STOP to end."


@pytest.fixture
def acme():
    return world.make()


def word(acme, text="JOIN", **values):
    return Keyword(**{"tenant": acme.tenant, "brand": acme.brand, "people": acme.people, "word": text, **values})


@pytest.mark.parametrize("text", ["JOIN", "Deal 10", "¡Únete!", "VIP", "加入", "4 u"])
def test_any_free_word_may_be_had(acme, text):
    word(acme, text).full_clean()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("STOP", "STOP means opt-out to everybody"),
        ("arrêt", "means opt-out"),
        ("stop it", "means opt-out"),
        ("Help", "Help means help to everybody"),
        ("START", "means opt-in"),
        ("yes", "means opt-in"),  # for whoever was asked
        ("The End", "means review"),
        ("stopp", "means opt-out"),
        ("!!!", "no letter and no digit"),
        ("please let me join now", "at most 4 words"),
    ],
)
def test_words_that_mean_something_to_everybody_are_refused(acme, text, told):
    with pytest.raises(ValidationError) as refused:
        word(acme, text).full_clean()
    assert told in " ".join(refused.value.message_dict["word"])


def test_a_word_has_one_meaning_in_a_brand(acme):
    word(acme, "Join").save()
    with pytest.raises(ValidationError, match="has given JOIN! a meaning already"):
        word(acme, "JOIN!").full_clean()
    rival = world.make("rival")
    word(rival, "JOIN").full_clean()


def test_a_welcome_must_hold_what_the_law_asks_for(acme):
    word(acme, welcome=FIT).full_clean()
    with pytest.raises(ValidationError) as refused:
        word(acme, welcome="Welcome to Acme! See acme.com").full_clean()
    told = " ".join(refused.value.message_dict["welcome"])
    assert "rates may apply" in told
    assert "the word STOP" in told
    assert "a link" in told


def test_written_consent_needs_what_people_read(acme):
    with pytest.raises(ValidationError) as refused:
        word(acme, tier="written").full_clean()
    assert list(refused.value.message_dict) == ["disclosure"]
    word(acme, tier="written", disclosure="Text JOIN for up to 4 texts a month.").full_clean()


def test_the_list_is_of_the_same_tenant(acme):
    rival = world.make("rival")
    with pytest.raises(ValidationError, match="another tenant"):
        word(acme, people=rival.people).full_clean()


def test_managers_make_them(client, acme):
    user = User.objects.create_user("ann@acme.example", is_staff=True)
    Membership.objects.create(user=user, tenant=acme.tenant, role=Role.MANAGER)
    client.force_login(user)
    people = RecipientList.objects.create(tenant=acme.tenant, name="vip")
    data = {"brand": acme.brand.pk, "word": "Join VIP", "people": people.pk, "category": "marketing", "tier": "express"}
    add = reverse("admin:campaigns_keyword_add")
    answer = client.post(add, {**data, "is_active": "on"})
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    made = Keyword.objects.get()
    assert (made.tenant, made.people, made.folded, made.is_active) == (acme.tenant, people, "join vip", True)
    assert AuditEvent.objects.filter(verb="keyword.added").exists()
    answer = client.post(add, {**data, "word": "STOP", "welcome": "Hi"})
    errors = answer.context["adminform"].form.errors
    assert set(errors) == {"word", "welcome"}
    assert client.get(reverse("admin:campaigns_keyword_changelist")).status_code == 200
