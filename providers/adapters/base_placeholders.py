"""Texts with {placeholders}; each value is escaped for the place where it stands, so that none can break out of it."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from providers.adapters.base import InvalidOption
from providers.adapters.base_documents import document

Escape = Callable[[str], str]
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_NOT_IN_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ENTITIES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def in_url(value: str) -> str:
    """Escape for a URL's path or query, or a form."""
    return quote(value, safe="", errors="replace")


def in_json(value: str) -> str:
    """Escape for the inside of a JSON string."""
    return json.dumps(value)[1:-1]


def in_xml(value: str) -> str:
    """Escape for an element's text or an attribute; what XML cannot carry becomes U+FFFD."""
    return _NOT_IN_XML.sub("\ufffd", value).translate(_ENTITIES)


def in_header(value: str) -> str:
    """Leave out what could end a header."""
    return _CONTROLS.sub("", value)


def in_text(value: str) -> str:
    """Return the value as it is; check_body sees to it that it has nothing to break out of."""
    return value


ESCAPES: Final[Mapping[str, Escape]] = MappingProxyType(
    {"json": in_json, "form": in_url, "xml": in_xml, "text": in_text}
)


@dataclass(frozen=True, slots=True)
class Template:
    """A text between whose pieces values stand; every second piece is the name of one."""

    pieces: tuple[str, ...]
    escape: Escape

    @property
    def names(self) -> tuple[str, ...]:
        """Return the placeholders in their order."""
        return self.pieces[1::2]

    def filled(self, values: Mapping[str, str]) -> str:
        """Return the text with its values."""
        pieces = list(self.pieces)
        pieces[1::2] = [self.escape(values[name]) for name in self.names]
        return "".join(pieces)


def read_template(option: str, text: str, escape: Escape, known: Collection[str]) -> Template:
    """Return the template in an option; raises InvalidOption for a placeholder that is not known there."""
    made = Template(tuple(_PLACEHOLDER.split(text)), escape)
    for name in made.names:
        if name not in known:
            raise InvalidOption(f"{option}: {{{name}}} cannot stand here; use {' '.join(f'{{{k}}}' for k in known)}")
    return made


def check_body(option: str, kind: str, body: Template) -> None:
    """Raise InvalidOption where a value would not be safe in the body, or the body would not be of its kind."""
    if kind == "text" and "text" in body.names and (body.names.index("text") + 1 < len(body.names) or body.pieces[-1]):
        # A person's text could say anything to a vendor who reads on after it.
        raise InvalidOption(f"{option}: plain text has no escapes; put {{text}} at the very end, and only there")
    if kind == "xml" and any("<!" in piece for piece in body.pieces[::2]):
        raise InvalidOption(f"{option}: has a comment, CDATA or DTD; leave it out, values are escaped without it")
    if kind not in {"json", "xml"}:
        return
    # The quote tells whether a value is inside a string: outside of one, its escape is no JSON.
    for sample in ('"', "x"):
        trial = body.filled({name: "1" if name.startswith("valid_for") else sample for name in body.names})
        if document(kind, trial.encode("utf-8", "replace")) is None:
            raise InvalidOption(
                f"{option}: is not {kind.upper()} when values are filled in; close what is open, and put quotes "
                "around placeholders that are strings or attributes"
            )
