"""What several threads ask for at the same time is done by one of them for all.

A statement and its commit cost about the same for one request as for ten. Under load those that come while somebody
works have the next turn together; one that comes alone waits for nobody.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Ask(Generic[Item, Result]):
    """What one thread asks for, and what it is told: its result, or that the next turn is its own."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.has_turn = False
        self.is_done = False
        self.result: Result | None = None
        self._told = threading.Lock()
        self._told.acquire()

    def wait(self) -> None:
        self._told.acquire()

    def tell(self) -> None:
        self._told.release()


class Together(Generic[Item, Result]):
    """Call it from any thread: `work` gets all items that came meanwhile, and gives each its result, in their order.

    Where `work` fails, each thread does its own item alone: one that cannot be done does not take the others with it, nor
    does a thread whose connection is broken. So `work` may see an item twice. After a turn with company the next one
    waits for `linger` seconds, for more.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]], *, linger: float = 0.0) -> None:
        self._work = work
        self._linger = linger
        self._door = threading.Lock()  # of the three below; held for instants only
        self._waiting: list[_Ask[Item, Result]] = []
        self._is_busy = False
        self._had_company = False

    def __call__(self, item: Item) -> Result:
        ask: _Ask[Item, Result] = _Ask(item)
        with self._door:
            self._waiting.append(ask)
            is_first, self._is_busy = not self._is_busy, True
        if not is_first:
            ask.wait()
        if is_first or ask.has_turn:
            self._take_turn(ask)
        if not ask.is_done:
            [ask.result] = self._work([item])
        return cast("Result", ask.result)

    def _take_turn(self, own: _Ask[Item, Result]) -> None:
        if self._had_company and self._linger:
            time.sleep(self._linger)
        with self._door:
            asks, self._waiting = self._waiting, []
        try:
            for ask, result in zip(asks, self._work([ask.item for ask in asks]), strict=True):
                ask.result, ask.is_done = result, True
        except Exception:
            if len(asks) == 1:
                raise
        finally:
            with self._door:
                self._had_company = len(asks) > 1
                following = self._waiting[0] if self._waiting else None
                self._is_busy = following is not None
            if following is not None:
                following.has_turn = True
                following.tell()
            for ask in asks:
                if ask is not own:
                    ask.tell()
