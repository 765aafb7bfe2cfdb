"""Found by Python at the start of a process whose PYTHONPATH leads here: lets a worker harm itself as told.

See tests/chaos/worker.py; a process started without this directory on its path knows nothing of it.
"""

from tests.chaos import worker

worker.obey()
