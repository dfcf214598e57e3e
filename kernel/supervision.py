"""How often a thing may fail before it is left alone for a while."""

from collections import deque

import msgspec

from kernel.clock import Clock

__all__ = ("RestartIntensity", "RestartPolicy")


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """At most ``restarts_max`` within ``within_s`` seconds; beyond that a pause.

    The pause starts at ``pause_s`` and doubles up to ``pause_s_max`` while the failures go on.
    """

    # Ten in ten seconds lets a handful of poison messages pass (each costs two restarts) and stops
    # a component that cannot work at all before it fills the log.
    restarts_max: int = 10
    within_s: float = 10.0
    pause_s: float = 1.0
    pause_s_max: float = 30.0


class RestartIntensity:
    """Count restarts and say when to pause."""

    def __init__(self, clock: Clock, policy: RestartPolicy) -> None:
        self._clock = clock
        self._policy = policy
        self._times: deque[float] = deque()
        self._pause_s = 0.0
        self._paused_until_s = 0.0
        self.restarts = 0

    def restarted(self) -> float:
        """Note one restart; return the seconds to pause now, usually 0."""
        now_s = self._clock.monotonic_s()
        policy = self._policy
        self.restarts += 1
        self._times.append(now_s)
        while now_s - self._times[0] > policy.within_s:
            self._times.popleft()
        if len(self._times) == 1:
            self._pause_s = 0.0
        if len(self._times) <= policy.restarts_max:
            return 0.0
        self._pause_s = min(self._pause_s * 2 or policy.pause_s, policy.pause_s_max)
        self._paused_until_s = now_s + self._pause_s
        return self._pause_s

    def pause_left_s(self) -> float:
        """Return the seconds of pause still to come, or 0."""
        return max(0.0, self._paused_until_s - self._clock.monotonic_s())
