"""Merchants as they are kept, and as payments look them up."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

import msgspec

from actors.entity import Record, RecordTable
from kernel.clock import Clock
from kernel.store import Query, Store, Where
from schemas.merchants import FeeRate, Merchant, MerchantTerms

__all__ = (
    "CACHED_MAX",
    "CHANGED_MAX",
    "LOOK_EVERY_S",
    "MERCHANT_TABLE",
    "KnownMerchant",
    "MerchantBook",
    "MerchantBookStatistics",
    "MerchantState",
    "public_merchant",
)

# Accounts whose answer is kept, merchants or not; about 100 bytes each for those that are none.
CACHED_MAX = 100_000
# How often changed merchants are looked for, while there are payments. An update is promised to
# show within a second.
LOOK_EVERY_S = 0.5
# More changes than this between two looks, and everything is forgotten instead.
CHANGED_MAX = 1_000


class MerchantState(msgspec.Struct, frozen=True, kw_only=True):
    """A merchant as its record keeps it; the record's key is the account.

    ``standard_fee`` is the bank's rate when the terms were agreed, for terms that name none.
    """

    name: str
    terms: MerchantTerms
    standard_fee: FeeRate
    category: str | None
    created_at: datetime
    updated_at: datetime


MERCHANT_TABLE = RecordTable(name="merchant", key="merchant_id", state=MerchantState)


def public_merchant(merchant_id: str, app: str, version: int, state: MerchantState) -> Merchant:
    """Return a merchant as `merchant.get` answers it."""
    return Merchant(
        merchant_id=merchant_id,
        app=app,
        name=state.name,
        category=state.category,
        terms=msgspec.structs.replace(state.terms, fee=state.terms.fee or state.standard_fee),
        version=version,
        created_at=state.created_at,
        updated_at=state.updated_at,
    )


class KnownMerchant(msgspec.Struct, frozen=True, kw_only=True):
    """What a payment has to know of its payee; ``participants`` are accounts that it splits to."""

    merchant_id: str
    app: str
    version: int
    category: str | None
    terms: MerchantTerms
    standard_fee: FeeRate
    participants: frozenset[str]


class MerchantBookStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``cached`` is of now, the others count since the start; ``looks`` are for changes."""

    cached: int
    loads: int
    looks: int
    forgotten: int


class MerchantBook:
    """The merchants among a node's payees, read once and kept until they change.

    A payment's batch asks with all its accounts at once. What is not known is read in one query;
    every half a second the first who asks also has the changed ones read, so nobody decides on what
    is older. That an account is no merchant is remembered like the rest.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[str, KnownMerchant | None] = {}
        # Changes up to this number are in what is known.
        self._seen_seq: int | None = None
        self._look_at_s = 0.0
        # Counts the looks that found changes.
        self._generation = 0
        self._counts = {"loads": 0, "looks": 0, "forgotten": 0}

    async def by_account(self, account_ids: Iterable[str]) -> dict[str, KnownMerchant]:
        """Return those of the accounts that are a merchant's, and the merchants they split to."""
        wanted = set(account_ids)
        if self._clock.monotonic_s() >= self._look_at_s:
            await self._look()
        found = await self._find(wanted)
        participants = {one for merchant in found.values() for one in merchant.participants}
        if participants:
            found.update(await self._find(participants))
        return found

    def statistics(self) -> MerchantBookStatistics:
        """Return the counts so far."""
        return MerchantBookStatistics(cached=len(self._known), **self._counts)

    async def _find(self, account_ids: set[str]) -> dict[str, KnownMerchant]:
        known = self._known
        missing = sorted(account_ids - known.keys())
        found = {
            account: merchant
            for account in account_ids
            if (merchant := known.get(account)) is not None
        }
        if missing:
            found.update(await self._read(missing))
        return found

    async def _read(self, account_ids: list[str]) -> dict[str, KnownMerchant]:
        while True:
            generation = self._generation
            self._counts["loads"] += 1
            records = await MERCHANT_TABLE.load_many(self._store, account_ids)
            if self._generation == generation:
                break
            # Changes were noted meanwhile; what was read may be from before them.
        found = {account: _known(record) for account, record in records.items()}
        self._forget(len(self._known) + len(account_ids) - CACHED_MAX)
        for account in account_ids[:CACHED_MAX]:
            self._known[account] = found.get(account)
        return found

    def _forget(self, count: int) -> None:
        # Dicts keep the order of arrival: the one that has been here longest goes. A merchant that
        # is busy is back after one read.
        for account in list(islice(self._known, max(count, 0))):
            del self._known[account]
            self._counts["forgotten"] += 1

    async def _look(self) -> None:
        """Forget the merchants that changed since the last look."""
        self._counts["looks"] += 1
        # Set before the read, so that one of those who ask at once looks and the others go on.
        self._look_at_s = self._clock.monotonic_s() + LOOK_EVERY_S
        try:
            changed = await self._changed()
        except BaseException:
            self._look_at_s = 0.0
            raise
        if changed is None:
            self._known.clear()
            self._generation += 1
        elif changed:
            for account in changed:
                self._known.pop(account, None)
            self._generation += 1

    async def _changed(self) -> list[str] | None:
        """Return the merchants that changed; None when there are too many to name."""
        if self._seen_seq is not None:
            rows = await self._store.fetch(
                Query(
                    table=MERCHANT_TABLE.name,
                    columns=("change_seq", "merchant_id"),
                    where=(Where("change_seq", ">", self._seen_seq),),
                    order_by=("change_seq",),
                    limit=CHANGED_MAX,
                )
            )
            if len(rows) < CHANGED_MAX:
                if rows:
                    self._seen_seq = rows[-1][0]
                return [merchant_id for _, merchant_id in rows]
        self._seen_seq = (await self._store.position()).change_seq
        return None


def _known(record: Record[MerchantState]) -> KnownMerchant:
    terms = record.state.terms
    participants = {share.account_id for rule in terms.splits.values() for share in rule.shares}
    participants |= {rule.remainder for rule in terms.splits.values() if rule.remainder}
    if terms.partner is not None:
        participants.add(terms.partner.account_id)
    return KnownMerchant(
        merchant_id=record.key,
        app=record.app,
        version=record.version,
        category=record.state.category,
        terms=terms,
        standard_fee=record.state.standard_fee,
        participants=frozenset(participants),
    )
