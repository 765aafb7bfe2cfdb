"""What follows an acceptance: delivery reports, and people who answer STOP."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final
from uuid import uuid4

from providers.simulator.accounts import Account
from providers.simulator.dialects import BY_NAME, DEFAULT
from providers.simulator.dialects.base import Dialect, Event, Post
from providers.simulator.ledger import Ledger
from providers.simulator.script import Receipts
from providers.simulator.webhooks import Webhooks

_STOP_WORDS: Final = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
_START_WORDS: Final = frozenset({"START", "UNSTOP", "YES"})


class Aftermath:
    """Plans the events of each acceptance. All times run from the instant of acceptance."""

    def __init__(self, ledger: Ledger, webhooks: Webhooks) -> None:
        self._ledger = ledger
        self._webhooks = webhooks

    def follow(self, account: Account, post: Post, message_id: str, at: float) -> None:
        """Plan what follows this acceptance."""
        receipts = account.script.receipts
        if receipts is not None and (post.status_url or account.script.status_url):
            self._report(account, receipts, post, message_id, at)
        stops = account.script.stops
        if not stops.share and not stops.numbers:
            return
        # Whoever has texted STOP does so once.
        if (post.to, post.sender) in self._ledger.stops:
            return
        if post.to in stops.numbers or account.random.random() < stops.share:
            delay = stops.delay.seconds(account.random)
            self._later(delay, partial(self.inbound, account, post.to, post.sender, stops.text))

    def inbound(self, account: Account, number: str, sender: str, text: str) -> str:
        """Post a person's message now; returns its id. STOP and START are entered in the ledger."""
        now = time.time()
        event = Event(_dialect(account).inbound_id(uuid4().hex), account.name, number, sender, now, text=text)
        word = text.strip().upper()
        answered: Callable[[float], None] | None = None
        if word in _STOP_WORDS:
            stop = self._ledger.stop(number, sender, now)
            answered = partial(self._ledger.stop_answered, stop)
        elif word in _START_WORDS:
            self._ledger.start(number, sender)
        first, *more = _dialect(account).replies(event)
        self._webhooks.post(account, account.script.inbound_url, first, answered)
        for told in more:
            self._webhooks.post(account, account.script.inbound_url, told, None)
        return event.id

    def _report(self, account: Account, receipts: Receipts, post: Post, message_id: str, at: float) -> None:
        random = account.random
        if receipts.lost and random.random() < receipts.lost:
            return
        delay = receipts.delay.seconds(random)
        drawn = random.random()
        status, code = "failed", "lost"
        if drawn < receipts.delivered:
            status, code = "delivered", ""
        elif drawn < receipts.delivered + receipts.undelivered:
            status, code = "undelivered", "unreachable"
        final = partial(self._tell, account, post, message_id, at + delay, status, code)
        sent_after = delay / 2
        if receipts.out_of_order and random.random() < receipts.out_of_order:
            sent_after = delay + max(0.05, delay / 2)
        if receipts.sent and random.random() < receipts.sent:
            sent = partial(self._tell, account, post, message_id, at + delay / 2, "sent", "")
            self._later(sent_after, sent)
        self._later(delay, final)
        if receipts.duplicated and random.random() < receipts.duplicated:
            self._later(delay + receipts.delay.seconds(random), final)

    def _tell(self, account: Account, post: Post, message_id: str, at: float, status: str, code: str) -> None:
        event = Event(
            message_id,
            account.name,
            post.to,
            post.sender,
            at,
            status=status,
            code=code,
            reference=post.reference,
        )
        for told in _dialect(account).events(event, post.segments):
            self._webhooks.post(account, post.status_url or account.script.status_url, told, None)

    def _later(self, delay: float, act: Callable[[], object]) -> None:
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, act)
        else:
            act()


def _dialect(account: Account) -> Dialect:
    return BY_NAME[account.dialect or DEFAULT]
