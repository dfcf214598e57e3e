"""The highest rate at which an objective holds, what sets the limit, and where the knee is."""

from loadtest.harness.search.knee import KneePoint, find_knee, knee_svg
from loadtest.harness.search.ladder import Limits, Search
from loadtest.harness.search.runner import (
    SearchPlan,
    SearchReport,
    Try,
    check_objective,
    run_search,
)

__all__ = (
    "KneePoint",
    "Limits",
    "Search",
    "SearchPlan",
    "SearchReport",
    "Try",
    "check_objective",
    "find_knee",
    "knee_svg",
    "run_search",
)
