"""One message in the hands of one generation of a pack, from decoding it to its commit."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec

from actors.digest import request_digest
from actors.holds import HoldRow, fetch_holds
from actors.payments.profiles import Profiles
from actors.scenario.composer import Composer, Turn, Way, sent_names
from actors.scenario.documents import Document, PackContext
from actors.scenario.served_pack import Rewrite, ServedPack
from kernel.actor import ActorContext, Delivery
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE
from kernel.pack import PackOperation, PackTimer, Plan
from kernel.plugins.limits import Turn as Lease
from kernel.store import Store
from schemas.change import Change, TimerFired
from schemas.effects import HoldExpired, Pay, PlaceHold
from schemas.errors import (
    LimitExceeded,
    NotReady,
    Rejected,
    RiskDeclined,
    StepUpRequired,
    UnknownOperation,
    ZhihuiError,
)
from schemas.risk import RISK_CHECK_TYPE, RISK_KIND, RiskCheck, RiskFacts

__all__ = ("Handling",)

# As long as a caller may wait. What is later than that comes by its timer.
_TELL_MS = 30_000

_bytes_decoder = msgspec.msgpack.Decoder(bytes)
_decode_fired = msgspec.msgpack.Decoder(TimerFired).decode
_decode_rewrite = msgspec.msgpack.Decoder(Rewrite).decode
_json = msgspec.json.Encoder()

# What the risk rules answer, beside the review of a payment that somebody waits for.
_NOT_CONSENTED = (RiskDeclined, StepUpRequired, LimitExceeded)

# A method of the pack with its message; what is missing is the state.
_Call = Callable[[Any], Awaitable[Any]]


class Handling:
    """Take one message. ``documents`` are the identity's own, as committed, and are kept so.

    ``unawaited`` tells whether it came by itself, so that nobody would send it again.
    """

    def __init__(
        self,
        context: ActorContext,
        served: ServedPack,
        lease: Lease,
        documents: dict[tuple[str, str], Document],
        store: Store,
        profiles: Profiles,
    ) -> None:
        self._context = context
        self._served = served
        self._lease = lease
        self._documents = documents
        self._store = store
        self._profiles = profiles
        self.unawaited = False

    async def take(self, body: msgspec.Raw, delivery: Delivery) -> bytes:
        """Return the answer as JSON, or raise."""
        served = self._served
        type_ = delivery.envelope.type
        request = served.request(type_, body)
        if request is not None:
            return await self._request(*request, delivery)
        if type_ == served.rewrite_type:
            return await self._rewrite(_decode_rewrite(body), delivery)
        if not served.is_unawaited(type_):
            raise UnknownOperation(f"there is no operation {type_!r}")
        self.unawaited = True
        fired = _decode_fired(body)
        if type_ == served.expired_type:
            return await self._expired(fired, delivery)
        receiver = served.sent_to(type_)
        if receiver is not None:
            return await self._sent(receiver, fired, delivery)
        timer = served.timer_of(type_)
        if timer is None:
            # From another version. It waits for one that knows it, as after a rollback.
            raise NotReady(f"this version of {served.name} does not know {type_!r}")
        return await self._fired(timer, fired, delivery)

    # What may come.

    async def _request(self, operation: PackOperation, message: Any, delivery: Delivery) -> bytes:
        envelope = delivery.envelope
        if not operation.mutates:
            document = await self._document(envelope.app, operation.collection, operation.state)
            call = self._call(operation, envelope.app, "", message)
            result = await call(self._state(document, operation.collection, operation.state))
            return _json.encode(result)
        turn = Turn(
            app=envelope.app,
            request_id=message.request_id,
            operation=envelope.type,
            digest=self._served.digest(envelope.type, message),
            collection=operation.collection,
            state=operation.state,
        )
        call = self._call(operation, turn.app, turn.request_id, message)
        return await self._commit(turn, call, delivery)

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
        call = self._call(operation, turn.app, turn.request_id, message)
        return await self._commit_alone(turn, call, delivery)

    async def _fired(self, timer: PackTimer, fired: TimerFired, delivery: Delivery) -> bytes:
        """Do what was scheduled."""
        carried = self._served.opened(fired)
        body = msgspec.msgpack.decode(carried.body, type=timer.body)
        request_id = f"~timer.{carried.origin}.{fired.due_at_ms}"
        turn = self._turn_of(request_id, timer.collection, timer.state, delivery)
        call = self._call(timer, turn.app, turn.request_id, body)
        return await self._commit_alone(turn, call, delivery)

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
            body = HoldExpired(name=carried.name)
            call = _then_nothing(self._call(timer, turn.app, turn.request_id, body))
        return await self._commit_alone(turn, call, delivery)

    async def _rewrite(self, rewrite: Rewrite, delivery: Delivery) -> bytes:
        """Write a document again in the form of this generation, if it is in another one."""
        state = self._served.states.get(rewrite.collection)
        if state is None:
            return b"false"
        document = await self._document(rewrite.app, rewrite.collection, state)
        if self._served.documents.is_current(document, rewrite.collection):
            return b"false"
        found = self._state(document, rewrite.collection, state)
        turn = self._turn_of(
            f"~rewrite.{rewrite.collection}.{self._context.key}.{document.version}",
            rewrite.collection, state, delivery,
        )  # fmt: skip
        turn = msgspec.structs.replace(turn, app=rewrite.app)
        ways = await self._ways(turn, document, (Plan(state=found),))
        await self._hand_over(turn, self._change(turn, ways), ways, document, delivery)
        return b"true"

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
            digest=request_digest(type_, request_id.encode()),
            collection=collection,
            state=state,
            received=received,
            expires=expires,
        )

    def _call(
        self, marked: PackOperation | PackTimer, app: str, request_id: str, message: Any
    ) -> _Call:
        method = getattr(self._served.pack, marked.method)
        context = PackContext(
            app, request_id, self._context.clock, self._context.log, self._served.reader
        )
        run = self._lease.run
        return lambda state: run(method(context, message, state))

    # The documents.

    async def _document(self, app: str, collection: str, state: type[msgspec.Struct]) -> Document:
        known = self._documents.get((app, collection))
        if known is None:
            if state is msgspec.Struct:
                return Document(0, None)
            known = await self._served.documents.load(collection, app, self._context.key)
            self._documents[app, collection] = known
        return known

    def _state(self, document: Document, collection: str, state: type[msgspec.Struct]) -> Any:
        return self._served.documents.state(document, collection, self._context.key, state)

    # What becomes of it.

    async def _commit(self, turn: Turn, call: _Call, delivery: Delivery) -> bytes:
        document = await self._document(turn.app, turn.collection, turn.state)
        state = self._state(document, turn.collection, turn.state)
        ways: tuple[Way, ...] = ()
        rejection = None
        try:
            ways = await self._ways(turn, document, _plans(await call(state)))
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
            plans = _plans(await call(self._state(document, turn.collection, turn.state)))
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
            self._context.partition,
            self._context.epoch,
        )

    async def _ways(
        self, turn: Turn, document: Document, plans: tuple[Plan, ...]
    ) -> tuple[Way, ...]:
        key, served, now = self._context.key, self._served, self._context.clock.now()
        new = partial(Composer, served, key, turn, ids=self._context.ids, now=now)
        holds: dict[str, HoldRow] = {}
        if names := sent_names(plans):
            ids = {name: new(holds={}).hold_id(name) for name in names}
            rows = await fetch_holds(self._store, ids.values())
            holds = {name: rows[one] for name, one in ids.items() if one in rows}
        ways = []
        for plan in plans:
            after = None
            if plan.state is not None:
                after = served.documents.written(turn.collection, document.version + 1, plan.state)
            ways.append(new(holds=holds).compose(plan, after))
        return tuple(ways)

    async def _hand_over(
        self, turn: Turn, change: Change, ways: tuple[Way, ...], document: Document,
        delivery: Delivery,
    ) -> bytes:  # fmt: skip
        kind, key, type_, message = await self._checked(change, ways)
        try:
            reply = await self._context.ask(
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
            self._follow(turn, ways[reply.note])
        else:
            # Decided before, perhaps by an attempt whose answer was lost: what is remembered of the
            # document may be older than that.
            self._documents.pop((turn.app, turn.collection), None)
        return _bytes_decoder.decode(reply.body)

    def _follow(self, turn: Turn, way: Way) -> None:
        """Do what follows from a plan that stands."""
        if way.document is not None:
            self._documents[turn.app, turn.collection] = way.document
        deadline_ms = self._context.clock.now_ms() + _TELL_MS
        for one in way.messages:
            self._context.tell(
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
            subject=f"{self._served.name}:{self._context.key}",
            customer=(payer.customer_id if payer is not None else "") or payer_id,
            payer=payer_id,
            payee=payee_id,
            # The most that one of the ways may take.
            amount_minor=max(_taken_minor(way.plan) for way in ways),
            method="scenario" if pays else "hold",
            at_ms=self._context.clock.now_ms(),
            payee_type="" if payee is None else payee.type,
        )
        return RISK_KIND, facts.customer, RISK_CHECK_TYPE, RiskCheck(change, facts)


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
