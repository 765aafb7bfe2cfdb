"""Templates made into texts: compiled once, rendered for each recipient.

A field without a value and without a default refuses the recipient, so nobody ever gets "Hi !" or
"Hi {{ first_name }}". Values are data: cleaned, never parsed. Most templates are only texts and
fields; those are joined directly, the others go through Liquid, with the same result.
"""

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path, StringLiteral
from liquid.builtin.expressions.arguments import PositionalArgument
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError, UndefinedError
from liquid.template import BoundTemplate

from campaigns import template_language
from campaigns.template_language import MAX_TEXT, BadTemplate, FieldPath, Flaw

__all__ = [
    "MAX_TEXT",
    "BadTemplate",
    "CompiledText",
    "Flaw",
    "MissingField",
    "RenderError",
    "check",
    "clean",
    "compile_text",
    "fields_used",
    "render",
    "warnings",
]

MAX_VALUE: Final = 100
MAX_URL: Final = 2_048
_MAX_DIGITS: Final = 30


class RenderError(Exception):
    """This recipient's text cannot be made."""


class MissingField(RenderError):
    """The recipient lacks a field that has no default."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no value for {name}")


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place in a simple text where one field goes."""

    path: FieldPath
    default: str | None


@dataclass(frozen=True, slots=True)
class CompiledText:
    """A checked template; `parts` is there if it has no conditions and no filter but `default`."""

    source: str
    paths: tuple[FieldPath, ...]
    parts: tuple[str | _Slot, ...] | None
    template: BoundTemplate
    names: Mapping[int, str]


def check(source: str) -> list[Flaw]:
    """What keeps this template from being saved; empty if nothing does."""
    try:
        compile_text(source)
    except BadTemplate as error:
        return error.flaws
    return []


def warnings(source: str) -> list[Flaw]:
    """What looks like a field but is plain text; empty for a template that has flaws."""
    try:
        compiled = compile_text(source)
    except BadTemplate:
        return []
    return template_language.lookalikes(compiled.template, compiled.source)


@lru_cache(maxsize=1024)
def compile_text(source: str) -> CompiledText:
    """The template, ready to render. Raises BadTemplate."""
    source = template_language.unify_line_ends(source)
    template = template_language.parse(source)
    found = template_language.fields(template)
    names = {index: ".".join(path) for index, path in found.items()}
    paths = tuple(dict.fromkeys(found.values()))
    return CompiledText(source, paths, _simple_parts(template), template, names)


def fields_used(source: str) -> tuple[str, ...]:
    """The fields the template reads, in order of appearance. Raises BadTemplate."""
    return tuple(".".join(path) for path in compile_text(source).paths)


def render(compiled: CompiledText, fields: Mapping[str, object]) -> str:
    """The recipient's text. Raises MissingField, or RenderError for whatever else is wrong.

    `fields` may hold the recipient's own fields under "custom"; `city` and `custom.city` both
    find a field wherever it is.
    """
    try:
        found = ((path, _find(fields, path)) for path in compiled.paths)
        values = {path: value for path, value in found if value is not None}
        text = _render_tree(compiled, values) if compiled.parts is None else _render_parts(compiled.parts, values)
    except RenderError:
        raise
    except Exception as error:  # one recipient's row never stops the others
        raise RenderError(f"the text cannot be made: {type(error).__name__}") from error
    if len(text) > MAX_TEXT:
        raise RenderError(f"the text is longer than {MAX_TEXT} characters")
    return text


def _render_parts(parts: tuple[str | _Slot, ...], values: Mapping[FieldPath, object]) -> str:
    pieces: list[str] = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(part)
            continue
        value = values.get(part.path)
        if isinstance(value, str):
            pieces.append(value)
        elif value is None or (value is False and part.default is not None):
            if part.default is None:
                raise MissingField(".".join(part.path))
            pieces.append(part.default)
        else:
            pieces.append(str(value).lower() if isinstance(value, bool) else str(value))
    return "".join(pieces)


class _Group(dict[str, object]):
    """Fields below a name, such as `custom`; has no text of its own."""

    def __str__(self) -> str:
        raise RenderError("a group of fields has no text")


def _render_tree(compiled: CompiledText, values: Mapping[FieldPath, object]) -> str:
    try:
        text: str = compiled.template.render(_nested(values))
    except UndefinedError as error:
        index = error.token.start_index if error.token else -1
        raise MissingField(compiled.names.get(index, "?")) from error
    except LiquidError as error:
        raise RenderError(str(error.message)) from error
    return text


