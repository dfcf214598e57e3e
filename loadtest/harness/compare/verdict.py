"""What a comparison says: by each figure, is B faster, slower, or is no difference to be seen."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from loadtest.harness.compare.bootstrap import CONFIDENCE, PAIRS_MIN, Interval, ratio_interval

__all__ = ("FIGURES", "Comparison", "Difference", "Figure", "FigureVerdict", "compare_figures")

Difference = Literal["faster", "slower", "no difference", "not measured"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of one run that two builds are compared by."""

    name: str
    unit: str
    more_is_better: bool


# In the order in which they are printed.
FIGURES: tuple[Figure, ...] = (
    Figure(name="rate", unit="/s", more_is_better=True),
    Figure(name="response_p50", unit="ms", more_is_better=False),
    Figure(name="response_p95", unit="ms", more_is_better=False),
    Figure(name="response_p99", unit="ms", more_is_better=False),
    Figure(name="service_cpu", unit="µs", more_is_better=False),
    Figure(name="all_cpu", unit="µs", more_is_better=False),
    Figure(name="wal", unit="bytes", more_is_better=False),
)

_BY_NAME = {figure.name: figure for figure in FIGURES}


class FigureVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One figure; the interval is of ``b / a``. Without one, too few pairs had the figure."""

    figure: Figure
    a_median: float
    b_median: float
    interval: Interval | None
    difference: Difference

    @property
    def visible(self) -> float | None:
        """Return half of the interval's width: what a difference had to be to be seen, about."""
        one = self.interval
        return None if one is None else (one.high - one.low) / 2


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All figures; the verdict is that of the ``primary`` one."""

    a: str
    b: str
    primary: str
    pairs: int
    figures: tuple[FigureVerdict, ...]

    @property
    def difference(self) -> Difference:
        """Return the verdict on B."""
        return next(one.difference for one in self.figures if one.figure.name == self.primary)


def compare_figures(
    pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]],
    *,
    a: str,
    b: str,
    primary: str,
    seed: int = 1,
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Judge pairs of runs by all figures that both runs of a pair have; names as in `FIGURES`."""
    if primary not in _BY_NAME:
        raise ValueError(f"there is no figure {primary!r}; there are {', '.join(_BY_NAME)}")
    verdicts = []
    for figure in FIGURES:
        values = [
            (left[figure.name], right[figure.name])
            for left, right in pairs
            if left.get(figure.name, 0.0) > 0.0 and right.get(figure.name, 0.0) > 0.0
        ]
        if values or figure.name == primary:
            verdicts.append(_judge(figure, values, seed, confidence))
    return Comparison(a=a, b=b, primary=primary, pairs=len(pairs), figures=tuple(verdicts))


def _judge(
    figure: Figure, values: list[tuple[float, float]], seed: int, confidence: float
) -> FigureVerdict:
    interval = None
    difference: Difference = "not measured"
    if len(values) >= PAIRS_MIN:
        interval = ratio_interval(values, seed=seed, confidence=confidence)
        difference = "no difference"
        if interval.differs:
            more = interval.ratio > 1.0
            difference = "faster" if more is figure.more_is_better else "slower"
    return FigureVerdict(
        figure=figure,
        a_median=_median([left for left, _ in values]),
        b_median=_median([right for _, right in values]),
        interval=interval,
        difference=difference,
    )


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    n = len(ordered)
    if n == 0:
        return 0.0
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
