"""How operators give a text: on the command line or in a file."""

from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from campaigns import content
from campaigns.models import TemplateVersion
from compliance import languages
from compliance.policy import Category
from smsplatform.common.errors import InvalidInput


def declare(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--text", help="the text, with {{ fields }} in Liquid")
    parser.add_argument("--text-file", metavar="FILE", help="a file with the text, in UTF-8")
    parser.add_argument(
        "--translation",
        action="append",
        metavar="TAG=TEXT",
        help="the text for people of another language, like 'es=Hola {{ first_name }}'; may be repeated",
    )


def translations(options: dict[str, Any]) -> dict[str, str] | None:
    """Return the texts in other languages by tag; None where none is given, so that those of before stay."""
    if options["translation"] is None:
        return None
    found: dict[str, str] = {}
    for given in options["translation"]:
        language, separator, text = given.partition("=")
        tag = languages.tag(language)
        if not separator or not tag or tag in found or not text.strip():
            raise InvalidInput(
                f"{given!r} is no text of a language of its own; write it like 'es=Hola {{{{ first_name }}}}'",
                field="--translation",
            )
        found[tag] = text
    return found


def remarks(version: TemplateVersion, category: str = Category.MARKETING) -> list[content.Finding]:
    """Return what is to be said about the texts."""
    brand = version.template.brand
    return content.lint(source=version.source, texts=version.texts, brand=brand, category=category)


def as_lines(found: Sequence[content.Finding]) -> list[str]:
    return [f"  {each.severity}: {each}" for each in found]


def as_data(found: Sequence[content.Finding]) -> list[dict[str, Any]]:
    return [asdict(each) for each in found]


def read(options: dict[str, Any]) -> str:
    """Return the text given; a file's last line end is the editor's and not the message's."""
    text, name = options["text"], options["text_file"]
    if (text is None) == (name is None):
        raise InvalidInput("give either --text or --text-file", field="--text")
    if name is not None:
        try:
            text = Path(name).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            problem = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise InvalidInput(f"{name} cannot be read: {problem}; name a readable file", field="--text-file") from None
    if not text.strip():
        raise InvalidInput(
            "the text is empty; give what the person should read", field="--text-file" if name else "--text"
        )
    return str(text)
