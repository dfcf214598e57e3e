"""What never changes of an account, as payments need it: read once, kept for the busiest ones."""

from collections.abc import Iterable
from itertools import islice

import msgspec

from kernel.store import Query, Store, Where
from schemas.errors import NotFound
from schemas.subjects import PLATFORM_APP

__all__ = ("CACHED_MAX", "Profile", "Profiles", "ProfilesStatistics")

# About 300 bytes each: thirty megabytes at the most. Accounts that pay come back within a day, and
# one that was dropped costs its batch one read by key.
CACHED_MAX = 100_000

_COLUMNS = ("account_id", "app", "type", "customer_id", "class", "floor_minor")


class Profile(msgspec.Struct, frozen=True, gc=False):
    """An account: whose it is and what kind. ``customer_id`` and ``class_`` are empty if unknown.

    ``floor_minor`` is that of its opening, for estimates only.
    """

    account_id: str
    app: str
    type: str
    customer_id: str
    class_: str
    floor_minor: int | None


class ProfilesStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``cached`` is of now; the rest counts since the start."""

    cached: int
    loads: int
    forgotten: int


class Profiles:
    """The profiles of a node; an account that does not exist is asked for each time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Profile] = {}
        self._loads = 0
        self._forgotten = 0

    async def load(self, account_ids: Iterable[str]) -> dict[str, Profile]:
        """Return those of the accounts that exist; what is not known is read in one query."""
        known = self._known
        found = {}
        missing = []
        for one in account_ids:
            profile = known.get(one)
            if profile is None:
                missing.append(one)
            else:
                found[one] = profile
        if missing:
            found.update(await self._read(sorted(set(missing))))
        return found

    async def _read(self, account_ids: list[str]) -> dict[str, Profile]:
        self._loads += 1
        where = (Where("account_id", "in", account_ids),)
        rows = await self._store.fetch(Query(table="account", columns=_COLUMNS, where=where))
        self._forget(len(self._known) + len(rows) - CACHED_MAX)
        found = {row[0]: Profile(*row) for row in rows}
        self._known.update(found)
        return found

    def known(self, account_id: str) -> Profile | None:
        """Return a profile that is in memory."""
        return self._known.get(account_id)

    async def owned(self, account_id: str, app: str, field: str) -> Profile:
        """Return an account of the app; another's is answered like one that does not exist."""
        profile = (await self.load((account_id,))).get(account_id)
        if profile is None or profile.app != app:
            raise NotFound(f"account {account_id!r} does not exist", field=field)
        return profile

    async def payable(self, account_id: str, field: str) -> Profile:
        """Return an account that a payment may name: any that is not the platform's own."""
        profile = (await self.load((account_id,))).get(account_id)
        if profile is None or profile.app == PLATFORM_APP:
            raise NotFound(f"account {account_id!r} does not exist", field=field)
        return profile

    def _forget(self, count: int) -> None:
        # Dicts keep the order of arrival: those known for longest go first.
        for one in list(islice(self._known, max(count, 0))):
            del self._known[one]
            self._forgotten += 1

    def statistics(self) -> ProfilesStatistics:
        """Return what is in memory."""
        return ProfilesStatistics(
            cached=len(self._known), loads=self._loads, forgotten=self._forgotten
        )
