"""The template language: a safe part of Liquid, and what is wrong with a template, in plain words.

One tag (`if`), seven filters. Fields are names with dots, never expressions; nothing can loop,
call, or grow without bound. The checks here find at save time what Liquid would only find while
rendering.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from liquid import Environment, FalsyStrictUndefined, RenderContext
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path, StringLiteral
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.primitive import FloatLiteral, IntegerLiteral
from liquid.builtin.output import OutputNode
from liquid.exceptions import FilterArgumentError, LiquidError
from liquid.template import BoundTemplate

MAX_SOURCE: Final = 10_000
MAX_TEXT: Final = 8_000
_MAX_BYTES_PER_CHARACTER: Final = 4

FieldPath = tuple[str, ...]
"""A field's name by its parts: ("custom", "city")."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong in a template, and where; both numbers count from one."""

    line: int
    column: int
    message: str


class BadTemplate(ValueError):
    """The template cannot be used; `flaws` says why."""

    def __init__(self, flaws: list[Flaw]) -> None:
        self.flaws = flaws
        super().__init__("; ".join(f"{f.line}:{f.column} {f.message}" for f in flaws))


def _date(value: object, layout: object = "%Y-%m-%d") -> str:
    """An ISO date, date and time, or US date in another layout; any other text stays as it is."""
    layout = str(layout)
    if not _LAYOUT.fullmatch(layout):
        raise FilterArgumentError(f"date: {layout!r} is not a layout we know", token=None)
    text = str(value)
    for read in (datetime.fromisoformat, _us_date):
        try:
            return read(text).strftime(layout)
        except ValueError:
            continue
    return text


def _us_date(text: str) -> datetime:
    return datetime.strptime(text, "%m/%d/%Y")  # noqa: DTZ007 - a date, not an instant


# Widths (`%999999d`) would let a layout fill the memory.
_LAYOUT: Final = re.compile(r"(?:[^%\x00-\x1f]|%-?[YymdBbAaHIMpej]|%%){1,80}")

_TAGS: Final = ("content", "output", "illegal", "if")
_FILTERS: Final = ("default", "upcase", "downcase", "capitalize", "truncate", "strip")


class _Restricted(Environment):
    """Liquid with little of it left."""

    block_nesting_limit = 10
    loop_iteration_limit = 100
    local_namespace_limit = 2_000
    output_stream_limit = _MAX_BYTES_PER_CHARACTER * MAX_TEXT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        """Only what is listed; `date` is ours: Liquid's own reads the clock and guesses."""
        super().setup_tags_and_filters(extra=extra)
        self.tags = {name: self.tags[name] for name in _TAGS}
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.filters["date"] = _date


_LIQUID: Final = _Restricted(undefined=FalsyStrictUndefined)


def unify_line_ends(source: str) -> str:
    """The source with LF for every line end; it counts one unit in a segment, CRLF two."""
    return source.replace("\r\n", "\n").replace("\r", "\n")


def parse(source: str) -> BoundTemplate:
    """The template of a source with unified line ends. Raises BadTemplate."""
    if len(source) > MAX_SOURCE:
        raise BadTemplate([Flaw(1, 1, f"the template is longer than {MAX_SOURCE} characters")])
    if verbatim := _VERBATIM.search(source):
        raise BadTemplate([_flaw(source, verbatim.start(1), _no_tag(verbatim[1]))])
    try:
        template = _LIQUID.from_string(source)
        flaws = [
            _flaw(source, index, message)
            for index, message in sorted(
                [*_field_flaws(template), *_output_flaws(template)],
            )
        ]
    except LiquidError as error:
        raise BadTemplate([_syntax_flaw(error, source)]) from error
    except (RecursionError, ValueError) as error:
        raise BadTemplate([Flaw(1, 1, "the template cannot be read")]) from error
    if flaws:
        raise BadTemplate(flaws)
    return template


def fields(template: BoundTemplate) -> dict[int, FieldPath]:
    """Every field of the template by its place in the source, in that order."""
    found = [variable for group in template.analyze().variables.values() for variable in group]
    found.sort(key=lambda variable: variable.span.index)
    return {variable.span.index: tuple(map(str, variable.segments)) for variable in found}


