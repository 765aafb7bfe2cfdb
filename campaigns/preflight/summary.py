"""The answer of a pre-flight as plain data: what is stored, shown, printed, and one day given to integrators."""

from collections import Counter
from datetime import datetime
from typing import Any, Final

from campaigns import approvals, canaries, guards, same_text, spreading
from campaigns.models import Campaign
from campaigns.preflight import pace, words
from campaigns.preflight.counted import Sums
from campaigns.preflight.looks import LATER, NEVER, NOW, Hours, Turn
from campaigns.preflight.texts import Estimate, Texts
from providers.models import Price
from providers.routing import Routes
from smsplatform.common.database import rows

_INSTANTS: Final = 48
_ZONES: Final = 40


def tell(hours: Hours, sums: Sums, routes: Routes, at: datetime) -> dict[str, Any]:
    """Return everything that was found out."""
    campaign, version = hours.batch.run.campaign, hours.batch.run.version
    assert campaign is not None  # noqa: S101 - only campaigns are launched
    assert version is not None  # noqa: S101 - `launch.check` has seen to it
    numbers = _numbers(sums)
    choices = {country: pace.first_choices(routes, number) for country, number in numbers.items()}
    turns = sums.finish({country: bool(found) for country, found in choices.items()})
    fates = Counter[str]()
    for line, people in sums.lines.items():
        fates[line.fate] += people
    sent = fates[NOW] + fates[LATER]
    segments = _segments(sums.texts, sent)
    mean = segments.likely / sent if sent else 1.0
    used = {channel for country, found in choices.items() if sums.by_country[country] for channel in found}
    per_second = pace.rate(sorted(used, key=lambda channel: (channel.account_id, channel.sender)))
    finishes = pace.finishes(hours, turns, segments_each=mean, per_second=per_second)
    unreached = sum(each.unreached for each in finishes)
    return {
        "at": at.isoformat(),
        "now": fates[NOW],
        "later": fates[LATER],
        "never": fates[NEVER],
        "lines": _lines(sums),
        "instants": _instants(turns),
        "segments": {
            "low": segments.low, "likely": segments.likely, "high": segments.high, "is_exact": segments.is_exact,
            "each": round(mean, 2),
        },
        "encodings": dict(sums.texts.encodings),
        "sample": _sample(sums.texts),
        "countries": _countries(sums, choices, mean),
        "cost": _cost(sums, choices, segments, mean),
        "per_second": per_second,
        "zones": [
            {
                "zones": each.zones, "people": each.people, "first_at": _iso(each.first_at), "last_at": _iso(each.last_at),
                "unreached": each.unreached,
            }
            for each in finishes[:_ZONES]
        ],
        "last_at": _iso(max((each.last_at for each in finishes if each.last_at), default=None)),
        "unreached": unreached,
        "worst": [
            {"kind": kind, "size": each.size, "recipient": each.person, "is_stop_due": each.is_stop_due}
            for kind, kept in sorted(sums.texts.worst.items())
            for each in kept
        ],
        "same_text": [
            {"run": each.run_id, "campaign": each.campaign, "launched_at": _iso(each.launched_at), "people": each.people}
            for each in same_text.overlaps(campaign=campaign, version=version, now=at)
        ],
        "remarks": _remarks(campaign, sums, unreached=unreached, is_cut=len(finishes) > _ZONES),
    }  # fmt: skip


def _numbers(sums: Sums) -> dict[str, str]:
    """Return a number of each country, to ask for its routes."""
    found = dict(
        rows("SELECT id, number FROM campaigns_recipient WHERE id = ANY(%s)", [sorted(sums.examples.values())])
    )
    return {country: found[person] for country, person in sums.examples.items() if person in found}


def _segments(texts: Texts, sent: int) -> Estimate:
    """Return the segments of those who are texted: fewer than have a text, where a limit keeps some of them back."""
    every = texts.segments()
    people = sum(texts.people.values()) + sum(texts.unread.values())
    lost = people - sent
    if lost <= 0 or not people:
        return every
    if not sent:
        return Estimate(0, 0, 0)
    sizes = texts.sizes or {1}
    least, most = min(sizes), max(sizes)
    return Estimate(
        low=max(sent * least, every.low - lost * most),
        likely=round(every.likely * sent / people),
        high=min(sent * most, every.high - lost * least) if every.is_exact else every.high - lost * least,
    )


def _lines(sums: Sums) -> list[dict[str, Any]]:
    """Return each rule's line, those who are texted first; instants of one rule are added up, from the first to the last."""
    people: Counter[tuple[str, str, str]] = Counter()
    instants: dict[tuple[str, str, str], list[datetime]] = {}
    for line, number in sums.lines.items():
        key = (line.fate, line.rule, line.ends)
        people[key] += number
        if line.at is not None:
            instants.setdefault(key, []).append(line.at)
    order = {NOW: 0, LATER: 1, NEVER: 2}
    return [
        {
            "fate": fate,
            "rule": rule,
            "words": words.of(rule),
            "ends": ends,
            "people": number,
            "from": _iso(min(instants.get((fate, rule, ends), []), default=None)),
            "until": _iso(max(instants.get((fate, rule, ends), []), default=None)),
        }
        for (fate, rule, ends), number in sorted(
            people.items(), key=lambda item: (order[item[0][0]], -item[1], item[0])
        )
        if number
    ]


