"""How hard the property tests try: PROPERTY_EFFORT multiplies the examples, so that a night may look further than a minute."""

import os

from hypothesis import HealthCheck, Phase, settings

_EFFORT = float(os.environ.get("PROPERTY_EFFORT", "1"))
_USUAL = 100  # examples of a property that says nothing


def set_usual():
    """Let the properties that name no number of examples follow the effort as well."""
    settings.register_profile("effort", max_examples=max(int(_USUAL * _EFFORT), 1))
    settings.load_profile("effort")


def trying(examples, *, steps=50):
    """The settings of one property: its examples in an ordinary run, and the steps of a machine."""
    return settings(
        max_examples=max(int(examples * _EFFORT), 1),
        stateful_step_count=steps,
        deadline=None,  # a database answers when it answers
        print_blob=True,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )
