"""A circuit breaker: leave a channel alone that fails, and try it again with a few payments."""

import math

from schemas.routing import AttemptOutcome, BreakerRules, BreakerState

__all__ = ("Breaker",)


class Breaker:
    """The circuit of one channel::

        closed ──too many failures──▶ open ──cool-down over──▶ half open
          ▲                             ▲                        │  │
          │                             └─────── a probe failed ─┘  │
          └──────────────────── as many probes answered as wanted ──┘

    Nothing waits for a timer: an open circuit becomes half open when it is looked at. A probe whose
    outcome never comes is given up after a while, so a node that lost it is not stuck.
    """

    __slots__ = (
        "_closed_s", "_cool_down_s", "_failures", "_opened_times", "_passed", "_probes", "_rules",
        "_since_s", "_state",
    )  # fmt: skip

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._state: BreakerState = "closed"
        self._since_s = 0.0
        self._closed_s = -math.inf
        self._cool_down_s = rules.cool_down_s
        self._failures = 0
        self._opened_times = 0
        self._passed = 0
        self._probes: list[float] = []

    @property
    def opened_times(self) -> int:
        """How often it opened."""
        return self._opened_times

    def state(self, now_s: float) -> BreakerState:
        """Return the state, which time alone may change from open to half open."""
        if self._state == "open" and now_s >= self._since_s + self._cool_down_s:
            self._state = "half_open"
            self._since_s = now_s
            self._passed = 0
            self._probes.clear()
        return self._state

    def opens_in_s(self, now_s: float) -> float:
        """Return the seconds until an open circuit is half open."""
        return max(0.0, self._since_s + self._cool_down_s - now_s)

    def probes_under_way(self, now_s: float) -> int:
        """Return how many probes wait for their outcome."""
        limit_s = now_s - self._rules.probe_timeout_s
        if self._probes and self._probes[0] <= limit_s:
            self._probes = [began_s for began_s in self._probes if began_s > limit_s]
        return len(self._probes)

    def may_probe(self, now_s: float) -> bool:
        """Tell whether a half-open circuit lets one more payment through."""
        return self.probes_under_way(now_s) < self._rules.probes

    def begin_probe(self, now_s: float) -> None:
        """Count a payment that goes through the half-open circuit."""
        assert self._state == "half_open"
        assert self.may_probe(now_s)
        self._probes.append(now_s)

    def observe(
        self,
        outcome: AttemptOutcome,
        latency_s: float | None,
        counts: tuple[float, float],
        now_s: float,
    ) -> None:
        """Note an outcome.

        ``counts`` are the successes and failures of the window, this outcome included. What began
        before the circuit was half open, which the latency tells, is no probe.
        """
        state = self.state(now_s)
        failed = outcome in {"failed", "unknown"}
        if state == "closed":
            self._failures = self._failures + 1 if failed else 0
            if failed and self._is_too_much(*counts):
                again = now_s - self._closed_s < self._rules.cool_down_s_max
                self._open(self._cool_down_s * 2 if again else self._rules.cool_down_s, now_s)
            return
        if state == "open" or not self._is_of_probe(latency_s, now_s):
            return
        self._probes.pop(0)
        if failed:
            self._open(self._cool_down_s * 2, now_s)
            return
        self._passed += 1
        if self._passed < self._rules.probes:
            return
        self._state = "closed"
        self._closed_s = now_s
        self._failures = 0

    def under(self, rules: BreakerRules) -> None:
        """Go on under other rules, in the same state."""
        self._rules = rules
        self._cool_down_s = min(self._cool_down_s, rules.cool_down_s_max)

    def _is_too_much(self, good: float, bad: float) -> bool:
        rules = self._rules
        if self._failures >= rules.consecutive_failures:
            return True
        total = good + bad
        return total >= rules.samples_min and bad >= rules.failure_rate * total

    def _is_of_probe(self, latency_s: float | None, now_s: float) -> bool:
        if not self._probes:
            return False
        # An answer by another way has no latency. It comes while the channel works, so it will do.
        return latency_s is None or now_s - latency_s >= self._since_s

    def _open(self, cool_down_s: float, now_s: float) -> None:
        self._state = "open"
        self._since_s = now_s
        self._cool_down_s = min(cool_down_s, self._rules.cool_down_s_max)
        self._opened_times += 1
        self._probes.clear()
