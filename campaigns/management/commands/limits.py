"""`manage.py limits`: which limits hold, and how much of each is used now."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any, ClassVar

from campaigns import limited
from compliance import cap_windows, usage
from compliance.models import CapWindow, Limit
from smsplatform.common import database
from smsplatform.common.console import Answer, OperatorCommand, Table
from smsplatform.tenancy import access


class Command(OperatorCommand):
    """Reads; with a number, also what holds for that person."""

    help = "Show limits and how much of them is used."
    option_names: ClassVar = {"tenant": "tenant", "brand": "--brand"}

    def declare(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("tenant", help="slug of the tenant")
        parser.add_argument("--brand", help="what limits a message of this brand")
        parser.add_argument("--number", default="", help="with --brand: to this person")

    def act(self, options: dict[str, Any]) -> Answer:
        """Count."""
        tenant = access.access_tenant(options["tenant"])
        now = database.now()
        if options["brand"]:
            brand = access.access_brand(tenant, options["brand"])
            found = usage.of(usage.Whose(brand=brand, number=options["number"]), now)
            used_up = [
                (each.what, each.used, each.amount, each.unit, each.rule, each.until if each.is_full else None)
                for each in found
            ]
            return _answer(used_up, ("what", "used", "limit", "counts", "rule", "free again"))
        limits = list(Limit.objects.for_tenant(tenant).filter(ended_at=None).order_by("pk"))
        windows = list(CapWindow.objects.for_tenant(tenant).filter(starts_at__lte=now, ends_at__gt=now).order_by("pk"))
        names = limited.names([*(each.holder for each in limits), *(each.subject for each in windows)])
        used = {
            cap_windows.Key(each.subject, each.starts_at, each.ends_at, each.unit, each.carrier): each
            for each in windows
        }
        rows: list[tuple[Any, ...]] = []
        for limit in limits:
            is_daily = limit.period == Limit.Period.DAY
            window = used.pop(cap_windows.of_limit(limit, now).key, None) if is_daily else None
            number = window.used // window.scale if window else None
            rows.append(
                (names.get(limit.holder, limit.holder), str(limit), number, limit.amount, f"version {limit.version}")
            )
        for window in used.values():
            amount = None if window.amount is None else window.amount // window.scale
            whose = names.get(window.subject, window.subject)
            rows.append((whose, f"{window.unit} today", window.used // window.scale, amount, ""))
        return _answer(rows, ("whose", "limit", "used", "of", "remark"))


def _answer(rows: Sequence[tuple[Any, ...]], columns: tuple[str, ...]) -> Answer:
    data = {"limits": [dict(zip((name.replace(" ", "_") for name in columns), row, strict=True)) for row in rows]}
    if not rows:
        return Answer(data, ["no limits, and nothing sent today"])
    return Answer(data, tables=[Table("", columns, rows)])
