"""The adapters, found by being in this folder.

`ADAPTERS` maps each slug to its class; files named `base…` are what adapters stand on. A file that
fails to import, a second adapter with the same slug, or a file without an adapter is an error at
start-up, never a provider silently absent.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType, ModuleType
from typing import Final

from providers.adapters.base import Adapter

__all__ = ["ADAPTERS", "UnknownProvider", "get"]


class UnknownProvider(LookupError):
    """No adapter has this slug; the message names those that exist."""


def get(slug: str) -> type[Adapter]:
    """Return the adapter class for a slug; raises UnknownProvider."""
    try:
        return ADAPTERS[slug]
    except KeyError:
        known = ", ".join(sorted(ADAPTERS))
        raise UnknownProvider(f"No provider {slug!r}; known are: {known}") from None


def _discover() -> Mapping[str, type[Adapter]]:
    found: dict[str, type[Adapter]] = {}
    for name in sorted(each.name for each in iter_modules(__path__) if not each.name.startswith("base")):
        module = import_module(f"{__name__}.{name}")
        defined = list(_defined_in(module))
        if len(defined) != 1:
            raise ImportError(f"{module.__name__} must define one Adapter, has {len(defined)}")
        adapter = defined[0]
        if adapter.slug in found:
            raise ImportError(f"{module.__name__} repeats the slug {adapter.slug!r}")
        found[adapter.slug] = adapter
    return MappingProxyType(found)


def _defined_in(module: ModuleType) -> Iterator[type[Adapter]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Adapter) and value.__module__ == module.__name__:
            yield value


ADAPTERS: Final[Mapping[str, type[Adapter]]] = _discover()
