"""A new database gets in one step what the others got in many; the models come out the same."""

from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState


def test_the_short_way_and_the_long_way_lead_to_the_same_models():
    short = _state(MigrationLoader(None))
    long = _state(MigrationLoader(None, replace_migrations=False), but="0001_squashed")
    assert {("campaigns", "dispatch"), ("tenancy", "tenant")} <= set(short.models) == set(long.models)
    assert MigrationAutodetector(long, short)._detect_changes() == {}
    del long.models["tracking", "click"]
    assert MigrationAutodetector(long, short)._detect_changes(), "this would see nothing"


def _state(loader: MigrationLoader, *, but: str = "") -> ProjectState:
    nodes = [node for node in loader.graph.leaf_nodes() if node[1] != but]
    return loader.graph.make_state(nodes=nodes, at_end=True, real_apps=loader.unmigrated_apps)
