"""What is stored for a batch's rows: language, smart encoding, the STOP line, hosts and length, counted as it is sent."""

from datetime import timedelta

import pytest

from campaigns.models import Dispatch
from campaigns.states import State
from compliance.models import StopLine
from compliance.policy import Category
from smsplatform.common import database
from tests import world

pytestmark = pytest.mark.django_db(transaction=True)
LINE = "Reply STOP to opt out."


@pytest.fixture
def acme():
    return world.make()


def clear(run):
    """Run the first stage; return the rows by number."""
    batch = world.only_batch(run)
    world.PIPELINE[0].run(batch.pk, world.start(batch))
    return {row.number: row for row in Dispatch.objects.of_run(run.pk)}


def text_of(acme, text, *, version=None, **options):
    person = acme.recipient(**options.pop("fields", {}))
    campaign = acme.campaign(text, **options)
    if version:
        campaign.template.write(text, version)
    return clear(acme.run(campaign))[person.number]


def test_sends_what_smart_encoding_makes_of_the_text(acme):
    row = text_of(acme, "It\u2019s {{ what }}", fields={"what": "\u201cnow\u201d\u2026"})
    assert (row.text, row.segments) == ('It\'s "now"...', 1)


def test_leaves_the_text_as_it_is_where_the_tenant_wants_that(acme):
    acme.tenant.has_smart_encoding = False
    acme.tenant.save()
    assert text_of(acme, "It\u2019s").text == "It\u2019s"


def test_takes_accents_away_where_the_tenant_wants_that(acme):
    acme.tenant.strips_accents = True
    acme.tenant.save()
    assert text_of(acme, "Hi {{ name }}", fields={"name": "Łukasz"}).text == "Hi Lukasz"


def test_counts_after_encoding(acme):
    row = text_of(acme, "\u2019" * 100)
    assert row.segments == 1
    acme.tenant.has_smart_encoding = False
    acme.tenant.save()
    world.ListMember.objects.all().delete()
    assert text_of(acme, "\u2019" * 100).segments == 2


def test_everybody_gets_the_text_in_their_language(acme):
    people = {
        language: acme.recipient(**({"language": language} if language else {}))
        for language in ("es", "es-MX", "Spanish", "fr", "", "ES_ar")
    }
    campaign = acme.campaign("Hello")
    campaign.template.write("Hello", {"es": "Hola", "es-mx": "Qué onda"})
    rows = clear(acme.run(campaign))
    assert {language: rows[person.number].text for language, person in people.items()} == {
        "es": "Hola", "es-MX": "Qué onda", "Spanish": "Hola", "fr": "Hello", "": "Hello", "ES_ar": "Hola",
    }  # fmt: skip


def test_the_language_is_a_column_of_its_own(acme):
    person = acme.recipient(language="Spanish (Mexico), as it is spoken in the north of it")
    person.refresh_from_db()
    assert person.language == "spanish (mexico), as it is spoken i"
    acme.recipient(language=5).refresh_from_db()
    plain = acme.recipient()
    plain.refresh_from_db()
    assert plain.language is None


def test_a_run_keeps_the_texts_it_was_launched_with(acme):
    person = acme.recipient(language="es")
    campaign = acme.campaign("Hello")
    campaign.template.write("Hello", {"es": "Hola"})
    run = acme.run(campaign)
    campaign.template.write("Hello", {"es": "Otra"})
    assert clear(run)[person.number].text == "Hola"


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("see bit.ly/{{ x }}", "link_host_blocked@1", "bit.ly must not be in a text"),
        ("see {{ link }}", "link_host_blocked@1", "www.rival.example must not be in a text"),
        ("see {{ shortener }}", "link_not_allowed@1", "public link shortener"),
        ("{{ long }}" * 30, "too_many_segments@1", "20 segments, 10 are allowed"),
        ("{{ nothing }}", "missing_merge_field@1", "no value for nothing"),
    ],
)
def test_blocks_what_only_a_persons_values_bring_in(acme, text, reason, detail):
    acme.tenant.banned_hosts = ["rival.example"]
    acme.tenant.save()
    campaign = acme.campaign("fine")
    campaign.template.versions.update(source=text)
    values = {"x": "a", "link": "https://www.rival.example/x", "shortener": "https://t.co/x", "long": "x" * 100}
    person = acme.recipient(**values)
    row = clear(_launched(acme, campaign))[person.number]
    assert (row.state, row.reason) == (State.BLOCKED, reason)
    assert detail in row.detail


