"""What an account at the simulator has been told to do: a frozen value, read from JSON.

Durations of answers and events are in milliseconds (`…_ms`), everything longer in seconds.
"""

import math
from dataclasses import dataclass, field
from random import Random
from typing import Final

from providers.simulator.dialects import BY_NAME
from providers.simulator.reading import Fields, InvalidField, number

DIALECTS: Final = frozenset({"", *BY_NAME})
# The faults; the first set takes the message, the second never does, the third can do either.
TAKING: Final = frozenset({"accept_then_drop", "slow", "garbled"})
REFUSING: Final = frozenset({"reset_before_read", "reset_after_read", "rate_limited"})
EITHER: Final = frozenset({"error", "html"})
FAULTS: Final = TAKING | REFUSING | EITHER | {"unauthorized", "redirect"}
# How far the 99th percentile of a normal distribution is from its middle.
_P99: Final = 2.3263478740408408


@dataclass(frozen=True, slots=True)
class Delay:
    """A duration: `low` alone is fixed, with `high` uniform, with `sigma` lognormal around it."""

    low: float = 0.0
    high: float = 0.0
    sigma: float = 0.0

    def seconds(self, random: Random) -> float:
        """Return one duration."""
        if self.sigma:
            return random.lognormvariate(math.log(self.low), self.sigma) / 1000
        if self.high > self.low:
            return random.uniform(self.low, self.high) / 1000
        return self.low / 1000


