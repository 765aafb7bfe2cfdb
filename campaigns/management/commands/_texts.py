"""How operators give a text: on the command line or in a file."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from smsplatform.common.errors import InvalidInput


def declare(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--text", help="the text, with {{ fields }} in Liquid")
    parser.add_argument("--text-file", metavar="FILE", help="a file with the text, in UTF-8")


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
