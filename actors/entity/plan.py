"""What an entity decides by, and what it decided."""

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from actors.entity.record import Record, RecordTable
from kernel.randomness import IdFactory
from kernel.store import Store
from schemas.change import Event, Fact, Timer, due_ms
from schemas.errors import NotFound
from schemas.ledger import Moves
from schemas.subjects import OPERATOR_APP

__all__ = ("Case", "Part", "Plan", "RecordChange", "Tell", "merge")

S = TypeVar("S", bound=msgspec.Struct)

_json = msgspec.json.Encoder()
_encode = msgspec.msgpack.Encoder().encode


class RecordChange(msgspec.Struct, frozen=True):
    """Another entity that gets a new state in the same change.

    ``version`` is the one on which it was decided; 0 makes it new.
    """

    table: RecordTable[Any]
    key: str
    version: int
    app: str
    state: msgspec.Struct


class Tell(msgspec.Struct, frozen=True):
    """A message to another actor once the change stands.

    It may be lost with the node, so what must happen has a timer as well.
    """

    kind: str
    key: str
    type: str
    message: msgspec.Struct
    app: str = ""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a change, contributed by one service: all of it is committed, or nothing."""

    moves: Moves = Moves()
    facts: tuple[Fact, ...] = ()
    events: tuple[Event, ...] = ()
    timers: tuple[Timer, ...] = ()
    cancels: tuple[str, ...] = ()
    also: tuple[RecordChange, ...] = ()
    tells: tuple[Tell, ...] = ()


class Plan(Part, frozen=True, kw_only=True):
    """One way a decision may turn out.

    ``answer`` goes to the caller. ``state`` is the new state of the entity; None leaves it as it
    is. ``key`` names a new entity when the request is not addressed to the one it makes.
    """

    answer: msgspec.Struct
    state: msgspec.Struct | None = None
    key: str = ""

    def plus(self, *parts: Part) -> "Plan":
        """Return the plan with more parts in the same change, after its own."""
        whole = merge(self, *parts)
        return msgspec.structs.replace(
            self,
            **{name: getattr(whole, name) for name in Part.__struct_fields__},
        )


def merge(*parts: Part) -> Part:
    """Return the parts as one: accounts, postings, steps and rows in the order given."""
    moves = Moves(
        open=tuple(new for part in parts for new in part.moves.open),
        postings=tuple(one for part in parts for one in part.moves.postings),
        steps=tuple(step for part in parts for step in part.moves.steps),
    )
    rest = {
        name: tuple(item for part in parts for item in getattr(part, name))
        for name in Part.__struct_fields__
        if name != "moves"
    }
    return Part(moves=moves, **rest)


class Case:
    """What a decision about one entity may look at.

    ``app`` is who asks, as the bus verified it. ``record`` is the entity as committed, None when
    there is none or it belongs to another app; the back office sees those of all apps.
    """

    __slots__ = (
        "app", "deadline_ms", "ids", "key", "now", "record", "request_id", "store", "type",
    )  # fmt: skip

    def __init__(
        self, *, app: str, key: str, request_id: str, now: datetime, deadline_ms: int,
        ids: IdFactory, store: Store, record: Record[Any] | None, type_: str = "",
    ) -> None:  # fmt: skip
        self.app = app
        self.key = key
        self.request_id = request_id
        self.now = now
        self.deadline_ms = deadline_ms
        self.ids = ids
        self.store = store
        self.record = record
        self.type = type_

    @property
    def now_ms(self) -> int:
        """The time in Unix milliseconds."""
        return int(self.now.timestamp() * 1000)

    @property
    def version(self) -> int:
        """The version of the entity; 0 when there is none."""
        return 0 if self.record is None else self.record.version

    @property
    def owner(self) -> str:
        """The app that owns the entity, or would own a new one."""
        return self.app if self.record is None else self.record.app

    def sees(self, app: str) -> bool:
        """Tell whether who asks may see what belongs to ``app``."""
        return self.app in (app, OPERATOR_APP)

    def state(self, shape: type[S], what: str, field: str) -> S:
        """Return the entity's state; raise :class:`~schemas.errors.NotFound` when there is none.

        ``what`` and ``field`` are for the message: "mandate", "mandate_id".
        """
        found = self.state_or_none(shape)
        if found is None:
            raise NotFound(f"{what} {self.key!r} does not exist", field=field)
        return found

    def state_or_none(self, shape: type[S]) -> S | None:
        """Return the entity's state, or None."""
        if self.record is None:
            return None
        assert isinstance(self.record.state, shape)
        return self.record.state

    def tell(self, type_: str, subject: str, data: msgspec.Struct) -> Event:
        """Return an event for the app that owns the entity."""
        return Event(type_, subject, _json.encode(data).decode(), self.owner)

    def timer(
        self, timer_id: str, due_at: datetime, kind: str, key: str, type_: str,
        body: msgspec.Struct | None = None, *, every_s: int = 0,
    ) -> Timer:  # fmt: skip
        """Return a timer that fires under the app that owns the entity."""
        raw = msgspec.Raw(_encode(body))
        return Timer(timer_id, due_ms(due_at), kind, key, type_, self.owner, raw, every_s)
