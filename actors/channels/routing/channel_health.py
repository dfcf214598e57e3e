"""One channel's window and circuit, which have to agree on when an outage ended."""

from actors.channels.routing.breaker import Breaker
from actors.channels.routing.window import Estimate, OutcomeWindow
from schemas.routing import AttemptOutcome, RoutingRules

__all__ = ("ChannelHealth",)


class ChannelHealth:
    """What a router remembers of one channel; ``last_use`` is the router's to set."""

    __slots__ = ("_rules", "_window", "breaker", "chosen", "last_use")

    def __init__(self, rules: RoutingRules, now_s: float) -> None:
        self._rules = rules
        self._window = OutcomeWindow(rules.window, now_s)
        self.breaker = Breaker(rules.breaker)
        self.chosen = 0
        self.last_use = 0

    def observe(self, outcome: AttemptOutcome, latency_s: float | None, now_s: float) -> None:
        """Learn from one outcome."""
        if latency_s is None and outcome in {"failed", "declined"}:
            # The attempt counted when it went without an answer.
            return
        before = self.breaker.state(now_s)
        if before == "closed":
            self._window.add(outcome, latency_s, now_s)
        self.breaker.observe(outcome, latency_s, self._window.counts(now_s), now_s)
        after = self.breaker.state(now_s)
        if before != after:
            # An outage says nothing about the time after it: neither now nor in the long average.
            self._window.forget(self._rules.breaker.probes if after == "closed" else 0, now_s)

    def estimate(self, now_s: float) -> Estimate:
        """Return what is believed of the channel now."""
        return self._window.estimate(now_s)

    def under(self, rules: RoutingRules, now_s: float) -> None:
        """Go on under other rules."""
        if rules.window != self._rules.window:
            self._window = self._window.under(rules.window, now_s)
        self.breaker.under(rules.breaker)
        self._rules = rules
