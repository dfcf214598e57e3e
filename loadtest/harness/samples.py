"""Puts the seconds of several processes together."""

from collections.abc import Sequence

from loadtest.harness.invariants.multiset import MultisetSum
from loadtest.harness.model import (
    GeneratorHealth,
    NameSample,
    PhaseMark,
    Sample,
    merge_name_samples,
)
from loadtest.harness.wire import Interval

__all__ = ("SampleMerger",)

# A last interval shorter than this holds nothing that anybody would miss in a rate.
_S_MIN = 0.001


class SampleMerger:
    """Collects intervals, and gives a sample out when all processes have told theirs."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._waiting: dict[int, dict[int, Interval]] = {}
        # share → the index at which it has nothing more to tell.
        self._ended: dict[int, int] = {}
        self._told: dict[int, int] = {}
        self._next = 0
        self._start_s = 0.0

    def add(self, share: int, interval: Interval) -> None:
        """Take one of a process."""
        self._waiting.setdefault(interval.index, {})[share] = interval
        self._told[share] = interval.index + 1

    def end(self, share: int) -> None:
        """Note that a process has told all."""
        self._ended[share] = self._told.get(share, 0)

    def take(self, marks: Sequence[PhaseMark]) -> list[Sample]:
        """Return the samples that are complete, in order."""
        found = []
        while self._next in self._waiting and self._is_complete():
            intervals = self._waiting.pop(self._next)
            parts = [intervals[share] for share in sorted(intervals)]
            sample = self._merged(parts, marks)
            self._next += 1
            self._start_s += sample.seconds
            if sample.seconds >= _S_MIN or sample.names:
                found.append(sample)
        return found

    def _is_complete(self) -> bool:
        told = self._waiting[self._next]
        return all(
            share in told or self._ended.get(share, self._next + 1) <= self._next
            for share in range(self._processes)
        )

    def _merged(self, parts: list[Interval], marks: Sequence[PhaseMark]) -> Sample:
        mark = _mark_at(marks, self._start_s)
        return Sample(
            index=self._next,
            start_s=self._start_s,
            seconds=max(one.seconds for one in parts),
            phase=mark.name if mark else "",
            measured=bool(mark and mark.measured),
            users=sum(one.users for one in parts),
            target_rate=parts[0].target_rate,
            in_flight=sum(one.in_flight for one in parts),
            names=_merged_names([name for one in parts for name in one.names]),
            generator=GeneratorHealth(
                processes=len(parts),
                cpu_share=max(one.cpu_s / one.seconds if one.seconds else 0.0 for one in parts),
                cpu_s=sum(one.cpu_s for one in parts),
                memory_bytes=sum(one.memory_bytes for one in parts),
                late=sum(one.late for one in parts),
            ),
            acknowledged=sum((one.acknowledged for one in parts), MultisetSum()),
        )


def _mark_at(marks: Sequence[PhaseMark], at_s: float) -> PhaseMark | None:
    # A process takes its seconds a little after they end, so a border may lie just behind us.
    earlier = [mark for mark in marks if mark.start_s <= at_s + 0.05]
    return earlier[-1] if earlier else None


def _merged_names(names: list[NameSample]) -> tuple[NameSample, ...]:
    groups: dict[tuple[str, str], list[NameSample]] = {}
    for one in names:
        groups.setdefault((one.phase, one.name), []).append(one)
    return tuple(
        group[0]
        if len(group) == 1
        else merge_name_samples(group, name=name, phase=phase, measured=group[0].measured)
        for (phase, name), group in groups.items()
    )
