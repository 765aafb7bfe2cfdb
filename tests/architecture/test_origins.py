"""Whoever has a single message sent says who triggers it: strangers' messages are guarded (compliance.traffic)."""

import ast

from tests.architecture import source


def calls():
    """Every call of `notifications.send` in the product."""
    for path in source.files():
        for node in ast.walk(source.tree(path)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "send"
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "notifications"
            ):
                yield path, node


def test_every_call_of_the_door_names_its_origin():
    assert [
        source.where(path, node)
        for path, node in calls()
        if not any(keyword.arg == "origin" for keyword in node.keywords)
    ] == []


def test_nothing_else_makes_single_messages():
    """A dispatch without a batch is inserted at the door and nowhere else."""
    inserting = {path.name for path in source.files() if "INSERT INTO campaigns_dispatch\n" in path.read_text()}
    assert inserting == {"launch.py", "notifications.py"}
