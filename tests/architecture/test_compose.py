"""The containers run what the table of processes says, and publish nothing beyond this machine."""

import ast
import re
from collections.abc import Mapping
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from django.conf import settings

from providers.adapters import ADAPTERS
from smsplatform import processes
from smsplatform.embedded import postgres

ROOT: Final = Path(__file__).resolve().parent.parent.parent
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
AROUND: Final = {"postgres", "redis", "migrate"}
WORKERS: Final = [name for name in processes.PROCESSES if name.startswith("worker-")]
# What a container must see of the table's command: it listens on its own network, not on itself only.
LISTENS: Final = {
    "--bind=127.0.0.1:8000": "--bind=0.0.0.0:8000",
    "--address=127.0.0.1": "--address=0.0.0.0",
}


def joined(words: list[str]) -> list[str]:
    """Return the words with `--option value` as `--option=value`, the others as they are."""
    text = "\0".join(words)
    return re.sub(r"(--?[a-z][a-z-]*)\0(?!-)", r"\1=", text).split("\0")


def seconds(duration: str) -> float:
    found = re.fullmatch(r"([0-9]+)s", duration)
    assert found, duration
    return float(found[1])


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def test_has_a_service_for_each_process_and_no_other() -> None:
    assert set(SERVICES) - AROUND == set(processes.PROCESSES)


@pytest.mark.parametrize("name", processes.PROCESSES)
def test_runs_the_command_of_the_table(name: str) -> None:
    interpreter, *arguments = processes.command(name, env={})
    wanted = [LISTENS.get(word, word) for word in joined(arguments)]
    assert Path(interpreter).name.startswith("python")
    assert SERVICES[name]["command"][0] == "python"
    assert joined(SERVICES[name]["command"][1:]) == wanted


def test_every_queue_has_exactly_one_kind_of_worker() -> None:
    lines = [service.get("command", []) for service in SERVICES.values()]
    consumed = [line[line.index("-Q") + 1].split(",") for line in lines if "-Q" in line]
    assert sorted(chain.from_iterable(consumed)) == sorted(settings.QUEUES)


@pytest.mark.parametrize("name", processes.PROCESSES)
def test_stops_no_process_before_its_time(name: str) -> None:
    assert seconds(SERVICES[name]["stop_grace_period"]) >= processes.PROCESSES[name].patience


@pytest.mark.parametrize("name", WORKERS)
def test_lets_a_worker_wait_for_the_answers_in_the_air(name: str) -> None:
    slowest = max(adapter.limits.timeout for adapter in ADAPTERS.values())
    assert seconds(SERVICES[name]["stop_grace_period"]) > slowest + 15


@pytest.mark.parametrize("name", sorted(set(processes.PROCESSES) - {"simulator"}))
def test_starts_a_process_when_the_schema_is_there(name: str) -> None:
    assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_migrates_once_per_start() -> None:
    assert SERVICES["migrate"]["restart"] == "no"
    assert SERVICES["migrate"]["command"] == ["python", "manage.py", "migrate", "--noinput"]


def test_publishes_ports_on_this_machine_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
    assert not any("ports" in SERVICES[name] for name in AROUND)


def test_flower_does_not_start_without_a_login() -> None:
    assert SERVICES["flower"]["environment"]["FLOWER_BASIC_AUTH"].startswith("${FLOWER_BASIC_AUTH:?")


def test_redis_keeps_nothing_and_evicts_nothing() -> None:
    options = dict(pairwise(SERVICES["redis"]["command"]))
    assert options["--save"] == ""
    assert options["--appendonly"] == "no"
    assert options["--maxmemory-policy"] == "noeviction"


def test_postgres_is_tuned_like_the_embedded_one() -> None:
    words = SERVICES["postgres"]["command"]
    given = dict(word.split("=") for option, word in pairwise(words) if option == "-c")
    assert given
    assert given.items() <= postgres.SETTINGS.items()


def test_every_secret_is_asked_for_and_left_empty_in_the_example() -> None:
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", text_of("docker-compose.yml")))
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", text_of(".env.example"), re.MULTILINE))
    assert asked
    assert {name: example.get(name) for name in asked} == dict.fromkeys(asked, "")


def test_the_example_names_only_what_something_reads() -> None:
    named = set(re.findall(r"^(?:# )?([A-Z_]+)=", text_of(".env.example"), re.MULTILINE))
    read = settings_read(text_of("smsplatform/settings.py")) | set(
        re.findall(r"\$\{([A-Z_]+)", text_of("docker-compose.yml"))
    )
    assert named <= read


def settings_read(source: str) -> set[str]:
    """Return the names of the environment variables that a settings module asks for."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args]
    asks = [call for call in calls if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "env"]
    return {str(call.args[0].value) for call in asks if isinstance(call.args[0], ast.Constant)}


class TestImage:
    LINES: Final = [line for line in text_of("Dockerfile").splitlines() if line and not line.startswith("#")]

    def test_is_built_in_two_stages_of_the_same_python(self) -> None:
        stages = [line.split()[1] for line in self.LINES if line.startswith("FROM ")]
        assert stages == ["python:3.11-slim"] * 2

    def test_holds_all_of_the_code_and_nothing_that_lies_beside_it(self) -> None:
        copied = {line.split()[1] for line in self.LINES if line.startswith("COPY ") and "--from" not in line}
        assert copied == {*processes.CODE, "manage.py", "templates", "static", "requirements.txt"}

    def test_runs_as_nobody_special(self) -> None:
        users = [line.split()[1] for line in self.LINES if line.startswith("USER ")]
        assert users
        assert users[-1] not in {"root", "0"}


class TestDevelopmentOverride:
    SERVICES: Final[Mapping[str, Any]] = yaml.safe_load(text_of("docker-compose.override.example.yml"))["services"]

    def test_changes_only_services_that_exist(self) -> None:
        assert set(self.SERVICES) <= set(SERVICES)

    @pytest.mark.parametrize("name", SERVICES)
    def test_restarts_whatever_part_of_the_code_changes(self, name: str) -> None:
        watched = {each["path"] for each in self.SERVICES[name]["develop"]["watch"] if each["action"] == "restart"}
        assert watched == set(processes.CODE)
