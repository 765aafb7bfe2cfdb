"""The services that every test runs on; loaded before Django reads its settings (pyproject: -p tests.services).

The same embedded or configured services as everything else, in databases of the tests' own.
"""

import os

from smsplatform import embedded

embedded.use_where_unconfigured()
# Threads of the live server end without telling; their connections must not outlive a request.
os.environ["DATABASE_CONN_MAX_AGE"] = "0"
# Each parallel worker has its own Redis database, so that they do not count each other's tokens.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_place = _worker + int(os.environ.get("REDIS_DB_OFFSET", "0"))
os.environ["REDIS_URL"] = os.environ["REDIS_URL"].rsplit("/", 1)[0] + f"/{8 + _place % 8}"
