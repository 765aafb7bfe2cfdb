"""No value leaves its place, whatever it is: each is found again where the template put it."""

import json
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
from aiohttp.http_writer import _serialize_headers
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from providers.adapters.base import InvalidOption
from providers.adapters.base_placeholders import ESCAPES, check_body, in_header, in_url, in_xml, read_template

KNOWN = ("text", "reference", "valid_for")
anything = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    [
        '"',
        '","to":"+1"',
        "&to=+1",
        "</text><to>1</to>",
        "]]>",
        "<!--",
        "\r\nX: 1",
        "..",
        "/../",
        "?#",
        "{reference}",
        "%26",
    ]
)


def filled(text, escape, value):
    return read_template("body", text, escape, KNOWN).filled({"text": value, "reference": "r", "valid_for": "60"})


@given(value=anything)
def test_stays_in_a_query(value):
    url = filled("https://a.example/send?text={text}&ref={reference}", in_url, value)
    assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == [("text", value), ("ref", "r")]
    sent = URL(url)  # as the client sends it
    assert dict(parse_qsl(sent.raw_query_string, keep_blank_values=True)) == {"text": value, "ref": "r"}
    assert sent.raw_path == "/send"


@given(value=anything.filter(lambda value: value not in {".", ".."}))
def test_stays_in_a_folder(value):
    parts = urlsplit(filled("https://a.example/u/{text}/send", in_url, value))
    assert (parts.path.count("/"), unquote(parts.path), parts.query) == (3, f"/u/{value}/send", "")


@given(value=anything)
def test_stays_in_a_form(value):
    body = filled("text={text}&ref={reference}", ESCAPES["form"], value)
    assert parse_qsl(body, keep_blank_values=True) == [("text", value), ("ref", "r")]


@given(value=anything)
def test_stays_in_a_json_string(value):
    body = filled('{"text": "Hi {text}!", "ref": "{reference}", "ttl": {valid_for}}', ESCAPES["json"], value)
    assert json.loads(body) == {"text": f"Hi {value}!", "ref": "r", "ttl": 60}


@given(value=anything)
def test_stays_in_xml(value):
    body = filled('<m ref="{reference}" a="{text}"><t>{text}</t></m>', ESCAPES["xml"], value)
    root = ET.fromstring(body)  # noqa: S314 - our own
    kept = "".join(c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in value)
    assert (root.attrib["a"], root.findtext("t"), len(root)) == (kept, kept, 1)


def test_says_in_xml_what_xml_cannot_say():
    assert in_xml("\x00\ud800") == "\ufffd\ufffd"


@given(value=anything)
def test_stays_in_a_header(value):
    raw = _serialize_headers("GET / HTTP/1.1", {"X": filled("Bearer {text}", in_header, value)})
    assert raw.count(b"\r\n") == 3  # after the request line, the header and the whole


def test_a_filled_value_is_not_filled_again():
    assert filled("{text}", in_url, "{reference}") == "%7Breference%7D"
    assert filled("{text}", ESCAPES["text"], "{reference}") == "{reference}"


def test_tells_which_placeholders_there_are():
    with pytest.raises(InvalidOption, match=r"^body: \{txt\} cannot stand here; use \{text\} \{reference\}"):
        read_template("body", '{"a": "{txt}"}', in_url, KNOWN)


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        ("json", '{"a": {text}}', "is not JSON when values are filled in; close what is open, and put quotes"),
        ("json", '{"a": "{text}"', "is not JSON"),
        ("json", "", "is not JSON"),
        ("json", '{"a": "\\{text}, "b": 1}', "is not JSON"),
        ("json", '{"a": "\\{text}", "b": "{reference}"}', "is not JSON"),
        ("xml", "<a b={text}/>", "is not XML"),
        ("xml", "<{text}/>", "is not XML"),
        ("xml", "<a>{text}", "is not XML"),
        ("xml", "<a><![CDATA[{text}]]></a>", "CDATA"),
        ("xml", "<a><!-- {text} --></a>", "comment"),
        ("text", "{text}\n{reference}", "put {text} at the very end"),
        ("text", "{text} and more", "put {text} at the very end"),
        ("text", "{text}{text}", "put {text} at the very end"),
    ],
)
def test_refuses_a_body_that_a_value_could_break(kind, text, problem):
    made = read_template("body", text, ESCAPES[kind], KNOWN)
    with pytest.raises(InvalidOption) as raised:
        check_body("body", kind, made)
    assert str(raised.value).startswith("body: ")
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", '{"a": "{text}", "b": {valid_for}, "c": "{valid_for}"}'),
        ("json", '"{text}"'),
        ("xml", '<?xml version="1.0" encoding="utf-8"?><a b="{text}">{text}</a>'),
        ("text", "{reference} {text}"),
        ("text", "{reference}"),
        ("form", "a={text}&b={text}"),
    ],
)
def test_takes_a_body_that_no_value_can_break(kind, text):
    check_body("body", kind, read_template("body", text, ESCAPES[kind], KNOWN))
