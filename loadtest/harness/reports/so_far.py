"""How the thresholds stand while a run goes on."""

from loadtest.harness.control import RunSnapshot
from loadtest.harness.plan import RunPlan
from loadtest.harness.result import ThresholdVerdict
from loadtest.harness.thresholds import parse_threshold

__all__ = ("judge_so_far",)


def judge_so_far(plan: RunPlan, snapshot: RunSnapshot) -> list[ThresholdVerdict]:
    """Judge what was measured so far; nothing before the first measured request.

    Thresholds on the worst ten seconds are left out: which these are is known at the end.
    """
    if not snapshot.total.counts.sent:
        return []
    parsed = [parse_threshold(one) for one in plan.thresholds]
    return [one.judge(snapshot.total, snapshot.names, None) for one in parsed if not one.worst]
