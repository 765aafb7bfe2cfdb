"""Who may import whom: the contracts of pyproject hold, and they are about everything there is."""

import tomllib
from typing import Any

import pytest
from importlinter import cli

from tests.architecture import source

CONFIGURATION: dict[str, Any] = tomllib.loads((source.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


@pytest.mark.usefixtures("_at_the_root")
def test_every_contract_is_kept(capsys):
    broken = cli.lint_imports(no_cache=True, no_logo=True)
    assert not broken, capsys.readouterr().out


@pytest.fixture
def _at_the_root(monkeypatch):
    monkeypatch.chdir(source.ROOT)


def test_the_contracts_are_about_every_package():
    assert set(CONFIGURATION["root_packages"]) == set(source.PACKAGES)
    [layers] = [contract["layers"] for contract in CONFIGURATION["contracts"] if contract["type"] == "layers"]
    named = {name for layer in layers for name in layer.split(" | ")}
    assert set(source.PACKAGES) - {"smsplatform"} <= named
    assert {"smsplatform.common", "smsplatform.tenancy"} <= named


def test_no_contract_lets_anything_through():
    """An exception belongs into the design, not into a list that grows."""
    for contract in CONFIGURATION["contracts"]:
        assert not contract.keys() & {"ignore_imports", "exhaustive_ignores"}, contract["name"]
