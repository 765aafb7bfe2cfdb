import pytest

from compliance.languages import ALSO_READ, NAMES, choose, order, tag


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("es", "es"), ("ES", "es"), (" es-MX ", "es-mx"), ("es_MX", "es-mx"), ("es_MX.UTF-8", "es-mx"),
        ("Spanish", "es"), ("ESPAÑOL", "es"), ("zh-Hant-TW", "zh-hant-tw"), ("", ""), ("e", ""), ("Klingon!", ""),
        ("the spanish one", ""), ("default", ""),
    ],
)  # fmt: skip
def test_reads_what_people_write(said, expected):
    assert tag(said) == expected


@pytest.mark.parametrize(
    ("language", "texts", "chosen"),
    [
        ("es-MX", {"es-mx", "es"}, "es-mx"),
        ("es-MX", {"es"}, "es"),
        ("es", {"es-mx"}, ""),
        ("fr", {"es"}, ""),
        ("", {"es"}, ""),
        ("Spanish", {"es"}, "es"),
        ("nb", {"no", "es"}, "no"),
        ("fil", {"tl"}, "tl"),
        ("zh-TW", {"zh", "zh-hk"}, "zh-hk"),
        ("es", set(), ""),
    ],
)
def test_tries_the_exact_tag_then_what_these_people_read_then_the_language_then_the_default(language, texts, chosen):
    assert choose(language, texts) == chosen


def test_the_data_are_tags():
    assert all(tag(each) == each for each in NAMES.values())
    assert all(tag(each) == each for pair in ALSO_READ.items() for each in (pair[0], *pair[1]))
    assert order("es-mx") == ("es-mx", "es")
