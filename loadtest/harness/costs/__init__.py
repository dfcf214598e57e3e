"""What a request costs, and which resource sets the limit."""

from loadtest.harness.costs.observer import COST, CostObserver, PhaseCost, Pids, cost_of
from loadtest.harness.costs.resources import Resource, Usage

__all__ = ("COST", "CostObserver", "PhaseCost", "Pids", "Resource", "Usage", "cost_of")
