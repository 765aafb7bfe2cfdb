"""Foreign bodies by their paths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.adapters.base_documents import KINDS, document, entries, kind_of, node, text_at

XML = b"""<?xml version="1.0"?>
<soap:Envelope xmlns:soap="urn:s"><soap:Body>
  <response id="7" result="ok"><part>a</part><part n="2">b &amp; c</part><empty/></response>
</soap:Body></soap:Envelope>"""


@pytest.mark.parametrize(
    ("kind", "body", "path", "text"),
    [
        ("json", b'{"id": "m1"}', "id", "m1"),
        ("json", b'{"messages": [{"id": 17}, {"id": 18}]}', "messages.1.id", "18"),
        ("json", b'[{"id": "m1"}]', "0.id", "m1"),
        ("json", b'{"a": {"b": true}, "c": false}', "a.b", "true"),
        ("json", b'{"c": false}', "c", "false"),
        ("json", b'{"a.b": "dots", "a": {"b": "path"}}', "a.b", "dots"),
        ("json", b'{"x": {"a.b": "dots"}}', "x.a.b", "dots"),
        ("json", b'{"cost": 0.5}', "cost", "0.5"),
        ("json", b'{"id": null, "list": [], "object": {}}', "id", ""),
        ("json", b'{"list": []}', "list", ""),
        ("json", b'{"list": []}', "list.0", ""),
        ("json", b'{"list": ["a"]}', "list.-1", ""),
        ("json", b'{"list": ["a"]}', "list.x", ""),
        ("json", b'{"list": ["a"]}', "list.²", ""),
        ("json", b'{"list": ["a"]}', "list." + "9" * 5000, ""),
        ("json", b'{"id": "m1"}', "id.more", ""),
        ("json", b'"a text"', "", "a text"),
        ("json", b'{"id": "a\\u0000b\\ud800"}', "id", "a\ufffdb\ufffd"),
        ("json", b"<html>", "id", ""),
        ("json", b"[" * 100_000, "0", ""),
        ("xml", XML, "Envelope.Body.response.@result", "ok"),
        ("xml", XML, "Envelope.Body.response.part.0", "a"),
        ("xml", XML, "Envelope.Body.response.part.1", "b & c"),
        ("xml", XML, "Envelope.Body.response.part.1.@n", "2"),
        ("xml", XML, "Envelope.Body.response.empty", ""),
        ("xml", XML, "response.@result", ""),
        ("xml", b"<id>5</id>", "id", "5"),
        ("xml", "<id>Grüße</id>".encode(), "id", "Grüße"),
        ("form", b"status=ok&id=5&id=6&empty=", "id", "5"),
        ("form", b"error.code=E1", "error.code", "E1"),
        ("form", b"text=a+b%26c", "text", "a b&c"),
        ("text", b"ERR: 114, Cannot route", "0", "ERR"),
        ("text", b"ERR: 114, Cannot route", "1", "114"),
        ("text", b"id=m1|status=queued\r\n", "3", "queued"),
        ("text", b"", "0", ""),
    ],
)
def test_finds_the_text_at_a_path(kind, body, path, text):
    assert text_at(document(kind, body), path) == text


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE r [<!ENTITY a "x">]><r>&a;</r>',
        '<!DOCTYPE r [<!ENTITY a "x">]><r>&a;</r>'.encode("utf-16"),
        b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>',
        b"<r>",
        b"<r/><r/>",
        b'<?xml version="1.0" encoding="nonsense"?><r/>',
        b'<?xml version="1.0" encoding="utf-7"?><r/>',
        b"",
    ],
)
def test_reads_no_xml_with_a_dtd_or_a_mistake(body):
    assert document("xml", body) is None


def test_reads_deep_xml():
    assert document("xml", b"<a>" * 20_000 + b"</a>" * 20_000) is not None


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b' {"a": 1}', "json"), (b"\n[1]", "json"), (b"<a/>", "xml"), (b"a=1&b=2", "form"), (b"", "form")],
)
def test_tells_the_kind_by_the_first_character(body, kind):
    assert kind_of(body) == kind


@pytest.mark.parametrize(
    ("of", "path", "found"),
    [
        ([1, 2], "", [1, 2]),
        ({"a": 1}, "", [{"a": 1}]),
        ({"a": [1]}, "a", [1]),
        ({"a": {"b": 1}}, "a", [{"b": 1}]),
        ({"a": []}, "a", []),
        ({"a": "text"}, "a", None),
        ({}, "a", None),
        (None, "", None),
    ],
)
def test_lists_the_entries_at_a_path(of, path, found):
    assert entries(of, path) == found


@given(kind=st.sampled_from(KINDS), body=st.binary(max_size=200), path=st.text(max_size=20))
def test_garbage_never_raises(kind, body, path):
    found = document(kind, body)
    node(found, path)
    text_at(found, path).encode()
