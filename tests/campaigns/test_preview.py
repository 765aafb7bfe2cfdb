"""The preview: what people will get, with its size, what was changed and what is dear; live in the admin."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from campaigns import preview
from campaigns.models import Template
from campaigns.preview import Piece
from smsplatform.common import masking
from smsplatform.tenancy.models import Membership, Role
from tests import world

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return world.make()


def samples(acme, source, **texts):
    return preview.samples(brand=acme.brand, source=source, texts=texts)


def test_shows_texts_as_they_are_sent(acme):
    acme.recipient(first_name="Ana")
    acme.recipient()
    ana, nobody = samples(acme, "It\u2019s {{ first_name }}: https://shop.example/{{ first_name }}")
    assert ana.text == "It's Ana: https://shop.example/Ana"
    assert (ana.segments, ana.encoding) == (1, "GSM-7")
    assert ana.units < 60
    assert ana.pieces[:2] == [Piece("It"), Piece("'", "changed", "\u2019")]
    assert nobody.problem == "is skipped: no value for first_name"
    assert preview.total([ana, nobody]) == "1 to 1 segments, 1.0 on average"
    assert preview.total([nobody]) == ""


def test_marks_what_makes_the_text_dear(acme):
    acme.recipient(name="Łu")
    [found] = samples(acme, "Hi {{ name }} 😀!")
    assert found.pieces == [Piece("Hi "), Piece("Ł", "dear"), Piece("u "), Piece("😀", "dear"), Piece("!")]
    assert (found.encoding, found.segments, found.units) == ("UCS-2", 1, 9)


def test_shows_what_was_removed_and_what_is_added(acme):
    acme.brand.adds_stop_line = True
    acme.recipient()
    [found] = samples(acme, "Hel\u00adlo ")
    assert found.pieces == [
        Piece("Hel"), Piece("", "changed", "\u00ad"), Piece("lo "), Piece(" Reply STOP to opt out.", "added"),
    ]  # fmt: skip


def test_has_somebody_of_each_language(acme):
    acme.recipients(6)
    acme.recipient(language="es-MX")
    found = samples(acme, "Hello", es="Hola", de="Hallo")
    assert [each.text for each in found] == ["Hello"] * 5 + ["Hola"]
    assert found[-1].language == "es"


def test_says_why_a_link_is_not_allowed(acme):
    acme.recipient(page="http://shop.example")
    assert "a link does not begin with https://" in samples(acme, "see {{ page }}")[0].problem


class TestAdmin:
    @pytest.fixture
    def login(self, client, acme):
        def login(role, tenant=None):
            user = get_user_model().objects.create_user(f"{role}@x.example", is_staff=True)
            Membership.objects.create(user=user, tenant=tenant or acme.tenant, role=role)
            client.force_login(user)
            return client

        return login

    def preview(self, client, acme, text="Hi {{ name }}", **more):
        url = reverse("admin:campaigns_template_preview_new")
        return client.post(url, {"brand": acme.brand.pk, "text": text, **more})

    def test_shows_it_while_it_is_written(self, login, acme):
        person = acme.recipient(name="<b>Łu</b>")
        answer = self.preview(login(Role.MANAGER), acme)
        shown = answer.content.decode()
        assert answer.status_code == 200
        assert masking.number(person.number) in shown
        assert person.number[2:-4] not in shown
        assert "&lt;b&gt;<mark" in shown
        assert "UCS-2" in shown
        assert "does not name Acme" in shown
        assert not Template.objects.exists()

    def test_says_what_is_wrong(self, login, acme):
        acme.recipient()
        shown = self.preview(login(Role.MANAGER), acme, "Hi {{ name").content.decode()
        assert "line 1, column 4" in shown
        assert "<table>" not in shown

    def test_shows_other_languages(self, login, acme):
        acme.recipient(language="es")
        shown = self.preview(
            login(Role.MANAGER), acme, "Hello", language_1="Spanish", text_1="Hola\r\nbit.ly/x"
        ).content.decode()
        assert "Hola" in shown
        assert "es, line 2, column 1: bit.ly must not be in a text" in shown

    def test_of_a_template_that_exists(self, login, acme):
        acme.recipient()
        template = acme.campaign("Hello").template
        url = reverse("admin:campaigns_template_preview", args=[template.pk])
        client = login(Role.MANAGER)
        assert "Bye" in client.post(url, {"text": "Bye"}).content.decode()
        page = client.get(reverse("admin:campaigns_template_change", args=[template.pk])).content.decode()
        assert f'data-url="{url}"' in page
        assert "preview.js" in page

    def test_is_for_those_who_may_write(self, login, acme):
        template = acme.campaign("Hello").template
        client = login(Role.VIEWER)
        url = reverse("admin:campaigns_template_preview", args=[template.pk])
        assert client.post(url, {"text": "Bye"}).status_code == 403
        assert self.preview(client, acme).status_code == 403
        page = client.get(reverse("admin:campaigns_template_change", args=[template.pk])).content.decode()
        assert "data-url" not in page

    def test_shows_nobody_of_another_tenant(self, login, acme):
        stranger = acme.recipient(name="Ann")
        template = acme.campaign("Hello").template
        client = login(Role.MANAGER, world.make("bolt").tenant)
        shown = self.preview(client, acme).content.decode()
        assert stranger.number[-4:] not in shown
        assert "Ann" not in shown
        url = reverse("admin:campaigns_template_preview", args=[template.pk])
        assert client.post(url, {"text": "Bye"}).status_code == 404
        assert client.get(url).status_code == 405
