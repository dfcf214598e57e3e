"""Records: the rows in which entities are kept, each under a version.

A row is the key, a version, the app that owns it, columns to search by, and the state as JSON. A
change that gives it a new version stands only if the stored one is the version before, so two
decisions that were made on the same state can never both stand.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import msgspec

from kernel.journal import FactTable
from kernel.memory_tables import Table, table
from kernel.store import Query, Store, Where
from schemas.change import Fact

__all__ = ("Record", "RecordTable")

S = TypeVar("S", bound=msgspec.Struct)

_json = msgspec.json.Encoder()


class Record(msgspec.Struct, Generic[S], frozen=True):
    """An entity as it stands; version 1 is the first."""

    key: str
    version: int
    app: str
    state: S


class RecordTable(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """Where the entities of one kind are kept.

    ``columns`` are ``"name type"`` of what may be searched by, and ``values`` gives them for a
    state, in that order. The table has the columns ``<key> text, version bigint, change_seq
    bigint, app text``, then these, then ``body text``; its primary key is the key.
    """

    name: str
    key: str
    state: type[S]
    columns: tuple[str, ...] = ()
    values: Callable[[S], tuple[Any, ...]] | None = None

    def _names(self) -> tuple[str, ...]:
        return tuple(one.split()[0] for one in self.columns)

    @property
    def fact_table(self) -> FactTable:
        """What the journal has to know of it."""
        types = tuple(one.split()[1] for one in self.columns)
        return FactTable(
            self.name,
            (self.key, "version", "app", *self._names(), "body"),
            ("text", "bigint", "text", *types, "text"),
            versioned=True,
            key=(self.key,),
        )

    @property
    def memory_table(self) -> Table:
        """What the store in memory has to know of it."""
        return table(
            self.name,
            (f"{self.key} text", "version bigint", "change_seq bigint", "app text", *self.columns,
             "body text"),
            (self.key,),
            key_means="version",
        )  # fmt: skip

    def fact(self, key: str, version: int, app: str, state: S) -> Fact:
        """Return the row of a state under its new version."""
        values = () if self.values is None else self.values(state)
        return Fact(self.name, (key, version, app, *values, _json.encode(state).decode()))

    async def load(self, store: Store, key: str) -> Record[S] | None:
        """Return an entity as committed, or None."""
        return (await self.load_many(store, (key,))).get(key)

    async def load_many(self, store: Store, keys: Iterable[str]) -> dict[str, Record[S]]:
        """Return those of the entities that exist."""
        wanted = list(keys)
        if not wanted:
            return {}
        found = await self.search(store, Where(self.key, "in", wanted))
        return {one.key: one for one in found}

    async def search(
        self, store: Store, *where: Where, order_by: tuple[str, ...] = (), limit: int | None = None
    ) -> list[Record[S]]:
        """Return the entities for which all conditions hold; an index should serve them."""
        rows = await store.fetch(
            Query(
                table=self.name,
                columns=(self.key, "version", "app", "body"),
                where=where,
                order_by=order_by,
                limit=limit,
            )
        )
        return [
            Record(key, version, app, msgspec.json.decode(body, type=self.state))
            for key, version, app, body in rows
        ]
