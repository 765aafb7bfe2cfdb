"""The tests run on the same embedded (or configured) services as everything else, in databases of their own."""

import os

from smsplatform import embedded

embedded.use_where_unconfigured()
# Each parallel worker has its own Redis database, so that they do not count each other's tokens.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
os.environ["REDIS_URL"] = os.environ["REDIS_URL"].rsplit("/", 1)[0] + f"/{8 + _worker % 8}"
