"""The throttle: no app above its rate or its places, and no other app the slower for it."""

from datetime import UTC, datetime

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.clock import ManualClock
from kernel.store import Query
from kernel.throttle import BURST_S, AppLimits, Throttle
from schemas.errors import NotReady, Throttled
from tests.eventually import turns

_START = datetime(2026, 1, 1, tzinfo=UTC)


class _Store:
    """Holds the table of apps, and is out of reach on demand."""

    def __init__(self, *rows: tuple[object, ...]) -> None:
        self.rows = list(rows)
        self.away = False
        self.reads = 0

    async def fetch(self, query: Query) -> list[tuple[object, ...]]:
        assert (query.table, query.columns) == ("app", ("app", "rate_per_s", "in_flight_max"))
        self.reads += 1
        if self.away:
            raise NotReady("away")
        return self.rows


def _throttle(limits: dict[str, AppLimits], *, nodes: int = 1) -> tuple[Throttle, ManualClock]:
    clock = ManualClock(_START)
    throttle = Throttle(clock, share=lambda: nodes)
    throttle.set_limits(limits)
    return throttle, clock


def _admitted(throttle: Throttle, app: str, tries: int) -> int:
    """Return how many of ``tries`` were admitted; each is answered at once."""
    count = 0
    for _ in range(tries):
        try:
            throttle.admit(app)
        except Throttled:
            continue
        throttle.release(app)
        count += 1
    return count


@given(
    rate=st.integers(1, 50),
    nodes=st.integers(1, 5),
    steps=st.lists(
        st.tuples(st.floats(0, 5, allow_nan=False), st.integers(0, 30)), min_size=1, max_size=40
    ),
)
def test_no_window_holds_more_than_burst_and_rate(
    rate: int, nodes: int, steps: list[tuple[float, int]]
) -> None:
    """Between any two moments a node admits its share of the rate, and a burst once."""
    throttle, clock = _throttle({"shop": AppLimits(rate_per_s=rate)}, nodes=nodes)
    history: list[tuple[float, int]] = []
    for pause_s, tries in steps:
        clock.advance(pause_s)
        history.append((clock.monotonic_s(), _admitted(throttle, "shop", tries)))
    share = rate / nodes
    burst = max(share * BURST_S, 1.0)
    for first, (begin_s, _) in enumerate(history):
        total = 0
        for now_s, admitted in history[first:]:
            total += admitted
            assert total <= burst + share * (now_s - begin_s) + 1e-6


@given(rate=st.integers(1, 200), seconds=st.integers(2, 10))
def test_the_rate_is_reached(rate: int, seconds: int) -> None:
    """An app that always asks gets its rate, not less."""
    throttle, clock = _throttle({"shop": AppLimits(rate_per_s=rate)})
    _admitted(throttle, "shop", 10 * rate + 10)
    total = 0
    for _ in range(seconds * 10):
        clock.advance(0.1)
        total += _admitted(throttle, "shop", rate + 1)
    assert rate * seconds - 1 <= total <= rate * seconds + 1


@given(rate=st.integers(1, 1_000))
def test_the_wait_that_is_told_is_enough(rate: int) -> None:
    """An app that comes back after ``retry_after_s`` is admitted."""
    throttle, clock = _throttle({"shop": AppLimits(rate_per_s=rate)})
    _admitted(throttle, "shop", 2 * rate + 2)
    with pytest.raises(Throttled) as caught:
        throttle.admit("shop")
    assert caught.value.retryable
    wait_s = caught.value.retry_after_s
    assert wait_s is not None
    assert wait_s > 0
    # It is told in milliseconds, rounded.
    clock.advance(wait_s + 0.001)
    throttle.admit("shop")


@pytest.mark.parametrize(("limit", "nodes", "places"), [(4, 1, 4), (4, 3, 2), (1, 5, 1)])
def test_places_are_limited_and_come_back(limit: int, nodes: int, places: int) -> None:
    """A node admits its share of the places, rounded up, and each answer frees one."""
    throttle, _ = _throttle({"shop": AppLimits(in_flight_max=limit)}, nodes=nodes)
    for _ in range(places):
        throttle.admit("shop")
    with pytest.raises(Throttled):
        throttle.admit("shop")
    throttle.release("shop")
    throttle.admit("shop")
    assert throttle.in_flight("shop") == places
    assert throttle.statistics().refused_in_flight == 1


def test_one_app_over_its_limits_is_nothing_to_another() -> None:
    """Refusals of one app take nothing from another, with or without limits."""
    throttle, _ = _throttle(
        {"shop": AppLimits(rate_per_s=1, in_flight_max=1), "gym": AppLimits(rate_per_s=5)}
    )
    assert _admitted(throttle, "shop", 100) == 1
    assert _admitted(throttle, "gym", 100) == 5
    assert _admitted(throttle, "park", 1_000) == 1_000
    assert _admitted(throttle, "shop", 100) == 0


def test_a_refusal_for_want_of_places_costs_no_rate() -> None:
    """What was refused because too much is under way leaves the rate as it was."""
    throttle, _ = _throttle({"shop": AppLimits(rate_per_s=3, in_flight_max=1)})
    throttle.admit("shop")
    for _ in range(10):
        with pytest.raises(Throttled):
            throttle.admit("shop")
    throttle.release("shop")
    assert _admitted(throttle, "shop", 10) == 2


def test_a_change_of_limits_keeps_what_was_used() -> None:
    """Setting limits again neither refills a bucket nor forgets what is under way."""
    limits = {"shop": AppLimits(rate_per_s=5, in_flight_max=3)}
    throttle, _ = _throttle(limits)
    throttle.admit("shop")
    assert _admitted(throttle, "shop", 10) == 4
    throttle.set_limits(limits)
    assert _admitted(throttle, "shop", 10) == 0
    # What began without a limit counts as soon as there is one.
    throttle.admit("gym")
    throttle.set_limits({"gym": AppLimits(in_flight_max=1)})
    with pytest.raises(Throttled):
        throttle.admit("gym")
    throttle.release("gym")
    throttle.admit("gym")
    assert _admitted(throttle, "shop", 10) == 10


def test_nothing_is_kept_of_apps_that_have_nothing_under_way() -> None:
    """Any number of app names leaves no trace, though they come from outside."""
    throttle, _ = _throttle({})
    for number in range(1_000):
        throttle.admit(f"app-{number}")
        throttle.release(f"app-{number}")
    assert throttle._in_flight == {}


@pytest.mark.anyio
async def test_limits_come_from_the_store_and_outlast_it() -> None:
    """Limits are read again and again; while the store is away the last ones hold."""
    clock = ManualClock(_START)
    throttle = Throttle(clock)
    store = _Store(("shop", 2, 0), ("gym", 0, 0))
    await throttle.load(store)
    assert throttle.statistics().limited == 1
    assert _admitted(throttle, "shop", 10) == 2
    store.away = True
    with pytest.raises(NotReady):
        await throttle.load(store)
    assert _admitted(throttle, "shop", 10) == 0
    async with anyio.create_task_group() as group:
        group.start_soon(throttle.keep, store)
        await turns(50)
        assert store.reads >= 2
        assert throttle.statistics().limited == 1
        group.cancel_scope.cancel()
