"""One identity of a scenario pack, such as a vehicle: its state document and its turns."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from actors.digest import request_digest
from actors.holds import HoldRow, fetch_holds
from actors.payments.profiles import Profiles
from actors.scenario.composer import EFFECTS_MAX, Composer, Turn, Way, sent_names
from actors.scenario.documents import (
    DOCUMENT_BYTES_MAX,
    READ_AGE_S_MAX,
    Document,
    PackContext,
    Reader,
    document_fact,
    load_document,
)
from actors.scenario.served_pack import ServedPack
from kernel.actor import Actor, ActorContext, BoundHandler, Delivery
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from kernel.pack import Pack, PackOperation, PackTimer, Plan
from kernel.store import Store
from schemas.change import Change, TimerFired
from schemas.effects import HoldExpired, Pay, PlaceHold
from schemas.errors import (
    LimitExceeded,
    Rejected,
    RiskDeclined,
    StepUpRequired,
    ZhihuiError,
)
from schemas.risk import RISK_CHECK_TYPE, RISK_KIND, RiskCheck, RiskFacts

__all__ = (
    "DOCUMENT_BYTES_MAX",
    "EFFECTS_MAX",
    "READ_AGE_S_MAX",
    "ScenarioActor",
    "scenario_actor_factory",
)

# As long as a caller may wait. What is later than that comes by its timer.
_TELL_MS = 30_000

_bytes_decoder = msgspec.msgpack.Decoder(bytes)
_decode_fired = msgspec.msgpack.Decoder(TimerFired).decode

# What the risk rules answer, beside the review of a payment that somebody waits for.
_NOT_CONSENTED = (RiskDeclined, StepUpRequired, LimitExceeded)

# A method of the pack with its message; what is missing is the state.
_Call = Callable[[Any], Awaitable[Any]]


class ScenarioActor(Actor):
    """Run a pack's operations and timers for one key, one message at a time."""

    def __init__(
        self,
        context: ActorContext,
        *,
        served: ServedPack,
        store: Store,
        reader: Reader,
        profiles: Profiles,
    ) -> None:
        super().__init__(context)
        self._served = served
        self._store = store
        self._reader = reader
        self._profiles = profiles
        self._documents: dict[tuple[str, str], Document] = {}

    def handler(self, type_: str) -> BoundHandler | None:
        """Return how the pack takes a message of that name, or None."""
        served = self._served
        known = served.requests.get(type_)
        if known is not None:
            return known[1], partial(self._request, known[0])
        if type_ == served.expired_type:
            return _decode_fired, self._expired
        receiver = served.sent_to(type_)
        if receiver is not None:
            return _decode_fired, partial(self._sent, receiver)
        timer = served.timer_of(type_)
        if timer is not None:
            return _decode_fired, partial(self._fired, timer)
        return None

    # What may come.

    async def _request(
        self, operation: PackOperation, message: Any, delivery: Delivery
    ) -> msgspec.Struct | bytes:
        envelope = delivery.envelope
        if not operation.mutates:
            document = await self._document(envelope.app, operation.collection, operation.state)
            context = self._context(envelope.app, "")
            method = getattr(self._served.pack, operation.method)
            result: msgspec.Struct = await method(context, message, document.state)
            return result
        turn = Turn(
            app=envelope.app,
            request_id=message.request_id,
            operation=envelope.type,
            digest=request_digest(envelope.type, envelope.body),
            collection=operation.collection,
            state=operation.state,
        )
        return await self._commit(turn, self._call(operation, turn, message), delivery)

    async def _sent(self, operation: PackOperation, fired: TimerFired, delivery: Delivery) -> bytes:
        """Take what another identity sent, whether it came by itself or by its timer."""
        carried = self._served.opened(fired)
        message = msgspec.msgpack.decode(carried.body, type=operation.request)
        turn = self._turn_of(
            f"~send.{carried.origin}", operation.collection, operation.state, delivery,
            received=fired.timer_id,
        )  # fmt: skip
        if "request_id" in operation.request.__struct_fields__:
            message = msgspec.structs.replace(message, request_id=turn.request_id)
        return await self._commit_alone(turn, self._call(operation, turn, message), delivery)

    async def _fired(self, timer: PackTimer, fired: TimerFired, delivery: Delivery) -> bytes:
        """Do what was scheduled."""
        carried = self._served.opened(fired)
        body = msgspec.msgpack.decode(carried.body, type=timer.body)
        request_id = f"~timer.{carried.origin}.{fired.due_at_ms}"
        turn = self._turn_of(request_id, timer.collection, timer.state, delivery)
        return await self._commit_alone(turn, self._call(timer, turn, body), delivery)

    async def _expired(self, fired: TimerFired, delivery: Delivery) -> bytes:
        """Give back what is left of a hold, with what the pack says to it."""
        carried = self._served.opened(fired)
        timer = self._served.expiry(carried.collection)
        # Without such a method there is no state either, and none is looked for.
        state = msgspec.Struct if timer is None else timer.state
        turn = self._turn_of(
            f"~hold.{carried.origin}", carried.collection, state, delivery, expires=carried.name
        )
        call: _Call = _nothing
        if timer is not None:
            call = _then_nothing(self._call(timer, turn, HoldExpired(name=carried.name)))
        return await self._commit_alone(turn, call, delivery)

    def _turn_of(
        self, request_id: str, collection: str, state: type[msgspec.Struct], delivery: Delivery,
        *, received: str = "", expires: str | None = None,
    ) -> Turn:  # fmt: skip
        type_ = delivery.envelope.type
        return Turn(
            app=delivery.envelope.app,
            request_id=request_id,
            operation=type_,
            # Not over the body: how often a timer was missed may be counted anew.
            digest=request_digest(type_, msgspec.Raw(request_id.encode())),
            collection=collection,
            state=state,
            received=received,
            expires=expires,
        )

    def _call(self, marked: PackOperation | PackTimer, turn: Turn, message: Any) -> _Call:
        method = getattr(self._served.pack, marked.method)
        return partial(method, self._context(turn.app, turn.request_id), message)

    def _context(self, app: str, request_id: str) -> PackContext:
        return PackContext(app, request_id, self.context.clock, self.context.log, self._reader)

    # What becomes of it.

    async def _commit(self, turn: Turn, call: _Call, delivery: Delivery) -> bytes:
        document = await self._document(turn.app, turn.collection, turn.state)
        ways: tuple[Way, ...] = ()
        rejection = None
        try:
            ways = await self._ways(turn, document, _plans(await call(document.state)))
        except Rejected as error:
            # Sent to the journal all the same: there the id may be known with another answer,
            # and if it is not, it stays rejected when it is sent again.
            rejection = error.body()
        change = self._change(turn, ways)
        change = msgspec.structs.replace(change, rejection=rejection)
        return await self._hand_over(turn, change, ways, document, delivery)

    async def _commit_alone(self, turn: Turn, call: _Call, delivery: Delivery) -> bytes:
        """Commit what nobody waits for: what needs no consent must not end with what has none.

        A caller who is refused by the risk rules hears of it and does something else. A timer would
        just be over, and what it was to end or to remind of would stay for ever.
        """
        try:
            return await self._commit(turn, call, delivery)
        except _NOT_CONSENTED:
            document = await self._document(turn.app, turn.collection, turn.state)
            # Of its own id: the first is refused for good, and may be asked again.
            plain = msgspec.structs.replace(turn, request_id=f"{turn.request_id}.plain")
            plans = _plans(await call(document.state))
            ways = await self._ways(plain, document, plans)
            ways = tuple(one for one in ways if not one.moves_money())
            if not ways:
                raise
            change = self._change(plain, ways)
            return await self._hand_over(plain, change, ways, document, delivery)

    def _change(self, turn: Turn, ways: tuple[Way, ...]) -> Change:
        return Change(
            turn.app,
            turn.request_id,
            turn.operation,
            turn.digest,
            tuple(one.alternative for one in ways),
            None,
            self.context.partition,
            self.context.epoch,
        )

    async def _ways(
        self, turn: Turn, document: Document, plans: tuple[Plan, ...]
    ) -> tuple[Way, ...]:
        key, served, now = self.context.key, self._served, self.context.clock.now()
        new = partial(Composer, served, key, turn, ids=self.context.ids, now=now)
        holds: dict[str, HoldRow] = {}
        if names := sent_names(plans):
            ids = {name: new(holds={}).hold_id(name) for name in names}
            rows = await fetch_holds(self._store, ids.values())
            holds = {name: rows[one] for name, one in ids.items() if one in rows}
        ways = []
        for plan in plans:
            fact = None
            if plan.state is not None:
                fact = document_fact(
                    served.name, turn.collection, turn.app, key, document.version + 1, plan.state
                )
            ways.append(new(holds=holds).compose(plan, fact))
        return tuple(ways)

    async def _hand_over(
        self, turn: Turn, change: Change, ways: tuple[Way, ...], document: Document,
        delivery: Delivery,
    ) -> bytes:  # fmt: skip
        kind, key, type_, message = await self._checked(change, ways)
        try:
            reply = await self.context.ask(
                kind,
                key,
                type_,
                message,
                app=turn.app,
                deadline_ms=delivery.envelope.deadline_ms,
            )
        except Rejected:
            raise
        except ZhihuiError:
            # Whether the change stands is not known, so neither is the state.
            self._documents.pop((turn.app, turn.collection), None)
            raise
        if reply.note >= 0:
            self._follow(turn, ways[reply.note], document)
        return _bytes_decoder.decode(reply.body)

    def _follow(self, turn: Turn, way: Way, document: Document) -> None:
        """Do what follows from a plan that stands."""
        if way.plan.state is not None:
            document.version += 1
            document.state = way.plan.state
        deadline_ms = self.context.clock.now_ms() + _TELL_MS
        for one in way.messages:
            self.context.tell(
                self._served.kind, one.key, one.type, one.fired,
                app=turn.app, deadline_ms=deadline_ms,
            )  # fmt: skip

    async def _checked(
        self, change: Change, ways: tuple[Way, ...]
    ) -> tuple[str, str, str, msgspec.Struct]:
        """Return where the change goes: what moves money passes the risk check first."""
        effects = [one for way in ways for one in way.plan.effects]
        pays = [one for one in effects if isinstance(one, Pay)]
        placed = [one for one in effects if isinstance(one, PlaceHold)]
        if pays:
            payer_id, payee_id = pays[0].payer, pays[0].payee
        elif placed:
            payer_id, payee_id = placed[0].account_id, placed[0].payee
        else:
            return JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change
        profiles = await self._profiles.load([one for one in (payer_id, payee_id) if one])
        payer, payee = profiles.get(payer_id), profiles.get(payee_id)
        facts = RiskFacts(
            app=change.app,
            subject=f"{self._served.name}:{self.context.key}",
            customer=(payer.customer_id if payer is not None else "") or payer_id,
            payer=payer_id,
            payee=payee_id,
            # The most that one of the ways may take.
            amount_minor=max(_taken_minor(way.plan) for way in ways),
            method="scenario" if pays else "hold",
            at_ms=self.context.clock.now_ms(),
            payee_type="" if payee is None else payee.type,
        )
        return RISK_KIND, facts.customer, RISK_CHECK_TYPE, RiskCheck(change, facts)

    async def _document(self, app: str, collection: str, state: type[msgspec.Struct]) -> Document:
        known = self._documents.get((app, collection))
        if known is None:
            if state is msgspec.Struct:
                return Document(0, None)
            known = await load_document(
                self._store, self._served.name, collection, app, self.context.key, state
            )
            self._documents[app, collection] = known
        return known


def _plans(decided: Plan | tuple[Plan, ...]) -> tuple[Plan, ...]:
    return decided if isinstance(decided, tuple) else (decided,)


def _taken_minor(plan: Plan) -> int:
    return sum(one.amount_minor for one in plan.effects if isinstance(one, Pay | PlaceHold))


async def _nothing(state: msgspec.Struct | None) -> Plan:
    """Decide nothing."""
    return Plan()


def _then_nothing(call: _Call) -> _Call:
    """Return the call with a last plan that does nothing.

    The money of an expired hold goes back whether the pack's own plans go through or not.
    """

    async def decide(state: msgspec.Struct | None) -> tuple[Plan, ...]:
        try:
            return (*_plans(await call(state)), Plan())
        except Rejected:
            return (Plan(),)

    return decide


def scenario_actor_factory(pack: Pack, store: Store) -> Callable[[ActorContext], ScenarioActor]:
    """Return what makes an actor of this pack for a key."""
    served = ServedPack(pack)
    return partial(
        ScenarioActor, served=served, store=store, reader=Reader(pack.name, store),
        profiles=Profiles(store),
    )  # fmt: skip
