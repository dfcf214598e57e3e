"""The conformance suite: twelve checks that a pack passes before anybody trusts it with money."""

from zhihui.author.checks.check import Check, Result, Verdict
from zhihui.author.checks.contracts import CapabilityDenied, RoundTrip
from zhihui.author.checks.delivery import Duplicates, Poison, Redelivery
from zhihui.author.checks.interruption import ClockJump, Crash, CutOffCommit, SlowHandler
from zhihui.author.checks.lifecycle import Drain, Unload, Upgrade
from zhihui.author.checks.suite import Report, run_checks

__all__ = ("CHECKS", "Check", "Report", "Result", "Verdict", "run_checks")

CHECKS: tuple[Check, ...] = (
    Duplicates(),
    Redelivery(),
    Poison(),
    SlowHandler(),
    CutOffCommit(),
    Drain(),
    Unload(),
    Upgrade(),
    CapabilityDenied(),
    RoundTrip(),
    ClockJump(),
    Crash(),
)
