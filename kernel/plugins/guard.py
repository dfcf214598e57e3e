"""A watch over a generation: when too much goes wrong, it asks for the one before."""

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from kernel.clock import Clock

__all__ = ("Guard", "GuardPolicy", "GuardStatistics")

# The window moves in steps of a tenth.
_BUCKETS = 10
_PPM = 1_000_000
# The number of a bucket that lies before every window.
_NEVER = -_BUCKETS

_Share = Annotated[int, Meta(ge=1, le=_PPM)]


class GuardPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When it asks. Shares are in parts per million of the turns within the window."""

    # Long enough for a share to mean something, short enough that a bad version serves seconds.
    window_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    # Below this a share is chance: one fault in twenty turns is no reason.
    samples_min: Annotated[int, Meta(ge=1)] = 50
    fault_ppm_max: _Share = 100_000
    slow_ppm_max: _Share = 200_000
    # However few turns there are: nothing works any more. A message that is itself the fault is
    # tried twice, so four of those in a row do not count as that.
    consecutive_max: Annotated[int, Meta(ge=1)] = 10


class GuardStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What the window holds now; ``tripped`` is the reason for which it asked, or empty."""

    turns: int
    faults: int
    slow: int
    consecutive: int
    tripped: str


class _Bucket:
    __slots__ = ("faults", "number", "slow", "turns")

    def __init__(self) -> None:
        self.number = _NEVER
        self.turns = 0
        self.faults = 0
        self.slow = 0


class Guard:
    """Count how turns end and call ``trip`` once, with the reason, when it is too much.

    Its memory is ten buckets whatever the traffic.
    """

    def __init__(self, policy: GuardPolicy, clock: Clock, trip: Callable[[str], None]) -> None:
        self._policy = policy
        self._clock = clock
        self._trip = trip
        self._bucket_s = policy.window_s / _BUCKETS
        self._buckets = tuple(_Bucket() for _ in range(_BUCKETS))
        self._consecutive = 0
        self._tripped = ""
        self._since_s = clock.monotonic_s()
        self._turns = 0

    def on_probation(self) -> bool:
        """Tell whether it has served too little, in turns or in time, for anyone to trust it."""
        policy = self._policy
        return (
            self._turns < policy.samples_min
            or self._clock.monotonic_s() - self._since_s < policy.window_s
        )

    def record(self, *, fault: bool, slow: bool) -> None:
        """Count one turn that has ended."""
        self._turns += 1
        number = int(self._clock.monotonic_s() / self._bucket_s)
        bucket = self._buckets[number % _BUCKETS]
        if bucket.number != number:
            bucket.number = number
            bucket.turns = bucket.faults = bucket.slow = 0
        bucket.turns += 1
        if not fault and not slow:
            self._consecutive = 0
            return
        bucket.faults += fault
        bucket.slow += slow
        if fault:
            self._consecutive += 1
        else:
            self._consecutive = 0
        if not self._tripped and (reason := self._too_much(number)):
            self._tripped = reason
            self._trip(reason)

    def _too_much(self, number: int) -> str:
        policy = self._policy
        if self._consecutive >= policy.consecutive_max:
            return f"{self._consecutive} faults one after the other"
        turns, faults, slow = self._sums(number)
        if turns < policy.samples_min:
            return ""
        window = f"of {turns} turns within {policy.window_s:g} s"
        if faults * _PPM > policy.fault_ppm_max * turns:
            return f"{faults} {window} failed"
        if slow * _PPM > policy.slow_ppm_max * turns:
            return f"{slow} {window} took too long"
        return ""

    def _sums(self, number: int) -> tuple[int, int, int]:
        current = [one for one in self._buckets if number - _BUCKETS < one.number <= number]
        return (
            sum(one.turns for one in current),
            sum(one.faults for one in current),
            sum(one.slow for one in current),
        )

    def reset(self) -> None:
        """Begin anew, as for a generation that is promoted again."""
        for bucket in self._buckets:
            bucket.number = _NEVER
        self._consecutive = 0
        self._tripped = ""
        self._since_s = self._clock.monotonic_s()
        self._turns = 0

    def statistics(self) -> GuardStatistics:
        """Return what the window holds."""
        turns, faults, slow = self._sums(int(self._clock.monotonic_s() / self._bucket_s))
        return GuardStatistics(
            turns=turns,
            faults=faults,
            slow=slow,
            consecutive=self._consecutive,
            tripped=self._tripped,
        )
