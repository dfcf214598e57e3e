"""The proof of hot loading: versions come and go under load, and nothing goes wrong."""

from loadtest.hotload.bench import HotloadPlan, prove_hotload, run_hotload
from loadtest.hotload.report import HotloadReport
from loadtest.hotload.versions import BundledPack, Tools

__all__ = (
    "BundledPack",
    "HotloadPlan",
    "HotloadReport",
    "Tools",
    "prove_hotload",
    "run_hotload",
)
