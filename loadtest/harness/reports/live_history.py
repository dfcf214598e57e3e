"""The seconds of a run that goes on, in bounded memory, handed out bit by bit."""

from collections.abc import Iterable

from loadtest.harness.model import PhaseMark, Sample
from loadtest.harness.reports.chart_data import (
    POINTS_MAX,
    ChartData,
    Limit,
    bands_of,
    columns_of,
    limits_of,
    thin,
)
from loadtest.harness.result import TimelinePoint
from loadtest.harness.statistics import timeline_point

__all__ = ("LiveHistory",)


class LiveHistory:
    """What the live page draws.

    A reader has an ``epoch`` and how many points of it it knows, and gets those that are new. When
    there are twice as many points as a chart can show, neighbours are put together, a new epoch
    begins, and readers get all of it.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._points: list[TimelinePoint] = []
        self._marks: list[PhaseMark] = []
        # Seconds that do not fill a point yet.
        self._waiting: list[TimelinePoint] = []
        self._each = 1
        self._end_s = 0.0
        self._limits: list[Limit] = []

    @property
    def last(self) -> TimelinePoint | None:
        """Return the last second."""
        return self._waiting[-1] if self._waiting else self._points[-1] if self._points else None

    def compare_with(self, thresholds: Iterable[str]) -> None:
        """Draw these thresholds beside the times."""
        self._limits = limits_of(thresholds)

    def mark(self, mark: PhaseMark) -> None:
        """Note that a phase begins."""
        self._marks.append(mark)

    def add(self, sample: Sample) -> None:
        """Add a second."""
        self._end_s = sample.start_s + sample.seconds
        self._waiting.append(timeline_point(sample))
        if len(self._waiting) < self._each:
            return
        self._points += thin(self._waiting, 1)[0]
        self._waiting = []
        if len(self._points) >= 2 * POINTS_MAX:
            self._points, _ = thin(self._points, POINTS_MAX)
            self._each *= 2
            self.epoch += 1

    def since(self, epoch: int, known: int) -> tuple[int, ChartData]:
        """Return from which point on, and what there is from there."""
        first = known if epoch == self.epoch and 0 <= known <= len(self._points) else 0
        points = self._points[first:]
        return first, ChartData(
            columns=columns_of(points),
            bands=bands_of(self._marks, max(self._end_s, 1.0)),
            limits=self._limits,
            open_loop=any(one.target_rate is not None for one in self._points[:1]),
            merged=self._each,
        )
