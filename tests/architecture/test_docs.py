"""The documents name what exists, and name all of it that people need: settings, commands, files, functions."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands

from campaigns.states import State
from smsplatform.processes import PORTS
from tests.architecture import source

ROOT = source.ROOT
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = sorted(
    path.stem
    for package in source.PACKAGES
    for path in (ROOT / package).rglob("management/commands/*.py")
    if not path.stem.startswith("_")
)
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
each_page = pytest.mark.parametrize("page", PAGES, ids=source.named)

# Read by what is around the product: containers and tests.
READ_ELSEWHERE = {"POSTGRES_PASSWORD": "docker-compose.yml", "PROPERTY_EFFORT": "tests/properties/effort.py"}
# Read by the product, and nobody's business to set.
INTERNAL = {"PYTHONUNBUFFERED", "REMAP_SIGTERM"}


def code(page: Path) -> Iterator[str]:
    """Yield what a page sets in backticks, outside and inside its blocks of shell."""
    text = page.read_text()
    yield from (
        line
        for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
    )
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


# -- settings -------------------------------------------------------------------------------------------------------


def asked() -> dict[str, ast.Call]:
    """Return what settings.py asks the environment for, with the call."""
    found = {}
    for call in source.calls(ROOT / "smsplatform" / "settings.py"):
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "env":
            first = call.args[0]
            if isinstance(first, ast.Constant):
                found[str(first.value)] = call
    return found


def documented() -> dict[str, str]:
    """Return the default of each setting, as the tables say it."""
    lines = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \| \S", CONFIGURATION, re.MULTILINE)
    assert len(lines) == len(dict(lines)), "a setting stands twice"
    return dict(lines)


def read_elsewhere() -> set[str]:
    """Return the environment variables that the product reads beside its settings."""
    text = "\n".join(path.read_text() for path in source.files())
    named = re.findall(r"""environ(?:\.get\(|\.setdefault\(|\[)\s*["']([A-Z_]+)["']""", text)
    return {*named, *PORTS} - INTERNAL


def test_every_setting_is_documented():
    assert {
        name: source.where(ROOT / "smsplatform" / "settings.py", call)
        for name, call in asked().items()
        if name not in documented()
    } == {}
    assert sorted(read_elsewhere() - documented().keys()) == []


def test_every_documented_setting_is_read():
    tests = {"REDIS_DB_OFFSET"}
    for name, file in READ_ELSEWHERE.items():
        assert name in (ROOT / file).read_text()
    known = asked().keys() | read_elsewhere() | READ_ELSEWHERE.keys() | tests
    assert sorted(documented().keys() - known) == []


def test_documented_defaults_are_the_real_ones():
    wrong = {}
    for name, call in asked().items():
        default = next((each.value for each in call.keywords if each.arg == "default"), None)
        if default is None:
            assert documented()[name] == "none", name
        elif (value := _constant(default)) is not None and (told := documented()[name]) not in _told(value):
            wrong[name] = (told, value)
    assert wrong == {}


def _constant(node: ast.expr) -> Any:
    """Return the value of a default that does not depend on other settings, else None."""
    if any(isinstance(each, ast.Name | ast.Call | ast.Attribute) for each in ast.walk(node)):
        return None
    return eval(compile(ast.Expression(node), "default", "eval"), {"__builtins__": {}})  # noqa: S307 - our own settings


def _told(value: Any) -> set[str]:
    if isinstance(value, bool):
        return {"yes" if value else "no"}
    if isinstance(value, list):
        return {f"`{','.join(value)}`" if value else "empty"}
    return {f"`{value}`" if value != "" else "empty"}


@each_page
def test_a_page_names_only_settings_that_exist(page):
    """Whatever looks like a setting: a setting, a constant of the code, or a variable of the environment."""
    words = {
        word for text in code(page) for word in re.findall(r"(?<![\w$<{-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?!\w)", text)
    }
    example = set(re.findall(r"credential-env \w+=(\w+)", page.read_text()))  # the reader's own variables
    known = documented().keys() | set(dir(settings)) | _constants()
    assert sorted(words - known - example - INTERNAL) == []


@cache
def _constants() -> frozenset[str]:
    """Return what is assigned anywhere in the code: constants, and members of enumerations."""
    nodes = [node for path in source.files() for node in ast.walk(source.tree(path))]
    stored = [node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    return frozenset(node.id for node in stored)


# -- commands -------------------------------------------------------------------------------------------------------


@each_page
def test_a_page_names_only_commands_that_exist(page):
    named = set(re.findall(r"manage\.py ([a-z][a-z_]+)", page.read_text()))
    assert sorted(named - get_commands().keys()) == []


@each_page
def test_a_page_names_only_make_targets_that_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for text in code(page) for target in re.findall(r"\Amake ([a-z-]+)", text)}
    assert sorted(named - targets) == []


def test_every_command_is_documented():
    pages = "".join(
        (ROOT / name).read_text()
        for name in ("README.md", "CONTRIBUTING.md", "docs/operations.md", "docs/architecture.md")
    )
    assert len(COMMANDS) > 20
    assert [name for name in COMMANDS if not re.search(rf"(?:manage\.py |`){name}\b", pages)] == []


# -- files, functions, states ---------------------------------------------------------------------------------------


@each_page
def test_a_page_links_only_to_what_exists(page):
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if link and not (page.parent / link).exists()] == []


@each_page
def test_a_page_names_only_files_that_exist(page):
    """A path with a folder is from the root, or from the folder that the page is about."""
    paths = {
        text
        for text in code(page)
        if re.fullmatch(r"\.?[\w-]+(?:/[\w.-]+)*/?(?:[\w-]+\.(?:py|md|yml|toml|txt))?", text)
    }
    folders = [ROOT, page.parent, *(ROOT / package for package in (*source.PACKAGES, "tests"))]
    made = (".var", ".venv")  # at run time
    named = {path for path in paths if "/" in path.rstrip("/") or path.endswith((".py", ".md", ".yml"))}
    named = {path for path in named if not path.startswith(made)}
    assert [
        path
        for path in sorted(named)
        if not any((folder / path).exists() for folder in folders) and not _is_a_file(path)
    ] == []


@cache
def _is_a_file(name: str) -> bool:
    """Whether a bare file name is one of ours, wherever it lies."""
    return "/" not in name and any(
        path.name == name for top in (*source.PACKAGES, "tests") for path in (ROOT / top).rglob("*.py")
    )


@each_page
def test_a_page_names_only_functions_that_exist(page):
    """`module.name` or `module.name()`, where the module is one of ours, without its folders."""
    wrong = []
    for text in code(page):
        found = re.fullmatch(r"([a-z_]+)\.([A-Za-z_]+)(?:\(.*\))?", text)
        if found and (homes := _modules(found[1])) and found[2] not in {"py", "md"}:
            names = {name for path in homes for name in dir(source.module(path))}
            if found[2] not in names:
                wrong.append(text)
    assert wrong == []


@cache
def _modules(name: str) -> tuple[Path, ...]:
    return tuple(
        path
        for path in source.files()
        if name == (path.parent.name if path.stem == "__init__" else path.stem) and "commands" not in path.parts
    )


def test_the_diagram_knows_every_state():
    diagram = (ROOT / "docs" / "architecture.md").read_text()
    assert [state for state in State if not re.search(rf"\b{state}\b", diagram)] == []
