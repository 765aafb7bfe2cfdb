"""The product's source, read as text and as syntax trees: what the architecture tests look through."""

import ast
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PACKAGES: Final = ("smsplatform", "campaigns", "compliance", "providers", "tracking")


@cache
def files(*, with_migrations: bool = False) -> tuple[Path, ...]:
    """Return the product's own Python files."""
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return tuple(path for path in found if with_migrations or "migrations" not in path.parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def named(path: Path) -> str:
    """Return the path as people write it."""
    return path.relative_to(ROOT).as_posix()


def module(path: Path) -> ModuleType:
    """Import the module of a file."""
    return import_module(named(path).removesuffix("/__init__.py").removesuffix(".py").replace("/", "."))


def strings(path: Path) -> Iterator[ast.Constant]:
    """Yield the string constants of a file, parts of f-strings too, but neither docstrings nor lone strings."""
    lone = {id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in lone:
            yield node


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))


def where(path: Path, node: ast.expr) -> str:
    return f"{named(path)}:{node.lineno}"
