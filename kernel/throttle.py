"""How much each app may ask: a rate and a number of requests under way, refused before any work.

An app's limits hold for all nodes together, and nodes do not talk about them: each allows its
share, the limit divided by the number of live nodes. NATS spreads an app's requests over the nodes
evenly, so the shares add up to the limit; just after a node came or went they are off by as much.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from kernel.clock import Clock
from kernel.store import Query
from schemas.errors import NotReady, Throttled

__all__ = (
    "BURST_S",
    "REFRESH_S",
    "AppLimits",
    "LimitStore",
    "Throttle",
    "ThrottleStatistics",
    "alone",
)

_log = logging.getLogger(__name__)

# An app that was quiet may ask at once for what its rate allows in this time, seconds. With less,
# two requests in the same millisecond would be one too many.
BURST_S = 1.0
# How late a limit that was changed counts, seconds.
REFRESH_S = 2.0
# A place becomes free with the next answer, which takes some tens of milliseconds under load.
_IN_FLIGHT_RETRY_S = 0.05

_QUERY = Query(table="app", columns=("app", "rate_per_s", "in_flight_max"))


class LimitStore(Protocol):
    """What the throttle needs of the store."""

    async def fetch(self, query: Query) -> list[tuple[object, ...]]:
        """Return the rows of a table."""


class AppLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one app over all nodes; 0 is none."""

    rate_per_s: int = 0
    in_flight_max: int = 0


class ThrottleStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``limited`` apps have a limit; the other two count requests refused, by reason."""

    limited: int
    refused_rate: int
    refused_in_flight: int


def alone() -> int:
    """Return the number of live nodes where there is one."""
    return 1


class _Bucket:
    """The tokens of one app: they fill at the rate up to a burst, and a request takes one."""

    __slots__ = ("filled_s", "limits", "tokens")

    def __init__(self, limits: AppLimits, now_s: float) -> None:
        self.limits = limits
        self.filled_s = now_s
        # Full at first: a start of ours is nothing that an app should feel.
        self.tokens = float("inf")

    def wait_s(self, now_s: float, share: int) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        rate = self.limits.rate_per_s / share
        burst = max(rate * BURST_S, 1.0)
        self.tokens = min(burst, self.tokens + (now_s - self.filled_s) * rate)
        self.filled_s = now_s
        if self.tokens < 1.0:
            return (1.0 - self.tokens) / rate
        self.tokens -= 1.0
        return 0.0


class Throttle:
    """Admit or refuse each request of an app. Every admission must be released once."""

    def __init__(self, clock: Clock, *, share: Callable[[], int] = alone) -> None:
        """``share()`` returns the number of live nodes, this one included."""
        self._clock = clock
        self._share = share
        self._buckets: dict[str, _Bucket] = {}
        # Of every app, so that a limit that is set later counts right. Zeros are not kept.
        self._in_flight: dict[str, int] = {}
        self._refused_rate = 0
        self._refused_in_flight = 0

    def admit(self, app: str) -> None:
        """Count a request as under way; raise :class:`Throttled` when it is over a limit."""
        in_flight = self._in_flight.get(app, 0)
        if app in self._buckets:
            self._check(app, in_flight)
        self._in_flight[app] = in_flight + 1

    def release(self, app: str) -> None:
        """Count an admitted request as answered."""
        in_flight = self._in_flight.get(app, 0) - 1
        assert in_flight >= 0, f"a request of {app!r} is released that was not admitted"
        if in_flight:
            self._in_flight[app] = in_flight
        else:
            del self._in_flight[app]

    def in_flight(self, app: str) -> int:
        """Return how many requests of an app are under way on this node."""
        return self._in_flight.get(app, 0)

    def _check(self, app: str, in_flight: int) -> None:
        bucket = self._buckets[app]
        limits, share = bucket.limits, max(self._share(), 1)
        # Rounded up: a limit below the number of nodes must not shut an app out.
        if limits.in_flight_max and in_flight >= -(-limits.in_flight_max // share):
            self._refused_in_flight += 1
            raise Throttled(
                f"{app} may have {limits.in_flight_max} requests under way",
                retry_after_s=_IN_FLIGHT_RETRY_S,
            )
        if not limits.rate_per_s:
            return
        wait_s = bucket.wait_s(self._clock.monotonic_s(), share)
        if wait_s > 0.0:
            self._refused_rate += 1
            raise Throttled(
                f"{app} may send {limits.rate_per_s} requests a second",
                retry_after_s=max(round(wait_s, 3), 0.001),
            )

    def set_limits(self, limits: Mapping[str, AppLimits]) -> None:
        """Take these limits in place of those before; what an app has used stays used."""
        now_s = self._clock.monotonic_s()
        buckets: dict[str, _Bucket] = {}
        for app, one in limits.items():
            if one.rate_per_s or one.in_flight_max:
                bucket = self._buckets.get(app) or _Bucket(one, now_s)
                bucket.limits = one
                buckets[app] = bucket
        self._buckets = buckets

    async def load(self, store: LimitStore) -> None:
        """Take the limits from the store; raise :class:`NotReady` when it is out of reach."""
        rows = await store.fetch(_QUERY)
        self.set_limits(
            {
                str(app): msgspec.convert(
                    {"rate_per_s": rate, "in_flight_max": in_flight}, AppLimits
                )
                for app, rate, in_flight in rows
            }
        )

    async def keep(self, store: LimitStore) -> None:
        """Take the limits from the store again and again, until cancelled."""
        while True:
            try:
                await self.load(store)
            except NotReady as error:
                _log.warning("the apps' limits stay as they were: %s", error.message)
            await self._clock.sleep(REFRESH_S)

    def statistics(self) -> ThrottleStatistics:
        """Return the counts so far."""
        return ThrottleStatistics(
            limited=len(self._buckets),
            refused_rate=self._refused_rate,
            refused_in_flight=self._refused_in_flight,
        )
