"""`manage.py create_template`: a text with merge fields. Another text becomes the next version."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.db import transaction

from campaigns.management.commands import _texts
from campaigns.models import Template
from smsplatform.common.console import Answer, OperatorCommand, make_once
from smsplatform.tenancy import access, audit


class Command(OperatorCommand):
    """The same text again changes nothing; runs keep the version they were launched with."""

    help = "Write a template of a brand."
    option_names: ClassVar = {"name": "NAME", "source": "--text", "texts": "--translation", "brand": "BRAND"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("brand", help="slug of the brand")
        parser.add_argument("name", help="the template's name")
        _texts.declare(parser)

    def act(self, options: dict[str, Any]) -> Answer:
        """Write the text, unless it is the latest."""
        tenant = access.access_tenant(options["tenant"])
        brand = access.access_brand(tenant, options["brand"])
        source = _texts.read(options)
        with transaction.atomic():
            template, _ = make_once(Template, by={"tenant": tenant, "brand": brand, "name": options["name"]}, given={})
            before = template.latest
            version = template.write(source, _texts.translations(options))
            is_new = before is None or before.pk != version.pk
            if is_new:
                audit.record(
                    actor=options["actor"],
                    verb="template.written",
                    target=template,
                    tenant=tenant,
                    version=version.number,
                )
        found = _texts.remarks(version)
        line = f"template {template.name}: version {version.number}"
        data = {
            "tenant": tenant.slug,
            "brand": brand.slug,
            "template": template.name,
            "version": version.number,
            "languages": sorted(version.texts),
            "findings": _texts.as_data(found),
            "made": is_new,
        }
        told = line if is_new else f"{line} has this text already: nothing to do"
        return Answer(data, [told, *_texts.as_lines(found)])
