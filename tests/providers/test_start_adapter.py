"""The skeletons of a new provider are sound as they are: lint, format, their own tests, and what a contract asks."""

import subprocess
import sys

import pytest

from tests.architecture.source import ROOT
from tests.campaigns.commands.shell import refused, run

# What stands in the folder is found there; what stands elsewhere is put into its place.
_CONFTEST = """
import importlib.util, sys
from pathlib import Path
file = Path(__file__).parent / "providers" / "adapters" / "acme_sms.py"
spec = importlib.util.spec_from_file_location("providers.adapters.acme_sms", file)
module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
import providers.adapters
providers.adapters.acme_sms = module
"""


def tool(*words, cwd=ROOT):
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_two_files_are_sound(tmp_path):
    told = run(f"start_adapter acme_sms --into {tmp_path}")
    assert "providers/adapters/acme_sms.py" in told
    assert "tests/providers/adapters/test_acme_sms.py" in told
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    config = f"--config={ROOT / 'pyproject.toml'}"
    # The project's other rules depend on where a file stands.
    tool("ruff", "check", "--select=E,F,W,B,UP,SIM,RET", config, str(tmp_path / "providers"), str(tmp_path / "tests"))
    tool("ruff", "format", "--check", config, str(tmp_path / "providers"), str(tmp_path / "tests"))
    tool("pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={tmp_path}", str(tmp_path / "tests"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("slug", "problem"),
    [("Acme", "cannot be a module's name"), ("base_acme", "cannot be a module's name"), ("simulator", "exists")],
)
def test_refuses_what_cannot_be(slug, problem, tmp_path):
    assert problem in refused(f"start_adapter {slug} --into {tmp_path}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db
def test_overwrites_nothing(tmp_path):
    run(f"start_adapter acme_sms --into {tmp_path}")
    (tmp_path / "providers" / "adapters" / "acme_sms.py").unlink()
    assert "nothing was written" in refused(f"start_adapter acme_sms --into {tmp_path}")
    assert not (tmp_path / "providers" / "adapters" / "acme_sms.py").exists()