@dataclass(frozen=True, slots=True)
class Numbers:
    """A set of phone numbers: exact ones, and endings (written `*0007`)."""

    exact: frozenset[str] = frozenset()
    endings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.exact or self.endings)

    def __contains__(self, number: str) -> bool:
        return number in self.exact or (bool(self.endings) and number.endswith(self.endings))


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How much an account, or each of its senders, may send."""

    per_second: float
    burst: float
    unit: str = "segments"
    per: str = "account"


@dataclass(frozen=True, slots=True)
class Rule:
    """When to commit which fault. All conditions given must hold; none given means always."""

    fault: str
    probability: float = 1.0
    every: int = 1
    next: int | None = None
    between: tuple[float, float] | None = None
    to: Numbers | None = None
    status: int = 500
    seconds: float = 0.0
    taken: bool = False

    @property
    def takes(self) -> bool:
        """Return whether the message is taken although the answer does not say so."""
        return self.fault in TAKING or self.taken


@dataclass(frozen=True, slots=True)
class Receipts:
    """Which delivery reports follow an acceptance, and when."""

    delivered: float = 1.0
    undelivered: float = 0.0
    sent: float = 1.0
    lost: float = 0.0
    duplicated: float = 0.0
    out_of_order: float = 0.0
    delay: Delay = Delay(50.0, 200.0)


@dataclass(frozen=True, slots=True)
class Stops:
    """Who answers STOP, and when; with `block` the simulator then refuses that person itself."""

    share: float = 0.0
    numbers: Numbers = Numbers()
    delay: Delay = Delay(500.0)
    text: str = "STOP"
    block: bool = False


@dataclass(frozen=True, slots=True)
class WebhookHabits:
    """How webhooks are posted: patience, and how many events share a request (own dialect)."""

    retry_for: float = 10.0
    timeout: float = 5.0
    batch: int = 1
    linger: float = 0.05


@dataclass(frozen=True, slots=True)
class Script:
    """Everything an account has been told."""

    dialect: str = ""
    secret: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    latency: Delay = Delay()
    rate_limit: RateLimit | None = None
    faults: tuple[Rule, ...] = ()
    reject: Numbers = Numbers()
    opted_out: Numbers = Numbers()
    receipts: Receipts | None = Receipts()
    stops: Stops = Stops()
    inbound_url: str = ""
    status_url: str = ""  # for vendors that are told it once, and not with every message
    webhooks: WebhookHabits = WebhookHabits()


def read_script(value: object) -> Script:
    """Return the script in a JSON value; raises InvalidField."""
    given = Fields(value)
    receipts_off = isinstance(value, dict) and value.get("receipts", {}) is None
    script = Script(
        dialect=given.choice("dialect", "", DIALECTS),
        secret=given.text("secret"),
        password=given.text("password"),
        latency=_delay(given, "latency_ms", Delay()),
        rate_limit=_rate_limit(given),
        faults=_faults(given),
        reject=_numbers(given, "reject"),
        opted_out=_numbers(given, "opted_out"),
        receipts=_receipts(given, off=receipts_off),
        stops=_stops(given),
        inbound_url=given.url("inbound_url"),
        status_url=given.url("status_url"),
        webhooks=_webhooks(given),
    )
    given.done()
    if (script.stops.share or script.stops.numbers) and not script.inbound_url:
        raise InvalidField("inbound_url", "needed, as people answer STOP")
    return script


def _delay(given: Fields, name: str, default: Delay) -> Delay:
    at = given.path(name)
    value = given.take(name)
    if value is None:
        return default
    if not isinstance(value, dict):
        return Delay(number(value, at))
    shape = Fields(value, at)
    if shape.has("uniform"):
        pair = _pair(shape.take("uniform"), shape.path("uniform"))
        shape.done()
        return Delay(*pair)
    if shape.has("lognormal"):
        law = Fields(shape.take("lognormal"), shape.path("lognormal"))
        shape.done()
        median = law.number("median", 0.0, low=0.001)
        p99 = law.number("p99", 0.0, low=median)
        law.done()
        for missing in [each for each, value in (("median", median), ("p99", p99)) if not value]:
            raise InvalidField(law.path(missing), "missing")
        return Delay(median, sigma=math.log(p99 / median) / _P99)
    raise InvalidField(at, "must be a number, or have `uniform` or `lognormal`")


def _pair(value: object, at: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - a pair
        raise InvalidField(at, "must be a pair [from, to]")
    low = number(value[0], at)
    return low, number(value[1], at, low=low)


def _numbers(given: Fields, name: str) -> Numbers:
    words = given.texts(name)
    endings = tuple(word[1:] for word in words if word.startswith("*"))
    if "" in endings:
        raise InvalidField(given.path(name), "an ending (`*0007`) needs at least one digit")
    return Numbers(frozenset(word for word in words if not word.startswith("*")), endings)


def _rate_limit(given: Fields) -> RateLimit | None:
    value = given.take("rate_limit")
    if value is None:
        return None
    limit = Fields(value, given.path("rate_limit"))
    per_second = limit.number("per_second", 0.0, low=0.01)
    if not per_second:
        raise InvalidField(limit.path("per_second"), "missing")
    read = RateLimit(
        per_second=per_second,
        burst=limit.number("burst", max(1.0, per_second), low=1.0),
        unit=limit.choice("unit", "segments", {"segments", "messages"}),
        per=limit.choice("per", "account", {"account", "sender"}),
    )
    limit.done()
    return read


def _faults(given: Fields) -> tuple[Rule, ...]:
    value = given.take("faults")
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidField(given.path("faults"), "must be a list of rules")
    return tuple(_rule(each, f"{given.path('faults')}[{n}]") for n, each in enumerate(value))


def _rule(value: object, at: str) -> Rule:
    given = Fields(value, at)
    fault = given.choice("fault", "", FAULTS)
    between = given.take("between")
    to = _numbers(given, "to")
    rule = Rule(
        fault=fault,
        probability=given.share("probability", 1.0),
        every=given.count("every", 1, low=1),
        next=given.count("next", 0, low=1) or None,
        between=None if between is None else _pair(between, given.path("between")),
        to=to or None,
        status=given.count("status", 503 if fault == "error" else 502),
        seconds=given.number("seconds", 35.0),
        taken=given.flag("taken", default=False),
    )
    given.done()
    lowest = 500 if fault == "error" else 400
    if not lowest <= rule.status <= 599:  # noqa: PLR2004 - the last status of HTTP
        raise InvalidField(given.path("status"), f"must be from {lowest} to 599")
    if rule.taken and fault not in EITHER:
        raise InvalidField(given.path("taken"), "only for error and html")
    if rule.to and fault == "reset_before_read":
        raise InvalidField(given.path("to"), "not for reset_before_read: nothing is read by then")
    return rule


def _receipts(given: Fields, *, off: bool) -> Receipts | None:
    value = given.take("receipts")
    if off:
        return None
    told = Fields({} if value is None else value, given.path("receipts"))
    undelivered = told.share("undelivered", 0.0)
    receipts = Receipts(
        undelivered=undelivered,
        delivered=told.share("delivered", 1.0 - undelivered),
        sent=told.share("sent", 1.0),
        lost=told.share("lost", 0.0),
        duplicated=told.share("duplicated", 0.0),
        out_of_order=told.share("out_of_order", 0.0),
        delay=_delay(told, "delay_ms", Receipts().delay),
    )
    told.done()
    if receipts.delivered + receipts.undelivered > 1.0 + 1e-9:
        raise InvalidField(told.path("delivered"), "with undelivered more than 1")
    return receipts


def _stops(given: Fields) -> Stops:
    value = given.take("stops")
    told = Fields({} if value is None else value, given.path("stops"))
    stops = Stops(
        share=told.share("share", 0.0),
        numbers=_numbers(told, "numbers"),
        delay=_delay(told, "delay_ms", Stops().delay),
        text=told.text("text", "STOP"),
        block=told.flag("block", default=False),
    )
    told.done()
    return stops


def _webhooks(given: Fields) -> WebhookHabits:
    value = given.take("webhooks")
    told = Fields({} if value is None else value, given.path("webhooks"))
    habits = WebhookHabits(
        retry_for=told.number("retry_for_seconds", 10.0),
        timeout=told.number("timeout_seconds", 5.0, low=0.1),
        batch=told.count("batch", 1, low=1),
        linger=told.number("linger_ms", 50.0) / 1000,
    )
    told.done()
    return habits
