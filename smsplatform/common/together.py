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
        self.result: Result | None = None
        self.error: BaseException | None = RuntimeError("the thread that did it for all has ended")  # until it is done
        self._told = threading.Lock()
        self._told.acquire()

    def wait(self) -> None:
        self._told.acquire()

    def tell(self) -> None:
        self._told.release()


class Together(Generic[Item, Result]):
    """Call it from any thread: `work` gets all items that came meanwhile, and gives each its result, in their order.

    Where `work` raises, each item is tried alone, so that one that cannot be done does not take the others with it; its
    error is raised to the thread that asked. After a turn with company the next one waits for `linger` seconds, for more.
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
        if ask.error is not None:
            raise ask.error
        return cast("Result", ask.result)  # it has one, because it has no error

    def _take_turn(self, own: _Ask[Item, Result]) -> None:
        if self._had_company and self._linger:
            time.sleep(self._linger)
        with self._door:
            asks, self._waiting = self._waiting, []
        try:
            self._do(asks)
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

    def _do(self, asks: Sequence[_Ask[Item, Result]]) -> None:
        try:
            results = self._work([ask.item for ask in asks])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to the one who asked
            if len(asks) == 1:
                asks[0].error = error
                return
            for ask in asks:
                self._do([ask])
            return
        for ask, result in zip(asks, results, strict=True):
            ask.result, ask.error = result, None
