"""Which hits on links were people: judged by `tracking`, which is told here when a message was taken and whose it is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from campaigns.models import Run
from smsplatform.common import database
from smsplatform.common.database import keys_of, rows
from tracking import judging
from tracking.judging import Turn
from tracking.models import Click

# Of the hit `c`. A number is one person's within a tenant, with and without a row among the recipients.
_MESSAGE: Final = "SELECT accepted_at, number AS person FROM campaigns_dispatch WHERE id = c.dispatch_id"

_PEOPLE: Final = (Click.Verdict.HUMAN, Click.Verdict.DUPLICATE)


@dataclass(frozen=True, slots=True)
class Clicks:
    """Who followed a run's links: `people` once each, and the hits by verdict."""

    people: int
    verdicts: dict[str, int]

    @property
    def filtered(self) -> int:
        """Hits that are not counted because they were no person's."""
        return sum(number for verdict, number in self.verdicts.items() if verdict not in _PEOPLE)


def judge(*, until: datetime) -> int:
    """Judge all hits that nobody has judged, or as many as there is time for; return how many."""
    judged = 0
    while (now := database.now()) < until:
        turn = judging.judge(message=_MESSAGE, now=now)
        judged += turn.changed
        if not turn.changed:
            break
    return judged


def judge_page(*, after: int, everything: bool, is_dry: bool) -> Turn:
    """Judge the next hits behind an id again; none looked at is the end."""
    return judging.judge_again(message=_MESSAGE, after=after, everything=everything, is_dry=is_dry)


def of_run(run: Run) -> Clicks:
    """Return who followed the links of a run."""
    return Clicks(*_counted(run.pk))


def _counted(run_id: int) -> tuple[int, dict[str, int]]:
    found = rows(
        """
        SELECT verdict, count(*), count(DISTINCT dispatch_id) FROM tracking_click
        WHERE dispatch_id >= %(lowest)s AND dispatch_id < %(above)s AND verdict <> '' GROUP BY 1 ORDER BY 2 DESC, 1
        """,
        keys_of(run_id),
    )
    people = sum(messages for verdict, _, messages in found if verdict == Click.Verdict.HUMAN)
    return people, {verdict: number for verdict, number, _ in found}