def _launched(acme, campaign):
    """A run of a text that was saved before there was a rule against it."""
    from unittest.mock import patch

    from campaigns import content

    with patch.object(content, "require_sendable"):
        return acme.run(campaign)


def test_a_brand_may_be_stricter_about_length_but_not_laxer(acme):
    acme.brand.max_segments = 2
    acme.brand.save()
    values = {"fields": {"long": "x" * 100}}
    assert text_of(acme, "{{ long }}" * 4, **values).detail == "3 segments, 2 are allowed"
    acme.brand.max_segments = 20
    acme.brand.save()
    world.ListMember.objects.all().delete()
    assert text_of(acme, "{{ long }}" * 30, **values).detail == "20 segments, 10 are allowed"


class TestStopLine:
    @pytest.fixture
    def acme(self, simulator):
        simulator.script("token-acme", receipts=None)
        return world.make(base_url=simulator.url, adds_stop_line=True)

    def send(self, acme, text="Hello", key="1", **options):
        """Send to the people of the list; return the texts by number."""
        run = acme.run(text=text, key=key, **options)
        world.work()
        return {row.number: row.text for row in Dispatch.objects.of_run(run.pk)}

    def test_is_told_once_in_thirty_days(self, acme):
        person = acme.recipient()
        acme.brand.person_cap = 9
        acme.brand.save()
        assert self.send(acme, key="1") == {person.number: f"Hello {LINE}"}
        assert StopLine.objects.get().number == person.number
        assert self.send(acme, key="2") == {person.number: "Hello"}
        StopLine.objects.update(told_at=database.now() - timedelta(days=30))
        assert self.send(acme, key="3") == {person.number: f"Hello {LINE}"}
        assert StopLine.objects.get().told_at > database.now() - timedelta(minutes=1)

    def test_is_counted(self, acme):
        acme.recipient()
        run = acme.run(text="x" * 150)
        world.work()
        assert Dispatch.objects.of_run(run.pk).get().segments == 2

    def test_is_for_each_brand_and_person(self, acme):
        acme.recipient()
        acme.brand.person_cap = 9
        acme.brand.save()
        self.send(acme)
        newcomer = acme.recipient()
        texts = self.send(acme, key="2")
        assert [number for number, text in texts.items() if text.endswith(LINE)] == [newcomer.number]

    def test_is_not_needed_where_the_text_says_it_and_that_counts_too(self, acme):
        person = acme.recipient()
        acme.brand.person_cap = 9
        acme.brand.save()
        assert self.send(acme, "Hello. STOP ends this.") == {person.number: "Hello. STOP ends this."}
        assert self.send(acme, key="2") == {person.number: "Hello"}

    def test_is_in_the_language_of_the_text_and_in_the_brands_words(self, acme):
        acme.brand.stop_lines = {"default": "STOP ends."}
        acme.brand.save()
        spanish, english = acme.recipient(language="es"), acme.recipient(language="fr")
        campaign = acme.campaign("Hello")
        campaign.template.write("Hello", {"es": "Hola"})
        rows = clear(acme.run(campaign))
        assert rows[spanish.number].text == "Hola Responda STOP para cancelar."
        assert rows[english.number].text == "Hello STOP ends."

    @pytest.mark.parametrize("category", [Category.INFORMATIONAL, Category.TRANSACTIONAL])
    def test_is_for_marketing_only(self, acme, category):
        acme.recipient()
        assert [*self.send(acme, category=category).values()] == ["Hello"]

    def test_can_be_switched_off(self, acme):
        acme.brand.adds_stop_line = False
        acme.brand.save()
        acme.recipient()
        assert [*self.send(acme).values()] == ["Hello"]

    def test_who_did_not_get_the_text_was_not_told(self, acme, simulator):
        person = acme.recipient()
        simulator.script("token-acme", receipts=None, reject=[person.number])
        self.send(acme)
        assert not StopLine.objects.exists()
