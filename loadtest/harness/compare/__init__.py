"""Two builds under the same load in turns: is one faster, and by how much, for sure."""

from loadtest.harness.compare.bootstrap import Interval, ratio_interval
from loadtest.harness.compare.order import Side, abba
from loadtest.harness.compare.runner import ComparisonReport, figures_of, run_comparison
from loadtest.harness.compare.verdict import FIGURES, Comparison, Difference, compare_figures

__all__ = (
    "FIGURES",
    "Comparison",
    "ComparisonReport",
    "Difference",
    "Interval",
    "Side",
    "abba",
    "compare_figures",
    "figures_of",
    "ratio_interval",
    "run_comparison",
)
