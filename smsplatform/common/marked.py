"""Parts of a page of the documentation that the code writes: each stands between two markers, and can go stale.

`--check` of such a command fails where a part is not what the code would write; `make check` asks for it.
"""

import re
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smsplatform.common.console import Answer
from smsplatform.common.errors import InvalidInput


def declare(parser: ArgumentParser, what: str) -> None:
    """Declare the two options, of which one names the page."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", metavar="FILE", help=f"fail if the {what} in the file is stale")
    choice.add_argument("--write", metavar="FILE", help=f"renew the {what} in the file")


def page(options: Mapping[str, Any]) -> str | None:
    """Return the page that an option names, if any."""
    named: str | None = options["check"] or options["write"]
    return named


def renew(options: Mapping[str, Any], parts: Mapping[str, str], *, what: str, command: str) -> Answer:
    """Check or write a page's parts, by the names of their markers; InvalidInput where the page has not each once."""
    name = str(page(options))
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        option = "--check" if options["check"] else "--write"
        raise InvalidInput(
            f"{name} cannot be read: {error.strerror}; name the file with the markers", field=option
        ) from None
    fresh = text
    for marker, part in parts.items():
        fresh = _with(fresh, marker, part, name)
    is_fresh = fresh == text
    data = {"file": name, "fresh": is_fresh}
    if options["check"]:
        problem = "" if is_fresh else f"the {what} in {name} is stale; run `manage.py {command} --write {name}`"
        return Answer(data, [f"{name} is fresh"] if is_fresh else (), problem=problem)
    if not is_fresh:
        path.write_text(fresh, encoding="utf-8")
    return Answer({**data, "written": not is_fresh}, [f"{name} is fresh" if is_fresh else f"{name} is renewed"])


def _with(text: str, marker: str, part: str, name: str) -> str:
    start, end = f"<!-- {marker} -->\n", f"<!-- /{marker} -->"
    found = re.findall(f"{start}.*?{end}", text, re.DOTALL)
    if len(found) != 1:
        raise InvalidInput(f"{name} must have the markers {start.strip()} and {end} once, each on a line of its own")
    return text.replace(found[0], f"{start}{part}\n{end}")
