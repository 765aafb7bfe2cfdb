"""`manage.py audit_consent`: is what the send gate reads what the ledger says? Exit code 1 if not."""

from typing import Any, Final

from compliance.consent import states
from smsplatform.common import mailbox, phone
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.tenancy.models import Brand

_SHOWN: Final = 20


class Command(OperatorCommand):
    """Computes every state again from the evidence, some thousand people at a time; changes nothing."""

    help = "Check that the state of everybody's consent follows from the ledger."

    def act(self, options: dict[str, Any]) -> Answer:  # noqa: ARG002
        """Compare."""
        wrong: list[tuple[str, str, str]] = []
        for brand in Brand.objects.order_by("pk"):
            after, is_over = "", False
            while not is_over:
                found, after = states.differences(brand_id=brand.pk, after=after)
                wrong += [(brand.slug, _masked(number), category or "all") for number, category in found]
                is_over = after == ""
        data = {
            "clean": not wrong,
            "states": [dict(zip(("brand", "number", "category"), one, strict=True)) for one in wrong],
        }
        if not wrong:
            return Answer(data, ["everybody's consent is what the ledger says"])
        table = Table("", ("brand", "number", "category"), wrong[:_SHOWN])
        return Answer(data, tables=[table], problem=f"{len(wrong):,} state(s) do not follow from the ledger")


def _masked(number: str) -> str:
    return mailbox.masked(number) if "@" in number else phone.masked(number)
