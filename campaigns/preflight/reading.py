"""The answer of a pre-flight as people read it: sentences, tables, and the texts to look at."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from campaigns import rendering_stage
from campaigns.models import Campaign, Recipient, Run
from campaigns.states import State
from compliance import place
from smsplatform.common import masking

Titled = tuple[str, tuple[str, ...], Sequence[Sequence[object]]]
_FATES: Final = {"now": "at once", "later": "later", "never": "not at all"}
_LONGEST: Final = 320


def headline(numbers: dict[str, Any]) -> str:
    """Return the answer in a sentence."""
    now, later, never = (f"{numbers[fate]:,}" for fate in ("now", "later", "never"))
    told = (
        f"{numbers['people']:,} people: {now} texted at once, {later} later, {never} not; {segments(numbers)} segments"
    )
    if numbers["cost"]:
        told += f", {cost(numbers)}"
    if numbers["last_at"]:
        told += f"; through by about {_instant(numbers['last_at'])} UTC"
    return told


def segments(numbers: dict[str, Any]) -> str:
    """Return the number of segments, as a range where it is estimated."""
    found = numbers["segments"]
    return (
        f"{found['likely']:,}"
        if found["is_exact"]
        else f"about {found['likely']:,} ({found['low']:,} to {found['high']:,})"
    )


def cost(numbers: dict[str, Any]) -> str:
    """Return the cost in its currency, as a range where it is estimated."""
    found = numbers["cost"]
    low, likely, high = (f"{found[name] / 1_000_000:,.2f}" for name in ("low", "likely", "high"))
    return f"{likely} {found['currency']}" + ("" if low == high else f" ({low} to {high})")


def tables(numbers: dict[str, Any]) -> list[Titled]:
    """Return the tables: title, columns, rows."""
    found: list[Titled] = [
        (
            "Who and why",
            ("texted", "people", "because", "rule", "from (UTC)", "until (UTC)", "the report will say"),
            [
                (
                    _FATES[line["fate"]], line["people"], line["words"], line["rule"], _instant(line["from"]),
                    _instant(line["until"]), line["ends"],
                )
                for line in numbers["lines"]
            ],
        ),
        (
            "Through by zone, at today's rates",
            ("zones", "people", "first (UTC)", "last (UTC)", "last there", "not reached"),
            [
                (
                    _zones(each["zones"]), each["people"], _instant(each["first_at"]),
                    _instant(each["last_at"]), _there(each["last_at"], each["zones"]), each["unreached"],
                )
                for each in numbers["zones"]
            ],
        ),
        (
            "By country",
            ("country", "people", "segments", "accounts"),
            [
                (each["country"] or "unknown", each["people"], each["segments"], ", ".join(each["accounts"]) or "none")
                for each in numbers["countries"]
            ],
        ),
    ]  # fmt: skip
    if numbers["same_text"]:
        rows = [
            (each["campaign"], str(each["run"]), _instant(each["launched_at"]), each["people"])
            for each in numbers["same_text"]
        ]
        found.append(
            ("The same text, lately, to the same people", ("campaign", "run", "launched (UTC)", "people"), rows)
        )
    return found


def worst(campaign: Campaign, numbers: dict[str, Any]) -> list[tuple[str, str, int, str, str]]:
    """Return the texts to look at, made anew: (kind, number (masked), segments, text, why there is none)."""
    version = campaign.template.latest
    assert version is not None, "a launch has a text"  # noqa: S101
    run = Run(brand=campaign.brand, version=version, launched_at=datetime.fromisoformat(numbers["at"]))
    writes = rendering_stage.writer(campaign.brand, {"": version.source, **version.texts})
    people = Recipient.objects.filter(tenant=campaign.tenant_id).in_bulk(
        [each["recipient"] for each in numbers["worst"]]
    )
    found = []
    for each in numbers["worst"]:
        person = people.get(each["recipient"])
        if person is None:
            continue
        fields = json.loads(person.fields) if isinstance(person.fields, str) else person.fields
        made = rendering_stage.sample(
            run, writes, fields, language=person.language or "", is_stop_due=each.get("is_stop_due", False)
        )
        why = "" if made.state is State.CLEARED else f"{made.reason}: {made.detail}"
        found.append((each["kind"], masking.number(person.number), made.segments, made.text[:_LONGEST], why))
    return found


def _zones(key: str) -> str:
    return "unknown" if place.is_unknown(key) else key.replace("|", ", ")


def _there(text: str | None, zones: str) -> str:
    """Return the instant by the clocks of the zone; nothing where these are several or unknown."""
    if not text or not zones or "|" in zones:
        return ""
    return f"{datetime.fromisoformat(text).astimezone(ZoneInfo(zones)):%a %H:%M}"


def _instant(text: str | None) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}" if text else ""
