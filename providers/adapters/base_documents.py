"""Foreign bodies as values that stand at a dotted path: JSON, XML, forms, and plain words.

`error.code` is the field `code` inside the field `error`; a number counts the entries of a list from 0, as in
`messages.0.id`. In XML the path begins with the name of the outermost element, `@name` is an attribute, and prefixes
(`soap:`) do not count. A plain text is the list of its words, which end at white space and at any of `: = , ; |`.
"""

import json
import re
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.parsers.expat import ExpatError, ParserCreate

from providers.adapters.base import storable

KINDS: Final = ("json", "xml", "form", "text")
_WORD_ENDS: Final = re.compile(r"[\s:=,;|]+")
_INDEX: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_MOST_FIELDS: Final = 500
_TEXT_LIMIT: Final = 10_000
_XML_TEXT: Final = ""  # under which an element keeps its text beside attributes and children


def document(kind: str, body: bytes) -> Any | None:
    """Return what a body of that kind holds, or None where it is none. Never raises."""
    try:
        if kind == "json":
            return json.loads(body)
        if kind == "xml":
            return _xml(body)
        text = body.decode("utf-8", "replace")
        if kind == "form":
            return dict(reversed(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)))
        return [word for word in _WORD_ENDS.split(text) if word]
    except (ValueError, RecursionError, LookupError, ExpatError):
        return None


def kind_of(body: bytes) -> str:
    """Return the kind of a webhook's body by its first character; what vendors call it is often wrong."""
    first = body.lstrip()[:1]
    return "json" if first in (b"{", b"[") else "xml" if first == b"<" else "form"


def node(of: Any, path: str) -> Any | None:
    """Return what stands at the path: a text, number, list or object, or None. The empty path is everything."""
    at = of
    while path:
        if isinstance(at, dict) and path in at:
            return at[path]  # the names of a form may themselves have dots
        name, _, path = path.partition(".")
        if isinstance(at, dict):
            at = at.get(name)
        elif isinstance(at, list) and _INDEX.fullmatch(name) and int(name) < len(at):
            at = at[int(name)]
        else:
            return None
    return at


def text_at(of: Any, path: str) -> str:
    """Return the text, number or truth value at the path as a text that can be stored; anything else is empty."""
    at = node(of, path)
    if isinstance(at, dict):
        at = at.get(_XML_TEXT)
    if isinstance(at, bool):
        return "true" if at else "false"
    return storable(str(at) if isinstance(at, int | float) else at, limit=_TEXT_LIMIT)


def entries(of: Any, path: str) -> list[Any] | None:
    """Return the entries of the list at the path; an object that stands there alone is the only one."""
    at = node(of, path)
    if isinstance(at, dict):
        return [at]
    return at if isinstance(at, list) else None


def _xml(body: bytes) -> dict[str, Any]:
    """Return the elements as objects; one that has only text is that text. A DTD is refused."""
    outermost: dict[str, Any] = {}
    open_elements = [outermost]

    def start(_: str, attributes: dict[str, str]) -> None:
        open_elements.append({f"@{_bare(name)}": value for name, value in attributes.items()})

    def end(name: str) -> None:
        element = open_elements.pop()
        text = element.pop(_XML_TEXT, "").strip()
        value = element | ({_XML_TEXT: text} if text else {}) if element else text
        _add(open_elements[-1], _bare(name), value)

    def characters(text: str) -> None:
        element = open_elements[-1]
        element[_XML_TEXT] = element.get(_XML_TEXT, "") + text

    def refuse(*_: object) -> None:
        raise ValueError("a DTD")

    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = characters, refuse
    parser.Parse(body, True)
    return outermost


def _bare(name: str) -> str:
    return name.rpartition(":")[2]


def _add(parent: dict[str, Any], name: str, value: Any) -> None:
    """Add a child; those of one name become a list."""
    if name not in parent:
        parent[name] = value
    elif isinstance(parent[name], list):
        parent[name].append(value)
    else:
        parent[name] = [parent[name], value]
