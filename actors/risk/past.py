"""What this node knows of the past: read from the store when it is wanted, kept for a while.

Windows begin with the tallies as committed, and movements that this node hands to the journal are
counted at once. So a window may hold one that the journal then refuses, and may miss one that was
still on its way when the window was read, or that another node handed on: both for at most
:data:`PAST_AGE_S_MAX`. Rules that only ask for more may live with that. Limits may not, and are
counted by the ledger instead.
"""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import msgspec

from actors.risk.engine import Want
from actors.risk.geo import Place
from actors.risk.windows import Window
from kernel.store import Query, Store, Where
from schemas.ledger import TallyStep
from schemas.risk import GeoPoint, RiskFacts

__all__ = ("KEPT_MAX", "PAST_AGE_S_MAX", "TALLIES_MAX", "Past", "PastStatistics")

# Long enough that a busy customer costs one read a minute, short enough that what was refused by
# the journal is not held against anybody for long.
PAST_AGE_S_MAX = 60.0
# Windows, marks and places each; about 100 MB in all when every window has ten buckets in use.
KEPT_MAX = 50_000
# Ids in one query; beyond it the query is cut.
TALLIES_MAX = 5_000
# No rule looks further back for a place.
_PLACE_AGE = timedelta(days=1)

T = TypeVar("T")


class PastStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept now, and counts since the start."""

    windows: int
    marks: int
    places: int
    queries: int
    loaded: int


class _Kept(Generic[T]):
    """The latest of many, each for a while."""

    def __init__(self) -> None:
        self._items: OrderedDict[str, tuple[float, T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, name: str) -> T | None:
        found = self._items.get(name)
        return None if found is None else found[1]

    def is_fresh(self, name: str, now_s: float) -> bool:
        found = self._items.get(name)
        if found is None or found[0] <= now_s:
            return False
        self._items.move_to_end(name)
        return True

    def put(self, name: str, value: T, until_s: float) -> None:
        self._items[name] = (until_s, value)
        self._items.move_to_end(name)

    def trim(self) -> None:
        while len(self._items) > KEPT_MAX:
            self._items.popitem(last=False)

    def replace(self, name: str, value: T) -> None:
        found = self._items.get(name)
        if found is not None:
            self._items[name] = (found[0], value)


class Past:
    """See the module; it is the :class:`~actors.risk.history.History` of the engine."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._windows: _Kept[Window] = _Kept()
        self._marks: _Kept[bool] = _Kept()
        self._places: _Kept[Place | None] = _Kept()
        self._queries = 0
        self._loaded = 0

    # What the engine asks.

    def sums(self, name: str, bucket: int) -> tuple[int, int]:
        """Return count and amount of the window that ends with ``bucket``, before this movement."""
        window = self._windows.get(name)
        return (0, 0) if window is None else window.sums(bucket)

    def known(self, name: str) -> bool:
        """Tell whether a device or payee was there before."""
        return bool(self._marks.get(name))

    def place(self, name: str) -> Place | None:
        """Return where the customer was last."""
        return self._places.get(name)

    # What keeps it true.

    async def load(self, wanted: Iterable[Want], now: datetime, now_s: float) -> None:
        """Read what is wanted and not known, or not of late: at most two queries, each cut."""
        # Not while a batch is decided: what it wants may be more than is kept.
        for kept in (self._windows, self._marks, self._places):
            kept.trim()
        tallies: dict[str, Want] = {}
        places = set()
        for want in wanted:
            if want.buckets:
                if not self._windows.is_fresh(want.name, now_s):
                    tallies.update(dict.fromkeys(want.tallies, want))
            elif want.tallies:
                if not self._marks.is_fresh(want.name, now_s):
                    tallies[want.name] = want
            elif not self._places.is_fresh(want.name, now_s):
                places.add(want.name)
        until_s = now_s + PAST_AGE_S_MAX
        if tallies:
            await self._load_tallies(tallies, until_s)
        if places:
            await self._load_places(sorted(places), now, until_s)

    async def _load_tallies(self, wanted: dict[str, Want], until_s: float) -> None:
        ids = list(wanted)
        found: dict[str, tuple[int, int]] = {}
        for start in range(0, len(ids), TALLIES_MAX):
            self._queries += 1
            rows = await self._store.fetch(
                Query(
                    table="tally",
                    columns=("tally_id", "count", "amount_minor"),
                    where=(Where("tally_id", "in", ids[start : start + TALLIES_MAX]),),
                )
            )
            found.update((row[0], (row[1], row[2])) for row in rows)
        # Two moments of one batch may want the same window with different buckets: each counts.
        windows: dict[str, Window] = {}
        for tally_id, want in wanted.items():
            if not want.buckets:
                self._marks.put(want.name, found.get(tally_id, (0, 0))[0] > 0, until_s)
                continue
            window = windows.get(want.name)
            if window is None:
                window = windows[want.name] = Window(want.buckets)
            if tally_id in found:
                window.add(int(tally_id.rpartition(":")[2]), *found[tally_id])
        for name, window in windows.items():
            self._windows.put(name, window, until_s)
        self._loaded += len(ids)

    async def _load_places(self, customers: list[str], now: datetime, until_s: float) -> None:
        self._queries += 1
        rows = await self._store.fetch(
            Query(
                table="risk_place",
                columns=("customer", "latitude_udeg", "longitude_udeg", "at"),
                where=(Where("customer", "in", customers), Where("at", ">", now - _PLACE_AGE)),
                order_by=("at",),
            )
        )
        last: dict[str, Place | None] = dict.fromkeys(customers)
        for customer, latitude, longitude, at in rows:
            last[customer] = Place(GeoPoint(latitude, longitude), _unix_ms(at))
        for customer, place in last.items():
            self._places.put(customer, place, until_s)
        self._loaded += len(customers)

    def count(self, steps: Iterable[TallyStep]) -> None:
        """Count a movement that was handed to the journal, in the windows that are known."""
        for step in steps:
            name, _, bucket = step.tally_id.rpartition(":")
            window = self._windows.get(name)
            if window is not None:
                window.add(int(bucket), step.count, step.amount_minor)

    def mark(self, steps: Iterable[TallyStep]) -> None:
        """Note devices and payees that were handed to the journal as known."""
        for step in steps:
            self._marks.replace(step.tally_id, value=True)

    def move(self, facts: RiskFacts) -> None:
        """Note where the customer is now."""
        if facts.geo is not None:
            self._places.replace(facts.customer, Place(facts.geo, facts.at_ms))

    def forget(self) -> None:
        """Drop everything, to be read again."""
        self._windows = _Kept()
        self._marks = _Kept()
        self._places = _Kept()

    def statistics(self) -> PastStatistics:
        """Return what is kept and what was read."""
        return PastStatistics(
            windows=len(self._windows), marks=len(self._marks), places=len(self._places),
            queries=self._queries, loaded=self._loaded,
        )  # fmt: skip


def _unix_ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)
