from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from compliance import languages, segments, stop_lines
from compliance.models import StopLine
from smsplatform.common import database
from smsplatform.common.database import rows
from smsplatform.tenancy.models import check_stop_lines
from tests import world


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Reply STOP to opt out.", True), ("STOP", True), ("text STOP.", True), ("(STOP)", True), ("STOP2END", False),
        ("Don't stop now", False), ("NONSTOP", False), ("STOPPED", False), ("STOP_NOW", True), ("回复STOP退订", False),
        ("回复 STOP 退订", True), ("", False),
    ],
)  # fmt: skip
def test_knows_a_text_that_tells_the_way_out(text, expected):
    assert bool(stop_lines.tells_stop(text)) is expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text", ["Reply STOP to end", "NONSTOP", "STOP_NOW", "don't stop", "x\nSTOP", "(STOP)", "STOP2END"]
)
def test_python_and_the_database_agree(text):
    [(found,)] = rows("SELECT %s ~ %s", [text, stop_lines._PATTERN])
    assert found is bool(stop_lines.tells_stop(text))


def test_every_line_is_short_and_says_stop():
    for language, line in stop_lines.LINES.items():
        assert languages.tag(language) == language
        assert stop_lines.tells_stop(line)
        assert segments.count(line).segments == 1
    for language in ("en", "es", "fr", "pt", "de", "it", "ht"):
        assert segments.count(stop_lines.LINES[language]).encoding == "GSM-7"


@pytest.mark.parametrize(
    ("language", "own", "expected"),
    [
        ("", {}, "Reply STOP to opt out."),
        ("es", {}, stop_lines.LINES["es"]),
        ("es-MX", {}, stop_lines.LINES["es"]),
        ("sw", {}, "Reply STOP to opt out."),
        ("", {"default": "STOP ends."}, "STOP ends."),
        ("sw", {"default": "STOP ends."}, "STOP ends."),
        ("es", {"default": "STOP ends."}, stop_lines.LINES["es"]),
        ("es", {"es": "STOP: fin."}, "STOP: fin."),
        ("", {"es": "STOP: fin."}, "Reply STOP to opt out."),
    ],
)
def test_speaks_the_language_of_the_text(language, own, expected):
    assert stop_lines.line(language=language, own=own) == expected


@pytest.mark.parametrize(
    ("lines", "flaw"),
    [
        ([], "by language"),
        ({"Spanish": "STOP"}, "is no language"),
        ({"es": "adios"}, "the word STOP is missing"),
        ({"es": "stop"}, "the word STOP is missing"),
        ({"es": None}, "the word STOP is missing"),
        ({"default": "STOP " + "x" * 60}, "at most 60"),
    ],
)
def test_a_brands_own_lines_must_say_stop(lines, flaw):
    with pytest.raises(ValidationError, match=flaw):
        check_stop_lines(lines)


def test_takes_a_brands_own_lines():
    check_stop_lines({})
    check_stop_lines({"default": "STOP ends.", "es-mx": "STOP: fin."})


def _remember(acme, now, *texts):
    return stop_lines.remember(
        given="SELECT %(tenant)s::bigint AS tenant_id, %(brand)s::bigint AS brand_id, number, text, %(at)s::timestamptz AS at"
        " FROM unnest(%(numbers)s::text[], %(texts)s::text[]) AS g(number, text)",
        parameters={
            "tenant": acme.tenant.pk, "brand": acme.brand.pk, "at": now,
            "numbers": [number for number, _ in texts], "texts": [text for _, text in texts],
        },
        now=now,
    )  # fmt: skip


@pytest.mark.django_db
def test_remembers_who_was_told_and_writes_no_more_than_needed():
    acme, now = world.make(), database.now()
    assert _remember(acme, now, ("+1", "Hi, STOP ends"), ("+2", "Hi"), ("+1", "STOP again")) == 1
    assert list(StopLine.objects.values_list("number", "told_at")) == [("+1", now)]
    later = now + timedelta(days=14)
    assert _remember(acme, later, ("+1", "Hi, STOP ends")) == 0
    later = now + timedelta(days=16)
    assert _remember(acme, later, ("+1", "Hi, STOP ends"), ("+2", "STOP ends")) == 2
    assert set(StopLine.objects.values_list("number", "told_at")) == {("+1", later), ("+2", later)}
