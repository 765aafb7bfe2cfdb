"""What docs/adding-a-provider.md promises: it names every member of an adapter, and its sandbox does what it says."""

import json
import re
from pathlib import Path

from providers.adapters import base
from providers.adapters.base import Adapter, Outcome
from tests.providers.simulated import platform, runs, until

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-provider.md").read_text()
SCRIPT = json.loads(re.search(r"-d '(\{.*?\})'\n", PAGE, re.DOTALL)[1])


def test_names_every_member_of_an_adapter():
    inherited = {"credentials", "base_url", "options", "secrets", "shown"}
    members = {name for name in (*vars(Adapter), *Adapter.__annotations__) if not name.startswith("_")} - inherited
    members |= {each.__name__ for each in base.Event.__args__}
    assert {name for name in members if not re.search(rf"`(\w+\.)?{name}\b", PAGE)} == set()


def test_ends_with_the_two_files_of_a_provider():
    last = PAGE.strip().splitlines()[-1]
    assert re.findall(r"`(.*?)`", last) == ["providers/adapters/<slug>.py", "tests/providers/adapters/test_<slug>.py"]


@runs
async def test_the_endings_of_numbers_mean_what_it_says():
    async with platform(hooks=True) as here:
        await here.tell("token1", {**SCRIPT, "secret": "hush", "inbound_url": f"{here.hooks}/inbound"})
        own = here.own()
        results = [
            await here.send(own, number, to=f"+1202555{ending}")
            for number, ending in enumerate(("0000", "0001", "0002", "0003", "0009"), start=1)
        ]
        assert [result.outcome for result in results] == [
            Outcome.REJECTED_PERMANENT,
            Outcome.REJECTED_PERMANENT,
            Outcome.ACCEPTED,
            Outcome.REJECTED_RETRYABLE,
            Outcome.ACCEPTED,
        ]
        assert [result.opted_out for result in results] == [False, True, False, False, False]
        events = await here.events(own, 5)  # two reports on each that was taken, and the STOP
        assert [event.text for event in events if isinstance(event, base.Inbound)] == ["STOP"]
        await _lose(here, own)
        await until(lambda: len(here.received) > 5)


async def _lose(here, own):
    import aiohttp

    try:
        await here.send(own, 9, to="+12025550004")
    except aiohttp.ClientError:
        assert (await here.ledger())["accepted"] == 3
    else:
        raise AssertionError("there was an answer")