def lookalikes(template: BoundTemplate, source: str) -> list[Flaw]:
    """What looks like a field but is plain text, in order."""
    found = [
        (node.token.start_index + match.start(), explain(match[0]))
        for node in _walk(template)
        if isinstance(node, ContentNode)
        for pattern, explain in _LOOKALIKES
        for match in pattern.finditer(node.text)
    ]
    return [_flaw(source, index, message) for index, message in sorted(found)]


def _walk(template: BoundTemplate) -> Iterator[Node]:
    context = RenderContext(template)
    waiting = list(reversed(template.nodes))
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(list(node.children(context))))


# Flaws, each with its place in the source


def _field_flaws(template: BoundTemplate) -> Iterator[tuple[int, str]]:
    for group in template.analyze().variables.values():
        for variable in group:
            if not all(isinstance(segment, str) for segment in variable.segments):
                hint = "write a name like first_name or custom.city"
                yield variable.span.index, f"{variable} is not a field; {hint}"


def _output_flaws(template: BoundTemplate) -> Iterator[tuple[int, str]]:
    printable = (Path, StringLiteral, IntegerLiteral, FloatLiteral)
    for node in _walk(template):
        expression = node.expression if isinstance(node, OutputNode) else None
        if not isinstance(expression, FilteredExpression):
            continue
        if not isinstance(expression.left, printable):
            yield expression.token.start_index, f"{expression.left} is not a field"
        for position, applied in enumerate(expression.filters or []):
            message = _filter_flaw(applied, position, template)
            if message:
                yield applied.token.start_index, message


def _filter_flaw(applied: Filter, position: int, template: BoundTemplate) -> str:
    if applied.name not in _LIQUID.filters:
        return f"there is no filter {applied.name}; there are {', '.join(sorted(_LIQUID.filters))}"
    if applied.name == "default" and position > 0:
        return "default must be the first filter"
    if applied.name == "default" and not applied.args:
        return 'default needs a text, like default: "there"'
    if any(isinstance(argument.value, Path) for argument in applied.args):
        return ""
    try:
        applied.evaluate("2026-01-31", RenderContext(template))
    except LiquidError as error:
        return str(error.message)
    return ""


def _flaw(source: str, index: int, message: str) -> Flaw:
    index = max(index, 0)
    return Flaw(source.count("\n", 0, index) + 1, index - source.rfind("\n", 0, index), message)


_TAG: Final = re.compile(r"\{%-?\s*(\w+)")
# Not tags to Liquid, which reads them before any tag.
_VERBATIM: Final = re.compile(r"\{%-?\s*(raw|doc)\b")
_EMPTY_OUTPUT: Final = re.compile(r"\{\{-?\s*-?\}\}")


def _syntax_flaw(error: LiquidError, source: str) -> Flaw:
    """The parser's complaint in the words of somebody who writes texts."""
    message = str(error.message)
    index = error.token.start_index if error.token is not None else -1
    if unexpected := re.fullmatch(r"unexpected tag '(.*)'", message):
        return _flaw(source, index, _no_tag(unexpected[1]))
    if "expected '}}'" in message:
        return _flaw(source, index, "{{ is never closed")
    if "closing delimiter" in message:
        return _flaw(source, index, "{% is never closed")
    if "endif" in message:
        return _flaw(source, _unclosed_if(source), "{% if %} is never closed")
    if index < 0 and (empty := _EMPTY_OUTPUT.search(source)):
        return _flaw(source, empty.start(), "there is no field between {{ and }}")
    return _flaw(source, index, message)


def _no_tag(name: str) -> str:
    return f"there is no tag {name} here; there are if, else and endif"


def _unclosed_if(source: str) -> int:
    opened: list[int] = []
    for tag in _TAG.finditer(source):
        if tag[1] == "if":
            opened.append(tag.start())
        elif tag[1] == "endif" and opened:
            opened.pop()
    return opened[-1] if opened else 0


_LOOKALIKES: Final[tuple[tuple[re.Pattern[str], Callable[[str], str]], ...]] = (
    (
        re.compile(r"(?<!\{)\{\s*[A-Za-z_][\w.]*\s*\}(?!\})"),
        lambda text: f"{text} is sent as it is; did you mean {{{text}}}?",
    ),
    (
        re.compile(r"\(\(\s*[A-Za-z_][\w .]*\s*\)\)"),
        lambda text: f"{text} is sent as it is; did you mean {{{{ {text.strip('() ')} }}}}?",
    ),
    (
        re.compile(r"\}\}|%\}"),
        lambda text: f"{text} without its beginning is sent as it is",
    ),
)