def _nested(values: Mapping[FieldPath, object]) -> dict[str, object]:
    context: dict[str, object] = {}
    for path, value in values.items():
        scope = context
        for segment in path[:-1]:
            inner = scope.setdefault(segment, _Group())
            if not isinstance(inner, _Group):
                break
            scope = inner
        else:
            scope.setdefault(path[-1], value)
    return context


# Values


def _find(fields: Mapping[str, object], path: FieldPath) -> object | None:
    custom = fields.get("custom")
    scopes: tuple[object, object] = (fields, custom)
    if path[0] == "custom" and len(path) > 1:
        scopes = (custom, fields)
        path = path[1:]
    for scope in scopes:
        value = scope
        for segment in path:
            value = value.get(segment) if isinstance(value, Mapping) else None
        cleaned = clean(value)
        if cleaned is not None and not (path[-1] in NAME_FIELDS and looks_like_a_link(cleaned)):
            return cleaned
    return None


def clean(value: object) -> str | bool | int | float | Decimal | None:
    """The value as it may enter a text; None if there is nothing to show."""
    if isinstance(value, str):
        return _clean_text(value) or None
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 10**_MAX_DIGITS else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        is_sane = value.is_finite() and abs(value.adjusted()) < _MAX_DIGITS
        return value if is_sane else None
    return None


def _clean_text(value: str) -> str:
    """One line without control characters, in NFC, cut to 100 characters.

    A URL may be longer; it is kept whole or, if that is too much even for a URL, not at all.
    """
    # Twice the room: white space, and what NFC joins, goes before the cut.
    value = value[: 2 * MAX_URL]
    if not value.isascii():
        value = unicodedata.normalize("NFC", value)
    if not value.isprintable():
        value = _UNPRINTABLE.sub("", _BREAK.sub(" ", value))
    value = value.strip()
    if len(value) <= MAX_VALUE:
        return value
    if _URL.fullmatch(value):
        return value if len(value) <= MAX_URL else ""
    return value[:MAX_VALUE].rstrip()


# Fields that people fill in about themselves, on forms that anybody can reach.
NAME_FIELDS: Final = frozenset(
    ("name", "first_name", "firstname", "first", "last_name", "lastname", "last", "full_name", "fullname", "surname",
     "given_name", "family_name", "middle_name", "nickname", "contact_name", "customer_name")
)  # fmt: skip


def looks_like_a_link(value: object) -> bool:
    """Return whether a name holds an address: who bombs lists with sign-ups puts links to phish there.

    Such a name is nobody's, so it counts as missing. "J. R. Smith" and "St. John" are names; "evil.example" is not.
    """
    return isinstance(value, str) and not _PLAIN_NAME(value) and _LINK_IN_NAME(value) is not None


_PLAIN_NAME: Final = re.compile(r"[^.@:/]*").fullmatch
_LINK_IN_NAME: Final = re.compile(r"@|https?:|://|\bwww\.|[^\W_]\.[^\W\d_]{2}", re.IGNORECASE).search
_BREAK: Final = re.compile(r"[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
# Control characters, lone surrogates, and marks that turn the direction of the text around them.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_URL: Final = re.compile(r"https?://\S+", re.IGNORECASE)


# Simple templates


def _simple_parts(template: BoundTemplate) -> tuple[str | _Slot, ...] | None:
    """The template as a list of texts and slots, or None if it needs Liquid."""
    parts: list[str | _Slot] = []
    for node in template.nodes:
        part = node.text if isinstance(node, ContentNode) else _simple_slot(node)
        if part is None:
            return None
        parts.append(part)
    return tuple(parts)


def _simple_slot(node: Node) -> _Slot | None:
    expression = node.expression if isinstance(node, OutputNode) else None
    if not isinstance(expression, FilteredExpression) or not isinstance(expression.left, Path):
        return None
    path = tuple(map(str, expression.left.path))
    if not expression.filters:
        return _Slot(path, None)
    first, *others = expression.filters
    if others or first.name != "default" or len(first.args) != 1:
        return None
    argument = first.args[0]
    if not isinstance(argument, PositionalArgument):
        return None
    text = argument.value
    return _Slot(path, text.value) if isinstance(text, StringLiteral) else None
