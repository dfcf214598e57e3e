"""What came of one day of the demo, in numbers."""

from collections.abc import Sequence

import msgspec

from zhihui.demo.days.manifest import Figures
from zhihui.demo.tally import Tally

__all__ = ("DayResult", "summed_up")


class DayResult(msgspec.Struct, frozen=True, kw_only=True):
    """One day's messages and figures; ``agree`` tells whether all are as the manifest says.

    ``figures_right`` is how many of ``figures`` balances and the like are. ``seconds`` is the time
    in which messages were under way.
    """

    name: str
    messages: int
    accepted: int
    rejected: int
    repeated: int
    mismatched: int
    figures: int
    figures_right: int
    seconds: float
    agree: bool


def summed_up(
    name: str, tallies: Sequence[Tally], expected: Figures, found: Figures, *, agree: bool
) -> DayResult:
    """Return the numbers of a day."""
    right = [
        found.get(what, {}).get(one) == figure
        for what, them in expected.items()
        for one, figure in them.items()
    ]
    return DayResult(
        name=name,
        messages=sum(tally.done for tally in tallies),
        accepted=sum(tally.accepted.total() for tally in tallies),
        rejected=sum(one.total() for tally in tallies for one in tally.rejected.values()),
        repeated=sum(tally.repeated.total() for tally in tallies),
        mismatched=sum(tally.mismatched for tally in tallies),
        figures=len(right),
        figures_right=sum(right),
        seconds=sum(tally.elapsed_s for tally in tallies),
        agree=agree,
    )
