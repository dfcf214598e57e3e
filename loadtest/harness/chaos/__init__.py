"""Faults inside of a run, with the figures of each phase and the time until all was well again."""

from loadtest.harness.chaos.spec import ChaosStep, parse_step, parse_steps

__all__ = ("ChaosStep", "parse_step", "parse_steps")
