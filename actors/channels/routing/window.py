"""What is known of one channel by its outcomes: a sliding window, a long average behind it."""

import math

import msgspec

from schemas.routing import AttemptOutcome, WindowRules

__all__ = ("Estimate", "OutcomeWindow")

_HALF = math.log(2.0)


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """A success rate with its standard deviation, seconds of latency, and what they rest on."""

    success_rate: float
    sd: float
    latency_s: float
    samples: float


class _Sums:
    """Sums over outcomes; the weights of old ones are below 1."""

    __slots__ = ("bad", "good", "latency_s", "timed")

    def __init__(self) -> None:
        self.good = 0.0
        self.bad = 0.0
        self.latency_s = 0.0
        self.timed = 0.0

    def add(self, other: "_Sums", weight: float) -> None:
        self.good += other.good * weight
        self.bad += other.bad * weight
        self.latency_s += other.latency_s * weight
        self.timed += other.timed * weight

    def scale(self, weight: float) -> None:
        self.good *= weight
        self.bad *= weight
        self.latency_s *= weight
        self.timed *= weight


class OutcomeWindow:
    """The outcomes of one channel, in a fixed number of buckets whatever the traffic.

    Times are seconds of any clock; one that goes backwards is taken to stand still. The sums over
    the full buckets are made when a bucket is begun and not carried along, so no rounding error
    grows.
    """

    __slots__ = (
        "_bucket", "_buckets", "_decay", "_long", "_long_decay", "_past", "_rules", "_width_s",
    )  # fmt: skip

    def __init__(self, rules: WindowRules, now_s: float) -> None:
        self._rules = rules
        self._width_s = rules.length_s / rules.buckets
        self._decay = [
            math.exp(-_HALF * self._width_s / rules.half_life_s * age)
            for age in range(rules.buckets)
        ]
        self._long_decay = math.exp(-_HALF * self._width_s / rules.long_half_life_s)
        self._buckets = [_Sums() for _ in range(rules.buckets)]
        self._bucket = int(now_s // self._width_s)
        self._past = _Sums()
        self._long = _Sums()

    def add(self, outcome: AttemptOutcome, latency_s: float | None, now_s: float) -> None:
        """Count an outcome."""
        self._advance(now_s)
        current = self._buckets[self._bucket % len(self._buckets)]
        if outcome == "success":
            current.good += 1.0
        elif outcome == "failed":
            current.bad += 1.0
        elif outcome == "unknown":
            current.bad += self._rules.unknown_failure
        if latency_s is not None:
            current.latency_s += latency_s
            current.timed += 1.0

    def counts(self, now_s: float) -> tuple[float, float]:
        """Return how many outcomes of the window count as success and as failure."""
        self._advance(now_s)
        current, past = self._buckets[self._bucket % len(self._buckets)], self._past
        return past.good + current.good, past.bad + current.bad

    def estimate(self, now_s: float) -> Estimate:
        """Return what is believed of the channel now."""
        good, bad = self.counts(now_s)
        samples = good + bad
        mean, trust = self._expected()
        total = samples + trust
        rate = (good + mean * trust) / total
        return Estimate(
            rate, math.sqrt(rate * (1.0 - rate) / (total + 1.0)), self._latency_s(), samples
        )

    def forget(self, successes: int, now_s: float) -> None:
        """Take the window for ``successes`` and nothing else; the long average stays.

        An outage that has ended says nothing about the time after it.
        """
        self._advance(now_s)
        self._buckets = [_Sums() for _ in self._buckets]
        self._past = _Sums()
        self._buckets[self._bucket % len(self._buckets)].good = float(successes)

    def under(self, rules: WindowRules, now_s: float) -> "OutcomeWindow":
        """Return a window under other rules, whose long average is all that was known here."""
        self._advance(now_s)
        other = OutcomeWindow(rules, now_s)
        for sums in (self._long, self._past, self._buckets[self._bucket % len(self._buckets)]):
            other._long.add(sums, 1.0)
        return other

    def _expected(self) -> tuple[float, float]:
        """Return the success rate to expect, and how many outcomes that is worth."""
        rules, long = self._rules, self._long
        known = long.good + long.bad + rules.prior_trust
        mean = (long.good + rules.prior_success * rules.prior_trust) / known
        return mean, min(known, rules.trust_max)

    def _latency_s(self) -> float:
        rules, long, past = self._rules, self._long, self._past
        current = self._buckets[self._bucket % len(self._buckets)]
        trust = rules.prior_trust
        expected = (long.latency_s + rules.prior_latency_s * trust) / (long.timed + trust)
        # The long average is worth what a cold start is: latencies shift at once or not at all.
        return (past.latency_s + current.latency_s + expected * trust) / (
            past.timed + current.timed + trust
        )

    def _advance(self, now_s: float) -> None:
        bucket = int(now_s // self._width_s)
        if bucket <= self._bucket:
            return
        count = len(self._buckets)
        steps = bucket - self._bucket
        for step in range(1, min(steps, count) + 1):
            slot = (self._bucket + step) % count
            self._long.scale(self._long_decay)
            self._long.add(self._buckets[slot], self._long_decay)
            self._buckets[slot] = _Sums()
        if steps > count:
            self._long.scale(self._long_decay ** (steps - count))
        self._bucket = bucket
        self._past = _Sums()
        for age in range(1, count):
            self._past.add(self._buckets[(bucket - age) % count], self._decay[age])
