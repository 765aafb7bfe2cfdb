"""The dialects the simulator speaks, found by being in this folder."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Final

from providers.simulator.dialects.base import Dialect

__all__ = ["BY_NAME", "DEFAULT"]

DEFAULT: Final = "simulator"  # of accounts that have not said anything yet


def _discover() -> Mapping[str, Dialect]:
    found: dict[str, Dialect] = {}
    for name in sorted(each.name for each in iter_modules(__path__) if each.name != "base"):
        module = import_module(f"{__name__}.{name}")
        defined = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Dialect) and value.__module__ == module.__name__
        ]
        if len(defined) != 1:
            raise ImportError(f"{module.__name__} must define one Dialect, has {len(defined)}")
        dialect = defined[0]()
        if dialect.name in found:
            raise ImportError(f"{module.__name__} repeats the name {dialect.name!r}")
        found[dialect.name] = dialect
    return MappingProxyType(found)


BY_NAME: Final[Mapping[str, Dialect]] = _discover()
