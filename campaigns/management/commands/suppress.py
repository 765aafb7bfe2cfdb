"""`manage.py suppress`: never text a number again, for a brand or for the whole platform."""

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.db import transaction

from campaigns.models import Dispatch
from campaigns.states import OPEN
from compliance import suppression
from compliance.data.npa import KNOWN_NPAS
from compliance.policy import Category
from smsplatform.common import database, phone
from smsplatform.common.console import Answer, OperatorCommand
from smsplatform.common.errors import InvalidInput
from smsplatform.tenancy import access, audit


class Command(OperatorCommand):
    """Holds from the next claim on, also for what is being sent right now."""

    help = "Store that a number must not be texted."
    option_names: ClassVar = {"number": "NUMBER", "category": "--category", "reason": "--reason"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("words", nargs="+", metavar="WORD", help="TENANT BRAND NUMBER, or NUMBER with --platform")
        parser.add_argument("--platform", action="store_true", help="for every tenant")
        parser.add_argument("--category", default="", help=f"only {', '.join(Category)} (all)")
        parser.add_argument("--reason", default="operator", help="why, for the record (%(default)s)")

    def act(self, options: dict[str, Any]) -> Answer:
        """Store it, unless it is stored."""
