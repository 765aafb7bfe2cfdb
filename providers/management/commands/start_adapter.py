"""`manage.py start_adapter` (`make adapter name=…`): the two files of a new provider, ready to be made its own."""

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, ClassVar, Final

from django.conf import settings

from providers import adapters
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import Conflict, InvalidInput

_SKELETONS: Final = Path(__file__).resolve().parents[2] / "skeletons"
_SLUG: Final = re.compile(r"[a-z][a-z0-9_]{1,30}").fullmatch


class Command(OperatorCommand):
    """Both files pass their own tests and the contract's; what is the vendor's is then changed in them."""

    help = "Write an adapter and its tests from the skeletons."
    option_names: ClassVar = {"slug": "NAME"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("slug", help="the provider's name in the database, like acme_sms")
        parser.add_argument("--title", help="its name for people (made from the slug)")
        parser.add_argument("--into", type=Path, default=settings.BASE_DIR, help="the project's directory (this one)")

    def act(self, options: dict[str, Any]) -> Answer:
        """Write both, or neither."""
        slug = options["slug"]
        if not _SLUG(slug) or slug.startswith("base"):
            raise InvalidInput(
                f"{slug!r} cannot be a module's name; write it like acme_sms, and not beginning with base", field="slug"
            )
        if slug in adapters.ADAPTERS:
            raise Conflict(f"the provider {slug} exists; choose another name", field="slug")
        words = [word.capitalize() for word in slug.split("_") if word]
        names = {"slug": slug, "name": "".join(words), "title": options["title"] or " ".join(words)}
        files = {
            options["into"] / "providers" / "adapters" / f"{slug}.py": "adapter.py-tpl",
            options["into"] / "tests" / "providers" / "adapters" / f"test_{slug}.py": "test.py-tpl",
        }
        for path in files:
            if path.exists():
                raise Conflict(f"{path} exists; nothing was written", field="slug")
        for path, skeleton in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text((_SKELETONS / skeleton).read_text().format(**names))
        told = [str(path.relative_to(options["into"])) for path in files]
        return Answer(
            {"slug": slug, "files": told},
            [*(f"written  {path}" for path in told), "Next: docs/adding-a-provider.md says what to put in them."],
        )
