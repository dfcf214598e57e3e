"""What must hold of the books after a run, whatever was measured: audit and exactly once."""

from loadtest.harness.invariants.exactly_once import Finding, check_exactly_once
from loadtest.harness.invariants.ledger_sums import LedgerRun, Recorded
from loadtest.harness.invariants.multiset import MultisetSum, MultisetTally, new_key, sum_of
from loadtest.harness.invariants.verdict import (
    EXIT_VIOLATED,
    InvariantReport,
    check_invariants,
    ledger_position,
)

__all__ = (
    "EXIT_VIOLATED",
    "Finding",
    "InvariantReport",
    "LedgerRun",
    "MultisetSum",
    "MultisetTally",
    "Recorded",
    "check_exactly_once",
    "check_invariants",
    "ledger_position",
    "new_key",
    "sum_of",
)
