"""One entity: it reads its record, decides, and asks the journal; one turn at a time.

The record is read anew for each turn, since a change of another entity may move it as well. What
was decided on an older version is refused by the store and decided again.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec

from actors.digest import request_digest
from actors.entity.plan import Case, Plan
from actors.entity.record import Record, RecordTable
from kernel.actor import Actor, ActorContext, BoundHandler, Delivery
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from schemas.change import Alternative, Change, Event, Fact, TimerFired
from schemas.errors import ErrorBody, Rejected, StaleOwner
from schemas.ledger import Moves, encode_moves
from schemas.subjects import OPERATOR_APP

if TYPE_CHECKING:
    from actors.parts import Parts

__all__ = ("ATTEMPTS_MAX", "EntityActor", "decides", "reads")

# A change of several entities meets another one of the same now and then; who loses this often in
# a row tells the caller, who asks again.
ATTEMPTS_MAX = 5

_json = msgspec.json.Encoder()
_bytes_decoder = msgspec.msgpack.Decoder(bytes)

_Method = TypeVar("_Method", bound=Callable[..., Awaitable[Any]])


class _Marked(msgspec.Struct, frozen=True):
    message: type[msgspec.Struct]
    mutates: bool


def decides(type_: str, message: type[msgspec.Struct]) -> Callable[[_Method], _Method]:
    """Mark a method that decides about messages of that name: requests, or timers that fired.

    It is called with the message and a :class:`~actors.entity.Case` and returns a
    :class:`~actors.entity.Plan`, or several in order of preference, or raises a rejection, which is
    remembered under the request's id.
    """
    return _mark(type_, message, mutates=True)


def reads(type_: str, message: type[msgspec.Struct]) -> Callable[[_Method], _Method]:
    """Mark a method that answers a read: called like one that decides, it returns the answer."""
    return _mark(type_, message, mutates=False)


def _mark(
    type_: str, message: type[msgspec.Struct], *, mutates: bool
) -> Callable[[_Method], _Method]:
    def mark(method: _Method) -> _Method:
        method.__zhihui_entity__ = (type_, _Marked(message, mutates))  # type: ignore[attr-defined]
        return method

    return mark


class EntityActor(Actor):
    """Derive, name ``kind`` and ``table``, and mark methods with :func:`decides`, :func:`reads`.

    Without a table there is no state: each request makes something new, or only moves money.
    """

    table: ClassVar[RecordTable[Any] | None] = None

    def __init__(self, context: ActorContext, *, parts: "Parts") -> None:
        super().__init__(context)
        self.parts = parts

    def handler(self, type_: str) -> BoundHandler | None:
        """Return how messages named ``type_`` are decoded and handled, or None."""
        known = _methods(type(self)).get(type_)
        if known is None:
            return None
        name, marked, decode = known
        turn = self._decide if marked.mutates else self._read
        return decode, partial(turn, getattr(self, name))

    async def _read(
        self, method: Callable[..., Awaitable[Any]], message: Any, delivery: Delivery
    ) -> msgspec.Struct | bytes:
        result: msgspec.Struct | bytes = await method(message, await self._case(delivery, ""))
        return result

    async def _decide(
        self, method: Callable[..., Awaitable[Any]], message: Any, delivery: Delivery
    ) -> bytes:
        attempt = 1
        while True:
            try:
                return await self._attempt(method, message, delivery)
            except StaleOwner:
                if attempt == ATTEMPTS_MAX or not self.context.is_current():
                    raise
                attempt += 1

    async def _attempt(
        self, method: Callable[..., Awaitable[Any]], message: Any, delivery: Delivery
    ) -> bytes:
        case = await self._case(delivery, message.request_id)
        if isinstance(message, TimerFired):
            # Its time has come, also where the clock of the node that fired it is ahead of ours.
            case.now = max(case.now, message.due_at)
        plans: tuple[Plan, ...] = ()
        rejection: ErrorBody | None = None
        try:
            decided = await method(message, case)
            plans = decided if isinstance(decided, tuple) else (decided,)
        except Rejected as error:
            # To the journal all the same: there the id may be known with another answer, and if it
            # is not, it stays refused when it is sent again.
            rejection = error.body()
        change = Change(
            delivery.envelope.app,
            message.request_id,
            delivery.envelope.type,
            self.digest_of(message, delivery),
            tuple(self._alternative(case, plan) for plan in plans),
            rejection,
            self.context.partition,
            self.context.epoch,
        )
        reply = await self.ask_journal(change, delivery.envelope.deadline_ms)
        if reply.note >= 0 and reply.note < len(plans):
            for tell in plans[reply.note].tells:
                self.context.tell(
                    tell.kind, tell.key, tell.type, tell.message,
                    app=tell.app or case.owner, deadline_ms=self._tell_deadline_ms(),
                )  # fmt: skip
        return _bytes_decoder.decode(reply.body)

    async def ask_journal(self, change: Change, deadline_ms: int) -> Any:
        """Commit a change; a service whose changes are checked first asks whoever checks them."""
        return await self.context.ask(
            JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change, app=change.app,
            deadline_ms=deadline_ms,
        )  # fmt: skip

    def _tell_deadline_ms(self) -> int:
        # As long as a caller may wait; what is late is found by its timer.
        return self.context.clock.now_ms() + 30_000

    async def _case(self, delivery: Delivery, request_id: str) -> Case:
        app = delivery.envelope.app
        record: Record[Any] | None = None
        if self.table is not None:
            record = await self.table.load(self.parts.store, self.context.key)
        if record is not None and not self.may_see(record, app):
            # The entity of another app is answered like one that does not exist.
            record = None
        return Case(
            app=app, key=self.context.key, request_id=request_id, now=self.context.clock.now(),
            deadline_ms=delivery.envelope.deadline_ms, ids=self.context.ids,
            store=self.parts.store, record=record, type_=delivery.envelope.type,
        )  # fmt: skip

    def digest_of(self, message: Any, delivery: Delivery) -> bytes:
        """Return the 16 bytes that tell whether two requests with one id are the same."""
        return _digest(message, delivery)

    def may_see(self, record: Record[Any], app: str) -> bool:
        """Tell whether ``app`` may see and change the entity."""
        return app in (record.app, OPERATOR_APP)

    def _alternative(self, case: Case, plan: Plan) -> Alternative:
        facts: list[Fact] = []
        if plan.state is not None:
            if self.table is None:
                raise TypeError(f"{self.kind} has no table for a state")
            key, version, app = case.key, case.version, case.owner
            if plan.key and plan.key != case.key:
                key, version, app = plan.key, 0, case.app
            facts.append(self.table.fact(key, version + 1, app, plan.state))
        facts += [one.table.fact(one.key, one.version + 1, one.app, one.state) for one in plan.also]
        # Rows are written in this order, and those with a version come first. Who decided on an old
        # state is told so, and decides again, before a row that is only ever added, such as the
        # choice of an attempt with the same number, is a broken key that nobody can mend.
        facts += plan.facts
        return Alternative(
            encode_moves(_explained(plan.moves, case.type)),
            tuple(facts),
            tuple(_for_owner(event, case) for event in plan.events),
            _json.encode(plan.answer).decode(),
            plan.timers,
            plan.cancels,
        )


def _explained(moves: Moves, purpose: str) -> Moves:
    """Return the moves with a purpose for each posting that has none of its own."""
    if all(one.purpose for one in moves.postings):
        return moves
    postings = tuple(
        one if one.purpose else msgspec.structs.replace(one, purpose=purpose)
        for one in moves.postings
    )
    return msgspec.structs.replace(moves, postings=postings)


def _for_owner(event: Event, case: Case) -> Event:
    # The common case, an app's request about its own, carries no app a second time.
    return msgspec.structs.replace(event, app="") if event.app == case.app else event


def _digest(message: Any, delivery: Delivery) -> bytes:
    envelope = delivery.envelope
    if isinstance(message, TimerFired):
        # How many times were missed may be counted anew, and is the same firing.
        return request_digest(envelope.type, msgspec.Raw(message.request_id.encode()))
    return request_digest(envelope.type, envelope.body)


_Methods = dict[str, tuple[str, _Marked, Callable[[msgspec.Raw], Any]]]
_methods_by_class: dict[type[EntityActor], _Methods] = {}


def _methods(actor: type[EntityActor]) -> _Methods:
    """Return type → (method, mark, decode) of a class, found once."""
    known = _methods_by_class.get(actor)
    if known is None:
        known = {}
        for name in dir(actor):
            marked = getattr(getattr(actor, name), "__zhihui_entity__", None)
            if marked is not None:
                type_, mark = marked
                known[type_] = (name, mark, msgspec.msgpack.Decoder(mark.message).decode)
        _methods_by_class[actor] = known
    return known