def _instants(turns: list[Turn]) -> list[dict[str, Any]]:
    """Return how many are texted when; the last line has all those after it."""
    found: Counter[datetime] = Counter()
    for turn in turns:
        found[turn.at] += turn.people
    listed = sorted(found.items())
    shown = [{"at": _iso(at), "people": people, "is_rest": False} for at, people in listed[:_INSTANTS]]
    rest = listed[_INSTANTS:]
    if rest:
        shown.append({"at": _iso(rest[0][0]), "people": sum(people for _, people in rest), "is_rest": True})
    return shown


def _sample(texts: Texts) -> dict[str, Any] | None:
    """Return how far the texts are only sampled; None where every one is known."""
    if not texts.is_varied:
        return None
    refused = Counter(made.rule for made in texts.sampled if made.rule)
    return {
        "texts": len(texts.sampled),
        "refused": dict(refused),
        "knows_what_is_missing": texts.knows_what_is_missing,
    }


def _countries(sums: Sums, choices: dict[str, list[Any]], mean: float) -> list[dict[str, Any]]:
    return [
        {
            "country": country,
            "people": people,
            "segments": _of_country(sums.texts, country, people, mean),
            "accounts": sorted({channel.account for channel in choices.get(country, [])}),
        }
        for country, people in sorted(sums.by_country.items())
        if people
    ]


def _of_country(texts: Texts, country: str, people: int, mean: float) -> int:
    """Return the likely segments of so many people of a country."""
    known = texts.people[country] + texts.unread[country]
    return round(texts.countries()[country][1] * people / known) if known else round(people * mean)


def _cost(sums: Sums, choices: dict[str, list[Any]], segments: Estimate, mean: float) -> dict[str, Any] | None:
    """Return the cost in millionths, as a range like the segments; None where a price is missing or currencies differ."""
    prices: dict[tuple[int, str], tuple[int, str]] = {
        (account, country): (micros, currency)
        for account, country, micros, currency in Price.objects.filter(
            account__in={channel.account_id for found in choices.values() for channel in found}
        ).values_list("account_id", "country", "micros", "currency")
    }
    total, currencies = 0.0, set()
    for country, people in sums.by_country.items():
        if not people:
            continue
        wanted = _of_country(sums.texts, country, people, mean)
        for account, share in pace.shares(choices.get(country, [])).items():
            price = prices.get((account, country)) or prices.get((account, ""))
            if price is None:
                return None
            total += wanted * share * price[0]
            currencies.add(price[1])
    if len(currencies) != 1 or not segments.likely:
        return None
    return {
        "currency": currencies.pop(),
        "low": round(total * segments.low / segments.likely),
        "likely": round(total),
        "high": round(total * segments.high / segments.likely),
    }


def _remarks(campaign: Campaign, sums: Sums, *, unreached: int, is_cut: bool) -> list[str]:
    """Return what else a person should know before launching, in sentences."""
    told = []
    people = sum(sums.lines.values())
    if campaign.tenant.paused_at:
        told.append("The tenant is paused: nothing goes out until it is resumed.")
    if campaign.brand.paused_at:
        told.append("The brand is paused: nothing goes out until it is resumed.")
    if approvals.is_needed(campaign, people):
        told.append(
            f"{people:,} people need the approval of a second person: {campaign.tenant.approve_above:,} is the limit."
        )
    if canaries.has_one(campaign):
        first = f"{campaign.canary_percent} %" if campaign.canary_percent else f"{campaign.canary_people:,} people"
        told.append(
            f"{first} are texted first; the others when that went well, {campaign.canary_minutes} minutes later."
        )
    if people > guards.undo_above(campaign) and campaign.schedule != Campaign.Schedule.REPEAT:
        told.append("Launched by hand it may be undone for a moment: nothing goes out before.")
    told += _of_limits(sums)
    if unreached:
        told.append(
            f"At the accounts' rates about {unreached:,} people would not have their turn before it is too late."
        )
    if is_cut:
        told.append("Only the first zones are listed.")
    sample = _sample(sums.texts)
    if sample and (refused := sum(sample["refused"].values())):
        told.append(
            f"Of {sample['texts']:,} texts in the sample {refused:,} cannot be made; that many of all are not told apart above."
        )
    return told  # fmt: skip


def _of_limits(sums: Sums) -> list[str]:
    """Return how long a run that is spread takes, and which limits are not counted."""
    told = []
    run = sums.hours.batch.run
    rate = spreading.per_hour(run)
    turns = [line.at or run.launched_at for line in sums.lines if line.fate != NEVER]
    if rate is not None and turns:
        told.append(
            f"It is spread: at most {rate:,} an hour, so that the last have their turn at {max(turns):%F %H:%M} UTC."
        )
    for limit in sums.rooms.asked_later:
        to = f" to {limit.get_carrier_display()}" if limit.carrier else ""
        told.append(
            f"The {limit.subject} may take {limit.amount:,} {limit.unit}{to} a day: that is asked when messages are handed"
            " over, and not counted here."
        )
    return told


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
