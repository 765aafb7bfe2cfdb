"""Adds up what becomes of everybody: now, later, never, by rule and instant."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from campaigns.preflight import looks
from campaigns.preflight.counting import Group
from campaigns.preflight.looks import LATER, NEVER, NOW, Hours, Turn
from campaigns.preflight.rooms import Rooms
from campaigns.preflight.texts import Reader, Texts
from campaigns.states import State
from compliance import policy
from compliance.policy import Fate

_BLOCKED: Final = State.BLOCKED
_NO_SENDER: Final = "no_sender_for_number"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the answer: so many people share this fate.

    `rule` is what decides it or makes it wait; `ends` is how the run's report will put it ("state: reason"), for those
    who are never texted; `at` is when, for those who wait.
    """

    fate: str
    rule: str
    ends: str = ""
    at: datetime | None = None


class Sums:
    """What is known so far, group by group."""

    def __init__(self, hours: Hours, texts: Texts) -> None:
        self.hours = hours
        self.texts = texts
        self.lines: Counter[Line] = Counter()
        self.by_country: Counter[str] = Counter()
        self.examples: dict[str, int] = {}  # somebody of each country
        self._turns: Counter[Turn] = Counter()
        self.rooms = Rooms(hours.batch)
        self._sampled: dict[int, Reader] = {}
        self._longest: dict[int, Reader] = {}

    def add(self, groups: list[Group]) -> None:
        """Add a range of recipients."""
        for group in groups:
            self.examples.setdefault(group.country, group.example)
            self._add(group)

    def _add(self, group: Group) -> None:
        place = group.place
        if place.ends:
            self._end(place.ends.partition(": ")[2], place.ends, group.people)
        elif group.rule is not None and group.rule.fate is not Fate.HELD:
            self._end(str(group.rule), f"{group.rule.fate}: {group.rule}", group.people)
        elif group.rule == policy.ERASED_UNREADABLE:  # asked again and again, until somebody finds the pepper
            self._wait(group, place.expires_at, str(group.rule))
        elif group.rule is not None:
            self._wait(group, group.until or place.expires_at, str(group.rule))
        elif group.reader is not None:
            self._clear(group, group.reader)

    def _clear(self, group: Group, reader: Reader) -> None:
        """They may be texted, if their texts can be made and they have not got too many yet."""
        made = self.texts.made(reader)
        if self.texts.forbids(made):
            self.texts.refuse(reader, group.example)
            self._end(made.rule, f"{_BLOCKED}: {made.rule}", group.people)
            return
        self._sampled |= dict.fromkeys(group.sample, reader)
        self._longest[group.longest] = reader
        if group.frees_at is not None:
            self._wait(group, group.frees_at, str(group.tired))
        else:
            self._text(group, group.place.look_at, group.place.waits_for)

    def _wait(self, group: Group, until: datetime, rule: str) -> None:
        found = looks.again(self.hours, group.place.zones, group.place.expires_at, until)
        if found.at is None:
            self._end(rule, found.ends, group.people)
        else:
            self._text(group, found.at, rule)

    def _text(self, group: Group, at: datetime, waits_for: str) -> None:
        place, size = group.place, 0
        if self.texts.is_varied or group.reader is None:
            self.texts.skip(country=group.country, people=group.people)
        else:
            self.texts.read(group.reader, country=group.country, people=group.people, example=group.example)
            size = self.texts.made(group.reader).segments
        turn = Turn(at, place.zones, place.expires_at, group.country, 0, waits_for, segments=size)
        self._turns[turn] += group.people

    def _end(self, rule: str, ends: str, people: int) -> None:
        self.lines[Line(NEVER, rule, ends)] += people

    def finish(self, served: dict[str, bool]) -> list[Turn]:
        """Apply the limits of days and hours, and read the sample; return who is texted when.

        `served` says of each country whether any sender of the brand may be used.
        """
        self.texts.read_sample(self._sampled)
        self.texts.read_longest(self._longest)
        sent: list[Turn] = []
        for turn, goes in looks.under_limits(self.hours, self._all(), self.rooms):
            if not goes:
                self._end(turn.waits_for, turn.ends, turn.people)
            elif not served.get(turn.country, True):
                ends = looks.in_vain(self.hours, turn.zones, turn.expires_at, turn.at)
                self._end(_NO_SENDER, ends, turn.people)
            else:
                sent.append(turn)
                self.by_country[turn.country] += turn.people
                is_now = turn.at <= self.hours.batch.run.launched_at
                self.lines[
                    Line(NOW if is_now else LATER, "" if is_now else turn.waits_for, at=None if is_now else turn.at)
                ] += turn.people
        return sent

    def _all(self) -> Iterator[Turn]:
        """Yield everybody's turns; where texts are only sampled, each is as long as the sample's are on average."""
        mean = self.texts.mean()
        return (replace(turn, people=people, segments=turn.segments or mean) for turn, people in self._turns.items())
