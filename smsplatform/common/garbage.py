"""How often a long-lived process looks for garbage in cycles.

Its heap is large and stays, and what it makes per message is gone when its last reference is: hardly anything is in a
cycle. With Python's own thresholds a sender spent a quarter of its time on looking (docs/performance.md).
"""

import gc
from typing import Final

_NEW_OBJECTS: Final = 50_000  # containers, before the young are looked at: some tens of MB at most


def collect_rarely() -> None:
    """Leave alone for good what there is now, and look at what comes every 50,000 containers. For each process once."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)
