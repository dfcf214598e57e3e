"""Faults on the real thing: servers and nodes die, stop and are cut off under load.

``zhihui bench adversity`` runs it.
"""

from loadtest.adversity.bench import (
    AdversityPlan,
    Tools,
    chosen_faults,
    prove_adversity,
    run_adversity,
    run_backup,
)
from loadtest.adversity.report import AdversityReport

__all__ = (
    "AdversityPlan",
    "AdversityReport",
    "Tools",
    "chosen_faults",
    "prove_adversity",
    "run_adversity",
    "run_backup",
)
