"""A provider is one file: pure, alone, and named nowhere else."""

import ast
import re
import sys

import pytest

from providers.adapters import ADAPTERS
from tests.architecture import source

FOLDER = source.ROOT / "providers" / "adapters"
FILES = {slug: source.ROOT / f"{adapter.__module__.replace('.', '/')}.py" for slug, adapter in ADAPTERS.items()}
BASES = sorted(FOLDER.glob("base*.py"))
# Of the standard library, what could reach outside or keep time.
OUTSIDE = {
    *("asyncio", "ctypes", "ftplib", "glob", "http", "importlib", "io", "logging", "multiprocessing", "os", "pathlib"),
    *("queue", "random", "secrets", "select", "shutil", "signal", "smtplib", "socket", "sqlite3", "ssl", "subprocess"),
    *("tempfile", "threading", "time"),
}
CALLS_OUTSIDE = {"open", "print", "input", "exec", "eval", "__import__", "compile", "breakpoint"}
READS_A_CLOCK = {"now", "utcnow", "today"}
# The simulator is also a process of the platform, and the provider of the demo.
ALSO_NAMED = {
    "simulator": {
        "smsplatform/processes.py": "its process",
        "smsplatform/common/management/commands/up.py": "shows its address",
        "smsplatform/demo/": "the demo sends through it",
        "providers/simulator/": "is it",
    },
    "plivo": {"compliance/keywords/editions.py": "cites its list of words as a source"},
    "smtp": {
        "providers/models.py": "the scheme of an address",
        "providers/migrations/": "as in the models",
        "providers/mail.py": "the transport",
    },
}
# The simulator speaks this vendor's dialect as well.
SPOKEN_BY_THE_SIMULATOR = ("providers/simulator/",)


def _imports(path):
    for node in ast.walk(source.tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{source.named(path)}: write imports in full"
            yield node.module, node


def test_every_file_of_the_folder_is_an_adapter():
    present = {path for path in FOLDER.glob("*.py") if path.stem != "__init__" and path not in BASES}
    assert present == set(FILES.values())
    assert len(present) >= 2


@pytest.mark.parametrize("path", [*FILES.values(), *BASES], ids=lambda path: path.stem)
def test_an_adapter_imports_nothing_that_reaches_outside(path):
    for name, node in _imports(path):
        top = name.split(".")[0]
        if top == "providers":
            assert name.startswith("providers.adapters.base"), source.where(path, node)
        elif name == "urllib.parse":
            continue
        else:
            is_fine = top in sys.stdlib_module_names and top not in OUTSIDE | {"urllib"}
            assert is_fine, f"{source.where(path, node)} imports {name}"


@pytest.mark.parametrize("path", [*FILES.values(), *BASES], ids=lambda path: path.stem)
def test_an_adapter_does_nothing_but_compute(path):
    for call in source.calls(path):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        is_bare = isinstance(call.func, ast.Name)
        assert not (is_bare and name in CALLS_OUTSIDE), source.where(path, call)
        assert name not in READS_A_CLOCK, source.where(path, call)


@pytest.mark.parametrize("slug", ADAPTERS)
def test_no_other_code_names_a_provider(slug):
    """Not the slug, not a code of the vendor's: what is special about a provider is said in its file."""
    allowed = (source.named(FILES[slug]), *ALSO_NAMED.get(slug, {}), *SPOKEN_BY_THE_SIMULATOR)
    word = re.compile(rf"(?<![a-z]){re.escape(slug)}(?![a-z])", re.IGNORECASE)
    named = [
        f"{source.where(path, text)}: {text.value[:60]!r}"
        for path in source.files(with_migrations=True)
        if not source.named(path).startswith(allowed)
        for text in source.strings(path)
        if word.search(text.value)
    ]
    assert named == []


@pytest.mark.parametrize("slug", ADAPTERS)
def test_no_template_names_a_provider(slug):
    for path in [*source.ROOT.glob("templates/**/*.html"), *source.ROOT.glob("static/**/*.js")]:
        assert slug not in path.read_text().lower(), source.named(path)


@pytest.mark.parametrize("slug", ADAPTERS)
def test_an_adapter_has_tests_of_its_own(slug):
    assert (source.ROOT / "tests" / "providers" / "adapters" / f"test_{slug}.py").is_file()
